/*
 * access_log - one record per flow, written when it has ended.
 *
 * A worker puts the record, in binary, into its ring (ring.h) and goes on; the logger process takes
 * it out, makes a line of JSON of it and writes that. Fields and words: sixgated(8), ACCESS LOG.
 *
 * Words are for programs that read the log: one never changes its meaning. A new end needs its word
 * in access_log.c, its counter in stats.h, and its line in the manual.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "sockaddr.h"

/* How a flow ended. */
enum access_log_end {
	ACCESS_LOG_CLOSED, /* both sides sent FIN, everything was passed on */
	ACCESS_LOG_RESET,
	ACCESS_LOG_REFUSED,	/* by the backend */
	ACCESS_LOG_UNREACHABLE, /* the network's word, or no route */
	ACCESS_LOG_CONNECT_TIMEOUT,
	ACCESS_LOG_IDLE_TIMEOUT,
	ACCESS_LOG_HALF_CLOSED_TIMEOUT,
	ACCESS_LOG_DEAD_PEER,
	ACCESS_LOG_NO_SOURCE_PORT,
	ACCESS_LOG_NOT_ALLOWED,	   /* the configuration refuses this client, or what it asked for */
	ACCESS_LOG_BAD_HEADER,	   /* a proxy in front of us did not say who its client is */
	ACCESS_LOG_HEADER_TIMEOUT, /* ... or not in time */
	ACCESS_LOG_DENIED,	   /* the listener's lists do not let the client in */
	ACCESS_LOG_BANNED,
	ACCESS_LOG_OVER_LIMIT, /* the listener, the client or the pool has all that it may */
	ACCESS_LOG_UNANSWERED, /* UDP: the server never said anything */
	ACCESS_LOG_EVICTED,    /* UDP: made room for a new session */
	ACCESS_LOG_UNCLAIMED,  /* a client that was let in after the backend never came */
	ACCESS_LOG_KILLED,     /* by an operator */
	ACCESS_LOG_DRAINED,    /* the gateway stopped */
	ACCESS_LOG_ERROR,      /* anything else that the kernel said */
	ACCESS_LOG_END_COUNT
};

/* Who ended it. */
enum access_log_by {
	ACCESS_LOG_BY_CLIENT,
	ACCESS_LOG_BY_BACKEND,
	ACCESS_LOG_BY_GATEWAY,
	ACCESS_LOG_BY_COUNT
};

#define ACCESS_LOG_UNIQUE_ID_MAX 128

/* All zero but for what is known; fixed size, no pointers: it goes from process to process. */
struct access_log_record {
	uint64_t ended_us;     /* wall clock, since 1970 */
	uint64_t bytes_in;     /* payload from the client, as far as it was passed on */
	uint64_t bytes_out;    /* payload to the client */
	uint64_t duration_us;  /* since it was accepted; of the monotonic clock */
	uint64_t connect_us;   /* until the backend answered; UDP: the server's first answer */
	uint64_t datagrams_in; /* UDP only */
	uint64_t datagrams_out;
	struct sockaddr_any client;
	struct sockaddr_any local;   /* what the client connected to */
	struct sockaddr_any peer;    /* the proxy that named the client; family 0: none */
	struct sockaddr_any backend; /* family 0: none was chosen */
	struct sockaddr_any source;  /* family 0: no port was bound */
	uint8_t connected;	     /* connect_us counts */
	uint8_t end;		     /* enum access_log_end */
	uint8_t by;		     /* enum access_log_by */
	uint8_t identity;	     /* enum identity */
	uint8_t protocol;	     /* IPPROTO_TCP or IPPROTO_UDP */
	uint16_t worker;
	uint8_t unique_id_len; /* 0: it has none */
	uint8_t unique_id[ACCESS_LOG_UNIQUE_ID_MAX];
	char listener[64]; /* name, cut to fit */
};

/* The type under which records travel in a ring, beside the lines of the log. */
enum access_log_ring_type {
	ACCESS_LOG_RING_LINE, /* one byte of enum log_level, then text */
	ACCESS_LOG_RING_RECORD,
};

/*
 * One line of JSON without newline, NUL-terminated, into buf, of ASCII only. 0; -ENOMEM; -ENOSPC,
 * and what is in buf is no line then. The record may come from a process that went mad: words out
 * of range become "?". By the logger: it allocates.
 */
int access_log_format(const struct access_log_record *record, char *buf, size_t size);

const char *access_log_end_name(enum access_log_end end);
const char *access_log_by_name(enum access_log_by by);

/*
 * What a socket's error (an errno, positive) says about the end of its flow, in the middle of it or
 * while connecting.
 */
enum access_log_end access_log_end_of_error(int error);
enum access_log_end access_log_end_of_connect(int error);
