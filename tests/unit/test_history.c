#include "unit.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "history.h"

#define NOON 1795521600

static json_t *parse(const char *text)
{
	json_t *json = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);

	assert_non_null(json);
	return json;
}

static void take(struct history *history, int64_t time_s, const char *text)
{
	json_t *status = parse(text);

	history_take(history, status, time_s);
	json_decref(status);
}

static const char *event_text(const struct history *history, size_t i)
{
	static struct history_event event;

	history_event(history, i, &event);
	return event.text;
}

static void test_ring(void **state)
{
	struct history *history = NULL;
	struct history_sample sample;

	(void)state;
	assert_int_equal(history_create(&history), 0);
	assert_int_equal(history_n_samples(history), 0);
	for (int i = 0; i < 365; i++)
		take(history, NOON + i, "{}");
	assert_int_equal(history_n_samples(history), HISTORY_SAMPLES);
	history_sample(history, 0, &sample);
	assert_int_equal(sample.time_s, NOON + 5);
	assert_int_equal(sample.value[HISTORY_ACCEPTED], 0);
	history_sample(history, HISTORY_SAMPLES - 1, &sample);
	assert_int_equal(sample.time_s, NOON + 364);
	assert_int_equal(history_n_events(history), 0);
	history_close(history);
	history_close(NULL);
}

static void test_values(void **state)
{
	struct history *history = NULL;
	struct history_sample before, now;

	(void)state;
	assert_int_equal(history_create(&history), 0);
	take(history, NOON,
		"{\"counters\":{\"accepted\":10,\"refused\":1,\"live_flows\":4},\"listeners\":["
		"{\"connect\":{\"bounds_s\":[0.001,0.01],\"counts\":[5,0,0]}}]}");
	take(history, NOON + 10,
		"{\"counters\":{\"accepted\":30,\"refused\":3,\"banned\":2,\"denied\":1,"
		"\"dropped_full\":7,\"dropped_rate\":1,\"live_flows\":2,\"bytes_in\":-5},"
		"\"guard\":{\"packets_refused\":6},\"listeners\":["
		"{\"connect\":{\"bounds_s\":[0.001,0.01],\"counts\":[95,10,0]}},"
		"{\"connect\":{\"bounds_s\":[0.001,0.01],\"counts\":[1,2]}},"
		"{\"connect\":{\"bounds_s\":\"x\",\"counts\":{}}},7]}");
	history_sample(history, 0, &before);
	history_sample(history, 1, &now);
	assert_int_equal(now.value[HISTORY_DENIED], 3);
	assert_int_equal(now.value[HISTORY_DROPPED], 8);
	assert_int_equal(now.value[HISTORY_LIVE], 2);
	assert_int_equal(now.value[HISTORY_BYTES_IN], 0);
	assert_int_equal(now.value[HISTORY_TURNED_AWAY], 6);
	assert_int_equal(history_failed(&before, &now), 5);
	assert_true(fabs(history_connect_time(history, &before, &now, 0.45) - 0.0005) < 1e-9);
	assert_true(fabs(history_connect_time(history, &before, &now, 0.95) - 0.0055) < 1e-9);
	assert_true(isnan(history_connect_time(history, &now, &now, 0.5)));
	assert_int_equal(history_growth(7, 3), 3);
	/* Other bounds: what was before is not comparable. */
	take(history, NOON + 20,
		"{\"listeners\":[{\"connect\":{\"bounds_s\":[1.0],\"counts\":[3,3]}}]}");
	history_sample(history, 1, &before);
	history_sample(history, 2, &now);
	assert_int_equal(before.connect[0], 0);
	assert_true(history_connect_time(history, &before, &now, 1.0) == 1.0);
	history_close(history);
}

#define STATUS(refused, up, weight, deaths)                                                       \
	"{\"state\":\"running\",\"listeners\":[{\"name\":\"web\",\"ended\":{\"refused\":" refused \
	"}}],\"workers\":[{\"worker\":1,\"replaced\":" deaths                                     \
	"}],\"pools\":[{\"name\":\"p\",\"up\":" up                                                \
	",\"backends\":[{\"address\":\"192.0.2.1:80\",\"up\":" up ",\"weight\":" weight "}]}]}"

/* Down and up again between two samples; the same answer twice says nothing new. */
static void test_between_samples(void **state)
{
	struct history *history = NULL;
	json_t *down = parse(STATUS("4", "false", "1", "0"));

	(void)state;
	assert_int_equal(history_create(&history), 0);
	take(history, NOON, STATUS("1", "true", "1", "0"));
	history_note(history, down, NOON + 3);
	history_note(history, down, NOON + 4);
	assert_int_equal(history_n_samples(history), 1);
	assert_int_equal(history_n_events(history), 3);
	assert_string_equal(event_text(history, 0), "pool p: down, no backend is left");
	take(history, NOON + 10, STATUS("4", "true", "1", "0"));
	assert_int_equal(history_n_samples(history), 2);
	assert_int_equal(history_n_events(history), 5);
	assert_string_equal(event_text(history, 0), "pool p: up again");
	json_decref(down);
	history_close(history);
}

static void test_events(void **state)
{
	struct history *history = NULL;
	struct history_event event;

	(void)state;
	assert_int_equal(history_create(&history), 0);
	take(history, NOON, STATUS("5", "true", "1", "0"));
	take(history, NOON + 10, STATUS("7", "true", "1", "0"));
	take(history, NOON + 20, STATUS("8", "true", "1", "0"));
	assert_int_equal(history_n_events(history), 1);
	history_event(history, 0, &event);
	assert_string_equal(event.text, "web: turned away: the backend refused the connection");
	assert_int_equal(event.count, 3);
	assert_int_equal(event.first_s, NOON + 10);
	assert_int_equal(event.last_s, NOON + 20);
	take(history, NOON + 200, STATUS("9", "false", "3", "1"));
	assert_int_equal(history_n_events(history), 6);
	assert_string_equal(event_text(history, 0), "pool p: down, no backend is left");
	assert_string_equal(event_text(history, 1), "backend 192.0.2.1:80 of p: weight 3, was 1");
	assert_string_equal(event_text(history, 2), "backend 192.0.2.1:80 of p: down");
	assert_string_equal(event_text(history, 3), "worker 1 died and was replaced");
	history_event(history, 4, &event);
	assert_int_equal(event.count, 1);
	take(history, NOON + 210, STATUS("9", "true", "3", "1"));
	assert_string_equal(event_text(history, 0), "pool p: up again");
	/* Nothing is missed, and nothing made up, where keys are missing. */
	take(history, NOON + 220, "{\"pools\":3,\"workers\":{},\"listeners\":[[]],\"guard\":null}");
	assert_string_equal(event_text(history, 0), "pool p: up again");
	history_close(history);
}

static void test_many_events(void **state)
{
	struct history *history = NULL;
	char text[600], name[301];

	(void)state;
	assert_int_equal(history_create(&history), 0);
	for (size_t i = 0; i < 300; i += 3)
		memcpy(name + i, "\u20ac", 3);
	name[300] = '\0';
	for (int i = 0; i < 60; i++) {
		snprintf(text, sizeof(text),
			"{\"pools\":[{\"name\":\"%d "
			"%s\",\"up\":%s},{\"name\":\"%d\",\"up\":true}]}",
			i - 1, name, i % 2 ? "true" : "false", i);
		take(history, NOON + i, text);
		snprintf(text, sizeof(text),
			"{\"pools\":[{\"name\":\"%d\",\"up\":false},{\"name\":\"%d "
			"%s\",\"up\":%s}]}",
			i, i, name, i % 2 ? "false" : "true");
		take(history, NOON + i, text);
	}
	assert_int_equal(history_n_events(history), HISTORY_EVENTS);
	for (size_t i = 0; i < HISTORY_EVENTS; i++)
		assert_true(event_text(history, i)[0] != '\0');
	history_close(history);
}

/* Another process goes on with the same file. */
static void test_survives(void **state)
{
	struct history *history = NULL, *next = NULL;
	struct history_sample sample;
	int fd;

	(void)state;
	assert_int_equal(history_create(&history), 0);
	take(history, NOON, "{\"counters\":{\"accepted\":10}}");
	fd = dup(history_fd(history));
	history_close(history);
	assert_int_equal(history_open(fd, &next), 0);
	close(fd);
	take(next, NOON + 10, "{\"counters\":{\"accepted\":12}}");
	assert_int_equal(history_n_samples(next), 2);
	history_sample(next, 0, &sample);
	assert_int_equal(sample.value[HISTORY_ACCEPTED], 10);
	history_close(next);
}

/* Bytes at an offset of the file; the file must then be refused, or read without harm. */
static void damage(size_t at, const void *bytes, size_t len, int want)
{
	struct history *history = NULL, *next = NULL;
	struct history_sample sample;
	struct history_event event;
	double bounds[HISTORY_BOUNDS_MAX];

	assert_int_equal(history_create(&history), 0);
	assert_int_equal(pwrite(history_fd(history), bytes, len, (off_t)at), (ssize_t)len);
	assert_int_equal(history_open(history_fd(history), &next), want);
	if (want == 0) {
		take(next, NOON, STATUS("1", "true", "1", "0"));
		take(next, NOON, STATUS("2", "false", "1", "0"));
		assert_true(history_n_samples(next) <= HISTORY_SAMPLES);
		assert_true(history_n_events(next) <= HISTORY_EVENTS);
		assert_true(history_bounds(next, bounds) <= HISTORY_BOUNDS_MAX);
		for (size_t i = 0; i < history_n_samples(next); i++)
			history_sample(next, i, &sample);
		for (size_t i = 0; i < history_n_events(next); i++) {
			history_event(next, i, &event);
			assert_true(strlen(event.text) < HISTORY_TEXT_MAX);
			assert_true(event.kind <= HISTORY_GOOD);
		}
	}
	history_close(next);
	history_close(history);
}

static void test_hostile(void **state)
{
	static unsigned char all[4096];
	struct history *history = NULL;
	struct stat st;
	int fd = memfd_create("short", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)state;
	memset(all, 0xff, sizeof(all));
	damage(0, all, 4, -EPROTO);
	damage(4, all, 4, -EPROTO);
	damage(8, all, 4, -EPROTO);
	damage(12, all, 4, 0); /* bounds */
	damage(16, all, 8, 0); /* samples taken */
	damage(12, all, sizeof(all), 0);
	assert_int_equal(history_create(&history), 0);
	assert_int_equal(fstat(history_fd(history), &st), 0);
	for (size_t at = 16; at + sizeof(all) < (size_t)st.st_size; at += sizeof(all) / 2)
		damage(at, all, sizeof(all), 0);
	/* Of the right size, and could be cut under our feet. */
	assert_int_equal(ftruncate(fd, st.st_size), 0);
	history_close(history);
	assert_int_equal(history_open(fd, &history), -EPROTO);
	close(fd);
	assert_int_equal(history_open(-1, &history), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_between_samples),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_many_events),
		cmocka_unit_test(test_survives),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
