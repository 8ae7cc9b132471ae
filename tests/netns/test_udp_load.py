"""UDP under load: a million checked datagrams, and a flood of forged sources beside those who are real."""

import itertools
import json
import selectors
import threading
import time
from pathlib import Path

import pytest
from control import result as control_result
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
    """Each asks once, and all wait together: how many got the answer to this very question in time, and how many
    late answers to earlier ones came."""
    questions = {client: f"hello, this is question {next(numbers)} of one who waits".encode() for client in clients}
    late = 0
    with selectors.DefaultSelector() as waiting:
        for client, question in questions.items():
            waiting.register(client, selectors.EVENT_READ)
            client.send(question)
        deadline = time.monotonic() + seconds
        while waiting.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in waiting.select(left):
                if key.fileobj.recv(100) == questions[key.fileobj]:
                    waiting.unregister(key.fileobj)
                else:
                    late += 1
        return len(clients) - len(waiting.get_map()), late


def well_behaved(clients, numbers, stop, result):
    """Each asks ten times a second, as long as all are answered, and waits two seconds at most."""
    while not stop.is_set():
        begin = time.monotonic()
        answered, late = ask_all(clients, numbers, 2)
        result["answered"] += answered
        result["late"] += late
        result["asked"] += len(clients)
        stop.wait(max(0, begin + 0.1 - time.monotonic()))


def sessions_of(site, address):
    """By the client's own address and port: the source port towards the server, and when it began."""
    flows = control_result(site, "flows", client=address, limit=1000)["flows"]
    return {flow["client"]: (flow["source"], flow["began"]) for flow in flows}


def dropped_by_sockets(namespace):
    """Datagrams that the kernel dropped as the programs of the namespace did not read them in time."""
    with namespace.entered():
        tables = [Path(f"/proc/thread-self/net/{name}").read_text(encoding="ascii") for name in ("udp", "udp6")]
    return sum(int(line.split()[-1]) for table in tables for line in table.splitlines()[1:])


def dropped_by_wires():
    """Packets that the kernel dropped between two namespaces, of the whole machine: its CPUs' queues were full."""
    lines = Path("/proc/net/softnet_stat").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1], 16) for line in lines)


@pytest.mark.parametrize(("prefix", "bits"), [("2001:db8:f000::", 36), ("2001:db8:f000::", 64)])
def test_flood_of_forged_sources(site, start, gateway, prefix, bits):
    """Those who talk keep their sessions, and every answer to what is read; memory stays where it is bounded."""
    server = site.daemon(site.server, [tool("udpload"), "serve", SERVER4, str(PORT), "none"], "server")
    server.wait_ready(lambda: "ready" in server.output())
    site.gateway.ip(f"route add default via {CLIENT6}")  # answers to nobody go there, and end there
    daemon = start("identity = none")
    clients = [connected(site.client, VIP6) for _ in range(100)]
    numbers = itertools.count()
    # As newcomers they would compete with the flood, and so would those who have not gone on after an answer.
    for _ in range(2):
        assert ask_all(clients, numbers, 10) == (len(clients), 0)
    sessions, on_wires = sessions_of(site, CLIENT6), dropped_by_wires()
    assert len(sessions) == len(clients)
    stop, result = threading.Event(), {"asked": 0, "answered": 0, "late": 0}
    thread = threading.Thread(target=well_behaved, args=(clients, numbers, stop, result))
    thread.start()
    try:
        flood = json.loads(site.client.run(
            [tool("flood"), "udp", prefix, str(bits), VIP6, str(FRONT), str(FLOOD)], timeout=300).stdout)
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive(), "those who talk have not stopped"
    after, late = ask_all(clients, numbers, 10)
    memory = memory_bytes(daemon.pids())
    # None has made room for others, so what is dropped as it would begin a session is never theirs.
    assert sessions_of(site, CLIENT6) == sessions
    unseen = {"server": dropped_by_sockets(site.server), "client": dropped_by_sockets(site.client),
              "wires": dropped_by_wires() - on_wires}
    daemon.stop()
    seen = counters(daemon)
    print(flood, result, memory, unseen, seen)
    for client in clients:
        client.close()
    assert flood["sent"] == FLOOD
    assert after == len(clients)
    # What the kernel drops as the machine is too busy to let anybody read, the gateway never sees.
    unseen["gateway"] = seen.get("dropped_queue", 0)
    lost = result["asked"] - result["answered"] - result["late"] - late
    assert result["asked"] > 0
    assert result["answered"] + result["late"] > result["asked"] / 2
    assert 0 <= lost <= sum(unseen.values()), f"{lost} of {result['asked']} lost, the kernel dropped {unseen}"
    assert memory < (400 << 20) * (4 if SANITIZED else 1)
    assert daemon.errors().count("dropped:") < 100  # the log is limited, too
