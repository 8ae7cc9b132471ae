#include "journal.h"

#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

/* Without it sd_journal_send() does nothing, and calls that success. */
#define SOCKET_PATH "/run/systemd/journal/socket"

void journal_log(void *userdata, enum log_level level, const char *line, size_t len)
{
	static const int priorities[LOG_LEVEL_COUNT] = { LOG_ERR, LOG_WARNING, LOG_INFO,
		LOG_DEBUG };

	(void)userdata;
	(void)sd_journal_send("MESSAGE=%.*s", (int)len, line, "PRIORITY=%i", priorities[level],
		"SYSLOG_IDENTIFIER=sixgated", NULL);
}

int journal_access(const char *json)
{
	return sd_journal_send("MESSAGE=%s", json, "PRIORITY=%i", LOG_INFO,
		"SYSLOG_IDENTIFIER=sixgated", "SIXGATE_RECORD=access", NULL);
}

void journal_begin(bool log, bool access_log)
{
	bool there = access(SOCKET_PATH, F_OK) == 0;

	if (log && there)
		log_set_sink(journal_log, NULL);
	if (log && !there)
		log_warning("log: no journal listens at " SOCKET_PATH
			    "; lines go to standard error instead");
	if (access_log && !there)
		log_warning("access log: no journal listens at " SOCKET_PATH
			    "; records are lost as long as there is none: name a file instead");
}
