#include "nft_rule.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/expr.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <net/if_arp.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "nft_expr.h"

/* What this machine says to itself is no client's. */
static void match_outside(struct nft_expr *to)
{
	const uint16_t loopback = ARPHRD_LOOPBACK; /* in the machine's own byte order */

	nft_expr_load_meta(to, NFT_META_IIFTYPE);
	nft_expr_compare(to, NFT_CMP_NEQ, &loopback, sizeof(loopback));
}

static void match_address(struct nft_expr *to, const struct nft_rule *rule, bool answer)
{
	bool v6 = rule->family == AF_INET6;

	if (rule->prefix_len == 0) {
		nft_expr_match_local(to, answer ? NFTA_FIB_F_SADDR : NFTA_FIB_F_DADDR);
		if (rule->kind == NFT_RULE_DIVERT || rule->kind == NFT_RULE_REFUSE)
			match_outside(to);
		return;
	}
	if (v6)
		nft_expr_match_prefix(to, answer ? NFT_EXPR_IP6_SADDR : NFT_EXPR_IP6_DADDR, 16,
			rule->addr, rule->prefix_len);
	else
		nft_expr_match_prefix(to, answer ? NFT_EXPR_IP4_SADDR : NFT_EXPR_IP4_DADDR, 4,
			rule->addr, rule->prefix_len);
}

static void refuse(struct nft_expr *to, const struct nft_rule *rule)
{
	/* An error of ICMP or ICMPv6, whichever is the packet's. */
	if (rule->l4proto == IPPROTO_UDP) {
		nft_expr_reject(to, NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_PORT_UNREACH);
		return;
	}
	/* Of packets that begin a connection: none of ours is begun by others than clients. */
	nft_expr_match_tcp_flags(to, TH_SYN | TH_ACK, TH_SYN);
	nft_expr_reject(to, NFT_REJECT_TCP_RST, 0);
}

/*
 * The rule ends here if no socket with IP_TRANSPARENT is bound to that address and port. A packet
 * of a connection that there is goes to that one's socket, as the kernel looks for it first. tproxy
 * takes address and port in network order, of registers that are loaded just before.
 */
static void divert(struct nft_expr *to, const struct nft_rule *rule)
{
	const uint16_t port = htons(rule->to_port);
	struct nftnl_expr *expr;

	nft_expr_load_data(to, NFT_REG_1, rule->to, rule->family == AF_INET6 ? 16 : 4);
	nft_expr_load_data(to, NFT_REG_2, &port, sizeof(port));
	expr = nft_expr_add(to, "tproxy");
	nft_expr_set_u32(expr, NFTNL_EXPR_TPROXY_FAMILY,
		rule->family == AF_INET6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	nft_expr_set_u32(expr, NFTNL_EXPR_TPROXY_REG_ADDR, NFT_REG_1);
	nft_expr_set_u32(expr, NFTNL_EXPR_TPROXY_REG_PORT, NFT_REG_2);
	nft_expr_verdict(to, NF_ACCEPT, NULL);
}

static void match_socket(struct nft_expr *to, uint32_t key, uint8_t value)
{
	struct nftnl_expr *expr = nft_expr_add(to, "socket");

	nft_expr_set_u32(expr, NFTNL_EXPR_SOCKET_KEY, key);
	nft_expr_set_u32(expr, NFTNL_EXPR_SOCKET_DREG, NFT_REG_1);
	nft_expr_compare(to, NFT_CMP_EQ, &value, sizeof(value));
}

/* Those match by the socket that there is, and not by address and port. */
static bool is_of_sockets(const struct nft_rule *rule)
{
	return rule->kind == NFT_RULE_TRANSPARENT || rule->kind == NFT_RULE_WILDCARD;
}

static uint32_t bits_to_set(const struct nft_rule *rule)
{
	return rule->kind == NFT_RULE_TRANSPARENT ? rule->mark & rule->mask : 0;
}

/* Bits of others' in the mark stay. */
static void mark_by_socket(struct nft_expr *to, const struct nft_rule *rule)
{
	const uint32_t keep = ~rule->mask, bits = bits_to_set(rule);
	struct nftnl_expr *expr;

	match_socket(to, NFT_SOCKET_TRANSPARENT, 1);
	if (rule->kind == NFT_RULE_WILDCARD)
		match_socket(to, NFT_SOCKET_WILDCARD, 1);

	nft_expr_load_meta(to, NFT_META_MARK);
	nft_expr_mask(to, &keep, &bits, sizeof(keep));
	expr = nft_expr_add(to, "meta");
	nft_expr_set_u32(expr, NFTNL_EXPR_META_KEY, NFT_META_MARK);
	nft_expr_set_u32(expr, NFTNL_EXPR_META_SREG, NFT_REG_1);
}

static bool is_sayable(const struct nft_rule *rule)
{
	if (rule->family != AF_INET && rule->family != AF_INET6)
		return false;
	if (is_of_sockets(rule))
		return rule->family == AF_INET;
	return rule->prefix_len <= (rule->family == AF_INET ? 32 : 128) &&
	       rule->port_min <= rule->port_max;
}

/* Family, address, protocol, ports, in this order: each makes sure that the next can be read. */
int nft_rule_fill(struct nftnl_rule *object, const struct nft_rule *rule, bool answer)
{
	struct nft_expr expr = { .rule = object };

	if (!is_sayable(rule))
		return -EINVAL;
	nft_expr_match_family(&expr, rule->family);
	if (!is_of_sockets(rule))
		match_address(&expr, rule, answer);
	nft_expr_match_meta(&expr, NFT_META_L4PROTO, rule->l4proto);
	if (!is_of_sockets(rule))
		nft_expr_match_ports(&expr, answer ? NFT_EXPR_SPORT : NFT_EXPR_DPORT,
			rule->port_min, rule->port_max);
	switch (rule->kind) {
	case NFT_RULE_DIVERT:
		divert(&expr, rule);
		break;
	case NFT_RULE_PASS:
		nft_expr_verdict(&expr, NF_ACCEPT, NULL);
		break;
	case NFT_RULE_REFUSE:
		refuse(&expr, rule);
		break;
	case NFT_RULE_TRANSPARENT:
	case NFT_RULE_WILDCARD:
		mark_by_socket(&expr, rule);
		break;
	case NFT_RULE_NOTRACK:
		(void)nft_expr_add(&expr, "notrack");
		break;
	}
	return expr.err;
}

/* ---- text ---- */

struct text {
	char *buf;
	size_t size;
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void say(struct text *text, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text->len < text->size ? text->buf + text->len : NULL,
		text->len < text->size ? text->size - text->len : 0, format, args);
	va_end(args);
	text->len += n > 0 ? (size_t)n : 0;
}

static void say_match(struct text *text, const struct nft_rule *rule)
{
	const char *ip = rule->family == AF_INET6 ? "ip6" : "ip";
	const char *l4 = rule->l4proto == IPPROTO_UDP ? "udp" : "tcp";
	char addr[INET6_ADDRSTRLEN];

	if (rule->prefix_len == 0) {
		say(text, "meta nfproto %s fib daddr type local ",
			rule->family == AF_INET6 ? "ipv6" : "ipv4");
		if (rule->kind == NFT_RULE_DIVERT || rule->kind == NFT_RULE_REFUSE)
			say(text, "meta iiftype != loopback ");
	} else {
		inet_ntop(rule->family, rule->addr, addr, sizeof(addr));
		say(text, "%s daddr %s", ip, addr);
		if (rule->prefix_len < (rule->family == AF_INET6 ? 128 : 32))
			say(text, "/%u", rule->prefix_len);
		say(text, " ");
	}
	if (rule->port_min <= 1 && rule->port_max == UINT16_MAX)
		say(text, "meta l4proto %s ", l4);
	else if (rule->port_min == rule->port_max)
		say(text, "%s dport %u ", l4, rule->port_min);
	else
		say(text, "%s dport %u-%u ", l4, rule->port_min, rule->port_max);
}

int nft_rule_text(const struct nft_rule *rule, char *buf, size_t size)
{
	struct text text = { .buf = buf, .size = size };
	bool v6 = rule->family == AF_INET6;
	char addr[INET6_ADDRSTRLEN];

	if (!is_of_sockets(rule))
		say_match(&text, rule);
	switch (rule->kind) {
	case NFT_RULE_DIVERT:
		inet_ntop(rule->family, rule->to, addr, sizeof(addr));
		say(&text, v6 ? "tproxy ip6 to [%s]:%u accept" : "tproxy ip to %s:%u accept", addr,
			rule->to_port);
		break;
	case NFT_RULE_PASS:
		say(&text, "accept");
		break;
	case NFT_RULE_REFUSE:
		say(&text, rule->l4proto == IPPROTO_UDP
				   ? "reject with icmpx port-unreachable"
				   : "tcp flags & (syn | ack) == syn reject with tcp reset");
		break;
	case NFT_RULE_TRANSPARENT:
	case NFT_RULE_WILDCARD:
		say(&text,
			"meta nfproto ipv4 meta l4proto %s socket transparent 1 %s"
			"meta mark set meta mark & 0x%08x | 0x%08x",
			rule->l4proto == IPPROTO_UDP ? "udp" : "tcp",
			rule->kind == NFT_RULE_WILDCARD ? "socket wildcard 1 " : "", ~rule->mask,
			bits_to_set(rule));
		break;
	case NFT_RULE_NOTRACK:
		say(&text, "notrack");
		break;
	}
	return (int)text.len;
}
