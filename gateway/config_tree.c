#include "config_tree.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "duration.h"
#include "nearest.h"

/*
 * Theory of operation
 *
 * Two passes, each of which ends the work with the first mistake it finds. config_scan looks at
 * braces, quotes and repetitions, where sections begin, and takes the comments out. libconfuse
 * parses what is left, with every value a string, and on_value() notes the line of each.
 *
 * libconfuse alone would do to read a file, and does not do to tell somebody what is wrong with it:
 * it forgets the line of an option once it has read on, and words its errors for programmers. So
 * values stay text until the walk asks for them by name, together with their line; on_error() finds
 * out by its formats what is meant, and says what would be right.
 *
 * Of each file only the first mistake is told: what follows one is often none.
 */

/* Where the nth value of an option stands. */
struct config_tree_noted {
	const cfg_opt_t *opt;
	unsigned nth;
	int line;
};

/* libconfuse hands its callbacks no user data. Set while it parses, and only then. */
static _Thread_local struct config_tree *current;

/* ---- reporting ---- */

__attribute__((format(printf, 3, 4))) int config_tree_fail(
	struct config_tree *tree, int line, const char *format, ...)
{
	va_list args;
	int n;

	if (tree->error[0])
		return -EINVAL; /* the first mistake is the one to mend */
	n = snprintf(tree->error, tree->error_size,
		line ? "%s:%d: " : "%s: ", config_short_path(tree->name), line);
	if (n < 0 || (size_t)n >= tree->error_size)
		return -EINVAL;
	va_start(args, format);
	vsnprintf(tree->error + n, tree->error_size - (size_t)n, format, args);
	va_end(args);
	config_clean_text(tree->error);
	return -EINVAL;
}

int config_tree_refused(struct config_tree *tree, int line, int err, const char *what,
	const char *value, const char *reason)
{
	if (err == -ENOMEM)
		return err;
	return config_tree_fail(tree, line, "%s \"%.100s\": %s", what, value, reason);
}

/* ---- parsing ---- */

static const char *section_with(const char *name);

/* What else than an option stands where one should, if that can be told; NULL: an unknown one. */
static const char *no_option(const char *name)
{
	static const char *const units[] = { "ms", "s", "m", "h", "d" };

	if (strpbrk(name, "[]():/\"'") && !strchr(name, '=') && name[strlen(name) - 1] != ':')
		return "this is no name of an option; a list is { \"a\", \"b\" }";
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(name, units[i]) == 0)
			return "this is no name of an option; a time is one word, like 5s";
	return NULL;
}

/* Names the option that was probably meant, or all there are and another place for this one. */
static void fail_unknown(struct config_tree *tree, const cfg_t *cfg, const char *name)
{
	bool top = strcmp(cfg->name, "root") == 0;
	struct nearest nearest = { .word = name };
	char known[256] = "", place[64] = "", elsewhere[96] = "";
	const char *other = section_with(name);

	for (const cfg_opt_t *opt = cfg->opts; opt->name; opt++) {
		size_t len = strlen(known);

		nearest_offer(&nearest, opt->name);
		snprintf(known + len, sizeof(known) - len, "%s%s", len ? ", " : "", opt->name);
	}
	if (!top)
		snprintf(place, sizeof(place), " in %s", cfg->name);
	if (other)
		snprintf(elsewhere, sizeof(elsewhere), " (there is one %s%s)",
			*other ? "in " : "outside of all sections", other);
	if (no_option(name))
		(void)config_tree_fail(
			tree, cfg->line, "'%.40s'%s: %s", name, place, no_option(name));
	else if (nearest.found && !other)
		(void)config_tree_fail(tree, cfg->line,
			"unknown option '%.40s'%s; did you mean '%s'?", name, place, nearest.found);
	else
		(void)config_tree_fail(tree, cfg->line,
			"unknown option '%.40s'%s%s; known here: %s", name, place, elsewhere,
			known);
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
		(void)config_tree_fail(current, cfg->line, "%s; write '%s \"name\" { ... }'", text,
			va_arg(again, const char *));
	else if (duplicate && backend)
		(void)config_tree_fail(current, cfg->line,
			"backend \"%.100s\": the pool has this backend already: give it a weight "
			"instead",
			va_arg(again, const char *));
	else if (no_brace && backend)
		(void)config_tree_fail(current, cfg->line,
			"a backend ends in { }, write: backend \"192.0.2.10:80\" {}");
	else if (duplicate)
		(void)config_tree_fail(current, cfg->line, "%s; give each a name of its own", text);
	else if (strncmp(format, "unexpected token", 16) == 0)
		(void)config_tree_fail(current, cfg->line,
			"%s; write 'name = value', 'name = { value, value }' or 'name { ... }'",
			text);
	else
		(void)config_tree_fail(
			current, cfg->line, "%s; write 'name = value' or 'name { ... }'", text);
	va_end(again);
}

/* Called by libconfuse for each value that has been read, and once more at the end of a list. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt)
{
	struct config_tree *tree = current;
	unsigned nth = cfg_opt_size(opt) - 1;
	struct config_tree_noted *bigger;

	if (tree->n_noted) {
		const struct config_tree_noted *last = &tree->noted[tree->n_noted - 1];

		if (last->opt == opt && last->nth == nth)
			return 0; /* the end of a list, which says nothing new */
	}
	bigger = reallocarray(tree->noted, tree->n_noted + 1, sizeof(*bigger));
	if (!bigger)
		return config_tree_fail(tree, cfg->line, "no memory");
	tree->noted = bigger;
	tree->noted[tree->n_noted++] = (struct config_tree_noted){ opt, nth, cfg->line };
	return 0;
}

int config_tree_line_of_nth(
	const struct config_tree *tree, cfg_t *cfg, const char *name, unsigned nth)
{
	const cfg_opt_t *opt = cfg_getopt(cfg, name);

	for (size_t i = 0; i < tree->n_noted; i++)
		if (tree->noted[i].opt == opt && tree->noted[i].nth == nth)
			return tree->noted[i].line;
	return cfg->line;
}

int config_tree_line_of(const struct config_tree *tree, cfg_t *cfg, const char *name)
{
	return config_tree_line_of_nth(tree, cfg, name, 0);
}

/*
 * The schema: every value is a string without a default, judged by the walk, which knows by that
 * what was written. TEXTS may have several; of TITLED sections there may be several, by their
 * titles.
 */
#define TEXT(name)	    CFG_STR(name, NULL, CFGF_NODEFAULT)
#define TEXTS(name)	    CFG_STR_LIST(name, NULL, CFGF_NODEFAULT)
#define SECTION(name, opts) CFG_SEC(name, opts, CFGF_NODEFAULT)
#define TITLED(name, opts)  CFG_SEC(name, opts, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES)

/* What both "connections" of TCP and "sessions" of UDP may be limited by (struct config_limits). */
#define LIMITS                                                              \
	TEXT("max"), TEXT("per-client"), TEXT("per-address"), TEXT("rate"), \
		TEXT("rate-per-client"), TEXT("rate-per-address")

static cfg_opt_t timeouts_opts[] = {
	TEXT("connect"),
	TEXT("idle"),
	TEXT("connect-total"),
	TEXT("half-closed"),
	TEXT("dead-peer"),
	TEXT("unanswered"),
	CFG_END(),
};

static cfg_opt_t sessions_opts[] = {
	TEXT("when-full"),
	LIMITS,
	CFG_END(),
};

static cfg_opt_t clients_opts[] = {
	TEXTS("allow"),
	TEXTS("deny"),
	TEXT("allow-file"),
	TEXT("deny-file"),
	CFG_END(),
};

static cfg_opt_t connections_opts[] = {
	LIMITS,
	CFG_END(),
};

static cfg_opt_t accept_proxy_opts[] = {
	TEXTS("from"),
	TEXT("timeout"),
	CFG_END(),
};

static cfg_opt_t custom_opts[] = {
	TEXT("value"),
	CFG_END(),
};

static cfg_opt_t tlv_opts[] = {
	TEXT("crc32c"),
	TEXT("unique-id"),
	TEXTS("pass"),
	TITLED("custom", custom_opts),
	CFG_END(),
};

static cfg_opt_t listener_opts[] = {
	TEXTS("bind"),
	TEXT("protocol"),
	TEXT("pool"),
	TEXT("backend"),
	TEXTS("allow"),
	TEXT("identity"),
	TEXT("identity-ipv6"),
	TEXT("v6only"),
	TEXT("backlog"),
	TEXT("refuse"),
	TEXT("oversize"),
	TEXT("receive-buffer"),
	SECTION("timeouts", timeouts_opts),
	SECTION("sessions", sessions_opts),
	SECTION("connections", connections_opts),
	SECTION("clients", clients_opts),
	TEXT("accept"),
	SECTION("accept-proxy", accept_proxy_opts),
	SECTION("tlv", tlv_opts),
	CFG_END(),
};

static cfg_opt_t backend_opts[] = {
	TEXT("weight"),
	TEXT("backup"),
	TEXT("max-connections"),
	TEXT("addresses"),
	CFG_END(),
};

static cfg_opt_t check_opts[] = {
	TEXT("type"),
	TEXT("interval"),
	TEXT("timeout"),
	TEXT("rise"),
	TEXT("fall"),
	TEXT("port"),
	TEXT("source"),
	TEXT("header"),
	TEXT("method"),
	TEXT("path"),
	TEXT("host"),
	TEXT("status"),
	TEXT("send"),
	TEXT("expect"),
	CFG_END(),
};

static cfg_opt_t pool_opts[] = {
	TEXT("balance"),
	TEXT("hash"),
	TEXT("attempts"),
	TEXT("circuit-failures"),
	TEXT("circuit-time"),
	TEXT("slow-start"),
	TEXT("max-connections"),
	TEXT("header-max"),
	TEXTS("source"),
	TITLED("backend", backend_opts),
	SECTION("check", check_opts),
	CFG_END(),
};

static cfg_opt_t network_opts[] = {
	TEXT("interface"),
	TEXTS("address"),
	TEXT("source-interface"),
	TEXTS("source"),
	TEXT("keep"),
	TEXT("notrack"),
	TEXT("table"),
	TEXT("priority"),
	TEXT("mark"),
	TEXT("receive-buffer"),
	CFG_END(),
};

static cfg_opt_t resolve_opts[] = {
	TEXTS("servers"),
	TEXT("interval-min"),
	TEXT("interval-max"),
	TEXT("timeout"),
	TEXT("attempts"),
	TEXT("hold"),
	CFG_END(),
};

static cfg_opt_t who_opts[] = {
	TEXT("keep"),
	TEXT("entries"),
	CFG_END(),
};

static cfg_opt_t hold_opts[] = {
	TEXT("max"),
	TEXT("max-per-backend"),
	TEXT("max-per-client"),
	TEXT("queue"),
	CFG_END(),
};

static cfg_opt_t metrics_opts[] = {
	TEXTS("listen"),
	CFG_END(),
};

static cfg_opt_t root_opts[] = {
	TEXT("workers"),
	TEXT("drain"),
	TEXT("max-flows"),
	TEXT("user"),
	TEXT("run-directory"),
	TEXT("control-group"),
	TEXT("state-directory"),
	TEXT("log"),
	TEXT("log-level"),
	TEXT("access-log"),
	SECTION("hold", hold_opts),
	SECTION("who", who_opts),
	SECTION("metrics", metrics_opts),
	SECTION("network", network_opts),
	SECTION("resolve", resolve_opts),
	TITLED("listener", listener_opts),
	TITLED("pool", pool_opts),
	CFG_END(),
};

/* The section that has such an option, "" for the top level; NULL: none. */
static const char *section_with(const char *name)
{
	static const struct {
		const char *section;
		const cfg_opt_t *opts;
	} all[] = { { "", root_opts }, { "listener", listener_opts }, { "pool", pool_opts },
		{ "network", network_opts }, { "timeouts", timeouts_opts },
		{ "connections", connections_opts }, { "sessions", sessions_opts },
		{ "clients", clients_opts }, { "tlv", tlv_opts },
		{ "accept-proxy", accept_proxy_opts }, { "backend", backend_opts },
		{ "check", check_opts }, { "resolve", resolve_opts }, { "who", who_opts },
		{ "hold", hold_opts }, { "metrics", metrics_opts } };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (const cfg_opt_t *opt = all[i].opts; opt->name; opt++)
			if (strcmp(opt->name, name) == 0)
				return all[i].section;
	return NULL;
}

/*
 * Has on_value() called for every option of a section and of those within; path is the section's,
 * "" or ending in "|". libconfuse keeps the callback by path, for all sections that are to come.
 */
static void watch_options(cfg_t *cfg, const char *path, const cfg_opt_t *opts)
{
	char name[64];

	for (; opts->name; opts++) {
		bool section = opts->type == CFGT_SEC;
		int len = snprintf(
			name, sizeof(name), "%s%s%s", path, opts->name, section ? "|" : "");

		assert(len > 0 && (size_t)len < sizeof(name));
		if (section)
			watch_options(cfg, name, opts->subopts);
		else
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
	return cfg;
}

/* ---- walking: one value ---- */

const char *config_tree_text_of(cfg_t *cfg, const char *name)
{
	return cfg_size(cfg, name) ? cfg_getstr(cfg, name) : NULL;
}

int config_tree_get_number(struct config_tree *tree, cfg_t *cfg, const char *name, uint32_t min,
	uint32_t max, uint32_t *ret_number)
{
	const char *text = config_tree_text_of(cfg, name);
	uint64_t number = 0;
	const char *p;

	if (!text)
		return 0;
	for (p = text; *p >= '0' && *p <= '9' && number <= max; p++)
		number = number * 10 + (uint64_t)(*p - '0');
	if (p == text || *p || number < min || number > max)
		return config_tree_fail(tree, config_tree_line_of(tree, cfg, name),
			"%s \"%.100s\": write a whole number from %u to %u", name, text, min, max);
	*ret_number = (uint32_t)number;
	return 0;
}

int config_tree_get_duration(struct config_tree *tree, cfg_t *cfg, const char *name,
	const struct config_tree_range *range, uint32_t *ret_ms)
{
	const char *text = config_tree_text_of(cfg, name);
	uint32_t ms = 0;
	int err;

	if (!text)
		return 0;
	err = duration_parse(text, &ms);
	if (err && err != -ERANGE)
		return config_tree_fail(tree, config_tree_line_of(tree, cfg, name),
			"%s \"%.100s\": write a whole number with a unit, ms, s, m, h or d, like "
			"5s",
			name, text);
	if (err || ms < range->min_ms || ms > range->max_ms)
		return config_tree_fail(tree, config_tree_line_of(tree, cfg, name),
			"%s \"%.100s\": must be from %s", name, text, range->text);
	*ret_ms = ms;
	return 0;
}

int config_tree_get_bool(struct config_tree *tree, cfg_t *cfg, const char *name, bool *ret_value)
{
	const char *text = config_tree_text_of(cfg, name);

	if (!text)
		return 0;
	if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
		return config_tree_fail(tree, config_tree_line_of(tree, cfg, name),
			"%s \"%.100s\": write yes or no", name, text);
	*ret_value = text[0] == 'y';
	return 0;
}

int config_tree_get_word(struct config_tree *tree, cfg_t *cfg, const char *name,
	const char *const *words, size_t n, const char *reason, unsigned *ret_word)
{
	const char *text = config_tree_text_of(cfg, name);

	if (!text)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (words[i] && strcmp(text, words[i]) == 0) {
			*ret_word = (unsigned)i;
			return 0;
		}
	return config_tree_refused(
		tree, config_tree_line_of(tree, cfg, name), -EINVAL, name, text, reason);
}

/* "%0d" and the like stand for one byte. False: what follows a % are no two digits. */
static bool decode(const char *text, char *bytes, size_t *ret_len)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	size_t len = 0;

	for (const char *p = text; *p; p++) {
		const char *high, *low;

		if (*p != '%') {
			bytes[len++] = *p;
			continue;
		}
		high = p[1] ? strchr(digits, p[1]) : NULL;
		low = high && p[2] ? strchr(digits, p[2]) : NULL;
		if (!low)
			return false;
		bytes[len++] = (char)(((high - digits) % 16) << 4 | (low - digits) % 16);
		p += 2;
	}
	*ret_len = len;
	return true;
}

int config_tree_get_bytes(struct config_tree *tree, cfg_t *cfg, const char *name, size_t min,
	size_t max, char **ret_bytes, size_t *ret_len)
{
	const char *text = config_tree_text_of(cfg, name);
	size_t len = 0;
	char *bytes;

	if (!text)
		return 0;
	bytes = malloc(strlen(text) + 1);
	if (!bytes)
		return -ENOMEM;
	if (!decode(text, bytes, &len)) {
		free(bytes);
		return config_tree_refused(tree, config_tree_line_of(tree, cfg, name), -EINVAL,
			name, text,
			"two hexadecimal digits follow a %, like %0d%0a for the end of a line; "
			"write %25 for a % of its own");
	}
	if (len < min || len > max) {
		free(bytes);
		return config_tree_fail(tree, config_tree_line_of(tree, cfg, name),
			"%s \"%.100s\": write %zu to %zu bytes", name, text, min, max);
	}
	*ret_bytes = bytes;
	*ret_len = len;
	return 0;
}

/* ---- the passes ---- */

static int scan_pass(struct config_tree *tree, const char *text, size_t len)
{
	static const char *const flaws[] = {
		[CONFIG_SCAN_FINE] = NULL,
		[CONFIG_SCAN_OPEN_BRACE] = "this brace is never closed; a '}' is missing",
		[CONFIG_SCAN_STRAY_BRACE] = "this '}' closes nothing; remove it, or add the '{'",
		[CONFIG_SCAN_OPEN_STRING] = "this string never ends; a quotation mark is missing",
		[CONFIG_SCAN_LONG_STRING] =
			"this string does not end in its line; a quotation mark is missing",
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
		[CONFIG_SCAN_SEMICOLON] = "nothing ends in ';' here; remove it, or quote the value",
		[CONFIG_SCAN_CURLY_QUOTE] =
			"quotation marks are straight ones here: \"web\" or 'web'",
	};
	const char *nul = memchr(text, '\0', len);
	enum config_scan_flaw flaw = CONFIG_SCAN_FINE;
	int err, line = 1;

	if (nul) {
		for (const char *p = text; p < nul; p++)
			line += *p == '\n';
		return config_tree_fail(tree, line, "a zero byte; this is no text file");
	}
	err = config_scan_run(&tree->scan, text, len, &flaw, &line);
	if (err)
		return err;
	return flaw == CONFIG_SCAN_FINE ? 0 : config_tree_fail(tree, line, "%s", flaws[flaw]);
}

static int parse_pass(struct config_tree *tree, size_t len)
{
	FILE *file = fmemopen(tree->scan.bare, len, "r");
	int status;

	if (!file)
		return -errno;
	current = tree;
	status = cfg_parse_fp(tree->root, file);
	current = NULL;
	fclose(file);
	if (status == CFG_SUCCESS && !tree->error[0])
		return 0;
	return config_tree_fail(tree, tree->root->line,
		"this cannot be read; write 'name = value' or 'name { ... }'");
}

int config_tree_parse(struct config_tree *tree, const char *text, size_t len)
{
	int err;

	assert(!current);
	err = scan_pass(tree, text, len);
	if (err)
		return err;
	tree->root = make_parser(tree->name);
	if (!tree->root)
		return -ENOMEM;
	return len ? parse_pass(tree, len) : 0;
}

void config_tree_destroy(struct config_tree *tree)
{
	cfg_free(tree->root);
	free(tree->noted);
	config_scan_destroy(&tree->scan);
	*tree = (struct config_tree){ 0 };
}
