#include "doctor_connect.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "doctor_header.h"

/*
 * All at once in two rounds: until each has answered or the time is over, and, for those that were
 * sent a header, until each has said something or the time is over. So it takes as long for many
 * servers as for one.
 */
struct attempt {
	const struct doctor_backend *backend;
	int fd;	    /* -1: it is over */
	int result; /* of connect(2); -EINPROGRESS: none yet */
	bool told;  /* the header was sent */
	bool ended; /* ... and then the server has ended the connection */
	uint8_t answer[DOCTOR_ANSWER_MAX];
	size_t answer_len;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static int begin(const struct doctor_backend *backend, int *ret_fd)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0)
		return -errno;
	if (backend->pool->n_sources > 0) {
		const struct sockaddr_any *source = &backend->pool->sources[0];

		/* The port is then chosen for the connection, as the gateway does. */
		(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		if (bind(fd, &source->sa, sockaddr_len(source)) < 0)
			return -errno;
	}
	return connect(fd, &backend->addr.sa, sockaddr_len(&backend->addr)) < 0 ? -errno : 0;
}

static void finish(struct attempt *attempt)
{
	if (attempt->fd >= 0)
		close(attempt->fd);
	attempt->fd = -1;
}

static bool is_connecting(const struct attempt *attempt)
{
	return attempt->fd >= 0 && attempt->result == -EINPROGRESS;
}

static void on_connected(struct attempt *attempt)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	attempt->result = -error;
}

static bool is_listening(const struct attempt *attempt)
{
	return attempt->fd >= 0 && attempt->told && !attempt->ended && attempt->answer_len == 0;
}

static void on_answer(struct attempt *attempt)
{
	ssize_t n = recv(attempt->fd, attempt->answer, sizeof(attempt->answer), 0);

	if (n > 0)
		attempt->answer_len = (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		attempt->ended = true;
}

/* Waits for all that are waiting, for so long at most. */
static void wait_all(struct attempt *attempts, size_t n, int64_t left, short events,
	bool (*is_waiting)(const struct attempt *), void (*on_event)(struct attempt *))
{
	struct pollfd polled[DOCTOR_CONNECT_MAX];
	int64_t end = now_ms() + left;
	size_t waiting;

	for (; left > 0; left = end - now_ms()) {
		waiting = 0;
		for (size_t i = 0; i < n; i++) {
			bool waits = is_waiting(&attempts[i]);

			polled[i] = (struct pollfd){ .fd = waits ? attempts[i].fd : -1,
				.events = events };
			waiting += waits;
		}
		if (waiting == 0 || (poll(polled, n, (int)left) < 0 && errno != EINTR))
			return;
		for (size_t i = 0; i < n; i++)
			if (polled[i].fd >= 0 && polled[i].revents)
				on_event(&attempts[i]);
	}
}

/* Sends the header, if clients of the server have one. */
static void tell(const struct doctor_facts *facts, struct attempt *attempt)
{
	struct sockaddr_any local = { 0 };
	socklen_t local_len = sizeof(local);
	uint8_t header[DOCTOR_HEADER_MAX];
	size_t len;

	if (attempt->fd < 0 || attempt->result != 0 ||
		getsockname(attempt->fd, &local.sa, &local_len) < 0 ||
		!doctor_header_make(facts, attempt->backend, &local, header, &len))
		return;
	attempt->told = true;
	attempt->ended = send(attempt->fd, header, len, MSG_NOSIGNAL) < 0;
}

static void report_attempt(const struct attempt *attempt, struct doctor_report *report)
{
	const struct doctor_backend *backend = attempt->backend;
	char text[SOCKADDR_TEXT_MAX];

	sockaddr_format(&backend->addr, text);
	switch (-attempt->result) {
	case 0:
		doctor_add(report, "connect", text, DOCTOR_OK, NULL, "%s of pool %s answers", text,
			backend->owner);
		break;
	case ECONNREFUSED:
		doctor_add(report, "connect", text, DOCTOR_WRONG, NULL,
			"%s of pool %s refuses connections: is the server running?", text,
			backend->owner);
		break;
	case EINPROGRESS:
	case ETIMEDOUT:
	case EHOSTUNREACH:
		doctor_add(report, "connect", text, DOCTOR_WRONG, NULL,
			"%s of pool %s does not answer: is the server running?", text,
			backend->owner);
		break;
	default:
		doctor_add(report, "connect", text, DOCTOR_UNKNOWN, NULL,
			"%s of pool %s cannot be tried: %s", text, backend->owner,
			strerror(-attempt->result));
	}
}

static void report_header(const struct attempt *attempt, struct doctor_report *report)
{
	char text[SOCKADDR_TEXT_MAX], quoted[DOCTOR_ANSWER_TEXT];
	const char *owner = attempt->backend->owner;

	if (!attempt->told)
		return;
	sockaddr_format(&attempt->backend->addr, text);
	switch (doctor_header_judge(attempt->answer, attempt->answer_len, attempt->ended)) {
	case DOCTOR_HEADER_FINE:
		doctor_add(report, "header", text, DOCTOR_OK, NULL,
			"%s of pool %s has nothing against a PROXY header", text, owner);
		break;
	case DOCTOR_HEADER_REFUSED:
		doctor_add(report, "header", text, DOCTOR_WRONG, NULL,
			"%s of pool %s does not expect the PROXY header, which it answers by %s: "
			"configure it to, or write identity = none",
			text, owner,
			doctor_header_quote(attempt->answer, attempt->answer_len, quoted));
		break;
	case DOCTOR_HEADER_CLOSED:
		doctor_add(report, "header", text, DOCTOR_WARN, NULL,
			"%s of pool %s ends a connection that has a PROXY header and no client: "
			"does it expect the header?",
			text, owner);
	}
}

void doctor_check_connect(const struct doctor_facts *facts, struct doctor_report *report)
{
	struct attempt attempts[DOCTOR_CONNECT_MAX];
	size_t n = 0;

	for (size_t i = 0; i < facts->n_backends && n < DOCTOR_CONNECT_MAX; i++) {
		const struct doctor_backend *backend = &facts->backends[i];
		int result;

		/* Without a route the check of routes has said what is wrong. */
		if (!backend->pool || !backend->served || backend->error ||
			backend->protocol != IPPROTO_TCP || sockaddr_port(&backend->addr) == 0)
			continue;
		attempts[n] = (struct attempt){ .backend = backend, .fd = -1 };
		result = begin(backend, &attempts[n].fd);
		attempts[n].result = result;
		n++;
	}
	wait_all(attempts, n, DOCTOR_CONNECT_MS, POLLOUT, is_connecting, on_connected);
	for (size_t i = 0; i < n; i++)
		tell(facts, &attempts[i]);
	wait_all(attempts, n, DOCTOR_ANSWER_MS, POLLIN, is_listening, on_answer);
	for (size_t i = 0; i < n; i++) {
		finish(&attempts[i]);
		report_attempt(&attempts[i], report);
		report_header(&attempts[i], report);
	}
}
