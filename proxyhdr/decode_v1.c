/* SPDX-License-Identifier: MIT */
/*
 * The human-readable header, version 1 (proxy-protocol.txt section 2.1).
 *
 * The line is read strictly from left to right by a cursor whose error is sticky: once `why` is
 * set, every further read does nothing, so that the grammar below reads like the one in the text
 * and is checked once, at its end.
 *
 * A line ends within 107 bytes. For the decoder to say at once that a prefix cannot become valid,
 * each read also tells how many bytes at least would complete the line from there; if those do not
 * fit any more, the line is too long already. The parameters named `after` carry this number: the
 * least number of bytes that follow the item in question.
 *
 * Not inet_pton(3): it takes whole strings, and cannot tell an address that is wrong from one that
 * is not complete. The grammar of addresses here is the same as its own.
 */
#include "internal.h"

#include <assert.h>
#include <string.h>

#define GROUPS 8U /* of 16 bits, in an IPv6 address */

/* The least that can follow a source address, a destination address and a source port. */
#define AFTER_SRC4 (sizeof(" 0.0.0.0 0 0\r\n") - 1)
#define AFTER_SRC6 (sizeof(" :: 0 0\r\n") - 1)
#define AFTER_DST  (sizeof(" 0 0\r\n") - 1)
#define AFTER_PORT (sizeof(" 0\r\n") - 1)
#define AFTER_LAST (sizeof("\r\n") - 1)

struct cursor {
	const uint8_t *p;
	size_t len;		  /* bytes that are there, payload included */
	size_t pos;		  /* of the next one; never beyond len or PROXYHDR_V1_MAX */
	enum proxyhdr_reason why; /* NONE: go on; MORE is sticky, too: what follows is not there */
};

static void fail(struct cursor *c, enum proxyhdr_reason why)
{
	if (c->why == PROXYHDR_REASON_NONE)
		c->why = why;
}

/* The next byte without taking it, or -1. `need`: the least number of bytes from here to the end.
 */
static int peek(struct cursor *c, size_t need)
{
	if (c->why != PROXYHDR_REASON_NONE)
		return -1;
	if (c->pos + need > PROXYHDR_V1_MAX) {
		fail(c, PROXYHDR_REASON_V1_TOO_LONG);
		return -1;
	}
	if (c->pos == c->len) {
		fail(c, PROXYHDR_REASON_MORE);
		return -1;
	}
	return c->p[c->pos];
}

/* Takes exactly the bytes of `text`. */
static void expect(struct cursor *c, const char *text, size_t after, enum proxyhdr_reason otherwise)
{
	for (size_t left = strlen(text); left > 0; left--, text++) {
		int ch = peek(c, left + after);

		if (ch >= 0 && ch != (uint8_t)*text)
			fail(c, otherwise);
		if (c->why != PROXYHDR_REASON_NONE)
			return;
		c->pos++;
	}
}

/*
 * A decimal number up to max, without leading zeroes, as they are taken for octal ones elsewhere
 * (section 2.1). A number that is too large, or has one, is refused at the digit that makes it so,
 * so `value` never overflows. The number may end where the input does: then MORE is set, and what
 * is returned is not looked at.
 */
static unsigned read_number(
	struct cursor *c, unsigned max, size_t after, enum proxyhdr_reason otherwise)
{
	size_t start = c->pos;
	unsigned value = 0;

	for (;;) {
		int ch = peek(c, c->pos == start ? 1 + after : after);

		if (ch < '0' || ch > '9')
			break;
		if (c->pos > start && value == 0)
			fail(c, otherwise);
		value = value * 10 + (unsigned)(ch - '0');
		if (value > max)
			fail(c, otherwise);
		c->pos++;
	}
	if (c->pos == start)
		fail(c, otherwise);
	return value;
}

static void read_ipv4(struct cursor *c, uint8_t *addr, size_t after)
{
	for (size_t i = 0; i < 4; i++) {
		size_t rest = 2 * (3 - i) + after;

		if (i > 0)
			expect(c, ".", rest + 1, PROXYHDR_REASON_V1_ADDRESS);
		addr[i] = (uint8_t)read_number(c, 255, rest, PROXYHDR_REASON_V1_ADDRESS);
	}
}

static int hex_value(int ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	if (ch >= 'a' && ch <= 'f')
		return ch - 'a' + 10;
	if (ch >= 'A' && ch <= 'F')
		return ch - 'A' + 10;
	return -1;
}

/*
 * An IPv6 address being read: `groups` are complete, and "::" was seen in front of group number
 * `gap`, or not yet if that is -1. The gap stands for at least one group.
 */
struct ipv6 {
	uint8_t addr[16];
	unsigned groups;
	int gap;
};

static unsigned groups_max(const struct ipv6 *a)
{
	return a->gap < 0 ? GROUPS : GROUPS - 1;
}

/* What a last group, complete or not, lacks to an address: nothing, or at least "::". */
static size_t rest_behind_group(const struct ipv6 *a, size_t after)
{
	return a->gap < 0 && a->groups + 1 < GROUPS ? 2 + after : after;
}

/*
 * One group of one to four hexadecimal digits, or the IPv4 address that takes the place of the last
 * two. Nothing is taken if there is no digit.
 */
static void read_group(struct cursor *c, struct ipv6 *a, size_t need, size_t after)
{
	size_t start = c->pos;
	size_t rest = rest_behind_group(a, after);
	unsigned value = 0;
	int ch = peek(c, need);

	while (c->pos < start + 4 && hex_value(ch) >= 0) {
		value = value << 4 | (unsigned)hex_value(ch);
		c->pos++;
		/* Four digits are a whole group and begin no IPv4 address: nothing to look for. */
		ch = c->pos < start + 4 ? peek(c, rest) : -1;
	}
	if (c->pos == start || c->why != PROXYHDR_REASON_NONE)
		return;

	if (ch == '.') {
		/* It is two groups, the last of eight; or, with a gap, of at most seven. */
		bool fits = a->gap < 0 ? a->groups == GROUPS - 2 : a->groups < GROUPS - 2;

		if (!fits) {
			fail(c, PROXYHDR_REASON_V1_ADDRESS);
			return;
		}
		/* The digits were decimal ones: read them again as such. */
		c->pos = start;
		read_ipv4(c, a->addr + (size_t)2 * a->groups, after);
		a->groups += 2;
		return;
	}

	assert(a->groups < GROUPS);
	proxyhdr_put16(a->addr + (size_t)2 * a->groups, (uint16_t)value);
	a->groups++;
}

/*
 * Reads what stands between two groups. Returns false at the end of the address. Afterwards a group
 * must follow, unless a gap was just read.
 */
static bool read_colons(struct cursor *c, struct ipv6 *a, size_t after)
{
	int ch;

	if (a->groups >= groups_max(a))
		return false;

	ch = peek(c, a->gap < 0 ? 2 + after : after);
	if (ch != ':') {
		if (a->gap < 0)
			fail(c, PROXYHDR_REASON_V1_ADDRESS);
		return false;
	}
	c->pos++;

	/* Either one more byte, a digit, ends the last group, or a second colon makes the gap. */
	if (a->gap < 0 && peek(c, 1 + after) == ':') {
		c->pos++;
		a->gap = (int)a->groups;
	}
	return c->why == PROXYHDR_REASON_NONE && a->groups < groups_max(a);
}

static void read_ipv6(struct cursor *c, uint8_t *ret_addr, size_t after)
{
	struct ipv6 a = { .gap = -1 };
	bool more = true;

	if (peek(c, 2 + after) == ':') {
		expect(c, "::", after, PROXYHDR_REASON_V1_ADDRESS);
		a.gap = 0;
	}

	while (more && c->why == PROXYHDR_REASON_NONE) {
		unsigned before = a.groups;
		bool behind_gap = a.gap == (int)a.groups;
		size_t need = before == 0 && a.gap < 0 ? 2 + after : 1 + after;

		read_group(c, &a, behind_gap ? after : need, after);
		if (a.groups == before) {
			if (!behind_gap)
				fail(c, PROXYHDR_REASON_V1_ADDRESS);
			break;
		}
		/* An IPv4 address, which takes two groups, is always the end. */
		more = a.groups == before + 1 && read_colons(c, &a, after);
	}

	if (c->why != PROXYHDR_REASON_NONE)
		return;

	memset(ret_addr, 0, sizeof(a.addr));
	if (a.gap < 0) {
		memcpy(ret_addr, a.addr, sizeof(a.addr));
	} else {
		size_t head = 2 * (size_t)a.gap;
		size_t tail = 2 * (size_t)a.groups - head;

		memcpy(ret_addr, a.addr, head);
		memcpy(ret_addr + sizeof(a.addr) - tail, a.addr + head, tail);
	}
}

/*
 * "the receiver must ignore anything presented before the CRLF is found" (section 2.1): any byte,
 * NUL and a CR or LF alone included, within the 107. A CR may be followed by the one that counts.
 */
static void read_unknown(struct cursor *c)
{
	bool cr = false;

	if (peek(c, AFTER_LAST) != ' ') {
		expect(c, "\r\n", 0, PROXYHDR_REASON_V1_PROTOCOL);
		return;
	}
	for (;;) {
		int ch = peek(c, cr ? 1 : AFTER_LAST);

		if (ch < 0)
			return;
		c->pos++;
		if (cr && ch == '\n')
			return;
		cr = ch == '\r';
	}
}

/*
 * Everything behind "TCP". The endpoints are written as they are read; hdr is handed out only if
 * all of it was good.
 */
static void read_tcp(struct cursor *c, struct proxyhdr *hdr)
{
	bool inet6 = peek(c, 2 + sizeof("0.0.0.0") - 1 + AFTER_SRC4) == '6';

	hdr->transport = PROXYHDR_STREAM;
	hdr->family = inet6 ? PROXYHDR_INET6 : PROXYHDR_INET;
	expect(c, inet6 ? "6 " : "4 ", 2 + AFTER_SRC6, PROXYHDR_REASON_V1_PROTOCOL);

	if (inet6) {
		read_ipv6(c, hdr->src.addr, AFTER_SRC6);
		expect(c, " ", AFTER_SRC6 - 1, PROXYHDR_REASON_V1_ADDRESS);
		read_ipv6(c, hdr->dst.addr, AFTER_DST);
	} else {
		read_ipv4(c, hdr->src.addr, AFTER_SRC4);
		expect(c, " ", AFTER_SRC4 - 1, PROXYHDR_REASON_V1_ADDRESS);
		read_ipv4(c, hdr->dst.addr, AFTER_DST);
	}
	expect(c, " ", AFTER_DST - 1, PROXYHDR_REASON_V1_ADDRESS);
	hdr->src.port = (uint16_t)read_number(c, 65535, AFTER_PORT, PROXYHDR_REASON_V1_PORT);
	expect(c, " ", AFTER_PORT - 1, PROXYHDR_REASON_V1_PORT);
	hdr->dst.port = (uint16_t)read_number(c, 65535, AFTER_LAST, PROXYHDR_REASON_V1_PORT);
	expect(c, "\r\n", 0, PROXYHDR_REASON_V1_END);
}

enum proxyhdr_reason proxyhdr_decode_v1(const uint8_t *data, size_t len, struct proxyhdr *ret_hdr)
{
	struct proxyhdr hdr = { .version = 1, .command = PROXYHDR_PROXY };
	struct cursor c = { .p = data, .len = len };

	/* So close to the start the limit is far; AFTER_LAST is as good as the exact number. */
	expect(&c, "PROXY", AFTER_LAST, PROXYHDR_REASON_SIGNATURE);
	expect(&c, " ", AFTER_LAST, PROXYHDR_REASON_V1_PROTOCOL);
	if (peek(&c, AFTER_LAST) == 'U') {
		expect(&c, "UNKNOWN", AFTER_LAST, PROXYHDR_REASON_V1_PROTOCOL);
		read_unknown(&c);
	} else {
		expect(&c, "TCP", AFTER_LAST, PROXYHDR_REASON_V1_PROTOCOL);
		read_tcp(&c, &hdr);
	}

	if (c.why == PROXYHDR_REASON_NONE) {
		assert(c.pos <= PROXYHDR_V1_MAX);
		hdr.consumed = c.pos;
		*ret_hdr = hdr;
	}
	return c.why;
}
