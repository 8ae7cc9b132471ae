#include "config_file.h"

#include <assert.h>
#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_scan.h"
#include "duration.h"

/*
 * Theory of operation
 *
 * Three passes, each of which ends the work with the first mistake it finds. config_scan looks at
 * braces, quotes and repetitions, where sections begin, and takes the comments out. libconfuse
 * parses what is left, with every value a string, and on_value() notes the line of each. Then the
 * tree is walked and the configuration built by the functions of config.h, and what they refuse is
 * reported with the line that was noted.
 */
#define FILE_MAX ((size_t)1024 * 1024)

/* Where the nth value of an option stands. */
struct noted {
	const cfg_opt_t *opt;
	unsigned nth;
	int line;
};

struct parse {
	const char *name;
	char *error; /* CONFIG_ERROR_MAX; empty: nothing was wrong so far */
	struct config_scan scan;
	struct noted *noted;
	size_t n_noted;
	struct config *config;
	size_t seen_backends; /* over all pools, to find their lines */
};

/* libconfuse hands its callbacks no user data. Set while it parses, and only then. */
static _Thread_local struct parse *current;

/* ---- reporting ---- */

__attribute__((format(printf, 3, 4))) static int fail(
	struct parse *parse, int line, const char *format, ...)
{
	va_list args;
	int n;

	if (parse->error[0])
		return -EINVAL; /* the first mistake is the one to mend */
	n = snprintf(
		parse->error, CONFIG_ERROR_MAX, "%s:%d: ", config_short_path(parse->name), line);
	if (n < 0 || n >= CONFIG_ERROR_MAX)
		return -EINVAL;
	va_start(args, format);
	vsnprintf(parse->error + n, CONFIG_ERROR_MAX - (size_t)n, format, args);
	va_end(args);
	config_clean_text(parse->error);
	return -EINVAL;
}

/* err as the functions of config.h return it. */
static int refused(struct parse *parse, int line, int err, const char *what, const char *value,
	const char *reason)
{
	if (err == -ENOMEM)
		return err;
	return fail(parse, line, "%s \"%.100s\": %s", what, value, reason);
}

/* ---- parsing ---- */

static size_t distance(const char *a, const char *b)
{
	enum { LIMIT = 24 };
	size_t row[LIMIT + 1], la = strlen(a), lb = strlen(b);

	if (la > LIMIT || lb > LIMIT)
		return LIMIT;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

/* Names the option that was probably meant, or all there are. */
static void fail_unknown(struct parse *parse, const cfg_t *cfg, const char *name)
{
	const char *nearest = NULL;
	char known[256] = "";
	size_t best = 3; /* farther than this is no typing mistake */
	bool top = strcmp(cfg->name, "root") == 0;

	for (const cfg_opt_t *opt = cfg->opts; opt->name; opt++) {
		size_t far = distance(name, opt->name);
		size_t len = strlen(known);

		if (far < best) {
			best = far;
			nearest = opt->name;
		}
		snprintf(known + len, sizeof(known) - len, "%s%s", len ? ", " : "", opt->name);
	}
	if (nearest)
		(void)fail(parse, cfg->line, "unknown option '%.40s'%s%s; did you mean '%s'?", name,
			top ? "" : " in ", top ? "" : cfg->name, nearest);
	else
		(void)fail(parse, cfg->line, "unknown option '%.40s'%s%s; known here: %s", name,
			top ? "" : " in ", top ? "" : cfg->name, known);
}

__attribute__((format(printf, 2, 0))) static void on_error(
	cfg_t *cfg, const char *format, va_list args)
{
	bool duplicate = strncmp(format, "found duplicate title", 21) == 0;
	bool no_brace = strncmp(format, "missing opening brace", 21) == 0;
	bool backend = strcmp(cfg->name, "pool") == 0; /* no other section is in one */
	char text[200];
	va_list again;
	size_t len;

	if (strncmp(format, "no such option", 14) == 0) {
		fail_unknown(current, cfg, va_arg(args, const char *));
		return;
	}
	va_copy(again, args);
	vsnprintf(text, sizeof(text), format, args);
	len = strlen(text);
	while (len && (text[len - 1] == '\n' || text[len - 1] == '.'))
		text[--len] = '\0';
	if (strncmp(format, "missing title", 13) == 0)
		(void)fail(current, cfg->line, "%s; write '%s \"name\" { ... }'", text,
			va_arg(again, const char *));
	else if (duplicate && backend)
		(void)fail(current, cfg->line,
			"backend \"%.100s\": the pool has this backend already: give it a weight "
			"instead",
			va_arg(again, const char *));
	else if (no_brace && backend)
		(void)fail(current, cfg->line,
			"a backend ends in { }, write: backend \"192.0.2.10:80\" {}");
	else if (duplicate)
		(void)fail(current, cfg->line, "%s; give each a name of its own", text);
	else
		(void)fail(current, cfg->line, "%s; write 'name = value' or 'name { ... }'", text);
	va_end(again);
}

/* Called by libconfuse for each value that has been read, and once more at the end of a list. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt)
{
	struct parse *parse = current;
	unsigned nth = cfg_opt_size(opt) - 1;
	struct noted *bigger;

	if (parse->n_noted) {
		const struct noted *last = &parse->noted[parse->n_noted - 1];

		if (last->opt == opt && last->nth == nth)
			return 0; /* the end of a list, which says nothing new */
	}
	bigger = reallocarray(parse->noted, parse->n_noted + 1, sizeof(*bigger));
	if (!bigger)
		return fail(parse, cfg->line, "no memory");
	parse->noted = bigger;
	parse->noted[parse->n_noted++] = (struct noted){ opt, nth, cfg->line };
	return 0;
}

static int line_of_nth(const struct parse *parse, cfg_t *cfg, const char *name, unsigned nth)
{
	const cfg_opt_t *opt = cfg_getopt(cfg, name);

	for (size_t i = 0; i < parse->n_noted; i++)
		if (parse->noted[i].opt == opt && parse->noted[i].nth == nth)
			return parse->noted[i].line;
	return cfg->line;
}

static int line_of(const struct parse *parse, cfg_t *cfg, const char *name)
{
	return line_of_nth(parse, cfg, name, 0);
}

/* The schema: every value a string, judged by the walk. */
static cfg_opt_t timeouts_opts[] = {
	CFG_STR("connect", NULL, CFGF_NODEFAULT),
	CFG_STR("idle", NULL, CFGF_NODEFAULT),
	CFG_STR("half-closed", NULL, CFGF_NODEFAULT),
	CFG_STR("dead-peer", NULL, CFGF_NODEFAULT),
	CFG_END(),
};

static cfg_opt_t listener_opts[] = {
	CFG_STR_LIST("bind", NULL, CFGF_NODEFAULT),
	CFG_STR("protocol", NULL, CFGF_NODEFAULT),
	CFG_STR("pool", NULL, CFGF_NODEFAULT),
	CFG_STR("identity", NULL, CFGF_NODEFAULT),
	CFG_STR("v6only", NULL, CFGF_NODEFAULT),
	CFG_STR("backlog", NULL, CFGF_NODEFAULT),
	CFG_SEC("timeouts", timeouts_opts, CFGF_NODEFAULT),
	CFG_END(),
};

static cfg_opt_t backend_opts[] = {
	CFG_STR("weight", NULL, CFGF_NODEFAULT),
	CFG_END(),
};

static cfg_opt_t pool_opts[] = {
	CFG_STR("balance", NULL, CFGF_NODEFAULT),
	CFG_STR_LIST("source", NULL, CFGF_NODEFAULT),
	CFG_SEC("backend", backend_opts, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
	CFG_END(),
};

static cfg_opt_t root_opts[] = {
	CFG_STR("workers", NULL, CFGF_NODEFAULT),
	CFG_STR("drain", NULL, CFGF_NODEFAULT),
	CFG_STR("max-flows", NULL, CFGF_NODEFAULT),
	CFG_STR("user", NULL, CFGF_NODEFAULT),
	CFG_STR("log", NULL, CFGF_NODEFAULT),
	CFG_STR("log-level", NULL, CFGF_NODEFAULT),
	CFG_STR("access-log", NULL, CFGF_NODEFAULT),
	CFG_SEC("listener", listener_opts, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
	CFG_SEC("pool", pool_opts, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
	CFG_END(),
};

/* Has on_value() called for every option; path ends in "|" below the root. */
static void watch_options(cfg_t *cfg, const char *path, const cfg_opt_t *opts)
{
	char name[64];

	for (; opts->name; opts++) {
		snprintf(name, sizeof(name), "%s%s", path, opts->name);
		if (opts->type != CFGT_SEC)
			cfg_set_validate_func(cfg, name, on_value);
	}
}

static cfg_t *make_parser(const char *name)
{
	cfg_t *cfg = cfg_init(root_opts, CFGF_NONE);

	if (!cfg)
		return NULL;
	free(cfg->filename);
	cfg->filename = strdup(name);
	cfg_set_error_function(cfg, on_error);
	watch_options(cfg, "", root_opts);
	watch_options(cfg, "listener|", listener_opts);
	watch_options(cfg, "listener|timeouts|", timeouts_opts);
	watch_options(cfg, "pool|", pool_opts);
	watch_options(cfg, "pool|backend|", backend_opts);
	return cfg;
}

/* ---- walking: one value ---- */

/* The option's text; NULL if it was not given. */
static const char *text_of(cfg_t *cfg, const char *name)
{
	return cfg_size(cfg, name) ? cfg_getstr(cfg, name) : NULL;
}

static int get_number(struct parse *parse, cfg_t *cfg, const char *name, uint32_t min, uint32_t max,
	uint32_t *ret_number)
{
	const char *text = text_of(cfg, name);
	uint64_t number = 0;
	const char *p;

	if (!text)
		return 0;
	for (p = text; *p >= '0' && *p <= '9' && number <= max; p++)
		number = number * 10 + (uint64_t)(*p - '0');
	if (p == text || *p || number < min || number > max)
		return fail(parse, line_of(parse, cfg, name),
			"%s \"%.100s\": write a whole number from %u to %u", name, text, min, max);
	*ret_number = (uint32_t)number;
	return 0;
}

struct range {
	uint32_t min_ms, max_ms;
	const char *text; /* the range, as the message has it */
};

static int get_duration(struct parse *parse, cfg_t *cfg, const char *name,
	const struct range *range, uint32_t *ret_ms)
{
	const char *text = text_of(cfg, name);
	uint32_t ms;

	if (!text)
		return 0;
	if (duration_parse(text, &ms) < 0)
		return fail(parse, line_of(parse, cfg, name),
			"%s \"%.100s\": write a whole number with a unit, ms, s, m, h or d, like "
			"5s",
			name, text);
	if (ms < range->min_ms || ms > range->max_ms)
		return fail(parse, line_of(parse, cfg, name), "%s \"%.100s\": must be from %s",
			name, text, range->text);
	*ret_ms = ms;
	return 0;
}

static int get_bool(struct parse *parse, cfg_t *cfg, const char *name, bool *ret_value)
{
	const char *text = text_of(cfg, name);

	if (!text)
		return 0;
	if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
		return fail(parse, line_of(parse, cfg, name), "%s \"%.100s\": write yes or no",
			name, text);
	*ret_value = text[0] == 'y';
	return 0;
}

/* For an option that knows one word so far. */
static int check_word(struct parse *parse, cfg_t *cfg, const char *name, const char *word)
{
	const char *text = text_of(cfg, name);

	if (!text || strcmp(text, word) == 0)
		return 0;
	return fail(parse, line_of(parse, cfg, name),
		"%s \"%.100s\": this version knows %s and no other", name, text, word);
}

/* ---- walking: sections ---- */

static int walk_backend(struct parse *parse, struct config_pool *pool, cfg_t *cfg)
{
	int line = config_scan_line(&parse->scan, "backend", parse->seen_backends++);
	const char *reason = NULL;
	uint32_t weight = 100;
	int err;

	err = get_number(parse, cfg, "weight", 0, CONFIG_WEIGHT_MAX, &weight);
	if (err)
		return err;
	err = config_add_backend(pool, cfg_title(cfg), weight, &reason);
	return err ? refused(parse, line, err, "backend", cfg_title(cfg), reason) : 0;
}

static bool all_weights_zero(const struct config_pool *pool)
{
	for (size_t i = 0; i < pool->n_backends; i++)
		if (pool->backends[i].weight)
			return false;
	return true;
}

static int walk_pool(struct parse *parse, cfg_t *cfg, int line)
{
	const char *reason = NULL;
	struct config_pool *pool;
	int err;

	err = config_add_pool(parse->config, cfg_title(cfg), &pool, &reason);
	if (err)
		return refused(parse, line, err, "pool", cfg_title(cfg), reason);
	err = check_word(parse, cfg, "balance", "round-robin");
	for (unsigned i = 0; i < cfg_size(cfg, "source") && !err; i++) {
		const char *text = cfg_getnstr(cfg, "source", i);

		err = config_add_source(pool, text, &reason);
		if (err)
			return refused(parse, line_of_nth(parse, cfg, "source", i), err, "source",
				text, reason);
	}
	for (unsigned i = 0; i < cfg_size(cfg, "backend") && !err; i++)
		err = walk_backend(parse, pool, cfg_getnsec(cfg, "backend", i));
	if (err)
		return err;
	if (pool->n_backends == 0)
		return fail(parse, line,
			"pool \"%s\" has no backend; add: backend \"192.0.2.10:80\" {}",
			pool->name);
	if (all_weights_zero(pool))
		return fail(parse, line,
			"pool \"%s\": every backend has weight 0, so nobody could be served; give "
			"one a weight from 1 to 65535",
			pool->name);
	return 0;
}

static int walk_timeouts(struct parse *parse, cfg_t *cfg, struct config_timeouts *timeouts)
{
	static const struct range connect = { 1, 600000, "1ms to 10m" };
	static const struct range idle = { 1000, 30U * 86400000U, "1s to 30d" };
	static const struct range dead = { 1000, 3600000, "1s to 1h" };
	int err;

	err = get_duration(parse, cfg, "connect", &connect, &timeouts->connect_ms);
	if (!err)
		err = get_duration(parse, cfg, "idle", &idle, &timeouts->idle_ms);
	if (!err)
		err = get_duration(parse, cfg, "half-closed", &idle, &timeouts->half_closed_ms);
	if (!err)
		err = get_duration(parse, cfg, "dead-peer", &dead, &timeouts->dead_peer_ms);
	return err;
}

static int walk_binds(struct parse *parse, struct config_listener *listener, cfg_t *cfg, int line)
{
	for (unsigned i = 0; i < cfg_size(cfg, "bind"); i++) {
		const char *text = cfg_getnstr(cfg, "bind", i);
		const char *reason = NULL;
		int err = config_add_bind(parse->config, listener, text, &reason);

		if (err)
			return refused(parse, line_of_nth(parse, cfg, "bind", i), err, "bind", text,
				reason);
	}
	if (listener->n_binds == 0)
		return fail(parse, line, "listener \"%s\" has no address; add: bind = \"*:80\"",
			listener->name);
	return 0;
}

static int walk_listener_pool(
	struct parse *parse, struct config_listener *listener, cfg_t *cfg, int line)
{
	const char *text = text_of(cfg, "pool");

	if (!text)
		return fail(parse, line, "listener \"%s\" has no pool; add: pool = \"name\"",
			listener->name);
	if (config_find_pool(parse->config, text, &listener->pool) < 0)
		return fail(parse, line_of(parse, cfg, "pool"),
			"pool \"%.100s\": there is none of this name; add: pool \"%.63s\" { "
			"backend "
			"\"192.0.2.10:80\" {} }",
			text, text);
	return 0;
}

static int walk_listener(struct parse *parse, cfg_t *cfg, int line)
{
	struct config_listener *listener;
	const char *reason = NULL;
	const char *text;
	int err;

	err = config_add_listener(parse->config, cfg_title(cfg), &listener, &reason);
	if (err)
		return refused(parse, line, err, "listener", cfg_title(cfg), reason);
	err = walk_binds(parse, listener, cfg, line);
	if (!err)
		err = check_word(parse, cfg, "protocol", "tcp");
	if (!err)
		err = walk_listener_pool(parse, listener, cfg, line);
	if (!err)
		err = get_bool(parse, cfg, "v6only", &listener->v6only);
	if (!err)
		err = get_number(parse, cfg, "backlog", 1, 65535, &listener->backlog);
	if (!err && cfg_size(cfg, "timeouts"))
		err = walk_timeouts(parse, cfg_getsec(cfg, "timeouts"), &listener->timeouts);
	text = text_of(cfg, "identity");
	if (!err && text && config_parse_identity(text, &listener->identity, &reason) < 0)
		err = refused(
			parse, line_of(parse, cfg, "identity"), -EINVAL, "identity", text, reason);
	return err;
}

/* ---- walking: the whole ---- */

static int walk_log(struct parse *parse, cfg_t *cfg)
{
	struct config *config = parse->config;
	const char *text = text_of(cfg, "log"), *reason = NULL;
	int err = 0;

	if (text && strcmp(text, "stderr") != 0 && strcmp(text, "journal") != 0)
		return fail(parse, line_of(parse, cfg, "log"),
			"log \"%.100s\": log is stderr or journal", text);
	if (text)
		config->log = text[0] == 'j' ? LOG_TARGET_JOURNAL : LOG_TARGET_STDERR;
	text = text_of(cfg, "log-level");
	if (text && config_parse_log_level(text, &config->log_level, &reason) < 0)
		return refused(parse, line_of(parse, cfg, "log-level"), -EINVAL, "log-level", text,
			reason);
	text = text_of(cfg, "access-log");
	if (text)
		err = config_set_access_log(config, text, &reason);
	return err ? refused(parse, line_of(parse, cfg, "access-log"), err, "access-log", text,
			     reason)
		   : 0;
}

static int walk_process(struct parse *parse, cfg_t *cfg)
{
	static const struct range drain = { 0, 86400000, "0s to 1d" };
	struct config *config = parse->config;
	const char *text = text_of(cfg, "workers"), *reason = NULL;
	int err = 0;

	if (text && config_parse_workers(text, &config->workers, &reason) < 0)
		return refused(
			parse, line_of(parse, cfg, "workers"), -EINVAL, "workers", text, reason);
	text = text_of(cfg, "user");
	if (text)
		err = config_set_user(config, text, &reason);
	if (err)
		return refused(parse, line_of(parse, cfg, "user"), err, "user", text, reason);
	err = get_duration(parse, cfg, "drain", &drain, &config->drain_ms);
	if (!err)
		err = get_number(parse, cfg, "max-flows", 0, 1000000, &config->max_flows);
	return err;
}

/* Once all addresses are known: the kernel would refuse the second of the two. */
static int check_overlaps(struct parse *parse, cfg_t *cfg)
{
	const struct config *config = parse->config;

	for (size_t i = 0; i < config->n_listeners; i++) {
		cfg_t *section = cfg_getnsec(cfg, "listener", (unsigned)i);
		char v6_text[SOCKADDR_TEXT_MAX], v4_text[SOCKADDR_TEXT_MAX];
		const struct sockaddr_any *v6, *v4;

		if (!config_find_overlap(config, &config->listeners[i], &v6, &v4))
			continue;
		return fail(parse, line_of(parse, section, "v6only"),
			"v6only \"no\": %s would take IPv4 clients of %s, too; bind one of them, "
			"or write v6only = yes",
			sockaddr_format(v6, v6_text), sockaddr_format(v4, v4_text));
	}
	return 0;
}

static int walk(struct parse *parse, cfg_t *cfg)
{
	int err;

	err = walk_process(parse, cfg);
	if (!err)
		err = walk_log(parse, cfg);
	for (unsigned i = 0; i < cfg_size(cfg, "pool") && !err; i++)
		err = walk_pool(parse, cfg_getnsec(cfg, "pool", i),
			config_scan_line(&parse->scan, "pool", i));
	for (unsigned i = 0; i < cfg_size(cfg, "listener") && !err; i++)
		err = walk_listener(parse, cfg_getnsec(cfg, "listener", i),
			config_scan_line(&parse->scan, "listener", i));
	if (!err && parse->config->n_listeners == 0)
		err = fail(parse, 1,
			"there is no listener; add: listener \"web\" { bind = \"*:80\" pool = "
			"\"web\" }");
	return err ? err : check_overlaps(parse, cfg);
}

/* ---- the passes ---- */

static int scan_pass(struct parse *parse, const char *text, size_t len)
{
	static const char *const flaws[] = {
		[CONFIG_SCAN_FINE] = NULL,
		[CONFIG_SCAN_OPEN_BRACE] = "this brace is never closed; a '}' is missing",
		[CONFIG_SCAN_STRAY_BRACE] = "this '}' closes nothing; remove it, or add the '{'",
		[CONFIG_SCAN_OPEN_STRING] = "this string never ends; a quotation mark is missing",
		[CONFIG_SCAN_OPEN_COMMENT] = "this comment never ends; a '*/' is missing",
		[CONFIG_SCAN_TOO_DEEP] = "braces are nested too deeply; a '}' is missing above",
		[CONFIG_SCAN_TOO_MANY] = "too many sections; a file may have 4096 in all",
		[CONFIG_SCAN_TWICE] =
			"given a second time; write it once, or a list { \"a\", \"b\" }",
		[CONFIG_SCAN_BACKSLASH] =
			"a backslash, which no option needs; write what is meant without one",
		[CONFIG_SCAN_VARIABLE] =
			"'${': the environment is not looked up; write the value itself",
		[CONFIG_SCAN_UNQUOTED] = "'*' and '+' stand in strings only; write \"*:80\"",
	};
	const char *nul = memchr(text, '\0', len);
	enum config_scan_flaw flaw = CONFIG_SCAN_FINE;
	int err, line = 1;

	if (nul) {
		for (const char *p = text; p < nul; p++)
			line += *p == '\n';
		return fail(parse, line, "a zero byte; this is no text file");
	}
	err = config_scan_run(&parse->scan, text, len, &flaw, &line);
	if (err)
		return err;
	return flaw == CONFIG_SCAN_FINE ? 0 : fail(parse, line, "%s", flaws[flaw]);
}

static int parse_pass(struct parse *parse, cfg_t *cfg, size_t len)
{
	FILE *file = fmemopen(parse->scan.bare, len, "r");
	int status;

	if (!file)
		return -errno;
	current = parse;
	status = cfg_parse_fp(cfg, file);
	current = NULL;
	fclose(file);
	if (status == CFG_SUCCESS && !parse->error[0])
		return 0;
	return fail(
		parse, cfg->line, "this cannot be read; write 'name = value' or 'name { ... }'");
}

int config_file_parse(const char *name, const char *text, size_t len, struct config **ret_config,
	char error[CONFIG_ERROR_MAX])
{
	struct parse parse = { .name = name, .error = error };
	cfg_t *cfg = NULL;
	int err;

	assert(!current);
	error[0] = '\0';
	err = scan_pass(&parse, text, len);
	if (err)
		goto out;
	err = -ENOMEM;
	parse.config = config_new();
	cfg = make_parser(name);
	if (!parse.config || !cfg)
		goto out;
	err = len ? parse_pass(&parse, cfg, len) : 0;
	if (!err)
		err = walk(&parse, cfg);
	if (!err) {
		*ret_config = parse.config;
		parse.config = NULL;
	}
out:
	if (err && !error[0])
		snprintf(
			error, CONFIG_ERROR_MAX, "%s: %s", config_short_path(name), strerror(-err));
	config_free(parse.config);
	cfg_free(cfg);
	free(parse.noted);
	config_scan_destroy(&parse.scan);
	return err;
}

/* The whole file into memory that the caller frees. 0 or a negative errno. */
static int read_file(const char *path, char **ret_text, size_t *ret_len)
{
	char *text = calloc(1, FILE_MAX + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	size_t len = 0;
	ssize_t n = 1;
	struct stat st;
	int err = 0;

	if (fd < 0 || !text) {
		err = fd < 0 ? -errno : -ENOMEM;
		goto out;
	}
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		err = -EISDIR;
	/* Only opening a fifo must not wait; what its writer has to say is waited for. */
	(void)fcntl(fd, F_SETFL, 0);
	while (!err && n > 0 && len <= FILE_MAX) {
		n = read(fd, text + len, FILE_MAX + 1 - len);
		if (n < 0 && errno != EINTR)
			err = -errno;
		len += n > 0 ? (size_t)n : 0;
	}
	if (!err && len > FILE_MAX)
		err = -EFBIG;
out:
	if (fd >= 0)
		close(fd);
	if (err) {
		free(text);
		return err;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}

int config_file_load(const char *path, struct config **ret_config, char error[CONFIG_ERROR_MAX])
{
	char *text = NULL;
	size_t len = 0;
	int err;

	err = read_file(path, &text, &len);
	if (err) {
		snprintf(error, CONFIG_ERROR_MAX,
			"%s: %s; name a configuration file of up to 1 MiB", config_short_path(path),
			strerror(-err));
		config_clean_text(error);
		return err;
	}
	err = config_file_parse(path, text, len, ret_config, error);
	free(text);
	return err;
}
