/*
 * The functions of config.h that are about backends that are names.
 *
 * A name takes a fixed number of the pool's backends, which have the port and no address until DNS
 * has told some (pool_state, resolver). So there is one kind of backend for all who choose, count
 * and check them, and nothing moves in shared memory when an address comes.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "config.h"
#include "grow.h"

#define HOST_MAX  253U /* RFC 1035: 255 bytes with the lengths of its labels */
#define LABEL_MAX 63U

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS	"0123456789"

bool config_is_name(const char *text)
{
	size_t host = strcspn(text, ":");

	/* A second colon, or a bracket, would be those of an IPv6 address. */
	return text[host] == ':' && !strchr(text + host + 1, ':') && text[0] != '[' &&
	       strcspn(text, LETTERS) < host;
}

static bool is_label(const char *label, size_t len)
{
	return len >= 1 && len <= LABEL_MAX && label[0] != '-' && label[len - 1] != '-' &&
	       strspn(label, LETTERS DIGITS "-_") >= len;
}

/*
 * Labels with dots between them, and perhaps one at the end. The last of several begins with no
 * digit: that would be an address with a mistake in it.
 */
static bool is_host(const char *host, size_t len)
{
	const char *begin = host;
	size_t label;

	if (len > 0 && host[len - 1] == '.')
		len--;
	if (len == 0 || len > HOST_MAX)
		return false;
	for (;;) {
		label = strcspn(host, ".:");
		if (label > len)
			label = len;
		if (!is_label(host, label))
			return false;
		if (label == len)
			return host == begin || strspn(host, DIGITS) == 0;
		host += label + 1;
		len -= label + 1;
	}
}

/* "80" or "*", with 0. */
static int parse_port(const char *text, uint16_t *ret_port)
{
	uint32_t port = 0;
	const char *p;

	if (strcmp(text, "*") == 0) {
		*ret_port = 0;
		return 0;
	}
	for (p = text; *p >= '0' && *p <= '9' && port <= UINT16_MAX; p++)
		port = port * 10 + (uint32_t)(*p - '0');
	if (*p || port < 1 || port > UINT16_MAX)
		return -EINVAL;
	*ret_port = (uint16_t)port;
	return 0;
}

static const char *flaw_of(const struct config_pool *pool, const struct config_name *name,
	const char *host, size_t len, uint16_t port)
{
	if (!is_host(host, len))
		return "a name has labels of letters, digits, '-' and '_' with dots between them, "
		       "like db.example:5432";
	for (size_t i = 0; i < pool->n_names; i++)
		if (strlen(pool->names[i].host) == len &&
			strncasecmp(pool->names[i].host, host, len) == 0 &&
			sockaddr_port(&pool->backends[pool->names[i].first].addr) == port)
			return "the pool has this backend already: give it a weight instead";
	if (name->n > CONFIG_BACKENDS_MAX - pool->n_backends)
		return "a pool may have 1024 backends, and a name counts as many as it may have "
		       "addresses";
	return NULL;
}

/* The backends of a name, which are nowhere at first. 0 or -ENOMEM. */
static int add_backends(struct config_pool *pool, size_t n, uint16_t port, uint32_t weight)
{
	for (size_t i = 0; i < n; i++) {
		struct config_backend *backend =
			grow_array((void **)&pool->backends, pool->n_backends, sizeof(*backend));

		if (!backend)
			return -ENOMEM;
		backend->addr.in.sin_family = AF_INET;
		sockaddr_set_port(&backend->addr, port);
		backend->weight = weight;
		pool->n_backends++;
	}
	return 0;
}

int config_add_name(struct config_pool *pool, const char *text, uint32_t addresses, uint32_t weight,
	const char **ret_reason)
{
	struct config_name name = { .first = pool->n_backends, .n = addresses }, *place;
	size_t len = strcspn(text, ":");
	uint16_t port = 0;
	const char *flaw;

	if (parse_port(text + len + (text[len] == ':'), &port) < 0) {
		*ret_reason = "a port from 1 to 65535 is missing behind the name, like "
			      "db.example:5432";
		return -EINVAL;
	}
	flaw = flaw_of(pool, &name, text, len, port);
	if (flaw) {
		*ret_reason = flaw;
		return -EINVAL;
	}
	place = grow_array((void **)&pool->names, pool->n_names, sizeof(*place));
	if (!place)
		return -ENOMEM;
	name.host = strndup(text, len);
	if (!name.host)
		return -ENOMEM;
	for (char *p = name.host; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	*place = name;
	pool->n_names++;
	return add_backends(pool, name.n, port, weight);
}

const char *config_backend_name(const struct config_pool *pool, size_t backend)
{
	for (size_t i = 0; i < pool->n_names; i++)
		if (backend >= pool->names[i].first &&
			backend - pool->names[i].first < pool->names[i].n)
			return pool->names[i].host;
	return NULL;
}
