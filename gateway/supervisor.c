#include "supervisor.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "access_file.h"
#include "bans.h"
#include "broker.h"
#include "checker.h"
#include "child.h"
#include "clock.h"
#include "control.h"
#include "control_who.h"
#include "guard.h"
#include "hold_keeper.h"
#include "holder.h"
#include "journal.h"
#include "list_keeper.h"
#include "log.h"
#include "logger.h"
#include "loop.h"
#include "net_keeper.h"
#include "resolver.h"
#include "ring.h"
#include "sandbox.h"
#include "socket_set.h"
#include "stats.h"
#include "status.h"
#include "udp_shared.h"
#include "worker.h"

/*
 * Theory of operation
 *
 * Everything that must outlive a child is made here before the first fork: listening sockets,
 * counters, rings. A child is known by its process id and by the supervisor's end of a socket pair.
 * When a worker dies, its successor is forked at once with the same sockets, counters and ring;
 * meanwhile clients wait in the kernel's accept queue. One that dies again and again is started
 * with growing delays.
 *
 *  STARTING ──all workers ready──► RUNNING ──SIGTERM──► DRAINING ──last worker gone──► end
 *
 * The holder, if there is one, is started like a worker, but the start goes on without it where the
 * kernel does not let it work, and it is the first to go.
 *
 * A worker that dies before it was ever ready ends the start: it would not fare better a second
 * time. The logger goes last: its channel is closed when all workers are gone, and it writes what
 * is left.
 */
#define RING_SLOTS   4096U /* log and access records that may wait, per worker */
#define END_GRACE_MS 3000U /* for workers beyond the drain limit, and for the logger */

enum state {
	STARTING,
	RUNNING,
	DRAINING,
	FAILED, /* the start did not work out */
};

struct supervisor {
	const struct config *config;
	struct loop loop;
	struct loop_source signals;
	int signal_fd;
	enum state state;
	struct socket_set sockets;
	struct net_keeper network;
	bool transparent; /* workers may ask the broker for sockets */
	struct child *workers;
	size_t n_workers;
	struct child logger;
	struct child holder;
	struct hold_keeper hold;
	size_t n_blocks; /* of counters and rings: the workers', and the holder's */
	int logger_wake_fd;
	int access_fd;
	struct ring **rings;
	struct stats *stats;
	struct pool_state *pools;
	struct client_limits *limits; /* NULL: no listener has any */
	struct list_keeper *lists;
	struct checker *checker;
	struct control *control;
	struct who *who; /* NULL: it is switched off */
	struct control_who who_command;
	uint64_t started_ms;
	struct bans *bans;
	struct guard *guard;
	struct resolver *resolver;
	struct udp_shared udp; /* empty without UDP listeners */
	struct timer end_timer;
};

/* ---- helpers ---- */

static size_t worker_count(const struct config *config)
{
	cpu_set_t cpus;
	int n;

	if (config->workers)
		return config->workers;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		return 1;
	n = CPU_COUNT(&cpus);
	return n > 0 ? (size_t)n : 1;
}

static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warning("cannot raise the limit of open files: %s", strerror(errno));
}

static void log_counters(const struct supervisor *supervisor)
{
	for (int i = 0; i < STATS_COUNT; i++) {
		uint64_t sum =
			stats_sum(supervisor->stats, supervisor->n_blocks, (enum stats_counter)i);

		if (sum)
			log_info("counter %s %llu", stats_name((enum stats_counter)i),
				(unsigned long long)sum);
	}
	for (size_t i = 0; i < supervisor->n_blocks; i++)
		if (ring_lost(supervisor->rings[i]))
			log_info("counter records_lost{worker=%zu} %llu", i,
				(unsigned long long)ring_lost(supervisor->rings[i]));
	checker_log(supervisor->checker);
	resolver_log(supervisor->resolver);
	list_keeper_log(supervisor->lists);
	control_log(supervisor->control);
	guard_log(supervisor->guard);
}

static void close_access_log(struct supervisor *supervisor)
{
	if (supervisor->access_fd > STDERR_FILENO)
		close(supervisor->access_fd);
	supervisor->access_fd = -1;
}

/* ---- children ---- */

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
	close(supervisor->signal_fd);
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
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Not the supervisor's notification socket: only it speaks to systemd. */
	unsetenv("NOTIFY_SOCKET");
}

static int worker_child(struct supervisor *supervisor, size_t index, int channel_fd)
{
	struct worker_setup setup = {
		.config = supervisor->config,
		.index = (uint16_t)index,
		.channel_fd = channel_fd,
		.stats = &supervisor->stats[index],
		.ring = supervisor->rings[index],
		.ring_wake_fd = supervisor->logger_wake_fd,
		.log_access = supervisor->config->access_log != LOG_TARGET_OFF,
		.listeners = socket_set_row(&supervisor->sockets, index),
		.n_listeners = supervisor->sockets.n_binds,
		.udp = socket_set_udp_row(&supervisor->sockets, index),
		.n_udp = supervisor->sockets.n_udp,
		.udp_shared = supervisor->udp,
		.pools = supervisor->pools,
		.who = supervisor->who,
		.limits = supervisor->limits,
		.lists = list_keeper_lists(supervisor->lists),
		.hold_fd = hold_keeper_worker_fd(&supervisor->hold, index),
		.hold_shared = supervisor->hold.shared,
	};

	leave_supervisor(supervisor);
	hold_keeper_leave(&supervisor->hold, (ssize_t)index);
	close_access_log(supervisor);
	socket_set_close_others(&supervisor->sockets, index);
	return worker_run(&setup);
}

static int logger_child(struct supervisor *supervisor, int channel_fd)
{
	struct logger_setup setup = {
		.config = supervisor->config,
		.rings = supervisor->rings,
		.n_rings = supervisor->n_blocks,
		.wake_fd = supervisor->logger_wake_fd,
		.channel_fd = channel_fd,
		.access_fd = supervisor->access_fd,
	};

	leave_supervisor(supervisor);
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
		.stats = &supervisor->stats[supervisor->n_workers],
		.ring = supervisor->rings[supervisor->n_workers],
		.ring_wake_fd = supervisor->logger_wake_fd,
	};

	leave_supervisor(supervisor);
	close_access_log(supervisor);
	hold_keeper_leave(&supervisor->hold, (ssize_t)supervisor->n_workers);
	socket_set_close_others(&supervisor->sockets, supervisor->n_workers);
	return holder_run(&setup);
}

static int run_child(struct child *child, int channel_fd)
{
	struct supervisor *supervisor = child->owner;

	if (child == &supervisor->logger)
		return logger_child(supervisor, channel_fd);
	if (child == &supervisor->holder)
		return holder_child(supervisor, channel_fd);
	return worker_child(supervisor, child->index, channel_fd);
}

/* ---- the course of things ---- */

/* All but the logger, who ends last. */
static size_t children_alive(const struct supervisor *supervisor)
{
	size_t n = 0;

	for (size_t i = 0; i < supervisor->n_workers; i++)
		n += supervisor->workers[i].pid != 0;
	return n + (supervisor->holder.pid != 0);
}

static void tell_workers(struct supervisor *supervisor, enum worker_message message)
{
	const char byte = (char)message;

	for (size_t i = 0; i < supervisor->n_workers; i++) {
		struct child *child = &supervisor->workers[i];

		loop_timer_cancel(&supervisor->loop, &child->restart);
		if (child->pid &&
			send(child->channel_fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			log_warning("worker %u does not listen: %s", (unsigned)child->index,
				strerror(errno));
	}
}

static void start_draining(struct supervisor *supervisor)
{
	uint32_t drain_ms = supervisor->config->drain_ms;

	log_info("stopping: no more clients are accepted, live flows may finish for %u s",
		drain_ms / 1000);
	/* Without the last line systemd would kill us before the drain is over. */
	sd_notifyf(0, "STOPPING=1\nSTATUS=Draining\nEXTEND_TIMEOUT_USEC=%llu",
		1000ULL * (drain_ms + 2 * END_GRACE_MS));
	supervisor->state = DRAINING;
	loop_timer_cancel(&supervisor->loop, &supervisor->holder.restart);
	hold_keeper_end(&supervisor->hold);
	tell_workers(supervisor, WORKER_DRAIN);
	/* The workers have taken what was in their queues, or will; new clients are refused. */
	socket_set_close_others(&supervisor->sockets, supervisor->n_workers);
	loop_timer_set(&supervisor->loop, &supervisor->end_timer,
		supervisor->loop.now_ms + drain_ms + END_GRACE_MS);
}

static void start_ending(struct supervisor *supervisor)
{
	log_info("ending at once: live flows are reset");
	tell_workers(supervisor, WORKER_END);
	hold_keeper_end(&supervisor->hold);
	loop_timer_set(
		&supervisor->loop, &supervisor->end_timer, supervisor->loop.now_ms + END_GRACE_MS);
}

static void on_end_due(struct timer *timer)
{
	struct supervisor *supervisor = list_entry(timer, struct supervisor, end_timer);

	for (size_t i = 0; i < supervisor->n_workers; i++)
		if (supervisor->workers[i].pid)
			kill(supervisor->workers[i].pid, SIGKILL);
	if (supervisor->holder.pid)
		kill(supervisor->holder.pid, SIGKILL);
}

static void announce_bind(const struct supervisor *supervisor,
	const struct config_listener *listener, const struct config_bind *bind)
{
	char text[CONFIG_BIND_TEXT_MAX];

	log_info("listener %s: %s%s, %s%s, identity %s%s", listener->name,
		listener->protocol == IPPROTO_UDP ? "udp " : "", config_bind_text(bind, text),
		listener->embedded ? "" : "pool ",
		listener->embedded ? "embedded destinations"
				   : supervisor->config->pools[listener->pool].name,
		config_identity_name(listener->identity),
		listener->accept_proxy.n_from ? ", accept-proxy" : "");
}

static void announce_ready(struct supervisor *supervisor)
{

	supervisor->state = RUNNING;
	for (size_t b = 0; b < supervisor->sockets.n_binds; b++)
		announce_bind(supervisor, supervisor->sockets.sockets[b].config,
			supervisor->sockets.sockets[b].bind);
	for (size_t b = 0; b < supervisor->sockets.n_udp; b++)
		announce_bind(supervisor, supervisor->sockets.udp[b].config,
			supervisor->sockets.udp[b].bind);
	log_info("ready: %zu workers", supervisor->n_workers);
	sd_notify(0, "READY=1");
}

static void send_sockets(struct child *child)
{
	int err = broker_send(child->channel_fd, WORKER_SOCKETS);

	if (err)
		log_warning(
			"worker %u gets no sockets: %s", (unsigned)child->index, strerror(-err));
}

/* Once every worker is, and the holder is or cannot be. */
static void look_if_ready(struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->n_workers; i++)
		if (!supervisor->workers[i].ready)
			return;
	if (supervisor->state == STARTING) {
		if (!supervisor->hold.wanted || supervisor->holder.ready)
			announce_ready(supervisor);
	} else if (supervisor->state == RUNNING) {
		log_info("all %zu workers are up again", supervisor->n_workers);
	}
}

static void on_holder_message(struct supervisor *supervisor, char message)
{
	struct child *holder = &supervisor->holder;

	if (message == HOLDER_PING)
		hold_keeper_heard(&supervisor->hold);
	if (message != HOLDER_READY || holder->ready)
		return;
	holder->ready = true;
	hold_keeper_ready(&supervisor->hold, holder->pid, holder->channel_fd);
	if (supervisor->state == STARTING)
		look_if_ready(supervisor);
	else if (supervisor->state == RUNNING)
		log_info("the holder is up again");
	else
		hold_keeper_end(&supervisor->hold);
}

static void on_worker_message(struct loop_source *source, uint32_t events)
{
	struct child *child = list_entry(source, struct child, source);
	struct supervisor *supervisor = child->owner;
	char message = 0;
	ssize_t n = recv(child->channel_fd, &message, 1, MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return; /* an event of its predecessor, which was replaced in this batch */
	if (n <= 0) {
		/* Its end is told by SIGCHLD; until then there is nothing more to hear. */
		loop_remove(&supervisor->loop, child->channel_fd);
		return;
	}
	if (child == &supervisor->holder) {
		on_holder_message(supervisor, message);
		return;
	}
	if (message == WORKER_SOCKETS && supervisor->transparent)
		send_sockets(child);
	if (message != WORKER_READY || child->ready)
		return;
	child->ready = true;
	look_if_ready(supervisor);
}

static void logger_died(struct supervisor *supervisor, int status)
{
	child_log_death(&supervisor->logger, "the logger", status);
	child_close_channel(&supervisor->logger);
	supervisor->logger.pid = 0;
	child_replace(&supervisor->logger);
}

static void holder_died(struct supervisor *supervisor, int status)
{
	struct child *holder = &supervisor->holder;
	bool unavailable = WIFEXITED(status) && WEXITSTATUS(status) == HOLDER_UNAVAILABLE;

	hold_keeper_gone(&supervisor->hold);
	child_close_channel(holder);
	if (status != 0 && !unavailable)
		child_log_death(holder, "the holder", status);
	holder->pid = 0;
	if (unavailable) { /* it has said why, and nothing will change that */
		holder->ready = true;
		if (supervisor->state == STARTING)
			look_if_ready(supervisor);
	} else if (supervisor->state == STARTING || supervisor->state == RUNNING) {
		child_replace(holder);
	}
}

static void worker_died(struct supervisor *supervisor, struct child *child, int status)
{
	const uint64_t one = 1;
	char what[48];

	/* It may have been killed between announcing a record and waking the logger. */
	if (write(supervisor->logger_wake_fd, &one, sizeof(one)) < 0)
		log_debug("cannot wake the logger: %s", strerror(errno));
	snprintf(what, sizeof(what), "worker %u", (unsigned)child->index);
	child_close_channel(child);
	child->deaths++;
	who_bury(supervisor->who, child->index, clock_wall_us());
	if (supervisor->state != DRAINING || status != 0)
		child_log_death(child, what, status);
	child->pid = 0;
	hold_keeper_worker_gone(&supervisor->hold, child->index);
	if (supervisor->state == STARTING) {
		log_error("%s could not start: the lines above say why; giving up", what);
		supervisor->state = FAILED;
		start_ending(supervisor);
	} else if (supervisor->state == RUNNING) {
		child_replace(child);
	}
}

static void reap_children(struct supervisor *supervisor)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == supervisor->logger.pid) {
			logger_died(supervisor, status);
			continue;
		}
		if (pid == supervisor->holder.pid) {
			holder_died(supervisor, status);
			continue;
		}
		for (size_t i = 0; i < supervisor->n_workers; i++)
			if (supervisor->workers[i].pid == pid)
				worker_died(supervisor, &supervisor->workers[i], status);
	}
}

/* Whether the logger is gone, or so stuck in the kernel that it is only reaped when it comes out.
 */
static bool logger_gone(const struct child *logger, uint32_t waited_ms)
{
	pid_t pid = waitpid(logger->pid, NULL, WNOHANG);

	return pid == logger->pid || (pid < 0 && errno == ECHILD) || waited_ms > 2 * END_GRACE_MS;
}

/* Ends the logger once it has written all there was; a stuck one is killed. */
static void stop_logger(struct supervisor *supervisor)
{
	enum { STEP_MS = 5 };
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000 };
	struct child *logger = &supervisor->logger;

	child_close_channel(logger);
	for (uint32_t waited = 0; logger->pid && !logger_gone(logger, waited); waited += STEP_MS) {
		if (waited >= END_GRACE_MS)
			kill(logger->pid, SIGKILL);
		nanosleep(&step, NULL);
	}
	logger->pid = 0;
}

/* For log rotation. The rings keep what comes in meanwhile. */
static void reopen_access_log(struct supervisor *supervisor)
{
	int fd = -1, err;

	err = access_file_open(supervisor->config, &fd);
	if (err) {
		log_error("access log %s: %s; the old file is kept",
			supervisor->config->access_log_path, strerror(-err));
		return;
	}
	stop_logger(supervisor);
	close_access_log(supervisor);
	supervisor->access_fd = fd;
	child_start_or_retry(&supervisor->logger);
	log_info("access log opened anew");
}

static void on_signal(struct loop_source *source, uint32_t events)
{
	struct supervisor *supervisor = list_entry(source, struct supervisor, signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(supervisor->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGTERM:
	case SIGINT:
		if (supervisor->state == DRAINING || supervisor->state == FAILED)
			start_ending(supervisor);
		else
			start_draining(supervisor);
		break;
	case SIGHUP:
		reopen_access_log(supervisor);
		break;
	case SIGUSR1:
		log_counters(supervisor);
		break;
	default: /* SIGCHLD, of which several may have become one */
		reap_children(supervisor);
	}
}

/* ---- control ---- */

static int run_status(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	static const char *const states[] = { "starting", "running", "draining", "failed" };
	const struct supervisor *supervisor = userdata;
	struct status_worker *workers = calloc(supervisor->n_workers, sizeof(*workers));
	const struct status_facts facts = {
		.config = supervisor->config,
		.pools = supervisor->pools,
		.state = states[supervisor->state],
		.now_ms = supervisor->loop.now_ms,
		.wall_us = clock_wall_us(),
		.started_ms = supervisor->started_ms,
		.workers = workers,
		.n_workers = supervisor->n_workers,
		.others = &supervisor->stats[supervisor->n_workers],
	};

	(void)args;
	(void)error;
	for (size_t i = 0; workers && i < supervisor->n_workers; i++)
		workers[i] = (struct status_worker){
			.pid = supervisor->workers[i].pid,
			.ready = supervisor->workers[i].pid && supervisor->workers[i].ready,
			.started_ms = supervisor->workers[i].started_ms,
			.deaths = supervisor->workers[i].deaths,
			.records_lost = ring_lost(supervisor->rings[i]),
			.stats = &supervisor->stats[i],
		};
	*ret_result = workers ? status_json(&facts) : NULL;
	free(workers);
	if (!*ret_result)
		return -ENOMEM;
	json_object_set_new(*ret_result, "control", control_json(supervisor->control));
	json_object_set_new(*ret_result, "guard", guard_json(supervisor->guard));
	return 0;
}

/* Without a socket the gateway works as well; the log says why. */
static int start_control(struct supervisor *supervisor)
{
	const struct control_command status = {
		.name = "status",
		.summary = "processes, listeners, pools and counters",
		.run = run_status,
		.userdata = supervisor,
	};

	supervisor->control = control_new(&supervisor->loop);
	if (!supervisor->control)
		return -ENOMEM;
	control_add(supervisor->control, &status);
	supervisor->who_command = (struct control_who){
		.config = supervisor->config,
		.who = supervisor->who,
		.stats = supervisor->stats,
		.n_workers = supervisor->n_workers,
	};
	control_who_add(supervisor->control, &supervisor->who_command);
	bans_start(supervisor->bans, supervisor->guard, supervisor->lists, supervisor->control);
	list_keeper_add_commands(supervisor->lists, supervisor->control);
	(void)control_open(supervisor->control, supervisor->config->run_directory,
		supervisor->config->control_group);
	return 0;
}

/* ---- start and end ---- */

static int open_signals(struct supervisor *supervisor)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	supervisor->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (supervisor->signal_fd < 0)
		return -errno;
	supervisor->signals.on_event = on_signal;
	return loop_add(&supervisor->loop, supervisor->signal_fd, EPOLLIN, &supervisor->signals);
}

/* Finds out now, and not when the first client comes, whether transparent listeners can work. */
static int check_transparent(struct supervisor *supervisor)
{
	const struct config *config = supervisor->config;
	const char *name = NULL;
	int err;

	for (size_t i = 0; i < config->n_listeners; i++)
		if (config_is_transparent(&config->listeners[i]))
			name = config->listeners[i].name;
	supervisor->transparent = name != NULL;
	if (!name)
		return 0;
	err = broker_probe();
	if (err)
		log_error("listener %s: identity transparent: %s%s", name, strerror(-err),
			err == -EPERM ? "; CAP_NET_ADMIN is needed: run as root or grant it" : "");
	return err;
}

static void init_child(struct supervisor *supervisor, struct child *child, size_t index)
{
	child_init(child, &supervisor->loop, run_child, on_worker_message, supervisor);
	child->index = (uint16_t)index;
}

/* What children share with us and one another. */
static int make_shared(struct supervisor *supervisor)
{
	size_t n = supervisor->n_workers, blocks = n + 1;

	supervisor->workers = calloc(n, sizeof(*supervisor->workers));
	supervisor->rings = calloc(blocks, sizeof(struct ring *));
	supervisor->stats = stats_create(blocks);
	supervisor->pools = pool_state_create(supervisor->config, n);
	if (!supervisor->workers || !supervisor->rings || !supervisor->stats || !supervisor->pools)
		return -ENOMEM;
	if (client_limits_needed(supervisor->config)) {
		supervisor->limits = client_limits_create(n, supervisor->config->n_listeners);
		if (!supervisor->limits)
			return -ENOMEM;
	}
	supervisor->n_blocks = blocks;
	for (size_t i = 0; i < n; i++)
		init_child(supervisor, &supervisor->workers[i], i);
	for (size_t i = 0; i < blocks; i++) {
		supervisor->rings[i] = ring_create(RING_SLOTS);
		if (!supervisor->rings[i])
			return -ENOMEM;
	}
	supervisor->who = who_create(supervisor->config, n);
	supervisor->logger_wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return supervisor->logger_wake_fd < 0 ? -errno : 0;
}

static int start_guard(struct supervisor *supervisor)
{
	supervisor->bans = bans_new(&supervisor->loop, supervisor->config);
	if (!supervisor->bans)
		return -ENOMEM;
	return guard_start(&supervisor->loop, supervisor->config, supervisor->pools,
		bans_list(supervisor->bans), &supervisor->guard);
}

static int make_udp_shared(struct supervisor *supervisor)
{
	const char *what = "";
	int err =
		udp_shared_open(&supervisor->udp, supervisor->config, supervisor->n_workers, &what);

	if (err)
		log_error("UDP listeners cannot have %s: %s", what, strerror(-err));
	else if (supervisor->udp.ports && supervisor->udp.icmp.fd6 < 0)
		log_warning("clients of UDP listeners get no ICMP errors: CAP_NET_RAW is needed");
	return err;
}

static int supervisor_start(struct supervisor *supervisor)
{
	const struct config *config = supervisor->config;
	char error[SOCKET_SET_ERROR_MAX];
	int err;

	if (geteuid() == 0 && sandbox_check_user(config->user) < 0) {
		log_error("user %s does not exist: name another with 'user', or create it",
			config->user ? config->user : "nobody");
		return -ENOENT;
	}
	err = access_file_open(config, &supervisor->access_fd);
	if (err) {
		log_error("access log %s: %s; name a file that can be written",
			config->access_log_path, strerror(-err));
		return err;
	}
	err = check_transparent(supervisor);
	if (!err)
		err = list_keeper_start(&supervisor->loop, config, &supervisor->lists);
	if (err)
		return err;
	err = make_shared(supervisor);
	/* From the first moment that there are sockets, nobody gets to them who is banned. */
	if (!err)
		err = start_guard(supervisor);
	if (err) {
		log_error("cannot start: %s", strerror(-err));
		return err;
	}
	err = socket_set_open(&supervisor->sockets, config, supervisor->n_workers, error);
	if (err) {
		log_error("%s", error);
		return err;
	}
	err = make_udp_shared(supervisor);
	if (err)
		return err;
	/* A signal to end waits until what is being set up can be taken away again. */
	err = open_signals(supervisor);
	if (err)
		return err;
	/* Whoever is led to our sockets from now on finds them open. */
	err = net_keeper_start(&supervisor->network, &supervisor->loop, config);
	if (err)
		return err;
	err = checker_start(&supervisor->loop, config, supervisor->pools, &supervisor->checker);
	if (!err)
		err = resolver_start(
			&supervisor->loop, config, supervisor->pools, &supervisor->resolver);
	if (!err)
		err = start_control(supervisor);
	if (!err)
		err = hold_keeper_init(&supervisor->hold, &supervisor->loop, config,
			supervisor->n_workers, supervisor->pools->n_backends);
	if (!err)
		err = child_start(&supervisor->logger);
	for (size_t i = 0; i < supervisor->n_workers && !err; i++)
		err = child_start(&supervisor->workers[i]);
	if (!err && supervisor->hold.wanted)
		err = child_start(&supervisor->holder);
	if (err)
		log_error("cannot start: %s", strerror(-err));
	return err;
}

static void supervisor_cleanup(struct supervisor *supervisor)
{
	if (supervisor->workers && children_alive(supervisor) > 0)
		on_end_due(&supervisor->end_timer);
	stop_logger(supervisor);
	child_close_channel(&supervisor->holder);
	hold_keeper_destroy(&supervisor->hold);
	if (supervisor->workers)
		for (size_t i = 0; i < supervisor->n_workers; i++)
			child_close_channel(&supervisor->workers[i]);
	socket_set_destroy(&supervisor->sockets);
	udp_shared_close(&supervisor->udp);
	net_keeper_stop(&supervisor->network);
	resolver_stop(supervisor->resolver);
	checker_stop(supervisor->checker);
	control_free(supervisor->control);
	guard_stop(supervisor->guard);
	bans_free(supervisor->bans);
	close_access_log(supervisor);
	if (supervisor->rings)
		for (size_t i = 0; i < supervisor->n_blocks; i++)
			ring_destroy(supervisor->rings[i]);
	stats_destroy(supervisor->stats, supervisor->n_workers + 1);
	pool_state_destroy(supervisor->pools);
	who_destroy(supervisor->who);
	client_limits_destroy(supervisor->limits);
	list_keeper_stop(supervisor->lists);
	free(supervisor->rings);
	free(supervisor->workers);
	if (supervisor->logger_wake_fd >= 0)
		close(supervisor->logger_wake_fd);
	if (supervisor->signal_fd >= 0)
		close(supervisor->signal_fd);
	loop_close(&supervisor->loop);
}

int supervisor_run(const struct config *config)
{
	struct supervisor supervisor = {
		.config = config,
		.n_workers = worker_count(config),
		.signal_fd = -1,
		.logger_wake_fd = -1,
		.access_fd = -1,
	};
	int err;

	if (config->log == LOG_TARGET_JOURNAL)
		log_set_sink(journal_log, NULL);
	raise_file_limit();
	err = loop_init(&supervisor.loop);
	if (err) {
		log_error("cannot start: %s", strerror(-err));
		return EXIT_FAILURE;
	}
	supervisor.started_ms = supervisor.loop.now_ms;
	init_child(&supervisor, &supervisor.logger, 0);
	init_child(&supervisor, &supervisor.holder, 0);
	timer_init(&supervisor.end_timer, on_end_due);
	err = supervisor_start(&supervisor);
	while (!err && (supervisor.state == STARTING || supervisor.state == RUNNING ||
			       children_alive(&supervisor) > 0))
		err = loop_run_once(&supervisor.loop, true);
	if (!err && supervisor.state == DRAINING) {
		log_counters(&supervisor);
		log_info("ended");
	}
	if (supervisor.state == FAILED)
		err = -EIO;
	supervisor_cleanup(&supervisor);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
