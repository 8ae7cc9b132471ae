/*
 * nft_image - a text that tells all of our table, from objects that we build and from the kernel's
 * dumps.
 *
 * Used by nft_table only. Dumps are untrusted bytes: what is not well-formed is -EBADMSG. What is
 * not of our table is passed over. The table's use count, which counts chains, sets and all else
 * that is in it, makes the image tell of things that we never make.
 */
#pragma once

#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

struct nft_image {
	char *text;
	size_t len;
	size_t size;
	int err; /* sticky */
};

void nft_image_say_table(struct nft_image *image, uint32_t flags, uint32_t use);
void nft_image_say_chain(struct nft_image *image, const struct nftnl_chain *chain);
void nft_image_say_rule(struct nft_image *image, const struct nftnl_rule *rule);

/* One message of a dump of tables, chains or rules. 0 or a negative errno. */
int nft_image_feed(struct nft_image *image, const struct nlmsghdr *message, size_t len);

/* Forgets what came after that length. */
void nft_image_cut(struct nft_image *image, size_t len);

/* Hands the text out, "" if there is none, which the caller frees; or frees it: image->err. */
int nft_image_finish(struct nft_image *image, char **ret_text);
