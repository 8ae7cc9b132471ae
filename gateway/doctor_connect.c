#include "doctor_connect.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct attempt {
	const struct doctor_backend *backend;
	int fd;	    /* -1: it is over */
	int result; /* -EINPROGRESS: none yet */
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

static void finish(struct attempt *attempt, int result)
{
	attempt->result = result;
	if (attempt->fd >= 0)
		close(attempt->fd);
	attempt->fd = -1;
}

static void wait_all(struct attempt *attempts, size_t n)
{
	struct pollfd polled[DOCTOR_CONNECT_MAX];
	int64_t end = now_ms() + DOCTOR_CONNECT_MS, left = DOCTOR_CONNECT_MS;
	size_t waiting = 1;

	while (waiting > 0 && left > 0) {
		waiting = 0;
		for (size_t i = 0; i < n; i++) {
			polled[i] = (struct pollfd){ .fd = attempts[i].fd, .events = POLLOUT };
			waiting += attempts[i].fd >= 0;
		}
		if (waiting == 0 || (poll(polled, n, (int)left) < 0 && errno != EINTR))
			return;
		for (size_t i = 0; i < n; i++) {
			int error = 0;
			socklen_t len = sizeof(error);

			if (attempts[i].fd < 0 || !polled[i].revents)
				continue;
			if (getsockopt(attempts[i].fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
				error = errno;
			finish(&attempts[i], -error);
		}
		left = end - now_ms();
	}
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
		if (result != -EINPROGRESS)
			finish(&attempts[n], result);
		n++;
	}
	wait_all(attempts, n);
	for (size_t i = 0; i < n; i++) {
		finish(&attempts[i], attempts[i].result);
		report_attempt(&attempts[i], report);
	}
}
