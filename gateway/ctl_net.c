#include "ctl_net.h"

#include <cap-ng.h>
#include <errno.h>
#include <jansson.h>
#include <net_apply.h>
#include <net_text.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "net_wanted.h"
#include "nft_table.h"

/*
 * Theory of operation
 *
 * All four commands do the same to begin with: work out what is wanted (net_wanted), read what is
 * there (net_read_state, nft_table_read), and make the steps from the one to the other (net_plan).
 * plan and status print that; apply carries it out, all or nothing; teardown is apply with nothing
 * wanted. What would be done and what is done is so the same by construction.
 *
 * nftables can be read with CAP_NET_ADMIN only. Without it the rest is compared, the table is said
 * to be unknown, and the exit status is that of a missing right and not that of success.
 */
enum {
	EXIT_DIFFERS = 1,
};

struct ctl {
	bool json;
	struct net_wanted wanted;
	struct net_channels channels;
	struct net_state actual;
	char *nft_image; /* NULL: nft_error says why */
	int nft_error;
	struct net_plan plan;
};

/* ---- what is, and what is wanted ---- */

static void ctl_clear(struct ctl *ctl)
{
	net_plan_clear(&ctl->plan);
	net_state_clear(&ctl->actual);
	net_wanted_clear(&ctl->wanted);
	free(ctl->nft_image);
	net_channels_close(&ctl->channels);
}

/* config NULL: nothing is wanted. */
static int ctl_open(struct ctl *ctl, const struct config *config, bool json)
{
	struct net_wanted wanted = { 0 };
	int err;

	*ctl = (struct ctl){ .json = json, .channels.route.fd = -1, .channels.nft.fd = -1 };
	if (config)
		err = net_wanted_make(config, net_wanted_has_conntrack(), &wanted);
	else
		err = 0;
	if (err)
		return err;
	ctl->wanted = wanted;
	err = net_channels_open(
		&ctl->channels, config ? config->network.receive_buffer : CONFIG_NET_BUFFER);
	if (err)
		ctl->channels.route.fd = ctl->channels.nft.fd = -1;
	return err;
}

static int ctl_read(struct ctl *ctl)
{
	int err = net_read_state(&ctl->channels.route, NET_READ_OURS, &ctl->actual);

	if (err)
		return err;
	ctl->nft_error = -EPROTONOSUPPORT;
	if (ctl->channels.nft.fd >= 0)
		ctl->nft_error = nft_table_read(&ctl->channels.nft, &ctl->nft_image);
	err = net_plan_make(&ctl->wanted, &ctl->actual, ctl->nft_image, &ctl->plan);
	return err ? err : net_apply_drop_done(&ctl->channels, &ctl->plan);
}

/* Whether there may be something in nftables that could not be compared. */
static bool is_nft_hidden(const struct ctl *ctl)
{
	return !ctl->nft_image &&
	       (ctl->nft_error != -EPROTONOSUPPORT || ctl->wanted.nft.n_rules > 0);
}

static const char *nft_reason(const struct ctl *ctl)
{
	return ctl->nft_error == -EPERM ? "CAP_NET_ADMIN is needed" : strerror(-ctl->nft_error);
}

/* differs: of what could be read. */
static int exit_status(const struct ctl *ctl, bool differs)
{
	if (differs)
		return EXIT_DIFFERS;
	if (!is_nft_hidden(ctl))
		return EXIT_SUCCESS;
	return ctl->nft_error == -EPERM ? EX_NOPERM : EXIT_DIFFERS;
}

static bool may_change(const char *command)
{
	if (capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN))
		return true;
	fprintf(stderr,
		"sixgatectl: cannot change the network: CAP_NET_ADMIN is needed: run it as root "
		"(sudo sixgatectl net %s)\n",
		command);
	return false;
}

static int fail(const char *what, int err)
{
	fprintf(stderr, "sixgatectl: %s: %s\n", what,
		err == -EWOULDBLOCK ? "another program is changing it; try again" : strerror(-err));
	return err == -EPERM ? EX_NOPERM : EXIT_FAILURE;
}

/* ---- words ---- */

static const char *const kind_names[] = {
	[NET_STEP_ADDR] = "address",
	[NET_STEP_ROUTE] = "route",
	[NET_STEP_RULE] = "rule",
	[NET_STEP_NFT] = "nftables",
};

static const char *step_text(const struct net_step *step, char buf[NET_TEXT_MAX])
{
	net_text_step(step, buf);
	config_clean_text(buf);
	return buf;
}

static const char *nft_state(const struct ctl *ctl)
{
	bool wanted = ctl->wanted.nft.n_rules > 0;

	if (!ctl->nft_image)
		return is_nft_hidden(ctl) ? "unknown" : "none";
	for (size_t i = 0; i < ctl->plan.n_steps; i++)
		if (ctl->plan.steps[i].kind == NET_STEP_NFT)
			return !wanted ? "left over" : ctl->nft_image[0] ? "changed" : "missing";
	return wanted ? "present" : "none";
}

/* The script of nft, each line behind a tab. */
static void print_script(const struct nft_wanted *nft)
{
	char *script = net_text_nft(nft), *rest = script, *line;

	while ((line = strsep(&rest, "\n")))
		if (*line) {
			config_clean_text(line);
			printf("\t%s\n", line);
		}
	free(script);
}

static void print_steps(const struct ctl *ctl)
{
	char text[NET_TEXT_MAX];

	for (size_t i = 0; i < ctl->plan.n_steps; i++) {
		puts(step_text(&ctl->plan.steps[i], text));
		if (ctl->plan.steps[i].kind == NET_STEP_NFT && !ctl->plan.steps[i].remove)
			print_script(&ctl->wanted.nft);
	}
}

/* One interface is named once, however much waits for it. */
static bool is_named_before(const struct net_plan *plan, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(plan->obstacles[i].ifname, plan->obstacles[n].ifname) == 0)
			return true;
	return false;
}

static void print_waiting(const struct ctl *ctl)
{
	for (size_t i = 0; i < ctl->plan.n_obstacles; i++)
		if (!is_named_before(&ctl->plan, i))
			printf("waiting: interface %s is missing\n", ctl->plan.obstacles[i].ifname);
	if (is_nft_hidden(ctl))
		printf("nftables: not read: %s\n", nft_reason(ctl));
}

static json_t *step_json(const struct ctl *ctl, const struct net_step *step)
{
	char text[NET_TEXT_MAX];
	bool whole = step->kind == NET_STEP_NFT && !step->remove;
	char *script = whole ? net_text_nft(&ctl->wanted.nft) : NULL;
	json_t *json = json_pack("{s:s, s:b, s:s, s:s?}", "kind", kind_names[step->kind], "remove",
		step->remove, "command", step_text(step, text), "script", script);

	free(script);
	return json;
}

static json_t *steps_json(const struct ctl *ctl)
{
	json_t *steps = json_array();

	for (size_t i = 0; i < ctl->plan.n_steps; i++)
		json_array_append_new(steps, step_json(ctl, &ctl->plan.steps[i]));
	return steps;
}

static json_t *waiting_json(const struct ctl *ctl)
{
	json_t *waiting = json_array();

	for (size_t i = 0; i < ctl->plan.n_obstacles; i++)
		if (!is_named_before(&ctl->plan, i))
			json_array_append_new(waiting, json_string(ctl->plan.obstacles[i].ifname));
	return waiting;
}

static json_t *past_json(int err, const struct net_journal_past *past)
{
	if (err)
		return json_null();
	return json_pack("{s:b, s:I, s:s}", "interrupted", past->interrupted, "step",
		(json_int_t)past->step, "command", past->text);
}

static int print_object(json_t *root)
{
	bool printed = root && json_dumpf(root, stdout, JSON_COMPACT) == 0;

	json_decref(root);
	if (!printed && !ferror(stdout))
		return fail("cannot print", -ENOMEM);
	putchar('\n');
	return 0;
}

/* ---- plan ---- */

static int show_plan(const struct ctl *ctl)
{
	bool differs = ctl->plan.n_steps > 0 || ctl->plan.n_obstacles > 0;
	int err = 0;

	if (ctl->json) {
		err = print_object(json_pack("{s:b, s:o, s:o, s:s}", "changes", differs, "steps",
			steps_json(ctl), "waiting", waiting_json(ctl), "nftables", nft_state(ctl)));
	} else {
		print_steps(ctl);
		print_waiting(ctl);
		if (!differs && !is_nft_hidden(ctl))
			puts("nothing to change");
	}
	return err ? err : exit_status(ctl, differs);
}

int ctl_net_plan(const struct config *config, bool json)
{
	struct ctl ctl;
	int status;
	int err = ctl_open(&ctl, config, json);

	if (!err)
		err = ctl_read(&ctl);
	status = err ? fail("cannot read the network", err) : show_plan(&ctl);
	ctl_clear(&ctl);
	return status;
}

/* ---- apply, teardown ---- */

static json_t *failure_json(int err, const struct net_apply_failure *failure)
{
	if (!err)
		return json_null();
	return json_pack("{s:I, s:s, s:s, s:b}", "step", (json_int_t)failure->step, "error",
		strerror(-failure->error), "command", failure->text, "undone", failure->undone);
}

static void tell_failure(const struct net_apply_failure *failure)
{
	if (failure->step == 0)
		fprintf(stderr, "sixgatectl: nothing was changed: %s%s%s\n", failure->text,
			failure->text[0] ? ": " : "", strerror(-failure->error));
	else
		fprintf(stderr, "sixgatectl: step %zu failed: %s: %s; %s\n", failure->step,
			failure->text, strerror(-failure->error),
			failure->undone ? "what was done before was taken back"
					: "what was done before could not all be taken back: see "
					  "sixgatectl net status");
}

static int run_plan(
	struct ctl *ctl, struct net_journal *journal, const struct net_journal_past *past)
{
	struct net_apply_failure failure = { 0 };
	int err, printed = 0;

	if (past->interrupted)
		fprintf(stderr,
			"sixgatectl: the last application was interrupted at step %zu%s%s\n",
			past->step, past->text[0] ? ": " : "", past->text);
	err = net_apply_run(&ctl->channels, &ctl->plan, &ctl->wanted, journal,
		NET_APPLY_ALL_OR_NOTHING, &failure);
	config_clean_text(failure.text);
	/* Whoever waits for the lock does not wait for what we have to say. */
	net_journal_close(journal);
	if (err)
		tell_failure(&failure);
	if (ctl->json) {
		printed = print_object(json_pack("{s:b, s:o, s:o, s:s, s:o, s:o}", "applied", !err,
			"steps", steps_json(ctl), "waiting", waiting_json(ctl), "nftables",
			nft_state(ctl), "before", past_json(0, past), "failure",
			failure_json(err, &failure)));
	} else if (!err) {
		print_steps(ctl);
		print_waiting(ctl);
		if (ctl->plan.n_steps == 0)
			puts("nothing to change");
	}
	if (err)
		return err == -EPERM ? EX_NOPERM : EXIT_FAILURE;
	return printed ? printed : exit_status(ctl, ctl->plan.n_obstacles > 0);
}

/* The lock is taken before the network is looked at, so that nobody changes it in between. */
static int change(const struct config *config, const char *run_directory, bool json)
{
	struct net_journal journal = { .fd = -1 };
	struct net_journal_past past = { 0 };
	struct ctl ctl;
	int status;
	int err = ctl_open(&ctl, config, json);

	if (err) {
		status = fail("cannot reach the network", err);
		goto finish;
	}
	err = net_journal_open(&journal, run_directory, 5000, &past);
	config_clean_text(past.text);
	if (err) {
		fprintf(stderr, "sixgatectl: %s/net.journal: %s\n",
			config_short_path(run_directory),
			err == -EWOULDBLOCK ? "another program is changing the network; try again"
					    : strerror(-err));
		status = EXIT_FAILURE;
		goto finish;
	}
	err = ctl_read(&ctl);
	status = err ? fail("cannot read the network", err) : run_plan(&ctl, &journal, &past);
finish:
	net_journal_close(&journal);
	ctl_clear(&ctl);
	return status;
}

int ctl_net_apply(const struct config *config, bool json)
{
	if (!may_change("apply"))
		return EX_NOPERM;
	return change(config, config->run_directory, json);
}

int ctl_net_teardown(const char *run_directory, bool json)
{
	if (!may_change("teardown"))
		return EX_NOPERM;
	return change(NULL, run_directory, json);
}

/* ---- status ---- */

/* Gets one line for everything of ours that is there. */
typedef void take_line(void *userdata, const char *line);

static void list_addrs(const struct net_state *state, take_line *take, void *userdata)
{
	char line[NET_TEXT_MAX], host[NET_TEXT_ADDR_MAX];

	for (size_t i = 0; i < state->n_addrs; i++) {
		const struct net_addr *addr = &state->addrs[i];

		if (addr->protocol != NET_MARK)
			continue;
		snprintf(line, sizeof(line), "address %s/%u dev %s",
			net_text_addr(addr->family, addr->addr, host), addr->prefix_len,
			addr->ifname);
		config_clean_text(line);
		take(userdata, line);
	}
}

static void list_present(const struct net_state *state, take_line *take, void *userdata)
{
	char line[NET_TEXT_MAX], host[NET_TEXT_ADDR_MAX];

	list_addrs(state, take, userdata);
	for (size_t i = 0; i < state->n_routes; i++) {
		const struct net_route *route = &state->routes[i];

		if (route->protocol != NET_MARK)
			continue;
		snprintf(line, sizeof(line), "local route %s/%u dev %s table %u",
			net_text_addr(route->family, route->dst, host), route->dst_len,
			route->ifname, route->table);
		config_clean_text(line);
		take(userdata, line);
	}
	for (size_t i = 0; i < state->n_rules; i++) {
		const struct net_rule *rule = &state->rules[i];

		if (rule->protocol != NET_MARK)
			continue;
		snprintf(line, sizeof(line), "rule priority %u fwmark 0x%x/0x%x lookup %u",
			rule->priority, rule->mark, rule->mask, rule->table);
		take(userdata, line);
	}
}

static void print_present(void *userdata, const char *line)
{
	(void)userdata;
	printf("present: %s\n", line);
}

static void append_present(void *userdata, const char *line)
{
	json_array_append_new(userdata, json_string(line));
}

/* The commands of the plan that add, or those that remove. */
static json_t *commands_json(const struct ctl *ctl, bool remove)
{
	json_t *commands = json_array();
	char text[NET_TEXT_MAX];

	for (size_t i = 0; i < ctl->plan.n_steps; i++)
		if (ctl->plan.steps[i].remove == remove && ctl->plan.steps[i].kind != NET_STEP_NFT)
			json_array_append_new(
				commands, json_string(step_text(&ctl->plan.steps[i], text)));
	return commands;
}

static int print_status_json(
	const struct ctl *ctl, bool differs, int past_err, const struct net_journal_past *past)
{
	json_t *present = json_array();

	list_present(&ctl->actual, append_present, present);
	return print_object(json_pack("{s:b, s:o, s:o, s:o, s:o, s:s, s:o}", "ok",
		!differs && !is_nft_hidden(ctl), "present", present, "missing",
		commands_json(ctl, false), "left_over", commands_json(ctl, true), "waiting",
		waiting_json(ctl), "nftables", nft_state(ctl), "last", past_json(past_err, past)));
}

static void print_status(const struct ctl *ctl, int past_err, const struct net_journal_past *past)
{
	char text[NET_TEXT_MAX];

	list_present(&ctl->actual, print_present, NULL);
	for (size_t i = 0; i < ctl->plan.n_steps; i++)
		if (ctl->plan.steps[i].kind != NET_STEP_NFT)
			printf("%s: %s\n",
				ctl->plan.steps[i].remove ? "left over, would be removed by"
							  : "missing, would be added by",
				step_text(&ctl->plan.steps[i], text));
	if (!is_nft_hidden(ctl))
		printf("nftables: table inet %s: %s\n", NFT_TABLE_NAME, nft_state(ctl));
	if (strcmp(nft_state(ctl), "present") == 0)
		print_script(&ctl->wanted.nft);
	print_waiting(ctl);
	if (past_err == -ENOENT)
		puts("last application: none");
	else if (past_err)
		printf("last application: not known: %s\n", strerror(-past_err));
	else if (past->interrupted)
		printf("last application: interrupted at step %zu%s%s\n", past->step,
			past->text[0] ? ": " : "", past->text);
	else
		puts("last application: complete");
}

int ctl_net_status(const struct config *config, bool json)
{
	struct net_journal_past past = { 0 };
	struct ctl ctl;
	bool differs;
	int status, past_err;
	int err = ctl_open(&ctl, config, json);

	if (!err)
		err = ctl_read(&ctl);
	if (err) {
		ctl_clear(&ctl);
		return fail("cannot read the network", err);
	}
	past_err = net_journal_peek(config->run_directory, &past);
	config_clean_text(past.text);
	differs = ctl.plan.n_steps > 0 || ctl.plan.n_obstacles > 0;
	status = 0;
	if (json)
		status = print_status_json(&ctl, differs, past_err, &past);
	else
		print_status(&ctl, past_err, &past);
	if (!status)
		status = exit_status(&ctl, differs);
	ctl_clear(&ctl);
	return status;
}
