#include "carry.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

#define FD_NAME "carried"

/* ---- into it ---- */

static void collect_rates(struct carried *carried, const struct client_limits *limits)
{
	const uint64_t now_us = clock_monotonic_us();
	struct client_rate rate;
	size_t at = 0;

	/* In front of the rates, whose keys mean something under this one only. */
	carried_add_hash(carried, client_limits_hash(limits));
	while (client_limits_next_rate(limits, &at, now_us, &rate))
		carried_add_rate(carried, &rate);
}

static void collect_who(struct carried *carried, const struct config *config, const struct who *who)
{
	const uint64_t now_us = clock_wall_us();
	struct who_entry entry;
	size_t at = 0;

	while (!carried->failed && who_next_ended(who, &at, now_us, &entry))
		carried_add_who(carried, (uint16_t)(entry.listener - config->listeners), &entry);
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

int carry_bequeath(const struct config *config, const struct client_limits *limits,
	const struct who *who, struct estate *estate, int *ret_fd)
{
	struct carried carried = { 0 };
	int fd = memfd_create("sixgate-carried", MFD_CLOEXEC), err = fd < 0 ? -errno : 0;

	if (!err) {
		carried_add_listeners(&carried, config);
		if (limits)
			collect_rates(&carried, limits);
		if (who)
			collect_who(&carried, config, who);
		if (carried.failed)
			log_warning("not all that is known of clients goes to the next image");
		err = write_all(fd, carried.data, carried.len);
	}
	free(carried.data);
	if (!err)
		err = estate_add_fd(estate, FD_NAME, fd);
	if (!err)
		*ret_fd = fd;
	else if (fd >= 0)
		close(fd);
	return err;
}

/* ---- out of it ---- */

struct restoring {
	struct client_limits *limits;
	struct who *who;
	uint64_t now_us;
	bool full;
};

static void on_hash(void *userdata, const struct hash_key *key)
{
	const struct restoring *restoring = userdata;

	if (restoring->limits)
		client_limits_set_hash(restoring->limits, key);
}

static void on_rate(void *userdata, const struct client_rate *rate)
{
	const struct restoring *restoring = userdata;

	if (restoring->limits)
		client_limits_set_rate(restoring->limits, rate, restoring->now_us);
}

static void on_who(void *userdata, const struct who_entry *entry)
{
	struct restoring *restoring = userdata;

	if (restoring->who && !who_restore(restoring->who, entry))
		restoring->full = true;
}

void carry_inherit(const struct config *config, struct client_limits *limits, struct who *who,
	struct estate *estate)
{
	struct restoring restoring = { .limits = limits, .who = who };
	const struct carried_reader reader = { on_hash, on_rate, on_who, &restoring };
	int fd = estate_take_fd(estate, FD_NAME);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	void *data = MAP_FAILED;

	restoring.now_us = clock_monotonic_us();
	if (size > 0 && size <= (off_t)CARRIED_MAX)
		data = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data != MAP_FAILED) {
		if (carried_read(data, (size_t)size, config, &reader) < 0)
			log_warning("what is known of clients could not be read to its end");
		munmap(data, (size_t)size);
	}
	if (restoring.full)
		log_info("who: not all that had ended find room: raise 'entries' in 'who'");
	if (fd >= 0)
		close(fd);
}
