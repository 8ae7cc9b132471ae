#include "succession.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"

/*
 * Theory of operation
 *
 *  (nothing) ──succession_try()──► trial runs ──it ends, or is killed when late──► done() told
 *
 * What a trial says on its standard output and error is read as it comes, and the end of it kept:
 * its last line is the reason if it fails. The supervisor reaps all its children, so it tells this
 * module of the trial's end.
 *
 * The trial is the leader of a process group, so that what it has forked can be killed with it: a
 * trial starts workers, which would outlive it if it were killed alone.
 *
 * Its end is what decides, and not the end of its output: that a grandchild may hold open.
 *
 * Environment: SIXGATE_ESTATE and SIXGATE_CONFIG are numbers of descriptors, SIXGATE_TRIAL is 1.
 */
#define ESTATE_VARIABLE "SIXGATE_ESTATE"
#define CONFIG_VARIABLE "SIXGATE_CONFIG"
#define TRIAL_VARIABLE	"SIXGATE_TRIAL"

/* What a trial that went well says at its end: the status of another program may be 0 as well. */
#define FINE "sixgated: this image could start\n"

/* ---- what an image finds ---- */

/* The number in a variable, which is cleared; -1: none. */
static int take_number(const char *variable)
{
	const char *text = getenv(variable);
	char *end = NULL;
	long number = text ? strtol(text, &end, 10) : -1;

	if (text && (*text == '\0' || *end != '\0' || number < 0 || number > INT32_MAX))
		number = -1;
	unsetenv(variable);
	return (int)number;
}

static void set_inheritable(int fd, bool inheritable)
{
	if (fd >= 0)
		(void)fcntl(fd, F_SETFD, inheritable ? 0 : FD_CLOEXEC);
}

static void make_private(void *userdata, const char *name, int fd)
{
	(void)userdata;
	(void)name;
	set_inheritable(fd, false);
}

static void make_inheritable(void *userdata, const char *name, int fd)
{
	(void)userdata;
	(void)name;
	set_inheritable(fd, true);
}

int succession_inherit(struct succession_inheritance *ret_inheritance)
{
	struct succession_inheritance found = {
		.trial = take_number(TRIAL_VARIABLE) == 1,
		.config_fd = take_number(CONFIG_VARIABLE),
	};
	int fd = take_number(ESTATE_VARIABLE), err = 0;

	set_inheritable(found.config_fd, false);
	if (fd >= 0) {
		err = estate_load(fd, &found.estate);
		close(fd);
	}
	if (!err && found.estate && !found.trial)
		estate_for_each_fd(found.estate, make_private, NULL);
	if (!err)
		*ret_inheritance = found;
	return err;
}

static int set_number(const char *variable, int number)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", number);
	return setenv(variable, text, 1) < 0 ? -errno : 0;
}

/* ---- a trial ---- */

void succession_say_fine(void)
{
	fputs(FINE, stdout);
	fflush(stdout);
}

void succession_init(
	struct succession *succession, struct loop *loop, succession_done *done, void *userdata)
{
	*succession = (struct succession){
		.loop = loop,
		.output_fd = -1,
		.done = done,
		.userdata = userdata,
	};
	timer_init(&succession->timer, NULL);
}

/* Keeps the end of what was said. */
static void keep_output(struct succession *succession, const char *data, size_t len)
{
	const size_t size = sizeof(succession->output) - 1;

	if (len > size) {
		data += len - size;
		len = size;
	}
	assert(succession->output_len <= size);
	if (succession->output_len + len > size) {
		size_t drop = succession->output_len + len - size;

		memmove(succession->output, succession->output + drop,
			succession->output_len - drop);
		succession->output_len -= drop;
	}
	memcpy(succession->output + succession->output_len, data, len);
	succession->output_len += len;
	succession->output[succession->output_len] = '\0';
}

/* False: there is nothing more to come. */
static bool read_output(struct succession *succession)
{
	char data[512];
	ssize_t n;

	while ((n = read(succession->output_fd, data, sizeof(data))) > 0)
		keep_output(succession, data, (size_t)n);
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void close_output(struct succession *succession)
{
	if (succession->output_fd < 0)
		return;
	loop_remove(succession->loop, succession->output_fd);
	close(succession->output_fd);
	succession->output_fd = -1;
}

static void on_output(struct loop_source *source, uint32_t events)
{
	struct succession *succession = list_entry(source, struct succession, source);

	(void)events;
	if (succession->output_fd >= 0 && !read_output(succession))
		close_output(succession);
}

static void on_late(struct timer *timer)
{
	struct succession *succession = list_entry(timer, struct succession, timer);

	assert(succession->pid > 1); /* kill(-1) would be everybody */
	succession->late = true;
	kill(-succession->pid, SIGKILL);
}

/* In the child; never returns. */
static void run_trial(const char *binary, char *const argv[], int output_fd)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0); /* so that all of it can be ended at once */
	unsetenv("NOTIFY_SOCKET");
	dup2(output_fd, STDOUT_FILENO);
	dup2(output_fd, STDERR_FILENO);
	execv(binary, argv);
	dprintf(STDERR_FILENO, "%s: %s\n", binary, strerror(errno));
	_exit(EXIT_FAILURE);
}

static int fork_trial(struct succession *succession, const char *binary, char *const argv[],
	int estate_fd, int config_fd)
{
	int fds[2], err = 0;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	succession->source.on_event = on_output;
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
		err = -errno;
	if (!err)
		err = loop_add(succession->loop, fds[0], EPOLLIN, &succession->source);
	pid = err ? -1 : fork();
	if (pid == 0) {
		set_inheritable(estate_fd, true);
		set_inheritable(config_fd, true);
		if (set_number(ESTATE_VARIABLE, estate_fd) < 0 ||
			(config_fd >= 0 && set_number(CONFIG_VARIABLE, config_fd) < 0) ||
			set_number(TRIAL_VARIABLE, 1) < 0)
			_exit(EXIT_FAILURE);
		run_trial(binary, argv, fds[1]);
	}
	if (pid < 0 && !err)
		err = -errno;
	close(fds[1]);
	if (err) {
		close(fds[0]);
		return err;
	}
	/* By both, as either may be the first to need it; the loser's error is of no interest. */
	setpgid(pid, pid);
	succession->pid = pid;
	succession->output_fd = fds[0];
	return 0;
}

int succession_try(struct succession *succession, const char *binary, char *const argv[],
	const struct estate *estate, int config_fd)
{
	int estate_fd = -1, err;

	if (succession->pid)
		return -EALREADY;
	if (access(binary, X_OK) < 0)
		return -errno;
	err = estate_save(estate, &estate_fd);
	if (err)
		return err;
	succession->output_len = 0;
	succession->output[0] = '\0';
	succession->late = false;
	err = fork_trial(succession, binary, argv, estate_fd, config_fd);
	close(estate_fd);
	if (err)
		return err;
	timer_init(&succession->timer, on_late);
	loop_timer_set(succession->loop, &succession->timer,
		succession->loop->now_ms + SUCCESSION_TRIAL_MS);
	return 0;
}

/* The last line that is not empty, without the program's name in front. */
static void last_line(char *text, char reason[SUCCESSION_REASON_MAX])
{
	static const char name[] = "sixgated: ";
	size_t len = strlen(text);
	char *line;

	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
		text[--len] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	if (strncmp(line, name, sizeof(name) - 1) == 0)
		line += sizeof(name) - 1;
	snprintf(reason, SUCCESSION_REASON_MAX, "%.511s", line);
}

static void log_output(const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		if (len > 0)
			log_warning("trial: %.*s", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static void say_reason(
	struct succession *succession, int status, char reason[SUCCESSION_REASON_MAX])
{
	char said[SUCCESSION_REASON_MAX];

	log_output(succession->output);
	last_line(succession->output, said);
	if (succession->late)
		snprintf(reason, SUCCESSION_REASON_MAX,
			"it was not ready after %u s, and was ended", SUCCESSION_TRIAL_MS / 1000);
	else if (WIFSIGNALED(status))
		snprintf(reason, SUCCESSION_REASON_MAX, "it was killed by signal %d%s%.400s",
			WTERMSIG(status), said[0] ? ": " : "", said);
	else if (WEXITSTATUS(status) == EXIT_SUCCESS)
		snprintf(reason, SUCCESSION_REASON_MAX,
			"it ended without saying that it could start: is it sixgated?");
	else if (said[0])
		snprintf(reason, SUCCESSION_REASON_MAX, "%s", said);
	else
		snprintf(reason, SUCCESSION_REASON_MAX, "it ended with status %d and said nothing",
			WEXITSTATUS(status));
}

bool succession_reaped(struct succession *succession, pid_t pid, int status)
{
	char reason[SUCCESSION_REASON_MAX] = "";
	bool ok;

	if (!succession->pid || pid != succession->pid)
		return false;
	/* What it may have left running: the group lives as long as one of its members does. */
	kill(-pid, SIGKILL);
	loop_timer_cancel(succession->loop, &succession->timer);
	if (succession->output_fd >= 0)
		(void)read_output(succession);
	close_output(succession);
	succession->pid = 0;
	ok = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS &&
	     strstr(succession->output, FINE);
	if (!ok)
		say_reason(succession, status, reason);
	succession->done(succession->userdata, ok, reason);
	return true;
}

void succession_abandon(struct succession *succession)
{
	if (succession->output_fd >= 0)
		close(succession->output_fd);
	succession->output_fd = -1;
	succession->pid = 0;
}

void succession_end(struct succession *succession)
{
	if (!succession->pid)
		return;
	kill(-succession->pid, SIGKILL);
	loop_timer_cancel(succession->loop, &succession->timer);
	close_output(succession);
	succession->pid = 0;
}

/* ---- in its place ---- */

int succession_execute(
	const char *binary, char *const argv[], const struct estate *estate, int config_fd)
{
	int estate_fd = -1, err;

	err = estate_save(estate, &estate_fd);
	if (err)
		return err;
	err = set_number(ESTATE_VARIABLE, estate_fd);
	if (!err && config_fd >= 0)
		err = set_number(CONFIG_VARIABLE, config_fd);
	if (!err) {
		set_inheritable(estate_fd, true);
		set_inheritable(config_fd, true);
		estate_for_each_fd(estate, make_inheritable, NULL);
		execv(binary, argv);
		err = -errno;
		/* We serve on, and our children must not get them. */
		estate_for_each_fd(estate, make_private, NULL);
		set_inheritable(config_fd, false);
	}
	unsetenv(ESTATE_VARIABLE);
	unsetenv(CONFIG_VARIABLE);
	close(estate_fd);
	return err;
}
