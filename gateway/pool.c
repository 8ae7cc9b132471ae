#include "pool.h"

#include <errno.h>
#include <stdlib.h>

int pool_init(struct pool *pool, const struct config_pool *config)
{
	struct balance_target *targets = calloc(config->n_backends, sizeof(*targets));

	if (!targets)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_backends; i++)
		targets[i].weight = config->backends[i].weight;
	*pool = (struct pool){ .config = config, .targets = targets };
	return 0;
}

void pool_destroy(struct pool *pool)
{
	free(pool->targets);
	pool->targets = NULL;
}

const struct config_backend *pool_pick(struct pool *pool)
{
	size_t i = balance_round_robin(pool->targets, pool->config->n_backends);

	return i == BALANCE_NONE ? NULL : &pool->config->backends[i];
}

const struct sockaddr_any *pool_source(struct pool *pool)
{
	if (pool->config->n_sources == 0)
		return NULL;
	pool->next_source = (pool->next_source + 1) % pool->config->n_sources;
	return &pool->config->sources[pool->next_source];
}
