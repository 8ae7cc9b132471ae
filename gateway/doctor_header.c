#include "doctor_header.h"

#include <stdio.h>
#include <string.h>

#include "check_probe.h"

/*
 * The header of all TCP clients of the pool; false: some have none. Where some have none the server
 * must do without, so what it makes of one proves nothing.
 */
static bool identity_of(const struct doctor_facts *facts, const struct doctor_backend *backend,
	enum identity *ret_identity)
{
	bool any = false;

	for (size_t i = 0; i < facts->config->n_listeners; i++) {
		const struct config_listener *listener = &facts->config->listeners[i];

		if (!doctor_serves(facts, backend, listener))
			continue;
		if (listener->identity != IDENTITY_PROXY_V1 &&
			listener->identity != IDENTITY_PROXY_V2)
			return false;
		*ret_identity = listener->identity;
		any = true;
	}
	return any;
}

bool doctor_header_make(const struct doctor_facts *facts, const struct doctor_backend *backend,
	const struct sockaddr_any *local, uint8_t buf[DOCTOR_HEADER_MAX], size_t *ret_len)
{
	/* Of the pool's own check only what the header is like: "proxy" is for those that do not
	 * take another. */
	struct config_check check = { .type = CONFIG_CHECK_TCP,
		.header = CONFIG_CHECK_HEADER_LOCAL };
	uint8_t request[CHECK_PROBE_MAX];
	enum identity identity;
	size_t len;

	if (!backend->pool || !identity_of(facts, backend, &identity))
		return false;
	/* A check at a port of its own says nothing of where clients go. */
	if (backend->pool->check.header == CONFIG_CHECK_HEADER_NONE && !backend->pool->check.port)
		return false;
	if (backend->pool->check.header == CONFIG_CHECK_HEADER_PROXY)
		check.header = CONFIG_CHECK_HEADER_PROXY;
	if (check_probe_request(&check, identity, local, &backend->addr, request, &len) < 0 ||
		len > DOCTOR_HEADER_MAX)
		return false;
	memcpy(buf, request, len);
	*ret_len = len;
	return true;
}

static bool begins(const uint8_t *answer, size_t len, const char *text)
{
	size_t n = strlen(text);

	return len >= n && memcmp(answer, text, n) == 0;
}

static bool is_alert(const uint8_t *answer, size_t len)
{
	return begins(answer, len, "\x15\x03"); /* TLS: a record of type alert */
}

enum doctor_header_verdict doctor_header_judge(const uint8_t *answer, size_t len, bool ended)
{
	/* Nobody has asked for anything yet: HTTP and Redis answer only what they have misread. */
	if (begins(answer, len, "HTTP/") || begins(answer, len, "<html") ||
		begins(answer, len, "-ERR") || is_alert(answer, len))
		return DOCTOR_HEADER_REFUSED;
	return ended ? DOCTOR_HEADER_CLOSED : DOCTOR_HEADER_FINE;
}

const char *doctor_header_quote(
	const uint8_t *answer, size_t len, char buf[static DOCTOR_ANSWER_TEXT])
{
	size_t n = 0;

	if (is_alert(answer, len)) {
		snprintf(buf, DOCTOR_ANSWER_TEXT, "a TLS alert");
		return buf;
	}
	buf[n++] = '"';
	for (size_t i = 0; i < len && n < DOCTOR_ANSWER_TEXT - 2; i++) {
		char c = (char)answer[i];

		if (c == '\r' || c == '\n')
			break;
		if (c < ' ' || c > '~')
			c = '?';
		buf[n++] = c;
	}
	buf[n++] = '"';
	buf[n] = '\0';
	return buf;
}
