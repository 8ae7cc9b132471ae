#include "ctl_poll.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl_client.h"

#define STEP	   65536U     /* room that there is at least for each read */
#define ANSWER_MAX 268435456U /* bytes; no gateway of ours says so much */

int ctl_poll_ask(struct ctl_poll *poll, const char *path, const char *command)
{
	char *request = ctl_client_request(command, json_object());
	int err = 0, fd;
	ssize_t n;

	assert(poll->fd < 0 && !poll->line);
	if (!request)
		return -ENOMEM;
	fd = ctl_client_connect(path);
	if (fd >= 0) {
		/* A new socket has room for so little. */
		n = send(fd, request, strlen(request), MSG_NOSIGNAL | MSG_DONTWAIT);
		err = n < 0 ? -errno : 0;
	}
	free(request);
	if (fd >= 0 && err)
		close(fd);
	if (fd >= 0 && !err)
		poll->fd = fd;
	return fd < 0 ? fd : err;
}

static int result_of(const char *line, size_t len, json_t **ret_result)
{
	json_t *answer = json_loadb(line, len, 0, NULL);
	json_t *result = json_object_get(answer, "result");

	if (!json_is_object(result)) {
		json_decref(answer);
		return -EPROTO;
	}
	*ret_result = json_incref(result);
	json_decref(answer);
	return 0;
}

/* 0: a whole line is there; nothing comes behind it, as only one thing was asked. */
static int receive(struct ctl_poll *poll)
{
	while (poll->len == 0 || poll->line[poll->len - 1] != '\n') {
		ssize_t n;

		if (poll->room - poll->len < STEP) {
			size_t room = 2 * poll->room + STEP;
			char *grown = room <= ANSWER_MAX ? realloc(poll->line, room) : NULL;

			if (!grown)
				return -ENOMEM;
			poll->line = grown;
			poll->room = room;
		}
		n = recv(poll->fd, poll->line + poll->len, poll->room - poll->len, MSG_DONTWAIT);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ECONNRESET;
		poll->len += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int ctl_poll_read(struct ctl_poll *poll, json_t **ret_result)
{
	int err;

	assert(poll->fd >= 0);
	err = receive(poll);
	if (err == -EAGAIN)
		return err;
	if (!err)
		err = result_of(poll->line, poll->len, ret_result);
	ctl_poll_end(poll);
	return err;
}

void ctl_poll_end(struct ctl_poll *poll)
{
	if (poll->fd >= 0)
		close(poll->fd);
	free(poll->line);
	*poll = (struct ctl_poll)CTL_POLL_INIT;
}
