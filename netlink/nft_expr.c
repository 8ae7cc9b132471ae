#include "nft_expr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/expr.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>

struct nftnl_expr *nft_expr_add(struct nft_expr *to, const char *name)
{
	struct nftnl_expr *expr = to->err ? NULL : nftnl_expr_alloc(name);

	if (!expr) {
		to->err = to->err ? to->err : -ENOMEM;
		return NULL;
	}
	nftnl_rule_add_expr(to->rule, expr);
	return expr;
}

void nft_expr_set_u32(struct nftnl_expr *expr, uint16_t attr, uint32_t value)
{
	if (expr)
		nftnl_expr_set_u32(expr, attr, value);
}

void nft_expr_set_data(
	struct nft_expr *to, struct nftnl_expr *expr, uint16_t attr, const void *data, size_t len)
{
	if (expr && nftnl_expr_set(expr, attr, data, (uint32_t)len) < 0)
		to->err = -ENOMEM;
}

void nft_expr_set_text(
	struct nft_expr *to, struct nftnl_expr *expr, uint16_t attr, const char *text)
{
	if (expr && nftnl_expr_set_str(expr, attr, text) < 0)
		to->err = -ENOMEM;
}

void nft_expr_compare(struct nft_expr *to, uint32_t op, const void *data, size_t len)
{
	struct nftnl_expr *expr = nft_expr_add(to, "cmp");

	nft_expr_set_u32(expr, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nft_expr_set_u32(expr, NFTNL_EXPR_CMP_OP, op);
	nft_expr_set_data(to, expr, NFTNL_EXPR_CMP_DATA, data, len);
}

void nft_expr_mask(struct nft_expr *to, const void *mask, const void *bits, size_t len)
{
	struct nftnl_expr *expr = nft_expr_add(to, "bitwise");

	nft_expr_set_u32(expr, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nft_expr_set_u32(expr, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	nft_expr_set_u32(expr, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
	nft_expr_set_u32(expr, NFTNL_EXPR_BITWISE_LEN, (uint32_t)len);
	nft_expr_set_data(to, expr, NFTNL_EXPR_BITWISE_MASK, mask, len);
	nft_expr_set_data(to, expr, NFTNL_EXPR_BITWISE_XOR, bits, len);
}

void nft_expr_load_meta(struct nft_expr *to, uint32_t key)
{
	struct nftnl_expr *expr = nft_expr_add(to, "meta");

	nft_expr_set_u32(expr, NFTNL_EXPR_META_KEY, key);
	nft_expr_set_u32(expr, NFTNL_EXPR_META_DREG, NFT_REG_1);
}

void nft_expr_match_meta(struct nft_expr *to, uint32_t key, uint8_t value)
{
	nft_expr_load_meta(to, key);
	nft_expr_compare(to, NFT_CMP_EQ, &value, sizeof(value));
}

void nft_expr_match_family(struct nft_expr *to, uint8_t family)
{
	nft_expr_match_meta(to, NFT_META_NFPROTO, family == AF_INET6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
}

void nft_expr_load_payload(struct nft_expr *to, uint32_t base, uint32_t offset, uint32_t len)
{
	struct nftnl_expr *expr = nft_expr_add(to, "payload");

	nft_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
	nft_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_BASE, base);
	nft_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nft_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_LEN, len);
}

void nft_expr_match_prefix(
	struct nft_expr *to, uint32_t offset, uint32_t len, const uint8_t *addr, uint8_t prefix_len)
{
	static const uint8_t zero[16];
	uint8_t mask[16] = { 0 };

	nft_expr_load_payload(to, NFT_PAYLOAD_NETWORK_HEADER, offset, len);
	/* As nft(8) writes it: nothing to mask if all bits count. */
	if (prefix_len < 8 * len) {
		for (unsigned bit = 0; bit < prefix_len; bit++)
			mask[bit / 8] |= (uint8_t)(0x80U >> bit % 8);
		nft_expr_mask(to, mask, zero, len);
	}
	nft_expr_compare(to, NFT_CMP_EQ, addr, len);
}

void nft_expr_match_ports(struct nft_expr *to, uint32_t offset, uint16_t min, uint16_t max)
{
	const uint16_t first = htons(min), last = htons(max);

	/* Port 0 has no listener that a packet could be for. */
	if (min <= 1 && max == UINT16_MAX)
		return;
	nft_expr_load_payload(to, NFT_PAYLOAD_TRANSPORT_HEADER, offset, sizeof(first));
	if (min == max) {
		nft_expr_compare(to, NFT_CMP_EQ, &first, sizeof(first));
	} else {
		nft_expr_compare(to, NFT_CMP_GTE, &first, sizeof(first));
		nft_expr_compare(to, NFT_CMP_LTE, &last, sizeof(last));
	}
}

void nft_expr_match_local(struct nft_expr *to, uint32_t flags)
{
	const uint32_t local = RTN_LOCAL;
	struct nftnl_expr *expr = nft_expr_add(to, "fib");

	nft_expr_set_u32(expr, NFTNL_EXPR_FIB_FLAGS, flags);
	nft_expr_set_u32(expr, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nft_expr_set_u32(expr, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
	nft_expr_compare(to, NFT_CMP_EQ, &local, sizeof(local));
}

void nft_expr_match_tcp_flags(struct nft_expr *to, uint8_t mask, uint8_t flags)
{
	const uint8_t zero = 0;

	nft_expr_load_payload(to, NFT_PAYLOAD_TRANSPORT_HEADER, NFT_EXPR_TCP_FLAGS, sizeof(mask));
	nft_expr_mask(to, &mask, &zero, sizeof(mask));
	nft_expr_compare(to, NFT_CMP_EQ, &flags, sizeof(flags));
}

void nft_expr_load_data(struct nft_expr *to, uint32_t reg, const void *data, size_t len)
{
	struct nftnl_expr *expr = nft_expr_add(to, "immediate");

	nft_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, reg);
	nft_expr_set_data(to, expr, NFTNL_EXPR_IMM_DATA, data, len);
}

void nft_expr_verdict(struct nft_expr *to, int verdict, const char *chain)
{
	struct nftnl_expr *expr = nft_expr_add(to, "immediate");

	nft_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nft_expr_set_u32(expr, NFTNL_EXPR_IMM_VERDICT, (uint32_t)verdict);
	if (chain)
		nft_expr_set_text(to, expr, NFTNL_EXPR_IMM_CHAIN, chain);
}

void nft_expr_reject(struct nft_expr *to, uint32_t type, uint8_t code)
{
	struct nftnl_expr *expr = nft_expr_add(to, "reject");

	nft_expr_set_u32(expr, NFTNL_EXPR_REJECT_TYPE, type);
	if (expr)
		nftnl_expr_set_u8(expr, NFTNL_EXPR_REJECT_CODE, code);
}
