/* The worker's side, with the test in the holder's place. */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config_file.h"
#include "tcp_hold.h"

#define TEXT                                                                     \
	"hold { max-per-backend = 2 }\n"                                         \
	"pool p { backend \"192.0.2.10:80\" {} backend \"192.0.2.11:80\" {} }\n" \
	"listener l { bind = \"*:80\" pool = p accept = after-backend }\n"

struct site {
	struct config *config;
	struct loop loop;
	struct pool_state *pools;
	struct hold_shared *shared;
	struct tcp_hold hold;
	int holder; /* our end */
	unsigned begun;
	struct hold_ask last;
	const struct hold_map_bind *bind;
};

static void begin(void *userdata, const struct hold_ask *ask, const struct hold_map_bind *bind)
{
	struct site *site = userdata;

	site->begun++;
	site->last = *ask;
	site->bind = bind;
}

static void open_site(struct site *site)
{
	char error[CONFIG_ERROR_MAX];
	struct tcp_hold_setup setup;
	int fds[2];

	*site = (struct site){ 0 };
	if (config_file_parse("t", TEXT, strlen(TEXT), &site->config, error) != 0)
		fail_msg("%s", error);
	assert_int_equal(loop_init(&site->loop), 0);
	site->pools = pool_state_create(site->config, 2);
	site->shared = hold_shared_create(2, site->pools->n_backends);
	assert_true(site->pools && site->shared);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
	site->holder = fds[0];
	setup = (struct tcp_hold_setup){
		.loop = &site->loop,
		.config = site->config,
		.shared = site->shared,
		.pools = site->pools,
		.link_fd = fds[1],
		.worker = 1,
	};
	assert_int_equal(tcp_hold_init(&site->hold, &setup, begin, site), 0);
}

static void close_site(struct site *site)
{
	int link_fd = site->hold.setup.link_fd;

	tcp_hold_destroy(&site->hold);
	close(link_fd);
	if (site->holder >= 0)
		close(site->holder);
	loop_close(&site->loop);
	hold_shared_destroy(site->shared);
	pool_state_destroy(site->pools);
	config_free(site->config);
}

static struct hold_ask ask_of(const struct site *site, uint32_t id)
{
	struct hold_ask ask = { .seq = id, .asked_ms = site->loop.now_ms, .id = id, .epoch = 3 };
	const char *reason;

	assert_int_equal(sockaddr_parse("[2001:db8:1::10]:40000", &ask.client, &reason), 0);
	assert_int_equal(sockaddr_parse("[2001:db8:80::1]:80", &ask.local, &reason), 0);
	sockaddr_set_port(&ask.client, (uint16_t)(40000 + id));
	return ask;
}

static void send_ask(struct site *site, const struct hold_ask *ask)
{
	assert_int_equal(hold_link_send(site->holder, ask, sizeof(*ask), 1), 0);
	site->hold.source.on_event(&site->hold.source, EPOLLIN);
}

/* The only answer that came. */
static enum hold_answer answer_to(struct site *site, uint32_t id)
{
	struct hold_reply replies[HOLD_LINK_BATCH];

	tcp_hold_flush(&site->hold);
	assert_int_equal(hold_link_receive(site->holder, replies, sizeof(replies[0])), 1);
	assert_int_equal(replies[0].id, id);
	assert_int_equal(replies[0].epoch, 3);
	return (enum hold_answer)replies[0].answer;
}

static bool is_silent(struct site *site)
{
	struct hold_reply replies[HOLD_LINK_BATCH];

	tcp_hold_flush(&site->hold);
	return hold_link_receive(site->holder, replies, sizeof(replies[0])) == -EAGAIN;
}

static void add_flow(struct site *site, struct flow *flow, uint32_t id)
{
	struct hold_ask ask = ask_of(site, id);

	*flow = (struct flow){ .client = ask.client, .local = ask.local };
	list_init(&flow->turn);
	tcp_hold_add(&site->hold, flow, &ask);
}

static void test_question(void **state)
{
	struct hold_ask ask;
	struct site site;

	(void)state;
	open_site(&site);
	ask = ask_of(&site, 5);
	send_ask(&site, &ask);
	assert_int_equal(site.begun, 1);
	assert_memory_equal(&site.last, &ask, sizeof(ask));
	assert_string_equal(site.bind->listener->name, "l");
	assert_int_equal(hold_shared_seen(site.shared, 1), 5);
	assert_int_equal(hold_shared_seen(site.shared, 0), 0);
	assert_true(is_silent(&site));
	close_site(&site);
}

static void test_questions_that_are_none(void **state)
{
	struct hold_ask ask;
	struct flow flow;
	struct site site;

	(void)state;
	open_site(&site);
	ask = ask_of(&site, 1);
	ask.bind = 1000;
	send_ask(&site, &ask);
	assert_true(is_silent(&site));
	/* Too old: the holder has forgotten it, or is about to. */
	ask = ask_of(&site, 2);
	ask.asked_ms -= TCP_HOLD_STALE_MS;
	send_ask(&site, &ask);
	assert_int_equal(answer_to(&site, 2), HOLD_ORDINARY);
	/* Of a client that waits already. */
	add_flow(&site, &flow, 3);
	ask = ask_of(&site, 3);
	send_ask(&site, &ask);
	assert_int_equal(answer_to(&site, 3), HOLD_ORDINARY);
	assert_int_equal(site.begun, 0);
	tcp_hold_remove(&site.hold, &flow);
	close_site(&site);
}

static void test_found_until_removed(void **state)
{
	struct flow flows[100];
	struct site site;

	(void)state;
	open_site(&site);
	for (uint32_t i = 0; i < 100; i++)
		add_flow(&site, &flows[i], i);
	assert_int_equal(site.hold.n, 100);
	for (uint32_t i = 0; i < 100; i++) {
		struct hold_ask ask = ask_of(&site, i);

		assert_ptr_equal(tcp_hold_find(&site.hold, &ask.client, &ask.local), &flows[i]);
		assert_true(tcp_hold_has(&flows[i]));
		tcp_hold_remove(&site.hold, &flows[i]);
		tcp_hold_remove(&site.hold, &flows[i]); /* harmless */
		assert_false(tcp_hold_has(&flows[i]));
		assert_null(tcp_hold_find(&site.hold, &ask.client, &ask.local));
	}
	assert_int_equal(site.hold.n, 0);
	close_site(&site);
}

static void test_answers(void **state)
{
	struct sockaddr_any backend;
	const char *reason;
	struct flow flow;
	struct site site;

	(void)state;
	open_site(&site);
	assert_int_equal(sockaddr_parse("192.0.2.10:80", &backend, &reason), 0);
	add_flow(&site, &flow, 1); /* ends for no reason */
	tcp_hold_remove(&site.hold, &flow);
	assert_int_equal(answer_to(&site, 1), HOLD_ORDINARY);
	add_flow(&site, &flow, 2);
	tcp_hold_let_in(&site.hold, &flow);
	assert_int_equal(answer_to(&site, 2), HOLD_ANSWERED);
	tcp_hold_set_refused(&flow); /* too late for that */
	tcp_hold_remove(&site.hold, &flow);
	assert_int_equal(answer_to(&site, 2), HOLD_DONE);
	add_flow(&site, &flow, 3);
	flow.backend = backend;
	assert_true(tcp_hold_set_error(&flow, EHOSTUNREACH));
	tcp_hold_remove(&site.hold, &flow);
	assert_int_equal(answer_to(&site, 3), HOLD_HOST_UNREACHABLE);
	add_flow(&site, &flow, 4);
	flow.backend = backend;
	assert_false(tcp_hold_set_error(&flow, EMFILE)); /* that is our own trouble */
	tcp_hold_remove(&site.hold, &flow);
	assert_int_equal(answer_to(&site, 4), HOLD_ORDINARY);
	add_flow(&site, &flow, 5);
	assert_true(tcp_hold_set_error(&flow, EHOSTUNREACH)); /* nobody is up */
	tcp_hold_remove(&site.hold, &flow);
	assert_int_equal(answer_to(&site, 5), HOLD_REFUSED);
	close_site(&site);
}

/* Two may wait for each; who goes on to another is counted there. */
static void test_bound_of_a_backend(void **state)
{
	struct pool pool = { 0 };
	struct flow flows[4];
	struct site site;

	(void)state;
	open_site(&site);
	pool.config = &site.config->pools[0];
	for (uint32_t i = 0; i < 4; i++) {
		add_flow(&site, &flows[i], i);
		flows[i].pool = &pool;
		flows[i].n_tried = 1;
	}
	assert_true(tcp_hold_set_backend(&site.hold, &flows[0]));
	assert_true(tcp_hold_set_backend(&site.hold, &flows[1]));
	assert_false(tcp_hold_set_backend(&site.hold, &flows[2]));
	assert_int_equal(hold_shared_waiting(site.shared, 0), 2);
	flows[1].tried[0] = 1;
	assert_true(tcp_hold_set_backend(&site.hold, &flows[1]));
	assert_true(tcp_hold_set_backend(&site.hold, &flows[2]));
	assert_int_equal(hold_shared_waiting(site.shared, 0), 2);
	assert_int_equal(hold_shared_waiting(site.shared, 1), 1);
	/* Another worker's count, too. */
	hold_shared_add(site.shared, 0, 1, 1);
	flows[3].tried[0] = 1;
	assert_false(tcp_hold_set_backend(&site.hold, &flows[3]));
	for (uint32_t i = 0; i < 4; i++)
		tcp_hold_remove(&site.hold, &flows[i]);
	assert_int_equal(hold_shared_waiting(site.shared, 0), 0);
	assert_int_equal(hold_shared_waiting(site.shared, 1), 1);
	close_site(&site);
}

/* The link is closed when supervisor and holder are dead: it is no news a second time. */
static void test_link_that_is_closed(void **state)
{
	struct site site;

	(void)state;
	open_site(&site);
	close(site.holder);
	site.holder = -1;
	site.hold.source.on_event(&site.hold.source, EPOLLIN | EPOLLHUP);
	assert_true(
		loop_modify(&site.loop, site.hold.setup.link_fd, EPOLLIN, &site.hold.source) < 0);
	close_site(&site);
}

static void test_nobody_is_held(void **state)
{
	const struct tcp_hold_setup setup = { .link_fd = -1 };
	struct sockaddr_any addr = { 0 };
	struct tcp_hold hold;
	struct flow flow = { 0 };

	(void)state;
	assert_int_equal(tcp_hold_init(&hold, &setup, begin, NULL), 0);
	assert_null(tcp_hold_find(&hold, &addr, &addr));
	assert_false(tcp_hold_has(&flow));
	tcp_hold_remove(&hold, &flow);
	tcp_hold_flush(&hold);
	tcp_hold_destroy(&hold);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_question),
		cmocka_unit_test(test_questions_that_are_none),
		cmocka_unit_test(test_found_until_removed),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_bound_of_a_backend),
		cmocka_unit_test(test_link_that_is_closed),
		cmocka_unit_test(test_nobody_is_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
