"""Health checks: what a server is asked, and how soon clients are sent elsewhere."""

import contextlib
import os
import select
import signal
import socket
import threading

import pytest
from netsite import BACKENDS, GATEWAY4, GATEWAY6, SERVER4, Site, wait_until
from netsite.told import PASSED_ON, ask, nginx_log, start_nginx
from test_pools import PORT, accept, check_served, counter, servers, silence
from wire import SIGNATURE, access_records, read_exactly, read_header

FRONT = 80
LOCAL = SIGNATURE + b"\x20\0\0\0"
QUICK = "interval = 100ms rise = 2 fall = 2"


@pytest.fixture
def site():
    with Site(ipv4_client=True) as made:
        yield made


@pytest.fixture
def start(site, gateway):
    def run(pool, listener="", workers=2):
        return gateway(config=f"""run-directory = "{site.dir}/run"
            workers = {workers}
            drain = 2s
            listener "l" {{ bind = "*:{FRONT}" pool = "p" {listener} }}
            pool "p" {{ {pool} }}
        """)
    return run


def backends(*hosts, port=PORT):
    return " ".join(f'backend "{host}:{port}" {{}}' for host in hosts)


def is_said(daemon, *words):
    return all(word in daemon.errors() for word in words)


@contextlib.contextmanager
def answering(listener, handle):
    """Every connection is handled, one after another, beside the block; errors of handling end it."""
    stop = threading.Event()
    errors = []

    def run():
        while not stop.is_set():
            if not select.select([listener], [], [], 0.02)[0]:
                continue
            connection = listener.accept()[0]
            connection.settimeout(5)
            with connection:
                try:
                    handle(connection)
                except Exception as error:  # handed on to the test
                    errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not errors


def test_real_server_goes_silent_and_comes_back(site, start):
    """nginx with proxy_protocol takes LOCAL for what it is; clients go where it works, without a failed attempt."""
    told = tuple(f"{host}:{PASSED_ON}" for host in BACKENDS[:2])
    start_nginx(site, told=told)
    daemon = start(backends(*BACKENDS[:2], port=PASSED_ON)
                   + f' check {{ type = send-expect expect = "|" {QUICK} }}')
    wait_until(lambda: len(nginx_log(site)) >= 4, "checks to arrive")
    assert {(seen.addr, seen.remote_addr) for seen in nginx_log(site)} == {("", GATEWAY4)}
    assert not is_said(daemon, "is down")
    assert ask(site, GATEWAY6, FRONT)[1].addr == "2001:db8:1::10"
    silence(site, BACKENDS[0], PASSED_ON)
    name = f"pool p: backend {BACKENDS[0]}:{PASSED_ON}"
    wait_until(lambda: is_said(daemon, f"{name} is down: it does not answer"), "down")
    for _ in range(20):
        assert ask(site, GATEWAY6, FRONT)[1].at_addr == BACKENDS[1]
    site.server.run(["nft", "flush", "ruleset"])
    wait_until(lambda: is_said(daemon, f"{name} is up"), "up")
    assert {ask(site, GATEWAY6, FRONT)[1].at_addr for _ in range(4)} == set(BACKENDS[:2])
    assert daemon.stop() == 0
    assert counter(daemon, "retried") == 0
    assert counter(daemon, "checks_failed") >= 2 and counter(daemon, "backends_changed") == 2


def test_all_down_is_said_at_once(site, start):
    """The client is reset without an attempt at anybody."""
    daemon = start(backends(*BACKENDS[:2]) + f" check {{ {QUICK} }}", "refuse = accept-then-reset")
    wait_until(lambda: daemon.errors().count("is down: Connection refused") == 2, "both to be down")
    # The reset may come before connect() has returned.
    with pytest.raises(ConnectionResetError), site.client.connect(GATEWAY6, FRONT) as client:
        client.recv(1)
    record = wait_until(lambda: access_records(daemon), "a record")[0]
    assert (record["end"], record["by"]) == ("unreachable", "gateway")
    with servers(site, BACKENDS[1]) as listeners:
        with answering(listeners[0], lambda connection: read_exactly(connection, 16)):
            wait_until(lambda: is_said(daemon, f"{BACKENDS[1]}:{PORT} is up"), "one is up")
    assert daemon.stop() == 0


def test_rise_and_fall_are_counted(site, start):
    """Three in a row take it out, not two and one; the first verdict of all counts alone."""
    replies = []
    lock = threading.Lock()

    def handle(connection):
        read_exactly(connection, 16)
        with lock:
            connection.sendall(replies.pop(0) if replies else b"good")

    with servers(site, SERVER4) as listeners:
        replies.extend([b"good", b"bad", b"bad", b"good", b"bad", b"bad"])
        with answering(listeners[0], handle):
            daemon = start(backends(SERVER4)
                           + ' check { type = send-expect expect = "good" interval = 100ms rise = 4 fall = 3 }')
            wait_until(lambda: not replies, "the replies to be used up")
            assert not is_said(daemon, "is down")
            with lock:
                replies.extend([b"bad"] * 3 + [b"good"] * 3 + [b"bad"])
            wait_until(lambda: is_said(daemon, "is down: its answer lacks what is expected"), "three in a row")
            wait_until(lambda: not replies, "the replies to be used up")
            assert not is_said(daemon, "is up")
            wait_until(lambda: is_said(daemon, "is up"), "four good ones")
        assert daemon.stop() == 0


@pytest.mark.parametrize(("listener", "check", "begins"), [
    ("", "", LOCAL), ("identity = proxy-v1", "", b"PROXY UNKNOWN\r\n"), ("identity = none", "", b"GET "),
    ("", f"port = {PORT}", b"GET "), ("", "header = none", b"GET "), ("identity = none", "header = local", LOCAL),
    ("", "header = proxy", SIGNATURE + b"\x21\x11\0\x0c" + socket.inet_aton("192.0.2.99")),
    ("identity = proxy-v1", "header = proxy", b"PROXY TCP4 192.0.2.99 192.0.2.10 "),
])
def test_header_and_source(site, start, listener, check, begins):
    site.gateway.ip("addr add 192.0.2.99/32 dev back")
    site.server.ip("route add 192.0.2.99 via 192.0.2.1")
    seen = []

    def handle(connection):
        seen.append((connection.getpeername()[0], read_exactly(connection, len(begins))))
        data = b""
        while b"\r\n\r\n" not in data.removeprefix(begins):
            data += connection.recv(4096)
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with servers(site, SERVER4) as listeners, answering(listeners[0], handle):
        daemon = start(backends(SERVER4) + f' check {{ type = http source = "192.0.2.99" {check} {QUICK} }}',
                       listener)
        wait_until(lambda: len(seen) >= 3, "three checks")
        assert daemon.stop() == 0
    assert set(seen) == {("192.0.2.99", begins)}
    assert not is_said(daemon, "is down") and counter(daemon, "checks_failed") == 0


@pytest.mark.parametrize(("check", "answer", "reason"), [
    ("", b"HTTP/1.1 503 Busy\r\n\r\n", "another HTTP status than expected"),
    ("status = 500-599", b"HTTP/1.1 503 Busy\r\n\r\n", None),
    ('expect = "pong"', b"HTTP/1.1 200 OK\r\n\r\nping", "its answer lacks what is expected"),
    ('expect = "pong"', b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 9000 + b"pong", None),
    ("", b"220 mail\r\n", "its answer is no HTTP"),
    ("", b"", "its answer is no HTTP"),
])
def test_http_answers(site, start, check, answer, reason):
    handled = []

    def handle(connection):
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(4096)
        handled.append(data)
        assert data.startswith(b"PATCH /up HTTP/1.1\r\nHost: example.org\r\n")
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)

    with servers(site, SERVER4) as listeners, answering(listeners[0], handle):
        daemon = start(backends(SERVER4) + " check { type = http header = none method = PATCH path = /up"
                       f" host = example.org {check} {QUICK} }}")
        if reason:
            wait_until(lambda: is_said(daemon, f"is down: {reason}"), "the verdict")
        else:
            wait_until(lambda: len(handled) >= 4, "four checks")
        assert daemon.stop() == 0
    assert reason or not is_said(daemon, "is down")


@pytest.mark.parametrize("expect", ['expect = "pong"', ""])
def test_udp(site, start, expect):
    daemon = start(backends(SERVER4) + f' check {{ type = udp send = "ping" {expect} {QUICK} }}',
                   "protocol = udp")
    wait_until(lambda: is_said(daemon, "is down: Connection refused"), "refused by ICMP")
    with site.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(5)
        server.bind((SERVER4, PORT))

        def answer():
            data, peer = server.recvfrom(2000)
            assert data == LOCAL + b"ping"
            if expect:
                server.sendto(b"pong", peer)
            return is_said(daemon, "is up")

        wait_until(answer, "up again")
        if expect:
            wait_until(lambda: is_said(daemon, "is down: it said nothing"), "an answer is missed")
    assert daemon.stop() == 0


def test_no_descriptor_of_a_check_is_left_to_a_worker(site, start):
    """A worker that starts while checks are under way does not keep them open."""
    silence(site, "192.0.2.0/24")
    daemon = start(backends(*BACKENDS) + " check { interval = 10s timeout = 10s }", workers=1)
    worker = wait_until(lambda: [pid for pid in site.gateway.pids() if is_worker(pid)], "a worker")[0]
    before = sorted(map(kind, descriptors(worker)))
    wait_until(lambda: "SYN-SENT" in site.gateway.run(["ss", "-tan"]).stdout, "checks under way")
    os.kill(worker, signal.SIGKILL)
    new = wait_until(lambda: [pid for pid in site.gateway.pids() if is_worker(pid) and pid != worker], "another")[0]
    wait_until(lambda: sorted(map(kind, descriptors(new))) == before, "the same descriptors, no more")
    assert daemon.stop() == 0


def is_worker(pid):
    with contextlib.suppress(OSError):
        return "seccomp\t2" in open(f"/proc/{pid}/status", encoding="ascii").read().lower().replace(":", "")
    return False


def descriptors(pid):
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return found


def kind(link):
    return link.partition(":")[0]


def test_served_clients_stay_when_a_check_fails(site, start):
    """Down means no new clients."""
    with servers(site, *BACKENDS[:2]) as listeners:
        daemon = start(backends(*BACKENDS[:2]) + f" check {{ port = 9 {QUICK} }}")
        wait_until(lambda: daemon.errors().count("is down") == 2, "both down")
        with site.server.listen(SERVER4, 9):
            wait_until(lambda: is_said(daemon, "is up"), "one up by its check port")
            assert check_served(site, listeners) == 0
            client = site.client.connect(GATEWAY6, FRONT)
            _, server = accept(listeners)
            read_header(server)
        wait_until(lambda: daemon.errors().count("is down") == 3, "down again")
        with client, server:
            client.sendall(b"still here")
            assert read_exactly(server, 10) == b"still here"
    assert daemon.stop() == 0
