/*
 * ban_store - the file that bans outlive the gateway in: DIRECTORY/bans, see ban_file.h.
 *
 * A change is written as a line at the file's end, which the kernel keeps from then on, whatever
 * becomes of us; to the disk it goes with ban_store_sync(). When most of the lines tell nothing any
 * more, a new file takes the old one's place, whole or not at all. The directory is made when there
 * is something to keep. Whoever writes there holds a lock on it.
 *
 * The supervisor's. Everything here waits for the disk: commands are few, and the whole file is at
 * most some megabytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "ban_file.h"
#include "ban_list.h"

#define BAN_STORE_FILE "bans"

struct ban_store {
	const char *directory; /* the caller's; an absolute path */
	int dir_fd;	       /* locked; -1: not open */
	int fd;		       /* the file, for appending; -1: there is none of ours yet */
	size_t n_lines;	       /* in it, those that tell nothing any more with them */
	bool unsynced;	       /* a line was written that may not be on the disk */
};

/* What was found. */
struct ban_store_past {
	struct ban_file_flaws flaws;
	char aside[64]; /* the name that the file has now, if it has flaws; or "" */
};

/*
 * Reads what there is into the list. A file that has flaws is renamed, so that nothing is lost. 0
 * also if there is nothing; -EWOULDBLOCK: another process writes there, and nothing was read; or
 * another negative errno, and then nothing must be written: the list may have a part of it, the
 * store is closed, and the same may be tried again. store need not be initialised, but an open one
 * must be closed before. directory must outlive it. now_ms: of the wall clock.
 */
int ban_store_load(struct ban_store *store, const char *directory, struct ban_list *list,
	uint64_t now_ms, struct ban_store_past *ret_past);

/*
 * Adds a line (ban_file.h, with its newline), or writes all that the list has, in which the change
 * must be already, if that is better. 0 or a negative errno, and then ban_store_write() has to be
 * tried later: what is in the file is as it was, but for half a line at its end.
 */
int ban_store_append(struct ban_store *store, const char *line, const struct ban_list *list);
int ban_store_write(struct ban_store *store, const struct ban_list *list);
/* To the disk, if there is something to do. */
void ban_store_sync(struct ban_store *store);

/* Takes a closed one. In a child: lets go of the descriptors. */
void ban_store_close(struct ban_store *store);
