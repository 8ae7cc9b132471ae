#include "fd_given.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "fd_identity.h"
#include "fd_store.h"
#include "log.h"
#include "sockaddr.h"

/*
 * Theory of operation
 *
 * The supervisor may have been killed while one estate was replaced by another, and then both are
 * there, and descriptors of either (fd_store.c). The newer one is taken, but not one that lacks
 * something if the other has everything: the manager keeps no more than it may. What only the other
 * one names is closed, but for sockets, in which clients may be waiting. A socket of a socket unit
 * comes under another name, and at every start again, though it is in the estate since the first.
 */
struct given {
	char *const *names;
	const int *fds;
	int *numbers; /* of the names; negative: it is none of ours */
	bool *used;
	size_t n;
};

struct candidate {
	struct estate *estate;
	size_t at; /* which of those given */
	int64_t generation;
	size_t missing; /* descriptors */
};

/* ---- which estate ---- */

/* n: it is not there. */
static size_t find_number(const struct given *given, int number)
{
	size_t i = 0;

	while (i < given->n && (number < 0 || given->numbers[i] != number))
		i++;
	return i;
}

struct counting {
	const struct given *given;
	size_t missing;
};

static void count_missing(void *userdata, const char *name, int fd)
{
	struct counting *counting = userdata;

	(void)name;
	counting->missing += find_number(counting->given, fd) == counting->given->n;
}

static bool load(const struct given *given, size_t at, struct candidate *ret_candidate)
{
	struct candidate found = { .at = at, .generation = -1 };
	struct counting counting = { .given = given };
	int err = estate_load(given->fds[at], &found.estate);

	if (err) {
		log_warning("an estate that the service manager has kept cannot be read: %s",
			strerror(-err));
		return false;
	}
	(void)estate_get_number(found.estate, FD_STORE_GENERATION, &found.generation);
	estate_for_each_fd(found.estate, count_missing, &counting);
	found.missing = counting.missing;
	*ret_candidate = found;
	return true;
}

static bool is_better(const struct candidate *a, const struct candidate *b)
{
	if (!b->estate || (a->missing == 0) != (b->missing == 0))
		return !b->estate || a->missing == 0;
	return a->generation > b->generation;
}

/* Without an estate if there is none. */
static struct candidate choose(const struct given *given)
{
	struct candidate best = { 0 }, other;

	for (size_t i = 0; i < given->n; i++) {
		if (!fd_store_is_estate(given->names[i]) || !load(given, i, &other))
			continue;
		if (is_better(&other, &best)) {
			estate_free(best.estate);
			best = other;
		} else {
			estate_free(other.estate);
		}
	}
	if (best.missing > 0)
		log_warning("the service manager has not kept %zu descriptors: is "
			    "FileDescriptorStoreMax= too low?",
			best.missing);
	return best;
}

/* An estate_find. What is looked for a second time is there twice. */
static int find_given(void *userdata, int number)
{
	const struct given *given = userdata;
	size_t i = find_number(given, number);

	if (i == given->n)
		return -1;
	if (given->used[i])
		return fcntl(given->fds[i], F_DUPFD_CLOEXEC, 0);
	given->used[i] = true;
	return given->fds[i];
}

/* ---- sockets that no estate names ---- */

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

static bool is_used(const struct given *given, int fd)
{
	struct fd_identity mine, its;

	if (!fd_identity_get(fd, &mine))
		return false;
	for (size_t i = 0; i < given->n; i++)
		if (given->used[i] && fd_identity_get(given->fds[i], &its) &&
			fd_identity_equal(&mine, &its))
			return true;
	return false;
}

static void add_sockets(struct estate *estate, const struct given *given)
{
	for (size_t i = 0; i < given->n; i++) {
		if (given->used[i])
			continue;
		if (!is_used(given, given->fds[i]) && add_socket(estate, given->fds[i]) == 0)
			given->used[i] = true;
		else
			close(given->fds[i]);
	}
}

/* ---- what is known of the store ---- */

static void print(const struct given *given, size_t i, FILE *names, FILE *which)
{
	char text[FD_IDENTITY_TEXT_MAX];
	struct fd_identity identity;

	/* Names of a socket unit may be anything. */
	if (!given->names[i][0] || strchr(given->names[i], ' '))
		return;
	fprintf(names, "%s ", given->names[i]);
	fprintf(which, "%s ",
		fd_identity_get(given->fds[i], &identity) ? fd_identity_format(&identity, text)
							  : "-");
}

/* last: the estate that was chosen. To be freed; false without memory. */
static bool describe(const struct given *given, size_t last, char **names, char **which)
{
	size_t names_len = 0, which_len = 0;
	FILE *names_file = open_memstream(names, &names_len);
	FILE *which_file = open_memstream(which, &which_len);
	bool ok = names_file && which_file;

	for (size_t i = 0; ok && i < given->n; i++)
		if (i != last)
			print(given, i, names_file, which_file);
	if (ok && last < given->n)
		print(given, last, names_file, which_file);
	if (names_file && fclose(names_file) != 0)
		ok = false;
	if (which_file && fclose(which_file) != 0)
		ok = false;
	return ok;
}

struct estate *fd_given_sort(char *const *names, const int *fds, size_t n)
{
	struct given given = {
		.names = names,
		.fds = fds,
		.numbers = calloc(n + 1, sizeof(*given.numbers)),
		.used = calloc(n + 1, sizeof(*given.used)),
		.n = n,
	};
	char *all = NULL, *which = NULL;
	struct candidate chosen = { 0 };
	struct estate *estate = NULL;
	bool ok = false;

	if (given.used && given.numbers) {
		for (size_t i = 0; i < n; i++)
			given.numbers[i] = fd_store_number(names[i]);
		chosen = choose(&given);
		ok = describe(&given, chosen.estate ? chosen.at : n, &all, &which);
		estate = chosen.estate ? chosen.estate : estate_new();
	}
	if (chosen.estate)
		estate_renumber(estate, find_given, &given);
	if (estate)
		add_sockets(estate, &given);
	if (estate && ok) {
		(void)estate_add_text(estate, FD_STORE_GIVEN, all);
		(void)estate_add_text(estate, FD_STORE_GIVEN_WHICH, which);
	}
	free(all);
	free(which);
	free(given.numbers);
	free(given.used);
	return estate;
}

int fd_given_take(struct estate **ret_estate)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);
	struct estate *estate = NULL;
	int *fds;

	if (n <= 0) {
		*ret_estate = NULL;
		return n;
	}
	fds = calloc((size_t)n, sizeof(*fds));
	for (int i = 0; fds && i < n; i++)
		fds[i] = SD_LISTEN_FDS_START + i;
	if (fds)
		estate = fd_given_sort(names, fds, (size_t)n);
	free(fds);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	*ret_estate = estate;
	return estate ? 0 : -ENOMEM;
}
