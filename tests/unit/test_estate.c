#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "estate.h"

static struct estate *make(void)
{
	struct estate *estate = estate_new();

	assert_non_null(estate);
	assert_int_equal(estate_add_fd(estate, "tcp [2001:db8::1]:80 0", 17), 0);
	assert_int_equal(estate_add_fd(estate, "control", 18), 0);
	assert_int_equal(estate_add_number(estate, "counter accepted", INT64_MAX), 0);
	assert_int_equal(estate_add_text(estate, "release", "1.2.3"), 0);
	return estate;
}

static void test_there_and_back(void **state)
{
	struct estate *estate = make(), *got = NULL;
	int64_t value = 0;
	int fd = -1;

	(void)state;
	assert_int_equal(estate_save(estate, &fd), 0);
	assert_int_equal(estate_load(fd, &got), 0);
	assert_int_equal(estate_take_fd(got, "tcp [2001:db8::1]:80 0"), 17);
	assert_int_equal(estate_take_fd(got, "tcp [2001:db8::1]:80 0"), -1);
	assert_int_equal(estate_get_number(got, "counter accepted", &value), 0);
	assert_true(value == INT64_MAX);
	assert_int_equal(estate_get_number(got, "release", &value), -ENOENT);
	assert_string_equal(estate_get_text(got, "release"), "1.2.3");
	assert_null(estate_get_text(got, "control"));
	close(fd);
	estate_free(estate);
	estate_free(got);
	estate_free(NULL);
}

static void test_names(void **state)
{
	char name[ESTATE_NAME_MAX + 2];
	struct estate *estate = make();

	(void)state;
	memset(name, 'a', sizeof(name));
	name[ESTATE_NAME_MAX + 1] = '\0';
	assert_int_equal(estate_add_fd(estate, name, 1), -EINVAL);
	name[ESTATE_NAME_MAX] = '\0';
	assert_int_equal(estate_add_fd(estate, name, 1), 0);
	assert_int_equal(estate_add_fd(estate, name, 2), -EINVAL);
	assert_int_equal(estate_add_fd(estate, "", 1), -EINVAL);
	assert_int_equal(estate_add_fd(estate, "\xff", 1), -EINVAL);
	assert_int_equal(estate_add_text(estate, "text", "\xff"), -ENOMEM);
	assert_int_equal(estate_take_fd(estate, name), 1);
	estate_free(estate);
}

static int lower(void *userdata, int fd)
{
	(void)userdata;
	return fd == 18 ? -1 : fd - 10;
}

static void test_other_numbers(void **state)
{
	struct estate *estate = make();

	(void)state;
	estate_renumber(estate, lower, NULL);
	assert_int_equal(estate_take_fd(estate, "tcp [2001:db8::1]:80 0"), 7);
	assert_int_equal(estate_take_fd(estate, "control"), -1);
	estate_free(estate);
}

static void test_rest_is_closed(void **state)
{
	struct estate *estate = estate_new();
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(estate_add_fd(estate, "taken", fds[0]), 0);
	assert_int_equal(estate_add_fd(estate, "left", fds[1]), 0);
	assert_int_equal(estate_take_fd(estate, "taken"), fds[0]);
	estate_close_rest(estate);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(fds[1]), -1);
	estate_free(estate);
}

/* It has more to say than is understood here, at each place where there may be more. */
static void test_of_a_later_release(void **state)
{
	static const char text[] = "{\"later\":[1,{\"a\":null}],\"version\":1,\"minor\":7,"
				   "\"descriptors\":{\"tcp later [::]:80 0\":5,\"control\":18},"
				   "\"numbers\":{\"counter later\":-1,\"generation\":4},"
				   "\"texts\":{\"later\":\"\",\"release\":\"9\"}}";
	struct estate *got = NULL;
	int64_t value = 0;
	char *again = NULL;

	(void)state;
	assert_int_equal(estate_decode(text, sizeof(text) - 1, &got), 0);
	assert_int_equal(estate_take_fd(got, "control"), 18);
	assert_int_equal(estate_get_number(got, "generation", &value), 0);
	assert_int_equal(value, 4);
	assert_string_equal(estate_get_text(got, "release"), "9");
	/* Its descriptors are known as such, and can be closed. */
	assert_true(estate_has_fd(got, "tcp later [::]:80 0"));
	assert_int_equal(estate_encode(got, &again), 0);
	assert_null(strstr(again, "minor"));
	free(again);
	estate_free(got);
}

static void test_hostile(void **state)
{
	static const struct {
		const char *text;
		int err;
	} cases[] = {
		{ "", -EBADMSG },
		{ "[]", -EBADMSG },
		{ "{}", -EBADMSG },
		{ "{\"version\":\"1\"}", -EBADMSG },
		{ "{\"version\":2}", -EPROTONOSUPPORT },
		{ "{\"version\":1}", 0 },
		{ "{\"version\":1,\"of a later release\":[1]}", 0 },
		{ "{\"version\":1,\"descriptors\":[]}", -EBADMSG },
		{ "{\"version\":1,\"descriptors\":{\"a\":\"1\"}}", -EBADMSG },
		{ "{\"version\":1,\"descriptors\":{\"a\":-1}}", -EBADMSG },
		{ "{\"version\":1,\"descriptors\":{\"a\":4294967296}}", -EBADMSG },
		{ "{\"version\":1,\"descriptors\":{\"\":1}}", -EBADMSG },
		{ "{\"version\":1,\"descriptors\":{\"a\":1,\"a\":2}}", -EBADMSG },
		{ "{\"version\":1,\"numbers\":{\"a\":1.5}}", -EBADMSG },
		{ "{\"version\":1,\"texts\":{\"a\":null}}", -EBADMSG },
		{ "{\"version\":1} x", -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct estate *got = NULL;

		assert_int_equal(
			estate_decode(cases[i].text, strlen(cases[i].text), &got), cases[i].err);
		assert_true((got != NULL) == (cases[i].err == 0));
		estate_free(got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_other_numbers),
		cmocka_unit_test(test_rest_is_closed),
		cmocka_unit_test(test_of_a_later_release),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
