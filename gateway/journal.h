/*
 * journal - log lines and access records for systemd's journal, sd_journal_send(3).
 *
 * By the logger, which may wait.
 */
#pragma once

#include <stdbool.h>

#include "log.h"

/* Makes it the sink of log lines, where they are to go there; says so if there is no journal. */
void journal_begin(bool log, bool access_log);

/* A log_sink. */
void journal_log(void *userdata, enum log_level level, const char *line, size_t len);

/* One access record, a line of JSON; it carries SIXGATE_RECORD=access, to be found by.
 * 0 or a negative errno. */
int journal_access(const char *json);
