#include "bans.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ban_store.h"
#include "clock.h"
#include "duration.h"
#include "log.h"
#include "wall_time.h"

/*
 * Theory of operation
 *
 * The list is what holds; the table and the file follow it. A command changes the list, then the
 * table (from then on the ban is effective), then the file, and is answered when all of that is
 * done. Where the table cannot be had the ban is kept and written all the same, and the answer says
 * that the kernel does not enforce it.
 *
 * Ends are times of the wall clock, as they outlive this process. The kernel lets a ban go by
 * itself; our timer, which looks every few seconds at least, since that clock can be set, takes it
 * out of the list and puts those in force that it had within.
 *
 * The workers have those in force in their lists, too, for clients that the table cannot see: those
 * that a proxy in front of us names, and all of them where there is no table. Such a list is made
 * as a whole; so of new bans, which the table has already, those of LISTS_MS are put there
 * together. Who is to be let in again is so at once.
 *
 * A line that could not be written makes the whole file due, and that is tried again and again.
 *
 * A file that could not even be read ("unreadable") is never written over: bans of this run hold,
 * in memory only, and it is read again every WRITE_AGAIN_MS until that works. Then both are one
 * list.
 *
 * Times are compared with the wall clock as it is; that it was set is noticed by comparing it with
 * the monotonic one, and then the table, in which the kernel counts down by itself, is made anew.
 */
#define LOOK_MS	       5000U
#define SYNC_MS	       1000U
#define LISTS_MS       10U
#define WRITE_AGAIN_MS 10000U
#define CLOCK_SET_MS   500
#define FOR_MIN_MS     1000U
#define FOR_MAX_MS     (3650ULL * 86400000ULL)

struct bans {
	struct loop *loop;
	const struct config *config;
	struct guard *guard; /* NULL: not yet, like the next one */
	struct list_keeper *lists;
	struct ban_list list;
	struct ban_store store;
	struct timer look;  /* for ended ones */
	struct timer renew; /* the workers' list */
	struct timer write; /* sync, or the whole file if it is due */
	bool write_due;
	bool clock_was_set; /* and the table does not know yet */
	int64_t ahead_ms;   /* of the monotonic clock, the wall clock was; 0: not known */
	int unreadable;	    /* why what is there could not be read: it is not written over */
	int said;	    /* the error that the log tells of already */
};

static uint64_t now_ms(void)
{
	return clock_wall_us() / 1000U;
}

/* ---- the workers' list ---- */

static int rules_of(const struct ban_list *list, struct prefix_rules *rules)
{
	int err = 0;

	for (size_t i = 0; i < list->n && !err; i++) {
		const struct ban *ban = list->bans[i];
		struct prefix prefix = { .len = ban->prefix_len };

		if (!ban->in_force)
			continue;
		prefix.addr.sa.sa_family = ban->family;
		if (ban->family == AF_INET)
			memcpy(&prefix.addr.in.sin_addr, ban->addr, 4);
		else
			memcpy(&prefix.addr.in6.sin6_addr, ban->addr, 16);
		err = prefix_rules_add(rules, &prefix, false);
	}
	return err;
}

static void on_renew_due(struct timer *timer)
{
	struct bans *bans = list_entry(timer, struct bans, renew);
	struct prefix_rules rules = { 0 };
	int err = rules_of(&bans->list, &rules);

	if (!err)
		err = list_keeper_set_bans(bans->lists, &rules);
	if (err) {
		log_error("bans: the workers have an old list of them: %s; it is tried again",
			strerror(-err));
		loop_timer_set(bans->loop, timer, bans->loop->now_ms + WRITE_AGAIN_MS);
	}
	prefix_rules_clear(&rules);
}

/* at_once: somebody is to be let in. */
static void renew_list(struct bans *bans, bool at_once)
{
	if (!bans->lists)
		return;
	loop_timer_cancel(bans->loop, &bans->renew);
	if (at_once)
		on_renew_due(&bans->renew);
	else
		loop_timer_set(bans->loop, &bans->renew, bans->loop->now_ms + LISTS_MS);
}

/* ---- the file ---- */

static const char *remedy(int err)
{
	switch (err) {
	case -EWOULDBLOCK:
		return "another gateway keeps its bans there: give each a state-directory of its "
		       "own";
	case -ENOENT:
		return "make the directory, or name another state-directory";
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return "name a state-directory that may be written";
	default:
		return "see state-directory in sixgated.conf(5)";
	}
}

/* Of each trouble the log tells once. */
static void say_failure(struct bans *bans, int err)
{
	if (bans->said == err)
		return;
	bans->said = err;
	log_error("bans: %s: %s: %s; %s; it is tried again", bans->config->state_directory,
		strerror(-err),
		bans->unreadable ? "what an earlier run has left there does not hold"
				 : "they hold, but would not outlive the gateway",
		remedy(err));
}

static void try_again(struct bans *bans, int err)
{
	say_failure(bans, err);
	bans->write_due = true;
	loop_timer_set(bans->loop, &bans->write, bans->loop->now_ms + WRITE_AGAIN_MS);
}

static void written(struct bans *bans)
{
	if (bans->said)
		log_info("bans: %s is in order again", bans->config->state_directory);
	bans->said = 0;
	bans->write_due = false;
}

/* The line, which is freed, or all if that is due. Whether it is in the file. */
static bool save(struct bans *bans, char *line)
{
	int err = line ? 0 : -ENOMEM;

	if (bans->unreadable)
		err = bans->unreadable;
	else if (!err && bans->write_due)
		err = ban_store_write(&bans->store, &bans->list);
	else if (!err)
		err = ban_store_append(&bans->store, line, &bans->list);
	free(line);
	if (err) {
		try_again(bans, err);
		return false;
	}
	written(bans);
	loop_timer_set(bans->loop, &bans->write, bans->loop->now_ms + SYNC_MS);
	return true;
}

/* Another gateway may have let go of it. What that had written is read then. */
static int load(struct bans *bans)
{
	struct ban_store_past past = { 0 };
	int err = ban_store_load(
		&bans->store, bans->config->state_directory, &bans->list, now_ms(), &past);

	if (!err && past.flaws.n > 0) {
		log_error(
			"bans: %s/" BAN_STORE_FILE ":%zu: %s; %zu such lines are passed over, "
			"the file is now called %s: mend them there and ban again what is missing",
			bans->config->state_directory, past.flaws.line, past.flaws.reason,
			past.flaws.n, past.aside);
		bans->write_due = true;
	}
	return err;
}

static void on_write_due(struct timer *timer)
{
	struct bans *bans = list_entry(timer, struct bans, write);
	int err = 0;

	if (bans->unreadable) {
		bans->unreadable = load(bans);
		if (!bans->unreadable) {
			(void)guard_renew(bans->guard);
			renew_list(bans, false);
		}
	}
	if (bans->unreadable)
		err = bans->unreadable;
	else if (bans->write_due)
		err = ban_store_write(&bans->store, &bans->list);
	else
		ban_store_sync(&bans->store);
	if (err)
		try_again(bans, err);
	else
		written(bans);
}

/* ---- ends ---- */

static void set_look(struct bans *bans)
{
	uint64_t next = ban_list_next(&bans->list), now = now_ms(), in_ms = LOOK_MS;

	if (next == 0) {
		loop_timer_cancel(bans->loop, &bans->look);
		return;
	}
	if (next < now + LOOK_MS)
		in_ms = next > now ? next - now : 0;
	loop_timer_set(bans->loop, &bans->look, bans->loop->now_ms + in_ms);
}

/*
 * The kernel counts what is left of a ban by another clock. When ours was set, or the machine has
 * slept, the table's ends are wrong, and what has left the list may still be there.
 */
static void note_clock(struct bans *bans, uint64_t now)
{
	int64_t ahead_ms = (int64_t)now - (int64_t)(clock_monotonic_us() / 1000U);
	int64_t by_ms = ahead_ms - bans->ahead_ms;

	if (bans->ahead_ms && (by_ms > CLOCK_SET_MS || by_ms < -CLOCK_SET_MS)) {
		log_info("bans: the clock was set by %lld s: all ends are told to the kernel anew",
			(long long)(by_ms / 1000));
		bans->clock_was_set = true;
	}
	bans->ahead_ms = ahead_ms;
}

/* Of the list and, by way of changes, of the table. */
static int expire(struct bans *bans, uint64_t now, struct ban_changes *changes)
{
	size_t n = 0;
	int err = ban_list_expire(&bans->list, now, changes, &n);

	note_clock(bans, now);
	if (n > 0) {
		log_info("bans: %zu have ended, %zu hold", n, bans->list.n);
		renew_list(bans, true);
	}
	return err;
}

/* 0: the table has it; or why not. */
static int apply(struct bans *bans, struct ban_changes *changes, int err)
{
	assert(bans->guard && bans->lists);
	if (err || changes->n_add || changes->n_remove)
		renew_list(bans, err || changes->n_remove);
	/* By how much the table differs is not known then: all of it is put anew. */
	if (err == -ENOMEM || bans->clock_was_set)
		err = guard_renew(bans->guard);
	else
		err = guard_ban(bans->guard, changes);
	bans->clock_was_set = false;
	ban_changes_clear(changes);
	set_look(bans);
	return err;
}

static void on_look_due(struct timer *timer)
{
	struct bans *bans = list_entry(timer, struct bans, look);
	struct ban_changes changes = { 0 };
	int err = expire(bans, now_ms(), &changes);

	(void)apply(bans, &changes, err);
}

/* ---- commands ---- */

static json_t *until_json(const struct ban *ban)
{
	char text[WALL_TIME_TEXT_MAX];

	return ban->until_ms ? json_string(wall_time_format(ban->until_ms * 1000U, text))
			     : json_null();
}

static json_t *within_json(const struct bans *bans, const struct ban *ban)
{
	const struct ban *outer = ban_list_cover(&bans->list, ban);
	char text[BAN_TEXT_MAX];

	return outer ? json_string(ban_list_text(outer, text)) : json_null();
}

static json_t *why_json(int err)
{
	return err ? json_string(guard_why(err)) : json_null();
}

/* Until when; 0: for ever. */
static int parse_for(
	const json_t *args, uint64_t now, uint64_t *ret_until_ms, struct control_error *error)
{
	const char *text = control_text(args, "for");
	uint64_t ms = 0;

	*ret_until_ms = 0;
	if (!text)
		return 0;
	if (duration_parse_long(text, &ms) < 0 || ms < FOR_MIN_MS || ms > FOR_MAX_MS)
		return control_fail(error, -EINVAL, CONTROL_BAD_ARGUMENT,
			"for \"%.100s\": write a whole number with a unit, s, m, h or d, from 1s "
			"to 3650d, like 1h; leave it out to ban for ever",
			text);
	*ret_until_ms = now + ms;
	return 0;
}

static int parse_prefix(const json_t *args, struct ban *ret_ban, struct control_error *error)
{
	const char *text = control_text(args, "prefix"), *reason = "";

	if (ban_list_parse(text, ret_ban, &reason) < 0)
		return control_fail(error, -EINVAL, CONTROL_BAD_ARGUMENT, "prefix \"%.100s\": %s",
			text, reason);
	return 0;
}

static int run_ban(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	const char *reason = control_text(args, "reason");
	struct ban_changes changes = { 0 };
	struct bans *bans = userdata;
	uint64_t now = now_ms();
	char text[BAN_TEXT_MAX];
	struct ban ban;
	bool saved;
	int err;

	err = parse_prefix(args, &ban, error);
	if (!err)
		err = parse_for(args, now, &ban.until_ms, error);
	if (err)
		return err;
	reason = reason ? reason : "";
	if (!ban_list_reason_is_fine(reason))
		return control_fail(error, -EINVAL, CONTROL_BAD_ARGUMENT,
			"reason: write up to %u bytes without control characters", BAN_REASON_MAX);
	/* First what has ended: it must make room, and not cover the new one. */
	err = expire(bans, now, &changes);
	if (!err)
		err = ban_list_put(&bans->list, &ban, reason, now, &changes);
	if (err == -ENOSPC) {
		(void)apply(bans, &changes, 0);
		return control_fail(error, err, CONTROL_BUSY,
			"there are %u bans already: ban a prefix that has several of them",
			BAN_LIST_MAX);
	}
	err = apply(bans, &changes, err);
	saved = save(bans, ban_file_ban_of(&ban, reason));
	log_info("ban of %s%s%s", ban_list_text(&ban, text), reason[0] ? ": " : "", reason);
	*ret_result = json_pack("{s:s, s:o, s:s, s:o, s:b, s:o, s:b}", "prefix", text, "until",
		until_json(&ban), "reason", reason, "within", within_json(bans, &ban), "enforced",
		err == 0, "why", why_json(err), "saved", saved);
	return 0;
}

static int run_unban(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	struct ban_changes changes = { 0 };
	const struct ban *outer;
	struct bans *bans = userdata;
	uint64_t now = now_ms();
	char text[BAN_TEXT_MAX], outer_text[BAN_TEXT_MAX];
	struct ban ban;
	bool saved;
	int err = parse_prefix(args, &ban, error);

	if (err)
		return err;
	err = expire(bans, now, &changes);
	if (!err)
		err = ban_list_remove(&bans->list, &ban, now, &changes);
	ban_list_text(&ban, text);
	outer = ban_list_cover(&bans->list, &ban);
	if (err == -ENOENT) {
		(void)apply(bans, &changes, 0);
		return control_fail(error, err, CONTROL_NOT_FOUND, "%s is not banned%s%s", text,
			outer ? " itself, but lies within " : "",
			outer ? ban_list_text(outer, outer_text) : "");
	}
	err = apply(bans, &changes, err);
	saved = save(bans, ban_file_unban(&ban));
	log_info("unban of %s", text);
	*ret_result = json_pack("{s:s, s:o, s:b, s:o, s:b}", "prefix", text, "within",
		within_json(bans, &ban), "enforced", err == 0, "why", why_json(err), "saved",
		saved);
	return 0;
}

static json_t *ban_json(const struct bans *bans, const struct ban *ban, uint64_t now)
{
	uint64_t left_ms = ban->until_ms > now ? ban->until_ms - now : 0;
	char text[BAN_TEXT_MAX];

	return json_pack("{s:s, s:o, s:o, s:s, s:o}", "prefix", ban_list_text(ban, text), "until",
		until_json(ban), "left_s",
		ban->until_ms ? json_integer((json_int_t)((left_ms + 999) / 1000)) : json_null(),
		"reason", ban->reason, "within",
		ban->in_force ? json_null() : within_json(bans, ban));
}

static int run_bans(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	struct bans *bans = userdata;
	struct ban_changes changes = { 0 };
	json_t *list = json_array();
	uint64_t now = now_ms();
	int err = expire(bans, now, &changes);

	(void)args;
	(void)error;
	err = apply(bans, &changes, err);
	for (size_t i = 0; i < bans->list.n; i++)
		json_array_append_new(list, ban_json(bans, bans->list.bans[i], now));
	*ret_result = json_pack(
		"{s:o, s:b, s:o}", "bans", list, "enforced", err == 0, "why", why_json(err));
	return *ret_result ? 0 : -ENOMEM;
}

static void add_commands(struct bans *bans, struct control *control)
{
	const struct control_command commands[] = {
		{
			.name = "ban",
			.summary = "keep a prefix out of all listeners",
			.needs_write = true,
			.params = { { "prefix", CONTROL_TEXT, true },
				{ "for", CONTROL_TEXT, false }, { "reason", CONTROL_TEXT, false } },
			.run = run_ban,
			.userdata = bans,
		},
		{
			.name = "unban",
			.summary = "let it in again",
			.needs_write = true,
			.params = { { "prefix", CONTROL_TEXT, true } },
			.run = run_unban,
			.userdata = bans,
		},
		{
			.name = "bans",
			.summary = "who is banned",
			.run = run_bans,
			.userdata = bans,
		},
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		control_add(control, &commands[i]);
}

/* ---- start and end ---- */

struct bans *bans_new(struct loop *loop, const struct config *config)
{
	struct bans *bans = calloc(1, sizeof(*bans));
	struct ban_changes changes = { 0 };
	int err;

	if (!bans)
		return NULL;
	bans->loop = loop;
	bans->config = config;
	timer_init(&bans->look, on_look_due);
	timer_init(&bans->write, on_write_due);
	timer_init(&bans->renew, on_renew_due);
	err = load(bans);
	bans->unreadable = err;
	if (err)
		try_again(bans, err);
	else if (bans->write_due)
		loop_timer_set(loop, &bans->write, loop->now_ms);
	/* There is no table yet that these changes would concern. */
	(void)expire(bans, now_ms(), &changes);
	ban_changes_clear(&changes);
	if (bans->list.n > 0)
		log_info("bans: %zu hold, from %s", bans->list.n, config->state_directory);
	return bans;
}

const struct ban_list *bans_list(const struct bans *bans)
{
	return &bans->list;
}

void bans_start(
	struct bans *bans, struct guard *guard, struct list_keeper *lists, struct control *control)
{
	assert(!bans->guard && !bans->lists);
	bans->guard = guard;
	bans->lists = lists;
	/* Before the first client comes. */
	if (bans->list.n > 0)
		on_renew_due(&bans->renew);
	set_look(bans);
	add_commands(bans, control);
}

void bans_abandon(struct bans *bans)
{
	if (bans)
		ban_store_close(&bans->store);
}

void bans_free(struct bans *bans)
{
	if (!bans)
		return;
	loop_timer_cancel(bans->loop, &bans->look);
	loop_timer_cancel(bans->loop, &bans->write);
	loop_timer_cancel(bans->loop, &bans->renew);
	ban_store_sync(&bans->store);
	ban_store_close(&bans->store);
	ban_list_clear(&bans->list);
	free(bans);
}
