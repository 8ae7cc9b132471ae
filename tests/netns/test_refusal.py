"""While no server of a pool is up, new clients are refused before they are accepted."""

import contextlib
import errno
import select
import signal
import socket
import statistics
import threading
import time

import pytest
from netsite import BACKENDS, GATEWAY6, SERVER4, VIP4, VIP6, Site, wait_until
from test_pools import PORT, counter, servers
from wire import access_records, read_header

FRONT = 80
CHECK = "check { interval = 100ms rise = 1 fall = 1 }"
UP = b"here"
LIMIT_S = 0.1
ROUNDS = 10


@pytest.fixture
def site():
    with Site(ipv4_client=True) as made:
        yield made


@pytest.fixture
def start(site, gateway):
    def run(listener="", pool=f'backend "{SERVER4}:{PORT}" {{}} {CHECK}', bind=f"*:{FRONT}", more="", **options):
        return gateway(config=f"""run-directory = "{site.dir}/run"
            workers = 2
            drain = 2s
            listener "l" {{ bind = {{ "{bind}" }} pool = "p" {listener} }}
            pool "p" {{ {pool} }}
            {more}
        """, **options)
    return run


def table(site):
    return site.gateway.run(["nft", "list", "table", "inet", "sixgate-guard"], check=False).stdout


def is_refusing(site):
    return "reject" in table(site)


def attempt(site, host, port=FRONT):
    """What a client gets: the name of connect()'s error, or "RESET" after it was accepted, or UP."""
    try:
        with site.client.connect(host, port, 5) as client:
            return client.recv(100)
    except ConnectionResetError:
        return "RESET"
    except OSError as error:
        return errno.errorcode[error.errno]


class Server:
    """Takes every connection, says UP to those that are no checks, and ends them or keeps them."""

    def __init__(self, site, *hosts, keep=False):
        self.site, self.hosts, self.keep = site, hosts, keep
        self.kept = []
        self.stop = threading.Event()
        self.thread = None

    def __enter__(self):
        self.listeners = [self.site.server.listen(host, PORT) for host in self.hosts]
        self.stop.clear()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        for listener in self.listeners:
            listener.close()

    def run(self):
        while not self.stop.is_set():
            for listener in select.select(self.listeners, [], [], 0.01)[0]:
                connection = listener.accept()[0]
                connection.settimeout(5)
                with contextlib.suppress(OSError, AssertionError):
                    if read_header(connection).command:
                        if self.keep:  # before its client knows
                            self.kept.append(connection)
                        connection.sendall(UP)
                        if self.keep:
                            continue
                connection.close()


class Watch:
    """Connects again and again, and notes when the outcome changes."""

    def __init__(self, site, host):
        self.site, self.host = site, host
        self.stop = threading.Event()
        self.changes = []  # (time, outcome)
        self.tries = 0
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def run(self):
        while not self.stop.is_set():
            outcome = attempt(self.site, self.host)
            if not self.changes or self.changes[-1][1] != outcome:
                self.changes.append((time.monotonic(), outcome))
            self.tries += 1
            time.sleep(0.001)

    def wait_for(self, outcome, since):
        def found():
            return next((at for at, what in list(self.changes) if what == outcome and at > since), None)
        return wait_until(found, f"{outcome} at {self.host}")


def said(daemon, words, before):
    """When the log has said the words once more."""
    wait_until(lambda: daemon.errors().count(words) > before, words)
    return time.monotonic()


@pytest.mark.parametrize(("refuse", "six", "four"), [
    ("", "ECONNREFUSED", "ECONNREFUSED"),
    ("refuse = reset", "ECONNREFUSED", "ECONNREFUSED"),
    ("refuse = port-unreachable", "ECONNREFUSED", "ECONNREFUSED"),
    # Linux has another word for it in IPv4.
    ("refuse = admin-prohibited", "EACCES", "EHOSTUNREACH"),
    ("refuse = accept-then-reset", "RESET", "RESET"),
])
def test_what_connect_gives(site, start, refuse, six, four):
    daemon = start(refuse)
    refuses = six != "RESET"
    wait_until(lambda: "is down: Connection refused" in daemon.errors(), "down")
    if refuses:
        wait_until(lambda: is_refusing(site), "the table to refuse")
        assert "flags owner" in table(site)
    for host, expected in ((GATEWAY6, six), (VIP6, six), (VIP4, four)):
        assert attempt(site, host) == expected, host
    # What is no listener's is none of our business.
    assert attempt(site, VIP6, FRONT + 1) == "ECONNREFUSED"
    with Server(site, SERVER4):
        wait_until(lambda: "is up" in daemon.errors() and not is_refusing(site), "up")
        assert [attempt(site, host) for host in (GATEWAY6, VIP6, VIP4)] == [UP] * 3
        assert daemon.stop() == 0
    assert counter(daemon, "refusals_begun") == refuses
    assert counter(daemon, "refusals_ended") == refuses
    assert counter(daemon, "packets_refused") >= 3 * refuses
    assert not table(site)
    if refuses:
        assert {record["end"] for record in access_records(daemon)} == {"closed"}


def test_in_place_and_gone_in_time(site, start):
    """Measured at the client against the log's word, which comes when the last check has failed, or one passed; and
    against the server's end and beginning, which adds the time until a check finds out."""
    times = {"in place": [], "in place, from the server's end": [], "gone": [], "gone, from the server's beginning": []}
    daemon = start()
    server = Server(site, SERVER4)
    wait_until(lambda: is_refusing(site), "to begin with")
    with Watch(site, GATEWAY6) as watch:
        for _ in range(ROUNDS):
            before = daemon.errors().count("is up")
            began = time.monotonic()
            with server:
                known = said(daemon, "is up", before)
                at = watch.wait_for(UP, began)
                times["gone"].append(at - known)
                times["gone, from the server's beginning"].append(at - began)
                before = daemon.errors().count("is down")
            ended = time.monotonic()
            known = said(daemon, "is down", before)
            at = watch.wait_for("ECONNREFUSED", ended)
            times["in place"].append(at - known)
            times["in place, from the server's end"].append(at - ended)
    for what, seconds in times.items():
        print(f"\n{what}: median {statistics.median(seconds) * 1000:.1f} ms, most {max(seconds) * 1000:.1f} ms",
              end="")
    print()
    assert max(times["in place"]) < LIMIT_S and max(times["gone"]) < LIMIT_S
    assert daemon.stop() == 0
    assert counter(daemon, "refusals_begun") == ROUNDS + 1


def test_established_connections_go_on(site, start):
    daemon = start()
    server = Server(site, SERVER4, keep=True)
    with server:
        wait_until(lambda: attempt(site, GATEWAY6) == UP, "up")
        client = site.client.connect(GATEWAY6, FRONT)
        assert client.recv(100) == UP
        far = server.kept[-1]
    wait_until(lambda: is_refusing(site), "down")
    assert attempt(site, GATEWAY6) == "ECONNREFUSED"
    for _ in range(3):
        client.sendall(b"still?")
        assert far.recv(100) == b"still?"
        far.sendall(b"still.")
        assert client.recv(100) == b"still."
    client.shutdown(socket.SHUT_WR)
    assert far.recv(100) == b""
    far.close()
    assert client.recv(100) == b""
    client.close()
    assert daemon.stop() == 0


def test_only_when_all_are_down(site, start):
    """Backups count; a backend with weight 0, which gets no new client, does not."""
    daemon = start(pool=f'backend "{BACKENDS[0]}:{PORT}" {{}} backend "{BACKENDS[1]}:{PORT}" {{ backup = yes }} '
                        f'backend "{BACKENDS[2]}:{PORT}" {{ weight = 0 }} {CHECK}')
    with Server(site, BACKENDS[2]):
        with Server(site, BACKENDS[1]):
            wait_until(lambda: f"{BACKENDS[0]}:{PORT} is down" in daemon.errors(), "the first is down")
            wait_until(lambda: attempt(site, GATEWAY6) == UP, "the backup")
            assert not is_refusing(site)
        wait_until(lambda: is_refusing(site), "the backup is down")
        assert attempt(site, GATEWAY6) == "ECONNREFUSED"
    assert daemon.stop() == 0


def test_narrower_listeners_are_spared(site, start):
    """A listener whose servers work goes on in the midst of one, on all addresses, whose servers do not."""
    daemon = start(more=f"""
        listener "other" {{ bind = "[{VIP6}]:{FRONT}" pool = "q" }}
        pool "q" {{ backend "{BACKENDS[1]}:{PORT}" {{}} {CHECK} }}
    """)
    with Server(site, BACKENDS[1]):
        wait_until(lambda: is_refusing(site), "the first is down")
        assert attempt(site, GATEWAY6) == "ECONNREFUSED"
        assert attempt(site, VIP4) == "ECONNREFUSED"
        wait_until(lambda: attempt(site, VIP6) == UP, "the other is up")
        assert attempt(site, GATEWAY6) == "ECONNREFUSED"
    wait_until(lambda: attempt(site, VIP6) == "ECONNREFUSED", "the other is down")
    assert daemon.stop() == 0


def test_prefixes_and_ranges(site, start):
    daemon = start(bind="[2001:db8:81::/64]:8000-8010")
    site.client.ip("route add 2001:db8:81::/64 via 2001:db8:1::1")
    wait_until(lambda: is_refusing(site), "down")
    for port in (8000, 8005, 8010):
        assert attempt(site, "2001:db8:81::77", port) == "ECONNREFUSED"
    with Server(site, SERVER4):
        wait_until(lambda: attempt(site, "2001:db8:81::77", 8005) == UP, "up")
    assert daemon.stop() == 0


def test_ipv4_clients_of_an_ipv6_socket(site, start):
    daemon = start(bind=f"[::]:{FRONT}", listener="v6only = no")
    wait_until(lambda: is_refusing(site), "down")
    assert attempt(site, VIP4) == "ECONNREFUSED"
    assert daemon.stop() == 0


def test_curl_goes_to_its_second_address_without_delay(site, start):
    """Happy Eyeballs: where a client gets a refusal it need not wait, neither 200 ms nor for an answer."""
    daemon = start(bind=f"[{VIP6}]:{FRONT}")
    wait_until(lambda: is_refusing(site), "down")
    listener = site.gateway.listen(VIP4, FRONT)

    def serve():
        for _ in range(2):
            with listener.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nyes")

    thread = threading.Thread(target=serve)
    thread.start()
    argv = ["curl", "-sS", "--resolve", f"site.example:{FRONT}:[{VIP6}],{VIP4}", "-w", " %{remote_ip} %{time_connect}",
            "--happy-eyeballs-timeout-ms", "60000", f"http://site.example:{FRONT}/"]
    for _ in range(2):
        answer, address, seconds = site.client.run(argv, timeout=10).stdout.split()
        print(f"\nthe second address after {float(seconds) * 1000:.1f} ms", end="")
        assert (answer, address) == ("yes", VIP4)
        assert float(seconds) < LIMIT_S
    print()
    thread.join()
    listener.close()
    assert daemon.stop() == 0


def test_without_rights_clients_are_accepted_and_reset(site, start):
    daemon = start(wrapper=["setpriv", "--inh-caps=-net_admin", "--bounding-set=-net_admin"])
    wait_until(lambda: "is down" in daemon.errors(), "down")
    assert "guard: no table sixgate-guard: Operation not permitted; CAP_NET_ADMIN is needed" in daemon.errors()
    assert not table(site)
    assert attempt(site, GATEWAY6) == "RESET"
    assert daemon.errors().count("warning: guard:") == 1
    assert daemon.stop() == 0


def test_nobody_else_can_take_it_away(site, start):
    daemon = start()
    wait_until(lambda: is_refusing(site), "down")
    site.gateway.run(["nft", "flush", "ruleset"])
    for command in ("delete table inet sixgate-guard", "flush table inet sixgate-guard"):
        assert "not permitted" in site.gateway.run(["nft", *command.split()], check=False).stderr
    assert is_refusing(site) and attempt(site, GATEWAY6) == "ECONNREFUSED"
    assert daemon.stop() == 0


def test_second_gateway_takes_over_what_the_first_leaves(site, start):
    """Two in one namespace: one has the table, the other says so, and has it once the first is gone."""
    first = start()
    second = start(bind=f"[{VIP6}]:81")
    wait_until(lambda: "guard: no table sixgate-guard: Device or resource busy; another gateway" in second.errors(),
               "the word that it is taken")
    assert attempt(site, VIP6, 81) == "RESET"
    assert first.stop() == 0
    wait_until(lambda: "guard: table sixgate-guard is in place" in second.errors(), "the second's table")
    assert attempt(site, VIP6, 81) == "ECONNREFUSED"
    assert second.stop() == 0


def test_table_that_nobody_owns_is_replaced(site, start):
    site.gateway.run(["nft", "add table inet sixgate-guard; add chain inet sixgate-guard x"])
    daemon = start()
    wait_until(lambda: is_refusing(site), "down")
    assert "chain x" not in table(site)
    assert daemon.stop() == 0


def test_nothing_stays_after_kill(site, start):
    daemon = start()
    wait_until(lambda: is_refusing(site), "down")
    daemon.stop(signal.SIGKILL)
    wait_until(lambda: not site.gateway.pids(), "its processes to end")
    assert not table(site)


def test_worker_that_dies_changes_nothing(site, start):
    daemon = start()
    wait_until(lambda: is_refusing(site), "down")
    workers = [pid for pid in daemon.pids() if pid != daemon.pid]
    site.gateway.run(["kill", "-9", *workers])
    wait_until(lambda: "all 2 workers are up again" in daemon.errors(), "their successors")
    assert is_refusing(site) and attempt(site, GATEWAY6) == "ECONNREFUSED"
    daemon.stop(signal.SIGKILL)
    wait_until(lambda: not site.gateway.pids(), "its processes to end")
    assert not table(site)


def test_flapping_server(site, start):
    """However often it comes and goes: at the end the table says what is so."""
    daemon = start(pool=f'backend "{SERVER4}:{PORT}" {{}} check {{ interval = 100ms timeout = 100ms rise = 1 fall = 1 }}')
    wait_until(lambda: is_refusing(site), "down to begin with")
    for _ in range(5):
        with servers(site, SERVER4):
            wait_until(lambda: not is_refusing(site), "up")
        wait_until(lambda: is_refusing(site), "down")
    assert daemon.stop() == 0
    assert counter(daemon, "refusals_begun") == 6 and counter(daemon, "refusals_ended") == 5


def test_reloads_let_nobody_in(site, start):
    """Not for a moment: the next image knows who is down before it refuses anybody itself."""
    daemon = start()
    wait_until(lambda: is_refusing(site), "refusals")
    wait_until(lambda: attempt(site, GATEWAY6) == "ECONNREFUSED", "a refusal")
    with Watch(site, GATEWAY6) as watch:
        for n in range(2, 7):
            daemon.kill(signal.SIGHUP)
            wait_until(lambda: daemon.errors().count("ready: ") == n, "a successor", 20)
            tried = watch.tries
            wait_until(lambda: watch.tries > tried + 10, "attempts")
    assert [outcome for _, outcome in watch.changes] == ["ECONNREFUSED"]
