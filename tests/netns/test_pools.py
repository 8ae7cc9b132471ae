"""Which server a client gets, and what happens when that one cannot be had."""

import contextlib
import select
import socket
import time
from collections import Counter

import pytest
from netsite import BACKENDS, CLIENT4, GATEWAY6, Site, wait_until
from wire import access_records, read_header

PORT = 8000
FRONT = 80


@pytest.fixture
def site():
    with Site(ipv4_client=True) as made:
        yield made


@pytest.fixture
def start(site, gateway):
    def run(pool, listener="", workers=1, bind=f"*:{FRONT}"):
        return gateway(config=f"""run-directory = "{site.dir}/run"
            workers = {workers}
            drain = 2s
            listener "l" {{ bind = "{bind}" pool = "p" {listener} }}
            pool "p" {{ {pool} }}
        """)
    return run


def backends(*hosts, options=""):
    return " ".join(f'backend "{host}:{PORT}" {{ {options} }}' for host in hosts)


@contextlib.contextmanager
def servers(site, *hosts):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(site.server.listen(host, PORT)) for host in hosts]


def accept(listeners, seconds=5):
    """The next connection at any of them: (index, connection)."""
    ready = select.select(listeners, [], [], seconds)[0]
    assert ready, "no server was connected to"
    return listeners.index(ready[0]), ready[0].accept()[0]


def check_served(site, listeners, payload=b"early words"):
    """The client speaks at once; the server that gets it learns who it is, and loses nothing."""
    with site.client.connect(GATEWAY6, FRONT) as client:
        client.sendall(payload)
        index, server = accept(listeners)
        with server:
            header = read_header(server)
            assert (header.src, header.sport) == client.getsockname()[:2]
            assert (header.dst, header.dport) == (GATEWAY6, FRONT)
            client.shutdown(socket.SHUT_WR)
            got = b""
            while data := server.recv(65536):
                got += data
            assert got == payload
            server.sendall(b"thanks")
        assert client.recv(100) == b"thanks"
        assert client.recv(100) == b""
    return index


def silence(site, host, port=PORT):
    """Its packets are dropped, without a word."""
    site.server.run(["nft", "-f", "-"], stdin=f"""
        table ip silent {{
            chain input {{
                type filter hook input priority 0
                ip daddr {host} tcp dport {port} drop
            }}
        }}
    """)


def counter(daemon, name):
    """Of a gateway that has ended."""
    for line in daemon.errors().splitlines():
        if f"counter {name} " in line:
            return int(line.split()[-1])
    return 0


@pytest.mark.parametrize("balance", ["round-robin", "least-connections", "maglev"])
def test_next_backend_when_one_refuses(site, start, balance):
    """No client notices; after five failures the backend is left out, until it answers again."""
    daemon = start(backends(*BACKENDS[:3]) + f" circuit-time = 1s balance = {balance}"
                   + (" hash = client-port" if balance == "maglev" else ""))
    with servers(site, *BACKENDS[1:3]) as listeners:
        served = Counter(check_served(site, listeners) for _ in range(60))
        assert set(served) == {0, 1}
        left_out = f"pool p: backend {BACKENDS[0]}:{PORT} is left out: 5 connections in a row failed"
        wait_until(lambda: left_out in daemon.errors(), "the circuit is open")
        with site.server.listen(BACKENDS[0], PORT) as back:
            wait_until(lambda: check_served(site, [back, *listeners]) == 0, "the first is back")
            wait_until(lambda: "answers again" in daemon.errors(), "the word that it is")
    assert daemon.stop() == 0
    assert counter(daemon, "retried") >= 5 and counter(daemon, "circuit_opened") == 1
    assert {record["end"] for record in access_records(daemon)} == {"closed"}


def test_next_backend_when_one_is_silent(site, start):
    daemon = start(backends(*BACKENDS[:2]) + " circuit-failures = 2", "timeouts { connect = 200ms }")
    silence(site, BACKENDS[0])
    with servers(site, BACKENDS[1]) as listeners:
        for _ in range(6):
            check_served(site, listeners)
    assert daemon.stop() == 0
    assert "is left out: 2 connections in a row failed" in daemon.errors()
    assert 2 <= counter(daemon, "retried") <= 3


def test_time_for_all_attempts(site, start):
    """Four silent ones, 300 ms each, but 500 ms in all."""
    daemon = start(backends(*BACKENDS) + " attempts = 8", "timeouts { connect = 300ms connect-total = 500ms }")
    silence(site, "192.0.2.0/24")
    began = time.monotonic()
    # The reset may come before connect() has returned.
    with pytest.raises(ConnectionResetError), site.client.connect(GATEWAY6, FRONT) as client:
        client.recv(1)
    assert 0.45 <= time.monotonic() - began < 3
    assert wait_until(lambda: access_records(daemon), "a record")[0]["end"] == "connect-timeout"
    assert daemon.stop() == 0
    assert counter(daemon, "retried") == 1


@pytest.mark.parametrize(("attempts", "retried"), [(1, 0), (2, 1), (4, 3), (8, 3)])
def test_number_of_attempts(site, start, attempts, retried):
    daemon = start(backends(*BACKENDS) + f" attempts = {attempts}")
    # The reset may come before connect() has returned.
    with pytest.raises(ConnectionResetError), site.client.connect(GATEWAY6, FRONT) as client:
        client.recv(1)
    assert wait_until(lambda: access_records(daemon), "a record")[0]["end"] == "refused"
    assert daemon.stop() == 0
    assert counter(daemon, "retried") == retried


@pytest.mark.parametrize("at_once", [False, True], ids=["refuses", "unreachable"])
def test_next_backend_sees_the_client_itself(site, start, at_once):
    """identity = transparent: the same address, and its port, towards the second server; also if connect() itself failed."""
    if at_once:
        site.gateway.ip(f"route add unreachable {BACKENDS[0]}")
    site.server.ip(f"route add {CLIENT4} via 192.0.2.1")
    daemon = start(backends(*BACKENDS[:2]) + " circuit-failures = 0", "identity = transparent",
                   bind=f"0.0.0.0:{FRONT}")
    with servers(site, BACKENDS[1]) as listeners:
        for _ in range(10):
            with site.client.connect("198.51.100.1", FRONT) as client:
                client.sendall(b"words")
                server = accept(listeners)[1]
                with server:
                    assert server.getpeername() == client.getsockname()
                    assert server.recv(100) == b"words"
    assert daemon.stop() == 0
    assert counter(daemon, "retried") == 5


@pytest.mark.parametrize("workers", [1, 2])
def test_least_connections(site, start, workers):
    """Those that stay count, whichever worker has them; those that end do not."""
    start(f'backend "{BACKENDS[0]}:{PORT}" {{ weight = 200 }} backend "{BACKENDS[1]}:{PORT}" {{}}'
          " balance = least-connections", workers=workers)
    with servers(site, *BACKENDS[:2]) as listeners, contextlib.ExitStack() as stack:
        held = {0: [], 1: []}

        def come():
            client = stack.enter_context(site.client.connect(GATEWAY6, FRONT))
            index, server = accept(listeners)
            held[index].append((client, stack.enter_context(server)))
            return index

        for _ in range(30):
            come()
        assert (len(held[0]), len(held[1])) == (20, 10)
        for client, server in held[1][:6]:
            client.close()
            read_header(server)
            assert server.recv(1) == b""
            server.close()
        # The gateway hears of the last end a moment after us.
        wait_until(lambda: come() == 1, "the sixth end is known")
        assert Counter(come() for _ in range(4)) == {1: 4}


def test_two_gateways_agree(site, start):
    """The same servers in another order, and another process: each client gets the same one."""
    for number in range(40):
        site.client.ip(f"addr add 2001:db8:1::{number + 256:x}/64 dev eth0 nodad")

    def choices(hosts):
        daemon = start(backends(*hosts) + " balance = maglev", workers=2)
        with servers(site, *BACKENDS) as listeners:
            chosen = []
            for number in range(40):
                with site.client.socket(socket.AF_INET6) as client:
                    client.bind((f"2001:db8:1::{number + 256:x}", 0))
                    client.connect((GATEWAY6, FRONT))
                    index, server = accept(listeners)
                    server.close()
                    chosen.append(index)
        assert daemon.stop() == 0
        return chosen

    first = choices(BACKENDS)
    assert len(set(first)) == 4
    assert choices(BACKENDS[::-1]) == first


def test_backup_serves_when_nobody_else_does(site, start):
    daemon = start(backends(BACKENDS[0], options="backup = yes") + backends(*BACKENDS[1:3]))
    with servers(site, BACKENDS[0]) as spare:
        with servers(site, *BACKENDS[1:3]) as listeners:
            for _ in range(10):
                assert check_served(site, [*spare, *listeners]) > 0
        for _ in range(10):
            assert check_served(site, spare) == 0
    assert daemon.stop() == 0
    assert {record["end"] for record in access_records(daemon)} == {"closed"}
