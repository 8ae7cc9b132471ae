"""Access records that cannot be written: they are counted, none is torn, and writing goes on when it can."""

import fcntl
import json
import os
import resource
import subprocess
from pathlib import Path

import pytest
from control import result
from netsite import SERVER4, VIP6, build_dir, wait_until
from wire import read_header

PORT = 7000
JOURNAL = Path("/run/systemd/journal/socket")


@pytest.fixture
def server(site):
    with site.server.listen(SERVER4, PORT) as listener:
        listener.settimeout(10)
        yield listener


def config(site, access_log, top=""):
    return (f'run-directory = "{site.dir}/run"\nstate-directory = "{site.dir}/state"\nworkers = 1\ndrain = 2s\n'
            f'access-log = {access_log}\n{top}\nlistener "web" {{ bind = "[{VIP6}]:{PORT}" pool = "web" }}\n'
            f'pool "web" {{ backend "{SERVER4}:{PORT}" {{}} }}\n')


def connections(site, server, count):
    """That come and end one after the other."""
    for _ in range(count):
        with site.client.connect(VIP6, PORT) as client:
            with server.accept()[0] as backend:
                read_header(backend)
            assert client.recv(1) == b""


def lost(site):
    return sum(worker["records_lost"] for worker in result(site, "status")["workers"])


def test_full_disk(site, gateway, server):
    daemon = gateway(config=config(site, '"/dev/full"'))
    connections(site, server, 5)
    wait_until(lambda: lost(site) == 5, "all records are counted as lost")
    assert daemon.errors().count("access log: No space left on device; records are lost") == 1


def test_no_record_is_torn(site, gateway, server):
    """A disk that is full within a record: its rest follows when there is room."""
    path = site.dir / "access.json"
    daemon = gateway(config=config(site, f'"{path}"', 'user = "root"'))
    # More than the log has written by then, for which the limit holds, too.
    connections(site, server, 30)
    whole = wait_until(lambda: path.read_bytes() if path.read_bytes().count(b"\n") == 30 else None, "thirty records")
    known = {worker["pid"] for worker in result(site, "status")["workers"]} | {daemon.pid}
    logger, = set(daemon.pids()) - known
    full = len(whole) + 100
    resource.prlimit(logger, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
    connections(site, server, 3)
    wait_until(lambda: lost(site) == 2, "what follows the torn record is counted as lost")
    assert path.stat().st_size == full and "access log: File too large; records are lost" in daemon.errors()
    resource.prlimit(logger, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    connections(site, server, 1)
    wait_until(lambda: path.read_bytes().count(b"\n") == 32, "the torn record is whole, and the next one follows")
    assert all(json.loads(line)["end"] == "closed" for line in path.read_text(encoding="ascii").splitlines())
    wait_until(lambda: "access log: it can be written again; 2 records were lost" in daemon.errors(), "the log says so")


def test_standard_output_that_does_not_wait(site, server):
    """A pipe that somebody has made non-blocking, and that is full for a while: no record is lost."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    path, errors = site.write("sixgated.conf", config(site, "stdout")), site.dir / "errors"
    with open(reading, "rb") as records, errors.open("wb") as stderr:
        process = site.gateway.popen([build_dir() / "sixgated", "--config", path], stdin=subprocess.DEVNULL,
                                     stdout=writing, stderr=stderr)
        os.close(writing)
        try:
            site.gateway.wait_listening(PORT)
            connections(site, server, 40)
            for _ in range(40):
                assert json.loads(records.readline())["end"] == "closed"
            assert lost(site) == 0 and "access log" not in errors.read_text()
        finally:
            process.terminate()
            assert process.wait(15) == 0


def test_journal_that_is_not_there(site, server):
    """Its library would say nothing: lines go to standard error, and the operator is told what becomes of records."""
    path = site.write("sixgated.conf", config(site, "journal", "log = journal"))
    daemon = site.daemon(site.gateway, [build_dir() / "sixgated", "--config", path], "sixgated")
    site.gateway.wait_listening(PORT)
    connections(site, server, 1)
    assert daemon.stop() == 0
    for line in ("log: no journal listens", "access log: no journal listens", "ready: "):
        assert (line in daemon.errors()) == (not JOURNAL.exists())
