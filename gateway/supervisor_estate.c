#include "supervisor_estate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "holder.h"
#include "log.h"
#include "supervisor_observer.h"

/* Ours first: their numbers in the estate go on with those of before (predecessors.h). */
static int bequeath_processes(struct supervisor *supervisor, struct estate *estate)
{
	int err = 0;

	for (size_t i = 0; i < supervisor->n_workers && !err; i++) {
		const struct child *worker = &supervisor->workers[i];

		if (worker->pid)
			err = predecessors_bequeath_own(supervisor->before, estate,
				PREDECESSOR_WORKER, i, worker->pid, worker->channel_fd);
	}
	if (!err && supervisor->logger.pid)
		err = predecessors_bequeath_own(supervisor->before, estate, PREDECESSOR_LOGGER, 0,
			supervisor->logger.pid, supervisor->logger.channel_fd);
	if (!err && supervisor->holder.pid)
		err = predecessors_bequeath_own(supervisor->before, estate, PREDECESSOR_HOLDER, 0,
			supervisor->holder.pid, supervisor->holder.channel_fd);
	return err ? err : predecessors_bequeath(supervisor->before, estate);
}

int supervisor_estate_bequeath(void *userdata, bool all, struct estate *estate)
{
	struct supervisor *supervisor = userdata;
	int err = socket_set_bequeath(&supervisor->sockets, estate);

	if (!err)
		err = supervisor_observer_bequeath(supervisor, all, estate);
	if (err || !all)
		return err;
	err = bequeath_processes(supervisor, estate);
	if (!err)
		err = shared_bequeath(&supervisor->shared, supervisor->config, estate);
	if (!err)
		err = checker_bequeath(supervisor->checker, estate);
	if (!err)
		err = guard_bequeath(supervisor->guard, estate);
	if (!err)
		err = orders_bequeath(supervisor->orders, estate);
	if (!err)
		err = fd_store_bequeath(&supervisor->store, estate);
	if (!err)
		err = estate_add_number(estate, "started_ms", (int64_t)supervisor->started_ms);
	return err;
}

void supervisor_estate_take_over(struct supervisor *supervisor)
{
	int *channels = calloc(supervisor->n_workers, sizeof(*channels));

	/* The way back is closed, and so are its descriptors. */
	estate_close_rest(supervisor->setup->estate);
	successor_settled(supervisor->successor);
	for (size_t i = 0; channels && i < supervisor->n_workers; i++)
		channels[i] = supervisor->workers[i].channel_fd;
	if (channels)
		predecessors_hand_over(supervisor->before, channels, supervisor->n_workers);
	free(channels);
}

void supervisor_estate_keep(struct supervisor *supervisor)
{
	struct estate *estate;
	int err = -ENOMEM;

	if (!fd_store_is_there())
		return;
	estate = estate_new();
	if (estate)
		err = supervisor_estate_bequeath(supervisor, true, estate);
	shared_go_on(&supervisor->shared);
	if (!err)
		err = fd_store_keep(&supervisor->store, estate);
	estate_free(estate);
	if (err)
		log_warning("the service manager does not keep our sockets: %s; a crash would "
			    "refuse clients until the next start",
			strerror(-err));
}

int supervisor_estate_inherit(struct supervisor *supervisor)
{
	const char end = HOLDER_END;
	struct estate *estate = supervisor->setup->estate;
	int64_t started_ms = 0;
	int err;

	if (!estate)
		return 0;
	err = successor_inherit(supervisor->successor, estate);
	if (!err)
		err = predecessors_inherit(supervisor->before, estate);
	if (!err)
		err = fd_store_inherit(&supervisor->store, estate);
	if (err)
		return err;
	predecessors_tell(supervisor->before, PREDECESSOR_HOLDER, end);
	if (estate_get_number(estate, "started_ms", &started_ms) == 0 && started_ms >= 0)
		supervisor->started_ms = (uint64_t)started_ms;
	return 0;
}
