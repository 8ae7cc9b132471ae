/*
 * check_probe - what a health check says, and whether the answer will do: plain functions over
 * plain data, no socket. The answer is a server's, which may be broken: nothing of it is trusted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

/* Header, and the longest request: method, path, host and what stands between them. */
#define CHECK_PROBE_MAX	   (128U + 3U * CONFIG_CHECK_TEXT_MAX + 128U)
#define CHECK_PROBE_ANSWER 16384U /* bytes of an answer that are looked at */

/*
 * All that is sent, at once: a header of the PROXY protocol if the configuration or the pool's
 * clients want one, and the request behind it. identity: of the pool's clients. local and backend:
 * both ends of the check's socket, IPv4. ret_len may be 0: connecting was all. 0; or -EINVAL, and
 * the output is untouched.
 */
int check_probe_request(const struct config_check *check, enum identity identity,
	const struct sockaddr_any *local, const struct sockaddr_any *backend,
	uint8_t buf[CHECK_PROBE_MAX], size_t *ret_len);

/* CHECK_MORE: too little has come to tell. */
enum check_verdict { CHECK_MORE, CHECK_PASS, CHECK_FAIL };

/*
 * answer: all that has come so far, from its first byte on, len up to CHECK_PROBE_ANSWER. ended:
 * nothing more will come. CHECK_MORE only if not. *ret_reason is a static text if it is CHECK_FAIL.
 */
enum check_verdict check_probe_judge(const struct config_check *check, const uint8_t *answer,
	size_t len, bool ended, const char **ret_reason);
