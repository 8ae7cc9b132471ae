"""Weights and drains that operators order while the gateway runs."""

import contextlib
import os
import select
import signal
import socket

import pytest
from control import Control, as_user, control_path, ctl, result
from netload import EchoServer
from netsite import BACKENDS, GATEWAY6, wait_until
from test_succession import alone, load, reload, workers_of, write_config
from wire import access_records, ends_in_reset, read_exactly

PORT, FRONT = 8000, 80
FIRST, SECOND = (f"{host}:{PORT}" for host in BACKENDS[:2])


@pytest.fixture
def servers(site):
    made = [EchoServer(site.server, host, PORT) for host in BACKENDS[:2]]
    yield made
    for server in made:
        server.close()


def config(site, weight=100, balance="round-robin", more="", listener=""):
    return f"""run-directory = "{site.dir}/run"
        workers = 2
        drain = 5s
        listener "l" {{ bind = "*:{FRONT}" pool = "p" {listener} }}
        pool "p" {{
            balance = {balance}
            backend "{FIRST}" {{ weight = {weight} }}
            backend "{SECOND}" {{}}
        }}
        {more}
    """


def backend_of(site, address):
    return next(backend for pool in result(site, "status")["pools"] for backend in pool["backends"]
                if backend["address"] == address)


@contextlib.contextmanager
def connections(site, n=40):
    """Held open; yields how many each backend got of them."""
    before = [backend_of(site, address)["live"] for address in (FIRST, SECOND)]
    with contextlib.ExitStack() as stack:
        for _ in range(n):
            client = stack.enter_context(site.client.connect(GATEWAY6, FRONT))
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"
        yield [backend_of(site, address)["live"] - then for address, then in zip((FIRST, SECOND), before)]


def shares(site, n=40):
    with connections(site, n) as counts:
        assert sum(counts) == n
    wait_until(lambda: backend_of(site, FIRST)["live"] + backend_of(site, SECOND)["live"] == 0, "all have left")
    return counts


def kill_worker(site, daemon):
    pid = result(site, "status")["workers"][0]["pid"]
    assert pid in workers_of(daemon)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(worker["ready"] and worker["pid"] != pid
                           for worker in result(site, "status")["workers"]), "another worker")


@pytest.mark.parametrize("balance", ["round-robin", "least-connections", "maglev hash = client-port"])
def test_weight(site, gateway, servers, balance):
    """All workers choose by it at once; it outlives a worker and an image."""
    daemon = gateway(config=config(site, balance=balance))
    assert min(shares(site)) > 0
    said = ctl(site, "set", "weight", "p", FIRST, 0)
    assert said.stdout == f"pool p: backend {FIRST}: weight 0 (configured: 100), 0 flows\n"
    assert shares(site) == [0, 40]
    kill_worker(site, daemon)
    assert shares(site) == [0, 40]
    reload(daemon)
    assert shares(site) == [0, 40]
    backend = backend_of(site, FIRST)
    assert (backend["weight"], backend["weight_configured"]) == (0, 100)
    ctl(site, "set", "weight", "p", FIRST, "default")
    assert min(shares(site)) > 0
    alone(daemon)


def test_weight_while_clients_come(site, gateway, servers):
    """Up and down again, under load: nobody sees it."""
    gateway(config=config(site, balance="maglev hash = client-port"))
    clients = load(site)
    try:
        for weight in (0, 1, 100, 0, "default") * 3:
            ctl(site, "set", "weight", "p", FIRST, weight)
            clients.goes_on(10)
    finally:
        clients.close()
    assert (clients.lost, clients.broken) == ([], [])


def test_whose_weight_counts(site, gateway, servers):
    """That of the configuration, if it has changed since; what else there is in it may change."""
    daemon = gateway(config=config(site))
    ctl(site, "set", "weight", "p", FIRST, 0)
    ctl(site, "set", "weight", "p", SECOND, 7)
    write_config(site, daemon, config(site, weight=10, balance="least-connections"))
    reload(daemon)
    assert backend_of(site, FIRST)["weight"] == 10
    assert backend_of(site, SECOND)["weight"] == 7
    assert "the configuration has another weight for backend" in daemon.errors()


def test_all_weights_are_zero(site, gateway, servers):
    """Clients are refused, as by a pool that is down; and let in again."""
    gateway(config=config(site))
    ctl(site, "set", "weight", "p", FIRST, 0)
    said = ctl(site, "set", "weight", "p", SECOND, 0)
    assert "no backend of pool p is left" in said.stderr
    assert ctl(site, "status", check=False).returncode == 1

    def refused():
        with contextlib.suppress(ConnectionRefusedError):
            site.client.connect(GATEWAY6, FRONT).close()
            return False
        return True
    wait_until(refused, "clients are refused")
    ctl(site, "set", "weight", "p", SECOND, 1)
    wait_until(lambda: not refused(), "clients are let in")
    assert shares(site) == [0, 40]


@pytest.mark.parametrize(("words", "error"), [
    (("q", FIRST, 1), 'there is no pool "q"'),
    (("p", "192.0.2.99:1", 1), 'pool "p" has no backend "192.0.2.99:1"'),
    (("p", FIRST, 65536), "a whole number from 0 to 65535"),
    (("p", FIRST, "-1"), "unknown"),
    (("p", FIRST, "half"), "a whole number from 0 to 65535"),
])
def test_wrong_weight(site, gateway, words, error):
    gateway(config=config(site))
    said = ctl(site, "set", "weight", *words, check=False)
    assert said.returncode != 0 and error in said.stderr
    assert backend_of(site, FIRST)["weight"] == 100


def test_readers_may_not(site, gateway):
    gateway(config=config(site, more="control-group = adm"))
    os.chmod(site.dir, 0o755)

    def order(command, **args):
        with Control(control_path(site)) as control:
            return control.ask(command, **args)["code"]
    adm = os.stat(control_path(site)).st_gid
    for command, args in (("set-weight", {"pool": "p", "backend": FIRST, "weight": "1"}),
                          ("drain-backend", {"pool": "p", "backend": FIRST}),
                          ("undrain-backend", {"pool": "p", "backend": FIRST}),
                          ("drain-listener", {"listener": "l"}), ("undrain-listener", {"listener": "l"}),
                          ("drain-gateway", {})):
        assert as_user(65534, [adm], lambda name=command, args=args: order(name, **args)) == "not-permitted"
    assert shares_of(site) == (100, False) and listener_of(site)["draining"] is False


def shares_of(site):
    backend = backend_of(site, FIRST)
    return backend["weight"], backend["draining"]


def listener_of(site, name="l"):
    return next(listener for listener in result(site, "status")["listeners"] if listener["name"] == name)


def test_backend_under_load(site, gateway, servers):
    """One of two is drained, over an image and a worker's death, and comes back: no client sees it."""
    daemon = gateway(config=config(site, balance="least-connections"))
    clients = load(site, 10)
    try:
        clients.goes_on(10)
        said = ctl(site, "drain", "backend", "p", FIRST)
        assert said.stdout.startswith(f"pool p: backend {FIRST}: draining, ")
        assert said.stdout.endswith("without a deadline\n")
        clients.goes_on(10)
        reload(daemon)
        assert shares_of(site) == (100, True)
        clients.goes_on(10)
        ctl(site, "undrain", "backend", "p", FIRST)
        clients.goes_on(10)
    finally:
        clients.close()
    assert (clients.lost, clients.broken) == ([], [])


def test_backend_gets_nobody(site, gateway, servers):
    daemon = gateway(config=config(site))
    ctl(site, "drain", "backend", "p", FIRST)
    assert shares(site) == [0, 40]
    assert "up, draining, weight 100" in ctl(site, "status").stdout
    assert "draining" in ctl(site, "pools").stdout
    kill_worker(site, daemon)
    assert shares(site) == [0, 40]
    reload(daemon)
    assert shares(site) == [0, 40]
    assert ctl(site, "undrain", "backend", "p", FIRST).stdout == f"pool p: backend {FIRST}: drained no more\n"
    assert min(shares(site)) > 0
    again = ctl(site, "undrain", "backend", "p", FIRST, check=False)
    assert again.returncode == 1 and "is not drained" in again.stderr


@pytest.mark.parametrize("between", ["nothing", "reload", "death"])
def test_backend_deadline(site, gateway, servers, between):
    """Its flows end then, and nobody else's; what happens in between changes nothing of that."""
    daemon = gateway(config=config(site, balance="round-robin"))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(site.client.connect(GATEWAY6, FRONT)) for _ in range(20)]
        for client in clients:
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"
        before = backend_of(site, FIRST)["live"]
        assert 0 < before < 20
        answer = result(site, "drain-backend", pool="p", backend=FIRST, deadline="1h")
        assert answer["live"] == before and answer["deadline_s"] == 3600
        if between == "reload":
            reload(daemon)
            alone(daemon)
        elif between == "death":
            kill_worker(site, daemon)
        left = {address: backend_of(site, address)["live"] for address in (FIRST, SECOND)}
        assert between == "death" or left == {FIRST: before, SECOND: 20 - before}
        assert 3000 < backend_of(site, FIRST)["drain_left_s"] <= 3600
        ctl(site, "drain", "backend", "p", FIRST, "--deadline", "200ms")
        wait_until(lambda: backend_of(site, FIRST)["live"] == 0, "its flows have ended")
        assert backend_of(site, SECOND)["live"] == left[SECOND]
        assert result(site, "status")["counters"]["drained"] == left[FIRST]

    def drained():
        return [record for record in access_records(daemon) if record["end"] == "drained"]
    wait_until(lambda: len(drained()) == left[FIRST], "their records")
    assert {(record["backend"], record["by"]) for record in drained()} <= {(FIRST, "gateway")}


def connects(site, port=FRONT):
    """Whether a client gets an answer; False if it is refused."""
    try:
        with site.client.connect(GATEWAY6, port, 5) as client:
            client.sendall(b"x")
            return client.recv(1) == b"x"
    except ConnectionError:
        return False


@pytest.mark.parametrize("refuse", ["reset", "accept-then-reset"])
def test_listener(site, gateway, servers, refuse):
    """New clients are refused, at this listener only, over an image and a death; others go on to the deadline."""
    more = 'listener "other" { bind = "*:81" pool = "p" } '
    daemon = gateway(config=config(site, more=more, listener=f"refuse = {refuse}"))
    with site.client.connect(GATEWAY6, FRONT) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        answer = result(site, "drain-listener", listener="l")
        assert (answer["live"], answer["deadline_s"], answer["refused_by_kernel"]) == (1, None, refuse == "reset")
        assert not connects(site) and connects(site, 81)
        assert listener_of(site)["draining"] and not listener_of(site, "other")["draining"]
        reload(daemon)
        assert not connects(site) and connects(site, 81)
        assert "identity proxy-v2, draining" in ctl(site, "status").stdout
        client.sendall(b"y")
        assert read_exactly(client, 1) == b"y"
        ctl(site, "drain", "listener", "l", "--deadline", "200ms")
        assert ends_in_reset(client)
    kill_worker(site, daemon)
    assert not connects(site) and connects(site, 81)
    assert ctl(site, "undrain", "listener", "l").stdout == "listener l: drained no more\n"
    assert connects(site)


def test_drain_of_what_is_gone(site, gateway, servers):
    """Its name alone is no order: who has it later begins anew."""
    more = 'listener "other" { bind = "*:81" pool = "p" } '
    daemon = gateway(config=config(site, more=more))
    ctl(site, "drain", "listener", "other")
    write_config(site, daemon, config(site))
    reload(daemon)
    write_config(site, daemon, config(site, more=more))
    reload(daemon)
    assert not listener_of(site, "other")["draining"]
    assert connects(site, 81)


def test_drain_gateway(site, gateway, servers):
    """New clients are refused; those there are may go on until the deadline that was given."""
    daemon = gateway(config=config(site))
    with site.client.connect(GATEWAY6, FRONT) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        said = ctl(site, "drain", "gateway", "--deadline", "300ms")
        assert said.stdout.startswith("gateway: draining, 1 flow, reset at ") and "(0.3 s)" in said.stdout
        assert ends_in_reset(client)
    wait_until(lambda: not daemon.alive(), "the end")
    assert daemon.stop() == 0
    assert access_records(daemon)[0]["end"] == "drained"


def echo(server, seconds=10):
    server.settimeout(seconds)
    data, source = server.recvfrom(4096)
    server.sendto(data[-1:], source)
    return source


@pytest.mark.parametrize("what", ["backend", "listener"])
def test_datagrams(site, gateway, what):
    """A session goes on; new ones go elsewhere or are refused; and at the deadline it ends."""
    daemon = gateway(config=f"""run-directory = "{site.dir}/run"
        workers = 2
        listener "u" {{ bind = "*:{FRONT}" pool = "p" protocol = udp }}
        pool "p" {{ backend "{FIRST}" {{}} backend "{SECOND}" {{}} }}
    """)
    with contextlib.ExitStack() as stack:
        def client():
            made = stack.enter_context(site.client.socket(kind=socket.SOCK_DGRAM))
            made.settimeout(10)
            made.connect((GATEWAY6, FRONT))
            return made

        ends = []
        for host in BACKENDS[:2]:
            end = stack.enter_context(site.server.socket(socket.AF_INET, socket.SOCK_DGRAM))
            end.bind((host, PORT))
            ends.append(end)

        def served(sender):
            """The index of the server that got the client's datagram."""
            sender.send(b"x")
            index = ends.index(select.select(ends, [], [], 10)[0][0])
            echo(ends[index])
            assert sender.recv(10) == b"x"
            return index

        old = next(made for made in iter(client, None) if served(made) == 0)
        words = ("backend", "p", FIRST) if what == "backend" else ("listener", "u")
        ctl(site, "drain", *words)
        for _ in range(10):
            assert served(old) == 0
            if what == "backend":
                assert served(client()) == 1
            else:
                refused = client()
                refused.send(b"x")
                with pytest.raises(ConnectionRefusedError):
                    refused.recv(10)
        ctl(site, "drain", *words, "--deadline", "100ms")
        wait_until(lambda: result(site, "status")["counters"]["drained"] > 0, "the session has ended")
        ctl(site, "undrain", *words)
        assert 0 in {served(client()) for _ in range(40)}
    assert daemon.alive()


@pytest.mark.parametrize(("words", "error"), [
    (("drain", "backend", "q", FIRST), 'there is no pool "q"'),
    (("drain", "backend", "p", FIRST, "--deadline", "soon"), "write a number with a unit"),
    (("drain", "listener", "x"), 'there is no listener "x"'),
    (("undrain", "listener", "l"), "is not drained"),
    (("drain", "gateway", "--deadline", "5"), "write a number with a unit"),
    (("drain",), "after drain, give one of: backend, listener, gateway"),
    (("drain", "all"), "after drain, give one of"),
    (("drain-backend", "p", FIRST), "no such command"),
])
def test_wrong_drain(site, gateway, words, error):
    gateway(config=config(site))
    said = ctl(site, *words, check=False)
    assert said.returncode != 0 and error in said.stderr, said.stderr
    assert shares_of(site) == (100, False) and not listener_of(site)["draining"]
