#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "config_file.h"
#include "control.h"
#include "ctl_bans.h"
#include "ctl_client.h"
#include "ctl_flows.h"
#include "ctl_level.h"
#include "ctl_lists.h"
#include "ctl_net.h"
#include "ctl_orders.h"
#include "ctl_pools.h"
#include "ctl_reload.h"
#include "ctl_status.h"
#include "ctl_top.h"
#include "ctl_who.h"
#include "doctor.h"
#include "nearest.h"
#include "std_streams.h"

#define DEFAULT_CONFIG "/etc/sixgate/sixgated.conf"

enum option_id {
	OPTION_CONFIG = 1,
	OPTION_JSON,
	OPTION_RUN_DIRECTORY,
	OPTION_SOCKET,
	OPTION_NO_CONNECT,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_PARAM, /* this and the next ones: the params of a control command */
};

/* The options of all commands. */
static const struct option common_options[] = {
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "run-directory", required_argument, NULL, OPTION_RUN_DIRECTORY },
	{ "socket", required_argument, NULL, OPTION_SOCKET },
	{ "no-connect", no_argument, NULL, OPTION_NO_CONNECT },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
};
#define COMMON_OPTIONS (sizeof(common_options) / sizeof(common_options[0]))

/* What is asked of a gateway that runs. */
static const struct ctl_command control_commands[] = {
	{ .name = "status", .print = ctl_status_print },
	{
		.name = "top",
		.params = { { "interval", CONTROL_TEXT, false, false } },
		.run = ctl_top_run,
	},
	{
		.name = "who",
		.params = {
			{ "source", CONTROL_TEXT, .positional = true, .required = true },
			{ "backend", CONTROL_TEXT, .positional = false, .required = false },
			{ "protocol", CONTROL_TEXT, .positional = false, .required = false },
			{ "at", CONTROL_TEXT, .positional = false, .required = false },
		},
		.print = ctl_who_print,
	},
	{
		.name = "flows",
		.params = { { "client", CONTROL_TEXT, false, false },
			{ "backend", CONTROL_TEXT, false, false },
			{ "listener", CONTROL_TEXT, false, false },
			{ "protocol", CONTROL_TEXT, false, false },
			{ "older-than", CONTROL_TEXT, false, false },
			{ "younger-than", CONTROL_TEXT, false, false },
			{ "limit", CONTROL_NUMBER, false, false },
			{ "follow", CONTROL_FLAG, false, false } },
		.print = ctl_flows_print,
		.watch = ctl_flows_watch,
	},
	{
		.name = "kill-flow",
		.params = { { "source", CONTROL_TEXT, true, true },
			{ "backend", CONTROL_TEXT, false, false },
			{ "protocol", CONTROL_TEXT, false, false } },
		.follow = ctl_flows_follow_kill,
	},
	{
		.name = "log-level",
		.params = { { "level", CONTROL_TEXT, true, false } },
		.print = ctl_level_print,
	},
	{
		.name = "pools",
		.params = { { "pool", CONTROL_TEXT, true, false } },
		.print = ctl_pools_print,
	},
	{
		.name = "ban",
		.params = { { "prefix", CONTROL_TEXT, true, true },
			{ "for", CONTROL_TEXT, false, false },
			{ "reason", CONTROL_TEXT, false, false } },
		.print = ctl_bans_print_ban,
	},
	{
		.name = "unban",
		.params = { { "prefix", CONTROL_TEXT, true, true } },
		.print = ctl_bans_print_unban,
	},
	{ .name = "bans", .print = ctl_bans_print },
	{ .name = "reload-lists", .print = ctl_lists_print },
	{
		.name = "reload",
		.params = { { "binary", CONTROL_TEXT, false, false } },
		.follow = ctl_reload_follow,
	},
	{
		.name = "set-weight",
		.words = "set weight",
		.params = { { "pool", CONTROL_TEXT, true, true },
			{ "backend", CONTROL_TEXT, true, true },
			{ "weight", CONTROL_TEXT, true, true } },
		.print = ctl_orders_print_weight,
	},
	{
		.name = "drain-backend",
		.words = "drain backend",
		.params = { { "pool", CONTROL_TEXT, true, true },
			{ "backend", CONTROL_TEXT, true, true },
			{ "deadline", CONTROL_TEXT, false, false } },
		.print = ctl_orders_print_drain,
	},
	{
		.name = "drain-listener",
		.words = "drain listener",
		.params = { { "listener", CONTROL_TEXT, true, true },
			{ "deadline", CONTROL_TEXT, false, false } },
		.print = ctl_orders_print_drain,
	},
	{
		.name = "drain-gateway",
		.words = "drain gateway",
		.params = { { "deadline", CONTROL_TEXT, false, false } },
		.print = ctl_orders_print_drain,
	},
	{
		.name = "undrain-backend",
		.words = "undrain backend",
		.params = { { "pool", CONTROL_TEXT, true, true },
			{ "backend", CONTROL_TEXT, true, true } },
		.print = ctl_orders_print_undrain,
	},
	{
		.name = "undrain-listener",
		.words = "undrain listener",
		.params = { { "listener", CONTROL_TEXT, true, true } },
		.print = ctl_orders_print_undrain,
	},
};

static const char usage_text[] =
	"usage: sixgatectl [--config FILE] [--json] net plan|apply|status\n"
	"       sixgatectl [--config FILE | --run-directory DIR] [--json] net teardown\n"
	"       sixgatectl [--config FILE] [--json] [--no-connect] doctor\n"
	"       sixgatectl [WHERE] [--json] status|bans|reload-lists\n"
	"       sixgatectl [WHERE] [--json] top [--interval SECONDS]\n"
	"       sixgatectl [WHERE] [--json] reload [--binary PATH]\n"
	"       sixgatectl [WHERE] [--json] who SOURCE:PORT [--backend ADDRESS[:PORT]]\n"
	"                  [--protocol tcp|udp] [--at TIME]\n"
	"       sixgatectl [WHERE] [--json] flows [--client PREFIX] [--backend ADDRESS[:PORT]]\n"
	"                  [--listener NAME] [--protocol tcp|udp] [--older-than TIME]\n"
	"                  [--younger-than TIME] [--limit NUMBER] [--follow]\n"
	"       sixgatectl [WHERE] [--json] kill-flow SOURCE:PORT [--backend ADDRESS[:PORT]]\n"
	"                  [--protocol tcp|udp]\n"
	"       sixgatectl [WHERE] [--json] pools [POOL]\n"
	"       sixgatectl [WHERE] [--json] log-level [error|warning|info|debug]\n"
	"       sixgatectl [WHERE] [--json] ban PREFIX [--for TIME] [--reason TEXT]\n"
	"       sixgatectl [WHERE] [--json] unban PREFIX\n"
	"       sixgatectl [WHERE] [--json] set weight POOL ADDRESS:PORT NUMBER|default\n"
	"       sixgatectl [WHERE] [--json] drain backend POOL ADDRESS:PORT [--deadline TIME]\n"
	"       sixgatectl [WHERE] [--json] drain listener NAME [--deadline TIME]\n"
	"       sixgatectl [WHERE] [--json] drain gateway [--deadline TIME]\n"
	"       sixgatectl [WHERE] [--json] undrain backend POOL ADDRESS:PORT\n"
	"       sixgatectl [WHERE] [--json] undrain listener NAME\n"
	"       sixgatectl --help | --version\n"
	"\n"
	"Asks a gateway that runs; shows, makes and undoes what it needs in the kernel, and says\n"
	"what is wrong with the way from clients to servers. FILE is\n" DEFAULT_CONFIG
	" unless given. WHERE is --config FILE,\n"
	"--run-directory DIR or --socket PATH. sixgatectl(8) says more.\n";

enum command {
	COMMAND_NET_PLAN,
	COMMAND_NET_APPLY,
	COMMAND_NET_STATUS,
	COMMAND_NET_TEARDOWN,
	COMMAND_DOCTOR,
	COMMAND_CONTROL,
	COMMAND_HELP,
	COMMAND_VERSION,
};

struct request {
	enum command command;
	const char *path; /* NULL: not given */
	const char *run_directory;
	const char *socket;
	bool json;
	bool no_connect;
	const struct ctl_command *control; /* COMMAND_CONTROL; NULL before it is known */
	json_t *args;			   /* its arguments, an object */
};

#define SHOWN_MAX 101

/* As it may be shown on a terminal. */
static const char *shown(const char *word, char buf[SHOWN_MAX])
{
	snprintf(buf, SHOWN_MAX, "%s", word);
	config_clean_text(buf);
	return buf;
}

static int usage_error(const char *what, const char *word)
{
	char buf[SHOWN_MAX];

	fprintf(stderr, "sixgatectl: %s%s%s; --help tells more\n", what, *word ? ": " : "",
		shown(word, buf));
	return -EINVAL;
}

/* ---- control commands ---- */

#define CONTROL_COMMANDS (sizeof(control_commands) / sizeof(control_commands[0]))

/* The command that the words begin with, and how many of them name it; NULL: none of these. */
static const struct ctl_command *find_control(int argc, char **argv, int *ret_named)
{
	char two[64] = "";

	if (argc > 1)
		snprintf(two, sizeof(two), "%s %s", argv[0], argv[1]);
	for (size_t i = 0; i < CONTROL_COMMANDS; i++) {
		const struct ctl_command *command = &control_commands[i];

		if (strcmp(command->words ? two : argv[0],
			    command->words ? command->words : command->name) != 0)
			continue;
		*ret_named = command->words ? 2 : 1;
		return command;
	}
	return NULL;
}

static int no_command(const char *word)
{
	static const char *const others[] = { "net", "doctor", "set", "drain", "undrain" };
	struct nearest nearest = { .word = word };
	char buf[SHOWN_MAX];

	for (size_t i = 0; i < CONTROL_COMMANDS; i++)
		if (!control_commands[i].words)
			nearest_offer(&nearest, control_commands[i].name);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		nearest_offer(&nearest, others[i]);
	if (!nearest.found)
		return usage_error("no such command", word);
	fprintf(stderr, "sixgatectl: no such command: %s; did you mean %s?\n", shown(word, buf),
		nearest.found);
	return -EINVAL;
}

/* The first of the two words is there, and the other is not. */
static int half_named(const char *word)
{
	size_t len = strlen(word);
	char all[128] = "";

	for (size_t i = 0; i < CONTROL_COMMANDS; i++) {
		const char *words = control_commands[i].words;

		if (!words || strncmp(words, word, len) != 0 || words[len] != ' ')
			continue;
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", all[0] ? ", " : "",
			words + len + 1);
	}
	if (!all[0])
		return no_command(word);
	fprintf(stderr, "sixgatectl: after %s, give one of: %s; --help tells more\n", word, all);
	return -EINVAL;
}

static int parse_command(int argc, char **argv, struct request *request)
{
	static const char *const net[] = { "plan", "apply", "status", "teardown" };

	if (argc == 0)
		return usage_error("no command: give one, like status", "");
	if (strcmp(argv[0], "doctor") == 0) {
		request->command = COMMAND_DOCTOR;
		return argc == 1 ? 0 : usage_error("doctor takes no argument", argv[1]);
	}
	if (strcmp(argv[0], "net") != 0)
		return half_named(argv[0]);
	if (argc == 2)
		for (size_t i = 0; i < sizeof(net) / sizeof(net[0]); i++)
			if (strcmp(argv[1], net[i]) == 0) {
				request->command = (enum command)(COMMAND_NET_PLAN + i);
				return 0;
			}
	return usage_error("after net, give one of plan, apply, status, teardown",
		argc > 1 ? argv[argc > 2 ? 2 : 1] : "");
}

static int set_param(struct request *request, const struct ctl_param *param, const char *word)
{
	int err = ctl_client_set(request->args, param, word);
	char what[96];

	if (err != -EINVAL)
		return err;
	snprintf(what, sizeof(what), "%.32s must be a %s", param->name,
		param->kind == CONTROL_NUMBER ? "whole number" : "text in UTF-8");
	return usage_error(what, word);
}

/* The words that are no options, in the order of the table. */
static int take_words(struct request *request, int argc, char **argv)
{
	const struct ctl_param *param = request->control->params;
	char what[96];
	int n = 0, err;

	for (; param->name; param++) {
		if (param->positional && n < argc) {
			err = set_param(request, param, argv[n++]);
			if (err)
				return err;
		}
		if (param->required && !json_object_get(request->args, param->name)) {
			snprintf(what, sizeof(what), "%.32s needs %s%.32s",
				request->control->words ? request->control->words
							: request->control->name,
				param->positional ? "a word: " : "--", param->name);
			return usage_error(what, "");
		}
	}
	return n == argc ? 0 : usage_error("one word too many", argv[n]);
}

/* ---- help ---- */

/* Whether the form is of this command: behind the options, alone or as one of "a|b|c". */
static bool is_form_of(const char *form, const char *words)
{
	static const char last_option[] = "[--json] ";
	const char *at = strstr(form, last_option);
	size_t n = strlen(words);

	if (!at)
		return false;
	for (at += sizeof(last_option) - 1;; at++) {
		if (strncmp(at, words, n) == 0 && strchr("| \n", at[n]))
			return true;
		at += strcspn(at, "| \n");
		if (*at != '|')
			return false;
	}
}

/* Of the usage of one command its own lines: those up to the next "sixgatectl". */
static void print_usage(const struct ctl_command *command)
{
	const char *words = command->words ? command->words : command->name;
	static const char begin[] = "sixgatectl [";
	const char *next, *form = strstr(usage_text, begin);

	for (; form; form = next) {
		size_t len;

		next = strstr(form + 1, begin);
		len = next ? (size_t)(next - form) : strcspn(form, "\n") + 1;
		while (len > 0 && form[len - 1] == ' ')
			len--;
		if (is_form_of(form, words))
			printf("usage: %.*s", (int)len, form);
	}
	fputs("WHERE is --config FILE, --run-directory DIR or --socket PATH. sixgatectl(8) says "
	      "more.\n",
		stdout);
}

/* ---- the command line ---- */

static int take_option(struct request *request, int id, const char *word)
{
	switch (id) {
	case OPTION_CONFIG:
		request->path = word;
		return 0;
	case OPTION_JSON:
		request->json = true;
		return 0;
	case OPTION_RUN_DIRECTORY:
		request->run_directory = word;
		return 0;
	case OPTION_SOCKET:
		request->socket = word;
		return 0;
	case OPTION_NO_CONNECT:
		request->no_connect = true;
		return 0;
	case OPTION_HELP:
		request->command = COMMAND_HELP;
		return 0;
	case OPTION_VERSION:
		request->command = COMMAND_VERSION;
		return 0;
	default:
		assert(request->control);
		return set_param(request, &request->control->params[id - OPTION_PARAM], word);
	}
}

/* All options, those of the control command among them if it is known. Moves optind. */
static int parse_options(int argc, char **argv, const char *how, struct request *request)
{
	struct option options[COMMON_OPTIONS + CONTROL_PARAMS_MAX + 1] = { 0 };
	size_t n = COMMON_OPTIONS;
	int id, err;

	memcpy(options, common_options, sizeof(common_options));
	for (int i = 0; request->control && request->control->params[i].name; i++) {
		const struct ctl_param *param = &request->control->params[i];

		if (!param->positional)
			options[n++] = (struct option){ param->name,
				param->kind == CONTROL_FLAG ? no_argument : required_argument, NULL,
				OPTION_PARAM + i };
	}
	opterr = 0;
	optind = 0;
	while ((id = getopt_long(argc, argv, how, options, NULL)) != -1) {
		if (id == '?')
			return usage_error("an option that is unknown or lacks its argument",
				argv[optind - 1]);
		err = take_option(request, id, optarg);
		if (err || request->command == COMMAND_HELP || request->command == COMMAND_VERSION)
			return err;
	}
	return 0;
}

static int check_together(const struct request *request)
{
	bool control = request->command == COMMAND_CONTROL;

	if (request->run_directory && !control && request->command != COMMAND_NET_TEARDOWN)
		return usage_error(
			"--run-directory is for net teardown and for asking a gateway", "");
	if (request->run_directory && request->run_directory[0] != '/')
		return usage_error("give --run-directory from / on", request->run_directory);
	if (request->run_directory && request->path)
		return usage_error("the file names a run directory: give --config or "
				   "--run-directory, not both",
			"");
	if (request->socket && !control)
		return usage_error("--socket is for asking a gateway", "");
	if (request->socket && (request->run_directory || request->path))
		return usage_error(
			"--socket says it all: leave --config and --run-directory out", "");
	if (request->no_connect && request->command != COMMAND_DOCTOR)
		return usage_error("--no-connect is for doctor", "");
	return 0;
}

/* The options in front say nothing of the command; its own may come anywhere behind it. */
static int parse(int argc, char **argv, struct request *request)
{
	int err = parse_options(argc, argv, "+", request), named = 0;

	if (err || request->command == COMMAND_HELP || request->command == COMMAND_VERSION)
		return err;
	argc -= optind;
	argv += optind;
	if (argc > 0)
		request->control = find_control(argc, argv, &named);
	if (request->control) {
		/* Its last word stands where getopt_long() has the program's name. */
		argc -= named - 1;
		argv += named - 1;
		request->command = COMMAND_CONTROL;
		request->args = json_object();
		if (!request->args)
			return -ENOMEM;
	}
	/* getopt_long() takes the first word for the program's name, and leaves it alone. */
	err = argc > 0 ? parse_options(argc, argv, "", request) : 0;
	if (err || request->command == COMMAND_HELP || request->command == COMMAND_VERSION)
		return err;
	if (request->control) {
		err = take_words(request, argc - optind, argv + optind);
	} else if (argc > 0) {
		argv[optind - 1] = argv[0];
		err = parse_command(argc - optind + 1, argv + optind - 1, request);
	} else {
		err = parse_command(0, argv, request);
	}
	return err ? err : check_together(request);
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
	case COMMAND_CONTROL:
	case COMMAND_HELP:
	case COMMAND_VERSION:
		break;
	}
	return EX_SOFTWARE;
}

static int config_failed(int err, const char *error)
{
	fprintf(stderr, "sixgatectl: %s\n", err == -ENOMEM ? strerror(ENOMEM) : error);
	return err == -ENOMEM ? EX_OSERR : EX_CONFIG;
}

/*
 * The run directory of the gateway that is meant, to be freed, as said on the command line or in
 * the usual file; if that cannot be read by this user or is wrong, the default. NULL: *ret_status.
 */
static char *find_run_directory(const struct request *request, int *ret_status)
{
	const char *path = request->path ? request->path : DEFAULT_CONFIG;
	const char *directory = CONFIG_RUN_DIRECTORY;
	char error[CONFIG_ERROR_MAX], *copy;
	struct config *config = NULL;
	int err;

	if (request->run_directory) {
		directory = request->run_directory;
	} else {
		err = config_file_load(path, &config, error);
		if (err && request->path) {
			*ret_status = config_failed(err, error);
			return NULL;
		}
		directory = err ? directory : config->run_directory;
	}
	copy = strdup(directory);
	if (!copy)
		*ret_status = config_failed(-ENOMEM, NULL);
	config_free(config);
	return copy;
}

/* Takes the arguments over. */
static int run_control(struct request *request)
{
	char *directory = NULL, *path = NULL;
	int status = EX_OSERR;

	if (request->socket)
		return ctl_client_run(
			request->control, request->socket, request->args, request->json);
	directory = find_run_directory(request, &status);
	if (directory && asprintf(&path, "%s/" CONTROL_SOCKET, directory) < 0)
		path = NULL;
	if (path)
		status = ctl_client_run(request->control, path, request->args, request->json);
	else
		json_decref(request->args);
	free(path);
	free(directory);
	return status;
}

static int run(int argc, char **argv)
{
	struct request request = { 0 };
	char error[CONFIG_ERROR_MAX];
	struct config *config;
	const char *path;
	int err, status;

	if (parse(argc, argv, &request) < 0) {
		json_decref(request.args);
		return EX_USAGE;
	}
	if (request.command == COMMAND_HELP) {
		if (request.control)
			print_usage(request.control);
		else
			fputs(usage_text, stdout);
		json_decref(request.args);
		return EXIT_SUCCESS;
	}
	if (request.command == COMMAND_VERSION) {
		puts("sixgatectl " SIXGATE_VERSION);
		json_decref(request.args);
		return EXIT_SUCCESS;
	}
	if (request.command == COMMAND_CONTROL)
		return run_control(&request);
	/* What is to be removed is known by its mark: no file is needed. */
	if (request.command == COMMAND_NET_TEARDOWN && !request.path)
		return ctl_net_teardown(
			request.run_directory ? request.run_directory : CONFIG_RUN_DIRECTORY,
			request.json);
	path = request.path ? request.path : DEFAULT_CONFIG;
	err = config_file_load(path, &config, error);
	if (err)
		return config_failed(err, error);
	status = run_with(&request, path, config);
	config_free(config);
	return status;
}

int main(int argc, char **argv)
{
	int status, lost;

	if (std_streams_open() < 0)
		return EX_OSERR;
	status = run(argc, argv);
	lost = std_streams_flush("sixgatectl");
	return lost ? lost : status;
}
