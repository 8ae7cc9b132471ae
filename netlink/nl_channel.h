/*
 * nl_channel - one netlink socket for requests: sends, waits, and believes only whole answers.
 *
 * Every request has a sequence number of its own; answers with another one, or not from the kernel,
 * are passed over. A dump that the kernel marks as interrupted (NLM_F_DUMP_INTR), or that was cut
 * short by a full buffer (ENOBUFS, MSG_TRUNC), is read again from its beginning. Nothing waits for
 * longer than NL_CHANNEL_TIMEOUT_MS for one answer.
 */
#pragma once

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

#include "nl_answer.h"

#define NL_CHANNEL_TIMEOUT_MS 5000
#define NL_CHANNEL_TRIES      20 /* of a dump that is interrupted again and again; then -EAGAIN */

/* For one thread. Members are this module's, but that fd may be watched, and -1 is closed. */
struct nl_channel {
	int fd;
	int protocol;	  /* NETLINK_* */
	size_t buffer;	  /* of each socket that replaces the first */
	uint32_t seq;	  /* the last one used */
	uint32_t port;	  /* ours, as the kernel gave it */
	uint64_t rereads; /* dumps begun anew so far */
};

/*
 * protocol: NETLINK_ROUTE, NETLINK_NETFILTER. buffer: SO_RCVBUF in bytes, 0: the kernel's default.
 * 0; -EPROTONOSUPPORT: the kernel has nothing of the kind; or what socket(2) and bind(2) say. The
 * channel is untouched then.
 */
int nl_channel_open(struct nl_channel *channel, int protocol, size_t buffer);
/* One that an earlier image of this process has opened; fd is the channel's from now on. 0, or a
 * negative errno: it is no such socket, and still the caller's. */
int nl_channel_adopt(struct nl_channel *channel, int fd, int protocol);
/* Takes a channel that is closed already (fd -1). */
void nl_channel_close(struct nl_channel *channel);

/* The next sequence number, never 0. */
uint32_t nl_channel_next_seq(struct nl_channel *channel);

/*
 * Sends len bytes of messages and waits until every one of them that asks for an acknowledgement
 * (the last has sequence number last_seq) was answered. The first error that the kernel reports, as
 * a negative errno; -ETIMEDOUT: no answer, so it is not known what has happened: read again.
 */
int nl_channel_request(struct nl_channel *channel, const void *buf, size_t len, uint32_t last_seq);

/* Forget what was taken so far: the dump begins anew, and everything comes again. */
typedef void nl_channel_restart(void *userdata);

/*
 * The request in buf, one message, asks for a dump, or for one answer (no NLM_F_DUMP). Every
 * message of the answer goes to take. 0; -EAGAIN: it was interrupted NL_CHANNEL_TRIES times;
 * -ETIMEDOUT; -EIO: there is no socket any more; what take has returned; or the kernel's own error.
 * Only after 0 is what was taken whole. restart may be NULL if one answer is asked for.
 */
int nl_channel_query(struct nl_channel *channel, const void *buf, size_t len, nl_answer_take *take,
	nl_channel_restart *restart, void *userdata);
