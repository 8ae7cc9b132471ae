#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nft_chain.h"
#include "nft_image.h"
#include "nft_table.h"

#define MESSAGE_MAX 2048

static struct nft_rule make(enum nft_rule_kind kind, const char *addr, uint8_t prefix_len)
{
	struct nft_rule rule = { .kind = kind,
		.family = strchr(addr, ':') ? AF_INET6 : AF_INET,
		.l4proto = IPPROTO_TCP,
		.prefix_len = prefix_len,
		.port_min = 443,
		.port_max = 443,
		.to_port = 8443,
		.mark = 0x1000,
		.mask = 0x3000 };

	assert_int_equal(inet_pton(rule.family, addr, rule.addr), 1);
	return rule;
}

#define N_RULES 14

/* Every kind, in every shape. */
static struct nft_wanted every_kind(struct nft_rule rules[N_RULES])
{
	rules[0] = make(NFT_RULE_PASS, "2001:db8:64::7", 128);
	rules[1] = make(NFT_RULE_DIVERT, "2001:db8:64:8::", 61);
	rules[2] = make(NFT_RULE_DIVERT, "203.0.113.0", 24);
	rules[2].port_max = 8080;
	rules[3] = make(NFT_RULE_DIVERT, "::", 0);
	rules[4] = make(NFT_RULE_REFUSE, "::", 0);
	rules[5] = make(NFT_RULE_TRANSPARENT, "0.0.0.0", 0);
	rules[6] = make(NFT_RULE_NOTRACK, "203.0.113.0", 24);
	rules[7] = make(NFT_RULE_NOTRACK, "2001:db8:64::7", 128);
	rules[7].port_min = 1;
	rules[7].port_max = 65535;
	rules[8] = make(NFT_RULE_NOTRACK, "0.0.0.0", 0);
	rules[9] = make(NFT_RULE_DIVERT, "2001:db8:64:8::", 61);
	rules[10] = make(NFT_RULE_REFUSE, "2001:db8:64:8::", 61);
	rules[11] = make(NFT_RULE_PASS, "203.0.113.7", 32);
	rules[12] = make(NFT_RULE_NOTRACK, "203.0.113.7", 32);
	rules[13] = make(NFT_RULE_WILDCARD, "0.0.0.0", 0);
	for (size_t i = 9; i < N_RULES; i++)
		rules[i].l4proto = IPPROTO_UDP;
	return (struct nft_wanted){ .rules = rules, .n_rules = N_RULES };
}

static char *image_of(const struct nft_wanted *wanted)
{
	char *text = NULL;

	assert_int_equal(nft_table_image(wanted, &text), 0);
	assert_non_null(text);
	return text;
}

/* ---- a dump as the kernel would send it ---- */

struct dump {
	uint8_t *messages[40];
	size_t lens[40];
	size_t n;
};

/* Takes the message at an allocation of just its size. */
static void append(struct dump *dump, const struct nlmsghdr *message)
{
	assert_true(dump->n < 40);
	dump->lens[dump->n] = message->nlmsg_len;
	dump->messages[dump->n] = malloc(message->nlmsg_len);
	assert_non_null(dump->messages[dump->n]);
	memcpy(dump->messages[dump->n], message, message->nlmsg_len);
	dump->n++;
}

static void free_dump(struct dump *dump)
{
	for (size_t i = 0; i < dump->n; i++)
		free(dump->messages[i]);
	dump->n = 0;
}

static struct nlmsghdr *begin(void *buf, uint16_t type, uint16_t family)
{
	memset(buf, 0, MESSAGE_MAX);
	return nftnl_nlmsg_build_hdr(buf, type, family, NLM_F_MULTI, 1);
}

/* Flags and use the way the kernel says them. */
static void add_table(
	struct dump *dump, const char *name, uint16_t family, uint32_t flags, uint32_t use)
{
	_Alignas(8) uint8_t buf[MESSAGE_MAX];
	struct nlmsghdr *message = begin(buf, NFT_MSG_NEWTABLE, family);

	mnl_attr_put_strz(message, NFTA_TABLE_NAME, name);
	mnl_attr_put_u32(message, NFTA_TABLE_FLAGS, htonl(flags));
	mnl_attr_put_u32(message, NFTA_TABLE_USE, htonl(use));
	mnl_attr_put_u64(message, NFTA_TABLE_HANDLE, 7);
	append(dump, message);
}

static void put_chain(struct dump *dump, const struct nftnl_chain *chain, uint16_t family)
{
	_Alignas(8) uint8_t buf[MESSAGE_MAX];
	struct nlmsghdr *message = begin(buf, NFT_MSG_NEWCHAIN, family);

	nftnl_chain_nlmsg_build_payload(message, chain);
	append(dump, message);
}

static void put_rule(struct dump *dump, struct nftnl_rule *rule, uint16_t family)
{
	_Alignas(8) uint8_t buf[MESSAGE_MAX];
	struct nlmsghdr *message = begin(buf, NFT_MSG_NEWRULE, family);

	nftnl_rule_nlmsg_build_payload(message, rule);
	append(dump, message);
}

static void add_chain(struct dump *dump, size_t index)
{
	struct nftnl_chain *chain = NULL;

	assert_int_equal(nft_chain_make(index, &chain), 0);
	put_chain(dump, chain, NFPROTO_INET);
	nftnl_chain_free(chain);
}

static void add_rule(struct dump *dump, size_t index, const struct nft_rule *rule)
{
	struct nftnl_rule *object = NULL;

	assert_int_equal(nft_chain_make_rule(index, rule, &object), 0);
	put_rule(dump, object, NFPROTO_INET);
	nftnl_rule_free(object);
}

/* All chains, the rules that are in them. */
static struct dump dump_of(const struct nft_wanted *wanted, uint32_t flags, uint32_t use)
{
	struct dump dump = { 0 };

	add_table(&dump, NFT_TABLE_NAME, NFPROTO_INET, flags, use);
	for (size_t chain = 0; chain < NFT_CHAINS; chain++)
		add_chain(&dump, chain);
	for (size_t chain = 0; chain < NFT_CHAINS; chain++)
		for (size_t i = 0; i < wanted->n_rules; i++)
			if (nft_chain_has(chain, &wanted->rules[i]))
				add_rule(&dump, chain, &wanted->rules[i]);
	return dump;
}

static int feed(struct nft_image *image, const uint8_t *bytes, size_t len)
{
	return nft_image_feed(image, (const void *)bytes, len);
}

/* The dump's image; the dump is no more. */
static char *read_dump(struct dump *dump)
{
	struct nft_image image = { 0 };
	char *text = NULL;

	for (size_t i = 0; i < dump->n; i++)
		assert_int_equal(feed(&image, dump->messages[i], dump->lens[i]), 0);
	assert_int_equal(nft_image_finish(&image, &text), 0);
	free_dump(dump);
	return text;
}

/* ---- tests ---- */

static void test_nothing_is_empty(void **state)
{
	struct nft_wanted wanted = { 0 };
	struct nft_image image = { 0 };
	char *text = image_of(&wanted);

	(void)state;
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(nft_image_finish(&image, &text), 0);
	assert_string_equal(text, "");
	free(text);
}

static void test_text(void **state)
{
	struct nft_rule rule = make(NFT_RULE_NOTRACK, "203.0.113.7", 32);
	struct nft_wanted wanted = { .rules = &rule, .n_rules = 1 };
	char *text = image_of(&wanted);

	(void)state;
	assert_non_null(strstr(text, "table flags 0 use 2\n"
				     "chain track type filter hook 0 priority -300 policy 1\n"
				     "chain answer type filter hook 3 priority -300 policy 1\n"
				     "rule track [meta load nfproto => reg 1 ] [cmp eq reg 1 "
				     "0x00000002 ]"));
	assert_non_null(strstr(text, "\nrule answer ["));
	assert_null(strstr(text, "divert"));
	free(text);
}

static void test_dump_is_the_same(void **state)
{
	struct nft_rule rules[N_RULES];
	struct nft_wanted wanted = every_kind(rules);
	struct dump dump = dump_of(&wanted, 0, 3);
	char *expected = image_of(&wanted), *text = read_dump(&dump);

	(void)state;
	assert_string_equal(text, expected);
	assert_null(strstr(text, " other "));
	free(text);
	free(expected);
}

static void differs(struct dump dump, const char *expected)
{
	char *text = read_dump(&dump);

	assert_string_not_equal(text, expected);
	free(text);
}

static void test_another_table_shows(void **state)
{
	struct nft_rule rules[N_RULES];
	struct nft_wanted wanted = every_kind(rules);
	char *expected = image_of(&wanted);

	(void)state;
	differs(dump_of(&wanted, 1, 3), expected);
	differs(dump_of(&wanted, 0, 4), expected);
	free(expected);
}

static void test_another_chain_shows(void **state)
{
	static const uint16_t attrs[] = { NFTNL_CHAIN_HOOKNUM, NFTNL_CHAIN_PRIO,
		NFTNL_CHAIN_POLICY };
	struct nftnl_chain *chain = NULL;
	struct dump dump = { 0 };
	char *expected;

	(void)state;
	add_chain(&dump, 0);
	expected = read_dump(&dump);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(nft_chain_make(0, &chain), 0);
		nftnl_chain_set_u32(chain, attrs[i], nftnl_chain_get_u32(chain, attrs[i]) ^ 1);
		put_chain(&dump, chain, NFPROTO_INET);
		nftnl_chain_free(chain);
		differs(dump, expected);
		dump.n = 0;
	}
	assert_int_equal(nft_chain_make(0, &chain), 0);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, "route");
	put_chain(&dump, chain, NFPROTO_INET);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, "other");
	differs(dump, expected);
	dump.n = 0;
	put_chain(&dump, chain, NFPROTO_INET);
	nftnl_chain_free(chain);
	differs(dump, expected);
	free(expected);
}

static void test_other_rules_show(void **state)
{
	struct nft_rule rules[N_RULES], swapped;
	struct nft_wanted wanted = every_kind(rules), fewer = { rules, N_RULES - 1 };
	char *expected = image_of(&wanted);
	struct dump dump = dump_of(&wanted, 0, 3);

	(void)state;
	add_rule(&dump, 0, &rules[0]);
	differs(dump, expected);
	differs(dump_of(&fewer, 0, 3), expected);
	swapped = rules[0];
	rules[0] = rules[1];
	rules[1] = swapped;
	differs(dump_of(&wanted, 0, 3), expected);
	wanted = every_kind(rules);
	rules[1].to_port = 8444;
	differs(dump_of(&wanted, 0, 3), expected);
	wanted = every_kind(rules);
	rules[5].mark = 0;
	differs(dump_of(&wanted, 0, 3), expected);
	wanted = every_kind(rules);
	rules[4].l4proto = IPPROTO_UDP;
	differs(dump_of(&wanted, 0, 3), expected);
	wanted = every_kind(rules);
	rules[10].kind = NFT_RULE_PASS;
	differs(dump_of(&wanted, 0, 3), expected);
	free(expected);
}

/* Ours or not: libnftnl gets just what we make, but every change shows. */
static void test_another_expression_shows(void **state)
{
	static const char *const names[] = { "notrack", "counter", "log" };
	struct nft_rule rule = make(NFT_RULE_PASS, "2001:db8:64::7", 128);
	struct dump dump = { 0 };
	char *texts[4];

	(void)state;
	add_rule(&dump, 0, &rule);
	texts[3] = read_dump(&dump);
	for (size_t i = 0; i < 3; i++) {
		struct nftnl_rule *object = NULL;

		assert_int_equal(nft_chain_make_rule(0, &rule, &object), 0);
		nftnl_rule_add_expr(object, nftnl_expr_alloc(names[i]));
		put_rule(&dump, object, NFPROTO_INET);
		nftnl_rule_free(object);
		texts[i] = read_dump(&dump);
		assert_int_equal(strstr(texts[i], "rule divert other ") != NULL, i > 0);
	}
	for (size_t i = 0; i < 4; i++)
		for (size_t k = i + 1; k < 4; k++)
			assert_string_not_equal(texts[i], texts[k]);
	for (size_t i = 0; i < 4; i++)
		free(texts[i]);
}

static void test_others_are_passed_over(void **state)
{
	struct nft_rule rule = make(NFT_RULE_PASS, "2001:db8:64::7", 128);
	struct nftnl_chain *chain = NULL;
	struct nftnl_rule *object = NULL;
	struct dump dump = { 0 };
	char *text;

	(void)state;
	assert_int_equal(nft_chain_make(0, &chain), 0);
	assert_int_equal(nft_chain_make_rule(0, &rule, &object), 0);
	add_table(&dump, NFT_TABLE_NAME, NFPROTO_IPV4, 0, 1);
	put_chain(&dump, chain, NFPROTO_IPV6);
	put_rule(&dump, object, NFPROTO_IPV4);
	add_table(&dump, "sixgate2", NFPROTO_INET, 0, 1);
	add_table(&dump, "sixgat", NFPROTO_INET, 0, 1);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, "filter");
	nftnl_rule_set_str(object, NFTNL_RULE_TABLE, "filter");
	put_chain(&dump, chain, NFPROTO_INET);
	put_rule(&dump, object, NFPROTO_INET);
	nftnl_chain_free(chain);
	nftnl_rule_free(object);
	text = read_dump(&dump);
	assert_string_equal(text, "");
	free(text);
}

static void test_cut(void **state)
{
	struct nft_rule rules[N_RULES];
	struct nft_wanted wanted = every_kind(rules);
	struct dump dump = dump_of(&wanted, 0, 3);
	struct nft_image image = { 0 };
	char *text = NULL;
	size_t len;

	(void)state;
	nft_image_cut(&image, 0);
	nft_image_say_table(&image, 0, 3);
	len = image.len;
	for (size_t i = 1; i < dump.n; i++)
		assert_int_equal(feed(&image, dump.messages[i], dump.lens[i]), 0);
	assert_true(image.len > len);
	nft_image_cut(&image, image.len);
	nft_image_cut(&image, image.len + 100);
	assert_int_equal(strlen(image.text), image.len);
	nft_image_cut(&image, len);
	assert_string_equal(image.text, "table flags 0 use 3\n");
	assert_int_equal(image.len, len);
	assert_int_equal(feed(&image, dump.messages[1], dump.lens[1]), 0);
	nft_image_cut(&image, 0);
	assert_int_equal(nft_image_finish(&image, &text), 0);
	assert_string_equal(text, "");
	free(text);
	free_dump(&dump);
}

/* Feeds so many bytes from an allocation of just that size, the header telling len if it fits. */
static int feed_copy(const uint8_t *bytes, size_t size, uint32_t len)
{
	struct nft_image image = { 0 };
	uint8_t *copy = malloc(size > 0 ? size : 1);
	char *text = NULL;
	int err;

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	if (size >= sizeof(len))
		memcpy(copy, &len, sizeof(len));
	err = feed(&image, copy, size);
	free(copy);
	assert_int_equal(nft_image_finish(&image, &text), 0);
	if (err)
		assert_string_equal(text, "");
	free(text);
	return err;
}

static void test_truncated(void **state)
{
	struct nft_rule rules[N_RULES];
	struct nft_wanted wanted = every_kind(rules);
	struct dump dump = dump_of(&wanted, 0, 3);

	(void)state;
	for (size_t i = 0; i < dump.n; i++)
		for (size_t size = 0; size < dump.lens[i]; size++) {
			int err;

			/* The header tells of more than there is. */
			err = feed_copy(dump.messages[i], size, (uint32_t)dump.lens[i]);
			assert_int_equal(err, -EBADMSG);
			/* It tells of all there is; between two attributes it cannot be seen. */
			err = feed_copy(dump.messages[i], size, (uint32_t)size);
			assert_true(err == -EBADMSG || err == 0);
			if (size < 32)
				assert_int_equal(err, -EBADMSG);
		}
	free_dump(&dump);
}

/* Whatever a byte is: an image or -EBADMSG, but neither a crash nor the end of the process. */
static void test_mangled(void **state)
{
	static const uint8_t values[] = { 0x00, 0x01, 0x03, 0x05, 0x7f, 0x80, 0xff };
	struct nft_rule rules[N_RULES];
	struct nft_wanted wanted = every_kind(rules);
	struct dump dump = dump_of(&wanted, 0, 3);

	(void)state;
	for (size_t i = 0; i < dump.n; i++)
		for (size_t at = 4; at < dump.lens[i]; at++)
			for (size_t k = 0; k < sizeof(values); k++) {
				uint8_t was = dump.messages[i][at];
				int err;

				dump.messages[i][at] = values[k];
				err = feed_copy(
					dump.messages[i], dump.lens[i], (uint32_t)dump.lens[i]);
				assert_true(err == -EBADMSG || err == 0);
				dump.messages[i][at] = was;
			}
	free_dump(&dump);
}

static void test_bad_messages(void **state)
{
	static const uint16_t bad[] = { NFT_MSG_GETTABLE, NFT_MSG_DELRULE, NFT_MSG_NEWSET, 0xff };
	_Alignas(8) uint8_t buf[MESSAGE_MAX];
	struct nlmsghdr *message;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		message = begin(buf, bad[i], NFPROTO_INET);
		mnl_attr_put_strz(message, NFTA_TABLE_NAME, NFT_TABLE_NAME);
		assert_int_equal(feed_copy(buf, message->nlmsg_len, message->nlmsg_len), -EBADMSG);
	}
	/* Without a name, one without its NUL, a number that is too short, no name of a chain. */
	message = begin(buf, NFT_MSG_NEWTABLE, NFPROTO_INET);
	assert_int_equal(feed_copy(buf, message->nlmsg_len, message->nlmsg_len), -EBADMSG);
	mnl_attr_put_str(message, NFTA_TABLE_NAME, NFT_TABLE_NAME);
	assert_int_equal(feed_copy(buf, message->nlmsg_len, message->nlmsg_len), -EBADMSG);
	message = begin(buf, NFT_MSG_NEWTABLE, NFPROTO_INET);
	mnl_attr_put_strz(message, NFTA_TABLE_NAME, NFT_TABLE_NAME);
	mnl_attr_put_u16(message, NFTA_TABLE_USE, 1);
	assert_int_equal(feed_copy(buf, message->nlmsg_len, message->nlmsg_len), -EBADMSG);
	message = begin(buf, NFT_MSG_NEWRULE, NFPROTO_INET);
	mnl_attr_put_strz(message, NFTA_RULE_TABLE, NFT_TABLE_NAME);
	assert_int_equal(feed_copy(buf, message->nlmsg_len, message->nlmsg_len), -EBADMSG);
}

/* One rule of one expression "cmp" that has its data twice, of which the first is too short. */
static void test_attributes_twice(void **state)
{
	_Alignas(8) uint8_t buf[MESSAGE_MAX];
	struct nlmsghdr *message = begin(buf, NFT_MSG_NEWRULE, NFPROTO_INET);
	struct nlattr *exprs, *expr, *data;

	(void)state;
	mnl_attr_put_strz(message, NFTA_RULE_TABLE, NFT_TABLE_NAME);
	mnl_attr_put_strz(message, NFTA_RULE_CHAIN, "divert");
	exprs = mnl_attr_nest_start(message, NFTA_RULE_EXPRESSIONS);
	expr = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
	mnl_attr_put_strz(message, NFTA_EXPR_NAME, "cmp");
	mnl_attr_put_u16(message, NFTA_EXPR_DATA, 0);
	data = mnl_attr_nest_start(message, NFTA_EXPR_DATA);
	mnl_attr_put_u32(message, NFTA_CMP_OP, 0);
	mnl_attr_nest_end(message, data);
	mnl_attr_nest_end(message, expr);
	mnl_attr_nest_end(message, exprs);
	assert_int_equal(feed_copy(buf, message->nlmsg_len, message->nlmsg_len), 0);
}

/* ---- the kernel ---- */

static void check_kernel(struct nl_channel *channel, const struct nft_wanted *wanted)
{
	char *expected = image_of(wanted), *text = NULL;

	assert_int_equal(nft_table_replace(channel, wanted), 0);
	assert_int_equal(nft_table_read(channel, &text), 0);
	assert_string_equal(text, expected);
	free(text);
	free(expected);
}

static void test_kernel_holds_what_is_wanted(void **state)
{
	struct nft_rule rules[N_RULES];
	struct nft_wanted wanted = every_kind(rules), none = { 0 };
	struct nl_channel channel;

	(void)state;
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		skip();
	if (nl_channel_open(&channel, NETLINK_NETFILTER, 0) < 0)
		skip();
	check_kernel(&channel, &none);
	check_kernel(&channel, &wanted);
	wanted.n_rules = 1;
	check_kernel(&channel, &wanted);
	check_kernel(&channel, &none);
	nl_channel_close(&channel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_empty),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_dump_is_the_same),
		cmocka_unit_test(test_another_table_shows),
		cmocka_unit_test(test_another_chain_shows),
		cmocka_unit_test(test_other_rules_show),
		cmocka_unit_test(test_another_expression_shows),
		cmocka_unit_test(test_others_are_passed_over),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_mangled),
		cmocka_unit_test(test_bad_messages),
		cmocka_unit_test(test_attributes_twice),
		cmocka_unit_test(test_kernel_holds_what_is_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
