/*
 * net_text - steps in the words of ip(8) and nft(8), as an administrator would type them.
 *
 * For the log, the journal and sixgatectl; nothing here is ever executed by us. But it may be
 * pasted into a shell, so of names that others have chosen only plain characters get in.
 */
#pragma once

#include <stddef.h>

#include "net_plan.h"

#define NET_TEXT_MAX 256

/*
 * "ip -6 addr add 2001:db8:80::1/128 dev eth0 nodad preferred_lft 0", "ip -4 rule add priority 166
 * fwmark 0x1000/0x1000 lookup 166 protocol 166". For NET_STEP_NFT "nft ..." in one line:
 * net_text_nft() has the whole. Cut off, and terminated, if there is no room. An address has no
 * protocol in it, and a narrow rule not what makes it so: the text is not always all of the step.
 * Returns buf.
 */
const char *net_text_step(const struct net_step *step, char buf[NET_TEXT_MAX]);

/*
 * The rules as a script for `nft -f -`, which puts them in place of all that the table holds, as
 * one. Each must be one that can be said (nft_rule.h). The caller frees it; NULL: no memory.
 */
char *net_text_nft(const struct nft_wanted *wanted);

/* "2001:db8::1", "192.0.2.1"; family: AF_INET, or else IPv6. Returns buf. */
#define NET_TEXT_ADDR_MAX 46
const char *net_text_addr(uint8_t family, const uint8_t addr[16], char buf[NET_TEXT_ADDR_MAX]);
