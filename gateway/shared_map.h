/*
 * shared_map - memory that processes share: made before they are forked, all zero.
 */
#pragma once

#include <stddef.h>

/* To be unmapped with munmap(). NULL without memory, and then errno says why. size: not 0. */
void *shared_map(size_t size);
