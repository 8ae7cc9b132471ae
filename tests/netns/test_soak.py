"""scripts/soak at its smallest: what it counts, draws and says."""

import csv
import os
import subprocess
import xml.dom.minidom
from collections import defaultdict

from flows import Error, Flows
from netsite import ROOT, build_dir


def test_a_short_one(tmp_path):
    """Reloads and a killed worker: nothing is refused, and only the killed worker's connections end."""
    done = subprocess.run(
        [ROOT / "scripts" / "soak", "--minutes", "0.45", "--warm-up", "0.15", "--rate", "50", "--flows", "40",
         "--reload-every", "4", "--kill-every", "8", "--sample-every", "2", "--out", tmp_path],
        env={**os.environ, "SIXGATE_BUILD": str(build_dir())}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=150, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said + (tmp_path / "errors.txt").read_text()
    assert "errors: 0 refused, 0 reset, 0 cut, 0 wrong, 0 late; " in said
    with open(tmp_path / "soak.csv", newline="", encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    assert not any(int(row["reloads"]) for row in rows if float(row["minute"]) <= 0.15), "a reload before the warm-up's end"
    assert len(rows) > 3 and int(rows[-1]["reloads"]) >= 2 and int(rows[-1]["kills"]) >= 1
    assert int(rows[-1]["ok"]) > 300 and float(rows[-1]["pss_mib"]) > 1 and int(rows[-1]["live"]) == 40
    svg = xml.dom.minidom.parse(str(tmp_path / "soak.svg")).documentElement
    assert svg.tagName == "svg" and len(svg.getElementsByTagName("polyline")) >= 10


def test_port_that_is_blamed_twice():
    """The one who had it when the first was killed is not forgotten with the second."""
    flows = Flows.__new__(Flows)
    flows.victims, flows.kills = defaultdict(list), []
    flows.blame([1, 2])
    first = Error("reset", "bulk", 1, flows.kills[0], flows.kills[0] - 60)
    stranger = Error("reset", "bulk", 3, flows.kills[0] + 0.001, flows.kills[0] - 60)
    late = Error("reset", "bulk", 2, flows.kills[0] + 9, flows.kills[0] + 5)
    flows.blame([1])
    assert [flows.is_expected(error) for error in (first, stranger, late)] == [True, False, False]
