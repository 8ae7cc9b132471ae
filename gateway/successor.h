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

struct successor_setup {
	const char *path; /* of the configuration; NULL: it is of the command line */
	int config_fd;	  /* the configuration of this image as it was read; -1: none */
	char *const *argv;
	/* Puts into the estate what is to go along, or, for a trial, what it has to know. */
	int (*bequeath)(void *userdata, bool all, struct estate *estate);
	/* There will be no successor. */
	void (*on_failure)(void *userdata);
	bool (*is_possible)(void *userdata);
	struct predecessors *const *before;
	void *userdata;
};

/* NULL without memory. */
struct successor *successor_new(struct loop *loop, const struct successor_setup *setup);
/* Takes NULL. */
void successor_free(struct successor *successor);

/* In a child: lets go of it. Takes NULL. */
void successor_abandon(struct successor *successor);

/* "reload" and "generation". */
void successor_add_commands(struct successor *successor, struct control *control);

/*
 * Begins: of the program at that path, NULL: at this one's, with the configuration as it is now. 0;
 * -EALREADY; or another negative errno after a line in the log that says why there is none.
 */
int successor_begin(struct successor *successor, const char *binary);
/* A trial that is under way ends. */
void successor_end(struct successor *successor);
bool successor_is_trying(const struct successor *successor);
/* True if the process was a trial. */
bool successor_reaped(struct successor *successor, pid_t pid, int status);

/* In the next image: keeps what it would give back. 0 or a negative errno. */
int successor_inherit(struct successor *successor, const struct estate *estate);
/* It has started, and there is no way back. */
void successor_settled(struct successor *successor);
/*
 * It cannot start, for the last error in the log: executes the image before it. Comes back only if
 * there is none.
 */
void successor_fall_back(struct successor *successor);
/* The same before there is a successor. estate: what was left; NULL: nothing. */
void successor_go_back(struct estate *estate, char *const *argv, const char *reason);
