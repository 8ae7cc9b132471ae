/*
 * clock - the two clocks that the gateway reads.
 *
 * Durations and deadlines use the monotonic clock, in milliseconds or microseconds; only records
 * meant for people, and what outlives the machine's uptime (bans), carry wall time. The monotonic
 * one is the machine's: processes and images may tell each other its times. It stands still while
 * the machine sleeps. Both by vDSO: no system call.
 */
#pragma once

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U;
}

static inline uint64_t clock_wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U;
}
