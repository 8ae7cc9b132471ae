#include "nft_image.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nft_wanted.h"

/* Headers, and more than any attribute of a fixed size. */
#define PADDING 256U

static void say(struct nft_image *image, const char *text)
{
	size_t len = strlen(text);
	char *bigger;

	if (image->err)
		return;
	if (image->len + len + 1 > image->size) {
		bigger = realloc(image->text, 2 * image->size + len + 1);
		if (!bigger) {
			image->err = -ENOMEM;
			return;
		}
		image->text = bigger;
		image->size = 2 * image->size + len + 1;
	}
	memcpy(image->text + image->len, text, len + 1);
	image->len += len;
}

__attribute__((format(printf, 2, 3))) static void say_format(
	struct nft_image *image, const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	say(image, line);
}

void nft_image_say_table(struct nft_image *image, uint32_t flags, uint32_t use)
{
	say_format(image, "table flags %u use %u\n", flags, use);
}

void nft_image_say_chain(struct nft_image *image, const struct nftnl_chain *chain)
{
	const char *type = nftnl_chain_get_str(chain, NFTNL_CHAIN_TYPE);

	say_format(image, "chain %.64s type %.16s hook %u priority %d policy %u\n",
		nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME), type ? type : "none",
		nftnl_chain_get_u32(chain, NFTNL_CHAIN_HOOKNUM),
		nftnl_chain_get_s32(chain, NFTNL_CHAIN_PRIO),
		nftnl_chain_get_u32(chain, NFTNL_CHAIN_POLICY));
}

void nft_image_say_rule(struct nft_image *image, const struct nftnl_rule *rule)
{
	struct nftnl_expr_iter *iter = nftnl_expr_iter_create(rule);
	struct nftnl_expr *expr;

	if (!iter) {
		image->err = -ENOMEM;
		return;
	}
	say_format(image, "rule %.64s", nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN));
	while ((expr = nftnl_expr_iter_next(iter))) {
		char text[512] = "";

		(void)nftnl_expr_snprintf(text, sizeof(text), expr, NFTNL_OUTPUT_DEFAULT, 0);
		say_format(image, " [%.32s ", nftnl_expr_get_str(expr, NFTNL_EXPR_NAME));
		say(image, text);
		say(image, "]");
	}
	say(image, "\n");
	nftnl_expr_iter_destroy(iter);
}

/* ---- the kernel's dumps ---- */

static bool is_ours(const char *table, uint32_t family)
{
	return strcmp(table, NFT_TABLE_NAME) == 0 && family == NFPROTO_INET;
}

/*
 * libnftnl ends the process at an attribute of a size that it does not expect, reads strings to
 * their NUL without knowing that there is one, and takes names for granted. So it gets just rules
 * of ours, of which every attribute was looked at here.
 */
struct shape {
	const char *name; /* NULL: none of ours */
	uint16_t max;	  /* attributes up to here are of 32 bits, */
	uint32_t nested;  /* but these, by their bits, are of data */
	uint32_t bytes;	  /* and these of 8 bits */
};

#define BIT(attr) (1U << (attr))

/* Every expression that nft_rule makes. */
static const struct shape shapes[] = {
	{ "bitwise", NFTA_BITWISE_OP, BIT(NFTA_BITWISE_MASK) | BIT(NFTA_BITWISE_XOR), 0 },
	{ "cmp", NFTA_CMP_DATA, BIT(NFTA_CMP_DATA), 0 },
	{ "fib", NFTA_FIB_FLAGS, 0, 0 },
	{ "immediate", NFTA_IMMEDIATE_DATA, BIT(NFTA_IMMEDIATE_DATA), 0 },
	{ "meta", NFTA_META_SREG, 0, 0 },
	{ "notrack", 0, 0, 0 },
	{ "payload", NFTA_PAYLOAD_CSUM_FLAGS, 0, 0 },
	{ "reject", NFTA_REJECT_ICMP_CODE, 0, BIT(NFTA_REJECT_ICMP_CODE) },
	{ "socket", NFTA_SOCKET_LEVEL, 0, 0 },
	{ "tproxy", NFTA_TPROXY_REG_PORT, 0, 0 },
};

/*
 * The attributes by their types; of two of a type the last. NFTA_CHAIN_TYPE (7) is the highest that
 * is looked for, at any level. At the top of a message others are no matter, as newer kernels add
 * some; within expressions they make a rule one that is not ours.
 */
struct attrs {
	const struct nlattr *at[NFTA_CHAIN_TYPE + 1];
	const struct nlattr *last;
	bool odd; /* there are others, or two of a type, or what is no attribute */
};

static int take_attr(const struct nlattr *attr, void *userdata)
{
	struct attrs *attrs = userdata;
	uint16_t type = mnl_attr_get_type(attr);

	attrs->last = attr;
	if (type == 0 || type > NFTA_CHAIN_TYPE) {
		attrs->odd = true;
		return MNL_CB_OK;
	}
	attrs->odd |= attrs->at[type] != NULL;
	attrs->at[type] = attr;
	return MNL_CB_OK;
}

/* libnftnl minds a nest that is too short for an attribute and yet not empty. */
static bool is_nest(const struct nlattr *attr)
{
	uint16_t len = mnl_attr_get_payload_len(attr);

	return len == 0 || len >= sizeof(struct nlattr);
}

static void take_nested(const struct nlattr *attr, struct attrs *attrs)
{
	attrs->odd |= !is_nest(attr);
	(void)mnl_attr_parse_nested(attr, take_attr, attrs);
}

/* NULL if there is none, or if it is no string. */
static const char *string_of(const struct nlattr *attr)
{
	return attr && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0 ? mnl_attr_get_str(attr)
									 : NULL;
}

static bool is_u32(const struct nlattr *attr)
{
	return mnl_attr_get_payload_len(attr) == sizeof(uint32_t);
}

/* A u32 that may be missing, and is 0 then. */
static int read_u32(const struct nlattr *attr, uint32_t *ret_value)
{
	if (attr && !is_u32(attr))
		return -EBADMSG;
	*ret_value = attr ? ntohl(mnl_attr_get_u32(attr)) : 0;
	return 0;
}

/* Verdicts with a chain to jump to are never ours. */
static bool is_plain_data(const struct nlattr *data)
{
	struct attrs attrs = { 0 }, verdict = { 0 };
	const struct nlattr *value, *code;

	take_nested(data, &attrs);
	value = attrs.at[NFTA_DATA_VALUE];
	if (attrs.odd || (value != NULL) == (attrs.at[NFTA_DATA_VERDICT] != NULL))
		return false;
	if (value)
		return mnl_attr_get_payload_len(value) > 0 && mnl_attr_get_payload_len(value) <= 16;
	take_nested(attrs.at[NFTA_DATA_VERDICT], &verdict);
	code = verdict.at[NFTA_VERDICT_CODE];
	return !verdict.odd && code && is_u32(code) && !verdict.at[NFTA_VERDICT_CHAIN] &&
	       !verdict.at[NFTA_VERDICT_CHAIN_ID];
}

static int check_attr(const struct nlattr *attr, void *userdata)
{
	const struct shape *shape = userdata;
	uint16_t type = mnl_attr_get_type(attr);
	bool plain;

	if (type == 0 || type > shape->max)
		plain = false;
	else if (shape->nested & BIT(type))
		plain = is_plain_data(attr);
	else if (shape->bytes & BIT(type))
		plain = mnl_attr_get_payload_len(attr) == sizeof(uint8_t);
	else
		plain = is_u32(attr);
	return plain ? MNL_CB_OK : MNL_CB_ERROR;
}

static int check_expr(const struct nlattr *expr, void *userdata)
{
	struct shape shape = { 0 };
	struct attrs attrs = { 0 };
	const struct nlattr *data;
	const char *name;

	(void)userdata;
	take_nested(expr, &attrs);
	name = string_of(attrs.at[NFTA_EXPR_NAME]);
	data = attrs.at[NFTA_EXPR_DATA];
	for (size_t i = 0; name && i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (strcmp(name, shapes[i].name) == 0)
			shape = shapes[i];
	if (mnl_attr_get_type(expr) != NFTA_LIST_ELEM || !shape.name || attrs.odd)
		return MNL_CB_ERROR;
	if (!data)
		return shape.max == 0 ? MNL_CB_OK : MNL_CB_ERROR;
	return is_nest(data) ? mnl_attr_parse_nested(data, check_attr, &shape) : MNL_CB_ERROR;
}

/* Whether libnftnl can be given all attributes of all expressions. */
static bool is_plain_rule(const struct nlattr *exprs)
{
	return is_nest(exprs) && mnl_attr_parse_nested(exprs, check_expr, NULL) >= 0;
}

/*
 * How the dumps are nested, as far as it matters:
 *
 *   table   NFTA_TABLE_NAME, _FLAGS, _USE
 *   chain   NFTA_CHAIN_TABLE, _NAME, _POLICY, _TYPE
 *           NFTA_CHAIN_HOOK           { NFTA_HOOK_HOOKNUM, _PRIORITY }; not of inner chains
 *   rule    NFTA_RULE_TABLE, _CHAIN
 *           NFTA_RULE_EXPRESSIONS     { NFTA_LIST_ELEM ... }, in the order in which they are tried
 *             NFTA_LIST_ELEM          { NFTA_EXPR_NAME, NFTA_EXPR_DATA { the expression's own } }
 *               of type data          { NFTA_DATA_VALUE }, or
 *                                     { NFTA_DATA_VERDICT { NFTA_VERDICT_CODE } }
 */
static int feed_table(struct nft_image *image, const struct attrs *attrs)
{
	uint32_t flags, use;

	if (read_u32(attrs->at[NFTA_TABLE_FLAGS], &flags) < 0 ||
		read_u32(attrs->at[NFTA_TABLE_USE], &use) < 0)
		return -EBADMSG;
	nft_image_say_table(image, flags, use);
	return 0;
}

static int feed_chain(struct nft_image *image, const struct attrs *attrs)
{
	const char *name = string_of(attrs->at[NFTA_CHAIN_NAME]);
	const char *type = string_of(attrs->at[NFTA_CHAIN_TYPE]);
	uint32_t hook, priority, policy;
	struct attrs hooks = { 0 };
	struct nftnl_chain *chain;
	int err = 0;

	if (attrs->at[NFTA_CHAIN_HOOK])
		take_nested(attrs->at[NFTA_CHAIN_HOOK], &hooks);
	if (!name || (attrs->at[NFTA_CHAIN_TYPE] && !type) ||
		read_u32(attrs->at[NFTA_CHAIN_POLICY], &policy) < 0 ||
		read_u32(hooks.at[NFTA_HOOK_HOOKNUM], &hook) < 0 ||
		read_u32(hooks.at[NFTA_HOOK_PRIORITY], &priority) < 0)
		return -EBADMSG;
	chain = nftnl_chain_alloc();
	if (!chain)
		return -ENOMEM;
	if (nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name) < 0 ||
		(type && nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, type) < 0)) {
		err = -ENOMEM;
	} else {
		nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, hook);
		nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, (int32_t)priority);
		nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, policy);
		nft_image_say_chain(image, chain);
	}
	nftnl_chain_free(chain);
	return err;
}

/* Just its bytes: it is enough that it is none of ours. */
static void say_other_rule(struct nft_image *image, const char *chain, const struct nlattr *exprs)
{
	const uint8_t *bytes = mnl_attr_get_payload(exprs);

	say_format(image, "rule %.64s other ", chain);
	for (size_t i = 0; i < mnl_attr_get_payload_len(exprs); i++)
		say_format(image, "%02x", bytes[i]);
	say(image, "\n");
}

/* By way of a message that has nothing but what was looked at. */
static int say_plain_rule(struct nft_image *image, const char *chain, const struct nlattr *exprs)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();
	size_t len = mnl_attr_get_payload_len(exprs);
	char *buf = calloc(1, len + PADDING);
	struct nlmsghdr *message;
	int err = -ENOMEM;

	if (!rule || !buf)
		goto out;
	message = nftnl_nlmsg_build_hdr(buf, NFT_MSG_NEWRULE, NFPROTO_INET, 0, 0);
	mnl_attr_put(
		message, NFTA_RULE_EXPRESSIONS | NLA_F_NESTED, len, mnl_attr_get_payload(exprs));
	err = nftnl_rule_nlmsg_parse(message, rule) < 0 ? -EBADMSG : 0;
	if (!err && nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, chain) < 0)
		err = -ENOMEM;
	if (!err)
		nft_image_say_rule(image, rule);
out:
	if (rule)
		nftnl_rule_free(rule);
	free(buf);
	return err;
}

static int feed_rule(struct nft_image *image, const struct attrs *attrs)
{
	const char *chain = string_of(attrs->at[NFTA_RULE_CHAIN]);
	const struct nlattr *exprs = attrs->at[NFTA_RULE_EXPRESSIONS];

	if (!chain)
		return -EBADMSG;
	if (!exprs)
		say_format(image, "rule %.64s\n", chain);
	else if (!is_plain_rule(exprs))
		say_other_rule(image, chain, exprs);
	else
		return say_plain_rule(image, chain, exprs);
	return 0;
}

int nft_image_feed(struct nft_image *image, const struct nlmsghdr *message, size_t len)
{
	const struct nfgenmsg *head;
	struct attrs attrs = { 0 };
	const char *table;
	uint16_t type;
	size_t rest;
	int err;

	if (len < NLMSG_LENGTH(sizeof(*head)) || message->nlmsg_len > len ||
		message->nlmsg_len < NLMSG_LENGTH(sizeof(*head)))
		return -EBADMSG;
	head = mnl_nlmsg_get_payload(message);
	type = NFNL_MSG_TYPE(message->nlmsg_type);
	if (type != NFT_MSG_NEWTABLE && type != NFT_MSG_NEWCHAIN && type != NFT_MSG_NEWRULE)
		return -EBADMSG;
	rest = message->nlmsg_len - NLMSG_LENGTH(sizeof(*head));
	(void)mnl_attr_parse_payload(head + 1, rest, take_attr, &attrs);
	/* Nothing may be left over behind the last. */
	if (!attrs.last ||
		(const char *)mnl_attr_next(attrs.last) < (const char *)(head + 1) + rest)
		return -EBADMSG;
	/* NFTA_TABLE_NAME, NFTA_CHAIN_TABLE and NFTA_RULE_TABLE are the same number. */
	table = string_of(attrs.at[NFTA_TABLE_NAME]);
	if (!table)
		return -EBADMSG;
	if (!is_ours(table, head->nfgen_family))
		return image->err;
	if (type == NFT_MSG_NEWTABLE)
		err = feed_table(image, &attrs);
	else if (type == NFT_MSG_NEWCHAIN)
		err = feed_chain(image, &attrs);
	else
		err = feed_rule(image, &attrs);
	return err ? err : image->err;
}

void nft_image_cut(struct nft_image *image, size_t len)
{
	if (len >= image->len)
		return;
	image->len = len;
	image->text[len] = '\0';
}

int nft_image_finish(struct nft_image *image, char **ret_text)
{
	say(image, "");
	if (image->err) {
		free(image->text);
		return image->err;
	}
	*ret_text = image->text;
	return 0;
}
