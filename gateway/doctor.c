#include "doctor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "doctor_connect.h"
#include "doctor_facts.h"
#include "doctor_limits.h"
#include "doctor_names.h"
#include "doctor_networkd.h"
#include "doctor_path.h"
#include "doctor_report.h"
#include "doctor_routing.h"
#include "doctor_site.h"

/*
 * Without an answer of the kernel's there are no facts for the checks of the network, and each of
 * them would say the same; so it is said once. What stands in files can be looked at all the same.
 */
typedef void check(const struct doctor_facts *facts, struct doctor_report *report);

static void check_names(const struct doctor_facts *facts, struct doctor_report *report)
{
	doctor_names_report(&facts->names, report);
}

/* In the order of the path, so that a cause comes before what follows from it. */
static check *const of_network[] = {
	doctor_check_links,
	doctor_check_ipv6,
	doctor_check_addresses,
	doctor_check_rules,
	doctor_check_routes,
	doctor_check_nft,
	doctor_check_sources,
	check_names,
	doctor_check_backends,
	doctor_check_mtu,
	doctor_check_rp_filter,
};

static check *const of_machine[] = {
	doctor_check_listeners,
	doctor_check_forwarding,
	doctor_check_networkd,
	doctor_check_conntrack,
	doctor_check_ports,
	doctor_check_somaxconn,
	doctor_check_files,
};

void doctor_check(const struct doctor_facts *facts, struct doctor_report *report)
{
	if (facts->net_error)
		doctor_add(report, "network", "kernel", DOCTOR_UNKNOWN, NULL,
			"links, addresses, routes and rules cannot be read: %s",
			strerror(-facts->net_error));
	for (size_t i = 0; i < sizeof(of_network) / sizeof(of_network[0]) && !facts->net_error; i++)
		of_network[i](facts, report);
	for (size_t i = 0; i < sizeof(of_machine) / sizeof(of_machine[0]); i++)
		of_machine[i](facts, report);
}

int doctor_run(const struct config *config, const char *path, const struct doctor_options *options)
{
	struct doctor_report report = { 0 };
	struct doctor_facts facts;
	int err, status;

	err = doctor_facts_gather(config, path, &facts);
	if (err) {
		fprintf(stderr, "sixgatectl: %s\n", strerror(-err));
		return EX_OSERR;
	}
	doctor_check(&facts, &report);
	if (options->connect)
		doctor_check_connect(&facts, &report);
	err = doctor_print(&report, options->json);
	if (!err && report.incomplete)
		err = -ENOMEM;
	status = doctor_count(&report, DOCTOR_WRONG) > 0 ? 1 : report.unreadable ? EX_NOPERM : 0;
	if (err) {
		fprintf(stderr, "sixgatectl: %s\n", strerror(-err));
		status = EX_OSERR;
	}
	doctor_report_clear(&report);
	doctor_facts_clear(&facts);
	return status;
}
