"""Clients that are let in when a backend has answered: what they are told, and that nothing goes wrong with them."""

import contextlib
import errno
import json
import os
import re
import select
import signal
import socket
import time
from pathlib import Path

import pytest
from netsite import BACKENDS, CLIENT4, CLIENT6, GATEWAY6, SERVER4, VIP4, VIP6, Site, build_dir, cpu_ns, wait_until
from netsite.web import Clients, outcomes, start_web
from test_pools import PORT, accept, backends, counter, servers, silence
from wire import access_records, read_exactly, read_header, reset

FRONT = 80
BACKLOG = 1024
CAP_NET_ADMIN = 12
FORGED = ("2001:db8:f000::", 36)
FLOOD_TOOL = str(build_dir() / "tests" / "flood")
FAMILIES = pytest.mark.parametrize("vip", [VIP6, VIP4])


@pytest.fixture
def site():
    with Site(ipv4_client=True) as made:
        yield made


@pytest.fixture
def start(site, gateway):
    def run(pool, listener="", workers=2, bind=f"*:{FRONT}", top="", **options):
        daemon = gateway(config=f"""run-directory = "{site.dir}/run"
            workers = {workers}
            drain = 2s
            {top}
            listener "l" {{ bind = "{bind}" pool = "p" accept = after-backend {listener} }}
            pool "p" {{ {pool} }}
        """, **options)
        assert "has no effect" not in daemon.errors()
        return daemon
    return run


def answer_with(site, host, words):
    """What the server's machine says to those who connect to the host."""
    site.server.run(["nft", "-f", "-"], stdin=f"""
        table ip answer {{
            chain input {{
                type filter hook input priority 0
                ip daddr {host} tcp dport {PORT} {words}
            }}
        }}
    """)


def connecting(site, vip):
    client = site.client.socket(socket.AF_INET6 if ":" in vip else socket.AF_INET)
    client.setblocking(False)
    assert client.connect_ex((vip, FRONT)) == errno.EINPROGRESS
    return client


def result(client, seconds):
    """The errno of its connect(), 0 once it is connected; None: nothing so far."""
    if not select.select([], [client], [], seconds)[1]:
        return None
    return client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def connect_result(site, vip, seconds=5):
    with connecting(site, vip) as client:
        return result(client, seconds)


def backend_connections(site):
    """Of the server's machine, but for those that are only waited for by TIME-WAIT."""
    lines = site.server.run(["ss", "-Htan", "sport", f"= :{PORT}"]).stdout.splitlines()
    return [line for line in lines if line.split()[0] not in ("LISTEN", "TIME-WAIT")]


@FAMILIES
def test_served(site, start, vip):
    daemon = start(backends(SERVER4))
    with servers(site, SERVER4) as listeners:
        with site.client.connect(vip, FRONT) as client:
            client.sendall(b"words")
            _, server = accept(listeners)
            with server:
                header = read_header(server)
                assert (header.src, header.sport) == client.getsockname()[:2]
                assert (header.dst, header.dport) == (vip, FRONT)
                assert read_exactly(server, 5) == b"words"
                server.sendall(b"thanks")
            assert read_exactly(client, 6) == b"thanks"
    assert daemon.stop() == 0
    assert counter(daemon, "hold_held") == counter(daemon, "hold_claimed") == 1
    assert counter(daemon, "hold_unheld") == 0


@FAMILIES
@pytest.mark.parametrize(("words", "told"), [
    (None, errno.ECONNREFUSED),
    ("reject with tcp reset", errno.ECONNREFUSED),
    ("reject with icmp host-unreachable", errno.EHOSTUNREACH),
    ("reject with icmp admin-prohibited", errno.EHOSTUNREACH),
    ("reject with icmp net-unreachable", errno.ENETUNREACH),
    ("drop", None),
])
def test_told_what_the_backend_told(site, start, vip, words, told):
    daemon = start(backends(SERVER4), listener="timeouts { connect = 1s  connect-total = 1s }")
    if words:
        answer_with(site, SERVER4, words)
    assert connect_result(site, vip, 5 if told else 2) == told
    assert daemon.stop() == 0
    ends = {record["end"] for record in access_records(daemon)}
    assert len(ends) == 1 and ends <= {"refused", "unreachable", "connect-timeout"}
    assert counter(daemon, "accepted") == 0


def holder_of(daemon):
    """The one child of the gateway that keeps a capability: CAP_NET_ADMIN."""
    def find():
        for pid in daemon.pids()[1:]:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may end while we look
                status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
                if int(status["CapEff"], 16) == 1 << CAP_NET_ADMIN:
                    return pid
        return None
    return wait_until(find, "a holder")


def workers_of(site, daemon):
    """They have the listening sockets."""
    sockets = site.gateway.run(["ss", "-Htlnp", f"sport = :{FRONT}"]).stdout
    return sorted({int(pid) for pid in re.findall(r"pid=(\d+)", sockets)} & set(daemon.pids()[1:]))


def alive(pids):
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def tables(site):
    return [line for line in site.gateway.run(["nft", "list", "tables"]).stdout.splitlines() if "hold" in line]


def forge(site, count, rate=0, vip=VIP6):
    site.gateway.ip(f"route replace default via {CLIENT6}")  # answers to nobody go there, and end there
    return json.loads(site.client.run([FLOOD_TOOL, "syn", *FORGED, vip, FRONT, count, *([rate] if rate else [])],
                                      timeout=120).stdout)


def check_no_leak(site):
    """Also those that nobody claims are given up."""
    wait_until(lambda: not backend_connections(site), "no connection to a backend is left", 15)


def test_said_by_nft(site, start):
    start(backends(SERVER4), bind=f"[{VIP6}]:{FRONT}")
    assert tables(site) == ["table inet sixgate-hold-16600"]
    assert f"tcp dport {FRONT}" in site.gateway.run(["nft", "list", "ruleset"]).stdout
    # It is nobody else's to change.
    site.gateway.run(["nft", "flush", "ruleset"])
    assert tables(site) and site.gateway.run(["nft", "delete", tables(site)[0]], check=False).returncode != 0


def test_two_gateways_in_one_network(site, gateway):
    """Each takes a queue of its own."""
    for port in (80, 81):
        gateway(name=f"sixgated{port}", config=f"""run-directory = "{site.dir}/run{port}"
            listener "l" {{ bind = "[{VIP6}]:{port}" pool = "p" accept = after-backend }}
            pool "p" {{ {backends(SERVER4)} }}
        """)
    assert tables(site) == ["table inet sixgate-hold-16600", "table inet sixgate-hold-16601"]
    for port in (80, 81):
        with pytest.raises(ConnectionRefusedError):
            site.client.connect(VIP6, port)


def test_ipv4_clients_of_an_ipv6_socket(site, start):
    daemon = start(backends(SERVER4), bind=f"[::]:{FRONT}", listener="v6only = no")
    assert connect_result(site, VIP4) == errno.ECONNREFUSED
    with servers(site, SERVER4) as listeners:
        with site.client.connect(VIP4, FRONT):
            with accept(listeners)[1] as server:
                assert read_header(server).src == CLIENT4
    assert daemon.stop() == 0
    assert counter(daemon, "hold_claimed") == counter(daemon, "accepted") == 1


def test_narrower_listener_decides(site, gateway):
    """Clients of an address that another listener has are not held, though all addresses are."""
    daemon = gateway(config=f"""run-directory = "{site.dir}/run"
        listener "all" {{ bind = "[::]:{FRONT}" pool = "p" accept = after-backend }}
        listener "one" {{ bind = "[{VIP6}]:{FRONT}" pool = "p" }}
        pool "p" {{ {backends(SERVER4)} }}
    """)
    assert connect_result(site, GATEWAY6) == errno.ECONNREFUSED
    with pytest.raises(ConnectionResetError), site.client.connect(VIP6, FRONT) as client:
        client.recv(1)
    assert daemon.stop() == 0
    assert counter(daemon, "hold_held") == 1


def test_server_that_speaks_first(site, start):
    """Its words wait for the client; ours, the header, are still the first that it gets."""
    start(backends(SERVER4))
    with servers(site, SERVER4) as listeners:
        with connecting(site, VIP6) as client, accept(listeners)[1] as server:
            server.sendall(b"220 hello\r\n")
            assert result(client, 5) == 0
            client.settimeout(5)
            assert read_exactly(client, 11) == b"220 hello\r\n"
            header = read_header(server)
            assert (header.src, header.sport) == client.getsockname()[:2]
            client.sendall(b"bye")
            assert read_exactly(server, 3) == b"bye"


def test_next_backend_before_the_handshake(site, start):
    daemon = start(backends(*BACKENDS[:3]))
    silence(site, BACKENDS[0])
    with servers(site, BACKENDS[2]) as listeners:
        for _ in range(10):
            with site.client.connect(VIP6, FRONT) as client:
                client.sendall(b"words")
                with accept(listeners)[1] as server:
                    assert read_header(server).sport == client.getsockname()[1]
                    assert read_exactly(server, 5) == b"words"
    assert daemon.stop() == 0
    assert counter(daemon, "retried") > 0
    assert counter(daemon, "hold_claimed") == counter(daemon, "accepted") == 10


def test_all_down_is_refused(site, start):
    daemon = start(backends(*BACKENDS[:2]) + " check { interval = 100ms fall = 1 }",
                   listener="refuse = accept-then-reset")
    wait_until(lambda: daemon.errors().count("is down: Connection refused") == 2, "both to be down")
    assert connect_result(site, VIP6) == errno.ECONNREFUSED
    record = wait_until(lambda: access_records(daemon), "a record")[0]
    assert (record["backend"], record["end"]) == (None, "unreachable")


def test_curl_goes_on_to_its_second_address(site, gateway):
    """The servers behind the first refuse: curl does not even wait for its head start of 200 ms to pass."""
    start_web(site, BACKENDS[1], PORT, "web")
    daemon = gateway(config=f"""run-directory = "{site.dir}/run"
        listener "six" {{ bind = "[{VIP6}]:{FRONT}" pool = "down" accept = after-backend }}
        listener "four" {{ bind = "{VIP4}:{FRONT}" pool = "up" accept = after-backend }}
        pool "down" {{ {backends(BACKENDS[0])} }}
        pool "up" {{ {backends(BACKENDS[1])} }}
    """)
    for _ in range(5):
        got = site.client.run(["curl", "-sS", "--max-time", "5", "-w", "%{remote_ip} %{http_code} %{time_connect}",
                               "--resolve", f"site.example:{FRONT}:[{VIP6}],{VIP4}", "-o", "/dev/null",
                               f"http://site.example:{FRONT}/"]).stdout.split()
        print(f"\ncurl: connected to {got[0]} after {1000 * float(got[2]):.1f} ms")
        assert got[:2] == [VIP4, "200"] and float(got[2]) < 0.2
    assert daemon.stop() == 0
    assert counter(daemon, "hold_refused") == counter(daemon, "hold_claimed") == 5


def test_syn_that_comes_again(site, start):
    """It begins no second connection, and is no second refusal."""
    daemon = start(backends(SERVER4), listener="timeouts { connect = 5s  connect-total = 5s }")
    silence(site, SERVER4)
    with connecting(site, VIP6) as client:
        wait_until(lambda: site.client.counters()["TcpExt.TCPSynRetrans"] >= 2, "two more SYNs")
        waiting = site.gateway.run(["ss", "-Htn", "state", "syn-sent"]).stdout.splitlines()
        assert len(waiting) == 1
        site.server.run(["nft", "flush", "ruleset"])
        with servers(site, SERVER4) as listeners:
            assert result(client, 8) == 0
            with accept(listeners)[1] as server:
                assert read_header(server).sport == client.getsockname()[1]
                assert not select.select(listeners, [], [], 0)[0]
    assert daemon.stop() == 0
    assert counter(daemon, "hold_held") == counter(daemon, "hold_claimed") == 1
    assert counter(daemon, "hold_repeated") >= 2


def test_answer_that_is_lost(site, start):
    """The client's next SYN leads to the same connection."""
    daemon = start(backends(SERVER4), workers=4)
    site.client.run(["nft", "-f", "-"], stdin="""table inet lossy { chain input {
        type filter hook input priority 0; tcp flags & (syn | ack) == (syn | ack) counter drop; }; }""")
    with servers(site, SERVER4) as listeners, connecting(site, VIP6) as client:
        with accept(listeners)[1] as server:
            wait_until(lambda: "packets 0" not in site.client.run(["nft", "list", "ruleset"]).stdout, "an answer")
            site.client.run(["nft", "flush", "ruleset"])
            assert result(client, 8) == 0
            assert read_header(server).sport == client.getsockname()[1]
            assert not select.select(listeners, [], [], 0)[0]
    assert daemon.stop() == 0
    assert counter(daemon, "hold_claimed") == 1 and counter(daemon, "hold_unheld") == 0


def test_client_that_never_comes(site, start):
    daemon = start(backends(SERVER4))
    with servers(site, SERVER4) as listeners:
        forge(site, 3)
        connections = [accept(listeners)[1] for _ in range(3)]
        ended = wait_until(lambda: len(access_records(daemon)) == 3 and access_records(daemon), "records", 12)
        for connection in connections:
            connection.settimeout(5)
            with connection, pytest.raises(ConnectionResetError):
                connection.recv(1)
    assert {(record["end"], record["by"]) for record in ended} == {("unclaimed", "client")}
    check_no_leak(site)
    assert daemon.stop() == 0


def test_backend_that_resets_before_the_client_is_there(site, start):
    """The client is served as any other then: by another connection."""
    daemon = start(backends(SERVER4))
    site.client.run(["nft", "-f", "-"], stdin="""table inet lossy { chain input {
        type filter hook input priority 0; tcp flags & (syn | ack) == (syn | ack) drop; }; }""")
    with servers(site, SERVER4) as listeners, connecting(site, VIP6) as client:
        reset(accept(listeners)[1])
        wait_until(lambda: access_records(daemon), "a record")
        site.client.run(["nft", "flush", "ruleset"])
        assert result(client, 8) == 0
        with accept(listeners)[1] as server:
            assert read_header(server).sport == client.getsockname()[1]
    assert daemon.stop() == 0
    assert access_records(daemon)[0]["end"] == "reset"


def test_firewall_comes_first(site, start):
    """Who is not let in by a filter of the machine begins nothing."""
    daemon = start(backends(SERVER4))
    site.gateway.run(["nft", "-f", "-"], stdin=f"""table inet wall {{ chain input {{
        type filter hook input priority 0; tcp dport {FRONT} reject with tcp reset; }}; }}""")
    assert connect_result(site, VIP6) == errno.ECONNREFUSED
    site.gateway.run(["nft", "delete", "table", "inet", "wall"])
    assert daemon.stop() == 0
    assert counter(daemon, "hold_held") == 0


def test_stateful_firewall(site, start):
    """Conntrack sees one packet that begins, however long it was held, and however often it came."""
    start_web(site, SERVER4, PORT, "web")
    site.gateway.run(["nft", "-f", "-"], stdin=f"""table inet wall {{ chain input {{
        type filter hook input priority 0; policy drop;
        ct state established,related accept; icmpv6 type != 255 accept
        ct state new tcp dport {FRONT} accept; }}; }}""")
    daemon = start(backends(SERVER4), bind=f"[{VIP6}]:{FRONT}", top="hold { max-per-client = 0 }")
    with Clients(site, VIP6, FRONT, count=500, rate=500) as clients:
        came = clients.wait(30)
    assert outcomes(came) == {"ok": 500}
    assert daemon.stop() == 0
    assert counter(daemon, "hold_held") >= 500


# ---- bounds ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hold", "vips", "more", "name"), [
    ("max = 3", [VIP6, VIP4, VIP6], VIP4, "hold_full"),
    ("max-per-client = 2", [VIP6, VIP6, VIP4, VIP4], VIP6, "hold_client_full"),
    ("max-per-backend = 2", [VIP6, VIP4], VIP6, "hold_backend_full"),
])
def test_bounds(site, start, hold, vips, more, name):
    """Up to the bound they wait; one more is let in at once; and when one has gone another may wait."""
    daemon = start(backends(SERVER4), workers=3, top=f"hold {{ {hold} }}",
                   listener="timeouts { connect = 30s  connect-total = 30s }")
    silence(site, SERVER4)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connecting(site, vip)) for vip in vips]
        waiting = lambda: site.gateway.run(["ss", "-Htn", "state", "syn-sent"]).stdout.splitlines()
        wait_until(lambda: len(waiting()) == len(vips), "all wait")
        assert connect_result(site, more, 0.9) == 0
        assert all(result(client, 0) is None for client in clients)
        site.server.run(["nft", "flush", "ruleset"])
        assert [result(client, 30) for client in clients] == [errno.ECONNREFUSED] * len(vips)
    assert connect_result(site, more) == errno.ECONNREFUSED
    assert daemon.stop() == 0
    assert counter(daemon, name) == 1 and counter(daemon, "hold_held") >= len(vips) + 1


# ---- when something is killed, or stuck ----------------------------------------------------------


def test_holder_killed(site, start):
    """Clients go on being served, and soon are held again."""
    start_web(site, SERVER4, PORT, "web")
    daemon = start(backends(SERVER4), bind=f"[{VIP6}]:{FRONT}", top="hold { max-per-client = 0 }")
    with Clients(site, VIP6, FRONT, rate=500, limit_ms=5000) as clients:
        for _ in range(3):
            before = holder_of(daemon)
            os.kill(before, signal.SIGKILL)
            wait_until(lambda: tables(site) and holder_of(daemon) != before, "another holder")
        wait_until(lambda: len(clients.path.read_text().splitlines()) > 1500, "clients")
        came = clients.finish()
    print(f"\nholder killed three times under 500/s: {outcomes(came)}, slowest {max(one.ms for one in came):.0f} ms")
    assert {one.outcome for one in came} == {"ok"}
    check_no_leak(site)
    assert "the holder (pid" in daemon.errors() and daemon.stop() == 0


def test_holder_stopped_before_a_reload(site, start):
    """There is another one in spite of it, and the gateway is ready."""
    daemon = start(backends(SERVER4), bind=f"[{VIP6}]:{FRONT}")
    with servers(site, SERVER4) as listeners:
        before = holder_of(daemon)
        os.kill(before, signal.SIGSTOP)
        daemon.kill(signal.SIGHUP)
        wait_until(lambda: daemon.errors().count("ready: ") == 2, "a successor is ready", 30)
        assert holder_of(daemon) != before
        with site.client.connect(VIP6, FRONT) as client:
            client.sendall(b"x")
            _, server = accept(listeners)
            with server:
                read_header(server)
                assert read_exactly(server, 1) == b"x"
    assert daemon.stop() == 0


def test_holder_stopped(site, start):
    """It is noticed and replaced; the clients that it had hold of are served when their SYN comes again."""
    start_web(site, SERVER4, PORT, "web")
    daemon = start(backends(SERVER4), bind=f"[{VIP6}]:{FRONT}", top="hold { max-per-client = 0 }")
    with Clients(site, VIP6, FRONT, rate=200, limit_ms=9000) as clients:
        before = holder_of(daemon)
        os.kill(before, signal.SIGSTOP)
        wait_until(lambda: "is stuck: it is killed" in daemon.errors(), "the word that it is")
        wait_until(lambda: tables(site) and holder_of(daemon) != before, "another holder")
        wait_until(lambda: len(clients.path.read_text().splitlines()) > 800, "clients")
        came = clients.finish()
    print(f"\nholder stopped under 200/s: {outcomes(came)}, slowest {max(one.ms for one in came):.0f} ms")
    assert {one.outcome for one in came} == {"ok"}
    check_no_leak(site)
    assert daemon.stop() == 0


def test_queue_overrun(site, start):
    """What no longer fits is let in by the kernel, though the holder does nothing."""
    daemon = start(backends(SERVER4), top="hold { max = 16 }")
    with servers(site, SERVER4) as listeners, contextlib.ExitStack() as stack:
        os.kill(holder_of(daemon), signal.SIGSTOP)
        clients = [stack.enter_context(connecting(site, VIP6)) for _ in range(500)]
        connected = lambda: sum(result(client, 0) == 0 for client in clients)
        wait_until(lambda: connected() >= 500 - 16 - 256, "all but those in the queue")
        wait_until(lambda: connected() == 500, "those, too")
        for _ in range(500):
            server = stack.enter_context(accept(listeners)[1])
            assert read_header(server).dst == VIP6
    assert daemon.stop() == 0


def test_everything_killed(site, start):
    """Nothing is left that would hold anybody: the machine refuses."""
    daemon = start(backends(SERVER4))
    assert connect_result(site, VIP6) == errno.ECONNREFUSED
    for pid in daemon.pids():
        os.kill(pid, signal.SIGKILL)
    daemon.process.wait()
    wait_until(lambda: not tables(site), "the table is gone")
    assert connect_result(site, VIP6) == errno.ECONNREFUSED


def test_supervisor_killed(site, start):
    """The others end by themselves, and the table first."""
    daemon = start(backends(SERVER4))
    others, workers = daemon.pids()[1:], workers_of(site, daemon)
    with servers(site, SERVER4) as listeners, site.client.connect(VIP6, FRONT) as client:
        with accept(listeners)[1] as server:
            read_header(server)
            os.kill(daemon.pid, signal.SIGKILL)
            daemon.process.wait()
            wait_until(lambda: not tables(site), "the table is gone")
            assert connect_result(site, VIP6) == errno.ECONNREFUSED
            # Those who serve somebody do it to the end, and do not spin meanwhile.
            before, since = cpu_ns(alive(workers)), time.monotonic()
            while time.monotonic() < since + 0.5:
                client.sendall(b"still here")
                assert read_exactly(server, 10) == b"still here"
                select.select([], [], [], 0.05)
            assert cpu_ns(alive(workers)) - before < 0.05e9
    wait_until(lambda: not alive(others), "nobody is left")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_workers_killed_or_stopped(site, start, number):
    """Their clients are let in another way, by which they find a successor, or wait as any would."""
    daemon = start(backends(SERVER4), listener="timeouts { connect = 30s  connect-total = 30s }",
                   workers=2, top="hold { max-per-client = 0 }")
    silence(site, SERVER4)
    pids = workers_of(site, daemon)
    assert len(pids) == 2
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connecting(site, VIP6)) for _ in range(20)]
        waiting = lambda: len(site.gateway.run(["ss", "-Htn", "state", "syn-sent"]).stdout.splitlines())
        wait_until(lambda: waiting() == 20, "all wait")
        # Stopped first, so that neither takes on the other's and is killed then.
        for step in (signal.SIGSTOP, number):
            for pid in pids:
                os.kill(pid, step)
        if number == signal.SIGSTOP:
            clients += [stack.enter_context(connecting(site, VIP6)) for _ in range(20)]
            assert [result(client, 5) for client in clients[20:]] == [0] * 20
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        else:
            assert [result(client, 5) for client in clients] == [0] * 20
    wait_until(lambda: len(workers_of(site, daemon)) == 2, "two workers")
    site.server.run(["nft", "flush", "ruleset"])
    assert connect_result(site, VIP6) == errno.ECONNREFUSED
    check_no_leak(site)
    assert daemon.stop() == 0


def test_syn_that_comes_once(site, start):
    """A client of a worker that does not answer is let in by the clock, without another packet's help."""
    daemon = start(backends(SERVER4))
    pids = workers_of(site, daemon)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    with connecting(site, VIP6) as client:
        site.client.run(["nft", "-f", "-"], stdin="""table inet once { chain output {
            type filter hook output priority 0; tcp flags & (syn | ack) == syn drop; }; }""")
        assert result(client, 20) == 0
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert daemon.stop() == 0


def test_without_rights(site, gateway):
    """The gateway says that it cannot hold anybody, and serves."""
    daemon = gateway(config=f"""run-directory = "{site.dir}/run"
        listener "l" {{ bind = "[{VIP6}]:8080" pool = "p" accept = after-backend }}
        pool "p" {{ {backends(SERVER4)} }}
    """, wrapper=["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"])
    assert "accept = after-backend has no effect, clients are let in at once" in daemon.errors()
    assert "CAP_NET_ADMIN is needed" in daemon.errors()
    with servers(site, SERVER4) as listeners, site.client.connect(VIP6, 8080):
        with accept(listeners)[1] as server:
            assert read_header(server).src == CLIENT6
    assert daemon.stop() == 0


def test_other_user_with_the_right(site, gateway):
    """As systemd starts it: not root, with capabilities that are handed down."""
    (site.dir / "run").mkdir()
    os.chown(site.dir / "run", 65534, 65534)
    site.dir.chmod(0o755)
    daemon = gateway(config=f"""run-directory = "{site.dir}/run"
        access-log = off
        listener "l" {{ bind = "[{VIP6}]:8080" pool = "p" accept = after-backend }}
        pool "p" {{ {backends(SERVER4)} }}
    """, wrapper=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+net_admin",
                  "--ambient-caps=+net_admin"])
    holder = Path(f"/proc/{holder_of(daemon)}/status").read_text()
    assert "Uid:\t65534" in holder and "Seccomp:\t2" in holder and "NoNewPrivs:\t1" in holder
    with pytest.raises(ConnectionRefusedError):
        site.client.connect(VIP6, 8080)
    assert daemon.stop() == 0
    assert counter(daemon, "hold_refused") == 1


def test_who_may_not_come_in_is_refused(site, start):
    daemon = start(backends(SERVER4), listener=f'clients {{ deny = "{CLIENT6}" }}')
    assert connect_result(site, VIP6) == errno.ECONNREFUSED
    record = wait_until(lambda: access_records(daemon), "a record")[0]
    assert (record["end"], record["backend"]) == ("denied", None)


def test_forged_packets_take_no_place(site, start):
    """A listener's limits are for clients that are there."""
    daemon = start(backends(SERVER4), listener="connections { max = 2  rate = 2 }")
    with servers(site, SERVER4), contextlib.ExitStack() as stack:
        assert forge(site, 50)["sent"] == 50
        for _ in range(2):
            client = stack.enter_context(site.client.connect(VIP6, FRONT))
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.recv(1)
    assert daemon.stop() == 0
    assert counter(daemon, "hold_held") == 52 and counter(daemon, "over_limit") == 0


def test_counted_for_those_who_ask(site, start):
    start(backends(SERVER4))
    assert connect_result(site, VIP6) == errno.ECONNREFUSED
    status = json.loads(site.gateway.run([build_dir() / "sixgatectl", "--run-directory", site.dir / "run", "status",
                                          "--json"]).stdout)
    assert status["counters"]["hold_held"] == status["counters"]["hold_refused"] == 1


def test_end_lets_those_who_wait_go(site, start):
    """They are refused, as there is nobody any more."""
    daemon = start(backends(SERVER4), listener="timeouts { connect = 30s  connect-total = 30s }")
    silence(site, SERVER4)
    with connecting(site, VIP6) as client:
        wait_until(lambda: site.gateway.run(["ss", "-Htn", "state", "syn-sent"]).stdout, "it waits")
        assert daemon.stop() == 0
        assert result(client, 5) in (errno.ECONNREFUSED, errno.ECONNRESET)
    assert not tables(site)


# ---- many ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3])
def test_two_thousand_a_second(site, start, workers):
    """Every one is served by the connection that was made for it, by whatever worker."""
    start_web(site, SERVER4, PORT, "web")
    daemon = start(backends(SERVER4), workers=workers, bind=f"[{VIP6}]:{FRONT}",
                   top="hold { max = 10000  max-per-client = 0  max-per-backend = 0 } access-log = off")
    with Clients(site, VIP6, FRONT, rate=2000, limit_ms=10000) as clients:
        wait_until(lambda: len(clients.path.read_text().splitlines()) > 8000, "clients", 30)
        came = clients.finish()
    check_no_leak(site)
    assert daemon.stop() == 0
    held, claimed, unheld = (counter(daemon, f"hold_{name}") for name in ("held", "claimed", "unheld"))
    seconds = max(one.began for one in came) - min(one.began for one in came)
    print(f"\n{workers} workers: {outcomes(came)} in {seconds:.1f} s, slowest {max(one.ms for one in came):.0f} ms; "
          f"held {held}, claimed {claimed}, served without {unheld}, unclaimed {counter(daemon, 'unclaimed')}")
    assert {one.outcome for one in came} == {"ok"}
    assert {one.told for one in came} == {f"{CLIENT6}:{one.port}" for one in came}
    # Who is let in after a backend has answered finds that connection, by whatever worker it is. A machine that stands
    # still for half a second costs others theirs: they are served as any. How many, is its speed.
    assert claimed + unheld == len(came) and claimed > 0.05 * len(came)
    assert counter(daemon, "unclaimed") <= 0.001 * claimed


def test_flood_of_forged_syns(site, start):
    """Ten times what may wait at all: at least 99 of 100 real handshakes come about, and are served."""
    start_web(site, SERVER4, PORT, "web")
    flood = 10 * 2 * BACKLOG
    daemon = start(backends(SERVER4), bind=f"[{VIP6}]:{FRONT}", listener=f"backlog = {BACKLOG}",
                   top="access-log = off")
    with Clients(site, VIP6, FRONT, rate=300) as clients:
        sent = forge(site, flood, flood / 4)
        wait_until(lambda: len(clients.path.read_text().splitlines()) > 300, "clients")
        came = clients.finish()
    served = [one for one in came if one.outcome == "ok"]
    check_no_leak(site)
    assert daemon.stop() == 0
    counts = {name: counter(daemon, f"hold_{name}") for name in ("held", "full", "backend_full", "claimed", "unheld")}
    print(f"\n{sent['sent']} forged SYNs in {sent['seconds']} s; real clients: {outcomes(came)}, "
          f"slowest {max(one.ms for one in came):.0f} ms; {counts}, unclaimed {counter(daemon, 'unclaimed')}")
    assert sent["sent"] == flood
    assert len(served) >= 0.99 * len(came) > 0
    assert {one.told for one in served} == {f"{CLIENT6}:{one.port}" for one in served}
