/*
 * doctor_names - where the backends that are names are, looked up once, as the gateway would: by
 * the same dns.h, with a loop of its own.
 */
#pragma once

#include "config.h"
#include "dns.h"
#include "doctor_report.h"

struct doctor_name {
	size_t pool; /* index in config.pools */
	const struct config_name *config;
	enum dns_outcome outcome;
	char *reason;	       /* why not found, or not answered; also if time was over */
	struct in_addr *addrs; /* sorted; the first config->n of them would be used */
	size_t n_addrs;
};

struct doctor_names {
	const struct config *config;
	struct doctor_name *names; /* in the order of the pools */
	size_t n_names;
};

/* Waits for the answers, 10 s at most. config must outlive them. 0 or a negative errno. */
int doctor_names_look_up(const struct config *config, struct doctor_names *ret_names);
void doctor_names_clear(struct doctor_names *names);

/* Check "name". */
void doctor_names_report(const struct doctor_names *names, struct doctor_report *report);
