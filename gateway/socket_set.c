#include "socket_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind.h"
#include "listener.h"
#include "net_wanted.h"

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

/* Where the next bind of each protocol goes. */
struct column {
	size_t tcp, udp;
};

static int open_udp(struct socket_set *set, const struct config *config, size_t index,
	const struct config_bind *bind, bool absent, size_t column)
{
	bool contested = bind_is_contested(config, bind);
	int err = 0;

	for (size_t w = 0; w < set->n_workers && !err; w++) {
		struct udp_listener *socket = &set->udp[w * set->n_udp + column];

		socket->config = &config->listeners[index];
		socket->bind = bind;
		socket->index = index;
		socket->contested = contested;
		err = listener_open_udp(socket->config, bind, absent, &socket->fd);
	}
	return err;
}

static int open_bind(struct socket_set *set, const struct config *config, size_t index,
	const struct config_bind *bind, bool absent, struct column *column)
{
	const struct config_listener *listener = &config->listeners[index];
	bool contested = bind_is_contested(config, bind);
	int err = 0;

	if (listener->protocol == IPPROTO_UDP)
		return open_udp(set, config, index, bind, absent, column->udp++);
	for (size_t w = 0; w < set->n_workers && !err; w++) {
		struct admission_listener *socket = &set->sockets[w * set->n_binds + column->tcp];

		socket->config = listener;
		socket->bind = bind;
		socket->contested = contested;
		socket->transparent = config_is_transparent(listener);
		err = listener_open(listener, bind, absent, &socket->fd);
		if (!err && listener->after_backend && w == 0)
			err = listener_steer(socket->fd);
	}
	column->tcp++;
	return err;
}

/*
 * All are tried before any is opened: ours may be on the same port, some on one address and one on
 * all, and are no strangers to each other.
 */
static int open_all(
	struct socket_set *set, const struct config *config, char error[SOCKET_SET_ERROR_MAX])
{
	char text[CONFIG_BIND_TEXT_MAX];

	for (int pass = 0; pass < 2; pass++) {
		struct column column = { 0 };

		for (size_t i = 0; i < config->n_listeners; i++) {
			const struct config_listener *listener = &config->listeners[i];

			for (size_t b = 0; b < listener->n_binds; b++) {
				const struct config_bind *bind = &listener->binds[b];
				bool absent = net_wanted_brings(config, bind);
				int err = pass == 0 ? listener_probe(listener, bind, absent)
						    : open_bind(set, config, i, bind, absent,
							      &column);

				if (!err)
					continue;
				snprintf(error, SOCKET_SET_ERROR_MAX,
					"listener %s: cannot listen on %s: %s; %s", listener->name,
					config_bind_text(bind, text), strerror(-err),
					remedy(err, listener->protocol == IPPROTO_UDP));
				return err;
			}
		}
	}
	return 0;
}

int socket_set_open(struct socket_set *set, const struct config *config, size_t n_workers,
	char error[SOCKET_SET_ERROR_MAX])
{
	int err;

	*set = (struct socket_set){ .n_workers = n_workers };
	for (size_t i = 0; i < config->n_listeners; i++)
		*(config->listeners[i].protocol == IPPROTO_UDP ? &set->n_udp : &set->n_binds) +=
			config->listeners[i].n_binds;
	set->sockets = calloc(n_workers * set->n_binds + 1, sizeof(*set->sockets));
	set->udp = calloc(n_workers * set->n_udp + 1, sizeof(*set->udp));
	if (!set->sockets || !set->udp) {
		free(set->sockets);
		free(set->udp);
		*set = (struct socket_set){ 0 };
		snprintf(error, SOCKET_SET_ERROR_MAX, "no memory");
		return -ENOMEM;
	}
	for (size_t i = 0; i < n_workers * set->n_binds; i++)
		set->sockets[i].fd = -1;
	for (size_t i = 0; i < n_workers * set->n_udp; i++)
		set->udp[i].fd = -1;
	err = open_all(set, config, error);
	if (err)
		socket_set_destroy(set);
	return err;
}

struct admission_listener *socket_set_row(const struct socket_set *set, size_t worker)
{
	return &set->sockets[worker * set->n_binds];
}

struct udp_listener *socket_set_udp_row(const struct socket_set *set, size_t worker)
{
	return &set->udp[worker * set->n_udp];
}

void socket_set_close_others(struct socket_set *set, size_t keep)
{
	for (size_t w = 0; w < set->n_workers; w++) {
		struct admission_listener *row = socket_set_row(set, w);

		for (size_t b = 0; b < set->n_binds && w != keep; b++) {
			if (row[b].fd >= 0)
				close(row[b].fd);
			row[b].fd = -1;
		}
		for (size_t b = 0; b < set->n_udp && w != keep; b++) {
			struct udp_listener *udp = &socket_set_udp_row(set, w)[b];

			if (udp->fd >= 0)
				close(udp->fd);
			udp->fd = -1;
		}
	}
}

void socket_set_destroy(struct socket_set *set)
{
	if (set->sockets)
		socket_set_close_others(set, set->n_workers);
	free(set->sockets);
	free(set->udp);
	*set = (struct socket_set){ 0 };
}
