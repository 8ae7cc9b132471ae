"""Weights and drains that operators order while the gateway runs."""

import contextlib
import os
import signal

import pytest
from control import as_user, control_path, Control, ctl, result
from netload import EchoServer
from netsite import BACKENDS, GATEWAY6, wait_until
from test_succession import alone, load, reload, workers_of, write_config
from wire import read_exactly

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
    assert "the configuration has another weight, 10" in daemon.errors()


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
    assert as_user(65534, [adm], lambda: order("set-weight", pool="p", backend=FIRST, weight="1")) == "not-permitted"
    assert backend_of(site, FIRST)["weight"] == 100
