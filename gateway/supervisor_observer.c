#include "supervisor_observer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel.h"
#include "history.h"
#include "log.h"
#include "observer.h"
#include "supervisor_control.h"

#define LISTEN_BACKLOG 128
#define HISTORY_NAME   "history"

static const char *name_of(const struct sockaddr_any *addr, char buf[ESTATE_NAME_MAX])
{
	char text[SOCKADDR_TEXT_MAX];

	snprintf(buf, ESTATE_NAME_MAX, "metrics %s", sockaddr_format(addr, text));
	return buf;
}

/* shared: with sockets of ours that are to go. */
static int open_socket(const struct sockaddr_any *addr, bool shared, int *ret_fd)
{
	const int on = 1;
	int fd = socket(sockaddr_family(addr), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		(shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0) ||
		(sockaddr_family(addr) == AF_INET6 &&
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
		bind(fd, &addr->sa, sockaddr_len(addr)) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
		err = -errno;
	if (err)
		close(fd);
	else
		*ret_fd = fd;
	return err;
}

struct rival {
	uint16_t port;
	bool found;
};

static void share(void *userdata, const char *name, int fd)
{
	static const char prefix[] = "metrics ";
	struct rival *rival = userdata;
	struct sockaddr_any addr;
	const char *reason;
	const int on = 1;

	if (strncmp(name, prefix, sizeof(prefix) - 1) == 0 &&
		sockaddr_parse(name + sizeof(prefix) - 1, &addr, &reason) == 0 &&
		sockaddr_port(&addr) == rival->port &&
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0)
		rival->found = true;
}

/* The image before may be what listens there: on one address, and this one on all. */
static int open_beside(const struct sockaddr_any *addr, const struct estate *estate, int *ret_fd)
{
	struct rival rival = { .port = sockaddr_port(addr) };
	int err = open_socket(addr, false, ret_fd);

	if (err != -EADDRINUSE || !estate)
		return err;
	estate_for_each_fd(estate, share, &rival);
	return rival.found ? open_socket(addr, true, ret_fd) : err;
}

static bool open_sockets(struct supervisor *supervisor)
{
	const struct config_metrics *metrics = &supervisor->config->metrics;
	struct estate *estate = supervisor->setup->estate;
	char name[ESTATE_NAME_MAX], text[SOCKADDR_TEXT_MAX];
	bool any = false;

	for (size_t i = 0; i < metrics->n_listen; i++) {
		int *fd = &supervisor->metrics_fds[i];
		int err = 0;

		if (estate)
			*fd = estate_take_fd(estate, name_of(&metrics->listen[i], name));
		if (*fd < 0)
			err = open_beside(&metrics->listen[i], estate, fd);
		if (err)
			log_warning("metrics: cannot listen on %s: %s; give another address that "
				    "this machine has (metrics listen)",
				sockaddr_format(&metrics->listen[i], text), strerror(-err));
		any = any || !err;
	}
	return any;
}

/* That of the image before, if we can read it, or a new one. Without, the page has no plots. */
static void open_history(struct supervisor *supervisor)
{
	struct estate *estate = supervisor->setup->estate;
	int inherited = estate ? estate_take_fd(estate, HISTORY_NAME) : -1;
	struct history *history = NULL;

	if (inherited < 0 || history_open(inherited, &history) < 0)
		(void)history_create(&history);
	if (history)
		supervisor->history_fd = fcntl(history_fd(history), F_DUPFD_CLOEXEC, 3);
	history_close(history);
	if (inherited >= 0)
		close(inherited);
}

void supervisor_observer_start(struct supervisor *supervisor)
{
	char text[SOCKADDR_TEXT_MAX];

	if (!open_sockets(supervisor))
		return;
	open_history(supervisor);
	child_start_or_retry(&supervisor->observer);
	for (size_t i = 0; i < supervisor->config->metrics.n_listen; i++)
		if (supervisor->metrics_fds[i] >= 0)
			log_info("metrics: http://%s/metrics",
				sockaddr_format(&supervisor->config->metrics.listen[i], text));
}

static int status_file(struct supervisor *supervisor, int *ret_fd)
{
	json_t *status = NULL;
	int err = supervisor_control_status(supervisor, &status);
	int fd = err ? -1 : memfd_create("status", MFD_CLOEXEC);

	if (!err &&
		(fd < 0 || json_dumpfd(status, fd, JSON_COMPACT) < 0 || lseek(fd, 0, SEEK_SET) < 0))
		err = -EIO;
	json_decref(status);
	if (!err)
		*ret_fd = fd;
	else if (fd >= 0)
		close(fd);
	return err;
}

bool supervisor_observer_heard(
	struct supervisor *supervisor, const struct child *child, char message)
{
	int fd = -1;

	if (child != &supervisor->observer)
		return false;
	if (message == OBSERVER_STATUS && status_file(supervisor, &fd) == 0) {
		/* One that does not listen asks again. */
		(void)channel_send(child->channel_fd, OBSERVER_STATUS, &fd, 1);
		close(fd);
	}
	return true;
}

bool supervisor_observer_reaped(struct supervisor *supervisor, pid_t pid, int status)
{
	struct child *observer = &supervisor->observer;

	if (observer->pid == 0 || observer->pid != pid)
		return false;
	shared_wake(&supervisor->shared); /* as for a worker */
	child_log_death(observer, "the observer", status);
	child_close_channel(observer);
	observer->pid = 0;
	child_replace(observer);
	return true;
}

int supervisor_observer_bequeath(
	const struct supervisor *supervisor, bool all, struct estate *estate)
{
	char name[ESTATE_NAME_MAX];
	int err = 0;

	for (size_t i = 0; i < supervisor->config->metrics.n_listen && !err; i++)
		if (supervisor->metrics_fds[i] >= 0)
			err = estate_add_fd(estate,
				name_of(&supervisor->config->metrics.listen[i], name),
				supervisor->metrics_fds[i]);
	if (!err && all && supervisor->history_fd >= 0)
		err = estate_add_fd(estate, HISTORY_NAME, supervisor->history_fd);
	return err;
}

void supervisor_observer_stop(struct supervisor *supervisor)
{
	struct child *observer = &supervisor->observer;

	loop_timer_cancel(&supervisor->loop, &observer->restart);
	child_close_channel(observer);
	if (observer->pid) {
		kill(observer->pid, SIGKILL);
		(void)waitpid(observer->pid, NULL, 0);
		observer->pid = 0;
	}
	if (supervisor->history_fd >= 0)
		close(supervisor->history_fd);
	supervisor->history_fd = -1;
	for (size_t i = 0; i < CONFIG_METRICS_LISTEN_MAX; i++) {
		if (supervisor->metrics_fds[i] >= 0)
			close(supervisor->metrics_fds[i]);
		supervisor->metrics_fds[i] = -1;
	}
}
