/*
 * status - what the gateway is doing, as JSON: the result of the control command "status".
 *
 * sixgatectl(8) has the keys, and sixgatectl shows them. Keys stay what they are; new ones may
 * come. A key that ends in _s is in seconds, with a fraction.
 *
 * In the supervisor, for whoever asks: the control socket, and the observer, whose pages and
 * metrics are made of nothing else. Only reads, also of what workers write meanwhile: numbers of
 * one answer need not add up.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"
#include "drain_state.h"
#include "measures.h"
#include "pool_state.h"
#include "stats.h"

struct status_worker {
	pid_t pid;		   /* 0: there is none, its successor is about to start */
	bool ready;		   /* it has said that it accepts */
	uint64_t started_ms;	   /* counts if there is a pid */
	uint64_t deaths;	   /* workers before this one that ended */
	uint64_t records_lost;	   /* log lines and access records, for want of room in its ring */
	const struct stats *stats; /* its block */
};

/* Times are of the monotonic clock, but for wall_us: that of now. All is the caller's. */
struct status_facts {
	const struct config *config;
	const struct pool_state *pools;
	const struct drain_state *drains;
	const struct measures *measures;
	const char *state; /* "starting", "running", "draining", "failed" */
	uint64_t now_ms;
	uint64_t wall_us;
	uint64_t started_ms; /* the gateway; a reload does not begin anew */
	const struct status_worker *workers;
	size_t n_workers;
	const struct stats *others; /* blocks of what is no worker */
	size_t n_others;
};

/* A new object, the caller's. Without memory NULL, or something is missing in it. */
json_t *status_json(const struct status_facts *facts);
