"""sixgatectl who: which client stands, or stood, behind a source address and port of the gateway's."""

import contextlib
import json
import os
import re
import signal
import socket
import time
from datetime import datetime, timezone

import pytest
from control import Control, control_path, ctl, result
from netsite import BACKENDS, CLIENT6, GATEWAY4, SERVER4, VIP6, wait_until
from wire import read_header

PORT = 7000


@pytest.fixture
def start(site, gateway):
    def run(who="", pool="", listener="", workers=1, protocol="tcp", **options):
        return gateway(config=f"""run-directory = "{site.dir}/run"
            workers = {workers}
            drain = 2s
            access-log = off
            who {{ {who} }}
            listener "web" {{ protocol = {protocol} bind = "[{VIP6}]:{PORT}" pool = "web" {listener} }}
            pool "web" {{ backend "{SERVER4}:{PORT}" {{}} {pool} }}
        """, **options)
    return run


@contextlib.contextmanager
def connected(site, listener):
    """(the client's address and port, the source that the server sees), while they are connected."""
    with site.client.connect(VIP6, PORT) as client, listener.accept()[0] as server:
        header = read_header(server)
        yield f"[{header.src}]:{header.sport}", "{}:{}".format(*server.getpeername())
        assert (header.src, header.sport) == client.getsockname()[:2]


def who(site, source, **args):
    return result(site, "who", source=source, **args)["answers"]


def ended(site, source, **args):
    wait_until(lambda: all(not answer["live"] for answer in who(site, source, **args)), "the flow has ended")
    return who(site, source, **args)


def parse(text):
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()


def test_live_and_ended(site, start):
    """The client, what it connected to, and when: while it is there, and after it has gone."""
    start()
    begun = time.time()
    with site.server.listen(SERVER4, PORT) as listener:
        with connected(site, listener) as (client, source):
            answer, = who(site, source)
            assert answer == {
                "client": client, "local": f"[{VIP6}]:{PORT}", "listener": "web", "protocol": "tcp",
                "source": source, "backend": f"{SERVER4}:{PORT}", "live": True, "began": answer["began"],
                "ended": None, "unique_id": None}
            assert begun - 0.002 <= parse(answer["began"]) <= time.time()
            shown = ctl(site, "who", source)
            assert shown.stdout == (f"{client} to [{VIP6}]:{PORT} (web, tcp), {source} to {SERVER4}:{PORT}, "
                                    f"{answer['began']} to now: live\n")
        later, = ended(site, source)
    assert {**answer, "live": False, "ended": later["ended"]} == later
    assert parse(answer["began"]) <= parse(later["ended"]) <= time.time()
    assert f"{answer['began']} to {later['ended']}\n" in ctl(site, "who", source).stdout
    assert json.loads(ctl(site, "--json", "who", source).stdout)["answers"] == [later]


def test_unknown(site, start):
    """Nobody: a clear word, and an exit status."""
    start()
    nobody = ctl(site, "who", f"{GATEWAY4}:1", check=False)
    assert nobody.returncode == 1 and nobody.stdout.startswith("nobody is known there; ")
    assert result(site, "who", source=f"{GATEWAY4}:1") == {
        "answers": [], "more": 0, "near": False, "keep_ms": 600000, "overwritten": 0, "untracked": 0}


@pytest.mark.parametrize("words, says", [
    ([], "who needs a word: source"),
    (["10.0.0.5"], 'source "10.0.0.5"'),
    (["[2001:db8::1]:80"], "IPv4"),
    (["10.0.0.5:80", "--backend", "server"], 'backend "server"'),
    (["10.0.0.5:80", "--protocol", "sctp"], "write tcp or udp"),
    (["10.0.0.5:80", "--at", "noon"], "write a time like"),
    (["10.0.0.5:80", "10.0.0.6:80"], "one word too many"),
])
def test_mistakes(site, start, words, says):
    start()
    wrong = ctl(site, "who", *words, check=False)
    assert wrong.returncode == 64 and says in wrong.stderr


def test_killed_worker(site, start):
    """Its connections have ended with it, and are known to its successor, whose own are not mixed up."""
    start()
    with site.server.listen(SERVER4, PORT) as listener:
        with connected(site, listener) as (client, source):
            worker = result(site, "status")["workers"][0]["pid"]
            os.kill(worker, signal.SIGKILL)
            answer, = ended(site, source)
            assert answer["client"] == client
            wait_until(lambda: result(site, "status")["workers"][0]["ready"], "its successor is ready")
            with connected(site, listener) as (other, other_source):
                assert who(site, other_source)[0]["client"] == other
                assert who(site, source)[-1] == answer


def test_same_port_again(site, start):
    """One source port for one client after the other, each told by its time, as the server's log has it."""
    site.gateway.sysctl("net.ipv4.ip_local_port_range", "20000 20001")
    site.gateway.sysctl("net.ipv4.tcp_tw_reuse", 0)
    start()
    seen = []
    with site.server.listen(SERVER4, PORT) as listener:
        for _ in range(6):
            with contextlib.ExitStack() as stack:
                client = stack.enter_context(site.client.connect(VIP6, PORT))
                server = stack.enter_context(listener.accept()[0])
                header = read_header(server)
                source = "{}:{}".format(*server.getpeername())
                time_of_log = datetime.now(timezone.utc)
                # A reset leaves no port in TIME-WAIT.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            seen.append((f"[{header.src}]:{header.sport}", source, time_of_log))
            ended(site, source)
    assert len({source for _, source, _ in seen}) < 6, "no port was used twice"
    for client, source, at in seen:
        for text in (at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), f"{at.timestamp():.6f}"):
            answer, = who(site, source, at=text)
            assert answer["client"] == client
    latest = {source: client for client, source, _ in seen}
    for source, client in latest.items():
        answers = who(site, source)
        assert answers[0]["client"] == client
        began = [parse(answer["began"]) for answer in answers]
        assert began == sorted(began, reverse=True)


def test_at(site, start):
    """Long before and after there is nobody; a moment too late is said to be near."""
    start()
    with site.server.listen(SERVER4, PORT) as listener, connected(site, listener) as (client, source):
        began = parse(who(site, source)[0]["began"])
    end = parse(ended(site, source)[0]["ended"])
    for at, near in ((began, False), (began - 1, True), (end + 1, True), (began - 5, None), (end + 5, None)):
        found = result(site, "who", source=source, at=f"{at:.3f}")
        assert [answer["client"] for answer in found["answers"]] == ([] if near is None else [client])
        assert found["near"] is bool(near)
    assert who(site, source, at="0s ago")[0]["client"] == client
    assert who(site, source, at="1h ago") == []
    assert "within two seconds:\n" in ctl(site, "who", source, "--at", f"{end + 1:.3f}").stdout


def test_backend(site, start):
    """A port of the gateway's may be in use towards two servers at once."""
    site.gateway.sysctl("net.ipv4.ip_local_port_range", "20000 20000")
    start(pool=f'backend "{BACKENDS[1]}:{PORT}" {{}} source = "{GATEWAY4}"')
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(site.server.listen(host, PORT)) for host in BACKENDS[:2]]
        clients = [stack.enter_context(site.client.connect(VIP6, PORT)) for _ in listeners]
        told = {}
        for host, listener in zip(BACKENDS, listeners, strict=False):
            server = stack.enter_context(listener.accept()[0])
            told[host] = read_header(server).sport
            assert server.getpeername() == (GATEWAY4, 20000)
        assert sorted(told.values()) == sorted(client.getsockname()[1] for client in clients)
        assert len(who(site, f"{GATEWAY4}:20000")) == 2
        for host, port in told.items():
            for backend in (host, f"{host}:{PORT}"):
                answer, = who(site, f"{GATEWAY4}:20000", backend=backend)
                assert answer["client"] == f"[{CLIENT6}]:{port}"
        assert who(site, f"{GATEWAY4}:20000", backend=f"{SERVER4}:1") == []


def test_another_server_was_tried(site, start):
    """A server that did not take the client is told that it was there, too."""
    start(pool=f'backend "{BACKENDS[1]}:{PORT}" {{ backup = yes }} source = "{GATEWAY4}"')
    with site.server.listen(BACKENDS[1], PORT) as listener, site.client.connect(VIP6, PORT), \
            listener.accept()[0] as server:
        header = read_header(server)
        answer, = who(site, "{}:{}".format(*server.getpeername()))
        assert answer["backend"] == f"{BACKENDS[1]}:{PORT}" and answer["live"]
        assert answer["client"] == f"[{header.src}]:{header.sport}"
        assert result(site, "status")["counters"]["who_untracked"] == 0


def test_udp(site, start):
    """A session, by the source of its datagrams; TCP on the same port is another matter."""
    start(protocol="udp", listener="timeouts { idle = 1s unanswered = 1s }")
    with site.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, \
            site.client.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        server.bind((SERVER4, PORT))
        server.settimeout(5)
        client.connect((VIP6, PORT))
        client.send(b"hello")
        source = "{}:{}".format(*server.recvfrom(2000)[1])
        answer, = who(site, source)
        assert answer["protocol"] == "udp" and answer["live"]
        assert answer["client"] == f"[{CLIENT6}]:{client.getsockname()[1]}"
        assert who(site, source, protocol="udp") == [answer]
        assert who(site, source, protocol="tcp") == []
        later, = ended(site, source)
        assert later["client"] == answer["client"]


def test_unique_id(site, start):
    """The name by which the server and the access log know the connection."""
    start(listener="tlv { unique-id = yes }")
    with site.server.listen(SERVER4, PORT) as listener, site.client.connect(VIP6, PORT), \
            listener.accept()[0] as server:
        head = server.recv(4096)
        told = re.search(rb"\x05\x00\x20([0-9a-f]{32})", head)[1].decode()
        source = "{}:{}".format(*server.getpeername())
        assert who(site, source)[0]["unique_id"] == told
        assert ctl(site, "who", source).stdout.endswith(f", {told}\n")


def test_held(site, start):
    """One whose handshake waits for the server's."""
    start(listener="accept = after-backend")
    with site.server.listen(SERVER4, PORT) as listener:
        with connected(site, listener) as (client, source):
            answer, = who(site, source)
            assert answer["client"] == client and answer["local"] == f"[{VIP6}]:{PORT}" and answer["live"]
        assert ended(site, source)[0]["client"] == client


def test_overwritten(site, start):
    """Entries that make room before their time are counted and said; those that live never do."""
    daemon = start(who="entries = 4")
    with site.server.listen(SERVER4, PORT) as listener, connected(site, listener) as (client, source):
        sources = []
        for _ in range(10):
            with connected(site, listener) as (_, other):
                sources.append(other)
            ended(site, other)
        assert who(site, source)[0]["client"] == client
        status = result(site, "status")["counters"]
        assert status["who_overwritten"] == 6 and status["who_untracked"] == 0
        wait_until(lambda: "raise 'entries', 4 now" in daemon.errors(), "the warning")
        assert [len(who(site, source)) for source in sources] == [0] * 6 + [1] * 4
        assert "6 entries were overwritten" in ctl(site, "who", sources[0], check=False).stdout


def test_kept_for_so_long(site, start):
    start(who="keep = 1s")
    with site.server.listen(SERVER4, PORT) as listener, connected(site, listener) as (_, source):
        pass
    wait_until(lambda: who(site, source) == [], "it is forgotten", 10)


def test_off(site, start):
    start(who="entries = 0")
    with site.server.listen(SERVER4, PORT) as listener, connected(site, listener) as (_, source):
        with Control(control_path(site)) as control:
            answer = control.ask("who", source=source)
        assert (answer["ok"], answer["code"]) == (False, "unavailable")
        assert "who { entries = 0 }" in ctl(site, "who", source, check=False).stderr


def test_many_workers(site, start):
    """Whichever worker has the client."""
    start(workers=4)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(site.server.listen(SERVER4, PORT))
        for _ in range(40):
            client, source = stack.enter_context(connected(site, listener))
            assert [answer["client"] for answer in who(site, source)] == [client]
