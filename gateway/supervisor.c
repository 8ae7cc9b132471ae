#include "supervisor.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "access_file.h"
#include "broker.h"
#include "clock.h"
#include "holder.h"
#include "journal.h"
#include "log.h"
#include "notify.h"
#include "sandbox.h"
#include "supervisor_child.h"
#include "supervisor_control.h"
#include "supervisor_end.h"
#include "supervisor_estate.h"
#include "supervisor_observer.h"
#include "supervisor_service.h"
#include "supervisor_state.h"
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
 *
 * The order of a start, each step for a reason: what an image before has left comes first, as the
 * way back is part of it; then what can be found wrong without touching anything; bans before
 * sockets, so that nobody banned gets in by the first one; signals before the network is changed,
 * so that whatever ends us can be made to take it back; processes last. Descriptors that exist at
 * the fork are inherited, so each module that has some has an *_abandon() for children.
 *
 * Whatever fails goes through supervisor_cleanup(), which takes what was never made.
 *
 * Nothing here may wait: health checks, DNS and control share this loop. Exceptions are the end of
 * a logger (SUPERVISOR_END_GRACE_MS), and the network's lock at start and end.
 */

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

/* Every flow takes two descriptors; the hard limit is the administrator's word, the soft one a
 * habit. */
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
	shared_log(&supervisor->shared);
	checker_log(supervisor->checker);
	resolver_log(supervisor->resolver);
	list_keeper_log(supervisor->lists);
	control_log(supervisor->control);
	guard_log(supervisor->guard);
}

/* ---- the course of things ---- */

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
	const struct socket_set *sockets = &supervisor->sockets;

	assert(supervisor->state == STARTING);
	supervisor->state = RUNNING;
	if (supervisor->trying) /* which was to get this far, and no further */
		return;
	for (size_t i = 0; i < sockets->n_all; i++)
		if (sockets->all[i].name.row == 0 && !sockets->all[i].kept)
			announce_bind(supervisor,
				&supervisor->config->listeners[sockets->all[i].listener],
				sockets->all[i].bind);
	log_info("ready: %zu workers", supervisor->n_workers);
	/* Before any flow is handed over to the new workers: who comes next has to find them. */
	supervisor_estate_keep(supervisor);
	if (supervisor->setup->estate)
		supervisor_estate_take_over(supervisor);
	(void)notify_send("READY=1", -1);
	successor_go_on(supervisor->successor);
}

static void send_sockets(struct child *child)
{
	int err = broker_send(child->channel_fd, WORKER_SOCKETS);

	if (err)
		log_warning(
			"worker %u gets no sockets: %s", (unsigned)child->index, strerror(-err));
}

/*
 * Once every worker is, and the holder is or cannot be. Also after each that was replaced: the
 * estate that the service manager keeps then names processes and channels that are gone.
 */
static void look_if_ready(struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->n_workers; i++)
		if (!supervisor->workers[i].ready)
			return;
	if (supervisor->state == STARTING) {
		/* One that dies is tried again and again; meanwhile clients are let in at once. */
		if (!supervisor->hold.wanted || supervisor->holder.ready ||
			supervisor->holder.deaths > 0)
			announce_ready(supervisor);
	} else if (supervisor->state == RUNNING) {
		log_info("all %zu workers are up again", supervisor->n_workers);
		supervisor_estate_keep(supervisor);
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
		supervisor_end_holding(supervisor);
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
	if (supervisor_observer_heard(supervisor, child, message))
		return;
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

/* Records wait in the rings meanwhile, and are counted when those are full. */
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

	shared_wake(&supervisor->shared); /* as for a worker */
	hold_keeper_gone(&supervisor->hold);
	child_close_channel(holder);
	holder->deaths++;
	if (status != 0 && !unavailable)
		child_log_death(holder, "the holder", status);
	holder->pid = 0;
	if (unavailable) /* it has said why, and nothing will change that */
		holder->ready = true;
	else if (supervisor->state == STARTING || supervisor->state == RUNNING)
		child_replace(holder);
	if (supervisor->state == STARTING)
		look_if_ready(supervisor);
}

static void worker_died(struct supervisor *supervisor, struct child *child, int status)
{
	char what[48];

	assert(child->pid != 0 && child->index < supervisor->n_workers);
	/* It may have been killed between announcing a record and waking the logger. */
	shared_wake(&supervisor->shared);
	snprintf(what, sizeof(what), "worker %u", (unsigned)child->index);
	child_close_channel(child);
	child->deaths++;
	who_bury(supervisor->shared.who, child->index, clock_wall_us());
	if (supervisor->state != DRAINING || status != 0)
		child_log_death(child, what, status);
	child->pid = 0;
	child->ready = false; /* already now: its successor may be long in coming */
	hold_keeper_worker_gone(&supervisor->hold, child->index);
	if (supervisor->state == STARTING) {
		log_error("%s could not start: the lines above say why; giving up", what);
		supervisor->state = FAILED;
		supervisor_end_now(supervisor);
	} else if (supervisor->state == RUNNING) {
		child_replace(child);
	}
}

/* Two cannot have the same clients: that of before leaves first. */
static void start_holder_if_alone(struct supervisor *supervisor)
{
	if (supervisor->hold.wanted && supervisor->holder.pid == 0 && !supervisor->holder.ready &&
		(supervisor->state == STARTING || supervisor->state == RUNNING) &&
		predecessors_alive(supervisor->before, PREDECESSOR_HOLDER) == 0)
		child_start_or_retry(&supervisor->holder);
}

/*
 * Signals of the same kind are not queued: one SIGCHLD may stand for several deaths, so it asks
 * until there are no more. A process that nobody knows is a trial that was ended before.
 */
static void reap_children(struct supervisor *supervisor)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (successor_reaped(supervisor->successor, pid, status))
			continue;
		if (predecessors_reaped(supervisor->before, pid, status)) {
			start_holder_if_alone(supervisor);
			continue;
		}
		if (supervisor_observer_reaped(supervisor, pid, status))
			continue;
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

/* Whether the logger is gone, or so stuck in the kernel that it is reaped when it comes out. */
static bool logger_gone(const struct child *logger, uint32_t waited_ms)
{
	pid_t pid = waitpid(logger->pid, NULL, WNOHANG);

	return pid == logger->pid || (pid < 0 && errno == ECHILD) ||
	       waited_ms > 2 * SUPERVISOR_END_GRACE_MS;
}

/* Ends the logger once it has written all there was; a stuck one is killed. */
static void stop_logger(struct supervisor *supervisor)
{
	enum { STEP_MS = 5 };
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000 };
	struct child *logger = &supervisor->logger;

	/* The service manager may have a copy of the channel. */
	if (logger->channel_fd >= 0)
		shutdown(logger->channel_fd, SHUT_RDWR);
	child_close_channel(logger);
	for (uint32_t waited = 0; logger->pid && !logger_gone(logger, waited); waited += STEP_MS) {
		if (waited >= SUPERVISOR_END_GRACE_MS)
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
	supervisor_child_close_access(supervisor);
	supervisor->access_fd = fd;
	child_start_or_retry(&supervisor->logger);
	if (supervisor->state == RUNNING)
		supervisor_estate_keep(supervisor);
	log_info("access log opened anew");
}

static bool is_running(void *userdata)
{
	const struct supervisor *supervisor = userdata;

	return supervisor->state == RUNNING;
}

/* Who asked for a successor may have wanted this alone. */
static void on_no_successor(void *userdata)
{
	shared_go_on(&((struct supervisor *)userdata)->shared);
	reopen_access_log(userdata);
}

static void on_end_asked(struct supervisor *supervisor)
{
	if (supervisor->state == DRAINING || supervisor->state == FAILED)
		supervisor_end_now(supervisor);
	else
		supervisor_end_drain(supervisor);
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
		supervisor_service_leave(supervisor);
		on_end_asked(supervisor);
		break;
	case SIGINT:
		on_end_asked(supervisor);
		break;
	case SIGHUP:
		/* Who rotates logs waits for no successor. */
		reopen_access_log(supervisor);
		successor_ask(supervisor->successor);
		break;
	case SIGUSR2:
		reopen_access_log(supervisor);
		break;
	case SIGUSR1:
		log_counters(supervisor);
		break;
	default: /* SIGCHLD, of which several may have become one */
		reap_children(supervisor);
	}
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
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
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
	child_init(child, &supervisor->loop, supervisor_child_run, on_worker_message, supervisor);
	child->index = (uint16_t)index;
}

static int start_guard(struct supervisor *supervisor)
{
	supervisor->bans = bans_new(&supervisor->loop, supervisor->config);
	if (!supervisor->bans)
		return -ENOMEM;
	return guard_start(&supervisor->loop, supervisor->config, supervisor->shared.pools,
		supervisor->shared.drains, bans_list(supervisor->bans), supervisor->setup->estate,
		&supervisor->guard);
}

/* What can be found out before anything is opened. */
static int check(struct supervisor *supervisor)
{
	const struct config *config = supervisor->config;
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
	return err ? err : list_keeper_start(&supervisor->loop, config, &supervisor->lists);
}

/* All that serves, but for processes. */
static int start_services(struct supervisor *supervisor)
{
	const struct config *config = supervisor->config;
	int err;

	/* Whoever is led to our sockets from now on finds them open. */
	err = net_keeper_start(&supervisor->network, &supervisor->loop, config);
	if (err)
		return err;
	err = checker_start(
		&supervisor->loop, config, supervisor->shared.pools, &supervisor->checker);
	if (!err)
		err = resolver_start(
			&supervisor->loop, config, supervisor->shared.pools, &supervisor->resolver);
	if (!err)
		err = supervisor_control_start(supervisor);
	if (!err)
		err = hold_keeper_init(&supervisor->hold, &supervisor->loop, config,
			supervisor->n_workers, supervisor->shared.pools->n_backends);
	if (!err)
		supervisor_observer_start(supervisor);
	return err;
}

static int start_processes(struct supervisor *supervisor)
{
	int err = child_start(&supervisor->logger);

	for (size_t i = 0; i < supervisor->n_workers && !err; i++)
		err = child_start(&supervisor->workers[i]);
	if (!err)
		start_holder_if_alone(supervisor);
	if (err)
		log_error("cannot start: %s", strerror(-err));
	return err;
}

/* Who is served with what, before there are sockets. */
static int prepare(struct supervisor *supervisor)
{
	int err;

	err = shared_make(&supervisor->shared, supervisor->config, supervisor->n_workers);
	if (err)
		return err;
	supervisor->workers = calloc(supervisor->n_workers, sizeof(*supervisor->workers));
	if (!supervisor->workers)
		return -ENOMEM;
	for (size_t i = 0; i < supervisor->n_workers; i++)
		init_child(supervisor, &supervisor->workers[i], i);
	supervisor->orders =
		orders_new(supervisor->config, supervisor->shared.pools, supervisor->shared.drains);
	if (!supervisor->orders)
		return -ENOMEM;
	if (!supervisor->setup->estate)
		return 0;
	shared_inherit(&supervisor->shared, supervisor->config, supervisor->setup->estate);
	return orders_inherit(supervisor->orders, supervisor->setup->estate);
}

static int open_sockets(struct supervisor *supervisor)
{
	char error[SOCKET_SET_ERROR_MAX];
	int err = socket_set_open(&supervisor->sockets, supervisor->config, supervisor->n_workers,
		supervisor->setup->estate, error);

	if (err)
		log_error("%s", error);
	return err;
}

static int supervisor_start(struct supervisor *supervisor)
{
	int err;

	supervisor_service_start(supervisor);
	/* First of all: the way back is part of it. */
	err = supervisor_estate_inherit(supervisor);
	if (!err)
		err = check(supervisor);
	if (!err)
		err = prepare(supervisor);
	/* From the first moment that there are sockets, nobody gets to them who is banned. */
	if (!err)
		err = start_guard(supervisor);
	if (!err)
		err = open_sockets(supervisor);
	/* A signal to end waits until what is being set up can be taken away again. */
	if (!err)
		err = open_signals(supervisor);
	/* Of those who have ended since the image before this one no signal may come. */
	if (!err)
		reap_children(supervisor);
	if (!err)
		err = start_services(supervisor);
	return err ? err : start_processes(supervisor);
}

static void supervisor_cleanup(struct supervisor *supervisor)
{
	if (supervisor->workers && supervisor_end_children(supervisor) > 0)
		supervisor_end_kill(supervisor);
	supervisor_observer_stop(supervisor);
	stop_logger(supervisor);
	child_close_channel(&supervisor->holder);
	hold_keeper_destroy(&supervisor->hold);
	if (supervisor->workers)
		for (size_t i = 0; i < supervisor->n_workers; i++)
			child_close_channel(&supervisor->workers[i]);
	socket_set_destroy(&supervisor->sockets);
	net_keeper_stop(&supervisor->network);
	resolver_stop(supervisor->resolver);
	checker_stop(supervisor->checker);
	control_free(supervisor->control);
	successor_free(supervisor->successor);
	predecessors_free(supervisor->before);
	guard_stop(supervisor->guard);
	bans_free(supervisor->bans);
	supervisor_child_close_access(supervisor);
	orders_free(supervisor->orders);
	shared_destroy(&supervisor->shared);
	fd_store_clear(&supervisor->store);
	list_keeper_stop(supervisor->lists);
	free(supervisor->workers);
	if (supervisor->signal_fd >= 0)
		close(supervisor->signal_fd);
	loop_close(&supervisor->loop);
}

static void on_predecessor_left(void *userdata)
{
	struct supervisor *supervisor = userdata;

	start_holder_if_alone(supervisor);
	if (supervisor->state == RUNNING)
		supervisor_estate_keep(supervisor);
}

static int init(struct supervisor *supervisor, const struct supervisor_setup *setup)
{
	const struct successor_setup successor = {
		.path = setup->path,
		.config_fd = setup->config_fd,
		.argv = setup->argv,
		.bequeath = supervisor_estate_bequeath,
		.on_failure = on_no_successor,
		.is_possible = is_running,
		.before = &supervisor->before,
		.userdata = supervisor,
	};
	int err;

	*supervisor = (struct supervisor){
		.setup = setup,
		.config = setup->config,
		.n_workers = worker_count(setup->config),
		.signal_fd = -1,
		.shared.wake_fd = -1,
		.shared.carried_fd = -1,
		.access_fd = -1,
		.keep = supervisor_estate_keep,
		.metrics_fds = { -1, -1, -1, -1 },
		.history_fd = -1,
	};
	err = loop_init(&supervisor->loop);
	if (err)
		return err;
	supervisor->started_ms = supervisor->loop.now_ms;
	init_child(supervisor, &supervisor->logger, 0);
	init_child(supervisor, &supervisor->holder, 0);
	init_child(supervisor, &supervisor->observer, 0);
	supervisor_end_init(supervisor);
	supervisor->before = predecessors_new(&supervisor->loop, on_predecessor_left, supervisor);
	supervisor->successor = successor_new(&supervisor->loop, &successor);
	return supervisor->before && supervisor->successor ? 0 : -ENOMEM;
}

int supervisor_run(const struct supervisor_setup *setup)
{
	struct supervisor supervisor;
	int err;

	journal_begin(setup->config->log == LOG_TARGET_JOURNAL,
		setup->config->access_log == LOG_TARGET_JOURNAL);
	raise_file_limit();
	err = init(&supervisor, setup);
	if (err) {
		log_error("cannot start: %s", strerror(-err));
		successor_go_back(setup->estate, setup->argv, log_last_error());
		return EXIT_FAILURE;
	}
	err = supervisor_start(&supervisor);
	while (!err && (supervisor.state == STARTING || supervisor.state == RUNNING ||
			       supervisor_end_children(&supervisor) > 0))
		err = loop_run_once(&supervisor.loop, true);
	if (!err && supervisor.state == DRAINING) {
		log_counters(&supervisor);
		log_info("ended");
	}
	if (supervisor.state == FAILED)
		err = -EIO;
	else if (supervisor.state == STARTING)
		supervisor.state = FAILED;
	if (err && setup->estate)
		successor_fall_back(supervisor.successor);
	supervisor_cleanup(&supervisor);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Workers that have no clients: as far as they get, their successors get. */
static int try_start(struct supervisor *supervisor)
{
	char error[SOCKET_SET_ERROR_MAX];
	int err;

	supervisor->trying = true;
	err = check(supervisor);
	if (err)
		return err;
	err = socket_set_try(supervisor->config, supervisor->setup->estate, error);
	if (err) {
		log_error("%s", error);
		return err;
	}
	err = open_signals(supervisor);
	if (!err)
		err = prepare(supervisor);
	if (!err)
		err = start_processes(supervisor);
	while (!err && supervisor->state == STARTING)
		err = loop_run_once(&supervisor->loop, true);
	return supervisor->state == RUNNING ? err : -EIO;
}

int supervisor_try(const struct supervisor_setup *setup)
{
	struct supervisor supervisor;
	int err;

	raise_file_limit();
	err = init(&supervisor, setup);
	if (!err)
		err = try_start(&supervisor);
	supervisor_cleanup(&supervisor);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
