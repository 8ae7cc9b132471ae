/*
 * Fuzzes the reading of an upstream's header from a socket for its promises:
 *
 *   - in whatever pieces it comes, the outcome is that of the whole in one;
 *   - nothing is taken out of the socket before the header is whole, and then the header alone;
 *   - what is never a header is refused as soon as the byte that spoils it is there;
 *   - the ends are of one family, or both of none.
 *
 * The first byte says how long the pieces are, the second how it begins, the rest is what comes.
 */
#include "upstream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define PIECES	  128U /* a socket's buffer has room for so many, however small they are */

static size_t waiting(int fd)
{
	int n = 0;

	REQUIRE(ioctl(fd, FIONREAD, &n) == 0);
	return (size_t)n;
}

static void check_ends(const struct proxyhdr *header)
{
	struct sockaddr_any src, dst;

	if (upstream_ends(header, &src, &dst) < 0) {
		REQUIRE(header->command == PROXYHDR_PROXY && header->family == PROXYHDR_UNIX);
		return;
	}
	REQUIRE(sockaddr_family(&src) == sockaddr_family(&dst));
	REQUIRE(sockaddr_family(&src) == AF_INET || sockaddr_family(&src) == AF_INET6 ||
		sockaddr_family(&src) == AF_UNSPEC);
}

/* The verdict on data[0..len), and where the payload begins. */
static int judge(const uint8_t *data, size_t len, size_t *ret_consumed)
{
	struct proxyhdr header;
	int err =
		proxyhdr_decode(data, len, PROXYHDR_ACCEPT_V1 | PROXYHDR_ACCEPT_V2, &header, NULL);

	if (!err)
		*ret_consumed = header.consumed;
	return err;
}

static void run(int near, int far, const uint8_t *data, size_t size, size_t step)
{
	static uint8_t buf[UPSTREAM_HEADER_MAX];
	size_t sent = 0, consumed = 0;
	struct proxyhdr header;
	const char *reason = NULL;
	int err, expected;

	do {
		size_t more = size - sent < step ? size - sent : step;

		if (more)
			REQUIRE(write(far, data + sent, more) == (ssize_t)more);
		sent += more;
		expected = sent ? judge(data, sent, &consumed) : -EAGAIN;
		err = upstream_read(near, buf, false, &header, &reason);
		if (err == -EBADMSG && expected == -EAGAIN) /* it says that it will be too long */
			REQUIRE(reason && strstr(reason, "4096"));
		else
			REQUIRE(err == expected || (err == -EBADMSG && consumed > sizeof(buf)));
		if (err)
			REQUIRE(waiting(near) == sent);
	} while (err == -EAGAIN && sent < size);
	REQUIRE((err == -EBADMSG) == (reason != NULL));
	if (err)
		return;
	REQUIRE(header.consumed == consumed && consumed <= sizeof(buf));
	REQUIRE(waiting(near) == sent - consumed);
	check_ends(&header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		const char *text;
		size_t len;
	} starts[] = { { "", 0 }, { "PROXY ", 6 }, { "PROXY TCP6 ::1 ::2 1", 20 },
		{ SIGNATURE, 12 }, { SIGNATURE "\x20", 13 }, { SIGNATURE "\x21\x11\0", 15 },
		{ SIGNATURE "\x21\x21\0", 15 } };
	static uint8_t whole[8192 + 32];
	size_t start, step, len;
	int fds[2];

	if (size < 2 || size > 8192)
		return 0;
	start = data[1] % (sizeof(starts) / sizeof(starts[0]));
	memcpy(whole, starts[start].text, starts[start].len);
	memcpy(whole + starts[start].len, data + 2, size - 2);
	len = starts[start].len + size - 2;
	step = (size_t)data[0] + 1;
	if (step < len / PIECES)
		step = len / PIECES;
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	run(fds[0], fds[1], whole, len, step);
	close(fds[0]);
	close(fds[1]);
	return 0;
}
