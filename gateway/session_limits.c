#include "session_limits.h"

#include <string.h>
#include <sys/mman.h>

#include "hash.h"

/*
 * Theory of operation
 *
 * An entry counts the sessions of one client, a column per worker, and holds the time up to which
 * its rate is used up (GCRA: every session moves it on by one interval; it may be ahead of the
 * present by one second's worth). Only the owner of a column changes it, so that a count is as
 * right as its worker; the sum is looked at after one's own place is taken, so that two workers
 * cannot both take the last one.
 *
 * The table of clients is hashed, with a short search. An entry whose counts are zero and whose
 * time has passed says nothing any more and is taken over. While that happens another worker may
 * count in it for its former client; it looks at the key once more after counting and takes that
 * back.
 */
#define CLIENTS_BITS 16U
#define CLIENTS	     (1U << CLIENTS_BITS)
#define PROBES	     16U
#define SECOND_NS    1000000000U

struct entry {
	uint64_t key; /* 0: none */
	uint64_t used_ns;
	uint32_t counts[];
};

struct session_limits {
	size_t n_workers, n_listeners;
	size_t stride, size;
	struct hash_key hash;
	_Alignas(8) uint8_t entries[]; /* the listeners', then the clients' */
};

static struct entry *entry_at(struct session_limits *limits, size_t i)
{
	return (struct entry *)(void *)(limits->entries + i * limits->stride);
}

struct session_limits *session_limits_create(size_t n_workers, size_t n_listeners)
{
	size_t stride = (sizeof(struct entry) + n_workers * sizeof(uint32_t) + 7) & ~(size_t)7;
	size_t size = sizeof(struct session_limits) + (n_listeners + CLIENTS) * stride;
	struct session_limits *limits = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (limits == MAP_FAILED)
		return NULL;
	limits->n_workers = n_workers;
	limits->n_listeners = n_listeners;
	limits->stride = stride;
	limits->size = size;
	if (hash_key_init(&limits->hash) < 0) {
		munmap(limits, size);
		return NULL;
	}
	return limits;
}

void session_limits_destroy(struct session_limits *limits)
{
	if (limits)
		munmap(limits, limits->size);
}

static void add(struct entry *entry, size_t worker, int n)
{
	__atomic_fetch_add(&entry->counts[worker], (uint32_t)n, __ATOMIC_SEQ_CST);
}

static uint64_t sum(const struct session_limits *limits, const struct entry *entry)
{
	uint64_t n = 0;

	for (size_t i = 0; i < limits->n_workers; i++)
		n += __atomic_load_n(&entry->counts[i], __ATOMIC_SEQ_CST);
	return n;
}

void session_limits_clear(struct session_limits *limits, size_t worker)
{
	for (size_t i = 0; i < limits->n_listeners + CLIENTS; i++) {
		struct entry *entry = entry_at(limits, i);

		/* Reading leaves untouched pages unallocated. */
		if (__atomic_load_n(&entry->counts[worker], __ATOMIC_RELAXED))
			__atomic_store_n(&entry->counts[worker], 0, __ATOMIC_SEQ_CST);
	}
}

/* ---- clients ---- */

static uint64_t key_of(
	const struct session_limits *limits, size_t listener, const struct sockaddr_any *client)
{
	uint8_t data[13] = { 0 };
	uint64_t key;

	data[0] = sockaddr_family(client) == AF_INET;
	if (data[0])
		memcpy(data + 1, &client->in.sin_addr, 4);
	else
		memcpy(data + 1, &client->in6.sin6_addr, 8);
	memcpy(data + 9, &(uint32_t){ (uint32_t)listener }, 4);
	key = hash_bytes(&limits->hash, data, sizeof(data));
	return key ? key : 1;
}

static bool is_idle(const struct session_limits *limits, const struct entry *entry, uint64_t now_ns)
{
	return __atomic_load_n(&entry->used_ns, __ATOMIC_SEQ_CST) <= now_ns &&
	       sum(limits, entry) == 0;
}

/* The client's entry, which may be one that nobody needs any more; -1: there is none. */
static int64_t find_client(struct session_limits *limits, uint64_t key, uint64_t now_ns)
{
	for (unsigned i = 0; i < PROBES; i++) {
		size_t at = limits->n_listeners + ((key + i) & (CLIENTS - 1));

		if (__atomic_load_n(&entry_at(limits, at)->key, __ATOMIC_SEQ_CST) == key)
			return (int64_t)at;
	}
	for (unsigned i = 0; i < PROBES; i++) {
		size_t at = limits->n_listeners + ((key + i) & (CLIENTS - 1));
		struct entry *entry = entry_at(limits, at);
		uint64_t old = __atomic_load_n(&entry->key, __ATOMIC_SEQ_CST);

		if (is_idle(limits, entry, now_ns) &&
			__atomic_compare_exchange_n(
				&entry->key, &old, key, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return (int64_t)at;
	}
	return -1;
}

/* Takes a place in the client's entry before looking whether there was one. */
static struct entry *count_client(struct session_limits *limits, size_t worker, uint64_t key,
	uint64_t now_ns, uint32_t *ret_slot)
{
	for (int tries = 0; tries < 4; tries++) {
		int64_t at = find_client(limits, key, now_ns);
		struct entry *entry;

		if (at < 0)
			break;
		entry = entry_at(limits, (size_t)at);
		add(entry, worker, 1);
		if (__atomic_load_n(&entry->key, __ATOMIC_SEQ_CST) == key) {
			*ret_slot = (uint32_t)at;
			return entry;
		}
		add(entry, worker, -1);
	}
	*ret_slot = SESSION_NO_SLOT;
	return NULL;
}

/* ---- rates ---- */

static bool rate_allows(const struct entry *entry, uint32_t rate, uint64_t now_ns)
{
	uint64_t used = __atomic_load_n(&entry->used_ns, __ATOMIC_SEQ_CST);

	return rate == 0 || used < now_ns + SECOND_NS;
}

/* False: another worker was quicker, and there is nothing left. */
static bool rate_use(struct entry *entry, uint32_t rate, uint64_t now_ns)
{
	uint64_t used = __atomic_load_n(&entry->used_ns, __ATOMIC_SEQ_CST), next;

	if (rate == 0)
		return true;
	do {
		if (used >= now_ns + SECOND_NS)
			return false;
		next = (used > now_ns ? used : now_ns) + SECOND_NS / rate;
	} while (!__atomic_compare_exchange_n(
		&entry->used_ns, &used, next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return true;
}

/* ---- the whole ---- */

static enum session_verdict judge(const struct session_limits *limits, struct entry *listener,
	struct entry *client, const struct config_sessions *config, uint64_t now_ns)
{
	if (client && config->max_per_client && sum(limits, client) > config->max_per_client)
		return SESSION_CLIENT_FULL;
	if (client && !rate_allows(client, config->rate_per_client, now_ns))
		return SESSION_CLIENT_RATE;
	if (!rate_allows(listener, config->rate, now_ns))
		return SESSION_RATE;
	if (config->max && sum(limits, listener) > config->max)
		return SESSION_FULL;
	if (client && !rate_use(client, config->rate_per_client, now_ns))
		return SESSION_CLIENT_RATE;
	return rate_use(listener, config->rate, now_ns) ? SESSION_OK : SESSION_RATE;
}

enum session_verdict session_limits_take(struct session_limits *limits, size_t worker,
	size_t listener, const struct config_sessions *config, const struct sockaddr_any *client,
	uint64_t now_us, uint32_t *ret_slot)
{
	struct entry *all = entry_at(limits, listener), *own;
	uint64_t now_ns = now_us * 1000;
	enum session_verdict verdict;
	uint32_t slot;

	own = count_client(limits, worker, key_of(limits, listener, client), now_ns, &slot);
	add(all, worker, 1);
	verdict = judge(limits, all, own, config, now_ns);
	if (verdict == SESSION_OK)
		*ret_slot = slot;
	else
		session_limits_give(limits, worker, listener, slot);
	return verdict;
}

void session_limits_give(
	struct session_limits *limits, size_t worker, size_t listener, uint32_t slot)
{
	add(entry_at(limits, listener), worker, -1);
	if (slot != SESSION_NO_SLOT)
		add(entry_at(limits, slot), worker, -1);
}
