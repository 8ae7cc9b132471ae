"""What scripts/soak does, once everything is built."""

import argparse
import contextlib
import csv
import itertools
import json
import shutil
import socket
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "netns"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import flows as load  # noqa: E402
from netsite import Site, build_dir, wait_until  # noqa: E402
from netsite.site import terminated_as_exit  # noqa: E402
from soak_plot import plot  # noqa: E402

KINDS = ("refused", "reset", "cut", "wrong", "late", "other")
MIB = 1 << 20


def parse(words):
    parser = argparse.ArgumentParser(
        prog="scripts/soak", description="The gateway under a steady load, with reloads and killed workers.")
    number = {"type": float, "metavar": "N"}
    parser.add_argument("--minutes", default=10, **number)
    parser.add_argument("--warm-up", default=0, help="of these minutes: before the first reload and the figures of the start",
                        **number)
    parser.add_argument("--rate", default=100, help="new connections a second", **number)
    parser.add_argument("--flows", type=int, default=200, metavar="N",
                        help="live flows: a quarter each bulk, small messages, half-closed, UDP sessions")
    parser.add_argument("--bulk-kbps", default=100, help="kB/s of each bulk flow, each way", **number)
    parser.add_argument("--every-ms", default=200, help="between the messages of a flow", **number)
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument("--reload-every", default=60, help="seconds; 0: one after the other", **number)
    parser.add_argument("--reloads", type=int, metavar="N", help="end after so many, before the time is over")
    parser.add_argument("--wait-handed-over", action="store_true",
                        help="no reload before those of the one before have left")
    parser.add_argument("--kill-every", default=0, help="seconds; 0: never", **number)
    parser.add_argument("--sample-every", default=5, help="seconds", **number)
    parser.add_argument("--build", type=Path, metavar="DIR", help="where sixgated and sixgatectl are")
    parser.add_argument("--other-binary", type=Path, metavar="PATH", help="every second reload goes to this sixgated")
    parser.add_argument("--out", type=Path, default=Path("soak"), metavar="DIR", help="for soak.csv, soak.svg, ...")
    return parser.parse_args(words)


class Soak:
    def __init__(self, options, site):
        self.options, self.site = options, site
        self.build = (options.build or build_dir()).resolve()
        self.began, self.stop = time.monotonic(), threading.Event()
        self.reloads, self.killed, self.failures, self.rows = [], [], [], []
        self.next_binary = itertools.cycle([options.other_binary, self.build / "sixgated"])
        load.start_server(site)
        path = site.write("sixgated.conf", load.config(site, options.workers))
        self.daemon = site.sixgated(["--config", path], build=self.build)
        quarter, rest = divmod(options.flows, 4)
        self.flows = load.Flows(site, [quarter + (i < rest) for i in range(4)], options.rate,
                                bulk_kbps=options.bulk_kbps, every_ms=options.every_ms)

    def minutes(self):
        return (time.monotonic() - self.began) / 60

    def ask(self, command):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(self.site.dir / "run" / "control.sock"))
            client.sendall(json.dumps({"version": 1, "command": command}).encode() + b"\n")
            return json.loads(client.makefile().readline())["result"]

    # ---- what disturbs -----------------------------------------------------------------------------

    def reload(self):
        argv = [self.build / "sixgatectl", "--socket", self.site.dir / "run" / "control.sock", "reload"]
        if self.options.other_binary:
            argv += ["--binary", next(self.next_binary)]
        while True:
            began, minute = time.monotonic(), self.minutes()
            done = self.site.gateway.run(argv, check=False)
            command = time.monotonic() - began
            if not done.returncode or "at it already" not in done.stderr or self.stop.is_set():
                break
            time.sleep(0.01)
        if done.returncode:
            self.failures.append(f"{minute:.2f} min: {done.stderr.strip()}")
        elif self.options.wait_handed_over:
            wait_until(lambda: self.workers_before() == 0, "those of before have left", 120)
        self.reloads.append((minute, command, time.monotonic() - began))

    def workers_before(self):
        # While one image gives way to the other, nobody may be there to be asked.
        with contextlib.suppress(OSError, ValueError):
            return self.ask("generation")["workers_before"]
        return -1

    def kill(self):
        pids = []
        with contextlib.suppress(OSError, ValueError):
            pids = [worker["pid"] for worker in self.ask("status")["workers"] if worker["pid"]]
        if pids:
            pid = pids[len(self.killed) % len(pids)]
            with contextlib.suppress(ProcessLookupError):
                self.killed.append((self.minutes(), load.kill_worker(self.flows, self.daemon, pid)))

    def disturb(self, what, every):
        while not self.stop.wait(every):
            try:
                what()
            except Exception as error:  # the run goes on, and says so at its end
                self.failures.append(f"{self.minutes():.2f} min: {what.__name__}: {error!r}")

    # ---- what is seen ------------------------------------------------------------------------------

    def sample(self):
        since = len(self.flows.seconds)
        errors = len(self.flows.errors)
        self.stop.wait(self.options.sample_every)
        said = self.flows.seconds[since:]
        if not said:
            return
        counts, last = self.flows.counts(errors), said[-1]
        processes, pss, rss, descriptors = load.usage(self.daemon)
        known = {kind: counts.pop(kind, 0) for kind in (*KINDS[:-1], "expected")}
        p50 = sorted(second["p50"] for second in said)[len(said) // 2]
        self.rows.append({
            "minute": round(self.minutes(), 3), "live": last["live"], "opened": last["opened"], "ok": last["ok"], **known,
            "other": sum(counts.values()), "datagrams": last["datagrams"], "datagrams_lost": last["lost"],
            "bytes": last["bytes"], "p50_ms": p50, "p99_ms": max(second["p99"] for second in said),
            "max_ms": max(second["max"] for second in said),
            **{f"pause_{kind}_ms": max(second["pauses"][kind] for second in said) for kind in load.KINDS},
            "reloads": len(self.reloads), "kills": len(self.killed), "processes": processes,
            "pss_mib": round(pss / MIB, 2), "rss_mib": round(rss / MIB, 2), "descriptors": descriptors})

    def run(self):
        options = self.options
        self.flows.wait_live()
        self.flows.wait_second()
        threads = [threading.Thread(target=self.disturb, args=(self.reload, options.reload_every))]
        if options.kill_every:
            threads.append(threading.Thread(target=self.disturb, args=(self.kill, options.kill_every)))
        self.sample()
        while self.minutes() < options.warm_up:
            self.sample()
        self.start = self.rows[-1]
        self.disturbed_since = time.monotonic()
        for thread in threads:
            thread.start()
        with open(options.out / "soak.csv", "w", newline="", encoding="ascii") as file:
            writer = csv.DictWriter(file, list(self.rows[0]))
            writer.writeheader()
            written = 0
            while self.minutes() < options.minutes and not (options.reloads and len(self.reloads) >= options.reloads):
                self.sample()
                writer.writerows(self.rows[written:])
                file.flush()
                written = len(self.rows)
            self.stop.set()
            for thread in threads:
                thread.join()
            # At rest again, for a comparison of memory and descriptors with the start.
            wait_until(lambda: self.workers_before() == 0, "those of before have left", 60)
            self.flows.wait_second()
            self.stop.clear()
            self.sample()
            writer.writerows(self.rows[written:])
        self.flows.close()
        if self.daemon.stop(timeout=60) != 0:
            self.failures.append("the gateway did not end with 0")

    # ---- what is said of it ------------------------------------------------------------------------

    def summary(self):
        first, last, counts = self.start, self.rows[-1], self.flows.counts()
        end, expected = self.flows.seconds[-1], counts.pop("expected", 0)
        pause, kind, at = self.flows.longest_pause(self.disturbed_since)
        commands = sorted(command for _, command, _ in self.reloads) or [0]
        text = [
            f"{self.minutes():.1f} min: {end['opened']} new connections ({self.options.rate:g}/s asked), {end['ok']} answered; "
            f"{self.options.flows} live flows, {end['bytes'] / MIB:.0f} MiB and {end['datagrams']} datagrams checked",
            "errors: " + ", ".join(f"{counts.get(kind, 0)} {kind}" for kind in KINDS[:-1]) +
            "".join(f", {n} {kind}" for kind, n in counts.items() if kind not in KINDS) +
            f"; {expected} connections ended with {len(self.killed)} killed workers, which had "
            f"{sum(n for _, n in self.killed)}; {end['lost']} datagrams lost",
            f"{len(self.reloads)} reloads, each {commands[0]:.2f} to {commands[-1]:.2f} s, median "
            f"{commands[len(commands) // 2]:.2f} s; longest pause of a flow {pause:.0f} ms ({kind}, "
            f"{(at - self.began) / 60:.2f} min)",
            f"new connections: median {sorted(row['p50_ms'] for row in self.rows)[len(self.rows) // 2]:.1f} ms, worst p99 of a "
            f"second {max(row['p99_ms'] for row in self.rows):.0f} ms, longest {max(row['max_ms'] for row in self.rows):.0f} ms",
            f"memory (PSS) {first['pss_mib']} MiB -> {last['pss_mib']} MiB, descriptors {first['descriptors']} -> "
            f"{last['descriptors']}, processes {first['processes']} -> {last['processes']}"]
        if self.options.wait_handed_over:
            text.append("handed over after " + ", ".join(f"{whole:.2f}" for _, _, whole in self.reloads[:20]) + " s")
        more = [f"and {len(self.failures) - 10} failures more"] if len(self.failures) > 10 else []
        return "\n".join(text + self.failures[:10] + more) + "\n"

    def draw(self):
        rows = self.rows

        def per_second(name):
            return [0] + [max(0.0, (now[name] - then[name]) / (now["minute"] - then["minute"]) / 60)
                          for then, now in zip(rows, rows[1:])]

        panels = {
            "new connections a second": {"answered": per_second("ok")},
            "errors in each sample": {kind: [row[kind] for row in rows] for kind in (*KINDS[:2], "wrong", "late", "expected")},
            "milliseconds of a new connection": {name: [row[f"{name}_ms"] for row in rows] for name in ("p50", "p99")},
            "longest pause of a flow in ms": {kind: [row[f"pause_{kind}_ms"] for row in rows] for kind in load.KINDS},
            "MiB of all processes": {"PSS": [row["pss_mib"] for row in rows]},
            "descriptors of all processes": {"descriptors": [row["descriptors"] for row in rows]}}
        few = self.reloads if len(self.reloads) < 200 else []
        marks = [("#bbd", [minute for minute, *_ in few]), ("#e88", [minute for minute, _ in self.killed])]
        return plot(f"sixgate: {len(self.reloads)} reloads (blue), {len(self.killed)} workers killed (red)",
                    [row["minute"] for row in rows], panels, marks)


def main():
    options = parse(sys.argv[1:])
    options.out.mkdir(parents=True, exist_ok=True)
    with terminated_as_exit(), Site() as site:
        soak = Soak(options, site)
        try:
            soak.run()
        finally:
            with open(options.out / "errors.txt", "w", encoding="ascii") as file:
                file.writelines(f"{'expected' if soak.flows.is_expected(error) else 'ERROR'} {error}\n"
                                for error in soak.flows.errors)
            shutil.copy(soak.daemon.err, options.out / "sixgated.log")
        text = soak.summary()
        (options.out / "summary.txt").write_text(text)
        (options.out / "soak.svg").write_text(soak.draw())
        print(text, end="")
        return 1 if soak.flows.unexpected() or soak.failures else 0


if __name__ == "__main__":
    sys.exit(main())
