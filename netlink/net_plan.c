#include "net_plan.h"
#include "nft_table.h"

#include <assert.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/*
 * Theory of operation
 *
 * Everything that is wanted is looked for in what is, and everything of ours that is, in what is
 * wanted; what is left over on either side becomes a step. "The same" has three meanings, and which
 * is asked is what decides:
 *
 *   same thing    net_*_same(): nothing needs to be done, whoever has made it
 *   same place    the kernel holds one of the two only, so the old one goes first
 *   same shape    of ours, and just as we would set it
 *
 * Of what is not ours nothing is ever removed, and that it satisfies us is enough. There may be a
 * million foreign routes and addresses, while what is wanted is short: so the outer loop is over
 * what is, where it matters, and compares with what is wanted.
 *
 * The plan is only right at the moment when the state was read. What has changed since meets the
 * kernel's own refusal (EXCL on adding, our mark on removing), and the next look plans anew.
 */

/* What the kernel gives an IPv6 route that asks for no metric. */
#define IP6_METRIC_DEFAULT 1024

void net_wanted_clear(struct net_wanted *wanted)
{
	net_state_clear(&wanted->net);
	free(wanted->nft.rules);
	*wanted = (struct net_wanted){ 0 };
}

void net_plan_clear(struct net_plan *plan)
{
	free(plan->steps);
	free(plan->obstacles);
	*plan = (struct net_plan){ 0 };
}

/* Room for one more element in an array whose size doubles whenever it is a power of two. */
static void *grow(void *array, size_t count, size_t size)
{
	assert(array || count == 0);
	if (count & (count - 1))
		return array;
	return reallocarray(array, count ? 2 * count : 1, size);
}

static int push_step(struct net_plan *plan, const struct net_step *step)
{
	struct net_step *steps = grow(plan->steps, plan->n_steps, sizeof(*steps));

	if (!steps)
		return -ENOMEM;
	plan->steps = steps;
	steps[plan->n_steps++] = *step;
	return 0;
}

static int push_obstacle(struct net_plan *plan, enum net_step_kind kind, const char *ifname)
{
	struct net_obstacle *obstacles;

	for (size_t i = 0; i < plan->n_obstacles; i++) {
		obstacles = &plan->obstacles[i];
		if (obstacles->kind == kind && strcmp(obstacles->ifname, ifname) == 0)
			return 0;
	}
	obstacles = grow(plan->obstacles, plan->n_obstacles, sizeof(*obstacles));
	if (!obstacles)
		return -ENOMEM;
	plan->obstacles = obstacles;
	obstacles[plan->n_obstacles] = (struct net_obstacle){ .kind = kind };
	memcpy(obstacles[plan->n_obstacles++].ifname, ifname, strnlen(ifname, IFNAMSIZ - 1));
	return 0;
}

static bool is_ours(uint8_t protocol)
{
	return protocol == NET_MARK;
}

/* ---- addresses ---- */

static bool same_bytes(const struct net_addr *a, const struct net_addr *b)
{
	return a->family == b->family && memcmp(a->addr, b->addr, net_family_len(a->family)) == 0;
}

/* Whether the kernel holds only one of the two: IPv6 has an address once on a link, whatever its
 * prefix length. */
static bool same_place(const struct net_addr *a, const struct net_addr *b)
{
	return same_bytes(a, b) && (a->family == AF_INET6 || a->prefix_len == b->prefix_len) &&
	       strcmp(a->ifname, b->ifname) == 0;
}

/* The kernel shows no preferred lifetime of an IPv4 address that lives forever, only this flag. */
static bool is_unpreferred(const struct net_addr *actual)
{
	return actual->unpreferred || (actual->flags & IFA_F_DEPRECATED);
}

/* Whether an address of ours is what we would set; the scope of IPv6 follows from the address. */
static bool same_shape(const struct net_addr *wanted, const struct net_addr *actual)
{
	return wanted->prefix_len == actual->prefix_len &&
	       wanted->unpreferred == is_unpreferred(actual) &&
	       (wanted->family == AF_INET6 || (wanted->scope == actual->scope)) &&
	       !(actual->family == AF_INET6 && (actual->flags & IFA_F_DADFAILED));
}

static bool repeats_addr(const struct net_state *wanted, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (same_place(&wanted->addrs[i], &wanted->addrs[at]))
			return true;
	return false;
}

/* With all that it takes to put it back. */
static int remove_addr(struct net_plan *plan, const struct net_addr *actual)
{
	struct net_step step = { .kind = NET_STEP_ADDR, .remove = true, .addr = *actual };

	step.addr.unpreferred = is_unpreferred(actual);
	return push_step(plan, &step);
}

static int add_addr(
	struct net_plan *plan, const struct net_addr *wanted, const struct net_state *actual)
{
	const struct net_link *link = net_state_find_link(actual, wanted->ifname);
	struct net_step step = { .kind = NET_STEP_ADDR, .addr = *wanted };
	bool satisfied = false;
	int err;

	if (!link)
		return push_obstacle(plan, NET_STEP_ADDR, wanted->ifname);
	for (size_t i = 0; i < actual->n_addrs; i++) {
		const struct net_addr *addr = &actual->addrs[i];

		if (!same_place(wanted, addr))
			continue;
		/* Somebody else's, of whatever prefix length, is an address all the same. */
		if (!is_ours(addr->protocol) || same_shape(wanted, addr)) {
			satisfied = true;
		} else if (is_ours(addr->protocol)) {
			err = remove_addr(plan, addr);
			if (err)
				return err;
		}
	}
	if (satisfied)
		return 0;
	step.addr.index = link->index;
	step.addr.protocol = NET_MARK;
	return push_step(plan, &step);
}

static int add_addrs(
	struct net_plan *plan, const struct net_state *wanted, const struct net_state *actual)
{
	int err = 0;

	for (size_t i = 0; !err && i < wanted->n_addrs; i++)
		if (!repeats_addr(wanted, i))
			err = add_addr(plan, &wanted->addrs[i], actual);
	return err;
}

/* Whether an address of ours is where it belongs, or cannot be put there yet. */
static bool addr_stays(
	const struct net_addr *addr, const struct net_state *wanted, const struct net_state *actual)
{
	for (size_t i = 0; i < wanted->n_addrs; i++) {
		const struct net_addr *want = &wanted->addrs[i];

		if (same_place(want, addr))
			return true;
		if (same_bytes(want, addr) && !net_state_find_link(actual, want->ifname))
			return true;
	}
	return false;
}

static bool same_subnet(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	for (unsigned bit = 0; bit < bits; bit++)
		if ((a[bit / 8] ^ b[bit / 8]) & 0x80U >> bit % 8)
			return false;
	return true;
}

/*
 * Whether the kernel would take others along: with the first IPv4 address of a subnet go all that
 * were added later, unless the link promotes them.
 */
static bool carries_others(const struct net_addr *addr, const struct net_state *actual)
{
	if (addr->family != AF_INET || addr->flags & IFA_F_SECONDARY)
		return false;
	for (size_t i = 0; i < actual->n_addrs; i++) {
		const struct net_addr *other = &actual->addrs[i];

		if (other->family == AF_INET && other->flags & IFA_F_SECONDARY &&
			!is_ours(other->protocol) && other->index == addr->index &&
			other->prefix_len == addr->prefix_len &&
			same_subnet(other->addr, addr->addr, addr->prefix_len))
			return true;
	}
	return false;
}

static int remove_addrs(
	struct net_plan *plan, const struct net_state *wanted, const struct net_state *actual)
{
	int err = 0;

	for (size_t i = 0; !err && i < actual->n_addrs; i++) {
		const struct net_addr *addr = &actual->addrs[i];

		if (is_ours(addr->protocol) && !addr_stays(addr, wanted, actual) &&
			!carries_others(addr, actual))
			err = remove_addr(plan, addr);
	}
	return err;
}

/* ---- routes ---- */

static bool has_route(
	const struct net_route *routes, size_t n_routes, const struct net_route *route)
{
	for (size_t i = 0; i < n_routes; i++)
		if (net_route_same(&routes[i], route))
			return true;
	return false;
}

static uint32_t metric_of(const struct net_route *route)
{
	return route->family == AF_INET6 && !route->metric ? IP6_METRIC_DEFAULT : route->metric;
}

/* Whether the kernel adds none of the two (NLM_F_EXCL) while the other is there. */
static bool same_key(const struct net_route *a, const struct net_route *b)
{
	return a->family == b->family && a->table == b->table && a->dst_len == b->dst_len &&
	       memcmp(a->dst, b->dst, net_family_len(a->family)) == 0 &&
	       metric_of(a) == metric_of(b);
}

static bool removes_route(const struct net_plan *plan, const struct net_route *route)
{
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct net_step *step = &plan->steps[i];

		if (step->kind == NET_STEP_ROUTE && step->remove && same_key(&step->route, route) &&
			net_route_same(&step->route, route))
			return true;
	}
	return false;
}

/*
 * Which of the wanted routes are there. There may be very many foreign routes, most of them of a
 * type that is not wanted at all: these cost one look each.
 */
static int mark_satisfied(
	const struct net_state *wanted, const struct net_state *actual, bool **ret_satisfied)
{
	bool types[UINT8_MAX + 1] = { false };
	bool *satisfied = calloc(wanted->n_routes + 1, sizeof(*satisfied));

	if (!satisfied)
		return -ENOMEM;
	for (size_t i = 0; i < wanted->n_routes; i++)
		types[wanted->routes[i].type] = true;
	for (size_t i = 0; i < actual->n_routes; i++) {
		if (!types[actual->routes[i].type])
			continue;
		for (size_t k = 0; k < wanted->n_routes; k++)
			if (net_route_same(&wanted->routes[k], &actual->routes[i]))
				satisfied[k] = true;
	}
	*ret_satisfied = satisfied;
	return 0;
}

/* The routes of ours that are not wanted: all, or those that keep the one in place_of from being
 * added. */
static int remove_routes(struct net_plan *plan, const struct net_state *wanted,
	const struct net_state *actual, const struct net_route *place_of)
{
	struct net_step step = { .kind = NET_STEP_ROUTE, .remove = true };
	int err = 0;

	for (size_t i = 0; !err && i < actual->n_routes; i++) {
		const struct net_route *route = &actual->routes[i];

		if (!is_ours(route->protocol) || (place_of && !same_key(place_of, route)) ||
			has_route(wanted->routes, wanted->n_routes, route) ||
			removes_route(plan, route))
			continue;
		step.route = *route;
		err = push_step(plan, &step);
	}
	return err;
}

static int add_route(struct net_plan *plan, const struct net_state *wanted, size_t at,
	const struct net_state *actual)
{
	struct net_step step = { .kind = NET_STEP_ROUTE, .route = wanted->routes[at] };
	const struct net_link *link;
	int err;

	step.route.index = 0;
	step.route.protocol = NET_MARK;
	if (step.route.ifname[0]) {
		link = net_state_find_link(actual, step.route.ifname);
		if (!link)
			return push_obstacle(plan, NET_STEP_ROUTE, step.route.ifname);
		step.route.index = link->index;
	}
	err = remove_routes(plan, wanted, actual, &step.route);
	return err ? err : push_step(plan, &step);
}

static int add_routes(
	struct net_plan *plan, const struct net_state *wanted, const struct net_state *actual)
{
	bool *satisfied;
	int err = mark_satisfied(wanted, actual, &satisfied);

	if (err)
		return err;
	for (size_t i = 0; !err && i < wanted->n_routes; i++)
		if (!satisfied[i] && !has_route(wanted->routes, i, &wanted->routes[i]))
			err = add_route(plan, wanted, i, actual);
	free(satisfied);
	return err;
}

/* ---- rules ---- */

/* ours: only those that carry our mark, else any. */
static bool has_rule(
	const struct net_rule *rules, size_t n_rules, const struct net_rule *rule, bool ours)
{
	for (size_t i = 0; i < n_rules; i++)
		if (!rules[i].narrow && (!ours || is_ours(rules[i].protocol)) &&
			net_rule_same(&rules[i], rule))
			return true;
	return false;
}

static int add_rules(
	struct net_plan *plan, const struct net_state *wanted, const struct net_state *actual)
{
	struct net_step step = { .kind = NET_STEP_RULE };
	int err = 0;

	for (size_t i = 0; !err && i < wanted->n_rules; i++) {
		step.rule = wanted->rules[i];
		step.rule.protocol = NET_MARK;
		if (!has_rule(actual->rules, actual->n_rules, &step.rule, false) &&
			!has_rule(wanted->rules, i, &step.rule, false))
			err = push_step(plan, &step);
	}
	return err;
}

static int remove_rules(
	struct net_plan *plan, const struct net_state *wanted, const struct net_state *actual)
{
	struct net_step step = { .kind = NET_STEP_RULE, .remove = true };
	int err = 0;

	for (size_t i = 0; !err && i < actual->n_rules; i++) {
		step.rule = actual->rules[i];
		if (!is_ours(step.rule.protocol))
			continue;
		/* The kernel takes the same rule twice; one of ours is enough. */
		if (!step.rule.narrow &&
			has_rule(wanted->rules, wanted->n_rules, &step.rule, false) &&
			!has_rule(actual->rules, i, &step.rule, true))
			continue;
		err = push_step(plan, &step);
	}
	return err;
}

/* ---- the whole ---- */

/* No part of the table is ever changed: what the kernel has is compared, and replaced, as a whole.
 */
static int replace_nft(
	struct net_plan *plan, const struct nft_wanted *wanted, const char *actual_image)
{
	struct net_step step = { .kind = NET_STEP_NFT, .remove = wanted->n_rules == 0 };
	char *image;
	bool same;
	int err;

	if (!actual_image)
		return 0;
	err = nft_table_image(wanted, &image);
	if (err)
		return err;
	same = strcmp(image, actual_image) == 0;
	free(image);
	return same ? 0 : push_step(plan, &step);
}

int net_plan_make(const struct net_wanted *wanted, const struct net_state *actual,
	const char *nft_image, struct net_plan *ret_plan)
{
	struct net_plan plan = { 0 };
	int err;

	if ((err = add_addrs(&plan, &wanted->net, actual)) ||
		(err = add_routes(&plan, &wanted->net, actual)) ||
		(err = add_rules(&plan, &wanted->net, actual)) ||
		(err = replace_nft(&plan, &wanted->nft, nft_image)) ||
		(err = remove_rules(&plan, &wanted->net, actual)) ||
		(err = remove_routes(&plan, &wanted->net, actual, NULL)) ||
		(err = remove_addrs(&plan, &wanted->net, actual))) {
		net_plan_clear(&plan);
		return err;
	}
	*ret_plan = plan;
	return 0;
}

struct net_step net_plan_inverse(const struct net_step *step)
{
	struct net_step inverse = *step;

	assert(step->kind != NET_STEP_NFT);
	inverse.remove = !step->remove;
	return inverse;
}
