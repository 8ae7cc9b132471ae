/*
 * successor - the supervisor's side of a succession (succession.h): begins it, executes it, says
 * what became of it, and, in an image that cannot start, gives way to the one before.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "control.h"
#include "estate.h"
#include "loop.h"
#include "predecessors.h"

struct successor;

/*
 * For the supervisor's process alone; all that is pointed to outlives the successor. Callbacks are
 * called from within the calls below or from the loop, never after successor_free().
 */
struct successor_setup {
	const char *path;  /* of the configuration; NULL: it is of the command line */
	int config_fd;	   /* the configuration of this image as it was read; -1: none */
	char *const *argv; /* of this image, which the next one gets too; ends with NULL */
	/*
	 * Puts into the estate what is to go along, or, for a trial, what it has to know. 0 or a
	 * negative errno. Descriptors stay the caller's.
	 */
	int (*bequeath)(void *userdata, bool all, struct estate *estate);
	/* There will be no successor; the log has the reason. */
	void (*on_failure)(void *userdata);
	/* Whether this image serves, and so could make way. Asked again just before it would. */
	bool (*is_possible)(void *userdata);
	/* By reference, as they are made after the setup. */
	struct predecessors *const *before;
	void *userdata;
};

/* Idle. The setup is copied. NULL without memory. */
struct successor *successor_new(struct loop *loop, const struct successor_setup *setup);
/* Ends a trial, and gives up the way back. Takes NULL. */
void successor_free(struct successor *successor);

/*
 * In a child of the supervisor: closes its copies of descriptors; a trial and the way back stay
 * what they are in the parent. Takes NULL.
 */
void successor_abandon(struct successor *successor);

/* "reload" and "generation"; the successor must outlive the control. */
void successor_add_commands(struct successor *successor, struct control *control);

/*
 * Begins: of the program at that path, NULL: at this one's, with the configuration as it is now. 0:
 * a trial runs, and what comes of it is only in the log and in "generation", for if all goes well
 * nobody is left here to be told. -EALREADY: one is under way, or this is not the time; or another
 * negative errno after a line in the log that says why there is none, and on_failure().
 */
int successor_begin(struct successor *successor, const char *binary);
/*
 * The same for somebody who gets no answer. If one is under way, which may have read the
 * configuration before it was changed, another one follows it, in this image or the next.
 */
void successor_ask(struct successor *successor);
/* Begins what was asked for while it was not the time. */
void successor_go_on(struct successor *successor);
/* A trial that is under way ends, and nothing comes of one that went well. No callback. */
void successor_end(struct successor *successor);
/* A trial runs, or has gone well and waits for the workers of before. */
bool successor_is_trying(const struct successor *successor);
/*
 * True if the process was a trial. Then this may execute the next image, and not come back at all.
 */
bool successor_reaped(struct successor *successor, pid_t pid, int status);

/*
 * In the next image: keeps copies of all descriptors of the estate, as others take them out of it,
 * to give them back should it not start. Says why, if it is itself the way back. 0 or a negative
 * errno; if there can be no copies, it gives the estate back at once, and only comes back itself
 * if there is no way.
 */
int successor_inherit(struct successor *successor, struct estate *estate);
/* It has started, and there is no way back: the copies are closed. */
void successor_settled(struct successor *successor);
/*
 * It cannot start, for the last error in the log: executes the image before it. Comes back only if
 * there is none.
 */
void successor_fall_back(struct successor *successor);
/* The same before there is a successor. estate: what was left; NULL: nothing. */
void successor_go_back(struct estate *estate, char *const *argv, const char *reason);
