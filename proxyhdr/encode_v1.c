/* SPDX-License-Identifier: MIT */
/*
 * Encoding version 1 (proxy-protocol.txt section 2.1).
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define GROUPS 8U /* of 16 bits, in an IPv6 address */

#define LONGEST                                               \
	"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff " \
	"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"

/*
 * The line as it grows; PROXYHDR_V1_MAX bytes hold every line that can be asked for. It is made
 * aside and copied at the end, so that the caller's buffer is untouched if it is too small.
 */
struct line {
	char text[PROXYHDR_V1_MAX];
	size_t len;
};

static_assert(sizeof(LONGEST) - 1 <= PROXYHDR_V1_MAX, "no line written here is longer");

static void put_char(struct line *line, char ch)
{
	assert(line->len < sizeof(line->text));
	line->text[line->len++] = ch;
}

static void put_text(struct line *line, const char *text)
{
	while (*text)
		put_char(line, *text++);
}

/*
 * A 16-bit number in base 10 or 16, without leading zeroes. Not printf(3), which looks at locales,
 * and may allocate.
 */
static void put_number(struct line *line, unsigned value, unsigned base)
{
	char reversed[5];
	size_t n = 0;

	assert(value <= UINT16_MAX);

	do {
		unsigned digit = value % base;

		reversed[n++] = (char)(digit < 10 ? '0' + digit : 'a' + digit - 10);
		value /= base;
	} while (value > 0);
	while (n > 0)
		put_char(line, reversed[--n]);
}

static void put_ipv4(struct line *line, const uint8_t *addr)
{
	for (size_t i = 0; i < 4; i++) {
		if (i > 0)
			put_char(line, '.');
		put_number(line, addr[i], 10);
	}
}

/*
 * Finds the run of zero groups that "::" replaces: the longest, the first of equals, and none that
 * is a single group (RFC 5952 section 4.2). Returns where it begins and its length, or 0 for none.
 */
static size_t longest_run(const uint8_t *addr, size_t *ret_len)
{
	size_t best = 0;
	size_t best_len = 0;
	size_t len = 0;

	for (size_t i = 0; i < GROUPS; i++) {
		len = proxyhdr_get16(addr + 2 * i) == 0 ? len + 1 : 0;
		if (len > best_len) {
			best_len = len;
			best = i + 1 - len;
		}
	}
	*ret_len = best_len > 1 ? best_len : 0;
	return best;
}

static void put_ipv6(struct line *line, const uint8_t *addr)
{
	size_t run_len;
	size_t run = longest_run(addr, &run_len);
	size_t i = 0;

	while (i < GROUPS) {
		if (run_len > 0 && i == run) {
			put_text(line, "::");
			i += run_len;
			continue;
		}
		if (i > 0 && !(run_len > 0 && i == run + run_len))
			put_char(line, ':');
		put_number(line, proxyhdr_get16(addr + 2 * i), 16);
		i++;
	}
}

static void put_address(struct line *line, enum proxyhdr_family family, const uint8_t *addr)
{
	put_char(line, ' ');
	if (family == PROXYHDR_INET6)
		put_ipv6(line, addr);
	else
		put_ipv4(line, addr);
}

int proxyhdr_encode_v1(const struct proxyhdr *hdr, uint8_t *buf, size_t size, size_t *ret_len)
{
	bool ip = hdr->family == PROXYHDR_INET || hdr->family == PROXYHDR_INET6;
	bool stream = hdr->transport == PROXYHDR_STREAM;
	bool none = hdr->family == PROXYHDR_UNSPEC && hdr->transport == PROXYHDR_TRANSPORT_UNSPEC;
	struct line line = { .len = 0 };

	if (!none && !(ip && stream))
		return -EINVAL;
	if (hdr->tlvs_len > 0)
		return -EINVAL;

	put_text(&line, "PROXY ");
	if (none || hdr->command == PROXYHDR_LOCAL) {
		put_text(&line, "UNKNOWN");
	} else {
		put_text(&line, hdr->family == PROXYHDR_INET6 ? "TCP6" : "TCP4");
		put_address(&line, hdr->family, hdr->src.addr);
		put_address(&line, hdr->family, hdr->dst.addr);
		put_char(&line, ' ');
		put_number(&line, hdr->src.port, 10);
		put_char(&line, ' ');
		put_number(&line, hdr->dst.port, 10);
	}
	put_text(&line, "\r\n");

	if (size < line.len)
		return -ENOSPC;
	memcpy(buf, line.text, line.len);
	*ret_len = line.len;
	return 0;
}
