#include "logger.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access_log.h"
#include "clock.h"
#include "journal.h"
#include "log.h"
#include "sandbox.h"

/*
 * Theory of operation
 *
 * The logger drains all rings, writes what it got in large pieces, and looks again FETCH_MS later
 * as long as there was something. When there was nothing it announces to every ring that it sleeps;
 * the next record then comes with a wake-up through wake_fd. Under load no worker makes a system
 * call for a record.
 *
 * The supervisor holds the other end of channel_fd and never writes to it. Its end, by intent or by
 * death, is the sign to write what is left and end. Rings outlive the logger: its successor goes on
 * where it stopped.
 */
/* While records keep coming they are fetched this often, so that no worker has to wake us. */
#define FETCH_MS 10

#define BUFFER_SIZE 65536U
#define LINE_MAX_   2048U

static_assert(2 * LINE_MAX_ <= BUFFER_SIZE, "a line fits behind the rest of a torn one");

struct logger {
	const struct logger_setup *setup;
	size_t used;
	uint64_t lost_said;
	uint64_t unwritten; /* records lost since writing failed */
	bool write_failed;
	bool torn; /* the buffer begins within a record */
	struct log_limit limit;
	char buffer[BUFFER_SIZE];
};

static void lose(struct logger *logger, struct ring *ring, uint64_t n)
{
	ring_lose(ring, n);
	logger->lost_said += n;
	logger->unwritten += n;
}

static bool may_say(struct logger *logger)
{
	unsigned suppressed;

	return log_allowed(&logger->limit, clock_monotonic_us() / 1000, &suppressed);
}

static void say_failure(struct logger *logger, int error)
{
	if (!logger->write_failed && may_say(logger))
		log_error("access log: %s; records are lost until it can be written again",
			strerror(error));
	logger->write_failed = true;
}

static void say_success(struct logger *logger)
{
	if (logger->write_failed && may_say(logger))
		log_warning("access log: it can be written again; %llu records were lost",
			(unsigned long long)logger->unwritten);
	logger->write_failed = false;
	logger->unwritten = 0;
}

/*
 * What follows the first so many bytes of the buffer could not be written. The rest of a record
 * whose beginning has been written is kept, so that none is torn.
 */
static void drop_access(struct logger *logger, struct ring *ring, size_t done)
{
	const char *rest = logger->buffer + done;
	size_t left = logger->used - done, kept = 0;
	uint64_t lost = 0;

	if (done > 0)
		logger->torn = rest[-1] != '\n';
	if (logger->torn)
		kept = (size_t)((const char *)memchr(rest, '\n', left) - rest) + 1;
	for (size_t i = kept; i < left; i++)
		lost += rest[i] == '\n';
	memmove(logger->buffer, rest, kept);
	logger->used = kept;
	lose(logger, ring, lost);
}

/* ring: whose records they are. */
static void flush_access(struct logger *logger, struct ring *ring)
{
	struct pollfd room = { .fd = logger->setup->access_fd, .events = POLLOUT };
	size_t done = 0;

	while (done < logger->used) {
		ssize_t n = write(room.fd, logger->buffer + done, logger->used - done);

		if (n >= 0) {
			done += (size_t)n;
		} else if (errno == EAGAIN) {
			(void)poll(&room, 1, -1); /* whoever opened it did not want to wait */
		} else if (errno != EINTR) {
			say_failure(logger, errno);
			drop_access(logger, ring, done);
			return;
		}
	}
	if (done > 0)
		say_success(logger);
	logger->torn = false;
	logger->used = 0;
}

static void write_record(struct logger *logger, struct ring *ring, const void *data, size_t len)
{
	struct access_log_record record;
	char line[LINE_MAX_];
	size_t line_len;

	if (len != sizeof(record))
		return;
	memcpy(&record, data, sizeof(record));
	if (access_log_format(&record, line, sizeof(line) - 1) < 0) {
		log_error("access log: a record could not be formatted and is lost");
		lose(logger, ring, 1);
		return;
	}
	if (logger->setup->access_fd < 0) {
		int err = journal_access(line);

		if (err) {
			say_failure(logger, -err);
			lose(logger, ring, 1);
		} else {
			say_success(logger);
		}
		return;
	}
	line_len = strlen(line);
	line[line_len++] = '\n';
	if (logger->used + line_len > sizeof(logger->buffer))
		flush_access(logger, ring);
	assert(logger->used + line_len <= sizeof(logger->buffer));
	memcpy(logger->buffer + logger->used, line, line_len);
	logger->used += line_len;
}

static void write_line(char *data, size_t len)
{
	enum log_level level = len ? (enum log_level)data[0] : LOG_LEVEL_COUNT;

	if (level < LOG_LEVEL_COUNT)
		log_write(level, "%.*s", (int)(len - 1), data + 1);
}

/* Whether anything was there. */
static bool fetch(struct logger *logger)
{
	char data[RING_DATA_MAX];
	bool any = false;
	uint64_t lost = 0;
	uint32_t type;
	size_t len;

	for (size_t i = 0; i < logger->setup->n_rings; i++) {
		struct ring *ring = logger->setup->rings[i];

		while (ring_pop(ring, &type, data, &len)) {
			any = true;
			if (type == ACCESS_LOG_RING_RECORD)
				write_record(logger, ring, data, len);
			else
				write_line(data, len);
		}
		flush_access(logger, ring);
		lost += ring_lost(ring);
	}
	if (lost != logger->lost_said)
		log_warning("%llu log or access records lost, as they came faster than they could "
			    "be written",
			(unsigned long long)(lost - logger->lost_said));
	logger->lost_said = lost;
	return any;
}

/* False: something came in meanwhile. */
static bool all_asleep(const struct logger *logger)
{
	bool asleep = true;

	for (size_t i = 0; i < logger->setup->n_rings; i++)
		asleep = ring_sleep(logger->setup->rings[i]) && asleep;
	return asleep;
}

/* True: the channel has closed. */
static bool wait_for_more(struct logger *logger, int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = logger->setup->channel_fd, .events = POLLIN },
		{ .fd = logger->setup->wake_fd, .events = POLLIN },
	};
	uint64_t count;

	/* While fetching on a clock, wake-ups are no news. */
	if (poll(fds, timeout_ms < 0 ? 2 : 1, timeout_ms) <= 0)
		return false;
	if (fds[1].revents && read(logger->setup->wake_fd, &count, sizeof(count)) < 0) {
		/* EAGAIN: no more news than expected. */
	}
	return fds[0].revents != 0;
}

int logger_run(const struct logger_setup *setup)
{
	struct logger *logger = calloc(1, sizeof(*logger));
	bool closed = false;
	int err;

	if (!logger)
		return EXIT_FAILURE;
	logger->setup = setup;
	/* What was lost before has been said by the logger before. */
	for (size_t i = 0; i < setup->n_rings; i++)
		logger->lost_said += ring_lost(setup->rings[i]);
	err = sandbox_drop_privileges(setup->config->user);
	if (err)
		log_warning("logger: cannot give up privileges: %s", strerror(-err));
	while (!closed) {
		if (fetch(logger))
			closed = wait_for_more(logger, FETCH_MS);
		else if (all_asleep(logger))
			closed = wait_for_more(logger, -1);
	}
	fetch(logger);
	free(logger);
	return EXIT_SUCCESS;
}
