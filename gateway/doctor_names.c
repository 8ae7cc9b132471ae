#include "doctor_names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "name_merge.h"

/*
 * Theory of operation
 *
 * All names are asked for at the same time, in a loop that only lives as long as that takes. When
 * time is over dns_close() ends what is left, as "no answer": so each name has its answer, and the
 * questions, which on_answer() writes to, must outlive dns_close().
 *
 * Addresses are chosen as the gateway would: unusable ones left out, the others sorted, doubles
 * dropped (name_merge.h), of which the first so many have a slot.
 */
#define LIMIT_MS 10000U
#define TEXT_MAX 160 /* bytes of a list of addresses in a message */

struct question {
	struct dns_query query;
	struct doctor_name *name;
	size_t *n_left; /* questions not answered yet */
	bool *failed;	/* for want of memory */
};

static bool is_usable(const struct in_addr *addr)
{
	const struct sockaddr_any any = { .in = { .sin_family = AF_INET, .sin_addr = *addr } };

	return config_is_unicast(&any);
}

static void on_answer(struct dns_query *query, const struct dns_answer *answer)
{
	struct question *question = list_entry(query, struct question, query);
	struct doctor_name *name = question->name;

	--*question->n_left;
	name->outcome = answer->outcome;
	name->reason = strdup(answer->reason ? answer->reason : "");
	name->addrs = calloc(answer->n_addrs + 1, sizeof(*name->addrs));
	if (!name->reason || !name->addrs) {
		*question->failed = true;
		return;
	}
	for (size_t i = 0; i < answer->n_addrs; i++)
		if (is_usable(&answer->addrs[i]))
			name->addrs[name->n_addrs++] = answer->addrs[i];
	(void)name_merge(NULL, 0, name->addrs, &name->n_addrs);
}

/* It is only there to end the waiting: the loop looks at the time then. */
static void on_limit(struct timer *timer)
{
	(void)timer;
}

/* Asks all at the same time. 0 or a negative errno. */
static int ask(struct doctor_names *names, struct question *questions)
{
	size_t n_left = names->n_names;
	bool failed = false;
	struct timer limit;
	struct loop loop;
	struct dns *dns = NULL;
	uint64_t end_ms;
	int err = loop_init(&loop);

	if (err)
		return err;
	end_ms = loop.now_ms + LIMIT_MS;
	timer_init(&limit, on_limit);
	loop_timer_set(&loop, &limit, end_ms);
	err = dns_open(&loop, &names->config->resolve, &dns);
	for (size_t i = 0; i < names->n_names && !err; i++) {
		questions[i] = (struct question){
			.query.on_answer = on_answer,
			.name = &names->names[i],
			.n_left = &n_left,
			.failed = &failed,
		};
		dns_ask(dns, &questions[i].query, names->names[i].config->host);
	}
	while (!err && n_left > 0 && loop.now_ms < end_ms)
		err = loop_run_once(&loop, true);
	dns_close(dns);
	loop_close(&loop);
	return err ? err : failed ? -ENOMEM : 0;
}

int doctor_names_look_up(const struct config *config, struct doctor_names *ret_names)
{
	struct doctor_names names = { .config = config };
	struct question *questions;
	size_t n = 0;
	int err;

	for (size_t i = 0; i < config->n_pools; i++)
		n += config->pools[i].n_names;
	names.names = calloc(n + 1, sizeof(*names.names));
	questions = calloc(n + 1, sizeof(*questions));
	for (size_t i = 0; names.names && i < config->n_pools; i++)
		for (size_t k = 0; k < config->pools[i].n_names; k++)
			names.names[names.n_names++] = (struct doctor_name){ .pool = i,
				.config = &config->pools[i].names[k] };
	err = !names.names || !questions ? -ENOMEM : n ? ask(&names, questions) : 0;
	free(questions);
	if (err)
		doctor_names_clear(&names);
	else
		*ret_names = names;
	return err;
}

void doctor_names_clear(struct doctor_names *names)
{
	for (size_t i = 0; i < names->n_names; i++) {
		free(names->names[i].reason);
		free(names->names[i].addrs);
	}
	free(names->names);
	*names = (struct doctor_names){ 0 };
}

/* "192.0.2.1, 192.0.2.2 and 5 more" */
static const char *list_addresses(const struct doctor_name *name, char text[TEXT_MAX])
{
	char one[SOCKADDR_TEXT_MAX];
	size_t len = 0, i;

	text[0] = '\0';
	for (i = 0; i < name->n_addrs && len < TEXT_MAX - 40; i++) {
		const struct sockaddr_any addr = { .in = { .sin_family = AF_INET,
							   .sin_addr = name->addrs[i] } };

		len += (size_t)snprintf(text + len, TEXT_MAX - len, "%s%s", i ? ", " : "",
			sockaddr_format_host(&addr, one));
	}
	if (i < name->n_addrs)
		snprintf(text + len, TEXT_MAX - len, " and %zu more", name->n_addrs - i);
	return text;
}

void doctor_names_report(const struct doctor_names *names, struct doctor_report *report)
{
	char text[TEXT_MAX];

	for (size_t i = 0; i < names->n_names; i++) {
		const struct doctor_name *name = &names->names[i];
		const char *host = name->config->host, *pool;

		pool = names->config->pools[name->pool].name;
		if (name->outcome == DNS_NO_ANSWER)
			doctor_add(report, "name", host, DOCTOR_WRONG, NULL,
				"%s of %s cannot be looked up: %s", host, pool, name->reason);
		else if (name->n_addrs == 0)
			doctor_add(report, "name", host, DOCTOR_WRONG, NULL,
				"%s of %s has no address: %s", host, pool,
				name->outcome == DNS_FOUND
					? "no server can have those that it names"
					: name->reason);
		else if (name->n_addrs > name->config->n)
			doctor_add(report, "name", host, DOCTOR_WARN, NULL,
				"%s of %s has %zu addresses, of which %zu are left out: write "
				"addresses = %zu, up to %u",
				host, pool, name->n_addrs, name->n_addrs - name->config->n,
				name->n_addrs, CONFIG_NAME_ADDRESSES_MAX);
		else
			doctor_add(report, "name", host, DOCTOR_OK, NULL, "%s of %s is at %s", host,
				pool, list_addresses(name, text));
	}
}
