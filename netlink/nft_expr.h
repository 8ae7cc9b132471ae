/*
 * nft_expr - what rules of nftables are put together from, as expressions of libnftnl.
 *
 * Used by the modules of this folder that make rules. What is loaded goes to register 1. Source:
 * linux/netfilter/nf_tables.h, nft(8).
 *
 * Byte order: numbers are given in host order, and libnftnl puts them on the wire in network order.
 * What a register holds is as the kernel loads it: fields of the packet in network order, but
 * marks, interfaces, types of links and of addresses in the machine's own. The kernel compares
 * bytes, so less and greater are for the former alone.
 *
 * Nothing is implied: nft(8) puts in that a packet is IPv6 before it looks at an IPv6 address, and
 * TCP before a port; the kernel does not. So match the family before an address or a prefix, and
 * the protocol before a port or flags.
 */
#pragma once

#include <libnftnl/rule.h>
#include <stddef.h>
#include <stdint.h>

/* Where things are in the packet, in bytes from the network or transport header on. */
#define NFT_EXPR_IP6_SADDR 8U
#define NFT_EXPR_IP6_DADDR 24U
#define NFT_EXPR_IP4_SADDR 12U
#define NFT_EXPR_IP4_DADDR 16U
#define NFT_EXPR_SPORT	   0U
#define NFT_EXPR_DPORT	   2U
#define NFT_EXPR_TCP_FLAGS 13U

/* Sticky: once an expression could not be made, the rest are left out and err says so. */
struct nft_expr {
	struct nftnl_rule *rule;
	int err; /* 0, -ENOMEM, or what the caller has set */
};

/* Adds one to the rule, which owns it; NULL: err is set. name: the kernel's word for it ("cmp"). */
struct nftnl_expr *nft_expr_add(struct nft_expr *to, const char *name);

/*
 * Attributes (NFTNL_EXPR_*) of an expression, which may be NULL: then nothing is done, as
 * nft_expr_add() has set err. data and text are copied.
 */
void nft_expr_set_u32(struct nftnl_expr *expr, uint16_t attr, uint32_t value);
void nft_expr_set_data(
	struct nft_expr *to, struct nftnl_expr *expr, uint16_t attr, const void *data, size_t len);
void nft_expr_set_text(
	struct nft_expr *to, struct nftnl_expr *expr, uint16_t attr, const char *text);

/* op: NFT_CMP_*; the rule ends here, and the next is tried, if the register does not compare so. */
void nft_expr_compare(struct nft_expr *to, uint32_t op, const void *data, size_t len);
/* register = (register & mask) ^ bits */
void nft_expr_mask(struct nft_expr *to, const void *mask, const void *bits, size_t len);

/* key: NFT_META_*; match: one whose value is a byte (NFPROTO, L4PROTO). */
void nft_expr_load_meta(struct nft_expr *to, uint32_t key);
void nft_expr_match_meta(struct nft_expr *to, uint32_t key, uint8_t value);
/* family: AF_INET or AF_INET6 */
void nft_expr_match_family(struct nft_expr *to, uint8_t family);

/* base: NFT_PAYLOAD_*; bytes */
void nft_expr_load_payload(struct nft_expr *to, uint32_t base, uint32_t offset, uint32_t len);
/*
 * The bytes at that place of the network header are in the prefix; len: 4 or 16. addr has that many
 * bytes, in network order, of which those beyond prefix_len must be zero.
 */
void nft_expr_match_prefix(struct nft_expr *to, uint32_t offset, uint32_t len, const uint8_t *addr,
	uint8_t prefix_len);
/* The port at that place of the transport header, host order; 1 to 65535 is any. */
void nft_expr_match_ports(struct nft_expr *to, uint32_t offset, uint16_t min, uint16_t max);
/* flags: NFTA_FIB_F_SADDR or NFTA_FIB_F_DADDR: that address is one of this machine. */
void nft_expr_match_local(struct nft_expr *to, uint32_t flags);
/* TH_*: of the flags in the mask just these are set. */
void nft_expr_match_tcp_flags(struct nft_expr *to, uint8_t mask, uint8_t flags);

/*
 * Into that register (NFT_REG_*): len bytes, 2, 4 or 16. Registers 1 to 4 have 16 bytes each, so an
 * IPv6 address in one leaves the next alone.
 */
void nft_expr_load_data(struct nft_expr *to, uint32_t reg, const void *data, size_t len);
/* verdict: NF_ACCEPT, NF_DROP, NFT_JUMP, NFT_RETURN; chain: of a jump, or NULL. */
void nft_expr_verdict(struct nft_expr *to, int verdict, const char *chain);
/*
 * type: NFT_REJECT_*; code: NFT_REJECT_ICMPX_* or 0. The packet is dropped, too. Not every kernel
 * takes it in prerouting. A TCP reset only where the protocol was matched.
 */
void nft_expr_reject(struct nft_expr *to, uint32_t type, uint8_t code);
