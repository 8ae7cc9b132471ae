#include "hold_keeper.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hold_map.h"
#include "holder.h"
#include "log.h"

/*
 * Theory of operation
 *
 * Socket pairs between holder and workers are made once and outlive both, as does what they share;
 * each process keeps its ends and closes the others' after the fork (hold_keeper_leave). So a new
 * holder, or a new worker, has nothing to be told but its epoch, and the others notice nothing.
 *
 * A holder that is stuck holds everybody's packets. So it is pinged all the time, and killed by
 * SIGKILL when HOLD_KEEPER_PINGS pings have not been answered; nothing of what it knew is needed.
 */
static void tell(struct hold_keeper *keeper, const void *message, size_t len)
{
	if (keeper->pid && send(keeper->channel_fd, message, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("the holder does not listen: %s", strerror(errno));
}

static void on_ping_due(struct timer *timer)
{
	struct hold_keeper *keeper = list_entry(timer, struct hold_keeper, ping);
	const char ping = HOLDER_PING;

	if (!keeper->pid)
		return;
	if (keeper->unheard >= HOLD_KEEPER_PINGS) {
		log_error("the holder (pid %d) is stuck: it is killed, and clients are let in at "
			  "once meanwhile",
			(int)keeper->pid);
		/* Its death is told by SIGCHLD, and then another one is started. */
		kill(keeper->pid, SIGKILL);
		keeper->pid = 0;
		return;
	}
	keeper->unheard++;
	tell(keeper, &ping, 1);
	loop_timer_set(keeper->loop, &keeper->ping, keeper->loop->now_ms + HOLD_KEEPER_PING_MS);
}

static int open_links(struct hold_keeper *keeper)
{
	keeper->holder_fds = calloc(keeper->n_workers, sizeof(int));
	keeper->worker_fds = calloc(keeper->n_workers, sizeof(int));
	if (!keeper->holder_fds || !keeper->worker_fds)
		return -ENOMEM;
	for (size_t w = 0; w < keeper->n_workers; w++)
		keeper->holder_fds[w] = keeper->worker_fds[w] = -1;
	for (size_t w = 0; w < keeper->n_workers; w++) {
		int fds[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
			return -errno;
		keeper->holder_fds[w] = fds[0];
		keeper->worker_fds[w] = fds[1];
	}
	return 0;
}

int hold_keeper_init(struct hold_keeper *keeper, struct loop *loop, const struct config *config,
	size_t n_workers, size_t n_backends)
{
	int err;

	*keeper = (struct hold_keeper){
		.wanted = hold_map_wanted(config),
		.loop = loop,
		.n_workers = n_workers,
		.epoch = 1,
		.channel_fd = -1,
	};
	timer_init(&keeper->ping, on_ping_due);
	if (!keeper->wanted)
		return 0;
	err = open_links(keeper);
	if (!err) {
		keeper->shared = hold_shared_create(n_workers, n_backends);
		err = keeper->shared ? 0 : -ENOMEM;
	}
	if (err)
		hold_keeper_destroy(keeper);
	return err;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void hold_keeper_leave(struct hold_keeper *keeper, ssize_t worker)
{
	for (size_t w = 0; w < keeper->n_workers && keeper->wanted; w++) {
		if (worker != (ssize_t)keeper->n_workers)
			close_fd(&keeper->holder_fds[w]);
		if (worker != (ssize_t)w)
			close_fd(&keeper->worker_fds[w]);
	}
}

void hold_keeper_destroy(struct hold_keeper *keeper)
{
	if (!keeper->wanted)
		return;
	loop_timer_cancel(keeper->loop, &keeper->ping);
	if (keeper->holder_fds && keeper->worker_fds)
		hold_keeper_leave(keeper, -1);
	hold_shared_destroy(keeper->shared);
	free(keeper->holder_fds);
	free(keeper->worker_fds);
	*keeper = (struct hold_keeper){ 0 };
}

int hold_keeper_worker_fd(const struct hold_keeper *keeper, size_t worker)
{
	assert(!keeper->wanted || worker < keeper->n_workers);
	return keeper->wanted ? keeper->worker_fds[worker] : -1;
}

void hold_keeper_ready(struct hold_keeper *keeper, pid_t pid, int channel_fd)
{
	assert(keeper->wanted && pid > 0 && channel_fd >= 0);
	keeper->pid = pid;
	keeper->channel_fd = channel_fd;
	keeper->unheard = 0;
	loop_timer_set(keeper->loop, &keeper->ping, keeper->loop->now_ms + HOLD_KEEPER_PING_MS);
}

void hold_keeper_heard(struct hold_keeper *keeper)
{
	keeper->unheard = 0;
}

void hold_keeper_gone(struct hold_keeper *keeper)
{
	keeper->pid = 0;
	keeper->channel_fd = -1;
	keeper->epoch++;
	loop_timer_cancel(keeper->loop, &keeper->ping);
}

void hold_keeper_worker_gone(struct hold_keeper *keeper, size_t worker)
{
	const struct holder_gone gone = { .message = HOLDER_GONE, .worker = (uint16_t)worker };

	tell(keeper, &gone, sizeof(gone));
}

void hold_keeper_end(struct hold_keeper *keeper)
{
	const char end = HOLDER_END;

	tell(keeper, &end, 1);
	loop_timer_cancel(keeper->loop, &keeper->ping);
}
