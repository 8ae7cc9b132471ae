/*
 * doctor_header - whether a server takes the PROXY header: what it is sent, and what its answer
 * says. Plain functions without a socket.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doctor_facts.h"

#define DOCTOR_HEADER_MAX  128
#define DOCTOR_ANSWER_MAX  256 /* so much of an answer is looked at */
#define DOCTOR_ANSWER_TEXT 48

enum doctor_header_verdict {
	DOCTOR_HEADER_FINE,    /* as far as can be seen: it waits, or greets */
	DOCTOR_HEADER_REFUSED, /* its answer takes the header for a client's words */
	DOCTOR_HEADER_CLOSED,  /* it has ended the connection */
};

/*
 * A header of nobody's connection (version 2 LOCAL, version 1 UNKNOWN), as a health check sends it,
 * and nothing behind it. local: our own address. False: clients of this pool are not all told by a
 * header, or its check says that a header is not to be sent.
 */
bool doctor_header_make(const struct doctor_facts *facts, const struct doctor_backend *backend,
	const struct sockaddr_any *local, uint8_t buf[DOCTOR_HEADER_MAX], size_t *ret_len);

/* ended: the server has ended the connection, in whatever way. */
enum doctor_header_verdict doctor_header_judge(const uint8_t *answer, size_t len, bool ended);

/* The first line of an answer, or what kind it is, fit for a message; buf is returned. */
const char *doctor_header_quote(
	const uint8_t *answer, size_t len, char buf[static DOCTOR_ANSWER_TEXT]);
