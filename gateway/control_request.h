/*
 * control_request - the control protocol as text: requests in, answers out. No socket.
 *
 * A request is one line of JSON, an answer is one line. sixgatectl(8), CONTROL PROTOCOL, has the
 * fields and the words; the version is raised when a reader of old answers would misunderstand new
 * ones.
 *
 * Used by the supervisor, which answers. Requests come from anybody whom the socket's mode lets in:
 * nothing here trusts them, and tests/fuzz has a target for it.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_VERSION	    1
#define CONTROL_REQUEST_MAX 65536U /* bytes of a request, with its newline */
#define CONTROL_PARAMS_MAX  8U	   /* of one command */
#define CONTROL_ERROR_MAX   240U

/* Why there is no result. */
enum control_code {
	CONTROL_BAD_REQUEST, /* not a request as the protocol has them */
	CONTROL_TOO_LARGE,   /* longer than CONTROL_REQUEST_MAX; the connection is closed */
	CONTROL_UNKNOWN_COMMAND,
	CONTROL_BAD_ARGUMENT,
	CONTROL_NOT_PERMITTED, /* it changes something, and this user may only look */
	CONTROL_NOT_FOUND,     /* what it is about is not there */
	CONTROL_UNAVAILABLE,   /* switched off, or not to be had on this machine */
	CONTROL_BUSY,	       /* too much at a time: ask again */
	CONTROL_FAILED,	       /* anything else */
	CONTROL_CODE_COUNT
};

struct control_error {
	enum control_code code;
	/* What is wrong and what would be right; "": not said. Always text that JSON can hold. */
	char text[CONTROL_ERROR_MAX];
};

/* Fills error and returns err, so that a command can end in it. */
int control_fail(struct control_error *error, int err, enum control_code code, const char *format,
	...) __attribute__((format(printf, 4, 5)));

enum control_kind {
	CONTROL_TEXT,
	CONTROL_NUMBER, /* whole, not negative */
	CONTROL_FLAG,	/* true or false */
};

/* One argument of a command. */
struct control_param {
	const char *name;
	enum control_kind kind;
	bool required;
};

struct control_request {
	json_t *root;	     /* what the next two are part of */
	const char *command; /* not yet known to be one */
	const json_t *args;  /* an object, or NULL: there are none */
};

/*
 * The request in a line of len bytes; a newline at its end does not matter. 0; or -EINVAL, error is
 * filled then; -ENOMEM. Clear it with control_request_clear(); ret is untouched on failure. Keys
 * that the protocol does not know, and those that are there twice, are refused: a mistyped word
 * must not be a command that does something else.
 */
int control_request_parse(
	const char *line, size_t len, struct control_request *ret, struct control_error *error);
/* Takes a zeroed one. */
void control_request_clear(struct control_request *request);

/*
 * Whether args, which may be NULL, are what params (up to a name NULL) say: 0, or -EINVAL and error
 * is filled. An argument that no param names is refused, too.
 */
int control_check_args(
	const json_t *args, const struct control_param *params, struct control_error *error);

/*
 * An argument that has been checked; NULL, the given default, or false if it is not there. The text
 * belongs to args. args may be NULL.
 */
const char *control_text(const json_t *args, const char *name);
uint64_t control_number(const json_t *args, const char *name, uint64_t otherwise);
bool control_flag(const json_t *args, const char *name);

/*
 * The line of an answer with its newline, to be freed; ret_len without its NUL. The result is taken
 * over, NULL stands for an empty object. NULL without memory.
 */
char *control_answer(json_t *result, size_t *ret_len);
char *control_answer_error(const struct control_error *error, size_t *ret_len);

/* The word for it in answers; static. Both are part of the protocol: a word never changes. */
const char *control_code_name(enum control_code code);
const char *control_kind_name(enum control_kind kind);
