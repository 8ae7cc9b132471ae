/*
 * doctor - walks the whole path from clients to servers and says what is wrong with it.
 *
 * It changes nothing. What the checks are is in sixgatectl(8).
 *
 * Facts are gathered once (doctor_facts), looked at by checks, which are functions of facts alone
 * and so can be tested with any, and what they find is a report (doctor_report). A check names one
 * cause: what only follows from another fault is unknown, and not wrong.
 *
 * sixgatectl's, and for people who wait: it may take some seconds, for names that do not resolve
 * and servers that do not answer. The gateway need not run, and nothing is asked of it but whether
 * it accepts at its control socket.
 */
#pragma once

#include <stdbool.h>

#include "config.h"

struct doctor_options {
	bool json;
	bool connect; /* try the servers */
};

/*
 * Gathers, checks and prints; path is the file that config was read from. 0: nothing is wrong; 1:
 * something is; 77: nothing that could be seen is, but not all could be; 71: it could not be done,
 * for want of memory mostly.
 */
int doctor_run(const struct config *config, const char *path, const struct doctor_options *options);

struct doctor_facts;
struct doctor_report;

/* All checks but that of connecting: of facts alone, as tests make them too. */
void doctor_check(const struct doctor_facts *facts, struct doctor_report *report);
