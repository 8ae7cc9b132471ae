/*
 * doctor_connect - tries to connect to the servers.
 *
 * The only check that sends anything; names are asked for before.
 */
#pragma once

#include "doctor_facts.h"

#define DOCTOR_CONNECT_MAX 256	/* a descriptor each, all at once */
#define DOCTOR_CONNECT_MS  1000 /* for all of them together, like the next */
#define DOCTOR_ANSWER_MS   300	/* a server that takes the header mostly says nothing */

/*
 * "connect": the first DOCTOR_CONNECT_MAX servers answer within a second, all at once, from their
 * pool's first source. Servers of UDP listeners are not tried: only they know what is answered.
 *
 * "header": where all clients have a PROXY header, servers are sent one that names nobody, as a
 * health check does, and have DOCTOR_ANSWER_MS to say something. Then the connections are reset.
 */
void doctor_check_connect(const struct doctor_facts *facts, struct doctor_report *report);
