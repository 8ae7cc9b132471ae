#include "port_pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define IN_USE UINT64_MAX

/*
 * Theory of operation
 *
 * A port is in the queue, or in use. A predecessor's session may bring one along that is in the
 * queue: to look for it there would take too long, so it is marked as claimed, and leaves the queue
 * when it comes to the head. If it is given back before that, it stands too far ahead: n_late says
 * how many such there are, and so how often a head that has not rested may be sent to the end.
 *
 *  queued ──take──► in use ──give──► queued, at the end
 *     └──claim──► queued and in use ──comes to the head──► in use
 *                      └──give──► queued, too far ahead (late)
 *
 * The queue is ordered by the time of giving, so looking at its head is enough: if that has not
 * rested, nobody has, but for the late. A ring of n indices holds all ports, and each is in it once
 * at the most.
 *
 * n_late may be more than there are: one that has rested by the time it comes to the head, or is
 * claimed again, is not counted down. Then a head is sent to the end that need not be, and rests
 * longer than it has to, which does no harm.
 *
 * Unused ports come first, in an order that cannot be told from outside; a predecessor's follow,
 * the longest rested first, and what it had in use when it died begins to rest now.
 */

static void append(struct port_pool *pool, size_t index)
{
	assert(pool->n_free < pool->n);
	pool->queue[(pool->head + pool->n_free++) % pool->n] = (uint16_t)index;
}

/* Nobody outside shall know which port is next. */
static int shuffle(uint16_t *queue, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		uint32_t random;
		uint16_t other;
		size_t j;

		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return errno ? -errno : -EIO;
		j = random % i;
		other = queue[j];
		queue[j] = queue[i - 1];
		queue[i - 1] = other;
	}
	return 0;
}

struct used {
	uint64_t given_ms;
	uint16_t index;
};

static int compare_used(const void *a, const void *b)
{
	const struct used *x = a, *y = b;

	return (x->given_ms > y->given_ms) - (x->given_ms < y->given_ms);
}

/* Those that a predecessor had come behind the unused, in the order in which they were given back.
 */
static int take_over(struct port_pool *pool, uint64_t now_ms)
{
	struct used *used = calloc(pool->n, sizeof(*used));
	size_t n_used = 0;
	int err;

	if (!used)
		return -ENOMEM;
	for (size_t i = 0; i < pool->n; i++) {
		/* Its socket died with it, at some moment up to now. */
		if (pool->given_ms[i] == IN_USE)
			pool->given_ms[i] = now_ms;
		if (pool->given_ms[i] == 0)
			append(pool, i);
		else
			used[n_used++] = (struct used){ pool->given_ms[i], (uint16_t)i };
	}
	qsort(used, n_used, sizeof(*used), compare_used);
	pool->head = 0;
	err = shuffle(pool->queue, pool->n_free);
	if (err) {
		free(used);
		return err;
	}
	for (size_t i = 0; i < n_used; i++)
		append(pool, used[i].index);
	free(used);
	return 0;
}

int port_pool_init(struct port_pool *pool, uint64_t *given_ms, size_t n, uint16_t first,
	uint16_t step, uint64_t now_ms)
{
	int err = -ENOMEM;

	*pool = (struct port_pool){ .given_ms = given_ms, .n = n, .first = first, .step = step };
	pool->queue = calloc(n + 1, sizeof(*pool->queue));
	pool->claimed = calloc(n + 1, sizeof(*pool->claimed));
	if (pool->queue && pool->claimed)
		err = take_over(pool, now_ms);
	if (err)
		port_pool_destroy(pool);
	return err;
}

void port_pool_destroy(struct port_pool *pool)
{
	free(pool->queue);
	free(pool->claimed);
	*pool = (struct port_pool){ 0 };
}

static size_t pop(struct port_pool *pool)
{
	size_t index = pool->queue[pool->head];

	assert(pool->n_free > 0 && index < pool->n);
	pool->head = (pool->head + 1) % pool->n;
	pool->n_free--;
	return index;
}

static bool has_rested(const struct port_pool *pool, size_t index, uint64_t now_ms)
{
	uint64_t given_ms = pool->given_ms[index];

	return given_ms == 0 || (given_ms != IN_USE && given_ms + PORT_POOL_REST_MS <= now_ms);
}

bool port_pool_is_ready(struct port_pool *pool, uint64_t now_ms)
{
	while (pool->n_free > 0) {
		size_t index = pool->queue[pool->head];

		if (pool->claimed[index]) {
			pool->claimed[pop(pool)] = false;
		} else if (has_rested(pool, index, now_ms)) {
			return true;
		} else if (pool->n_late > 0) {
			append(pool, pop(pool));
			pool->n_late--;
		} else {
			break;
		}
	}
	return false;
}

bool port_pool_has(const struct port_pool *pool, uint16_t port)
{
	return port >= pool->first && (port - pool->first) % pool->step == 0 &&
	       (size_t)(port - pool->first) / pool->step < pool->n;
}

static size_t index_of(const struct port_pool *pool, uint16_t port)
{
	assert(port_pool_has(pool, port));
	return (size_t)(port - pool->first) / pool->step;
}

bool port_pool_claim(struct port_pool *pool, uint16_t port)
{
	size_t index = index_of(pool, port);

	/* Given back twice it would be in the queue twice, and then with two sessions at once. */
	if (pool->given_ms[index] == IN_USE)
		return false;
	pool->claimed[index] = true;
	pool->given_ms[index] = IN_USE;
	return true;
}

int port_pool_take(struct port_pool *pool, uint64_t now_ms, uint16_t *ret_port)
{
	size_t index;

	if (!port_pool_is_ready(pool, now_ms))
		return -EADDRNOTAVAIL;
	index = pop(pool);
	pool->given_ms[index] = IN_USE;
	*ret_port = (uint16_t)(pool->first + index * pool->step);
	return 0;
}

void port_pool_give(struct port_pool *pool, uint16_t port, uint64_t now_ms)
{
	size_t index = index_of(pool, port);

	assert(pool->given_ms[index] == IN_USE);
	pool->given_ms[index] = now_ms;
	if (pool->claimed[index]) {
		pool->claimed[index] = false;
		pool->n_late++;
	} else {
		append(pool, index);
	}
}
