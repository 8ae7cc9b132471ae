"""scripts/bench --udp, once everything is installed and built.

Client, gateway and server are three network namespaces of one machine. 64 clients' ports keep one datagram each
under way through a gateway with one worker: IPv6 to the gateway, IPv4 to the server, which answers with the
payload. sixgate puts a PROXY header in front of every datagram, and the server checks it; nginx puts one into
the first datagram of a session only, and nobody looks. The kernel's IPv4 routing is the limit. Measurements go round
the peers in an order that turns with every round; the medians count, for the ratios those of each round's own.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "netns"))

from bench_peers import STREAM_MODULE  # noqa: E402
from netsite import CLIENT6, GATEWAY4, SERVER4, VIP6, Site, build_dir, wait_until  # noqa: E402
from netsite.daemon import cpu_ns  # noqa: E402
from netsite.site import terminated_as_exit  # noqa: E402

SIZES = [64, 512, 1400]
CLIENTS = 64
CHECKED, PLAIN = 5300, 5301
PORTS = {"sixgate": 5310, "nginx": 5311}
PEERS = ["sixgate", "nginx", "kernel"]
LOAD = build_dir() / "tests" / "udpload"


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench --udp", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--udp", action="store_true", help="this bench, and not the one for TCP")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement")
    parser.add_argument("--json", metavar="FILE", help="also write all samples there")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    return arguments


class Lab:
    def __init__(self, site):
        self.site = site
        self.servers = [self._server(port, mode) for port, mode in ((CHECKED, "every"), (PLAIN, "first"))]
        self.daemons = {"sixgate": self._sixgate(), "nginx": self._nginx()}
        for peer in PEERS:
            wait_until(lambda peer=peer: self._answers(peer), f"{peer} to answer")

    def _server(self, port, mode):
        server = self.site.daemon(self.site.server, [LOAD, "serve", SERVER4, str(port), mode], f"server-{mode}")
        return server.wait_ready(lambda: "ready" in server.output())

    def _sixgate(self):
        return self.site.sixgated_config(f"""
workers = 1
access-log = off
listener "udp" {{ protocol = udp  bind = "[{VIP6}]:{PORTS['sixgate']}"  pool = "udp" }}
pool "udp" {{ backend "{SERVER4}:{CHECKED}" {{}} }}
""")

    def _nginx(self):
        return self.site.nginx(self.site.gateway, f"""
load_module {STREAM_MODULE};
worker_processes 1;
events {{ worker_connections 8192; }}
stream {{
    server {{
        listen [{VIP6}]:{PORTS['nginx']} udp;
        proxy_pass {SERVER4}:{PLAIN};
        proxy_protocol on;
        proxy_timeout 10s;
    }}
}}
""", [])

    def _answers(self, peer):
        try:
            return self.measure(peer, 64, 1)
        except RuntimeError:
            return False

    def measure(self, peer, size, seconds):
        """(answered datagrams per second, the gateway's CPU nanoseconds for each)"""
        host, port = ("::ffff:" + SERVER4, PLAIN) if peer == "kernel" else (VIP6, PORTS[peer])
        pids = self.daemons[peer].pids() if peer in self.daemons else []
        before = cpu_ns(pids)
        shown = json.loads(self.site.client.run(
            [LOAD, "bench", host, str(port), str(CLIENTS), str(size), str(seconds), str(CLIENTS)]).stdout)
        used = cpu_ns(pids) - before
        if shown["wrong_source"] or shown["failed"] or shown["bad_payload"] or not shown["answered"]:
            raise RuntimeError(f"{peer}: {shown}")
        return shown["answered"] / shown["seconds"], used / shown["answered"]

    def check(self):
        """What was measured must be what was promised: every header was there, and right."""
        for server in self.servers:
            server.stop()
        seen = json.loads(self.servers[0].output().splitlines()[-1])
        wrong = {name: seen[name] for name in ("bad_header", "wrong_identity", "bad_payload") if seen[name]}
        if wrong or not seen["received"]:
            raise RuntimeError(f"the server of {SERVER4}:{CHECKED} saw {seen}")
        print(f"\nheaders checked by the server behind sixgate: {seen['received']}, all right "
              f"({CLIENT6} by way of {GATEWAY4})")


def report(samples):
    print(f"\n{'bytes':>6} {'peer':<8} {'datagrams/s':>12} {'of nginx':>9} {'CPU us':>8} {'of nginx':>9}")
    for size in SIZES:
        for peer in PEERS:
            rates = [sample[0] for sample in samples[size, peer]]
            costs = [sample[1] / 1000 for sample in samples[size, peer]]
            others = samples[size, "nginx"]
            rate_ratio = statistics.median(a / b[0] for a, b in zip(rates, others))
            cost_ratio = statistics.median(a * 1000 / b[1] for a, b in zip(costs, others))
            shown = (f"{statistics.median(costs):8.2f} {cost_ratio:9.2f}" if peer != "kernel"
                     else f"{'–':>8} {'–':>9}")
            print(f"{size:>6} {peer:<8} {statistics.median(rates):12.0f} {rate_ratio:9.2f} {shown}")


def main():
    arguments = parse_arguments()
    samples = {(size, peer): [] for size in SIZES for peer in PEERS}
    with terminated_as_exit(), Site(ipv4_client=True) as site:
        lab = Lab(site)
        for number in range(arguments.rounds):
            for size in SIZES:
                turn = number % len(PEERS)
                for peer in PEERS[turn:] + PEERS[:turn]:
                    samples[size, peer].append(lab.measure(peer, size, arguments.seconds))
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
        report(samples)
        lab.check()
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(
            [{"bytes": size, "peer": peer, "samples": values} for (size, peer), values in samples.items()]),
            encoding="utf-8")


if __name__ == "__main__":
    main()
