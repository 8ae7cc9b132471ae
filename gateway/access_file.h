/*
 * access_file - where access records go, as a descriptor.
 */
#pragma once

#include "config.h"

/*
 * Standard output and error as they are, or the file, opened for appending and made if need be,
 * which is the caller's; -1 where the access log goes elsewhere or is off. By the supervisor,
 * before it gives up rights: the logger, which writes there, could not open it. 0; or a negative
 * errno, and ret_fd is untouched.
 */
int access_file_open(const struct config *config, int *ret_fd);
