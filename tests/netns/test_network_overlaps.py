"""What lies over each other: listeners and other traffic, binds and binds, two ends of one start, two owners of one
name."""

import contextlib
import json
import os
import random
import signal
import sys
import time

import netdump
import pytest
from netsite import CLIENT4, CLIENT6, FRONT4, GATEWAY4, GATEWAY6, SERVER4, VIP4, VIP6, Site, build_dir, wait_until
from netsite.addresses import addr_of
from netsite.told import OTHER, PASSED_ON, PLAIN, ask, start_nginx
from wire import access_records, read_header

PREFIX6 = "2001:db8:81::/64"
PREFIX4 = "203.0.114.0/24"
GATEWAY_BACK6 = "2001:db8:2::1"
SERVER6 = "2001:db8:2::10"

NETWORK = f'network {{ interface = "front" address = {{ "{VIP6}/128", "{VIP4}" }} %s }}'
WEB = f'pool "web" {{ backend "{SERVER4}:{PASSED_ON}" {{}} }}'
OTHER_POOL = f'pool "other" {{ backend "{SERVER4}:{OTHER}" {{}} }}'
PLAIN_POOL = f'pool "plain" {{ backend "{SERVER4}:{PLAIN}" {{}} }}'


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


def listener(name, binds, pool, options=""):
    quoted = ", ".join(f'"{bind}"' for bind in binds)
    return f'listener "{name}" {{ bind = {{ {quoted} }} pool = "{pool}" {options} }}\n'


def check_told(site, host, port, at_port=PASSED_ON):
    """nginx was told who we are and where we have connected to, exactly; at_port says by which pool."""
    our_port, seen = ask(site, host, port)
    assert seen[:4] == (client_of(host), our_port, host, port)
    assert seen.at_port == at_port
    return seen


def check_refused(site, host, port):
    with pytest.raises(ConnectionRefusedError):
        site.client.connect(host, port).close()


def client_of(host):
    return CLIENT6 if ":" in host else CLIENT4


def assert_equal(before, site):
    differs = netdump.differences(before, netdump.read(site.gateway))
    assert not differs, differs


# ---- traffic of others ----------------------------------------------------------------------------

ROUTED_PORTS = (9000, 9005, 9010)
RANGES = ("[::]:9000-9010", "0.0.0.0:9000-9010")
EACH = tuple(f"*:{port}" for port in ROUTED_PORTS)
TAKERS = {
    "range": (listener("l", RANGES, "web"), 3),
    "range-of-transparent": (listener("l", RANGES, "plain", "identity = transparent identity-ipv6 = none"), 3),
    "each": (listener("l", EACH, "plain", "identity = transparent identity-ipv6 = none"), 3),
    "each-of-both": (listener("l", [f"[::]:{port}" for port in ROUTED_PORTS], "plain",
                              "v6only = no identity = transparent identity-ipv6 = none"), 3),
    "vip-and-prefix": (NETWORK % "" + listener("l", (f"{VIP4}:9000-9010", f"{PREFIX4}:9000-9010"), "plain",
                                               "identity = transparent"), 0),
}


def route_both_families(site):
    """The gateway becomes a router, and the server gets an address of IPv6 behind it."""
    site.server.sysctl("net.ipv6.conf.all.disable_ipv6", 0)
    site.server.sysctl("net.ipv6.conf.eth0.disable_ipv6", 0)
    site.gateway.sysctl("net.ipv4.ip_forward", 1)
    site.gateway.sysctl("net.ipv6.conf.all.forwarding", 1)
    site.gateway.ip(f"addr add {GATEWAY_BACK6}/64 dev back nodad")
    site.server.ip(f"addr add {SERVER6}/64 dev eth0 nodad", f"route add default via {GATEWAY_BACK6}")


@pytest.mark.parametrize("kind", TAKERS)
def test_routed_traffic_is_left_alone(site, start, kind):
    """Both ways through the gateway, at ports that it listens on at every address of its own."""
    route_both_families(site)
    direct = [f"{host}:{port}" for host in (SERVER4, f"[{SERVER6}]") for port in ROUTED_PORTS]
    start_nginx(site, plain=[f"{SERVER4}:{PLAIN}", *direct])
    config, own = TAKERS[kind]
    daemon = start(config + WEB + PLAIN_POOL)
    for host in (SERVER4, SERVER6):
        for port in ROUTED_PORTS:
            our_port, seen = ask(site, host, port)
            assert seen == ("", "", "", "", client_of(host), our_port, host, port)
    for host in (CLIENT4, CLIENT6):
        with site.client.listen(host, 9005) as behind:
            behind.settimeout(5)
            with site.server.connect(host, 9005) as connection:
                accepted, peer = behind.accept()
                accepted.close()
                assert peer[:2] == connection.getsockname()[:2]
    # It does take what is its own, and that is all it has a record of.
    for port in ROUTED_PORTS[:own]:
        assert ask(site, FRONT4, port)[1].at_port in (PASSED_ON, PLAIN)
    wait_until(lambda: len(access_records(daemon)) >= own, "its records")
    assert daemon.stop() == 0
    assert [record["local"] for record in access_records(daemon)] == [
        f"{FRONT4}:{port}" for port in ROUTED_PORTS[:own]]


# ---- binds and binds ------------------------------------------------------------------------------

@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("wide_first", [True, False])
def test_wildcard_and_prefix(site, start, wide_first, workers):
    """Every address and a prefix, at one port, in listeners of their own, in either order."""
    start_nginx(site)
    both = [listener("wide", ("*:443",), "web"),
            listener("prefix", (f"[{PREFIX6}]:443", f"{PREFIX4}:443"), "other")]
    start("".join(both if wide_first else both[::-1]) + WEB + OTHER_POOL, workers=workers)
    generator = random.Random(1)
    for prefix in (PREFIX6, PREFIX4):
        for host in (prefix.split("/")[0], *(addr_of(prefix, generator) for _ in range(20))):
            check_told(site, host, 443, OTHER)
    for host in (GATEWAY6, FRONT4, GATEWAY4) * 5:
        check_told(site, host, 443, PASSED_ON)


@pytest.mark.parametrize("reverse", [False, True])
def test_ranges_of_as_many_ports(site, start, reverse):
    """Of two that overlap the one that begins at the smaller port has what they share, in either order."""
    start_nginx(site)
    both = [listener("low", (f"[{VIP6}]:9000-9010", "0.0.0.0:9000-9010"), "web"),
            listener("high", (f"[{VIP6}]:9005-9015", "0.0.0.0:9005-9015"), "other")]
    start(NETWORK % "" + "".join(both[::-1] if reverse else both) + WEB + OTHER_POOL)
    for host in (VIP6, VIP4, FRONT4):
        for port in (9000, 9004, 9005, 9006, 9010):
            check_told(site, host, port, PASSED_ON)
        for port in (9011, 9015):
            check_told(site, host, port, OTHER)
        for port in (8999, 9016):
            check_refused(site, host, port)


ALREADY = "a listener has this address already"
BEGINS = "another bind begins at this address and port"
CLASHES = {
    "prefixes": (f"[{PREFIX6}]:443", f"[{PREFIX6}]:443", ALREADY),
    "ranges": (f"{FRONT4}:9000-9010", f"{FRONT4}:9000-9010", ALREADY),
    "wildcards": ("[::]:443", "*:443", ALREADY),
    "range-and-longer": (f"{FRONT4}:9000-9010", f"{FRONT4}:9000-9011", BEGINS),
    "range-and-port": ("*:9000-9010", "0.0.0.0:9000", BEGINS),
    "prefix-and-wider": ("[2001:db8::/64]:443", "[2001:db8::/32]:443", BEGINS),
    "prefix-and-range": (f"{PREFIX4}:443", f"{PREFIX4}:443-444", BEGINS),
}


@pytest.mark.parametrize("kind", CLASHES)
@pytest.mark.parametrize("reverse", [False, True])
def test_binds_of_one_socket_are_refused(site, kind, reverse):
    """Equal ones, or those with the same beginning: with the line of the second, and before anything is done."""
    *binds, reason = CLASHES[kind]
    binds = binds[::-1] if reverse else binds
    path = site.write("clash.conf", WEB + "\n" + "".join(
        listener(name, (bind,), "web") for name, bind in zip("ab", binds)))
    before = netdump.read(site.gateway)
    for words in (["--check", path], ["--config", path]):
        ended = site.gateway.run([build_dir() / "sixgated", *words], check=False, timeout=10)
        assert ended.returncode == 78, ended.stderr  # EX_CONFIG
        assert "clash.conf:3: " in ended.stderr and reason in ended.stderr, ended.stderr
    assert_equal(before, site)


def test_range_of_the_links_own_address(site, start):
    """On both links: also of ports from which the gateway itself connects to the servers."""
    before = netdump.read(site.gateway)
    start_nginx(site)
    daemon = start(listener("front", (f"{FRONT4}:1000-2000",), "web")
                   + listener("back", (f"{GATEWAY4}:10000-65000",), "other") + WEB + OTHER_POOL, workers=2)
    generator = random.Random(2)
    for port in (1000, 1001, 2000, *(generator.randrange(1000, 2001) for _ in range(20))):
        assert check_told(site, FRONT4, port).remote_addr == GATEWAY4
    for port in (10000, 65000, *(generator.randrange(10000, 65001) for _ in range(200))):
        assert check_told(site, GATEWAY4, port, OTHER).remote_addr == GATEWAY4
    for host, port in ((FRONT4, 999), (FRONT4, 2001), (GATEWAY4, 9999), (GATEWAY4, 65001), (GATEWAY4, 1500)):
        check_refused(site, host, port)
    assert daemon.stop() == 0
    assert_equal(before, site)
    check_refused(site, FRONT4, 1500)  # its address is still its own


# ---- nobody else ----------------------------------------------------------------------------------

@contextlib.contextmanager
def serving(site, ports):
    """A service of the gateway's own at all its addresses: returns a function that says who was served."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(site.gateway.listen("::", port)) for port in ports]

        def served():
            found = []
            for each in listeners:
                each.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        connection, _ = each.accept()
                        found.append(connection.getsockname()[:2])
                        connection.close()
            return found
        yield served


def test_killed_gateways_clients_get_to_nobody_else(site, start, gateway):
    """All its processes are killed, the rules stay: they reset what its sockets had taken, until it is back."""
    start_nginx(site)
    config = NETWORK % "" + listener("l", (f"[{PREFIX6}]:443", f"{PREFIX4}:443", f"[{VIP6}]:1000-2000",
                                           "[::]:9000-9010", "0.0.0.0:9000-9010"), "web") + WEB
    taken = [("2001:db8:81::", 443), ("2001:db8:81::7", 443), ("203.0.114.0", 443), ("203.0.114.7", 443),
             (VIP6, 1000), (VIP6, 1500), (GATEWAY6, 9000), (GATEWAY6, 9005), (VIP6, 9005), (FRONT4, 9005)]
    daemon = start(config)
    for host, port in taken:
        check_told(site, host, port)
    for pid in daemon.pids():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not site.gateway.pids(), "all its processes to be gone")
    daemon.process.wait()
    with serving(site, (443, 1000, 1500, 9000, 9005)) as served:
        for host, port in taken:
            check_refused(site, host, port)
        assert served() == []
        for host, port in ((GATEWAY6, 443), (GATEWAY6, 1500)):  # which were never the gateway's
            site.client.connect(host, port).close()
        assert served() == [(GATEWAY6, 443), (GATEWAY6, 1500)]
    start(config)
    for host, port in taken:
        check_told(site, host, port)


# ---- a start that is cut off ----------------------------------------------------------------------

EVERYTHING = NETWORK % 'source-interface = "back" source = "192.0.2.77/24" notrack = yes' + "".join((
    listener("prefix", (f"[{PREFIX6}]:443", f"{PREFIX4}:443"), "web"),
    listener("range", (f"[{VIP6}]:1000-2000", "*:9000-9010"), "web"),
    listener("v4", (f"{VIP4}:80",), "plain", "identity = transparent"))) + WEB + PLAIN_POOL


def terminated_after(site, number, seconds=None):
    """Starts it, ends it after so long, or at once; returns (status, how long the start took or was let go on)."""
    began = time.monotonic()
    daemon = site.daemon(site.gateway, [build_dir() / "sixgated", "--config", site.dir / "cut.conf"], f"cut{number}")
    wait_until(lambda: "ready: " in daemon.errors() or seconds is not None and time.monotonic() - began >= seconds,
               "its moment")
    took = time.monotonic() - began
    status = daemon.stop()
    wait_until(lambda: not site.gateway.pids(), "all its processes to be gone")
    return status, took


def test_terminated_while_starting(site):
    """At moments all over a start. Before it minds the signal it has done nothing, so it may die of it."""
    before = netdump.read(site.gateway)
    site.write("cut.conf", whole(site, EVERYTHING))
    status, took = terminated_after(site, 0)
    assert status == 0
    assert_equal(before, site)
    generator = random.Random()
    for number in range(1, 13):
        status, _ = terminated_after(site, number, took * (number - generator.random()) / 12)
        assert status in (0, -signal.SIGTERM), status
        assert_equal(before, site)
        assert not (site.dir / "run/net.journal").exists() or \
            (site.dir / "run/net.journal").read_text().endswith("\nend\n")


@pytest.mark.parametrize("call", ["sendto", "write", "bind"])
def test_terminated_at_a_call(site, call):
    """The signal comes just with a call of the supervisor's: with each of those up to ready, one after another."""
    before = netdump.read(site.gateway)
    config = site.write("cut.conf", whole(site, EVERYTHING))

    def started(number):
        """Waits for its end, or until it is ready."""
        # LeakSanitizer cannot work under a tracer.
        argv = ["strace", "-D", "-qq", "-E", "ASAN_OPTIONS=detect_leaks=0", "-o", site.dir / "strace",
                "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGTERM:when={number}",
                build_dir() / "sixgated", "--config", config]
        daemon = site.daemon(site.gateway, argv, f"at{number}")
        wait_until(lambda: not daemon.alive() or "ready: " in daemon.errors(), "an end, or ready")
        return daemon

    daemon = started(65535)
    calls = (site.dir / "strace").read_text().count(f"{call}(")
    assert daemon.stop() == 0 and calls >= 7
    for number in range(1, calls + 1):
        daemon = started(number)
        # The one that says ready comes a moment before its signal; the others need no second one.
        status = daemon.process.wait(10) if number < calls else daemon.stop()
        assert status in (0, -signal.SIGTERM), daemon.errors()
        wait_until(lambda: not site.gateway.pids(), "all its processes to be gone")
        assert_equal(before, site)


# ---- the name by which gateways know each other ----------------------------------------------------

SQUATTER = """
import socket, sys
name = "\\0sixgate/network"
squatter = socket.socket(socket.AF_UNIX)
squatter.bind(name)
if sys.argv[1] != "bound":
    squatter.listen(0)
others = []
if sys.argv[1] == "full":
    try:
        while True:
            others.append(socket.socket(socket.AF_UNIX))
            others[-1].setblocking(False)
            others[-1].connect(name)
    except BlockingIOError:
        pass
print("there", flush=True)
sys.stdin.read()
"""
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]


@contextlib.contextmanager
def squatting(site, how, user):
    with site.gateway.popen([*user, sys.executable, "-I", "-c", SQUATTER, how], stdin=-1, stdout=-1,
                            text=True) as process:
        assert process.stdout.readline() == "there\n"
        yield process.pid
        process.stdin.close()
        assert process.wait(5) == 0


@pytest.mark.parametrize("how", ["bound", "listening", "full"])
def test_name_taken_by_an_ordinary_user(site, start, how):
    """The gateway says so, and works; it still takes all away at its end."""
    before = netdump.read(site.gateway)
    start_nginx(site)
    with squatting(site, how, NOBODY):
        daemon = start(EVERYTHING)
        assert "a user without rights to it has taken the name" in daemon.errors()
        check_told(site, "2001:db8:81::7", 443)
        site.gateway.run(["nft", "delete", "table", "inet", "sixgate"])  # and goes on to look after it
        wait_until(lambda: "put back" in daemon.errors(), "the table is put back")
        check_told(site, VIP6, 1500)
        assert daemon.stop() == 0
        assert_equal(before, site)


def test_name_taken_by_root(site):
    """That may be a gateway, so this one does nothing."""
    before = netdump.read(site.gateway)
    path = site.write("refused.conf", whole(site, EVERYTHING))
    with squatting(site, "listening", []):
        ended = site.gateway.run([build_dir() / "sixgated", "--config", path], check=False, timeout=10)
        assert ended.returncode != 0
        assert "another gateway" in ended.stderr and "ready" not in ended.stderr
        assert_equal(before, site)


# ---- conntrack ------------------------------------------------------------------------------------

PROBE = """
table inet probe {
    counter untracked { }
    counter tracked { }
    counter own_untracked { }
    counter own_tracked { }
    chain input {
        type filter hook input priority 0;
        iif front meta l4proto tcp ct state untracked counter name "untracked"
        iif front meta l4proto tcp ct state new,established counter name "tracked"
        iif back meta l4proto tcp ct state untracked counter name "own_untracked"
        iif back meta l4proto tcp ct state new,established counter name "own_tracked"
    }
    chain output {
        type filter hook output priority 0;
        oif front meta l4proto tcp ct state untracked counter name "untracked"
        oif front meta l4proto tcp ct state new,established counter name "tracked"
        oif back meta l4proto tcp ct state untracked counter name "own_untracked"
        oif back meta l4proto tcp ct state new,established counter name "own_tracked"
    }
}
"""


def counts(site):
    shown = json.loads(site.gateway.run("nft -j list counters table inet probe".split()).stdout)
    return {entry["counter"]["name"]: entry["counter"]["packets"]
            for entry in shown["nftables"] if "counter" in entry}


RANGE = "10000-65535"  # the ports of the gateway's own connections
TRACKS = {
    "vip": ((f"[{VIP6}]:{RANGE}", f"{VIP4}:{RANGE}"), (VIP6, VIP4), False),
    "prefix": ((f"[{PREFIX6}]:{RANGE}", f"{PREFIX4}:{RANGE}"), ("2001:db8:81::7", "203.0.114.7"), False),
    "link": ((f"[{GATEWAY6}]:{RANGE}", f"{FRONT4}:{RANGE}"), (GATEWAY6, FRONT4), True),
    "back": ((f"{GATEWAY4}:{RANGE}",), (GATEWAY4,), True),
    "wildcard": ((f"*:{RANGE}",), (GATEWAY6, FRONT4, VIP6, VIP4), True),
}


@pytest.mark.parametrize("kind", TRACKS)
def test_notrack_of_ranges(site, start, kind):
    """Never of ports of the gateway's own connections, so that these pass a filter that goes by their state."""
    binds, hosts, tracked = TRACKS[kind]
    site.gateway.run(["nft", "-f", "-"], stdin=PROBE + """
        add chain inet probe back { type filter hook input priority 10; }
        add rule inet probe back iif back meta l4proto tcp ct state != established drop
    """)
    start(NETWORK % "notrack = yes" + listener("l", binds, "web") + WEB)
    with site.server.listen(SERVER4, PASSED_ON) as servers, contextlib.ExitStack() as stack:
        servers.settimeout(10)
        for host in hosts:
            stack.enter_context(site.client.connect(host, 12345))
            server = stack.enter_context(servers.accept()[0])
            assert (read_header(server).dst, server.getpeername()[0]) == (host, GATEWAY4)
        found = counts(site)
    assert found["own_untracked"] == 0 and found["own_tracked"] >= 3 * len(hosts)
    mine, none = ("tracked", "untracked") if tracked else ("untracked", "tracked")
    assert found[mine] >= 3 * len(hosts) and found[none] == 0


# ---- a transparent connection that has ended ------------------------------------------------------

def socket_states(namespace, port):
    lines = namespace.run(["ss", "-Htan", f"( sport = :{port} or dport = :{port} )"]).stdout.splitlines()
    return {line.split()[0] for line in lines} - {"LISTEN"}


def test_last_acknowledgement_lost(site, start):
    """The server repeats its FIN to our TIME-WAIT, which has to be found like the connection before it."""
    start(NETWORK % "" + listener("v4", (f"{VIP4}:80",), "plain", "identity = transparent") + PLAIN_POOL)
    with site.server.listen(SERVER4, PLAIN) as servers:
        client = site.client.connect(VIP4, 80)
        server = servers.accept()[0]
        client.close()
        assert server.recv(1) == b""
        site.server.run(["nft", "-f", "-"], stdin=f"""
            table ip lossy {{
                chain input {{
                    type filter hook input priority 0
                    ip saddr {CLIENT4} tcp dport {PLAIN} drop
                }}
            }}
        """)
        server.close()
        wait_until(lambda: socket_states(site.gateway, PLAIN) == {"TIME-WAIT"}, "the gateway has said its last")
        assert socket_states(site.server, PLAIN) == {"LAST-ACK"}
        site.server.run(["nft", "delete", "table", "ip", "lossy"])
        wait_until(lambda: not socket_states(site.server, PLAIN), "the FIN that came again is acknowledged")
