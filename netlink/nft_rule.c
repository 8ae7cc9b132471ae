#include "nft_rule.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/expr.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Where things are in the packet. */
#define IP6_SADDR 8U
#define IP6_DADDR 24U
#define IP4_SADDR 12U
#define IP4_DADDR 16U
#define SPORT	  0U
#define DPORT	  2U
#define TCP_FLAGS 13U

/* Sticky: once an expression could not be made, the rest are left out and err says so. */
struct builder {
	struct nftnl_rule *rule;
	int err;
};

static struct nftnl_expr *add(struct builder *builder, const char *name)
{
	struct nftnl_expr *expr = builder->err ? NULL : nftnl_expr_alloc(name);

	if (!expr) {
		builder->err = -ENOMEM;
		return NULL;
	}
	nftnl_rule_add_expr(builder->rule, expr); /* which owns it now */
	return expr;
}

static void set_u32(struct nftnl_expr *expr, uint16_t attr, uint32_t value)
{
	if (expr)
		nftnl_expr_set_u32(expr, attr, value);
}

static void set_data(struct builder *builder, struct nftnl_expr *expr, uint16_t attr,
	const void *data, size_t len)
{
	if (expr && nftnl_expr_set(expr, attr, data, (uint32_t)len) < 0)
		builder->err = -ENOMEM;
}

static void compare(struct builder *builder, uint32_t op, const void *data, size_t len)
{
	struct nftnl_expr *expr = add(builder, "cmp");

	set_u32(expr, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	set_u32(expr, NFTNL_EXPR_CMP_OP, op);
	set_data(builder, expr, NFTNL_EXPR_CMP_DATA, data, len);
}

static void load_meta(struct builder *builder, uint32_t key)
{
	struct nftnl_expr *expr = add(builder, "meta");

	set_u32(expr, NFTNL_EXPR_META_KEY, key);
	set_u32(expr, NFTNL_EXPR_META_DREG, NFT_REG_1);
}

static void match_meta(struct builder *builder, uint32_t key, uint8_t value)
{
	load_meta(builder, key);
	compare(builder, NFT_CMP_EQ, &value, sizeof(value));
}

static void load_payload(struct builder *builder, uint32_t base, uint32_t offset, uint32_t len)
{
	struct nftnl_expr *expr = add(builder, "payload");

	set_u32(expr, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
	set_u32(expr, NFTNL_EXPR_PAYLOAD_BASE, base);
	set_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	set_u32(expr, NFTNL_EXPR_PAYLOAD_LEN, len);
}

/* register = (register & mask) ^ bits */
static void mask_register(struct builder *builder, const void *mask, const void *bits, size_t len)
{
	struct nftnl_expr *expr = add(builder, "bitwise");

	set_u32(expr, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	set_u32(expr, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	set_u32(expr, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
	set_u32(expr, NFTNL_EXPR_BITWISE_LEN, (uint32_t)len);
	set_data(builder, expr, NFTNL_EXPR_BITWISE_MASK, mask, len);
	set_data(builder, expr, NFTNL_EXPR_BITWISE_XOR, bits, len);
}

static void match_local(struct builder *builder, bool answer)
{
	const uint32_t local = RTN_LOCAL;
	struct nftnl_expr *expr = add(builder, "fib");

	set_u32(expr, NFTNL_EXPR_FIB_FLAGS, answer ? NFTA_FIB_F_SADDR : NFTA_FIB_F_DADDR);
	set_u32(expr, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	set_u32(expr, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
	compare(builder, NFT_CMP_EQ, &local, sizeof(local));
}

/* What this machine says to itself is no client's. */
static void match_outside(struct builder *builder)
{
	const uint16_t loopback = ARPHRD_LOOPBACK;

	load_meta(builder, NFT_META_IIFTYPE);
	compare(builder, NFT_CMP_NEQ, &loopback, sizeof(loopback));
}

static void match_address(struct builder *builder, const struct nft_rule *rule, bool answer)
{
	static const uint8_t zero[16];
	bool v6 = rule->family == AF_INET6;
	uint32_t len = v6 ? 16 : 4;
	uint8_t mask[16] = { 0 };

	if (rule->prefix_len == 0) {
		match_local(builder, answer);
		if (rule->kind == NFT_RULE_DIVERT || rule->kind == NFT_RULE_REFUSE)
			match_outside(builder);
		return;
	}
	load_payload(builder, NFT_PAYLOAD_NETWORK_HEADER,
		v6 ? (answer ? IP6_SADDR : IP6_DADDR) : (answer ? IP4_SADDR : IP4_DADDR), len);
	if (rule->prefix_len < 8 * len) {
		for (unsigned bit = 0; bit < rule->prefix_len; bit++)
			mask[bit / 8] |= (uint8_t)(0x80U >> bit % 8);
		mask_register(builder, mask, zero, len);
	}
	compare(builder, NFT_CMP_EQ, rule->addr, len);
}

static void match_ports(struct builder *builder, const struct nft_rule *rule, bool answer)
{
	const uint16_t min = htons(rule->port_min), max = htons(rule->port_max);

	if (rule->port_min <= 1 && rule->port_max == UINT16_MAX)
		return;
	load_payload(builder, NFT_PAYLOAD_TRANSPORT_HEADER, answer ? SPORT : DPORT, sizeof(min));
	if (min == max) {
		compare(builder, NFT_CMP_EQ, &min, sizeof(min));
	} else {
		compare(builder, NFT_CMP_GTE, &min, sizeof(min));
		compare(builder, NFT_CMP_LTE, &max, sizeof(max));
	}
}

static void load_data(struct builder *builder, uint32_t reg, const void *data, size_t len)
{
	struct nftnl_expr *expr = add(builder, "immediate");

	set_u32(expr, NFTNL_EXPR_IMM_DREG, reg);
	set_data(builder, expr, NFTNL_EXPR_IMM_DATA, data, len);
}

static void accept_packet(struct builder *builder)
{
	struct nftnl_expr *expr = add(builder, "immediate");

	set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	set_u32(expr, NFTNL_EXPR_IMM_VERDICT, NF_ACCEPT);
}

/* Of packets that begin a connection: none of ours is begun by others than clients. */
static void refuse_tcp(struct builder *builder)
{
	const uint8_t mask = TH_SYN | TH_ACK, zero = 0, syn = TH_SYN;
	struct nftnl_expr *expr;

	load_payload(builder, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS, sizeof(mask));
	mask_register(builder, &mask, &zero, sizeof(mask));
	compare(builder, NFT_CMP_EQ, &syn, sizeof(syn));
	expr = add(builder, "reject");
	set_u32(expr, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_TCP_RST);
	if (expr)
		nftnl_expr_set_u8(expr, NFTNL_EXPR_REJECT_CODE, 0);
}

/* An error of ICMP or ICMPv6, whichever is the packet's. */
static void refuse_udp(struct builder *builder)
{
	struct nftnl_expr *expr = add(builder, "reject");

	set_u32(expr, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
	if (expr)
		nftnl_expr_set_u8(expr, NFTNL_EXPR_REJECT_CODE, NFT_REJECT_ICMPX_PORT_UNREACH);
}

/* The rule ends here if no socket is bound to that address and port. */
static void divert(struct builder *builder, const struct nft_rule *rule)
{
	const uint16_t port = htons(rule->to_port);
	struct nftnl_expr *expr;

	load_data(builder, NFT_REG_1, rule->to, rule->family == AF_INET6 ? 16 : 4);
	load_data(builder, NFT_REG_2, &port, sizeof(port));
	expr = add(builder, "tproxy");
	set_u32(expr, NFTNL_EXPR_TPROXY_FAMILY,
		rule->family == AF_INET6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	set_u32(expr, NFTNL_EXPR_TPROXY_REG_ADDR, NFT_REG_1);
	set_u32(expr, NFTNL_EXPR_TPROXY_REG_PORT, NFT_REG_2);
	accept_packet(builder);
}

static void match_socket(struct builder *builder, uint32_t key, uint8_t value)
{
	struct nftnl_expr *expr = add(builder, "socket");

	set_u32(expr, NFTNL_EXPR_SOCKET_KEY, key);
	set_u32(expr, NFTNL_EXPR_SOCKET_DREG, NFT_REG_1);
	compare(builder, NFT_CMP_EQ, &value, sizeof(value));
}

static bool is_of_sockets(const struct nft_rule *rule)
{
	return rule->kind == NFT_RULE_TRANSPARENT || rule->kind == NFT_RULE_WILDCARD;
}

static uint32_t bits_to_set(const struct nft_rule *rule)
{
	return rule->kind == NFT_RULE_TRANSPARENT ? rule->mark & rule->mask : 0;
}

static void mark_by_socket(struct builder *builder, const struct nft_rule *rule)
{
	const uint32_t keep = ~rule->mask, bits = bits_to_set(rule);
	struct nftnl_expr *expr;

	match_socket(builder, NFT_SOCKET_TRANSPARENT, 1);
	if (rule->kind == NFT_RULE_WILDCARD)
		match_socket(builder, NFT_SOCKET_WILDCARD, 1);

	load_meta(builder, NFT_META_MARK);
	mask_register(builder, &keep, &bits, sizeof(keep));
	expr = add(builder, "meta");
	set_u32(expr, NFTNL_EXPR_META_KEY, NFT_META_MARK);
	set_u32(expr, NFTNL_EXPR_META_SREG, NFT_REG_1);
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

int nft_rule_fill(struct nftnl_rule *object, const struct nft_rule *rule, bool answer)
{
	struct builder builder = { .rule = object };

	if (!is_sayable(rule))
		return -EINVAL;
	match_meta(
		&builder, NFT_META_NFPROTO, rule->family == AF_INET6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	if (!is_of_sockets(rule))
		match_address(&builder, rule, answer);
	match_meta(&builder, NFT_META_L4PROTO, rule->l4proto);
	if (!is_of_sockets(rule))
		match_ports(&builder, rule, answer);
	switch (rule->kind) {
	case NFT_RULE_DIVERT:
		divert(&builder, rule);
		break;
	case NFT_RULE_PASS:
		accept_packet(&builder);
		break;
	case NFT_RULE_REFUSE:
		if (rule->l4proto == IPPROTO_UDP)
			refuse_udp(&builder);
		else
			refuse_tcp(&builder);
		break;
	case NFT_RULE_TRANSPARENT:
	case NFT_RULE_WILDCARD:
		mark_by_socket(&builder, rule);
		break;
	case NFT_RULE_NOTRACK:
		(void)add(&builder, "notrack");
		break;
	}
	return builder.err;
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
