/*
 * doctor_site - checks of links, addresses and listening sockets.
 *
 * What follows from another fault (no address on a link that is down) is reported as unknown, so
 * that the fault itself stands out.
 *
 * Here and in the other doctor_*.h each check is a function of facts, which it does not change, and
 * adds its findings to the report, also that all is well; the word in quotes is what findings call
 * it. Where nothing of the kind is configured it says nothing.
 */
#pragma once

#include "doctor_facts.h"

/* "link": the links of the section network, those towards backends, and lo are there and up. */
void doctor_check_links(const struct doctor_facts *facts, struct doctor_report *report);
/* "ipv6": it is enabled where IPv6 addresses are wanted. */
void doctor_check_ipv6(const struct doctor_facts *facts, struct doctor_report *report);
/* "address": what is wanted is in its place, and listeners' addresses are on this machine. */
void doctor_check_addresses(const struct doctor_facts *facts, struct doctor_report *report);
/* "source": pools' source addresses are on this machine. */
void doctor_check_sources(const struct doctor_facts *facts, struct doctor_report *report);
/* "listener": a socket listens for every bind. */
void doctor_check_listeners(const struct doctor_facts *facts, struct doctor_report *report);
