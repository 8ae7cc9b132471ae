#include "balance.h"

#include <stdbool.h>

/*
 * Each pick pays every target its weight, and the one that has most is picked and pays the sum of
 * all weights: so the sum of "current" stays what it was, and nobody is starved or gets a burst.
 * Why not a list with each target as often as its weight: weights go up to 65,535 and change while
 * it runs.
 */
size_t balance_round_robin(struct balance_target *targets, size_t n)
{
	size_t best = BALANCE_NONE;
	int64_t total = 0;

	for (size_t i = 0; i < n; i++) {
		if (targets[i].weight == 0)
			continue;
		targets[i].current += targets[i].weight;
		total += targets[i].weight;
		if (best == BALANCE_NONE || targets[i].current > targets[best].current)
			best = i;
	}
	if (best != BALANCE_NONE)
		targets[best].current -= total;
	return best;
}

/* (a.load + 1) / a.weight < (b.load + 1) / b.weight, without a division; 32 bits by 32 fit. */
static bool is_less_loaded(const struct balance_target *a, const struct balance_target *b)
{
	return ((uint64_t)a->load + 1) * b->weight < ((uint64_t)b->load + 1) * a->weight;
}

size_t balance_least(const struct balance_target *targets, size_t n, size_t start)
{
	size_t best = BALANCE_NONE;

	for (size_t k = 0; k < n; k++) {
		size_t i = (start + k) % n;

		if (targets[i].weight == 0)
			continue;
		if (best == BALANCE_NONE || is_less_loaded(&targets[i], &targets[best]))
			best = i;
	}
	return best;
}
