"""Debian's DNS servers behind UDP listeners: their answers reach the IPv6 client, and they know who asked."""

from collections import Counter

import pytest
from netsite import CLIENT6, SERVER4, VIP6, wait_until
from netsite.dns import ANSWER, BIG, DNS_SERVERS, NAME, OUTCAST, PORT, Asker, Pdns

CONFIG = f"""
workers = 2
listener "dns" {{
    protocol = udp
    bind     = "[{VIP6}]:{PORT}"
    pool     = "dns"
    identity = proxy-v2
}}
pool "dns" {{ backend "{SERVER4}:{PORT}" {{}} }}
"""
TCP_TOO = f"""
listener "dns-tcp" {{
    bind     = "[{VIP6}]:{PORT}"
    pool     = "dns"
    identity = proxy-v2
}}
"""
FROM_PORT = 40000
# What fits into one packet from the client, and not into one to the server once the header is before it.
LONGEST_QUERY = 1500 - 40 - 8
QUERY_BUT_FILLER = 12 + len(NAME) + 2 + 4 + 11 + 4

ALL = {kind.__name__.lower(): kind for kind in DNS_SERVERS}


def only(property_name):
    """The servers that can do this, as a test's parameters for the fixture `server`."""
    able = {name: kind for name, kind in ALL.items() if getattr(kind, property_name)}
    return pytest.mark.parametrize("server", able.values(), ids=able.keys(), indirect=True)


@pytest.fixture(params=ALL.values(), ids=ALL.keys())
def server(site, request):
    return request.param(site)


def dig_argv(*words, source=CLIENT6, port=0):
    return ["dig", f"@{VIP6}", "-b", f"{source}#{port}", "+tries=1", "+time=10", *words]


def dig(site, *words, **where):
    return site.client.run(dig_argv(*words, **where)).stdout


def dig_all(site, argvs):
    """All at the same time; returns what each has printed."""
    running = [site.client.popen(argv, stdout=-1, text=True) for argv in argvs]
    return [process.communicate(timeout=60)[0] for process in running]


def echo_of(server, asker):
    return server.ECHO[2].format(**asker._asdict())


def check_askers(server, expected):
    wait_until(lambda: len(server.askers()) >= len(expected), f"{len(expected)} queries in {server.log()}")
    assert Counter(server.askers()) == Counter(expected)


def test_server_takes_headers(site, server):
    """Those of another sender, so that a failure below is the gateway's."""
    asker = Asker("2001:db8:1::77", 12345)

    def ask(*words):
        header = f"+proxy={asker.addr}#{asker.port}-{VIP6}#{PORT}"
        return site.gateway.run(["kdig", f"@{SERVER4}", header, "+retry=0", "+short", *words]).stdout

    assert ask(NAME, "A") == f"{ANSWER}\n"
    if server.ECHO:
        assert ask(*server.ECHO[:2]) == echo_of(server, asker) + "\n"
    else:
        check_askers(server, [asker])


def test_server_knows_who_asked(site, server, gateway):
    gateway(config=CONFIG)
    asker = Asker(CLIENT6, FROM_PORT)
    for _ in range(3):
        dig(site, *server.TELL, port=asker.port)
    check_askers(server, [asker] * 3)
    assert dig(site, "+short", NAME, "A") == f"{ANSWER}\n"
    if server.ECHO:
        assert dig(site, "+short", *server.ECHO[:2], port=asker.port) == echo_of(server, asker) + "\n"


def test_many_clients_at_once(site, server, gateway):
    gateway(config=CONFIG)
    askers = [Asker(f"2001:db8:1::1:{n + 1:x}", FROM_PORT + n) for n in range(20)]
    site.client.ip(*(f"addr add {asker.addr}/64 dev eth0 nodad" for asker in askers))
    dig_all(site, [dig_argv(*server.TELL, source=asker.addr, port=asker.port) for asker in askers])
    check_askers(server, askers)
    if server.ECHO:
        argvs = [dig_argv("+short", *server.ECHO[:2], source=asker.addr, port=asker.port) for asker in askers]
        assert dig_all(site, argvs) == [echo_of(server, asker) + "\n" for asker in askers]


@only("REFUSES")
def test_servers_access_list_goes_by_the_ipv6_address(site, server, gateway):
    gateway(config=CONFIG)
    site.client.ip(f"addr add {OUTCAST}/64 dev eth0 nodad")
    refused = site.client.run(dig_argv(NAME, "A", "+time=2", source=OUTCAST), check=False)
    assert server.REFUSES in refused.stdout and ANSWER not in refused.stdout
    assert dig(site, "+short", NAME, "A") == f"{ANSWER}\n"


def test_big_answers(site, server, gateway):
    """The longest come in several packets on each side of the gateway."""
    gateway(config=CONFIG)
    for length in server.BIG:
        answer = dig(site, "+short", "+ignore", "+bufsize=4096", BIG[length], "TXT")
        assert answer.count("x") == length


def test_query_that_is_too_long_for_a_header_before_it(site, server, gateway):
    """Whole from the client, in two fragments to the server. kdig, since dig would take TCP for it."""
    gateway(config=CONFIG)
    filler = "ab" * (LONGEST_QUERY - QUERY_BUT_FILLER)
    answer = site.client.run(["kdig", f"@{VIP6}", "+retry=0", f"+ednsopt=65001:{filler}", NAME, "A"]).stdout
    assert ANSWER in answer and "(UDP)" in answer
    assert site.client.counters()["Ip6FragCreates"] == 0
    assert site.gateway.counters()["Ip.FragCreates"] == 2


@only("TCP")
def test_same_address_by_tcp(site, server, gateway):
    gateway(config=CONFIG + TCP_TOO)
    asker = Asker(CLIENT6, FROM_PORT)
    dig(site, "+tcp", *server.TELL, port=asker.port)
    check_askers(server, [asker])
    if 3000 in server.BIG:
        cut = dig(site, "+ignore", "+bufsize=512", BIG[3000], "TXT")
        assert " tc" in cut and "x" * 250 not in cut
        assert dig(site, "+short", "+bufsize=512", BIG[3000], "TXT").count("x") == 3000


@pytest.mark.parametrize("server", [Pdns], ids=["pdns"], indirect=True)
def test_pdns_own_log_has_the_client_behind_the_gateway(site, server, gateway):
    gateway(config=CONFIG)
    dig(site, NAME, "A")
    wait_until(server.logged_addresses, "a query in pdns's log")
    assert server.logged_addresses() == [CLIENT6]
