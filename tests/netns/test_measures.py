"""What is counted of each listener and backend: right numbers, that go on when processes come and go."""

import contextlib
import os
import signal
import socket
import time

from control import result
from netsite import SERVER4, VIP6, wait_until
from wire import background, read_exactly, read_header

PORT, DEAD, DATAGRAMS = 7000, 7001, 7002
MIB = 1 << 20
CONFIG = """run-directory = "{directory}/run"
    workers = 2
    drain = 2s
    access-log = off
    listener "web" {{ bind = "[{vip}]:{port}" pool = "web" }}
    listener "dead" {{ bind = "[{vip}]:{dead}" pool = "dead" }}
    pool "web" {{ backend "{server}:{port}" {{}} }}
    pool "dead" {{ backend "{server}:{dead}" {{}} }}
"""
CONFIG_UDP = CONFIG + """
    listener "udp" {{ protocol = udp bind = "[{vip}]:{datagrams}" pool = "udp" }}
    pool "udp" {{ backend "{server}:{datagrams}" {{}} }}
"""


def config(site, text=CONFIG):
    return text.format(directory=site.dir, vip=VIP6, port=PORT, dead=DEAD, server=SERVER4, datagrams=DATAGRAMS)


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


def moved(site, name):
    one = listener(site, name)
    return one["bytes_in"], one["bytes_out"]


def reload(site, daemon, live):
    """The new image has the flows."""
    ready = daemon.errors().count("ready: ")
    daemon.kill(signal.SIGHUP)
    wait_until(lambda: daemon.errors().count("ready: ") > ready, "the new image serves", 60)
    wait_until(lambda: all(listener(site, name)["live"] == 1 for name in live), "it has the flows", 60)


@contextlib.contextmanager
def connection(site, server):
    """(client's end, server's end)"""
    with site.client.connect(VIP6, PORT) as client, server.accept()[0] as peer:
        client.settimeout(60)
        peer.settimeout(60)
        read_header(peer)
        yield client, peer


class Session:
    """A client's UDP session, and its server; what both have sent."""

    def __init__(self, site):
        self.server = site.server.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client = site.client.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.server.bind((SERVER4, DATAGRAMS))
        self.client.connect((VIP6, DATAGRAMS))
        self.server.settimeout(60)
        self.client.settimeout(60)
        self.bytes = (0, 0)

    def close(self):
        self.server.close()
        self.client.close()

    def exchange(self, sent, answer):
        self.client.send(sent)
        got, source = self.server.recvfrom(2000)
        assert got.endswith(sent)
        self.server.sendto(answer, source)
        assert self.client.recv(2000) == answer
        self.bytes = (self.bytes[0] + len(sent), self.bytes[1] + len(answer))


def assert_sums(site):
    status = result(site, "status")
    for counter in ("bytes_in", "bytes_out"):
        assert sum(one[counter] for one in status["listeners"]) == status["counters"][counter]


def test_bytes_of_live_flows(site, gateway):
    """Small ones, and bulk that is spliced, are counted while nothing ends; and once, over a succession."""
    daemon = gateway(config=config(site, CONFIG_UDP))
    session = Session(site)
    with contextlib.closing(session), site.server.listen(SERVER4, PORT) as server, \
            connection(site, server) as (client, peer):
        client.sendall(b"question")
        assert read_exactly(peer, 8) == b"question"
        session.exchange(b"ask", b"an answer")
        wait_until(lambda: moved(site, "web") == (8, 0), "the bytes of a live connection are counted")
        wait_until(lambda: moved(site, "udp") == session.bytes, "and those of a live session")
        with background(lambda: peer.sendall(bytes(16 * MIB))) as done:
            assert len(read_exactly(client, 16 * MIB)) == 16 * MIB
            done()
        wait_until(lambda: moved(site, "web") == (8, 16 * MIB), "bulk is counted")
        assert result(site, "status")["counters"]["bulk_entered"] > 0
        assert_sums(site)
        reload(site, daemon, ("web", "udp"))
        assert moved(site, "web") == (8, 16 * MIB) and moved(site, "udp") == session.bytes
        client.sendall(b"more")
        assert read_exactly(peer, 4) == b"more"
        session.exchange(b"ask more", b"more")
        wait_until(lambda: moved(site, "web") == (12, 16 * MIB), "what has moved since is counted, and nothing twice")
        wait_until(lambda: moved(site, "udp") == session.bytes, "also of the session")
        assert ended(listener(site, "web")) == ended(listener(site, "udp")) == {}
        peer.sendall(b"end")
        assert read_exactly(client, 3) == b"end"
    wait_until(lambda: ended(listener(site, "web")) == {"closed": 1}, "the connection has ended")
    assert moved(site, "web") == (12, 16 * MIB + 3)
    assert moved(site, "udp") == session.bytes
    assert_sums(site)


@contextlib.contextmanager
def held_up(daemon):
    """The next image, in its beginning, for longer than it takes to count live flows twice."""
    executed = daemon.errors().count("executing ")

    def hold():
        wait_until(lambda: daemon.errors().count("executing ") > executed, "it is executed", 60)
        daemon.kill(signal.SIGSTOP)
        until = time.monotonic() + 0.6
        # Whether workers of before count what they should not cannot be seen from here.
        wait_until(lambda: time.monotonic() > until, "they would have")
        daemon.kill(signal.SIGCONT)

    with background(hold) as done:
        yield
        done()


def test_bytes_that_move_meanwhile(site, gateway):
    """Over many images, in each of which, and between them, bytes move: none is lost, none is counted twice."""
    daemon = gateway(config=config(site))
    sent, stop = [0], [False]

    def send(client):
        while not stop[0]:
            client.sendall(bytes(1000))
            sent[0] += 1000
        client.shutdown(socket.SHUT_WR)

    def receive(peer):
        got = 0
        while part := peer.recv(1 << 16):
            got += len(part)
        return got

    with site.server.listen(SERVER4, PORT) as server, connection(site, server) as (client, peer), \
            background(receive, peer) as received:
        with background(send, client) as done:
            try:
                for _ in range(4):
                    before = moved(site, "web")[0]
                    wait_until(lambda before=before: moved(site, "web")[0] > before, "bytes move", 60)
                    with held_up(daemon):
                        reload(site, daemon, ("web",))
                    assert moved(site, "web")[0] >= before
            finally:
                stop[0] = True
            done()
        assert received() == sent[0]
    wait_until(lambda: ended(listener(site, "web")) == {"closed": 1}, "the connection has ended")
    assert moved(site, "web") == (sent[0], 0)
    assert_sums(site)


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
