"""Limits that hold to the one: connections and rates, over several workers, in a storm, after a worker's death."""

import contextlib
import os
import signal
import socket
import threading
import time

import pytest
from netsite import BACKENDS, CLIENT4, FRONT4, GATEWAY6, SERVER4, Site, wait_until
from test_pools import counter
from wire import access_records, read_header, reset

PORT = 8000
FRONT = 80
WORKERS = 3


@pytest.fixture
def site():
    with Site(ipv4_client=True) as made:
        # Every address of these prefixes is the client's, so that a test may come from any of them.
        made.client.ip("route add local 2001:db8:c000::/34 dev lo", "route add local 198.18.0.0/15 dev lo")
        made.client.sysctl("net.ipv6.ip_nonlocal_bind", 1)
        made.gateway.ip("route add 2001:db8:c000::/34 via 2001:db8:1::10",
                        f"route add 198.18.0.0/15 via {CLIENT4}")
        yield made


@pytest.fixture
def start(site, gateway):
    def run(listener="", pool="", backends="", workers=WORKERS):
        backends = backends or f'backend "{SERVER4}:{PORT}" {{}}'
        return gateway(config=f"""run-directory = "{site.dir}/run"
            workers = {workers}
            drain = 1s
            listener "l" {{ bind = "*:{FRONT}" pool = "p" timeouts {{ connect = 2s }} {listener} }}
            pool "p" {{ {pool} {backends} }}
        """)
    return run


class Holder:
    """A server that says one byte to whoever connects, and holds on to the connection."""

    def __init__(self, site, host=SERVER4, port=PORT):
        self.listener = site.server.listen(host, port, 1024)
        self.held = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError, EOFError):
            while True:
                connection = self.listener.accept()[0]
                read_header(connection)
                self.held.append(connection)
                with contextlib.suppress(OSError, EOFError):
                    connection.sendall(b"!")

    def wait_empty(self):
        """Until the gateway has ended all of them."""
        def empty():
            self.held = [connection for connection in self.held if is_open(connection)]
            return not self.held
        wait_until(empty, "all connections have ended")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.held:
            connection.close()


@pytest.fixture
def server(site):
    holder = Holder(site)
    yield holder
    holder.close()


def attempt(site, source):
    """From that address: the connection if it is served, None if it is reset."""
    v6 = ":" in source
    client = site.client.socket(socket.AF_INET6 if v6 else socket.AF_INET)
    client.settimeout(10)
    try:
        client.bind((source, 0))
        client.connect((GATEWAY6 if v6 else FRONT4, FRONT))
        if client.recv(1) == b"!":
            return client
    except ConnectionError:
        pass
    client.close()
    return None


def storm(site, sources, threads=24):
    """All at once: the connections that are served, in no order."""
    todo, served = list(sources), []
    gate = threading.Barrier(threads)

    def run():
        gate.wait()
        with contextlib.suppress(IndexError):
            while True:
                connection = attempt(site, todo.pop())
                if connection:
                    served.append(connection)

    workers = [threading.Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert not worker.is_alive()
    return served


def close_all(connections):
    while connections:
        reset(connections.pop())


def is_open(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def in64(n):
    """So many addresses of one /64."""
    return [f"2001:db8:c001:1:{i:x}::{i * 7919 % 65521:x}" for i in range(1, n + 1)]


def anywhere(n):
    return [f"2001:db8:c001:{i:x}::1" if i % 2 else f"198.18.0.{i % 250 + 1}" for i in range(n)]


# What is limited: the listener's option, or that of the pool or a backend; where clients come from, one more of
# them, the counter, and what the log says.
KINDS = {
    "listener": ("connections {{ max = {} }}", anywhere, "2001:db8:c002::1", "limit_full", "connections max"),
    "client": ("connections {{ per-client = {} }}", in64,
               "2001:db8:c001:1:9999::1", "limit_client_full", "connections per-client"),
    "address": ("connections {{ per-address = {} }}", lambda n: ["2001:db8:c001::5"] * n,
                "2001:db8:c001::5", "limit_address_full", "connections per-address"),
    "ipv4": ("connections {{ per-client = {} }}", lambda n: ["198.18.3.4"] * n,
             "198.18.3.4", "limit_client_full", "connections per-client"),
    "pool": ("max-connections = {}", anywhere, "2001:db8:c002::1", "limit_pool_full", "the pool has all"),
    "backend": ("{{ max-connections = {} }}", anywhere, "2001:db8:c002::1", "limit_backends_full",
                "the pool's servers have all"),
}


def limited(start, kind, limit):
    option = KINDS[kind][0].format(limit)
    if kind == "pool":
        return start(pool=option)
    return start(backends=f'backend "{SERVER4}:{PORT}" {option}') if kind == "backend" else start(option)


@pytest.mark.parametrize("kind", KINDS)
def test_at_the_limit_and_one_over(site, start, server, kind):
    """One after the other: the last that may comes in, the next is reset, and when one goes one may come."""
    _, sources, another, name, said = KINDS[kind]
    daemon = limited(start, kind, 7)
    held = [attempt(site, source) for source in sources(7)]
    assert all(held)
    for _ in range(5):
        assert attempt(site, another) is None
    if kind in ("client", "address", "ipv4"):
        others = [attempt(site, source) for source in ("2001:db8:c003::1", "198.18.99.1")]
        assert all(others)
        close_all(others)
    reset(held.pop())
    # The worker hears of the end a moment later.
    held.append(wait_until(lambda: attempt(site, another), "a place is free"))
    assert attempt(site, another) is None
    close_all(held)
    assert daemon.stop() == 0
    assert counter(daemon, name) == counter(daemon, "over_limit") >= 6
    assert said in daemon.errors()
    records = [record for record in access_records(daemon) if record["end"] == "over-limit"]
    assert len(records) == counter(daemon, name)
    assert records[0]["client"].startswith(another if "." in another else f"[{another}]")
    assert (records[0]["by"], records[0]["backend"]) == ("gateway", None)


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_storm(site, start, server, kind):
    """300 at once over three workers for 50 places: 50 are served, again and again."""
    _, sources, _, name, _ = KINDS[kind]
    daemon = limited(start, kind, 50)
    for _ in range(3):
        served = storm(site, sources(300))
        assert len(served) == 50
        close_all(served)
        server.wait_empty()
    assert daemon.stop() == 0
    assert counter(daemon, name) == 3 * 250
    assert len({record["worker"] for record in access_records(daemon)}) == WORKERS


def kill_two_workers(daemon):
    """And waits for their successors."""
    # The first child is the logger, which nobody kills here.
    pids = sorted(pid for pid in daemon.pids() if pid != daemon.pid)[1:3]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(f"(pid {pid}) was killed" in daemon.errors() for pid in pids), "the workers are dead")
    wait_until(lambda: f"all {WORKERS} workers are up again" in daemon.errors().rpartition("was killed by")[2],
               "their successors")


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_workers_death(site, start, server, kind):
    """What the dead held is free at once, and no more than that."""
    _, sources, another, _, _ = KINDS[kind]
    daemon = limited(start, kind, 30)
    for _ in range(3):
        served = storm(site, sources(60))
        assert len(served) == 30
        kill_two_workers(daemon)
        alive = [connection for connection in served if is_open(connection)]
        assert len(alive) < 30
        more = storm(site, sources(60))
        assert len(alive) + len(more) == 30
        assert attempt(site, another) is None
        close_all(served)
        close_all(more)
        server.wait_empty()
    assert daemon.stop() == 0


def test_a_full_server_is_passed_over(site, start):
    """100 at once over three workers: 20 and 15 go to two servers, and 10 to the backup."""
    hosts, limits = BACKENDS[:3], (20, 15, 10)
    daemon = start(backends="\n".join(
        f'backend "{host}:{PORT}" {{ max-connections = {limit} backup = {"yes" if host == hosts[2] else "no"} }}'
        for host, limit in zip(hosts, limits)))
    servers = [Holder(site, host) for host in hosts]
    for _ in range(3):
        served = storm(site, anywhere(100))
        assert len(served) == 45
        assert tuple(len(server.held) for server in servers) == limits
        close_all(served)
        for server in servers:
            server.wait_empty()
    for server in servers:
        server.close()
    assert daemon.stop() == 0
    assert counter(daemon, "limit_backends_full") == 3 * 55


def test_a_pool_of_two_listeners(site, gateway, server):
    """They share what the pool may have, and a server that refuses costs no place."""
    daemon = gateway(config=f"""run-directory = "{site.dir}/run"
        workers = {WORKERS}
        listener "a" {{ bind = "[::]:{FRONT}" pool = "p" }}
        listener "b" {{ bind = "0.0.0.0:{FRONT}" pool = "p" }}
        pool "p" {{ max-connections = 40 backend "{BACKENDS[1]}:{PORT}" {{}} backend "{SERVER4}:{PORT}" {{}} }}
    """)
    for _ in range(3):
        served = storm(site, anywhere(120))
        assert len(served) == 40
        families = {connection.family for connection in served}
        assert families == {socket.AF_INET, socket.AF_INET6}
        close_all(served)
        server.wait_empty()
    assert daemon.stop() == 0
    assert counter(daemon, "limit_pool_full") == 3 * 80
    assert counter(daemon, "retried") > 0


RATES = {
    "listener": ("rate", lambda n: [f"2001:db8:c001:{i:x}::1" for i in range(n)], "limit_rate"),
    "client": ("rate-per-client", in64, "limit_client_rate"),
    "address": ("rate-per-address", lambda n: ["2001:db8:c001::5"] * n, "limit_address_rate"),
    "ipv4": ("rate-per-client", lambda n: ["198.18.3.4"] * n, "limit_client_rate"),
}


@pytest.mark.parametrize("kind", RATES)
def test_rates(site, start, server, kind):
    """As many at once as a second allows, and then one each time that it is due; connections that end do not count."""
    option, sources, name = RATES[kind]
    daemon = start(f"connections {{ {option} = 20 }}")
    begin = time.monotonic()
    served = storm(site, sources(200))
    first = len(served)
    seconds = time.monotonic() - begin
    assert 20 <= first <= 20 + 20 * seconds + 1
    close_all(served)
    begin = time.monotonic()
    more = 0
    while time.monotonic() < begin + 2:
        connection = attempt(site, sources(1)[0])
        if connection:
            more += 1
            reset(connection)
    print(f"{kind}: {first} in the first {seconds * 1000:.0f} ms, then {more} in 2 s")
    assert 35 <= more <= 43
    assert daemon.stop() == 0
    assert counter(daemon, name) == counter(daemon, "over_limit") > 100
