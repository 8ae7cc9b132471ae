"""The control socket under those who mean it harm: the relay beside it is not to notice, and who asks is answered."""

import contextlib
import errno
import json
import os
import random
import socket
import statistics
import time

import pytest
from control import Control, as_user, control_path, ctl, request, result
from control_fuzz import ENV, READER_GROUP, config, fuzz_gateway
from netsite import SERVER4, VIP6, wait_until
from netsite.web import Clients, outcomes, start_web
from wire import background

PORT = 7000
HOSTILE = 1000
READERS_MAX = 48
READER = 65534
RATE = 200
# An answer beside a thousand others takes milliseconds; this is for a machine that is busy with other tests.
ANSWERED_S = 3
LARGE = "x" * 60000


@pytest.fixture
def daemon(site, gateway):
    made = gateway(config=config(site), env=ENV)
    os.chmod(site.dir, 0o755)
    return made


def connect(path):
    """At once, or not at all: None."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.setblocking(False)
    try:
        made.connect(str(path))
    except OSError as error:
        made.close()
        if error.errno in (errno.EAGAIN, errno.ECONNREFUSED, errno.EPERM):
            return None
        raise
    return made


class Hostile:
    """A thousand connections of a reader; each that is closed is made anew. What one of them does depends on its
    number: it trickles, floods with garbage or huge lines, asks and reads nothing, or is silent."""

    def __init__(self, path):
        self.path, self.random = path, random.Random(7)
        self.sockets = [None] * HOSTILE
        self.made = self.lost = self.most = 0

    def run(self, end_fd):
        os.set_blocking(end_fd, False)
        while not self._is_over(end_fd):
            for number in self.random.sample(range(HOSTILE), HOSTILE // 4):
                self._act(number)
            self.most = max(self.most, sum(one is not None for one in self.sockets))
            time.sleep(0.02)
        return f"{self.made} {self.lost} {self.most}"

    @staticmethod
    def _is_over(end_fd):
        try:
            return os.read(end_fd, 1) == b""
        except BlockingIOError:
            return False

    def _act(self, number):
        if self.sockets[number] is None:
            self.sockets[number] = connect(self.path)
            self.made += self.sockets[number] is not None
            return
        try:
            self.sockets[number].send(self._words(number))
        except BlockingIOError:
            return
        except OSError:
            self.sockets[number].close()
            self.sockets[number] = None
            self.lost += 1

    def _words(self, number):
        kind = number % 10
        if kind < 5:  # now and then a byte of a request
            return request("status")[:1] if self.random.random() < 0.1 else b" "
        if kind == 5:
            return self.random.randbytes(500)
        if kind == 6:
            return LARGE.encode()
        if kind == 7:
            return b"[" * 5000 + b"\n"
        if kind == 8:  # answers that nobody reads
            return request("status") * 20
        return b'{"version":1,"comm'


@contextlib.contextmanager
def hostile(path):
    """The block gets a function that says what the thousand have done, when they have ended."""
    reading, writing = os.pipe()

    def run():
        def child():
            os.close(writing)
            return Hostile(path).run(reading)
        return as_user(READER, [READER_GROUP], child)

    def end():
        os.close(writing)
        made, lost, most = map(int, said().split())
        return made, lost, most

    with background(run) as said:
        try:
            yield end
        finally:
            with contextlib.suppress(OSError):
                os.close(writing)
            said()
            os.close(reading)


def p99(came):
    return statistics.quantiles([one.ms for one in came], n=100)[98]


def relay(site, seconds):
    """What became of clients that come for so long."""
    with Clients(site, VIP6, PORT, count=int(RATE * seconds), rate=RATE, limit_ms=10000) as clients:
        return clients.wait(60 + seconds)


def timed(site):
    began = time.monotonic()
    ctl(site, "status")
    return time.monotonic() - began


def test_thousand_hostile_clients(site, daemon):
    """Clients of the relay lose nothing; who asks is answered in time, as often as asked. Figures with -s."""
    start_web(site, SERVER4, PORT, "web")
    relay(site, 0.5)  # warm
    alone = relay(site, 5)
    descriptors = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    with hostile(control_path(site)) as end:
        wait_until(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) >= descriptors + READERS_MAX, "it is crowded")
        with background(relay, site, 5) as came:
            answered = [timed(site) for _ in range(20)]
            beside = came()
        made, lost, most = end()
    print(f"relay's p99 {p99(alone):.2f} ms alone, {p99(beside):.2f} ms beside {HOSTILE} hostile control clients "
          f"({p99(beside) / p99(alone):.2f} times); they made {made} connections, {most} at a time; "
          f"sixgatectl status was answered after {max(answered) * 1e3:.0f} ms at most")
    assert outcomes(alone) == {"ok": len(alone)} and outcomes(beside) == {"ok": len(beside)}
    assert max(answered) < ANSWERED_S
    assert most > READERS_MAX and lost > 0
    control = result(site, "status")["control"]
    assert control["refused"] > 0 and control["silent"] > 0
    wait_until(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) <= descriptors, "their descriptors are free")


def test_readers_share(site, daemon):
    """Readers beyond their share hear why they are sent away, and the next is let in when one has left."""
    def is_let_in():
        try:
            with Control(control_path(site)) as control:
                return control.ask("status")["ok"]
        except OSError:  # it was gone before we had asked
            return False

    def fill():
        with contextlib.ExitStack() as stack:
            made = [stack.enter_context(Control(control_path(site))) for _ in range(READERS_MAX)]
            for one in made:
                assert one.ask("status")["ok"]
            with Control(control_path(site)) as refused:
                answer = refused.receive()
            made[0].socket.close()
            wait_until(is_let_in, "there is room again")
            return answer["code"]

    assert as_user(READER, [READER_GROUP], fill) == "busy"
    assert result(site, "status")["control"]["refused"] > 0
    assert "one more of user 65534 is refused" in daemon.errors()


def test_reader_may_change_nothing(site, daemon):
    """Every command that changes something is refused to a reader, with whatever arguments."""
    before = result(site, "status")

    def try_all():
        said = []
        with Control(control_path(site)) as control:
            commands = control.ask("commands")["result"]["commands"]
            for command in commands:
                if command["write"]:
                    args = {arg["name"]: {"text": "2001:db8:bad::/64", "number": 1, "flag": True}[arg["kind"]]
                            for arg in command["args"]}
                    for given in ({}, args, {"nonsense": 1}):
                        said.append((command["name"], control.ask(command["name"], **given)["code"]))
        return json.dumps(said)

    said = json.loads(as_user(READER, [READER_GROUP], try_all))
    assert {code for _, code in said} == {"not-permitted"}
    assert {"ban", "unban", "reload", "reload-lists"} <= {name for name, _ in said}
    after = result(site, "status")
    assert result(site, "bans")["bans"] == []
    assert (after["pid"], after["workers"][0]["pid"]) == (before["pid"], before["workers"][0]["pid"])
    assert "asked for by user 65534" not in daemon.errors()


def test_fuzzed(site, daemon):
    """A few seconds of control_fuzz.py, which says more by hand."""
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}")
    report = fuzz_gateway(control_path(site), [READER_GROUP], 5, seed)
    assert report["root"]["codes"]["ok"] > 0 and report["reader"]["codes"]["not-permitted"] > 0
    assert report["root"]["codes"]["bad-request"] > 0 and report["reader"]["codes"]["bad-request"] > 0
    assert "changes something" not in daemon.errors()
