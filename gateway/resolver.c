#include "resolver.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "dns.h"
#include "log.h"
#include "name_merge.h"
#include "own_address.h"

/*
 * Theory of operation
 *
 * Each name has a timer and at most one question under way. What an answer says is checked as the
 * configuration's own addresses are, merged into the name's slots, and told to pool_state. The next
 * question follows when the answer's time to live is over, within the bounds of the configuration.
 *
 * No answer says nothing about the servers: they stay what they are, and the question is repeated
 * soon. That there are no addresses is news, but more often somebody's mistake than the truth: it
 * must have been said for "hold" before it counts.
 *
 * No two backends of a pool have the same address. Whoever has it first keeps it.
 *
 *  a name:  asked ──addresses──► found, asked again after the time to live
 *             ├──none──► empty since then, asked again soon; after "hold" its slots are cleared
 *             └──no answer──► as it was, asked again, each time twice as late
 *
 * Names are not asked for all at once at the start (SPREAD), nor ever again at the same moment
 * (jittered()): hundreds of them would be a burst that a resolver answers in part.
 */
#define SPREAD	     8U	   /* first questions that go out in the same millisecond */
#define RETRY_MAX_MS 5000U /* to the next question after none, or no good, answer */
#define TEXT_MAX     120   /* of the addresses in a line of the log */

struct name {
	struct dns_query query;
	struct timer timer;
	struct resolver *resolver;
	const struct config_name *config;
	size_t pool;
	uint32_t retries; /* questions in a row without a good answer */
	bool unsaid;	  /* where it is now, as it changed so often */
	bool unanswered;  /* it was said that there is no answer */
	bool empty;	  /* there are no addresses, since: */
	uint64_t empty_ms;
	struct log_limit log, refused_log, left_out_log;
};

struct resolver {
	struct loop *loop;
	const struct config *config;
	struct pool_state *state;
	struct dns *dns;
	struct own_address own;
	struct name *names;
	size_t n_names;
	struct log_limit outage_log, outage_end_log; /* all names may be concerned at once */
	uint64_t answered, empty, unanswered;	     /* questions, by what came of them */
	uint64_t changed, left_out, refused;	     /* addresses */
};

static const char *pool_name(const struct name *name)
{
	return name->resolver->config->pools[name->pool].name;
}

static bool may_say(const struct name *name, struct log_limit *limit)
{
	unsigned suppressed;

	return log_allowed(limit, name->resolver->loop->now_ms, &suppressed);
}

/* ---- which addresses will do ---- */

static struct sockaddr_any address_of(const struct name *name, struct in_addr addr)
{
	/* Each slot of a name is configured with the name's port and no address. */
	const struct config_pool *pool = &name->resolver->config->pools[name->pool];
	struct sockaddr_any made = pool->backends[name->config->first].addr; /* its port */

	made.in.sin_addr = addr;
	return made;
}

static bool is_elsewhere(const struct name *name, const struct sockaddr_any *addr)
{
	const struct config_name *config = name->config;
	const struct resolver *resolver = name->resolver;
	struct sockaddr_any other;

	for (size_t i = 0; i < resolver->config->pools[name->pool].n_backends; i++) {
		if (i >= config->first && i < config->first + config->n)
			continue;
		if (pool_state_address(resolver->state, name->pool, i, &other) &&
			sockaddr_equal(&other, addr))
			return true;
	}
	return false;
}

static const char *flaw_of(const struct name *name, const struct sockaddr_any *addr)
{
	const struct resolver *resolver = name->resolver;

	if (!config_is_unicast(addr))
		return "no server can have it";
	if (config_takes(resolver->config, name->pool, addr) &&
		own_address_is(&resolver->own, addr))
		return "the gateway itself is there";
	if (is_elsewhere(name, addr))
		return "the pool has it already";
	return NULL;
}

/* Keeps those that will do; returns how many. */
static size_t sift(struct name *name, struct in_addr *addrs, size_t n)
{
	char text[SOCKADDR_TEXT_MAX];
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct sockaddr_any addr = address_of(name, addrs[i]);
		const char *flaw = flaw_of(name, &addr);

		if (!flaw) {
			addrs[kept++] = addrs[i];
			continue;
		}
		name->resolver->refused++;
		if (may_say(name, &name->refused_log))
			log_warning("pool %s: %s: the address %s is left out: %s", pool_name(name),
				name->config->host, sockaddr_format_host(&addr, text), flaw);
	}
	return kept;
}

/* ---- an answer ---- */

static void read_slots(const struct name *name, struct name_slot *slots)
{
	const struct resolver *resolver = name->resolver;

	for (size_t i = 0; i < name->config->n; i++) {
		size_t backend = name->config->first + i;
		struct sockaddr_any addr;

		slots[i] = (struct name_slot){
			.there = pool_state_address(resolver->state, name->pool, backend, &addr),
			.live = pool_state_live(resolver->state, name->pool, backend),
		};
		if (sockaddr_family(&addr) == AF_INET)
			slots[i].addr = addr.in.sin_addr;
	}
}

/* Those that go first, so that no address is in two slots. Returns how many came or went. */
static size_t write_slots(const struct name *name, const struct name_slot *slots)
{
	const struct resolver *resolver = name->resolver;
	const uint64_t now_ms = resolver->loop->now_ms;
	bool checked = resolver->config->pools[name->pool].check.type != CONFIG_CHECK_NONE;
	size_t n = 0;

	for (size_t i = 0; i < name->config->n; i++) {
		if (slots[i].change == NAME_SLOT_SAME)
			continue;
		pool_state_set_address(
			resolver->state, name->pool, name->config->first + i, NULL, false, now_ms);
		n++;
	}
	for (size_t i = 0; i < name->config->n; i++) {
		struct sockaddr_any addr = address_of(name, slots[i].addr);

		if (slots[i].change == NAME_SLOT_NEW)
			pool_state_set_address(resolver->state, name->pool, name->config->first + i,
				&addr, !checked, now_ms);
	}
	return n;
}

/* "192.0.2.1, 192.0.2.2 and 5 more" */
static const char *list_slots(const struct name_slot *slots, size_t n_slots, char text[TEXT_MAX])
{
	char one[SOCKADDR_TEXT_MAX];
	size_t len = 0, more = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n_slots; i++) {
		struct sockaddr_any addr = { .in = { .sin_family = AF_INET,
						     .sin_addr = slots[i].addr } };

		if (!slots[i].there)
			continue;
		if (len > TEXT_MAX - 40) {
			more++;
			continue;
		}
		len += (size_t)snprintf(text + len, TEXT_MAX - len, "%s%s", len ? ", " : "",
			sockaddr_format_host(&addr, one));
	}
	if (more)
		snprintf(text + len, TEXT_MAX - len, " and %zu more", more);
	return text;
}

/* If it may not be said now, it is with a later answer. */
static void say_addresses(struct name *name, const struct name_slot *slots)
{
	char text[TEXT_MAX];

	name->unsaid = !may_say(name, &name->log);
	if (!name->unsaid)
		log_info("pool %s: %s is at %s", pool_name(name), name->config->host,
			list_slots(slots, name->config->n, text));
}

static void take_addresses(struct name *name, struct in_addr *addrs, size_t n)
{
	struct name_slot slots[CONFIG_NAME_ADDRESSES_MAX];
	struct resolver *resolver = name->resolver;
	size_t left_out, changed;

	assert(name->config->n <= CONFIG_NAME_ADDRESSES_MAX);
	read_slots(name, slots);
	left_out = name_merge(slots, name->config->n, addrs, &n);
	changed = write_slots(name, slots);
	resolver->changed += changed;
	resolver->left_out += left_out;
	if (n && (changed || name->unsaid))
		say_addresses(name, slots);
	if (changed && n == 0)
		log_warning(
			"pool %s: %s has no address any more", pool_name(name), name->config->host);
	if (left_out && may_say(name, &name->left_out_log))
		log_warning("pool %s: %s has %zu addresses, of which %zu are left out: write "
			    "addresses = %zu, up to %u",
			pool_name(name), name->config->host, n, left_out, n,
			CONFIG_NAME_ADDRESSES_MAX);
}

/* ---- the next question ---- */

/* A tenth more, at most: what is asked for earlier may still be what was answered before. */
static uint32_t jittered(uint32_t ms)
{
	uint16_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		return ms;
	return ms + (uint32_t)((uint64_t)random * (ms / 10) / UINT16_MAX);
}

static void ask_again(struct name *name, uint64_t ms)
{
	const struct config_resolve *config = &name->resolver->config->resolve;

	if (ms > config->interval_max_ms)
		ms = config->interval_max_ms;
	if (ms < config->interval_min_ms)
		ms = config->interval_min_ms;
	loop_timer_set(name->resolver->loop, &name->timer,
		name->resolver->loop->now_ms + jittered((uint32_t)ms));
}

/* Twice as late each time, but no later than that if the configuration lets it. */
static void retry(struct name *name, uint64_t latest_ms)
{
	uint64_t ms = name->resolver->config->resolve.interval_min_ms;

	ms <<= name->retries < 8 ? name->retries : 8;
	name->retries++;
	ask_again(name, ms < latest_ms ? ms : latest_ms);
}

static void not_answered(struct name *name, const char *reason)
{
	struct resolver *resolver = name->resolver;
	unsigned more = 0;

	resolver->unanswered++;
	if (!name->unanswered && log_allowed(&resolver->outage_log, resolver->loop->now_ms, &more))
		log_warning("pool %s: %s cannot be looked up: %s; what is known of it is kept "
			    "(%u more like this)",
			pool_name(name), name->config->host, reason, more);
	name->unanswered = true;
	retry(name, RETRY_MAX_MS);
}

static bool has_addresses(const struct name *name)
{
	struct sockaddr_any addr;

	for (size_t i = 0; i < name->config->n; i++)
		if (pool_state_address(
			    name->resolver->state, name->pool, name->config->first + i, &addr))
			return true;
	return false;
}

static void say_empty(const struct name *name, const char *reason)
{
	const uint32_t hold_ms = name->resolver->config->resolve.hold_ms;
	const char *kept = "";

	if (hold_ms && has_addresses(name))
		kept = hold_ms == CONFIG_HOLD_FOREVER
			       ? "; those that it had are kept"
			       : "; those that it had are kept for the time of hold";
	log_warning("pool %s: %s has no address: %s%s", pool_name(name), name->config->host, reason,
		kept);
}

static void found_empty(struct name *name, const char *reason)
{
	const uint32_t hold_ms = name->resolver->config->resolve.hold_ms;
	const uint64_t now_ms = name->resolver->loop->now_ms;
	uint64_t held_ms;

	name->resolver->empty++;
	if (!name->empty) {
		say_empty(name, reason);
		name->empty_ms = now_ms;
	}
	name->empty = true;
	held_ms = now_ms - name->empty_ms;
	if (hold_ms != CONFIG_HOLD_FOREVER && held_ms >= hold_ms)
		take_addresses(name, NULL, 0);
	retry(name, held_ms < hold_ms && hold_ms - held_ms < RETRY_MAX_MS ? hold_ms - held_ms
									  : RETRY_MAX_MS);
}

static void found(struct name *name, const struct dns_answer *answer, size_t n)
{
	name->retries = 0;
	name->resolver->answered++;
	take_addresses(name, answer->addrs, n);
	if (name->empty)
		log_info("pool %s: %s has addresses again", pool_name(name), name->config->host);
	name->empty = false;
	ask_again(name, (uint64_t)answer->ttl_s * 1000);
}

static void answered_again(struct name *name)
{
	struct resolver *resolver = name->resolver;
	unsigned more = 0;

	name->unanswered = false;
	if (log_allowed(&resolver->outage_end_log, resolver->loop->now_ms, &more))
		log_info("pool %s: %s can be looked up again (%u more like this)", pool_name(name),
			name->config->host, more);
}

static void on_answer(struct dns_query *query, const struct dns_answer *answer)
{
	struct name *name = list_entry(query, struct name, query);
	size_t n;

	if (answer->outcome == DNS_NO_ANSWER) {
		not_answered(name, answer->reason);
		return;
	}
	if (name->unanswered)
		answered_again(name);
	n = answer->outcome == DNS_FOUND ? sift(name, answer->addrs, answer->n_addrs) : 0;
	if (n)
		found(name, answer, n);
	else
		found_empty(name, answer->outcome == DNS_FOUND ? "none that it names will do"
							       : answer->reason);
}

static void on_due(struct timer *timer)
{
	struct name *name = list_entry(timer, struct name, timer);

	dns_ask(name->resolver->dns, &name->query, name->config->host);
}

/* ---- all of them ---- */

/* What is under way at the end. */
static void on_end(struct dns_query *query, const struct dns_answer *answer)
{
	(void)query;
	(void)answer;
}

static void init_name(struct resolver *resolver, size_t pool, const struct config_name *config)
{
	struct name *name = &resolver->names[resolver->n_names];

	*name = (struct name){
		.query.on_answer = on_answer,
		.resolver = resolver,
		.config = config,
		.pool = pool,
	};
	timer_init(&name->timer, on_due);
	loop_timer_set(
		resolver->loop, &name->timer, resolver->loop->now_ms + resolver->n_names / SPREAD);
	resolver->n_names++;
}

static int open_all(struct resolver *resolver, size_t n)
{
	int err;

	resolver->names = calloc(n, sizeof(*resolver->names));
	if (!resolver->names)
		return -ENOMEM;
	err = own_address_open(&resolver->own, AF_INET);
	return err ? err : dns_open(resolver->loop, &resolver->config->resolve, &resolver->dns);
}

int resolver_start(struct loop *loop, const struct config *config, struct pool_state *state,
	struct resolver **ret_resolver)
{
	struct resolver *resolver;
	size_t n = 0;
	int err;

	for (size_t i = 0; i < config->n_pools; i++)
		n += config->pools[i].n_names;
	if (n == 0) {
		*ret_resolver = NULL;
		return 0;
	}
	resolver = calloc(1, sizeof(*resolver));
	if (!resolver)
		return -ENOMEM;
	*resolver = (struct resolver){ .loop = loop, .config = config, .state = state };
	err = open_all(resolver, n);
	if (err) {
		resolver_stop(resolver);
		return err;
	}
	for (size_t i = 0; i < config->n_pools; i++)
		for (size_t k = 0; k < config->pools[i].n_names; k++)
			init_name(resolver, i, &config->pools[i].names[k]);
	*ret_resolver = resolver;
	return 0;
}

void resolver_abandon(struct resolver *resolver)
{
	if (!resolver)
		return;
	dns_abandon(resolver->dns);
	own_address_close(&resolver->own);
}

void resolver_stop(struct resolver *resolver)
{
	if (!resolver)
		return;
	for (size_t i = 0; i < resolver->n_names; i++)
		resolver->names[i].query.on_answer = on_end;
	dns_close(resolver->dns);
	for (size_t i = 0; i < resolver->n_names; i++)
		loop_timer_cancel(resolver->loop, &resolver->names[i].timer);
	own_address_close(&resolver->own);
	free(resolver->names);
	free(resolver);
}

void resolver_log(const struct resolver *resolver)
{
	if (!resolver)
		return;
	log_info("counter names_answered %" PRIu64, resolver->answered);
	log_info("counter names_empty %" PRIu64, resolver->empty);
	log_info("counter names_unanswered %" PRIu64, resolver->unanswered);
	log_info("counter addresses_changed %" PRIu64, resolver->changed);
	log_info("counter addresses_left_out %" PRIu64, resolver->left_out);
	log_info("counter addresses_refused %" PRIu64, resolver->refused);
}
