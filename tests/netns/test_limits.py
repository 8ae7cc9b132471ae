"""Limits that hold to the one, over several workers, in a storm, after a worker's death; and lists of clients."""

import contextlib
import ipaddress
import os
import signal
import socket
import threading
import time
from random import Random

import pytest
from netsite import BACKENDS, CLIENT4, FRONT4, GATEWAY6, SERVER4, Site, build_dir, wait_until
from netsite.daemon import memory_bytes
from test_pools import counter
from wire import access_records, background, read_header, reset

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
    def run(listener="", pool="", backends="", workers=WORKERS, port=FRONT, directory="run"):
        backends = backends or f'backend "{SERVER4}:{PORT}" {{}}'
        return gateway(config=f"""run-directory = "{site.dir}/{directory}"
            workers = {workers}
            drain = 1s
            listener "l" {{ bind = "*:{port}" pool = "p" timeouts {{ connect = 2s }} {listener} }}
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
    before = daemon.pids()
    pids = sorted(pid for pid in before if pid != daemon.pid)[1:3]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(f"(pid {pid}) was killed" in daemon.errors() for pid in pids), "the workers are dead")
    wait_until(lambda: f"all {WORKERS} workers are up again" in daemon.errors().rpartition("was killed by")[2],
               "their successors")
    # One that died a second time is replaced after a delay, and the word is not given before that.
    assert len(daemon.pids()) == len(before)


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


# ---- lists ----------------------------------------------------------------------------------------

def prefixes(count, seed):
    """So many different ones, many within each other, around the addresses that clients can have."""
    random = Random(seed)
    made = set()
    while len(made) < count:
        if random.random() < 0.7:
            bits = 0x20010db8 << 96 | (0xc000 | random.getrandbits(14)) << 80 | random.getrandbits(80)
            length = random.choice((48, *[56] * 20, *[64] * 80, *[128] * 20))
            made.add(ipaddress.IPv6Network((bits, length), strict=False))
        else:
            bits = (198 << 24 | 18 << 16) + random.getrandbits(17)
            made.add(ipaddress.IPv4Network((bits, random.choice((22, *[28] * 20, *[32] * 80))), strict=False))
    return made


def in_files(allowed, denied):
    """By the most specific prefix, or else not if there is any that is allowed: as ipaddress sees it."""
    rules = {}
    for network in allowed:
        rules[network] = True
    for network in denied:
        rules[network] = False

    def allows(address):
        for length in range(address.max_prefixlen, -1, -1):
            network = ipaddress.ip_network((address, length), strict=False)
            if network in rules:
                return rules[network]
        return not allowed
    return allows


def addresses(networks, count, seed):
    """Some in a prefix of the lists, often at its edge, some anywhere."""
    random = Random(seed)
    some = random.sample(sorted(networks, key=str), count)
    for network in some:
        kind = random.randrange(5)
        if kind == 0:
            address = network[0]
        elif kind == 1:
            address = network[-1]
        elif kind == 2:
            address = network[0] - 1
        elif kind == 3:
            address = network[-1] + 1
        else:
            address = network[random.randrange(min(network.num_addresses, 1 << 62))]
        if is_client(address):
            yield address


def is_client(address):
    """Whether the client's namespace can have it."""
    return any(address.version == network.version and address in network
               for network in map(ipaddress.ip_network, ("2001:db8:c000::/34", "198.18.0.0/15")))


def write_list(path, networks):
    """As one should: another file in its place."""
    new = path.with_suffix(".new")
    new.write_text("# made by a test\n" + "".join(f"{network}\n" for network in networks))
    new.rename(path)


def said(daemon, text):
    wait_until(lambda: text in daemon.errors(), f"the log says: {text}")


def is_served(site, address):
    connection = attempt(site, str(address))
    if connection:
        reset(connection)
    return connection is not None


@pytest.mark.parametrize("open_to_others", [True, False])
def test_many_prefixes(site, start, server, open_to_others):
    """50,000 prefixes; who may come is just who may by ipaddress."""
    allow, deny = site.dir / "allow", site.dir / "deny"
    networks = prefixes(50000, 5)
    denied = set(Random(1).sample(sorted(networks, key=str), 25000)) if not open_to_others else networks
    allowed = networks - denied
    write_list(allow, allowed)
    write_list(deny, denied)
    begin = time.monotonic()
    daemon = start(f'clients {{ deny-file = "{deny}" '
                   + ("" if open_to_others else f'allow-file = "{allow}"') + " }")
    seconds = time.monotonic() - begin
    loaded = next(line for line in daemon.errors().splitlines() if "prefixes in its lists" in line)
    assert "listener l: 50000 prefixes in its lists of clients, loaded in " in loaded
    bare = start_without_lists(site, start)
    print(f"{loaded.partition(' ')[2]}; the start took {seconds * 1000:.0f} ms; memory {bare / 1e6:.1f} MB without, "
          f"{memory_bytes(daemon.pids()) / 1e6:.1f} MB with them")
    allows = in_files(allowed, denied)
    tried = list(addresses(networks, 1500, 6))
    expected = [allows(address) for address in tried]
    assert 100 < sum(expected) < len(tried) - 100
    for address, may in zip(tried, expected):
        assert is_served(site, address) == may, address
    assert daemon.stop() == 0
    assert counter(daemon, "denied") == expected.count(False)
    assert {record["end"] for record in access_records(daemon) if record["backend"] is None} == {"denied"}


def start_without_lists(site, start):
    """The memory of such a gateway."""
    daemon = start(port=FRONT + 1, directory="bare")
    memory = memory_bytes(daemon.pids())
    assert daemon.stop() == 0
    return memory


def test_reload_under_load(site, start, server):
    """Who may come by each list is never turned away, who may by none never comes in, while lists are replaced."""
    path = site.dir / "deny"
    networks = [network for network in prefixes(50000, 7) if not network.overlaps(TALKS[network.version])]
    write_list(path, [*networks, "2001:db8:dead::/48"])
    daemon = start(f'clients {{ deny-file = "{path}" }}')
    stop, results = threading.Event(), {"served": 0, "turned away": 0, "let in": 0}
    lock = threading.Lock()

    def talk(index):
        n = 0
        while not stop.is_set():
            n += 1
            served = is_served(site, f"198.19.200.{index * 10 + n % 10}" if n % 2 else f"2001:db8:c0de::{n:x}")
            denied = is_served(site, f"2001:db8:dead::{n:x}")
            with lock:
                results["served" if served else "turned away"] += 1
                results["let in"] += denied

    with contextlib.ExitStack() as stack:
        finish = [stack.enter_context(background(talk, index)) for index in range(4)]
        held = attempt(site, "2001:db8:c0de::1")
        for round_ in range(6):
            write_list(path, [*networks[round_ * 100:], "2001:db8:dead::/48"])
            said(daemon, f"listener l: {len(networks) - round_ * 100 + 1} prefixes in its lists")
        loaded = daemon.errors().count("prefixes in its lists")
        for _ in range(3):
            site.gateway.run([build_dir() / "sixgatectl", "--run-directory", f"{site.dir}/run", "reload-lists"])
        write_list(path, ["2001:db8:dead::/48", "2001:db8:c0de::1"])
        said(daemon, "listener l: 2 prefixes in its lists")
        assert attempt(site, "2001:db8:c0de::1") is None
        # Whoever is there already stays.
        held.settimeout(0.2)
        with pytest.raises(TimeoutError):
            held.recv(1)
        stop.set()
        for done in finish:
            done()
    assert daemon.errors().count("prefixes in its lists") >= loaded + 4
    print(results)
    assert results["served"] > 200
    assert results["turned away"] == results["let in"] == 0
    reset(held)
    assert daemon.stop() == 0
    assert counter(daemon, "lists_refused") == 0


TALKS = {6: ipaddress.ip_network("2001:db8:c0de::/48"), 4: ipaddress.ip_network("198.19.200.0/24")}


@pytest.mark.parametrize("broken, reason", [
    ("10.0.0.0/8\n2001:db8::/129\n", 'deny:2: "2001:db8::/129": the length of a prefix is a number up to 128'),
    ("10.0.0.1/8\n", 'deny:1: "10.0.0.1/8": the bits beyond the length of a prefix must be zero'),
    ("a.example\n", 'deny:1: "a.example": this is no address'),
    (None, "deny: No such file or directory; name a file of up to 64 MiB"),
    ("", "deny: Is a directory; name a file of up to 64 MiB"),
], ids=["length", "bits", "name", "gone", "directory"])
def test_broken_list_keeps_the_old_one(site, start, server, broken, reason):
    path = site.dir / "deny"
    path.write_text("2001:db8:c001::/48\n")
    daemon = start(f'clients {{ deny-file = "{path}" }}')
    assert not is_served(site, "2001:db8:c001::1")
    ctl = [build_dir() / "sixgatectl", "--run-directory", f"{site.dir}/run", "reload-lists"]
    if broken:
        path.write_text(broken)
    else:
        path.unlink()
    if broken == "":
        path.mkdir()
    said(daemon, reason)
    said(daemon, "listener l: its lists stay as they were, with 1 prefixes")
    failed = site.gateway.run(ctl, check=False)
    assert failed.returncode != 0 and reason in failed.stderr
    assert not is_served(site, "2001:db8:c001::1")
    assert is_served(site, "2001:db8:c002::1")
    if broken == "":
        path.rmdir()
    path.write_text("2001:db8:c002::/48\n")
    wait_until(lambda: not is_served(site, "2001:db8:c002::1"), "the list that is whole again")
    assert is_served(site, "2001:db8:c001::1")
    assert site.gateway.run(ctl).stdout == "listener l: 1 prefixes\n"
    assert daemon.stop() == 0
    assert counter(daemon, "lists_refused") >= 2 and counter(daemon, "lists_loaded") >= 2
    if broken is None:
        path.unlink()
    elif broken == "":
        path.unlink()
        path.mkdir()
    else:
        path.write_text(broken)
    config = site.dir / f"{daemon.name}.conf"
    for option in ("--check", "--config"):
        failed = site.gateway.run([build_dir() / "sixgated", option, config], check=False)
        assert failed.returncode != 0 and reason in failed.stderr


def test_lists_after_a_workers_death(site, start, server):
    """A successor has the lists as they are now, not as they were at the start."""
    path = site.dir / "deny"
    write_list(path, ["2001:db8:c001::/48"])
    daemon = start(f'clients {{ deny-file = "{path}" allow = {{ "::/0" }} }}')
    write_list(path, ["2001:db8:c002::/48", "2001:db8:c002:5::/64"])
    said(daemon, "listener l: 3 prefixes")
    kill_two_workers(daemon)
    for n in range(20):
        assert is_served(site, f"2001:db8:c001::{n:x}")
        assert not is_served(site, f"2001:db8:c002::{n:x}")
        assert not is_served(site, f"198.18.0.{n}")


def test_lists_of_a_udp_listener(site, gateway):
    """Denied datagrams are dropped, also those of the next client when the list changes."""
    path = site.dir / "deny"
    write_list(path, ["2001:db8:c001::/48"])
    daemon = gateway(config=f"""run-directory = "{site.dir}/run"
        listener "l" {{ protocol = udp bind = "[::]:{FRONT}" pool = "p" identity = none clients {{ deny-file = "{path}" }} }}
        pool "p" {{ backend "{SERVER4}:{PORT}" {{}} }}
    """)
    with site.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, contextlib.ExitStack() as stack:
        server.bind((SERVER4, PORT))
        server.settimeout(5)

        def send(address):
            client = stack.enter_context(site.client.socket(socket.AF_INET6, socket.SOCK_DGRAM))
            client.bind((address, 0))
            client.sendto(address.encode(), (GATEWAY6, FRONT))

        for address in ("2001:db8:c001::1", "2001:db8:c002::1"):
            send(address)
        assert server.recv(100) == b"2001:db8:c002::1"
        write_list(path, ["2001:db8:c002::/48", "2001:db8:c004::/48"])
        said(daemon, "listener l: 2 prefixes")
        for address in ("2001:db8:c002::2", "2001:db8:c004::2", "2001:db8:c001::2"):
            send(address)
        assert server.recv(100) == b"2001:db8:c001::2"
    assert daemon.stop() == 0
    assert counter(daemon, "dropped_denied") == 3
