#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "options.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define WORDS_MAX    12

static char good_file[64], bad_file[64], bad_error[128];

/* argv is writable memory in a program: getopt_long() moves the words about. */
static int parse(const char *const words[], struct options *ret_options, char *error)
{
	char *argv[WORDS_MAX + 2];
	int argc = 1;

	argv[0] = (char *)(uintptr_t) "sixgated";
	while (words[argc - 1]) {
		argv[argc] = (char *)(uintptr_t)words[argc - 1];
		argc++;
	}
	argv[argc] = NULL;
	memset(error, 'x', CONFIG_ERROR_MAX);
	*ret_options = (struct options){ 0 };
	return options_parse(argc, argv, -1, ret_options, error);
}

static struct options parsed(const char *const words[])
{
	char error[CONFIG_ERROR_MAX];
	struct options options;

	if (parse(words, &options, error) != 0)
		fail_msg("refused: %s", error);
	assert_string_equal(error, "");
	return options;
}

static void assert_address(const struct sockaddr_any *addr, const char *expected)
{
	char buf[SOCKADDR_TEXT_MAX];

	assert_string_equal(sockaddr_format(addr, buf), expected);
}

static void test_least(void **state)
{
	static const char *const words[] = { "--listen", "[::]:8080", "--backend", "192.0.2.10:80",
		NULL };
	struct options options = parsed(words);
	const struct config *config = options.config;

	(void)state;
	assert_int_equal(options.action, OPTIONS_RUN);
	assert_null(options.path);
	assert_int_equal(config->n_listeners, 1);
	assert_int_equal(config->listeners[0].n_binds, 1);
	assert_address(&config->listeners[0].binds[0].addr, "[::]:8080");
	assert_int_equal(config->listeners[0].pool, 0);
	assert_int_equal(config->listeners[0].identity, IDENTITY_PROXY_V2);
	assert_int_equal(config->n_pools, 1);
	assert_int_equal(config->pools[0].n_backends, 1);
	assert_address(&config->pools[0].backends[0].addr, "192.0.2.10:80");
	assert_true(config->pools[0].backends[0].weight > 0);
	assert_int_equal(config->workers, 0);
	assert_int_equal(config->access_log, LOG_TARGET_STDOUT);
	config_free(options.config);
}

static void test_all(void **state)
{
	static const char *const listeners[] = { "--listen=*:80", "--listen", "[::1]:81",
		"--backend", "192.0.2.10:80", "--backend=192.0.2.11:80", "--identity=proxy-v1",
		"--source=192.0.2.1", "--source=192.0.2.2", NULL };
	static const char *const process[] = { "--workers=3", "--access-log=/tmp/a",
		"--log-level=debug", "--user=nobody", "--backend=192.0.2.10:80", "--listen=*:80",
		"--workers=auto", "--access-log=off", NULL };
	struct options options = parsed(listeners);
	const struct config *config = options.config;

	(void)state;
	assert_int_equal(config->listeners[0].n_binds, 3);
	assert_address(&config->listeners[0].binds[1].addr, "0.0.0.0:80");
	assert_address(&config->listeners[0].binds[2].addr, "[::1]:81");
	assert_int_equal(config->listeners[0].identity, IDENTITY_PROXY_V1);
	assert_int_equal(config->pools[0].n_backends, 2);
	assert_int_equal(config->pools[0].backends[0].weight, config->pools[0].backends[1].weight);
	assert_int_equal(config->pools[0].n_sources, 2);
	config_free(options.config);

	/* What is given twice and can be had once: the last counts. */
	options = parsed(process);
	config = options.config;
	assert_int_equal(config->workers, 0);
	assert_int_equal(config->access_log, LOG_TARGET_OFF);
	assert_null(config->access_log_path);
	assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(config->user, "nobody");
	config_free(options.config);
}

static void test_forms_of_binds(void **state)
{
	static const char *const words[] = { "--listen=[2001:db8::/64]:443", "--listen=*:80-90",
		"--backend=192.0.2.10:*", "--identity=transparent", "--identity-ipv6=refuse",
		NULL };
	static const char *const v4_only[] = { "--listen=192.0.2.1:80", "--backend=192.0.2.10:*",
		"--identity=transparent", NULL };
	struct options options = parsed(words);
	const struct config_listener *listener = options.config->listeners;
	char text[CONFIG_BIND_TEXT_MAX];

	(void)state;
	assert_int_equal(listener->n_binds, 3);
	assert_string_equal(config_bind_text(&listener->binds[0], text), "[2001:db8::/64]:443");
	assert_string_equal(config_bind_text(&listener->binds[2], text), "0.0.0.0:80-90");
	assert_int_equal(listener->identity, IDENTITY_TRANSPARENT);
	assert_int_equal(listener->identity_v6, IDENTITY_REFUSE);
	assert_address(&options.config->pools[0].backends[0].addr, "192.0.2.10:0");
	assert_true(config_needs_network(options.config));
	config_free(options.config);

	options = parsed(v4_only);
	assert_true(config_is_transparent(options.config->listeners));
	config_free(options.config);
}

static void test_files(void **state)
{
	const char *const run[] = { "--config", good_file, NULL };
	const char *const louder[] = { "--log-level=error", "--config", good_file, NULL };
	const char *const check[] = { "--check", good_file, NULL };
	struct options options = parsed(run);

	(void)state;
	assert_int_equal(options.action, OPTIONS_RUN);
	assert_string_equal(options.path, good_file);
	assert_string_equal(options.config->listeners[0].name, "from-file");
	assert_int_equal(options.config->n_listeners, 1);
	assert_int_equal(options.config->log_level, LOG_LEVEL_WARNING);
	config_free(options.config);

	options = parsed(louder);
	assert_int_equal(options.config->log_level, LOG_LEVEL_ERROR);
	config_free(options.config);

	options = parsed(check);
	assert_int_equal(options.action, OPTIONS_CHECK);
	assert_string_equal(options.path, good_file);
	assert_non_null(options.config);
	config_free(options.config);
}

static void test_help_and_version(void **state)
{
	static const char *const help[] = { "--help", NULL };
	static const char *const version[] = { "--version", NULL };
	static const char *const late[] = { "--workers=2", "--help", "--bogus", NULL };
	struct options options = parsed(help);

	(void)state;
	assert_int_equal(options.action, OPTIONS_HELP);
	assert_null(options.config);
	options = parsed(version);
	assert_int_equal(options.action, OPTIONS_VERSION);
	assert_null(options.config);
	options = parsed(late);
	assert_int_equal(options.action, OPTIONS_HELP);
	assert_null(options.config);
	assert_non_null(strstr(options_usage(), "usage: sixgated"));
}

#define NOTHING                                                                                \
	"nothing to do: give --config FILE, or --listen '[::]:8080' --backend 192.0.2.10:80; " \
	"--help tells more"
#define L "--listen=[::]:8080"
#define B "--backend=192.0.2.10:80"

#define ALONE ": an address is missing: write all there are as '*', like '*:8080'"

static void test_broken(void **state)
{
	static const struct {
		const char *words[WORDS_MAX];
		const char *error;
	} cases[] = {
		{ { NULL }, NOTHING },
		{ { "--workers=2", NULL }, NOTHING },
		{ { "--", NULL }, NOTHING },
		{ { B, NULL }, "--listen is missing: add --listen '[::]:8080'" },
		{ { L, NULL }, "--backend is missing: add --backend 192.0.2.10:80" },
		{ { L, B, "more", NULL }, "more: what is this word for? Options begin with --" },
		{ { L, B, "--", "--help", NULL },
			"--help: what is this word for? Options begin with --" },
		{ { "-", NULL }, "-: what is this word for? Options begin with --" },
		{ { "", NULL }, ": what is this word for? Options begin with --" },
		{ { "--bogus", NULL }, "--bogus: there is no such option; --help lists them" },
		{ { "--bogus=1", L, NULL },
			"--bogus=1: there is no such option; --help lists them" },
		{ { "word", "--bogus", NULL },
			"--bogus: there is no such option; --help lists them" },
		{ { "-h", NULL }, "-h: there is no such option; --help lists them" },
		{ { L, "-vx", NULL }, "-v: there is no such option; --help lists them" },
		{ { L, "-vx", B, NULL }, "-v: there is no such option; --help lists them" },
		{ { "--listen", NULL },
			"--listen: its value is missing; --help shows what it takes" },
		{ { L, "--backend", NULL },
			"--backend: its value is missing; --help shows what it takes" },
		{ { "--config", NULL },
			"--config: its value is missing; --help shows what it takes" },
		{ { "--listen", "8080", NULL }, "--listen 8080" ALONE },
		{ { "--listen=:8080", NULL }, "--listen :8080" ALONE },
		{ { "--help=3", NULL }, "--help takes no value" },
		{ { "--vers=3", NULL }, "--version takes no value" },
		{ { "--version=", L, NULL }, "--version takes no value" },
		{ { "-\v", NULL }, "-?: there is no such option; --help lists them" },
		{ { "--workers=2", "-\vx", NULL },
			"--workers=2: there is no such option; --help lists them" },
		{ { "--user=a\x1b[2J\x7f\nb", NULL },
			"--user a?[2J??b: user is the name of a user of this machine, like "
			"nobody" },
		{ { "\x1b[2J", NULL }, "?[2J: what is this word for? Options begin with --" },
		{ { "--config=a\tb", "--check=\rc", NULL },
			"--check ?c: there is a file already, a?b; name one" },
		{ { "--listen", "::1:80", NULL },
			"--listen ::1:80: write an IPv6 address in brackets: [2001:db8::1]:80" },
		{ { L, L, B, NULL },
			"--listen [::]:8080: a listener has this address already: each may "
			"be bound once" },
		{ { "--backend=[2001:db8::1]:80", NULL },
			"--backend [2001:db8::1]:80: a backend is an IPv4 address or a name, and a "
			"port, "
			"like 192.0.2.10:80 or db.example:5432" },
		{ { "--backend=server:", NULL },
			"--backend server:: a port from 1 to 65535 is missing behind the name, "
			"like db.example:5432" },
		{ { B, B, NULL },
			"--backend 192.0.2.10:80: the pool has this backend already: give it a "
			"weight instead" },
		{ { "--identity=proxy", NULL },
			"--identity proxy: identity is proxy-v2, proxy-v1, none or transparent" },
		{ { L, B, "--identity-ipv6=proxy", NULL },
			"--identity-ipv6 proxy: identity-ipv6 is proxy-v2, proxy-v1, none or "
			"refuse" },
		{ { "--listen=*:80", B, "--identity=transparent", NULL },
			"--identity transparent: IPv4 servers cannot see IPv6 clients as they are, "
			"and there is no silent choice: say with identity-ipv6 what they get, "
			"proxy-v2, proxy-v1, none or refuse" },
		{ { L, B, "--identity-ipv6=none", NULL },
			"--identity-ipv6 none: this goes with identity transparent only: all "
			"clients get what identity says; remove it" },
		{ { L, B, "--identity=transparent", "--identity-ipv6=none", NULL },
			"--identity transparent: only IPv4 clients can be seen by servers as they "
			"are, and this listener takes none: bind an IPv4 address, or write "
			"proxy-v2" },
		{ { "--listen=*:*", B, NULL },
			"--listen *:*: all ports of all addresses would take in this machine's own "
			"services: name an address, or fewer ports" },
		{ { "--check=a", "--identity-ipv6=none", NULL },
			"--identity-ipv6: a file says all of this; give either --check or --listen "
			"and --backend, not both" },
		{ { "--source=eth0", NULL }, "--source eth0: a source is an IPv4 address of this "
					     "machine, like 192.0.2.1" },
		{ { "--workers=0", NULL },
			"--workers 0: workers is auto or a number from 1 to 256" },
		{ { "--workers=", NULL }, "--workers : workers is auto or a number from 1 to 256" },
		{ { "--access-log=a.log", NULL }, "--access-log a.log: access-log is off, stdout, "
						  "stderr, journal or a path from / on" },
		{ { "--log-level=loud", NULL },
			"--log-level loud: log-level is error, warning, info or debug" },
		{ { "--user=a b", NULL },
			"--user a b: user is the name of a user of this machine, like "
			"nobody" },
		{ { "--config=a", "--check=b", NULL },
			"--check b: there is a file already, a; name one" },
		{ { "--config=a", "--config=a", NULL },
			"--config a: there is a file already, a; name one" },
		{ { L, "--config=a", NULL },
			"--listen: a file says all of this; give either --config or "
			"--listen and --backend, not both" },
		{ { "--check=a", "--workers=2", B, NULL },
			"--workers: a file says all of this; give either --check or --listen and "
			"--backend, not both" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char error[CONFIG_ERROR_MAX];
		struct options options;
		int err = parse(cases[i].words, &options, error);

		if (err != -EINVAL || strcmp(error, cases[i].error) != 0)
			fail_msg("case %zu: %d: %s\nnot: %s", i, err, error, cases[i].error);
		assert_null(options.config);
	}
}

static void test_broken_files(void **state)
{
	const char *const run[] = { "--config", bad_file, NULL };
	const char *const check[] = { "--check", bad_file, NULL };
	static const char *const missing[] = { "--config=/nonexistent/file", NULL };
	char error[CONFIG_ERROR_MAX];
	struct options options;

	(void)state;
	assert_int_equal(parse(run, &options, error), -EBADMSG);
	assert_string_equal(error, bad_error);
	assert_int_equal(parse(check, &options, error), -EBADMSG);
	assert_string_equal(error, bad_error);
	assert_int_equal(parse(missing, &options, error), -EBADMSG);
	assert_string_equal(error, "/nonexistent/file: No such file or directory; name a "
				   "configuration file of up to 1 MiB");
	assert_null(options.config);
}

static void test_long_words(void **state)
{
	char word[3000], error[CONFIG_ERROR_MAX];
	const char *const value[] = { "--user", word, NULL };
	const char *const unknown[] = { word, NULL };
	const char *const two_files[] = { "--config", word, "--config", word, NULL };
	const char *const no_file[] = { "--config", word, NULL };
	struct options options;

	(void)state;
	memset(word, '-', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	assert_int_equal(parse(value, &options, error), -EINVAL);
	assert_int_equal(strncmp(error, "--user -----", 12), 0);
	assert_non_null(strstr(error, "-: user is the name of a user of this machine"));
	assert_int_equal(parse(unknown, &options, error), -EINVAL);
	assert_non_null(strstr(error, "-: there is no such option; --help lists them"));
	assert_int_equal(parse(two_files, &options, error), -EINVAL);
	assert_non_null(strstr(error, "-: there is a file already, ---"));
	assert_non_null(strstr(error, "-; name one"));
	assert_int_equal(parse(no_file, &options, error), -EBADMSG);
	assert_non_null(strstr(error, "-: File name too long; name a configuration file"));
}

static void write_file(char *path, const char *text)
{
	int fd;

	strcpy(path, "/tmp/test_options.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int make_files(void **state)
{
	(void)state;
	write_file(good_file, "log-level = warning\n"
			      "listener from-file { bind = \"*:80\" pool = p }\n"
			      "pool p { backend 192.0.2.10:80 {} }\n");
	write_file(bad_file, "\nlog-level = loud\n");
	snprintf(bad_error, sizeof(bad_error),
		"%s:2: log-level \"loud\": log-level is error, warning, info or debug", bad_file);
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	unlink(good_file);
	unlink(bad_file);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_forms_of_binds),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_help_and_version),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_broken_files),
		cmocka_unit_test(test_long_words),
	};

	return cmocka_run_group_tests_name("options", tests, make_files, remove_files);
}
