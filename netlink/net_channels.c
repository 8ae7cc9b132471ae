#include "net_channels.h"

#include <errno.h>
#include <linux/netlink.h>

int net_channels_open(struct net_channels *channels, size_t buffer)
{
	struct net_channels opened = { .route = { .fd = -1 }, .nft = { .fd = -1 } };
	int err;

	err = nl_channel_open(&opened.route, NETLINK_ROUTE, buffer);
	if (err)
		return err;
	err = nl_channel_open(&opened.nft, NETLINK_NETFILTER, buffer);
	if (err == -EPROTONOSUPPORT) {
		opened.nft = (struct nl_channel){ .fd = -1 };
	} else if (err) {
		nl_channel_close(&opened.route);
		return err;
	}
	*channels = opened;
	return 0;
}

void net_channels_close(struct net_channels *channels)
{
	nl_channel_close(&channels->route);
	nl_channel_close(&channels->nft);
}
