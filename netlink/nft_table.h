/*
 * nft_table - our table of nftables, "inet sixgate": built from plain data, read back, compared.
 *
 * The table is always replaced as a whole, in one batch that the kernel takes or refuses as one.
 * What the kernel holds is compared by its image: a text that names every chain and every
 * expression of every rule in order, so that any change by somebody else shows. Built with libnftnl
 * and libmnl; see nft(8).
 *
 * Chain "divert" (prerouting, mangle) says which packets go to which listening socket, and sets the
 * mark by which answers to transparent connections find theirs. Chains "track" (prerouting, raw)
 * and "answer" (output, raw) say what conntrack leaves alone, coming in and going out.
 *
 * A chain without rules is left out; without any rule no table is wanted at all.
 *
 * The table has no owner, unlike that of nft_guard.h: it stays until it is taken away, after a
 * crash and by the option to keep it, too, and the next start compares it like any other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nft_wanted.h"
#include "nl_channel.h"

/*
 * The batch that makes the kernel hold just these rules, or, without any, none of our table. seq is
 * the first sequence number used, ret_last that of the last message, which nl_channel_request()
 * waits for; the batch's end has the one behind it. *ret_buf is freed by the caller. 0, -ENOMEM, or
 * -EINVAL for a rule that cannot be said; nothing is returned then.
 */
int nft_table_encode(const struct nft_wanted *wanted, uint32_t seq, void **ret_buf, size_t *ret_len,
	uint32_t *ret_last);

/*
 * The image of what is wanted; "" if no rule is. The caller frees it. 0, -ENOMEM, or -EINVAL for a
 * rule that cannot be said. How libnftnl writes expressions is part of an image: it is to be
 * compared by the process that made it, and not to be kept.
 */
int nft_table_image(const struct nft_wanted *wanted, char **ret_image);

/*
 * The image of what the kernel holds; "" if there is no such table. channel: NETLINK_NETFILTER. The
 * caller frees it. 0, -EPERM without CAP_NET_ADMIN, -EPROTONOSUPPORT without nftables, or another
 * negative errno. Tables, chains and rules are three dumps: if somebody changes them in between,
 * the image is of no moment, differs from what is wanted, and the table is put anew, which harms
 * nobody.
 */
int nft_table_read(struct nl_channel *channel, char **ret_image);

/* Puts the rules in place of what there is, as one. 0 or a negative errno, and then nothing has
 * changed. */
int nft_table_replace(struct nl_channel *channel, const struct nft_wanted *wanted);
