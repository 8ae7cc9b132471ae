#include "net_keeper.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net_wanted.h"
#include "nft_table.h"

/*
 * Theory of operation
 *
 * There is one kind of work, a look: read what the kernel has, plan, carry the plan out. At the
 * start it is all or nothing. From then on a look is due
 *
 *   SETTLE_MS after the watch said that something of ours, or a link, has changed; events that come
 *   meanwhile are of the same look;
 *   after a delay that doubles, if a step failed or if somebody keeps undoing what we do;
 *   and every PATROL_MS, whatever happens.
 *
 * The watch is only ever a hint: a look reads everything, so lost events cost nothing but time. Our
 * own changes wake us once more, and that look finds nothing to do.
 *
 * Somebody insists if more than REPAIRS_MAX looks within WINDOW_MS had to change something. Then
 * one line is written, and looks are as far apart as the delay says until a window goes by in
 * peace.
 *
 * An abstract socket, whose name is free in each network namespace, keeps two gateways from
 * fighting over the marks that both would think theirs.
 */
#define SETTLE_MS	20U
#define PATROL_MS	30000U
#define BACKOFF_MIN_MS	1000U
#define BACKOFF_MAX_MS	60000U
#define WINDOW_MS	10000U
#define REPAIRS_MAX	16U
#define STEPS_LOGGED	16U
#define OWNER_BACKLOG	128
#define ASK_TRIES	50
#define ASK_PAUSE_MS	20
#define LOCK_WAIT_MS	2000U /* at start and end; in between there is another look */
#define OWNER_NAME	"sixgate/network"
#define NEEDS_NET_ADMIN "CAP_NET_ADMIN is needed: run as root or grant it"

/* ---- one gateway a namespace ---- */

/* Whether who has our name may have it: a gateway of root's, or of our own user's. */
static bool owner_is_gateway(const struct sockaddr_un *name, socklen_t name_len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred owner = { 0 };
	socklen_t len = sizeof(owner);
	bool known;
	int err;

	if (fd < 0)
		return true;
	/* A gateway's queue may be full of others that ask, but then it takes them off. */
	for (unsigned tries = 0; tries < ASK_TRIES; tries++) {
		err = connect(fd, (const struct sockaddr *)name, name_len) < 0 ? errno : 0;
		if (err != EAGAIN)
			break;
		(void)poll(NULL, 0, ASK_PAUSE_MS);
	}
	known = !err && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &owner, &len) == 0;

	known = known && (owner.uid == 0 || owner.uid == geteuid());
	close(fd);
	return known;
}

static int become_owner(struct net_keeper *keeper)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(OWNER_NAME));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	memcpy(name.sun_path + 1, OWNER_NAME, sizeof(OWNER_NAME) - 1);
	if (bind(fd, (struct sockaddr *)&name, len) < 0 || listen(fd, OWNER_BACKLOG) < 0)
		err = -errno;
	/* Anybody can take the name; that must not keep us from working. */
	if (err == -EADDRINUSE && !owner_is_gateway(&name, len)) {
		log_warning("network: a user without rights to it has taken the name by which "
			    "gateways know each other: find out who with 'ss -xlp'");
		err = 0;
	}
	if (err) {
		close(fd);
		return err;
	}
	keeper->owner_fd = fd;
	return 0;
}

/* Those who came to ask have their answer; their queue must not fill up. */
static void clear_askers(struct net_keeper *keeper)
{
	int fd;

	while ((fd = accept4(keeper->owner_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
}

/* ---- a look ---- */

static const char *remedy(int err)
{
	switch (err) {
	case -EPERM:
		return NEEDS_NET_ADMIN;
	case -EEXIST:
		return "something that is not ours is in its place: remove that, or choose another "
		       "table, priority or address";
	case -EACCES:
		return "the kernel does not allow it there: is IPv6 switched off on the interface?";
	case -ENETDOWN:
		return "the interface is down: ip link set dev NAME up";
	case -EWOULDBLOCK:
		return "another program is changing the network: try again when it has finished";
	case -EPROTONOSUPPORT:
		return "this kernel has no nftables";
	default:
		return "see 'sixgatectl net plan' and 'sixgatectl doctor'";
	}
}

static void log_failure(const struct net_apply_failure *failure, const char *what)
{
	if (failure->step == 0)
		log_error("network: %s: %s%s%s; %s", what, strerror(-failure->error),
			failure->text[0] ? ": " : "", failure->text, remedy(failure->error));
	else
		log_error("network: %s: %s: %s; %s%s", what, failure->text,
			strerror(-failure->error), remedy(failure->error),
			failure->undone ? "; what was done before is taken back" : "");
}

static void log_steps(const struct net_plan *plan, const char *what)
{
	char text[NET_TEXT_MAX];

	for (size_t i = 0; i < plan->n_steps && i < STEPS_LOGGED; i++)
		log_info("network: %s: %s", what, net_text_step(&plan->steps[i], text));
	if (plan->n_steps > STEPS_LOGGED)
		log_info("network: %s: and %zu steps more", what, plan->n_steps - STEPS_LOGGED);
}

/* An interface that is missing is told when it goes, and when it is back. */
static void log_obstacles(struct net_keeper *keeper, const struct net_plan *plan)
{
	if (plan->n_obstacles > 0 && !keeper->was_blocked)
		log_warning("network: interface %s is missing: what belongs there waits until it "
			    "comes",
			plan->obstacles[0].ifname);
	else if (plan->n_obstacles == 0 && keeper->was_blocked)
		log_info("network: all interfaces are there again");
	keeper->was_blocked = plan->n_obstacles > 0;
}

/* Carries a plan out under the journal's lock. */
static int run_plan(struct net_keeper *keeper, const struct net_plan *plan,
	const struct net_wanted *wanted, enum net_apply_mode mode, unsigned wait_ms,
	struct net_apply_failure *failure)
{
	struct net_journal journal = { .fd = -1 };
	struct net_journal_past past = { 0 };
	int err;

	err = net_journal_open(&journal, keeper->config->run_directory, wait_ms, &past);
	if (err) {
		*failure = (struct net_apply_failure){ .error = err };
		snprintf(failure->text, sizeof(failure->text), "%.200s/net.journal",
			keeper->config->run_directory);
		return err;
	}
	if (past.interrupted)
		log_warning("network: an earlier run was cut off at step %zu (%s): going on from "
			    "what the kernel has",
			past.step, past.text);
	err = net_apply_run(&keeper->channels, plan, wanted, &journal, mode, failure);
	net_journal_close(&journal);
	return err;
}

/* Of what is wanted, to what is. ret_steps: how many steps it took. */
static int look(struct net_keeper *keeper, const struct net_wanted *wanted,
	enum net_apply_mode mode, unsigned wait_ms, const char *what, size_t *ret_steps)
{
	struct net_apply_failure failure = { 0 };
	struct net_plan plan = { 0 };
	unsigned suppressed = 0;
	int err;

	err = net_apply_plan(&keeper->channels, wanted, &plan);
	if (err)
		failure.error = err;
	else if (plan.n_steps > 0)
		err = run_plan(keeper, &plan, wanted, mode, wait_ms, &failure);
	if (!err)
		log_obstacles(keeper, &plan);
	if (err && (mode == NET_APPLY_ALL_OR_NOTHING ||
			   log_allowed(&keeper->log, keeper->loop->now_ms, &suppressed)))
		log_failure(&failure, what);
	if (plan.n_steps > 0 && keeper->backoff_ms == 0 && !err)
		log_steps(&plan, what);
	*ret_steps = plan.n_steps;
	net_plan_clear(&plan);
	return err;
}

/* ---- when to look ---- */

static void look_at(struct net_keeper *keeper, uint64_t due_ms)
{
	assert(keeper->owner_fd >= 0); /* who is not the one, must not touch anything */
	keeper->due_ms = due_ms;
	loop_timer_set(keeper->loop, &keeper->timer, due_ms);
}

/* Counts looks that had to change something; true: somebody keeps undoing it. */
static bool somebody_insists(struct net_keeper *keeper, bool repaired)
{
	uint64_t now_ms = keeper->loop->now_ms;

	if (now_ms - keeper->window_ms > WINDOW_MS + keeper->backoff_ms) {
		keeper->window_ms = now_ms;
		keeper->repairs = 0;
	}
	keeper->repairs += repaired;
	if (repaired && keeper->backoff_ms) /* still at it: the window begins anew */
		keeper->window_ms = now_ms;
	return keeper->repairs > REPAIRS_MAX || (keeper->backoff_ms && keeper->repairs > 0);
}

/* The delay after this one. */
static uint32_t grow_delay(uint32_t delay_ms)
{
	if (delay_ms == 0)
		return BACKOFF_MIN_MS;
	return delay_ms < BACKOFF_MAX_MS / 2 ? 2 * delay_ms : BACKOFF_MAX_MS;
}

static void on_look_due(struct timer *timer)
{
	struct net_keeper *keeper = list_entry(timer, struct net_keeper, timer);
	uint64_t now_ms = keeper->loop->now_ms;
	size_t steps = 0;
	bool insists;
	int err;

	err = look(keeper, &keeper->wanted, NET_APPLY_AS_FAR_AS_POSSIBLE, 0, "put back", &steps);
	clear_askers(keeper);
	insists = somebody_insists(keeper, steps > 0 && !err);
	if (insists && keeper->backoff_ms == 0)
		log_warning("network: somebody keeps changing what is ours, or takes it away: find "
			    "out who with 'ip monitor' and 'nft monitor'; from now on it is put "
			    "back more and more slowly, up to once in %u s",
			BACKOFF_MAX_MS / 1000);
	keeper->retry_ms = err ? grow_delay(keeper->retry_ms) : 0;
	if (!insists)
		keeper->backoff_ms = 0;
	else if (steps > 0)
		keeper->backoff_ms = grow_delay(keeper->backoff_ms);
	if (keeper->backoff_ms)
		look_at(keeper, now_ms + keeper->backoff_ms);
	else
		look_at(keeper, now_ms + (err ? keeper->retry_ms : PATROL_MS));
}

static void on_watch(struct net_keeper *keeper)
{
	uint64_t soon = keeper->loop->now_ms + SETTLE_MS;
	unsigned events = 0;
	int err = net_watch_read(&keeper->watch, NFT_TABLE_NAME, &events);

	if (err)
		log_debug("network: cannot read what has changed: %s", strerror(-err));
	if (events & NET_EVENT_LOST)
		log_debug("network: notifications were lost, reading everything again");
	/* A running delay is only cut short by a link, which may be what was missing. */
	if ((err || events) && keeper->due_ms > soon &&
		(keeper->backoff_ms == 0 || events & NET_EVENT_LINKS))
		look_at(keeper, soon);
}

static void on_route_event(struct loop_source *source, uint32_t events)
{
	(void)events;
	on_watch(list_entry(source, struct net_keeper, route_source));
}

static void on_nft_event(struct loop_source *source, uint32_t events)
{
	(void)events;
	on_watch(list_entry(source, struct net_keeper, nft_source));
}

/* ---- start and end ---- */

/* The kernel keeps nftables to itself without CAP_NET_ADMIN; then nothing can be diverted. */
static int check_nft(struct net_keeper *keeper)
{
	char *image = NULL;
	int err = keeper->channels.nft.fd < 0 ? -EPROTONOSUPPORT
					      : nft_table_read(&keeper->channels.nft, &image);

	free(image);
	if (!err || keeper->wanted.nft.n_rules == 0)
		return 0;
	log_error("network: nftables: %s; %s", strerror(-err), remedy(err));
	return err;
}

static int start_watch(struct net_keeper *keeper)
{
	int err = net_watch_open(&keeper->watch, keeper->config->network.receive_buffer);

	if (err)
		return err;
	keeper->route_source.on_event = on_route_event;
	keeper->nft_source.on_event = on_nft_event;
	err = loop_add(keeper->loop, keeper->watch.route_fd, EPOLLIN, &keeper->route_source);
	if (!err && keeper->watch.nft_fd >= 0)
		err = loop_add(keeper->loop, keeper->watch.nft_fd, EPOLLIN, &keeper->nft_source);
	return err;
}

static int start_active(struct net_keeper *keeper)
{
	size_t steps = 0;
	int err;

	err = net_channels_open(&keeper->channels, keeper->config->network.receive_buffer);
	if (!err)
		err = start_watch(keeper);
	if (err) {
		log_error("network: cannot talk to the kernel: %s", strerror(-err));
		return err;
	}
	err = check_nft(keeper);
	if (!err)
		err = look(keeper, &keeper->wanted, NET_APPLY_ALL_OR_NOTHING, LOCK_WAIT_MS,
			"set up", &steps);
	if (!err)
		look_at(keeper, keeper->loop->now_ms + PATROL_MS);
	return err;
}

int net_keeper_start(struct net_keeper *keeper, struct loop *loop, const struct config *config)
{
	bool needed = config_needs_network(config);
	struct net_journal_past past;
	int err;

	*keeper = (struct net_keeper){
		.config = config,
		.loop = loop,
		.channels = { .route.fd = -1, .nft.fd = -1 },
		.watch = { .route_fd = -1, .nft_fd = -1 },
		.owner_fd = -1,
	};
	timer_init(&keeper->timer, on_look_due);
	if (!needed && net_journal_peek(config->run_directory, &past) < 0)
		return 0;
	err = become_owner(keeper);
	if (err && !needed)
		return 0; /* what is there belongs to the gateway that runs beside us */
	if (err == -EADDRINUSE) {
		log_error("network: another gateway looks after this machine's network: put its "
			  "listeners and ours into one configuration");
		return err;
	}
	if (!err)
		err = net_wanted_make(config, net_wanted_has_conntrack(), &keeper->wanted);
	return err ? err : start_active(keeper);
}

void net_keeper_abandon(struct net_keeper *keeper)
{
	if (!keeper->loop || keeper->owner_fd < 0)
		return;
	net_watch_close(&keeper->watch);
	net_channels_close(&keeper->channels);
	close(keeper->owner_fd);
	keeper->owner_fd = -1;
}

void net_keeper_stop(struct net_keeper *keeper)
{
	const struct net_wanted nothing = { 0 };
	size_t steps = 0;

	if (!keeper->loop || keeper->owner_fd < 0)
		return;
	loop_timer_cancel(keeper->loop, &keeper->timer);
	keeper->backoff_ms = 0;
	if (keeper->channels.route.fd >= 0 && !keeper->config->network.keep)
		(void)look(keeper, &nothing, NET_APPLY_AS_FAR_AS_POSSIBLE, LOCK_WAIT_MS,
			"taken away", &steps);
	else if (keeper->config->network.keep)
		log_info("network: kept, as the configuration says");
	net_wanted_clear(&keeper->wanted);
	net_keeper_abandon(keeper);
}
