/*
 * ctl_poll - one question to the gateway that does not make its asker wait: for a program with a
 * loop of its own.
 *
 *   nothing asked ──ask──► waiting, fd is readable now and then ──read: all else──► nothing asked
 *                            └──read: -EAGAIN──┘
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

struct ctl_poll {
	int fd;	    /* readable when ctl_poll_read() has something to do; -1: nothing is asked */
	char *line; /* what has come of the answer */
	size_t len, room; /* its bytes; those allocated */
};

#define CTL_POLL_INIT    \
	{                \
		.fd = -1 \
	}

/*
 * The command has no arguments; path is the socket's. Nothing may be under way. 0 or a negative
 * errno; nothing is asked then. It waits only for a place in the gateway's queue.
 */
int ctl_poll_ask(struct ctl_poll *poll, const char *path, const char *command);

/*
 * 0, and the result of the answer is the caller's; -EAGAIN: not yet. Else it is over: -EPROTO if
 * the answer has no result, or the errno of the way there.
 */
int ctl_poll_read(struct ctl_poll *poll, json_t **ret_result);

/* Gives up what is under way. */
void ctl_poll_end(struct ctl_poll *poll);
