/*
 * config_file - reads sixgated.conf(5) with libconfuse into a struct config.
 *
 * A mistake is answered with file, line, what was read and what would be right. Nothing outside
 * the result is touched.
 *
 * By the supervisor at its start, by a reload's trial and by sixgatectl; never while serving.
 */
#pragma once

#include <stddef.h>

#include "config.h"

#define CONFIG_ERROR_MAX 512

/*
 * Read and check the file. 0 and a configuration that the caller frees; or a negative errno
 * (-EINVAL for its contents, else what open or read said) and one sentence without newline in
 * error: "FILE:LINE: what was read; what would be right".
 */
int config_file_load(const char *path, struct config **ret_config, char error[CONFIG_ERROR_MAX]);

/*
 * The file as it is now, as an anonymous file that can be read again and again, and is the
 * caller's; and a configuration out of that: so what was tried before a reload is what the next
 * image gets, whatever has become of the file meanwhile. path stands for it in messages. waits: for
 * the writer of a fifo, which is -EAGAIN to somebody who has clients to serve meanwhile. As above.
 */
int config_file_snapshot(const char *path, bool waits, int *ret_fd, char error[CONFIG_ERROR_MAX]);
int config_file_load_snapshot(
	const char *path, int fd, struct config **ret_config, char error[CONFIG_ERROR_MAX]);

/* The same from memory, for tests and fuzzing; name stands for the path in messages. */
int config_file_parse(const char *name, const char *text, size_t len, struct config **ret_config,
	char error[CONFIG_ERROR_MAX]);
