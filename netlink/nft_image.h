/*
 * nft_image - a text that tells all of our table, from objects that we build and from the kernel's
 * dumps.
 *
 * Used by nft_table only. Dumps are untrusted bytes: what is not well-formed is -EBADMSG. What is
 * not of our table is passed over. The table's use count, which counts chains, sets and all else
 * that is in it, makes the image tell of things that we never make.
 *
 * Numbers of nftables are in network order on the wire. Handles, a chain's counters and
 * whatever else the kernel adds by itself are left out: they would make equal tables differ.
 */
#pragma once

#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

/* Starts as all zero, and is used up by nft_image_finish(). */
struct nft_image {
	char *text; /* NULL at first; else terminated */
	size_t len; /* without its NUL */
	size_t size;
	int err; /* sticky: 0 or the first negative errno; nothing is added any more */
};

/* A line each; objects stay the caller's. flags: NFT_TABLE_F_*; use: what the table has in it. */
void nft_image_say_table(struct nft_image *image, uint32_t flags, uint32_t use);
void nft_image_say_chain(struct nft_image *image, const struct nftnl_chain *chain);
void nft_image_say_rule(struct nft_image *image, const struct nftnl_rule *rule);

/*
 * One message of a dump of tables, chains or rules: len bytes that are there, aligned to 4. Lines
 * come in the order of the messages. 0, also if it is of another table; or a negative errno.
 */
int nft_image_feed(struct nft_image *image, const struct nlmsghdr *message, size_t len);

/* Forgets what came after that length, as image->len once was; for a dump that begins anew. */
void nft_image_cut(struct nft_image *image, size_t len);

/*
 * Hands the text out, "" if there is none, which the caller frees; 0. Or frees it: image->err, and
 * ret_text is untouched. image must not be used again.
 */
int nft_image_finish(struct nft_image *image, char **ret_text);
