#include "net_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Appends a copy of size bytes to an array of n elements. */
static int append(void **array, size_t *n, const void *element, size_t size)
{
	void *bigger;

	/* Grown in powers of two: a dump may have many. */
	if ((*n & (*n - 1)) == 0) {
		bigger = reallocarray(*array, *n ? 2 * *n : 1, size);
		if (!bigger)
			return -ENOMEM;
		*array = bigger;
	}
	memcpy((char *)*array + *n * size, element, size);
	++*n;
	return 0;
}

int net_state_add_link(struct net_state *state, const struct net_link *link)
{
	return append((void **)&state->links, &state->n_links, link, sizeof(*link));
}

int net_state_add_addr(struct net_state *state, const struct net_addr *addr)
{
	return append((void **)&state->addrs, &state->n_addrs, addr, sizeof(*addr));
}

int net_state_add_route(struct net_state *state, const struct net_route *route)
{
	return append((void **)&state->routes, &state->n_routes, route, sizeof(*route));
}

int net_state_add_rule(struct net_state *state, const struct net_rule *rule)
{
	return append((void **)&state->rules, &state->n_rules, rule, sizeof(*rule));
}

void net_state_clear(struct net_state *state)
{
	free(state->links);
	free(state->addrs);
	free(state->routes);
	free(state->rules);
	*state = (struct net_state){ 0 };
}

const struct net_link *net_state_find_link(const struct net_state *state, const char *name)
{
	for (size_t i = 0; i < state->n_links; i++)
		if (strcmp(state->links[i].name, name) == 0)
			return &state->links[i];
	return NULL;
}

const struct net_link *net_state_find_index(const struct net_state *state, uint32_t index)
{
	for (size_t i = 0; i < state->n_links; i++)
		if (state->links[i].index == index)
			return &state->links[i];
	return NULL;
}

bool net_addr_same(const struct net_addr *a, const struct net_addr *b)
{
	return a->family == b->family && a->prefix_len == b->prefix_len &&
	       memcmp(a->addr, b->addr, sizeof(a->addr)) == 0 && strcmp(a->ifname, b->ifname) == 0;
}

bool net_route_same(const struct net_route *a, const struct net_route *b)
{
	return a->family == b->family && a->type == b->type && a->table == b->table &&
	       a->dst_len == b->dst_len && memcmp(a->dst, b->dst, sizeof(a->dst)) == 0 &&
	       strcmp(a->ifname, b->ifname) == 0;
}

bool net_rule_same(const struct net_rule *a, const struct net_rule *b)
{
	return a->family == b->family && a->action == b->action && a->narrow == b->narrow &&
	       a->priority == b->priority && a->table == b->table && a->mark == b->mark &&
	       a->mask == b->mask;
}
