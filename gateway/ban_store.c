#include "ban_store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Theory of operation
 *
 *   closed ──load: all is well──► appending ⇄ (one line a change)
 *     │                              │ half a line, or too many lines that tell nothing
 *     └──────write────► the whole in a new file, renamed into place ──► appending
 *
 * Two ways to write, as a ban should cost a line and not 65,536 of them, and as a file that only
 * grows would not end. After any failure the file is not appended to again: the next change writes
 * the whole, so a half line is never followed by others.
 *
 * The new file is synced before it is renamed, and the directory after that: at every moment, also
 * of a crash of the machine, the name leads to a file that is whole, the old one or the new one. A
 * line that was appended is safe from our own death at once, and from the machine's after
 * ban_store_sync(), which the caller puts off so that a thousand bans a second are one write.
 *
 * The lock is on the directory, as the file itself is replaced. It is advisory, and goes with the
 * descriptor: it keeps two gateways apart and nobody else.
 *
 * A file with flaws is never written over: somebody may want to mend it, and what was read of it
 * holds meanwhile.
 */
#define FILE_MAX  ((off_t)64 * 1024 * 1024)
#define NEW_FILE  BAN_STORE_FILE ".new"
#define SPARE_MAX 1024U /* lines that tell nothing, beyond as many as tell something */
#define ASIDE_MAX 1000U

/* ---- the directory ---- */

static int open_directory(struct ban_store *store)
{
	int fd = open(store->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	store->dir_fd = fd;
	return 0;
}

static int make_directory(struct ban_store *store)
{
	if (store->dir_fd >= 0)
		return 0;
	if (mkdir(store->directory, 0700) < 0 && errno != EEXIST)
		return -errno;
	return open_directory(store);
}

void ban_store_close(struct ban_store *store)
{
	if (store->fd >= 0)
		close(store->fd);
	if (store->dir_fd >= 0)
		close(store->dir_fd);
	store->fd = store->dir_fd = -1;
}

/* ---- reading ---- */

static int read_whole(int fd, char **ret_text, size_t *ret_len)
{
	struct stat info;
	size_t len = 0;
	ssize_t n = 1;
	char *text;

	if (fstat(fd, &info) < 0)
		return -errno;
	if (!S_ISREG(info.st_mode))
		return -EINVAL;
	if (info.st_size > FILE_MAX)
		return -EFBIG;
	text = malloc((size_t)info.st_size + 1);
	if (!text)
		return -ENOMEM;
	while (len < (size_t)info.st_size && n > 0) {
		n = read(fd, text + len, (size_t)info.st_size - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (n < 0) {
		free(text);
		return -errno;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}

/* Not every file system can rename without replacing. */
static int rename_to(const struct ban_store *store, const char *name)
{
	if (renameat2(store->dir_fd, BAN_STORE_FILE, store->dir_fd, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (linkat(store->dir_fd, BAN_STORE_FILE, store->dir_fd, name, 0) < 0)
		return -errno;
	return unlinkat(store->dir_fd, BAN_STORE_FILE, 0) < 0 ? -errno : 0;
}

/* Under a name that nothing has yet. */
static int set_aside(const struct ban_store *store, struct ban_store_past *past)
{
	int err = -EEXIST;

	for (unsigned i = 1; i <= ASIDE_MAX && err == -EEXIST; i++) {
		snprintf(past->aside, sizeof(past->aside), BAN_STORE_FILE ".damaged-%u", i);
		err = rename_to(store, past->aside);
	}
	return err;
}

static int load_file(struct ban_store *store, int fd, struct ban_list *list, uint64_t now_ms,
	struct ban_store_past *past)
{
	char *text = NULL;
	size_t len = 0;
	int err = read_whole(fd, &text, &len);

	if (err == -EINVAL || err == -EFBIG) {
		past->flaws = (struct ban_file_flaws){
			.n = 1,
			.reason = err == -EFBIG ? "it is larger than 64 MiB" : "this is no file",
		};
		err = 0;
	} else if (!err) {
		err = ban_file_parse(text, len, list, now_ms, &past->flaws);
	}
	/* What is well and whole goes on from there. */
	if (!err && past->flaws.n == 0 && len > 0 && text[len - 1] == '\n') {
		store->fd = openat(store->dir_fd, BAN_STORE_FILE,
			O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
		store->n_lines = past->flaws.n_lines;
	}
	free(text);
	return !err && past->flaws.n > 0 ? set_aside(store, past) : err;
}

int ban_store_load(struct ban_store *store, const char *directory, struct ban_list *list,
	uint64_t now_ms, struct ban_store_past *ret_past)
{
	int fd, err;

	*store = (struct ban_store){ .directory = directory, .dir_fd = -1, .fd = -1 };
	*ret_past = (struct ban_store_past){ 0 };
	err = open_directory(store);
	if (err)
		return err == -ENOENT ? 0 : err;
	/* Not to wait for a writer if it is a FIFO. */
	fd = openat(store->dir_fd, BAN_STORE_FILE, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0) {
		err = load_file(store, fd, list, now_ms, ret_past);
		close(fd);
	} else if (errno != ENOENT) {
		err = -errno;
	}
	/* The lock goes, too, or it would be in the way of the next try. */
	if (err)
		ban_store_close(store);
	return err;
}

/* ---- writing ---- */

static int write_all(int fd, const char *text)
{
	size_t len = strlen(text);

	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The line is freed. */
static int put_line(FILE *file, char *line)
{
	int err = line ? 0 : -ENOMEM;

	if (!err && fputs(line, file) == EOF)
		err = errno ? -errno : -EIO;
	free(line);
	return err;
}

static int write_lines(FILE *file, const struct ban_list *list)
{
	int err = put_line(file, ban_file_head());

	for (size_t i = 0; i < list->n && !err; i++)
		err = put_line(file, ban_file_ban(list->bans[i]));
	if (!err && fflush(file) == EOF)
		err = -errno;
	return err;
}

/* By another descriptor, as that of the store goes on to be used. */
static int write_new(int fd, const struct ban_list *list)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), err;
	FILE *file = copy < 0 ? NULL : fdopen(copy, "w");

	if (!file) {
		err = -errno;
		if (copy >= 0)
			close(copy);
		return err;
	}
	err = write_lines(file, list);
	if (fclose(file) == EOF && !err)
		err = -errno;
	if (!err && fsync(fd) < 0)
		err = -errno;
	return err;
}

int ban_store_write(struct ban_store *store, const struct ban_list *list)
{
	int err = make_directory(store), fd;

	if (err)
		return err;
	fd = openat(store->dir_fd, NEW_FILE,
		O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	err = write_new(fd, list);
	if (!err && renameat(store->dir_fd, NEW_FILE, store->dir_fd, BAN_STORE_FILE) < 0)
		err = -errno;
	if (err) {
		close(fd);
		(void)unlinkat(store->dir_fd, NEW_FILE, 0);
		return err;
	}
	/* What the directory says may still be lost; the file itself is whole under either name. */
	(void)fsync(store->dir_fd);
	if (store->fd >= 0)
		close(store->fd);
	store->fd = fd;
	store->n_lines = list->n + 1;
	store->unsynced = false;
	return 0;
}

int ban_store_append(struct ban_store *store, const char *line, const struct ban_list *list)
{
	int err;

	if (store->fd < 0 || store->n_lines > 2 * list->n + SPARE_MAX)
		return ban_store_write(store, list);
	assert(line[0] && strchr(line, '\n') == line + strlen(line) - 1);
	err = write_all(store->fd, line);
	/* There may be half a line now, which no other must follow: the next one is a new file's.
	 */
	if (err) {
		close(store->fd);
		store->fd = -1;
		return err;
	}
	store->n_lines++;
	store->unsynced = true;
	return 0;
}

void ban_store_sync(struct ban_store *store)
{
	if (store->unsynced && store->fd >= 0)
		(void)fdatasync(store->fd);
	store->unsynced = false;
}
