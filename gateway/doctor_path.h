/*
 * doctor_path - checks of the way to the servers and back.
 */
#pragma once

#include "doctor_facts.h"

/* "backend": there is a usable route to it. */
void doctor_check_backends(const struct doctor_facts *facts, struct doctor_report *report);
/*
 * "mtu": the way to a backend takes packets as large as those of clients. What the kernel knows of
 * it: links, routes, and what routers have said; nothing is sent to find out more.
 */
void doctor_check_mtu(const struct doctor_facts *facts, struct doctor_report *report);
/* "rp_filter": no strict filter drops what comes back on another link than it would leave by. */
void doctor_check_rp_filter(const struct doctor_facts *facts, struct doctor_report *report);
