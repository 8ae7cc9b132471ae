#!/usr/bin/python3
"""Fuzzes the control socket of a gateway that runs: requests that are almost right, in pieces, from clients that
leave when they like.

    control_fuzz.py [--seconds S] [--seed N]

Starts $SIXGATE_BUILD/sixgated (build/ if unset) at a site of its own, fuzzes it as root and as a reader for so
long, 600 s if not given, and prints what was sent. The exit status tells whether all that it answered was of
the protocol, and whether it answered in the end with no more descriptors and memory than before.
"""

import argparse
import json
import os
import random
import re
import socket
import sys
import time
from collections import Counter

from control import Control, as_user, control_path, request
from netsite import SERVER4, VIP6, Site, wait_until

REQUEST_MAX = 65536
# What a fuzzer may do as root. Ends, successors and drains are for tests that expect them.
HARMLESS = {"ban", "unban"}
WORDS = ["", "x", "2001:db8:bad::/64", "2001:db8:bad::1", "0.0.0.0/0", "::/0", "1s", "-1", "9" * 30, "\u0000", "\ud800",
         "\x1b[2J", "ä" * 300, "x" * 5000, "[2001:db8::1]:80", "192.0.2.10:65536", "tcp", "../../etc/passwd", "%n%s"]
VALUES = [*WORDS, 0, -1, 1, 1 << 62, 1 << 70, 1.5, 1e308, True, None, [], {}, [[]], {"a": {"b": []}}]
PIECES = [b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u0000", b"\\ud800", b"\xff", b"\xc3", b"\x00", b"\n", b"\r\n", b",",
          b":", b"1e999", b"-", b"null", b'"version":1', b'"args":{', b'"command":"status"']
# Two samples of the memory of a process that frees what it takes differ by no more.
GROWTH_MAX = 8 << 20


class Broken(AssertionError):
    """What a gateway must never do."""


class Fuzzer:
    def __init__(self, path, seed, as_root):
        self.path, self.random, self.as_root = path, random.Random(seed), as_root
        self.sent, self.codes = Counter(), Counter()
        with Control(path) as control:
            commands = control.ask("commands")["result"]["commands"]
        self.commands = [one for one in commands if not (as_root and one["write"]) or one["name"] in HARMLESS]
        self.writing = {one["name"] for one in commands if one["write"]}

    # ---- what is sent ----

    def valid(self):
        """A request that is well formed, though its values may be nonsense."""
        command = self.random.choice(self.commands)
        args = {arg["name"]: self.random.choice(WORDS if arg["kind"] == "text" else VALUES)
                for arg in command["args"] if arg["required"] or self.random.random() < 0.5}
        return request(command["name"], **args)

    def wrong_types(self):
        root = {"version": self.random.choice([1, 1, 1, *VALUES]),
                "command": self.random.choice([one["name"] for one in self.commands] + VALUES),
                "args": {str(self.random.choice(WORDS)): self.random.choice(VALUES) for _ in range(3)}}
        root.pop(self.random.choice([*root, ""]), None)
        return json.dumps(root).encode() + b"\n"

    def mutated(self):
        data = bytearray(self.valid())
        for _ in range(self.random.randint(1, 8)):
            at = self.random.randrange(len(data) + 1)
            what = self.random.randrange(4)
            if what == 0:
                data[at:at] = self.random.choice(PIECES)
            elif what == 1:
                del data[at:at + self.random.randint(1, 20)]
            elif what == 2 and at < len(data):
                data[at] = self.random.randrange(256)
            else:
                data[at:at] = data[at // 2:at]
        return bytes(data)

    def deep(self):
        depth = self.random.choice([10, 1000, 2047, 2048, 2049, 30000])
        start, end = self.random.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'{"version":1,"command":"status","args":', b"}")])
        return start * depth + b"1" + self.random.choice([end * depth, b""]) + b"\n"

    def long(self):
        return self.valid()[:-1] + b" " * self.random.choice([100, 60000, REQUEST_MAX, 200000]) + b"\n"

    def noise(self):
        return self.random.randbytes(self.random.randint(1, 3000))

    def half(self):
        data = self.valid()
        return data[:self.random.randrange(len(data))]

    def many(self):
        return b"".join(self.valid() for _ in range(self.random.randint(2, 200)))

    # ---- how ----

    def run(self, seconds):
        end = time.monotonic() + seconds
        shapes = [self.valid, self.wrong_types, self.mutated, self.mutated, self.deep, self.long, self.noise, self.half,
                  self.many]
        while time.monotonic() < end:
            shape = self.random.choice(shapes)
            self.sent[shape.__name__] += 1
            try:
                self.talk(shape())
            except (ConnectionResetError, BrokenPipeError, EOFError):
                pass
            except TimeoutError as late:
                raise Broken("no answer to what deserves one") from late
        return {"sent": dict(self.sent), "codes": dict(self.codes)}

    def talk(self, data):
        with Control(self.path, 30) as control:
            if self.random.random() < 0.2:
                self.leave(control, data)
                return
            ends = data.endswith(b"\n") and self.random.random() < 0.5
            self.send(control, data if ends else data + b"\n")
            control.socket.shutdown(socket.SHUT_WR)
            while True:
                self.check(control.receive())

    def leave(self, control, data):
        """Without having read all that came, or anything."""
        control.socket.settimeout(0.001)
        try:
            control.send(data)
            control.socket.recv(self.random.choice([1, 100, 100000]))
        except (BlockingIOError, TimeoutError):
            self.codes["left"] += 1

    def send(self, control, data):
        if len(data) > 2000 or self.random.random() < 0.5:
            control.send(data)
            return
        while data:
            n = self.random.choice([1, 2, 7, 100])
            control.send(data[:n])
            data = data[n:]

    def check(self, answer):
        if answer["ok"]:
            if not isinstance(answer["result"], dict):
                raise Broken(f"no result in {answer}")
            self.codes["ok"] += 1
            return
        self.codes[answer["code"]] += 1
        if not answer["error"] or not re.fullmatch("[a-z-]+", answer["code"]):
            raise Broken(f"an error that says nothing: {answer}")


def weigh(pid):
    """Descriptors, and bytes of memory that are the process's own."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        memory = re.search(r"Pss_Anon: +(\d+) kB", file.read())
    return len(os.listdir(f"/proc/{pid}/fd")), int(memory[1]) << 10


def status(path):
    with Control(path) as control:
        return control.ask("status")["result"]


def said_by(path, seed, seconds):
    try:
        return json.dumps(Fuzzer(path, seed, False).run(seconds))
    except Broken as broken:
        return str(broken)


def fuzz(path, reader, seconds, seed):
    """As root and as a user with these groups, in turns of ten seconds at most. What was sent and answered."""
    said = {"root": [], "reader": []}
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        turn = min(left / 2, 10)
        seed += 2
        said["root"].append(Fuzzer(path, seed, True).run(turn))
        answer = as_user(65534, reader, lambda s=seed, t=turn: said_by(path, s + 1, t))
        if not answer.startswith("{"):
            raise Broken(f"the reader, seed {seed + 1}: {answer}")
        said["reader"].append(json.loads(answer))
    return {who: {what: dict(sum((Counter(turn[what]) for turn in turns), Counter())) for what in ("sent", "codes")}
            for who, turns in said.items()}


def fuzz_gateway(path, reader, seconds, seed):
    """Raises Broken, or returns the report: answers, and how much the supervisor has grown."""
    pid = status(path)["pid"]
    fuzz(path, reader, min(2, seconds / 4), seed + 1_000_000)  # what is taken once and kept
    before = weigh(pid)
    report = fuzz(path, reader, seconds, seed)
    if status(path)["pid"] != pid:
        raise Broken("it is not the same gateway any more")
    wait_until(lambda: weigh(pid)[0] <= before[0], "all connections are closed")
    after = weigh(pid)
    report |= {"seed": seed, "descriptors": [before[0], after[0]], "memory_kib": [before[1] >> 10, after[1] >> 10]}
    if after[1] > before[1] + GROWTH_MAX:
        raise Broken(f"memory grew from {before[1]} to {after[1]} bytes")
    return report


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    options = parser.parse_args()
    with Site() as site:
        daemon = site.sixgated_config(config(site), env=ENV)
        os.chmod(site.dir, 0o755)
        try:
            print(json.dumps(fuzz_gateway(control_path(site), [READER_GROUP], options.seconds, options.seed), indent=1))
        finally:
            status_at_end = daemon.stop()
            print(daemon.errors()[-3000:], file=sys.stderr)
        if status_at_end or "Sanitizer" in daemon.errors() or "runtime error:" in daemon.errors():
            sys.exit(f"seed {options.seed}: it ended with {status_at_end}")


READER_GROUP = 4  # adm
# Freed memory that AddressSanitizer keeps back looks like growth.
ENV = {"ASAN_OPTIONS": "quarantine_size_mb=1:thread_local_quarantine_size_kb=64"}


def config(site):
    return f"""run-directory = "{site.dir}/run"
        state-directory = "{site.dir}/state"
        control-group = adm
        workers = 1
        drain = 2s
        listener "web" {{ bind = "[{VIP6}]:7000" pool = "web" }}
        pool "web" {{ backend "{SERVER4}:7000" {{}} }}
    """


if __name__ == "__main__":
    main()
