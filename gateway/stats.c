#include "stats.h"

#include <assert.h>
#include <sys/mman.h>
#include <time.h>

#include "shared_map.h"

/*
 * Theory of operation
 *
 *  OPEN ──stats_enter──► PASSING ──stats_leave──► OPEN      by the worker
 *  OPEN ──stats_close──► CLOSED ──stats_reopen──► OPEN      by the supervisor
 *
 * Both come in by compare-and-exchange, so a gate is never closed while somebody is in it, and
 * nobody comes into one that is closed. The worker does not wait for the supervisor: if the gate is
 * closed, it counts later or not at all. The supervisor waits for a worker, but one that was
 * stopped or has died in its gate must not stop it for long; a worker is in it for some tens of
 * microseconds.
 *
 * What a worker that was left in its gate counts after the sums were told is in no sum: its flow
 * says that it is counted, and the next image was told before.
 *
 * By these names an image finds the sums of the one before it (shared.c), and monitoring its
 * series: a counter is never renamed.
 */
#define CLOSE_MS      100U /* for all gates */
#define CLOSE_STEP_MS 1U

/* By enum stats_counter; the assertion below only sees one that is missing. */
static const char *const names[] = {
	"accepted",
	"bytes_in",
	"bytes_out",
	"headers",
	"headers_read",
	"tlvs_left_out",
	"closed",
	"reset",
	"refused",
	"unreachable",
	"connect_timeout",
	"idle_timeout",
	"half_closed_timeout",
	"dead_peer",
	"no_source_port",
	"not_allowed",
	"bad_header",
	"header_timeout",
	"denied",
	"banned",
	"over_limit",
	"unanswered",
	"evicted",
	"unclaimed",
	"killed",
	"drained",
	"error",
	"paused_limit",
	"paused_files",
	"buffer_misses",
	"pipe_misses",
	"bulk_entered",
	"starved",
	"limit_full",
	"limit_client_full",
	"limit_address_full",
	"limit_rate",
	"limit_client_rate",
	"limit_address_rate",
	"limit_pool_full",
	"limit_backends_full",
	"limit_untracked",
	"retried",
	"circuit_opened",
	"hold_held",
	"hold_claimed",
	"hold_unheld",
	"hold_refused",
	"hold_silent",
	"hold_repeated",
	"hold_full",
	"hold_backend_full",
	"hold_client_full",
	"hold_unanswered",
	"hold_unreadable",
	"datagrams_in",
	"datagrams_out",
	"dropped_queue",
	"dropped_full",
	"dropped_client_full",
	"dropped_address_full",
	"dropped_rate",
	"dropped_client_rate",
	"dropped_address_rate",
	"dropped_pool_full",
	"dropped_backends_full",
	"dropped_denied",
	"dropped_banned",
	"dropped_busy",
	"dropped_ports",
	"dropped_draining",
	"dropped_refused",
	"dropped_oversize",
	"dropped_invalid",
	"dropped_send",
	"dropped_stranger",
	"icmp_sent",
	"icmp_limited",
	"who_overwritten",
	"who_untracked",
	"live_flows",
};
static_assert(sizeof(names) / sizeof(names[0]) == STATS_COUNT, "a name a counter");

struct stats *stats_create(size_t n)
{
	return shared_map(n * sizeof(struct stats));
}

void stats_destroy(struct stats *stats, size_t n)
{
	if (stats)
		munmap(stats, n * sizeof(*stats));
}

/* A gate that is closed stays so: the next image may have been told the sums. */
void stats_clear_gauges(struct stats *stats)
{
	uint32_t passing = STATS_GATE_PASSING;

	__atomic_store_n(&stats->value[STATS_LIVE_FLOWS], 0, __ATOMIC_RELAXED);
	__atomic_compare_exchange_n(
		&stats->gate, &passing, STATS_GATE_OPEN, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

bool stats_enter(struct stats *stats)
{
	uint32_t open = STATS_GATE_OPEN;

	return __atomic_compare_exchange_n(
		&stats->gate, &open, STATS_GATE_PASSING, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

void stats_leave(struct stats *stats)
{
	__atomic_store_n(&stats->gate, STATS_GATE_OPEN, __ATOMIC_RELEASE);
}

static bool close_one(struct stats *stats)
{
	uint32_t open = STATS_GATE_OPEN;

	return __atomic_compare_exchange_n(&stats->gate, &open, STATS_GATE_CLOSED, false,
		       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED) ||
	       open == STATS_GATE_CLOSED;
}

/* When the time is over, each gate that is left is still tried once. */
void stats_close(struct stats *stats, size_t n)
{
	const struct timespec step = { .tv_nsec = CLOSE_STEP_MS * 1000000L };
	unsigned waited_ms = 0;

	for (size_t i = 0; i < n; i++)
		while (!close_one(&stats[i]) && waited_ms < CLOSE_MS) {
			(void)nanosleep(&step, NULL);
			waited_ms += CLOSE_STEP_MS;
		}
}

void stats_reopen(struct stats *stats, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t closed = STATS_GATE_CLOSED;

		__atomic_compare_exchange_n(&stats[i].gate, &closed, STATS_GATE_OPEN, false,
			__ATOMIC_RELEASE, __ATOMIC_RELAXED);
	}
}

uint64_t stats_sum(const struct stats *stats, size_t n, enum stats_counter counter)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += __atomic_load_n(&stats[i].value[counter], __ATOMIC_RELAXED);
	return sum;
}

const char *stats_name(enum stats_counter counter)
{
	assert(counter < STATS_COUNT);
	return names[counter];
}
