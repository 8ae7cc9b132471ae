#include "nft_guard_elements.h"

#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>
#include <sys/socket.h>

#include "nft_guard_encode.h"

/* A list of elements is an attribute, and has at most 65,535 bytes with its headers. */
#define LIST_MAX    60000U
#define ELEMENT_MAX 512U /* two elements with key, flags, timeout and comment */

/* nft(8) finds a comment among the data of users by this type. */
#define USERDATA_COMMENT 0U

static const char *set_of(uint8_t family)
{
	return family == AF_INET6 ? NFT_GUARD_SET6 : NFT_GUARD_SET4;
}

static size_t address_len(uint8_t family)
{
	return family == AF_INET6 ? 16 : 4;
}

/*
 * The first address behind the prefix; false: there is none, as the prefix reaches to the last
 * address of all, and the interval stays open. prefix_len is 1 at least.
 */
static bool find_end(const struct nft_guard_element *element, uint8_t ret_addr[16])
{
	unsigned last_bit = element->prefix_len - 1U; /* which 1 is added to */
	unsigned carry = 0x80U >> last_bit % 8;

	memcpy(ret_addr, element->addr, 16);
	for (size_t byte = last_bit / 8 + 1; byte > 0 && carry; byte--) {
		carry += ret_addr[byte - 1];
		ret_addr[byte - 1] = (uint8_t)carry;
		carry >>= 8;
	}
	return carry == 0;
}

static void put_key(struct nlmsghdr *message, const uint8_t *addr, size_t len)
{
	struct nlattr *key = mnl_attr_nest_start(message, NFTA_SET_ELEM_KEY);

	mnl_attr_put(message, NFTA_DATA_VALUE, len, addr);
	mnl_attr_nest_end(message, key);
}

static void put_comment(struct nlmsghdr *message, const char *comment)
{
	size_t len = strnlen(comment, NFT_GUARD_COMMENT_MAX);
	uint8_t data[2 + NFT_GUARD_COMMENT_MAX + 1] = { USERDATA_COMMENT, (uint8_t)(len + 1) };

	memcpy(data + 2, comment, len);
	/* nft(8) prints it between quotes, and could not read it again. */
	for (size_t i = 2; i < 2 + len; i++)
		data[i] = data[i] == '"' ? '\'' : data[i];
	mnl_attr_put(message, NFTA_SET_ELEM_USERDATA, 2 + len + 1, data);
}

/* To remove one, the keys of both ends say which it is. */
static void put_element(
	struct nlmsghdr *message, const struct nft_guard_element *element, bool with_details)
{
	size_t len = address_len(element->family);
	struct nlattr *nest = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
	uint8_t end[16];

	put_key(message, element->addr, len);
	if (with_details && element->timeout_ms)
		mnl_attr_put_u64(message, NFTA_SET_ELEM_TIMEOUT, htobe64(element->timeout_ms));
	if (with_details && element->comment && element->comment[0])
		put_comment(message, element->comment);
	mnl_attr_nest_end(message, nest);
	if (!find_end(element, end))
		return;
	nest = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
	put_key(message, end, len);
	mnl_attr_put_u32(message, NFTA_SET_ELEM_FLAGS, htobe32(NFT_SET_ELEM_INTERVAL_END));
	mnl_attr_nest_end(message, nest);
}

static struct nlmsghdr *put_head(
	struct nft_batch *batch, uint16_t type, uint8_t family, size_t room)
{
	struct nlmsghdr *message =
		nft_batch_put(batch, type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0, room);

	if (!message)
		return NULL;
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, NFT_GUARD_TABLE);
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set_of(family));
	return message;
}

static bool is_sayable(const struct nft_guard_element *element)
{
	return (element->family == AF_INET || element->family == AF_INET6) &&
	       element->prefix_len > 0 && element->prefix_len <= 8 * address_len(element->family);
}

/* Those of the family, in as many messages as it takes. */
static void put_family(struct nft_batch *batch, uint16_t type, uint8_t family,
	const struct nft_guard_element *elements, size_t n)
{
	for (size_t i = 0; i < n && !batch->err;) {
		struct nlmsghdr *message;
		struct nlattr *list;

		if (elements[i].family != family) {
			i++;
			continue;
		}
		message = put_head(batch, type, family, LIST_MAX + ELEMENT_MAX);
		if (!message)
			return;
		list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
		/* There is one at least, as elements[i] is of the family: no list is empty. */
		for (; i < n && message->nlmsg_len < LIST_MAX - ELEMENT_MAX; i++) {
			if (elements[i].family == family)
				put_element(message, &elements[i], type == NFT_MSG_NEWSETELEM);
		}
		mnl_attr_nest_end(message, list);
		nft_batch_close(batch);
	}
}

static void put_all(
	struct nft_batch *batch, uint16_t type, const struct nft_guard_element *elements, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_sayable(&elements[i]))
			nft_batch_fail(batch, -EINVAL);
	put_family(batch, type, AF_INET, elements, n);
	put_family(batch, type, AF_INET6, elements, n);
}

void nft_guard_elements_add(
	struct nft_batch *batch, const struct nft_guard_element *elements, size_t n)
{
	put_all(batch, NFT_MSG_NEWSETELEM, elements, n);
}

void nft_guard_elements_remove(
	struct nft_batch *batch, const struct nft_guard_element *elements, size_t n)
{
	put_all(batch, NFT_MSG_DELSETELEM, elements, n);
}

void nft_guard_elements_clear(struct nft_batch *batch)
{
	(void)put_head(batch, NFT_MSG_DELSETELEM, AF_INET, ELEMENT_MAX);
	nft_batch_close(batch);
	(void)put_head(batch, NFT_MSG_DELSETELEM, AF_INET6, ELEMENT_MAX);
	nft_batch_close(batch);
}
