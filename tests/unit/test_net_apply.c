#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_apply.h"

enum { N_STEPS = 8, NFT = 4 };

/*
 * Five steps that put in place (the second a removal that makes room for the third, the fifth
 * nftables), then three that clear. Every object is a rule, known by its priority.
 */
static struct net_step steps[N_STEPS] = {
	{ .kind = NET_STEP_RULE, .rule = { .priority = 0 } },
	{ .kind = NET_STEP_RULE, .rule = { .priority = 1 }, .remove = true },
	{ .kind = NET_STEP_RULE, .rule = { .priority = 2 } },
	{ .kind = NET_STEP_RULE, .rule = { .priority = 3 } },
	{ .kind = NET_STEP_NFT },
	{ .kind = NET_STEP_RULE, .rule = { .priority = 5 }, .remove = true },
	{ .kind = NET_STEP_RULE, .rule = { .priority = 6 }, .remove = true },
	{ .kind = NET_STEP_RULE, .rule = { .priority = 7 }, .remove = true },
};
static const struct net_plan plan = { .steps = steps, .n_steps = N_STEPS };

struct kernel {
	bool has[N_STEPS];
	size_t calls;
	size_t fail_at; /* the call that fails, counted from 1; 0: none */
	size_t fail_too;
	int error;
	bool does_it; /* but does what it fails at */
};

static const bool before[N_STEPS] = { [1] = true, [5] = true, [6] = true, [7] = true };
static const bool after[N_STEPS] = { [0] = true, [2] = true, [3] = true, [NFT] = true };

struct fixture {
	char directory[64];
	char file[80];
	struct net_journal journal;
	struct kernel kernel;
	struct net_apply_failure failure;
};

static int do_step(void *userdata, const struct net_step *step, bool *ret_changed)
{
	struct kernel *kernel = userdata;
	size_t i = step->kind == NET_STEP_NFT ? NFT : step->rule.priority;
	bool fails;

	kernel->calls++;
	fails = kernel->calls == kernel->fail_at || kernel->calls == kernel->fail_too;
	if (fails && !kernel->does_it)
		return kernel->error;
	if (!fails || !kernel->error)
		*ret_changed = kernel->has[i] == step->remove;
	kernel->has[i] = !step->remove;
	return fails ? kernel->error : 0;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->directory, "/tmp/sixgate-apply-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->file, sizeof(f->file), "%s/net.journal", f->directory);
	assert_int_equal(net_journal_open(&f->journal, f->directory, 100, NULL), 0);
	memcpy(f->kernel.has, before, sizeof(before));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	net_journal_close(&f->journal);
	unlink(f->file);
	rmdir(f->directory);
	free(f);
	return 0;
}

static int run(struct fixture *f, enum net_apply_mode mode)
{
	memset(&f->failure, 0xff, sizeof(f->failure));
	return net_apply_steps(do_step, &f->kernel, &plan, &f->journal, mode, &f->failure);
}

/* Starts over with a kernel that fails once. */
static int run_failing(struct fixture *f, enum net_apply_mode mode, size_t at, int error)
{
	f->kernel = (struct kernel){ .fail_at = at, .error = error };
	memcpy(f->kernel.has, before, sizeof(before));
	return run(f, mode);
}

/* The journal without the texts of its steps: "do 1\ndone 1\n". */
static void check_journal(const struct fixture *f, const char *expected)
{
	char buf[4000], short_form[4000] = "", word[20], line[300];
	size_t len, used = 0;
	unsigned step;
	FILE *file = fopen(f->file, "r");

	assert_non_null(file);
	len = fread(buf, 1, sizeof(buf) - 1, file);
	buf[len] = '\0';
	fclose(file);
	file = fmemopen(buf, len + 1, "r");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%19s %u", word, &step) == 2)
			used += (size_t)snprintf(short_form + used, sizeof(short_form) - used,
				"%s %u\n", word, step);
		else if (line[0])
			used += (size_t)snprintf(
				short_form + used, sizeof(short_form) - used, "%s", line);
	}
	fclose(file);
	assert_string_equal(short_form, expected);
}

#define DONE(n) "do " #n "\ndone " #n "\n"
#define ALL	DONE(1) DONE(2) DONE(3) DONE(4) DONE(5) DONE(6) DONE(7) DONE(8)

static void test_success(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run(f, NET_APPLY_ALL_OR_NOTHING), 0);
	assert_memory_equal(f->kernel.has, after, sizeof(after));
	check_journal(f, "begin 8\n" ALL "end\n");
	/* Nothing is told that did not happen. */
	assert_int_equal(f->failure.error, -1);
}

static void test_failure_at_every_step(void **state)
{
	struct fixture *f = *state;
	struct net_journal_past past;
	char text[NET_TEXT_MAX];

	for (size_t k = 1; k <= N_STEPS; k++) {
		bool undone = k <= NFT + 1;
		bool expected[N_STEPS];

		memcpy(expected, undone ? before : after, sizeof(expected));
		if (!undone)
			expected[k - 1] = true;
		assert_int_equal(run_failing(f, NET_APPLY_ALL_OR_NOTHING, k, -EINVAL), -EINVAL);
		assert_memory_equal(f->kernel.has, expected, sizeof(expected));
		assert_int_equal(f->failure.step, k);
		assert_int_equal(f->failure.error, -EINVAL);
		assert_int_equal(f->failure.undone, undone);
		assert_string_equal(f->failure.text, net_text_step(&steps[k - 1], text));
		assert_int_equal(net_journal_peek(f->directory, &past), 0);
		assert_false(past.interrupted);
	}
	run_failing(f, NET_APPLY_ALL_OR_NOTHING, 4, -EINVAL);
	check_journal(f, "begin 8\n" DONE(1) DONE(2) DONE(3) "do 4\nundo 3\nundone 3\nundo 2\n"
							     "undone 2\nundo 1\nundone 1\nend\n");
}

static void test_as_far_as_possible(void **state)
{
	struct fixture *f = *state;

	for (size_t k = 1; k <= N_STEPS; k++) {
		bool expected[N_STEPS];

		memcpy(expected, after, sizeof(expected));
		expected[k - 1] = before[k - 1];
		assert_int_equal(run_failing(f, NET_APPLY_AS_FAR_AS_POSSIBLE, k, -EACCES), -EACCES);
		assert_memory_equal(f->kernel.has, expected, sizeof(expected));
		assert_int_equal(f->failure.step, k);
		assert_false(f->failure.undone);
	}
	run_failing(f, NET_APPLY_AS_FAR_AS_POSSIBLE, 2, -EACCES);
	check_journal(f, "begin 8\n" DONE(1) "do 2\n" DONE(3) DONE(4) DONE(5) DONE(6) DONE(7)
				 DONE(8) "end\n");
}

/* What was there already was not put there by us, and is not taken away. */
static void test_undo_spares_what_was_there(void **state)
{
	struct fixture *f = *state;

	f->kernel = (struct kernel){ .fail_at = 4, .error = -EINVAL, .has = { [0] = true } };
	assert_int_equal(run(f, NET_APPLY_ALL_OR_NOTHING), -EINVAL);
	for (size_t i = 0; i < N_STEPS; i++)
		assert_int_equal(f->kernel.has[i], i == 0);
	assert_true(f->failure.undone);
	check_journal(f, "begin 8\n" DONE(1) DONE(2) DONE(3) "do 4\nundo 3\nundone 3\nend\n");
}

/* A step without an answer may have been done: it is taken back, but nothing is promised. */
static void test_no_answer(void **state)
{
	struct fixture *f = *state;

	f->kernel.does_it = true;
	f->kernel.fail_at = 3;
	f->kernel.error = -ETIMEDOUT;
	assert_int_equal(run(f, NET_APPLY_ALL_OR_NOTHING), -ETIMEDOUT);
	assert_memory_equal(f->kernel.has, before, sizeof(before));
	assert_int_equal(f->failure.step, 3);
	assert_false(f->failure.undone);
}

/* The rest is taken back; the first failure is told, and the journal is left without its end. */
static void test_undo_fails(void **state)
{
	struct fixture *f = *state;
	struct net_journal_past past;

	f->kernel.fail_at = 4;
	f->kernel.fail_too = 6;
	f->kernel.error = -EBUSY;
	assert_int_equal(run(f, NET_APPLY_ALL_OR_NOTHING), -EBUSY);
	assert_int_equal(f->failure.step, 4);
	assert_false(f->failure.undone);
	assert_true(f->kernel.has[5]);
	assert_false(f->kernel.has[0] || f->kernel.has[1] || f->kernel.has[2]);
	check_journal(f, "begin 8\n" DONE(1) DONE(2) DONE(3) "do 4\nundo 3\nundone 3\nundo 2\n"
							     "undo 1\nundone 1\n");
	assert_int_equal(net_journal_peek(f->directory, &past), 0);
	assert_true(past.interrupted);
}

/* Stands in for a journal that stops to take records: the kernel closes it for writing. */
static int spoil_journal(void *userdata, const struct net_step *step, bool *ret_changed)
{
	struct fixture *f = userdata;
	int err = do_step(&f->kernel, step, ret_changed), fd;

	if (f->kernel.calls == f->kernel.fail_too) {
		fd = open(f->file, O_RDONLY | O_CLOEXEC);
		assert_int_equal(dup2(fd, f->journal.fd), f->journal.fd);
		close(fd);
	}
	return err;
}

static void test_journal_fails(void **state)
{
	struct fixture *f = *state;

	for (size_t k = 1; k <= N_STEPS; k++) {
		bool undone = k <= NFT;

		net_journal_close(&f->journal);
		assert_int_equal(net_journal_open(&f->journal, f->directory, 100, NULL), 0);
		f->kernel = (struct kernel){ .fail_too = k, .does_it = true };
		memcpy(f->kernel.has, before, sizeof(before));
		assert_int_equal(net_apply_steps(spoil_journal, f, &plan, &f->journal,
					 NET_APPLY_ALL_OR_NOTHING, &f->failure),
			-EBADF);
		assert_int_equal(f->failure.step, k);
		assert_int_equal(f->failure.undone, undone);
		/* Taken back, or stopped: no step was begun that could not be recorded. */
		assert_int_equal(f->kernel.calls, undone ? 2 * k : k);
		if (undone)
			assert_memory_equal(f->kernel.has, before, sizeof(before));
	}
	/* It cannot even begin. */
	f->kernel = (struct kernel){ 0 };
	assert_int_equal(run(f, NET_APPLY_ALL_OR_NOTHING), -EINVAL);
	assert_int_equal(f->failure.step, 0);
	assert_true(f->failure.undone);
	assert_int_equal(f->kernel.calls, 0);
}

static void test_empty_plan(void **state)
{
	struct fixture *f = *state;
	const struct net_plan empty = { 0 };

	assert_int_equal(net_apply_steps(do_step, &f->kernel, &empty, &f->journal,
				 NET_APPLY_ALL_OR_NOTHING, &f->failure),
		0);
	check_journal(f, "begin 0\nend\n");
}

/* ---- in a network namespace, if that is permitted ---- */

static void want_addr(struct net_state *net, const char *text, bool unpreferred)
{
	struct net_addr addr = { .ifname = "lo", .unpreferred = unpreferred };

	addr.family = strchr(text, ':') ? AF_INET6 : AF_INET;
	addr.scope = addr.family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
	addr.prefix_len = (uint8_t)(8 * net_family_len(addr.family));
	assert_int_equal(inet_pton(addr.family, text, addr.addr), 1);
	assert_int_equal(net_state_add_addr(net, &addr), 0);
}

static void want_route(struct net_state *net, uint8_t family, uint8_t dst_len, uint32_t table)
{
	struct net_route route = { .family = family,
		.type = RTN_LOCAL,
		.scope = family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE,
		.dst_len = dst_len,
		.table = table,
		.ifname = "lo" };

	if (dst_len > 0)
		assert_int_equal(inet_pton(family, "2001:db8:80::", route.dst), 1);
	assert_int_equal(net_state_add_route(net, &route), 0);
}

static void want_all(struct net_wanted *wanted)
{
	struct net_rule rule = { .family = AF_INET,
		.action = FR_ACT_TO_TBL,
		.priority = 166,
		.table = 166,
		.mark = 0x1000,
		.mask = 0x1000 };

	want_addr(&wanted->net, "192.0.2.1", false);
	want_addr(&wanted->net, "192.0.2.2", true);
	want_addr(&wanted->net, "2001:db8::1", false);
	want_addr(&wanted->net, "2001:db8::2", true);
	want_route(&wanted->net, AF_INET6, 64, RT_TABLE_LOCAL);
	want_route(&wanted->net, AF_INET6, 0, 166);
	want_route(&wanted->net, AF_INET, 0, 166);
	assert_int_equal(net_state_add_rule(&wanted->net, &rule), 0);
	rule.family = AF_INET6;
	assert_int_equal(net_state_add_rule(&wanted->net, &rule), 0);
}

static bool enter_namespace(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	if (access("/proc/net/if_inet6", F_OK) < 0 || unshare(CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
	close(fd);
	return true;
}

static void test_kernel(void **state)
{
	struct fixture *f = *state;
	struct net_wanted wanted = { 0 }, none = { 0 };
	struct net_plan made, again;
	struct net_channels channels;

	if (!enter_namespace())
		skip();
	want_all(&wanted);
	assert_int_equal(net_channels_open(&channels, 0), 0);
	nl_channel_close(&channels.nft);
	assert_int_equal(net_apply_plan(&channels, &wanted, &made), 0);
	assert_int_equal(made.n_steps, 9);
	/* The second time all of it is there already. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(net_apply_run(&channels, &made, &wanted, &f->journal,
					 NET_APPLY_ALL_OR_NOTHING, &f->failure),
			0);
		assert_int_equal(net_apply_plan(&channels, &wanted, &again), 0);
		assert_int_equal(again.n_steps, 0);
		net_plan_clear(&again);
	}
	/* A last step that cannot be done: there is no such link. What was there stays there. */
	made.steps[8] = made.steps[0];
	made.steps[8].addr.index = 99;
	assert_int_equal(net_apply_run(&channels, &made, &wanted, &f->journal,
				 NET_APPLY_ALL_OR_NOTHING, &f->failure),
		-ENODEV);
	assert_true(f->failure.undone);
	assert_int_equal(net_apply_plan(&channels, &wanted, &again), 0);
	assert_int_equal(again.n_steps, 0);
	net_plan_clear(&again);
	assert_int_equal(net_apply_plan(&channels, &none, &again), 0);
	assert_int_equal(again.n_steps, 9);
	for (int i = 0; i < 2; i++)
		assert_int_equal(net_apply_run(&channels, &again, &none, &f->journal,
					 NET_APPLY_ALL_OR_NOTHING, &f->failure),
			0);
	net_plan_clear(&again);
	assert_int_equal(net_apply_plan(&channels, &none, &again), 0);
	assert_int_equal(again.n_steps, 0);
	/* Now it was this run that did the others, and takes them back. */
	assert_int_equal(net_apply_run(&channels, &made, &wanted, &f->journal,
				 NET_APPLY_ALL_OR_NOTHING, &f->failure),
		-ENODEV);
	assert_true(f->failure.undone);
	assert_int_equal(net_apply_plan(&channels, &none, &again), 0);
	assert_int_equal(again.n_steps, 0);
	net_plan_clear(&again);
	net_plan_clear(&made);
	net_wanted_clear(&wanted);
	net_channels_close(&channels);
}

/* An address that has lost our mark since the plan was made is not ours to remove any more. */
static void test_kernel_foreign_address(void **state)
{
	struct fixture *f = *state;
	struct net_wanted wanted = { 0 }, none = { 0 };
	struct net_plan clear, made;
	struct net_channels channels;

	if (!enter_namespace() || system("ip -V >/dev/null 2>&1") != 0)
		skip();
	want_addr(&wanted.net, "2001:db8::1", false);
	assert_int_equal(net_channels_open(&channels, 0), 0);
	nl_channel_close(&channels.nft);
	assert_int_equal(net_apply_plan(&channels, &wanted, &made), 0);
	assert_int_equal(net_apply_run(&channels, &made, &wanted, &f->journal,
				 NET_APPLY_ALL_OR_NOTHING, &f->failure),
		0);
	assert_int_equal(net_apply_plan(&channels, &none, &clear), 0);
	assert_int_equal(clear.n_steps, 1);
	assert_int_equal(system("ip addr del 2001:db8::1/128 dev lo && "
				"ip addr add 2001:db8::1/128 dev lo"),
		0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(net_apply_run(&channels, i ? &made : &clear, &wanted, &f->journal,
					 NET_APPLY_ALL_OR_NOTHING, &f->failure),
			0);
		assert_int_equal(system("ip addr show dev lo | grep -q 2001:db8::1/128"), 0);
	}
	/* With another prefix length it stands in the way. */
	assert_int_equal(system("ip addr del 2001:db8::1/128 dev lo && "
				"ip addr add 2001:db8::1/64 dev lo"),
		0);
	assert_int_equal(net_apply_run(&channels, &made, &wanted, &f->journal,
				 NET_APPLY_ALL_OR_NOTHING, &f->failure),
		-EEXIST);
	net_plan_clear(&made);
	net_plan_clear(&clear);
	net_wanted_clear(&wanted);
	net_channels_close(&channels);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_success, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failure_at_every_step, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_as_far_as_possible, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_undo_spares_what_was_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_undo_fails, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_journal_fails, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_empty_plan, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kernel, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kernel_foreign_address, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
