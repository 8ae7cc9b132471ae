/*
 * shared_map - memory that processes share: made before they are forked, all zero.
 *
 * It is at the same address in all of them, so pointers into it hold. It does not outlive
 * execve(2): what the next image is to know goes by the estate.
 */
#pragma once

#include <stddef.h>

/* To be unmapped with munmap(). NULL without memory, and then errno says why. size: not 0. */
void *shared_map(size_t size);
