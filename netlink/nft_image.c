#include "nft_image.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/expr.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nft_table.h"

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
	return table && strcmp(table, NFT_TABLE_NAME) == 0 && family == NFPROTO_INET;
}

static int feed_table(struct nft_image *image, const struct nlmsghdr *message)
{
	struct nftnl_table *table = nftnl_table_alloc();
	int err = 0;

	if (!table)
		return -ENOMEM;
	if (nftnl_table_nlmsg_parse(message, table) < 0)
		err = -EBADMSG;
	else if (is_ours(nftnl_table_get_str(table, NFTNL_TABLE_NAME),
			 nftnl_table_get_u32(table, NFTNL_TABLE_FAMILY)))
		nft_image_say_table(image, nftnl_table_get_u32(table, NFTNL_TABLE_FLAGS),
			nftnl_table_get_u32(table, NFTNL_TABLE_USE));
	nftnl_table_free(table);
	return err;
}

static int feed_chain(struct nft_image *image, const struct nlmsghdr *message)
{
	struct nftnl_chain *chain = nftnl_chain_alloc();
	int err = 0;

	if (!chain)
		return -ENOMEM;
	if (nftnl_chain_nlmsg_parse(message, chain) < 0 ||
		!nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME))
		err = -EBADMSG;
	else if (is_ours(nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE),
			 nftnl_chain_get_u32(chain, NFTNL_CHAIN_FAMILY)))
		nft_image_say_chain(image, chain);
	nftnl_chain_free(chain);
	return err;
}

static int feed_rule(struct nft_image *image, const struct nlmsghdr *message)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();
	int err = 0;

	if (!rule)
		return -ENOMEM;
	if (nftnl_rule_nlmsg_parse(message, rule) < 0 ||
		!nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN))
		err = -EBADMSG;
	else if (is_ours(nftnl_rule_get_str(rule, NFTNL_RULE_TABLE),
			 nftnl_rule_get_u32(rule, NFTNL_RULE_FAMILY)))
		nft_image_say_rule(image, rule);
	nftnl_rule_free(rule);
	return err;
}

int nft_image_feed(struct nft_image *image, const struct nlmsghdr *message, size_t len)
{
	int err;

	if (len < NLMSG_LENGTH(sizeof(struct nfgenmsg)) || message->nlmsg_len > len ||
		message->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg)))
		return -EBADMSG;
	switch (NFNL_MSG_TYPE(message->nlmsg_type)) {
	case NFT_MSG_NEWTABLE:
		err = feed_table(image, message);
		break;
	case NFT_MSG_NEWCHAIN:
		err = feed_chain(image, message);
		break;
	case NFT_MSG_NEWRULE:
		err = feed_rule(image, message);
		break;
	default:
		return -EBADMSG;
	}
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
