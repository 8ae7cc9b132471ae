#include "log.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const level_names[] = { "error", "warning", "info", "debug" };
static_assert(sizeof(level_names) / sizeof(level_names[0]) == LOG_LEVEL_COUNT, "a name a level");

static struct {
	enum log_level level;
	uint32_t *word; /* NULL: level counts */
	log_sink *sink;
	void *userdata;
	char last_error[LOG_LINE_MAX];
} log_state = { .level = LOG_LEVEL_INFO, .sink = log_to_stderr };

const char *log_level_name(enum log_level level)
{
	assert(level < LOG_LEVEL_COUNT);
	return level_names[level];
}

void log_set_level(enum log_level level)
{
	assert(level < LOG_LEVEL_COUNT);
	log_state.level = level;
	if (log_state.word)
		__atomic_store_n(log_state.word, (uint32_t)level, __ATOMIC_RELAXED);
}

enum log_level log_get_level(void)
{
	uint32_t level;

	if (!log_state.word)
		return log_state.level;
	/* A process that went mad may have written anything. */
	level = __atomic_load_n(log_state.word, __ATOMIC_RELAXED);
	return level < LOG_LEVEL_COUNT ? (enum log_level)level : LOG_LEVEL_DEBUG;
}

void log_share_level(uint32_t *word)
{
	log_state.level = log_get_level();
	log_state.word = word;
	log_set_level(log_state.level);
}

void log_set_sink(log_sink *sink, void *userdata)
{
	log_state.sink = sink ? sink : log_to_stderr;
	log_state.userdata = userdata;
}

void log_write(enum log_level level, const char *format, ...)
{
	char line[LOG_LINE_MAX];
	va_list args;
	int len;

	if (!log_wants(level))
		return;
	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (len < 0)
		return;
	if ((size_t)len >= sizeof(line))
		len = sizeof(line) - 1;
	/* Text from outside must not be able to make a line of its own. */
	for (int i = 0; i < len; i++)
		if ((unsigned char)line[i] < ' ')
			line[i] = ' ';
	if (level == LOG_LEVEL_ERROR)
		memcpy(log_state.last_error, line, (size_t)len + 1);
	log_state.sink(log_state.userdata, level, line, (size_t)len);
}

const char *log_last_error(void)
{
	return log_state.last_error;
}

/* systemd puts device and inode of the journal's socket into JOURNAL_STREAM (systemd.exec(5)). */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat st;
	char ours[64];

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	(void)snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, ours) == 0;
}

void log_to_stderr(void *userdata, enum log_level level, const char *line, size_t len)
{
	static const char priority[LOG_LEVEL_COUNT] = { '3', '4', '6', '7' };
	char text[LOG_LINE_MAX + 32];
	ssize_t written;
	int n;

	(void)userdata;
	assert(level < LOG_LEVEL_COUNT && len < LOG_LINE_MAX);
	if (stderr_is_journal())
		n = snprintf(text, sizeof(text), "<%c>%.*s\n", priority[level], (int)len, line);
	else
		n = snprintf(text, sizeof(text), "sixgated: %s%s%.*s\n",
			level == LOG_LEVEL_INFO ? "" : level_names[level],
			level == LOG_LEVEL_INFO ? "" : ": ", (int)len, line);
	assert(n > 0 && (size_t)n < sizeof(text));
	written = write(STDERR_FILENO, text, (size_t)n);
	(void)written; /* nobody is left to be told */
}

bool log_allowed(struct log_limit *limit, uint64_t now_ms, unsigned *ret_suppressed)
{
	if (limit->lines == 0 || now_ms - limit->since_ms >= LOG_LIMIT_MS) {
		limit->since_ms = now_ms;
		limit->lines = 0;
	}
	if (limit->lines >= LOG_LIMIT_BURST) {
		limit->suppressed++;
		return false;
	}
	limit->lines++;
	*ret_suppressed = limit->suppressed;
	limit->suppressed = 0;
	return true;
}
