#include "net_text.h"
#include "nft_chain.h"
#include "nft_rule.h"

#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the kernel gives an IPv6 route that asks for no metric. */
#define IP6_METRIC_DEFAULT 1024

const char *net_text_addr(uint8_t family, const uint8_t addr[16], char buf[NET_TEXT_ADDR_MAX])
{
	if (!inet_ntop(family == AF_INET ? AF_INET : AF_INET6, addr, buf, NET_TEXT_ADDR_MAX))
		buf[0] = '\0';
	return buf;
}

/* A text that grows up to its end, and is cut off there. */
struct text {
	char *buf;
	size_t len;
	size_t size;
};

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *text, const char *format, ...)
{
	size_t room = text->size - text->len;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text->buf + text->len, room, format, args);
	va_end(args);
	if (len > 0)
		text->len += (size_t)len < room ? (size_t)len : room - 1;
}

/* A name of a link may hold nearly any byte; ip(8) takes "if3" for the link with index 3. */
static void put_link(struct text *text, const char *ifname, uint32_t index)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "._-@+";
	size_t len = strnlen(ifname, IFNAMSIZ);

	if (len > 0 && len < IFNAMSIZ && strspn(ifname, plain) == len)
		put(text, " dev %s", ifname);
	else if (len > 0 || index > 0)
		put(text, " dev if%u", index);
}

static void put_table(struct text *text, const char *word, uint32_t table)
{
	if (table == RT_TABLE_LOCAL)
		put(text, " %s local", word);
	else if (table == RT_TABLE_MAIN)
		put(text, " %s main", word);
	else
		put(text, " %s %u", word, table);
}

static void put_scope(struct text *text, uint8_t scope)
{
	if (scope == RT_SCOPE_UNIVERSE)
		put(text, " scope global");
	else if (scope == RT_SCOPE_HOST)
		put(text, " scope host");
	else if (scope == RT_SCOPE_LINK)
		put(text, " scope link");
	else
		put(text, " scope %u", scope);
}

static void put_command(struct text *text, uint8_t family, const char *object, bool remove)
{
	put(text, "ip -%c %s %s", family == AF_INET ? '4' : '6', object, remove ? "del" : "add");
}

static void put_addr(struct text *text, const struct net_addr *addr, bool remove)
{
	char buf[NET_TEXT_ADDR_MAX];

	put_command(text, addr->family, "addr", remove);
	put(text, " %s/%u", net_text_addr(addr->family, addr->addr, buf), addr->prefix_len);
	put_link(text, addr->ifname, addr->index);
	if (remove)
		return;
	if (addr->family == AF_INET && addr->scope != RT_SCOPE_UNIVERSE)
		put_scope(text, addr->scope);
	if (addr->family != AF_INET)
		put(text, " nodad");
	if (addr->unpreferred)
		put(text, " preferred_lft 0");
}

/* The scope that ip(8) gives an IPv4 route by itself. */
static uint8_t usual_scope(const struct net_route *route, bool has_gateway, bool remove)
{
	switch (route->type) {
	case RTN_LOCAL:
	case RTN_NAT:
		return RT_SCOPE_HOST;
	case RTN_BROADCAST:
	case RTN_MULTICAST:
	case RTN_ANYCAST:
		return RT_SCOPE_LINK;
	case RTN_UNICAST:
		/* Any scope will do for a route that goes. */
		return remove ? route->scope : has_gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	default:
		return RT_SCOPE_UNIVERSE;
	}
}

static const char *route_type(uint8_t type)
{
	static const char *const names[] = {
		[RTN_LOCAL] = "local ",
		[RTN_BROADCAST] = "broadcast ",
		[RTN_ANYCAST] = "anycast ",
		[RTN_MULTICAST] = "multicast ",
		[RTN_BLACKHOLE] = "blackhole ",
		[RTN_UNREACHABLE] = "unreachable ",
		[RTN_PROHIBIT] = "prohibit ",
		[RTN_THROW] = "throw ",
		[RTN_NAT] = "nat ",
	};

	return type < sizeof(names) / sizeof(names[0]) && names[type] ? names[type] : "";
}

static void put_route(struct text *text, const struct net_route *route, bool remove)
{
	static const uint8_t none[16];
	bool has_gateway = memcmp(route->gateway, none, sizeof(none)) != 0;
	char buf[NET_TEXT_ADDR_MAX];

	put_command(text, route->family, "route", remove);
	put(text, " %s", route_type(route->type));
	if (route->dst_len == 0)
		put(text, "default");
	else
		put(text, "%s/%u", net_text_addr(route->family, route->dst, buf), route->dst_len);
	if (has_gateway)
		put(text, " via %s", net_text_addr(route->family, route->gateway, buf));
	put_link(text, route->ifname, route->index);
	if (memcmp(route->source, none, sizeof(none)) != 0)
		put(text, " src %s", net_text_addr(route->family, route->source, buf));
	put_table(text, "table", route->table);
	if (route->family == AF_INET && route->scope != usual_scope(route, has_gateway, remove))
		put_scope(text, route->scope);
	if (route->metric && (route->family == AF_INET || route->metric != IP6_METRIC_DEFAULT))
		put(text, " metric %u", route->metric);
	if (route->mtu)
		put(text, " mtu %u", route->mtu);
	put(text, " proto %u", route->protocol);
}

static void put_rule(struct text *text, const struct net_rule *rule, bool remove)
{
	put_command(text, rule->family, "rule", remove);
	put(text, " priority %u", rule->priority);
	if (rule->mask)
		put(text, " fwmark 0x%x/0x%x", rule->mark, rule->mask);
	if (rule->action == FR_ACT_TO_TBL)
		put_table(text, "lookup", rule->table);
	else if (rule->action == FR_ACT_BLACKHOLE)
		put(text, " blackhole");
	else if (rule->action == FR_ACT_UNREACHABLE)
		put(text, " unreachable");
	else if (rule->action == FR_ACT_PROHIBIT)
		put(text, " prohibit");
	put(text, " protocol %u", rule->protocol);
}

const char *net_text_step(const struct net_step *step, char buf[NET_TEXT_MAX])
{
	struct text text = { .buf = buf, .size = NET_TEXT_MAX };

	buf[0] = '\0';
	switch (step->kind) {
	case NET_STEP_ADDR:
		put_addr(&text, &step->addr, step->remove);
		break;
	case NET_STEP_ROUTE:
		put_route(&text, &step->route, step->remove);
		break;
	case NET_STEP_RULE:
		put_rule(&text, &step->rule, step->remove);
		break;
	case NET_STEP_NFT:
		put(&text, step->remove ? "nft delete table inet " NFT_TABLE_NAME
					: "nft -f - # replaces table inet " NFT_TABLE_NAME);
		break;
	}
	return buf;
}

/* ---- the script of nft ---- */

struct chain {
	const char *name;
	const char *hook;
};

/* The words of a rule are those of packets that come in; answers have the same as their source. */
static void turn_round(char *text)
{
	static const char *const words[] = { "daddr ", "dport " };
	char *at;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		while ((at = strstr(text, words[i])))
			*at = 's';
}

static void print_chain(FILE *out, const struct chain *chain, const struct nft_wanted *wanted)
{
	const char *first, *second;
	char text[NET_TEXT_MAX];
	bool open = false;

	for (size_t i = 0; i < wanted->n_rules; i++) {
		second = NULL;
		first = nft_chain_of(&wanted->rules[i], &second);
		if (strcmp(first, chain->name) != 0 &&
			(!second || strcmp(second, chain->name) != 0))
			continue;
		if (!open)
			fprintf(out, "\tchain %s {\n\t\ttype filter hook %s; policy accept;\n",
				chain->name, chain->hook);
		open = true;
		nft_rule_text(&wanted->rules[i], text, sizeof(text));
		if (strcmp(first, chain->name) != 0)
			turn_round(text);
		fprintf(out, "\t\t%s\n", text);
	}
	if (open)
		fprintf(out, "\t}\n");
}

/* The chains are those of nft_chain.c, with nft's words for the priorities there. */
char *net_text_nft(const struct nft_wanted *wanted)
{
	static const struct chain chains[] = {
		{ "divert", "prerouting priority mangle" },
		{ "track", "prerouting priority raw" },
		{ "answer", "output priority raw" },
	};
	char *script = NULL;
	size_t len = 0;
	bool failed;
	FILE *out = open_memstream(&script, &len);

	if (!out)
		return NULL;
	/* To delete what may not be there, it is added first. */
	fprintf(out, "add table inet " NFT_TABLE_NAME "\ndelete table inet " NFT_TABLE_NAME "\n");
	if (wanted->n_rules > 0) {
		fprintf(out, "table inet " NFT_TABLE_NAME " {\n");
		for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++)
			print_chain(out, &chains[i], wanted);
		fprintf(out, "}\n");
	}
	failed = ferror(out) != 0;
	failed |= fclose(out) != 0;
	if (failed) {
		free(script);
		return NULL;
	}
	return script;
}
