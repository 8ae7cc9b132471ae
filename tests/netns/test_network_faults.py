"""The network side when things go wrong: kills at every step, what others take away, links that come and go,
lost notifications, steps that fail. The kernel's whole state is compared each time."""

import contextlib
import ipaddress
import itertools
import os
import random
import re
import signal
import subprocess
import time

import netdump
import pytest
from netload import EchoServer, Load
from netsite import CLIENT6, GATEWAY6, SERVER4, VIP4, VIP6, Site, build_dir, cpu_ns, wait_until

PREFIX = ipaddress.ip_network("2001:db8:81::/64")
RANGE = (1000, 2000)
STEPS = 7
RECORDS = 2 * STEPS + 2  # of the journal, for each of setting up and taking away

CONFIG = """
run-directory = "%s/run"
workers = 1
drain = 1s
log-level = debug
access-log = "off"
network {
    interface = "%s"
    address = { "2001:db8:80::1/128", "203.0.113.80" }
    source-interface = "back"
    source = { "192.0.2.77/24" }
    notrack = yes
    %s
}
listener "prefix" { bind = "[2001:db8:81::/64]:443" pool = "web" }
listener "range"  { bind = "[2001:db8:80::1]:1000-2000" pool = "web" }
listener "v4"     { bind = "203.0.113.80:80" pool = "web" identity = transparent }
pool "web" { backend "192.0.2.10:80" {} }
"""
NOTHING = """
run-directory = "%s/run"
workers = 1
listener "plain" { bind = "[2001:db8:1::1]:7000" pool = "web" }
pool "web" { backend "192.0.2.10:80" {} }
"""

# What others have set up: as near to ours as it can be.
FOREIGN_ADDRESSES = [("2001:db8:80::2/128", "front", 165), ("2001:db8:80::3/128", "front", 167),
                     ("203.0.113.81/32", "front", 165), ("203.0.113.82/32", "front", 0),
                     ("192.0.2.78/24", "back", 167), ("2001:db8:81::5/128", "lo", 0)]
FOREIGN_IP4 = [
    "route add 10.1.0.0/16 via 192.0.2.10 proto 165",
    "route add 10.2.0.0/16 via 192.0.2.10 proto 167",
    "route add blackhole default metric 4000 table 166 proto 167",
    "route add local 10.3.0.0/16 dev lo table 166 proto 165",
    "route add local 203.0.113.90/32 dev lo table local proto 167",
    "route add unreachable 10.4.0.0/16 table 1000",
    "rule add priority 165 fwmark 0x1000/0x1000 lookup 166 protocol 165",
    "rule add priority 166 fwmark 0x2000/0x2000 lookup 166 protocol 167",
    "rule add priority 166 from 10.5.0.0/16 fwmark 0x1000/0x1000 lookup 166",
    "rule add priority 167 fwmark 0x1000/0x1000 lookup 167",
]
FOREIGN_IP6 = [
    f"route add 2001:db8:a::/48 via {CLIENT6} proto 165",
    f"route add 2001:db8:b::/48 via {CLIENT6} proto 167",
    "route add local default dev lo table 166 proto 167",
    "route add local 2001:db8:81::/65 dev lo table local proto 165",
    "route add unreachable 2001:db8:81::/64 metric 2000 table local proto 167",
    "route add local 2001:db8:82::/64 dev lo table local proto 4",
    "rule add priority 166 fwmark 0x1000/0x1000 lookup 166 protocol 167",
]
FOREIGN_NFT = """
table ip sixgate {
    set known { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 }; }
    chain divert { type filter hook prerouting priority mangle; ip saddr @known meta mark set 0x4000; }
}
table inet sixgate2 {
    map ports { type inet_service : verdict; elements = { 22 : accept }; }
    chain divert { type filter hook prerouting priority mangle - 1; tcp dport vmap @ports; }
    chain answer { type filter hook output priority raw; tcp sport 23 notrack; }
}
table ip6 filter { chain input { type filter hook input priority 0; ip6 saddr 2001:db8:bad::/48 drop; }; }
"""


@pytest.fixture
def site():
    with Site(ipv4_client=True, bare=True) as made:
        wait_until(lambda: is_settled(made.gateway), "links are up")
        yield made


def is_settled(namespace, links=frozenset({"front", "back"})):
    """The kernel has said all that it says of its own accord."""
    found = [address for address in netdump.addresses(namespace) if address.address.startswith("fe80:")]
    routes = namespace.run(["ip", "route", "show", "table", "all"]).stdout
    return links <= {address.link for address in found} and "linkdown" not in routes


@pytest.fixture
def foreign(site):
    """The dump of a gateway's namespace in which others have been busy, too."""
    for address, link, protocol in FOREIGN_ADDRESSES:
        netdump.add_address(site.gateway, address, link, protocol)
    site.gateway.ip(*FOREIGN_IP4)
    site.gateway.run(["ip", "-6", "-batch", "-"], stdin="\n".join(FOREIGN_IP6) + "\n")
    site.gateway.run(["nft", "-f", "-"], stdin=FOREIGN_NFT)
    return netdump.read(site.gateway)


def write_config(site, interface="front", options=""):
    return site.write("gateway.conf", CONFIG % (site.dir, interface, options))


def undisturbed(site, before):
    """What the network is while the gateway runs and nobody is in its way."""
    daemon = site.sixgated(["--config", write_config(site)], name="undisturbed")
    wanted = netdump.read(site.gateway)
    assert daemon.stop() == 0, daemon.errors()
    assert netdump.differences(wanted, before), "the gateway has to do something"
    assert_equal(before, site)
    return wanted


def assert_equal(wanted, site, select=lambda dump: dump):
    differs = netdump.differences(select(wanted), select(netdump.read(site.gateway)))
    assert not differs, differs


def ended(site):
    """Whoever was killed left nothing running: a worker may still hold a port."""
    return not site.gateway.pids()


# ---- kill -9 at every step ------------------------------------------------------------------------

def injection(site, what, fault, number):
    """A wrapper under which the call of that number does not come about. The program stays our child (-D)."""
    calls, where = {"record": ("write", ["-P", site.dir / "run/net.journal"]),
                    "request": ("sendto", [])}[what]
    # Leaks cannot be looked for in a program that is traced.
    sanitizer = f"ASAN_OPTIONS={os.environ.get('ASAN_OPTIONS', '')}:detect_leaks=0"
    return ["strace", "-D", "-qq", "-o", site.dir / "strace", "-E", sanitizer, *where, "-e", f"trace={calls}",
            "-e", f"inject={calls}:{fault}:when={number}"]


def assert_recovers(site, name, before, wanted):
    """The next start makes all whole, and its end leaves what there was. Returns what it had said."""
    daemon = site.sixgated(["--config", site.dir / "gateway.conf"], name=name)
    assert_equal(wanted, site)
    assert daemon.stop() == 0, daemon.errors()
    assert_equal(before, site)
    assert (site.dir / "run/net.journal").read_text().endswith("\nend\n")
    return daemon.errors()


def calls_so_far(site):
    return len((site.dir / "strace").read_text().splitlines())


class Victim:
    """A gateway that is killed at the call of a number, or reaches its goal before."""

    def __init__(self, site, what, number):
        self.site = site
        argv = [*injection(site, what, "signal=SIGKILL", number), build_dir() / "sixgated", "--config",
                site.dir / "gateway.conf"]
        self.daemon = site.daemon(site.gateway, argv, f"victim{number}")

    def reaches(self, goal, what):
        wait_until(lambda: not self.daemon.alive() or goal(), what)
        return self.daemon.alive()

    def starts(self):
        return self.reaches(lambda: "ready: " in self.daemon.errors(), "ready, or killed")

    def is_gone(self):
        """It must have been killed by nobody else; its children go by themselves."""
        status = self.daemon.process.wait(10)
        assert status in (0, -signal.SIGKILL), self.daemon.errors()
        wait_until(lambda: ended(self.site), "its workers have ended")
        return status != 0


def prepared(site, before, what):
    """The wanted dump, and how many calls a start takes."""
    wanted = undisturbed(site, before)
    victim = Victim(site, what, 65535)
    assert victim.starts()
    calls = calls_so_far(site)
    victim.daemon.kill(signal.SIGKILL)
    assert victim.is_gone()
    assert_recovers(site, "recovered0", before, wanted)
    return wanted, calls


@pytest.mark.parametrize("what", ["record", "request"])
def test_killed_while_starting(site, foreign, what, record_property):
    wanted, calls = prepared(site, foreign, what)
    for number in range(1, calls + 1):
        victim = Victim(site, what, number)
        assert not victim.starts(), number
        assert victim.is_gone()
        said = assert_recovers(site, f"recovered{number}", foreign, wanted)
        if what == "record" and 2 <= number <= 2 * STEPS:
            assert f"cut off at step {(number - 1) // 2} " in said, number
    if what == "record":
        assert calls == RECORDS
    record_property("kills", calls)
    print(f"\n{calls} kills")


@pytest.mark.parametrize("what", ["record", "request"])
def test_killed_while_stopping(site, foreign, what, record_property):
    wanted, calls = prepared(site, foreign, what)
    kills = 0
    for number in itertools.count(calls + 1):
        victim = Victim(site, what, number)
        if victim.starts():
            victim.daemon.kill(signal.SIGTERM)
            if not victim.is_gone():
                break
            kills += 1
        else:  # an event has made it read once more than when the calls were counted
            assert what == "request" and victim.is_gone(), number
        assert_recovers(site, f"recovered{number}", foreign, wanted)
    assert_equal(foreign, site)
    assert kills == RECORDS if what == "record" else kills > STEPS
    record_property("kills", kills)
    print(f"\n{kills} kills")


OURS_GONE = ["ip -6 addr del 2001:db8:80::1/128 dev front", "ip addr del 203.0.113.80/32 dev front",
             "ip -6 route flush table local proto 166", "ip route flush table 166 proto 166",
             "ip rule del priority 166 fwmark 0x1000/0x1000 lookup 166 protocol 166",
             "nft delete table inet sixgate"]


def test_killed_while_putting_back(site, foreign, record_property):
    """The gateway is held until all is gone, so that it is put back as one."""
    wanted, calls = prepared(site, foreign, "record")
    for number in itertools.count(calls + 1):
        victim = Victim(site, "record", number)
        assert victim.starts(), number
        victim.daemon.kill(signal.SIGSTOP)
        for command in OURS_GONE:
            site.gateway.run(command.split())
        victim.daemon.kill(signal.SIGCONT)
        repaired = victim.reaches(
            lambda: not netdump.differences(wanted, netdump.read(site.gateway)) and
            (site.dir / "run/net.journal").read_text().endswith("\nend\n"), "repaired, or killed")
        victim.daemon.kill(signal.SIGKILL)
        assert victim.is_gone()
        assert_recovers(site, f"recovered{number}", foreign, wanted)
        if repaired:
            break
    kills = number - calls - 1
    assert kills == 2 * len(OURS_GONE) + 2
    record_property("kills", kills)
    print(f"\n{kills} kills")


@pytest.mark.parametrize("command", ["apply", "teardown"])
@pytest.mark.parametrize("what", ["record", "request"])
def test_sixgatectl_killed(site, foreign, command, what, record_property):
    wanted = undisturbed(site, foreign)
    config = ["--config", site.dir / "gateway.conf"]
    ctl = [build_dir() / "sixgatectl", "net"]
    for number in itertools.count(1):
        if command == "teardown":
            site.gateway.run([*ctl, "apply", *config])
            assert_equal(wanted, site)
        result = site.gateway.run([*injection(site, what, "signal=SIGKILL", number), *ctl, command, *config],
                                  check=False)
        if result.returncode == 0:
            break
        assert result.returncode == -signal.SIGKILL, result
        wait_until(lambda: ended(site), "strace has ended")
        assert_recovers(site, f"recovered{number}", foreign, wanted)
    assert_equal(wanted if command == "apply" else foreign, site)
    assert number - 1 == RECORDS if what == "record" else number - 1 > STEPS
    record_property("kills", number - 1)
    print(f"\n{number - 1} kills")


def test_killed_while_undoing(site, foreign, record_property):
    """The fifth step fails; what was done before is being taken back."""
    wanted = undisturbed(site, foreign)
    in_the_way = "blackhole default table 166 proto 167"
    ctl = [build_dir() / "sixgatectl", "net", "apply", "--config", site.dir / "gateway.conf"]
    for number in itertools.count(1):
        site.gateway.ip(f"route add {in_the_way}")
        before = netdump.read(site.gateway)
        result = site.gateway.run([*injection(site, "record", "signal=SIGKILL", number), *ctl], check=False)
        assert result.returncode in (1, -signal.SIGKILL), result
        if result.returncode == 1:
            break
        wait_until(lambda: ended(site), "strace has ended")
        site.gateway.ip(f"route del {in_the_way}")
        assert_recovers(site, f"recovered{number}", foreign, wanted)
    assert_equal(before, site)
    record_property("kills", number - 1)
    print(f"\n{number - 1} kills")
    assert number - 1 == 1 + 4 * 2 + 1 + 4 * 2 + 1  # begin, four steps, one begun, four taken back, end


JOURNALS = {
    "empty": b"", "half-a-word": b"beg", "half-a-line": b"begin 7\ndo 1 ip -6",
    "step-too-far": b"begin 7\ndo 9 x\n", "binary": bytes(range(256)) * 64,
    "huge-number": b"begin 99999999999999999999999\n", "newlines": b"\n" * 10000,
}


@pytest.mark.parametrize("journal", JOURNALS.values(), ids=JOURNALS)
def test_journal_that_makes_no_sense(site, foreign, journal):
    wanted = undisturbed(site, foreign)
    victim = site.sixgated(["--config", site.dir / "gateway.conf"], name="victim")
    victim.stop(signal.SIGKILL)
    wait_until(lambda: ended(site), "its workers have ended")
    site.gateway.run(["ip", "-6", "route", "flush", "table", "local", "proto", "166"])
    (site.dir / "run/net.journal").write_bytes(journal)
    assert_recovers(site, "recovered", foreign, wanted)


def killed_gateway(site):
    daemon = site.sixgated(["--config", write_config(site)], name="killed")
    daemon.stop(signal.SIGKILL)
    wait_until(lambda: ended(site), "its workers have ended")


def test_next_start_wants_nothing(site, foreign, gateway):
    killed_gateway(site)
    gateway(config=NOTHING % site.dir)
    assert_equal(foreign, site)


def test_teardown_after_kill(site, foreign):
    killed_gateway(site)
    site.gateway.run([build_dir() / "sixgatectl", "net", "teardown", "--config", site.dir / "gateway.conf"])
    assert_equal(foreign, site)


# ---- somebody takes it away, under load -----------------------------------------------------------

def targets():
    """VIP and a port of the range, prefix, IPv4."""
    while True:
        yield VIP6, random.randint(*RANGE)
        yield str(PREFIX[random.getrandbits(64)]), 443
        yield VIP4, 80


@pytest.fixture
def load(site):
    with contextlib.ExitStack() as stack:
        def start():
            server = EchoServer(site.server, SERVER4, 80)
            stack.callback(server.close)
            made = Load(site, targets)
            stack.callback(made.close)
            return made
        yield start


TAKEN = {
    "addresses6": "ip -6 addr flush dev front scope global",
    "address4": "ip -4 addr flush to 203.0.113.80",
    "table": "ip route flush table 166",
    "prefix": "ip -6 route flush table local proto 166",
    "rule": "ip rule del priority 166",
    "ruleset": "nft flush ruleset",
    "nft-table": "nft delete table inet sixgate",
    "divert": "nft flush chain inet sixgate divert",
    "answer": "nft flush chain inet sixgate answer",
}


@pytest.mark.parametrize("what", TAKEN)
def test_taken_away_under_load(site, gateway, load, what, record_property):
    daemon = gateway(config=CONFIG % (site.dir, "front", ""))
    wanted = netdump.read(site.gateway)
    running = load()
    running.goes_on()
    assert not running.lost and not running.broken
    worst, lost = 0.0, 0
    for times in range(1, 4):
        lost_before = len(running.lost)
        site.gateway.run(TAKEN[what].split())
        since = time.monotonic()
        if what == "addresses6":
            site.gateway.ip(f"addr add {GATEWAY6}/64 dev front nodad")
        netdump.wait_equal(site.gateway, wanted)
        back = time.monotonic()
        assert daemon.errors().count("put back") >= times
        worst = max(worst, back - since)
        running.goes_on()
        assert not running.broken, running.broken
        late = [text for began, text in running.lost if began > back]
        assert not late, late
        lost += len(running.lost) - lost_before
    figures = f"back within {worst * 1000:.0f} ms, {lost} connections lost, {running.done} not, {running.slow} slow"
    record_property("figures", figures)
    print(f"\n{what}: {figures}, 20 streams go on")
    assert worst <= 1.0


# ---- somebody insists -----------------------------------------------------------------------------

INSISTENT = {
    "address6": "ip -6 addr del 2001:db8:80::1/128 dev front",
    "address4": "ip addr del 203.0.113.80/32 dev front",
    "route": "ip -6 route del local 2001:db8:81::/64 dev lo table local proto 166",
    "rule": "ip rule del priority 166",
    "nft-table": "nft delete table inet sixgate",
    "nft-rule": "nft add rule inet sixgate divert counter",
}


@contextlib.contextmanager
def insisting(site, command):
    """Does it again and again, as fast as it can be done; yields a function that counts the times it was."""
    path = site.dir / "insisted"
    script = f"while :; do {command} 2>/dev/null && echo >>{path}; done"
    process = site.gateway.popen(["sh", "-c", script], stdin=subprocess.DEVNULL)
    try:
        yield lambda: path.stat().st_size if path.exists() else 0
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("what", INSISTENT)
def test_somebody_insists(site, gateway, what, record_property):
    daemon = gateway(config=CONFIG % (site.dir, "front", ""))
    wanted = netdump.read(site.gateway)
    with insisting(site, INSISTENT[what]) as times:
        wait_until(lambda: "somebody keeps changing" in daemon.errors(), "the log says so")
        assert times() > 16
        before, since = cpu_ns([daemon.pid]), time.monotonic()
        wait_until(lambda: time.monotonic() > since + 3.2, "three seconds")
        share = (cpu_ns([daemon.pid]) - before) / 1e9 / (time.monotonic() - since)
        count = times()
    took = netdump.wait_equal(site.gateway, wanted, timeout=12)
    figures = f"{count} times, CPU {share * 100:.1f} %, right again {took:.1f} s after it ended"
    record_property("figures", figures)
    print(f"\n{what}: {figures}")
    assert share < 0.1
    assert daemon.errors().count("somebody keeps changing") == 1
    assert daemon.alive()


# ---- interfaces -----------------------------------------------------------------------------------

MISSING = "interface vip0 is missing"
THERE_AGAIN = "all interfaces are there again"


def ours(namespace, link):
    """The gateway's addresses on the link."""
    return sorted(address.address for address in netdump.addresses(namespace)
                  if address.protocol == 166 and address.link == link)


VIPS = sorted([f"{VIP4}/32", f"{VIP6}/128"])


NEW_VIP0 = ["link add vip0 type veth peer name vip0far", "link set vip0far up", "link set vip0 up"]


def make_vip0(site):
    """A link that may go without anything else."""
    site.gateway.ip(*NEW_VIP0)


def vips_are_on(site, link):
    wait_until(lambda: ours(site.gateway, link) == VIPS, f"the VIPs are on {link}")


@pytest.fixture
def vip0(site):
    make_vip0(site)
    wait_until(lambda: is_settled(site.gateway, {"vip0", "vip0far"}), "vip0 is up")
    return netdump.read(site.gateway)


def test_link_goes_down_and_up(site, gateway, load):
    """The kernel takes IPv6 addresses away when a link goes down."""
    daemon = gateway(config=CONFIG % (site.dir, "front", ""))
    wanted = netdump.read(site.gateway)
    running = load()
    for _ in range(3):
        running.goes_on()
        site.gateway.ip("link set front down")
        vips_are_on(site, "front")
        site.gateway.ip("link set front up", f"addr add {GATEWAY6}/64 dev front nodad")
        netdump.wait_equal(site.gateway, wanted)
    running.goes_on()
    assert not running.broken, running.broken
    assert daemon.alive()


def test_link_is_renamed_and_back(site, vip0, gateway):
    daemon = gateway(config=CONFIG % (site.dir, "vip0", ""))
    wanted = netdump.read(site.gateway)
    for times in range(1, 4):
        site.gateway.ip("link set vip0 down", "link set vip0 name other", "link set other up")
        wait_until(lambda times=times: daemon.errors().count(MISSING) == times, "the log says that it is gone")
        site.gateway.ip("link set other down", "link set other name vip0", "link set vip0 up")
        netdump.wait_equal(site.gateway, wanted)
        wait_until(lambda times=times: daemon.errors().count(THERE_AGAIN) == times, "and that it is back")
    assert daemon.stop() == 0
    assert_equal(vip0, site)


def test_renamed_link_gives_its_addresses_to_the_new_one(site, vip0, gateway):
    daemon = gateway(config=CONFIG % (site.dir, "vip0", ""))
    site.gateway.ip("link set vip0 down", "link set vip0 name other", "link set other up",
                    "link set vip0far down", "link set vip0far name otherfar", "link set otherfar up")
    wait_until(lambda: MISSING in daemon.errors(), "the log says that it is missing")
    make_vip0(site)
    vips_are_on(site, "vip0")
    wait_until(lambda: not ours(site.gateway, "other"), "none is left on the old one")
    assert daemon.stop() == 0
    assert not ours(site.gateway, "vip0")


def test_link_is_deleted_and_made_anew(site, vip0, gateway):
    daemon = gateway(config=CONFIG % (site.dir, "vip0", ""))
    for times in range(1, 4):
        vips_are_on(site, "vip0")
        site.gateway.ip("link del vip0")
        wait_until(lambda times=times: daemon.errors().count(MISSING) == times, "the log says that it is gone")
        make_vip0(site)
        vips_are_on(site, "vip0")
        wait_until(lambda times=times: daemon.errors().count(THERE_AGAIN) == times, "and that it is back")
    assert "warning: network: interface vip0 is missing" in daemon.errors()
    assert daemon.alive()


def test_link_comes_and_goes_as_fast_as_it_can(site, vip0, gateway):
    daemon = gateway(config=CONFIG % (site.dir, "vip0", ""))
    for _ in range(3):
        site.gateway.ip(*["link del vip0", *NEW_VIP0] * 10)
    vips_are_on(site, "vip0")
    site.gateway.ip("link del vip0")
    wait_until(lambda: MISSING in daemon.errors(), "the log says that it is missing")
    assert daemon.stop() == 0
    assert not netdump.differences(netdump.without(vip0, "vip0"),
                                   netdump.without(netdump.read(site.gateway), "vip0"))


def test_link_is_missing_at_the_start(site, gateway):
    before = netdump.read(site.gateway)
    daemon = gateway(config=CONFIG % (site.dir, "vip0", ""))
    assert MISSING in daemon.errors()
    make_vip0(site)
    vips_are_on(site, "vip0")
    wait_until(lambda: THERE_AGAIN in daemon.errors(), "the log says that it is there")
    assert daemon.stop() == 0
    site.gateway.ip("link del vip0")
    assert_equal(before, site)


def test_link_is_missing_at_the_end(site, vip0, gateway):
    """It went while the gateway stopped, or just before."""
    daemon = gateway(config=CONFIG % (site.dir, "vip0", ""))
    site.gateway.ip("link del vip0")
    assert daemon.stop() == 0
    assert not netdump.differences(netdump.without(vip0, "vip0"), netdump.read(site.gateway))


# ---- lost notifications ---------------------------------------------------------------------------

N_ROUTES = 10000
FOREIGN_TABLE = "table 1000"


def write_routes(site):
    lines = [f"route add blackhole 10.{i >> 8}.{i & 255}.1/32 proto 99 {FOREIGN_TABLE}\n" for i in range(N_ROUTES)]
    return site.write("routes", "".join(lines))


@contextlib.contextmanager
def storm(site, path):
    """Ten thousand routes come and go, again and again."""
    flush = f"ip route flush {FOREIGN_TABLE}"
    process = site.gateway.popen(["sh", "-c", f"while :; do ip -batch {path}; {flush}; done"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        # The ip that was at it has its last call to finish.
        wait_until(lambda: process.pid not in map(group_of, site.gateway.pids()), "the storm to be over")
        site.gateway.run(["sh", "-c", f"{flush}; ip -batch {path}"])


def group_of(pid):
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(pid)
    return None


def calm(dump):
    return netdump.without(dump, FOREIGN_TABLE)


def test_tiny_buffer_and_a_storm_of_foreign_routes(site, foreign, gateway, record_property):
    path = write_routes(site)
    site.gateway.run(["ip", "route", "flush", "table", "1000"])
    site.gateway.run(["ip", "-batch", path])
    before = netdump.read(site.gateway)
    assert len(before["IPv4 routes"]) > N_ROUTES
    wanted = undisturbed(site, before)

    times, lost = {}, 0
    with storm(site, path):
        for _ in range(3):
            start = time.monotonic()
            daemon = gateway(config=CONFIG % (site.dir, "front", "receive-buffer = 4096"))
            note(times, "start", time.monotonic() - start)
            for command in OURS_GONE:
                site.gateway.run(command.split())
                note(times, command, netdump.wait_equal(site.gateway, wanted, select=calm))
            for command in OURS_GONE:
                site.gateway.run(command.split())
            note(times, "all at once", netdump.wait_equal(site.gateway, wanted, select=calm))
            lost += daemon.errors().count("notifications were lost")
            assert daemon.stop() == 0
            assert_equal(before, site, select=calm)
    assert_equal(before, site)
    figures = f"lost {lost} times; " + ", ".join(f"{name}: {took * 1000:.0f} ms" for name, took in times.items())
    record_property("figures", figures)
    print(f"\n{figures}")
    assert lost > 0


def note(times, name, took):
    times[name] = max(took, times.get(name, 0.0))


# ---- a step that fails ----------------------------------------------------------------------------

def refused(site, program, status=1):
    """The words of a program that must fail and leave no trace. IPv4 addresses come first, so that there is
    something to take back whatever fails."""
    before = netdump.read(site.gateway)
    config = write_config(site)
    config.write_text(config.read_text().replace('{ "2001:db8:80::1/128", "203.0.113.80" }',
                                                 '{ "203.0.113.80", "2001:db8:80::1/128" }'))
    result = site.gateway.run([*program, "--config", config], timeout=10, check=False)
    assert result.returncode == status, result
    assert_equal(before, site)
    return result.stderr


def journal_tells_undo(site):
    text = (site.dir / "run/net.journal").read_text()
    return "\nundone " in text and text.endswith("\nend\n")


IN_THE_WAY = {
    "route6": ("ip -6 route add blackhole 2001:db8:81::/64 metric 1024 table local proto 167",
               r"ip -6 route add local 2001:db8:81::/64 .*File exists; something that is not ours is in its place"),
    "route4": ("ip route add blackhole default table 166 proto 167",
               r"ip -4 route add local default .*File exists; something that is not ours is in its place"),
    "no-ipv6": ("sysctl -q net.ipv6.conf.front.disable_ipv6=1",
                r"ip -6 addr add 2001:db8:80::1/128 dev front .*Permission denied; .*is IPv6 switched off"),
    "no-ipv6-on-lo": ("sysctl -q net.ipv6.conf.all.disable_ipv6=1",
                      r"ip -6 (addr|route) add 2001:db8:8[01]::.*; .*"),
}


@pytest.mark.parametrize("what", IN_THE_WAY)
def test_failed_start_is_undone(site, foreign, what):
    del foreign
    command, words = IN_THE_WAY[what]
    site.gateway.run(command.split())
    said = refused(site, [build_dir() / "sixgated"])
    assert re.search(f"error: network: set up: {words}", said), said
    assert "what was done before is taken back" in said
    assert journal_tells_undo(site)


@pytest.mark.parametrize("what", IN_THE_WAY)
def test_failed_apply_is_undone(site, foreign, what):
    del foreign
    command, words = IN_THE_WAY[what]
    site.gateway.run(command.split())
    said = refused(site, [build_dir() / "sixgatectl", "net", "apply"])
    assert re.search(f"step [0-9]+ failed: {words.partition(';')[0]}", said), said
    assert "what was done before was taken back" in said
    assert journal_tells_undo(site)


@pytest.fixture
def table_of_a_process(site):
    """The kernel lets nobody but its owner change it; so the last of all steps fails."""
    owner = site.gateway.popen(["nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, text=True)
    with owner:
        owner.stdin.write("add table inet sixgate { flags owner; }\n")
        owner.stdin.flush()
        wait_until(lambda: "owner" in site.gateway.run(["nft", "list", "ruleset"]).stdout, "the table")
        yield
        owner.kill()


@pytest.mark.usefixtures("foreign", "table_of_a_process")
def test_failure_of_the_last_step_is_undone(site):
    said = refused(site, [build_dir() / "sixgated"])
    assert re.search(r"error: network: set up: nft .*Operation not permitted", said), said
    assert "what was done before is taken back" in said
    said = refused(site, [build_dir() / "sixgatectl", "net", "apply"], status=os.EX_NOPERM)
    assert re.search(r"step 7 failed: nft .*Operation not permitted", said), said
    assert journal_tells_undo(site)


def test_what_others_set_is_left_to_them(site, foreign):
    """The very same things, but not marked as ours, serve us, and stay."""
    site.gateway.ip("addr add 2001:db8:80::1/128 dev front nodad", "addr add 203.0.113.80/32 dev front",
                    "addr add 192.0.2.77/24 dev back",
                    "route add local default dev lo table 166 proto 167",
                    "route add local 2001:db8:81::/64 dev lo table local proto 165",
                    "rule add priority 166 fwmark 0x1000/0x1000 lookup 166 protocol 4")
    before = netdump.read(site.gateway)
    assert netdump.differences(foreign, before)
    daemon = site.sixgated(["--config", write_config(site)])
    assert not netdump.differences({**before, "nftables": []}, {**netdump.read(site.gateway), "nftables": []})
    assert daemon.stop() == 0
    assert_equal(before, site)


def is_idle(daemon):
    """Nothing was done for longer than it waits before it looks."""
    before, since = cpu_ns([daemon.pid]), time.monotonic()
    wait_until(lambda: time.monotonic() > since + 0.2, "a while")
    return cpu_ns([daemon.pid]) == before


def test_others_take_away_what_served_us(site, gateway):
    site.gateway.ip(f"addr add {VIP6}/128 dev front nodad")
    daemon = gateway(config=CONFIG % (site.dir, "front", ""))
    wait_until(lambda: is_idle(daemon), "its own changes have been looked at")
    site.gateway.ip(f"addr del {VIP6}/128 dev front")
    wait_until(lambda: f"{VIP6}/128" in ours(site.gateway, "front"), "ours is in its place", timeout=2)


def test_others_keep_addresses_of_the_same_subnet(site, gateway):
    """Theirs came after ours, and so the kernel calls it secondary."""
    site.gateway.ip("addr del 192.0.2.1/24 dev back")
    daemon = gateway(config=CONFIG % (site.dir, "front", ""))
    site.gateway.ip("addr add 192.0.2.1/24 dev back")
    assert daemon.stop() == 0
    assert "192.0.2.1/24" in [address.address for address in netdump.addresses(site.gateway)]


@pytest.mark.parametrize("what, error", [("record", "ENOSPC"), ("request", "ENOBUFS"), ("request", "ENOMEM")])
def test_every_failure_is_undone(site, foreign, what, error, record_property):
    """The call of each number fails, once; a single failure may be made good, but never half."""
    wanted = undisturbed(site, foreign)
    failed = 0
    for number in itertools.count(1):
        argv = [*injection(site, what, f"error={error}", number), build_dir() / "sixgated", "--config",
                site.dir / "gateway.conf"]
        daemon = site.daemon(site.gateway, argv, f"failing{number}")
        wait_until(lambda daemon=daemon: not daemon.alive() or "ready: " in daemon.errors(), "ready, or refused")
        injected = "(INJECTED)" in (site.dir / "strace").read_text()
        if daemon.alive():
            assert_equal(wanted, site)
            daemon.kill(signal.SIGKILL)
            daemon.process.wait(10)
            wait_until(lambda: ended(site), "its workers have ended")
            assert_recovers(site, f"recovered{number}", foreign, wanted)
            if not injected:
                break
            continue
        failed += 1
        assert daemon.process.wait(10) == 1, daemon.errors()
        assert "error: " in daemon.errors()
        assert_equal(foreign, site)
        wait_until(lambda: ended(site), "strace has ended")
    assert failed >= STEPS
    record_property("failures", failed)
    print(f"\n{failed} failures in {number - 1} calls")
