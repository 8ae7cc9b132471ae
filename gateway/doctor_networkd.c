#include "doctor_networkd.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * Theory of operation
 *
 * The main file is the first that exists in the folders below. Of drop-ins with the same name the
 * one in the earlier folder counts; they are read in the order of their names, after the main file,
 * and the last word on a setting is the one that holds. A word that is no boolean is none.
 *
 * Without any word networkd does manage foreign routes and rules. The remedy is a drop-in of ours
 * that says no; it has to come behind the last one that says yes, which is why that is remembered.
 */
static const char *const folders[] = {
	"/etc/systemd",
	"/run/systemd",
	"/usr/local/lib/systemd",
	"/usr/lib/systemd",
};
#define N_FOLDERS    (sizeof(folders) / sizeof(folders[0]))
#define DROP_INS_MAX 256

struct settings {
	bool routes; /* ManageForeignRoutes: it removes them */
	bool rules;
	char last[NAME_MAX + 1]; /* the last drop-in that says so; "": none */
};

struct drop_in {
	char name[NAME_MAX + 1];
	const char *folder;
};

static char *trim(char *text)
{
	size_t len;

	text += strspn(text, " \t\r");
	len = strlen(text);
	while (len > 0 && strchr(" \t\r", text[len - 1]))
		text[--len] = '\0';
	return text;
}

/* 1, 0, or -1 for what systemd would pass over. */
static int parse_bool(const char *text)
{
	static const char *const words[][2] = { { "no", "yes" }, { "false", "true" }, { "0", "1" },
		{ "off", "on" }, { "n", "y" }, { "f", "t" } };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		for (int value = 0; value < 2; value++)
			if (strcasecmp(text, words[i][value]) == 0)
				return value;
	return -1;
}

static void take_line(struct settings *settings, char *line, const char *name)
{
	char *equals = strchr(line, '=');
	int value;
	bool *setting;

	if (!equals)
		return;
	*equals = '\0';
	line = trim(line);
	if (strcmp(line, "ManageForeignRoutes") == 0)
		setting = &settings->routes;
	else if (strcmp(line, "ManageForeignRoutingPolicyRules") == 0)
		setting = &settings->rules;
	else
		return;
	value = parse_bool(trim(equals + 1));
	if (value < 0)
		return;
	*setting = value;
	if (value)
		snprintf(settings->last, sizeof(settings->last), "%s", name);
}

static void take_file(
	struct settings *settings, const char *root, const char *path, const char *name)
{
	bool network = false;
	char *text, *rest, *line;

	if (doctor_proc_file(root, path, &text) < 0)
		return;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		line = trim(line);
		if (*line == '#' || *line == ';')
			continue;
		if (*line == '[')
			network = strcmp(line, "[Network]") == 0;
		else if (network)
			take_line(settings, line, name);
	}
	free(text);
}

static int compare_names(const void *a, const void *b)
{
	const struct drop_in *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static bool is_listed(const struct drop_in *drop_ins, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(drop_ins[i].name, name) == 0)
			return true;
	return false;
}

static size_t list_folder(const char *root, const char *folder, struct drop_in *drop_ins, size_t n)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	if (snprintf(path, sizeof(path), "%s%s/networkd.conf.d", root, folder) >= (int)sizeof(path))
		return n;
	dir = opendir(path);
	if (!dir)
		return n;
	while (n < DROP_INS_MAX && (entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);

		if (len <= 5 || strcmp(entry->d_name + len - 5, ".conf") != 0 ||
			entry->d_name[0] == '.' || is_listed(drop_ins, n, entry->d_name))
			continue;
		snprintf(drop_ins[n].name, sizeof(drop_ins[n].name), "%s", entry->d_name);
		drop_ins[n++].folder = folder;
	}
	closedir(dir);
	return n;
}

static int read_settings(const char *root, struct settings *ret_settings)
{
	struct settings settings = { .routes = true, .rules = true };
	struct drop_in *drop_ins = calloc(DROP_INS_MAX, sizeof(*drop_ins));
	char path[PATH_MAX];
	size_t n = 0;

	if (!drop_ins)
		return -ENOMEM;
	for (size_t i = 0; i < N_FOLDERS; i++) {
		snprintf(path, sizeof(path), "%s/networkd.conf", folders[i]);
		if (doctor_proc_exists(root, path)) {
			take_file(&settings, root, path, "");
			break;
		}
	}
	for (size_t i = 0; i < N_FOLDERS; i++)
		n = list_folder(root, folders[i], drop_ins, n);
	qsort(drop_ins, n, sizeof(*drop_ins), compare_names);
	for (size_t i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/networkd.conf.d/%s", drop_ins[i].folder,
			drop_ins[i].name);
		take_file(&settings, root, path, drop_ins[i].name);
	}
	free(drop_ins);
	*ret_settings = settings;
	return 0;
}

/* The folder of its links is there wherever systemd is; only networkd itself fills it. */
static bool is_active(const char *root)
{
	char path[PATH_MAX];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	if (doctor_proc_exists(root, "/run/systemd/netif/state"))
		return true;
	if (snprintf(path, sizeof(path), "%s/run/systemd/netif/links", root) >= (int)sizeof(path))
		return false;
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir)))
		found = entry->d_name[0] != '.';
	closedir(dir);
	return found;
}

/* A drop-in of ours, under a name that comes after whatever says otherwise. */
static char *mend_networkd(const struct doctor_facts *facts, const struct settings *settings)
{
	const char *name = strcmp(settings->last, "50-sixgate.conf") < 0   ? "50-sixgate.conf"
			   : strcmp(settings->last, "zz-sixgate.conf") < 0 ? "zz-sixgate.conf"
									   : NULL;

	if (!name)
		return NULL;
	return doctor_text("mkdir -p /etc/systemd/networkd.conf.d && printf '[Network]\\n"
			   "ManageForeignRoutes=no\\nManageForeignRoutingPolicyRules=no\\n' "
			   "> /etc/systemd/networkd.conf.d/%s%s",
		name,
		doctor_proc_exists(facts->root, "/run/systemd/system")
			? " && systemctl try-restart systemd-networkd"
			: "");
}

void doctor_check_networkd(const struct doctor_facts *facts, struct doctor_report *report)
{
	struct settings settings;
	bool routes, rules;

	if (facts->wanted.net.n_routes == 0 && facts->wanted.net.n_rules == 0)
		return;
	if (!is_active(facts->root))
		return;
	if (read_settings(facts->root, &settings) < 0) {
		report->incomplete = true;
		return;
	}
	routes = settings.routes && facts->wanted.net.n_routes > 0;
	rules = settings.rules && facts->wanted.net.n_rules > 0;
	if (routes || rules)
		doctor_add(report, "networkd", "systemd-networkd", DOCTOR_WARN,
			mend_networkd(facts, &settings),
			"systemd-networkd removes our %s when it starts or configures a link",
			routes && rules ? "routes and rules"
			: routes	? "routes"
					: "rules");
	else
		doctor_add(report, "networkd", "systemd-networkd", DOCTOR_OK, NULL,
			"systemd-networkd leaves our routes and rules alone");
}
