#include "fd_store.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "grow.h"
#include "log.h"
#include "notify.h"

/*
 * Theory of operation
 *
 * A descriptor is kept under a name, like "fd17", for as long as any estate needs it, and the
 * estate as text in which descriptors have those numbers. The manager keeps nothing twice, whatever
 * the name (it compares open files), so what is there already is found by its identity, and stays.
 *
 * The supervisor may be killed between any two messages. An estate is replaced so that there always
 * is one, with all that it names:
 *
 *   1. what only the new one needs is added
 *   2. the new one is added under its other name "estate-new", 3. the old one is removed
 *   4. the new one is added as "estate",                        5. "estate-new" is removed
 *   6. what only the old one needed is removed
 *
 * Steps 4 and 5 are for a release that knows the name "estate" only. Whoever finds two takes the
 * one of the higher generation of those that have all that they name (fd_given.c). Should a message
 * fail, the next replacement begins with what is there.
 *
 * What another release has kept may be under another name, or it is not known which descriptor is
 * under it. That is removed first; but for listening sockets, which have the number in this process
 * that their name says, in a succession from the release that named them so.
 */
#define KEPT		"kept"
#define KEPT_WHICH	"kept which"
#define KEPT_GENERATION "kept generation"

bool fd_store_is_there(void)
{
	return getenv("NOTIFY_SOCKET") != NULL;
}

/* ---- names ---- */

bool fd_store_is_estate(const char *name)
{
	return strcmp(name, FD_STORE_ESTATE) == 0 || strcmp(name, FD_STORE_ESTATE_NEW) == 0;
}

static void format_number(int number, char buf[static 16])
{
	snprintf(buf, 16, "fd%d", number);
}

int fd_store_number(const char *name)
{
	char again[16];
	long number;

	if (strncmp(name, "fd", 2) != 0)
		return -1;
	number = strtol(name + 2, NULL, 10);
	if (number < 0 || number > INT_MAX)
		return -1;
	format_number((int)number, again);
	return strcmp(name, again) == 0 ? (int)number : -1;
}

/* ---- what is kept ---- */

static struct fd_store_one *find(const struct fd_store *store, const char *name)
{
	for (size_t i = 0; i < store->n; i++)
		if (strcmp(store->all[i].name, name) == 0)
			return &store->all[i];
	return NULL;
}

static struct fd_store_one *find_fd(const struct fd_store *store, int fd)
{
	struct fd_identity identity;

	if (!fd_identity_get(fd, &identity))
		return NULL;
	for (size_t i = 0; i < store->n; i++)
		if (store->all[i].known && fd_identity_equal(&store->all[i].identity, &identity))
			return &store->all[i];
	return NULL;
}

/* NULL without memory. */
static struct fd_store_one *remember(struct fd_store *store, const char *name)
{
	struct fd_store_one *one = grow_array((void **)&store->all, store->n, sizeof(*store->all));

	if (!one)
		return NULL;
	one->name = strdup(name);
	if (!one->name)
		return NULL;
	one->number = fd_store_number(name);
	store->n++;
	return one;
}

static void drop(struct fd_store *store, struct fd_store_one *one)
{
	free(one->name);
	store->n--;
	memmove(one, one + 1, (size_t)(&store->all[store->n] - one) * sizeof(*one));
}

void fd_store_clear(struct fd_store *store)
{
	while (store->n > 0)
		drop(store, &store->all[store->n - 1]);
	free(store->all);
	*store = (struct fd_store){ .generation = store->generation };
}

bool fd_store_is_filled(const struct fd_store *store)
{
	return find(store, FD_STORE_ESTATE) || find(store, FD_STORE_ESTATE_NEW);
}

/* ---- to the manager ---- */

static int add(struct fd_store *store, const char *name, int fd, struct fd_store_one **ret_one)
{
	struct fd_store_one *one = remember(store, name);
	char text[NAME_MAX + 64];
	int err;

	if (!one)
		return -ENOMEM;
	/* Without FDPOLL the manager would drop the channel of a worker that has died meanwhile. */
	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	err = notify_send(text, fd);
	if (err)
		drop(store, one);
	else
		*ret_one = one;
	return err;
}

static int take_away(struct fd_store *store, struct fd_store_one *one)
{
	char text[NAME_MAX + 64];
	int err;

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", one->name);
	err = notify_send(text, -1);
	if (!err)
		drop(store, one);
	return err;
}

static int remove_if(struct fd_store *store, bool (*is_it)(const struct fd_store_one *one))
{
	for (size_t i = store->n; i-- > 0;) {
		int err = is_it(&store->all[i]) ? take_away(store, &store->all[i]) : 0;

		if (err)
			return err;
	}
	return 0;
}

static bool is_estate(const struct fd_store_one *one)
{
	return fd_store_is_estate(one->name);
}

static bool is_any(const struct fd_store_one *one)
{
	(void)one;
	return true;
}

static bool is_unknown(const struct fd_store_one *one)
{
	return !one->known && !is_estate(one);
}

static bool is_unwanted(const struct fd_store_one *one)
{
	return !one->wanted && !is_estate(one);
}

int fd_store_forget(struct fd_store *store)
{
	int err = remove_if(store, is_estate);

	if (!err)
		err = remove_if(store, is_any);
	if (!err)
		fd_store_clear(store);
	return err;
}

/* ---- in the place of the last one ---- */

struct keeping {
	struct fd_store *store;
	size_t n_new;
	int next; /* all numbers below are taken */
	int err;
};

static void mark(void *userdata, const char *name, int fd)
{
	struct keeping *keeping = userdata;
	struct fd_store_one *one = find_fd(keeping->store, fd);

	(void)name;
	if (one)
		one->wanted = true;
	else
		keeping->n_new++;
}

/*
 * A full store does not keep what comes last, and says nothing. If it is known how much it holds,
 * what is not needed any more makes room, though the old estate still names it.
 */
static int make_room(struct fd_store *store, size_t n_new)
{
	const char *text = getenv("FDSTORE");
	size_t max = text ? strtoul(text, NULL, 10) : 0;

	if (max == 0 || store->n + n_new + 1 <= max)
		return 0;
	log_warning("the service manager keeps %zu descriptors at most, and %zu are needed at a "
		    "time: raise FileDescriptorStoreMax=",
		max, store->n + n_new + 1);
	return remove_if(store, is_unwanted);
}

static bool has_number(const struct fd_store *store, int number)
{
	for (size_t i = 0; i < store->n; i++)
		if (store->all[i].number == number)
			return true;
	return false;
}

/* An estate_find: the number in the store. */
static int keep_fd(void *userdata, int fd)
{
	struct keeping *keeping = userdata;
	struct fd_store *store = keeping->store;
	struct fd_store_one *one = find_fd(store, fd);
	char name[16];

	if (one || keeping->err)
		return one ? one->number : -1;
	while (has_number(store, keeping->next))
		keeping->next++;
	format_number(keeping->next, name);
	keeping->err = add(store, name, fd, &one);
	if (keeping->err)
		return -1;
	one->known = fd_identity_get(fd, &one->identity);
	one->wanted = true;
	return one->number;
}

static int add_estate(struct fd_store *store, const struct estate *estate, const char *name)
{
	struct fd_store_one *one;
	int fd = -1, err;

	/* Each time into a file of its own: of two names for one the manager knows the first. */
	err = estate_save(estate, &fd);
	if (err)
		return err;
	err = add(store, name, fd, &one);
	close(fd);
	return err;
}

static int replace_estate(struct fd_store *store, const struct estate *estate)
{
	struct fd_store_one *old = find(store, FD_STORE_ESTATE);
	struct fd_store_one *other = find(store, FD_STORE_ESTATE_NEW);
	int err = 0;

	if (old && other)
		err = take_away(store, old < other ? old : other);
	if (!err && find(store, FD_STORE_ESTATE)) {
		err = add_estate(store, estate, FD_STORE_ESTATE_NEW);
		if (!err)
			err = take_away(store, find(store, FD_STORE_ESTATE));
	}
	if (!err)
		err = add_estate(store, estate, FD_STORE_ESTATE);
	other = find(store, FD_STORE_ESTATE_NEW);
	return !err && other ? take_away(store, other) : err;
}

int fd_store_keep(struct fd_store *store, struct estate *estate)
{
	struct keeping keeping = { .store = store };
	int err;

	if (!fd_store_is_there())
		return 0;
	err = estate_add_number(estate, FD_STORE_GENERATION, store->generation);
	if (err)
		return err;
	store->generation++;
	for (size_t i = 0; i < store->n; i++)
		store->all[i].wanted = false;
	err = remove_if(store, is_unknown);
	if (!err) {
		estate_for_each_fd(estate, mark, &keeping);
		err = make_room(store, keeping.n_new);
	}
	if (!err) {
		estate_renumber(estate, keep_fd, &keeping);
		err = keeping.err;
	}
	if (!err)
		err = replace_estate(store, estate);
	return err ? err : remove_if(store, is_unwanted);
}

/* ---- from image to image ---- */

/* Names have no blanks. The release before this one reads the names only, the last one first. */
int fd_store_bequeath(const struct fd_store *store, struct estate *estate)
{
	char *names = NULL, *which = NULL, text[FD_IDENTITY_TEXT_MAX];
	size_t names_len = 0, which_len = 0;
	FILE *names_file = open_memstream(&names, &names_len);
	FILE *which_file = open_memstream(&which, &which_len);
	int err = names_file && which_file ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < store->n; i++) {
		const struct fd_store_one *one = &store->all[i];

		fprintf(names_file, "%s ", one->name);
		fprintf(which_file, "%s ",
			one->known ? fd_identity_format(&one->identity, text) : "-");
	}
	if (names_file && fclose(names_file) != 0)
		err = -ENOMEM;
	if (which_file && fclose(which_file) != 0)
		err = -ENOMEM;
	if (!err && store->n > 0)
		err = estate_add_text(estate, KEPT, names);
	if (!err && store->n > 0)
		err = estate_add_text(estate, KEPT_WHICH, which);
	if (!err)
		err = estate_add_number(estate, KEPT_GENERATION, store->generation);
	free(names);
	free(which);
	return err;
}

/* Of a name that comes twice nobody knows what it is. */
static int inherit_one(struct fd_store *store, const char *name, const char *which)
{
	struct fd_store_one *one = find(store, name);

	if (one) {
		one->known = false;
		return 0;
	}
	one = remember(store, name);
	if (!one)
		return -ENOMEM;
	one->known = which && one->number >= 0 && fd_identity_read(which, &one->identity);
	return 0;
}

/* which: NULL: unknown. */
static int inherit_all(struct fd_store *store, const char *names, const char *which)
{
	char *copy = strdup(names), *which_copy = strdup(which ? which : "");
	char *rest = NULL, *which_rest = NULL;
	int err = copy && which_copy ? 0 : -ENOMEM;
	char *name = err ? NULL : strtok_r(copy, " ", &rest);
	char *identity = err ? NULL : strtok_r(which_copy, " ", &which_rest);

	while (name && !err) {
		err = inherit_one(store, name, identity);
		name = strtok_r(NULL, " ", &rest);
		identity = identity ? strtok_r(NULL, " ", &which_rest) : NULL;
	}
	free(copy);
	free(which_copy);
	return err;
}

static int get_option(int fd, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

/* Clients come to it: it is open for as long as this process, and has had its number all the time.
 */
static bool is_front(int fd)
{
	int domain = get_option(fd, SO_DOMAIN);

	return get_option(fd, SO_ACCEPTCONN) == 1 ||
	       ((domain == AF_INET6 || domain == AF_INET) && get_option(fd, SO_TYPE) == SOCK_DGRAM);
}

static void recognize(void *userdata, const char *name, int fd)
{
	const struct fd_store *store = userdata;

	(void)name;
	for (size_t i = 0; i < store->n; i++) {
		struct fd_store_one *one = &store->all[i];

		if (one->number == fd && is_front(fd))
			one->known = fd_identity_get(fd, &one->identity);
	}
}

int fd_store_inherit(struct fd_store *store, const struct estate *estate)
{
	const char *given = estate_get_text(estate, FD_STORE_GIVEN);
	const char *kept = estate_get_text(estate, KEPT);
	const char *which = estate_get_text(estate, KEPT_WHICH);
	int64_t generation = -1;
	int err = 0;

	/* An estate from the store says, too, what was kept: that is of before it was kept itself.
	 */
	(void)estate_get_number(estate, given ? FD_STORE_GENERATION : KEPT_GENERATION, &generation);
	if (generation >= 0 && generation < INT64_MAX)
		store->generation = generation + 1;
	if (given)
		return inherit_all(store, given, estate_get_text(estate, FD_STORE_GIVEN_WHICH));
	if (kept)
		err = inherit_all(store, kept, which);
	if (!err && kept && !which && find(store, FD_STORE_ESTATE))
		estate_for_each_fd(estate, recognize, store);
	return err;
}
