#include "check_probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <proxyhdr.h>
#include <stdio.h>
#include <string.h>

/* Enough for "HTTP/1.1 200". */
#define STATUS_LINE_MIN 12U

static enum config_check_header header_of(const struct config_check *check, enum identity identity)
{
	bool told = identity == IDENTITY_PROXY_V2 || identity == IDENTITY_PROXY_V2_FIRST ||
		    identity == IDENTITY_PROXY_V1;

	if (check->header != CONFIG_CHECK_HEADER_AUTO)
		return check->header;
	/* A port of its own is made for checks, and knows of no header. */
	return told && check->port == 0 ? CONFIG_CHECK_HEADER_LOCAL : CONFIG_CHECK_HEADER_NONE;
}

static void put_endpoint(struct proxyhdr_endpoint *endpoint, const struct sockaddr_any *addr)
{
	memcpy(endpoint->addr, &addr->in.sin_addr, 4);
	endpoint->port = sockaddr_port(addr);
}

static int put_header(const struct config_check *check, enum identity identity,
	const struct sockaddr_any *local, const struct sockaddr_any *backend, uint8_t *buf,
	size_t size, size_t *ret_len)
{
	struct proxyhdr header = {
		.version = identity == IDENTITY_PROXY_V1 ? 1 : 2,
		.command = PROXYHDR_LOCAL,
	};

	switch (header_of(check, identity)) {
	case CONFIG_CHECK_HEADER_PROXY:
		header.command = PROXYHDR_PROXY;
		header.family = PROXYHDR_INET;
		header.transport =
			check->type == CONFIG_CHECK_UDP ? PROXYHDR_DGRAM : PROXYHDR_STREAM;
		put_endpoint(&header.src, local);
		put_endpoint(&header.dst, backend);
		break;
	case CONFIG_CHECK_HEADER_LOCAL:
		/* Version 1 has no LOCAL; UNKNOWN says the same. */
		if (header.version == 1)
			header.command = PROXYHDR_PROXY;
		break;
	case CONFIG_CHECK_HEADER_AUTO:
	case CONFIG_CHECK_HEADER_NONE:
		*ret_len = 0;
		return 0;
	}
	return proxyhdr_encode(&header, buf, size, ret_len);
}

int check_probe_request(const struct config_check *check, enum identity identity,
	const struct sockaddr_any *local, const struct sockaddr_any *backend,
	uint8_t buf[CHECK_PROBE_MAX], size_t *ret_len)
{
	char host[SOCKADDR_TEXT_MAX];
	size_t len = 0;
	int n = 0, err;

	err = put_header(check, identity, local, backend, buf, CHECK_PROBE_MAX, &len);
	if (err)
		return -EINVAL;
	if (check->type == CONFIG_CHECK_HTTP)
		n = snprintf((char *)buf + len, CHECK_PROBE_MAX - len,
			"%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sixgate\r\nConnection: close"
			"\r\n\r\n",
			check->method ? check->method : "GET", check->path ? check->path : "/",
			check->host ? check->host : sockaddr_format(backend, host));
	if (n < 0 || (size_t)n + check->send_len > CHECK_PROBE_MAX - len)
		return -EINVAL;
	if (check->send) {
		memcpy(buf + len, check->send, check->send_len);
		n = (int)check->send_len;
	}
	*ret_len = len + (size_t)n;
	return 0;
}

/* ---- the answer ---- */

static bool is_found(const struct config_check *check, const uint8_t *answer, size_t len)
{
	return !check->expect || memmem(answer, len, check->expect, check->expect_len);
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static enum check_verdict judge_http(const struct config_check *check, const uint8_t *answer,
	size_t len, bool ended, const char **ret_reason)
{
	unsigned status;

	if (len < STATUS_LINE_MIN && !ended)
		return CHECK_MORE;
	if (len < STATUS_LINE_MIN || memcmp(answer, "HTTP/1.", 7) != 0 || answer[8] != ' ' ||
		!is_digit(answer[9]) || !is_digit(answer[10]) || !is_digit(answer[11])) {
		*ret_reason = "its answer is no HTTP";
		return CHECK_FAIL;
	}
	status = (unsigned)((answer[9] - '0') * 100 + (answer[10] - '0') * 10 + answer[11] - '0');
	if (status < check->status_min || status > check->status_max) {
		*ret_reason = "another HTTP status than expected";
		return CHECK_FAIL;
	}
	if (is_found(check, answer, len))
		return CHECK_PASS;
	if (!ended && len < CHECK_PROBE_ANSWER)
		return CHECK_MORE;
	*ret_reason = "its answer lacks what is expected";
	return CHECK_FAIL;
}

enum check_verdict check_probe_judge(const struct config_check *check, const uint8_t *answer,
	size_t len, bool ended, const char **ret_reason)
{
	switch (check->type) {
	case CONFIG_CHECK_NONE:
	case CONFIG_CHECK_TCP:
		return CHECK_PASS;
	case CONFIG_CHECK_HTTP:
		return judge_http(check, answer, len, ended, ret_reason);
	case CONFIG_CHECK_UDP:
		/* Who does not expect an answer is content when nobody objects. */
		if (!check->expect && (ended || len > 0))
			return CHECK_PASS;
		break;
	case CONFIG_CHECK_SEND_EXPECT:
		break;
	}
	if (check->expect && is_found(check, answer, len))
		return CHECK_PASS;
	if (!ended && len < CHECK_PROBE_ANSWER)
		return CHECK_MORE;
	*ret_reason = len ? "its answer lacks what is expected" : "it said nothing";
	return CHECK_FAIL;
}
