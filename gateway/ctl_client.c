#include "ctl_client.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "config.h"

/*
 * Theory of operation
 *
 * One connection for each question, closed after its answer: the gateway may be replaced at any
 * time, and a connection that is kept would take one of its places. The answer is read to its
 * newline whatever became of the request, as a gateway that refuses one early says why and hangs
 * up.
 *
 * A command is a row; of what it needs beyond a question and a printed answer it has a function:
 * follow (wait for the end of what has begun), watch (ask again and again), run (all of it).
 */
#define PATIENCE_S  10	       /* for a gateway that is busy, or stopped */
#define ANSWER_STEP 65536U     /* bytes by which the room for an answer grows at least */
#define ANSWER_MAX  268435456U /* bytes; no gateway of ours says so much */

/* ---- the connection ---- */

/* By way of its directory's descriptor: the path may be longer than an address can hold. */
static int open_directory(const char *path, struct sockaddr_un *ret_addr)
{
	char *for_dir = strdup(path), *for_base = strdup(path);
	int fd = -ENOMEM, len;

	if (for_dir && for_base) {
		fd = open(dirname(for_dir), O_PATH | O_DIRECTORY | O_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
		ret_addr->sun_family = AF_UNIX;
		len = snprintf(ret_addr->sun_path, sizeof(ret_addr->sun_path),
			"/proc/self/fd/%d/%s", fd, basename(for_base));
		if (fd >= 0 && len >= (int)sizeof(ret_addr->sun_path)) {
			close(fd);
			fd = -ENAMETOOLONG;
		}
	}
	free(for_dir);
	free(for_base);
	return fd;
}

int ctl_client_connect(const char *path)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_un addr = { 0 };
	int dir = open_directory(path, &addr), fd, err = 0;

	if (dir < 0)
		return dir;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		err = -errno;
	} else {
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
			err = -errno;
	}
	close(dir);
	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}

static int send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* One line, to be freed. */
static int receive_line(int fd, char **ret_line, size_t *ret_len)
{
	size_t size = 0, len = 0;
	char *line = NULL, *grown;
	int err = 0;

	while (len == 0 || line[len - 1] != '\n') {
		ssize_t n;

		if (size - len < ANSWER_STEP) {
			size = 2 * size + ANSWER_STEP;
			grown = size <= ANSWER_MAX ? realloc(line, size) : NULL;
			if (!grown) {
				err = -ENOMEM;
				break;
			}
			line = grown;
		}
		n = recv(fd, line + len, size - len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err = n == 0 ? -ECONNRESET : -errno;
			break;
		}
		len += (size_t)n;
	}
	if (err) {
		free(line);
		return err;
	}
	*ret_line = line;
	*ret_len = len;
	return 0;
}

/* What is wrong with the way there, and the exit status for that. */
static int fail_connection(const char *path, int err)
{
	path = config_short_path(path);
	switch (err) {
	case -ENOENT:
	case -ECONNREFUSED:
		fprintf(stderr,
			"sixgatectl: %s: no gateway runs there: start it, or say where with "
			"--run-directory, --socket or --config\n",
			path);
		return EX_UNAVAILABLE;
	case -EACCES:
	case -EPERM:
		fprintf(stderr, "sixgatectl: %s: this user may not ask the gateway: use sudo\n",
			path);
		return EX_NOPERM;
	case -EAGAIN:
		fprintf(stderr, "sixgatectl: %s: the gateway has not answered for %d s\n", path,
			PATIENCE_S);
		return EX_UNAVAILABLE;
	default:
		fprintf(stderr, "sixgatectl: %s: %s\n", path, strerror(-err));
		return EX_UNAVAILABLE;
	}
}

/* ---- request and answer ---- */

static int exchange(const char *path, const char *request, char **ret_line, size_t *ret_len)
{
	int fd = ctl_client_connect(path), err, sent;

	if (fd < 0)
		return fd;
	/* One that does not take all of it may have said why: its answer comes before our error. */
	sent = send_all(fd, request, strlen(request));
	err = receive_line(fd, ret_line, ret_len);
	close(fd);
	return err && sent ? sent : err;
}

/* args are taken over. */
char *ctl_client_request(const char *command, json_t *args)
{
	json_t *root = json_pack(
		"{s:i, s:s, s:o}", "version", CONTROL_VERSION, "command", command, "args", args);
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL, *line = NULL;

	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	json_decref(root);
	return line;
}

static int status_of(const char *code)
{
	if (strcmp(code, control_code_name(CONTROL_BAD_ARGUMENT)) == 0)
		return EX_USAGE;
	if (strcmp(code, control_code_name(CONTROL_NOT_PERMITTED)) == 0)
		return EX_NOPERM;
	return EXIT_FAILURE;
}

static int show(const struct ctl_command *command, const char *path, json_t *watched,
	const json_t *answer, bool json)
{
	const json_t *result = json_object_get(answer, "result");
	const char *code = json_string_value(json_object_get(answer, "code"));
	char text[CTL_TEXT_MAX];

	if (!json_is_true(json_object_get(answer, "ok"))) {
		fprintf(stderr, "sixgatectl: %s\n", ctl_text(answer, "error", text));
		return status_of(code ? code : "");
	}
	if (!json_is_object(result)) {
		fputs("sixgatectl: the gateway's answer has no result\n", stderr);
		return EX_PROTOCOL;
	}
	if (watched)
		return command->watch(path, watched, result, json);
	if (command->follow)
		return command->follow(path, result, json);
	if (!json)
		return command->print(result);
	if (json_dumpf(result, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) < 0)
		return EX_IOERR;
	putchar('\n');
	return EXIT_SUCCESS;
}

int ctl_client_ask(const char *path, const char *command, json_t *args, json_t **ret_answer)
{
	char *request = ctl_client_request(command, args), *line = NULL;
	json_t *answer = NULL;
	size_t len = 0;
	int err;

	if (!request)
		return -ENOMEM;
	err = exchange(path, request, &line, &len);
	free(request);
	if (err)
		return err;
	answer = json_loadb(line, len, 0, NULL);
	free(line);
	if (!answer)
		return -EPROTO;
	*ret_answer = answer;
	return 0;
}

/* Nobody was asked, or there is no answer: why, and the exit status for that. */
static int fail_asking(const char *path, int err)
{
	switch (err) {
	case -ENOMEM:
		fprintf(stderr, "sixgatectl: %s\n", strerror(ENOMEM));
		return EX_OSERR;
	case -EPROTO:
		fputs("sixgatectl: the gateway's answer is no JSON\n", stderr);
		return EX_PROTOCOL;
	default:
		return fail_connection(path, err);
	}
}

int ctl_client_run(const struct ctl_command *command, const char *path, json_t *args, bool json)
{
	bool watch = command->watch && json_object_get(args, "follow");
	json_t *answer = NULL, *watched = NULL;
	int err, status;

	if (command->run) {
		status = command->run(path, args, json);
		json_decref(args);
		return status;
	}
	if (command->watch)
		json_object_del(args, "follow");
	watched = watch ? json_incref(args) : NULL;
	err = ctl_client_ask(path, command->name, args, &answer);
	status = err ? fail_asking(path, err) : show(command, path, watched, answer, json);
	json_decref(watched);
	json_decref(answer);
	return status;
}

/* ---- words ---- */

static json_t *number_of(const char *word)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(word, &end, 10);
	if (word[0] < '0' || word[0] > '9' || *end || errno || number > INT64_MAX)
		return NULL;
	return json_integer((json_int_t)number);
}

int ctl_client_set(json_t *args, const struct ctl_param *param, const char *word)
{
	json_t *value = NULL;

	switch (param->kind) {
	case CONTROL_TEXT:
		value = json_string(word);
		break;
	case CONTROL_NUMBER:
		value = number_of(word);
		break;
	case CONTROL_FLAG:
		value = json_true();
		break;
	}
	if (!value)
		return -EINVAL;
	return json_object_set_new(args, param->name, value) < 0 ? -ENOMEM : 0;
}

const char *ctl_text(const json_t *object, const char *key, char buf[CTL_TEXT_MAX])
{
	const char *text = json_string_value(json_object_get(object, key));

	snprintf(buf, CTL_TEXT_MAX, "%s", text ? text : "-");
	config_clean_text(buf);
	return buf;
}

long long ctl_integer(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}
