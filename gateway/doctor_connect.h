/*
 * doctor_connect - tries to connect to the servers.
 */
#pragma once

#include "doctor_facts.h"

#define DOCTOR_CONNECT_MAX 256
#define DOCTOR_CONNECT_MS  1000

/*
 * "connect": the first DOCTOR_CONNECT_MAX servers answer within a second, all at once, from their
 * pool's first source. The connections are reset at once. Servers of UDP listeners are not tried:
 * only they know what is answered.
 */
void doctor_check_connect(const struct doctor_facts *facts, struct doctor_report *report);
