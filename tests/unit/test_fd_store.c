#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd_given.h"
#include "fd_store.h"
#include "log.h"
#include "notify.h"

/* ---- a service manager ---- */

#define KEPT_MAX 64U

/* What it keeps, in the order in which it came. */
struct kept {
	char *names[KEPT_MAX];
	int fds[KEPT_MAX];
	size_t n;
	size_t max;	  /* FileDescriptorStoreMax= */
	size_t messages;  /* that it has heard */
	size_t deaf_from; /* it hears so many and no more */
	bool twice;	  /* it was given something that it had */
};

/* Where notify_send() goes. */
static struct kept *manager;

static bool has(const struct kept *kept, int fd)
{
	struct fd_identity a, b;

	assert_true(fd_identity_get(fd, &a));
	for (size_t i = 0; i < kept->n; i++)
		if (fd_identity_get(kept->fds[i], &b) && fd_identity_equal(&a, &b))
			return true;
	return false;
}

static void put(struct kept *kept, const char *name, int fd)
{
	kept->twice = kept->twice || has(kept, fd);
	if (has(kept, fd) || kept->n >= kept->max)
		return;
	assert_true(kept->n < KEPT_MAX);
	kept->names[kept->n] = strdup(name);
	kept->fds[kept->n++] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static void take_away(struct kept *kept, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < kept->n; i++) {
		if (strcmp(kept->names[i], name) == 0) {
			free(kept->names[i]);
			close(kept->fds[i]);
			continue;
		}
		kept->names[n] = kept->names[i];
		kept->fds[n++] = kept->fds[i];
	}
	kept->n = n;
}

/* In the place of that of notify.h. */
int notify_send(const char *text, int fd)
{
	const char *name = strstr(text, "\nFDNAME=");

	if (manager->messages >= manager->deaf_from)
		return -EAGAIN;
	manager->messages++;
	assert_non_null(name);
	if (strncmp(text, "FDSTOREREMOVE=1\n", 16) == 0)
		take_away(manager, name + 8);
	else if (strncmp(text, "FDSTORE=1\nFDPOLL=0\n", 19) == 0)
		put(manager, name + 8, fd);
	else
		fail();
	return 0;
}

static struct kept kept_new(void)
{
	return (struct kept){ .max = KEPT_MAX, .deaf_from = SIZE_MAX };
}

static void kept_copy(const struct kept *kept, struct kept *ret_copy)
{
	*ret_copy = kept_new();
	for (size_t i = 0; i < kept->n; i++)
		put(ret_copy, kept->names[i], kept->fds[i]);
}

static void kept_clear(struct kept *kept)
{
	for (; kept->n > 0; kept->n--) {
		free(kept->names[kept->n - 1]);
		close(kept->fds[kept->n - 1]);
	}
}

static bool is_kept(const struct kept *kept, const char *name)
{
	for (size_t i = 0; i < kept->n; i++)
		if (strcmp(kept->names[i], name) == 0)
			return true;
	return false;
}

/* What the one that it starts finds. */
static struct estate *given_by(const struct kept *kept)
{
	int fds[KEPT_MAX];

	for (size_t i = 0; i < kept->n; i++)
		fds[i] = fcntl(kept->fds[i], F_DUPFD_CLOEXEC, 0);
	return fd_given_sort(kept->names, fds, kept->n);
}

/* ---- estates ---- */

/* Two estates have the front in common, and each its own rest. */
struct things {
	int front, channel[2], rest[2];
};

static int memory(void)
{
	int fd = memfd_create("thing", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int listening(void)
{
	const struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static struct things make_things(int front)
{
	struct things things = { .front = front, .rest = { memory(), memory() } };

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, things.channel), 0);
	return things;
}

static void close_things(const struct things *things)
{
	close(things->channel[0]);
	close(things->channel[1]);
	close(things->rest[0]);
	close(things->rest[1]);
}

static struct estate *estate_of(
	const struct things *things, const struct fd_store *store, const char *who)
{
	struct estate *estate = estate_new();

	assert_int_equal(estate_add_fd(estate, "front", things->front), 0);
	assert_int_equal(estate_add_fd(estate, "channel", things->channel[0]), 0);
	assert_int_equal(estate_add_fd(estate, "rest 0", things->rest[0]), 0);
	assert_int_equal(estate_add_fd(estate, "rest 1", things->rest[1]), 0);
	assert_int_equal(estate_add_text(estate, "who", who), 0);
	assert_int_equal(fd_store_bequeath(store, estate), 0);
	return estate;
}

static int keep(struct fd_store *store, const struct things *things, const char *who)
{
	struct estate *estate = estate_of(things, store, who);
	int err = fd_store_keep(store, estate);

	estate_free(estate);
	return err;
}

static bool leads_to(struct estate *estate, const char *name, int fd)
{
	int found = estate_take_fd(estate, name);
	struct fd_identity a, b;
	bool same = found >= 0 && fd_identity_get(found, &a) && fd_identity_get(fd, &b) &&
		    fd_identity_equal(&a, &b);

	if (found >= 0)
		close(found);
	return same;
}

/* All that is of one of these, and nothing of another. Says of which. */
static size_t require_whole(const struct kept *kept, const struct things *things, size_t n)
{
	struct estate *estate = given_by(kept);
	const char *who = estate_get_text(estate, "who");
	size_t i;

	assert_non_null(who);
	i = (size_t)(who[0] - 'A');
	assert_true(i < n);
	assert_true(leads_to(estate, "front", things[i].front));
	assert_true(leads_to(estate, "channel", things[i].channel[0]));
	assert_true(leads_to(estate, "rest 0", things[i].rest[0]));
	assert_true(leads_to(estate, "rest 1", things[i].rest[1]));
	estate_close_rest(estate);
	estate_free(estate);
	return i;
}

/* One estate, as the release before this one looks for it, and what it names. */
static void require_settled(const struct kept *kept)
{
	assert_int_equal(kept->n, 5);
	assert_true(is_kept(kept, FD_STORE_ESTATE));
	assert_false(is_kept(kept, FD_STORE_ESTATE_NEW));
	assert_false(kept->twice);
}

/* ---- a replacement that is cut off ---- */

struct fixture {
	struct things things[3];
	struct fd_store store;
	struct kept kept;
};

static struct fixture *fixture_new(void)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	int front = listening();

	assert_non_null(fixture);
	for (size_t i = 0; i < 3; i++)
		fixture->things[i] = make_things(front);
	fixture->kept = kept_new();
	manager = &fixture->kept;
	setenv("NOTIFY_SOCKET", "@nobody", 1);
	assert_int_equal(keep(&fixture->store, &fixture->things[0], "A"), 0);
	require_settled(manager);
	return fixture;
}

static void fixture_free(struct fixture *fixture)
{
	close(fixture->things[0].front);
	for (size_t i = 0; i < 3; i++)
		close_things(&fixture->things[i]);
	fd_store_clear(&fixture->store);
	kept_clear(&fixture->kept);
	free(fixture);
	unsetenv("NOTIFY_SOCKET");
}

/* One that goes on with what is kept, and is cut off in turn, after each message. */
static void go_on_from(const struct kept *kept, const struct things *things)
{
	for (size_t count = 0;; count++) {
		struct estate *estate = given_by(kept);
		struct fd_store store = { 0 };
		struct kept copy;
		int err;

		kept_copy(kept, &copy);
		copy.deaf_from = count;
		manager = &copy;
		assert_int_equal(fd_store_inherit(&store, estate), 0);
		estate_close_rest(estate);
		estate_free(estate);
		err = keep(&store, &things[2], "C");
		(void)require_whole(manager, things, 3);
		if (!err) {
			assert_int_equal(require_whole(manager, things, 3), 2);
			require_settled(manager);
		}
		fd_store_clear(&store);
		kept_clear(&copy);
		if (!err)
			return;
		assert_true(count < KEPT_MAX);
	}
}

static void test_killed_after_each_message(void **state)
{
	struct fixture *fixture = fixture_new();
	size_t count = 0, old = 0, new = 0;
	int err;

	(void)state;
	do {
		struct fd_store store = { 0 };
		struct kept copy;
		struct estate *estate = given_by(&fixture->kept);

		kept_copy(&fixture->kept, &copy);
		copy.deaf_from = count++;
		manager = &copy;
		assert_int_equal(fd_store_inherit(&store, estate), 0);
		estate_close_rest(estate);
		estate_free(estate);
		err = keep(&store, &fixture->things[1], "B");
		if (require_whole(&copy, fixture->things, 2) == 0)
			old++;
		else
			new ++;
		go_on_from(&copy, fixture->things);
		fd_store_clear(&store);
		kept_clear(&copy);
	} while (err);
	/* Three are new; the estate comes and goes twice; three are old. */
	assert_int_equal(count, 3 + 4 + 3 + 1);
	assert_int_equal(old, 4);
	assert_int_equal(new, count - old);
	fixture_free(fixture);
}

/* The process goes on, and tries again. */
static void test_manager_is_deaf_for_a_time(void **state)
{
	struct fixture *fixture = fixture_new();
	int err = -EAGAIN;

	(void)state;
	for (size_t count = 0; err; count++) {
		manager->deaf_from = manager->messages + count;
		err = keep(&fixture->store, &fixture->things[1], "B");
		(void)require_whole(manager, fixture->things, 2);
		manager->deaf_from = SIZE_MAX;
		assert_int_equal(keep(&fixture->store, &fixture->things[0], "A"), 0);
		require_settled(manager);
		assert_int_equal(require_whole(manager, fixture->things, 2), 0);
	}
	assert_int_equal(fd_store_forget(&fixture->store), 0);
	assert_int_equal(manager->n, 0);
	assert_false(fd_store_is_filled(&fixture->store));
	fixture_free(fixture);
}

static void test_what_stays_is_not_touched(void **state)
{
	struct fixture *fixture = fixture_new();
	size_t before = manager->messages;

	(void)state;
	assert_int_equal(keep(&fixture->store, &fixture->things[0], "A"), 0);
	assert_int_equal(manager->messages - before, 4);
	require_settled(manager);
	assert_true(fd_store_is_filled(&fixture->store));
	fixture_free(fixture);
}

static void test_from_image_to_image(void **state)
{
	struct fixture *fixture = fixture_new();
	struct estate *estate = estate_of(&fixture->things[0], &fixture->store, "A");
	struct fd_store store = { 0 };
	size_t before = manager->messages;

	(void)state;
	assert_int_equal(fd_store_inherit(&store, estate), 0);
	assert_int_equal(store.generation, fixture->store.generation + 1);
	assert_int_equal(keep(&store, &fixture->things[0], "A"), 0);
	assert_int_equal(manager->messages - before, 4);
	require_settled(manager);
	fd_store_clear(&store);
	estate_free(estate);
	fixture_free(fixture);
}

/* ---- how much there may be ---- */

static void count_line(void *userdata, enum log_level level, const char *line, size_t len)
{
	unsigned *count = userdata;

	(void)level;
	(void)len;
	*count += strstr(line, "FileDescriptorStoreMax=") != NULL;
}

static void test_room_is_made(void **state)
{
	struct fixture *fixture = fixture_new();
	unsigned lines = 0;

	(void)state;
	log_set_sink(count_line, &lines);
	manager->max = 7;
	setenv("FDSTORE", "7", 1);
	assert_int_equal(keep(&fixture->store, &fixture->things[1], "B"), 0);
	unsetenv("FDSTORE");
	assert_int_equal(lines, 1);
	require_settled(manager);
	assert_int_equal(require_whole(manager, fixture->things, 2), 1);
	assert_int_equal(lines, 1);
	log_set_sink(NULL, NULL);
	fixture_free(fixture);
}

/* Nobody says how much there may be: it is said at the next start, and the front is there. */
static void test_full_store(void **state)
{
	struct fixture *fixture = fixture_new();
	struct estate *estate;
	unsigned lines = 0;

	(void)state;
	log_set_sink(count_line, &lines);
	manager->max = 7;
	assert_int_equal(keep(&fixture->store, &fixture->things[1], "B"), 0);
	estate = given_by(manager);
	assert_string_equal(estate_get_text(estate, "who"), "B");
	assert_true(leads_to(estate, "front", fixture->things[1].front));
	assert_false(estate_has_fd(estate, "rest 1"));
	assert_int_equal(lines, 1);
	estate_close_rest(estate);
	estate_free(estate);
	log_set_sink(NULL, NULL);
	fixture_free(fixture);
}

/* ---- of another release ---- */

/* A succession from one that names descriptors by the numbers that they have in the process. */
static void test_release_before(void **state)
{
	struct fixture *fixture = fixture_new();
	const struct things *things = &fixture->things[0];
	const int fds[] = { things->channel[0], things->front, things->rest[0], things->rest[1] };
	struct estate *estate = estate_new(), *copy = NULL;
	struct fd_store store = { 0 };
	struct kept kept = kept_new();
	char names[128] = "", front[16];
	unsigned lines = 0;
	int fd = -1, err;

	(void)state;
	log_set_sink(count_line, &lines);
	manager = &kept;
	assert_int_equal(estate_add_fd(estate, "front", things->front), 0);
	assert_int_equal(estate_add_fd(estate, "channel", things->channel[0]), 0);
	for (size_t i = 0; i < 4; i++) {
		snprintf(front, sizeof(front), "fd%d", fds[i]);
		put(&kept, front, fds[i]);
		strcat(strcat(names, front), " ");
	}
	assert_int_equal(estate_save(estate, &fd), 0);
	put(&kept, FD_STORE_ESTATE, fd);
	close(fd);
	assert_int_equal(estate_add_text(estate, "kept", strcat(names, "estate ")), 0);
	assert_int_equal(fd_store_inherit(&store, estate), 0);
	snprintf(front, sizeof(front), "fd%d", things->front);
	for (size_t count = 0;; count++) {
		kept.deaf_from = kept.messages + count;
		err = keep(&store, things, "A");
		assert_true(is_kept(&kept, front));
		copy = given_by(&kept);
		assert_true(leads_to(copy, "front", things->front));
		estate_close_rest(copy);
		estate_free(copy);
		if (!err)
			break;
		assert_true(count < KEPT_MAX);
	}
	log_set_sink(NULL, NULL);
	require_settled(&kept);
	assert_int_equal(require_whole(&kept, fixture->things, 1), 0);
	fd_store_clear(&store);
	estate_free(estate);
	kept_clear(&kept);
	fixture_free(fixture);
}

/* ---- which of them ---- */

struct choice {
	const char *name; /* NULL: there is none */
	int64_t generation;
	bool whole;
};

/* who: the index. */
static int estate_file(size_t who, const struct choice *choice)
{
	char text[256];
	int fd = memory();

	if (choice->generation == -2)
		snprintf(text, sizeof(text), "{\"version\":2}");
	else if (choice->generation == -1)
		snprintf(text, sizeof(text),
			"{\"version\":1,\"descriptors\":{\"a\":7,\"b\":%d},\"texts\":{\"who\":\"%"
			"zu\"}}",
			choice->whole ? 8 : 9, who);
	else
		snprintf(text, sizeof(text),
			"{\"version\":1,\"descriptors\":{\"a\":7,\"b\":%d},\"texts\":{\"who\":\"%"
			"zu\"},"
			"\"numbers\":{\"store generation\":%d}}",
			choice->whole ? 8 : 9, who, (int)choice->generation);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

static void test_which_estate(void **state)
{
	static const struct {
		struct choice there[2];
		const char *who; /* NULL: none */
	} cases[] = {
		{ { { NULL, 0, false }, { NULL, 0, false } }, NULL },
		{ { { "estate", 0, true }, { NULL, 0, false } }, "0" },
		{ { { "estate", -1, true }, { NULL, 0, false } }, "0" },
		{ { { "estate-new", 5, true }, { NULL, 0, false } }, "0" },
		{ { { "estate-later", 5, true }, { NULL, 0, false } }, NULL },
		{ { { "estate", 9, true }, { "estate-new", 10, true } }, "1" },
		{ { { "estate-new", 10, true }, { "estate", 9, true } }, "0" },
		{ { { "estate", -1, true }, { "estate-new", 0, true } }, "1" },
		/* One that is whole is better than one that is newer. */
		{ { { "estate", 9, true }, { "estate-new", 10, false } }, "0" },
		{ { { "estate-new", 10, false }, { "estate", 9, true } }, "1" },
		{ { { "estate", 9, false }, { "estate-new", 10, true } }, "1" },
		{ { { "estate", 9, false }, { "estate-new", 10, false } }, "1" },
		/* One that cannot be read is none. */
		{ { { "estate", 9, true }, { "estate-new", -2, true } }, "0" },
		{ { { "estate", 9, false }, { "estate-new", -2, true } }, "0" },
		{ { { "estate", -2, true }, { NULL, 0, false } }, NULL },
	};
	unsigned lines = 0;

	(void)state;
	log_set_sink(count_line, &lines);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kept kept = kept_new();
		struct estate *estate;
		int a = memory(), b = memory();

		put(&kept, "fd8", b);
		for (size_t k = 0; k < 2 && cases[i].there[k].name; k++) {
			int fd = estate_file(k, &cases[i].there[k]);

			put(&kept, cases[i].there[k].name, fd);
			close(fd);
		}
		put(&kept, "fd7", a);
		estate = given_by(&kept);
		assert_non_null(estate);
		if (!cases[i].who) {
			assert_null(estate_get_text(estate, "who"));
			assert_false(estate_has_fd(estate, "a"));
		} else {
			assert_string_equal(estate_get_text(estate, "who"), cases[i].who);
			assert_true(leads_to(estate, "a", a));
		}
		estate_close_rest(estate);
		estate_free(estate);
		kept_clear(&kept);
		close(a);
		close(b);
	}
	log_set_sink(NULL, NULL);
	assert_int_equal(lines, 2);
}

static int lowest_free(void)
{
	int fd = memory();

	close(fd);
	return fd;
}

/* Those of a unit, and those of the estate that was not chosen, in which clients may be waiting. */
static void test_sockets_that_no_estate_names(void **state)
{
	const struct choice choice = { "estate", 3, true };
	int before = lowest_free(), a = listening(), b = memory(), other = listening();
	int file = estate_file(0, &choice);
	struct kept kept = kept_new();
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	struct estate *estate;
	char name[64];

	(void)state;
	put(&kept, "fd7", a);
	put(&kept, "fd8", b);
	put(&kept, "fd12", other);
	put(&kept, "estate", file);
	close(file);
	/* The manager compares what it keeps, and not what it opens itself. */
	kept.names[kept.n] = strdup("a b.socket");
	kept.fds[kept.n++] = fcntl(a, F_DUPFD_CLOEXEC, 0);
	estate = given_by(&kept);
	assert_true(leads_to(estate, "a", a));
	assert_true(leads_to(estate, "b", b));
	assert_int_equal(getsockname(other, (struct sockaddr *)&addr, &len), 0);
	snprintf(name, sizeof(name), "tcp 127.0.0.1:%u 0", ntohs(addr.sin_port));
	assert_true(leads_to(estate, name, other));
	assert_string_equal(estate_get_text(estate, FD_STORE_GIVEN), "fd7 fd8 fd12 estate ");
	estate_close_rest(estate);
	estate_free(estate);
	kept_clear(&kept);
	close(a);
	close(b);
	close(other);
	assert_int_equal(lowest_free(), before);
}

static void test_names(void **state)
{
	(void)state;
	assert_int_equal(fd_store_number("fd0"), 0);
	assert_int_equal(fd_store_number("fd2147483647"), 2147483647);
	assert_int_equal(fd_store_number("fd2147483648"), -1);
	assert_int_equal(fd_store_number("fd"), -1);
	assert_int_equal(fd_store_number("fd-1"), -1);
	assert_int_equal(fd_store_number("fd 1"), -1);
	assert_int_equal(fd_store_number("fd01"), -1);
	assert_int_equal(fd_store_number("fd1x"), -1);
	assert_int_equal(fd_store_number("stored"), -1);
	assert_true(fd_store_is_estate("estate"));
	assert_false(fd_store_is_estate("estates"));
}

static void test_identity(void **state)
{
	char text[FD_IDENTITY_TEXT_MAX];
	struct fd_identity a, b, c;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_true(fd_identity_get(fds[0], &a) && fd_identity_get(fds[1], &b));
	assert_false(fd_identity_equal(&a, &b));
	assert_true(fd_identity_read(fd_identity_format(&a, text), &c));
	assert_true(fd_identity_equal(&a, &c));
	assert_false(fd_identity_read("-", &c) || fd_identity_read("1:2", &c) ||
		     fd_identity_read("1:2:3:", &c));
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(pipe(fds), 0);
	assert_false(fd_identity_get(fds[0], &a));
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_after_each_message),
		cmocka_unit_test(test_manager_is_deaf_for_a_time),
		cmocka_unit_test(test_what_stays_is_not_touched),
		cmocka_unit_test(test_from_image_to_image),
		cmocka_unit_test(test_room_is_made),
		cmocka_unit_test(test_full_store),
		cmocka_unit_test(test_release_before),
		cmocka_unit_test(test_which_estate),
		cmocka_unit_test(test_sockets_that_no_estate_names),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
