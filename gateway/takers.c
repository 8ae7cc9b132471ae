#include "takers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

/*
 * Theory of operation
 *
 * elsewhere counts down to 0, at which datagrams are ours: from the number of givers and one more,
 * which stands for "all of them are known" and is taken off at the end of takers_begin(). So it
 * cannot get there while channels are still being set up, and it does get there if there are none,
 * or none that works. Each giver is taken off once: by its taker, which tells when the giver leaves
 * the datagrams or is gone; or at once, if there is no taker for it.
 */

static void one_has_left(struct takers *takers)
{
	assert(takers->elsewhere > 0);
	if (--takers->elsewhere == 0 && takers->setup.on_datagrams)
		takers->setup.on_datagrams(takers->setup.userdata);
}

static void on_datagrams_left(void *userdata)
{
	one_has_left(userdata);
}

static size_t room(void *userdata)
{
	const struct takers *takers = userdata;

	return takers->setup.room(takers->setup.userdata);
}

static void take_from(struct takers *takers, struct handover_taker *taker, int fd)
{
	int err;

	*taker = (struct handover_taker){
		.loop = takers->setup.loop,
		.tcp = takers->setup.tcp,
		.udp = takers->setup.udp,
		.retired = takers->setup.retired,
		.room = room,
		.on_datagrams = on_datagrams_left,
		.userdata = takers,
	};
	err = handover_take(taker, fd);
	if (!err)
		return;
	log_error("cannot take over the flows of a worker of before: %s", strerror(-err));
	one_has_left(takers);
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

int takers_begin(struct takers *takers, const struct takers_setup *setup, const int *fds, size_t n)
{
	struct handover_taker *all;

	if (takers->begun) {
		close_all(fds, n);
		return -EALREADY;
	}
	all = calloc(n + 1, sizeof(*all));
	if (!all) {
		close_all(fds, n);
		n = 0;
	}
	*takers = (struct takers){
		.setup = *setup,
		.all = all,
		.n = n,
		.elsewhere = n + 1,
		.begun = true,
	};
	for (size_t i = 0; i < n; i++)
		take_from(takers, &all[i], fds[i]);
	one_has_left(takers); /* nobody more is to come */
	return all ? 0 : -ENOMEM;
}

bool takers_are_taking(const struct takers *takers)
{
	for (size_t i = 0; i < takers->n; i++)
		if (takers->all[i].fd >= 0)
			return true;
	return false;
}

void takers_end(struct takers *takers)
{
	takers->setup.on_datagrams = NULL;
	for (size_t i = 0; i < takers->n; i++)
		handover_take_end(&takers->all[i]);
	free(takers->all);
	takers->all = NULL;
	takers->n = 0;
}
