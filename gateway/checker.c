#include "checker.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check_probe.h"
#include "log.h"

/*
 * Theory of operation
 *
 *  RESTING ──timer──► CONNECTING ──connected, request sent──► READING ──verdict──► RESTING
 *
 * Each backend of a pool has its own timer: in RESTING for the next check, otherwise for the end of
 * the one that is under way. Checks begin INTERVAL apart, give or take a tenth at random, so that
 * they, and those of other gateways, do not fall into step.
 *
 * The first verdict on a backend counts at once, so that what is down at the start does not get
 * clients for long. After that it takes "fall" failures in a row to take it out, and "rise" passes
 * to bring it back. What is wrong with us (no descriptor, no source port) says nothing of it.
 *
 * A backend that has another address is another one: what is under way ends without a verdict, and
 * the new one is checked at once. Where there is no address there is no check.
 *
 * Invariant: fd is -1 and answer NULL in RESTING, and only then; answer is there in READING only.
 *
 * The checker is the only one who brings a backend up or down for its checks; drains and circuits
 * are other words of pool_state, so it needs not know of them, and what they say outlives its
 * verdict.
 */
#define EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

enum check_phase { RESTING, CONNECTING, READING };

struct check {
	struct loop_source source; /* of fd */
	struct timer timer;	   /* RESTING: the next check; else the end of this one */
	struct checker *checker;
	size_t pool, backend;
	struct sockaddr_any addr; /* of the backend; family 0: it has none */
	enum check_phase phase;
	int fd;
	uint64_t began_ms;
	uint32_t run; /* verdicts in a row that speak against what it is taken for */
	bool known;   /* there was a verdict */
	bool up;
	uint8_t *answer; /* while READING */
	size_t len;
};

struct checker {
	struct loop *loop;
	const struct config *config;
	struct pool_state *state;
	struct pool_state_watch watch;
	struct check *checks;
	size_t n_checks;
	struct log_limit log;
	uint64_t passed, failed, changed, unable;
};

static const struct config_pool *pool_of(const struct check *check)
{
	return &check->checker->config->pools[check->pool];
}

static struct sockaddr_any address_of(const struct check *check)
{
	struct sockaddr_any addr = check->addr;

	if (pool_of(check)->check.port)
		sockaddr_set_port(&addr, pool_of(check)->check.port);
	return addr;
}

/* A tenth less or more. */
static uint32_t jittered(uint32_t ms)
{
	uint16_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		return ms;
	return ms - ms / 10 + (uint32_t)((uint64_t)random * (ms / 5) / UINT16_MAX);
}

static void drop(struct check *check)
{
	if (check->fd >= 0)
		close(check->fd);
	check->fd = -1;
	free(check->answer);
	check->answer = NULL;
	check->len = 0;
	check->phase = RESTING;
}

static void rest(struct check *check)
{
	const struct loop *loop = check->checker->loop;
	uint64_t next = check->began_ms + jittered(pool_of(check)->check.interval_ms);

	drop(check);
	loop_timer_set(
		check->checker->loop, &check->timer, next > loop->now_ms ? next : loop->now_ms + 1);
}

/* ---- verdicts ---- */

static void change(struct check *check, bool up, const char *reason)
{
	struct checker *checker = check->checker;
	char text[SOCKADDR_TEXT_MAX];

	assert(sockaddr_family(&check->addr) == AF_INET);
	check->up = up;
	check->run = 0;
	checker->changed++;
	pool_state_set_up(checker->state, check->pool, check->backend, up, checker->loop->now_ms);
	if (up)
		log_info("pool %s: backend %s is up", pool_of(check)->name,
			sockaddr_format(&check->addr, text));
	else
		log_warning("pool %s: backend %s is down: %s", pool_of(check)->name,
			sockaddr_format(&check->addr, text), reason);
}

static void conclude(struct check *check, bool pass, const char *reason)
{
	const struct config_check *config = &pool_of(check)->check;
	struct checker *checker = check->checker;

	assert(check->phase != RESTING);
	checker->passed += pass;
	checker->failed += !pass;
	if (check->known && pass == check->up)
		check->run = 0;
	else if (check->known ? ++check->run >= (pass ? config->rise : config->fall)
			      : !pass || !check->up)
		change(check, pass, reason);
	check->known = true;
	rest(check);
}

/* Our own trouble. */
static void give_up(struct check *check, int err)
{
	struct checker *checker = check->checker;
	unsigned suppressed = 0;

	checker->unable++;
	if (log_allowed(&checker->log, checker->loop->now_ms, &suppressed))
		log_warning("pool %s: a backend cannot be checked: %s (%u more like this)",
			pool_of(check)->name, strerror(-err), suppressed);
	rest(check);
}

/* error: positive. EADDRNOTAVAIL and EADDRINUSE: no source port, or "source" is not ours. */
static void conclude_error(struct check *check, int error)
{
	assert(error > 0);
	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case EADDRNOTAVAIL:
	case EADDRINUSE:
	case EPERM:
		give_up(check, -error);
		break;
	default:
		conclude(check, false, strerror(error));
	}
}

/* ---- a check ---- */

static void judge(struct check *check, bool ended)
{
	const char *reason = "";
	enum check_verdict verdict = check_probe_judge(
		&pool_of(check)->check, check->answer, check->len, ended, &reason);

	if (verdict != CHECK_MORE)
		conclude(check, verdict == CHECK_PASS, reason);
}

static void read_answer(struct check *check)
{
	bool datagram = pool_of(check)->check.type == CONFIG_CHECK_UDP, ended = false;

	while (!ended && check->len < CHECK_PROBE_ANSWER) {
		ssize_t n = recv(check->fd, check->answer + check->len,
			CHECK_PROBE_ANSWER - check->len, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n < 0) {
			conclude_error(check, errno);
			return;
		}
		check->len += (size_t)n;
		ended = n == 0 && !datagram;
	}
	judge(check, ended);
}

static void send_request(struct check *check)
{
	const struct checker *checker = check->checker;
	const struct config_check *config = &pool_of(check)->check;
	struct sockaddr_any local = { 0 }, backend = address_of(check);
	socklen_t len = sizeof(local);
	uint8_t request[CHECK_PROBE_MAX];
	size_t n = 0;
	ssize_t sent;
	int err = 0;

	if (getsockname(check->fd, &local.sa, &len) < 0)
		err = -errno;
	if (!err)
		err = check_probe_request(config,
			config_pool_identity(checker->config, check->pool), &local, &backend,
			request, &n);
	if (!err && (n > 0 || config->type == CONFIG_CHECK_UDP)) {
		sent = send(check->fd, request, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0)
			err = -errno;
		else if ((size_t)sent < n)
			err = -EMSGSIZE;
	}
	if (!err && config->type == CONFIG_CHECK_TCP) {
		conclude(check, true, "");
		return;
	}
	check->answer = err ? NULL : malloc(CHECK_PROBE_ANSWER);
	if (!err && !check->answer)
		err = -ENOMEM;
	if (err)
		conclude_error(check, -err);
	else
		check->phase = READING;
}

static void on_event(struct loop_source *source, uint32_t events)
{
	struct check *check = list_entry(source, struct check, source);
	socklen_t len = sizeof(int);
	int error = 0;

	/* Its socket was closed in the same batch. */
	if (check->phase == RESTING)
		return;
	/* A refusal is told once: who asks for SO_ERROR has it, and recv() would know nothing more.
	 */
	if ((events & EPOLLERR) && getsockopt(check->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 &&
		error) {
		conclude_error(check, error);
		return;
	}
	if (check->phase == CONNECTING && (events & EPOLLOUT))
		send_request(check);
	if (check->phase == READING)
		read_answer(check);
}

/* 0 or a negative errno. */
static int set_out(struct check *check)
{
	const struct config_check *config = &pool_of(check)->check;
	struct sockaddr_any backend = address_of(check);
	int type = config->type == CONFIG_CHECK_UDP ? SOCK_DGRAM : SOCK_STREAM;

	check->fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (check->fd < 0)
		return -errno;
	if (sockaddr_family(&config->source) == AF_INET &&
		bind(check->fd, &config->source.sa, sockaddr_len(&config->source)) < 0)
		return -errno;
	if (connect(check->fd, &backend.sa, sockaddr_len(&backend)) < 0 && errno != EINPROGRESS)
		return -errno;
	return loop_add(check->checker->loop, check->fd, EVENTS, &check->source);
}

static void on_due(struct timer *timer)
{
	struct check *check = list_entry(timer, struct check, timer);
	struct loop *loop = check->checker->loop;
	int err;

	switch (check->phase) {
	case RESTING:
		check->began_ms = loop->now_ms;
		check->phase = CONNECTING;
		err = set_out(check);
		if (err)
			conclude_error(check, -err);
		else
			loop_timer_set(loop, &check->timer,
				loop->now_ms + pool_of(check)->check.timeout_ms);
		break;
	case CONNECTING:
		conclude(check, false, "it does not answer");
		break;
	case READING:
		/* What has come may do: a server that keeps the connection open never ends it. */
		judge(check, true);
		break;
	}
}

/* ---- all of them ---- */

/* Ours, of all that have one a row for each of their backends; NULL: its pool has no check. */
static struct check *find_check(const struct checker *checker, size_t pool, size_t backend)
{
	size_t n = backend;

	if (!checker->config->pools[pool].check.type)
		return NULL;
	assert(backend < checker->config->pools[pool].n_backends);
	for (size_t i = 0; i < pool; i++)
		n += checker->config->pools[i].check.type ? checker->config->pools[i].n_backends
							  : 0;
	return &checker->checks[n];
}

/* Takes the backend's address up; a new one is of somebody that nothing is known of. */
static void on_change(struct pool_state_watch *watch, size_t pool, size_t backend)
{
	struct checker *checker = list_entry(watch, struct checker, watch);
	struct check *check = find_check(checker, pool, backend);
	struct sockaddr_any addr;

	if (!check)
		return;
	if (!pool_state_address(checker->state, pool, backend, &addr))
		addr = (struct sockaddr_any){ 0 };
	if (sockaddr_equal(&addr, &check->addr))
		return;
	drop(check);
	check->addr = addr;
	check->known = false;
	check->run = 0;
	loop_timer_cancel(checker->loop, &check->timer);
	if (sockaddr_family(&addr) == AF_UNSPEC)
		return;
	check->up = pool_state_is_up(checker->state, pool, backend);
	loop_timer_set(checker->loop, &check->timer, checker->loop->now_ms);
}

static void init_check(struct checker *checker, struct check *check, size_t pool, size_t backend)
{
	const struct config_pool *config = &checker->config->pools[pool];

	*check = (struct check){
		.source.on_event = on_event,
		.checker = checker,
		.pool = pool,
		.backend = backend,
		.fd = -1,
		.up = true,
	};
	timer_init(&check->timer, on_due);
	if (!pool_state_address(checker->state, pool, backend, &check->addr)) {
		check->addr = (struct sockaddr_any){ 0 };
		return;
	}
	/* What the image before has found down. */
	check->up = pool_state_is_up(checker->state, pool, backend);
	check->known = !check->up;
	/* Spread over the first tenth of the interval. */
	loop_timer_set(checker->loop, &check->timer,
		checker->loop->now_ms +
			config->check.interval_ms / 10 * backend / config->n_backends);
}

static const char *name_of(
	const struct config_pool *pool, const struct sockaddr_any *where, char buf[ESTATE_NAME_MAX])
{
	char addr[SOCKADDR_TEXT_MAX];

	snprintf(buf, ESTATE_NAME_MAX, "down %s %s", pool->name, sockaddr_format(where, addr));
	return buf;
}

void checker_inherit(
	const struct config *config, struct pool_state *state, const struct estate *estate)
{
	char name[ESTATE_NAME_MAX];
	struct sockaddr_any where;

	for (size_t i = 0; i < config->n_pools; i++) {
		const struct config_pool *pool = &config->pools[i];

		for (size_t b = 0; pool->check.type && b < pool->n_backends; b++) {
			int64_t down = 0;

			if (pool_state_address(state, i, b, &where) &&
				estate_get_number(estate, name_of(pool, &where, name), &down) ==
					0 &&
				down)
				pool_state_set_up(state, i, b, false, 0);
		}
	}
}

int checker_bequeath(const struct checker *checker, struct estate *estate)
{
	int err = 0;

	for (size_t i = 0; checker && i < checker->n_checks && !err; i++) {
		const struct check *check = &checker->checks[i];
		char name[ESTATE_NAME_MAX];

		if (!check->up && sockaddr_family(&check->addr) != AF_UNSPEC)
			err = estate_add_number(
				estate, name_of(pool_of(check), &check->addr, name), 1);
	}
	return err;
}

int checker_start(struct loop *loop, const struct config *config, struct pool_state *state,
	struct checker **ret_checker)
{
	struct checker *checker = calloc(1, sizeof(*checker));
	size_t n = 0;

	if (!checker)
		return -ENOMEM;
	*checker = (struct checker){ .loop = loop, .config = config, .state = state };
	for (size_t i = 0; i < config->n_pools; i++)
		n += config->pools[i].check.type ? config->pools[i].n_backends : 0;
	checker->checks = calloc(n + 1, sizeof(*checker->checks));
	if (!checker->checks) {
		free(checker);
		return -ENOMEM;
	}
	for (size_t i = 0; i < config->n_pools; i++)
		for (size_t b = 0; config->pools[i].check.type && b < config->pools[i].n_backends;
			b++)
			init_check(checker, &checker->checks[checker->n_checks++], i, b);
	checker->watch.on_change = on_change;
	pool_state_add_watch(state, &checker->watch);
	*ret_checker = checker;
	return 0;
}

void checker_abandon(struct checker *checker)
{
	for (size_t i = 0; checker && i < checker->n_checks; i++)
		if (checker->checks[i].fd >= 0)
			close(checker->checks[i].fd);
}

void checker_stop(struct checker *checker)
{
	if (!checker)
		return;
	checker_abandon(checker);
	list_remove(&checker->watch.node);
	for (size_t i = 0; i < checker->n_checks; i++) {
		loop_timer_cancel(checker->loop, &checker->checks[i].timer);
		free(checker->checks[i].answer);
	}
	free(checker->checks);
	free(checker);
}

void checker_log(const struct checker *checker)
{
	if (!checker || checker->n_checks == 0)
		return;
	log_info("counter checks_passed %" PRIu64, checker->passed);
	log_info("counter checks_failed %" PRIu64, checker->failed);
	log_info("counter checks_unable %" PRIu64, checker->unable);
	log_info("counter backends_changed %" PRIu64, checker->changed);
}
