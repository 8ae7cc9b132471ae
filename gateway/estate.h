/*
 * estate - what a supervisor leaves to the image that comes after it: descriptors by name, the
 * processes that run, counters, and what is known of the backends.
 *
 * It travels as JSON in an anonymous file. The one who reads it may be of another release: what is
 * not known is passed over, what is missing is as if there were none. Names of descriptors and
 * their meaning are the supervisor's business; here they are text of at most ESTATE_NAME_MAX bytes.
 *
 * A descriptor is only a number here: an estate owns none, and closes them when it is told to
 * (estate_close_rest()) or where it has copied them itself (estate_copy()). There are three kinds
 * of things, fds, numbers and texts, each with names of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Another one is not read at all; new names, not a new version, are how things are added. */
#define ESTATE_VERSION	1
#define ESTATE_NAME_MAX 200U
#define ESTATE_SIZE_MAX (16U * 1024U * 1024U)

struct estate;

/* An empty one; NULL without memory. */
struct estate *estate_new(void);
/* Closes no descriptor. Takes NULL. */
void estate_free(struct estate *estate);

/*
 * Adds; each name once within its kind. 0, -ENOMEM, or -EINVAL for a name that is too long, empty,
 * not UTF-8 or there already. jansson does not say which it was: want of memory for the member
 * itself is -EINVAL, too, and a text that is not UTF-8 is -ENOMEM.
 */
int estate_add_fd(struct estate *estate, const char *name, int fd);
int estate_add_number(struct estate *estate, const char *name, int64_t value);
int estate_add_text(struct estate *estate, const char *name, const char *text);

/* The descriptor of that name, which is the caller's from now on; -1: there is none (any more). */
int estate_take_fd(struct estate *estate, const char *name);
bool estate_has_fd(const struct estate *estate, const char *name);
/* 0, or -ENOENT. */
int estate_get_number(const struct estate *estate, const char *name, int64_t *ret_value);
/* NULL: there is none. It is the estate's. */
const char *estate_get_text(const struct estate *estate, const char *name);

/*
 * Every descriptor that nobody has taken, by turns; not to be mixed with adding and taking. Names
 * are the estate's.
 */
typedef void estate_each_fd(void *userdata, const char *name, int fd);
void estate_for_each_fd(const struct estate *estate, estate_each_fd *each, void *userdata);
typedef void estate_each_number(void *userdata, const char *name, int64_t value);
void estate_for_each_number(const struct estate *estate, estate_each_number *each, void *userdata);

/*
 * The same with descriptors of its own (F_DUPFD_CLOEXEC), which are open until somebody closes
 * them: estate_free() does not. 0, or a negative errno, and then no copy is left open.
 */
int estate_copy(const struct estate *estate, struct estate **ret_copy);

/* Closes those descriptors that nobody has taken. */
void estate_close_rest(struct estate *estate);

/* As text, which the caller frees. 0 or -ENOMEM. */
int estate_encode(const struct estate *estate, char **ret_text);
/* 0; -ENOMEM; -EPROTONOSUPPORT: of another version; -EBADMSG: not an estate. */
int estate_decode(const char *text, size_t len, struct estate **ret_estate);

/*
 * Into a new anonymous file (close-on-exec, the caller's), and from one, which is read from its
 * beginning and stays open. 0 or a negative errno; of an empty file, or one that is larger than
 * ESTATE_SIZE_MAX, -EBADMSG.
 */
int estate_save(const struct estate *estate, int *ret_fd);
int estate_load(int fd, struct estate **ret_estate);

/*
 * Descriptors have other numbers here than where the estate was written: each is looked up by the
 * number that it had, and forgotten if find says -1.
 */
typedef int estate_find(void *userdata, int fd);
void estate_renumber(struct estate *estate, estate_find *find, void *userdata);
