#include "doctor_routing.h"
#include "nft_table.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAIN_PRIORITY 32766U /* where the kernel puts the rule of table main */

/* ---- rule ---- */

/*
 * Whether it takes each packet that ours is for before ours is asked. The kernel's own for table
 * local is in front of all, and one that leads to our table does what ours would.
 */
static bool takes_all(const struct net_rule *rule, const struct net_rule *ours)
{
	return rule->family == ours->family && rule->priority < ours->priority && !rule->narrow &&
	       (ours->mark & rule->mask) == rule->mark && rule->table != RT_TABLE_LOCAL &&
	       rule->table != ours->table;
}

/* Whether a table that was read has a route for every destination. */
static bool has_default(const struct doctor_facts *facts, const struct net_rule *rule)
{
	for (size_t i = 0; i < facts->all.n_routes; i++)
		if (facts->all.routes[i].family == rule->family &&
			facts->all.routes[i].table == rule->table &&
			facts->all.routes[i].dst_len == 0)
			return true;
	return false;
}

static bool has_table_later(const struct doctor_facts *facts, const struct net_rule *rule)
{
	for (size_t i = 0; i < facts->net.n_rules; i++)
		if (facts->net.rules[i].family == rule->family &&
			facts->net.rules[i].table == rule->table &&
			facts->net.rules[i].priority > rule->priority &&
			!facts->net.rules[i].narrow && facts->net.rules[i].mask == 0)
			return true;
	return false;
}

/* Takes the rule away; the table that it leads to stays reachable, behind our rule. */
static char *mend_rule(const struct doctor_facts *facts, const struct net_rule *rule)
{
	char mark[40] = "", again[96] = "", action[32] = "blackhole";

	if (rule->action == FR_ACT_TO_TBL)
		snprintf(action, sizeof(action), "lookup %u", rule->table);
	else if (rule->action == FR_ACT_UNREACHABLE)
		strcpy(action, "unreachable");
	else if (rule->action == FR_ACT_PROHIBIT)
		strcpy(action, "prohibit");
	if (rule->mask)
		snprintf(mark, sizeof(mark), " fwmark 0x%x/0x%x", rule->mark, rule->mask);
	if (rule->action == FR_ACT_TO_TBL && !rule->mask && !has_table_later(facts, rule))
		snprintf(again, sizeof(again), "ip -4 rule add priority %u lookup %u && ",
			MAIN_PRIORITY, rule->table);
	return doctor_text(
		"%sip -4 rule del priority %u%s %s", again, rule->priority, mark, action);
}

static bool check_before(const struct doctor_facts *facts, const struct net_rule *rule,
	const struct net_rule *ours, const char *subject, struct doctor_report *report)
{
	enum doctor_status status = DOCTOR_WRONG;

	if (!takes_all(rule, ours))
		return false;
	switch (rule->action) {
	case FR_ACT_TO_TBL:
		/* Without a default route it takes answers to some clients only. */
		status = has_default(facts, rule) ? DOCTOR_WRONG : DOCTOR_WARN;
		break;
	case FR_ACT_BLACKHOLE:
	case FR_ACT_UNREACHABLE:
	case FR_ACT_PROHIBIT:
		break;
	default: /* "goto" and "nop" lead nowhere by themselves */
		return false;
	}
	doctor_add(report, "rule", subject, status, mend_rule(facts, rule),
		"a rule of priority %u is in front of ours: answers of servers to transparent "
		"connections %s not come back to the gateway",
		rule->priority, status == DOCTOR_WRONG ? "do" : "may");
	return true;
}

static void check_rule(
	const struct doctor_facts *facts, const struct net_rule *ours, struct doctor_report *report)
{
	bool found = false, before = false;
	char subject[32];

	snprintf(subject, sizeof(subject), "%u", ours->priority);
	for (size_t i = 0; i < facts->net.n_rules; i++)
		found = found || net_rule_same(&facts->net.rules[i], ours);
	if (!found) {
		doctor_add(report, "rule", subject, DOCTOR_WRONG, strdup(facts->apply),
			"the rule of priority %u for mark 0x%x is missing", ours->priority,
			ours->mark);
		return;
	}
	for (size_t i = 0; i < facts->net.n_rules; i++)
		before |= check_before(facts, &facts->net.rules[i], ours, subject, report);
	if (!before)
		doctor_add(report, "rule", subject, DOCTOR_OK, NULL,
			"the rule of priority %u for mark 0x%x is reached", ours->priority,
			ours->mark);
}

void doctor_check_rules(const struct doctor_facts *facts, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->wanted.net.n_rules; i++)
		check_rule(facts, &facts->wanted.net.rules[i], report);
}

/* ---- route ---- */

static void check_route(const struct doctor_facts *facts, const struct net_route *wanted,
	struct doctor_report *report)
{
	char prefix[DOCTOR_PREFIX_MAX];
	bool found = false;

	doctor_prefix(wanted->family, wanted->dst, wanted->dst_len, prefix);
	for (size_t i = 0; i < facts->net.n_routes; i++)
		found = found || net_route_same(&facts->net.routes[i], wanted);
	if (found)
		doctor_add(report, "route", prefix, DOCTOR_OK, NULL,
			"the local route to %s is in table %u", prefix, wanted->table);
	else if (!doctor_link_works(facts, wanted->ifname, wanted->family))
		doctor_add(report, "route", prefix, DOCTOR_UNKNOWN, NULL,
			"the local route to %s waits for %s", prefix, wanted->ifname);
	else
		doctor_add(report, "route", prefix, DOCTOR_WRONG, strdup(facts->apply),
			"the local route to %s is missing in table %u", prefix, wanted->table);
}

/* A local route to a prefix makes all of it this machine's own, also who else is on the link. */
static void check_neighbours(const struct doctor_facts *facts, const struct net_route *wanted,
	struct doctor_report *report)
{
	char prefix[DOCTOR_PREFIX_MAX], subnet[DOCTOR_PREFIX_MAX];
	unsigned full = (unsigned)net_family_len(wanted->family) * 8;

	doctor_prefix(wanted->family, wanted->dst, wanted->dst_len, prefix);
	for (size_t i = 0; i < facts->net.n_addrs; i++) {
		const struct net_addr *addr = &facts->net.addrs[i];
		const struct net_link *link = net_state_find_link(&facts->net, addr->ifname);
		uint8_t len =
			addr->prefix_len < wanted->dst_len ? addr->prefix_len : wanted->dst_len;

		if (addr->family != wanted->family || addr->prefix_len >= full || !link ||
			link->loopback || !doctor_covers(wanted->dst, len, addr->addr))
			continue;
		doctor_prefix(addr->family, addr->addr, addr->prefix_len, subnet);
		doctor_add(report, "neighbours", prefix, DOCTOR_WARN, NULL,
			"listening on all of %s cuts off the neighbours of %s on %s: use a prefix "
			"that no link has",
			prefix, subnet, addr->ifname);
	}
}

void doctor_check_routes(const struct doctor_facts *facts, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->wanted.net.n_routes; i++) {
		const struct net_route *route = &facts->wanted.net.routes[i];

		check_route(facts, route, report);
		if (route->table == RT_TABLE_LOCAL)
			check_neighbours(facts, route, report);
	}
}

/* ---- nftables ---- */

void doctor_check_nft(const struct doctor_facts *facts, struct doctor_report *report)
{
	static const char name[] = "inet " NFT_TABLE_NAME;
	bool wanted = facts->wanted.nft.n_rules > 0;
	char *image = NULL;

	if (!facts->nft_image) {
		if (facts->nft_error == -EPERM) {
			report->unreadable = true;
			doctor_add(report, "nftables", name, DOCTOR_UNKNOWN, NULL,
				"nftables: not read: CAP_NET_ADMIN is needed");
		} else if (wanted) {
			doctor_add(report, "nftables", name, DOCTOR_UNKNOWN, NULL,
				"nftables: not read: %s", strerror(-facts->nft_error));
		}
		return;
	}
	if (nft_table_image(&facts->wanted.nft, &image) < 0) {
		report->incomplete = true;
		return;
	}
	if (strcmp(image, facts->nft_image) == 0) {
		if (wanted)
			doctor_add(report, "nftables", name, DOCTOR_OK, NULL,
				"nftables: table %s is as it was made", name);
	} else {
		doctor_add(report, "nftables", name, DOCTOR_WRONG, strdup(facts->apply),
			"nftables: table %s %s", name,
			!wanted		      ? "is left over"
			: facts->nft_image[0] ? "was changed by somebody else"
					      : "is missing");
	}
	free(image);
}
