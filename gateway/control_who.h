/*
 * control_who - the control command "who": text in, entries of who.h out, as JSON; and what other
 * commands about entries share with it.
 *
 * Arguments: source, like "10.0.0.5:41234"; and, to tell several answers apart, backend, protocol
 * and at (wall_time.h). sixgatectl(8) has the keys of the result.
 *
 * Read by the supervisor from shared memory that workers write meanwhile (who.h): an answer is as
 * of the moment in which each entry was read.
 */
#pragma once

#include <stddef.h>

#include "control.h"
#include "stats.h"
#include "who.h"

/* A server's clock may differ so much, and its log may be written so late. */
#define CONTROL_WHO_SLACK_US 2000000U
#define CONTROL_WHO_ANSWERS  64U /* the latest ones, if there are more */

struct control_who {
	const struct config *config;
	const struct who *who; /* NULL: it is switched off, or there was no memory */
	const struct stats *stats;
	size_t n_workers;
};

/* It must outlive the control. */
void control_who_add(struct control *control, struct control_who *who);

/* Arguments: 0, or -EINVAL with error filled and ret untouched. text is not NULL. */
int control_who_source(const char *text, struct sockaddr_any *ret, struct control_error *error);
int control_who_backend(const char *text, struct sockaddr_any *ret, struct control_error *error);
int control_who_protocol(const char *text, uint8_t *ret, struct control_error *error);

/* An entry as sixgatectl(8) has it. NULL without memory. */
json_t *control_who_entry(const struct who_entry *entry);

/* 0; or -ENOTSUP, and error says why there is no table. */
int control_who_check(
	const struct config *config, const struct who *who, struct control_error *error);
