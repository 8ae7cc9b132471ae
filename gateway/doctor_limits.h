/*
 * doctor_limits - checks of what the kernel allows: forwarding, tables, ports, queues, files.
 */
#pragma once

#include "doctor_facts.h"

/* "forwarding": what transparent servers need of their router, and what routing costs us. */
void doctor_check_forwarding(const struct doctor_facts *facts, struct doctor_report *report);
/* "conntrack": the table is not about to be full. */
void doctor_check_conntrack(const struct doctor_facts *facts, struct doctor_report *report);
/* "ports": there are source ports enough towards each backend. */
void doctor_check_ports(const struct doctor_facts *facts, struct doctor_report *report);
/* "somaxconn": accept queues may be as long as listeners ask for. */
void doctor_check_somaxconn(const struct doctor_facts *facts, struct doctor_report *report);
/* "files": the limit of open files. */
void doctor_check_files(const struct doctor_facts *facts, struct doctor_report *report);
