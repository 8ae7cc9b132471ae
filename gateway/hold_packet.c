#include "hold_packet.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#define IP4_HEADER	20U
#define IP6_HEADER	40U
#define TCP_HEADER	20U
#define EXTENSIONS_MAX	8
#define FRAGMENT_MASK	0x3fffU /* more fragments, or not the first */
#define TCP_FLAGS_AT	13U
#define TCP_FLAGS_KNOWN (TH_FIN | TH_SYN | TH_RST | TH_ACK)

static uint16_t load_u16(const uint8_t *data)
{
	return (uint16_t)(data[0] << 8 | data[1]);
}

/* The ports; 0 or -EBADMSG. */
static int parse_tcp(const uint8_t *tcp, size_t len, struct hold_packet *packet)
{
	if (len < TCP_HEADER || (tcp[TCP_FLAGS_AT] & TCP_FLAGS_KNOWN) != TH_SYN)
		return -EBADMSG;
	if (load_u16(tcp) == 0 || load_u16(tcp + 2) == 0)
		return -EBADMSG;
	sockaddr_set_port(&packet->client, load_u16(tcp));
	sockaddr_set_port(&packet->local, load_u16(tcp + 2));
	packet->isn = (uint32_t)load_u16(tcp + 4) << 16 | load_u16(tcp + 6);
	return 0;
}

static int parse_ip4(const uint8_t *data, size_t len, struct hold_packet *packet)
{
	size_t header = 4U * (data[0] & 0x0fU);

	if (len < IP4_HEADER || header < IP4_HEADER || header > len || data[9] != IPPROTO_TCP ||
		(load_u16(data + 6) & FRAGMENT_MASK) != 0)
		return -EBADMSG;
	packet->client.in.sin_family = packet->local.in.sin_family = AF_INET;
	memcpy(&packet->client.in.sin_addr, data + 12, 4);
	memcpy(&packet->local.in.sin_addr, data + 16, 4);
	return parse_tcp(data + header, len - header, packet);
}

/* Where TCP begins, behind the extension headers; 0: not to be found. */
static size_t skip_extensions(const uint8_t *data, size_t len)
{
	uint8_t next = data[6];
	size_t at = IP6_HEADER;

	for (int i = 0; i <= EXTENSIONS_MAX; i++) {
		if (next == IPPROTO_TCP)
			return at;
		/* A fragment's TCP header may be in another one. */
		if ((next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING &&
			    next != IPPROTO_DSTOPTS) ||
			len - at < 8)
			return 0;
		next = data[at];
		at += 8U * (data[at + 1] + 1U);
		if (at >= len)
			return 0;
	}
	return 0;
}

static void set_ip6(struct sockaddr_any *addr, const uint8_t *data, uint32_t ifindex)
{
	addr->in6.sin6_family = AF_INET6;
	memcpy(&addr->in6.sin6_addr, data, 16);
	if (IN6_IS_ADDR_LINKLOCAL(&addr->in6.sin6_addr))
		addr->in6.sin6_scope_id = ifindex;
}

static int parse_ip6(const uint8_t *data, size_t len, uint32_t ifindex, struct hold_packet *packet)
{
	size_t at = len < IP6_HEADER ? 0 : skip_extensions(data, len);

	if (at == 0)
		return -EBADMSG;
	set_ip6(&packet->client, data + 8, ifindex);
	set_ip6(&packet->local, data + 24, ifindex);
	return parse_tcp(data + at, len - at, packet);
}

int hold_packet_parse(
	const uint8_t *data, size_t len, uint32_t ifindex, struct hold_packet *ret_packet)
{
	struct hold_packet packet = { 0 };
	int err = -EBADMSG;

	if (len > 0 && data[0] >> 4 == 4)
		err = parse_ip4(data, len, &packet);
	else if (len > 0 && data[0] >> 4 == 6)
		err = parse_ip6(data, len, ifindex, &packet);
	if (err)
		return err;
	*ret_packet = packet;
	return 0;
}
