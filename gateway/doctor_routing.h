/*
 * doctor_routing - checks of the rule, the local routes and the nftables table that bring packets
 * to the gateway.
 */
#pragma once

#include "doctor_facts.h"

/* "rule": ours is there, and no other rule takes its packets before it. */
void doctor_check_rules(const struct doctor_facts *facts, struct doctor_report *report);
/* "route": local routes are there; "neighbours": no prefix cuts off a subnet of an interface. */
void doctor_check_routes(const struct doctor_facts *facts, struct doctor_report *report);
/* "nftables": the table is as it was made. */
void doctor_check_nft(const struct doctor_facts *facts, struct doctor_report *report);
