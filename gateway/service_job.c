#include "service_job.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

#define MANAGER	     "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"

/*
 * sd_bus_call() first waits for the bus to greet us, for as long as it takes; so that is done here.
 * It is only then that messages have the rest of the time.
 */
static int wait_until_ready(sd_bus *bus, uint64_t end_us)
{
	int ready;

	while ((ready = sd_bus_is_ready(bus)) == 0) {
		uint64_t now_us = clock_monotonic_us();
		int n = sd_bus_process(bus, NULL);

		if (n == 0 && now_us < end_us)
			n = sd_bus_wait(bus, end_us - now_us);
		if (n < 0)
			return n;
		if (now_us >= end_us)
			return -ETIMEDOUT;
	}
	return ready < 0 ? ready : 0;
}

static int call(sd_bus *bus, uint64_t end_us, sd_bus_message *question, sd_bus_message **ret_reply)
{
	uint64_t now_us = clock_monotonic_us();

	return now_us < end_us ? sd_bus_call(bus, question, end_us - now_us, NULL, ret_reply)
			       : -ETIMEDOUT;
}

/* The property, entered as what it is; the caller unrefs it. */
static int get_property(sd_bus *bus, uint64_t end_us, const char *path, const char *interface,
	const char *name, const char *type, sd_bus_message **ret_reply)
{
	sd_bus_message *question = NULL, *reply = NULL;
	int err = sd_bus_message_new_method_call(
		bus, &question, MANAGER, path, "org.freedesktop.DBus.Properties", "Get");

	if (err >= 0)
		err = sd_bus_message_append(question, "ss", interface, name);
	if (err >= 0)
		err = call(bus, end_us, question, &reply);
	if (err >= 0)
		err = sd_bus_message_enter_container(reply, SD_BUS_TYPE_VARIANT, type);
	sd_bus_message_unref(question);
	if (err < 0) {
		sd_bus_message_unref(reply);
		return err;
	}
	*ret_reply = reply;
	return 0;
}

/* Of the unit that this process belongs to; to be freed. */
static int get_unit(sd_bus *bus, uint64_t end_us, char **ret_unit)
{
	sd_bus_message *question = NULL, *reply = NULL;
	const char *unit = NULL;
	int err = sd_bus_message_new_method_call(
		bus, &question, MANAGER, MANAGER_PATH, MANAGER ".Manager", "GetUnitByPID");

	if (err >= 0)
		err = sd_bus_message_append(question, "u", (uint32_t)getpid());
	if (err >= 0)
		err = call(bus, end_us, question, &reply);
	if (err >= 0)
		err = sd_bus_message_read(reply, "o", &unit);
	if (err >= 0) {
		*ret_unit = strdup(unit);
		err = *ret_unit ? 0 : -ENOMEM;
	}
	sd_bus_message_unref(question);
	sd_bus_message_unref(reply);
	return err < 0 ? err : 0;
}

/* Of the unit's job, "/" if there is none; to be freed. */
static int get_job(sd_bus *bus, uint64_t end_us, const char *unit, char **ret_job)
{
	sd_bus_message *reply = NULL;
	const char *job = NULL;
	uint32_t id = 0;
	int err = get_property(bus, end_us, unit, MANAGER ".Unit", "Job", "(uo)", &reply);

	if (err >= 0)
		err = sd_bus_message_read(reply, "(uo)", &id, &job);
	if (err >= 0) {
		*ret_job = strdup(job);
		err = *ret_job ? 0 : -ENOMEM;
	}
	sd_bus_message_unref(reply);
	return err < 0 ? err : 0;
}

static int get_job_type(sd_bus *bus, uint64_t end_us, const char *job, bool *ret_restart)
{
	sd_bus_message *reply = NULL;
	const char *type = NULL;
	int err = get_property(bus, end_us, job, MANAGER ".Job", "JobType", "s", &reply);

	if (err >= 0)
		err = sd_bus_message_read(reply, "s", &type);
	if (err >= 0)
		*ret_restart = strcmp(type, "restart") == 0 || strcmp(type, "try-restart") == 0;
	sd_bus_message_unref(reply);
	return err < 0 ? err : 0;
}

static int ask(sd_bus *bus, bool *ret_restart)
{
	uint64_t end_us = clock_monotonic_us() + SERVICE_JOB_WAIT_MS * 1000U;
	char *unit = NULL, *job = NULL;
	int err = wait_until_ready(bus, end_us);

	if (!err)
		err = get_unit(bus, end_us, &unit);
	if (!err)
		err = get_job(bus, end_us, unit, &job);
	if (!err && strcmp(job, "/") == 0)
		*ret_restart = false;
	else if (!err)
		err = get_job_type(bus, end_us, job, ret_restart);
	free(job);
	free(unit);
	return err;
}

bool service_job_is_restart(void)
{
	sd_bus *bus = NULL;
	bool restart = false;
	int err = sd_bus_open_system(&bus);

	if (err >= 0)
		err = ask(bus, &restart);
	if (err < 0)
		log_info("systemd cannot be asked over D-Bus whether this is a restart: %s",
			strerror(-err));
	sd_bus_close_unref(bus);
	return err >= 0 && restart;
}
