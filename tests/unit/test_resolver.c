#include "unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_file.h"
#include "dns.h"
#include "resolver.h"

#define LISTENER "listener l { bind = \"127.0.0.1:80\" pool = p }\n"
#define QUERIES	 4

/* In place of dns.c: what was asked and not answered yet. */
struct dns {
	struct dns_query *asked[QUERIES];
	const char *hosts[QUERIES];
	size_t n;
	bool closed;
};

static struct dns fake;

int dns_open(struct loop *loop, const struct config_resolve *config, struct dns **ret_dns)
{
	(void)loop;
	(void)config;
	fake = (struct dns){ 0 };
	*ret_dns = &fake;
	return 0;
}

void dns_close(struct dns *dns)
{
	const struct dns_answer answer = { .outcome = DNS_NO_ANSWER, .reason = "closed" };

	if (!dns)
		return;
	for (size_t i = 0; i < dns->n; i++)
		dns->asked[i]->on_answer(dns->asked[i], &answer);
	dns->closed = true;
}

void dns_abandon(struct dns *dns)
{
	(void)dns;
}

void dns_ask(struct dns *dns, struct dns_query *query, const char *host)
{
	assert_true(dns->n < QUERIES);
	for (size_t i = 0; i < dns->n; i++)
		assert_ptr_not_equal(dns->asked[i], query);
	dns->asked[dns->n] = query;
	dns->hosts[dns->n++] = host;
}

struct fixture {
	struct loop loop;
	struct config *config;
	struct pool_state *state;
	struct resolver *resolver;
};

static void setup(struct fixture *f, const char *rest)
{
	char text[1024], error[CONFIG_ERROR_MAX];

	*f = (struct fixture){ 0 };
	assert_int_equal(loop_init(&f->loop), 0);
	snprintf(text, sizeof(text), LISTENER "%s", rest);
	if (config_file_parse("x", text, strlen(text), &f->config, error) != 0)
		fail_msg("%s", error);
	f->state = pool_state_create(f->config, 1);
	assert_non_null(f->state);
	assert_int_equal(resolver_start(&f->loop, f->config, f->state, &f->resolver), 0);
}

static void teardown(struct fixture *f)
{
	resolver_stop(f->resolver);
	assert_true(!f->resolver || fake.closed);
	pool_state_destroy(f->state);
	config_free(f->config);
	loop_close(&f->loop);
}

static void pass(struct fixture *f, uint64_t ms)
{
	f->loop.now_ms += ms;
	timer_wheel_advance(&f->loop.wheel, f->loop.now_ms);
}

/* Milliseconds until something is asked, to 10; -1: not within the limit. */
static int64_t wait_asked(struct fixture *f, uint64_t limit_ms)
{
	for (uint64_t ms = 0; ms <= limit_ms; ms += 10) {
		if (fake.n)
			return (int64_t)ms;
		pass(f, 10);
	}
	return -1;
}

/* Answers the oldest question: with addresses divided by blanks, or an outcome. */
static void answer(enum dns_outcome outcome, const char *hosts, uint32_t ttl_s)
{
	struct dns_query *query = fake.asked[0];
	struct in_addr addrs[128];
	struct dns_answer made = {
		.outcome = outcome, .addrs = addrs, .ttl_s = ttl_s, .reason = "because"
	};
	char *copy = strdup(hosts), *left = copy;

	assert_int_not_equal(fake.n, 0);
	for (char *host = strsep(&left, " "); host && *host; host = strsep(&left, " "))
		assert_int_equal(inet_pton(AF_INET, host, &addrs[made.n_addrs++]), 1);
	memmove(fake.asked, fake.asked + 1, sizeof(fake.asked) - sizeof(fake.asked[0]));
	memmove(fake.hosts, fake.hosts + 1, sizeof(fake.hosts) - sizeof(fake.hosts[0]));
	fake.n--;
	query->on_answer(query, &made);
	free(copy);
}

/* Waits for the question first. */
static void found(struct fixture *f, const char *hosts)
{
	assert_true(wait_asked(f, 100000) >= 0);
	answer(DNS_FOUND, hosts, 1);
}

static void not_found(struct fixture *f)
{
	assert_true(wait_asked(f, 100000) >= 0);
	answer(DNS_NOT_FOUND, "", 0);
}

/* The backends' addresses in order, "-" for none. */
static void assert_at(const struct fixture *f, size_t pool, const char *expected)
{
	char text[1024] = "", one[SOCKADDR_TEXT_MAX];

	for (size_t i = 0; i < f->config->pools[pool].n_backends; i++) {
		struct sockaddr_any addr;
		bool there = pool_state_address(f->state, pool, i, &addr);
		size_t len = strlen(text);

		snprintf(text + len, sizeof(text) - len, "%s%s", i ? " " : "",
			there ? sockaddr_format(&addr, one) : "-");
	}
	assert_string_equal(text, expected);
}

static void test_no_names(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, "pool p { backend 10.0.0.1:80 {} }");
	assert_null(f.resolver);
	resolver_log(f.resolver);
	resolver_abandon(f.resolver);
	teardown(&f);
}

static void test_addresses_come_stay_and_go(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, "pool p { backend 10.0.0.1:80 {} backend a.example:443 { addresses = 3 } }");
	assert_at(&f, 0, "10.0.0.1:80 - - -");
	assert_in_range(wait_asked(&f, 1000), 0, 50);
	assert_string_equal(fake.hosts[0], "a.example");
	answer(DNS_FOUND, "10.0.0.9 10.0.0.7", 1);
	assert_at(&f, 0, "10.0.0.1:80 10.0.0.7:443 10.0.0.9:443 -");
	assert_true(pool_state_is_up(f.state, 0, 1));
	found(&f, "10.0.0.8 10.0.0.9");
	assert_at(&f, 0, "10.0.0.1:80 - 10.0.0.9:443 10.0.0.8:443");
	found(&f, "10.0.0.7 10.0.0.9");
	assert_at(&f, 0, "10.0.0.1:80 10.0.0.7:443 10.0.0.9:443 -");
	found(&f, "10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 10.0.0.3");
	assert_at(&f, 0, "10.0.0.1:80 10.0.0.3:443 10.0.0.4:443 10.0.0.5:443");
	teardown(&f);
}

/* With a check they are up when that says so. */
static void test_checked_ones_begin_down(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, "pool p { backend a:80 { addresses = 1 } check { } }");
	found(&f, "10.0.0.1");
	assert_at(&f, 0, "10.0.0.1:80");
	assert_false(pool_state_is_up(f.state, 0, 0));
	pool_state_set_up(f.state, 0, 0, true, 1);
	found(&f, "10.0.0.1");
	assert_true(pool_state_is_up(f.state, 0, 0));
	teardown(&f);
}

static void test_time_to_live(void **state)
{
	static const struct {
		uint32_t ttl_s;
		int64_t min_ms, max_ms;
	} cases[] = {
		{ 0, 2000, 2230 },
		{ 1, 2000, 2230 },
		{ 10, 10000, 11030 },
		{ 20, 20000, 22030 },
		{ 21, 20000, 22030 },
		{ UINT32_MAX, 20000, 22030 },
	};
	struct fixture f;

	(void)state;
	setup(&f, "resolve { interval-min = 2s interval-max = 20s }"
		  "pool p { backend a:80 { addresses = 1 } }");
	for (size_t i = 0; i < 6; i++) {
		assert_true(wait_asked(&f, 100000) >= 0);
		answer(DNS_FOUND, "10.0.0.1", cases[i].ttl_s);
		assert_in_range(wait_asked(&f, 100000), cases[i].min_ms, cases[i].max_ms);
	}
	teardown(&f);
}

/* They are asked again soon, less often with time, and cost nobody anything. */
static void test_no_answer(void **state)
{
	static const int64_t waits_ms[] = { 1000, 2000, 4000, 5000, 5000 };
	struct fixture f;

	(void)state;
	setup(&f, "resolve { hold = 0s } pool p { backend a:80 { addresses = 2 } }");
	found(&f, "10.0.0.1 10.0.0.2");
	assert_true(wait_asked(&f, 100000) >= 0);
	for (size_t i = 0; i < 5; i++) {
		answer(DNS_NO_ANSWER, "", 0);
		assert_at(&f, 0, "10.0.0.1:80 10.0.0.2:80");
		assert_in_range(
			wait_asked(&f, 100000), waits_ms[i], waits_ms[i] + waits_ms[i] / 10 + 30);
	}
	answer(DNS_FOUND, "10.0.0.2 10.0.0.3", 1);
	assert_at(&f, 0, "10.0.0.3:80 10.0.0.2:80");
	assert_true(wait_asked(&f, 100000) >= 0);
	answer(DNS_NO_ANSWER, "", 0);
	assert_in_range(wait_asked(&f, 100000), 1000, 1130);
	teardown(&f);
}

/* For the time of hold, from the first answer of its kind in a row. */
static void test_hold(void **state)
{
	struct fixture f;
	uint64_t began;

	(void)state;
	setup(&f, "resolve { hold = 10s } pool p { backend a:80 { addresses = 1 } }");
	found(&f, "10.0.0.1");
	for (int round = 0; round < 2; round++) {
		assert_true(wait_asked(&f, 100000) >= 0);
		began = f.loop.now_ms;
		for (;;) {
			not_found(&f);
			if (f.loop.now_ms - began >= 10000)
				break;
			assert_at(&f, 0, "10.0.0.1:80");
			/* Silence meanwhile is no news. */
			if (round == 1) {
				assert_true(wait_asked(&f, 100000) >= 0);
				answer(DNS_NO_ANSWER, "", 0);
				assert_at(&f, 0, "10.0.0.1:80");
			}
		}
		assert_at(&f, 0, "-");
		assert_true(f.loop.now_ms - began <= 16000);
		not_found(&f);
		found(&f, "10.0.0.1");
		assert_at(&f, 0, "10.0.0.1:80");
	}
	/* An answer between begins the time anew. */
	for (int i = 0; i < 40; i++) {
		not_found(&f);
		not_found(&f);
		found(&f, "10.0.0.1");
		assert_at(&f, 0, "10.0.0.1:80");
	}
	teardown(&f);
}

static void test_no_hold_and_hold_forever(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, "resolve { hold = 0s } pool p { backend a:80 { addresses = 1 } }");
	found(&f, "10.0.0.1");
	not_found(&f);
	assert_at(&f, 0, "-");
	assert_false(pool_state_is_up(f.state, 0, 0));
	teardown(&f);
	setup(&f, "resolve { hold = forever } pool p { backend a:80 { addresses = 1 } }");
	found(&f, "10.0.0.1");
	for (int i = 0; i < 1000; i++)
		not_found(&f);
	assert_at(&f, 0, "10.0.0.1:80");
	teardown(&f);
}

/* An answer without one that will do is as one without any. */
static void test_unfit_addresses(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, "resolve { hold = 0s } pool p { backend 10.0.0.1:80 {} "
		  "backend a:80 { addresses = 2 } backend \"b:*\" { addresses = 1 } }");
	assert_true(wait_asked(&f, 100) >= 0);
	answer(DNS_FOUND, "10.0.0.1 224.0.0.1 127.0.0.1 0.1.2.3 10.0.0.2 240.0.0.1", 1);
	assert_at(&f, 0, "10.0.0.1:80 10.0.0.2:80 - -");
	assert_true(wait_asked(&f, 100) >= 0);
	assert_string_equal(fake.hosts[0], "b");
	/* Another port is another server; but this one's is the listener's own. */
	answer(DNS_FOUND, "127.0.0.1 10.0.0.2", 1);
	assert_at(&f, 0, "10.0.0.1:80 10.0.0.2:80 - 10.0.0.2:0");
	assert_true(wait_asked(&f, 10000) >= 0);
	if (strcmp(fake.hosts[0], "b") == 0)
		answer(DNS_FOUND, "10.0.0.2", 60);
	assert_true(wait_asked(&f, 10000) >= 0);
	answer(DNS_FOUND, "10.0.0.1 127.0.0.1", 60);
	assert_at(&f, 0, "10.0.0.1:80 - - 10.0.0.2:0");
	teardown(&f);
}

/* Who has an address first keeps it; the other may have it afterwards. */
static void test_two_names_with_one_address(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, "resolve { hold = 0s } pool p { backend a:80 { addresses = 1 } "
		  "backend b:80 { addresses = 1 } }");
	for (int i = 0; i < 4; i++) {
		assert_true(wait_asked(&f, 10000) >= 0);
		answer(DNS_FOUND, "10.0.0.1", 1);
		assert_at(&f, 0, "10.0.0.1:80 -");
	}
	for (int i = 0; i < 4; i++) {
		assert_true(wait_asked(&f, 10000) >= 0);
		answer(DNS_FOUND, strcmp(fake.hosts[0], "a") == 0 ? "10.0.0.2" : "10.0.0.1", 1);
	}
	assert_at(&f, 0, "10.0.0.2:80 10.0.0.1:80");
	teardown(&f);
}

static void test_each_pool_has_its_own(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f,
		"pool q { backend a:53 { addresses = 1 } } pool p { backend a:80 { addresses = 1 } "
		"}");
	assert_true(wait_asked(&f, 1000) >= 0);
	answer(DNS_FOUND, "10.0.0.1", 1);
	assert_true(wait_asked(&f, 1000) >= 0);
	answer(DNS_FOUND, "10.0.0.2", 1);
	assert_at(&f, 0, "10.0.0.1:53");
	assert_at(&f, 1, "10.0.0.2:80");
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_names),
		cmocka_unit_test(test_addresses_come_stay_and_go),
		cmocka_unit_test(test_checked_ones_begin_down),
		cmocka_unit_test(test_time_to_live),
		cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_no_hold_and_hold_forever),
		cmocka_unit_test(test_unfit_addresses),
		cmocka_unit_test(test_two_names_with_one_address),
		cmocka_unit_test(test_each_pool_has_its_own),
	};

	return cmocka_run_group_tests_name("resolver", tests, NULL, NULL);
}
