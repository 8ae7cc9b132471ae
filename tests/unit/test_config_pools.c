#include "config_text.h"

#define POOL "pool p { backend 192.0.2.10:80 {} }\n"
static void test_bytes_of_checks(void **state)
{
	struct config *config =
		parsed("listener l { bind = [::]:80\n pool = p }\n"
		       "pool p {\n backend 192.0.2.1:80 {}\n check {\n"
		       " type = udp\n send = \"a%00%25%fF%0d%0a\"\n expect = %41b } }\n");
	const struct config_check *check = &config->pools[0].check;

	(void)state;
	assert_int_equal(check->send_len, 6);
	assert_memory_equal(check->send, "a\0%\xff\r\n", 6);
	assert_int_equal(check->expect_len, 2);
	assert_memory_equal(check->expect, "Ab", 2);
	config_free(config);
}

static void test_broken_checks(void **state)
{
#define CHECK(options) "pool p {\n backend 192.0.2.1:80 {}\n check {\n " options "\n}\n}"
	static const struct broken cases[] = {
		{ CHECK("type = ping"), "4: type \"ping\": type is tcp, http, send-expect or udp" },
		{ CHECK("interval = 5ms"), "4: interval \"5ms\": must be from 100ms to 1h" },
		{ CHECK("rise = 0"), "4: rise \"0\": write a whole number from 1 to 1000" },
		{ CHECK("fall = x"), "4: fall \"x\": write a whole number from 1 to 1000" },
		{ CHECK("port = 65536"),
			"4: port \"65536\": write a whole number from 1 to 65535" },
		{ CHECK("header = v2"), "4: header \"v2\": header is local, proxy or none" },
		{ CHECK("source = \"::1\""),
			"4: source \"::1\": a source is an IPv4 address of this "
			"machine, like 192.0.2.1" },
		{ CHECK("path = /"), "4: path \"/\": this goes with type = http only: remove it" },
		{ CHECK("send = x"),
			"4: send \"x\": this goes with type = send-expect or udp only: remove it" },
		{ CHECK("expect = x"), "4: expect \"x\": with type = tcp nothing is read: use type "
				       "= send-expect" },
		{ CHECK("type = http\n path = \"/a b\""),
			"5: path \"/a b\": this may have no blank and no character beyond ASCII" },
		{ CHECK("type = http\n status = 99"),
			"5: status \"99\": write a status or a range, like 200-399" },
		{ CHECK("type = http\n status = 300-200"),
			"5: status \"300-200\": write a status or a range, like 200-399" },
		{ CHECK("type = http\n status = 200-"),
			"5: status \"200-\": write a status or a range, like 200-399" },
		{ CHECK("type = udp\n send = \"a%0\""),
			"5: send \"a%0\": two hexadecimal digits follow a %, like %0d%0a for the "
			"end of a line; write %25 for a % of its own" },
		{ CHECK("type = http\n expect = \"\""), "5: expect \"\": write 1 to 1024 bytes" },
	};

	(void)state;
	check_broken(cases, COUNT(cases));
}

static void test_broken_pools(void **state)
{
	static const struct broken cases[] = {
		{ "\npool \"\" { }", "2: pool \"\": a name has 1 to 63 characters" },
		{ "# x\npool p { }",
			"2: pool \"p\" has no backend; add: backend \"192.0.2.10:80\" {}" },
		/* the line is the right pool's, whatever is called pool above */
		{ "listener l { bind = [::]:80\n pool = \"pool\"\n timeouts { } }\npool pool { }",
			"4: pool \"pool\" has no backend; add: backend \"192.0.2.10:80\" {}" },
		{ "pool p {\n balance = random\n}", "2: balance \"random\": balance is "
						    "round-robin, least-connections or maglev" },
		{ "pool p {\n balance = maglev\n hash = port\n}",
			"3: hash \"port\": hash is client, client-64 or client-port" },
		{ "pool p {\n hash = client\n}",
			"2: hash \"client\": this goes with balance = maglev only: remove it" },
		{ "pool p {\n balance = maglev\n\n slow-start = 5s\n}",
			"4: slow-start \"5s\": with balance = maglev no client may move for it: "
			"remove it" },
		{ "pool p {\n attempts = 9\n}",
			"2: attempts \"9\": write a whole number from 1 to 8" },
		{ "pool p {\n circuit-failures = -1\n}",
			"2: circuit-failures \"-1\": write a whole number from 0 to 1000000" },
		{ "pool p {\n circuit-time = 1\n}", "2: circuit-time \"1\": write a whole number "
						    "with a unit, ms, s, m, h or d, "
						    "like 5s" },
		{ "pool p {\n backend 192.0.2.1:80 {\n backup = maybe } }",
			"3: backup \"maybe\": write yes or no" },
		{ "pool p {\n source = {\n 192.0.2.1,\n eth0 }\n}",
			"4: source \"eth0\": a source is an IPv4 address of this machine, like "
			"192.0.2.1" },
		{ "pool p {\n backend \"[2001:db8::1]:80\" { } }",
			"2: backend \"[2001:db8::1]:80\": a backend is an IPv4 address or a name, "
			"and a port, "
			"like 192.0.2.10:80 or db.example:5432" },
		{ POOL "pool q {\n backend 192.0.2.1:80 { }\n backend 192.0.2.1 { } }",
			"4: backend \"192.0.2.1\": a backend is an IPv4 address or a name, and a "
			"port, "
			"like 192.0.2.10:80 or db.example:5432" },
		{ "pool p {\n backend 192.0.2.1:80 { }\n backend 192.0.2.1:080 { } }",
			"3: backend \"192.0.2.1:080\": the pool has this backend already: give it "
			"a weight instead" },
		{ "pool p {\n backend 192.0.2.1\v\f:80 { } }",
			"2: backend \"192.0.2.1??:80\": a backend is an IPv4 address or a name, "
			"and a port, "
			"like 192.0.2.10:80 or db.example:5432" },
		{ "pool p { backend 255.255.255.255:80 { } }",
			"1: backend \"255.255.255.255:80\": no server can have this address: name "
			"one unicast address" },
		{ "pool p {\n backend 192.0.2.1:80 {\n weight = 65536 } }",
			"3: weight \"65536\": write a whole number from 0 to 65535" },
		{ "\npool p { backend 192.0.2.1:80 { weight = 0 } }",
			"2: pool \"p\": every backend has weight 0, so nobody could be served; "
			"give one a weight from 1 to 65535" },
	};

	(void)state;
	check_broken(cases, COUNT(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_of_checks),
		cmocka_unit_test(test_broken_checks),
		cmocka_unit_test(test_broken_pools),
	};

	return cmocka_run_group_tests_name("config_pools", tests, NULL, NULL);
}
