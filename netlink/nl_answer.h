/*
 * nl_answer - makes sense of the kernel's answer to one request: no socket, only bytes.
 *
 * An answer is complete when the last message was acknowledged, a dump has ended, or the one
 * message that was asked for has come. Messages of other requests, or to other sockets, are passed
 * over. Source: linux/netlink.h, Documentation/userspace-api/netlink/intro.rst.
 *
 * Any bytes are taken: nothing is believed of a length before it was compared with what is there.
 * Only that they are the kernel's is the caller's to know.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/netlink.h>

/* Gets the messages of an answer one by one. 0 to go on, or a negative errno that ends the dump. */
typedef int nl_answer_take(void *userdata, const struct nlmsghdr *message, size_t len);

/* The state between datagrams. complete and error are for the caller to look at, after each. */
struct nl_answer {
	uint32_t first_seq; /* of the request */
	uint32_t last_seq;
	uint32_t port;	      /* of our socket: the kernel's answers carry it */
	nl_answer_take *take; /* NULL: what is not an acknowledgement is passed over */
	void *userdata;
	bool interrupted; /* the kernel says that a dump is not of one moment */
	bool complete;
	int error; /* the first, negative errno; -EAGAIN: ask again */
};

void nl_answer_init(struct nl_answer *answer, uint32_t first_seq, uint32_t last_seq, uint32_t port,
	nl_answer_take *take, void *userdata);

/* One datagram, aligned to 4 bytes. What is cut off or makes no sense is -EBADMSG, and complete. */
void nl_answer_feed(struct nl_answer *answer, const void *data, size_t len);
