"""The supervisor is killed while the service manager is being told of a new estate, between any two messages."""

import contextlib
import itertools
import os
import signal
import subprocess

import pytest
from netload import EchoServer
from netsite import BACKENDS, GATEWAY6, wait_until
from wire import echoes

PORT, FRONT, MORE = 8000, 80, 81

# Kills the process when it has sent as many messages about the store as the file says. Children, and what is executed
# next, count on.
COUNT = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	ssize_t (*next)(int, const struct msghdr *, int) = dlsym(RTLD_NEXT, "sendmsg");
	const struct iovec *part = message->msg_iov;
	FILE *file = NULL;
	int left = 0;
	ssize_t n;

	if (part->iov_len >= 7 && memcmp(part->iov_base, "FDSTORE", 7) == 0)
		file = fopen(getenv("KILLED_AFTER"), "r+");
	/* Before it is sent: whoever has heard the last one can read that there is none left. */
	if (file && fscanf(file, "%d", &left) == 1) {
		rewind(file);
		fprintf(file, "%d\\n", left - 1);
	}
	if (file)
		fclose(file);
	n = next(fd, message, flags);
	if (left == 1)
		kill(getpid(), SIGKILL);
	return n;
}
"""


@pytest.fixture
def server(site):
    made = EchoServer(site.server, BACKENDS[0], PORT)
    yield made
    made.close()


@pytest.fixture
def variables(site):
    subprocess.run(["cc", "-shared", "-fPIC", "-o", site.dir / "count.so", site.write("count.c", COUNT), "-ldl"], check=True)
    asan = os.environ.get("ASAN_OPTIONS", "")
    return {"LD_PRELOAD": f"{site.dir}/count.so", "KILLED_AFTER": f"{site.dir}/left",
            "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0"}


def config(site, more):
    """One listener that stays, one of datagrams that stays, and one that comes and goes."""
    return f"""run-directory = "{site.dir}/run"
        workers = 1
        drain = 60s
        listener "l" {{ bind = "*:{FRONT}" pool = "p" }}
        listener "u" {{ bind = "*:{FRONT}" pool = "u" protocol = udp }}
        {f'listener "more" {{ bind = "*:{MORE}" pool = "p" }}' if more else ""}
        pool "p" {{ backend "{BACKENDS[0]}:{PORT}" {{}} }}
        pool "u" {{ backend "{BACKENDS[0]}:{PORT}" {{}} }}
    """


def kept(manager):
    """The processes that the one estate in the store names; None: there is more, or less."""
    estate = manager.estate()
    return estate and {value for name, value in estate["numbers"].items()
                       if name.startswith("process ") and name.endswith(" pid")}


def is_kept(manager, daemon, before=()):
    """What serves now, and nothing else: a worker and the logger. before: processes that are to be gone."""
    pids = kept(manager)
    return bool(pids) and len(pids) == 2 and pids <= set(daemon.pids()) and not pids & set(before)


def gateways(site):
    found = set()
    for pid in site.gateway.pids():
        with contextlib.suppress(OSError):
            found |= {pid} if "sixgated" in os.readlink(f"/proc/{pid}/exe") else set()
    return found


def sockets_of(daemon):
    links = []
    for fd in os.listdir(f"/proc/{daemon.pid}/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/{daemon.pid}/fd/{fd}"))
    return {int(link[8:-1]) for link in links if link.startswith("socket:[")}


def left(site):
    """Messages until it is killed; 0: that is so, or not to be read at the moment."""
    text = (site.dir / "left").read_text()
    return int(text) if text.endswith("\n") else 0


def test_killed_after_each_message(site, manager, server, variables):
    """At a reload that opens and closes a listener: nobody is refused, and a live connection goes on."""
    daemon = manager.start(config(site, False), variables=variables)
    wait_until(lambda: is_kept(manager, daemon), "what is kept")
    sockets = manager.sockets({FRONT})
    assert len(sockets) == 4 and sockets <= sockets_of(daemon)
    with site.client.connect(GATEWAY6, FRONT) as live:
        assert echoes(live, b"before")
        for count in itertools.count(1):
            (site.dir / f"{daemon.name}.conf").write_text(text := config(site, count % 2))
            before = kept(manager)
            (site.dir / "left").write_text(f"{count}\n")
            daemon.kill(signal.SIGHUP)
            wait_until(lambda: daemon.process.poll() is not None or is_kept(manager, daemon, before) and left(site) > 0,
                       "it is killed, or has no more to say", 60)
            if daemon.process.poll() is None:
                break
            (site.dir / "left").unlink()
            assert daemon.process.returncode == -signal.SIGKILL, daemon.errors()
            manager.hear_all()
            assert manager.sockets({FRONT}) == sockets, count
            daemon = manager.start(text, variables=variables)
            assert sockets <= sockets_of(daemon), count
            wait_until(lambda: is_kept(manager, daemon), "what is kept", 60)
            assert "has not kept" not in daemon.errors()
            assert echoes(live, b"goes on"), count
            # Whoever lost the supervisor for good would serve that connection to the end of its drain.
            wait_until(lambda: set(daemon.pids()) == gateways(site), f"nobody is left behind {count}", 30)
    assert count > 15
    assert manager.sockets({FRONT}) == sockets
    (site.dir / "left").unlink()
    assert daemon.stop() == 0
