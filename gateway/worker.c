#include "worker.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker.h"
#include "channel.h"
#include "drainer.h"
#include "flow_meter.h"
#include "handover.h"
#include "log.h"
#include "loop.h"
#include "ring_log.h"
#include "sandbox.h"
#include "takers.h"
#include "tcp_relay.h"
#include "udp_relay.h"

/*
 * Theory of operation
 *
 * Everything that needs a privilege or a path is done by the supervisor before the fork, or here
 * before sandbox_filter(): from then on a worker knows its sockets, its memory and its channel.
 * Descriptors are shared out once, at the start: flows take two each, pipes for bulk take pairs,
 * and FDS_SPARE are left for what comes and goes.
 *
 * The loop is: one batch of events, then flows that had to let others come first, then the memory
 * of flows that have ended, then admission with the room there is now. The order matters: an event
 * of a batch may name a flow that an earlier one has ended, so memory is given back only behind the
 * batch; and admission comes last, so that it knows of the room that ended flows have made.
 *
 *  serving ──WORKER_DRAIN, or the channel's end──► draining ──last flow has ended──► end
 *     │                                               └──drain limit, WORKER_END──► ending
 *     └──WORKER_HANDOVER──► leaving (draining too) ──flows given, or ended──► end
 *
 * Draining is accepting no more and leaving when the last flow has; its deadline is a timer of the
 * same loop. Leaving differs in who has the listening sockets: a successor, which accepts from
 * them, so nothing is refused and what is in their queues is not ours. A worker that is told to
 * leave while it still takes over passes on what it takes, and stays until its givers have left.
 *
 * Memory that others see is put in order before the first event: a predecessor of this index may
 * have been killed at any instruction, so its live counts, places and who-entries are cleared here,
 * by the only process that may write them now.
 */
/* Of the descriptors that are left, one part in PIPE_SHARE may go to pipes, in pairs. */
#define PIPE_SHARE 16U
#define PIPES_MAX  64U
#define FDS_SPARE  8U
#define FDS_MIN	   32U /* for flows; with less a worker is not worth starting */
/* 128 MiB: as many flows as this may have a stuck reader before others wait for a buffer. */
#define BUFFERS_MAX    4096U
#define STOCK_RETRY_MS 100U

struct limits {
	size_t flows;
	size_t descriptors; /* that flows may hold: a connection two, a session one */
	struct tcp_relay_limits tcp;
};

struct worker {
	const struct worker_setup *setup;
	struct ring_log log;
	struct loop loop;
	struct flow_table flows;
	struct flow_meter meter;
	uint64_t *flows_told; /* in a file that a supervisor reads; NULL: none does */
	struct target_set targets;
	struct tcp_relay relay;
	struct udp_relay udp; /* without UDP listeners it is never set up */
	struct admission admission;
	struct loop_source channel;
	struct timer drain_timer;
	struct drainer drainer;
	struct broker_stock stock;
	struct log_limit stock_log;
	struct timer stock_timer; /* asks again when none were to be had */
	bool transparent;	  /* a listener needs the stock */
	struct limits limits;
	struct handover_giver giver;
	struct takers takers;
	struct tcp_handover_retired retired;
	bool draining;
	bool leaving; /* draining, and a successor has what comes */
	bool ending;
};

/* Three too many, with ".", ".." and the folder's own descriptor: on the safe side. */
static size_t count_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	if (!dir)
		return 64; /* no /proc: a guess on the safe side */
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Shares the open-file limit out between flows and pipes. -EMFILE if it is too low to work. */
static int work_out_limits(
	const struct worker_setup *setup, bool transparent, struct limits *ret_limits)
{
	struct rlimit limit;
	size_t used = count_open_fds() + FDS_SPARE + (transparent ? BROKER_STOCK_MAX : 0);
	size_t room, pipes;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur < used + FDS_MIN)
		return -EMFILE;
	room = limit.rlim_cur - used;
	/* Pipes are for bulk alone, and without one bulk is only slower: flows come first. */
	pipes = room / (2 * PIPE_SHARE);
	if (pipes > PIPES_MAX)
		pipes = PIPES_MAX;
	assert(2 * pipes < room);
	ret_limits->descriptors = room - 2 * pipes;
	/* A session holds one descriptor, a connection two. Which there will be, nobody knows. */
	ret_limits->flows =
		setup->n_udp > 0 ? ret_limits->descriptors : ret_limits->descriptors / 2;
	ret_limits->tcp.pipes = pipes;
	ret_limits->tcp.buffers = BUFFERS_MAX;
	if (setup->config->max_flows && setup->config->max_flows < ret_limits->flows)
		ret_limits->flows = setup->config->max_flows;
	return 0;
}

/* How many more connections there may be. */
static size_t room_for_connections(const struct worker *worker)
{
	size_t live = flow_table_live(&worker->flows);
	size_t descriptors = flow_table_descriptors(&worker->flows);
	size_t by_flows = worker->limits.flows > live ? worker->limits.flows - live : 0;
	size_t by_descriptors = worker->limits.descriptors > descriptors
					? (worker->limits.descriptors - descriptors) / 2
					: 0;

	return by_flows < by_descriptors ? by_flows : by_descriptors;
}

static void on_drain_due(struct timer *timer)
{
	struct worker *worker = list_entry(timer, struct worker, drain_timer);
	size_t live = flow_table_live(&worker->flows);

	assert(worker->draining);
	log_warning("worker %u: drain limit reached, %zu flows are reset",
		(unsigned)worker->setup->index, live);
	worker->ending = true;
}

static void start_drain(struct worker *worker)
{
	if (worker->draining)
		return;
	worker->draining = true;
	admission_close(&worker->admission);
	tcp_relay_stop_holding(&worker->relay);
	if (worker->setup->n_udp > 0)
		udp_relay_drain(&worker->udp);
	loop_timer_set(&worker->loop, &worker->drain_timer,
		worker->loop.now_ms + drain_state_gateway(worker->setup->drains));
}

/* ---- succession ---- */

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

/* Lets a successor have all flows; those that it does not take may finish here. */
static void start_leaving(struct worker *worker, int fd)
{
	int err;

	if (worker->draining) { /* whoever is at the other end sees that nothing comes */
		close(fd);
		return;
	}
	worker->draining = true;
	worker->leaving = true;
	admission_leave(&worker->admission);
	loop_timer_set(&worker->loop, &worker->drain_timer,
		worker->loop.now_ms + worker->setup->config->drain_ms);
	err = handover_give(&worker->giver, &worker->loop, &worker->relay,
		worker->setup->n_udp > 0 ? &worker->udp : NULL, fd);
	if (err)
		log_error("cannot hand over flows: %s", strerror(-err));
}

/* As long as somebody takes them. */
static void go_on_leaving(struct worker *worker)
{
	bool was_giving = worker->giver.fd >= 0;

	/* Nobody to give to any more: what arrives for our sessions is still served, to their end.
	 */
	handover_give_more(&worker->giver, worker->takers.elsewhere > 0);
	if (was_giving && worker->giver.fd < 0 && worker->setup->n_udp > 0)
		udp_relay_drain(&worker->udp);
}

/* Those before us receive no more. */
static void on_datagrams_left(void *userdata)
{
	struct worker *worker = userdata;
	int err;

	if (worker->setup->n_udp == 0 || worker->leaving)
		return;
	err = udp_relay_start(&worker->udp);
	if (err)
		log_error("datagrams cannot be received: %s", strerror(-err));
}

static size_t room_for_taker(void *userdata)
{
	return room_for_connections(userdata);
}

static void on_inherit(struct worker *worker, const int *fds, size_t n)
{
	const struct takers_setup setup = {
		.loop = &worker->loop,
		.tcp = &worker->relay,
		.udp = worker->setup->n_udp > 0 ? &worker->udp : NULL,
		.retired = &worker->retired,
		.room = room_for_taker,
		.on_datagrams = on_datagrams_left,
		.userdata = worker,
	};
	int err = takers_begin(&worker->takers, &setup, fds, n);

	if (err)
		log_error("cannot take over flows: %s", strerror(-err));
}

/* ---- transparent sockets ---- */

/* Keeps the stock of transparent sockets from running out. */
static void replenish_stock(struct worker *worker)
{
	const char message = WORKER_SOCKETS;

	if (!worker->transparent || worker->draining || !broker_is_low(&worker->stock))
		return;
	if (send(worker->setup->channel_fd, &message, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
		worker->stock.asked = true;
	/* The answer may fail to come, or bring nothing. */
	loop_timer_set(&worker->loop, &worker->stock_timer, worker->loop.now_ms + STOCK_RETRY_MS);
}

static void on_stock_due(struct timer *timer)
{
	struct worker *worker = list_entry(timer, struct worker, stock_timer);

	worker->stock.asked = false;
	replenish_stock(worker);
}

static void on_sockets(struct worker *worker, const int *fds, size_t n)
{
	unsigned suppressed = 0;

	broker_stock_add(&worker->stock, fds, n);
	if (n > 0) {
		worker->stock.asked = false;
		loop_timer_cancel(&worker->loop, &worker->stock_timer);
		admission_restocked(&worker->admission);
		return;
	}
	/* Asked for again when the timer fires, not sooner. */
	if (log_allowed(&worker->stock_log, worker->loop.now_ms, &suppressed))
		log_warning(
			"clients of transparent listeners wait: the supervisor has no "
			"descriptor to spare; raise the limit of open files (%u more like this)",
			suppressed);
}

/* Rare enough to look at all flows. */
static void kill_doomed(struct worker *worker)
{
	struct list_node *node, *tmp;

	list_for_each_safe (node, tmp, &worker->flows.live) {
		struct flow *flow = list_entry(node, struct flow, node);

		if (!who_is_doomed(&worker->flows.who, flow->who))
			continue;
		if (flow_is_session(flow))
			udp_session_end(&worker->udp.sessions, flow, ACCESS_LOG_KILLED,
				ACCESS_LOG_BY_GATEWAY);
		else
			tcp_end_killed(&worker->relay.ends, flow);
	}
}

/*
 * The file is in memory: what is stored there is in it. It is written to first, so that it is as
 * long as what is mapped; a page beyond a file's end is a SIGBUS. The mapping stays when fd is
 * closed.
 */
static void on_flows(struct worker *worker, int fd)
{
	const uint64_t live = flow_table_live(&worker->flows);
	void *made = MAP_FAILED;

	if (!worker->flows_told && write(fd, &live, sizeof(live)) == sizeof(live))
		made = mmap(NULL, sizeof(live), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (made != MAP_FAILED)
		worker->flows_told = made;
	close(fd);
}

static void tell_flows(const struct worker *worker)
{
	const uint64_t live = flow_table_live(&worker->flows);

	if (worker->flows_told)
		__atomic_store_n(worker->flows_told, live, __ATOMIC_RELAXED);
}

static void on_channel(struct loop_source *source, uint32_t events)
{
	struct worker *worker = list_entry(source, struct worker, channel);
	int fds[CHANNEL_FDS_MAX];
	size_t n_fds = 0;
	char message = 0;
	int n = channel_receive(worker->setup->channel_fd, &message, fds, &n_fds);

	(void)events;
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n <= 0) { /* the supervisor is gone */
		loop_remove(&worker->loop, worker->setup->channel_fd);
		start_drain(worker);
		return;
	}
	switch (message) {
	case WORKER_SOCKETS:
		on_sockets(worker, fds, n_fds);
		return;
	case WORKER_HANDOVER:
		if (n_fds == 1) {
			start_leaving(worker, fds[0]);
			return;
		}
		break;
	case WORKER_FLOWS:
		if (n_fds == 1) {
			on_flows(worker, fds[0]);
			return;
		}
		break;
	case WORKER_INHERIT:
		on_inherit(worker, fds, n_fds);
		return;
	case WORKER_KILL:
		kill_doomed(worker);
		break;
	case WORKER_DRAINS:
		drainer_look(&worker->drainer);
		break;
	case WORKER_DRAIN:
		start_drain(worker);
		break;
	case WORKER_END:
		worker->ending = true;
		break;
	default:
		break;
	}
	close_all(fds, n_fds);
}

/*
 * Everything that moves bytes, and this worker's part of shared memory. On failure nothing is left
 * of it.
 */
static int start_relays(struct worker *worker)
{
	const struct worker_setup *setup = worker->setup;
	const struct udp_sessions sessions = {
		.loop = &worker->loop,
		.config = setup->config,
		.stats = setup->stats,
		.targets = &worker->targets,
		.flows = &worker->flows,
		.worker = setup->index,
		.descriptors = worker->limits.descriptors,
	};
	const struct tcp_hold_setup hold = {
		.loop = &worker->loop,
		.config = setup->config,
		.shared = setup->hold_shared,
		.pools = setup->pools,
		.link_fd = setup->hold_fd,
		.worker = setup->index,
	};
	int err;

	flow_table_init(&worker->flows, &worker->loop, setup->stats, worker->limits.flows);
	flow_meter_init(&worker->meter, &worker->flows);
	err = unique_id_init(&worker->flows.ids);
	if (err)
		return err;
	worker->flows.worker = setup->index;
	worker->flows.ring = setup->log_access ? setup->ring : NULL;
	worker->flows.ring_wake_fd = setup->ring_wake_fd;
	worker->flows.limits = setup->limits;
	worker->flows.lists = setup->lists;
	worker->flows.drains = setup->drains;
	measures_writer_init(&worker->flows.measures, setup->measures, setup->index);
	pool_state_clear_worker(setup->pools, setup->index);
	if (setup->limits)
		client_limits_recover(setup->limits, setup->index);
	err = who_writer_init(&worker->flows.who, setup->who, setup->index, setup->stats);
	if (err)
		return err;
	err = target_set_init(&worker->targets, setup->config, setup->pools, setup->index);
	if (err)
		return err;
	err = tcp_relay_init(&worker->relay, &worker->loop, setup->config, &worker->targets,
		&worker->flows, &worker->limits.tcp, &hold);
	if (err)
		target_set_destroy(&worker->targets);
	if (err || setup->n_udp == 0)
		return err;
	err = udp_relay_init(&worker->udp, &sessions, &setup->udp_shared, setup->udp, setup->n_udp);
	if (!err && !setup->succeeds)
		err = udp_relay_start(&worker->udp);
	if (err) {
		udp_relay_destroy(&worker->udp);
		tcp_relay_destroy(&worker->relay);
		target_set_destroy(&worker->targets);
	}
	return err;
}

static void stop_relays(struct worker *worker)
{
	handover_give_end(&worker->giver);
	takers_end(&worker->takers);
	flow_meter_stop(&worker->meter);
	udp_relay_destroy(&worker->udp);
	tcp_relay_destroy(&worker->relay);
	flow_table_reap(&worker->flows);
	flow_table_destroy(&worker->flows);
	tcp_handover_retired_destroy(&worker->retired);
	target_set_destroy(&worker->targets);
}

/*
 * The user first, the filter second, as it forbids to change users. From here on a path cannot be
 * opened and a process not be signalled: all that needs it is behind us.
 */
static int give_up_rights(const struct worker *worker)
{
	int err = sandbox_drop_privileges(worker->setup->config->user);

	if (err) {
		log_error("cannot give up privileges: %s", strerror(-err));
		return err;
	}
	err = sandbox_filter();
	if (err)
		log_error("cannot load the seccomp filter: %s", strerror(-err));
	return err;
}

static int worker_start(struct worker *worker)
{
	const struct worker_setup *setup = worker->setup;
	int err;

	for (size_t i = 0; i < setup->n_listeners; i++)
		worker->transparent = worker->transparent || setup->listeners[i].transparent;
	err = work_out_limits(setup, worker->transparent, &worker->limits);
	if (err) {
		log_error("the limit of open files is too low for a worker: raise LimitNOFILE= or "
			  "ulimit -n");
		return err;
	}
	err = loop_init(&worker->loop);
	if (err)
		return err;
	err = start_relays(worker);
	if (err)
		goto fail_loop;
	worker->drainer = (struct drainer){
		.loop = &worker->loop,
		.config = setup->config,
		.pools = setup->pools,
		.drains = setup->drains,
		.flows = &worker->flows,
		.tcp = &worker->relay,
		.udp = &worker->udp,
	};
	drainer_init(&worker->drainer);
	worker->channel.on_event = on_channel;
	timer_init(&worker->drain_timer, on_drain_due);
	timer_init(&worker->stock_timer, on_stock_due);
	err = loop_add(&worker->loop, setup->channel_fd, EPOLLIN, &worker->channel);
	if (!err)
		err = give_up_rights(worker);
	if (err)
		goto fail_relay;
	err = admission_init(&worker->admission, &worker->loop, setup->stats, &worker->stock,
		setup->listeners, setup->n_listeners, tcp_relay_take, &worker->relay);
	if (err)
		goto fail_relay;
	worker->admission.measures = &worker->flows.measures;
	admission_update(&worker->admission, room_for_connections(worker));
	tcp_relay_set_room(&worker->relay, room_for_connections(worker));
	replenish_stock(worker);
	return 0;
fail_relay:
	stop_relays(worker);
fail_loop:
	loop_close(&worker->loop);
	return err;
}

static int worker_loop(struct worker *worker)
{
	int err = 0;

	while (!err && !worker->ending) {
		err = loop_run_once(&worker->loop,
			!tcp_relay_busy(&worker->relay) && !udp_relay_busy(&worker->udp));
		if (worker->setup->n_udp > 0)
			udp_relay_turn(&worker->udp);
		tcp_relay_turns(&worker->relay);
		go_on_leaving(worker);
		flow_table_reap(&worker->flows);
		/* Only now is the number of live flows right: the dead have counted until here. */
		tell_flows(worker);
		if (worker->draining && !takers_are_taking(&worker->takers) &&
			flow_table_live(&worker->flows) == 0 && !udp_relay_busy(&worker->udp))
			break;
		admission_update(&worker->admission, room_for_connections(worker));
		tcp_relay_set_room(&worker->relay, room_for_connections(worker));
		replenish_stock(worker);
		flow_meter_update(&worker->meter);
	}
	return err;
}

int worker_run(const struct worker_setup *setup)
{
	const char ready = WORKER_READY;
	struct worker worker = { .setup = setup, .giver.fd = -1 };
	int err;

	worker.log = (struct ring_log){ .ring = setup->ring, .wake_fd = setup->ring_wake_fd };
	/* Lines travel to the logger's process: a stuck terminal must not hold up the relay. */
	ring_log_use(&worker.log);
	stats_clear_gauges(setup->stats);
	tcp_handover_retired_init(&worker.retired);
	err = worker_start(&worker);
	if (err) {
		log_error("worker %u cannot start: %s", (unsigned)setup->index, strerror(-err));
		return EXIT_FAILURE;
	}
	/* If nobody hears it, the supervisor is gone, and who comes next has workers of its own. */
	if (send(setup->channel_fd, &ready, 1, MSG_NOSIGNAL) == 1)
		err = worker_loop(&worker);
	if (err)
		log_error("worker %u: its event loop failed: %s", (unsigned)setup->index,
			strerror(-err));
	admission_destroy(&worker.admission);
	broker_stock_clear(&worker.stock);
	stop_relays(&worker);
	loop_close(&worker.loop);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
