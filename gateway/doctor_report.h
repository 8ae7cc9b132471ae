/*
 * doctor_report - what the checks of "sixgatectl doctor" have found, and how it is shown.
 *
 * A finding names its check, what it is about, and, where one command mends it, that command: as
 * root would type it, with nothing left to fill in. What is in it of names and addresses from
 * outside is quoted for a shell (doctor_quote), as somebody will paste it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* In this order each is worse than the one before: doctor_worst(). */
enum doctor_status {
	DOCTOR_OK,
	DOCTOR_WARN,
	DOCTOR_UNKNOWN, /* could not be looked at; text says why */
	DOCTOR_WRONG,
	DOCTOR_STATUS_COUNT
};

/* Texts are UTF-8, without what a terminal would obey. */
struct doctor_finding {
	const char *check; /* static: "link", "address", ... */
	char *subject;	   /* what it is about: a link, an address, a pool; findings may share it */
	enum doctor_status status;
	char *text; /* a sentence without its full stop */
	char *mend; /* NULL: no command alone does it */
};

struct doctor_report {
	struct doctor_finding *findings;
	size_t n_findings;
	bool incomplete; /* there was no memory for a finding */
	bool unreadable; /* something wants a capability that we do not have */
};

/*
 * Adds a finding. Takes over mend, which was allocated or is NULL, also for want of memory: then
 * the finding is told without it. check must be static, subject is copied. Without memory the
 * report is incomplete, and says so. A command with anything but printable ASCII in it is left out.
 */
__attribute__((format(printf, 6, 7))) void doctor_add(struct doctor_report *report,
	const char *check, const char *subject, enum doctor_status status, char *mend,
	const char *format, ...);

/* Takes a zeroed one. */
void doctor_report_clear(struct doctor_report *report);

size_t doctor_count(const struct doctor_report *report, enum doctor_status status);
/* The worst status that the check has for the subject, or for any (NULL); OK if it has none. */
enum doctor_status doctor_worst(
	const struct doctor_report *report, const char *check, const char *subject);

/*
 * To standard output: one line per finding, and an indented one for its command; or one JSON
 * object. 0 or -ENOMEM.
 */
int doctor_print(const struct doctor_report *report, bool json);

/* "ok", "warn", "unknown", "wrong" */
const char *doctor_status_name(enum doctor_status status);

/* Formatted into memory of its own; NULL: no memory. */
__attribute__((format(printf, 1, 2))) char *doctor_text(const char *format, ...);

/* word for a shell, quoted if need be. The caller frees it; NULL: no memory. */
char *doctor_quote(const char *word);
