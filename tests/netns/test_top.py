"""sixgatectl top on a terminal: what it shows, its keys, another size, and a gateway that goes and comes back."""

import contextlib
import json
import os
import re
import signal

import pytest
from control import control_path, ctl
from netsite import BACKENDS, SERVER4, VIP6, build_dir
from netsite.web import Clients, start_web
from terminal import Terminal

PORT, MANY = 7000, 40
LONG = "a-listener-with-a-name-that-is-longer-than-any-column"


@pytest.fixture
def start(site, gateway):
    def run(**options):
        many = " ".join(f'listener "port{i}" {{ bind = "[{VIP6}]:{PORT + i}" pool = "web" }}' for i in range(1, MANY))
        return gateway(config=f"""run-directory = "{site.dir}/run"
            workers = 1
            drain = 1s
            access-log = off
            listener "{LONG}" {{
                bind = "[{VIP6}]:{PORT}" pool = "web" connections {{ rate = 30 }}
            }}
            {many}
            pool "web" {{
                check {{ type = tcp interval = 100ms rise = 1 fall = 1 }}
                backend "{SERVER4}:{PORT}" {{}}
                backend "{BACKENDS[1]}:{PORT}" {{ weight = 50 }}
            }}
        """, **options)
    return run


@contextlib.contextmanager
def top(site, *words, **size):
    argv = [build_dir() / "sixgatectl", "--socket", control_path(site), "top", "--interval", "0.2", *words]
    with Terminal(site.gateway, argv, **size) as terminal:
        yield terminal


def show(terminal, name):
    """Kept where SIXGATE_SHOTS says, to be looked at."""
    if directory := os.environ.get("SIXGATE_SHOTS"):
        with open(f"{directory}/{name}.html", "w", encoding="utf-8") as file:
            file.write(terminal.html(name))
        with open(f"{directory}/{name}.txt", "w", encoding="utf-8") as file:
            file.write(terminal.text() + "\n")


def number(text, pattern):
    found = re.search(pattern, text)
    return float(found[1]) if found else 0


def test_traffic(site, start):
    """Rates, flows, health and limits, at the usual size and at a large one; colours where there are some."""
    start()
    start_web(site, SERVER4, PORT, "web")
    with contextlib.ExitStack() as stack:
        terminal = stack.enter_context(top(site, columns=80, rows=24))
        terminal.wait(lambda text: "LISTENER" in text, "there is an answer")
        terminal.type("\x1b[4~")
        terminal.wait(lambda text: re.search(r"192\.0\.2\.10:7000 +up +100 ", text), "the server is up")
        terminal.type("\x1b[1~")
        stack.enter_context(Clients(site, VIP6, PORT, rate=60))
        stack.enter_context(site.client.connect(VIP6, PORT + 1))
        text = terminal.wait(lambda text: number(text, r"connections ([\d.]+)/s") > 20 and "over_limit" in text,
                             "clients are counted")
        show(terminal, "top-80x24")
        lines = terminal.lines()
        assert re.match(r"sixgated 0\.1\.0  running  up 0m\d\ds  workers 1/1", lines[0])
        assert re.search(r"^LISTENER +PROTO +LIVE +CONN/S +IN BIT/S +OUT BIT/S +FAIL/S$", text, re.MULTILINE)
        assert re.search(r"^a-listener-with-a-name-that- +tcp ", text, re.MULTILINE)
        assert "q quit  ? help" in lines[23]
        terminal.resize(200, 50)
        terminal.wait(lambda text: LONG[:48] in text, "it is wide")
        terminal.type("\x1b[4~")
        terminal.wait(lambda text: re.search(r"192\.0\.2\.11:7000 +DOWN +50 ", text) and
                      re.search(r"^limit_rate +[1-9]", text, re.MULTILINE), "the end is seen")
        show(terminal, "top-200x50")
        row = next(y for y, line in enumerate(terminal.lines()) if "192.0.2.11:7000" in line)
        cell = terminal.screen.buffer[row][terminal.lines()[row].index("DOWN")]
        assert cell.fg == "red" and cell.bold
        terminal.resize(40, 12)
        terminal.wait(lambda text: text.startswith("sixgated 0.1.0  running  up 0m") and
                      re.search(r"^port\d+ +0 +0 +0$", text, re.MULTILINE), "it is narrow")
        terminal.type("\x1b[4~")
        terminal.wait(lambda text: re.search(r"^  192\.0\.2\.11\S* +DOWN +0", text, re.MULTILINE),
                      "the end is seen there")
        show(terminal, "top-40x12")
        terminal.type("q")
        assert terminal.wait_end() == 0


def test_keys(site, start):
    start()
    with top(site) as terminal:
        terminal.wait(lambda text: "port1 " in text and "lines 1-" in text, "the first lines")
        terminal.type("\x1b[6~")
        terminal.wait(lambda text: "lines 1-" not in text and f"of {MANY + 9}" in text, "a page on")
        terminal.type("\x1b[4~")
        terminal.wait(lambda text: "none has moved" in text, "the end")
        terminal.type("\x1b[A")
        terminal.wait(lambda text: "none has moved" not in text, "a line up")
        terminal.type("\x1b[1~")
        terminal.wait(lambda text: "lines 1-" in text, "the beginning")
        terminal.type("s")
        terminal.wait(lambda text: "s sort: live" in text, "another order")
        terminal.type("?")
        terminal.wait(lambda text: "PgUp, PgDn" in text, "help")
        terminal.type("?")
        terminal.wait(lambda text: "LISTENER" in text, "no help")
        terminal.type("p")
        terminal.wait(lambda text: "PAUSED" in text, "a pause")
        terminal.type("p")
        terminal.wait(lambda text: "PAUSED" not in text, "no pause")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.wait_end() is not None


def test_gateway_goes_and_comes(site, start):
    """It says so, keeps what it knew, and goes on with the next one; one that is stopped does not stop it."""
    first = start()
    with top(site) as terminal:
        terminal.wait(lambda text: "running" in text, "it runs")
        first.kill(signal.SIGSTOP)
        terminal.wait(lambda text: "NO ANSWER" in text, "it is stopped")
        terminal.type("s")
        terminal.wait(lambda text: "s sort: live" in text, "keys are heard")
        first.kill(signal.SIGCONT)
        terminal.wait(lambda text: "NO ANSWER" not in text, "it goes on")
        assert first.stop() == 0
        terminal.wait(lambda text: "NO ANSWER: no gateway runs there; trying again" in text, "it is gone")
        show(terminal, "top-gone")
        assert "port1 " in terminal.text()
        start(name="second")
        terminal.wait(lambda text: "running" in text and "NO ANSWER" not in text, "the next one runs")
        terminal.type("q")
        assert terminal.wait_end() == 0


def test_plain_terminal(site, start):
    """One without colours, and one that is unknown."""
    start()
    with top(site, term="vt100") as terminal:
        terminal.wait(lambda text: "running" in text, "it runs")
        assert {cell.fg for row in terminal.screen.buffer.values() for cell in row.values()} == {"default"}
    # Of a terminal that it does not know, ncurses frees nothing.
    with top(site, term="no-such-terminal", env={"ASAN_OPTIONS": "detect_leaks=0"}) as terminal:
        assert terminal.wait_end() == 64
        assert "TERM names no terminal" in terminal.text()


def test_terminal_goes(site, start):
    """Nobody is left behind who asks for ever."""
    start()
    with top(site) as terminal:
        terminal.wait(lambda text: "running" in text, "it runs")
    assert terminal.process.returncode != -signal.SIGKILL


def test_no_terminal(site, start):
    start()
    refused = ctl(site, "top", check=False)
    assert refused.returncode == 64 and "top needs a terminal: use top --json, or status" in refused.stderr
    for interval in ("0", "x", "1e9", "nan", "1s"):
        refused = ctl(site, "--json", "top", "--interval", interval, check=False)
        assert refused.returncode == 64 and "--interval is a number of seconds" in refused.stderr


def test_json(site, start):
    """A line an interval, with rates; an error while there is no gateway."""
    first = start()
    argv = [build_dir() / "sixgatectl", "--socket", control_path(site), "--json", "top", "--interval", "0.1"]
    reading, writing = os.pipe()
    process = site.gateway.popen(argv, stdout=writing)
    os.close(writing)
    with os.fdopen(reading) as lines:
        for _ in range(2):
            said = json.loads(lines.readline())
            assert said["interval_s"] > 0 and said["connections_per_s"] == 0 and said["pid"] == first.pid
            assert [one["name"] for one in said["listeners"]][:2] == [LONG, "port1"]
            assert said["pools"][0]["backends"][1]["weight"] == 50
        first.stop()
        said = {}
        while "error" not in said:
            said = json.loads(lines.readline())
        assert said["error"] == "no gateway runs there" and said["time"].endswith("Z")
        second = start(name="second")
        while said.get("pid") != second.pid:
            said = json.loads(lines.readline())
    assert process.wait(10) == -signal.SIGPIPE
