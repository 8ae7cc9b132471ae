/*
 * udp_batch - many datagrams a system call, with all that their IP headers say.
 *
 * On receipt the kernel may hand over a run of equal datagrams of one sender as one message
 * (UDP_GRO); on sending it may be given such a run (UDP_SEGMENT). udp(7), ip(7), ipv6(7).
 *
 * Plain memory and system calls: it knows neither sessions nor listeners. For one thread. A batch
 * must not move once it has been made, as its parts point to each other.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "sockaddr.h"

#define UDP_BATCH_MAX	    64U
#define UDP_ANSWERS_AT_ONCE 8U	   /* of one session, in one turn */
#define UDP_BATCH_DATA	    65536U /* the largest datagram, or run, is 65,535 bytes */
/* Datagrams in a run that is received; no kernel makes longer ones (UDP_MAX_SEGMENTS). */
#define UDP_BATCH_RUN_MAX 128U

/* What was received; good until its place in the batch is received into again. */
struct udp_message {
	struct sockaddr_any peer;  /* without v4-mapped form, like local */
	struct sockaddr_any local; /* port 0; family 0: the kernel did not say */
	uint8_t *data;
	size_t len;
	size_t segment; /* of each datagram but the last, which may be shorter */
	uint32_t flow_label;
	uint8_t traffic_class; /* DSCP and ECN */
	uint8_t hop_limit;
	bool whole; /* false: it did not fit */
};

/* How many datagrams the message is: a run has several. */
static inline size_t udp_message_datagrams(const struct udp_message *message)
{
	return message->segment ? (message->len + message->segment - 1) / message->segment : 1;
}

/*
 * Room for UDP_BATCH_MAX messages. headers, iov, names and control are what recvmmsg(2) wants,
 * and set up once; messages is what it means.
 */
struct udp_batch {
	uint8_t *data; /* UDP_BATCH_DATA for each; pages that are never used take no memory */
	struct udp_message messages[UDP_BATCH_MAX];
	struct mmsghdr headers[UDP_BATCH_MAX];
	struct iovec iov[UDP_BATCH_MAX];
	struct sockaddr_any names[UDP_BATCH_MAX];
	uint8_t (*control)[256]; /* all that udp_batch_prepare_*() asks for is some 160 bytes */
};

/* 0 or -ENOMEM. */
int udp_batch_init(struct udp_batch *batch);
/* Takes a zeroed one. */
void udp_batch_destroy(struct udp_batch *batch);

/*
 * Receives into messages[at] and those behind it, n at most (at + n <= UDP_BATCH_MAX), without
 * waiting. How many, more than 0; or a negative errno, of which -EAGAIN says that there is nothing,
 * and others may be an ICMP error of an earlier datagram (IP_RECVERR).
 */
int udp_batch_receive(struct udp_batch *batch, int fd, size_t at, size_t n);

/* One datagram on its way out. */
struct udp_datagram {
	const uint8_t *data;   /* the caller's, and only looked at */
	size_t len;	       /* of the payload; 0 is a datagram, too */
	uint8_t traffic_class; /* DSCP and ECN, as they go out */
};

/*
 * Sends datagrams on a connected IPv4 socket, each with the header in front, in as few calls as
 * can be. How many were taken, from the first on; if not all, ret_error is why the next one was
 * not, as a positive errno.
 */
size_t udp_batch_send(int fd, const uint8_t *header, size_t header_len,
	const struct udp_datagram *datagrams, size_t n, int *ret_error);

/* ---- answers to clients ---- */

/* Messages that wait to be sent on one listener's socket. Must not move, as a batch. */
struct udp_answers {
	struct mmsghdr headers[UDP_BATCH_MAX];
	struct iovec iov[UDP_BATCH_MAX];
	struct sockaddr_any names[UDP_BATCH_MAX];
	uint8_t (*control)[128];	  /* a source, a traffic class and a segment size */
	uint16_t segments[UDP_BATCH_MAX]; /* datagrams of each; above 1: a run */
	size_t n;
	int fd;		       /* on which those n go out */
	uint64_t sent, failed; /* datagrams, since last looked at */
};

/* 0 or -ENOMEM. */
int udp_answers_init(struct udp_answers *answers);
/* What waits is lost. Takes a zeroed one. */
void udp_answers_destroy(struct udp_answers *answers);

/*
 * Adds the message, to be sent on fd, whose family is `family`, from local to client; sends all
 * there are first if they are for another socket, or too many. The data must stay until then.
 */
void udp_answers_add(struct udp_answers *answers, int fd, sa_family_t family,
	const struct sockaddr_any *local, const struct sockaddr_any *client,
	const struct udp_message *message);
/* Sends all; what the kernel does not take is lost, and counted in failed. */
void udp_answers_send(struct udp_answers *answers);

/* ---- sockets ---- */

/*
 * What every socket needs that datagrams are received on by udp_batch_receive(): of clients, or of
 * servers (always IPv4). family: the socket's own, AF_INET6 for v4-mapped peers too. 0 or a
 * negative errno of setsockopt(2).
 */
int udp_batch_prepare_listener(int fd, sa_family_t family);
int udp_batch_prepare_server(int fd);
/* Datagrams that the kernel has dropped as the socket's buffer was full; 0 if it does not say. */
uint32_t udp_batch_drops(int fd);
