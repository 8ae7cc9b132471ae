/*
 * logger - the process that writes what workers have to say: log lines and access records.
 *
 * It takes them out of the workers' rings and may block on a slow disk or a stuck terminal as long
 * as it likes: a full ring loses records, which is counted and said, and never holds up a worker.
 *
 * Rings outlive it: what is in them when it dies is its successor's to write. It runs as the
 * workers' user and with no capability.
 */
#pragma once

#include <stddef.h>

#include "config.h"
#include "ring.h"

/* All of it is the caller's, and lives as long as the process. */
struct logger_setup {
	const struct config *config;
	struct ring **rings; /* it is the only one who reads them */
	size_t n_rings;
	int wake_fd;	/* eventfd that workers write to */
	int channel_fd; /* closed by the supervisor when all has been said */
	int access_fd;	/* for the targets that are a file or a stream; -1 otherwise */
};

/* Writes until the channel closes, then what is left; the process's exit status. */
int logger_run(const struct logger_setup *setup);
