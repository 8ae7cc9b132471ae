#include "access_log.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "ring.h"
#include "unique_id.h"
#include "wall_time.h"

static_assert(sizeof(struct access_log_record) <= RING_DATA_MAX, "a record fits in a ring's slot");

/* In the order of enum access_log_end. Programs compare these words: none ever changes. */
static const char *const end_names[] = {
	"closed",
	"reset",
	"refused",
	"unreachable",
	"connect-timeout",
	"idle-timeout",
	"half-closed-timeout",
	"dead-peer",
	"no-source-port",
	"not-allowed",
	"bad-header",
	"header-timeout",
	"denied",
	"banned",
	"over-limit",
	"unanswered",
	"evicted",
	"unclaimed",
	"killed",
	"drained",
	"error",
};
static_assert(sizeof(end_names) / sizeof(end_names[0]) == ACCESS_LOG_END_COUNT, "a name an end");

static const char *const by_names[] = { "client", "backend", "gateway" };
static_assert(sizeof(by_names) / sizeof(by_names[0]) == ACCESS_LOG_BY_COUNT, "a name a party");

const char *access_log_end_name(enum access_log_end end)
{
	return end < ACCESS_LOG_END_COUNT ? end_names[end] : "?";
}

const char *access_log_by_name(enum access_log_by by)
{
	return by < ACCESS_LOG_BY_COUNT ? by_names[by] : "?";
}

static json_t *json_address(const struct sockaddr_any *addr)
{
	char text[SOCKADDR_TEXT_MAX];

	if (sockaddr_len(addr) == 0)
		return json_null();
	return json_string(sockaddr_format(addr, text));
}

static json_t *json_milliseconds(uint64_t us)
{
	return json_real((double)us / 1000.0);
}

static json_t *json_time(uint64_t wall_us)
{
	char text[WALL_TIME_TEXT_MAX];

	return wall_time_format(wall_us, text)[0] ? json_string(text) : json_null();
}

/* As it is if it can be printed, without blanks; or else "0x" and hexadecimal digits. */
static json_t *json_id(const struct access_log_record *record)
{
	size_t len = record->unique_id_len <= ACCESS_LOG_UNIQUE_ID_MAX ? record->unique_id_len
								       : ACCESS_LOG_UNIQUE_ID_MAX;
	char text[UNIQUE_ID_TEXT_MAX];

	return json_string(unique_id_text(record->unique_id, len, text));
}

/* The members that only some records have. */
static int add_rest(json_t *json, const struct access_log_record *record)
{
	int err = 0;

	if (record->protocol == IPPROTO_UDP) {
		err |= json_object_set_new(
			json, "datagrams_in", json_integer((json_int_t)record->datagrams_in));
		err |= json_object_set_new(
			json, "datagrams_out", json_integer((json_int_t)record->datagrams_out));
	}
	if (sockaddr_len(&record->peer) > 0)
		err |= json_object_set_new(json, "peer", json_address(&record->peer));
	if (record->unique_id_len > 0)
		err |= json_object_set_new(json, "unique_id", json_id(record));
	return err;
}

int access_log_format(const struct access_log_record *record, char *buf, size_t size)
{
	enum identity identity =
		record->identity < IDENTITY_COUNT ? record->identity : IDENTITY_NONE;
	size_t name_len = strnlen(record->listener, sizeof(record->listener));
	bool udp = record->protocol == IPPROTO_UDP;
	json_t *json;
	size_t len;

	json = json_pack(
		"{s:o, s:s%, s:s, s:o, s:o, s:o, s:o, s:s, s:I, s:I, s:o, s:o, s:s, s:s, s:i}",
		"time", json_time(record->ended_us), "listener", record->listener, name_len,
		"protocol", udp ? "udp" : "tcp", "client", json_address(&record->client), "local",
		json_address(&record->local), "backend", json_address(&record->backend), "source",
		json_address(&record->source), "identity", config_identity_name(identity),
		"bytes_in", (json_int_t)record->bytes_in, "bytes_out",
		(json_int_t)record->bytes_out, "duration_ms",
		json_milliseconds(record->duration_us), "connect_ms",
		record->connected ? json_milliseconds(record->connect_us) : json_null(), "end",
		access_log_end_name(record->end), "by", access_log_by_name(record->by), "worker",
		(int)record->worker);
	if (!json)
		return -ENOMEM;
	if (add_rest(json, record) < 0) {
		json_decref(json);
		return -ENOMEM;
	}
	len = json_dumpb(
		json, buf, size, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
	json_decref(json);
	if (len == 0 || len >= size)
		return -ENOSPC;
	buf[len] = '\0';
	return 0;
}

enum access_log_end access_log_end_of_error(int error)
{
	switch (error) {
	case ECONNRESET:
	case EPIPE: /* a reset after the FIN */
	case ECONNABORTED:
		return ACCESS_LOG_RESET;
	case ETIMEDOUT:
		return ACCESS_LOG_DEAD_PEER;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EHOSTDOWN:
		return ACCESS_LOG_UNREACHABLE;
	default:
		return ACCESS_LOG_ERROR;
	}
}

enum access_log_end access_log_end_of_connect(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case ECONNRESET:
		return ACCESS_LOG_REFUSED;
	case ETIMEDOUT:
		return ACCESS_LOG_CONNECT_TIMEOUT;
	case EADDRNOTAVAIL:
	case EADDRINUSE:
		return ACCESS_LOG_NO_SOURCE_PORT;
	default:
		return access_log_end_of_error(error);
	}
}
