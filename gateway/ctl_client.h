/*
 * ctl_client - sixgatectl's end of the control socket: asks a gateway that runs, and shows the
 * answer.
 *
 * A command of the control protocol becomes one of sixgatectl's by a row in a table: its arguments
 * and a function that prints its result.
 *
 * A program for people and scripts: it may wait, allocate and print. Exit statuses are those of
 * sysexits.h, as sixgatectl(8) has them. The gateway may be of another release, so a key that an
 * answer lacks is nothing to fail for; what it says may come from strangers (names of servers,
 * reasons of bans), so text goes through ctl_text() before a terminal sees it.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "control_request.h"

/* One argument: "--name VALUE", "--name" if it is a flag, or a word without "--" if positional. */
struct ctl_param {
	const char *name;
	enum control_kind kind;
	bool positional; /* in the order of the table */
	bool required;
};

struct ctl_command {
	const char *name;  /* in the protocol; on the command line too, unless there is "words" */
	const char *words; /* NULL, or two: "set weight" */
	struct ctl_param params[CONTROL_PARAMS_MAX + 1]; /* the rest: name NULL */
	/* To standard output; an exit status. Text in the result may be anything: ctl_text(). */
	int (*print)(const json_t *result);
	/*
	 * Where the answer is only the beginning: waits for the rest, and prints that instead. path
	 * is the socket's, json as below.
	 */
	int (*follow)(const char *path, const json_t *result, bool json);
	/*
	 * With the flag "follow", of which the gateway is not told: asks again and again, and
	 * prints what changes. args are those of the first time, path, result and json as above.
	 */
	int (*watch)(const char *path, json_t *args, const json_t *result, bool json);
	/* Does all of it: asks as often as it likes. args are the caller's. */
	int (*run)(const char *path, const json_t *args, bool json);
};

/*
 * Puts a word of the command line into args, an object, as the param's kind wants it. 0; or
 * -EINVAL: not such a value; or -ENOMEM.
 */
int ctl_client_set(json_t *args, const struct ctl_param *param, const char *word);

/*
 * Asks the gateway whose socket is at path, and prints the answer, as JSON if so wanted, or the
 * error. An exit status. args are taken over.
 */
int ctl_client_run(const struct ctl_command *command, const char *path, json_t *args, bool json);

/*
 * Asks alone. args are taken over. 0 and an answer as the protocol has it, "ok" or not, to be given
 * up by json_decref(); or a negative errno: of connect(2); -EAGAIN: none within 10 s; -ECONNRESET:
 * the gateway has hung up; -EPROTO: it is no JSON.
 */
int ctl_client_ask(const char *path, const char *command, json_t *args, json_t **ret_answer);

/*
 * The two ends of asking, for those who wait in their own way: a connected socket, for the caller
 * to close, or a negative errno; and a request as a line, to be freed, or NULL without memory (args
 * are taken over in any case). The socket waits 10 s at most for each call.
 */
int ctl_client_connect(const char *path);
char *ctl_client_request(const char *command, json_t *args);

/*
 * For printing: a text of the object without what a terminal would obey, "-" if there is none, into
 * buf, which is returned; an integer, 0 if there is none.
 */
#define CTL_TEXT_MAX 512
const char *ctl_text(const json_t *object, const char *key, char buf[CTL_TEXT_MAX]);
long long ctl_integer(const json_t *object, const char *key);
