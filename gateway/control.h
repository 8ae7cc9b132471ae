/*
 * control - the socket on which the supervisor is asked and told, sixgatectl(8).
 *
 * A UNIX stream socket, RUN-DIRECTORY/control.sock; the protocol is control_request.h's. Modules
 * put their commands into a table before the socket is opened; each is answered at once, from the
 * supervisor's loop, so a command must not wait for anything. Root and the supervisor's own user
 * may use all commands; whoever else the socket's mode lets in, those that only look.
 *
 * Limits: so many connections, so long a request, so many bytes of answers that nobody has read
 * yet, so long a silence. What is over a limit is counted and said in the log.
 *
 * The supervisor's alone: a child lets go of it first of all (control_abandon). Who asks is what
 * the kernel says of the other end (SO_PEERCRED, unix(7)), never what a request says of itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control_request.h"
#include "loop.h"

#define CONTROL_SOCKET	     "control.sock"
#define CONTROL_COMMANDS_MAX 64U
#define CONTROL_CLIENTS_MAX  64U
#define CONTROL_READERS_MAX  48U       /* of these: may only look */
#define CONTROL_IDLE_MS	     30000U    /* without a whole request for so long: closed */
#define CONTROL_CROWDED_MS   1000U     /* ... while others wait for room */
#define CONTROL_QUEUED_MAX   33554432U /* bytes of answers of all connections */

/*
 * What a command does. args have been checked against its params and may be NULL. 0, and
 * *ret_result may be an object that is taken over, or stays NULL for an empty one; or a negative
 * errno with error filled (control_fail). Without a text the answer says strerror(). It runs
 * between other events of the loop and must not call back into control; strings of args live until
 * it returns.
 */
typedef int control_run(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error);

struct control_command {
	const char *name;
	const char *summary;	 /* a few words, for "commands" */
	bool needs_write;	 /* it changes something */
	const char *writes_with; /* with this argument it does, and needs that right; or NULL */
	struct control_param params[CONTROL_PARAMS_MAX + 1]; /* the rest: name NULL */
	control_run *run;
	void *userdata;
};

struct control;

/* Knows the command "commands" only. The loop must outlive it. NULL without memory. */
struct control *control_new(struct loop *loop);

/*
 * Before the socket is opened; the row is copied, its strings and userdata must outlive it. At most
 * CONTROL_COMMANDS_MAX; no two commands may share a name.
 */
void control_add(struct control *control, const struct control_command *command);

/*
 * Makes the directory if it is missing, and opens the socket in it. group: whose members may ask
 * what changes nothing; NULL: the supervisor's own. If there is no such group it is nobody's but
 * the supervisor's, and the log says so. 0 or a negative errno, after a line in the log that says
 * what to do: a gateway without it works, but cannot be asked. -EADDRINUSE: another gateway holds
 * the directory; -EEXIST: something that is no socket is in its place, and is left alone.
 */
int control_open(struct control *control, const char *run_directory, const char *group);

/* The counters as an object; and those that are not 0 into the log. Takes NULL, like the next two.
 */
json_t *control_json(const struct control *control);
void control_log(const struct control *control);
/* In a child: lets go of the descriptors, which go on in the parent. */
void control_abandon(struct control *control);
/* Removes the socket. */
void control_free(struct control *control);
