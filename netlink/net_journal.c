#include "net_journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/*
 * Theory of operation
 *
 * A record is one line, written by one write(2) at the file's end, so that whoever is killed leaves
 * whole lines. What a full file system cuts off is taken away again. The reader takes a last line
 * without its newline for not written: the step it tells of was not begun.
 *
 * An application begins with an empty file; a file that is empty tells of none. The lock is on the
 * file itself and goes with the process: flock(2) belongs to the open file, so a child that
 * inherited the descriptor would hold it too (it is close-on-exec, and none is forked meanwhile).
 *
 * Nothing is synced to the disk: after a crash of the machine the network is empty as well.
 */
#define FILE_NAME "net.journal"

#define POLL_NS	     20000000L
#define LINE_MAX_LEN (NET_TEXT_MAX + 64)
/* No journal of ours is larger: two lines each to do and to undo some 20,000 steps. */
#define READ_MAX (16 << 20)

/* ---- reading ---- */

/* A decimal number at *at, which is moved behind it. False: there is none. */
static bool take_number(const char **at, const char *end, size_t *ret_number)
{
	const char *p = *at;
	size_t number = 0;

	while (p < end && *p >= '0' && *p <= '9') {
		if (number > SIZE_MAX / 20)
			return false;
		number = 10 * number + (size_t)(*p++ - '0');
	}
	if (p == *at)
		return false;
	*at = p;
	*ret_number = number;
	return true;
}

static bool take_word(const char **at, const char *end, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(end - *at) < len || memcmp(*at, word, len) != 0)
		return false;
	*at += len;
	return true;
}

/* The rest of a line, which may be empty or begins with a space. */
static bool take_text(const char *at, const char *end, char text[NET_TEXT_MAX])
{
	if (at == end) {
		text[0] = '\0';
		return true;
	}
	if (*at++ != ' ' || (size_t)(end - at) >= NET_TEXT_MAX)
		return false;
	for (const char *p = at; p < end; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
			return false;
	memcpy(text, at, (size_t)(end - at));
	text[end - at] = '\0';
	return true;
}

/* One line after the first; false if it makes no sense. */
static bool take_line(
	const char *at, const char *end, size_t n_steps, struct net_journal_past *past)
{
	char text[NET_TEXT_MAX];
	bool starts;
	size_t step;

	if (!past->interrupted)
		return false;
	if (end - at == 3 && memcmp(at, "end", 3) == 0) {
		past->interrupted = false;
		return true;
	}
	starts = take_word(&at, end, "do ") || take_word(&at, end, "undo ");
	if (!starts && !take_word(&at, end, "done ") && !take_word(&at, end, "undone "))
		return false;
	if (!take_number(&at, end, &step) || step < 1 || step > n_steps ||
		!take_text(at, end, text))
		return false;
	if (starts) {
		past->step = step;
		memcpy(past->text, text, sizeof(text));
	}
	return true;
}

void net_journal_parse(const char *bytes, size_t len, struct net_journal_past *ret_past)
{
	struct net_journal_past past = { .interrupted = true };
	const char *at = bytes, *end = bytes + len;
	const char *newline = len > 0 ? memchr(bytes, '\n', len) : NULL;
	size_t n_steps;

	*ret_past = (struct net_journal_past){ .interrupted = len > 0 };
	if (!newline || !take_word(&at, newline, "begin ") ||
		!take_number(&at, newline, &n_steps) || at != newline)
		return;
	for (;;) {
		at = newline + 1;
		newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
		if (!newline)
			break;
		if (!take_line(at, newline, n_steps, &past))
			return;
	}
	/* Something behind the end, even half a line, was not written by us. */
	if (at < end && !past.interrupted)
		return;
	*ret_past = past;
}

static int read_file(int fd, struct net_journal_past *ret_past)
{
	struct stat status;
	size_t size, len = 0;
	ssize_t n = 1;
	char *bytes;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	if (status.st_size > READ_MAX) {
		*ret_past = (struct net_journal_past){ .interrupted = true };
		return 0;
	}
	size = (size_t)status.st_size;
	bytes = malloc(size + 1);
	if (!bytes)
		return -ENOMEM;
	while (len < size && n > 0) {
		n = pread(fd, bytes + len, size - len, (off_t)len);
		if (n < 0) {
			n = -errno;
			free(bytes);
			return (int)n;
		}
		len += (size_t)n;
	}
	net_journal_parse(bytes, len, ret_past);
	free(bytes);
	return 0;
}

int net_journal_peek(const char *directory, struct net_journal_past *ret_past)
{
	int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd, err;

	if (dir < 0)
		return -errno;
	/* O_NONBLOCK: not to wait for a writer if it is a pipe. */
	fd = openat(dir, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	err = fd < 0 ? -errno : 0;
	close(dir);
	if (err)
		return err;
	err = read_file(fd, ret_past);
	close(fd);
	return err;
}

/* ---- opening ---- */

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int lock(int fd, unsigned wait_ms)
{
	const struct timespec pause = { .tv_nsec = POLL_NS };
	int64_t deadline = now_ns() + (int64_t)wait_ms * 1000000;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (now_ns() >= deadline)
			return -EWOULDBLOCK;
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* A new file becomes the directory's owner's. The descriptor or a negative errno. */
static int open_or_create(int dir)
{
	const int flags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	int fd = openat(dir, FILE_NAME, flags | O_CREAT | O_EXCL, 0600);
	struct stat status;

	if (fd < 0) {
		fd = errno == EEXIST ? openat(dir, FILE_NAME, flags) : -1;
		return fd < 0 ? -errno : fd;
	}
	if (fstat(dir, &status) < 0 || (geteuid() == 0 && status.st_uid != 0 &&
					       fchown(fd, status.st_uid, status.st_gid) < 0)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

int net_journal_open(struct net_journal *journal, const char *directory, unsigned wait_ms,
	struct net_journal_past *ret_past)
{
	struct net_journal_past past;
	int dir, fd, err;

	if (mkdir(directory, 0755) < 0 && errno != EEXIST)
		return -errno;
	/* By the directory's descriptor: it may be another's, who could put another in its place.
	 */
	dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	fd = open_or_create(dir);
	close(dir);
	if (fd < 0)
		return fd;
	if ((err = lock(fd, wait_ms)) || (err = read_file(fd, &past))) {
		close(fd);
		return err;
	}
	journal->fd = fd;
	if (ret_past)
		*ret_past = past;
	return 0;
}

void net_journal_close(struct net_journal *journal)
{
	if (journal->fd >= 0)
		close(journal->fd);
	journal->fd = -1;
}

/* ---- writing ---- */

static int append(struct net_journal *journal, const char *line, size_t len)
{
	ssize_t n;
	off_t end;

	assert(journal->fd >= 0 && line[len - 1] == '\n');
	do {
		n = write(journal->fd, line, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((size_t)n == len)
		return 0;
	/* Half a line would spoil the next one. */
	end = lseek(journal->fd, 0, SEEK_CUR);
	if (end >= n && ftruncate(journal->fd, end - n) < 0)
		return -errno;
	return -ENOSPC;
}

int net_journal_begin(struct net_journal *journal, size_t n_steps)
{
	char line[LINE_MAX_LEN];
	int len = snprintf(line, sizeof(line), "begin %zu\n", n_steps);

	if (ftruncate(journal->fd, 0) < 0)
		return -errno;
	return append(journal, line, (size_t)len);
}

int net_journal_note(struct net_journal *journal, const char *word, size_t step, const char *text)
{
	char line[LINE_MAX_LEN];
	int len;

	len = text ? snprintf(line, sizeof(line), "%s %zu %s\n", word, step, text)
		   : snprintf(line, sizeof(line), "%s %zu\n", word, step);
	if (len < 0 || (size_t)len >= sizeof(line))
		return -EMSGSIZE;
	return append(journal, line, (size_t)len);
}

int net_journal_end(struct net_journal *journal)
{
	return append(journal, "end\n", 4);
}
