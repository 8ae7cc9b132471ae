"""What changes in the network of the gateway while a test looks on."""

import contextlib
import itertools

from .namespace import wait_until

MARKER = "203.0.116."
MARKER_TABLE = "test_marker_"


@contextlib.contextmanager
def watched(site):
    """The block gets a function that returns what `ip monitor` and `nft monitor` have said, all of it: they are
    shown something to say last, and it is waited for."""
    monitors = [site.daemon(site.gateway, argv, name) for name, argv in (
        ("ip-monitor", ["ip", "-o", "monitor", "address", "route", "rule"]),
        ("nft-monitor", ["nft", "monitor"]))]
    numbers = itertools.count(1)

    def have_seen_a_marker():
        number = next(numbers)
        address, table = f"{MARKER}{number}", f"{MARKER_TABLE}{number}_"
        site.gateway.ip(f"addr add {address}/32 dev lo", f"addr del {address}/32 dev lo")
        site.gateway.run(["nft", f"add table ip {table}; delete table ip {table}"])
        try:
            wait_until(lambda: f"{address}/" in monitors[0].output() and table in monitors[1].output(),
                       "the monitors to see the marker", timeout=1)
        except TimeoutError:
            return False
        return True

    def changes():
        wait_until(have_seen_a_marker, "the monitors to have seen all")
        return [line for monitor in monitors for line in monitor.output().splitlines()
                if MARKER not in line and MARKER_TABLE not in line and not line.startswith("# new generation")]

    changes()
    yield changes
    for monitor in monitors:
        monitor.stop()
