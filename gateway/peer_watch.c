#include "peer_watch.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

/*
 * Theory of operation
 *
 *                            nothing outstanding   data outstanding   window shut
 *  the kernel's own means    keepalive probes      TCP_USER_TIMEOUT   would kill the living, too
 *  so, while a check finds   both on               both on            TCP_USER_TIMEOUT off, and
 *                                                                     unanswered probes counted
 *
 * A check comes at least three times within the dead-peer time, so a shut window is seen before the
 * kernel acts on it. The kernel asks a shut window less and less often, up to two minutes apart:
 * silence alone proves nothing there, only probes that went unanswered do.
 */
#define PERIOD_MIN_MS 250U
#define PROBES_LOST   3 /* unanswered ones, at least, before a silent peer counts as dead */

static void set_int(int fd, int level, int option, uint32_t value)
{
	int v = (int)value;

	/* A socket that has just died says so here; its own event tells the rest. */
	(void)setsockopt(fd, level, option, &v, sizeof(v));
}

uint32_t peer_watch_period(uint32_t dead_peer_ms)
{
	uint32_t period = dead_peer_ms / 3;

	return period > PERIOD_MIN_MS ? period : PERIOD_MIN_MS;
}

void peer_watch_arm(int fd, uint32_t dead_peer_ms)
{
	/* Two probes into the second half; the kernel counts whole seconds here. */
	uint32_t idle_s = dead_peer_ms / 2000 ? dead_peer_ms / 2000 : 1;
	uint32_t interval_s = dead_peer_ms / 6000 ? dead_peer_ms / 6000 : 1;

	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_s);
	set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_s);
	set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, dead_peer_ms);
}

bool peer_watch_check(int fd, uint32_t dead_peer_ms, struct peer_watch *watch)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	bool stalled;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return false;
	watch->acked = info.tcpi_bytes_acked;
	/* Kernels before 5.4 do not tell the window: TCP_USER_TIMEOUT stays as it is. */
	if (len < offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof(info.tcpi_snd_wnd))
		return false;
	stalled = info.tcpi_snd_wnd == 0;
	if (stalled != watch->stalled)
		set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, stalled ? 0 : dead_peer_ms);
	watch->stalled = stalled;
	return stalled && info.tcpi_probes >= PROBES_LOST &&
	       info.tcpi_last_ack_recv >= dead_peer_ms;
}
