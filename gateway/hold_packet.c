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
static int parse_tcp(
	const uint8_t *tcp, size_t len, struct sockaddr_any *client, struct sockaddr_any *local)
{
	if (len < TCP_HEADER || (tcp[TCP_FLAGS_AT] & TCP_FLAGS_KNOWN) != TH_SYN)
		return -EBADMSG;
	if (load_u16(tcp) == 0 || load_u16(tcp + 2) == 0)
		return -EBADMSG;
	sockaddr_set_port(client, load_u16(tcp));
	sockaddr_set_port(local, load_u16(tcp + 2));
	return 0;
}

static int parse_ip4(
	const uint8_t *data, size_t len, struct sockaddr_any *client, struct sockaddr_any *local)
{
	size_t header = 4U * (data[0] & 0x0fU);

	if (len < IP4_HEADER || header < IP4_HEADER || header > len || data[9] != IPPROTO_TCP ||
		(load_u16(data + 6) & FRAGMENT_MASK) != 0)
		return -EBADMSG;
	client->in.sin_family = local->in.sin_family = AF_INET;
	memcpy(&client->in.sin_addr, data + 12, 4);
	memcpy(&local->in.sin_addr, data + 16, 4);
	return parse_tcp(data + header, len - header, client, local);
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

static int parse_ip6(const uint8_t *data, size_t len, uint32_t ifindex, struct sockaddr_any *client,
	struct sockaddr_any *local)
{
	size_t at = len < IP6_HEADER ? 0 : skip_extensions(data, len);

	if (at == 0)
		return -EBADMSG;
	set_ip6(client, data + 8, ifindex);
	set_ip6(local, data + 24, ifindex);
	return parse_tcp(data + at, len - at, client, local);
}

int hold_packet_parse(const uint8_t *data, size_t len, uint32_t ifindex,
	struct sockaddr_any *ret_client, struct sockaddr_any *ret_local)
{
	struct sockaddr_any client = { 0 }, local = { 0 };
	int err = -EBADMSG;

	if (len > 0 && data[0] >> 4 == 4)
		err = parse_ip4(data, len, &client, &local);
	else if (len > 0 && data[0] >> 4 == 6)
		err = parse_ip6(data, len, ifindex, &client, &local);
	if (err)
		return err;
	*ret_client = client;
	*ret_local = local;
	return 0;
}
