#include "list_keeper.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

/*
 * Theory of operation
 *
 * Each listener that has lists is made anew as a whole, of what the configuration says and of its
 * files; and whenever one of them is, all of them are published. What the files were when they were
 * read, and when they were last looked at, is kept: "changed" is a file that is not as it was read,
 * "settled" is one that is as it was at the last look. So a file that somebody is writing is left
 * alone; and one that could not be read is tried again when it has changed, and not before.
 *
 * stat(2) and not inotify: an editor replaces the file, a deployment the directory, a network file
 * system tells nothing, and each of these would take another watch. Two calls for each file four
 * times a second are cheap, and right in all cases.
 */
#define FILE_MAX    ((size_t)64 * 1024 * 1024)
#define BANS_MAX    65536U
#define FILES	    2U /* of a listener: allow and deny */
#define RANGES_PER  2U /* prefix */
#define START_TRIES 100

/* What tells one state of a file from another. error: an errno, if there is none. */
struct file_mark {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified, changed;
	int error;
};

struct kept {
	const struct config_listener *config;
	size_t index;
	struct file_mark read[FILES], seen[FILES];
	size_t n_prefixes;
};

struct list_keeper {
	struct loop *loop;
	const struct config *config;
	struct client_lists *lists;
	struct prefix_ranges *parts; /* as published: the listeners', then the bans */
	struct kept *kept;	     /* listeners with lists */
	size_t n_kept;
	struct timer timer;
	uint64_t loaded, refused;
};

static const char *path_of(const struct config_listener *config, size_t file)
{
	return file == 0 ? config->clients.allow_file : config->clients.deny_file;
}

static bool has_files(const struct config_listener *config)
{
	return config->clients.allow_file || config->clients.deny_file;
}

static bool has_lists(const struct config_listener *config)
{
	return has_files(config) || config->clients.n_allow || config->clients.n_deny;
}

/* ---- files ---- */

static struct file_mark look_at(const char *path)
{
	struct stat st;

	if (!path)
		return (struct file_mark){ 0 };
	if (stat(path, &st) < 0)
		return (struct file_mark){ .error = errno };
	return (struct file_mark){
		.device = st.st_dev,
		.inode = st.st_ino,
		.size = st.st_size,
		.modified = st.st_mtim,
		.changed = st.st_ctim,
	};
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same(const struct file_mark *a, const struct file_mark *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       same_time(&a->modified, &b->modified) && same_time(&a->changed, &b->changed) &&
	       a->error == b->error;
}

/* A regular file of up to FILE_MAX into memory that the caller frees. */
static int read_all(int fd, char **ret_text, size_t *ret_len)
{
	struct stat st;
	size_t len = 0;
	ssize_t n = 1;
	char *text;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if ((size_t)st.st_size > FILE_MAX)
		return -EFBIG;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	while (n > 0 && len < (size_t)st.st_size) {
		n = read(fd, text + len, (size_t)st.st_size - len);
		if (n < 0) {
			n = -errno;
			free(text);
			return (int)n;
		}
		len += (size_t)n;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}

static int read_file(const char *path, char **ret_text, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), err;

	if (fd < 0)
		return -errno;
	err = read_all(fd, ret_text, ret_len);
	close(fd);
	return err;
}

static int add_file(struct prefix_rules *rules, const char *path, bool allow,
	char error[PREFIX_RULES_ERROR_MAX])
{
	const char *name = config_short_path(path);
	char *text = NULL;
	size_t len = 0;
	int err = read_file(path, &text, &len);

	if (err)
		snprintf(error, PREFIX_RULES_ERROR_MAX,
			"%s: %s; name a file of up to 64 MiB with a prefix on each line", name,
			strerror(-err));
	else
		err = prefix_rules_parse(rules, name, text, len, allow, error);
	free(text);
	return err;
}

static int add_addresses(
	struct prefix_rules *rules, const struct config_address *addrs, size_t n, bool allow)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = prefix_rules_add(
			rules, &(struct prefix){ addrs[i].addr, addrs[i].prefix_len }, allow);
	return err;
}

/* All that the listener's lists say. On failure, why. */
static int gather(const struct config_listener *config, struct prefix_rules *rules,
	char error[PREFIX_RULES_ERROR_MAX])
{
	const struct config_clients *clients = &config->clients;
	int err;

	error[0] = '\0';
	err = add_addresses(rules, clients->allow, clients->n_allow, true);
	if (!err)
		err = add_addresses(rules, clients->deny, clients->n_deny, false);
	if (!err && clients->allow_file)
		err = add_file(rules, clients->allow_file, true, error);
	/* A list that is empty still says who may come: nobody. */
	rules->allows = rules->allows || clients->allow_file;
	if (!err && clients->deny_file)
		err = add_file(rules, clients->deny_file, false, error);
	if (err && !error[0])
		snprintf(error, PREFIX_RULES_ERROR_MAX, "listener %s: %s", config->name,
			strerror(-err));
	return err;
}

int list_keeper_check(const struct config *config, char error[PREFIX_RULES_ERROR_MAX])
{
	int err = 0;

	for (size_t i = 0; i < config->n_listeners && !err; i++) {
		struct prefix_rules rules = { 0 };

		err = gather(&config->listeners[i], &rules, error);
		prefix_rules_clear(&rules);
	}
	return err;
}

/* ---- loading ---- */

/* Another part in place of the one there is; it is taken over if that works out. */
static int publish_part(struct list_keeper *keeper, size_t index, struct prefix_ranges *part)
{
	struct prefix_ranges before = keeper->parts[index];
	int err;

	assert(index <= keeper->config->n_listeners);
	keeper->parts[index] = *part;
	err = client_lists_publish(keeper->lists, keeper->parts);
	if (err) {
		keeper->parts[index] = before;
		return err;
	}
	prefix_ranges_clear(&before);
	return 0;
}

/* Whether somebody writes to a file while it is read. */
static bool has_moved(const struct kept *kept)
{
	for (size_t i = 0; i < FILES; i++) {
		struct file_mark now = look_at(path_of(kept->config, i));

		if (!same(&now, &kept->read[i]))
			return true;
	}
	return false;
}

/* 0; -EAGAIN: a file changes just now; or another negative errno. */
static int load(struct list_keeper *keeper, struct kept *kept, char error[PREFIX_RULES_ERROR_MAX])
{
	uint64_t begin_us = clock_monotonic_us();
	struct prefix_rules rules = { 0 };
	struct prefix_ranges ranges = { 0 };
	size_t n;
	int err;

	assert(kept->config);
	/* Before it is read: what changes in between is a change for the next look. */
	for (size_t i = 0; i < FILES; i++)
		kept->read[i] = kept->seen[i] = look_at(path_of(kept->config, i));
	err = gather(kept->config, &rules, error);
	n = rules.n;
	if (has_moved(kept)) {
		snprintf(error, PREFIX_RULES_ERROR_MAX,
			"listener %s: a file of its lists is being written: try again",
			kept->config->name);
		err = -EAGAIN;
	}
	if (!err) {
		err = prefix_ranges_make(&rules, &ranges);
		if (!err)
			err = publish_part(keeper, kept->index, &ranges);
		if (err)
			snprintf(error, PREFIX_RULES_ERROR_MAX,
				err == -ENOSPC ? "listener %s: all listeners' lists together may "
						 "have 1000000 prefixes"
					       : "listener %s: no memory for its lists",
				kept->config->name);
	}
	prefix_rules_clear(&rules);
	if (err) {
		prefix_ranges_clear(&ranges);
		return err;
	}
	kept->n_prefixes = n;
	log_info("listener %s: %zu prefixes in its lists of clients, loaded in %" PRIu64 " ms",
		kept->config->name, n, (clock_monotonic_us() - begin_us) / 1000);
	return 0;
}

static int reload(struct list_keeper *keeper, struct kept *kept, char error[PREFIX_RULES_ERROR_MAX])
{
	int err = load(keeper, kept, error);

	if (err == -EAGAIN) {
		/* It is like no file that was read, so that the next looks will tell. */
		kept->read[0] = kept->read[1] = (struct file_mark){ .error = EAGAIN };
	} else if (err) {
		keeper->refused++;
		log_error("%s", error);
		log_error("listener %s: its lists stay as they were, with %zu prefixes",
			kept->config->name, kept->n_prefixes);
	} else {
		keeper->loaded++;
	}
	return err;
}

static void look(struct list_keeper *keeper, struct kept *kept)
{
	bool changed = false, settled = true;
	char error[PREFIX_RULES_ERROR_MAX];

	for (size_t i = 0; i < FILES; i++) {
		struct file_mark now = look_at(path_of(kept->config, i));

		changed = changed || !same(&now, &kept->read[i]);
		settled = settled && same(&now, &kept->seen[i]);
		kept->seen[i] = now;
	}
	if (changed && settled)
		(void)reload(keeper, kept, error);
}

static void on_look_due(struct timer *timer)
{
	struct list_keeper *keeper = list_entry(timer, struct list_keeper, timer);

	for (size_t i = 0; i < keeper->n_kept; i++)
		look(keeper, &keeper->kept[i]);
	loop_timer_set(keeper->loop, timer, keeper->loop->now_ms + LIST_KEEPER_LOOK_MS);
}

int list_keeper_set_bans(struct list_keeper *keeper, struct prefix_rules *bans)
{
	struct prefix_ranges ranges = { 0 };
	int err = bans->n > BANS_MAX ? -ENOSPC : 0;

	if (!err && bans->n)
		err = prefix_ranges_make(bans, &ranges);
	if (!err)
		err = publish_part(keeper, keeper->config->n_listeners, &ranges);
	if (err)
		prefix_ranges_clear(&ranges);
	return err;
}

/* ---- start and end ---- */

/* Room for all that there may be; memory is taken only as it is used. */
static size_t ranges_max(const struct config *config)
{
	size_t n = BANS_MAX * RANGES_PER;
	bool files = false;

	for (size_t i = 0; i <= config->n_listeners; i++) {
		const struct config_listener *listener = &config->listeners[i];

		n += 2; /* where each kind's addresses begin */
		if (i == config->n_listeners)
			break;
		n += RANGES_PER * (listener->clients.n_allow + listener->clients.n_deny);
		files = files || has_files(listener);
	}
	return files ? n + (size_t)PREFIX_RULES_MAX * RANGES_PER : n;
}

static int make(struct list_keeper *keeper)
{
	const struct config *config = keeper->config;

	keeper->lists = client_lists_create(config->n_listeners, ranges_max(config));
	keeper->parts = calloc(config->n_listeners + 1, sizeof(*keeper->parts));
	keeper->kept = calloc(config->n_listeners + 1, sizeof(*keeper->kept));
	if (!keeper->lists || !keeper->parts || !keeper->kept)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_listeners; i++)
		if (has_lists(&config->listeners[i]))
			keeper->kept[keeper->n_kept++] = (struct kept){
				.config = &config->listeners[i],
				.index = i,
			};
	return 0;
}

int list_keeper_start(
	struct loop *loop, const struct config *config, struct list_keeper **ret_keeper)
{
	struct list_keeper *keeper = calloc(1, sizeof(*keeper));
	char error[PREFIX_RULES_ERROR_MAX] = "no memory for lists of clients";
	int err = keeper ? 0 : -ENOMEM;

	if (keeper) {
		keeper->loop = loop;
		keeper->config = config;
		timer_init(&keeper->timer, on_look_due);
		err = make(keeper);
	}
	for (size_t i = 0; !err && i < keeper->n_kept; i++) {
		err = load(keeper, &keeper->kept[i], error);
		for (int tries = 0; err == -EAGAIN && tries < START_TRIES; tries++)
			err = load(keeper, &keeper->kept[i], error);
	}
	if (err) {
		log_error("%s", error);
		list_keeper_stop(keeper);
		return err;
	}
	for (size_t i = 0; i < config->n_listeners; i++)
		if (has_files(&config->listeners[i]))
			loop_timer_set(loop, &keeper->timer, loop->now_ms + LIST_KEEPER_LOOK_MS);
	*ret_keeper = keeper;
	return 0;
}

void list_keeper_stop(struct list_keeper *keeper)
{
	if (!keeper)
		return;
	loop_timer_cancel(keeper->loop, &keeper->timer);
	for (size_t i = 0; keeper->parts && i <= keeper->config->n_listeners; i++)
		prefix_ranges_clear(&keeper->parts[i]);
	client_lists_destroy(keeper->lists);
	free(keeper->parts);
	free(keeper->kept);
	free(keeper);
}

struct client_lists *list_keeper_lists(const struct list_keeper *keeper)
{
	return keeper->lists;
}

void list_keeper_log(const struct list_keeper *keeper)
{
	if (!keeper || keeper->n_kept == 0)
		return;
	log_info("counter lists_loaded %" PRIu64, keeper->loaded);
	log_info("counter lists_refused %" PRIu64, keeper->refused);
}

/* ---- control ---- */

static int run_reload(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	struct list_keeper *keeper = userdata;
	char text[PREFIX_RULES_ERROR_MAX];
	json_t *listeners = json_array();
	int err = listeners ? 0 : -ENOMEM;

	(void)args;
	for (size_t i = 0; i < keeper->n_kept && !err; i++) {
		struct kept *kept = &keeper->kept[i];

		err = reload(keeper, kept, text);
		if (err) {
			json_decref(listeners);
			return control_fail(error, err,
				err == -EAGAIN ? CONTROL_BUSY : CONTROL_FAILED, "%s", text);
		}
		if (json_array_append_new(
			    listeners, json_pack("{s:s, s:I}", "listener", kept->config->name,
					       "prefixes", (json_int_t)kept->n_prefixes)) < 0)
			err = -ENOMEM;
	}
	if (err) {
		json_decref(listeners);
		return err;
	}
	*ret_result = json_pack("{s:o}", "listeners", listeners);
	return *ret_result ? 0 : -ENOMEM;
}

void list_keeper_add_commands(struct list_keeper *keeper, struct control *control)
{
	const struct control_command reload_lists = {
		.name = "reload-lists",
		.summary = "read the lists of clients anew",
		.needs_write = true,
		.run = run_reload,
		.userdata = keeper,
	};

	control_add(control, &reload_lists);
}
