"""The processes: limits, deaths, signals, privileges, and logs that nobody reads."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import threading
import time

from netsite import CLIENT6, SERVER4, VIP6, build_dir, cpu_ns, wait_until
from wire import access_records, background, ends_in_reset, read_exactly, read_header, receive_stream, send_stream

PORT = 7000
MIB = 1 << 20

CONFIG = f"""
workers = %d
drain = 2s
access-log = "%s"
listener "web" {{ bind = "[{VIP6}]:{PORT}" pool = "web" }}
pool "web" {{ backend "{SERVER4}:{PORT}" {{}} }}
"""


class EchoServer:
    """Reads the header and then sends back whatever comes, on any number of connections."""

    def __init__(self, namespace):
        self.listener = namespace.listen(SERVER4, PORT, 4096)
        self.listener.setblocking(False)
        self.poll = select.epoll()
        self.poll.register(self.listener, select.EPOLLIN)
        self.connections, self.accepted, self.resets = {}, 0, 0
        self.running = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def close(self):
        self.running = False
        self.thread.join(10)
        for connection, _ in self.connections.values():
            connection.close()
        self.listener.close()
        self.poll.close()

    def _run(self):
        while self.running:
            for fd, _ in self.poll.poll(0.05):
                if fd == self.listener.fileno():
                    self._accept()
                else:
                    self._serve(fd)

    def _accept(self):
        connection, _ = self.listener.accept()
        connection.setblocking(False)
        self.connections[connection.fileno()] = [connection, 52]
        self.poll.register(connection, select.EPOLLIN)
        self.accepted += 1

    def _serve(self, fd):
        connection, header_left = self.connections[fd]
        try:
            data = connection.recv(65536)
            self.connections[fd][1] = max(0, header_left - len(data))
            if data[header_left:]:
                connection.sendall(data[header_left:])
        except (ConnectionResetError, BrokenPipeError):
            self.resets += 1
            self._drop(fd)
            return
        if not data:
            self._drop(fd)

    def _drop(self, fd):
        self.poll.unregister(fd)
        self.connections.pop(fd)[0].close()


def start_echo(site, request):
    server = EchoServer(site.server)
    request.addfinalizer(server.close)
    return server


def ping(connection, message=b"ping"):
    connection.sendall(message)
    return read_exactly(connection, len(message)) == message


def children(daemon):
    """Worker pids by what they do: those with a seccomp filter are workers, the other is the logger."""
    found = {"worker": [], "logger": []}
    for pid in daemon.pids():
        if pid == daemon.pid:
            continue
        with contextlib.suppress(FileNotFoundError):  # it may end while we look
            found["worker" if status(pid)["Seccomp"] == "2" else "logger"].append(pid)
    return found


def status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


# ---- limits ---------------------------------------------------------------------------------------

def test_1000_clients_with_256_descriptors(site, gateway, request):
    """Nobody crashes or spins, live flows stay exact, and room is used within 200 ms."""
    server = start_echo(site, request)
    daemon = gateway(config=CONFIG % (1, "off"), wrapper=["prlimit", "--nofile=256:256"])
    clients = [site.client.connect(VIP6, PORT) for _ in range(1000)]
    for client in clients:
        client.sendall(b"hello")
    served = wait_until(lambda: answered(clients, 50), "the first clients are served")
    wait_until(lambda: "accepting pauses" in daemon.errors(), "the log says so")
    settle(lambda: server.accepted)
    served = answered(clients, 0)
    assert 50 < len(served) < 128, "as many as fit"

    before, start = cpu_ns(daemon.pids()), time.monotonic()
    select.select([], [], [], 2)
    busy = (cpu_ns(daemon.pids()) - before) / 1e9 / (time.monotonic() - start)
    assert busy < 0.05, f"idle at its limit, it uses {busy:.1%} of a CPU"

    for client in served:
        assert read_exactly(client, 5) == b"hello"
        assert ping(client)
    accepted = server.accepted
    start = time.monotonic()
    leaving = served.pop()
    clients.remove(leaving)
    leaving.close()
    wait_until(lambda: server.accepted > accepted, "another client is let in", 5)
    assert time.monotonic() - start < 0.2
    for client in served:
        assert ping(client, b"still exact")
    # All of them in the end: each closes once it has been served.
    waiting = [client for client in clients if client not in served]
    for client in served:
        client.close()
    for client in waiting:
        client.settimeout(20)
    while waiting:
        found = readable(waiting, 20000)
        assert found, f"{len(waiting)} clients were never served"
        for client in found:
            assert read_exactly(client, 5) == b"hello"
            client.close()
            waiting.remove(client)


def readable(connections, timeout_ms):
    """select() does not take as many."""
    poll = select.poll()
    by_fd = {connection.fileno(): connection for connection in connections}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    return [by_fd[fd] for fd, _ in poll.poll(timeout_ms)]


def answered(clients, least):
    found = readable(clients, 0)
    return found if len(found) >= least else None


def settle(value):
    """Waits until the value has stayed the same for a while."""
    last, since = value(), time.monotonic()
    while time.monotonic() - since < 0.3:
        if value() != last:
            last, since = value(), time.monotonic()


def test_max_flows(site, gateway, request):
    server = start_echo(site, request)
    daemon = gateway(config="max-flows = 3\n" + CONFIG % (1, "off"))
    clients = [site.client.connect(VIP6, PORT) for _ in range(5)]
    for client in clients:
        client.sendall(b"hello")
    wait_until(lambda: server.accepted == 3, "three are served")
    settle(lambda: server.accepted)
    assert server.accepted == 3
    for left, client in enumerate(clients):
        assert read_exactly(client, 5) == b"hello", left
        client.close()
    daemon.kill(signal.SIGUSR1)
    wait_until(lambda: "counter paused_limit" in daemon.errors(), "the counter")


# ---- deaths ---------------------------------------------------------------------------------------

def test_worker_killed_among_four_under_load(site, gateway, request):
    """Only its own flows end, by reset on both sides; nobody new is refused; it is replaced."""
    server = start_echo(site, request)
    daemon = gateway(config=CONFIG % (4, "off"))
    clients = [site.client.connect(VIP6, PORT) for _ in range(200)]
    assert all(ping(client) for client in clients)
    workers = children(daemon)["worker"]
    assert len(workers) == 4
    victim = workers[1]
    of_victim = established(victim, site)
    assert 0 < of_victim < 200

    stop, outcome = threading.Event(), {"ok": 0, "errors": []}

    def load():
        while not stop.is_set():
            try:
                with site.client.connect(VIP6, PORT, 5) as client:
                    ping(client)
                outcome["ok"] += 1
            except OSError as error:
                outcome["errors"].append(error)

    threads = [threading.Thread(target=load, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: outcome["ok"] > 100, "load")
    os.kill(victim, signal.SIGKILL)
    count = outcome["ok"]
    wait_until(lambda: len(children(daemon)["worker"]) == 4, "a successor")
    wait_until(lambda: outcome["ok"] > count + 300, "load after it")
    stop.set()
    for thread in threads:
        thread.join(10)

    lost = 0
    for client in clients:
        try:
            assert ping(client)
        except ConnectionResetError:
            lost += 1
    assert lost == of_victim
    assert not [error for error in outcome["errors"] if isinstance(error, ConnectionRefusedError)]
    # Those that the victim had accepted at that moment: at most one for each thread.
    assert len(outcome["errors"]) <= 4
    assert server.resets >= of_victim
    assert re.search(r"worker \d \(pid \d+\) was killed by signal 9", daemon.errors())


def established(pid, site):
    """How many client connections the process holds."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        match = re.match(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}"))
        if match:
            inodes.add(match[1])
    with site.gateway.entered(), open("/proc/thread-self/net/tcp6", encoding="ascii") as table:
        return sum(fields[9] in inodes and fields[3] == "01"
                   for fields in (line.split() for line in table.readlines()[1:]))


def test_upload_through_a_killed_worker_does_not_look_complete(site, gateway):
    with site.server.listen(SERVER4, PORT) as listener:
        daemon = gateway(config=CONFIG % (1, "off"))
        with site.client.connect(VIP6, PORT) as client:
            server, _ = listener.accept()
            with server:
                read_header(server)
                client.sendall(b"half of it")
                read_exactly(server, 10)
                os.kill(children(daemon)["worker"][0], signal.SIGKILL)
                assert ends_in_reset(server) == (True, 0)
                assert ends_in_reset(client) == (True, 0)


def test_clients_wait_for_the_successor_of_the_only_worker(site, gateway, request):
    start_echo(site, request)
    daemon = gateway(config=CONFIG % (1, "off"))
    for _ in range(3):
        worker = children(daemon)["worker"][0]
        os.kill(worker, signal.SIGSTOP)
        waiting = [site.client.connect(VIP6, PORT) for _ in range(10)]
        os.kill(worker, signal.SIGKILL)
        for client in waiting:
            with client:
                assert ping(client)


def test_logger_killed(site, gateway, request):
    start_echo(site, request)
    daemon = gateway(config=CONFIG % (1, "stdout"))
    os.kill(children(daemon)["logger"][0], signal.SIGKILL)
    with site.client.connect(VIP6, PORT) as client:
        assert ping(client)
    assert wait_until(lambda: access_records(daemon), "the record")[0]["client"].startswith(f"[{CLIENT6}]")
    assert "the logger (pid" in daemon.errors()


def test_all_workers_killed_at_once(site, gateway, request):
    start_echo(site, request)
    daemon = gateway(config=CONFIG % (4, "off"))
    for pid in children(daemon)["worker"]:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: "all 4 workers are up again" in daemon.errors(), "the log says that all are back")
    with site.client.connect(VIP6, PORT) as client:
        assert ping(client)


def test_log_rotation_while_the_logger_waits_for_its_restart(site, gateway):
    """It died twice in short order, so it is to be started later; SIGHUP starts it now, and only once."""
    daemon = gateway(config=CONFIG % (1, site.dir / "access.json"))
    for _ in range(2):
        os.kill(wait_until(lambda: children(daemon)["logger"], "a logger")[0], signal.SIGKILL)
    daemon.kill(signal.SIGHUP)
    wait_until(lambda: "opened anew" in daemon.errors(), "the log is open again")
    settle(lambda: len(children(daemon)["logger"]))
    assert len(children(daemon)["logger"]) == 1


def test_access_log_is_a_pipe_whose_reader_has_gone(site, gateway, request):
    start_echo(site, request)
    pipe = site.dir / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    daemon = gateway(config=CONFIG % (1, pipe))
    os.close(reader)
    daemon.kill(signal.SIGHUP)
    wait_until(lambda: "the old file is kept" in daemon.errors(), "the refusal")
    with site.client.connect(VIP6, PORT) as client:
        assert ping(client)


def test_supervisor_killed_workers_finish_their_flows(site, gateway, request):
    start_echo(site, request)
    daemon = gateway(config=CONFIG % (1, "off"))
    pids = daemon.pids()
    with site.client.connect(VIP6, PORT) as client:
        assert ping(client)
        daemon.kill(signal.SIGKILL)
        daemon.process.wait()
        wait_until(lambda: not site.gateway.is_listening(PORT), "no more clients are accepted")
        assert ping(client)
    for pid in pids[1:]:
        wait_until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), f"process {pid} has ended")


# ---- signals --------------------------------------------------------------------------------------

def test_sigterm_drains(site, gateway, request):
    start_echo(site, request)
    daemon = gateway(config=CONFIG % (2, "stdout"))
    clients = [site.client.connect(VIP6, PORT) for _ in range(10)]
    assert all(ping(client) for client in clients)
    daemon.kill(signal.SIGTERM)
    wait_until(lambda: not site.gateway.is_listening(PORT), "accepting has stopped")
    assert all(ping(client) for client in clients)
    for client in clients:
        client.close()
    start = time.monotonic()
    assert daemon.process.wait(5) == 0
    assert time.monotonic() - start < 1.5
    assert {record["end"] for record in access_records(daemon)} == {"closed"}
    assert len(access_records(daemon)) == 10


def test_drain_limit_resets_what_is_left(site, gateway, request):
    start_echo(site, request)
    daemon = gateway(config=CONFIG % (1, "stdout"))
    with site.client.connect(VIP6, PORT) as client:
        assert ping(client)
        start = time.monotonic()
        daemon.kill(signal.SIGTERM)
        assert ends_in_reset(client)[0]
        assert 1.9 < time.monotonic() - start < 4
    assert daemon.process.wait(5) == 0
    assert access_records(daemon)[0]["end"] == "drained"
    assert "drain limit reached, 1 flows are reset" in daemon.errors()


def test_second_signal_ends_at_once(site, gateway, request):
    start_echo(site, request)
    daemon = gateway(config=(CONFIG % (1, "off")).replace("drain = 2s", "drain = 1h"))
    with site.client.connect(VIP6, PORT) as client:
        assert ping(client)
        daemon.kill(signal.SIGTERM)
        wait_until(lambda: "no more clients" in daemon.errors(), "it drains")
        daemon.kill(signal.SIGTERM)
        assert ends_in_reset(client)[0]
    assert daemon.process.wait(5) == 0


def test_sighup_opens_the_access_log_anew(site, gateway, request):
    start_echo(site, request)
    path = site.dir / "access.json"
    daemon = gateway(config=CONFIG % (1, path))
    for name in ("first", "second"):
        with site.client.connect(VIP6, PORT) as client:
            assert ping(client)
        wait_until(lambda: path.exists() and path.read_text().count("\n") == 1, f"the {name} record")
        path.rename(site.dir / f"{name}.json")
        daemon.kill(signal.SIGHUP)
        wait_until(path.exists, "a new file")
    for name in ("first", "second"):
        json.loads((site.dir / f"{name}.json").read_text())


# ---- privileges -----------------------------------------------------------------------------------

def test_workers_hold_no_privileges(site, gateway):
    daemon = gateway(config=CONFIG % (2, "off"))
    found = children(daemon)
    assert (len(found["worker"]), len(found["logger"])) == (2, 1)
    for pid in found["worker"] + found["logger"]:
        about = status(pid)
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(about[kind], 16) == 0, (pid, kind)
        assert about["NoNewPrivs"] == "1"
        assert "0" not in about["Uid"].split() and "0" not in about["Gid"].split()
        assert about["Groups"].strip() in ("", "65534")


def test_runs_without_root(site, gateway, request):
    start_echo(site, request)
    site.dir.chmod(0o755)
    gateway(config=CONFIG % (1, "off"), wrapper=["setpriv", "--reuid=65534", "--regid=65534",
                                                 "--clear-groups", "--inh-caps=-all"])
    with site.client.connect(VIP6, PORT) as client:
        assert ping(client)


def test_systemd_is_told(site, gateway):
    path = site.dir / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(10)
        daemon = gateway(config=CONFIG % (1, "off"), env={"NOTIFY_SOCKET": str(path)})

        def hear():
            """The next that is not about descriptors to be kept."""
            while True:
                told = dict(line.split(b"=", 1) for line in notify.recv(4096).splitlines())
                if not {b"FDSTORE", b"FDSTOREREMOVE"} & told.keys():
                    return told

        assert hear() == {b"READY": b"1"}
        daemon.kill(signal.SIGTERM)
        told = hear()
        assert told[b"STOPPING"] == b"1"
        # systemd kills what takes longer than it was told to expect: no drain may be cut off.
        assert int(told[b"EXTEND_TIMEOUT_USEC"]) > 2_000_000
        assert daemon.process.wait(5) == 0


# ---- logs -----------------------------------------------------------------------------------------

def test_access_log_that_nobody_reads_holds_nothing_up(site, gateway, request):
    """Standard output is a pipe, full and never read: flows go on, and lost records are counted."""
    start_echo(site, request)
    pipe = site.dir / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    request.addfinalizer(lambda: os.close(reader))
    daemon = gateway(config=CONFIG % (1, "stdout"), wrapper=["sh", "-c", f'exec "$@" >{pipe}', "sh"])
    for _ in range(4096 + 1000):
        with site.client.connect(VIP6, PORT) as client:
            assert ping(client, b"x")
    daemon.kill(signal.SIGUSR1)
    wait_until(lambda: "counter accepted 5096" in daemon.errors(), "the counters")
    wait_until(lambda: "records_lost" in daemon.errors(), "the lost ones among them")
    assert daemon.stop(signal.SIGTERM) == 0


# ---- a start that fails ---------------------------------------------------------------------------

def test_address_in_use(site, gateway):
    gateway(config=CONFIG % (1, "off"))
    second = site.gateway.run([build_dir() / "sixgated", "--listen", f"[{VIP6}]:{PORT}", "--backend",
                               f"{SERVER4}:{PORT}"], check=False)
    assert second.returncode == 1
    assert f"cannot listen on [{VIP6}]:{PORT}: Address already in use; another program" in second.stderr


def test_address_that_is_not_there(site):
    second = site.gateway.run([build_dir() / "sixgated", "--listen", f"[2001:db8:99::1]:{PORT}",
                               "--backend", f"{SERVER4}:{PORT}"], check=False)
    assert second.returncode == 1
    assert "no interface has this address" in second.stderr


def test_too_few_descriptors(site):
    result = site.gateway.run(["prlimit", "--nofile=40:40", build_dir() / "sixgated", "--listen",
                               f"[{VIP6}]:{PORT}", "--backend", f"{SERVER4}:{PORT}"], check=False)
    assert result.returncode == 1
    assert "limit of open files is too low" in result.stderr


def test_bulk_and_many_small_flows_side_by_side(site, gateway, request):
    """A bulk flow does not starve others on the same worker."""
    with site.server.listen(SERVER4, PORT, 300) as listener:
        gateway(config=CONFIG % (1, "off"))
        bulk = site.client.connect(VIP6, PORT)
        server, _ = listener.accept()
        read_header(server)
        with background(lambda: (send_stream(server, "bulk", 512 * MIB), server.close())[0]) as sent, \
                background(receive_stream, bulk) as received:
            small = site.client.connect(VIP6, PORT)
            far, _ = listener.accept()
            read_header(far)
            small.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            slowest = 0.0
            for _ in range(100):
                start = time.monotonic()
                small.sendall(b"x")
                read_exactly(far, 1)
                slowest = max(slowest, time.monotonic() - start)
            assert received() == (sent(), 512 * MIB)
        assert slowest < 1.0
        for connection in (bulk, small, far):
            connection.close()
