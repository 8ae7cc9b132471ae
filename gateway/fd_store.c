#include "fd_store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "notify.h"
#include "sockaddr.h"

/*
 * Theory of operation
 *
 * Each descriptor is kept under a name that is the number which it has in this process, like
 * "fd17", and the estate as text under the name "estate". The process that gets them finds the
 * numbers in the text and the descriptors by the names. Before another estate is kept the names of
 * the last one are removed, the estate's own first: what is there in between is no estate, and so
 * nothing is taken for another thing.
 *
 * A socket of a socket unit comes under another name. It gets the name in the estate that
 * socket_set.h would have given it, by what it is bound to.
 */
#define ESTATE_NAME "estate"

bool fd_store_is_there(void)
{
	return getenv("NOTIFY_SOCKET") != NULL;
}

/* ---- to the manager ---- */

static int remember(struct fd_store *store, const char *name)
{
	char **names = reallocarray(store->names, store->n_names + 1, sizeof(*names));
	char *copy = names ? strdup(name) : NULL;

	if (names)
		store->names = names;
	if (!copy)
		return -ENOMEM;
	store->names[store->n_names++] = copy;
	return 0;
}

static int keep_one(struct fd_store *store, const char *name, int fd)
{
	char text[64];
	int err = remember(store, name);

	if (err)
		return err;
	/* Without FDPOLL the manager would drop the channel of a worker that has died meanwhile. */
	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	return notify_send(text, fd);
}

struct keeping {
	struct fd_store *store;
	int err;
};

static void keep_each(void *userdata, const char *name, int fd)
{
	struct keeping *keeping = userdata;
	char text[16];

	(void)name;
	snprintf(text, sizeof(text), "fd%d", fd);
	if (!keeping->err)
		keeping->err = keep_one(keeping->store, text, fd);
}

void fd_store_clear(struct fd_store *store)
{
	for (size_t i = 0; i < store->n_names; i++)
		free(store->names[i]);
	free(store->names);
	*store = (struct fd_store){ 0 };
}

/* The estate was kept last. */
int fd_store_forget(struct fd_store *store)
{
	while (store->n_names > 0) {
		char text[NAME_MAX + 64];
		int err;

		snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s",
			store->names[store->n_names - 1]);
		err = notify_send(text, -1);
		if (err)
			return err;
		free(store->names[--store->n_names]);
	}
	fd_store_clear(store);
	return 0;
}

bool fd_store_is_filled(const struct fd_store *store)
{
	for (size_t i = 0; i < store->n_names; i++)
		if (strcmp(store->names[i], ESTATE_NAME) == 0)
			return true;
	return false;
}

int fd_store_keep(struct fd_store *store, const struct estate *estate)
{
	struct keeping keeping = { .store = store };
	int fd = -1;

	if (!fd_store_is_there())
		return 0;
	keeping.err = fd_store_forget(store);
	if (!keeping.err)
		estate_for_each_fd(estate, keep_each, &keeping);
	if (!keeping.err)
		keeping.err = estate_save(estate, &fd);
	if (!keeping.err)
		keeping.err = keep_one(store, ESTATE_NAME, fd);
	if (fd >= 0)
		close(fd);
	return keeping.err;
}

/* ---- which names there are ---- */

/* Names have no blanks. To be freed; NULL without memory. */
static char *join(char *const *names, size_t n)
{
	char *text = NULL;
	size_t len = 0;
	FILE *file = open_memstream(&text, &len);

	for (size_t i = 0; file && i < n; i++)
		if (names[i])
			fprintf(file, "%s ", names[i]);
	if (file && fclose(file) == 0)
		return text;
	free(text);
	return NULL;
}

static int add_names(struct estate *estate, const char *what, char *const *names, size_t n)
{
	char *text = join(names, n);
	int err = text ? estate_add_text(estate, what, text) : -ENOMEM;

	free(text);
	return err;
}

int fd_store_bequeath(const struct fd_store *store, struct estate *estate)
{
	return store->n_names ? add_names(estate, "kept", store->names, store->n_names) : 0;
}

static int remember_all(struct fd_store *store, const char *text)
{
	char *copy = text ? strdup(text) : NULL, *rest = NULL;
	int err = text && !copy ? -ENOMEM : 0;

	for (char *name = copy ? strtok_r(copy, " ", &rest) : NULL; name && !err;
		name = strtok_r(NULL, " ", &rest))
		err = remember(store, name);
	free(copy);
	return err;
}

int fd_store_inherit(struct fd_store *store, const struct estate *estate)
{
	int err = remember_all(store, estate_get_text(estate, "kept"));

	return err ? err : remember_all(store, estate_get_text(estate, "given"));
}

/* ---- from the manager ---- */

struct given {
	char **names;
	int n;
};

static int find_given(void *userdata, int fd)
{
	const struct given *given = userdata;
	char name[16];

	snprintf(name, sizeof(name), "fd%d", fd);
	for (int i = 0; i < given->n; i++)
		if (given->names[i] && strcmp(given->names[i], name) == 0) {
			/* Each once: what nobody looks for is closed in the end. */
			free(given->names[i]);
			given->names[i] = NULL;
			return SD_LISTEN_FDS_START + i;
		}
	return -1;
}

/* The estate among them, NULL if there is none. */
static int find_estate(struct given *given, struct estate **ret_estate)
{
	for (int i = 0; i < given->n; i++) {
		int err;

		if (!given->names[i] || strcmp(given->names[i], ESTATE_NAME) != 0)
			continue;
		err = estate_load(SD_LISTEN_FDS_START + i, ret_estate);
		if (!err)
			estate_renumber(*ret_estate, find_given, given);
		return err;
	}
	return 0;
}

static int get_flag(int fd, int level, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, option, &value, &len) < 0 ? -1 : value;
}

/* The name of a socket but for its row; false: it is none that a client could come to. */
static bool name_socket(int fd, char name[ESTATE_NAME_MAX])
{
	char text[SOCKADDR_TEXT_MAX];
	struct sockaddr_any addr = { 0 };
	socklen_t len = sizeof(addr);
	bool tcp = get_flag(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1;
	bool udp = get_flag(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM;

	if ((!tcp && !udp) || getsockname(fd, &addr.sa, &len) < 0 || sockaddr_len(&addr) == 0)
		return false;
	snprintf(name, ESTATE_NAME_MAX, "%s%s %s", tcp ? "tcp" : "udp",
		get_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1 ? " v6only" : "",
		sockaddr_format(&addr, text));
	return true;
}

static int add_socket(struct estate *estate, int fd)
{
	char name[ESTATE_NAME_MAX], whole[ESTATE_NAME_MAX + 24];
	size_t row = 0;

	if (!name_socket(fd, name))
		return -EINVAL;
	do {
		snprintf(whole, sizeof(whole), "%s %zu", name, row++);
	} while (estate_has_fd(estate, whole));
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return estate_add_fd(estate, whole, fd);
}

/* All that is neither of the estate nor a socket is closed. */
static void add_sockets(struct estate *estate, const struct given *given)
{
	for (int i = 0; i < given->n; i++)
		if (given->names[i] && add_socket(estate, SD_LISTEN_FDS_START + i) < 0)
			close(SD_LISTEN_FDS_START + i);
}

int fd_store_take(struct estate **ret_estate)
{
	struct given given = { 0 };
	struct estate *estate = NULL;
	char *all;
	int err = 0;

	given.n = sd_listen_fds_with_names(1, &given.names);
	if (given.n <= 0) {
		*ret_estate = NULL;
		return given.n;
	}
	all = join(given.names, (size_t)given.n);
	err = find_estate(&given, &estate);
	if (err || !estate)
		estate = estate_new();
	if (estate)
		add_sockets(estate, &given);
	if (estate && all)
		(void)estate_add_text(estate, "given", all);
	free(all);
	for (int i = 0; i < given.n; i++)
		free(given.names[i]);
	free(given.names);
	*ret_estate = estate;
	return estate ? 0 : -ENOMEM;
}
