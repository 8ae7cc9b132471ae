/*
 * succession - how the supervisor becomes another image of itself: for a new configuration, a new
 * release, or both.
 *
 * First a trial: the binary is run as a child that reads the configuration, starts workers that
 * serve nobody, says so, and ends. If that goes well, the supervisor executes the same binary with
 * the same configuration in its own place, with the same process id, and leaves it its estate
 * (estate.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "estate.h"
#include "loop.h"

/* A trial that takes longer is killed. Some 50 ms are usual; the rest is for a busy machine. */
#define SUCCESSION_TRIAL_MS 10000U
/* Bytes of a reason, with its NUL; what is longer is cut. */
#define SUCCESSION_REASON_MAX 512U

/* What an image finds when it begins. */
struct succession_inheritance {
	bool trial;	       /* it is to say whether it could, and to end */
	struct estate *estate; /* NULL: it is the first; freed by the caller */
	int config_fd;	       /* the configuration's text; -1: to be read from its file */
};

/*
 * What the image before has left to this process; to be called before anything looks at the
 * environment or opens a descriptor. From the environment, which is cleared of it, so that no child
 * takes itself for an heir. An image that is the first finds nothing, which is no error. The
 * descriptors are made close-on-exec, except in a trial, which has none of ours. 0 or a negative
 * errno, and ret_inheritance is untouched; an estate of another version
 * is -EPROTONOSUPPORT, and then its descriptors stay open, as nobody knows what they are.
 */
int succession_inherit(struct succession_inheritance *ret_inheritance);

/* For a trial: says on the standard output that it could start, which another program does not. */
void succession_say_fine(void);

/*
 * How a trial went: ok, or the last line that it said, which is the callee's only during the call.
 * Called from succession_reaped().
 */
typedef void succession_done(void *userdata, bool ok, const char *reason);

/* The supervisor's; there is one trial at a time. */
struct succession {
	struct loop *loop;
	struct loop_source source;
	struct timer timer;
	pid_t pid; /* 0: no trial is under way */
	int output_fd;
	char output[2 * SUCCESSION_REASON_MAX]; /* the end of it */
	size_t output_len;
	bool late; /* killed, as it took too long */
	succession_done *done;
	void *userdata;
};

void succession_init(
	struct succession *succession, struct loop *loop, succession_done *done, void *userdata);

/*
 * Begins a trial of the binary with argv. estate: what the image is to know; its descriptors do not
 * go along. config_fd as above; it stays the caller's, and is read from its beginning by whoever
 * gets it. 0; -EALREADY: one is under way; -ENOENT, -EACCES: the binary is not there or no program;
 * or what pipe2(2) and fork(2) say. done is called later, only after 0, and once.
 */
int succession_try(struct succession *succession, const char *binary, char *const argv[],
	const struct estate *estate, int config_fd);

/* A child has ended: true if it was the trial, whose outcome done has been told then. */
bool succession_reaped(struct succession *succession, pid_t pid, int status);

/* In another child: lets go of it; the trial goes on, its output still goes to the parent. */
void succession_abandon(struct succession *succession);
/*
 * Kills a trial that is under way, with all that it has started; done is not called. Whoever reaps
 * it later is told "no trial" by succession_reaped(). Harmless if there is none.
 */
void succession_end(struct succession *succession);

/*
 * Executes the binary, which gets the estate with its descriptors. Returns only if that fails, with
 * a negative errno and everything as it was.
 */
int succession_execute(
	const char *binary, char *const argv[], const struct estate *estate, int config_fd);
