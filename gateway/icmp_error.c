#include "icmp_error.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

/*
 * The client's own packet is made again out of what is known of it, as the kernel hands out a
 * datagram's payload only. A client's kernel looks at the quoted addresses and ports to find the
 * socket (RFC 1122, section 3.2.2), and they are exact; so is the rest, but for identification and
 * options.
 */
#define IP4_HEADER  20U
#define IP6_HEADER  40U
#define UDP_HEADER  8U
#define ICMP_HEADER 8U
#define ERROR4_MAX  576U /* RFC 1812, section 4.3.2.3 */
#define ERROR6_MAX  1280U

static void put16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static void put32(uint8_t *p, uint32_t value)
{
	put16(p, value >> 16);
	put16(p + 2, value & 0xffff);
}

/* RFC 1071: the sum of 16-bit words, not yet folded. Only the last piece may be odd. */
static uint64_t add_words(uint64_t sum, const uint8_t *data, size_t len)
{
	for (; len > 1; data += 2, len -= 2)
		sum += (uint32_t)data[0] << 8 | data[1];
	return len ? sum + ((uint32_t)data[0] << 8) : sum;
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The client's UDP header; addrs: source and destination as they stand in the IP header. */
static void put_udp(
	uint8_t *p, const struct icmp_error_quote *quote, const uint8_t *addrs, size_t addrs_len)
{
	size_t len = UDP_HEADER + quote->datagram_len;
	uint16_t sum;

	put16(p, sockaddr_port(quote->client));
	put16(p + 2, sockaddr_port(quote->local));
	put16(p + 4, (uint32_t)len);
	put16(p + 6, 0);
	if (quote->payload_len != quote->datagram_len)
		return;
	sum = fold(
		add_words(add_words(add_words(IPPROTO_UDP + len, addrs, addrs_len), p, UDP_HEADER),
			quote->payload, quote->payload_len));
	put16(p + 6, sum ? sum : 0xffff);
}

static void put_ip6(uint8_t *p, const struct icmp_error_quote *quote)
{
	put32(p, 6U << 28 | (uint32_t)quote->traffic_class << 20 | (quote->flow_label & 0xfffff));
	put16(p + 4, (uint32_t)(UDP_HEADER + quote->datagram_len));
	p[6] = IPPROTO_UDP;
	p[7] = quote->hop_limit;
	memcpy(p + 8, &quote->client->in6.sin6_addr, 16);
	memcpy(p + 24, &quote->local->in6.sin6_addr, 16);
}

static void put_ip4(uint8_t *p, const struct icmp_error_quote *quote, bool dont_fragment)
{
	memset(p, 0, IP4_HEADER);
	p[0] = 0x45;
	p[1] = quote->traffic_class;
	put16(p + 2, (uint32_t)(IP4_HEADER + UDP_HEADER + quote->datagram_len));
	p[6] = dont_fragment ? 0x40 : 0;
	p[8] = quote->hop_limit;
	p[9] = IPPROTO_UDP;
	memcpy(p + 12, &quote->client->in.sin_addr, 4);
	memcpy(p + 16, &quote->local->in.sin_addr, 4);
	put16(p + 10, fold(add_words(0, p, IP4_HEADER)));
}

static void put_kind6(uint8_t *p, enum icmp_error_kind kind, uint32_t mtu)
{
	static const uint8_t codes[] = {
		[ICMP_ERROR_PORT] = 4,
		[ICMP_ERROR_ADDRESS] = 3,
		[ICMP_ERROR_NO_ROUTE] = 0,
		[ICMP_ERROR_PROHIBITED] = 1,
		[ICMP_ERROR_TOO_BIG] = 0,
	};

	memset(p, 0, ICMP_HEADER);
	p[0] = kind == ICMP_ERROR_TOO_BIG ? 2 : 1;
	p[1] = codes[kind];
	if (kind == ICMP_ERROR_TOO_BIG)
		put32(p + 4, mtu);
}

static void put_kind4(uint8_t *p, enum icmp_error_kind kind, uint32_t mtu)
{
	static const uint8_t codes[] = {
		[ICMP_ERROR_PORT] = 3,
		[ICMP_ERROR_ADDRESS] = 1,
		[ICMP_ERROR_NO_ROUTE] = 0,
		[ICMP_ERROR_PROHIBITED] = 13,
		[ICMP_ERROR_TOO_BIG] = 4,
	};

	memset(p, 0, ICMP_HEADER);
	p[0] = 3;
	p[1] = codes[kind];
	if (kind == ICMP_ERROR_TOO_BIG)
		put16(p + 6, mtu > 0xffff ? 0xffff : mtu);
}

int icmp_error_encode(enum icmp_error_kind kind, uint32_t mtu, const struct icmp_error_quote *quote,
	uint8_t buf[ICMP_ERROR_MAX], size_t *ret_len)
{
	bool v6 = sockaddr_family(quote->client) == AF_INET6;
	size_t ip_len = v6 ? IP6_HEADER : IP4_HEADER;
	size_t room = (v6 ? ERROR6_MAX : ERROR4_MAX) - ip_len - ICMP_HEADER;
	size_t payload_len = quote->payload_len;
	uint8_t *ip = buf + ICMP_HEADER, *udp = ip + ip_len;

	if (sockaddr_family(quote->local) != sockaddr_family(quote->client) ||
		quote->payload_len > quote->datagram_len ||
		quote->datagram_len + UDP_HEADER + (v6 ? 0 : IP4_HEADER) > UINT16_MAX)
		return -EINVAL;
	if (v6) {
		put_kind6(buf, kind, mtu);
		put_ip6(ip, quote);
		put_udp(udp, quote, ip + 8, 32);
	} else {
		put_kind4(buf, kind, mtu);
		put_ip4(ip, quote, kind == ICMP_ERROR_TOO_BIG);
		put_udp(udp, quote, ip + 12, 8);
	}
	assert(room > ip_len + UDP_HEADER);
	if (payload_len > room - ip_len - UDP_HEADER)
		payload_len = room - ip_len - UDP_HEADER;
	if (payload_len > 0)
		memcpy(udp + UDP_HEADER, quote->payload, payload_len);
	*ret_len = ICMP_HEADER + ip_len + UDP_HEADER + payload_len;
	if (!v6)
		put16(buf + 2, fold(add_words(0, buf, *ret_len)));
	return 0;
}

int icmp_error_of_icmp4(uint8_t type, uint8_t code, enum icmp_error_kind *ret_kind)
{
	static const enum icmp_error_kind kinds[] = {
		ICMP_ERROR_NO_ROUTE,
		ICMP_ERROR_ADDRESS, /* net, host */
		ICMP_ERROR_PORT,
		ICMP_ERROR_PORT, /* protocol, port */
		ICMP_ERROR_TOO_BIG,
		ICMP_ERROR_NO_ROUTE, /* fragmentation needed, source route */
		ICMP_ERROR_NO_ROUTE,
		ICMP_ERROR_ADDRESS,
		ICMP_ERROR_ADDRESS, /* unknown, isolated */
		ICMP_ERROR_PROHIBITED,
		ICMP_ERROR_PROHIBITED, /* net, host */
		ICMP_ERROR_NO_ROUTE,
		ICMP_ERROR_ADDRESS, /* for this TOS */
		ICMP_ERROR_PROHIBITED,
	};

	if (type != 3 || code >= sizeof(kinds) / sizeof(kinds[0]))
		return -ENOENT;
	*ret_kind = kinds[code];
	return 0;
}

uint32_t icmp_error_mtu(const struct sockaddr_any *client, uint32_t server_mtu, size_t header_len)
{
	bool v6 = sockaddr_family(client) == AF_INET6;
	uint32_t least = v6 ? ERROR6_MAX : 68;
	uint32_t more = v6 ? IP6_HEADER - IP4_HEADER : 0;
	uint32_t mtu =
		server_mtu + more > header_len ? server_mtu + more - (uint32_t)header_len : 0;

	return mtu > least ? mtu : least;
}
