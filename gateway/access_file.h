/*
 * access_file - where access records go, as a descriptor.
 */
#pragma once

#include "config.h"

/*
 * Standard output and error as they are, or the file, opened for appending; -1 where the access log
 * goes elsewhere or is off. 0 or a negative errno.
 */
int access_file_open(const struct config *config, int *ret_fd);
