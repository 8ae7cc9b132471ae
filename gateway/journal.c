#include "journal.h"

#include <syslog.h>
#include <systemd/sd-journal.h>

void journal_log(void *userdata, enum log_level level, const char *line, size_t len)
{
	static const int priorities[LOG_LEVEL_COUNT] = { LOG_ERR, LOG_WARNING, LOG_INFO,
		LOG_DEBUG };

	(void)userdata;
	(void)sd_journal_send("MESSAGE=%.*s", (int)len, line, "PRIORITY=%i", priorities[level],
		"SYSLOG_IDENTIFIER=sixgated", NULL);
}

void journal_access(const char *json)
{
	(void)sd_journal_send("MESSAGE=%s", json, "PRIORITY=%i", LOG_INFO,
		"SYSLOG_IDENTIFIER=sixgated", "SIXGATE_RECORD=access", NULL);
}
