/*
 * fd_identity - what a descriptor leads to, as numbers that are the same in every process, and in
 * every copy of the descriptor.
 *
 * Two that are open at the same time are equal only if they lead to the same socket or file.
 * Sockets have a number that is never given again (SO_COOKIE, socket(7)) beside that of the inode.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fd_identity {
	uint64_t dev, ino, cookie;
};

#define FD_IDENTITY_TEXT_MAX 64

/* False: it is neither socket nor file, and there may be others with the same numbers. */
bool fd_identity_get(int fd, struct fd_identity *ret_identity);
bool fd_identity_equal(const struct fd_identity *a, const struct fd_identity *b);

/* As text without blanks, "DEV:INO:COOKIE", and from it; false: it is none. */
const char *fd_identity_format(
	const struct fd_identity *identity, char buf[static FD_IDENTITY_TEXT_MAX]);
bool fd_identity_read(const char *text, struct fd_identity *ret_identity);
