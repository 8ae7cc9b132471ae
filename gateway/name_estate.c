#include "name_estate.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* Each with a blank in place of its NUL, and one NUL. */
#define TEXT_MAX (CONFIG_NAME_ADDRESSES_MAX * (INET_ADDRSTRLEN + 1U) + 1U)

static const struct sockaddr_any *port_of(
	const struct config_pool *pool, const struct config_name *name)
{
	return &pool->backends[name->first].addr;
}

/* False: it is too long for an estate. */
static bool text_name(const struct config_pool *pool, const struct config_name *name,
	char ret[ESTATE_NAME_MAX + 1])
{
	int len = snprintf(ret, ESTATE_NAME_MAX + 1, "at %s %s %u", pool->name, name->host,
		sockaddr_port(port_of(pool, name)));

	return len > 0 && (unsigned)len <= ESTATE_NAME_MAX;
}

static void list_addresses(const struct pool_state *state, size_t pool,
	const struct config_name *name, char text[TEXT_MAX])
{
	char host[INET_ADDRSTRLEN];
	struct sockaddr_any addr;
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < name->n; i++)
		if (pool_state_address(state, pool, name->first + i, &addr) &&
			inet_ntop(AF_INET, &addr.in.sin_addr, host, sizeof(host)))
			len += (size_t)snprintf(text + len, TEXT_MAX - len, "%s ", host);
}

int name_estate_bequeath(
	const struct config *config, const struct pool_state *state, struct estate *estate)
{
	char key[ESTATE_NAME_MAX + 1], text[TEXT_MAX];
	int err = 0;

	for (size_t i = 0; i < config->n_pools; i++)
		for (size_t k = 0; k < config->pools[i].n_names && !err; k++) {
			const struct config_name *name = &config->pools[i].names[k];

			/* Two lines of a pool may have the same name and port: the first one has
			 * the addresses, as no two backends may have the same. */
			if (!text_name(&config->pools[i], name, key) ||
				estate_get_text(estate, key))
				continue;
			list_addresses(state, i, name, text);
			err = estate_add_text(estate, key, text);
		}
	return err;
}

/* No two backends of a pool have the same address. */
static bool has_pool(const struct config *config, const struct pool_state *state, size_t pool,
	const struct sockaddr_any *addr)
{
	struct sockaddr_any other;

	for (size_t i = 0; i < config->pools[pool].n_backends; i++)
		if (pool_state_address(state, pool, i, &other) && sockaddr_equal(&other, addr))
			return true;
	return false;
}

static void inherit(const struct config *config, struct pool_state *state, size_t pool,
	const struct config_name *name, const char *text)
{
	struct sockaddr_any addr = *port_of(&config->pools[pool], name);
	size_t n = 0, len;

	for (; n < name->n && (len = strcspn(text, " ")) > 0; text += len + (text[len] == ' ')) {
		char host[INET_ADDRSTRLEN];

		if (len >= sizeof(host))
			return;
		memcpy(host, text, len);
		host[len] = '\0';
		if (inet_pton(AF_INET, host, &addr.in.sin_addr) != 1 || !config_is_unicast(&addr) ||
			has_pool(config, state, pool, &addr))
			continue;
		/* As if it had been up from the start; a check that has found it down says so. */
		pool_state_set_address(state, pool, name->first + n++, &addr, true, 0);
	}
}

void name_estate_inherit(
	const struct config *config, struct pool_state *state, const struct estate *estate)
{
	char key[ESTATE_NAME_MAX + 1];

	for (size_t i = 0; i < config->n_pools; i++)
		for (size_t k = 0; k < config->pools[i].n_names; k++) {
			const struct config_name *name = &config->pools[i].names[k];
			const char *text = NULL;

			if (text_name(&config->pools[i], name, key))
				text = estate_get_text(estate, key);
			if (text)
				inherit(config, state, i, name, text);
		}
}
