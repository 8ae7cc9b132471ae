#include "observer_http.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "accept_header.h"
#include "clock.h"
#include "log.h"
#include "metrics_text.h"
#include "status_page.h"

/*
 * Theory of operation
 *
 * MHD is given accepted connections, and run when its epoll descriptor is readable or its time is
 * over: one thread, one connection after the other. Every answer ends its connection, so that the
 * longest life of a connection is a limit for slow clients and nobody else: MHD's own limit is one
 * of silence, which a byte now and then would get around. A socket whose time is over is shut down;
 * MHD then finds its end.
 */
#define SILENCE_S   10U
#define MEMORY	    16384U /* of a connection: the request's head, and the answer's */
#define RETRY_AFTER "2"	   /* seconds; within one the answer would be the same (observer.c) */

struct connection {
	int fd; /* -1: free */
	uint64_t since_ms;
	struct sockaddr_any peer;
};

struct observer_http {
	struct MHD_Daemon *daemon;
	observer_http_ask *ask;
	void *userdata;
	const struct history *history;
	uint64_t now_ms;
	size_t n;
	uint64_t counters[OBSERVER_HTTP_COUNTERS];
	struct log_limit logs[OBSERVER_HTTP_COUNTERS];
	struct connection connections[OBSERVER_HTTP_CONNECTIONS];
};

static const char *const counter_names[] = { "crowded", "refused", "slow", "starved" };
static_assert(sizeof(counter_names) / sizeof(counter_names[0]) == OBSERVER_HTTP_COUNTERS,
	"a name a counter");

struct answer {
	unsigned code;
	const char *type;
	const char *header, *value; /* one more; NULL: none */
	const char *policy;	    /* NULL: what it is may do nothing */
	char *body;		    /* freed; NULL: no memory, and the connection is just closed */
	size_t len;
};

static void set_text(struct answer *answer, unsigned code, const char *text)
{
	answer->code = code;
	answer->type = "text/plain; charset=utf-8";
	answer->body = strdup(text);
	answer->len = strlen(text);
}

/* ---- pages ---- */

typedef void make_page(const struct observer_http *http, const json_t *status,
	struct MHD_Connection *connection, struct answer *answer);

static void metrics_page(const struct observer_http *http, const json_t *status,
	struct MHD_Connection *connection, struct answer *answer)
{
	const char *accepts =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	bool openmetrics = accept_header_openmetrics(accepts);

	(void)http;
	answer->type = openmetrics ? METRICS_TEXT_TYPE_OPENMETRICS : METRICS_TEXT_TYPE_PROMETHEUS;
	answer->header = MHD_HTTP_HEADER_VARY;
	answer->value = MHD_HTTP_HEADER_ACCEPT;
	answer->body = metrics_text(status, openmetrics, &answer->len);
}

static void json_page(const struct observer_http *http, const json_t *status,
	struct MHD_Connection *connection, struct answer *answer)
{
	(void)http;
	(void)connection;
	answer->type = "application/json";
	answer->body = json_dumps(status, JSON_COMPACT);
	answer->len = answer->body ? strlen(answer->body) : 0;
}

static void html_page(const struct observer_http *http, const json_t *status,
	struct MHD_Connection *connection, struct answer *answer)
{
	(void)connection;
	answer->type = "text/html; charset=utf-8";
	answer->policy = STATUS_PAGE_CSP;
	if (status_page_html(status, http->history, &answer->body, &answer->len) < 0)
		answer->body = NULL;
}

static const struct {
	const char *path;
	make_page *make;
} pages[] = {
	{ "/", html_page },
	{ "/metrics", metrics_page },
	{ "/status.json", json_page },
};

static make_page *find_page(const char *path)
{
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		if (strcmp(pages[i].path, path) == 0)
			return pages[i].make;
	return NULL;
}

static void make_answer(struct observer_http *http, struct MHD_Connection *connection,
	const char *path, struct answer *answer)
{
	make_page *make = find_page(path);
	const json_t *status;

	if (!make) {
		set_text(answer, MHD_HTTP_NOT_FOUND,
			"Not found. There are /, /metrics and /status.json.\n");
		return;
	}
	status = http->ask(http->userdata);
	if (!status) {
		set_text(answer, MHD_HTTP_SERVICE_UNAVAILABLE,
			"The gateway's supervisor does not answer.\n");
		answer->header = MHD_HTTP_HEADER_RETRY_AFTER;
		answer->value = RETRY_AFTER;
		return;
	}
	answer->code = MHD_HTTP_OK;
	make(http, status, connection, answer);
}

/* ---- MHD ---- */

static const char *const headers[][2] = {
	{ MHD_HTTP_HEADER_CONNECTION, "close" },
	{ MHD_HTTP_HEADER_CACHE_CONTROL, "no-store" },
	{ "X-Content-Type-Options", "nosniff" },
	{ "Referrer-Policy", "no-referrer" },
};

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct answer *answer)
{
	struct MHD_Response *response;
	enum MHD_Result result = MHD_YES;

	if (!answer->body)
		return MHD_NO;
	response =
		MHD_create_response_from_buffer(answer->len, answer->body, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(answer->body);
		return MHD_NO;
	}
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]) && result == MHD_YES; i++)
		result = MHD_add_response_header(response, headers[i][0], headers[i][1]);
	if (result == MHD_YES)
		result = MHD_add_response_header(
			response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
	if (result == MHD_YES)
		result = MHD_add_response_header(response, "Content-Security-Policy",
			answer->policy ? answer->policy
				       : "default-src 'none'; frame-ancestors 'none'");
	if (result == MHD_YES && answer->header)
		result = MHD_add_response_header(response, answer->header, answer->value);
	if (result == MHD_YES)
		result = MHD_queue_response(connection, answer->code, response);
	MHD_destroy_response(response);
	return result;
}

/*
 * A method that there is not is answered in the first call already, before a body is read. Of HEAD
 * MHD sends what it would of GET, but for the body.
 */
static enum MHD_Result on_request(void *userdata, struct MHD_Connection *connection,
	const char *path, const char *method, const char *version, const char *data, size_t *len,
	void **state)
{
	static char seen;
	struct answer answer = { 0 };

	(void)version;
	(void)data;
	(void)len;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		set_text(&answer, MHD_HTTP_METHOD_NOT_ALLOWED, "There is only GET and HEAD.\n");
		answer.header = MHD_HTTP_HEADER_ALLOW;
		answer.value = "GET, HEAD";
		return send_answer(connection, &answer);
	}
	/* The first call is made before the request's end. */
	if (*state != &seen) {
		*state = &seen;
		return MHD_YES;
	}
	make_answer(userdata, connection, path, &answer);
	return send_answer(connection, &answer);
}

static struct connection *find(struct observer_http *http, int fd)
{
	for (size_t i = 0; i < OBSERVER_HTTP_CONNECTIONS; i++)
		if (http->connections[i].fd == fd)
			return &http->connections[i];
	return NULL;
}

static void forget(struct observer_http *http, struct connection *connection)
{
	connection->fd = -1;
	http->n--;
}

void observer_http_note(struct observer_http *http, enum observer_http_counter counter,
	const struct sockaddr_any *peer, uint64_t now_ms)
{
	static const char *const says[OBSERVER_HTTP_COUNTERS] = {
		[OBSERVER_HTTP_CROWDED] = "as many clients as may be are here, others wait",
		[OBSERVER_HTTP_REFUSED] = ": its address has as many connections as one may have",
		[OBSERVER_HTTP_SLOW] = ": it sent no whole request, or did not read, for too long",
		[OBSERVER_HTTP_STARVED] =
			("no descriptor or memory for one more client, who waits; "
			 "raise the limit of open files"),
	};
	char text[SOCKADDR_TEXT_MAX];
	unsigned suppressed = 0;

	http->counters[counter]++;
	if (log_allowed(&http->logs[counter], now_ms, &suppressed))
		log_warning("metrics: %s%s%s; %u more such", peer ? "client " : "",
			peer ? sockaddr_format(peer, text) : "", says[counter], suppressed);
}

json_t *observer_http_json(const struct observer_http *http)
{
	json_t *counters = json_object();

	for (size_t i = 0; i < OBSERVER_HTTP_COUNTERS; i++)
		json_object_set_new(
			counters, counter_names[i], json_integer((json_int_t)http->counters[i]));
	return counters;
}

static void on_connection(void *userdata, struct MHD_Connection *connection, void **state,
	enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info;
	struct observer_http *http = userdata;
	struct connection *one;
	uint64_t now_ms;

	(void)state;
	if (code != MHD_CONNECTION_NOTIFY_CLOSED)
		return;
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	one = info ? find(http, info->connect_fd) : NULL;
	if (!one)
		return;
	now_ms = clock_monotonic_us() / 1000;
	/* For silence, or as its time was over: nothing here says why it is closed. */
	if (now_ms - one->since_ms >= SILENCE_S * 1000)
		observer_http_note(http, OBSERVER_HTTP_SLOW, &one->peer, now_ms);
	forget(http, one);
}

/* What MHD says is about single clients. */
static void on_log(void *userdata, const char *format, va_list arguments)
{
	(void)userdata;
	(void)format;
	(void)arguments;
}

struct observer_http *observer_http_new(
	observer_http_ask *ask, void *userdata, const struct history *history)
{
	struct observer_http *http = calloc(1, sizeof(*http));

	if (!http)
		return NULL;
	http->ask = ask;
	http->userdata = userdata;
	http->history = history;
	for (size_t i = 0; i < OBSERVER_HTTP_CONNECTIONS; i++)
		http->connections[i].fd = -1;
	http->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
		on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
		MHD_OPTION_CONNECTION_LIMIT, OBSERVER_HTTP_CONNECTIONS,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, OBSERVER_HTTP_PER_CLIENT,
		MHD_OPTION_CONNECTION_TIMEOUT, SILENCE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)MEMORY, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
	if (!http->daemon) {
		free(http);
		return NULL;
	}
	return http;
}

void observer_http_free(struct observer_http *http)
{
	if (!http)
		return;
	MHD_stop_daemon(http->daemon);
	free(http);
}

int observer_http_fd(const struct observer_http *http)
{
	return MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

size_t observer_http_connections(const struct observer_http *http)
{
	return http->n;
}

int observer_http_timeout(const struct observer_http *http, uint64_t now_ms)
{
	MHD_UNSIGNED_LONG_LONG own_ms;
	uint64_t timeout_ms = UINT64_MAX;

	if (MHD_get_timeout(http->daemon, &own_ms) == MHD_YES)
		timeout_ms = own_ms;
	for (size_t i = 0; i < OBSERVER_HTTP_CONNECTIONS; i++) {
		const struct connection *one = &http->connections[i];
		uint64_t end_ms = one->since_ms + OBSERVER_HTTP_LIFE_MS;

		if (one->fd >= 0 && timeout_ms > (end_ms > now_ms ? end_ms - now_ms : 0))
			timeout_ms = end_ms > now_ms ? end_ms - now_ms : 0;
	}
	return timeout_ms == UINT64_MAX ? -1 : (int)(timeout_ms < 60000 ? timeout_ms : 60000);
}

void observer_http_run(struct observer_http *http, uint64_t now_ms)
{
	for (size_t i = 0; i < OBSERVER_HTTP_CONNECTIONS; i++)
		if (http->connections[i].fd >= 0 &&
			http->connections[i].since_ms + OBSERVER_HTTP_LIFE_MS <= now_ms)
			shutdown(http->connections[i].fd, SHUT_RDWR);
	MHD_run(http->daemon);
}

void observer_http_add(
	struct observer_http *http, int fd, const struct sockaddr_any *peer, uint64_t now_ms)
{
	struct connection *one = find(http, -1);

	assert(one);
	*one = (struct connection){ fd, now_ms, *peer };
	http->n++;
	/* It closes what it does not take. */
	if (MHD_add_connection(http->daemon, fd, &peer->sa, sockaddr_len(peer)) == MHD_YES)
		return;
	if (errno == ENFILE)
		observer_http_note(http, OBSERVER_HTTP_REFUSED, peer, now_ms);
	else
		observer_http_note(http, OBSERVER_HTTP_STARVED, NULL, now_ms);
	if (one->fd >= 0) /* or MHD has told of its end already */
		forget(http, one);
}
