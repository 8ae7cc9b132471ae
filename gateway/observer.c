#include "observer.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "clock.h"
#include "history.h"
#include "log.h"
#include "observer_http.h"
#include "ring_log.h"
#include "sandbox.h"

/*
 * Theory of operation
 *
 * The supervisor is asked when somebody asks us, but not again within FRESH_MS: so however often we
 * are asked, it has little to do. It answers at once or is busy; we wait for it, and all our
 * clients with us, no longer than ANSWER_MS, and who comes within FRESH_MS of that hears at once
 * that there is no answer.
 *
 * When the channel closes, there is another image, which has the sockets and an observer of its own
 * for them, or none. We accept no more, and tell those who are here what we know.
 *
 * For the history the supervisor is asked every HISTORY_INTERVAL_S, whether anybody looks or not.
 * Its events are found from any answer to the next, so that who looks more often and sees a change
 * sees the event too.
 */
#define FRESH_MS  1000U
#define ANSWER_MS 2000
#define RETRY_MS  100U	/* without descriptors or memory for a client */
#define LEAVE_MS  1000U /* for those who are here when the channel closes */

#define STATUS_MAX (64U * 1024U * 1024U)

struct observer {
	const struct observer_setup *setup;
	struct observer_http *http;
	struct ring_log log;
	struct history *history; /* NULL: there is none to be had */
	uint64_t sample_ms;	 /* when it is to have the next sample */
	json_t *status;		 /* NULL: never heard of */
	uint64_t asked_ms;	 /* when the latest answer came, or did not */
	bool answered;		 /* ... it did */
	uint64_t pause_ms;	 /* until when nobody is accepted */
	bool full;		 /* as many clients as may be: the others wait */
	bool closed;		 /* the channel */
	uint64_t closed_ms;
};

static uint64_t now_ms(void)
{
	return clock_monotonic_us() / 1000;
}

static int64_t wall_s(void)
{
	return (int64_t)(clock_wall_us() / 1000000);
}

/* ---- the supervisor's answers ---- */

/* NULL: not to be read, no JSON, or no memory; then it is as if no answer had come. */
static json_t *load_status(int fd)
{
	char *text = NULL;
	size_t len = 0, size = 0;
	json_t *status = NULL;
	ssize_t n = 1;

	while (n > 0) {
		if (len == size) {
			char *more = size < STATUS_MAX ? realloc(text, size + 65536) : NULL;

			if (!more)
				break;
			text = more;
			size += 65536;
		}
		n = read(fd, text + len, size - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (n == 0)
		status = json_loadb(text, len, 0, NULL);
	free(text);
	return status;
}

static void note_closed(struct observer *observer)
{
	observer->closed = true;
	observer->closed_ms = now_ms();
}

/* One message, if there is one. False: nothing came. */
static bool take_message(struct observer *observer)
{
	int fds[CHANNEL_FDS_MAX];
	size_t n = 0;
	char message = 0;
	int got = channel_receive(observer->setup->channel_fd, &message, fds, &n);

	if (got == 0)
		note_closed(observer);
	if (got <= 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		json_t *status = message == OBSERVER_STATUS ? load_status(fds[i]) : NULL;

		close(fds[i]);
		if (!status)
			continue;
		json_decref(observer->status);
		observer->status = status;
		observer->answered = true;
	}
	return true;
}

static void ask_supervisor(struct observer *observer)
{
	struct pollfd channel = { .fd = observer->setup->channel_fd, .events = POLLIN };
	uint64_t until_ms = now_ms() + ANSWER_MS;

	/* Answers that came too late are as old as they are. */
	while (take_message(observer)) {
	}
	observer->answered = false;
	if (!observer->closed &&
		channel_send(observer->setup->channel_fd, OBSERVER_STATUS, NULL, 0) == 0)
		while (!observer->answered && !observer->closed && now_ms() < until_ms) {
			(void)poll(&channel, 1, (int)(until_ms - now_ms()));
			(void)take_message(observer);
		}
	observer->asked_ms = now_ms();
	if (observer->history && observer->answered && !observer->closed)
		history_note(observer->history, observer->status, wall_s());
}

/*
 * (an observer_http_ask) What the supervisor said within FRESH_MS, or says now. When the channel is
 * closed, the last thing that it ever said.
 */
static const json_t *on_ask(void *userdata)
{
	struct observer *observer = userdata;

	if (!observer->closed &&
		(observer->asked_ms == 0 || now_ms() - observer->asked_ms >= FRESH_MS))
		ask_supervisor(observer);
	if (!observer->answered && !observer->closed)
		return NULL;
	if (observer->status)
		json_object_set_new(
			observer->status, "observer", observer_http_json(observer->http));
	return observer->status;
}

/* ---- the history ---- */

/* Whoever has asked just now has asked for the sample, too. Without an answer it is left out. */
static void take_sample(struct observer *observer)
{
	const json_t *status;

	if (!observer->history || observer->closed || now_ms() < observer->sample_ms)
		return;
	status = on_ask(observer);
	if (status && !observer->closed)
		history_take(observer->history, status, wall_s());
	observer->sample_ms = now_ms() + HISTORY_INTERVAL_S * 1000;
}

static int until_sample(const struct observer *observer, int timeout_ms)
{
	uint64_t now = now_ms();
	uint64_t left = observer->sample_ms > now ? observer->sample_ms - now : 0;

	if (!observer->history || observer->closed)
		return timeout_ms;
	return timeout_ms < 0 || (uint64_t)timeout_ms > left ? (int)left : timeout_ms;
}

/* ---- clients ---- */

static bool has_room(const struct observer *observer)
{
	return observer_http_connections(observer->http) < OBSERVER_HTTP_CONNECTIONS;
}

/* The socket stays readable: to look at it again at once would be to spin. */
static void pause_accepting(struct observer *observer)
{
	observer->pause_ms = now_ms() + RETRY_MS;
	observer_http_note(observer->http, OBSERVER_HTTP_STARVED, NULL, now_ms());
}

static void accept_some(struct observer *observer, int listen_fd)
{
	while (has_room(observer)) {
		struct sockaddr_any peer = { 0 };
		socklen_t len = sizeof(peer);
		int fd = accept4(listen_fd, &peer.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
				errno == ENOMEM)
				pause_accepting(observer);
			return;
		}
		observer_http_add(observer->http, fd, &peer, now_ms());
	}
	if (!observer->full)
		observer_http_note(observer->http, OBSERVER_HTTP_CROWDED, NULL, now_ms());
	observer->full = true;
}

/* Whether listening sockets are watched; or else when to look at them again. */
static bool may_accept(struct observer *observer, int *timeout_ms)
{
	uint64_t now = now_ms();

	if (observer->closed || !has_room(observer))
		return false;
	observer->full = false;
	if (now >= observer->pause_ms)
		return true;
	if (*timeout_ms < 0 || *timeout_ms > (int)(observer->pause_ms - now))
		*timeout_ms = (int)(observer->pause_ms - now);
	return false;
}

static void wait_and_serve(struct observer *observer)
{
	const struct observer_setup *setup = observer->setup;
	int timeout_ms = observer_http_timeout(observer->http, now_ms());
	bool room = may_accept(observer, &timeout_ms);
	struct pollfd fds[2 + CONFIG_METRICS_LISTEN_MAX] = {
		{ .fd = observer->closed ? -1 : setup->channel_fd, .events = POLLIN },
		{ .fd = observer_http_fd(observer->http), .events = POLLIN },
	};

	for (size_t i = 0; i < CONFIG_METRICS_LISTEN_MAX; i++)
		fds[2 + i] = (struct pollfd){
			.fd = room && i < setup->config->metrics.n_listen ? setup->listen_fds[i]
									  : -1,
			.events = POLLIN,
		};
	if (observer->closed && (timeout_ms < 0 || timeout_ms > (int)LEAVE_MS))
		timeout_ms = LEAVE_MS;
	(void)poll(fds, sizeof(fds) / sizeof(fds[0]), until_sample(observer, timeout_ms));
	if (fds[0].revents)
		(void)take_message(observer);
	for (size_t i = 0; i < CONFIG_METRICS_LISTEN_MAX; i++)
		if (fds[2 + i].revents)
			accept_some(observer, fds[2 + i].fd);
	observer_http_run(observer->http, now_ms());
	take_sample(observer);
}

/* ---- start and end ---- */

static int confine(const struct observer *observer)
{
	int err = sandbox_drop_privileges(observer->setup->config->user);

	if (err)
		log_error("observer: cannot give up privileges: %s", strerror(-err));
	if (err)
		return err;
	err = sandbox_filter_observer();
	if (err)
		log_error("observer: cannot load the seccomp filter: %s", strerror(-err));
	return err;
}

int observer_run(const struct observer_setup *setup)
{
	struct observer observer = { .setup = setup };
	int err = -ENOMEM;

	observer.log = (struct ring_log){ .ring = setup->ring, .wake_fd = setup->ring_wake_fd };
	ring_log_use(&observer.log);
	/* Both open a file. */
	json_object_seed(0);
	tzset();
	if (setup->history_fd < 0 || history_open(setup->history_fd, &observer.history) < 0)
		log_warning(
			"observer: the status page has no plots, as there is no memory to share");
	observer.http = observer_http_new(on_ask, &observer, observer.history);
	if (observer.http)
		err = confine(&observer);
	else
		log_error("observer: cannot start an HTTP server");
	while (!err && (!observer.closed || (observer_http_connections(observer.http) > 0 &&
						    now_ms() < observer.closed_ms + LEAVE_MS)))
		wait_and_serve(&observer);
	observer_http_free(observer.http);
	history_close(observer.history);
	json_decref(observer.status);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
