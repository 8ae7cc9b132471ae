#include "successor.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "config_file.h"
#include "log.h"
#include "notify.h"
#include "succession.h"

/*
 * Theory of operation
 *
 *  idle ──successor_begin()──► trial ──ok──► execute ──► (the next image)
 *                                │              │             │
 *                                └──not──► idle ◄─failed      └─cannot start─► (this image again)
 *
 * The configuration is read once, into an anonymous file: what was tried is what runs, whatever
 * becomes of the file meanwhile. An image keeps copies of all descriptors that it was left until
 * its workers are ready, and the program and configuration before it; if it cannot start, it
 * executes those, which is a succession like any other but for the number "fell back": there is one
 * such step, not two. So that it can, no image is left without descriptors for what it has itself
 * and all that it leaves, once more.
 *
 * Between trial and execution it waits for the workers of before to have handed over: flows are not
 * chased from image to image, and somebody always reads the datagrams. Those that still finish a
 * flow by themselves are not waited for, hence PATIENCE_MS, which is counted from this image's own
 * start.
 *
 * The trial is another process and not a check in this one, as what it is to find out is whether
 * *that program* works, with its libraries and its limits; and it must not be able to spoil
 * anything. What it cannot find out (sockets that this image holds, say) the way back is for.
 *
 * execv(2) keeps the process id and thereby the children, and what systemd believes. It is the last
 * thing done: up to it nothing has changed, and a failure is only a line in the log.
 */
#define PATIENCE_MS 5000U
#define LOOK_MS	    5U
#define FDS_SPARE   16U

struct successor {
	struct successor_setup setup;
	struct loop *loop;
	struct succession trial;
	struct timer timer; /* looks whether those of before have left */
	bool waiting;	    /* for that, after a trial that went well */
	uint64_t patience_ends_ms;
	struct estate *fallback; /* NULL: there is no way back */
	int spare_fd;		 /* given up to go it when there is no other; -1: none */
	char *binary;		 /* the path of this image */
	char *next_binary;	 /* of the trial */
	int next_config_fd;	 /* what the trial reads; -1: none */
	bool again;		 /* another one was asked for while one was under way */
	bool failed;		 /* the last one, for a reason */
	char reason[SUCCESSION_REASON_MAX];
};

static void on_trial_done(void *userdata, bool ok, const char *reason);
static void on_look_due(struct timer *timer);

/*
 * Where the image is, so that whatever is there later can be executed, also if this one is not
 * there any more (proc_pid_exe(5)); NULL without memory.
 */
static char *find_binary(void)
{
	static const char gone[] = " (deleted)";
	const ssize_t gone_len = sizeof(gone) - 1;
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		return strdup("/usr/sbin/sixgated");
	path[n] = '\0';
	if (n > gone_len && strcmp(path + n - gone_len, gone) == 0)
		path[n - gone_len] = '\0';
	return strdup(path);
}

struct successor *successor_new(struct loop *loop, const struct successor_setup *setup)
{
	struct successor *successor = calloc(1, sizeof(*successor));

	if (!successor)
		return NULL;
	successor->setup = *setup;
	successor->loop = loop;
	successor->next_config_fd = -1;
	successor->spare_fd = -1;
	successor->binary = find_binary();
	succession_init(&successor->trial, loop, on_trial_done, successor);
	timer_init(&successor->timer, on_look_due);
	if (successor->binary)
		return successor;
	free(successor);
	return NULL;
}

static void close_next_config(struct successor *successor)
{
	if (successor->next_config_fd >= 0)
		close(successor->next_config_fd);
	successor->next_config_fd = -1;
}

static void close_spare(struct successor *successor)
{
	if (successor->spare_fd >= 0)
		close(successor->spare_fd);
	successor->spare_fd = -1;
}

static void forget_fallback(struct successor *successor)
{
	if (successor->fallback)
		estate_close_rest(successor->fallback);
	estate_free(successor->fallback);
	successor->fallback = NULL;
	close_spare(successor);
}

void successor_settled(struct successor *successor)
{
	successor->patience_ends_ms = successor->loop->now_ms + PATIENCE_MS;
	forget_fallback(successor);
}

void successor_abandon(struct successor *successor)
{
	if (!successor)
		return;
	succession_abandon(&successor->trial);
	close_next_config(successor);
	if (successor->fallback)
		estate_close_rest(successor->fallback);
	close_spare(successor);
}

void successor_end(struct successor *successor)
{
	succession_end(&successor->trial);
	loop_timer_cancel(successor->loop, &successor->timer);
	successor->waiting = false;
}

void successor_free(struct successor *successor)
{
	if (!successor)
		return;
	successor_end(successor);
	forget_fallback(successor);
	close_next_config(successor);
	free(successor->next_binary);
	free(successor->binary);
	free(successor);
}

/* ---- how it goes ---- */

static void fail(struct successor *successor, const char *reason)
{
	successor->failed = true;
	snprintf(successor->reason, sizeof(successor->reason), "%s", reason);
	log_error("no successor: %s; everything stays as it is", reason);
	close_next_config(successor);
	successor->setup.on_failure(successor->setup.userdata);
	/* The end of RELOADING=1 for systemd, which does not ask how it went (sd_notify(3)). */
	(void)notify_send("READY=1", -1);
	successor_go_on(successor);
}

/* What this image is made of, should the next one want it back. */
static int bequeath_self(const struct successor *successor, struct estate *estate, int *ret_fd)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), err;

	err = fd < 0 ? -errno : estate_add_fd(estate, "previous binary", fd);
	if (!err && successor->setup.config_fd >= 0)
		err = estate_add_fd(estate, "previous config", successor->setup.config_fd);
	*ret_fd = fd;
	return err;
}

static size_t count_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return dir ? n : 0; /* with "." and ".." */
}

static void count_one(void *userdata, const char *name, int fd)
{
	size_t *n = userdata;

	(void)name;
	(void)fd;
	++*n;
}

/* Whether this image could come back. False: why not. */
static bool has_way_back(const struct estate *estate, char reason[SUCCESSION_REASON_MAX])
{
	size_t own = count_open(), left = 0;
	struct rlimit limit;

	estate_for_each_fd(estate, count_one, &left);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
		(own > 0 && own + left + FDS_SPARE <= limit.rlim_max))
		return true;
	snprintf(reason, SUCCESSION_REASON_MAX,
		"a reload takes %zu descriptors, and %llu are allowed: raise the limit of open "
		"files (LimitNOFILE=, ulimit -n)",
		own + left + FDS_SPARE, (unsigned long long)limit.rlim_max);
	return false;
}

/* Does not come back if all goes well. */
static void execute(struct successor *successor)
{
	const struct successor_setup *setup = &successor->setup;
	struct estate *estate = estate_new();
	char reason[SUCCESSION_REASON_MAX] = "";
	int self_fd = -1, err;

	err = estate ? bequeath_self(successor, estate, &self_fd) : -ENOMEM;
	if (!err)
		err = setup->bequeath(setup->userdata, true, estate);
	if (!err && successor->again)
		err = estate_add_number(estate, "reload again", 1);
	if (!err && has_way_back(estate, reason)) {
		log_info("the successor is ready to be: executing %s", successor->next_binary);
		err = succession_execute(
			successor->next_binary, setup->argv, estate, successor->next_config_fd);
	}
	if (self_fd >= 0)
		close(self_fd);
	estate_free(estate);
	if (err)
		snprintf(reason, sizeof(reason), "%.400s: %s", successor->next_binary,
			strerror(-err));
	fail(successor, reason);
}

static void execute_in_time(struct successor *successor)
{
	const struct successor_setup *setup = &successor->setup;
	const uint64_t now_ms = successor->loop->now_ms;

	assert(successor->trial.pid == 0);
	/* An image that began to drain meanwhile makes way for nobody. */
	successor->waiting = setup->is_possible(setup->userdata) &&
			     now_ms < successor->patience_ends_ms &&
			     predecessors_alive(*setup->before, PREDECESSOR_WORKER) > 0;
	if (successor->waiting)
		loop_timer_set(successor->loop, &successor->timer, now_ms + LOOK_MS);
	else if (setup->is_possible(setup->userdata))
		execute(successor);
}

static void on_look_due(struct timer *timer)
{
	execute_in_time(list_entry(timer, struct successor, timer));
}

static void on_trial_done(void *userdata, bool ok, const char *reason)
{
	struct successor *successor = userdata;

	if (!ok)
		fail(successor, reason);
	else
		execute_in_time(successor);
}

/* The estate of a trial names our sockets, so that it does not try to bind what we hold. */
static int begin_trial(struct successor *successor)
{
	const struct successor_setup *setup = &successor->setup;
	struct estate *estate = estate_new();
	int err = estate ? setup->bequeath(setup->userdata, false, estate) : -ENOMEM;

	if (!err)
		err = succession_try(&successor->trial, successor->next_binary, setup->argv, estate,
			successor->next_config_fd);
	estate_free(estate);
	return err;
}

/* Type=notify-reload wants the time of the beginning, too (sd_notify(3), systemd 253). */
static void tell_reloading(void)
{
	char text[64];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
		(unsigned long long)clock_monotonic_us());
	(void)notify_send(text, -1);
}

int successor_begin(struct successor *successor, const char *binary)
{
	const struct successor_setup *setup = &successor->setup;
	char error[CONFIG_ERROR_MAX] = "no memory";
	int err = 0;

	if (successor_is_trying(successor) || !setup->is_possible(setup->userdata))
		return -EALREADY;
	tell_reloading();
	successor->again = false;
	successor->failed = false;
	free(successor->next_binary);
	successor->next_binary = strdup(binary ? binary : successor->binary);
	if (!successor->next_binary)
		err = -ENOMEM;
	else if (setup->path)
		err = config_file_snapshot(setup->path, false, &successor->next_config_fd, error);
	if (!err) {
		err = begin_trial(successor);
		snprintf(
			error, sizeof(error), "%.400s: %s", successor->next_binary, strerror(-err));
	}
	if (err)
		fail(successor, error);
	return err;
}

void successor_ask(struct successor *successor)
{
	if (successor_begin(successor, NULL) == -EALREADY)
		successor->again = true;
}

void successor_go_on(struct successor *successor)
{
	if (successor->again)
		(void)successor_begin(successor, NULL);
}

bool successor_is_trying(const struct successor *successor)
{
	return successor->trial.pid || successor->waiting;
}

bool successor_reaped(struct successor *successor, pid_t pid, int status)
{
	return succession_reaped(&successor->trial, pid, status);
}

/* ---- in the next image ---- */

int successor_inherit(struct successor *successor, struct estate *estate)
{
	const char *failure = estate_get_text(estate, "failure");
	int64_t fell = 0, again = 0;
	int err;

	if (failure) {
		successor->failed = true;
		snprintf(successor->reason, sizeof(successor->reason), "%s", failure);
	}
	successor->again = estate_get_number(estate, "reload again", &again) == 0 && again;
	if (estate_get_number(estate, "fell back", &fell) == 0)
		return 0;
	successor->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	err = estate_copy(estate, &successor->fallback);
	if (!err)
		return 0;
	log_error("no copy can be kept of what was left: %s", strerror(-err));
	close_spare(successor);
	successor_go_back(estate, successor->setup.argv, log_last_error());
	return err;
}

void successor_go_back(struct estate *estate, char *const *argv, const char *reason)
{
	int binary_fd = estate ? estate_take_fd(estate, "previous binary") : -1;
	int config_fd = estate ? estate_take_fd(estate, "previous config") : -1;
	char failure[SUCCESSION_REASON_MAX], binary[64];
	int64_t fell = 0;

	if (binary_fd < 0 || estate_get_number(estate, "fell back", &fell) == 0)
		return;
	(void)estate_add_number(estate, "fell back", 1);
	snprintf(failure, sizeof(failure), "it could not start: %.480s", reason);
	(void)estate_add_text(estate, "failure", failure);
	log_error("the image before this one comes back: %s", failure);
	snprintf(binary, sizeof(binary), "/proc/self/fd/%d", binary_fd);
	log_error("it cannot be executed: %s",
		strerror(-succession_execute(binary, argv, estate, config_fd)));
}

void successor_fall_back(struct successor *successor)
{
	close_spare(successor);
	successor_go_back(successor->fallback, successor->setup.argv, log_last_error());
}

/* ---- commands ---- */

static int run_reload(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	struct successor *successor = userdata;
	int err = successor_begin(successor, json_string_value(json_object_get(args, "binary")));

	if (err == -EALREADY)
		return control_fail(error, err, CONTROL_BUSY,
			"the gateway is starting, stopping, or at it already: try again");
	if (err)
		return control_fail(error, err, CONTROL_FAILED, "%.200s", successor->reason);
	*ret_result = json_pack("{s:I}", "generation",
		(json_int_t)predecessors_generation(*successor->setup.before));
	return *ret_result ? 0 : -ENOMEM;
}

static int run_generation(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	const struct successor *successor = userdata;
	const struct predecessors *before = *successor->setup.before;

	(void)args;
	(void)error;
	*ret_result = json_pack("{s:I, s:b, s:s?, s:I, s:s}", "generation",
		(json_int_t)predecessors_generation(before), "trying",
		successor_is_trying(successor) ||
			!successor->setup.is_possible(successor->setup.userdata),
		"failure", successor->failed ? successor->reason : NULL, "workers_before",
		(json_int_t)predecessors_alive(before, PREDECESSOR_WORKER), "release",
		SIXGATE_VERSION);
	return *ret_result ? 0 : -ENOMEM;
}

void successor_add_commands(struct successor *successor, struct control *control)
{
	const struct control_command reload = {
		.name = "reload",
		.summary = "a successor with the configuration, and the program, as they are now",
		.needs_write = true,
		.params = { { .name = "binary", .kind = CONTROL_TEXT } },
		.run = run_reload,
		.userdata = successor,
	};
	const struct control_command generation = {
		.name = "generation",
		.summary = "how many successors there were, and what became of the last one",
		.run = run_generation,
		.userdata = successor,
	};

	control_add(control, &reload);
	control_add(control, &generation);
}
