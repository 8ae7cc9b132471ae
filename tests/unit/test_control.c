#include "unit.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
#include "log.h"

#define NOBODY 65534
#define GROUP  65533
#define BIG    (CONTROL_QUEUED_MAX / 8)

struct fixture {
	char dir[32];
	char path[64];
	struct loop loop;
	struct control *control;
	int changes;
};

static int run_change(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	struct fixture *f = userdata;

	(void)ret_result;
	if (control_flag(args, "fail"))
		return control_fail(error, -ENOENT, CONTROL_NOT_FOUND, "there is no such thing");
	f->changes++;
	return 0;
}

static int run_look(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	(void)userdata;
	(void)error;
	*ret_result = json_pack("{s:s}", "seen", control_text(args, "what"));
	return 0;
}

/* Forgets to say what went wrong. */
static int run_speechless(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	(void)userdata;
	(void)args;
	(void)ret_result;
	(void)error;
	return -EIO;
}

static int run_big(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	char *text = malloc(BIG);

	(void)userdata;
	(void)args;
	(void)error;
	assert_non_null(text);
	memset(text, 'x', BIG);
	*ret_result = json_pack("{s:s#}", "text", text, (int)BIG);
	free(text);
	return 0;
}

static void add_commands(struct fixture *f)
{
	const struct control_command commands[] = {
		{ .name = "change",
			.summary = "changes",
			.needs_write = true,
			.params = { { "fail", CONTROL_FLAG, false } },
			.run = run_change,
			.userdata = f },
		{ .name = "look",
			.summary = "looks",
			.params = { { "what", CONTROL_TEXT, true } },
			.run = run_look },
		{ .name = "speechless", .summary = "fails", .run = run_speechless },
		{ .name = "big", .summary = "says much", .run = run_big },
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		control_add(f->control, &commands[i]);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	strcpy(f->dir, "/tmp/control-XXXXXX");
	if (!mkdtemp(f->dir) || loop_init(&f->loop) < 0)
		return -1;
	f->control = control_new(&f->loop);
	if (!f->control)
		return -1;
	add_commands(f);
	snprintf(f->path, sizeof(f->path), "%s/%s", f->dir, CONTROL_SOCKET);
	*state = f;
	return control_open(f->control, f->dir, NULL);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	control_free(f->control);
	loop_close(&f->loop);
	rmdir(f->dir);
	free(f);
	return 0;
}

static int client(const struct fixture *f)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(addr.sun_path, f->path, strlen(f->path));
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

static void turn(struct fixture *f)
{
	for (int i = 0; i < 4; i++)
		assert_int_equal(loop_run_once(&f->loop, false), 0);
}

static void say(struct fixture *f, int fd, const char *request)
{
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	turn(f);
}

/* What has come, as a text; "" if the connection is closed, "-" if nothing has come. */
static const char *hear(int fd, char *buf, size_t size)
{
	ssize_t n = recv(fd, buf, size - 1, 0);

	if (n < 0)
		return errno == EAGAIN ? "-" : "";
	buf[n] = '\0';
	return buf;
}

static void check_answer(struct fixture *f, int fd, const char *request, const char *expected)
{
	char buf[1000];

	say(f, fd, request);
	assert_string_equal(hear(fd, buf, sizeof(buf)), expected);
}

#define ASK(rest)   "{\"version\":1,\"command\":" rest "}\n"
#define OK(result)  "{\"version\":1,\"ok\":true,\"result\":" result "}\n"
#define ERROR(rest) "{\"version\":1,\"ok\":false,\"code\":" rest "}\n"

static void test_commands(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);

	check_answer(f, fd, ASK("\"look\",\"args\":{\"what\":\"a\"}"), OK("{\"seen\":\"a\"}"));
	check_answer(f, fd, ASK("\"look\""),
		ERROR("\"bad-argument\",\"error\":\"argument \\\"what\\\" is missing\""));
	check_answer(f, fd, ASK("\"change\""), OK("{}"));
	assert_int_equal(f->changes, 1);
	check_answer(f, fd, ASK("\"change\",\"args\":{\"fail\":true}"),
		ERROR("\"not-found\",\"error\":\"there is no such thing\""));
	check_answer(
		f, fd, ASK("\"speechless\""), ERROR("\"failed\",\"error\":\"Input/output error\""));
	assert_int_equal(f->changes, 1);
	close(fd);
}

static void test_in_pieces(void **state)
{
	const char *request = ASK("\"look\",\"args\":{\"what\":\"a\"}");
	struct fixture *f = *state;
	int fd = client(f);
	char buf[1000];

	for (const char *p = request; *p; p++) {
		char one[2] = { *p, '\0' };

		assert_string_equal(hear(fd, buf, sizeof(buf)), "-");
		say(f, fd, one);
	}
	assert_string_equal(hear(fd, buf, sizeof(buf)), OK("{\"seen\":\"a\"}"));
	close(fd);
}

/* In a child that is nobody, in the socket's group: 0 if it is told that it may not. */
static int child_asks(const struct fixture *f, const char *request, const char *expected)
{
	const gid_t group = GROUP;
	char buf[1000];
	int fd;

	if (setgroups(1, &group) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
		return 2;
	fd = client(f);
	if (fd < 0 || send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return 3;
	for (int i = 0; i < 2000; i++) {
		const char *heard = hear(fd, buf, sizeof(buf));

		if (strcmp(heard, "-") != 0)
			return strncmp(heard, expected, strlen(expected)) == 0 ? 0 : 4;
		usleep(1000);
	}
	return 5;
}

static void check_nobody(struct fixture *f, const char *request, const char *expected)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(child_asks(f, request, expected));
	while (waitpid(pid, &status, WNOHANG) == 0) {
		turn(f);
		usleep(1000);
	}
	assert_int_equal(status, 0);
}

/* Who is let in by the socket's group may look, and change nothing. */
static void test_readers_and_writers(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(chown(f->path, 0, GROUP), 0);
	check_nobody(f, ASK("\"look\",\"args\":{\"what\":\"a\"}"), OK("{\"seen\":\"a\"}"));
	check_nobody(
		f, ASK("\"change\""), "{\"version\":1,\"ok\":false,\"code\":\"not-permitted\"");
	assert_int_equal(f->changes, 0);
}

static long long counter(const struct fixture *f, const char *name)
{
	json_t *counters = control_json(f->control);
	long long value = json_integer_value(json_object_get(counters, name));

	json_decref(counters);
	return value;
}

/* So many answers may be unread, and no more; when they are gone there is room again. */
static void test_unread(void **state)
{
	struct fixture *f = *state;
	int fds[9];
	char buf[1000];

	for (size_t i = 0; i < 9; i++) {
		fds[i] = client(f);
		assert_true(fds[i] >= 0);
		say(f, fds[i], ASK("\"big\""));
	}
	assert_true(counter(f, "unread") > 0);
	assert_int_equal(strncmp(hear(fds[8], buf, sizeof(buf)),
				 "{\"version\":1,\"ok\":false,\"code\":\"busy\"", 36),
		0);
	close(fds[0]);
	close(fds[1]);
	turn(f);
	say(f, fds[8], ASK("\"big\""));
	assert_int_equal(
		strncmp(hear(fds[8], buf, sizeof(buf)), "{\"version\":1,\"ok\":true", 22), 0);
	for (size_t i = 2; i < 9; i++)
		close(fds[i]);
	turn(f);
}

/* The longest silent makes room for one that waits, once it has been silent for a while. */
static void test_crowd(void **state)
{
	struct fixture *f = *state;
	int fds[CONTROL_CLIENTS_MAX + 1];
	char buf[1000];

	for (size_t i = 0; i <= CONTROL_CLIENTS_MAX; i++) {
		fds[i] = client(f);
		assert_true(fds[i] >= 0);
		turn(f);
	}
	assert_int_equal(counter(f, "connections"), CONTROL_CLIENTS_MAX);
	assert_int_equal(counter(f, "crowded"), 1);
	check_answer(f, fds[0], ASK("\"change\""), OK("{}"));
	say(f, fds[CONTROL_CLIENTS_MAX], ASK("\"change\""));
	assert_string_equal(hear(fds[CONTROL_CLIENTS_MAX], buf, sizeof(buf)), "-");
	while (counter(f, "silent") == 0)
		assert_int_equal(loop_run_once(&f->loop, true), 0);
	turn(f);
	assert_string_equal(hear(fds[1], buf, sizeof(buf)), "");
	assert_string_equal(hear(fds[0], buf, sizeof(buf)), "-");
	assert_string_equal(hear(fds[CONTROL_CLIENTS_MAX], buf, sizeof(buf)), OK("{}"));
	for (size_t i = 0; i <= CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
	turn(f);
}

/* A second one in the same directory has no socket, and takes none away. */
static void test_owner(void **state)
{
	struct fixture *f = *state;
	struct control *other = control_new(&f->loop);
	int fd;

	assert_int_equal(control_open(other, f->dir, NULL), -EADDRINUSE);
	control_free(other);
	fd = client(f);
	check_answer(f, fd, ASK("\"change\""), OK("{}"));
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_commands),
		TEST(test_in_pieces),
		TEST(test_readers_and_writers),
		TEST(test_unread),
		TEST(test_crowd),
		TEST(test_owner),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
