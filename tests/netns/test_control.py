"""The control socket: what it answers, to whom, and that those who abuse it cost the others nothing."""

import contextlib
import grp
import hashlib
import json
import os
import resource
import signal
import socket
import stat
import time

import pytest
from control import Control, as_user, control_path, ctl, request, result
from netsite import SERVER4, VIP6, cpu_ns, wait_until
from wire import background, read_header, receive_stream, send_stream

PORT = 7000
CLIENTS_MAX = 64
REQUEST_MAX = 65536


@pytest.fixture
def start(site, gateway):
    def run(pool="", workers=1, directory="run", top="", **options):
        return gateway(config=f"""run-directory = "{site.dir}/{directory}"
            {top}
            workers = {workers}
            drain = 2s
            access-log = off
            listener "web" {{ bind = "[{VIP6}]:{PORT}" pool = "web" }}
            pool "web" {{ backend "{SERVER4}:{PORT}" {{}} {pool} }}
        """, **options)
    return run


def ask_status(site):
    with Control(control_path(site)) as control:
        return control.ask("status")["ok"]


def error(answer):
    assert answer["ok"] is False, answer
    return answer["code"], answer["error"]


# ---- what it answers ------------------------------------------------------------------------------

def test_status(site, start):
    """Workers, pools, listeners and counters, for people and for programs."""
    daemon = start(pool="check { type = tcp interval = 100ms rise = 1 fall = 1 }", workers=2)
    with site.server.listen(SERVER4, PORT):
        wait_until(lambda: result(site, "status")["pools"][0]["up"], "the pool is up")
        with site.client.connect(VIP6, PORT):
            wait_until(lambda: result(site, "status")["counters"]["headers"] == 1, "the client is served")
            status = result(site, "status")
            assert status["state"] == "running" and status["pid"] == daemon.pid
            assert [worker["ready"] for worker in status["workers"]] == [True, True]
            assert {worker["pid"] for worker in status["workers"]} < set(daemon.pids())
            assert sum(worker["live_flows"] for worker in status["workers"]) == 1
            assert status["counters"]["accepted"] == status["counters"]["live_flows"] == 1
            backend = {"address": f"{SERVER4}:{PORT}", "weight": 100, "weight_configured": 100, "weight_set": False,
                       "backup": False, "up": True, "circuit_open": False, "failures": 0, "live": 1, "connects": 1,
                       "connect_failures": 0, "draining": False, "drain_left_s": None}
            assert status["pools"][0]["backends"] == [backend]
            listener = {"name": "web", "protocol": "tcp", "binds": [f"[{VIP6}]:{PORT}"], "pool": "web",
                        "identity": "proxy-v2"}
            assert listener.items() <= status["listeners"][0].items() and len(status["listeners"]) == 1
            lines = ctl(site, "status").stdout.splitlines()
            assert lines[0].startswith(f"sixgated 0.1.0, pid {daemon.pid}: running for ")
            assert "pool web: up" in lines
            assert f"  {SERVER4}:{PORT}       up, weight 100, 1 flows" in lines
            assert json.loads(ctl(site, "--json", "status").stdout)["pools"] == status["pools"]
    wait_until(lambda: not result(site, "status")["pools"][0]["up"], "the pool is down")
    down = ctl(site, "status", check=False)
    assert down.returncode == 1 and "pool web: DOWN" in down.stdout.splitlines()


def test_dead_worker(site, start):
    """A worker's successor is counted as one."""
    start()
    first = result(site, "status")["workers"][0]
    os.kill(first["pid"], signal.SIGKILL)

    def replaced():
        worker = result(site, "status")["workers"][0]
        return worker["ready"] and worker["replaced"] == 1 and worker["pid"] != first["pid"]
    wait_until(replaced, "its successor is ready")


def test_errors(site, start):
    """Each mistake has a code for programs and a sentence for people; the connection goes on."""
    start()
    with Control(control_path(site)) as control:
        for line, code, text in (
                (b"status", "bad-request", "not JSON"),
                (b'{"version":2,"command":"status"}', "bad-request", 'speaks "version": 1'),
                (b'{"version":1}', "bad-request", '"command" must be a text'),
                (b'{"version":1,"command":"stauts"}', "unknown-command", '"commands" tells'),
                (b'{"version":1,"command":"status","args":{"x":1}}', "bad-argument", 'no argument "x"')):
            control.send(line + b"\n")
            got = error(control.receive())
            assert got[0] == code and text in got[1]
        answer = control.ask("commands")
    assert {"name": "status", "summary": "processes, listeners, pools and counters", "write": False,
            "args": []} in answer["result"]["commands"]
    bad = ctl(site, "status", "--nonsense", check=False)
    assert bad.returncode == 64 and "--nonsense" in bad.stderr


def test_pipelined(site, start):
    """Requests that come at once are answered in their order, the last one without a newline too."""
    start()
    names = [f"no-such-{i}" for i in range(300)]
    with Control(control_path(site)) as control:
        control.send(b"\n\r\n".join(request(name).rstrip() for name in names))
        control.socket.shutdown(socket.SHUT_WR)
        for name in names:
            assert f'"{name}"' in error(control.receive())[1]
        with pytest.raises(EOFError):
            control.receive()


def test_no_gateway(site):
    missing = ctl(site, "status", check=False)
    assert missing.returncode == 69 and "no gateway runs there" in missing.stderr


# ---- whose socket it is ---------------------------------------------------------------------------

def test_mode(site, start):
    """Only root and its group may connect."""
    start()
    mode = control_path(site).stat()
    assert stat.S_ISSOCK(mode.st_mode) and stat.S_IMODE(mode.st_mode) == 0o660
    os.chmod(site.dir, 0o755)
    assert as_user(65534, [], lambda: ask_status(site)) == "PermissionError"


def test_group(site, start):
    """Members of the group may look, and change nothing."""
    start(top=f'control-group = adm state-directory = "{site.dir}/state"')
    os.chmod(site.dir, 0o755)
    adm = grp.getgrnam("adm").gr_gid
    assert as_user(65534, [], lambda: ask_status(site)) == "PermissionError"
    assert as_user(65534, [adm], lambda: ask_status(site)) == "True"

    def ban():
        with Control(control_path(site)) as control:
            return control.ask("ban", prefix="2001:db8:bad::/64")["code"]
    assert as_user(65534, [adm], ban) == "not-permitted"
    assert result(site, "bans")["bans"] == []


def test_no_such_group(site, start):
    daemon = start(top="control-group = no-such-group")
    assert "control-group no-such-group: there is no such group" in daemon.errors()
    assert ask_status(site)


def test_left_over(site, start):
    """What a killed gateway leaves behind is replaced; what one that ends has made, it removes."""
    first = start()
    first.kill(signal.SIGKILL)
    first.process.wait()
    assert control_path(site).exists()
    second = start()
    assert result(site, "status")["pid"] == second.pid
    assert second.stop() == 0
    assert not control_path(site).exists()


def test_second_gateway(site, gateway, start):
    """It says whose the socket is, serves without one, and leaves the first one's alone."""
    first = start()
    second = gateway(config=f"""run-directory = "{site.dir}/run"
        workers = 1
        listener "other" {{ bind = "[{VIP6}]:{PORT + 1}" pool = "web" }}
        pool "web" {{ backend "{SERVER4}:{PORT}" {{}} }}
    """)
    assert "another gateway has it: give each a run-directory of its own" in second.errors()
    with site.server.listen(SERVER4, PORT) as listener, site.client.connect(VIP6, PORT + 1):
        assert read_header(listener.accept()[0]).dport == PORT + 1
    assert second.stop() == 0
    assert result(site, "status")["pid"] == first.pid


def test_no_directory(site, start):
    """Where there can be no socket, the log says so, and the gateway works."""
    daemon = start(directory="missing/run")
    assert "make the directory, or name another run-directory" in daemon.errors()
    with site.server.listen(SERVER4, PORT) as listener, site.client.connect(VIP6, PORT):
        read_header(listener.accept()[0])


def test_something_else_in_its_place(site, start):
    """A file there is not removed."""
    (site.dir / "run").mkdir()
    control_path(site).write_text("precious")
    daemon = start()
    assert "something that is no socket is in its place: remove that" in daemon.errors()
    assert daemon.stop() == 0
    assert control_path(site).read_text() == "precious"


# ---- broken, slow and hostile clients -------------------------------------------------------------

def test_oversized(site, start):
    """As long as a request may be, it is one; a byte more, and the connection ends with a word."""
    start()
    fits = request("status").rstrip()
    fits += b" " * (REQUEST_MAX - 1 - len(fits)) + b"\n"
    with Control(control_path(site)) as control:
        control.send(fits)
        assert control.receive()["ok"]
        control.send(b"x" * REQUEST_MAX)
        assert error(control.receive())[0] == "too-large"
        with pytest.raises((EOFError, ConnectionResetError)):
            control.receive()
    assert result(site, "status")["control"]["oversize"] == 1


def test_unread_answers(site, start):
    """Who asks and does not read is not read from, and nobody else waits."""
    daemon = start()
    with Control(control_path(site)) as control:
        control.socket.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 64 << 20:
                sent += control.socket.send(request("status") * 1000)
        assert sent < 64 << 20
        for _ in range(20):
            assert result(site, "status")["pid"] == daemon.pid


def test_no_descriptors(site, start):
    """Who comes meanwhile waits, is answered when there is one again, and the log says so."""
    daemon = start()
    there = {int(fd) for fd in os.listdir(f"/proc/{daemon.pid}/fd")}
    free = min(set(range(len(there) + 1)) - there)
    before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (free, before[1]))
    with Control(control_path(site)) as control:
        control.send(request("status"))
        wait_until(lambda: "control: a connection waits: Too many open files" in daemon.errors(), "the log says so")
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)
        assert control.receive()["result"]["control"]["starved"] >= 1


def test_garbage(site, start):
    """Bytes of all kinds, in pieces of all sizes, with ends and without."""
    daemon = start()
    for seed in range(200):
        noise = hashlib.shake_256(str(seed).encode()).digest(seed * 7 % 1500 + 1)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError), \
                Control(control_path(site)) as control:
            control.send(noise)
            if seed % 3 == 0:
                control.socket.shutdown(socket.SHUT_WR)
            elif seed % 3 == 1:
                control.send(b"\n")
                control.receive()
    assert result(site, "status")["pid"] == daemon.pid


def test_silent_clients_make_room(site, start):
    """More connections than there is room for, all silent: who asks is served nevertheless."""
    start()
    with contextlib.ExitStack() as stack:
        for _ in range(CLIENTS_MAX * 2):
            stack.enter_context(Control(control_path(site))).send(b'{"version":1,')
        status = result(site, "status")
    assert status["control"]["silent"] > 0 and status["control"]["crowded"] > 0


def test_200_clients_beside_traffic(site, start):
    """All are answered, and what is relayed beside them arrives whole; figures with -s."""
    daemon = start()
    total = 256 << 20
    listener = site.server.listen(SERVER4, PORT)

    def relay():
        start = time.monotonic()
        with site.client.connect(VIP6, PORT) as client, background(serve) as received:
            sent = send_stream(client, "beside", total)
            client.shutdown(socket.SHUT_WR)
            assert received() == (sent, total)
        return time.monotonic() - start

    def serve():
        connection = listener.accept()[0]
        with connection:
            read_header(connection)
            return receive_stream(connection)

    def ask_all():
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Control(control_path(site), 60)) for _ in range(200)]
            for client in clients:
                client.send(request("status"))
            for client in clients:
                assert client.receive()["result"]["pid"] == daemon.pid
                client.socket.close()

    with listener:
        relay()  # warm
        alone = relay()
        workers = [worker["pid"] for worker in result(site, "status")["workers"]]
        before = cpu_ns(workers)
        with background(relay) as beside:
            ask_all()
            seconds = beside()
        print(f"{total >> 20} MiB: {alone:.2f} s alone, {seconds:.2f} s beside 200 control clients; "
              f"worker's CPU {(cpu_ns(workers) - before) / 1e9:.2f} s")
    assert result(site, "status")["control"]["connections"] >= 200
