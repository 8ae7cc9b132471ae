#include "nft_guard_encode.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/object.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/tcp.h>
#include <stdbool.h>

#include "nft_expr.h"

/* The longest rule has some 900 bytes. */
#define MESSAGE_MAX 2048U

/* Types of keys as nft(8) numbers them; the kernel keeps them for it, and goes by the length. */
#define TYPE_IPADDR  7U
#define TYPE_IP6ADDR 8U

/* Their order is that of the bits of struct nft_guard.hooks, which outlive this image. */
enum chain { ADMIT, BANS, REFUSE, CHAINS };

static const struct chain_shape {
	const char *name;
	bool has_hook;
	uint32_t hook; /* NF_INET_* */
	int32_t priority;
} chains[CHAINS] = {
	[ADMIT] = { "admit", true, NF_INET_PRE_ROUTING, -310 },
	[BANS] = { "bans", false, 0, 0 },
	[REFUSE] = { "refuse", false, 0, 0 },
};

static enum chain chain_of(enum nft_guard_kind kind)
{
	switch (kind) {
	case NFT_GUARD_BAN:
		return BANS;
	case NFT_GUARD_PASS:
	case NFT_GUARD_RESET:
	case NFT_GUARD_PORT_UNREACHABLE:
	case NFT_GUARD_ADMIN_PROHIBITED:
		break;
	}
	return REFUSE;
}

static bool has_rules(const struct nft_guard_wanted *wanted, enum chain chain)
{
	for (size_t i = 0; i < wanted->n_rules; i++)
		if (chain_of(wanted->rules[i].kind) == chain)
			return true;
	return false;
}

static bool bans_to(const struct nft_guard_wanted *wanted, uint8_t family)
{
	for (size_t i = 0; i < wanted->n_rules; i++)
		if (wanted->rules[i].kind == NFT_GUARD_BAN && wanted->rules[i].family == family)
			return true;
	return false;
}

/*
 * ---- the table ----
 *
 * Each of these takes a batch that has failed, and does nothing then but free what it has made.
 */

static void put_table(struct nft_batch *batch, uint16_t type, uint16_t flags, uint32_t table_flags)
{
	struct nftnl_table *table = nftnl_table_alloc();
	struct nlmsghdr *message = nft_batch_put(batch, type, flags, MESSAGE_MAX);

	if (!table || nftnl_table_set_str(table, NFTNL_TABLE_NAME, NFT_GUARD_TABLE) < 0)
		nft_batch_fail(batch, -ENOMEM);
	if (!batch->err) {
		nftnl_table_set_u32(table, NFTNL_TABLE_FAMILY, NFPROTO_INET);
		if (table_flags)
			nftnl_table_set_u32(table, NFTNL_TABLE_FLAGS, table_flags);
		nftnl_table_nlmsg_build_payload(message, table);
	}
	nft_batch_close(batch);
	if (table)
		nftnl_table_free(table);
}

static void put_counter(struct nft_batch *batch, const char *name)
{
	struct nftnl_obj *object = nftnl_obj_alloc();
	struct nlmsghdr *message =
		nft_batch_put(batch, NFT_MSG_NEWOBJ, NLM_F_CREATE | NLM_F_EXCL, MESSAGE_MAX);

	if (!object)
		nft_batch_fail(batch, -ENOMEM);
	if (!batch->err) {
		nftnl_obj_set_str(object, NFTNL_OBJ_TABLE, NFT_GUARD_TABLE);
		nftnl_obj_set_str(object, NFTNL_OBJ_NAME, name);
		nftnl_obj_set_u32(object, NFTNL_OBJ_FAMILY, NFPROTO_INET);
		nftnl_obj_set_u32(object, NFTNL_OBJ_TYPE, NFT_OBJECT_COUNTER);
		nftnl_obj_set_u64(object, NFTNL_OBJ_CTR_PKTS, 0);
		nftnl_obj_set_u64(object, NFTNL_OBJ_CTR_BYTES, 0);
		nftnl_obj_nlmsg_build_payload(message, object);
	}
	nft_batch_close(batch);
	if (object)
		nftnl_obj_free(object);
}

/* id: any, but one's own within the batch. */
static void put_set(struct nft_batch *batch, const char *name, bool v6, uint32_t id)
{
	struct nftnl_set *set = nftnl_set_alloc();
	struct nlmsghdr *message =
		nft_batch_put(batch, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL, MESSAGE_MAX);

	if (!set || nftnl_set_set_str(set, NFTNL_SET_TABLE, NFT_GUARD_TABLE) < 0 ||
		nftnl_set_set_str(set, NFTNL_SET_NAME, name) < 0)
		nft_batch_fail(batch, -ENOMEM);
	if (!batch->err) {
		nftnl_set_set_u32(set, NFTNL_SET_FAMILY, NFPROTO_INET);
		nftnl_set_set_u32(set, NFTNL_SET_ID, id);
		nftnl_set_set_u32(set, NFTNL_SET_FLAGS, NFT_SET_INTERVAL | NFT_SET_TIMEOUT);
		nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, v6 ? TYPE_IP6ADDR : TYPE_IPADDR);
		nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, v6 ? 16 : 4);
		nftnl_set_nlmsg_build_payload(message, set);
	}
	nft_batch_close(batch);
	if (set)
		nftnl_set_free(set);
}

static void put_chain(struct nft_batch *batch, enum chain index, uint16_t type, uint16_t flags)
{
	const struct chain_shape *shape = &chains[index];
	struct nftnl_chain *chain = nftnl_chain_alloc();
	struct nlmsghdr *message = nft_batch_put(batch, type, flags, MESSAGE_MAX);

	if (!chain || nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, NFT_GUARD_TABLE) < 0 ||
		nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, shape->name) < 0)
		nft_batch_fail(batch, -ENOMEM);
	if (!batch->err) {
		nftnl_chain_set_u32(chain, NFTNL_CHAIN_FAMILY, NFPROTO_INET);
		if (shape->has_hook && type == NFT_MSG_NEWCHAIN) {
			nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, "filter");
			nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, shape->hook);
			nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, shape->priority);
			nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, NF_ACCEPT);
		}
		nftnl_chain_nlmsg_build_payload(message, chain);
	}
	nft_batch_close(batch);
	if (chain)
		nftnl_chain_free(chain);
}

void nft_guard_put_table(struct nft_batch *batch)
{
	put_table(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, NFT_TABLE_F_OWNER);
	put_counter(batch, NFT_GUARD_COUNTER_BANNED);
	put_counter(batch, NFT_GUARD_COUNTER_REFUSED);
	put_set(batch, NFT_GUARD_SET4, false, 1);
	put_set(batch, NFT_GUARD_SET6, true, 2);
	for (enum chain chain = 0; chain < CHAINS; chain++)
		if (!chains[chain].has_hook)
			put_chain(batch, chain, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);
}

void nft_guard_put_removal(struct nft_batch *batch)
{
	put_table(batch, NFT_MSG_DELTABLE, 0, 0);
}

/* ---- rules ---- */

/* type NFT_MSG_DELRULE, and no expressions: all of the chain. */
static struct nftnl_rule *make_rule(struct nft_batch *batch, enum chain chain)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	if (!rule || nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, NFT_GUARD_TABLE) < 0 ||
		nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, chains[chain].name) < 0) {
		nft_batch_fail(batch, -ENOMEM);
		if (rule)
			nftnl_rule_free(rule);
		return NULL;
	}
	nftnl_rule_set_u32(rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
	return rule;
}

/* Frees the rule, which may be NULL. */
static void put_rule(struct nft_batch *batch, struct nftnl_rule *rule, uint16_t type, int err)
{
	struct nlmsghdr *message = nft_batch_put(batch, type,
		type == NFT_MSG_NEWRULE ? NLM_F_CREATE | NLM_F_APPEND : 0, MESSAGE_MAX);

	if (err)
		nft_batch_fail(batch, err);
	if (!batch->err)
		nftnl_rule_nlmsg_build_payload(message, rule);
	nft_batch_close(batch);
	if (rule)
		nftnl_rule_free(rule);
}

static void empty_chain(struct nft_batch *batch, enum chain chain)
{
	put_rule(batch, make_rule(batch, chain), NFT_MSG_DELRULE, 0);
}

static void count(struct nft_expr *to, const char *name)
{
	struct nftnl_expr *expr = nft_expr_add(to, "objref");

	nft_expr_set_u32(expr, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
	nft_expr_set_text(to, expr, NFTNL_EXPR_OBJREF_IMM_NAME, name);
}

static void match_interface(struct nft_expr *to, uint32_t ifindex)
{
	nft_expr_load_meta(to, NFT_META_IIF);
	nft_expr_compare(to, NFT_CMP_EQ, &ifindex, sizeof(ifindex));
}

static void match(struct nft_expr *to, const struct nft_guard_rule *rule)
{
	nft_expr_match_family(to, rule->family);
	if (rule->ifindex)
		match_interface(to, rule->ifindex);
	if (rule->prefix_len == 0)
		nft_expr_match_local(to, NFTA_FIB_F_DADDR);
	else if (rule->family == AF_INET6)
		nft_expr_match_prefix(to, NFT_EXPR_IP6_DADDR, 16, rule->addr, rule->prefix_len);
	else
		nft_expr_match_prefix(to, NFT_EXPR_IP4_DADDR, 4, rule->addr, rule->prefix_len);
	nft_expr_match_meta(to, NFT_META_L4PROTO, rule->l4proto);
	nft_expr_match_ports(to, NFT_EXPR_DPORT, rule->port_min, rule->port_max);
}

static void act(struct nft_expr *to, enum nft_guard_kind kind)
{
	switch (kind) {
	case NFT_GUARD_BAN:
		count(to, NFT_GUARD_COUNTER_BANNED);
		nft_expr_verdict(to, NF_DROP, NULL);
		break;
	case NFT_GUARD_PASS:
		nft_expr_verdict(to, NFT_RETURN, NULL);
		break;
	case NFT_GUARD_RESET:
		count(to, NFT_GUARD_COUNTER_REFUSED);
		nft_expr_reject(to, NFT_REJECT_TCP_RST, 0);
		break;
	case NFT_GUARD_PORT_UNREACHABLE:
		count(to, NFT_GUARD_COUNTER_REFUSED);
		nft_expr_reject(to, NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_PORT_UNREACH);
		break;
	case NFT_GUARD_ADMIN_PROHIBITED:
		count(to, NFT_GUARD_COUNTER_REFUSED);
		nft_expr_reject(to, NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
		break;
	}
}

static bool is_sayable(const struct nft_guard_rule *rule)
{
	return (rule->family == AF_INET || rule->family == AF_INET6) &&
	       rule->prefix_len <= (rule->family == AF_INET ? 32 : 128) &&
	       rule->port_min <= rule->port_max;
}

static void put_wanted(struct nft_batch *batch, const struct nft_guard_rule *rule)
{
	struct nft_expr expr = { .rule = make_rule(batch, chain_of(rule->kind)) };

	if (!is_sayable(rule))
		expr.err = -EINVAL;
	if (expr.rule) {
		match(&expr, rule);
		act(&expr, rule->kind);
	}
	put_rule(batch, expr.rule, NFT_MSG_NEWRULE, expr.err);
}

static void put_set_jump(struct nft_batch *batch, bool v6)
{
	struct nft_expr expr = { .rule = make_rule(batch, ADMIT) };
	struct nftnl_expr *lookup;

	if (expr.rule) {
		nft_expr_match_family(&expr, v6 ? AF_INET6 : AF_INET);
		nft_expr_load_payload(&expr, NFT_PAYLOAD_NETWORK_HEADER,
			v6 ? NFT_EXPR_IP6_SADDR : NFT_EXPR_IP4_SADDR, v6 ? 16 : 4);
		lookup = nft_expr_add(&expr, "lookup");
		nft_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
		nft_expr_set_text(
			&expr, lookup, NFTNL_EXPR_LOOKUP_SET, v6 ? NFT_GUARD_SET6 : NFT_GUARD_SET4);
		nft_expr_verdict(&expr, NFT_JUMP, chains[BANS].name);
	}
	put_rule(batch, expr.rule, NFT_MSG_NEWRULE, expr.err);
}

/* A SYN and nothing else: an answer to a connection of our own has ACK, too. */
static void put_syn_jump(struct nft_batch *batch)
{
	struct nft_expr expr = { .rule = make_rule(batch, ADMIT) };

	if (expr.rule) {
		nft_expr_match_meta(&expr, NFT_META_L4PROTO, IPPROTO_TCP);
		nft_expr_match_tcp_flags(&expr, TH_FIN | TH_SYN | TH_RST | TH_ACK, TH_SYN);
		nft_expr_verdict(&expr, NFT_JUMP, chains[REFUSE].name);
	}
	put_rule(batch, expr.rule, NFT_MSG_NEWRULE, expr.err);
}

static void put_jumps(struct nft_batch *batch, const struct nft_guard_wanted *wanted)
{
	/* Packets of our servers, which are IPv4, are spared a look-up unless clients may be, too.
	 */
	if (bans_to(wanted, AF_INET6))
		put_set_jump(batch, true);
	if (bans_to(wanted, AF_INET))
		put_set_jump(batch, false);
	if (has_rules(wanted, REFUSE))
		put_syn_jump(batch);
}

static bool is_used(const struct nft_guard_wanted *wanted, enum chain chain)
{
	if (chain == ADMIT)
		return has_rules(wanted, BANS) || has_rules(wanted, REFUSE);
	return !chains[chain].has_hook || has_rules(wanted, chain);
}

/* Chains are emptied or made before the rules that go into them come, in the order of the batch. */
unsigned nft_guard_put_rules(
	struct nft_batch *batch, const struct nft_guard_wanted *wanted, unsigned hooks)
{
	unsigned after = 0;

	for (enum chain chain = 0; chain < CHAINS; chain++) {
		bool there = !chains[chain].has_hook || hooks & 1U << chain;

		if (there)
			empty_chain(batch, chain);
		if (is_used(wanted, chain) && !there)
			put_chain(batch, chain, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);
		else if (!is_used(wanted, chain) && there)
			put_chain(batch, chain, NFT_MSG_DELCHAIN, 0);
		if (chains[chain].has_hook && is_used(wanted, chain))
			after |= 1U << chain;
	}
	put_jumps(batch, wanted);
	for (size_t i = 0; i < wanted->n_rules; i++)
		put_wanted(batch, &wanted->rules[i]);
	return after;
}
