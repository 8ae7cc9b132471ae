/*
 * pool - one worker's view of a configured pool: choice of backend and of source address.
 */
#pragma once

#include <stddef.h>

#include "balance.h"
#include "config.h"

struct pool {
	const struct config_pool *config;
	struct balance_target *targets; /* one per config->backends */
	size_t next_source;
};

/* 0 or -ENOMEM. config must outlive the pool. */
int pool_init(struct pool *pool, const struct config_pool *config);
void pool_destroy(struct pool *pool);

/* The backend for the next flow; NULL if every weight is 0. */
const struct config_backend *pool_pick(struct pool *pool);

/* The source address for the next attempt, in turn; NULL if the kernel is to choose. */
const struct sockaddr_any *pool_source(struct pool *pool);
