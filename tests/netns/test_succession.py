"""A new configuration, a new program: one image of the supervisor after the other, and nobody notices."""

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import stat
import threading
from pathlib import Path

import flows as steady
import pytest
from netload import EchoServer, Load
from netsite import BACKENDS, GATEWAY6, SERVER4, build_dir, wait_until
from wire import (Pair, access_records, background, ends_in_reset, read_exactly, read_header, receive_stream,
                  reset, send_stream)

PORT, FRONT, DATAGRAMS = 8000, 80, 53
MIB = 1 << 20


@pytest.fixture
def server(site):
    made = EchoServer(site.server, BACKENDS[0], PORT)
    yield made
    made.close()


def config(site, more="", pool=f'backend "{BACKENDS[0]}:{PORT}" {{}}', workers=2, listener=""):
    return f"""run-directory = "{site.dir}/run"
        workers = {workers}
        drain = 5s
        listener "l" {{ bind = "*:{FRONT}" pool = "p" {listener} }}
        pool "p" {{ {pool} }}
        {more}
    """


def load(site, n=20):
    return Load(site, lambda: itertools.repeat((GATEWAY6, FRONT)), n)


def ready(daemon):
    return len(re.findall(r"ready: \d+ workers", daemon.errors()))


def workers_of(daemon):
    return [pid for pid in daemon.pids() if pid != daemon.pid]


def reload(daemon):
    before = ready(daemon)
    daemon.kill(signal.SIGHUP)
    try:
        wait_until(lambda: ready(daemon) > before, "a successor is ready", 20)
    except TimeoutError as error:
        raise AssertionError(daemon.errors()) from error


def alone(daemon, workers=2):
    """Those of before have left: supervisor, logger and workers."""
    wait_until(lambda: len(daemon.pids()) == workers + 2, "those of before have left", 20)


def write_config(site, daemon, text):
    (site.dir / f"{daemon.name}.conf").write_text(text)


@contextlib.contextmanager
def reloading(daemon):
    """One image after the other while the block runs; at least one ends and one begins in it."""
    stop, count = threading.Event(), [0]

    def run():
        while not stop.is_set():
            reload(daemon)
            count[0] += 1

    with background(run) as done:
        wait_until(lambda: count[0] > 0, "the first successor", 30)
        yield count
        before = count[0]
        wait_until(lambda: count[0] > before, "another successor", 30)
        stop.set()
        done()


@contextlib.contextmanager
def pairs(site, n, port=PORT):
    with site.server.listen(SERVER4, port) as listener:
        listener.settimeout(10)
        made = []
        try:
            for _ in range(n):
                client = site.client.connect(GATEWAY6, FRONT)
                connection, _ = listener.accept()
                connection.settimeout(30)
                client.settimeout(30)
                made.append(Pair(client, connection, read_header(connection)))
            yield made
        finally:
            for pair in made:
                pair.close()


def test_reloads_under_load(site, gateway, server):
    """Connections come and streams go on over twenty images, with one process id."""
    daemon = gateway(config=config(site))
    clients = load(site)
    try:
        for _ in range(20):
            reload(daemon)
            clients.goes_on(10)
        alone(daemon)
    finally:
        clients.close()
    assert (clients.lost, clients.broken) == ([], [])
    assert " 0 could not be" in daemon.errors() and "is lost" not in daemon.errors()


def test_successors_that_are_succeeded(site, gateway):
    """Images so fast behind each other that workers hand over what is only just being handed over to them."""
    steady.start_server(site)
    daemon = gateway(config=steady.config(site))
    flows = steady.Flows(site, (50, 700, 100, 200), 100, late_ms=20000, bulk_kbps=20, every_ms=500)
    try:
        flows.wait_live()
        for _ in range(20):
            reload(daemon)
        alone(daemon)
        flows.wait_second()
    finally:
        flows.close()
    assert not flows.errors, (flows.counts(), flows.errors[:5], daemon.errors())
    assert "is lost" not in daemon.errors() and "successor has left" not in daemon.errors() and "signal" not in daemon.errors()
    # Somebody reads them at all times; on a slow machine some answers are late.
    assert flows.seconds[-1]["lost"] * 2 < flows.seconds[-1]["datagrams"], flows.seconds[-1]


def test_bulk_arrives_byte_for_byte(site, gateway):
    """Both ways at once, in copies and in pipes, while one image follows the other."""
    daemon = gateway(config=config(site))
    with site.server.listen(BACKENDS[0], PORT) as listener:
        listener.settimeout(10)
        ends = []
        for _ in range(4):
            client = site.client.connect(GATEWAY6, FRONT)
            connection, _ = listener.accept()
            read_header(connection)
            ends += [(client, connection), (connection, client)]
        with contextlib.ExitStack() as stack:
            with reloading(daemon) as count:
                results = []
                for seed, (sender, receiver) in enumerate(ends):
                    def send(sender=sender, seed=seed):
                        digest = send_stream(sender, seed, 256 * MIB)
                        sender.shutdown(socket.SHUT_WR)
                        return digest
                    results.append((stack.enter_context(background(send)),
                                    stack.enter_context(background(receive_stream, receiver))))
                for sent, received in results:
                    assert received() == (sent(), 256 * MIB)
            print(f"2 GiB over {count[0]} images")
        for sender, _ in ends:
            sender.close()
    records = wait_until(lambda: len(access_records(daemon)) == 4 and access_records(daemon), "records")
    assert {(record["bytes_in"], record["bytes_out"], record["end"]) for record in records} == {
        (256 * MIB, 256 * MIB, "closed")}


def test_what_waits_goes_along(site, gateway):
    """Readers that have stopped, a side that is closed while the other has yet to say it all: over images."""
    daemon = gateway(config=config(site))
    total = 24 * MIB
    with pairs(site, 3) as (stopped, half, small), contextlib.ExitStack() as stack:
        # The server's reader has stopped: what was read before it did is in a buffer or a pipe.
        upload = stack.enter_context(background(send_stream, stopped.client, "up", total))
        download = stack.enter_context(background(send_stream, stopped.server, "down", total))
        half.client.sendall(b"all of it")
        half.client.shutdown(socket.SHUT_WR)
        assert receive_stream(half.server)[1] == 9
        small.client.sendall(b"be")
        assert read_exactly(small.server, 2) == b"be"
        for _ in range(3):
            reload(daemon)
        alone(daemon)
        with background(receive_stream, half.client) as received:
            digest = send_stream(half.server, "late", total)
            half.server.shutdown(socket.SHUT_WR)
            assert received() == (digest, total)
        small.server.sendall(b"fore")
        assert read_exactly(small.client, 4) == b"fore"
        with background(receive_stream, stopped.server) as at_server, \
                background(receive_stream, stopped.client) as at_client:
            sent = upload(), download()
            stopped.client.shutdown(socket.SHUT_WR)
            stopped.server.shutdown(socket.SHUT_WR)
            assert (at_server(), at_client()) == ((sent[0], total), (sent[1], total))


def test_who_that_was(site, gateway, server):
    """A connection that was handed over is still somebody's."""
    daemon = gateway(config=config(site))
    with site.client.connect(GATEWAY6, FRONT) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        source = "{}:{}".format(*next(iter(server.connections.values()))[0].getpeername())
        before, = control(site, "who", source=source)["result"]["answers"]
        for _ in range(2):
            reload(daemon)
            alone(daemon)
        after, = control(site, "who", source=source)["result"]["answers"]
    assert after["client"].startswith("[2001:db8:1::10]") and after["live"]
    assert {name: after[name] for name in after if name != "began"} == {
        name: before[name] for name in before if name != "began"}


def test_resets_stay_resets(site, gateway):
    """Also behind an image that never saw the connection begin."""
    daemon = gateway(config=config(site))
    with pairs(site, 2) as (first, second):
        reload(daemon)
        alone(daemon)
        reset(first.client)
        assert ends_in_reset(first.server)[0]
        reset(second.server)
        assert ends_in_reset(second.client)[0]
    records = wait_until(lambda: len(access_records(daemon)) == 2 and access_records(daemon), "records")
    assert {record["end"] for record in records} == {"reset"}
    assert {record["client"].split("]")[0] for record in records} == {"[2001:db8:1::10"}


@pytest.mark.parametrize("workers", [1, 2])
def test_datagrams(site, gateway, workers):
    """None is lost, none is under another's name, and no session changes its port."""
    daemon = gateway(config=f"""run-directory = "{site.dir}/run"
        workers = {workers}
        drain = 5s
        listener "d" {{ protocol = udp bind = "[{GATEWAY6}]:{DATAGRAMS}" pool = "p" }}
        pool "p" {{ backend "{SERVER4}:{PORT}" {{}} }}
    """)
    server = site.daemon(site.server, [str(build_dir() / "tests" / "udpload"), "serve", SERVER4, str(PORT), "every"],
                         "udp-server")
    server.wait_ready(lambda: "ready" in server.output())
    with reloading(daemon) as count:
        shown = site.client.run([str(build_dir() / "tests" / "udpload"), "run", GATEWAY6, str(DATAGRAMS), "200",
                                 "60000", "1200", "64"], timeout=120).stdout
    client = json.loads(shown)
    assert server.stop() == 0
    seen = json.loads(server.output().splitlines()[-1])
    print(f"60,000 datagrams of 200 sessions over {count[0]} images: {client} {seen}")
    assert (client["answered"], client["wrong_source"], client["bad_payload"]) == (60000, 0, 0)
    assert (seen["received"], seen["bad_header"], seen["wrong_identity"]) == (60000, 0, 0)
    assert daemon.stop() == 0
    assert len({record["source"] for record in access_records(daemon)}) == len(access_records(daemon)) == 200


def test_configuration_changes(site, gateway, server):
    """A listener comes, another goes, the pool has another server, there are more and fewer workers."""
    daemon = gateway(config=config(site, f'listener "old" {{ bind = "*:81" pool = "p" }}'))
    clients = load(site)
    old = site.client.connect(GATEWAY6, 81)
    other = EchoServer(site.server, BACKENDS[1], PORT)
    try:
        for workers, backend in ((4, 1), (1, 0), (3, 1)):
            pool = f'backend "{BACKENDS[backend]}:{PORT}" {{}}'
            write_config(site, daemon, config(site, 'listener "new" { bind = "*:82" pool = "p" }', pool, workers))
            reload(daemon)
            clients.goes_on(20)
            alone(daemon, workers)
            with site.client.connect(GATEWAY6, 82, 5) as client:
                client.sendall(b"new")
                assert read_exactly(client, 3) == b"new"
                own = client.getsockname()[1]
            wait_until(lambda: any(record["client"].endswith(f":{own}") and record["listener"] == "new" and
                                   record["backend"] == f"{BACKENDS[backend]}:{PORT}"
                                   for record in access_records(daemon)), "a record")
        with pytest.raises(ConnectionRefusedError):
            site.client.connect(GATEWAY6, 81, 5)
        old.sendall(b"still")
        assert read_exactly(old, 5) == b"still"
    finally:
        clients.close()
        other.close()
        old.close()
    assert (clients.lost, clients.broken) == ([], [])
    wait_until(lambda: any(record["listener"] == "old" for record in access_records(daemon)), "its record")


@contextlib.contextmanager
def stopped(pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("wide", [f"*:{FRONT}", f"[::]:{FRONT}"])
def test_bind_becomes_wider(site, gateway, server, wide):
    """From an address to all of them, and back: whoever waits at the address is served all the same."""
    def text(bind):
        return config(site).replace(f'"*:{FRONT}"', f'"{bind}"')

    named = f"[{GATEWAY6}]:{FRONT}"
    daemon = gateway(config=text(named))
    write_config(site, daemon, text(wide))
    workers = [worker["pid"] for worker in control(site, "status")["result"]["workers"]]
    with contextlib.ExitStack() as stack:
        with stopped(workers):
            waiting = [stack.enter_context(site.client.connect(GATEWAY6, FRONT)) for _ in range(8)]
            reload(daemon)
        for client in waiting:
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"
    alone(daemon)
    clients = load(site, 5)
    try:
        for _ in range(3):
            reload(daemon)
            clients.goes_on(10)
    finally:
        clients.close()
    assert (clients.lost, clients.broken) == ([], []), daemon.errors()
    for bind in (named, wide):
        alone(daemon)
        write_config(site, daemon, text(bind))
        reload(daemon)
        with site.client.connect(GATEWAY6, FRONT) as client:
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"


def test_strangers_are_in_the_way(site, gateway, server):
    """Our own sockets on that port are none, another program's are."""
    daemon = gateway(config=config(site))
    with site.gateway.listen(GATEWAY6, FRONT + 1):
        write_config(site, daemon, config(site, f'listener "more" {{ bind = "*:{FRONT + 1}" pool = "p" }}'))
        answer = control(site, "reload")
        assert answer["ok"], answer
        wait_until(lambda: not control(site, "generation")["result"]["trying"], "the trial's end", 30)
        assert "another program listens there" in control(site, "generation")["result"]["failure"]
    reload(daemon)


def test_bans_hold_in_between(site, gateway, server):
    """Who is banned gets nothing through, not even while one image gives way to the other."""
    daemon = gateway(config=config(site, f'state-directory = "{site.dir}/state"'))
    assert control(site, "ban", prefix="2001:db8:1::/64")["ok"]
    table = site.gateway.run(["nft", "list", "table", "inet", "sixgate-guard"]).stdout
    assert "2001:db8:1::/64" in table
    stop, heard = threading.Event(), []

    def knock():
        while not stop.is_set():
            with contextlib.suppress(OSError), site.client.connect(GATEWAY6, FRONT, 0.05) as client:
                heard.append(client.getsockname())

    with background(knock) as done:
        for _ in range(20):
            reload(daemon)
        stop.set()
        done()
    assert not heard
    assert "2001:db8:1::/64" in site.gateway.run(["nft", "list", "ruleset"]).stdout
    assert control(site, "unban", prefix="2001:db8:1::/64")["ok"]
    with site.client.connect(GATEWAY6, FRONT, 5) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"


def script(site, name, text):
    path = site.dir / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def control(site, command, **args):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(site.dir / "run" / "control.sock"))
        client.sendall(json.dumps({"version": 1, "command": command, "args": args}).encode() + b"\n")
        return json.loads(client.makefile().readline())


def test_those_that_cannot_succeed(site, gateway, server):
    """A broken configuration, and programs that crash, exit, hang or are not there: the reason is said, nothing else."""
    daemon = gateway(config=config(site))
    good = (site.dir / f"{daemon.name}.conf").read_text()
    clients = load(site, 5)
    pids = set(workers_of(daemon))

    def failure(binary=None, words=""):
        answer = control(site, "reload", **({"binary": binary} if binary else {}))
        if answer["ok"]:
            wait_until(lambda: not control(site, "generation")["result"]["trying"], "the trial's end", 30)
            reason = control(site, "generation")["result"]["failure"]
        else:
            reason = answer["error"]
        assert words in reason, reason
        clients.goes_on(5)

    try:
        write_config(site, daemon, good.replace("drain", "drian"))
        failure(words="unknown option 'drian'")
        write_config(site, daemon, config(site, 'listener "x" { bind = "192.0.2.200:80" pool = "p" }'))
        failure(words="no interface has this address")
        write_config(site, daemon, good)
        failure(script(site, "crash", "kill -SEGV $$"), "killed by signal 11")
        failure(script(site, "exit", "echo 'sixgated: out of luck' >&2; exit 3"), "out of luck")
        failure(script(site, "silent", "exit 3"), "status 3")
        failure(script(site, "another-program", "echo fine; exit 0"), "is it sixgated?")
        failure(script(site, "hang", "sleep 1000"), "not ready after 10 s")
        failure(f"{site.dir}/none", "No such file")
        assert len(pids & set(workers_of(daemon))) == 2, "the workers are others"
        reload(daemon)
        clients.goes_on()
    finally:
        clients.close()
    assert (clients.lost, clients.broken) == ([], [])


@pytest.mark.parametrize("end", ['exec {}/sixgated "$@"', "exit 3"])
def test_asked_while_one_is_under_way(site, gateway, server, end):
    """A configuration that is changed after one was read is taken up next, also if nothing comes of that one."""
    daemon = gateway(config=config(site))
    slow = script(site, "slow", "sleep 0.5; " + end.format(build_dir().resolve()))
    assert control(site, "reload", binary=slow)["ok"]
    write_config(site, daemon, config(site, 'listener "new" { bind = "*:82" pool = "p" }'))
    daemon.kill(signal.SIGHUP)
    wait_until(lambda: "listener new: [::]:82" in daemon.errors(), "the listener", 30)
    wait_until(lambda: not control(site, "generation")["result"]["trying"], "it is ready", 20)
    alone(daemon)
    with site.client.connect(GATEWAY6, 82) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"


def runs(pid, path):
    with contextlib.suppress(OSError):
        return path.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def test_successor_killed_in_its_trial(site, gateway, server):
    daemon = gateway(config=config(site))
    clients = load(site, 5)
    slow = script(site, "slow", f'sleep 0.5; exec {build_dir().resolve()}/sixgated "$@"')
    try:
        for _ in range(3):
            control(site, "reload", binary=slow)
            trials = wait_until(lambda: [pid for pid in workers_of(daemon) if runs(pid, slow)], "the trial")
            os.kill(trials[0], signal.SIGKILL)
            wait_until(lambda: not control(site, "generation")["result"]["trying"], "the trial's end")
            assert "killed by signal 9" in control(site, "generation")["result"]["failure"]
            clients.goes_on(5)
        control(site, "reload", binary=slow)
        wait_until(lambda: ready(daemon) == 2, "a successor", 20)
        clients.goes_on(5)
    finally:
        clients.close()
    assert (clients.lost, clients.broken) == ([], [])


def test_memory_and_descriptors_come_back(site, gateway, server):
    # Of its own: nobody else takes, or leaves, what the descriptors are of.
    daemon = gateway(config=config(site, f'state-directory = "{site.dir}/state"'))

    def descriptors():
        return len(os.listdir(f"/proc/{daemon.pid}/fd"))

    reload(daemon)
    alone(daemon)
    before = descriptors()
    for _ in range(20):
        reload(daemon)
    alone(daemon)
    wait_until(lambda: descriptors() == before, f"{before} descriptors, not {descriptors()}")


# ---- a service manager with a descriptor store -----------------------------------------------------

def test_supervisor_killed_and_started_again(site, manager, server):
    """Nobody is refused while there is none, and live connections go on behind the next one."""
    text = config(site)
    daemon = manager.start(text)
    wait_until(manager.has_estate, "what is kept")
    clients = load(site)
    try:
        for _ in range(5):
            clients.goes_on(10)
            before = daemon.pids()
            daemon.kill(signal.SIGKILL)
            daemon.process.wait()
            daemon = manager.start(text)
            clients.goes_on(20)
            wait_until(lambda: not any(is_alive(pid) for pid in before), "those of before have left", 20)
            wait_until(manager.has_estate, "what is kept")
        workers = workers_of(daemon)
        reload(daemon)
        clients.goes_on(10)
        wait_until(lambda: not any(is_alive(pid) for pid in workers), "those of before have left", 20)
    finally:
        clients.close()
    assert (clients.lost, clients.broken) == ([], [])
    assert daemon.stop() == 0
    wait_until(lambda: not manager.names(), "nothing is kept of one that was told to end")


def is_alive(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_socket_activation(site, manager, server):
    """Sockets of a socket unit are used, whoever waits in them is served."""
    with site.gateway.entered():
        waiting = socket.socket(socket.AF_INET6)
        waiting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        waiting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        waiting.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        waiting.bind(("::", FRONT))
        waiting.listen(16)
    with waiting, site.client.connect(GATEWAY6, FRONT) as client:
        client.sendall(b"first")
        daemon = manager.start(config(site), more=[("sixgate.socket", waiting.fileno())])
        waiting.close()
        assert read_exactly(client, 5) == b"first"
        for _ in range(20):
            with site.client.connect(GATEWAY6, FRONT) as other:
                other.sendall(b"x")
                assert read_exactly(other, 1) == b"x"
    assert daemon.stop() == 0
