#include "shared.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "carry.h"
#include "checker.h"
#include "log.h"
#include "name_estate.h"
#include "shared_map.h"

#define RING_SLOTS  4096U /* log and access records that may wait, per block */
#define BLOCKS_MORE 2U	  /* beside the workers': the holder's, and those of earlier images */

static int make_udp(struct shared *shared, const struct config *config)
{
	const char *what = "";
	int err = udp_shared_open(&shared->udp, config, shared->n_workers, &what);

	if (err)
		log_error("UDP listeners cannot have %s: %s", what, strerror(-err));
	else if (shared->udp.ports && shared->udp.icmp.fd6 < 0)
		log_warning("clients of UDP listeners get no ICMP errors: CAP_NET_RAW is needed");
	return err;
}

/* A word that can be changed while processes run. */
static uint32_t *share_level(void)
{
	void *memory = shared_map(sizeof(uint32_t));

	if (!memory)
		return NULL;
	log_share_level(memory);
	return memory;
}

static int make_rest(struct shared *shared, const struct config *config)
{
	size_t n = shared->n_workers;

	shared->n_blocks = n + BLOCKS_MORE;
	shared->rings = calloc(shared->n_blocks, sizeof(struct ring *));
	shared->stats = stats_create(shared->n_blocks);
	shared->pools = pool_state_create(config, n);
	shared->measures = measures_create(config, n);
	shared->drains = drain_state_create(config->n_listeners, config->drain_ms);
	if (!shared->rings || !shared->stats || !shared->pools || !shared->measures ||
		!shared->drains)
		return -ENOMEM;
	if (client_limits_needed(config)) {
		shared->limits = client_limits_create(n, config->n_listeners);
		if (!shared->limits)
			return -ENOMEM;
		for (size_t i = 0; i < config->n_listeners; i++)
			client_limits_set_name(shared->limits, i, config->listeners[i].name);
	}
	for (size_t i = 0; i < shared->n_blocks; i++) {
		shared->rings[i] = ring_create(RING_SLOTS);
		if (!shared->rings[i])
			return -ENOMEM;
	}
	shared->log_level = share_level();
	if (!shared->log_level)
		return -ENOMEM;
	shared->who = who_create(config, n);
	shared->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return shared->wake_fd < 0 ? -errno : 0;
}

int shared_make(struct shared *shared, const struct config *config, size_t n_workers)
{
	int err;

	*shared = (struct shared){ .n_workers = n_workers, .wake_fd = -1, .carried_fd = -1 };
	err = make_rest(shared, config);
	if (err)
		log_error("cannot share memory with workers: %s", strerror(-err));
	return err ? err : make_udp(shared, config);
}

void shared_destroy(struct shared *shared)
{
	for (size_t i = 0; shared->rings && i < shared->n_blocks; i++)
		ring_destroy(shared->rings[i]);
	free(shared->rings);
	stats_destroy(shared->stats, shared->n_blocks);
	measures_destroy(shared->measures);
	pool_state_destroy(shared->pools);
	drain_state_destroy(shared->drains);
	if (shared->log_level) {
		log_share_level(NULL);
		munmap(shared->log_level, sizeof(*shared->log_level));
	}
	who_destroy(shared->who);
	client_limits_destroy(shared->limits);
	if (shared->n_blocks > 0)
		udp_shared_close(&shared->udp);
	if (shared->wake_fd >= 0)
		close(shared->wake_fd);
	if (shared->carried_fd >= 0)
		close(shared->carried_fd);
	*shared = (struct shared){ .wake_fd = -1, .carried_fd = -1 };
}

/* ---- from image to image ---- */

static const char *name_of(enum stats_counter counter, char buf[ESTATE_NAME_MAX])
{
	snprintf(buf, ESTATE_NAME_MAX, "counter %s", stats_name(counter));
	return buf;
}

int shared_bequeath(struct shared *shared, const struct config *config, struct estate *estate)
{
	char name[ESTATE_NAME_MAX];
	int err = 0;

	stats_close(shared->stats, shared->n_blocks);
	for (int i = 0; i < STATS_COUNT && !err; i++)
		err = estate_add_number(estate, name_of((enum stats_counter)i, name),
			(int64_t)stats_sum(shared->stats, shared->n_blocks, (enum stats_counter)i));
	if (!err)
		err = name_estate_bequeath(config, shared->pools, estate);
	if (!err)
		err = measures_bequeath(shared->measures, estate);
	if (err)
		return err;
	/* An estate names descriptors by number, so this one stays open until the next is made. */
	if (shared->carried_fd >= 0)
		close(shared->carried_fd);
	shared->carried_fd = -1;
	return carry_bequeath(config, shared->limits, shared->who, estate, &shared->carried_fd);
}

void shared_go_on(struct shared *shared)
{
	stats_reopen(shared->stats, shared->n_blocks);
}

void shared_inherit(struct shared *shared, const struct config *config, struct estate *estate)
{
	struct stats *block = &shared->stats[shared->n_blocks - 1];
	char name[ESTATE_NAME_MAX];
	int64_t value;

	for (int i = 0; i < STATS_COUNT; i++)
		if (i != STATS_LIVE_FLOWS &&
			estate_get_number(estate, name_of((enum stats_counter)i, name), &value) ==
				0)
			stats_add(block, (enum stats_counter)i, (uint64_t)value);
	measures_inherit(shared->measures, estate);
	name_estate_inherit(config, shared->pools, estate);
	checker_inherit(config, shared->pools, estate);
	carry_inherit(config, shared->limits, shared->who, estate);
}

void shared_wake(const struct shared *shared)
{
	const uint64_t one = 1;

	if (write(shared->wake_fd, &one, sizeof(one)) < 0)
		log_debug("cannot wake the logger: %s", strerror(errno));
}

void shared_log(const struct shared *shared)
{
	for (int i = 0; i < STATS_COUNT; i++) {
		uint64_t sum = stats_sum(shared->stats, shared->n_blocks, (enum stats_counter)i);

		if (sum)
			log_info("counter %s %llu", stats_name((enum stats_counter)i),
				(unsigned long long)sum);
	}
	for (size_t i = 0; i < shared->n_blocks; i++)
		if (ring_lost(shared->rings[i]))
			log_info("counter records_lost{worker=%zu} %llu", i,
				(unsigned long long)ring_lost(shared->rings[i]));
}
