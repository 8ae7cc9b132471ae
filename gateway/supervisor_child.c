#include "supervisor_child.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "holder.h"
#include "logger.h"
#include "observer.h"
#include "worker.h"

void supervisor_child_close_access(struct supervisor *supervisor)
{
	if (supervisor->access_fd > STDERR_FILENO)
		close(supervisor->access_fd);
	supervisor->access_fd = -1;
}

/* In a new child: lets go of everything that is only the supervisor's. */
static void leave_supervisor(struct supervisor *supervisor)
{
	sigset_t none;

	for (size_t i = 0; i < supervisor->n_workers; i++)
		if (supervisor->workers[i].channel_fd >= 0)
			close(supervisor->workers[i].channel_fd);
	if (supervisor->logger.channel_fd >= 0)
		close(supervisor->logger.channel_fd);
	if (supervisor->holder.channel_fd >= 0)
		close(supervisor->holder.channel_fd);
	if (supervisor->observer.channel_fd >= 0)
		close(supervisor->observer.channel_fd);
	close(supervisor->signal_fd);
	successor_abandon(supervisor->successor);
	predecessors_abandon(supervisor->before);
	/* That of a trial has names, and no descriptors of ours. */
	if (supervisor->setup->estate && !supervisor->trying)
		estate_close_rest(supervisor->setup->estate);
	net_keeper_abandon(&supervisor->network);
	checker_abandon(supervisor->checker);
	control_abandon(supervisor->control);
	guard_abandon(supervisor->guard);
	resolver_abandon(supervisor->resolver);
	bans_abandon(supervisor->bans);
	loop_close(&supervisor->loop);
	/* A group's signals are the supervisor's to act on; children hear through their channel. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Not the supervisor's notification socket: only it speaks to systemd. */
	unsetenv("NOTIFY_SOCKET");
}

static void close_metrics(const struct supervisor *supervisor)
{
	for (size_t i = 0; i < CONFIG_METRICS_LISTEN_MAX; i++)
		if (supervisor->metrics_fds[i] >= 0)
			close(supervisor->metrics_fds[i]);
}

static int worker_child(struct supervisor *supervisor, size_t index, int channel_fd)
{
	struct worker_setup setup = {
		.config = supervisor->config,
		.index = (uint16_t)index,
		.channel_fd = channel_fd,
		.stats = &supervisor->shared.stats[index],
		.measures = supervisor->shared.measures,
		.ring = supervisor->shared.rings[index],
		.ring_wake_fd = supervisor->shared.wake_fd,
		.log_access = supervisor->config->access_log != LOG_TARGET_OFF,
		.udp_shared = supervisor->shared.udp,
		.pools = supervisor->shared.pools,
		.drains = supervisor->shared.drains,
		.who = supervisor->shared.who,
		.limits = supervisor->shared.limits,
		.lists = list_keeper_lists(supervisor->lists),
		.hold_fd = hold_keeper_worker_fd(&supervisor->hold, index),
		.hold_shared = supervisor->hold.shared,
		/* One that replaces another has no predecessor but the dead. */
		.succeeds = supervisor->setup->estate && supervisor->state == STARTING,
	};

	if (!supervisor->trying) {
		setup.listeners = socket_set_tcp(&supervisor->sockets, index, &setup.n_listeners);
		setup.udp = socket_set_udp(&supervisor->sockets, index, &setup.n_udp);
	}
	leave_supervisor(supervisor);
	close_metrics(supervisor);
	hold_keeper_leave(&supervisor->hold, (ssize_t)index);
	supervisor_child_close_access(supervisor);
	socket_set_close_others(&supervisor->sockets, index);
	return worker_run(&setup);
}

static int logger_child(struct supervisor *supervisor, int channel_fd)
{
	struct logger_setup setup = {
		.config = supervisor->config,
		.rings = supervisor->shared.rings,
		.n_rings = supervisor->shared.n_blocks,
		.wake_fd = supervisor->shared.wake_fd,
		.channel_fd = channel_fd,
		.access_fd = supervisor->access_fd,
	};

	leave_supervisor(supervisor);
	close_metrics(supervisor);
	hold_keeper_leave(&supervisor->hold, -1);
	socket_set_close_others(&supervisor->sockets, supervisor->n_workers);
	return logger_run(&setup);
}

static int holder_child(struct supervisor *supervisor, int channel_fd)
{
	const struct holder_setup setup = {
		.config = supervisor->config,
		.n_workers = supervisor->n_workers,
		.link_fds = supervisor->hold.holder_fds,
		.channel_fd = channel_fd,
		.epoch = supervisor->hold.epoch,
		.shared = supervisor->hold.shared,
		.stats = &supervisor->shared.stats[shared_holder(&supervisor->shared)],
		.ring = supervisor->shared.rings[shared_holder(&supervisor->shared)],
		.ring_wake_fd = supervisor->shared.wake_fd,
	};

	leave_supervisor(supervisor);
	close_metrics(supervisor);
	supervisor_child_close_access(supervisor);
	hold_keeper_leave(&supervisor->hold, (ssize_t)supervisor->n_workers);
	socket_set_close_others(&supervisor->sockets, supervisor->n_workers);
	return holder_run(&setup);
}

static int observer_child(struct supervisor *supervisor, int channel_fd)
{
	const struct observer_setup setup = {
		.config = supervisor->config,
		.listen_fds = supervisor->metrics_fds,
		.channel_fd = channel_fd,
		.history_fd = supervisor->history_fd,
		.ring = supervisor->shared.rings[shared_observer(&supervisor->shared)],
		.ring_wake_fd = supervisor->shared.wake_fd,
	};

	leave_supervisor(supervisor);
	supervisor_child_close_access(supervisor);
	hold_keeper_leave(&supervisor->hold, -1);
	socket_set_close_others(&supervisor->sockets, supervisor->n_workers);
	return observer_run(&setup);
}

int supervisor_child_run(struct child *child, int channel_fd)
{
	struct supervisor *supervisor = child->owner;

	if (child == &supervisor->logger)
		return logger_child(supervisor, channel_fd);
	if (child == &supervisor->holder)
		return holder_child(supervisor, channel_fd);
	if (child == &supervisor->observer)
		return observer_child(supervisor, channel_fd);
	return worker_child(supervisor, child->index, channel_fd);
}
