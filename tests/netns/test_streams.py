"""Standard input, output and error that are closed or take nothing: nothing goes where it does not belong, and what
could not be printed is no success."""

import os
import signal
import socket
import subprocess

import pytest
from control import control_path
from netsite import SERVER4, VIP6, build_dir
from wire import read_header

PORT, FRONT = 7000, 8080


@pytest.fixture
def config(site):
    return site.write("sixgated.conf", f'run-directory = "{site.dir}/run"\nstate-directory = "{site.dir}/state"\n'
                      f'listener "tcp" {{ bind = "[{VIP6}]:{FRONT}" pool = "tcp" }}\n'
                      f'pool "tcp" {{ backend "{SERVER4}:{PORT}" {{}} }}\n')


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_started_with_closed_streams(site, config, closed):
    """No socket of ours gets the number of one: the log would go into it."""
    away = " ".join(f"{fd}>&-" for fd in closed)
    daemon = site.daemon(site.gateway, ["sh", "-c", f'exec "$@" {away}', "sh", build_dir() / "sixgated", "--config",
                                        config], "sixgated")
    with site.server.listen(SERVER4, PORT) as server:
        server.settimeout(10)
        site.gateway.wait_listening(FRONT)
        with site.client.connect(VIP6, FRONT) as client:
            backend, _ = server.accept()
            with backend:
                backend.settimeout(10)
                header = read_header(backend)
                assert (header.src, header.sport) == client.getsockname()[:2]
                daemon.kill(signal.SIGUSR1)  # the counters go into the log
                client.sendall(b"only this")
                client.shutdown(socket.SHUT_WR)
                assert b"".join(iter(lambda: backend.recv(100), b"")) == b"only this"
                for pid in daemon.pids():
                    assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in closed} == {"/dev/null"}
                backend.sendall(b"and this")
                backend.shutdown(socket.SHUT_WR)
                assert b"".join(iter(lambda: client.recv(100), b"")) == b"and this"
    assert daemon.stop() == 0


PRINT = [("sixgated", "--help"), ("sixgated", "--version"), ("sixgated", "--check", "CONFIG"),
         ("sixgatectl", "--help"), ("sixgatectl", "--version"),
         ("sixgatectl", "--config", "CONFIG", "net", "plan"), ("sixgatectl", "--config", "CONFIG", "--json", "doctor"),
         ("sixgatectl", "--config", "CONFIG", "doctor")]
ASK = [("status",), ("status", "--json"), ("flows",), ("flows", "--json"), ("pools",), ("bans", "--json"), ("log-level",)]


def prints_nowhere(site, argv):
    """(exit status, standard error) of a program that prints to where there is no room, or to nothing at all."""
    with open("/dev/full", "wb") as full, site.gateway.entered():
        yield subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
        yield subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *argv], stderr=subprocess.PIPE, text=True,
                             check=False, timeout=60)


def check(site, argv):
    for result, why in zip(prints_nowhere(site, argv), ("No space left on device", "Bad file descriptor")):
        assert result.returncode == os.EX_IOERR, (argv, result)
        assert result.stderr == f"{os.path.basename(argv[0])}: cannot print: {why}\n"


def test_what_is_not_printed_is_no_success(site, config):
    for program, *words in PRINT:
        check(site, [str(build_dir() / program), *(str(config) if word == "CONFIG" else word for word in words)])


def test_answers_that_are_not_printed_are_no_success(site, config, gateway):
    gateway(args=["--config", config])
    for words in ASK:
        check(site, [str(build_dir() / "sixgatectl"), "--socket", str(control_path(site)), *words])
