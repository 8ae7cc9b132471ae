#include "guard_wanted.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bind.h"

/* A bind, and what becomes of its clients. */
struct place {
	struct config_bind bind;
	enum config_refuse refuse;
	bool down;
};

static int compare(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return bind_compare(&x->bind, &y->bind);
}

static bool is_down(const struct config *config, const struct guard_view *view, size_t listener)
{
	const struct config_listener *own = &config->listeners[listener];

	return (!own->embedded && view->pool_down[own->pool]) ||
	       drain_state_until(view->drains, listener) != DRAIN_NONE;
}

static struct place place_of(
	const struct config_listener *listener, const struct config_bind *bind, bool down)
{
	return (struct place){
		.bind = *bind,
		.refuse = listener->refuse,
		.down = down && bind->protocol == IPPROTO_TCP &&
			listener->refuse != CONFIG_REFUSE_ACCEPT,
	};
}

/* The IPv4 clients of an IPv6 socket on all addresses. */
static struct config_bind in_ipv4(const struct config_bind *bind)
{
	struct config_bind other = *bind;

	other.addr = (struct sockaddr_any){ .in.sin_family = AF_INET };
	sockaddr_set_port(&other.addr, sockaddr_port(&bind->addr));
	return other;
}

static size_t collect(
	const struct config *config, const struct guard_view *view, struct place *places)
{
	size_t n = 0;

	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct config_listener *listener = &config->listeners[i];
		bool down = is_down(config, view, i);

		for (size_t b = 0; b < listener->n_binds; b++) {
			const struct config_bind *bind = &listener->binds[b];
			struct config_bind other = in_ipv4(bind);

			places[n++] = place_of(listener, bind, down);
			if (!listener->v6only && sockaddr_family(&bind->addr) == AF_INET6 &&
				bind->prefix_len == 0)
				places[n++] = place_of(listener, &other, down);
		}
	}
	return n;
}

static void say(
	struct nft_guard_wanted *wanted, enum nft_guard_kind kind, const struct config_bind *bind)
{
	struct nft_guard_rule *rule = &wanted->rules[wanted->n_rules++];

	*rule = (struct nft_guard_rule){
		.kind = kind,
		.family = (uint8_t)sockaddr_family(&bind->addr),
		.l4proto = bind->protocol,
		.prefix_len = bind->prefix_len,
		.port_min = sockaddr_port(&bind->addr),
		.port_max = bind->port_max,
	};
	if (rule->family == AF_INET) {
		memcpy(rule->addr, &bind->addr.in.sin_addr, 4);
		return;
	}
	memcpy(rule->addr, &bind->addr.in6.sin6_addr, 16);
	rule->ifindex = bind->addr.in6.sin6_scope_id;
}

static enum nft_guard_kind kind_of(enum config_refuse refuse)
{
	switch (refuse) {
	case CONFIG_REFUSE_PORT_UNREACHABLE:
		return NFT_GUARD_PORT_UNREACHABLE;
	case CONFIG_REFUSE_ADMIN_PROHIBITED:
		return NFT_GUARD_ADMIN_PROHIBITED;
	case CONFIG_REFUSE_RESET:
	case CONFIG_REFUSE_ACCEPT: /* whose places are not down */
		break;
	}
	return NFT_GUARD_RESET;
}

/* Whether a wider bind behind this one would refuse its clients. */
static bool needs_sparing(const struct place *places, size_t n, size_t index)
{
	for (size_t i = index + 1; i < n; i++)
		if (places[i].down && bind_covers(&places[i].bind, &places[index].bind))
			return true;
	return false;
}

int guard_wanted_make(const struct config *config, const struct guard_view *view,
	struct nft_guard_wanted *ret_wanted)
{
	struct nft_guard_wanted wanted = { 0 };
	struct place *places;
	size_t n = 0;

	for (size_t i = 0; i < config->n_listeners; i++)
		n += 2 * config->listeners[i].n_binds;
	places = calloc(n + 1, sizeof(*places));
	wanted.rules = calloc(2 * n + 1, sizeof(*wanted.rules));
	if (!places || !wanted.rules) {
		free(places);
		free(wanted.rules);
		return -ENOMEM;
	}
	n = collect(config, view, places); /* one or two for each bind, as was counted above */
	qsort(places, n, sizeof(*places), compare);
	for (size_t i = 0; i < n && view->has_bans; i++)
		say(&wanted, NFT_GUARD_BAN, &places[i].bind);
	for (size_t i = 0; i < n; i++) {
		if (places[i].down)
			say(&wanted, kind_of(places[i].refuse), &places[i].bind);
		else if (needs_sparing(places, n, i))
			say(&wanted, NFT_GUARD_PASS, &places[i].bind);
	}
	free(places);
	*ret_wanted = wanted;
	return 0;
}
