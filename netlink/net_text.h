/*
 * net_text - steps in the words of ip(8) and nft(8), as an administrator would type them.
 */
#pragma once

#include <stddef.h>

#include "net_plan.h"

#define NET_TEXT_MAX 256

/*
 * "ip -6 addr add 2001:db8:80::1/128 dev eth0 nodad preferred_lft 0", "ip -4 rule add priority 166
 * fwmark 0x1000/0x1000 lookup 166 protocol 166". For NET_STEP_NFT "nft ..." in one line:
 * net_text_nft() has the whole. Returns buf.
 */
const char *net_text_step(const struct net_step *step, char buf[NET_TEXT_MAX]);

/* The rules as a script for `nft -f -`. The caller frees it; NULL: no memory. */
char *net_text_nft(const struct nft_wanted *wanted);

/* "2001:db8::1", "192.0.2.1". Returns buf. */
#define NET_TEXT_ADDR_MAX 46
const char *net_text_addr(uint8_t family, const uint8_t addr[16], char buf[NET_TEXT_ADDR_MAX]);
