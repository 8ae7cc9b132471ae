/*
 * succession - how the supervisor becomes another image of itself: for a new configuration, a new
 * release, or both.
 *
 * First a trial: the binary is run as a child that reads the configuration, starts workers that
 * serve nobody, and ends. If that goes well, the supervisor executes the same binary with the same
 * configuration in its own place, with the same process id, and leaves it its estate (estate.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "estate.h"
#include "loop.h"

#define SUCCESSION_TRIAL_MS   10000U
#define SUCCESSION_REASON_MAX 512U

/* What an image finds when it begins. */
struct succession_inheritance {
	bool trial;	       /* it is to say whether it could, and to end */
	struct estate *estate; /* NULL: it is the first; freed by the caller */
	int config_fd;	       /* the configuration's text; -1: to be read from its file */
};

/*
 * From the environment, which is cleared of it. 0 or a negative errno; an estate of another version
 * is -EPROTONOSUPPORT, and then its descriptors stay open, as nobody knows what they are.
 */
int succession_inherit(struct succession_inheritance *ret_inheritance);

/* ok, or the last that the trial said. */
typedef void succession_done(void *userdata, bool ok, const char *reason);

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
 * go along. config_fd as above. 0 or a negative errno: -EALREADY, -ENOENT, ...; done is called
 * later, only after 0.
 */
int succession_try(struct succession *succession, const char *binary, char *const argv[],
	const struct estate *estate, int config_fd);

/* A child has ended: true if it was the trial, whose outcome done has been told then. */
bool succession_reaped(struct succession *succession, pid_t pid, int status);

/* In another child: lets go of it. */
void succession_abandon(struct succession *succession);
/* Ends a trial that is under way; done is not called. */
void succession_end(struct succession *succession);

/*
 * Executes the binary, which gets the estate with its descriptors. Returns only if that fails, with
 * a negative errno and everything as it was.
 */
int succession_execute(
	const char *binary, char *const argv[], const struct estate *estate, int config_fd);
