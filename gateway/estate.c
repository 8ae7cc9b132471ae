#include "estate.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * JSON, as two releases have to read each other, and a person may have to read it, too: a member
 * that nobody knows does no harm, and one that is not there is none. It is read with suspicion all
 * the same: a number that is believed to be a descriptor will be closed one day.
 */
struct estate {
	json_t *fds;	 /* object: name to number */
	json_t *numbers; /* object */
	json_t *texts;	 /* object */
};

static struct estate *wrap(json_t *fds, json_t *numbers, json_t *texts)
{
	struct estate *estate = calloc(1, sizeof(*estate));

	if (estate && fds && numbers && texts) {
		*estate = (struct estate){ .fds = fds, .numbers = numbers, .texts = texts };
		return estate;
	}
	free(estate);
	json_decref(fds);
	json_decref(numbers);
	json_decref(texts);
	return NULL;
}

struct estate *estate_new(void)
{
	return wrap(json_object(), json_object(), json_object());
}

void estate_free(struct estate *estate)
{
	if (!estate)
		return;
	json_decref(estate->fds);
	json_decref(estate->numbers);
	json_decref(estate->texts);
	free(estate);
}

/* Takes the value. */
static int add(json_t *object, const char *name, json_t *value)
{
	size_t len = strlen(name);

	if (!value)
		return -ENOMEM;
	if (len == 0 || len > ESTATE_NAME_MAX || json_object_get(object, name)) {
		json_decref(value);
		return -EINVAL;
	}
	return json_object_set_new(object, name, value) < 0 ? -EINVAL : 0;
}

int estate_add_fd(struct estate *estate, const char *name, int fd)
{
	return add(estate->fds, name, json_integer(fd));
}

int estate_add_number(struct estate *estate, const char *name, int64_t value)
{
	return add(estate->numbers, name, json_integer(value));
}

int estate_add_text(struct estate *estate, const char *name, const char *text)
{
	return add(estate->texts, name, json_string(text));
}

int estate_take_fd(struct estate *estate, const char *name)
{
	const json_t *value = json_object_get(estate->fds, name);
	int fd;

	if (!value)
		return -1;
	fd = (int)json_integer_value(value);
	(void)json_object_del(estate->fds, name);
	return fd;
}

bool estate_has_fd(const struct estate *estate, const char *name)
{
	return json_object_get(estate->fds, name) != NULL;
}

int estate_get_number(const struct estate *estate, const char *name, int64_t *ret_value)
{
	const json_t *value = json_object_get(estate->numbers, name);

	if (!value)
		return -ENOENT;
	*ret_value = json_integer_value(value);
	return 0;
}

const char *estate_get_text(const struct estate *estate, const char *name)
{
	return json_string_value(json_object_get(estate->texts, name));
}

void estate_for_each_fd(const struct estate *estate, estate_each_fd *each, void *userdata)
{
	const char *name;
	json_t *value;

	json_object_foreach(estate->fds, name, value)
	{
		each(userdata, name, (int)json_integer_value(value));
	}
}

void estate_for_each_number(const struct estate *estate, estate_each_number *each, void *userdata)
{
	const char *name;
	json_t *value;

	json_object_foreach(estate->numbers, name, value)
	{
		each(userdata, name, json_integer_value(value));
	}
}

static void close_one(void *userdata, const char *name, int fd)
{
	(void)userdata;
	(void)name;
	close(fd);
}

void estate_close_rest(struct estate *estate)
{
	estate_for_each_fd(estate, close_one, NULL);
	json_object_clear(estate->fds);
}

void estate_renumber(struct estate *estate, estate_find *find, void *userdata)
{
	const char *name;
	json_t *value;
	void *tmp;

	json_object_foreach_safe(estate->fds, tmp, name, value)
	{
		int fd = find(userdata, (int)json_integer_value(value));

		if (fd < 0)
			(void)json_object_del(estate->fds, name);
		else
			(void)json_integer_set(value, fd);
	}
}

/*
 * A descriptor that cannot be copied is forgotten by estate_renumber(), so whatever the copy still
 * names is a copy, and may be closed.
 */
static int copy_one(void *userdata, int fd)
{
	int *failed = userdata, copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0)
		*failed = -errno;
	return copy;
}

int estate_copy(const struct estate *estate, struct estate **ret_copy)
{
	struct estate *copy = wrap(json_deep_copy(estate->fds), json_deep_copy(estate->numbers),
		json_deep_copy(estate->texts));
	int failed = 0;

	if (!copy)
		return -ENOMEM;
	estate_renumber(copy, copy_one, &failed);
	if (failed) {
		estate_close_rest(copy);
		estate_free(copy);
		return failed;
	}
	*ret_copy = copy;
	return 0;
}

/* ---- as text ---- */

int estate_encode(const struct estate *estate, char **ret_text)
{
	json_t *root = json_pack("{s:i, s:O, s:O, s:O}", "version", ESTATE_VERSION, "descriptors",
		estate->fds, "numbers", estate->numbers, "texts", estate->texts);
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

	json_decref(root);
	if (!text)
		return -ENOMEM;
	*ret_text = text;
	return 0;
}

/* Whether every member is of the kind, and each name one that add() would take. */
static bool all_are(json_t *object, json_type type)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		if (json_typeof(value) != type || !name[0] || strlen(name) > ESTATE_NAME_MAX)
			return false;
	}
	return true;
}

/* Numbers that an int can hold, and no negative one, which means "none" to those who take it. */
static bool are_descriptors(json_t *object)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		if (json_integer_value(value) < 0 || json_integer_value(value) > INT32_MAX)
			return false;
	}
	return true;
}

/* The member, or an empty object in its place: a new reference. */
static json_t *member(json_t *root, const char *name)
{
	json_t *found = json_object_get(root, name);

	return found ? json_incref(found) : json_object();
}

int estate_decode(const char *text, size_t len, struct estate **ret_estate)
{
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	struct estate *estate = NULL;
	int err = 0;

	if (!json_is_object(root) || !json_is_integer(json_object_get(root, "version")))
		err = -EBADMSG;
	else if (json_integer_value(json_object_get(root, "version")) != ESTATE_VERSION)
		err = -EPROTONOSUPPORT;
	if (!err) {
		estate = wrap(member(root, "descriptors"), member(root, "numbers"),
			member(root, "texts"));
		err = estate ? 0 : -ENOMEM;
	}
	if (!err && (!json_is_object(estate->fds) || !json_is_object(estate->numbers) ||
			    !json_is_object(estate->texts) || !all_are(estate->fds, JSON_INTEGER) ||
			    !all_are(estate->numbers, JSON_INTEGER) ||
			    !all_are(estate->texts, JSON_STRING) || !are_descriptors(estate->fds)))
		err = -EBADMSG;
	json_decref(root);
	if (err)
		estate_free(estate);
	else
		*ret_estate = estate;
	return err;
}

/* ---- in a file ---- */

static int write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

int estate_save(const struct estate *estate, int *ret_fd)
{
	char *text = NULL;
	int fd = -1, err;

	err = estate_encode(estate, &text);
	if (!err) {
		fd = memfd_create("sixgate-estate", MFD_CLOEXEC);
		err = fd < 0 ? -errno : write_all(fd, text, strlen(text));
	}
	free(text);
	if (err && fd >= 0)
		close(fd);
	if (!err)
		*ret_fd = fd;
	return err;
}

int estate_load(int fd, struct estate **ret_estate)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text;
	ssize_t n;
	int err;

	if (size < 0)
		return -errno;
	if (size == 0 || size > (off_t)ESTATE_SIZE_MAX)
		return -EBADMSG;
	text = malloc((size_t)size);
	if (!text)
		return -ENOMEM;
	n = pread(fd, text, (size_t)size, 0);
	err = n == size ? estate_decode(text, (size_t)n, ret_estate) : -EIO;
	free(text);
	return err;
}
