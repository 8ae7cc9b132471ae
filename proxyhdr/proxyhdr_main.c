/* SPDX-License-Identifier: MIT */
/*
 * proxyhdr - show or make a PROXY protocol header. See proxyhdr(1).
 */
#include "proxyhdr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum exit_status {
	STATUS_OK = 0,
	STATUS_INVALID = 1,
	STATUS_INCOMPLETE = 2,
	STATUS_USAGE = 64, /* the numbers of sysexits.h */
	STATUS_IO = 74,
};

static const char help_text[] =
	"Usage: proxyhdr decode [--udp] [--hex] < INPUT\n"
	"       proxyhdr encode --version 1|2 --src ADDRESS --dst ADDRESS [OPTION]...\n"
	"       proxyhdr encode --version 1|2 --local [OPTION]...\n"
	"       proxyhdr --help | --version\n"
	"\n"
	"decode reads a PROXY protocol header and prints what it says as a line of JSON.\n"
	"Exit status: 0 valid, 1 invalid, 2 incomplete, 64 wrong usage.\n"
	"  --udp              the input is one datagram\n"
	"  --hex              the input is hexadecimal text\n"
	"\n"
	"encode writes a header. ADDRESS is 192.0.2.1:80, [2001:db8::1]:80 or unix:/path.\n"
	"  --local            the relay's own connection; addresses may be left out\n"
	"  --udp              the client came by UDP (or a UNIX datagram socket)\n"
	"  --tlv TYPE=HEX     append a TLV, such as 0xE0=0102; may be repeated\n"
	"  --crc32c           append a CRC32c\n"
	"  --hex              write a line of hexadecimal text\n";

/* Complains on standard error; returns the exit status for wrong usage. */
__attribute__((format(printf, 1, 2))) static int usage_error(const char *format, ...)
{
	va_list args;

	(void)fputs("proxyhdr: ", stderr);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputs("\n", stderr);
	return STATUS_USAGE;
}

/* Complains about what failed with errno set; returns the exit status for it. */
static int io_error(const char *what)
{
	(void)fprintf(stderr, "proxyhdr: %s: %s\n", what, strerror(errno));
	return STATUS_IO;
}

/* ---- hexadecimal text ---- */

/* Hexadecimal text being read: the upper half of a byte whose lower half is to come, or -1. */
struct hex_reader {
	int high;
	size_t pos; /* of the last character, counted from 1 */
};

static int hex_value(char ch)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *found = ch ? strchr(digits, ch) : NULL;

	return found ? (int)(found - digits) % 16 : -1;
}

/*
 * Takes one character. Returns 1 with a byte in *ret_byte, 0 without one, -EINVAL if the character
 * cannot stand there. Spaces and colons may stand between bytes, "0x" in front of one.
 */
static int hex_feed(struct hex_reader *hex, char ch, uint8_t *ret_byte)
{
	int value = hex_value(ch);

	hex->pos++;
	if (value >= 0 && hex->high < 0) {
		hex->high = value;
		return 0;
	}
	if (value >= 0) {
		*ret_byte = (uint8_t)(hex->high << 4 | value);
		hex->high = -1;
		return 1;
	}
	if (hex->high == 0 && (ch == 'x' || ch == 'X')) {
		hex->high = -1;
		return 0;
	}
	return hex->high < 0 && ch && strchr(" \t\r\n:", ch) ? 0 : -EINVAL;
}

static void print_hex(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		printf("%02x", data[i]);
}

/* ---- decode ---- */

/* Room for the longest header, from standard input. */
struct input {
	bool hex;
	struct hex_reader reader;
	bool bad_hex;
	size_t len;
	uint8_t data[PROXYHDR_V2_MAX];
};

/* Adds what was read to in->data, or to in->bad_hex. What finds no room is payload. */
static void input_add(struct input *in, const char *text, size_t len)
{
	for (size_t i = 0; i < len && in->len < sizeof(in->data) && !in->bad_hex; i++) {
		uint8_t byte = (uint8_t)text[i];
		int r = in->hex ? hex_feed(&in->reader, text[i], &byte) : 1;

		in->bad_hex = r < 0;
		if (r > 0)
			in->data[in->len++] = byte;
	}
}

/*
 * Reads until there is a verdict, and no further: who keeps the pipe open behind the header gets
 * the answer at once. Returns 0 with *ret_r the result of proxyhdr_decode, or an exit status.
 */
static int read_header(
	struct input *in, bool udp, struct proxyhdr *hdr, enum proxyhdr_reason *reason, int *ret_r)
{
	const unsigned both = PROXYHDR_ACCEPT_V1 | PROXYHDR_ACCEPT_V2;
	/* A datagram is not complete before its end; until then it is read like a stream. */
	const unsigned flags = udp ? PROXYHDR_ACCEPT_V2 : both;
	char text[4096];
	ssize_t n;
	int r;

	do {
		n = read(STDIN_FILENO, text, sizeof(text));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return io_error("standard input");
		input_add(in, text, (size_t)n);
		r = proxyhdr_decode(in->data, in->len, flags, hdr, reason);
		if (r == -EAGAIN && in->bad_hex)
			return usage_error(
				"not hexadecimal at character %zu of the input: expected "
				"two digits per byte",
				in->reader.pos);
	} while (n != 0 && (n < 0 || r == -EAGAIN));

	if (r == -EAGAIN && in->hex && in->reader.high >= 0)
		return usage_error("an odd number of hexadecimal digits: expected two per byte");
	if (udp)
		r = proxyhdr_decode(in->data, in->len, both | PROXYHDR_DATAGRAM, hdr, reason);
	*ret_r = r;
	return 0;
}

static const char *family_name(enum proxyhdr_family family)
{
	switch (family) {
	case PROXYHDR_INET:
		return "INET";
	case PROXYHDR_INET6:
		return "INET6";
	case PROXYHDR_UNIX:
		return "UNIX";
	case PROXYHDR_UNSPEC:
	default:
		return "UNSPEC";
	}
}

static const char *transport_name(enum proxyhdr_transport transport)
{
	switch (transport) {
	case PROXYHDR_STREAM:
		return "STREAM";
	case PROXYHDR_DGRAM:
		return "DGRAM";
	case PROXYHDR_TRANSPORT_UNSPEC:
	default:
		return "UNSPEC";
	}
}

/* Prints the members `src` and `sport`, or `dst` and `dport`. */
static void print_endpoint(
	char side, enum proxyhdr_family family, const struct proxyhdr_endpoint *endpoint)
{
	const char *rest = side == 's' ? "rc" : "st";
	char text[INET6_ADDRSTRLEN];
	int af = family == PROXYHDR_INET ? AF_INET : AF_INET6;

	printf(",\"%c%s\":", side, rest);
	if (family == PROXYHDR_UNSPEC) {
		printf("null,\"%cport\":null", side);
	} else if (family == PROXYHDR_UNIX) {
		printf("\"");
		print_hex(endpoint->addr, sizeof(endpoint->addr));
		printf("\",\"%cport\":null", side);
	} else {
		printf("\"%s\",\"%cport\":%u", inet_ntop(af, endpoint->addr, text, sizeof(text)),
			side, endpoint->port);
	}
}

static void print_header(const struct proxyhdr *hdr)
{
	struct proxyhdr_tlv_iter iter;
	struct proxyhdr_tlv tlv;
	const char *comma = "";

	printf("{\"verdict\":\"ok\",\"version\":%u,\"command\":\"%s\"", hdr->version,
		hdr->command == PROXYHDR_LOCAL ? "LOCAL" : "PROXY");
	printf(",\"family\":\"%s\",\"transport\":\"%s\"", family_name(hdr->family),
		transport_name(hdr->transport));
	print_endpoint('s', hdr->family, &hdr->src);
	print_endpoint('d', hdr->family, &hdr->dst);

	printf(",\"tlvs\":[");
	proxyhdr_tlv_start(&iter, hdr->tlvs, hdr->tlvs_len);
	while (proxyhdr_tlv_next(&iter, &tlv) > 0) {
		printf("%s{\"type\":%u,\"hex\":\"", comma, tlv.type);
		print_hex(tlv.value, tlv.len);
		printf("\"}");
		comma = ",";
	}
	printf("],\"consumed\":%zu,\"reason\":null}\n", hdr->consumed);
}

static int flush_output(int status)
{
	return fflush(stdout) == 0 && !ferror(stdout) ? status : io_error("standard output");
}

static int command_decode(int argc, char **argv)
{
	static const struct option options[] = {
		{ "hex", no_argument, NULL, 'x' },
		{ "udp", no_argument, NULL, 'u' },
		{ NULL, 0, NULL, 0 },
	};
	struct input in = { .reader = { .high = -1 } };
	enum proxyhdr_reason reason = PROXYHDR_REASON_NONE;
	struct proxyhdr hdr;
	bool udp = false;
	int option;
	int status;
	int r = 0;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == '?')
			return STATUS_USAGE;
		if (option == 'x')
			in.hex = true;
		else
			udp = true;
	}
	if (optind < argc)
		return usage_error("'%s' is too much: decode reads standard input", argv[optind]);

	status = read_header(&in, udp, &hdr, &reason, &r);
	if (status != STATUS_OK)
		return status;
	if (r == 0) {
		print_header(&hdr);
		return flush_output(STATUS_OK);
	}
	printf("{\"verdict\":\"%s\",\"version\":null,\"command\":null,\"family\":null,"
	       "\"transport\":null,\"src\":null,\"sport\":null,\"dst\":null,\"dport\":null,"
	       "\"tlvs\":null,\"consumed\":null,\"reason\":\"%s\"}\n",
		r == -EAGAIN ? "incomplete" : "invalid", proxyhdr_reason_text(reason));
	return flush_output(r == -EAGAIN ? STATUS_INCOMPLETE : STATUS_INVALID);
}

/* ---- encode ---- */

/* What the options of encode ask for. */
struct request {
	struct proxyhdr hdr;
	enum proxyhdr_family src_family;
	enum proxyhdr_family dst_family;
	const char *src;
	const char *dst;
	bool udp;
	bool crc32c;
	bool hex;
	size_t tlvs_len;
	uint8_t tlvs[PROXYHDR_V2_MAX];
};

static bool parse_port(const char *text, uint16_t *ret_port)
{
	unsigned value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (unsigned)(*text - '0');
		if (value > UINT16_MAX)
			return false;
	}
	*ret_port = (uint16_t)value;
	return true;
}

/* Understands 192.0.2.1:80, [2001:db8::1]:80 and unix:/path. */
static bool parse_endpoint(
	const char *text, enum proxyhdr_family *ret_family, struct proxyhdr_endpoint *ret_endpoint)
{
	struct proxyhdr_endpoint endpoint = { .port = 0 };
	bool inet6 = text[0] == '[';
	const char *end = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN];
	size_t len;

	if (strncmp(text, "unix:", 5) == 0) {
		len = strlen(text + 5);
		if (len > sizeof(endpoint.addr))
			return false;
		memcpy(endpoint.addr, text + 5, len);
		*ret_family = PROXYHDR_UNIX;
		*ret_endpoint = endpoint;
		return true;
	}

	if (!end || !parse_port(end + 1, &endpoint.port))
		return false;
	if (inet6 && end[-1] != ']')
		return false;
	len = (size_t)(end - text) - (inet6 ? 2 : 0);
	if (len >= sizeof(host))
		return false;
	memcpy(host, text + (inet6 ? 1 : 0), len);
	host[len] = '\0';
	if (inet_pton(inet6 ? AF_INET6 : AF_INET, host, endpoint.addr) != 1)
		return false;

	*ret_family = inet6 ? PROXYHDR_INET6 : PROXYHDR_INET;
	*ret_endpoint = endpoint;
	return true;
}

/* Adds TYPE=HEX to req->tlvs. Returns 0 or an exit status. */
static int add_tlv(struct request *req, const char *text)
{
	struct hex_reader hex = { .high = -1 };
	char *end = NULL;
	unsigned long type = strtoul(text, &end, 0);
	uint8_t *p = req->tlvs + req->tlvs_len;
	size_t room = sizeof(req->tlvs) - req->tlvs_len;
	size_t len = 0;

	if (end == text || *end != '=' || type > 0xff || text[0] == '-')
		return usage_error(
			"--tlv '%s': expected TYPE=HEX with a type from 0 to 0xff", text);
	if (type == PROXYHDR_TLV_CRC32C)
		return usage_error("--tlv '%s': a CRC32c is computed, use --crc32c", text);

	for (const char *digit = end + 1; *digit; digit++) {
		uint8_t byte = 0;
		int r = hex_feed(&hex, *digit, &byte);

		if (r < 0)
			return usage_error(
				"--tlv '%s': not hexadecimal at character %zu of the value", text,
				hex.pos);
		if (r == 0)
			continue;
		if (PROXYHDR_TLV_HEAD_LEN + len >= room)
			return usage_error("the TLVs are too long: a header holds at most 65535 "
					   "bytes of addresses and TLVs");
		p[PROXYHDR_TLV_HEAD_LEN + len++] = byte;
	}
	if (hex.high >= 0)
		return usage_error("--tlv '%s': expected two digits per byte", text);
	if (type == PROXYHDR_TLV_UNIQUE_ID && len > PROXYHDR_UNIQUE_ID_MAX)
		return usage_error("--tlv '%s': a unique ID has at most 128 bytes", text);
	if (PROXYHDR_TLV_HEAD_LEN + len > room)
		return usage_error("the TLVs are too long: a header holds at most 65535 bytes of "
				   "addresses and TLVs");

	p[0] = (uint8_t)type;
	p[1] = (uint8_t)(len >> 8);
	p[2] = (uint8_t)(len & 0xff);
	req->tlvs_len += PROXYHDR_TLV_HEAD_LEN + len;
	return 0;
}

/* Fills in what --src and --dst say. Returns 0 or an exit status. */
static int take_endpoints(struct request *req)
{
	static const char wanted[] = "expected 192.0.2.1:80, [2001:db8::1]:80 or unix:/path";
	struct proxyhdr *hdr = &req->hdr;

	if (!req->src && !req->dst && hdr->command == PROXYHDR_LOCAL)
		return 0;
	if (!req->src || !req->dst)
		return usage_error("both --src and --dst are needed, or else --local");
	if (!parse_endpoint(req->src, &req->src_family, &hdr->src))
		return usage_error("--src '%s': %s", req->src, wanted);
	if (!parse_endpoint(req->dst, &req->dst_family, &hdr->dst))
		return usage_error("--dst '%s': %s", req->dst, wanted);
	if (req->src_family != req->dst_family)
		return usage_error("--src '%s' and --dst '%s': both must be of one family",
			req->src, req->dst);

	hdr->family = req->src_family;
	hdr->transport = req->udp ? PROXYHDR_DGRAM : PROXYHDR_STREAM;
	return 0;
}

/* Refuses by name what version 1 cannot say. Returns 0 or an exit status. */
static int check_v1(const struct request *req)
{
	if (req->hdr.version != 1)
		return 0;
	if (req->udp)
		return usage_error("version 1 cannot describe UDP: use --version 2");
	if (req->hdr.family == PROXYHDR_UNIX)
		return usage_error("version 1 cannot describe UNIX sockets: use --version 2");
	if (req->tlvs_len > 0 || req->crc32c)
		return usage_error("version 1 has no TLVs and no CRC32c: use --version 2");
	return 0;
}

/* Makes the header in req->tlvs' order and writes it. Returns an exit status. */
static int write_header(struct request *req)
{
	uint8_t buf[PROXYHDR_V2_MAX];
	size_t len = 0;
	int r;

	if (req->tlvs_len > 0)
		req->hdr.tlvs = req->tlvs;
	req->hdr.tlvs_len = req->tlvs_len;

	r = proxyhdr_encode(&req->hdr, buf, sizeof(buf), &len);
	if (r == 0 && req->crc32c)
		r = proxyhdr_crc32c_append(buf, sizeof(buf), &len);
	if (r == -EMSGSIZE)
		return usage_error("the TLVs are too long: a header holds at most 65535 bytes of "
				   "addresses and TLVs");
	if (r < 0)
		return usage_error("there is no such header: %s", strerror(-r));

	if (req->hex) {
		print_hex(buf, len);
		printf("\n");
	} else {
		(void)fwrite(buf, 1, len, stdout);
	}
	return flush_output(STATUS_OK);
}

static int command_encode(int argc, char **argv)
{
	static const struct option options[] = {
		{ "crc32c", no_argument, NULL, 'c' },
		{ "dst", required_argument, NULL, 'd' },
		{ "hex", no_argument, NULL, 'x' },
		{ "local", no_argument, NULL, 'l' },
		{ "src", required_argument, NULL, 's' },
		{ "tlv", required_argument, NULL, 't' },
		{ "udp", no_argument, NULL, 'u' },
		{ "version", required_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	struct request req = { .hdr = { .command = PROXYHDR_PROXY } };
	int status = 0;
	int option;

	while (status == 0 && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			req.crc32c = true;
			break;
		case 'd':
			req.dst = optarg;
			break;
		case 'x':
			req.hex = true;
			break;
		case 'l':
			req.hdr.command = PROXYHDR_LOCAL;
			break;
		case 's':
			req.src = optarg;
			break;
		case 't':
			status = add_tlv(&req, optarg);
			break;
		case 'u':
			req.udp = true;
			break;
		case 'v':
			if (strcmp(optarg, "1") != 0 && strcmp(optarg, "2") != 0)
				return usage_error("--version '%s': expected 1 or 2", optarg);
			req.hdr.version = (uint8_t)(optarg[0] - '0');
			break;
		default:
			return STATUS_USAGE;
		}
	}
	if (status != 0)
		return status;
	if (optind < argc)
		return usage_error("'%s' is not an option of encode", argv[optind]);
	if (req.hdr.version == 0)
		return usage_error("encode needs --version 1 or --version 2");

	status = take_endpoints(&req);
	if (status == 0)
		status = check_v1(&req);
	return status == 0 ? write_header(&req) : status;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	/* The commands' own options begin behind the word. */
	if (strcmp(command, "decode") == 0)
		return command_decode(argc - 1, argv + 1);
	if (strcmp(command, "encode") == 0)
		return command_encode(argc - 1, argv + 1);
	if (strcmp(command, "--help") == 0) {
		(void)fputs(help_text, stdout);
		return flush_output(STATUS_OK);
	}
	if (strcmp(command, "--version") == 0) {
		puts("proxyhdr " SIXGATE_VERSION);
		return flush_output(STATUS_OK);
	}
	if (argc < 2)
		return usage_error("expected decode or encode; see proxyhdr --help");
	return usage_error("'%s': expected decode or encode; see proxyhdr --help", command);
}
