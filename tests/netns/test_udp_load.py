"""UDP under load: a million checked datagrams, and a flood of forged sources beside those who are real."""

import itertools
import json
import selectors
import threading
import time

import pytest
from netsite import CLIENT6, SERVER4, VIP6, Site, build_dir
from netsite.daemon import memory_bytes
from test_udp import FRONT, POOL, PORT, connected, counters

ADDRESSES = [f"2001:db8:80::{i:x}" for i in range(1, 5)]
SANITIZED = "asan" in str(build_dir())
TOTAL = 100_000 if SANITIZED else 1_000_000
FLOOD = 100_000 if SANITIZED else 1_000_000


@pytest.fixture
def site():
    with Site(bare=True) as made:
        yield made


@pytest.fixture
def start(site, gateway):
    def run(options="", workers=2):
        vips = " ".join(f'"{address}/128"' + "," * (address != ADDRESSES[-1]) for address in ADDRESSES)
        binds = ", ".join(f'"[{address}]:{FRONT}"' for address in ADDRESSES)
        return gateway(config=f'run-directory = "{site.dir}/run"\nworkers = {workers}\ndrain = 1s\n'
                              f'access-log = off\nnetwork {{ interface = "front" address = {{ {vips} }} }}\n'
                              f'listener "udp" {{ protocol = udp bind = {{ {binds} }} pool = "udp"\n'
                              f'{options} }}\n{POOL}\n')
    return run


def tool(name):
    return str(build_dir() / "tests" / name)


@pytest.fixture
def server(site):
    daemon = site.daemon(site.server, [tool("udpload"), "serve", SERVER4, str(PORT), "every"], "server")
    daemon.wait_ready(lambda: "ready" in daemon.output())
    yield daemon


def counts_of(server):
    assert server.stop() == 0
    return json.loads(server.output().splitlines()[-1])


def test_a_million_datagrams(site, start, server):
    """From 5,000 ports to four addresses, of 0 to 1,420 bytes: none wrong, none under another's name."""
    daemon = start()
    shown = site.client.run([tool("udpload"), "run", ",".join(ADDRESSES), str(FRONT), "5000", str(TOTAL), "1420",
                             "256"], timeout=300).stdout
    client = json.loads(shown)
    seen = counts_of(server)
    assert daemon.stop() == 0
    gateway = counters(daemon)
    print(client, seen, gateway)
    assert client["sent"] == TOTAL
    assert (client["wrong_source"], client["bad_payload"], client["failed"]) == (0, 0, 0)
    assert (seen["bad_header"], seen["wrong_identity"], seen["bad_payload"]) == (0, 0, 0)
    dropped = sum(value for name, value in gateway.items() if name.startswith("dropped_"))
    assert client["answered"] + client["lost"] == TOTAL and client["lost"] <= dropped
    assert seen["received"] == gateway["datagrams_in"] == gateway["headers"]
    assert client["lost"] < TOTAL / 1000


def ask_all(clients, numbers, seconds):
    """Each asks once, and all wait together: how many got the answer to this very question in time."""
    questions = {client: f"hello, this is question {next(numbers)} of one who waits".encode() for client in clients}
    with selectors.DefaultSelector() as waiting:
        for client, question in questions.items():
            waiting.register(client, selectors.EVENT_READ)
            client.send(question)
        deadline = time.monotonic() + seconds
        while waiting.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in waiting.select(left):
                if key.fileobj.recv(100) == questions[key.fileobj]:  # not a late one to an earlier question
                    waiting.unregister(key.fileobj)
        return len(clients) - len(waiting.get_map())


def well_behaved(clients, numbers, stop, result):
    """Each asks ten times a second, as long as all are answered, and waits two seconds at most."""
    while not stop.is_set():
        begin = time.monotonic()
        result["answered"] += ask_all(clients, numbers, 2)
        result["asked"] += len(clients)
        stop.wait(max(0, begin + 0.1 - time.monotonic()))


@pytest.mark.parametrize(("prefix", "bits"), [("2001:db8:f000::", 36), ("2001:db8:f000::", 64)])
def test_flood_of_forged_sources(site, start, gateway, prefix, bits):
    """Those who talk keep 99 % of the answers to what is read; memory stays where it is bounded."""
    server = site.daemon(site.server, [tool("udpload"), "serve", SERVER4, str(PORT), "none"], "server")
    server.wait_ready(lambda: "ready" in server.output())
    site.gateway.ip(f"route add default via {CLIENT6}")  # answers to nobody go there, and end there
    daemon = start("identity = none")
    clients = [connected(site.client, VIP6) for _ in range(100)]
    numbers = itertools.count()
    assert ask_all(clients, numbers, 10) == len(clients)  # as newcomers they would compete with it
    stop, result = threading.Event(), {"asked": 0, "answered": 0}
    thread = threading.Thread(target=well_behaved, args=(clients, numbers, stop, result))
    thread.start()
    try:
        flood = json.loads(site.client.run(
            [tool("flood"), "udp", prefix, str(bits), VIP6, str(FRONT), str(FLOOD)], timeout=300).stdout)
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive(), "those who talk have not stopped"
    after = ask_all(clients, numbers, 10)
    memory = memory_bytes(daemon.pids())
    daemon.stop()
    seen = counters(daemon)
    print(flood, result, memory, seen)
    for client in clients:
        client.close()
    assert flood["sent"] == FLOOD
    assert after == len(clients)
    # What the kernel drops as the machine is too busy to let the gateway read, the gateway never sees.
    unseen = seen.get("dropped_queue", 0)
    lost = result["asked"] - result["answered"]
    assert result["asked"] > 0
    assert lost <= 0.01 * result["asked"] + unseen, f"{lost} of {result['asked']} lost, at most {unseen} by the kernel"
    assert memory < (400 << 20) * (4 if SANITIZED else 1)
    assert daemon.errors().count("dropped:") < 100  # the log is limited, too
