#include "client_limits.h"

#include <assert.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "hash.h"
#include "shared_count.h"

/*
 * Theory of operation
 *
 * An entry counts what one client, or one address, has with one listener (shared_count.h), and has
 * the time up to which its rate is used up (GCRA: each one moves it on by an interval; it may be
 * ahead of the present by one second's worth). Listeners have an entry each, in front.
 *
 * The table of clients is hashed into buckets of BUCKET entries. An entry whose count is zero and
 * whose time has passed says nothing any more and may become somebody else's: only by the one who
 * has locked the bucket, so that no client ever has two; and only while its count is closed, so
 * that nobody counts in it for its former owner. Finding and counting takes no lock.
 *
 * A bucket is locked for some ten instructions. Who does not get it within LOCK_TRIES, since its
 * owner was put to sleep or is dead, lets the client in untracked; the successor unlocks it.
 *
 * Places are taken from the narrowest limit to the widest, so that nobody is in another's way who
 * would not have failed at the same, or at a wider, limit himself. Rates are used up last, and by
 * those only who are let in.
 *
 * The next image counts anew what is handed over to it; times that have yet to pass go along, under
 * the hashes that they have here.
 *
 * Why GCRA and not a count per second: it is one word, which one compare-and-swap changes, it has
 * no boundary at which twice the rate would pass, and a time that has passed needs no cleaning up.
 *
 * Why a bucket and no chain, or probing further: a look-up reads 16 neighbouring words and ends,
 * whatever strangers have put into the table; the key of the hash is ours, so nobody can aim at a
 * bucket. That one overflows while the table has room is possible, rare, and in the client's
 * favour.
 */
#define BUCKET	    16U
#define BUCKETS	    16384U
#define CLIENTS	    (BUCKET * BUCKETS)
#define LOCK_TRIES  2000U
#define TAKE_TRIES  10000U /* each one that fails is a success of somebody else */
#define SECOND_NS   1000000000U
#define ADDRESS_KEY 2U /* beside the family, so that the two kinds are never equal */

struct entry {
	uint64_t key; /* 0: nobody's */
	uint64_t used_ns;
};

struct client_limits {
	size_t n_workers, n_listeners;
	struct hash_key hash;
	uint32_t *names;	     /* of listeners, what stands for them in a hash */
	struct shared_count *counts; /* one per entry */
	struct entry *entries;	     /* the listeners', then the clients' */
	uint32_t *locks;	     /* of buckets: the worker that has it, plus one */
};

static size_t entries_size(size_t n_listeners)
{
	return (n_listeners + CLIENTS) * sizeof(struct entry) + BUCKETS * sizeof(uint32_t);
}

struct client_limits *client_limits_create(size_t n_workers, size_t n_listeners)
{
	struct client_limits *limits = calloc(1, sizeof(*limits));
	void *shared;

	if (!limits)
		return NULL;
	limits->n_workers = n_workers;
	limits->n_listeners = n_listeners;
	limits->names = calloc(n_listeners + 1, sizeof(*limits->names));
	for (size_t i = 0; limits->names && i < n_listeners; i++)
		limits->names[i] = (uint32_t)i;
	limits->counts = shared_count_create(n_workers, n_listeners + CLIENTS);
	shared = mmap(NULL, entries_size(n_listeners), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (shared != MAP_FAILED) {
		limits->entries = shared;
		limits->locks = (uint32_t *)(void *)(limits->entries + n_listeners + CLIENTS);
	}
	if (!limits->names || !limits->counts || !limits->entries ||
		hash_key_init(&limits->hash) < 0) {
		client_limits_destroy(limits);
		return NULL;
	}
	return limits;
}

void client_limits_destroy(struct client_limits *limits)
{
	if (!limits)
		return;
	shared_count_destroy(limits->counts);
	if (limits->entries)
		munmap(limits->entries, entries_size(limits->n_listeners));
	free(limits->names);
	free(limits);
}

static bool limits_clients(const struct config_limits *config)
{
	return config->max_per_client || config->rate_per_client;
}

static bool limits_addresses(const struct config_limits *config)
{
	return config->max_per_address || config->rate_per_address;
}

bool client_limits_needed(const struct config *config)
{
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct config_limits *limits = &config->listeners[i].limits;

		if (limits->max || limits->rate || limits_clients(limits) ||
			limits_addresses(limits))
			return true;
	}
	return false;
}

/* ---- the table ---- */

static uint64_t key_of(const struct client_limits *limits, size_t listener,
	const struct sockaddr_any *client, bool whole)
{
	bool v4 = sockaddr_family(client) == AF_INET;
	uint8_t data[21] = { 0 };
	uint64_t key;

	data[0] = (uint8_t)(v4 | (whole ? ADDRESS_KEY : 0U));
	if (v4)
		memcpy(data + 1, &client->in.sin_addr, 4);
	else
		memcpy(data + 1, &client->in6.sin6_addr, whole ? 16 : 8);
	memcpy(data + 17, &limits->names[listener], 4);
	key = hash_bytes(&limits->hash, data, sizeof(data));
	return key ? key : 1;
}

static uint64_t key_at(const struct client_limits *limits, size_t at)
{
	return __atomic_load_n(&limits->entries[at].key, __ATOMIC_SEQ_CST);
}

static uint64_t used_at(const struct client_limits *limits, size_t at)
{
	return __atomic_load_n(&limits->entries[at].used_ns, __ATOMIC_SEQ_CST);
}

static void set_key(struct client_limits *limits, size_t at, uint64_t key)
{
	__atomic_store_n(&limits->entries[at].key, key, __ATOMIC_SEQ_CST);
}

static size_t bucket_of(uint64_t key)
{
	return key % BUCKETS;
}

static size_t first_of(const struct client_limits *limits, size_t bucket)
{
	assert(bucket < BUCKETS);
	return limits->n_listeners + bucket * BUCKET;
}

/* -1: there is none. */
static int64_t find(const struct client_limits *limits, uint64_t key)
{
	size_t first = first_of(limits, bucket_of(key));

	for (size_t at = first; at < first + BUCKET; at++)
		if (key_at(limits, at) == key)
			return (int64_t)at;
	return -1;
}

static bool lock(struct client_limits *limits, size_t worker, size_t bucket)
{
	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		uint32_t nobody = 0;

		if (__atomic_compare_exchange_n(&limits->locks[bucket], &nobody,
			    (uint32_t)worker + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return true;
		sched_yield();
	}
	return false;
}

/* Only by its owner, or by that one's successor. */
static void unlock(struct client_limits *limits, size_t bucket)
{
	assert(__atomic_load_n(&limits->locks[bucket], __ATOMIC_SEQ_CST) != 0);
	__atomic_store_n(&limits->locks[bucket], 0, __ATOMIC_SEQ_CST);
}

/* Makes an entry that says nothing any more the key's. -1: all are in use. */
static int64_t take_over(struct client_limits *limits, size_t worker, uint64_t key, uint64_t now_ns)
{
	size_t first = first_of(limits, bucket_of(key));

	for (size_t at = first; at < first + BUCKET; at++) {
		uint64_t look = shared_count_look(limits->counts, at);

		/*
		 * Closing fails unless the count is zero and still as it was looked at: who counts
		 * himself in between keeps his entry, and we look further.
		 */
		if (used_at(limits, at) > now_ns ||
			!shared_count_close(limits->counts, worker, at, look))
			continue;
		set_key(limits, at, key);
		shared_count_open(limits->counts, worker, at);
		return (int64_t)at;
	}
	return -1;
}

static int64_t find_or_make(
	struct client_limits *limits, size_t worker, uint64_t key, uint64_t now_ns)
{
	size_t bucket = bucket_of(key);
	int64_t at = find(limits, key);

	if (at >= 0 || !lock(limits, worker, bucket))
		return at;
	/* Another may have made it while we waited for the lock: no key must be there twice. */
	at = find(limits, key);
	if (at < 0)
		at = take_over(limits, worker, key, now_ns);
	unlock(limits, bucket);
	return at;
}

/* One more of the key. ret_slot: its entry plus one; 0: the table is too full. */
static bool count(struct client_limits *limits, size_t worker, uint64_t key, uint32_t max,
	uint64_t now_ns, uint32_t *ret_slot)
{
	for (unsigned i = 0; i < TAKE_TRIES; i++) {
		int64_t found = find_or_make(limits, worker, key, now_ns);
		size_t at = (size_t)found;
		enum shared_count_taken taken;
		uint64_t look;

		if (found < 0)
			break;
		/*
		 * The count is looked at before the key: if the entry passes to somebody else after
		 * that, it was closed and opened in between, and taking from this look fails.
		 */
		look = shared_count_look(limits->counts, at);
		if (shared_count_is_closed(look) || key_at(limits, at) != key)
			continue;
		taken = shared_count_take_from(limits->counts, worker, at, max, look);
		if (taken == SHARED_COUNT_TAKEN) {
			*ret_slot = (uint32_t)at + 1;
			return true;
		}
		/* Full it was with this key only if nothing has changed in between. */
		if (taken == SHARED_COUNT_FULL && shared_count_look(limits->counts, at) == look)
			return false;
	}
	*ret_slot = 0;
	return true;
}

void client_limits_recover(struct client_limits *limits, size_t worker)
{
	shared_count_recover(limits->counts, worker);
	for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
		size_t first = first_of(limits, bucket);

		if (__atomic_load_n(&limits->locks[bucket], __ATOMIC_SEQ_CST) != worker + 1)
			continue;
		/* It died between closing and opening: whose entry it was to be is not known. */
		for (size_t at = first; at < first + BUCKET; at++)
			if (shared_count_is_closed(shared_count_look(limits->counts, at))) {
				set_key(limits, at, 0);
				shared_count_open(limits->counts, worker, at);
			}
		unlock(limits, bucket);
	}
}

/* ---- rates ---- */

/* Rounded up, so that no second has one too many. */
static uint64_t interval_ns(uint32_t rate)
{
	assert(rate > 0);
	return (SECOND_NS + (uint64_t)rate - 1) / rate;
}

static bool rate_allows(
	const struct client_limits *limits, size_t at, uint32_t rate, uint64_t now_ns)
{
	return rate == 0 || used_at(limits, at) < now_ns + SECOND_NS;
}

/* False: another worker was quicker, and there is nothing left. */
static bool rate_use(struct client_limits *limits, size_t at, uint32_t rate, uint64_t now_ns)
{
	uint64_t used, next, *used_ns;

	if (rate == 0)
		return true;
	used_ns = &limits->entries[at].used_ns;
	used = __atomic_load_n(used_ns, __ATOMIC_SEQ_CST);
	do {
		if (used >= now_ns + SECOND_NS)
			return false;
		next = (used > now_ns ? used : now_ns) + interval_ns(rate);
	} while (!__atomic_compare_exchange_n(
		used_ns, &used, next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return true;
}

/*
 * What was used is not needed after all. A subtraction, not the old value put back: others may have
 * used theirs meanwhile. The entry is ours to change, as our place counts in it.
 */
static void rate_return(struct client_limits *limits, size_t at, uint32_t rate)
{
	if (rate)
		__atomic_sub_fetch(
			&limits->entries[at].used_ns, interval_ns(rate), __ATOMIC_SEQ_CST);
}

/* ---- from image to image ---- */

const struct hash_key *client_limits_hash(const struct client_limits *limits)
{
	return &limits->hash;
}

void client_limits_set_hash(struct client_limits *limits, const struct hash_key *key)
{
	limits->hash = *key;
}

static bool is_name_of_another(const struct client_limits *limits, size_t listener, uint32_t hash)
{
	for (size_t i = 0; i < limits->n_listeners; i++)
		if (i != listener && limits->names[i] == hash)
			return true;
	return false;
}

/*
 * Hashed with a key of zeros and not with ours: the next image has a name's number before it has
 * our key, and nobody outside chooses names of listeners.
 */
void client_limits_set_name(struct client_limits *limits, size_t listener, const char *name)
{
	static const struct hash_key key = { { 0 } };
	uint32_t hash = (uint32_t)hash_bytes(&key, name, strlen(name));

	assert(listener < limits->n_listeners);
	while (is_name_of_another(limits, listener, hash))
		hash++;
	limits->names[listener] = hash;
}

bool client_limits_next_rate(const struct client_limits *limits, size_t *at, uint64_t now_us,
	struct client_rate *ret_rate)
{
	for (; *at < limits->n_listeners + CLIENTS; (*at)++) {
		bool own = *at < limits->n_listeners;
		uint64_t used_ns = used_at(limits, *at), key = own ? 0 : key_at(limits, *at);

		if (used_ns <= now_us * 1000 || (!own && key == 0))
			continue;
		*ret_rate = (struct client_rate){ key, own ? (uint16_t)*at : 0, used_ns };
		(*at)++;
		return true;
	}
	return false;
}

void client_limits_set_rate(
	struct client_limits *limits, const struct client_rate *rate, uint64_t now_us)
{
	const uint64_t now_ns = now_us * 1000;
	int64_t at = rate->listener;

	/* One second's worth, and an interval, which is no longer than that. */
	if (rate->used_ns <= now_ns || rate->used_ns - now_ns > 2ULL * SECOND_NS)
		return;
	if (rate->key)
		at = find_or_make(limits, 0, rate->key, now_ns);
	else if (rate->listener >= limits->n_listeners)
		return;
	if (at >= 0)
		__atomic_store_n(&limits->entries[at].used_ns, rate->used_ns, __ATOMIC_SEQ_CST);
}

/* ---- the whole ---- */

struct asked {
	struct client_limits *limits;
	size_t worker, listener;
	const struct config_limits *config;
	uint64_t now_ns;
};

/* The rates of those that the place has entries of; the others have none. */
static uint32_t rate_of(const struct config_limits *config, const struct client_place *place,
	enum client_verdict verdict)
{
	if (verdict == CLIENT_ADDRESS_RATE)
		return place->address ? config->rate_per_address : 0;
	if (verdict == CLIENT_RATE)
		return place->client ? config->rate_per_client : 0;
	return config->rate;
}

static size_t entry_of(const struct client_place *place, enum client_verdict verdict)
{
	if (verdict == CLIENT_ADDRESS_RATE)
		return (size_t)place->address - 1;
	return verdict == CLIENT_RATE ? (size_t)place->client - 1 : place->listener;
}

static const enum client_verdict rates[] = { CLIENT_ADDRESS_RATE, CLIENT_RATE,
	CLIENT_LISTENER_RATE };
#define RATES (sizeof(rates) / sizeof(rates[0]))

static enum client_verdict use_rates(const struct asked *asked, const struct client_place *place)
{
	for (size_t i = 0; i < RATES; i++) {
		uint32_t rate = rate_of(asked->config, place, rates[i]);

		if (rate_use(asked->limits, entry_of(place, rates[i]), rate, asked->now_ns))
			continue;
		for (size_t k = 0; k < i; k++)
			rate_return(asked->limits, entry_of(place, rates[k]),
				rate_of(asked->config, place, rates[k]));
		return rates[i];
	}
	return CLIENT_OK;
}

static enum client_verdict take(
	const struct asked *asked, const struct sockaddr_any *client, struct client_place *place)
{
	const struct config_limits *config = asked->config;
	struct client_limits *limits = asked->limits;
	bool addresses = limits_addresses(config), clients = limits_clients(config);

	if (addresses &&
		!count(limits, asked->worker, key_of(limits, asked->listener, client, true),
			config->max_per_address, asked->now_ns, &place->address))
		return CLIENT_ADDRESS_FULL;
	if (clients && !count(limits, asked->worker, key_of(limits, asked->listener, client, false),
			       config->max_per_client, asked->now_ns, &place->client))
		return CLIENT_FULL;
	/*
	 * Rates are looked at before the listener is counted and used after: so who is over his own
	 * rate takes no place of the listener's, not even for a moment.
	 */
	place->untracked = (addresses && !place->address) || (clients && !place->client);
	for (size_t i = 0; i < RATES; i++) {
		uint32_t rate = rate_of(config, place, rates[i]);

		if (rate && !rate_allows(limits, entry_of(place, rates[i]), rate, asked->now_ns))
			return rates[i];
	}
	if (config->max) {
		if (!shared_count_take(limits->counts, asked->worker, asked->listener, config->max))
			return CLIENT_LISTENER_FULL;
		place->counted = true;
	}
	return use_rates(asked, place);
}

enum client_verdict client_limits_take(struct client_limits *limits, size_t worker, size_t listener,
	const struct config_limits *config, const struct sockaddr_any *client, uint64_t now_us,
	struct client_place *ret_place)
{
	const struct asked asked = { limits, worker, listener, config, now_us * 1000 };
	struct client_place place = { .listener = (uint16_t)listener, .held = true };
	enum client_verdict verdict;

	assert(worker < limits->n_workers && listener < limits->n_listeners);
	verdict = take(&asked, client, &place);
	if (verdict == CLIENT_OK)
		*ret_place = place;
	else
		client_limits_give(limits, worker, &place);
	return verdict;
}

void client_limits_give(struct client_limits *limits, size_t worker, struct client_place *place)
{
	assert(place->held || (!place->counted && !place->client && !place->address));
	if (place->counted)
		shared_count_give(limits->counts, worker, place->listener);
	if (place->client)
		shared_count_give(limits->counts, worker, place->client - 1);
	if (place->address)
		shared_count_give(limits->counts, worker, place->address - 1);
	*place = (struct client_place){ 0 };
}
