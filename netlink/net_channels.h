/*
 * net_channels - the two ways to the kernel: rtnetlink and nftables. Owned by whoever opens them;
 * the functions of net_apply.h, net_read.h and net_step.h borrow them and wait for answers.
 */
#pragma once

#include "nl_channel.h"

/* Either may be closed (fd -1) where nothing needs it. */
struct net_channels {
	struct nl_channel route;
	struct nl_channel nft;
};

/*
 * buffer: receive buffer of the sockets in bytes, 0: default. 0, and nft is closed if the kernel
 * knows no nftables; or a negative errno.
 */
int net_channels_open(struct net_channels *channels, size_t buffer);
/* Takes closed ones. */
void net_channels_close(struct net_channels *channels);
