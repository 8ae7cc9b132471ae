/*
 * check_probe - what a health check says, and whether the answer will do: plain functions over
 * plain data, no socket.
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
 * All that is sent, at once. identity: of the pool's clients. local and backend: both ends of the
 * check's socket, IPv4. 0 or -EINVAL.
 */
int check_probe_request(const struct config_check *check, enum identity identity,
	const struct sockaddr_any *local, const struct sockaddr_any *backend,
	uint8_t buf[CHECK_PROBE_MAX], size_t *ret_len);

enum check_verdict { CHECK_MORE, CHECK_PASS, CHECK_FAIL };

/*
 * ended: nothing more will come. CHECK_MORE only if not. *ret_reason is a static text if it is
 * CHECK_FAIL.
 */
enum check_verdict check_probe_judge(const struct config_check *check, const uint8_t *answer,
	size_t len, bool ended, const char **ret_reason);
