#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "net_journal.h"

struct fixture {
	char base[64];
	char directory[80]; /* in base; the journal makes it */
	char file[96];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->base, "/tmp/sixgate-journal-XXXXXX");
	assert_non_null(mkdtemp(f->base));
	snprintf(f->directory, sizeof(f->directory), "%s/run", f->base);
	snprintf(f->file, sizeof(f->file), "%s/net.journal", f->directory);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	unlink(f->file);
	rmdir(f->directory);
	rmdir(f->base);
	free(f);
	return 0;
}

static void read_back(const struct fixture *f, char *buf, size_t size)
{
	FILE *file = fopen(f->file, "r");
	size_t len;

	assert_non_null(file);
	len = fread(buf, 1, size - 1, file);
	buf[len] = '\0';
	fclose(file);
}

static void check_past(
	const struct net_journal_past *past, bool interrupted, size_t step, const char *text)
{
	assert_int_equal(past->interrupted, interrupted);
	assert_int_equal(past->step, step);
	assert_string_equal(past->text, text);
}

static void parse(const char *bytes, bool interrupted, size_t step, const char *text)
{
	struct net_journal_past past;

	memset(&past, 0xff, sizeof(past));
	net_journal_parse(bytes, strlen(bytes), &past);
	check_past(&past, interrupted, step, text);
}

static void test_records(void **state)
{
	struct fixture *f = *state;
	struct net_journal journal = { .fd = -1 };
	struct net_journal_past past;
	struct stat status;
	char buf[1000];

	assert_int_equal(net_journal_peek(f->directory, &past), -ENOENT);
	assert_int_equal(net_journal_open(&journal, f->directory, 100, &past), 0);
	check_past(&past, false, 0, "");
	assert_int_equal(stat(f->file, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_true(fcntl(journal.fd, F_GETFD) & FD_CLOEXEC);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(net_journal_begin(&journal, 2), 0);
		assert_int_equal(net_journal_note(&journal, "do", 1, "ip one"), 0);
		assert_int_equal(net_journal_note(&journal, "done", 1, NULL), 0);
		assert_int_equal(net_journal_note(&journal, "do", 2, "ip two"), 0);
		assert_int_equal(net_journal_peek(f->directory, &past), 0);
		check_past(&past, true, 2, "ip two");
		assert_int_equal(net_journal_note(&journal, "undo", 1, "ip eno"), 0);
		assert_int_equal(net_journal_note(&journal, "undone", 1, NULL), 0);
		assert_int_equal(net_journal_end(&journal), 0);
		read_back(f, buf, sizeof(buf));
		assert_string_equal(buf, "begin 2\ndo 1 ip one\ndone 1\ndo 2 ip two\nundo 1 ip "
					 "eno\nundone 1\nend\n");
	}
	net_journal_close(&journal);
	net_journal_close(&journal);
	assert_int_equal(net_journal_open(&journal, f->directory, 100, NULL), 0);
	net_journal_close(&journal);
	assert_int_equal(net_journal_peek(f->directory, &past), 0);
	check_past(&past, false, 1, "ip eno");
}

static void test_every_prefix(void **state)
{
	static const char whole[] = "begin 2\ndo 1 one\ndone 1\ndo 2 two\ndone 2\nend\n";
	struct net_journal_past past;
	char copy[sizeof(whole)];

	(void)state;
	for (size_t len = 0; len < sizeof(whole); len++) {
		memcpy(copy, whole, len);
		copy[len] = '\0';
		net_journal_parse(copy, len, &past);
		assert_int_equal(past.interrupted, len != 0 && len != sizeof(whole) - 1);
		if (strstr(copy, "do 2 two\n"))
			assert_int_equal(past.step, 2);
		else
			assert_int_equal(past.step, strstr(copy, "do 1 one\n") ? 1 : 0);
	}
}

static void test_nonsense(void **state)
{
	char big[NET_TEXT_MAX + 40];
	struct net_journal_past past;

	(void)state;
	parse("hello\n", true, 0, "");
	parse("begin\n", true, 0, "");
	parse("begin 99999999999999999999999\n", true, 0, "");
	parse("begin -1\n", true, 0, "");
	parse("begin 2\ndo 3 x\nend\n", true, 0, "");
	parse("begin 2\ndo 0 x\nend\n", true, 0, "");
	parse("begin 2\ndo 1 x\nwhat 1\nend\n", true, 0, "");
	parse("begin 2\ndo 1 \x1b[2J\nend\n", true, 0, "");
	parse("begin 2\ndo 1 x\nend\nend\n", true, 0, "");
	parse("begin 2\nend\ndo 1", true, 0, "");
	parse("begin 2\ndo 1x\nend\n", true, 0, "");
	parse("begin 2\n\nend\n", true, 0, "");
	net_journal_parse("begin 1\ndo 1 a\0b\nend\n", 21, &past);
	check_past(&past, true, 0, "");
	memset(big, 'x', sizeof(big));
	memcpy(big, "begin 1\ndo 1 ", 13);
	for (size_t len = NET_TEXT_MAX - 1; len <= NET_TEXT_MAX; len++) {
		big[13 + len] = '\n';
		net_journal_parse(big, 13 + len + 1, &past);
		assert_int_equal(past.step, len < NET_TEXT_MAX);
		big[13 + len] = 'x';
	}
}

static void test_lock(void **state)
{
	struct fixture *f = *state;
	struct net_journal journal, other;
	struct net_journal_past past;
	struct timespec begin, end;

	assert_int_equal(net_journal_open(&journal, f->directory, 100, NULL), 0);
	assert_int_equal(net_journal_peek(f->directory, &past), 0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	assert_int_equal(net_journal_open(&other, f->directory, 100, NULL), -EWOULDBLOCK);
	clock_gettime(CLOCK_MONOTONIC, &end);
	/* It waits, and not for ever: how long is only held to one side. */
	assert_true((end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000 >=
		    100);
	net_journal_close(&journal);
	assert_int_equal(net_journal_open(&other, f->directory, 100, NULL), 0);
	net_journal_close(&other);
}

static void test_not_a_file(void **state)
{
	struct fixture *f = *state;
	struct net_journal journal = { .fd = -1 };
	struct net_journal_past past;
	char missing[120];

	assert_int_equal(mkdir(f->directory, 0700), 0);
	assert_int_equal(symlink("/etc/passwd", f->file), 0);
	assert_int_equal(net_journal_open(&journal, f->directory, 100, NULL), -ELOOP);
	assert_int_equal(net_journal_peek(f->directory, &past), -ELOOP);
	unlink(f->file);
	assert_int_equal(mkfifo(f->file, 0600), 0);
	assert_int_equal(net_journal_open(&journal, f->directory, 100, NULL), -EINVAL);
	assert_int_equal(net_journal_peek(f->directory, &past), -EINVAL);
	snprintf(missing, sizeof(missing), "%s/no/where", f->base);
	assert_int_equal(net_journal_open(&journal, missing, 100, NULL), -ENOENT);
	assert_int_equal(journal.fd, -1);
}

/* A daemon that owns the directory and is not root can write what root began there. */
static void test_owner(void **state)
{
	struct fixture *f = *state;
	struct net_journal journal;
	struct stat status;

	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdir(f->directory, 0755), 0);
	assert_int_equal(chown(f->directory, 4711, 4712), 0);
	assert_int_equal(net_journal_open(&journal, f->directory, 100, NULL), 0);
	net_journal_close(&journal);
	assert_int_equal(stat(f->file, &status), 0);
	assert_int_equal(status.st_uid, 4711);
	assert_int_equal(status.st_gid, 4712);
	/* What was there already stays whose it is. */
	assert_int_equal(chown(f->file, 4713, 4713), 0);
	assert_int_equal(net_journal_open(&journal, f->directory, 100, NULL), 0);
	net_journal_close(&journal);
	assert_int_equal(stat(f->file, &status), 0);
	assert_int_equal(status.st_uid, 4713);
}

/* A record that does not fit leaves no half line behind; the next that fits is readable. */
static void test_full(void **state)
{
	struct fixture *f = *state;
	struct net_journal journal;
	struct rlimit old, limit;
	char buf[200];

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(net_journal_open(&journal, f->directory, 100, NULL), 0);
	assert_int_equal(net_journal_begin(&journal, 2), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = old;
	limit.rlim_cur = 16;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(net_journal_note(&journal, "do", 1, "ip and so on"), -ENOSPC);
	assert_int_equal(net_journal_note(&journal, "do", 1, NULL), 0);
	assert_true(net_journal_note(&journal, "do", 2, "long enough") < 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	read_back(f, buf, sizeof(buf));
	assert_string_equal(buf, "begin 2\ndo 1\n");
	net_journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_records, set_up, tear_down),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test_setup_teardown(test_lock, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_a_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_owner, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
