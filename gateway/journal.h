/*
 * journal - log lines and access records for systemd's journal, sd_journal_send(3).
 */
#pragma once

#include "log.h"

/* A log_sink. */
void journal_log(void *userdata, enum log_level level, const char *line, size_t len);

/* One access record, a line of JSON; it carries SIXGATE_RECORD=access, to be found by. */
void journal_access(const char *json);
