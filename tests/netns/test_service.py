"""A service of systemd: restarted while clients come and streams go on, watched, and not held up by a stuck manager."""

import contextlib
import itertools
import os
import signal
import socket
import time

import pytest
from netload import EchoServer, Load
from netsite import BACKENDS, GATEWAY6, wait_until
from netsite.bus import Bus

PORT, FRONT = 8000, 80


@pytest.fixture
def clients(site):
    server = EchoServer(site.server, BACKENDS[0], PORT)
    with contextlib.ExitStack() as stack:
        def make():
            made = Load(site, lambda: itertools.repeat((GATEWAY6, FRONT)), 20)
            stack.callback(made.close)
            return made
        yield make
    server.close()


@contextlib.contextmanager
def bus(site, **options):
    made = Bus(site.dir / "bus", **options)
    try:
        yield made, {"DBUS_SYSTEM_BUS_ADDRESS": made.address}
    finally:
        made.close()


def config(site, more=""):
    return f"""run-directory = "{site.dir}/run"
        workers = 2
        drain = 2s
        listener "l" {{ bind = "*:{FRONT}" pool = "p" }}
        pool "p" {{ backend "{BACKENDS[0]}:{PORT}" {{}} }}
        {more}
    """


def start(manager, *args, **options):
    daemon = manager.start(*args, **options)
    wait_until(manager.has_estate, "what is kept")
    return daemon


def end(daemon, sig=signal.SIGTERM):
    daemon.kill(sig)
    return daemon.process.wait(20)


def is_alive(pid):
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        return True
    return False


def test_restart_is_no_end(site, manager, clients):
    """Whoever ends the supervisor in order to start it again ends nobody's connection, and refuses nobody."""
    with bus(site, job="restart") as (systemd, variables):
        daemon = start(manager, config(site), variables=variables)
        load = clients()
        for _ in range(5):
            load.goes_on(10)
            before = daemon.pids()
            assert end(daemon) == 0, daemon.errors()
            assert "restarting: workers serve on" in daemon.errors() and "stopping" not in daemon.errors()
            daemon = manager.start(config(site), variables=variables)
            load.goes_on(20)
            wait_until(lambda: not any(is_alive(pid) for pid in before), "those of before have left", 20)
            wait_until(manager.has_estate, "what is kept")
        assert systemd.asked[:4] == ["Hello", "GetUnitByPID", "Get", "Get"]
        assert not any("STOPPING" in said for said in manager.messages)
    load.close()
    assert (load.lost, load.broken) == ([], [])


@pytest.mark.parametrize("job", ["stop", None])
def test_stop_is_an_end(site, manager, job):
    with bus(site, job=job) as (systemd, variables):
        daemon = start(manager, config(site), variables=variables)
        assert end(daemon) == 0
        assert "stopping: no more clients" in daemon.errors() and manager.names() == []
        assert "GetUnitByPID" in systemd.asked


def test_restart_with_a_wrong_configuration_is_an_end(site, manager):
    with bus(site, job="restart") as (_, variables):
        daemon = start(manager, config(site), variables=variables)
        (site.dir / "sixgated.conf").write_text(config(site, "nonsense {}"))
        assert end(daemon) == 0
        assert "this restart is a stop" in daemon.errors() and manager.names() == []


def test_silent_bus_is_not_waited_for(site, manager):
    with bus(site, job="restart", silent=True) as (_, variables):
        daemon = start(manager, config(site), variables=variables)
        assert end(daemon) == 0
        assert "systemd cannot be asked over D-Bus whether this is a restart" in daemon.errors()
        assert "stopping: no more clients" in daemon.errors()


def test_watchdog(site, manager):
    """Is told twice in its time, by one image after the other, and not by one that is stuck."""
    daemon = start(manager, config(site), variables={"WATCHDOG_USEC": "400000"})

    def told():
        return sum("WATCHDOG" in said for said in manager.messages)

    def goes_on(n=4):
        before = told()
        wait_until(lambda: told() >= before + n, "the watchdog is told")
    goes_on()
    for _ in range(2):
        ready = daemon.errors().count("ready:")
        daemon.kill(signal.SIGHUP)
        wait_until(lambda ready=ready: daemon.errors().count("ready:") > ready, "a successor is ready")
        goes_on()
    assert manager.messages[-1].get("READY") == "1" or "READY" in manager.messages[-2]
    daemon.kill(signal.SIGSTOP)
    before = told()
    time.sleep(0.8)
    assert told() <= before + 1
    daemon.kill(signal.SIGCONT)
    goes_on()
    assert end(daemon) == 0


def test_access_log_is_opened_anew_at_once(site, manager):
    """The manager keeps the logger's channel as well, which must not keep the logger."""
    daemon = start(manager, config(site))
    for _ in range(3):
        before, count = time.monotonic(), daemon.errors().count("opened anew")
        daemon.kill(signal.SIGUSR2)
        wait_until(lambda count=count: daemon.errors().count("opened anew") > count, "a new logger")
        assert time.monotonic() - before < 2.5
        wait_until(lambda: len(daemon.pids()) == 4, "two workers and one logger")
        assert "estate" in manager.names()
    assert end(daemon) == 0


def test_reload_that_fails_is_said_to_be_over(site, manager):
    daemon = start(manager, config(site))
    wait_until(lambda: any("READY" in said for said in manager.messages), "ready")
    before = len(manager.messages)
    (site.dir / "sixgated.conf").write_text(config(site, "nonsense {}"))
    daemon.kill(signal.SIGHUP)
    wait_until(lambda: any("READY" in said for said in manager.messages[before:]), "the reload is over")
    said = next(said for said in manager.messages[before:] if "RELOADING" in said)
    assert 0 < int(said["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert "no successor" in daemon.errors()


def fill(path):
    """As many messages as one socket may send; False: there is no room for any."""
    sent = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler, contextlib.suppress(BlockingIOError):
        filler.setblocking(False)
        filler.connect(str(path))
        while True:
            filler.send(b"STATUS=")
            sent += 1
    return sent > 0


def test_stuck_manager_holds_nobody_up(site, clients):
    """It reads nothing at all; starting, serving and ending take their time and no more."""
    path = site.dir / "deaf"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(path))
        while fill(path):
            pass
        daemon = site.sixgated(["--config", site.write("deaf.conf", config(site))], name="deaf",
                               env={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "200000"})
        load = clients()
        load.goes_on(20)
        wait_until(lambda: "the service manager does not keep our sockets" in daemon.errors(), "that it is not heard")
        load.close()
        assert (load.lost, load.broken) == ([], [])
        assert end(daemon) == 0
