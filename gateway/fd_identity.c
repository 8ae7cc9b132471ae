#include "fd_identity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

bool fd_identity_get(int fd, struct fd_identity *ret_identity)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	struct stat about;

	if (fstat(fd, &about) < 0 || (!S_ISSOCK(about.st_mode) && !S_ISREG(about.st_mode)))
		return false;
	if (S_ISSOCK(about.st_mode))
		(void)getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	*ret_identity = (struct fd_identity){
		.dev = about.st_dev,
		.ino = about.st_ino,
		.cookie = cookie,
	};
	return true;
}

bool fd_identity_equal(const struct fd_identity *a, const struct fd_identity *b)
{
	return a->ino == b->ino && a->dev == b->dev && a->cookie == b->cookie;
}

const char *fd_identity_format(
	const struct fd_identity *identity, char buf[static FD_IDENTITY_TEXT_MAX])
{
	snprintf(buf, FD_IDENTITY_TEXT_MAX, "%" PRIx64 ":%" PRIx64 ":%" PRIx64, identity->dev,
		identity->ino, identity->cookie);
	return buf;
}

/* A number and what ends it. */
static bool read_part(const char **text, char end, uint64_t *ret_part)
{
	char *rest = NULL;

	errno = 0;
	*ret_part = strtoull(*text, &rest, 16);
	if (rest == *text || *rest != end || errno)
		return false;
	*text = rest + (end != '\0');
	return true;
}

bool fd_identity_read(const char *text, struct fd_identity *ret_identity)
{
	struct fd_identity found;

	if (!read_part(&text, ':', &found.dev) || !read_part(&text, ':', &found.ino) ||
		!read_part(&text, '\0', &found.cookie))
		return false;
	*ret_identity = found;
	return true;
}
