#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_lists.h"

static struct prefix_ranges ranges_of(const char *const *texts, size_t n, bool allow)
{
	struct prefix_rules rules = { 0 };
	struct prefix_ranges ranges;
	struct prefix prefix;
	const char *reason;

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(prefix_rules_parse_one(texts[i], &prefix, &reason), 0);
		assert_int_equal(prefix_rules_add(&rules, &prefix, allow), 0);
	}
	assert_int_equal(prefix_ranges_make(&rules, &ranges), 0);
	prefix_rules_clear(&rules);
	return ranges;
}

static enum client_lists_verdict judge(
	const struct client_lists *lists, size_t listener, const char *text)
{
	struct sockaddr_any addr;
	const char *reason;

	assert_int_equal(sockaddr_parse_host(text, &addr, &reason), 0);
	return client_lists_judge(lists, listener, &addr);
}

static void test_lists(void **state)
{
	struct client_lists *lists = client_lists_create(2, 100);
	struct prefix_ranges parts[3] = { 0 };

	(void)state;
	assert_non_null(lists);
	assert_int_equal(judge(lists, 0, "192.0.2.1"), CLIENT_LISTS_ALLOWED);
	parts[1] = ranges_of((const char *[]){ "192.0.2.0/24", "2001:db8::/32" }, 2, true);
	parts[2] = ranges_of((const char *[]){ "2001:db8:bad::/48" }, 1, false);
	assert_int_equal(client_lists_publish(lists, parts), 0);
	assert_int_equal(judge(lists, 0, "192.0.3.1"), CLIENT_LISTS_ALLOWED);
	assert_int_equal(judge(lists, 1, "192.0.3.1"), CLIENT_LISTS_DENIED);
	assert_int_equal(judge(lists, 1, "192.0.2.1"), CLIENT_LISTS_ALLOWED);
	assert_int_equal(judge(lists, 0, "2001:db8:bad::1"), CLIENT_LISTS_BANNED);
	assert_int_equal(judge(lists, 1, "2001:db8:bad::1"), CLIENT_LISTS_BANNED);
	assert_int_equal(judge(lists, 1, "2001:db8::1"), CLIENT_LISTS_ALLOWED);
	prefix_ranges_clear(&parts[2]);
	assert_int_equal(client_lists_publish(lists, parts), 0);
	assert_int_equal(judge(lists, 1, "2001:db8:bad::1"), CLIENT_LISTS_ALLOWED);
	prefix_ranges_clear(&parts[1]);
	client_lists_destroy(lists);
	client_lists_destroy(NULL);
}

static void test_no_room(void **state)
{
	struct client_lists *lists = client_lists_create(1, 4);
	struct prefix_ranges parts[2] = { 0 }, few, many;

	(void)state;
	few = ranges_of((const char *[]){ "10.0.0.0/8" }, 1, false);
	many = ranges_of((const char *[]){ "10.0.0.0/8", "12.0.0.0/8", "::/16" }, 3, false);
	parts[0] = few;
	assert_int_equal(client_lists_publish(lists, parts), 0);
	parts[0] = many;
	assert_int_equal(client_lists_publish(lists, parts), -ENOSPC);
	assert_int_equal(judge(lists, 0, "10.1.1.1"), CLIENT_LISTS_DENIED);
	assert_int_equal(judge(lists, 0, "12.1.1.1"), CLIENT_LISTS_ALLOWED);
	prefix_ranges_clear(&few);
	prefix_ranges_clear(&many);
	client_lists_destroy(lists);
}

/* What is denied in one list and in the next, and what is in neither, never looks otherwise. */
static void test_replaced_while_looked_at(void **state)
{
	static const char *const one[] = { "10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32" };
	static const char *const two[] = { "1.0.0.0/8", "2.0.0.0/8", "9.9.9.9", "10.0.0.0/8",
		"::/16", "2001:db8::/32", "2001:db9::/32", "2001:dc0::/32" };
	struct client_lists *lists = client_lists_create(1, 100);
	struct prefix_ranges parts[2][2] = { 0 };
	int status = 0;
	pid_t pid;

	(void)state;
	parts[0][0] = ranges_of(one, 3, false);
	parts[1][0] = ranges_of(two, 8, false);
	assert_int_equal(client_lists_publish(lists, parts[0]), 0);
	pid = fork();
	if (pid == 0) {
		for (unsigned i = 0; i < 3000000; i++) {
			bool fine = judge(lists, 0, "10.2.3.4") == CLIENT_LISTS_DENIED &&
				    judge(lists, 0, "2001:db8::5") == CLIENT_LISTS_DENIED &&
				    judge(lists, 0, "11.2.3.4") == CLIENT_LISTS_ALLOWED &&
				    judge(lists, 0, "3000::") == CLIENT_LISTS_ALLOWED;

			if (!fine)
				_exit(1);
			if (i % 1000 == 0 && getppid() == 1)
				break;
		}
		_exit(0);
	}
	for (unsigned i = 0; i < 20000; i++)
		assert_int_equal(client_lists_publish(lists, parts[i % 2]), 0);
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
	for (size_t i = 0; i < 2; i++)
		prefix_ranges_clear(&parts[i][0]);
	client_lists_destroy(lists);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_replaced_while_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
