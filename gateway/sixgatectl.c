#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "config_file.h"
#include "ctl_net.h"
#include "doctor.h"

#define DEFAULT_CONFIG "/etc/sixgate/sixgated.conf"

enum option_id {
	OPTION_CONFIG = 1,
	OPTION_JSON,
	OPTION_RUN_DIRECTORY,
	OPTION_NO_CONNECT,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "run-directory", required_argument, NULL, OPTION_RUN_DIRECTORY },
	{ "no-connect", no_argument, NULL, OPTION_NO_CONNECT },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static const char usage_text[] =
	"usage: sixgatectl [--config FILE] [--json] net plan|apply|status\n"
	"       sixgatectl [--config FILE | --run-directory DIR] [--json] net teardown\n"
	"       sixgatectl [--config FILE] [--json] [--no-connect] doctor\n"
	"       sixgatectl --help | --version\n"
	"\n"
	"Shows, makes and undoes what the gateway needs in the kernel, and says what is wrong\n"
	"with the way from clients to servers. FILE is " DEFAULT_CONFIG "\n"
	"unless given. sixgatectl(8) says more.\n";

enum command {
	COMMAND_NET_PLAN,
	COMMAND_NET_APPLY,
	COMMAND_NET_STATUS,
	COMMAND_NET_TEARDOWN,
	COMMAND_DOCTOR,
	COMMAND_HELP,
	COMMAND_VERSION,
};

struct request {
	enum command command;
	const char *path; /* NULL: not given */
	const char *run_directory;
	bool json;
	bool no_connect;
};

static int usage_error(const char *what, const char *word)
{
	fprintf(stderr, "sixgatectl: %s%s%s; --help tells more\n", what, *word ? ": " : "", word);
	return -EINVAL;
}

static int parse_command(int argc, char **argv, struct request *request)
{
	static const char *const net[] = { "plan", "apply", "status", "teardown" };

	if (argc == 0)
		return usage_error("no command: give net or doctor", "");
	if (strcmp(argv[0], "doctor") == 0) {
		request->command = COMMAND_DOCTOR;
		return argc == 1 ? 0 : usage_error("doctor takes no argument", argv[1]);
	}
	if (strcmp(argv[0], "net") != 0)
		return usage_error("no such command: give net or doctor", argv[0]);
	if (argc == 2)
		for (size_t i = 0; i < sizeof(net) / sizeof(net[0]); i++)
			if (strcmp(argv[1], net[i]) == 0) {
				request->command = (enum command)(COMMAND_NET_PLAN + i);
				return 0;
			}
	return usage_error("after net, give one of plan, apply, status, teardown",
		argc > 1 ? argv[argc > 2 ? 2 : 1] : "");
}

static int parse(int argc, char **argv, struct request *request)
{
	int id, err;

	opterr = 0;
	while ((id = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (id) {
		case OPTION_CONFIG:
			request->path = optarg;
			break;
		case OPTION_JSON:
			request->json = true;
			break;
		case OPTION_RUN_DIRECTORY:
			request->run_directory = optarg;
			break;
		case OPTION_NO_CONNECT:
			request->no_connect = true;
			break;
		case OPTION_HELP:
			request->command = COMMAND_HELP;
			return 0;
		case OPTION_VERSION:
			request->command = COMMAND_VERSION;
			return 0;
		default:
			return usage_error("an option that is unknown or lacks its argument",
				argv[optind - 1]);
		}
	}
	err = parse_command(argc - optind, argv + optind, request);
	if (err)
		return err;
	if (request->run_directory && request->command != COMMAND_NET_TEARDOWN)
		return usage_error("--run-directory is for net teardown", "");
	if (request->run_directory && request->run_directory[0] != '/')
		return usage_error("give --run-directory from / on", request->run_directory);
	if (request->run_directory && request->path)
		return usage_error("the file names a run directory: give --config or "
				   "--run-directory, not both",
			"");
	if (request->no_connect && request->command != COMMAND_DOCTOR)
		return usage_error("--no-connect is for doctor", "");
	return 0;
}

static int run_with(const struct request *request, const char *path, const struct config *config)
{
	const struct doctor_options options = {
		.json = request->json,
		.connect = !request->no_connect,
	};

	switch (request->command) {
	case COMMAND_NET_PLAN:
		return ctl_net_plan(config, request->json);
	case COMMAND_NET_APPLY:
		return ctl_net_apply(config, request->json);
	case COMMAND_NET_STATUS:
		return ctl_net_status(config, request->json);
	case COMMAND_NET_TEARDOWN:
		return ctl_net_teardown(config->run_directory, request->json);
	case COMMAND_DOCTOR:
		return doctor_run(config, path, &options);
	case COMMAND_HELP:
	case COMMAND_VERSION:
		break;
	}
	return EX_SOFTWARE;
}

int main(int argc, char **argv)
{
	struct request request = { 0 };
	char error[CONFIG_ERROR_MAX];
	struct config *config;
	const char *path;
	int err, status;

	if (parse(argc, argv, &request) < 0)
		return EX_USAGE;
	if (request.command == COMMAND_HELP) {
		fputs(usage_text, stdout);
		return EXIT_SUCCESS;
	}
	if (request.command == COMMAND_VERSION) {
		puts("sixgatectl " SIXGATE_VERSION);
		return EXIT_SUCCESS;
	}
	/* What is to be removed is known by its mark: no file is needed. */
	if (request.command == COMMAND_NET_TEARDOWN && !request.path)
		return ctl_net_teardown(
			request.run_directory ? request.run_directory : CONFIG_RUN_DIRECTORY,
			request.json);
	path = request.path ? request.path : DEFAULT_CONFIG;
	err = config_file_load(path, &config, error);
	if (err) {
		fprintf(stderr, "sixgatectl: %s\n", err == -ENOMEM ? strerror(ENOMEM) : error);
		return err == -ENOMEM ? EX_OSERR : EX_CONFIG;
	}
	status = run_with(&request, path, config);
	config_free(config);
	return status;
}
