#include "guard.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <nft_guard.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "guard_wanted.h"
#include "log.h"

/*
 * Theory of operation
 *
 * What is wanted is worked out anew from the configuration and the state of the pools, and put in
 * place of all there is, in one batch: at once when a pool goes down or comes back, but for what
 * changes in the same round of events, which waits for the next tick.
 *
 *              table made                    a batch failed
 *   CLOSED ───────────────────► OPEN ─────────────────────────► CLOSED, and again after a delay
 *     │ not allowed, not known
 *     └──────► UNABLE, for good; workers do what they can
 *
 * After a failure nothing is known of the table, so it goes with its socket, and is made anew from
 * nothing: so there is one way to make it only. Somebody else's table is asked after again and
 * again, as that may be the predecessor that is about to end.
 *
 * "down" is what the pools are, "refusing" what the table has been told: the log and the counters
 * follow the second, so they never say of clients what the kernel does not do.
 *
 * Bans and refusals are put separately: a change of bans touches elements of sets only, of which
 * there may be 65,536, and a change of a pool the few rules only. Rules for bans are there while
 * there are any, so that without them no packet is looked up in a set.
 *
 * From image to image the table goes on with its descriptor: an owned table has no moment without
 * an owner then, and who is banned does not get in during a reload.
 */
#define BACKOFF_MIN_MS 100U
#define BACKOFF_MAX_MS 5000U

enum guard_phase { CLOSED, OPEN, UNABLE };

struct guard {
	struct loop *loop;
	const struct config *config;
	struct pool_state *pools;
	const struct drain_state *drains;
	struct pool_state_watch watch;
	const struct ban_list *bans;
	struct nft_guard table;
	enum guard_phase phase;
	struct timer timer;  /* the next try, or what has to be done yet */
	uint64_t tried_ms;   /* the last try, whether it worked or not */
	uint32_t backoff_ms; /* until the next one; 0: the last one worked */
	int said;	     /* the error that the log tells of already */
	bool has_bans;	     /* the table has rules for them */
	bool *down;	     /* one for each pool: nobody serves, and some listener refuses then */
	bool *refusing;	     /* the same as the table has it */
	uint64_t begun, ended; /* refusals, counted by pool */
};

/* ---- what is said ---- */

const char *guard_why(int err)
{
	switch (err) {
	case -EPERM:
		return "CAP_NET_ADMIN is needed: run as root or grant it";
	case -EBUSY:
		return "another gateway in this network namespace has it: put its listeners and "
		       "ours into one configuration";
	case -EPROTONOSUPPORT:
		return "it takes nftables and Linux 5.12 or later";
	default:
		return "the kernel did not take it, and it is tried again; the log says more";
	}
}

static void say_failure(struct guard *guard, int err)
{
	if (guard->said == err)
		return;
	guard->said = err;
	log_warning("guard: no table %s: %s; %s; meanwhile clients of a pool that is down are "
		    "accepted and then reset, and so are those that are banned",
		NFT_GUARD_TABLE, strerror(-err), guard_why(err));
}

static bool has_refusals(const struct guard *guard, size_t pool)
{
	const struct config *config = guard->config;

	for (size_t i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].protocol == IPPROTO_TCP &&
			!config->listeners[i].embedded && config->listeners[i].pool == pool &&
			config->listeners[i].refuse != CONFIG_REFUSE_ACCEPT)
			return true;
	return false;
}

/* After the table has taken it over. */
static void note_refusals(struct guard *guard)
{
	for (size_t i = 0; i < guard->config->n_pools; i++) {
		if (guard->down[i] == guard->refusing[i] || !has_refusals(guard, i))
			continue;
		guard->refusing[i] = guard->down[i];
		guard->begun += guard->down[i];
		guard->ended += !guard->down[i];
		if (guard->down[i])
			log_warning("pool %s: no backend is left: new clients are refused",
				guard->config->pools[i].name);
		else
			log_info("pool %s: new clients are let in again",
				guard->config->pools[i].name);
	}
}

/* ---- what is done ---- */

static int put_rules(struct guard *guard)
{
	const struct guard_view view = {
		.pool_down = guard->down,
		.has_bans = guard->bans->n > 0,
		.drains = guard->drains,
	};
	struct nft_guard_wanted wanted = { 0 };
	int err = guard_wanted_make(guard->config, &view, &wanted);

	if (!err)
		err = nft_guard_set_rules(&guard->table, &wanted);
	free(wanted.rules);
	if (!err)
		guard->has_bans = view.has_bans;
	return err;
}

static int put_bans(struct guard *guard)
{
	struct ban_changes all = { 0 };
	int err = ban_list_all(guard->bans, clock_wall_us() / 1000U, &all);

	if (!err)
		err = nft_guard_replace(&guard->table, all.add, all.n_add);
	ban_changes_clear(&all);
	return err;
}

static int make(struct guard *guard)
{
	bool fresh = guard->phase == CLOSED;
	bool left = guard->table.channel.fd >= 0; /* by an earlier image */
	int err = fresh && !left ? nft_guard_open(&guard->table) : 0;

	if (err)
		return err;
	/* What an earlier image has left has its bans in it, which may differ from ours by now. */
	guard->phase = OPEN;
	if (fresh && (left || guard->bans->n > 0))
		err = put_bans(guard);
	return err ? err : put_rules(guard);
}

static void close_table(struct guard *guard)
{
	nft_guard_close(&guard->table);
	memset(guard->refusing, 0, guard->config->n_pools * sizeof(*guard->refusing));
	guard->phase = CLOSED;
	guard->has_bans = false;
}

static void fail(struct guard *guard, int err)
{
	say_failure(guard, err);
	close_table(guard);
	if (err == -EPERM || err == -EPROTONOSUPPORT) {
		guard->phase = UNABLE;
		loop_timer_cancel(guard->loop, &guard->timer);
		return;
	}
	guard->backoff_ms = guard->backoff_ms ? 2 * guard->backoff_ms : BACKOFF_MIN_MS;
	if (guard->backoff_ms > BACKOFF_MAX_MS)
		guard->backoff_ms = BACKOFF_MAX_MS;
	loop_timer_set(guard->loop, &guard->timer, guard->loop->now_ms + guard->backoff_ms);
}

static void sync_table(struct guard *guard)
{
	int err;

	assert(guard->phase != UNABLE);
	loop_timer_cancel(guard->loop, &guard->timer);
	guard->tried_ms = guard->loop->now_ms;
	err = make(guard);
	if (err) {
		fail(guard, err);
		return;
	}
	if (guard->said)
		log_info("guard: table %s is in place", NFT_GUARD_TABLE);
	guard->said = 0;
	guard->backoff_ms = 0;
	note_refusals(guard);
}

/* ---- bans ---- */

static int result(const struct guard *guard)
{
	if (guard->phase == OPEN || guard->bans->n == 0)
		return 0;
	return guard->said ? guard->said : -EAGAIN;
}

int guard_renew(struct guard *guard)
{
	int err;

	if (guard->phase == OPEN) {
		err = put_bans(guard);
		if (err)
			fail(guard, err); /* and all anew, at once */
	}
	if (guard->phase == OPEN ? guard->has_bans != (guard->bans->n > 0)
				 : guard->phase == CLOSED && guard->bans->n > 0)
		sync_table(guard);
	return result(guard);
}

int guard_ban(struct guard *guard, const struct ban_changes *changes)
{
	/* The kernel has let go of what we thought it had: by a hair, so all of it is put anew. */
	if (guard->phase != OPEN || nft_guard_change(&guard->table, changes->remove,
					    changes->n_remove, changes->add, changes->n_add) < 0)
		return guard_renew(guard);
	if (guard->has_bans != (guard->bans->n > 0))
		sync_table(guard);
	return result(guard);
}

/* ---- pools ---- */

static void on_due(struct timer *timer)
{
	sync_table(list_entry(timer, struct guard, timer));
}

static bool is_down(const struct guard *guard, size_t pool)
{
	const struct config_pool *config = &guard->config->pools[pool];

	for (size_t i = 0; i < config->n_backends; i++)
		if (pool_state_serves(guard->pools, pool, i))
			return false;
	return true;
}

static void on_change(struct pool_state_watch *watch, size_t pool, size_t backend)
{
	struct guard *guard = list_entry(watch, struct guard, watch);
	bool down = is_down(guard, pool);

	(void)backend;
	if (down == guard->down[pool] || !has_refusals(guard, pool))
		return;
	guard->down[pool] = down;
	if (guard->phase == UNABLE || guard->backoff_ms)
		return;
	/* A check that fails often fails for several at once: one batch for all of them. */
	if (guard->tried_ms == guard->loop->now_ms)
		loop_timer_set(guard->loop, &guard->timer, guard->loop->now_ms + 1);
	else
		sync_table(guard);
}

/* ---- listeners ---- */

static bool may_refuse(const struct config_listener *listener)
{
	return listener->protocol == IPPROTO_TCP && listener->refuse != CONFIG_REFUSE_ACCEPT;
}

bool guard_drain(struct guard *guard, size_t listener)
{
	assert(listener < guard->config->n_listeners);
	if (!may_refuse(&guard->config->listeners[listener]))
		return false;
	if (guard->phase != UNABLE && !guard->backoff_ms)
		sync_table(guard);
	return guard->phase == OPEN;
}

/* ---- start and end ---- */

static bool is_needed(const struct guard *guard)
{
	if (guard->bans->n > 0)
		return true;
	for (size_t i = 0; i < guard->config->n_listeners; i++)
		if (may_refuse(&guard->config->listeners[i]) &&
			drain_state_until(guard->drains, i) != DRAIN_NONE)
			return true;
	for (size_t i = 0; i < guard->config->n_pools; i++)
		if (guard->down[i] ||
			(config_pool_may_fail(&guard->config->pools[i]) && has_refusals(guard, i)))
			return true;
	return false;
}

/* The table of an earlier image goes on: nobody who is banned gets in between. */
static void inherit(struct guard *guard, struct estate *estate)
{
	int fd = estate ? estate_take_fd(estate, "guard table") : -1;
	int64_t hooks = 0;

	if (fd < 0)
		return;
	(void)estate_get_number(estate, "guard hooks", &hooks);
	if (nft_guard_adopt(&guard->table, fd, (unsigned)hooks) == 0 && !is_needed(guard))
		nft_guard_close(&guard->table);
}

int guard_bequeath(const struct guard *guard, struct estate *estate)
{
	int err;

	if (!guard || guard->phase != OPEN)
		return 0;
	err = estate_add_fd(estate, "guard table", guard->table.channel.fd);
	return err ? err : estate_add_number(estate, "guard hooks", guard->table.hooks);
}

int guard_start(struct loop *loop, const struct config *config, struct pool_state *pools,
	const struct drain_state *drains, const struct ban_list *bans, struct estate *estate,
	struct guard **ret_guard)
{
	struct guard *guard = calloc(1, sizeof(*guard));

	if (!guard)
		return -ENOMEM;
	*guard = (struct guard){
		.loop = loop,
		.config = config,
		.pools = pools,
		.drains = drains,
		.bans = bans,
		.watch.on_change = on_change,
		.table.channel.fd = -1,
		.down = calloc(config->n_pools + 1, sizeof(bool)),
		.refusing = calloc(config->n_pools + 1, sizeof(bool)),
	};
	timer_init(&guard->timer, on_due);
	list_init(&guard->watch.node);
	if (!guard->down || !guard->refusing) {
		guard_stop(guard);
		return -ENOMEM;
	}
	pool_state_add_watch(pools, &guard->watch);
	/* The watch tells of changes only. */
	for (size_t i = 0; i < config->n_pools; i++)
		guard->down[i] = has_refusals(guard, i) && is_down(guard, i);
	inherit(guard, estate);
	if (is_needed(guard))
		sync_table(guard);
	*ret_guard = guard;
	return 0;
}

void guard_abandon(struct guard *guard)
{
	if (guard)
		nft_guard_close(&guard->table);
}

void guard_stop(struct guard *guard)
{
	if (!guard)
		return;
	list_remove(&guard->watch.node);
	loop_timer_cancel(guard->loop, &guard->timer);
	nft_guard_close(&guard->table);
	free(guard->down);
	free(guard->refusing);
	free(guard);
}

json_t *guard_json(const struct guard *guard)
{
	static const char *const states[] = {
		[CLOSED] = "none",
		[OPEN] = "in place",
		[UNABLE] = "not to be had",
	};
	struct nft_guard_counters counters = { 0 };

	if (guard->phase == OPEN)
		(void)nft_guard_read_counters(&counters);
	return json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:I}", "table", states[guard->phase],
		"why", guard->said ? json_string(guard_why(guard->said)) : json_null(),
		"refusals_begun", (json_int_t)guard->begun, "refusals_ended",
		(json_int_t)guard->ended, "packets_refused", (json_int_t)counters.refused,
		"packets_banned", (json_int_t)counters.banned, "bans", (json_int_t)guard->bans->n);
}

static void log_counter(const char *name, uint64_t value)
{
	if (value)
		log_info("counter %s %" PRIu64, name, value);
}

void guard_log(const struct guard *guard)
{
	struct nft_guard_counters counters = { 0 };

	if (!guard)
		return;
	if (guard->phase == OPEN)
		(void)nft_guard_read_counters(&counters);
	log_counter("refusals_begun", guard->begun);
	log_counter("refusals_ended", guard->ended);
	log_counter("packets_refused", counters.refused);
	log_counter("packets_banned", counters.banned);
	log_counter("bans", guard->bans->n);
}
