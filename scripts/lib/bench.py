"""scripts/bench, once everything is installed and built.

Client, gateway and server are three network namespaces of one machine. Every peer does the same work, with
one worker: it accepts the client over IPv6, connects to the server over IPv4 and names the client in a PROXY
header. The kernel's IPv4 routing along the same wires, without any proxy, is the limit. All peers are up all
the time; each measurement goes round them, in an order that turns with every round. The medians count: of the
values, and for the ratios those of each round's own ratio, since the machine may be faster in one round than
in another.
"""

import argparse
import json
import os
import platform
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "netns"))

from bench_lab import MEASUREMENTS, Invalid, Lab, host_facts  # noqa: E402
from bench_peers import DEFAULT_PEERS, FEATURE_PEERS, PEERS, sixgate_of  # noqa: E402
from bench_report import cost_table, ratio_table, summarize, table  # noqa: E402
from netsite.site import terminated_as_exit  # noqa: E402

OPEN_FILES = 20000
MEMORY_ROUNDS = 2


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under two minutes: 3 rounds of 1 s")
    parser.add_argument("--rounds", type=int, help="default 5")
    parser.add_argument("--seconds", type=int, help="of each run of wrk, default 4; a bulk transfer takes a third")
    parser.add_argument("--only", type=names_in(MEASUREMENTS), default=list(MEASUREMENTS), metavar="A,B",
                        help="of " + ", ".join(MEASUREMENTS))
    parser.add_argument("--peers", type=names_in(PEERS), default=DEFAULT_PEERS, metavar="A,B",
                        help="of " + ", ".join(PEERS) + "; without it " + ", ".join(DEFAULT_PEERS))
    parser.add_argument("--features", action="store_true",
                        help="sixgate with everything switched on beside sixgate as it is, and nobody else, each in "
                             "a site of its own")
    parser.add_argument("--against", type=Path, metavar="BUILD",
                        help="with --features: beside the sixgated in the directory BUILD, too")
    parser.add_argument("--pin", action="store_true",
                        help="gateways on CPU 0, all else on CPU 1; by default the kernel places everything")
    parser.add_argument("--json", metavar="FILE", help="also write all samples, medians and ratios there")
    arguments = parser.parse_args()
    if arguments.features:
        arguments.peers = list(FEATURE_PEERS)
    if arguments.against:
        add_other_build(parser, arguments)
    arguments.rounds = arguments.rounds or (3 if arguments.quick else 5)
    arguments.seconds = arguments.seconds or (1 if arguments.quick else 4)
    if arguments.rounds < 1 or arguments.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    return arguments


def add_other_build(parser, arguments):
    if not arguments.features:
        parser.error("--against goes with --features")
    build = arguments.against.resolve()
    if not (build / "sixgated").exists():
        parser.error(f"there is no {build}/sixgated: name the directory of a build")
    peer = sixgate_of(build)
    PEERS[peer.name] = peer
    arguments.peers.append(peer.name)


def names_in(known):
    def parse(text):
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"'{name}' is none of {', '.join(known)}")
        return names
    return parse


def allow_many_open_files():
    """All that we start inherits it: 4,000 connections are 8,000 descriptors in a gateway, and more in pipes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, max(hard, OPEN_FILES)))
    except ValueError:
        sys.exit(f"scripts/bench: {OPEN_FILES} open files are needed, the limit is {hard}: see ulimit -Hn")


def progress(text):
    """One line that is written over, and only for people."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def rotated(items, by):
    by %= len(items)
    return items[by:] + items[:by]


def applies(measurement, peer, round_number):
    """Memory is that of processes, and hardly varies."""
    return measurement != "memory" or (peer.is_gateway and round_number < MEMORY_ROUNDS)


def make_labs(peers, arguments):
    """The lab of each peer. With --features each has one of its own, since what a gateway sets up in the kernel
    would otherwise weigh on all of them."""
    labs = {}
    try:
        for group in [[peer] for peer in peers] if arguments.features else [peers]:
            lab = Lab(group, arguments.pin)
            labs.update((peer.name, lab) for peer in group)
    except BaseException:
        close_labs(labs)
        raise
    return labs


def close_labs(labs):
    for lab in set(labs.values()):
        lab.close()


def measure_all(labs, peers, arguments):
    samples, failures = {}, []
    for number in range(arguments.rounds):
        for index, measurement in enumerate(arguments.only):
            for peer in rotated(peers, number + index):
                if not applies(measurement, peer, number):
                    continue
                progress(f"round {number + 1} of {arguments.rounds}: {measurement}, {peer.name}")
                try:
                    values = MEASUREMENTS[measurement](labs[peer.name], peer, arguments.seconds)
                except (Invalid, OSError) as error:
                    failures.append(f"{measurement}, {peer.name}, round {number + 1}: {error}")
                    continue
                for figure, value in values.items():
                    if peer.is_gateway or not figure.startswith("cpu-"):
                        samples.setdefault(figure, {}).setdefault(peer.name, {})[number] = value
    progress("")
    return samples, failures


def facts(labs, peers, arguments):
    return {
        "peers": {peer.name: f"{peer.version()}; {peer.what}" for peer in peers},
        "kernel": platform.release(), "cpus": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "rounds": arguments.rounds, "seconds": arguments.seconds,
        "pinned": "gateways on CPU 0, all else on CPU 1" if arguments.pin else "nothing",
        "cpu_time": "utime + stime in nanoseconds, from /proc/PID/task/*/schedstat",
        "date": time.strftime("%Y-%m-%d"),
        **host_facts(labs[peers[0].name].site),
    }


def print_facts(known):
    for name, value in known["peers"].items():
        print(f"  {name}: {value}")
    print(f"  Linux {known['kernel']}, {known['cpus']} CPUs, {known['tcp_congestion_control']}, "
          f"load before {known['load_before']:.2f}, pinned: {known['pinned']}")
    print(f"  {known['rounds']} rounds of {known['seconds']} s, interleaved, medians; revision {known['revision']}, "
          f"{known['date']}\n", flush=True)


def report(known, samples, failures, arguments):
    summary = summarize(samples, arguments.peers)
    if arguments.features:
        print("What the others cost beside sixgate, in per cent of each figure; less than nothing is a gain.\n"
              "Medians of the rounds, and between which of them the median lies with 95 per cent probability:\n")
        print(cost_table(samples, summary, arguments.peers))
    else:
        print(table(summary, arguments.peers))
        print("\nEach as a ratio to the best of HAProxy and nginx / to the kernel, medians of the rounds' ratios:\n")
        print(ratio_table(summary, arguments.peers))
    for failure in failures:
        print(f"FAILED: {failure}")
    if arguments.json:
        result = {"facts": known, "figures": summary, "failures": failures}
        Path(arguments.json).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    arguments = parse_arguments()
    peers = [PEERS[name] for name in arguments.peers]
    allow_many_open_files()
    with terminated_as_exit():
        try:
            labs = make_labs(peers, arguments)
        except (Invalid, OSError, RuntimeError) as error:
            return f"scripts/bench: {error}"
        try:
            known = facts(labs, peers, arguments)
            print_facts(known)
            samples, failures = measure_all(labs, peers, arguments)
        finally:
            close_labs(labs)
    report(known, samples, failures, arguments)
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
