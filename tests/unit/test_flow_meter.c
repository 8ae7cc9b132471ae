#include "unit.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flow_meter.h"

struct site {
	struct config_listener listeners[2]; /* TCP, UDP */
	struct config config;
	struct loop loop;
	struct stats *stats;
	struct measures *measures;
	struct flow_table flows;
	struct flow_meter meter;
};

static void open_site(struct site *site)
{
	*site = (struct site){ 0 };
	site->listeners[0] =
		(struct config_listener){ .name = (char *)"t", .protocol = IPPROTO_TCP };
	site->listeners[1] =
		(struct config_listener){ .name = (char *)"u", .protocol = IPPROTO_UDP };
	site->config.listeners = site->listeners;
	site->config.n_listeners = 2;
	assert_int_equal(loop_init(&site->loop), 0);
	site->stats = stats_create(1);
	site->measures = measures_create(&site->config, 1);
	assert_true(site->stats && site->measures);
	flow_table_init(&site->flows, &site->loop, site->stats, 10000);
	measures_writer_init(&site->flows.measures, site->measures, 0);
	flow_meter_init(&site->meter, &site->flows);
}

static void close_site(struct site *site)
{
	struct list_node *node, *tmp;

	list_for_each_safe (node, tmp, &site->flows.live)
		flow_end(&site->flows, list_entry(node, struct flow, node), ACCESS_LOG_CLOSED,
			ACCESS_LOG_BY_CLIENT);
	flow_table_reap(&site->flows);
	flow_meter_stop(&site->meter);
	flow_table_destroy(&site->flows);
	measures_destroy(site->measures);
	stats_destroy(site->stats, 1);
	loop_close(&site->loop);
}

static struct flow *begin(struct site *site, size_t listener)
{
	struct flow *flow = flow_new(&site->flows, &site->listeners[listener]);

	assert_non_null(flow);
	timer_init(&flow->timer, NULL); /* the data path's */
	flow_meter_update(&site->meter);
	return flow;
}

static void end(struct site *site, struct flow *flow)
{
	flow_end(&site->flows, flow, ACCESS_LOG_CLOSED, ACCESS_LOG_BY_CLIENT);
	flow_table_reap(&site->flows);
}

/* So much later, as far as the timers know. */
static void pass(struct site *site, uint64_t ms)
{
	site->loop.now_ms += ms;
	timer_wheel_advance(&site->loop.wheel, site->loop.now_ms);
}

/* The counters, and those of the listener alone. */
static void assert_counted(const struct site *site, size_t listener, uint64_t in, uint64_t out)
{
	struct measures_listener sum;

	measures_sum_listener(site->measures, listener, &sum);
	assert_int_equal(sum.bytes_in, in);
	assert_int_equal(sum.bytes_out, out);
	measures_sum_listener(site->measures, 1 - listener, &sum);
	assert_int_equal(sum.bytes_in + sum.bytes_out, 0);
	assert_int_equal(stats_sum(site->stats, 1, STATS_BYTES_IN), in);
	assert_int_equal(stats_sum(site->stats, 1, STATS_BYTES_OUT), out);
}

static void test_a_connection_while_it_lives(void **state)
{
	struct flow *flow;
	struct site site;

	(void)state;
	open_site(&site);
	flow = begin(&site, 0);
	flow->side[FLOW_CLIENT].stream.bytes = -52; /* of a header that is not sent whole */
	pass(&site, 300);
	assert_counted(&site, 0, 0, 0);
	flow->side[FLOW_CLIENT].stream.bytes = 1000;
	flow->side[FLOW_BACKEND].stream.bytes = 7;
	assert_counted(&site, 0, 0, 0);
	pass(&site, 300);
	assert_counted(&site, 0, 1000, 7);
	pass(&site, 300);
	assert_counted(&site, 0, 1000, 7);
	flow->side[FLOW_BACKEND].stream.bytes = 8;
	pass(&site, 300);
	assert_counted(&site, 0, 1000, 8);
	flow->side[FLOW_CLIENT].stream.bytes = 1001;
	end(&site, flow);
	assert_counted(&site, 0, 1001, 8);
	pass(&site, 300);
	assert_counted(&site, 0, 1001, 8);
	close_site(&site);
}

static void test_a_session_while_it_lives(void **state)
{
	struct flow *flow;
	struct site site;

	(void)state;
	open_site(&site);
	flow = begin(&site, 1);
	flow->session.bytes_in = 5;
	pass(&site, 300);
	assert_counted(&site, 1, 5, 0);
	flow->session.bytes_out = 9;
	end(&site, flow);
	assert_counted(&site, 1, 5, 9);
	close_site(&site);
}

/* What an image before has counted is not counted again, however much it says that was. */
static void test_a_flow_that_was_handed_over(void **state)
{
	struct flow *flow;
	struct site site;

	(void)state;
	open_site(&site);
	flow = begin(&site, 0);
	flow->counted_in = 100;
	flow->counted_out = UINT64_MAX;
	flow->side[FLOW_CLIENT].stream.bytes = 130;
	flow->side[FLOW_BACKEND].stream.bytes = 10;
	pass(&site, 300);
	assert_counted(&site, 0, 30, 0);
	flow->side[FLOW_CLIENT].stream.bytes = 131;
	flow_discard(&site.flows, flow); /* the rest goes on elsewhere */
	flow_table_reap(&site.flows);
	assert_counted(&site, 0, 30, 0);
	close_site(&site);
}

static void test_many_come_by_turns(void **state)
{
	const size_t n = 2000;
	struct list_node *node;
	struct site site;
	uint64_t counted;
	unsigned steps = 0;

	(void)state;
	open_site(&site);
	for (size_t i = 0; i < n; i++)
		begin(&site, 0)->side[FLOW_CLIENT].stream.bytes = 1;
	pass(&site, 300);
	counted = stats_sum(site.stats, 1, STATS_BYTES_IN);
	assert_true(counted > 0 && counted < n);
	while (stats_sum(site.stats, 1, STATS_BYTES_IN) < n && steps++ < 100)
		pass(&site, 16);
	assert_counted(&site, 0, n, 0);
	/* Those that have their turn last end in the middle of it. */
	pass(&site, 300);
	while (flow_table_live(&site.flows) > 1) {
		node = site.flows.live.next;
		end(&site, list_entry(node, struct flow, node));
	}
	node = site.flows.live.next;
	list_entry(node, struct flow, node)->side[FLOW_CLIENT].stream.bytes = 2;
	pass(&site, 300);
	pass(&site, 300);
	assert_counted(&site, 0, n + 1, 0);
	close_site(&site);
}

static void test_sleeps_without_flows(void **state)
{
	struct flow *flow;
	struct site site;

	(void)state;
	open_site(&site);
	flow_meter_update(&site.meter);
	assert_int_equal(timer_wheel_wait(&site.loop.wheel, site.loop.now_ms), -1);
	flow = begin(&site, 0);
	assert_true(timer_wheel_wait(&site.loop.wheel, site.loop.now_ms) > 0);
	end(&site, flow);
	pass(&site, 1000);
	assert_int_equal(timer_wheel_wait(&site.loop.wheel, site.loop.now_ms), -1);
	flow = begin(&site, 0);
	flow->side[FLOW_CLIENT].stream.bytes = 3;
	pass(&site, 300);
	assert_counted(&site, 0, 3, 0);
	close_site(&site);
}

/* Once the next image was told the sums, the flow does not say more than they. */
static void test_the_gate(void **state)
{
	struct flow *flow;
	struct site site;

	(void)state;
	open_site(&site);
	flow = begin(&site, 0);
	flow->side[FLOW_CLIENT].stream.bytes = 10;
	pass(&site, 300);
	stats_close(site.stats, 1);
	stats_close(site.stats, 1);
	flow->side[FLOW_CLIENT].stream.bytes = 25;
	pass(&site, 300);
	assert_counted(&site, 0, 10, 0);
	assert_int_equal(flow->counted_in, 10);
	stats_reopen(site.stats, 1);
	pass(&site, 300);
	assert_counted(&site, 0, 25, 0);
	assert_int_equal(flow->counted_in, 25);
	close_site(&site);
}

/* Nobody waits for a worker that was killed, or stopped, while it counted; its successor counts. */
static void test_a_worker_that_is_stuck_in_the_gate(void **state)
{
	struct stats *stats = stats_create(2);

	(void)state;
	assert_non_null(stats);
	assert_true(stats_enter(&stats[0]));
	assert_false(stats_enter(&stats[0]));
	stats_close(stats, 2);
	assert_false(stats_enter(&stats[1]));
	stats_reopen(stats, 2);
	assert_false(stats_enter(&stats[0]));
	stats_clear_gauges(&stats[0]);
	for (size_t i = 0; i < 2; i++) {
		assert_true(stats_enter(&stats[i]));
		stats_leave(&stats[i]);
	}
	stats_close(stats, 2);
	stats_clear_gauges(&stats[0]); /* a worker that begins opens no closed gate */
	assert_false(stats_enter(&stats[0]));
	stats_destroy(stats, 2);
}

/* A worker counts by pairs; whoever has closed the gate sees none that is half done. */
static void test_closing_against_a_worker(void **state)
{
	struct stats *stats = stats_create(1);
	pid_t pid;

	(void)state;
	assert_non_null(stats);
	pid = fork();
	assert_true(pid >= 0);
	while (pid == 0)
		if (stats_enter(stats)) {
			stats_add(stats, STATS_BYTES_IN, 1);
			stats_add(stats, STATS_BYTES_OUT, 1);
			stats_leave(stats);
		}
	for (unsigned i = 0; i < 200; i++) {
		stats_close(stats, 1);
		if (stats->gate == STATS_GATE_CLOSED) /* but for a worker that gets no time */
			assert_int_equal(stats_sum(stats, 1, STATS_BYTES_IN),
				stats_sum(stats, 1, STATS_BYTES_OUT));
		stats_reopen(stats, 1);
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	stats_destroy(stats, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_connection_while_it_lives),
		cmocka_unit_test(test_a_session_while_it_lives),
		cmocka_unit_test(test_a_flow_that_was_handed_over),
		cmocka_unit_test(test_many_come_by_turns),
		cmocka_unit_test(test_sleeps_without_flows),
		cmocka_unit_test(test_the_gate),
		cmocka_unit_test(test_a_worker_that_is_stuck_in_the_gate),
		cmocka_unit_test(test_closing_against_a_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
