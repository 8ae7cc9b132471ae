#include "socket_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind.h"
#include "listener.h"
#include "net_wanted.h"

/*
 * Theory of operation
 *
 * The sockets of one address are a group (SO_REUSEPORT). The kernel hashes a client to one of them,
 * by how many there are and the order in which they came. A row is a place in that order; which
 * worker has it is another matter. So if the number of workers changes from image to image:
 *
 *   TCP: a socket that is closed resets the clients that wait in its queue. So none is: rows beyond
 *   the number of workers are given to workers by turns; if there are more workers, rows are added.
 *
 *   UDP: each datagram is hashed anew, and another number of sockets would lead sessions to other
 *   workers. So the number stays what it was, a row goes to the worker that takes over the sessions
 *   of the one that had it, and workers beyond the rows have none.
 *
 * What was left is looked for by name and taken. A name that no bind asks for any more has its
 * socket kept, if its clients are some bind's all the same (a bind to all addresses in place of
 * one); the rest stays in the estate, whose owner closes it.
 */

static const char *remedy(int err, bool udp)
{
	switch (err) {
	case -EADDRINUSE:
		return udp ? "another program receives there: find it with 'ss -lunp'"
			   : "another program listens there: find it with 'ss -ltnp'";
	case -EADDRNOTAVAIL:
		return "no interface has this address: name it in section network, or listen on "
		       "'*'";
	case -EACCES:
		return "ports below 1024 take CAP_NET_BIND_SERVICE: run as root or grant it";
	case -EPERM:
		return "prefixes and port ranges take CAP_NET_ADMIN: run as root or grant it";
	case -EMFILE:
		return "raise the limit of open files (LimitNOFILE=, ulimit -n)";
	default:
		return "see 'ip addr' and the system log";
	}
}

static struct socket_name name_of(
	const struct config_listener *listener, const struct config_bind *bind, size_t row)
{
	return (struct socket_name){ .bind = *bind, .v6only = listener->v6only, .row = row };
}

/* Opens a socket, or takes the one that was left (-1: none was), which no failure closes. */
static int open_one(const struct config_listener *listener, const struct config_bind *bind,
	bool absent, int inherited, int *ret_fd)
{
	bool udp = listener->protocol == IPPROTO_UDP;

	if (inherited >= 0) {
		*ret_fd = inherited;
		return udp ? 0 : listener_adopt(inherited, listener);
	}
	return udp ? listener_open_udp(listener, bind, absent, ret_fd)
		   : listener_open(listener, bind, absent, ret_fd);
}

/* Whether clients come to a worker of our choice; the first socket speaks for its whole row. */
static int steer(const struct config_listener *listener, const struct socket_set_one *one)
{
	if (listener->protocol == IPPROTO_UDP || one->name.row > 0)
		return 0;
	if (listener->after_backend)
		return listener_steer(one->fd);
	listener_unsteer(one->fd);
	return 0;
}

/* The descriptor is the set's from now on. */
static int grow_set(struct socket_set *set, const struct socket_set_one *one)
{
	struct socket_set_one *all = reallocarray(set->all, set->n_all + 1, sizeof(*set->all));

	if (!all)
		return -ENOMEM;
	set->all = all;
	set->all[set->n_all++] = *one;
	return 0;
}

/* The worker that has the row from now on: of datagrams, the successor of the one that had it. */
static size_t owner_of(
	const struct socket_set *set, const struct estate *estate, const struct socket_name *name)
{
	char text[ESTATE_NAME_MAX];
	int64_t owner = (int64_t)name->row;

	if (estate && name->bind.protocol == IPPROTO_UDP)
		(void)estate_get_number(estate, socket_name_text(name, " owner", text), &owner);
	return owner < 0 ? 0 : (size_t)owner % set->n_workers;
}

/*
 * As many rows as there are workers; or as were left, if those are more, and of datagrams even if
 * they are fewer: the kernel would hash clients to other sockets.
 */
static int open_bind(struct socket_set *set, const struct config *config, size_t index,
	const struct config_bind *bind, bool absent, struct estate *estate)
{
	const struct config_listener *listener = &config->listeners[index];
	bool udp = listener->protocol == IPPROTO_UDP;
	char text[ESTATE_NAME_MAX];

	for (size_t row = 0;; row++) {
		struct socket_set_one one = {
			.listener = index,
			.bind = bind,
			.name = name_of(listener, bind, row),
		};
		int inherited =
			estate ? estate_take_fd(estate, socket_name_text(&one.name, "", text)) : -1;
		int err;

		one.owner = owner_of(set, estate, &one.name);
		if (inherited < 0 && (row >= set->n_workers || (udp && row > 0 && set->inherited)))
			return 0;
		set->inherited = inherited >= 0;
		err = open_one(listener, bind, absent, inherited, &one.fd);
		if (!err)
			err = grow_set(set, &one);
		if (!err)
			err = steer(listener, &one);
		if (err)
			return err;
	}
}

/* ---- what was left and is not named any more ---- */

struct left {
	struct socket_name *names;
	size_t n;
	int err;
};

/* Names first, and only then are they taken: an estate that is walked through must not change. */
static void note_left(void *userdata, const char *text, int fd)
{
	struct left *left = userdata;
	struct socket_name name, *names;

	(void)fd;
	if (left->err || !socket_name_parse(text, &name) || name.bind.protocol != IPPROTO_TCP ||
		config_bind_diverted(&name.bind))
		return;
	names = reallocarray(left->names, left->n + 1, sizeof(*names));
	if (!names) {
		left->err = -ENOMEM;
		return;
	}
	left->names = names;
	names[left->n++] = name;
}

/* Whose clients arrive there now; NULL: nobody's. */
static const struct config_bind *find_bind(
	const struct config *config, const struct socket_name *name, size_t *ret_listener)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		for (size_t b = 0; b < config->listeners[i].n_binds; b++) {
			const struct config_bind *bind = &config->listeners[i].binds[b];

			if (bind->protocol != IPPROTO_TCP || config_bind_diverted(bind) ||
				!bind_covers(bind, &name->bind))
				continue;
			*ret_listener = i;
			return bind;
		}
	return NULL;
}

static int keep_one(struct socket_set *set, const struct config *config,
	const struct socket_name *name, struct estate *estate)
{
	struct socket_set_one one = { .name = *name, .kept = true };
	char text[ESTATE_NAME_MAX];
	int err;

	one.bind = find_bind(config, name, &one.listener);
	if (!one.bind)
		return 0;
	one.owner = owner_of(set, estate, name);
	one.fd = estate_take_fd(estate, socket_name_text(name, "", text));
	if (one.fd < 0)
		return 0;
	err = grow_set(set, &one);
	if (err) {
		close(one.fd);
		return err;
	}
	err = listener_adopt(one.fd, &config->listeners[one.listener]);
	return err ? err : steer(&config->listeners[one.listener], &one);
}

static int keep_left(struct socket_set *set, const struct config *config, struct estate *estate)
{
	struct left left = { 0 };

	if (!estate)
		return 0;
	estate_for_each_fd(estate, note_left, &left);
	for (size_t i = 0; i < left.n && !left.err; i++)
		left.err = keep_one(set, config, &left.names[i], estate);
	free(left.names);
	return left.err;
}

/* ---- all of them ---- */

static bool is_inherited(const struct estate *estate, const struct config_listener *listener,
	const struct config_bind *bind)
{
	const struct socket_name name = name_of(listener, bind, 0);
	char text[ESTATE_NAME_MAX];

	return estate && estate_has_fd(estate, socket_name_text(&name, "", text));
}

struct rival {
	const struct config_bind *bind;
	bool found;
};

static void look_for_rival(void *userdata, const char *text, int fd)
{
	struct rival *rival = userdata;
	struct socket_name name;

	(void)fd;
	if (socket_name_parse(text, &name) && socket_name_contends(&name, rival->bind))
		rival->found = true;
}

/* What was left is there, and no stranger's; that may also be what is in the way of another. */
static int probe(const struct config_listener *listener, const struct config_bind *bind,
	bool absent, const struct estate *estate)
{
	struct rival rival = { .bind = bind };
	int err;

	if (is_inherited(estate, listener, bind))
		return 0;
	err = listener_probe(listener, bind, absent, false);
	if (err != -EADDRINUSE || !estate)
		return err;
	estate_for_each_fd(estate, look_for_rival, &rival);
	return rival.found ? listener_probe(listener, bind, absent, true) : err;
}

/*
 * All are tried before any is opened: ours may be on the same port, some on one address and one on
 * all, and are no strangers to each other.
 */
static int open_all(struct socket_set *set, const struct config *config, struct estate *estate,
	bool only_try, char error[SOCKET_SET_ERROR_MAX])
{
	char text[CONFIG_BIND_TEXT_MAX];

	for (int pass = 0; pass < (only_try ? 1 : 2); pass++)
		for (size_t i = 0; i < config->n_listeners; i++) {
			const struct config_listener *listener = &config->listeners[i];

			for (size_t b = 0; b < listener->n_binds; b++) {
				const struct config_bind *bind = &listener->binds[b];
				bool absent = net_wanted_brings(config, bind);
				int err = pass == 0
						  ? probe(listener, bind, absent, estate)
						  : open_bind(set, config, i, bind, absent, estate);

				if (!err)
					continue;
				snprintf(error, SOCKET_SET_ERROR_MAX,
					"listener %s: cannot listen on %s: %s; %s", listener->name,
					config_bind_text(bind, text), strerror(-err),
					remedy(err, listener->protocol == IPPROTO_UDP));
				return err;
			}
		}
	return 0;
}

/* Those of each worker one after another, in the order of their binds. */
static int compare_sockets(const void *a, const void *b)
{
	const struct socket_set_one *x = a, *y = b;

	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	return 0;
}

static void fill_one(
	struct socket_set *set, const struct config *config, const struct socket_set_one *one)
{
	const struct config_listener *listener = &config->listeners[one->listener];
	bool contested = bind_is_contested(config, one->bind);

	if (listener->protocol == IPPROTO_UDP)
		set->udp[set->n_udp++] = (struct udp_listener){
			.config = listener,
			.bind = one->bind,
			.index = one->listener,
			.contested = contested,
			.fd = one->fd,
		};
	else
		set->sockets[set->n_sockets++] = (struct admission_listener){
			.config = listener,
			.bind = one->bind,
			.contested = contested,
			.transparent = config_is_transparent(listener),
			.fd = one->fd,
		};
}

static int fill(struct socket_set *set, const struct config *config)
{
	set->sockets = calloc(set->n_all + 1, sizeof(*set->sockets));
	set->udp = calloc(set->n_all + 1, sizeof(*set->udp));
	set->first = calloc(set->n_workers + 1, sizeof(*set->first));
	if (!set->sockets || !set->udp || !set->first)
		return -ENOMEM;
	for (size_t i = 0; i < set->n_all; i++)
		set->all[i].place = i;
	if (set->n_all > 0)
		qsort(set->all, set->n_all, sizeof(*set->all), compare_sockets);
	for (size_t i = 0, worker = 0; worker <= set->n_workers; worker++) {
		set->first[worker].tcp = set->n_sockets;
		set->first[worker].udp = set->n_udp;
		for (; i < set->n_all && set->all[i].owner == worker; i++)
			fill_one(set, config, &set->all[i]);
	}
	return 0;
}

int socket_set_open(struct socket_set *set, const struct config *config, size_t n_workers,
	struct estate *estate, char error[SOCKET_SET_ERROR_MAX])
{
	int err;

	*set = (struct socket_set){ .n_workers = n_workers };
	snprintf(error, SOCKET_SET_ERROR_MAX, "no memory");
	err = open_all(set, config, estate, false, error);
	if (!err) {
		err = keep_left(set, config, estate);
		if (err)
			snprintf(error, SOCKET_SET_ERROR_MAX,
				"sockets of before, in which clients wait, cannot be kept: %s",
				strerror(-err));
	}
	if (!err)
		err = fill(set, config);
	if (err)
		socket_set_destroy(set);
	return err;
}

int socket_set_try(
	const struct config *config, struct estate *estate, char error[SOCKET_SET_ERROR_MAX])
{
	return open_all(NULL, config, estate, true, error);
}

int socket_set_bequeath(const struct socket_set *set, struct estate *estate)
{
	int err = 0;

	for (size_t i = 0; i < set->n_all && !err; i++) {
		const struct socket_set_one *one = &set->all[i];
		char text[ESTATE_NAME_MAX];

		err = estate_add_fd(estate, socket_name_text(&one->name, "", text), one->fd);
		if (!err)
			err = estate_add_number(estate,
				socket_name_text(&one->name, " owner", text), (int64_t)one->owner);
	}
	return err;
}

struct admission_listener *socket_set_tcp(
	const struct socket_set *set, size_t worker, size_t *ret_n)
{
	*ret_n = set->first[worker + 1].tcp - set->first[worker].tcp;
	return &set->sockets[set->first[worker].tcp];
}

struct udp_listener *socket_set_udp(const struct socket_set *set, size_t worker, size_t *ret_n)
{
	*ret_n = set->first[worker + 1].udp - set->first[worker].udp;
	return &set->udp[set->first[worker].udp];
}

void socket_set_close_others(struct socket_set *set, size_t keep)
{
	for (size_t i = 0; i < set->n_all; i++) {
		struct socket_set_one *one = &set->all[i];

		if (one->owner == keep || one->fd < 0)
			continue;
		close(one->fd);
		one->fd = -1;
	}
}

void socket_set_destroy(struct socket_set *set)
{
	socket_set_close_others(set, set->n_workers);
	free(set->all);
	free(set->sockets);
	free(set->udp);
	free(set->first);
	*set = (struct socket_set){ 0 };
}
