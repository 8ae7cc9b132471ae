/*
 * nearest - which word was meant by one that is none.
 *
 * Plain functions for messages: what a person typed is compared with what there is.
 */
#pragma once

#include <stddef.h>

/* Among words that are offered one after the other. Begin with all zero but word. */
struct nearest {
	const char *word;  /* what was typed */
	const char *found; /* NULL: nothing of what was offered is near; one of the offered */
	size_t far;	   /* how many letters differ, if found */
};

/* candidate must outlive the use of found. */
void nearest_offer(struct nearest *nearest, const char *candidate);
