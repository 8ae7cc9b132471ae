"""An hour of a gateway that never was, as answers to "status" from the oldest to the newest."""
import math
import random

NOW = 1795590730  # 2026-11-25 07:12:10 UTC
BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
REASONS = ("closed", "reset", "refused", "unreachable", "connect_timeout", "over_limit", "denied",
           "banned")
HOSTILE = """<script>document.title="x"</script><b>&amp;"'\u202e\u00e9\u6f22 tail"""


class Gateway:
    def __init__(self, seed=1, names=("web", "dns", "api")):
        self.random = random.Random(seed)
        self.names = names
        self.counters = dict.fromkeys(
            (*REASONS, "accepted", "bytes_in", "bytes_out", "datagrams_in", "datagrams_out",
             "dropped_rate", "live_flows", "limit_client_rate", "retried", "circuit_opened"), 0)
        self.connect = {name: [0] * (len(BOUNDS) + 1) for name in names}
        self.ended = {name: dict.fromkeys(REASONS, 0) for name in names}
        self.refused = 0

    def pass_time(self, i, web_up, backend_up):
        wave = 1 + 0.45 * math.sin(i / 70) + 0.12 * math.sin(i / 9) + self.random.gauss(0, 0.05)
        for name, rate in zip(self.names, (620, 0, 190)):
            n = int(10 * rate * max(wave, 0.05))
            if name == self.names[0] and not web_up:
                self.refused += n
                continue
            self._connections(name, n, backend_up)
        live = int(2400 * wave)
        self.counters["live_flows"] = live if web_up else live // 5
        self.counters["datagrams_in"] += int(9000 * wave)
        self.counters["datagrams_out"] += int(8800 * wave)

    def _connections(self, name, n, backend_up):
        failed = 0 if backend_up else int(n * 0.12)
        self.counters["accepted"] += n
        self.counters["bytes_in"] += n * 1900
        self.counters["bytes_out"] += n * 41000
        for _ in range(200):
            seconds = self.random.lognormvariate(math.log(0.0011), 0.8)
            bucket = sum(seconds > bound for bound in BOUNDS)
            self.connect[name][bucket] += n // 200
        self._end(name, "closed", n - failed)
        self._end(name, "refused", failed)
        self._end(name, "reset", n // 300)
        if self.random.random() < 0.04:
            self._end(name, "over_limit", self.random.randint(1, 30))
            self.counters["limit_client_rate"] += 7

    def _end(self, name, reason, n):
        self.ended[name][reason] += n
        self.counters[reason] += n

    def _backend(self, last, up, share, **more):
        live = int(self.counters["live_flows"] * share) if up else 0
        return {"address": f"192.0.2.{last}:8080", "weight": 1, "up": up, "backup": False,
                "circuit_open": False, "failures": 0 if up else 3, "live": live,
                "connects": 1000, "connect_failures": 0 if up else 317} | more

    def status(self, web_up, backend_up):
        web, dns, api = self.names
        live = self.counters["live_flows"]
        listeners = [
            {"name": name, "protocol": "udp" if name == dns else "tcp", "binds": binds,
             "pool": pool, "identity": "proxy-v2", "live": int(live * share),
             "accepted": 1, "ended": dict(self.ended[name]),
             "connect": {"bounds_s": BOUNDS, "counts": list(self.connect[name]), "sum_s": 1.5}}
            for name, pool, share, binds in (
                (web, web, 0.62 if web_up else 0, ["[2001:db8::80]:80", "[2001:db8::80]:443"]),
                (api, web, 0.16 if web_up else 0, ["[2001:db8:ffff:eeee:dddd:cccc:bbbb:aaaa]:8443"]),
                (dns, dns, 0.2, ["[2001:db8::53]:53"]))]
        pools = [
            {"name": web, "up": web_up, "checked": True, "backends": [
                self._backend(10, web_up, 0.45),
                self._backend(11, web_up and backend_up, 0.25, name="app.example"),
                self._backend(12, web_up, 0.08, draining=True),
                self._backend(13, False if not web_up else True, 0.0, backup=True)]},
            {"name": dns, "up": True, "checked": False, "backends": [
                self._backend(53, True, 0.14), self._backend(54, True, 0.06, weight=0)]}]
        return {"version": "0.1.0", "pid": 4711, "state": "running",
                "started": "2026-11-21T03:40:02.117Z", "uptime_s": 358321.5,
                "workers": [{"worker": i, "pid": 4712 + i, "ready": True, "uptime_s": 7200.0,
                             "replaced": i % 2, "live_flows": live // 4, "records_lost": 0}
                            for i in range(4)],
                "listeners": listeners, "pools": pools, "counters": dict(self.counters),
                "guard": {"table": "kept", "bans": 3, "packets_refused": self.refused,
                          "packets_banned": 41}}


def hour(trouble=None, **options):
    """trouble: None, "backend" (one is down for the last ten minutes), "pool" (all of one are)."""
    gateway, steps = Gateway(**options), []
    for i in range(360):
        late, early = i >= 300, 100 <= i < 118
        web_up = not (trouble == "pool" and i >= 330)
        backend_up = not (early if trouble is None else trouble == "backend" and late or early)
        gateway.pass_time(i, web_up, backend_up)
        steps.append([NOW - 10 * (359 - i), gateway.status(web_up, backend_up)])
    return steps
