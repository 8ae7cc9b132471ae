"""What clients see of servers that fail, at 500 new connections a second: real nginx, killed, stopped, cut off.

Figures are printed (pytest -s); what is asserted is what is promised, and not how fast the machine is:
  - who comes once the failure is known is served, by another server;
  - a server that refuses or is silent when it is connected to costs nobody an error, even before it is known;
  - what is lost are clients whose words a server had taken when it failed, or takes while it is stopped.
"""

import contextlib
import os
import signal
import time

import pytest
from netsite import BACKENDS, CLIENT6, GATEWAY4, VIP6, wait_until
from netsite.web import Clients, outcomes, parse, start_web
from test_pools import counter

FRONT, PORT = 80, 8000
HOSTS = BACKENDS[:3]
BAD = HOSTS[0]
SOURCE = "192.0.2.99"
RATE = 500
LIMIT_MS = 1000
SLOW_MS = 250
CHECK = 'check { type = http  path = "/up"  interval = 100ms  rise = 2  fall = 2 }'
CIRCUIT = "circuit-time = 1s"
# What the log says of a server that gets no clients any more, and of one that does again.
WORDS = {CHECK: ("is down", "is up"), CIRCUIT: ("is left out", "answers again")}


@pytest.fixture
def web(site):
    return Web(site)


class Web:
    """The servers, each an nginx of its own, and what can befall them."""

    def __init__(self, site):
        self.site = site
        self.nginx = {host: start_web(site, host, PORT, f"web-{host}") for host in HOSTS}

    def signal(self, number, host=BAD):
        for pid in self.nginx[host].pids():
            with contextlib.suppress(ProcessLookupError):  # a worker may have followed its master by itself
                os.kill(pid, number)

    def kill(self, host=BAD):
        self.signal(signal.SIGKILL, host)
        self.nginx[host].process.wait()
        wait_until(lambda: not self.site.server.run(["ss", "-Htlp", "src", f"{host}:{PORT}"]).stdout, "it is gone")

    def restart(self, host=BAD):
        self.nginx[host] = start_web(self.site, host, PORT, f"web-{host}")

    def cut_off(self):
        """No packet of it arrives or leaves."""
        self.site.server.run(["nft", "-f", "-"], stdin=f"""table ip cut {{
            chain input {{ type filter hook input priority 0; ip daddr {BAD} drop; }}
            chain output {{ type filter hook output priority 0; ip saddr {BAD} drop; }}
        }}""")

    def join(self):
        self.site.server.run(["nft", "delete", "table", "ip", "cut"])

    def fail(self, how):
        {"killed": self.kill, "stopped": lambda: self.signal(signal.SIGSTOP), "cut off": self.cut_off}[how]()

    def mend(self, how):
        {"killed": self.restart, "stopped": lambda: self.signal(signal.SIGCONT), "cut off": self.join}[how]()

    def log(self):
        """What each server has seen, in lines of netsite.web.LOG."""
        return [line.split("|") for host in HOSTS
                for line in (self.site.dir / f"web-{host}" / "access.log").read_text().splitlines()]


@pytest.fixture
def start(site, gateway):
    def run(pool):
        servers = " ".join(f'backend "{host}:{PORT}" {{}}' for host in HOSTS)
        return gateway(config=f"""run-directory = "{site.dir}/run"
            workers = 2
            access-log = off
            drain = 1s
            listener "l" {{ bind = "[{VIP6}]:{FRONT}" pool = "p" timeouts {{ connect = 300ms }} }}
            pool "p" {{ {servers} {pool} }}
        """)
    return run


def load(site):
    return Clients(site, VIP6, FRONT, rate=RATE, limit_ms=LIMIT_MS)


def wait_said(daemon, word, host=BAD):
    """Returns when it was there."""
    return wait_line(daemon, f"pool p: backend {host}:{PORT} {word}")


def wait_line(daemon, line):
    wait_until(lambda: line in daemon.errors(), line)
    return time.monotonic()


def wait_served(clients, number, host=HOSTS[1]):
    """Until the server has served so many clients more."""
    def count():
        return clients.path.read_text().count(f" {host}:")
    before = count()
    wait_until(lambda: count() >= before + number, f"{number} clients more at {host}", 30)


def count(clients, since):
    """Those that have ended, of those who began since then."""
    return sum(parse(line).began > since for line in clients.path.read_text().splitlines(keepends=True)
               if line.endswith("\n"))


def between(came, begin, end):
    return [one for one in came if begin <= one.began < end]


def is_under_way(one, begin, end):
    """At some time between the two."""
    return one.began <= end and one.began + one.ms / 1e3 >= begin


def check_told(came):
    """Each server was told just who its client was."""
    served = [one for one in came if one.outcome == "ok"]
    assert [one.told for one in served] == [f"{CLIENT6}:{one.port}" for one in served]


def show(what, came, begin, out, mended, back):
    before, later = between(came, begin, out), between(came, out, mended)
    first = min(one.began for one in came if one.began > mended and one.at.startswith(BAD))
    middle = sorted(one.ms for one in came)[len(came) // 2]
    print(f"\n{what}: {len(came)} clients, {outcomes(came)}, median {middle:.2f} ms\n"
          f"  until it was known, {1e3 * (out - begin):.0f} ms: {len(before)} clients, {outcomes(before)}, "
          f"{sum(one.ms > SLOW_MS for one in before)} of them took more than {SLOW_MS} ms\n"
          f"  until it worked again: {len(later)} clients, {outcomes(later)}, "
          f"slowest {max(one.ms for one in later):.0f} ms\n"
          f"  taken back {1e3 * (back - mended):.0f} ms after it worked, "
          f"first client {1e3 * (first - mended):.0f} ms after")


@pytest.mark.parametrize(("how", "by"), [("killed", CHECK), ("stopped", CHECK), ("cut off", CHECK),
                                         ("killed", CIRCUIT), ("cut off", CIRCUIT)])
def test_one_of_three_fails(site, web, start, how, by):
    daemon = start(by)
    away, again = WORDS[by]
    with load(site) as clients:
        wait_served(clients, 100, BAD)
        begin = time.monotonic()
        web.fail(how)
        failed = time.monotonic()
        out = wait_said(daemon, away)
        wait_served(clients, 300)
        mending = time.monotonic()
        web.mend(how)
        mended = time.monotonic()
        back = wait_said(daemon, again)
        wait_served(clients, 100, BAD)
        came = clients.finish()
    show(f"{how}, seen by {by.split()[0]}", came, begin, out, mended, back)
    check_told(came)
    last = out if how == "stopped" else failed  # a stopped server's kernel still takes connections and words
    lost = [one for one in came if one.outcome != "ok"]
    assert [one for one in lost if not is_under_way(one, begin, last)] == []
    later = between(came, out, mending)
    assert len(later) > 100 and BAD not in {one.at.partition(":")[0] for one in later}
    assert daemon.stop() == 0
    assert how == "stopped" or counter(daemon, "retried") > 0


def test_all_fail(site, web, start):
    """Clients are refused by the kernel, and so at once; the first server that comes back gets them all."""
    daemon = start(CHECK)
    with load(site) as clients:
        wait_served(clients, 100, BAD)
        for host in HOSTS:
            web.kill(host)
        last = max(wait_said(daemon, "is down", host) for host in HOSTS)
        down = wait_line(daemon, "pool p: no backend is left: new clients are refused")
        wait_until(lambda: count(clients, down) > 200, "clients to come in vain")
        mending = time.monotonic()
        web.restart()
        mended = time.monotonic()
        wait_said(daemon, "is up")
        back = wait_line(daemon, "pool p: new clients are let in again")
        wait_served(clients, 200, BAD)
        came = clients.finish()
    vain, after = between(came, down, mending), [one for one in came if one.began > back]
    first = min(one.began for one in came if one.began > mending and one.outcome == "ok")
    print(f"\nall down: refused {1e3 * (down - last):.0f} ms after the last was known to be; {len(vain)} clients, "
          f"{outcomes(vain)}, slowest told after {max(one.ms for one in vain):.0f} ms; let in "
          f"{1e3 * (back - mended):.0f} ms after the first worked, and served from {1e3 * (first - mended):.0f} ms on; "
          f"from then on {len(after)} clients, {outcomes(after)}")
    assert {one.outcome for one in vain} == {"refused"}
    assert outcomes(after) == {"ok": len(after)}
    check_told(came)
    assert daemon.stop() == 0


def test_flapping_server(site, web, start):
    """It comes and goes, now and then faster than checks can tell; nobody pays who was not there just then."""
    daemon = start(CHECK)
    kills = []
    with load(site) as clients:
        for number in range(6):
            wait_served(clients, 50 if number % 2 else 5, BAD)
            begin = time.monotonic()
            web.kill()
            kills.append((begin, time.monotonic()))
            if number % 2:
                wait_served(clients, 50)
            web.restart()
        wait_served(clients, 100, BAD)
        came = clients.finish()
    lost = [one for one in came if one.outcome != "ok"]
    assert daemon.stop() == 0
    print(f"\nflapping: {len(kills)} times gone, killed within {[round(1e3 * (b - a)) for a, b in kills]} ms: "
          f"{len(came)} clients, {outcomes(came)}, slowest {max(one.ms for one in came):.0f} ms; taken out or back "
          f"{counter(daemon, 'backends_changed')} times, {counter(daemon, 'retried')} attempts at another")
    check_told(came)
    assert [one for one in lost if not any(is_under_way(one, *kill) for kill in kills)] == []


def test_hanging_server_passes_for_tcp(site, web, start):
    """As the manual says: while another one is found down and up again, this one is not."""
    daemon = start(CHECK.replace('type = http  path = "/up"', "type = tcp"))
    web.signal(signal.SIGSTOP)
    web.kill(HOSTS[1])
    wait_said(daemon, "is down", HOSTS[1])
    web.restart(HOSTS[1])
    wait_said(daemon, "is up", HOSTS[1])
    assert f"{BAD}:{PORT} is down" not in daemon.errors()
    web.signal(signal.SIGCONT)
    assert daemon.stop() == 0


@pytest.mark.parametrize(("header", "told"), [("local", "-"), ("proxy", SOURCE)])
def test_checks_as_nginx_sees_them(site, web, start, header, told):
    """From the address that was set, and never mistaken for a client."""
    site.gateway.ip(f"addr add {SOURCE}/32 dev back")
    site.server.ip(f"route add {SOURCE} via {GATEWAY4}")
    daemon = start(CHECK[:-1] + f'header = {header} source = "{SOURCE}" }}')
    with load(site) as clients:
        wait_served(clients, 100, BAD)
        came = clients.finish()
    wait_until(lambda: len(web.log()) > len(came) + 3 * len(HOSTS), "checks and clients in the logs")
    seen = {(addr, peer, server, request, status) for addr, peer, server, request, status in web.log() if request}
    print(f"\nnginx saw (told, peer, itself, request, status): {sorted(seen)}")
    assert seen == {(told, SOURCE, host, "GET /up HTTP/1.1", "200") for host in HOSTS} | {
        (CLIENT6, GATEWAY4, host, "GET / HTTP/1.0", "200") for host in HOSTS}
    assert outcomes(came) == {"ok": len(came)}
    assert daemon.stop() == 0
    assert counter(daemon, "checks_failed") == 0
