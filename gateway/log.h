/*
 * log - lines for the operator.
 *
 * Lines go to a sink, standard error unless set otherwise; a process chooses it once, at start.
 * Level, sink and last error are the one piece of state that the whole process shares; the level
 * may lie in memory that other processes have, too. Never called on the relay's hot path; what an
 * outsider can provoke goes through a log_limit.
 *
 * A line says what is wrong, what that means, and what to do, in this order. Levels: error:
 * something does not work; warning: it works, but not as was asked for, or not for everybody; info:
 * what has changed; debug: what else might explain it. Not for threads: each process has one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_COUNT
};

#define LOG_LINE_MAX 240 /* longer lines are cut */

/* line has len bytes, no newline, and a NUL behind it. */
typedef void log_sink(void *userdata, enum log_level level, const char *line, size_t len);

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/*
 * The level as it is goes into the word, and is looked up there from now on: whoever shares that
 * memory has one level. NULL: it is the process's own again, as it was last.
 */
void log_share_level(uint32_t *word);

/* Whether such a line is written; for lines that would cost something to make. */
static inline bool log_wants(enum log_level level)
{
	return level <= log_get_level();
}

/* NULL restores standard error. */
void log_set_sink(log_sink *sink, void *userdata);

/*
 * Control characters in what it formats become blanks: no text from outside makes a line of its
 * own. errno is not kept. Cut to LOG_LINE_MAX - 1 bytes.
 */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The last line of level error that this process has written; empty: there was none. */
const char *log_last_error(void);

/* The default sink: one write(2) to standard error, "<N>" in front if that is the journal. */
void log_to_stderr(void *userdata, enum log_level level, const char *line, size_t len);

const char *log_level_name(enum log_level level);

#define log_error(...)	 log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* At most LOG_LIMIT_BURST lines of one kind in LOG_LIMIT_MS; start it as all zero. */
#define LOG_LIMIT_BURST 5U
#define LOG_LIMIT_MS	10000U

struct log_limit {
	uint64_t since_ms;   /* when the first of "lines" was written */
	unsigned lines;	     /* written since then */
	unsigned suppressed; /* not written since the last one that was */
};

/*
 * Whether the line may be written now. ret_suppressed: how many of its kind were not since the last
 * one that was, to be named in the line; untouched if it may not. now_ms: of the monotonic clock.
 */
bool log_allowed(struct log_limit *limit, uint64_t now_ms, unsigned *ret_suppressed);
