/*
 * options - the command line of sixgated(8).
 *
 * Either --config FILE, --check FILE, or --listen with --backend; never a mixture, but for
 * --log-level, which is said for one run and overrides a file's.
 *
 * Called by main() alone, before anything is started. It may read a file, and wait for the
 * writer of a fifo; it prints nothing.
 */
#pragma once

#include "config.h"
#include "config_file.h"

enum options_action {
	OPTIONS_RUN,	 /* run with config */
	OPTIONS_CHECK,	 /* config was read and is right: say so and end */
	OPTIONS_HELP,	 /* print options_usage() on stdout */
	OPTIONS_VERSION, /* print the version on stdout */
};

struct options {
	enum options_action action;
	struct config *config; /* for RUN and CHECK, else NULL; the caller's */
	const char *path;      /* the configuration file, or NULL; points into argv */
	int config_fd;	       /* config_file_snapshot() of it, the caller's; -1: there is none */
};

/* Static; lines, the last one ended. */
const char *options_usage(void);

/*
 * Parse argv and load the configuration that it names. 0; -EINVAL for a wrong command line;
 * -EBADMSG for a file that is wrong or cannot be read; -ENOMEM. On failure error has one sentence
 * that names the place, what was read and what would be right, without what a terminal would obey.
 * ret_options is untouched then.
 * config_fd: a snapshot to be read in the place of a configuration file, closed on failure; -1: the
 * file itself is read.
 */
int options_parse(int argc, char **argv, int config_fd, struct options *ret_options,
	char error[CONFIG_ERROR_MAX]);
