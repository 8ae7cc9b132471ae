#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * Theory of operation
 *
 * A command line makes the same configuration as a file with one listener, "listen", and one pool,
 * "backends", by the same functions of config.h. Both are there from the start, so that options may
 * come in any order; if a file is named after all, its configuration takes their place as a whole.
 * That nothing was said beside it is known by "other".
 *
 * A file is always read by way of a snapshot, which stays open: a later reload that must come back
 * to this image gives it the same text (config_file.h).
 *
 * getopt_long() is told to say nothing (":"), as its own sentences name neither the remedy nor
 * always the word that was meant.
 */
enum option_id {
	OPTION_CONFIG = 1,
	OPTION_CHECK,
	OPTION_LISTEN,
	OPTION_BACKEND,
	OPTION_IDENTITY,
	OPTION_IDENTITY_IPV6,
	OPTION_SOURCE,
	OPTION_WORKERS,
	OPTION_ACCESS_LOG,
	OPTION_LOG_LEVEL,
	OPTION_USER,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_COUNT
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "check", required_argument, NULL, OPTION_CHECK },
	{ "listen", required_argument, NULL, OPTION_LISTEN },
	{ "backend", required_argument, NULL, OPTION_BACKEND },
	{ "identity", required_argument, NULL, OPTION_IDENTITY },
	{ "identity-ipv6", required_argument, NULL, OPTION_IDENTITY_IPV6 },
	{ "source", required_argument, NULL, OPTION_SOURCE },
	{ "workers", required_argument, NULL, OPTION_WORKERS },
	{ "access-log", required_argument, NULL, OPTION_ACCESS_LOG },
	{ "log-level", required_argument, NULL, OPTION_LOG_LEVEL },
	{ "user", required_argument, NULL, OPTION_USER },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static const char usage_text[] =
	"usage: sixgated --config FILE [--log-level LEVEL]\n"
	"       sixgated --check FILE\n"
	"       sixgated --listen ADDRESS:PORT... --backend IPV4:PORT...\n"
	"                [--identity proxy-v2|proxy-v1|none|transparent]\n"
	"                [--identity-ipv6 proxy-v2|proxy-v1|none|refuse] [--source IPV4]...\n"
	"                [--workers auto|N] [--access-log off|stdout|stderr|journal|PATH]\n"
	"                [--log-level error|warning|info|debug] [--user NAME]\n"
	"       sixgated --help | --version\n"
	"\n"
	"Accepts clients over IPv6 and IPv4, connects them to IPv4 servers, and tells the\n"
	"servers by the PROXY protocol who they are. Example:\n"
	"\n"
	"       sixgated --listen '[::]:8080' --backend 192.0.2.10:80\n"
	"\n"
	"sixgated(8) and sixgated.conf(5) say more.\n";

const char *options_usage(void)
{
	return usage_text;
}

/* What the command line has said so far. */
struct command {
	char *error; /* CONFIG_ERROR_MAX */
	struct config *config;
	struct config_listener *listener;
	struct config_pool *pool;
	const char *path;
	const char *log_level;
	bool check;
	bool v6_given;	   /* --identity-ipv6 */
	const char *other; /* the first option that a file excludes */
	int config_fd;	   /* of the file as it was read; -1: not yet */
};

__attribute__((format(printf, 2, 3))) static int fail(
	struct command *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(command->error, CONFIG_ERROR_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

static const char *name_of(int id)
{
	for (const struct option *o = long_options; o->name; o++)
		if (o->val == id)
			return o->name;
	return "?";
}

static int take_file(struct command *command, int id, const char *value)
{
	if (command->path)
		return fail(command, "--%s %s: there is a file already, %s; name one", name_of(id),
			config_short_path(value), config_short_path(command->path));
	command->path = value;
	command->check = id == OPTION_CHECK;
	return 0;
}

static int take_value(struct command *command, int id, const char *value)
{
	struct config *config = command->config;
	const char *reason = "";
	int err = 0;

	switch ((enum option_id)id) {
	case OPTION_CONFIG:
	case OPTION_CHECK:
		return take_file(command, id, value);
	case OPTION_LISTEN:
		err = config_add_bind(config, command->listener, value, &reason);
		break;
	case OPTION_BACKEND:
		err = config_is_name(value) ? config_add_name(command->pool, value,
						      CONFIG_NAME_ADDRESSES, 1, &reason)
					    : config_add_backend(command->pool, value, 1, &reason);
		break;
	case OPTION_IDENTITY:
		err = config_parse_identity(value, &command->listener->identity, &reason);
		break;
	case OPTION_IDENTITY_IPV6:
		command->v6_given = true;
		err = config_parse_identity_v6(value, &command->listener->identity_v6, &reason);
		break;
	case OPTION_SOURCE:
		err = config_add_source(command->pool, value, &reason);
		break;
	case OPTION_WORKERS:
		err = config_parse_workers(value, &config->workers, &reason);
		break;
	case OPTION_ACCESS_LOG:
		err = config_set_access_log(config, value, &reason);
		break;
	case OPTION_LOG_LEVEL:
		command->log_level = value;
		err = config_parse_log_level(value, &config->log_level, &reason);
		break;
	case OPTION_USER:
		err = config_set_user(config, value, &reason);
		break;
	case OPTION_HELP:
	case OPTION_VERSION:
	case OPTION_COUNT:
		break;
	}
	if (err == -EINVAL)
		return fail(command, "--%s %.100s: %s", name_of(id), value, reason);
	if (!err && id != OPTION_LOG_LEVEL && !command->other)
		command->other = name_of(id);
	return err;
}

/* Loads the file in place of what the command line has built. */
static int load_file(struct command *command)
{
	struct config *config;
	int err;

	if (command->other)
		return fail(command,
			"--%s: a file says all of this; give either --%s or %s, not both",
			command->other, command->check ? "check" : "config",
			"--listen and --backend");
	err = command->config_fd < 0 ? config_file_snapshot(command->path, true,
					       &command->config_fd, command->error)
				     : 0;
	if (!err)
		err = config_file_load_snapshot(
			command->path, command->config_fd, &config, command->error);
	if (err)
		return err == -ENOMEM ? err : -EBADMSG;
	if (command->log_level)
		config->log_level = command->config->log_level;
	config_free(command->config);
	command->config = config;
	return 0;
}

/* Last of all: it depends on the binds. What is wrong may be the fault of either option. */
static int settle_identity(struct command *command)
{
	struct config_listener *listener = command->listener;
	bool transparent = config_is_transparent(listener);
	const char *reason = "";

	if (config_settle_identity(listener, command->v6_given, &reason) == 0)
		return 0;
	return fail(command, "--%s %s: %s",
		name_of(transparent ? OPTION_IDENTITY : OPTION_IDENTITY_IPV6),
		config_identity_name(transparent ? listener->identity : listener->identity_v6),
		reason);
}

static int finish(struct command *command)
{
	if (command->path)
		return load_file(command);
	if (command->listener->n_binds == 0 && command->pool->n_backends == 0)
		return fail(command, "nothing to do: give --config FILE, or --listen '[::]:8080' "
				     "--backend 192.0.2.10:80; --help tells more");
	if (command->listener->n_binds == 0)
		return fail(command, "--listen is missing: add --listen '[::]:8080'");
	if (command->pool->n_backends == 0)
		return fail(command, "--backend is missing: add --backend 192.0.2.10:80");
	return settle_identity(command);
}

/* "--help=3" does, in full or cut short; not "-x", though getopt may call both by one number. */
static bool names_option(const char *word, int id)
{
	size_t len;

	if (id <= 0 || id >= OPTION_COUNT || strncmp(word, "--", 2) != 0)
		return false;
	len = strcspn(word + 2, "=");
	return word[2 + len] == '=' && strncmp(word + 2, name_of(id), len) == 0;
}

static int unknown(struct command *command, int id, char **argv)
{
	if (id == ':')
		return fail(command, "%.100s: its value is missing; --help shows what it takes",
			argv[optind - 1]);
	if (names_option(argv[optind - 1], optopt))
		return fail(command, "--%s takes no value", name_of(optopt));
	/* Of letters behind one dash, getopt may not have moved on from the first. */
	if (optopt < 0 || optopt >= OPTION_COUNT)
		return fail(command, "-%c: there is no such option; --help lists them", optopt);
	return fail(
		command, "%.100s: there is no such option; --help lists them", argv[optind - 1]);
}

static int parse_words(
	struct command *command, int argc, char **argv, enum options_action *ret_action)
{
	int id, err = 0;

	/* Starts over, as tests call this more than once; glibc takes 0 for that, and not 1. */
	optind = 0;
	while (!err && (id = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		if (id == '?' || id == ':')
			return unknown(command, id, argv);
		if (id == OPTION_HELP || id == OPTION_VERSION) {
			*ret_action = id == OPTION_HELP ? OPTIONS_HELP : OPTIONS_VERSION;
			return 0;
		}
		err = take_value(command, id, optarg);
	}
	if (!err && optind < argc)
		return fail(command, "%.100s: what is this word for? Options begin with --",
			argv[optind]);
	if (!err)
		err = finish(command);
	*ret_action = command->check ? OPTIONS_CHECK : OPTIONS_RUN;
	return err;
}

int options_parse(int argc, char **argv, int config_fd, struct options *ret_options,
	char error[CONFIG_ERROR_MAX])
{
	struct command command = {
		.error = error,
		.config = config_new(),
		.config_fd = config_fd,
	};
	enum options_action action = OPTIONS_RUN;
	const char *reason;
	int err = -ENOMEM;

	error[0] = '\0';
	if (!command.config)
		goto fail;
	err = config_add_listener(command.config, "listen", &command.listener, &reason);
	if (!err)
		err = config_add_pool(command.config, "backends", &command.pool, &reason);
	if (!err)
		err = parse_words(&command, argc, argv, &action);
	if (err)
		goto fail;
	if (action == OPTIONS_HELP || action == OPTIONS_VERSION) {
		config_free(command.config);
		command.config = NULL;
	}
	*ret_options = (struct options){
		.action = action,
		.config = command.config,
		.path = command.path,
		.config_fd = command.config_fd,
	};
	return 0;
fail:
	if (!error[0])
		snprintf(error, CONFIG_ERROR_MAX, "%s", strerror(-err));
	config_clean_text(error);
	config_free(command.config);
	if (command.config_fd >= 0)
		close(command.config_fd);
	return err;
}
