#include "shared_count.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

/*
 * Theory of operation
 *
 * A count is one word, changed by compare-and-swap only: the number, and who has changed it last,
 * by which of its changes. What each worker holds of it is kept in a row of its own, so that it can
 * be given back when the worker is gone.
 *
 * Both are not changed at once, so a worker writes into its journal what it is about to do. Who
 * finds such an entry has to know whether the word was changed before the worker died:
 *
 *   - it was if the word still names that worker and that change;
 *   - otherwise somebody may have changed it since. Whoever does that notes before that the change
 *     it overwrites was made ("done"), if the journal still has it as pending.
 *
 * The worker's own row is then put right, and everything in it given back in the same manner, so
 * that a successor may die while it does so, too.
 *
 * A count that is closed has the number CLOSED, which nobody takes from.
 *
 * Why not atomic_add: the limit has to be checked with the same step that counts. Why not a lock:
 * who dies with it stops everybody, and it does not tell what he had done by then.
 *
 * "held" has one writer at a time, the worker or its successor; others never look at it.
 */
#define CLOSED	      (SHARED_COUNT_MAX + 1)
#define JOURNAL_ALIGN 64 /* bytes of a cache line */

enum journal_state { JOURNAL_IDLE, JOURNAL_PENDING, JOURNAL_DONE };

struct journal {
	_Alignas(JOURNAL_ALIGN) uint64_t word; /* number of the change, enum journal_state */
	uint64_t at;	 /* the index of the count; these three are of the change in word */
	uint32_t before; /* what the worker held */
	uint32_t after;
};

struct shared_count {
	size_t n_workers, n;
	struct journal *journals;
	uint64_t *words; /* 24 bits of number, 8 of worker, 32 that number its changes */
	uint32_t *held;	 /* a row of n for each worker */
};

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static bool swap(uint64_t *word, uint64_t from, uint64_t to)
{
	return __atomic_compare_exchange_n(
		word, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static uint64_t word_of(uint32_t number, size_t worker, uint32_t change)
{
	return (uint64_t)number << 40 | (uint64_t)worker << 32 | change;
}

static uint64_t journal_word(uint32_t change, enum journal_state state)
{
	return (uint64_t)change << 2 | state;
}

static size_t round_up(size_t size)
{
	return (size + JOURNAL_ALIGN - 1) & ~(size_t)(JOURNAL_ALIGN - 1);
}

static size_t shared_size(const struct shared_count *counts)
{
	return counts->n_workers * sizeof(struct journal) + round_up(counts->n * sizeof(uint64_t)) +
	       counts->n_workers * counts->n * sizeof(uint32_t) + JOURNAL_ALIGN;
}

struct shared_count *shared_count_create(size_t n_workers, size_t n)
{
	struct shared_count *counts = calloc(1, sizeof(*counts));
	uint8_t *shared;

	assert(n_workers <= SHARED_COUNT_WORKERS_MAX);
	if (!counts)
		return NULL;
	counts->n_workers = n_workers;
	counts->n = n;
	shared = mmap(NULL, shared_size(counts), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (shared == MAP_FAILED) {
		free(counts);
		return NULL;
	}
	counts->journals = (struct journal *)(void *)shared;
	counts->words = (uint64_t *)(void *)(shared + n_workers * sizeof(struct journal));
	counts->held =
		(uint32_t *)(void *)((uint8_t *)counts->words + round_up(n * sizeof(uint64_t)));
	return counts;
}

void shared_count_destroy(struct shared_count *counts)
{
	if (!counts)
		return;
	munmap(counts->journals, shared_size(counts));
	free(counts);
}

static uint32_t *held_of(const struct shared_count *counts, size_t worker, size_t i)
{
	return &counts->held[worker * counts->n + i];
}

/* The change that a word names was made; its worker's journal may have to know that. */
static void note_done(struct shared_count *counts, uint64_t word)
{
	struct journal *journal = &counts->journals[word >> 32 & 0xff];
	uint64_t pending = journal_word((uint32_t)word, JOURNAL_PENDING);

	if (load(&journal->word) == pending)
		(void)swap(&journal->word, pending, journal_word((uint32_t)word, JOURNAL_DONE));
}

/*
 * The number becomes another one, and of it the worker holds so many more (modulo 2^32, so -n is n
 * less). The order is what recovery relies on: the journal has all of it before it says PENDING;
 * what the old word names is noted before it is overwritten; the row follows, and only then IDLE.
 */
static bool change(struct shared_count *counts, size_t worker, size_t i, uint64_t from,
	uint32_t number, uint32_t more)
{
	struct journal *journal = &counts->journals[worker];
	uint32_t *held = held_of(counts, worker, i);
	uint32_t change = (uint32_t)(load(&journal->word) >> 2) + 1;
	bool changed;

	__atomic_store_n(&journal->at, i, __ATOMIC_RELAXED);
	__atomic_store_n(&journal->before, *held, __ATOMIC_RELAXED);
	__atomic_store_n(&journal->after, *held + more, __ATOMIC_RELAXED);
	store(&journal->word, journal_word(change, JOURNAL_PENDING));
	note_done(counts, from);
	changed = swap(&counts->words[i], from, word_of(number, worker, change));
	if (changed)
		__atomic_store_n(held, *held + more, __ATOMIC_RELEASE);
	store(&journal->word, journal_word(change, JOURNAL_IDLE));
	return changed;
}

/* ---- looks ---- */

uint64_t shared_count_look(const struct shared_count *counts, size_t i)
{
	return load(&counts->words[i]);
}

bool shared_count_is_closed(uint64_t look)
{
	return look >> 40 == CLOSED;
}

uint32_t shared_count_of_look(uint64_t look)
{
	return shared_count_is_closed(look) ? 0 : (uint32_t)(look >> 40);
}

enum shared_count_taken shared_count_take_from(
	struct shared_count *counts, size_t worker, size_t i, uint32_t max, uint64_t look)
{
	uint32_t number = (uint32_t)(look >> 40);

	if (number >= (max && max < SHARED_COUNT_MAX ? max : SHARED_COUNT_MAX))
		return SHARED_COUNT_FULL;
	return change(counts, worker, i, look, number + 1, 1) ? SHARED_COUNT_TAKEN
							      : SHARED_COUNT_CHANGED;
}

bool shared_count_close(struct shared_count *counts, size_t worker, size_t i, uint64_t look)
{
	return look >> 40 == 0 && change(counts, worker, i, look, CLOSED, 0);
}

void shared_count_open(struct shared_count *counts, size_t worker, size_t i)
{
	uint64_t look = load(&counts->words[i]);
	bool changed = change(counts, worker, i, look, 0, 0);

	assert(shared_count_is_closed(look) && changed);
	(void)changed;
}

/* ---- places ---- */

bool shared_count_take(struct shared_count *counts, size_t worker, size_t i, uint32_t max)
{
	enum shared_count_taken taken;

	do
		taken = shared_count_take_from(
			counts, worker, i, max, shared_count_look(counts, i));
	while (taken == SHARED_COUNT_CHANGED);
	return taken == SHARED_COUNT_TAKEN;
}

static void give(struct shared_count *counts, size_t worker, size_t i, uint32_t n)
{
	uint64_t look;

	do {
		look = load(&counts->words[i]);
		assert(look >> 40 >= n && !shared_count_is_closed(look));
	} while (!change(counts, worker, i, look, (uint32_t)(look >> 40) - n, -n));
}

void shared_count_give(struct shared_count *counts, size_t worker, size_t i)
{
	assert(*held_of(counts, worker, i) > 0);
	give(counts, worker, i, 1);
}

uint32_t shared_count_value(const struct shared_count *counts, size_t i)
{
	return shared_count_of_look(shared_count_look(counts, i));
}

void shared_count_recover(struct shared_count *counts, size_t worker)
{
	struct journal *journal = &counts->journals[worker];
	uint64_t word = load(&journal->word);
	uint32_t change = (uint32_t)(word >> 2);
	bool made;

	if (word == 0)
		return; /* there was none before it, and its row has no memory yet */
	if ((word & 3) != JOURNAL_IDLE) {
		/* In this order: who overwrites the word has noted that before. */
		made = (load(&counts->words[journal->at]) & 0xffffffffffU) ==
		       word_of(0, worker, change);
		made = made || (load(&journal->word) & 3) == JOURNAL_DONE;
		*held_of(counts, worker, journal->at) = made ? journal->after : journal->before;
		store(&journal->word, journal_word(change, JOURNAL_IDLE));
	}
	for (size_t i = 0; i < counts->n; i++)
		if (*held_of(counts, worker, i))
			give(counts, worker, i, *held_of(counts, worker, i));
}
