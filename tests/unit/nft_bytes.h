/*
 * Expressions of nftables byte by byte (linux/netfilter/nf_tables.h): the headers of the list
 * element and of its name, the name, the header of its data (NFTA_EXPR_DATA), the data. Headers of
 * attributes are in the order of a little-endian host, values in network order. 0x8000 in a type is
 * NLA_F_NESTED.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct piece {
	const uint8_t *bytes;
	size_t len;
};

#define PIECE(array)                   \
	{                              \
		(array), sizeof(array) \
	}

static const uint8_t load_nfproto[] = {
	0x24, 0, 0x01, 0x80, 0x09, 0, 0x01, 0,		     /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'm', 'e', 't', 'a', 0, 0, 0, 0, 0x14, 0, 0x02, 0x80, /* meta */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x0f,		     /* NFTA_META_KEY: NFPROTO */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,		     /* NFTA_META_DREG */
};

static const uint8_t is_ipv6[] = {
	0x2c, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 'c', 'm', 'p', 0, 0x20, 0, 0x02, 0x80, /* cmp */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01, 0x08, 0, 0x02, 0, 0, 0, 0, 0, /* NFTA_CMP_SREG, OP: EQ */
	0x0c, 0, 0x03, 0x80, 0x05, 0, 0x01, 0, 0x0a, 0, 0, 0, /* NFTA_CMP_DATA, NFTA_DATA_VALUE */
};

static const uint8_t load_ip6_daddr[] = {
	0x34, 0, 0x01, 0x80, 0x0c, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'p', 'a', 'y', 'l', 'o', 'a', 'd', 0, 0x24, 0, 0x02, 0x80, /* payload */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,			   /* NFTA_PAYLOAD_DREG */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01,			   /* NFTA_PAYLOAD_BASE: NETWORK */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x18,			   /* NFTA_PAYLOAD_OFFSET */
	0x08, 0, 0x04, 0, 0, 0, 0, 0x10,			   /* NFTA_PAYLOAD_LEN */
};

static const uint8_t is_7[] = {
	0x38, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 'c', 'm', 'p', 0, 0x2c, 0, 0x02, 0x80, /* cmp */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01, 0x08, 0, 0x02, 0, 0, 0, 0, 0, /* NFTA_CMP_SREG, OP: EQ */
	0x18, 0, 0x03, 0x80, 0x14, 0, 0x01, 0, /* NFTA_CMP_DATA, NFTA_DATA_VALUE */
	0x20, 0x01, 0x0d, 0xb8, 0, 0x64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x07, /* the address */
};

static const uint8_t load_l4proto[] = {
	0x24, 0, 0x01, 0x80, 0x09, 0, 0x01, 0,		     /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'm', 'e', 't', 'a', 0, 0, 0, 0, 0x14, 0, 0x02, 0x80, /* meta */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x10,		     /* NFTA_META_KEY: L4PROTO */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,		     /* NFTA_META_DREG */
};

static const uint8_t is_tcp[] = {
	0x2c, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 'c', 'm', 'p', 0, 0x20, 0, 0x02, 0x80, /* cmp */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01, 0x08, 0, 0x02, 0, 0, 0, 0, 0, /* NFTA_CMP_SREG, OP: EQ */
	0x0c, 0, 0x03, 0x80, 0x05, 0, 0x01, 0, 0x06, 0, 0, 0, /* NFTA_CMP_DATA, NFTA_DATA_VALUE */
};

static const uint8_t load_dport[] = {
	0x34, 0, 0x01, 0x80, 0x0c, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'p', 'a', 'y', 'l', 'o', 'a', 'd', 0, 0x24, 0, 0x02, 0x80, /* payload */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,			   /* NFTA_PAYLOAD_DREG */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x02, /* NFTA_PAYLOAD_BASE: TRANSPORT */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x02, /* NFTA_PAYLOAD_OFFSET */
	0x08, 0, 0x04, 0, 0, 0, 0, 0x02, /* NFTA_PAYLOAD_LEN */
};

static const uint8_t is_443[] = {
	0x2c, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 'c', 'm', 'p', 0, 0x20, 0, 0x02, 0x80, /* cmp */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01, 0x08, 0, 0x02, 0, 0, 0, 0, 0, /* NFTA_CMP_SREG, OP: EQ */
	0x0c, 0, 0x03, 0x80,					       /* NFTA_CMP_DATA */
	0x06, 0, 0x01, 0, 0x01, 0xbb, 0, 0,			       /* NFTA_DATA_VALUE */
};

static const uint8_t accept_it[] = {
	0x30, 0, 0x01, 0x80, 0x0e, 0, 0x01, 0,		      /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'i', 'm', 'm', 'e', 'd', 'i', 'a', 't', 'e', 0, 0, 0, /* "immediate" */
	0x1c, 0, 0x02, 0x80, 0x08, 0, 0x01, 0, 0, 0, 0, 0, /* NFTA_EXPR_DATA, NFTA_IMMEDIATE_DREG */
	0x10, 0, 0x02, 0x80, 0x0c, 0, 0x02, 0x80, /* NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,	  /* NFTA_VERDICT_CODE: NF_ACCEPT */
};

static const uint8_t mask_64[] = {
	0x64, 0, 0x01, 0x80, 0x0c, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'b', 'i', 't', 'w', 'i', 's', 'e', 0, 0x54, 0, 0x02, 0x80, /* bitwise */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,			   /* NFTA_BITWISE_SREG */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01,			   /* NFTA_BITWISE_DREG */
	0x08, 0, 0x06, 0, 0, 0, 0, 0,				   /* NFTA_BITWISE_OP: BOOL */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x10,			   /* NFTA_BITWISE_LEN */
	0x18, 0, 0x04, 0x80, 0x14, 0, 0x01, 0, /* NFTA_BITWISE_MASK, NFTA_DATA_VALUE */
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, /* the bits */
	0x18, 0, 0x05, 0x80, 0x14, 0, 0x01, 0,		/* NFTA_BITWISE_XOR, NFTA_DATA_VALUE */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* the bits */
};

static const uint8_t is_prefix_64[] = {
	0x38, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 'c', 'm', 'p', 0, 0x2c, 0, 0x02, 0x80, /* cmp */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01, 0x08, 0, 0x02, 0, 0, 0, 0, 0, /* NFTA_CMP_SREG, OP: EQ */
	0x18, 0, 0x03, 0x80, 0x14, 0, 0x01, 0, /* NFTA_CMP_DATA, NFTA_DATA_VALUE */
	0x20, 0x01, 0x0d, 0xb8, 0, 0x64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* the address */
};

static const uint8_t to_address[] = {
	0x38, 0, 0x01, 0x80, 0x0e, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'i', 'm', 'm', 'e', 'd', 'i', 'a', 't', 'e', 0, 0, 0, 0x24, 0, 0x02, 0x80, /* immediate */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,       /* NFTA_IMMEDIATE_DREG */
	0x18, 0, 0x02, 0x80, 0x14, 0, 0x01, 0, /* NFTA_IMMEDIATE_DATA, NFTA_DATA_VALUE */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, /* the address */
};

static const uint8_t to_port[] = {
	0x2c, 0, 0x01, 0x80, 0x0e, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'i', 'm', 'm', 'e', 'd', 'i', 'a', 't', 'e', 0, 0, 0, 0x18, 0, 0x02, 0x80, /* immediate */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x02, 0x0c, 0, 0x02, 0x80, /* NFTA_IMMEDIATE_DREG, DATA */
	0x06, 0, 0x01, 0, 0x20, 0xfb, 0, 0,		      /* NFTA_DATA_VALUE */
};

static const uint8_t to_ip6[] = {
	0x2c, 0, 0x01, 0x80, 0x0b, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	't', 'p', 'r', 'o', 'x', 'y', 0, 0, 0x1c, 0, 0x02, 0x80, /* tproxy */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x0a,			 /* NFTA_TPROXY_FAMILY: IPV6 */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01,			 /* NFTA_TPROXY_REG_ADDR */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x02,			 /* NFTA_TPROXY_REG_PORT */
};

static const uint8_t mask_61[] = {
	0x64, 0, 0x01, 0x80, 0x0c, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'b', 'i', 't', 'w', 'i', 's', 'e', 0, 0x54, 0, 0x02, 0x80, /* bitwise */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,			   /* NFTA_BITWISE_SREG */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01,			   /* NFTA_BITWISE_DREG */
	0x08, 0, 0x06, 0, 0, 0, 0, 0,				   /* NFTA_BITWISE_OP: BOOL */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x10,			   /* NFTA_BITWISE_LEN */
	0x18, 0, 0x04, 0x80, 0x14, 0, 0x01, 0, /* NFTA_BITWISE_MASK, NFTA_DATA_VALUE */
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf8, 0, 0, 0, 0, 0, 0, 0, 0, /* the bits */
	0x18, 0, 0x05, 0x80, 0x14, 0, 0x01, 0,		/* NFTA_BITWISE_XOR, NFTA_DATA_VALUE */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* the bits */
};

static const uint8_t is_prefix_61[] = {
	0x38, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 'c', 'm', 'p', 0, 0x2c, 0, 0x02, 0x80, /* cmp */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01, 0x08, 0, 0x02, 0, 0, 0, 0, 0, /* NFTA_CMP_SREG, OP: EQ */
	0x18, 0, 0x03, 0x80, 0x14, 0, 0x01, 0, /* NFTA_CMP_DATA, NFTA_DATA_VALUE */
	0x20, 0x01, 0x0d, 0xb8, 0, 0x64, 0, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, /* the address */
};

static const uint8_t is_2[] = {
	0x2c, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 'c', 'm', 'p', 0, 0x20, 0, 0x02, 0x80, /* cmp */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01, 0x08, 0, 0x02, 0, 0, 0, 0, 0, /* NFTA_CMP_SREG, OP: EQ */
	0x0c, 0, 0x03, 0x80, 0x05, 0, 0x01, 0, 0x02, 0, 0, 0, /* NFTA_CMP_DATA, NFTA_DATA_VALUE */
};

static const uint8_t load_ip_daddr[] = {
	0x34, 0, 0x01, 0x80, 0x0c, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'p', 'a', 'y', 'l', 'o', 'a', 'd', 0, 0x24, 0, 0x02, 0x80, /* payload */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,			   /* NFTA_PAYLOAD_DREG */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01,			   /* NFTA_PAYLOAD_BASE: NETWORK */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x10,			   /* NFTA_PAYLOAD_OFFSET */
	0x08, 0, 0x04, 0, 0, 0, 0, 0x04,			   /* NFTA_PAYLOAD_LEN */
};

static const uint8_t mask_24[] = {
	0x4c, 0, 0x01, 0x80, 0x0c, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'b', 'i', 't', 'w', 'i', 's', 'e', 0, 0x3c, 0, 0x02, 0x80, /* bitwise */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,			   /* NFTA_BITWISE_SREG */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01,			   /* NFTA_BITWISE_DREG */
	0x08, 0, 0x06, 0, 0, 0, 0, 0,				   /* NFTA_BITWISE_OP: BOOL */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x04, 0x0c, 0, 0x04, 0x80,	   /* NFTA_BITWISE_LEN, MASK */
	0x08, 0, 0x01, 0, 0xff, 0xff, 0xff, 0,			   /* NFTA_DATA_VALUE */
	0x0c, 0, 0x05, 0x80, 0x08, 0, 0x01, 0, 0, 0, 0, 0, /* NFTA_BITWISE_XOR, NFTA_DATA_VALUE */
};

static const uint8_t is_prefix_24[] = {
	0x2c, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 'c', 'm', 'p', 0, 0x20, 0, 0x02, 0x80, /* cmp */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01, 0x08, 0, 0x02, 0, 0, 0, 0, 0, /* NFTA_CMP_SREG, OP: EQ */
	0x0c, 0, 0x03, 0x80,					       /* NFTA_CMP_DATA */
	0x08, 0, 0x01, 0, 0xcb, 0, 0x71, 0,			       /* NFTA_DATA_VALUE */
};

static const uint8_t is_udp[] = {
	0x2c, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 'c', 'm', 'p', 0, 0x20, 0, 0x02, 0x80, /* cmp */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01, 0x08, 0, 0x02, 0, 0, 0, 0, 0, /* NFTA_CMP_SREG, OP: EQ */
	0x0c, 0, 0x03, 0x80, 0x05, 0, 0x01, 0, 0x11, 0, 0, 0, /* NFTA_CMP_DATA, NFTA_DATA_VALUE */
};

static const uint8_t to_address_ipv4[] = {
	0x2c, 0, 0x01, 0x80, 0x0e, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'i', 'm', 'm', 'e', 'd', 'i', 'a', 't', 'e', 0, 0, 0, 0x18, 0, 0x02, 0x80, /* immediate */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01, 0x0c, 0, 0x02, 0x80, /* NFTA_IMMEDIATE_DREG, DATA */
	0x08, 0, 0x01, 0, 0x7f, 0, 0, 0x01,		      /* NFTA_DATA_VALUE */
};

static const uint8_t to_ip[] = {
	0x2c, 0, 0x01, 0x80, 0x0b, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	't', 'p', 'r', 'o', 'x', 'y', 0, 0, 0x1c, 0, 0x02, 0x80, /* tproxy */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x02,			 /* NFTA_TPROXY_FAMILY: IPV4 */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01,			 /* NFTA_TPROXY_REG_ADDR */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x02,			 /* NFTA_TPROXY_REG_PORT */
};

static const uint8_t is_8000_or_more[] = {
	0x2c, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 'c', 'm', 'p', 0, 0x20, 0, 0x02, 0x80, /* cmp */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,		      /* NFTA_CMP_SREG */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x05, 0x0c, 0, 0x03, 0x80, /* NFTA_CMP_OP: GTE, DATA */
	0x06, 0, 0x01, 0, 0x1f, 0x40, 0, 0,		      /* NFTA_DATA_VALUE */
};

static const uint8_t is_8080_or_less[] = {
	0x2c, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 'c', 'm', 'p', 0, 0x20, 0, 0x02, 0x80, /* cmp */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,		      /* NFTA_CMP_SREG */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x03, 0x0c, 0, 0x03, 0x80, /* NFTA_CMP_OP: LTE, DATA */
	0x06, 0, 0x01, 0, 0x1f, 0x90, 0, 0,		      /* NFTA_DATA_VALUE */
};

static const uint8_t fib_daddr[] = {
	0x28, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 'f', 'i', 'b', 0, 0x1c, 0, 0x02, 0x80, /* fib */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x02, /* NFTA_FIB_FLAGS: DADDR */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x03, /* NFTA_FIB_RESULT: ADDRTYPE */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01, /* NFTA_FIB_DREG */
};

static const uint8_t is_local[] = {
	0x2c, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 'c', 'm', 'p', 0, 0x20, 0, 0x02, 0x80, /* cmp */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01, 0x08, 0, 0x02, 0, 0, 0, 0, 0, /* NFTA_CMP_SREG, OP: EQ */
	0x0c, 0, 0x03, 0x80, 0x08, 0, 0x01, 0, 0x02, 0, 0, 0, /* NFTA_CMP_DATA, NFTA_DATA_VALUE */
};

static const uint8_t load_iiftype[] = {
	0x24, 0, 0x01, 0x80, 0x09, 0, 0x01, 0,		     /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'm', 'e', 't', 'a', 0, 0, 0, 0, 0x14, 0, 0x02, 0x80, /* meta */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x08, 0x08, 0, 0x01, 0, 0, 0, 0, 0x01, /* NFTA_META_KEY, DREG */
};

static const uint8_t is_no_loopback[] = {
	0x2c, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 'c', 'm', 'p', 0, 0x20, 0, 0x02, 0x80, /* cmp */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,		      /* NFTA_CMP_SREG */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01, 0x0c, 0, 0x03, 0x80, /* NFTA_CMP_OP: NEQ, DATA */
	0x06, 0, 0x01, 0, 0x04, 0x03, 0, 0,		      /* NFTA_DATA_VALUE */
};

static const uint8_t load_transparent[] = {
	0x24, 0, 0x01, 0x80, 0x0b, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	's', 'o', 'c', 'k', 'e', 't', 0, 0, 0x14, 0, 0x02, 0x80, /* socket */
	0x08, 0, 0x01, 0, 0, 0, 0, 0,				 /* NFTA_SOCKET_KEY: TRANSPARENT */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01,			 /* NFTA_SOCKET_DREG */
};

static const uint8_t is_one[] = {
	0x2c, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 'c', 'm', 'p', 0, 0x20, 0, 0x02, 0x80, /* cmp */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01, 0x08, 0, 0x02, 0, 0, 0, 0, 0, /* NFTA_CMP_SREG, OP: EQ */
	0x0c, 0, 0x03, 0x80, 0x05, 0, 0x01, 0, 0x01, 0, 0, 0, /* NFTA_CMP_DATA, NFTA_DATA_VALUE */
};

static const uint8_t load_wildcard[] = {
	0x24, 0, 0x01, 0x80, 0x0b, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	's', 'o', 'c', 'k', 'e', 't', 0, 0, 0x14, 0, 0x02, 0x80, /* socket */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x02,			 /* NFTA_SOCKET_KEY: WILDCARD */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01,			 /* NFTA_SOCKET_DREG */
};

static const uint8_t load_mark[] = {
	0x24, 0, 0x01, 0x80, 0x09, 0, 0x01, 0,		     /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'm', 'e', 't', 'a', 0, 0, 0, 0, 0x14, 0, 0x02, 0x80, /* meta */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x03,		     /* NFTA_META_KEY: MARK */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,		     /* NFTA_META_DREG */
};

static const uint8_t set_bits[] = {
	0x4c, 0, 0x01, 0x80, 0x0c, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'b', 'i', 't', 'w', 'i', 's', 'e', 0, 0x3c, 0, 0x02, 0x80, /* bitwise */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,			   /* NFTA_BITWISE_SREG */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01,			   /* NFTA_BITWISE_DREG */
	0x08, 0, 0x06, 0, 0, 0, 0, 0,				   /* NFTA_BITWISE_OP: BOOL */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x04, 0x0c, 0, 0x04, 0x80,	   /* NFTA_BITWISE_LEN, MASK */
	0x08, 0, 0x01, 0, 0xff, 0xcf, 0xff, 0xff,		   /* NFTA_DATA_VALUE */
	0x0c, 0, 0x05, 0x80,					   /* NFTA_BITWISE_XOR */
	0x08, 0, 0x01, 0, 0, 0x10, 0, 0,			   /* NFTA_DATA_VALUE */
};

static const uint8_t clear_bits[] = {
	0x4c, 0, 0x01, 0x80, 0x0c, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'b', 'i', 't', 'w', 'i', 's', 'e', 0, 0x3c, 0, 0x02, 0x80, /* bitwise */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,			   /* NFTA_BITWISE_SREG */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01,			   /* NFTA_BITWISE_DREG */
	0x08, 0, 0x06, 0, 0, 0, 0, 0,				   /* NFTA_BITWISE_OP: BOOL */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x04, 0x0c, 0, 0x04, 0x80,	   /* NFTA_BITWISE_LEN, MASK */
	0x08, 0, 0x01, 0, 0xff, 0xcf, 0xff, 0xff,		   /* NFTA_DATA_VALUE */
	0x0c, 0, 0x05, 0x80,					   /* NFTA_BITWISE_XOR */
	0x08, 0, 0x01, 0, 0, 0, 0, 0,				   /* NFTA_DATA_VALUE */
};

static const uint8_t set_mark[] = {
	0x24, 0, 0x01, 0x80, 0x09, 0, 0x01, 0,		     /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'm', 'e', 't', 'a', 0, 0, 0, 0, 0x14, 0, 0x02, 0x80, /* meta */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x03,		     /* NFTA_META_KEY: MARK */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x01,		     /* NFTA_META_SREG */
};

static const uint8_t load_tcp_flags[] = {
	0x34, 0, 0x01, 0x80, 0x0c, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'p', 'a', 'y', 'l', 'o', 'a', 'd', 0, 0x24, 0, 0x02, 0x80, /* payload */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,			   /* NFTA_PAYLOAD_DREG */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x02, /* NFTA_PAYLOAD_BASE: TRANSPORT */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x0d, /* NFTA_PAYLOAD_OFFSET */
	0x08, 0, 0x04, 0, 0, 0, 0, 0x01, /* NFTA_PAYLOAD_LEN */
};

static const uint8_t mask_flags[] = {
	0x4c, 0, 0x01, 0x80, 0x0c, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'b', 'i', 't', 'w', 'i', 's', 'e', 0, 0x3c, 0, 0x02, 0x80, /* bitwise */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,			   /* NFTA_BITWISE_SREG */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01,			   /* NFTA_BITWISE_DREG */
	0x08, 0, 0x06, 0, 0, 0, 0, 0,				   /* NFTA_BITWISE_OP: BOOL */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x01, 0x0c, 0, 0x04, 0x80,	   /* NFTA_BITWISE_LEN, MASK */
	0x05, 0, 0x01, 0, 0x12, 0, 0, 0,			   /* NFTA_DATA_VALUE */
	0x0c, 0, 0x05, 0x80, 0x05, 0, 0x01, 0, 0, 0, 0, 0, /* NFTA_BITWISE_XOR, NFTA_DATA_VALUE */
};

static const uint8_t reset_it[] = {
	0x24, 0, 0x01, 0x80, 0x0b, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'r', 'e', 'j', 'e', 'c', 't', 0, 0, 0x14, 0, 0x02, 0x80, /* reject */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,			 /* NFTA_REJECT_TYPE: TCP_RST */
	0x05, 0, 0x02, 0, 0, 0, 0, 0,				 /* NFTA_REJECT_ICMP_CODE */
};

static const uint8_t unreachable_it[] = {
	0x24, 0, 0x01, 0x80, 0x0b, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'r', 'e', 'j', 'e', 'c', 't', 0, 0, 0x14, 0, 0x02, 0x80, /* reject */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x02, /* NFTA_REJECT_TYPE: ICMPX_UNREACH */
	0x05, 0, 0x02, 0, 0x01, 0, 0, 0, /* ICMP_CODE: ICMPX_PORT_UNREACH */
};

static const uint8_t notrack_it[] = {
	0x10, 0, 0x01, 0x80, 0x0c, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'n', 'o', 't', 'r', 'a', 'c', 'k', 0,  /* "notrack" */
};

static const uint8_t load_ip_saddr[] = {
	0x34, 0, 0x01, 0x80, 0x0c, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'p', 'a', 'y', 'l', 'o', 'a', 'd', 0, 0x24, 0, 0x02, 0x80, /* payload */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,			   /* NFTA_PAYLOAD_DREG */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01,			   /* NFTA_PAYLOAD_BASE: NETWORK */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x0c,			   /* NFTA_PAYLOAD_OFFSET */
	0x08, 0, 0x04, 0, 0, 0, 0, 0x04,			   /* NFTA_PAYLOAD_LEN */
};

static const uint8_t load_sport[] = {
	0x34, 0, 0x01, 0x80, 0x0c, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'p', 'a', 'y', 'l', 'o', 'a', 'd', 0, 0x24, 0, 0x02, 0x80, /* payload */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,			   /* NFTA_PAYLOAD_DREG */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x02, /* NFTA_PAYLOAD_BASE: TRANSPORT */
	0x08, 0, 0x03, 0, 0, 0, 0, 0,	 /* NFTA_PAYLOAD_OFFSET */
	0x08, 0, 0x04, 0, 0, 0, 0, 0x02, /* NFTA_PAYLOAD_LEN */
};

static const uint8_t fib_saddr[] = {
	0x28, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 'f', 'i', 'b', 0, 0x1c, 0, 0x02, 0x80, /* fib */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x01, /* NFTA_FIB_FLAGS: SADDR */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x03, /* NFTA_FIB_RESULT: ADDRTYPE */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01, /* NFTA_FIB_DREG */
};

static const uint8_t load_ip6_saddr[] = {
	0x34, 0, 0x01, 0x80, 0x0c, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'p', 'a', 'y', 'l', 'o', 'a', 'd', 0, 0x24, 0, 0x02, 0x80, /* payload */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,			   /* NFTA_PAYLOAD_DREG */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01,			   /* NFTA_PAYLOAD_BASE: NETWORK */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x08,			   /* NFTA_PAYLOAD_OFFSET */
	0x08, 0, 0x04, 0, 0, 0, 0, 0x10,			   /* NFTA_PAYLOAD_LEN */
};

static const uint8_t drop_it[] = {
	0x30, 0, 0x01, 0x80, 0x0e, 0, 0x01, 0,		      /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'i', 'm', 'm', 'e', 'd', 'i', 'a', 't', 'e', 0, 0, 0, /* "immediate" */
	0x1c, 0, 0x02, 0x80, 0x08, 0, 0x01, 0, 0, 0, 0, 0, /* NFTA_EXPR_DATA, NFTA_IMMEDIATE_DREG */
	0x10, 0, 0x02, 0x80, 0x0c, 0, 0x02, 0x80, /* NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT */
	0x08, 0, 0x01, 0, 0, 0, 0, 0,		  /* NFTA_VERDICT_CODE: NF_DROP */
};

static const uint8_t return_it[] = {
	0x30, 0, 0x01, 0x80, 0x0e, 0, 0x01, 0,		      /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'i', 'm', 'm', 'e', 'd', 'i', 'a', 't', 'e', 0, 0, 0, /* "immediate" */
	0x1c, 0, 0x02, 0x80, 0x08, 0, 0x01, 0, 0, 0, 0, 0, /* NFTA_EXPR_DATA, NFTA_IMMEDIATE_DREG */
	0x10, 0, 0x02, 0x80, 0x0c, 0, 0x02, 0x80, /* NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT */
	0x08, 0, 0x01, 0, 0xff, 0xff, 0xff, 0xfb, /* NFTA_VERDICT_CODE: NFT_RETURN */
};

static const uint8_t jump_to_bans[] = {
	0x3c, 0, 0x01, 0x80, 0x0e, 0, 0x01, 0,		      /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'i', 'm', 'm', 'e', 'd', 'i', 'a', 't', 'e', 0, 0, 0, /* "immediate" */
	0x28, 0, 0x02, 0x80, 0x08, 0, 0x01, 0, 0, 0, 0, 0, /* NFTA_EXPR_DATA, NFTA_IMMEDIATE_DREG */
	0x1c, 0, 0x02, 0x80, 0x18, 0, 0x02, 0x80, /* NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT */
	0x08, 0, 0x01, 0, 0xff, 0xff, 0xff, 0xfd, /* NFTA_VERDICT_CODE: NFT_JUMP */
	0x09, 0, 0x02, 0, 'b', 'a', 'n', 's', 0, 0, 0, 0, /* NFTA_VERDICT_CHAIN */
};

static const uint8_t jump_to_refuse[] = {
	0x3c, 0, 0x01, 0x80, 0x0e, 0, 0x01, 0,		      /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'i', 'm', 'm', 'e', 'd', 'i', 'a', 't', 'e', 0, 0, 0, /* "immediate" */
	0x28, 0, 0x02, 0x80, 0x08, 0, 0x01, 0, 0, 0, 0, 0, /* NFTA_EXPR_DATA, NFTA_IMMEDIATE_DREG */
	0x1c, 0, 0x02, 0x80, 0x18, 0, 0x02, 0x80, /* NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT */
	0x08, 0, 0x01, 0, 0xff, 0xff, 0xff, 0xfd, /* NFTA_VERDICT_CODE: NFT_JUMP */
	0x0b, 0, 0x02, 0, 'r', 'e', 'f', 'u', 's', 'e', 0, 0, /* NFTA_VERDICT_CHAIN */
};

static const uint8_t count_banned[] = {
	0x28, 0, 0x01, 0x80, 0x0b, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'o', 'b', 'j', 'r', 'e', 'f', 0, 0, 0x18, 0, 0x02, 0x80, /* objref */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01, /* NFTA_OBJREF_IMM_TYPE: NFT_OBJECT_COUNTER */
	0x0a, 0, 0x02, 0, 'b', 'a', 'n', 'n', 'e', 'd', 0,
	0, /* NFTA_OBJREF_IMM_NAME, without its NUL */
};

static const uint8_t count_refused[] = {
	0x28, 0, 0x01, 0x80, 0x0b, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'o', 'b', 'j', 'r', 'e', 'f', 0, 0, 0x18, 0, 0x02, 0x80, /* objref */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01, /* NFTA_OBJREF_IMM_TYPE: NFT_OBJECT_COUNTER */
	0x0b, 0, 0x02, 0, 'r', 'e', 'f', 'u', 's', 'e', 'd',
	0, /* NFTA_OBJREF_IMM_NAME, without its NUL */
};

static const uint8_t prohibited_it[] = {
	0x24, 0, 0x01, 0x80, 0x0b, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'r', 'e', 'j', 'e', 'c', 't', 0, 0, 0x14, 0, 0x02, 0x80, /* reject */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x02, /* NFTA_REJECT_TYPE: ICMPX_UNREACH */
	0x05, 0, 0x02, 0, 0x03, 0, 0, 0, /* ICMP_CODE: ICMPX_ADMIN_PROHIBITED */
};

static const uint8_t mask_all_flags[] = {
	0x4c, 0, 0x01, 0x80, 0x0c, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'b', 'i', 't', 'w', 'i', 's', 'e', 0, 0x3c, 0, 0x02, 0x80, /* bitwise */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,			   /* NFTA_BITWISE_SREG */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01,			   /* NFTA_BITWISE_DREG */
	0x08, 0, 0x06, 0, 0, 0, 0, 0,				   /* NFTA_BITWISE_OP: BOOL */
	0x08, 0, 0x03, 0, 0, 0, 0, 0x01, 0x0c, 0, 0x04, 0x80,	   /* NFTA_BITWISE_LEN, MASK */
	0x05, 0, 0x01, 0, 0x17, 0, 0, 0,			   /* NFTA_DATA_VALUE */
	0x0c, 0, 0x05, 0x80, 0x05, 0, 0x01, 0, 0, 0, 0, 0, /* NFTA_BITWISE_XOR, NFTA_DATA_VALUE */
};

static const uint8_t look_up_banned6[] = {
	0x28, 0, 0x01, 0x80, 0x0b, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'l', 'o', 'o', 'k', 'u', 'p', 0, 0, 0x18, 0, 0x02, 0x80, /* lookup */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01,			 /* NFTA_LOOKUP_SREG */
	0x0c, 0, 0x01, 0, 'b', 'a', 'n', 'n', 'e', 'd', '6', 0,	 /* NFTA_LOOKUP_SET */
};

static const uint8_t look_up_banned4[] = {
	0x28, 0, 0x01, 0x80, 0x0b, 0, 0x01, 0, /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'l', 'o', 'o', 'k', 'u', 'p', 0, 0, 0x18, 0, 0x02, 0x80, /* lookup */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x01,			 /* NFTA_LOOKUP_SREG */
	0x0c, 0, 0x01, 0, 'b', 'a', 'n', 'n', 'e', 'd', '4', 0,	 /* NFTA_LOOKUP_SET */
};

static const uint8_t load_iif[] = {
	0x24, 0, 0x01, 0x80, 0x09, 0, 0x01, 0,		     /* NFTA_LIST_ELEM, NFTA_EXPR_NAME */
	'm', 'e', 't', 'a', 0, 0, 0, 0, 0x14, 0, 0x02, 0x80, /* meta */
	0x08, 0, 0x02, 0, 0, 0, 0, 0x04,		     /* NFTA_META_KEY: IIF */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01,		     /* NFTA_META_DREG */
};

static const uint8_t is_interface_3[] = {
	0x2c, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 'c', 'm', 'p', 0, 0x20, 0, 0x02, 0x80, /* cmp */
	0x08, 0, 0x01, 0, 0, 0, 0, 0x01, 0x08, 0, 0x02, 0, 0, 0, 0, 0, /* NFTA_CMP_SREG, OP: EQ */
	0x0c, 0, 0x03, 0x80, 0x08, 0, 0x01, 0, 0x03, 0, 0,
	0, /* NFTA_CMP_DATA: of the host's order */
};
