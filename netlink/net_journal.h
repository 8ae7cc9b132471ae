/*
 * net_journal - what was begun and what was done, written ahead of every step, in a file of the run
 * directory.
 *
 * One line a record; a step is recorded before it is done and after. The file outlives a crash of
 * this process, not of the machine: nor does the network's state. Whoever opens it holds a lock on
 * it, so that two programs never change the network at the same time.
 *
 *   begin 3            an application of so many steps
 *   do 1 ip -6 ...     step 1 is being done
 *   done 1
 *   undo 1             ... is being taken back
 *   undone 1
 *   end                it came to its end: everything was done that could be, or was taken back
 *
 * Steps count from 1. A last line without its newline was cut off, and counts as not written; an
 * empty file tells of no application.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "net_text.h"

/* Open, it holds the lock. */
struct net_journal {
	int fd; /* -1: closed */
};

/* How the last application ended. */
struct net_journal_past {
	bool interrupted; /* no "end" */
	size_t step;	  /* the last that was begun, counted from 1; 0: none */
	/* What it was to do, in the words of net_text.h; "" with step 0. */
	char text[NET_TEXT_MAX];
};

/*
 * Opens directory/net.journal, creating both, and locks it, waiting for up to wait_ms. A file that
 * root creates is the directory's owner's, who may be a daemon of its own user. 0;
 * -EWOULDBLOCK: another process keeps the lock; or a negative errno. ret_past may be NULL. A file
 * that cannot be made sense of counts as interrupted at step 0.
 */
int net_journal_open(struct net_journal *journal, const char *directory, unsigned wait_ms,
	struct net_journal_past *ret_past);
/* Unlocks. Takes a closed one. */
void net_journal_close(struct net_journal *journal);

/*
 * begin starts over with an empty file. word: "do", "done", "undo", "undone"; text: one line of
 * printable ASCII, or NULL. 0 or a negative errno, and then the record is not in the file.
 */
int net_journal_begin(struct net_journal *journal, size_t n_steps);
int net_journal_note(struct net_journal *journal, const char *word, size_t step, const char *text);
int net_journal_end(struct net_journal *journal);

/* Reads only, without lock or right to write; -ENOENT: nothing was ever applied. */
int net_journal_peek(const char *directory, struct net_journal_past *ret_past);

/* The same of a file's content: any bytes. */
void net_journal_parse(const char *bytes, size_t len, struct net_journal_past *ret_past);
