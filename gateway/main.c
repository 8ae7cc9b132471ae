#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "fd_given.h"
#include "list_keeper.h"
#include "log.h"
#include "options.h"
#include "std_streams.h"
#include "succession.h"
#include "successor.h"
#include "supervisor.h"

/*
 * sixgated: the process that becomes the supervisor.
 *
 * The order of what comes first:
 *
 *  1. descriptors 0 to 2, before any file or socket could become one of them;
 *  2. what the image before has left in the environment and in descriptors: it takes both out of
 *     the way of whatever reads the environment or opens something;
 *  3. what a service manager gives, if there was no image before in this process. If that cannot be
 *     used, it is said, and the gateway starts without;
 *  4. the command line, and by it the configuration, out of the snapshot that the image before has
 *     made, if there is one.
 *
 * Behind 2 there may be clients that the image before has left to us, so a configuration that is
 * wrong must not simply end the process, unless it is only a trial: successor_go_back() makes it
 * the image before again, and comes back only if there is none. Later the supervisor does that
 * itself.
 */
static int run(const struct options *options, char **argv,
	const struct succession_inheritance *inheritance)
{
	char error[PREFIX_RULES_ERROR_MAX];
	const struct supervisor_setup setup = {
		.config = options->config,
		.path = options->path,
		.config_fd = options->config_fd,
		.argv = argv,
		.estate = inheritance->estate,
	};
	int status;

	switch (options->action) {
	case OPTIONS_HELP:
		fputs(options_usage(), stdout);
		return std_streams_flush("sixgated");
	case OPTIONS_VERSION:
		puts("sixgated " SIXGATE_VERSION);
		return std_streams_flush("sixgated");
	case OPTIONS_CHECK:
		if (list_keeper_check(options->config, error) < 0) {
			fprintf(stderr, "sixgated: %s\n", error);
			return EX_CONFIG;
		}
		printf("%s: ok\n", options->path);
		return std_streams_flush("sixgated");
	case OPTIONS_RUN:
		log_set_level((enum log_level)options->config->log_level);
		if (!inheritance->trial)
			return supervisor_run(&setup);
		status = supervisor_try(&setup);
		if (status == EXIT_SUCCESS)
			succession_say_fine();
		return status;
	}
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct succession_inheritance inheritance = { .config_fd = -1 };
	char error[CONFIG_ERROR_MAX];
	struct options options = { 0 };
	int status, err;

	if (std_streams_open() < 0)
		return EX_OSERR;
	err = succession_inherit(&inheritance);
	if (err) {
		fprintf(stderr,
			"sixgated: what the image before this one has left cannot be read: %s\n",
			strerror(-err));
		return EX_SOFTWARE;
	}
	if (!inheritance.estate && !inheritance.trial)
		err = fd_given_take(&inheritance.estate);
	if (err)
		fprintf(stderr, "sixgated: what the service manager gives cannot be used: %s\n",
			strerror(-err));
	err = options_parse(argc, argv, inheritance.config_fd, &options, error);
	if (err) {
		fprintf(stderr, "sixgated: %s\n", error);
		if (!inheritance.trial)
			successor_go_back(inheritance.estate, argv, error);
		estate_free(inheritance.estate);
		return err == -EBADMSG ? EX_CONFIG : err == -EINVAL ? EX_USAGE : EX_OSERR;
	}
	status = run(&options, argv, &inheritance);
	config_free(options.config);
	estate_free(inheritance.estate);
	return status;
}
