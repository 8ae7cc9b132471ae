#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ban_store.h"

#define NOW  1000000U
#define HEAD "{\"sixgate\":\"bans\",\"version\":1}\n"

struct dir {
	char path[64];
};

static int setup(void **state)
{
	struct dir *dir = calloc(1, sizeof(*dir));

	if (!dir)
		return -1;
	snprintf(dir->path, sizeof(dir->path), "/tmp/sixgate-bans-XXXXXX");
	*state = dir;
	return mkdtemp(dir->path) ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const names[] = { "bans", "bans.new", "bans.damaged-1", "bans.damaged-2",
		"sub/bans", "sub", "" };
	struct dir *dir = *state;
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir->path, names[i]);
		(void)remove(path);
	}
	free(dir);
	return 0;
}

static void write_file(const struct dir *dir, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/bans", dir->path);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	fclose(file);
}

static void read_file(const struct dir *dir, const char *name, char buf[4096])
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir->path, name);
	file = fopen(path, "r");
	assert_non_null(file);
	buf[fread(buf, 1, 4095, file)] = '\0';
	fclose(file);
}

static void put(struct ban_list *list, const char *text, uint64_t until_ms, const char *reason)
{
	struct ban_changes changes = { 0 };
	const char *why = NULL;
	struct ban ban;

	assert_int_equal(ban_list_parse(text, &ban, &why), 0);
	ban.until_ms = until_ms;
	assert_int_equal(ban_list_put(list, &ban, reason, NOW, &changes), 0);
	ban_changes_clear(&changes);
}

/* Every ban as "prefix until reason; ". */
static void check(const struct ban_list *list, const char *expected)
{
	char said[1024] = "", text[BAN_TEXT_MAX];
	size_t len = 0;

	for (size_t i = 0; i < list->n; i++)
		len += (size_t)snprintf(said + len, sizeof(said) - len, "%s %llu %s; ",
			ban_list_text(list->bans[i], text),
			(unsigned long long)list->bans[i]->until_ms, list->bans[i]->reason);
	assert_string_equal(said, expected);
}

static struct ban_store load(
	const struct dir *dir, struct ban_list *list, struct ban_store_past *past)
{
	struct ban_store store;

	assert_int_equal(ban_store_load(&store, dir->path, list, NOW, past), 0);
	return store;
}

static void test_nothing_there(void **state)
{
	struct ban_list list = { 0 };
	struct ban_store_past past;
	struct ban_store store = load(*state, &list, &past);

	assert_int_equal(list.n, 0);
	assert_int_equal(past.flaws.n, 0);
	ban_store_close(&store);
	/* No directory is nothing, too. */
	assert_int_equal(ban_store_load(&store, "/tmp/sixgate-bans-none", &list, NOW, &past), 0);
	assert_int_equal(list.n, 0);
	ban_store_close(&store);
}

static void test_lines_and_what_they_mean(void **state)
{
	struct dir *dir = *state;
	struct ban_list list = { 0 };
	struct ban_store_past past;
	struct ban_store store;

	write_file(dir,
		HEAD "{\"ban\":\"2001:db8:1::/64\",\"until_ms\":2000000,\"reason\":\"ssh\"}\n"
		     "{\"ban\":\"192.0.2.1\"}\n{\"ban\":\"192.0.2.2\",\"more\":[1]}\n"
		     "{\"unban\":\"192.0.2.1\"}\n{\"unban\":\"192.0.2.9\"}\n"
		     "{\"ban\":\"2001:db8:1::/64\",\"reason\":\"again\"}\n"
		     "{\"ban\":\"192.0.2.3\"");
	store = load(dir, &list, &past);
	/* The last line was cut off. */
	check(&list, "192.0.2.2 0 ; 2001:db8:1::/64 0 again; ");
	assert_int_equal(past.flaws.n, 0);
	assert_string_equal(past.aside, "");
	ban_store_close(&store);
	ban_list_clear(&list);
}

static void test_damage_is_set_aside(void **state)
{
	static const struct {
		const char *text;
		size_t line, n;
		const char *reason;
	} cases[] = {
		{ "\xff\xfe\n", 1, 1, "this is no JSON object" },
		{ "{\"sixgate\":\"other\",\"version\":1}\n", 1, 1, "this is no file of bans" },
		{ "{\"sixgate\":\"bans\",\"version\":2}\n", 1, 1, "this version is not known" },
		{ HEAD "\n", 2, 1, "this is no JSON object" },
		{ HEAD "{\"ban\":7}\n", 2, 1, "this is neither a ban nor an unban" },
		{ HEAD "{\"ban\":\"1.2.3\"}\nx\n", 2, 2,
			"this is no address: write 192.0.2.1 or 2001:db8::1, with or without a "
			"length like /24" },
		{ HEAD "{\"ban\":\"192.0.2.7\",\"until_ms\":\"x\"}\n", 2, 1,
			"until_ms is a whole number of milliseconds since 1970" },
		{ HEAD "{\"ban\":\"192.0.2.7\",\"until_ms\":-1}\n", 2, 1,
			"until_ms is a whole number of milliseconds since 1970" },
		{ HEAD "{\"ban\":\"192.0.2.7\",\"reason\":\"a\\nb\"}\n", 2, 1,
			"reason is a text of up to 120 bytes without control characters" },
	};
	struct dir *dir = *state;
	char text[512], got[4096];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ban_list list = { 0 };
		struct ban_store_past past;
		struct ban_store store;

		/* What makes sense holds all the same. */
		snprintf(text, sizeof(text), "%s{\"ban\":\"192.0.2.1\"}\n", cases[i].text);
		write_file(dir, text);
		store = load(dir, &list, &past);
		check(&list, "192.0.2.1 0 ; ");
		assert_int_equal(past.flaws.n, cases[i].n);
		assert_int_equal(past.flaws.line, cases[i].line);
		assert_string_equal(past.flaws.reason, cases[i].reason);
		assert_string_equal(past.aside, "bans.damaged-1");
		read_file(dir, "bans.damaged-1", got);
		assert_string_equal(got, text);
		/* Then there is a good one in its place. */
		assert_int_equal(ban_store_write(&store, &list), 0);
		read_file(dir, "bans", got);
		assert_string_equal(got, HEAD "{\"ban\":\"192.0.2.1\"}\n");
		ban_store_close(&store);
		ban_list_clear(&list);
		snprintf(text, sizeof(text), "%s/bans.damaged-1", dir->path);
		assert_int_equal(unlink(text), 0);
	}
}

static void test_second_damage_has_another_name(void **state)
{
	struct dir *dir = *state;
	struct ban_list list = { 0 };
	struct ban_store_past past;
	struct ban_store store;

	for (unsigned i = 1; i <= 2; i++) {
		char name[32];

		write_file(dir, "x\n");
		store = load(dir, &list, &past);
		snprintf(name, sizeof(name), "bans.damaged-%u", i);
		assert_string_equal(past.aside, name);
		ban_store_close(&store);
	}
}

static void test_changes_are_lines(void **state)
{
	struct dir *dir = *state;
	struct ban_list list = { 0 }, again = { 0 };
	struct ban_store_past past;
	struct ban_store store = load(dir, &list, &past);
	char got[4096], *line;

	put(&list, "192.0.2.1", 0, "a \"quote\"");
	line = ban_file_ban(list.bans[0]);
	assert_int_equal(ban_store_append(&store, line, &list), 0);
	free(line);
	put(&list, "192.0.2.2", NOW + 5, "");
	line = ban_file_ban(list.bans[1]);
	assert_int_equal(ban_store_append(&store, line, &list), 0);
	free(line);
	line = ban_file_unban(list.bans[0]);
	assert_int_equal(ban_store_append(&store, line, &list), 0);
	free(line);
	read_file(dir, "bans", got);
	assert_string_equal(got, HEAD "{\"ban\":\"192.0.2.1\",\"reason\":\"a \\\"quote\\\"\"}\n"
				      "{\"ban\":\"192.0.2.2\",\"until_ms\":1000005}\n"
				      "{\"unban\":\"192.0.2.1\"}\n");
	ban_store_sync(&store);
	ban_store_close(&store);
	store = load(dir, &again, &past);
	check(&again, "192.0.2.2 1000005 ; ");
	ban_store_close(&store);
	ban_list_clear(&list);
	ban_list_clear(&again);
}

/* The file does not grow with what has been, only with what is. */
static void test_lines_that_tell_nothing_go(void **state)
{
	struct dir *dir = *state;
	struct ban_list list = { 0 };
	struct ban_store_past past;
	struct ban_store store = load(dir, &list, &past);
	struct stat info;
	char path[128];

	put(&list, "192.0.2.1", 0, "");
	for (unsigned i = 0; i < 10000; i++) {
		assert_int_equal(ban_store_append(&store, "{\"unban\":\"192.0.2.2\"}\n", &list), 0);
		assert_in_range(store.n_lines, 1, 1100);
	}
	snprintf(path, sizeof(path), "%s/bans", dir->path);
	assert_int_equal(stat(path, &info), 0);
	assert_in_range(info.st_size, 1, 30000);
	assert_int_equal(info.st_mode & 0777, 0600);
	ban_store_close(&store);
	ban_list_clear(&list);
}

static void test_one_writes(void **state)
{
	struct dir *dir = *state;
	struct ban_list list = { 0 };
	struct ban_store_past past;
	struct ban_store store = load(dir, &list, &past), other;

	assert_int_equal(ban_store_load(&other, dir->path, &list, NOW, &past), -EWOULDBLOCK);
	assert_int_equal(ban_store_write(&other, &list), -EWOULDBLOCK);
	ban_store_close(&store);
	assert_int_equal(ban_store_write(&other, &list), 0);
	ban_store_close(&other);
}

/* What could not be read is read when that is mended: the store is not in its own way. */
static void test_trouble_that_passes(void **state)
{
	const struct dir *dir = *state;
	struct ban_list list = { 0 };
	struct ban_store_past past;
	struct ban_store store;
	char path[128];

	snprintf(path, sizeof(path), "%s/bans", dir->path);
	assert_int_equal(symlink("bans", path), 0);
	assert_int_equal(ban_store_load(&store, dir->path, &list, NOW, &past), -ELOOP);
	assert_int_equal(unlink(path), 0);
	write_file(dir, HEAD "{\"ban\":\"192.0.2.1\"}\n");
	assert_int_equal(ban_store_load(&store, dir->path, &list, NOW, &past), 0);
	assert_int_equal(list.n, 1);
	ban_store_close(&store);
	ban_list_clear(&list);
}

static void test_directory_is_made(void **state)
{
	struct dir *dir = *state;
	struct ban_list list = { 0 };
	struct ban_store_past past;
	struct ban_store store;
	char path[128];
	struct stat info;

	snprintf(path, sizeof(path), "%s/sub", dir->path);
	assert_int_equal(ban_store_load(&store, path, &list, NOW, &past), 0);
	assert_int_equal(stat(path, &info), -1);
	assert_int_equal(ban_store_append(&store, "", &list), 0);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0700);
	ban_store_close(&store);
	snprintf(path, sizeof(path), "%s/no/such", dir->path);
	assert_int_equal(ban_store_load(&store, path, &list, NOW, &past), 0);
	assert_int_equal(ban_store_append(&store, "", &list), -ENOENT);
	ban_store_close(&store);
}

static void test_what_is_no_file(void **state)
{
	struct dir *dir = *state;
	struct ban_list list = { 0 };
	struct ban_store_past past;
	struct ban_store store;
	char path[128];

	snprintf(path, sizeof(path), "%s/bans", dir->path);
	assert_int_equal(mkfifo(path, 0600), 0);
	store = load(dir, &list, &past);
	assert_int_equal(past.flaws.n, 1);
	assert_string_equal(past.aside, "bans.damaged-1");
	ban_store_close(&store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lines_and_what_they_mean, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage_is_set_aside, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_second_damage_has_another_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes_are_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lines_that_tell_nothing_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_writes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trouble_that_passes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directory_is_made, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_no_file, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
