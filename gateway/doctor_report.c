#include "doctor_report.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

static const char *const status_names[DOCTOR_STATUS_COUNT] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_WARN] = "warn",
	[DOCTOR_UNKNOWN] = "unknown",
	[DOCTOR_WRONG] = "wrong",
};

const char *doctor_status_name(enum doctor_status status)
{
	assert(status < DOCTOR_STATUS_COUNT);
	return status_names[status];
}

char *doctor_text(const char *format, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	return len < 0 ? NULL : text;
}

/* Nothing in it that a shell would take for something else. */
static bool is_plain(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_-+=/.,:@%";

	return *word && strspn(word, plain) == strlen(word);
}

char *doctor_quote(const char *word)
{
	char *quoted, *p;

	if (is_plain(word))
		return strdup(word);
	quoted = malloc(strlen(word) * 4 + 3);
	if (!quoted)
		return NULL;
	p = quoted;
	*p++ = '\'';
	for (; *word; word++) {
		if (*word == '\'')
			p = stpcpy(p, "'\\''");
		else
			*p++ = *word;
	}
	*p++ = '\'';
	*p = '\0';
	return quoted;
}

/* A command that would have to be shown differently from what it is, is no command to be typed. */
static char *check_mend(char *mend)
{
	for (const char *p = mend; p && *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f) {
			free(mend);
			return NULL;
		}
	return mend;
}

static struct doctor_finding *new_finding(struct doctor_report *report)
{
	struct doctor_finding *bigger =
		reallocarray(report->findings, report->n_findings + 1, sizeof(*report->findings));

	if (!bigger)
		return NULL;
	report->findings = bigger;
	return &bigger[report->n_findings];
}

/*
 * Fit for a terminal, and for JSON, which must be UTF-8: jansson is asked whether it is. If not,
 * all of it that is beyond ASCII goes.
 */
static void clean(char *text)
{
	json_t *probe;

	config_clean_text(text);
	probe = json_string(text);
	for (; !probe && *text; text++)
		if ((unsigned char)*text >= 0x80)
			*text = '?';
	json_decref(probe);
}

void doctor_add(struct doctor_report *report, const char *check, const char *subject,
	enum doctor_status status, char *mend, const char *format, ...)
{
	struct doctor_finding *finding = new_finding(report);
	struct doctor_finding made = { .check = check, .status = status };
	va_list args;

	va_start(args, format);
	if (vasprintf(&made.text, format, args) < 0)
		made.text = NULL;
	va_end(args);
	made.subject = strdup(subject);
	if (!finding || !made.text || !made.subject) {
		free(made.text);
		free(made.subject);
		free(mend);
		report->incomplete = true;
		return;
	}
	clean(made.text);
	clean(made.subject);
	made.mend = check_mend(mend);
	*finding = made;
	report->n_findings++;
}

void doctor_report_clear(struct doctor_report *report)
{
	for (size_t i = 0; i < report->n_findings; i++) {
		free(report->findings[i].subject);
		free(report->findings[i].text);
		free(report->findings[i].mend);
	}
	free(report->findings);
	*report = (struct doctor_report){ 0 };
}

size_t doctor_count(const struct doctor_report *report, enum doctor_status status)
{
	size_t n = 0;

	for (size_t i = 0; i < report->n_findings; i++)
		n += report->findings[i].status == status;
	return n;
}

enum doctor_status doctor_worst(
	const struct doctor_report *report, const char *check, const char *subject)
{
	enum doctor_status worst = DOCTOR_OK;

	for (size_t i = 0; i < report->n_findings; i++) {
		const struct doctor_finding *finding = &report->findings[i];

		if (strcmp(finding->check, check) == 0 &&
			(!subject || strcmp(finding->subject, subject) == 0) &&
			finding->status > worst)
			worst = finding->status;
	}
	return worst;
}

/* ---- output ---- */

static void print_text(const struct doctor_report *report)
{
	for (size_t i = 0; i < report->n_findings; i++) {
		const struct doctor_finding *finding = &report->findings[i];

		/* What is wrong is to catch the eye. */
		printf("%-7s %s\n",
			finding->status == DOCTOR_WRONG ? "WRONG"
							: doctor_status_name(finding->status),
			finding->text);
		if (finding->mend)
			printf("        mend: %s\n", finding->mend);
	}
}

static json_t *finding_json(const struct doctor_finding *finding)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s?}", "check", finding->check, "subject",
		finding->subject, "status", doctor_status_name(finding->status), "text",
		finding->text, "mend", finding->mend);
}

/* That it could not be written is found out at the program's end (std_streams.h). */
static int print_json(const struct doctor_report *report)
{
	json_t *checks = json_array(), *root;
	int err = checks ? 0 : -ENOMEM;

	for (size_t i = 0; i < report->n_findings && !err; i++)
		if (json_array_append_new(checks, finding_json(&report->findings[i])) < 0)
			err = -ENOMEM;
	root = json_pack(
		"{s:b, s:o}", "ok", doctor_count(report, DOCTOR_WRONG) == 0, "checks", checks);
	if (!root || err || (json_dumpf(root, stdout, JSON_COMPACT) < 0 && !ferror(stdout)))
		err = -ENOMEM;
	else
		putchar('\n');
	json_decref(root);
	return err;
}

int doctor_print(const struct doctor_report *report, bool json)
{
	if (json)
		return print_json(report);
	print_text(report);
	return 0;
}
