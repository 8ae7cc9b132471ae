#include "who.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

/*
 * Theory of operation
 *
 *  never used ──begin──► live ──end──► ended ──begin of another, entries later──► live
 *
 * A slot is written whole once for each flow, and its end is one store more. Slots that have never
 * been used are taken in their order as long as fewer than "entries" have ended; from then on the
 * one that ended first is used again. There are slots for all flows and for "entries" besides, but
 * only those that were ever needed at a time, rounded up to FRESH, cost memory. Which has ended
 * when is known to the worker alone, in a list; a successor makes that anew from the times.
 *
 * Each slot has one writer, but for the word by which the supervisor dooms a flow. Its sequence is
 * odd while it is written, and readers that have seen it change look again. The keys, eight bytes
 * each, lie apart, so that a reader can walk all of them: a key says which entry is worth a look,
 * and the entry says whether it is the right one. Unique ids lie apart, too: where there are none,
 * their memory is never touched.
 *
 * A worker that is killed while it writes leaves an odd sequence; who_bury() clears such a slot, so
 * that nothing half-written is ever told.
 *
 * A worker's part of the memory, from a page's beginning on:
 *
 *  [used] [key of each slot] [slots] [unique id of each slot]
 *
 * A key is never 0, as it has the protocol in it: where it is 0, nothing was written, or nothing
 * that was whole.
 *
 * The end of a flow does not change the sequence, as it is one store that cannot be half done. The
 * supervisor dooms a flow by writing its slot's sequence beside it: that can only hit the flow that
 * was found, since whoever has the slot next has another sequence, and so the word is never taken
 * back.
 */
#define READ_TRIES 1000U /* a writer that takes longer than that has been stopped */
#define PAGE	   4096U
#define FRESH	   256U /* slots whose memory is asked for together */

struct slot {
	uint32_t sequence;
	uint16_t listener;
	uint8_t id_len;
	uint64_t began_us;
	uint64_t ended_us; /* 0: live */
	uint32_t source, backend;
	uint16_t source_port, backend_port; /* like the addresses in network order */
	struct sockaddr_any client;
	struct sockaddr_any local;
	uint32_t doomed; /* the sequence of a flow that is to end; written by the supervisor */
};

struct table {
	uint32_t used; /* slots that have ever been */
};

struct who {
	const struct config *config;
	size_t n_workers;
	size_t n_slots; /* of each */
	size_t size;	/* of a worker's part, bytes */
	char *memory;
};

/* ---- memory ---- */

static size_t keys_at(void)
{
	return sizeof(uint64_t);
}

static size_t slots_at(const struct who *who)
{
	return (keys_at() + who->n_slots * sizeof(uint64_t) + 63) & ~(size_t)63;
}

static struct table *table_of(const struct who *who, size_t worker)
{
	return (struct table *)(void *)(who->memory + worker * who->size);
}

static uint64_t *key_of(const struct who *who, size_t worker, size_t i)
{
	return (uint64_t *)(void *)(who->memory + worker * who->size + keys_at()) + i;
}

static struct slot *slot_of(const struct who *who, size_t worker, size_t i)
{
	return (struct slot *)(void *)(who->memory + worker * who->size + slots_at(who)) + i;
}

static size_t ids_at(const struct who *who)
{
	return slots_at(who) + who->n_slots * sizeof(struct slot);
}

static uint8_t *id_of(const struct who *who, size_t worker, size_t i)
{
	return (uint8_t *)who->memory + worker * who->size + ids_at(who) + i * WHO_ID_MAX;
}

/* A worker that went mad may have written anything. */
static uint32_t used_of(const struct who *who, size_t worker)
{
	uint32_t used = __atomic_load_n(&table_of(who, worker)->used, __ATOMIC_ACQUIRE);

	return used <= who->n_slots ? used : (uint32_t)who->n_slots;
}

/* No more than a worker can have: what is never used takes no memory, but address space. */
static size_t flows_of_worker(const struct config *config)
{
	size_t flows = config->max_flows ? config->max_flows : WHO_FLOWS_MAX;
	struct rlimit limit;

	if (flows > WHO_FLOWS_MAX)
		flows = WHO_FLOWS_MAX;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < flows)
		flows = limit.rlim_cur;
	return flows;
}

static struct who *make(const struct config *config, size_t n_workers)
{
	struct who *who = calloc(1, sizeof(*who));
	void *memory;

	if (!who)
		return NULL;
	who->config = config;
	who->n_workers = n_workers;
	who->n_slots = flows_of_worker(config) + config->who.entries;
	who->size = (ids_at(who) + who->n_slots * WHO_ID_MAX + PAGE - 1) & ~(size_t)(PAGE - 1);
	memory = mmap(NULL, n_workers * who->size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED) {
		free(who);
		return NULL;
	}
	who->memory = memory;
	return who;
}

struct who *who_create(const struct config *config, size_t n_workers)
{
	struct who *who = config->who.entries ? make(config, n_workers) : NULL;

	if (!who && config->who.entries)
		log_warning("who: no memory for %u entries of each worker: it is switched off; "
			    "lower 'entries' in the section 'who'",
			config->who.entries);
	return who;
}

void who_destroy(struct who *who)
{
	if (!who)
		return;
	munmap(who->memory, who->n_workers * who->size);
	free(who);
}

static uint64_t make_key(uint32_t addr, uint16_t port, uint8_t protocol)
{
	return (uint64_t)addr << 32 | (uint64_t)port << 16 | protocol;
}

/* ---- the worker ---- */

static void append_ended(struct who_writer *writer, uint32_t i)
{
	if (writer->n_ended++ == 0)
		writer->oldest = i;
	else
		writer->next[writer->newest] = i;
	writer->newest = i;
}

struct left {
	uint64_t ended_us;
	uint32_t i;
};

static int compare_left(const void *a, const void *b)
{
	const struct left *x = a, *y = b;

	return (x->ended_us > y->ended_us) - (x->ended_us < y->ended_us);
}

static int take_over(struct who_writer *writer)
{
	uint32_t used = used_of(writer->who, writer->worker);
	struct left *left = calloc(used + 1U, sizeof(*left));

	if (!left)
		return -ENOMEM;
	for (uint32_t i = 0; i < used; i++)
		left[i] = (struct left){ slot_of(writer->who, writer->worker, i)->ended_us, i };
	qsort(left, used, sizeof(*left), compare_left);
	for (uint32_t i = 0; i < used; i++)
		append_ended(writer, left[i].i);
	free(left);
	return 0;
}

int who_writer_init(struct who_writer *writer, struct who *who, size_t worker, struct stats *stats)
{
	int err;

	*writer = (struct who_writer){ .who = who, .worker = worker, .stats = stats };
	if (!who)
		return 0;
	writer->next = calloc(who->n_slots, sizeof(*writer->next));
	err = writer->next ? take_over(writer) : -ENOMEM;
	if (err)
		who_writer_destroy(writer);
	return err;
}

void who_writer_destroy(struct who_writer *writer)
{
	free(writer->next);
	writer->next = NULL;
	writer->who = NULL;
}

/* What stood in the slot is forgotten, perhaps too early. */
static void count_overwritten(struct who_writer *writer, const struct slot *slot, uint64_t now_us)
{
	const struct config_who *config = &writer->who->config->who;
	/* The wall clock may have been set back meanwhile. */
	uint64_t age_us = now_us > slot->ended_us ? now_us - slot->ended_us : 0;
	unsigned suppressed = 0;

	if (age_us >= config->keep_ms * UINT64_C(1000))
		return;
	stats_add(writer->stats, STATS_WHO_OVERWRITTEN, 1);
	if (log_allowed(&writer->overwritten_log, now_us / 1000, &suppressed))
		log_warning("who: an entry is overwritten %llu s after its end, before 'keep' is "
			    "over: raise 'entries', %u now (%u more like this)",
			(unsigned long long)(age_us / 1000000U), config->entries, suppressed);
}

/* Of memory that holds nothing yet. */
static void touch(void *memory, size_t len)
{
	uint8_t *bytes = memory;

	for (size_t at = 0; at < len; at += PAGE)
		__atomic_store_n(&bytes[at], 0, __ATOMIC_RELAXED);
	__atomic_store_n(&bytes[len - 1], 0, __ATOMIC_RELAXED);
}

/*
 * The kernel's way to a fresh page is long, and cold again after every few connections: to take it
 * for a dozen of pages at a time costs a fraction.
 */
static void touch_fresh(const struct who *who, size_t worker, size_t first, bool ids)
{
	size_t n = who->n_slots - first < FRESH ? who->n_slots - first : FRESH;

	touch(key_of(who, worker, first), n * sizeof(uint64_t));
	touch(slot_of(who, worker, first), n * sizeof(struct slot));
	if (ids)
		touch(id_of(who, worker, first), n * WHO_ID_MAX);
}

/*
 * A slot that may be written; -1: none is left.
 *
 * "used" is raised before the slot is written: one that is killed in between leaves a slot without
 * a key, which who_bury() finds, and not one that is written and that nobody would look at.
 */
static int64_t take_slot(struct who_writer *writer, bool has_id, uint64_t now_us)
{
	struct who *who = writer->who;
	struct table *table = table_of(who, writer->worker);
	uint32_t i = table->used;

	if (writer->n_ended < who->config->who.entries && i < who->n_slots) {
		if (i % FRESH == 0)
			touch_fresh(who, writer->worker, i, has_id);
		__atomic_store_n(&table->used, i + 1, __ATOMIC_RELEASE);
		return i;
	}
	if (writer->n_ended == 0)
		return -1;
	i = writer->oldest;
	writer->oldest = writer->next[i];
	writer->n_ended--;
	count_overwritten(writer, slot_of(who, writer->worker, i), now_us);
	return i;
}

/*
 * The fence keeps what follows behind the odd sequence, and the store at the end is behind all of
 * it: a reader that has seen the same even sequence before and after has seen one flow.
 */
static void write_slot(
	struct who *who, size_t worker, size_t i, const struct who_entry *entry, uint64_t ended_us)
{
	struct slot *slot = slot_of(who, worker, i);

	__atomic_store_n(&slot->sequence, slot->sequence + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	slot->listener = (uint16_t)(entry->listener - who->config->listeners);
	slot->began_us = entry->began_us;
	__atomic_store_n(&slot->ended_us, ended_us, __ATOMIC_RELAXED);
	slot->source = entry->source.in.sin_addr.s_addr;
	slot->source_port = entry->source.in.sin_port;
	slot->backend = entry->backend.in.sin_addr.s_addr;
	slot->backend_port = entry->backend.in.sin_port;
	slot->id_len = entry->unique_id_len;
	if (entry->unique_id_len > 0)
		memcpy(id_of(who, worker, i), entry->unique_id, entry->unique_id_len);
	slot->client = entry->client;
	slot->local = entry->local;
	__atomic_store_n(key_of(who, worker, i),
		make_key(slot->source, slot->source_port, entry->listener->protocol),
		__ATOMIC_RELAXED);
	__atomic_store_n(&slot->sequence, slot->sequence + 1, __ATOMIC_RELEASE);
}

uint32_t who_begin(struct who_writer *writer, const struct who_entry *entry, uint64_t now_us)
{
	struct who *who = writer->who;
	int64_t i;

	if (!who)
		return 0;
	i = take_slot(writer, entry->unique_id_len > 0, now_us);
	if (i < 0) {
		stats_add(writer->stats, STATS_WHO_UNTRACKED, 1);
		return 0;
	}
	write_slot(who, writer->worker, (size_t)i, entry, 0);
	return (uint32_t)i + 1;
}

bool who_is_doomed(const struct who_writer *writer, uint32_t slot)
{
	const struct slot *there;

	if (slot == 0)
		return false;
	there = slot_of(writer->who, writer->worker, slot - 1);
	return __atomic_load_n(&there->doomed, __ATOMIC_RELAXED) == there->sequence;
}

void who_end(struct who_writer *writer, uint32_t slot, uint64_t now_us)
{
	if (slot == 0)
		return;
	__atomic_store_n(&slot_of(writer->who, writer->worker, slot - 1)->ended_us, now_us,
		__ATOMIC_RELEASE);
	append_ended(writer, slot - 1);
}

/* ---- the supervisor ---- */

void who_bury(struct who *who, size_t worker, uint64_t now_us)
{
	uint32_t used = who ? used_of(who, worker) : 0;

	for (uint32_t i = 0; i < used; i++) {
		struct slot *slot = slot_of(who, worker, i);

		if (slot->sequence % 2 != 0 || *key_of(who, worker, i) == 0) {
			*key_of(who, worker, i) = 0;
			slot->ended_us = 1; /* nothing in it: the first to be used again */
			slot->sequence += slot->sequence % 2;
		} else if (slot->ended_us == 0) {
			slot->ended_us = now_us;
		}
	}
}

/* The slot as one writer has left it; false: none has yet, or it is being written all the time. */
static bool read_slot(const struct who *who, size_t worker, size_t i, struct slot *ret,
	uint8_t ret_id[WHO_ID_MAX])
{
	const struct slot *slot = slot_of(who, worker, i);

	for (unsigned tries = 0; tries < READ_TRIES; tries++) {
		uint32_t before = __atomic_load_n(&slot->sequence, __ATOMIC_ACQUIRE);

		if (before == 0)
			return false; /* it was taken, but never written */
		if (before % 2 != 0)
			continue;
		memcpy(ret, slot, sizeof(*ret));
		if (ret->id_len > 0)
			memcpy(ret_id, id_of(who, worker, i), WHO_ID_MAX);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&slot->sequence, __ATOMIC_RELAXED) == before)
			return true;
	}
	return false;
}

static struct sockaddr_any address_of(uint32_t addr, uint16_t port)
{
	return (struct sockaddr_any){
		.in = { .sin_family = AF_INET, .sin_addr.s_addr = addr, .sin_port = port },
	};
}

static struct who_entry entry_of(const struct who *who, size_t worker, size_t i,
	const struct slot *slot, const uint8_t id[WHO_ID_MAX])
{
	struct who_entry entry = {
		.listener = &who->config->listeners[slot->listener],
		.client = slot->client,
		.local = slot->local,
		.source = address_of(slot->source, slot->source_port),
		.backend = address_of(slot->backend, slot->backend_port),
		.began_us = slot->began_us,
		.ended_us = slot->ended_us,
		.unique_id_len = slot->id_len < WHO_ID_MAX ? slot->id_len : WHO_ID_MAX,
		.worker = (uint16_t)worker,
		.slot = (uint32_t)i,
		.sequence = slot->sequence,
	};

	memcpy(entry.unique_id, id, entry.unique_id_len);
	return entry;
}

/* Its server is this one; family 0: any; port 0: any of that address. */
static bool leads_to(const struct slot *slot, const struct sockaddr_any *backend)
{
	if (sockaddr_family(backend) != AF_INET)
		return true;
	return slot->backend == backend->in.sin_addr.s_addr &&
	       (!backend->in.sin_port || slot->backend_port == backend->in.sin_port);
}

static bool is_meant(const struct who *who, const struct slot *slot, const struct who_query *query)
{
	uint64_t keep_us = who->config->who.keep_ms * UINT64_C(1000);
	bool live = slot->ended_us == 0;

	if (slot->source != query->source.in.sin_addr.s_addr ||
		slot->source_port != query->source.in.sin_port ||
		slot->listener >= who->config->n_listeners)
		return false;
	if (!live && slot->ended_us + keep_us < query->now_us)
		return false;
	if (!leads_to(slot, &query->backend))
		return false;
	return !query->to_us ||
	       (slot->began_us <= query->to_us && (live || slot->ended_us >= query->from_us));
}

/*
 * Puts the entry into its place among n; the last one of max falls out. Good for the few that can
 * have one source; for all that there are who_list() has a heap.
 */
static void insert(struct who_entry *entries, size_t n, size_t max, const struct who_entry *entry)
{
	size_t i = n < max ? n : max;

	while (i > 0 && entries[i - 1].began_us < entry->began_us) {
		if (i < max)
			entries[i] = entries[i - 1];
		i--;
	}
	if (i < max)
		entries[i] = *entry;
}

bool who_next_ended(const struct who *who, size_t *at, uint64_t now_us, struct who_entry *ret)
{
	const uint64_t keep_us = who->config->who.keep_ms * UINT64_C(1000);
	uint8_t id[WHO_ID_MAX];
	struct slot slot;

	while (*at < who->n_workers * who->n_slots) {
		size_t worker = *at / who->n_slots, i = *at % who->n_slots;

		if (i >= used_of(who, worker)) {
			*at = (worker + 1) * who->n_slots;
			continue;
		}
		(*at)++;
		if (!read_slot(who, worker, i, &slot, id) || slot.ended_us == 0 ||
			slot.ended_us + keep_us < now_us ||
			slot.listener >= who->config->n_listeners)
			continue;
		*ret = entry_of(who, worker, i, &slot, id);
		return true;
	}
	return false;
}

/* To whoever has fewest, as their workers had other numbers in another image. */
bool who_restore(struct who *who, const struct who_entry *entry)
{
	size_t worker = 0;
	uint32_t used;

	for (size_t i = 1; i < who->n_workers; i++)
		if (used_of(who, i) < used_of(who, worker))
			worker = i;
	used = used_of(who, worker);
	if (used >= who->config->who.entries || used >= who->n_slots)
		return false;
	write_slot(who, worker, used, entry, entry->ended_us);
	__atomic_store_n(&table_of(who, worker)->used, used + 1, __ATOMIC_RELEASE);
	return true;
}

size_t who_find(
	const struct who *who, const struct who_query *query, struct who_entry *ret, size_t max)
{
	uint64_t key = make_key(
		query->source.in.sin_addr.s_addr, query->source.in.sin_port, query->protocol);
	uint64_t mask = query->protocol ? UINT64_MAX : ~UINT64_C(0xff);
	struct who_entry entry;
	uint8_t id[WHO_ID_MAX];
	struct slot slot;
	size_t n = 0;

	for (size_t worker = 0; worker < who->n_workers; worker++) {
		uint32_t used = used_of(who, worker);

		for (uint32_t i = 0; i < used; i++) {
			uint64_t found = __atomic_load_n(key_of(who, worker, i), __ATOMIC_RELAXED);

			if ((found & mask) != key || !read_slot(who, worker, i, &slot, id) ||
				!is_meant(who, &slot, query))
				continue;
			entry = entry_of(who, worker, i, &slot, id);
			insert(ret, n++, max, &entry);
		}
	}
	return n;
}

/* ---- all live ones ---- */

static bool comes_from(const struct slot *slot, const struct sockaddr_any *source)
{
	return sockaddr_family(source) != AF_INET ||
	       (slot->source == source->in.sin_addr.s_addr &&
		       slot->source_port == source->in.sin_port);
}

static bool is_listed(
	const struct who *who, const struct slot *slot, const struct who_filter *filter)
{
	struct prefix client = { .addr = slot->client, .len = prefix_full_len(&slot->client) };
	const struct config_listener *listener;

	if (slot->ended_us != 0 || slot->listener >= who->config->n_listeners)
		return false;
	listener = &who->config->listeners[slot->listener];
	return (!filter->listener || filter->listener == listener) &&
	       (!filter->protocol || filter->protocol == listener->protocol) &&
	       slot->began_us >= filter->from_us && slot->began_us <= filter->to_us &&
	       comes_from(slot, &filter->source) && leads_to(slot, &filter->backend) &&
	       (sockaddr_family(&filter->client.addr) == AF_UNSPEC ||
		       prefix_overlaps(&filter->client, &client));
}

static int compare_began(const void *a, const void *b)
{
	const struct who_entry *x = a, *y = b;

	return (x->began_us > y->began_us) - (x->began_us < y->began_us);
}

static int compare_latest(const void *a, const void *b)
{
	return compare_began(b, a);
}

/* Into a heap of n whose first one began first, instead of that one. */
static void replace_first(struct who_entry *heap, size_t n, const struct who_entry *entry)
{
	size_t i = 0, below = 1;

	while (below < n) {
		if (below + 1 < n && heap[below + 1].began_us < heap[below].began_us)
			below++;
		if (entry->began_us <= heap[below].began_us)
			break;
		heap[i] = heap[below];
		i = below;
		below = 2 * i + 1;
	}
	heap[i] = *entry;
}

/* One more than n that were seen: the latest max are kept, in no order until there are so many. */
static void keep_latest(
	struct who_entry *entries, size_t n, size_t max, const struct who_entry *entry)
{
	if (n < max)
		entries[n] = *entry;
	else if (max > 0 && entries[0].began_us < entry->began_us)
		replace_first(entries, max, entry);
	/* What is sorted is a heap. */
	if (n + 1 == max)
		qsort(entries, max, sizeof(*entries), compare_began);
}

size_t who_list(
	const struct who *who, const struct who_filter *filter, struct who_entry *ret, size_t max)
{
	struct who_entry entry;
	uint8_t id[WHO_ID_MAX];
	struct slot slot;
	size_t n = 0;

	for (size_t worker = 0; worker < who->n_workers; worker++) {
		uint32_t used = used_of(who, worker);

		for (uint32_t i = 0; i < used; i++) {
			const struct slot *there = slot_of(who, worker, i);

			if (__atomic_load_n(&there->ended_us, __ATOMIC_RELAXED) != 0 ||
				!read_slot(who, worker, i, &slot, id) ||
				!is_listed(who, &slot, filter))
				continue;
			entry = entry_of(who, worker, i, &slot, id);
			keep_latest(ret, n++, max, &entry);
		}
	}
	qsort(ret, n < max ? n : max, sizeof(*ret), compare_latest);
	return n;
}

/*
 * Written first and looked at then: true says that the flow was still live when it was doomed
 * already, so the worker will find it.
 */
bool who_doom(struct who *who, const struct who_entry *entry)
{
	struct slot *slot = slot_of(who, entry->worker, entry->slot);

	__atomic_store_n(&slot->doomed, entry->sequence, __ATOMIC_RELEASE);
	return __atomic_load_n(&slot->sequence, __ATOMIC_ACQUIRE) == entry->sequence &&
	       __atomic_load_n(&slot->ended_us, __ATOMIC_RELAXED) == 0;
}
