#include "unit.h"

#include "accept_header.h"

#define OPENMETRICS "application/openmetrics-text"

static void test_wanted(void **state)
{
	static const char *const values[] = {
		OPENMETRICS,
		"Application/OpenMetrics-Text",
		OPENMETRICS ";version=1.0.0,text/plain;version=0.0.4;q=0.5",
		/* Prometheus 2 */
		OPENMETRICS ";version=1.0.0;q=0.5," OPENMETRICS ";version=0.0.1;q=0.4,"
			    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
		OPENMETRICS ";version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		"text/plain;q=0.999 , " OPENMETRICS " ; q=1.000",
		"text/plain, " OPENMETRICS,
		"*/*, text/plain;q=0.1, " OPENMETRICS ";q=0.2",
		"text/*;q=0.1, text/plain;q=0, " OPENMETRICS ";q=0.001",
		", ,;," OPENMETRICS ",",
		"application/json, " OPENMETRICS ";q=0.5",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (!accept_header_openmetrics(values[i]))
			fail_msg("\"%s\" does", values[i]);
}

static void test_not_wanted(void **state)
{
	static const char *const values[] = {
		"",
		",",
		";",
		"*/*",
		"text/plain",
		OPENMETRICS "x",
		"x" OPENMETRICS,
		"text/plain;a=" OPENMETRICS,
		OPENMETRICS ";q=0",
		OPENMETRICS ";q=0.000,text/plain;q=0",
		OPENMETRICS ";q=",
		OPENMETRICS ";q=x",
		OPENMETRICS ";q=-1",
		OPENMETRICS ";q=0.x",
		OPENMETRICS ";version=2.0.0",
		OPENMETRICS ";version=9.0.0, text/plain;q=0.1",
		OPENMETRICS ";q=0.2,text/plain;q=0.9",
		/* Prometheus with scrape_protocols [PrometheusText0.0.4, OpenMetricsText1.0.0] */
		"text/plain;version=0.0.4;q=0.5," OPENMETRICS ";version=1.0.0;q=0.4,*/*;q=0.2",
		OPENMETRICS ";q=0.2,*/*;q=0.9",
	};

	(void)state;
	assert_false(accept_header_openmetrics(NULL));
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (accept_header_openmetrics(values[i]))
			fail_msg("\"%s\" does not", values[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_not_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
