#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "list_keeper.h"
#include "log.h"
#include "options.h"
#include "supervisor.h"

static int run(const struct options *options)
{
	char error[PREFIX_RULES_ERROR_MAX];

	switch (options->action) {
	case OPTIONS_HELP:
		fputs(options_usage(), stdout);
		return EXIT_SUCCESS;
	case OPTIONS_VERSION:
		puts("sixgated " SIXGATE_VERSION);
		return EXIT_SUCCESS;
	case OPTIONS_CHECK:
		if (list_keeper_check(options->config, error) < 0) {
			fprintf(stderr, "sixgated: %s\n", error);
			return EX_CONFIG;
		}
		printf("%s: ok\n", options->path);
		return EXIT_SUCCESS;
	case OPTIONS_RUN:
		log_set_level((enum log_level)options->config->log_level);
		return supervisor_run(options->config);
	}
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	char error[CONFIG_ERROR_MAX];
	struct options options = { 0 };
	int status, err;

	err = options_parse(argc, argv, &options, error);
	if (err) {
		fprintf(stderr, "sixgated: %s\n", error);
		return err == -EBADMSG ? EX_CONFIG : err == -EINVAL ? EX_USAGE : EX_OSERR;
	}
	status = run(&options);
	config_free(options.config);
	return status;
}
