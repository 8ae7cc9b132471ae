#include "control.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

/*
 * Theory of operation
 *
 *  READING ──a whole line──► answer made ──► WRITING ──all sent──► READING
 *
 * A connection has one answer at a time, and reads no further until that is with the kernel: who
 * does not read is not read from. One request of a connection is served in a batch of events, so
 * that a client which sends thousands at once takes turns with everybody else's business; while
 * one is waiting in the buffer, the socket is watched for room to write, which there is.
 *
 * Connections are kept in the order of their last request. The first one is the next to be closed
 * for its silence: after CONTROL_IDLE_MS or, while others wait to be let in, CONTROL_CROWDED_MS.
 * One timer is enough for that.
 *
 * Who may only look has a share of the room, and is sent away when it is taken: however many of
 * them come, and whatever they do, who may change something gets in.
 *
 * The events that epoll names are not looked at: a slot may have passed to another connection in
 * the same batch, and only what recv() and send() say is true of it.
 *
 * The lock on the directory, held by its descriptor, says who owns the socket in it: it is gone
 * with its process, however that ends, and what it leaves behind is replaced.
 *
 * Invariants: a slot is in use just if its fd is not -1, and then it is in the list "silent";
 * n_clients and n_readers count those; "queued" is the sum of the lengths of all answers that are
 * not wholly sent. Buffers are part of the slots: with one request of the greatest length in each
 * of them, nothing more has to be had.
 *
 * Why commands are answered at once, and not by a thread or a process of their own: what they tell
 * and change is the supervisor's own memory. What takes long (a reload) they only begin.
 */
#define LISTEN_BACKLOG 256

enum counter {
	CONNECTIONS,
	REQUESTS, /* answered, whatever the answer */
	ERRORS,	  /* of these: with an error */
	CROWDED,  /* times that connections had to wait, as there were too many */
	REFUSED,  /* readers sent away, as there were too many of them */
	SILENT,	  /* closed as nothing came, or answers were not read */
	OVERSIZE, /* requests that were too long */
	UNREAD,	  /* answers not given, as too much was unread */
	STARVED,  /* times that there was no descriptor or memory for a connection */
	COUNTERS
};

static const char *const counter_names[] = { "connections", "requests", "errors", "crowded",
	"refused", "silent", "oversize", "unread", "starved" };
static_assert(sizeof(counter_names) / sizeof(counter_names[0]) == COUNTERS, "a name a counter");

struct client {
	struct loop_source source;
	struct list_node node; /* among the connections, the longest silent first */
	struct control *control;
	uint64_t asked_ms; /* when its last request came, or itself */
	int fd;		   /* -1: this slot is free */
	uid_t uid;
	bool ended;   /* it has shut down its side */
	bool closing; /* to be closed when the answer is sent */
	char *answer; /* NULL: none */
	size_t answer_len, answer_sent;
	size_t held; /* bytes in buf */
	char buf[CONTROL_REQUEST_MAX];
};

struct control {
	struct loop *loop;
	struct loop_source source;
	int dir_fd;    /* -1: not open */
	int listen_fd; /* -1: not open */
	bool paused;   /* listen_fd is not watched */
	struct timer timer;
	struct list_node silent; /* clients */
	size_t n_clients;
	size_t n_readers; /* of these: may only look */
	size_t queued;	  /* bytes of answers */
	uint64_t counters[COUNTERS];
	struct log_limit crowded_log, refused_log, idle_log, oversize_log, queued_log, starved_log;
	size_t n_commands;
	struct control_command commands[CONTROL_COMMANDS_MAX];
	struct client clients[CONTROL_CLIENTS_MAX];
};

/* ---- commands ---- */

static json_t *params_json(const struct control_param *param)
{
	json_t *list = json_array();

	for (; param->name; param++)
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:b}", "name", param->name, "kind",
				      control_kind_name(param->kind), "required", param->required));
	return list;
}

static int run_commands(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	const struct control *control = userdata;
	json_t *list = json_array();

	(void)args;
	(void)error;
	for (size_t i = 0; i < control->n_commands; i++) {
		const struct control_command *command = &control->commands[i];

		json_array_append_new(list,
			json_pack("{s:s, s:s, s:b, s:s*, s:o}", "name", command->name, "summary",
				command->summary, "write", command->needs_write, "write_with",
				command->writes_with, "args", params_json(command->params)));
	}
	*ret_result = json_pack("{s:o}", "commands", list);
	return 0;
}

static const struct control_command *find_command(const struct control *control, const char *name)
{
	for (size_t i = 0; i < control->n_commands; i++)
		if (strcmp(control->commands[i].name, name) == 0)
			return &control->commands[i];
	return NULL;
}

void control_add(struct control *control, const struct control_command *command)
{
	assert(control->n_commands < CONTROL_COMMANDS_MAX);
	assert(!find_command(control, command->name));
	assert(!command->params[CONTROL_PARAMS_MAX].name);
	control->commands[control->n_commands++] = *command;
}

/* The supervisor's user, and not 0 alone: under systemd it is never root. */
static bool may_write(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

static int run_request(const struct client *client, const struct control_request *request,
	json_t **ret_result, struct control_error *error)
{
	const struct control_command *command = find_command(client->control, request->command);
	bool writes;
	int err;

	if (!command)
		return control_fail(error, -ENOENT, CONTROL_UNKNOWN_COMMAND,
			"no such command: \"%.64s\"; \"commands\" tells which there are",
			request->command);
	writes = command->needs_write ||
		 (command->writes_with && json_object_get(request->args, command->writes_with));
	if (writes && !may_write(client->uid))
		return control_fail(error, -EPERM, CONTROL_NOT_PERMITTED,
			"\"%s\" changes something: only root and user %u may; use sudo",
			command->name, (unsigned)geteuid());
	err = control_check_args(request->args, command->params, error);
	if (err)
		return err;
	err = command->run(command->userdata, request->args, ret_result, error);
	if (writes)
		log_info("control: %s, asked for by user %u: %s%s", command->name,
			(unsigned)client->uid, err ? "refused: " : "done", err ? error->text : "");
	else
		log_debug(
			"control: %s, asked for by user %u", command->name, (unsigned)client->uid);
	return err;
}

/* ---- answers ---- */

static void drop_answer(struct client *client)
{
	assert(!client->answer || client->control->queued >= client->answer_len);
	client->control->queued -= client->answer ? client->answer_len : 0;
	free(client->answer);
	client->answer = NULL;
}

static void set_answer(struct client *client, char *answer, size_t len)
{
	assert(!client->answer); /* one at a time */
	client->answer = answer;
	client->answer_len = len;
	client->answer_sent = 0;
	client->control->queued += len;
	client->control->counters[REQUESTS]++;
}

/* Without memory even for that, the connection ends. */
static void answer_error(struct client *client, const struct control_error *error)
{
	size_t len = 0;
	char *answer = control_answer_error(error, &len);

	client->control->counters[ERRORS]++;
	if (answer)
		set_answer(client, answer, len);
	else
		client->closing = true;
}

/* The result, or that there is no room for it. It is taken over. */
static void answer_result(struct client *client, json_t *result)
{
	struct control *control = client->control;
	struct control_error error;
	unsigned suppressed = 0;
	size_t len = 0;
	char *answer = control_answer(result, &len);

	/* Errors are not counted against the room: they are short, and so each has an answer. */
	if (answer && control->queued + len <= CONTROL_QUEUED_MAX) {
		set_answer(client, answer, len);
		return;
	}
	free(answer);
	control->counters[UNREAD]++;
	if (log_allowed(&control->queued_log, control->loop->now_ms, &suppressed))
		log_warning("control: no room for an answer of %zu bytes, as %zu are unread; %u "
			    "more such",
			len, control->queued, suppressed);
	(void)control_fail(&error, -ENOBUFS, CONTROL_BUSY,
		"no room for the answer, as others were not read yet: ask again");
	answer_error(client, &error);
}

static void answer_request(struct client *client, const char *line, size_t len)
{
	struct control_error error = { .code = CONTROL_FAILED };
	struct control_request request = { 0 };
	json_t *result = NULL;
	int err;

	err = control_request_parse(line, len, &request, &error);
	if (!err)
		err = run_request(client, &request, &result, &error);
	if (!err) {
		answer_result(client, result);
	} else {
		if (!error.text[0])
			(void)control_fail(&error, err, CONTROL_FAILED, "%s", strerror(-err));
		answer_error(client, &error);
		json_decref(result);
	}
	control_request_clear(&request);
}

static void answer_oversize(struct client *client)
{
	struct control *control = client->control;
	struct control_error error;
	unsigned suppressed = 0;

	control->counters[OVERSIZE]++;
	if (log_allowed(&control->oversize_log, control->loop->now_ms, &suppressed))
		log_warning("control: a request of user %u is longer than %u bytes; %u more such",
			(unsigned)client->uid, CONTROL_REQUEST_MAX, suppressed);
	(void)control_fail(&error, -EMSGSIZE, CONTROL_TOO_LARGE,
		"a request is one line of %u bytes at most", CONTROL_REQUEST_MAX);
	answer_error(client, &error);
	client->closing = true;
}

/* ---- connections ---- */

static bool is_full(const struct control *control)
{
	return control->n_clients == CONTROL_CLIENTS_MAX;
}

static struct client *first_silent(const struct control *control)
{
	return list_empty(&control->silent) ? NULL
					    : list_entry(control->silent.next, struct client, node);
}

static void schedule(struct control *control)
{
	const struct client *first = first_silent(control);
	uint64_t now_ms = control->loop->now_ms;

	loop_timer_cancel(control->loop, &control->timer);
	if (control->paused && !is_full(control)) /* accept() has failed */
		loop_timer_set(control->loop, &control->timer, now_ms + CONTROL_CROWDED_MS);
	else if (first)
		loop_timer_set(control->loop, &control->timer,
			first->asked_ms + (control->paused ? CONTROL_CROWDED_MS : CONTROL_IDLE_MS));
}

static void resume(struct control *control)
{
	if (control->paused &&
		loop_add(control->loop, control->listen_fd, EPOLLIN, &control->source) == 0)
		control->paused = false;
}

static void pause_listening(struct control *control)
{
	loop_remove(control->loop, control->listen_fd);
	control->paused = true;
	schedule(control);
}

static void client_close(struct client *client)
{
	struct control *control = client->control;

	assert(client->fd >= 0 && control->n_clients > 0);
	assert(may_write(client->uid) || control->n_readers > 0);
	drop_answer(client);
	close(client->fd);
	client->fd = -1;
	list_remove(&client->node);
	control->n_clients--;
	control->n_readers -= may_write(client->uid) ? 0 : 1;
	resume(control);
	schedule(control);
}

/* A request has come: the others have been silent for longer. */
static void client_asked(struct client *client)
{
	client->asked_ms = client->control->loop->now_ms;
	list_remove(&client->node);
	list_append(&client->control->silent, &client->node);
	schedule(client->control);
}

/* False: the connection is gone. */
static bool client_send(struct client *client)
{
	ssize_t n;

	while (client->answer) {
		n = send(client->fd, client->answer + client->answer_sent,
			client->answer_len - client->answer_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		client->answer_sent += (size_t)n;
		if (client->answer_sent == client->answer_len)
			drop_answer(client);
	}
	return true;
}

/* False: the connection is gone. */
static bool client_receive(struct client *client)
{
	ssize_t n;

	assert(client->held < sizeof(client->buf));
	n = recv(client->fd, client->buf + client->held, sizeof(client->buf) - client->held,
		MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	/* There was room, or what is held would have been a line or too long: so 0 is the end. */
	client->held += (size_t)n;
	client->ended = n == 0;
	return true;
}

/* The bytes of the first whole line with its newline; the end of the stream ends a line too. */
static size_t line_length(const struct client *client)
{
	const char *newline = memchr(client->buf, '\n', client->held);

	if (newline)
		return (size_t)(newline - client->buf) + 1;
	return client->ended ? client->held : 0;
}

static void client_drop_line(struct client *client, size_t len)
{
	assert(len <= client->held);
	client->held -= len;
	memmove(client->buf, client->buf + len, client->held);
}

static bool is_blank(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r\n", line[i]) || !line[i])
			return false;
	return true;
}

/* Serves the first request in the buffer, if it is whole. */
static void client_serve(struct client *client)
{
	size_t len;

	while ((len = line_length(client)) > 0 && is_blank(client->buf, len))
		client_drop_line(client, len);
	if (len > 0) {
		client_asked(client);
		answer_request(client, client->buf, len);
		client_drop_line(client, len);
	} else if (client->held == sizeof(client->buf)) {
		answer_oversize(client);
	}
}

static void client_watch(struct client *client)
{
	bool more = client->answer || line_length(client) > 0;

	loop_modify(client->control->loop, client->fd, more ? EPOLLOUT : EPOLLIN, &client->source);
}

static void on_client(struct loop_source *source, uint32_t events)
{
	struct client *client = list_entry(source, struct client, source);
	bool there;

	(void)events;
	/* Closed in this batch, by somebody else's request (find_room_for_reader). */
	if (client->fd < 0)
		return;
	if (client->answer)
		there = client_send(client);
	else
		there = line_length(client) > 0 || client_receive(client);
	if (there && !client->answer && !client->closing) {
		client_serve(client);
		there = client_send(client);
	}
	if (!there || (!client->answer && (client->closing || (client->ended && !client->held))))
		client_close(client);
	else
		client_watch(client);
}

/* ---- new connections ---- */

static struct client *free_slot(struct control *control)
{
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].fd < 0)
			return &control->clients[i];
	return NULL;
}

static struct client *first_silent_reader(const struct control *control)
{
	const struct list_node *node = control->silent.next;

	for (; node != &control->silent; node = node->next) {
		struct client *client = list_entry(node, struct client, node);

		if (!may_write(client->uid))
			return client;
	}
	return NULL;
}

/* Whether a reader has room now: one that is as silent as the crowded may not be makes it. */
static bool find_room_for_reader(struct control *control)
{
	struct client *first;

	if (control->n_readers < CONTROL_READERS_MAX)
		return true;
	first = first_silent_reader(control);
	if (!first || first->asked_ms + CONTROL_CROWDED_MS > control->loop->now_ms)
		return false;
	control->counters[SILENT]++;
	client_close(first);
	return true;
}

/* Takes fd over. What fits into a new socket is all that is said. */
static void refuse_reader(struct control *control, int fd, uid_t uid)
{
	struct control_error error;
	unsigned suppressed = 0;
	size_t len = 0;
	char *answer;

	control->counters[REFUSED]++;
	if (log_allowed(&control->refused_log, control->loop->now_ms, &suppressed))
		log_warning("control: %u connections of readers are open, one more of user %u is "
			    "refused; %u more such",
			CONTROL_READERS_MAX, (unsigned)uid, suppressed);
	(void)control_fail(&error, -EBUSY, CONTROL_BUSY,
		"%u connections that may only look are open already: ask again",
		CONTROL_READERS_MAX);
	answer = control_answer_error(&error, &len);
	if (answer)
		(void)send(fd, answer, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	free(answer);
	close(fd);
}

static void client_new(struct control *control, int fd)
{
	socklen_t len = sizeof(struct ucred);
	struct client *client;
	struct ucred peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		close(fd);
		return;
	}
	if (!may_write(peer.uid) && !find_room_for_reader(control)) {
		refuse_reader(control, fd, peer.uid);
		return;
	}
	client = free_slot(control);
	assert(client); /* on_listener() does not accept when it is full */
	if (loop_add(control->loop, fd, EPOLLIN, &client->source) < 0) {
		close(fd);
		return;
	}
	client->fd = fd;
	client->uid = peer.uid;
	client->ended = client->closing = false;
	client->held = 0;
	control->n_clients++;
	control->n_readers += may_write(client->uid) ? 0 : 1;
	control->counters[CONNECTIONS]++;
	client_asked(client);
}

static void log_crowd(struct control *control)
{
	unsigned suppressed = 0;

	control->counters[CROWDED]++;
	if (log_allowed(&control->crowded_log, control->loop->now_ms, &suppressed))
		log_warning("control: %u connections are open, others wait; %u more such times",
			CONTROL_CLIENTS_MAX, suppressed);
}

static void starve(struct control *control, int error)
{
	unsigned suppressed = 0;

	control->counters[STARVED]++;
	if (log_allowed(&control->starved_log, control->loop->now_ms, &suppressed))
		log_warning("control: a connection waits: %s; %u more such times", strerror(error),
			suppressed);
	pause_listening(control);
}

static void on_listener(struct loop_source *source, uint32_t events)
{
	struct control *control = list_entry(source, struct control, source);
	int fd;

	(void)events;
	if (control->paused)
		return;
	if (is_full(control)) {
		log_crowd(control);
		pause_listening(control);
		return;
	}
	/* One in a batch: a crowd at the door takes turns with everything else. */
	fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		client_new(control, fd);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		starve(control, errno);
}

static void on_timer(struct timer *timer)
{
	struct control *control = list_entry(timer, struct control, timer);
	uint32_t limit_ms =
		control->paused && is_full(control) ? CONTROL_CROWDED_MS : CONTROL_IDLE_MS;
	struct client *first = first_silent(control);
	unsigned suppressed = 0;

	if (first && first->asked_ms + limit_ms <= control->loop->now_ms) {
		control->counters[SILENT]++;
		if (log_allowed(&control->idle_log, control->loop->now_ms, &suppressed))
			log_info("control: a connection of user %u is closed: it asked nothing, or "
				 "did not read, for %u s; %u more such",
				(unsigned)first->uid, limit_ms / 1000, suppressed);
		client_close(first);
	}
	resume(control);
	schedule(control);
}

/* ---- start and end ---- */

struct control *control_new(struct loop *loop)
{
	const struct control_command commands = {
		.name = "commands",
		.summary = "the commands that there are",
		.run = run_commands,
	};
	struct control *control = calloc(1, sizeof(*control));

	if (!control)
		return NULL;
	control->loop = loop;
	control->source.on_event = on_listener;
	control->dir_fd = control->listen_fd = -1;
	timer_init(&control->timer, on_timer);
	list_init(&control->silent);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *client = &control->clients[i];

		client->source.on_event = on_client;
		list_init(&client->node);
		client->control = control;
		client->fd = -1;
	}
	control_add(control, &commands);
	control->commands[0].userdata = control;
	return control;
}

static int own_directory(const char *path, int *ret_fd)
{
	int fd, err;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Of the open directory and not of a file in it: nothing is left that could be in the way.
	 */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		err = errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

/* Whoever cannot be let in by the group stays out, and the rest works. */
static void give_to_group(int dir_fd, const char *group)
{
	const struct group *found = getgrnam(group);
	int err = found ? 0 : -ENOENT;

	if (found && fchownat(dir_fd, CONTROL_SOCKET, (uid_t)-1, found->gr_gid, 0) < 0)
		err = -errno;
	if (err)
		log_warning("control: control-group %s: %s: its members cannot ask", group,
			found ? strerror(-err)
			      : "there is no such group: create it, or name another");
}

/*
 * Only a socket is replaced: whatever else is there is not ours to delete.
 * Nobody can connect before listen(): by then owner and mode are what they should be.
 */
static int open_socket(int dir_fd, const char *group, int *ret_fd)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat old;
	int err = 0;

	if (fd < 0)
		return -errno;
	/* The directory's own path may be longer than an address can hold. */
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/" CONTROL_SOCKET, dir_fd);
	if (fstatat(dir_fd, CONTROL_SOCKET, &old, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISSOCK(old.st_mode))
		(void)unlinkat(dir_fd, CONTROL_SOCKET, 0);
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		err = errno == EADDRINUSE ? -EEXIST : -errno;
	else if (fchmodat(dir_fd, CONTROL_SOCKET, 0660, 0) < 0)
		err = -errno;
	if (!err && group)
		give_to_group(dir_fd, group);
	if (!err && listen(fd, LISTEN_BACKLOG) < 0)
		err = -errno;
	if (err)
		close(fd);
	else
		*ret_fd = fd;
	return err;
}

static const char *remedy(int err)
{
	switch (err) {
	case -EADDRINUSE:
		return "another gateway has it: give each a run-directory of its own";
	case -EEXIST:
		return "something that is no socket is in its place: remove that";
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return "name a run-directory that may be written";
	case -ENOENT:
		return "make the directory, or name another run-directory";
	default:
		return "see run-directory in sixgated.conf(5)";
	}
}

int control_open(struct control *control, const char *run_directory, const char *group)
{
	int err = own_directory(run_directory, &control->dir_fd);

	if (!err)
		err = open_socket(control->dir_fd, group, &control->listen_fd);
	if (!err)
		err = loop_add(control->loop, control->listen_fd, EPOLLIN, &control->source);
	if (!err)
		return 0;
	log_warning("control: no %s/" CONTROL_SOCKET ": %s: sixgatectl cannot ask this gateway; %s",
		run_directory, strerror(-err), remedy(err));
	control_abandon(control);
	return err;
}

json_t *control_json(const struct control *control)
{
	json_t *object = json_object();

	for (int i = 0; i < COUNTERS; i++)
		json_object_set_new(
			object, counter_names[i], json_integer((json_int_t)control->counters[i]));
	return object;
}

void control_log(const struct control *control)
{
	for (int i = 0; control && i < COUNTERS; i++)
		if (control->counters[i])
			log_info("counter control_%s %llu", counter_names[i],
				(unsigned long long)control->counters[i]);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void control_abandon(struct control *control)
{
	if (!control)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		close_fd(&control->clients[i].fd);
	close_fd(&control->listen_fd);
	close_fd(&control->dir_fd);
}

void control_free(struct control *control)
{
	if (!control)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		drop_answer(&control->clients[i]);
	if (control->listen_fd >= 0)
		(void)unlinkat(control->dir_fd, CONTROL_SOCKET, 0);
	loop_timer_cancel(control->loop, &control->timer);
	control_abandon(control);
	free(control);
}
