"""What is counted of each listener and backend: right numbers, that go on when processes come and go."""

import contextlib
import os
import signal

from control import result
from netsite import SERVER4, VIP6, wait_until
from wire import read_header

PORT, DEAD = 7000, 7001
CONFIG = """run-directory = "{directory}/run"
    workers = 2
    drain = 2s
    access-log = off
    listener "web" {{ bind = "[{vip}]:{port}" pool = "web" }}
    listener "dead" {{ bind = "[{vip}]:{dead}" pool = "dead" }}
    pool "web" {{ backend "{server}:{port}" {{}} }}
    pool "dead" {{ backend "{server}:{dead}" {{}} }}
"""


def config(site):
    return CONFIG.format(directory=site.dir, vip=VIP6, port=PORT, dead=DEAD, server=SERVER4)


def listener(site, name):
    return next(one for one in result(site, "status")["listeners"] if one["name"] == name)


def backend(site, pool):
    return next(one for one in result(site, "status")["pools"] if one["name"] == pool)["backends"][0]


def serve(site, server, sent=b"question", answer=b"the answer"):
    """One connection from its beginning to its end."""
    with site.client.connect(VIP6, PORT) as client:
        with server.accept()[0] as peer:
            read_header(peer)
            client.sendall(sent)
            assert peer.recv(100) == sent
            peer.sendall(answer)
            assert client.recv(100) == answer


def ended(one):
    return {reason: n for reason, n in one["ended"].items() if n}


def test_listeners_and_backends(site, gateway):
    daemon = gateway(config=config(site))
    with site.server.listen(SERVER4, PORT) as server:
        for n in range(1, 4):
            serve(site, server)
            wait_until(lambda n=n: listener(site, "web")["ended"]["closed"] == n, "the flow has ended")
        web = listener(site, "web")
        assert (web["accepted"], web["live"], web["bytes_in"], web["bytes_out"]) == (3, 0, 24, 30)
        assert ended(web) == {"closed": 3}
        for histogram in (web["connect"], web["duration"]):
            assert len(histogram["counts"]) == len(histogram["bounds_s"]) + 1
            assert histogram["bounds_s"] == sorted(histogram["bounds_s"])
            assert sum(histogram["counts"]) == 3 and histogram["sum_s"] > 0
        with site.client.connect(VIP6, PORT), server.accept()[0]:
            wait_until(lambda: listener(site, "web")["live"] == 1, "one is live")
        wait_until(lambda: listener(site, "web")["live"] == 0, "none is live")
    with contextlib.suppress(ConnectionResetError), site.client.connect(VIP6, DEAD) as client:
        client.recv(1)
    wait_until(lambda: ended(listener(site, "dead")) == {"refused": 1}, "the refusal is counted")
    assert sum(listener(site, "dead")["connect"]["counts"]) == 0
    assert backend(site, "dead")["connect_failures"] == 1 and backend(site, "dead")["connects"] == 0
    assert backend(site, "web")["connects"] == 4 and backend(site, "web")["connect_failures"] == 0
    status = result(site, "status")
    for counter in ("accepted", "bytes_in", "bytes_out"):
        assert sum(worker[counter] for worker in status["workers"]) == status["counters"][counter]
        assert sum(one[counter] for one in status["listeners"]) == status["counters"][counter]
    assert daemon.pid == status["pid"]


def test_they_go_on(site, gateway):
    """Over the death of the workers, and a succession in which a flow is live."""
    daemon = gateway(config=config(site))
    with site.server.listen(SERVER4, PORT) as server:
        serve(site, server)
        wait_until(lambda: listener(site, "web")["ended"]["closed"] == 1, "the flow has ended")
        before = listener(site, "web")
        dead = [worker["pid"] for worker in result(site, "status")["workers"]]
        for pid in dead:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: all(worker["ready"] and worker["pid"] not in dead
                               for worker in result(site, "status")["workers"]), "others are there")
        assert listener(site, "web") == before
        with site.client.connect(VIP6, PORT) as client, server.accept()[0] as peer:
            read_header(peer)
            client.sendall(b"before")
            assert peer.recv(100) == b"before"
            wait_until(lambda: sum(listener(site, "web")["connect"]["counts"]) == 2, "it is connected")
            ready = daemon.errors().count("ready: ")
            daemon.kill(signal.SIGHUP)
            wait_until(lambda: daemon.errors().count("ready: ") > ready, "the new image serves", 20)
            wait_until(lambda: listener(site, "web")["live"] == 1, "it has the flow")
            client.sendall(b" and after")
            assert peer.recv(100) == b" and after"
        wait_until(lambda: listener(site, "web")["ended"]["closed"] == 2, "the flow has ended")
    web = listener(site, "web")
    assert (web["accepted"], web["live"]) == (2, 0)
    assert web["bytes_in"] == before["bytes_in"] + len(b"before and after")
    assert sum(web["connect"]["counts"]) == sum(web["duration"]["counts"]) == 2
    assert backend(site, "web")["connects"] == 2
