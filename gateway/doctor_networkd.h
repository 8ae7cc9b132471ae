/*
 * doctor_networkd - check of systemd-networkd, which removes routes and rules of others.
 *
 * Source: networkd.conf(5), systemd.unit(5) on the order of drop-ins.
 */
#pragma once

#include "doctor_facts.h"

/* "networkd": it does not run here, or leaves what is not its own alone. */
void doctor_check_networkd(const struct doctor_facts *facts, struct doctor_report *report);
