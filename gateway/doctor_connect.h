/*
 * doctor_connect - tries to connect to the servers.
 */
#pragma once

#include "doctor_facts.h"

#define DOCTOR_CONNECT_MAX 256
#define DOCTOR_CONNECT_MS  1000
#define DOCTOR_ANSWER_MS   300

/*
 * "connect": the first DOCTOR_CONNECT_MAX servers answer within a second, all at once, from their
 * pool's first source. Servers of UDP listeners are not tried: only they know what is answered.
 *
 * "header": where all clients have a PROXY header, servers are sent one that names nobody, as a
 * health check does, and have DOCTOR_ANSWER_MS to say something. Then the connections are reset.
 */
void doctor_check_connect(const struct doctor_facts *facts, struct doctor_report *report);
