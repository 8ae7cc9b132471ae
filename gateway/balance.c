#include "balance.h"

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
