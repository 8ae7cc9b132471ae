"""Every kind of listener that needs the network side, with nothing set up by hand on the gateway but its links.

The server is a real nginx, which answers each connection with what it was told of it.
"""

import contextlib
import ipaddress
import json
import os
import random
import re
import select
import signal
import socket
from collections import Counter

import pytest
from netsite import (BACKENDS, CLIENT4, CLIENT6, FRONT4, GATEWAY4, GATEWAY6, SERVER4, VIP4, VIP6, Site,
                     build_dir, wait_until)
from netsite.addresses import addr_of, addr_protocols, embed, show_addr
from netsite.monitor import watched
from netsite.told import OTHER, PASSED_ON, PLAIN, ask, nginx_log, parse, read_all, start_nginx
from wire import (access_records, background, ends_in_reset, is_reset, read_header, receive_stream, reset,
                  send_stream)

MIB = 1 << 20
PREFIX6 = "2001:db8:81::/64"
PREFIX4 = "203.0.114.0/24"
SOURCE4 = "192.0.2.77"
OWN_PROTOCOL = 166

NETWORK = f'network {{ interface = "front" address = {{ "{VIP6}/128", "{VIP4}" }} }}'
WEB = f'pool "web" {{ backend "{SERVER4}:{PASSED_ON}" {{}} }}'
OTHER_POOL = f'pool "other" {{ backend "{SERVER4}:{OTHER}" {{}} }}'
PLAIN_POOL = f'pool "plain" {{ backend "{SERVER4}:{PLAIN}" {{}} }}'

UNPRIVILEGED = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
                "--bounding-set=-all"]


@pytest.fixture
def site():
    with Site(ipv4_client=True, bare=True) as made:
        # The link-local addresses come by themselves, in their own time, and belong to every comparison.
        wait_until(lambda: made.gateway.network()["ip -d addr"].count("inet6 fe80::") == 2,
                   "link-local addresses")
        yield made


@pytest.fixture
def start(site, gateway):
    """Starts the gateway on a configuration that has everything but these lines."""
    def run(config, **options):
        return gateway(config=whole(site, config, options.pop("workers", 1)), **options)
    return run


def whole(site, config, workers=1):
    return f'run-directory = "{site.dir}/run"\nworkers = {workers}\ndrain = 2s\n{config}\n'


def check_told(site, host, port, at_port=PASSED_ON):
    """nginx was told who we are and where we have connected to, exactly."""
    our_port, seen = ask(site, host, port)
    client = CLIENT6 if ":" in host else CLIENT4
    assert seen[:4] == (client, our_port, host, port)
    assert seen.at_port == at_port
    return seen


def check_refused(site, host, port):
    """By the kernel, since nobody listens: at once, and for this reason."""
    with pytest.raises(ConnectionRefusedError):
        site.client.connect(host, port).close()


def source_towards(namespace, destination):
    """The kernel's choice: by `ip route get`, and that of a UDP socket, which must be the same."""
    route = json.loads(namespace.run(["ip", "-j", "route", "get", destination]).stdout)[0]
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    with namespace.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((destination, 9))
        assert probe.getsockname()[0] == route["prefsrc"]
    return route["prefsrc"]


def tcp_source_towards(site, address):
    with site.client.listen(address, 7999) as listener, site.gateway.connect(address, 7999):
        connection, peer = listener.accept()
        connection.close()
        return peer[0]


# ---- VIPs -----------------------------------------------------------------------------------------

VIP_CONFIG = f"""
listener "six" {{ bind = "[{VIP6}]:443" pool = "web" }}
listener "four" {{ bind = "{VIP4}:443" pool = "web" }}
"""


def test_vips_are_put_on_the_interface(site, start):
    start_nginx(site)
    daemon = start(NETWORK + VIP_CONFIG + WEB)
    link, vip6 = show_addr(site.gateway, VIP6)
    assert (link, vip6["prefixlen"], vip6["scope"]) == ("front", 128, "global")
    assert vip6.get("nodad") and vip6["preferred_life_time"] == 0 and not vip6.get("tentative")
    assert vip6["valid_life_time"] == 2**32 - 1
    link, vip4 = show_addr(site.gateway, VIP4)
    assert (link, vip4["prefixlen"], vip4["scope"]) == ("front", 32, "host")
    protocols = addr_protocols(site.gateway)
    assert protocols[VIP6] == protocols[VIP4] == OWN_PROTOCOL
    assert OWN_PROTOCOL not in (protocols[GATEWAY6], protocols[GATEWAY4])
    for host in (VIP6, VIP4):
        assert check_told(site, host, 443).remote_addr == GATEWAY4
        check_refused(site, host, 444)
    wait_until(lambda: len(nginx_log(site)) == 2, "two lines in nginx's log")
    assert [seen[:4:2] for seen in nginx_log(site)] == [(CLIENT6, VIP6), (CLIENT4, VIP4)]
    assert daemon.stop() == 0
    assert show_addr(site.gateway, VIP6) is None and show_addr(site.gateway, VIP4) is None


def test_ipv6_vip_is_never_a_source(site, start):
    """Also towards a client that is nearer to the VIP than to the address of the link."""
    near = "2001:db8:80::99"
    site.client.ip(f"addr add {near}/128 dev eth0 nodad")
    site.gateway.ip(f"route add {near}/128 via {CLIENT6}")
    start(NETWORK + VIP_CONFIG + WEB)
    for destination in (CLIENT6, near):
        assert source_towards(site.gateway, destination) == GATEWAY6
        assert tcp_source_towards(site, destination) == GATEWAY6


def test_ipv4_vip_is_never_a_source(site, start):
    """Not even if the link has no other address."""
    start(NETWORK + VIP_CONFIG + WEB)
    assert source_towards(site.gateway, CLIENT4) == FRONT4
    assert tcp_source_towards(site, CLIENT4) == FRONT4
    site.gateway.ip(f"addr del {FRONT4}/24 dev front", "route add 198.51.100.0/24 dev front")
    assert show_addr(site.gateway, VIP4)[0] == "front"
    assert source_towards(site.gateway, CLIENT4) == GATEWAY4


def test_source_addresses(site, start):
    """Ours is put there, used by the pool that names it, and not by the other."""
    start_nginx(site)
    daemon = start(f"""
network {{ interface = "front" address = "{VIP6}/128"
          source-interface = "back" source = "{SOURCE4}/24" }}
listener "a" {{ bind = "[{VIP6}]:443" pool = "named" }}
listener "b" {{ bind = "[{VIP6}]:444" pool = "web" }}
pool "named" {{ source = "{SOURCE4}"  backend "{SERVER4}:{PASSED_ON}" {{}} }}
""" + WEB)
    link, source = show_addr(site.gateway, SOURCE4)
    assert (link, source["prefixlen"], source["scope"]) == ("back", 24, "global")
    assert addr_protocols(site.gateway)[SOURCE4] == OWN_PROTOCOL
    assert check_told(site, VIP6, 443).remote_addr == SOURCE4
    assert check_told(site, VIP6, 444).remote_addr == GATEWAY4
    assert daemon.stop() == 0
    assert show_addr(site.gateway, SOURCE4) is None
    assert show_addr(site.gateway, GATEWAY4) is not None


# ---- prefixes -------------------------------------------------------------------------------------

def test_prefix_tells_each_of_1000_destinations(site, start):
    start_nginx(site)
    start(f'listener "prefix" {{ bind = "[{PREFIX6}]:443" pool = "web" }}' + WEB)
    generator = random.Random(1)
    hosts = ["2001:db8:81::", "2001:db8:81::1", "2001:db8:81:0:ffff:ffff:ffff:ffff"]
    hosts += [addr_of(PREFIX6, generator) for _ in range(997)]
    expected = Counter()
    for host in hosts:
        seen = check_told(site, host, 443)
        expected[seen[:4]] += 1
    assert len({host for _, _, host, _ in expected}) == 1000
    wait_until(lambda: len(nginx_log(site)) == 1000, "1000 lines in nginx's log")
    assert Counter(seen[:4] for seen in nginx_log(site)) == expected
    for host in hosts[:5]:
        check_refused(site, host, 444)
        check_refused(site, host, PASSED_ON)


def test_ipv4_prefix(site, start):
    start_nginx(site)
    start(f'listener "prefix" {{ bind = "{PREFIX4}:443" pool = "web" }}' + WEB)
    network = ipaddress.ip_network(PREFIX4)
    for host in network:  # all of them: the first and last are addresses like any other here
        check_told(site, str(host), 443)
    for host in (network[0], network[77], network[255]):
        check_refused(site, str(host), 444)


@pytest.mark.parametrize("host", ["2001:db8:81::5", "203.0.114.5"])
def test_client_of_a_prefix_that_comes_back_from_its_port(site, start, host):
    """The gateway still remembers the connection before, which the server had ended first."""
    start_nginx(site)
    start(f'listener "prefix" {{ bind = {{ "[{PREFIX6}]:443", "{PREFIX4}:443" }} pool = "web" }}' + WEB, workers=2)
    for _ in range(20):
        with site.client.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            connection.settimeout(5)
            connection.bind(("", 41000))
            connection.connect((host, 443))
            assert parse(read_all(connection).decode())[1:4] == (41000, host, 443)


def test_prefix_ends_where_it_ends(site, start):
    """Next to it there is nothing of ours: such packets are not taken."""
    start_nginx(site)
    start('listener "prefix" { bind = { "[2001:db8:81::40/122]:443", "203.0.114.64/26:443" } pool = "web" }'
          + WEB)
    for host in ("2001:db8:81::40", "2001:db8:81::7f", "203.0.114.64", "203.0.114.127"):
        check_told(site, host, 443)
    for host in ("2001:db8:81::3f", "2001:db8:81::80", "203.0.114.63", "203.0.114.128"):
        with pytest.raises(OSError):
            site.client.connect(host, 443, 0.5).close()
    assert len(nginx_log(site)) == 4


# ---- ports ----------------------------------------------------------------------------------------

def test_port_range(site, start):
    start_nginx(site)
    start(NETWORK + f"""
listener "range" {{ bind = {{ "[{VIP6}]:1000-2000", "{VIP4}:1000-2000" }} pool = "web" }}
""" + WEB)
    generator = random.Random(2)
    for host in (VIP6, VIP4):
        for port in (1000, 1001, 1999, 2000, *(generator.randrange(1000, 2001) for _ in range(50))):
            check_told(site, host, port)
        for port in (1, 999, 2001, 65535):
            check_refused(site, host, port)


def test_any_port(site, start):
    start_nginx(site)
    start(NETWORK + f'listener "any" {{ bind = {{ "[{VIP6}]:*", "{VIP4}:*" }} pool = "web" }}' + WEB)
    generator = random.Random(3)
    for host in (VIP6, VIP4):
        for port in (1, 2, 22, 65534, 65535, *(generator.randrange(1, 65536) for _ in range(50))):
            check_told(site, host, port)
    for host in (GATEWAY6, FRONT4):  # other addresses of the machine are left alone
        check_refused(site, host, 443)


@pytest.mark.parametrize("network", ["", NETWORK])
def test_port_range_of_every_address(site, start, network):
    """Also where the gateway's own connections to the servers begin: their answers stay theirs."""
    start_nginx(site)
    start(f'{network}\nlistener "range" {{ bind = "*:9000-65000" pool = "web" }}' + WEB)
    for host in (GATEWAY6, FRONT4, *((VIP6, VIP4) if network else ())):
        for port in (9000, 9001, 20000, 64999, 65000):
            assert check_told(site, host, port).remote_addr == GATEWAY4
        check_refused(site, host, 8999)
        check_refused(site, host, 65001)
    for _ in range(200):
        check_told(site, GATEWAY6, 12345)


def test_any_port_of_a_prefix(site, start):
    start_nginx(site)
    start(f'listener "any" {{ bind = {{ "[{PREFIX6}]:*", "{PREFIX4}:*" }} pool = "web" }}' + WEB)
    generator = random.Random(4)
    for prefix in (PREFIX6, PREFIX4):
        for _ in range(100):
            check_told(site, addr_of(prefix, generator), generator.randrange(1, 65536))


def test_backend_keeps_the_port(site, start):
    start_nginx(site)
    start(NETWORK + f"""
listener "range" {{ bind = "[{VIP6}]:{PASSED_ON - 100}-{PASSED_ON + 100}" pool = "kept" }}
pool "kept" {{ backend "{SERVER4}:*" {{}} }}
""")
    check_told(site, VIP6, PASSED_ON, at_port=PASSED_ON)
    check_told(site, VIP6, OTHER, at_port=OTHER)
    assert is_reset(site.client, VIP6, PASSED_ON - 1)  # nobody listens there on the server


def test_narrower_listeners_win(site, start):
    """An ordinary one inside of any port; a range inside of any port; one address inside of a prefix."""
    start_nginx(site)
    start(f"""
network {{ interface = "front" address = {{ "{VIP6}/128", "{VIP4}", "2001:db8:81::42/128", "203.0.114.42" }} }}
listener "any" {{ bind = {{ "[{VIP6}]:*", "{VIP4}:*", "[{PREFIX6}]:443", "{PREFIX4}:1-1000" }} pool = "web" }}
listener "one" {{ bind = {{ "[{VIP6}]:443", "{VIP4}:443", "[{VIP6}]:1000-2000", "[2001:db8:81::42]:443",
                            "[2001:db8:81::8000/113]:400-500", "203.0.114.42:443" }} pool = "other" }}
""" + WEB + OTHER_POOL)
    for host, port, at_port in (
            (VIP6, 443, OTHER), (VIP6, 442, PASSED_ON), (VIP6, 444, PASSED_ON), (VIP6, 80, PASSED_ON),
            (VIP6, 1000, OTHER), (VIP6, 2000, OTHER), (VIP6, 999, PASSED_ON), (VIP6, 2001, PASSED_ON),
            (VIP4, 443, OTHER), (VIP4, 444, PASSED_ON),
            ("2001:db8:81::42", 443, OTHER), ("2001:db8:81::43", 443, PASSED_ON),
            ("2001:db8:81::8001", 443, OTHER), ("2001:db8:81::8001", 500, OTHER),
            ("2001:db8:81::1:0", 443, PASSED_ON),
            ("203.0.114.42", 443, OTHER), ("203.0.114.42", 442, PASSED_ON), ("203.0.114.43", 443, PASSED_ON)):
        check_told(site, host, port, at_port)
    check_refused(site, "2001:db8:81::42", 501)


@pytest.mark.parametrize("network", ["", "network {}"])
def test_ordinary_listener_inside_of_a_prefix(site, start, network):
    """The prefix makes all its addresses ours, so that no interface needs to have this one."""
    start_nginx(site)
    start(f"""{network}
listener "all" {{ bind = {{ "[{PREFIX6}]:443", "{PREFIX4}:443" }} pool = "web" }}
listener "one" {{ bind = {{ "[2001:db8:81::42]:443", "203.0.114.42:443" }} pool = "other" }}
""" + WEB + OTHER_POOL)
    check_told(site, "2001:db8:81::42", 443, OTHER)
    check_told(site, "2001:db8:81::43", 443, PASSED_ON)
    check_told(site, "203.0.114.42", 443, OTHER)
    check_told(site, "203.0.114.43", 443, PASSED_ON)


# ---- embedded destinations ------------------------------------------------------------------------

EMBEDDED_ALL = [f"{address}:{PASSED_ON}" for address in BACKENDS[:3]]


@pytest.mark.parametrize("prefix", ["2001:db8:64::/96", "2001:db8:64::/64", "3fff:64::/32"])
def test_embedded_destination(site, start, prefix):
    start_nginx(site, told=EMBEDDED_ALL)
    daemon = start(f'listener "site" {{ bind = "[{prefix}]:*" backend = embedded '
                   f'allow = {{ "192.0.2.8/30" }} }}')
    for address in BACKENDS[:2]:
        seen = check_told(site, embed(prefix, address), PASSED_ON)
        assert seen.at_addr == address
    assert is_reset(site.client, embed(prefix, BACKENDS[2]), PASSED_ON)  # it runs, but is not allowed
    refused = wait_until(lambda: len(found := access_records(daemon)) == 3 and found, "three records")[2]
    assert (refused["end"], refused["by"], refused["backend"]) == ("not-allowed", "gateway", None)
    assert refused["local"] == f"[{embed(prefix, BACKENDS[2])}]:{PASSED_ON}"
    if not prefix.endswith("/96"):
        bad = ipaddress.IPv6Address(int(ipaddress.IPv6Address(embed(prefix, SERVER4))) | 1 << 56)
        assert is_reset(site.client, str(bad), PASSED_ON)  # bits 64 to 71 are to be zero
        wait_until(lambda: len(access_records(daemon)) == 4, "four records")
        assert access_records(daemon)[3]["end"] == "not-allowed"
    assert is_reset(site.client, embed(prefix, SERVER4), PASSED_ON + 50)  # allowed, but nobody is there
    wait_until(lambda: access_records(daemon)[-1]["end"] == "refused", "a record that says refused")


def test_embedded_destination_by_turns_of_three(site, start):
    start_nginx(site, told=EMBEDDED_ALL)
    start('listener "site" { bind = "[2001:db8:64::/96]:*" backend = embedded allow = { "192.0.2.0/24" } }')
    for _ in range(20):
        for address in BACKENDS[:3]:
            assert check_told(site, embed("2001:db8:64::/96", address), PASSED_ON).at_addr == address


SPECIAL = ["10.1.2.3", "172.16.1.2", "192.168.1.2", "169.254.1.2", "100.64.1.2", "198.18.1.2"]
GLOBAL = "45.45.45.45"
PREFIX96 = "2001:db8:64::/96"


def test_embedded_addresses_that_are_not_global_must_be_named(site, start):
    """A server is there at each of them, so that only the gateway can be what refuses."""
    addresses = [*SPECIAL, GLOBAL]
    site.server.ip(*(f"addr add {address}/32 dev lo" for address in addresses))
    site.gateway.ip(*(f"route add {address}/32 via {SERVER4} dev back" for address in addresses))
    start_nginx(site, told=[f"{address}:{PASSED_ON}" for address in addresses])
    daemon = start(f"""
listener "wide" {{ bind = "[{PREFIX96}]:*" backend = embedded allow = {{ "0.0.0.0/0" }} }}
listener "named" {{ bind = "[2001:db8:65::/96]:*" backend = embedded
                    allow = {{ "0.0.0.0/0", "10.1.2.0/24", "192.168.1.2" }} }}
""")
    with site.gateway.listen("127.0.0.1", PASSED_ON) as trap:
        refused = [*SPECIAL, SERVER4, "127.0.0.1", "127.1.2.3", "0.0.0.0", "255.255.255.255", "224.0.0.1"]
        for address in refused:
            assert is_reset(site.client, embed(PREFIX96, address), PASSED_ON), address
        assert not select.select([trap], [], [], 0)[0]
    assert check_told(site, embed(PREFIX96, GLOBAL), PASSED_ON).at_addr == GLOBAL
    for address in ("10.1.2.3", "192.168.1.2", GLOBAL):
        assert check_told(site, embed("2001:db8:65::/96", address), PASSED_ON).at_addr == address
    assert is_reset(site.client, embed("2001:db8:65::/96", "172.16.1.2"), PASSED_ON)
    records = wait_until(lambda: len(found := access_records(daemon)) == len(refused) + 5 and found, "records")
    assert [record["end"] for record in records[:len(refused)]] == ["not-allowed"] * len(refused)
    assert records[-1]["end"] == "not-allowed"
    assert len(nginx_log(site)) == 4


def test_embedded_destination_is_not_the_gateway_itself(site, start):
    """Unless the list names it alone: what listens on the gateway is no server behind it."""
    daemon = start(f"""
listener "net" {{ bind = "[{PREFIX96}]:*" backend = embedded
                  allow = {{ "192.0.2.0/24", "198.51.100.0/24" }} }}
listener "named" {{ bind = "[2001:db8:65::/96]:*" backend = embedded
                    allow = {{ "192.0.2.0/24", "{GATEWAY4}", "127.0.0.0/8" }} identity = none }}
""")
    with site.gateway.listen("0.0.0.0", PASSED_ON) as trap:
        for address in (GATEWAY4, FRONT4):
            assert is_reset(site.client, embed(PREFIX96, address), PASSED_ON), address
        assert not select.select([trap], [], [], 0)[0]
        wait_until(lambda: [record["end"] for record in access_records(daemon)] == ["not-allowed"] * 2,
                   "two records that say not-allowed")
        for address in (GATEWAY4, "127.0.0.1"):
            with site.client.connect(embed("2001:db8:65::/96", address), PASSED_ON):
                trap.accept()[0].close()


# ---- transparent ----------------------------------------------------------------------------------

TRANSPARENT = NETWORK + f"""
listener "v4" {{ bind = "{VIP4}:80" pool = "plain" identity = transparent }}
""" + PLAIN_POOL


def check_shown(site, host=VIP4, port=80):
    """nginx saw our own address and port and was told nothing."""
    our_port, seen = ask(site, host, port)
    assert seen == ("", "", "", "", CLIENT4, our_port, SERVER4, PLAIN)


@pytest.mark.parametrize("workers", [1, 2])
def test_transparent_500_one_after_another(site, start, workers):
    start_nginx(site)
    daemon = start(TRANSPARENT, workers=workers)
    for _ in range(500):
        check_shown(site)
    records = wait_until(lambda: len(found := access_records(daemon)) == 500 and found, "500 records")
    assert {(record["identity"], record["end"]) for record in records} == {("transparent", "closed")}
    assert all(record["source"] == record["client"] for record in records)


def ask_many(site, count, host=VIP4, port=80):
    """That many at once: all are sent off before any is waited for."""
    poll, connections, ports, answers = select.epoll(), {}, {}, {}
    with contextlib.ExitStack() as stack, site.client.entered():
        stack.callback(poll.close)
        for _ in range(count):
            connection = stack.enter_context(socket.socket(socket.AF_INET))
            connection.setblocking(False)
            connection.connect_ex((host, port))
            connections[connection.fileno()] = connection
            ports[connection.fileno()] = connection.getsockname()[1]
            answers[connection.fileno()] = b""
            poll.register(connection, select.EPOLLIN)
        left = set(connections)
        while left:
            ready = poll.poll(8)
            assert ready, f"{len(left)} of {count} connections got no answer in 8 s"
            for fd, _ in ready:
                data = connections[fd].recv(4096)
                answers[fd] += data
                if not data:
                    poll.unregister(fd)
                    left.discard(fd)
    return {ports[fd]: parse(answers[fd].decode()) for fd in ports}


@pytest.mark.parametrize(("count", "rounds", "workers"), [(50, 10, 2), (600, 1, 1), (600, 1, 2)])
def test_transparent_many_at_once(site, start, count, rounds, workers):
    """600 are more than a worker's stock of sockets, which is filled again meanwhile."""
    start_nginx(site)
    daemon = start(TRANSPARENT, workers=workers)
    for _ in range(rounds):
        answers = ask_many(site, count)
        assert len(answers) == count
        for port, seen in answers.items():
            assert (seen.remote_addr, seen.remote_port, seen.addr) == (CLIENT4, port, "")
    records = wait_until(lambda: len(found := access_records(daemon)) == count * rounds and found, "records")
    assert {record["end"] for record in records} == {"closed"}


def test_transparent_600_that_wait_and_stay(site, start):
    """All are in the queue when the worker looks: its stock must run out, and be filled until all are served."""
    daemon = start(TRANSPARENT)
    others = [pid for pid in daemon.pids() if pid != daemon.pid]
    with site.server.listen(SERVER4, PLAIN, 1024) as listener, contextlib.ExitStack() as stack:
        listener.settimeout(10)
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        clients = [stack.enter_context(site.client.connect(VIP4, 80)) for _ in range(600)]
        for pid in others:
            os.kill(pid, signal.SIGCONT)
        peers = set()
        for _ in clients:
            server, peer = listener.accept()
            stack.enter_context(server)
            peers.add(peer)
        assert peers == {client.getsockname() for client in clients}
        check_starved(daemon)


def check_starved(daemon):
    daemon.kill(signal.SIGUSR1)
    found = wait_until(lambda: re.search(r"counter starved (\d+)", daemon.errors()), "the counters")
    assert int(found[1]) > 0


def test_transparent_client_that_comes_back_from_its_port(site, start):
    start_nginx(site)
    start(TRANSPARENT, workers=2)
    for _ in range(20):
        with site.client.socket(socket.AF_INET) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            connection.settimeout(5)
            connection.bind((CLIENT4, 41000))
            connection.connect((VIP4, 80))
            assert parse(read_all(connection).decode())[4:6] == (CLIENT4, 41000)


@pytest.mark.parametrize("workers", [1, 2])
def test_transparent_bytes_are_intact(site, start, workers):
    start(TRANSPARENT, workers=workers)
    with site.server.listen(SERVER4, PLAIN) as listener:
        listener.settimeout(10)
        for number in range(4):
            with site.client.connect(VIP4, 80) as client:
                server, peer = listener.accept()
                with server, background(receive_stream, server) as at_server, \
                        background(receive_stream, client) as at_client, \
                        background(send_and_finish, server, f"down{number}") as down:
                    assert peer == client.getsockname()
                    assert server.getsockname() == (SERVER4, PLAIN)
                    up = send_and_finish(client, f"up{number}")
                    assert at_server(10) == (up, 8 * MIB)
                    assert at_client(10) == (down(10), 8 * MIB)


def send_and_finish(connection, seed):
    digest = send_stream(connection, seed, 8 * MIB)
    connection.shutdown(socket.SHUT_WR)
    return digest


def test_transparent_resets_go_through(site, start):
    start(TRANSPARENT)
    with site.server.listen(SERVER4, PLAIN) as listener:
        listener.settimeout(10)
        for client_first in (True, False):
            client = site.client.connect(VIP4, 80)
            server, _ = listener.accept()
            with client, server:
                server.settimeout(5)
                near, far = (client, server) if client_first else (server, client)
                reset(near)
                assert ends_in_reset(far)[0]
    assert is_reset(site.client, VIP4, 80)  # the server refuses: its reset finds us, too


def test_transparent_listener_tells_ipv6_clients_by_header(site, start):
    """Each kind on its own port of the server, since a port expects a header or does not."""
    start_nginx(site)
    daemon = start(NETWORK + f"""
listener "both" {{ bind = {{ "{VIP4}:{PLAIN}", "[{VIP6}]:{PASSED_ON}" }} pool = "kept"
                   identity = transparent  identity-ipv6 = proxy-v2 }}
pool "kept" {{ backend "{SERVER4}:*" {{}} }}
""")
    assert check_told(site, VIP6, PASSED_ON).remote_addr == GATEWAY4
    check_shown(site, VIP4, PLAIN)
    records = wait_until(lambda: len(found := access_records(daemon)) == 2 and found, "two records")
    assert [record["identity"] for record in records] == ["proxy-v2", "transparent"]


def test_transparent_listener_refuses_ipv6_clients(site, start):
    start_nginx(site)
    daemon = start(NETWORK + f"""
listener "both" {{ bind = {{ "{VIP4}:80", "[{VIP6}]:80" }} pool = "plain"
                   identity = transparent  identity-ipv6 = refuse }}
""" + PLAIN_POOL)
    assert is_reset(site.client, VIP6, 80)
    check_shown(site)
    records = wait_until(lambda: len(found := access_records(daemon)) == 2 and found, "two records")
    assert [(record["identity"], record["end"]) for record in records] == [
        ("refuse", "not-allowed"), ("transparent", "closed")]
    assert len(nginx_log(site)) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_transparent_prefix_and_range(site, start, workers):
    """Diverted on its way in, and diverted on its way back."""
    start_nginx(site)
    start(f'listener "v4" {{ bind = "{PREFIX4}:1000-2000" pool = "plain" identity = transparent }}' + PLAIN_POOL,
          workers=workers)
    generator = random.Random(5)
    for _ in range(100):
        check_shown(site, addr_of(PREFIX4, generator), generator.randrange(1000, 2001))


def test_transparent_client_with_a_low_port(site, start):
    start_nginx(site)
    daemon = start(TRANSPARENT)

    def come():
        with site.client.socket(socket.AF_INET) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            connection.settimeout(5)
            connection.bind((CLIENT4, 999))
            connection.connect((VIP4, 80))
            return parse(read_all(connection).decode())[4:6]

    with pytest.raises(ConnectionResetError):
        come()
    assert wait_until(lambda: access_records(daemon), "a record")[0]["end"] == "not-allowed"
    assert "ip_unprivileged_port_start" in daemon.errors()
    site.gateway.sysctl("net.ipv4.ip_unprivileged_port_start", 0)
    assert come() == (CLIENT4, 999)


# ---- what is left behind --------------------------------------------------------------------------

EVERYTHING = f"""
network {{ interface = "front" address = {{ "{VIP6}/128", "{VIP4}" }}
          source-interface = "back" source = "{SOURCE4}/24" %s }}
listener "vip" {{ bind = {{ "[{VIP6}]:443", "{VIP4}:443" }} pool = "web" }}
listener "prefix" {{ bind = {{ "[{PREFIX6}]:443", "{PREFIX4}:443" }} pool = "web" }}
listener "range" {{ bind = {{ "[{VIP6}]:1000-2000", "{VIP4}:*" }} pool = "web" }}
listener "site" {{ bind = "[{PREFIX96}]:*" backend = embedded allow = "192.0.2.0/24" }}
listener "v4" {{ bind = "{VIP4}:80" pool = "plain" identity = transparent }}
""" + WEB + PLAIN_POOL


def use_everything(site):
    check_told(site, VIP6, 443)
    check_told(site, VIP4, 443)
    check_told(site, "2001:db8:81::7", 443)
    check_told(site, "203.0.114.7", 443)
    check_told(site, VIP6, 1500)
    check_told(site, embed(PREFIX96, SERVER4), PASSED_ON)
    check_shown(site)


def check_marked(before, during):
    """What came is ours by its mark, but for the local routes that the kernel adds for each address."""
    marked = 0
    for command in ("ip -4 -d route show table all", "ip -6 -d route show table all", "ip -4 rule"):
        for line in set(during[command].splitlines()) - set(before[command].splitlines()):
            assert f"proto {OWN_PROTOCOL}" in line or "proto kernel" in line, line
            marked += f"proto {OWN_PROTOCOL}" in line
    assert marked == 5  # three prefixes, and route and rule of transparent connections
    tables = set(re.findall(r"^table .*(?= {)", during["nft -a list ruleset"], re.M))
    assert tables - set(re.findall(r"^table .*(?= {)", before["nft -a list ruleset"], re.M)) == {
        "table inet sixgate"}


def net_sysctls(site):
    """Of both families, and what they are; some may not be read, and some of those are secret."""
    shown = site.gateway.run(["sysctl", "-a", "-e"], check=False).stdout.splitlines()
    return {line for line in shown if re.match(r"net\.ipv[46]\.", line)}


def test_everything_is_gone_at_the_end(site, start):
    # What others have there stays, as like ours as it may look.
    site.gateway.ip("addr add 192.0.2.99/24 dev back", "route add local 203.0.115.0/24 dev lo table local",
                    "rule add fwmark 0x2000/0x2000 lookup 77 priority 77",
                    "route add 10.9.0.0/16 via 192.0.2.10 table 77")
    site.gateway.run("ip -6 rule add fwmark 0x1000/0x1000 lookup 77 priority 77".split())
    site.gateway.run(["nft", "add", "table", "inet", "sixgates"])
    before, sysctls = site.gateway.network(), net_sysctls(site)
    start_nginx(site)
    daemon = start(EVERYTHING % "")
    use_everything(site)
    during = site.gateway.network()
    assert all(during[command] != before[command] for command in before if command != "ip -6 rule")
    check_marked(before, during)
    assert daemon.stop() == 0
    assert site.gateway.network() == before
    assert net_sysctls(site) == sysctls


def test_what_is_there_already_is_left_as_it_is(site, start):
    """The administrator has set some of it: then it is not ours, neither to change nor to remove."""
    site.gateway.ip(f"addr add {VIP6}/128 dev front nodad", f"addr add {VIP4}/32 dev front",
                    f"route add local {PREFIX4} dev lo table local", f"addr add {SOURCE4}/24 dev back")
    before = site.gateway.network()
    start_nginx(site)
    daemon = start(EVERYTHING % "")
    assert site.gateway.network()["ip -d addr"] == before["ip -d addr"]
    use_everything(site)
    assert daemon.stop() == 0
    assert site.gateway.network() == before


def test_network_stays_until_the_last_connection_is_gone(site, start):
    before = site.gateway.network()
    daemon = start(EVERYTHING % "")
    during = site.gateway.network()
    hosts = [(VIP6, 443), ("2001:db8:81::7", 443), ("203.0.114.7", 443), (VIP4, 80)]
    with site.server.listen(SERVER4, PASSED_ON) as told, site.server.listen(SERVER4, PLAIN) as plain, \
            contextlib.ExitStack() as stack:
        pairs = []
        for host, port in hosts:
            client = stack.enter_context(site.client.connect(host, port))
            listener = plain if port == 80 else told
            listener.settimeout(10)
            server = stack.enter_context(listener.accept()[0])
            if listener is told:
                assert read_header(server).dst == host
            pairs.append((client, server))
        daemon.kill(signal.SIGTERM)
        wait_until(lambda: "stopping" in daemon.errors(), "the gateway to drain")
        for client, server in pairs:
            client.sendall(b"still here?")
            assert server.recv(100) == b"still here?"
            server.sendall(b"yes")
            assert client.recv(100) == b"yes"
        assert site.gateway.network() == during
    assert daemon.stop() == 0
    assert site.gateway.network() == before


def test_kept_and_found_again(site, start):
    before = site.gateway.network()
    start_nginx(site)
    first = start(EVERYTHING % "keep = yes")
    during = site.gateway.network()
    assert during != before
    assert first.stop() == 0
    assert site.gateway.network() == during
    with watched(site) as changes:
        second = start(EVERYTHING % "keep = yes")
        use_everything(site)
        assert second.stop() == 0
        assert changes() == []
    assert site.gateway.network() == during  # with the same handles: the table is not even replaced
    assert start(EVERYTHING % "").stop() == 0
    assert site.gateway.network() == before


def test_unclean_end_is_cleared_by_the_next_start(site, start, gateway):
    """A kill leaves all in place; a gateway that wants none of it takes it away."""
    before = site.gateway.network()
    start_nginx(site)
    first = start(EVERYTHING % "")
    during = site.gateway.network()
    pids = first.pids()
    first.kill(signal.SIGKILL)
    first.process.wait(5)
    wait_until(lambda: not set(pids) & set(site.gateway.pids()), "the workers to be gone")
    assert site.gateway.network() == during
    second = start(EVERYTHING % "")
    assert site.gateway.network() == during
    use_everything(site)
    assert second.stop() == 0
    assert site.gateway.network() == before


def test_network_that_is_no_longer_wanted_is_taken_away(site, start):
    """By the next gateway, even if its own configuration has nothing to do with the network."""
    before = site.gateway.network()
    start_nginx(site)
    assert start(EVERYTHING % "keep = yes").stop() == 0
    assert site.gateway.network() != before
    start(f'listener "l" {{ bind = "[{GATEWAY6}]:8443" pool = "web" }}' + WEB)
    assert site.gateway.network() == before
    check_told(site, GATEWAY6, 8443)


def test_changed_configuration_changes_the_rest_only(site, start):
    """One VIP goes, one comes, one stays as it is all the while."""
    start_nginx(site)
    before = site.gateway.network()
    assert start(f"""
network {{ interface = "front" address = {{ "{VIP6}/128", "{VIP4}" }} keep = yes }}
""" + VIP_CONFIG + WEB).stop() == 0
    new = "2001:db8:80::2"
    with watched(site) as changes:
        daemon = start(f"""
network {{ interface = "front" address = {{ "{VIP6}/128", "{new}/128" }} }}
listener "six" {{ bind = {{ "[{VIP6}]:443", "[{new}]:443" }} pool = "web" }}
""" + WEB)
        told = changes()
    assert not [line for line in told if VIP6 + "/" in line]
    assert [line for line in told if new in line] and [line for line in told if VIP4 in line]
    assert show_addr(site.gateway, VIP4) is None
    check_told(site, VIP6, 443)
    check_told(site, new, 443)
    assert daemon.stop() == 0
    assert site.gateway.network() == before


# ---- conntrack ------------------------------------------------------------------------------------

# Of each family the packets of the client's side, by what conntrack thinks of them when they are let in.
CONNTRACK = """
table {family} probe {{
    chain input {{
        type filter hook input priority 0;
        iif front tcp dport 443 ct state untracked counter name "untracked"
        iif front tcp dport 443 ct state new,established counter name "tracked"
    }}
    chain output {{
        type filter hook output priority 0;
        oif front tcp sport 443 ct state untracked counter name "untracked"
        oif front tcp sport 443 ct state new,established counter name "tracked"
    }}
    counter untracked {{ }}
    counter tracked {{ }}
}}
"""


def conntrack_counts(site, family):
    shown = json.loads(site.gateway.run(["nft", "-j", "list", "counters", "table", family, "probe"]).stdout)
    return {entry["counter"]["name"]: entry["counter"]["packets"]
            for entry in shown["nftables"] if "counter" in entry}


@pytest.mark.parametrize("family", ["ip6", "ip"])
@pytest.mark.parametrize("notrack", ["", "notrack = auto", "notrack = yes", "notrack = no"])
def test_notrack(site, start, family, notrack):
    site.gateway.run(["nft", "-f", "-"], stdin=CONNTRACK.format(family=family))
    start(f"""
network {{ interface = "front" address = {{ "{VIP6}/128", "{VIP4}" }} {notrack} }}
listener "vip" {{ bind = {{ "[{VIP6}]:443", "{VIP4}:443" }} pool = "web" }}
listener "prefix" {{ bind = {{ "[{PREFIX6}]:443", "{PREFIX4}:443" }} pool = "web" }}
""" + WEB)
    hosts = (VIP6, "2001:db8:81::7") if family == "ip6" else (VIP4, "203.0.114.7")
    with site.server.listen(SERVER4, PASSED_ON) as listener, contextlib.ExitStack() as stack:
        listener.settimeout(10)
        for host in hosts:
            stack.enter_context(site.client.connect(host, 443))
            server, _ = listener.accept()
            stack.enter_context(server)
            assert read_header(server).dst == host
        counts = conntrack_counts(site, family)
        if family == "ip6":  # then the connections to the server, of IPv4, are tracked by nobody
            tracked = int(site.gateway.read_sysctl("net.netfilter.nf_conntrack_count"))
            assert tracked == (2 if notrack == "notrack = no" else 0)
    kinds = ("tracked", "untracked") if notrack == "notrack = no" else ("untracked", "tracked")
    assert counts[kinds[0]] >= 6 and counts[kinds[1]] == 0


# ---- rights ---------------------------------------------------------------------------------------

NEEDS_RIGHTS = {
    "vip": f'{NETWORK}\nlistener "l" {{ bind = "[{VIP6}]:8443" pool = "web" }}',
    "network-alone": f'{NETWORK}\nlistener "l" {{ bind = "[{GATEWAY6}]:8443" pool = "web" }}',
    "prefix": f'listener "l" {{ bind = "[{PREFIX6}]:8443" pool = "web" }}',
    "range": f'listener "l" {{ bind = "[{GATEWAY6}]:8000-9000" pool = "web" }}',
    "transparent": f'listener "l" {{ bind = "{FRONT4}:8443" pool = "web" identity = transparent }}',
}


@pytest.mark.parametrize("kind", NEEDS_RIGHTS)
def test_without_rights_it_says_which(site, kind):
    path = prepare_for_nobody(site, NEEDS_RIGHTS[kind] + WEB)
    before = site.gateway.network()
    ended = site.gateway.run([*UNPRIVILEGED, build_dir() / "sixgated", "--config", path], check=False, timeout=10)
    assert ended.returncode in (1, 71), ended.stderr
    assert len([line for line in ended.stderr.splitlines() if "CAP_NET_ADMIN" in line]) == 1, ended.stderr
    assert "ready" not in ended.stderr
    assert site.gateway.network() == before


def prepare_for_nobody(site, config):
    site.dir.chmod(0o755)
    directory = site.dir / "run"
    directory.mkdir()
    directory.chmod(0o777)
    return site.write("nobody.conf", whole(site, config))


def test_without_rights_ordinary_listeners_work(site, gateway):
    start_nginx(site)
    config = f'listener "l" {{ bind = {{ "[{GATEWAY6}]:8443", "{FRONT4}:8443" }} pool = "web" }}' + WEB
    before = site.gateway.network()
    gateway(args=["--config", prepare_for_nobody(site, config)], wrapper=UNPRIVILEGED)
    check_told(site, GATEWAY6, 8443)
    check_told(site, FRONT4, 8443)
    assert site.gateway.network() == before


# ---- two gateways ---------------------------------------------------------------------------------

def test_second_gateway_is_refused(site, start, gateway):
    start_nginx(site)
    start(EVERYTHING % "")
    during = site.gateway.network()
    other = site.write("other.conf", f"""
run-directory = "{site.dir}/other"
network {{ interface = "front" address = "2001:db8:80::2/128" }}
listener "l" {{ bind = "[2001:db8:80::2]:443" pool = "web" }}
{WEB}""")
    ended = site.gateway.run([build_dir() / "sixgated", "--config", other], check=False, timeout=10)
    assert ended.returncode not in (0, None)
    assert "another gateway" in ended.stderr and "ready" not in ended.stderr
    assert site.gateway.network() == during
    use_everything(site)


def test_second_gateway_without_network_is_welcome(site, start, gateway):
    start_nginx(site)
    start(EVERYTHING % "")
    during = site.gateway.network()
    second = gateway(config=f'run-directory = "{site.dir}/run"\nworkers = 1\n'
                            f'listener "l" {{ bind = "[{GATEWAY6}]:8443" pool = "web" }}\n' + WEB)
    check_told(site, GATEWAY6, 8443)
    assert second.stop() == 0
    assert site.gateway.network() == during
    use_everything(site)


def test_gateways_of_two_namespaces_know_nothing_of_each_other(site, start):
    start(EVERYTHING % "")
    with Site(bare=True) as other:
        daemon = other.sixgated_config(whole(other, NETWORK + VIP_CONFIG + WEB))
        assert show_addr(other.gateway, VIP6) is not None
        assert daemon.stop() == 0
    assert show_addr(site.gateway, VIP6) is not None
