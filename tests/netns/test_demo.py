"""The demo proves what it says, leaves nothing behind however it ends, and leaves a usable site with --keep."""

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from netsite import CLIENT6, GATEWAY4, ROOT, VIP6, build_dir, wait_until

DEMO = ROOT / "scripts" / "demo"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory for temporary files that only this test's demo uses, so that others' do not disturb. The
    build is named, so that demos side by side do not all run make."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("SIXGATE_BUILD", str(build_dir()))
    return tmp_path


def processes_naming(text):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def nothing_left(place):
    return not list(place.glob("sixgate-*")) and not processes_naming(f"{place}/sixgate-")


def start_demo(*options):
    # Its own process group, as under a terminal, so that an interrupt can be sent to all of it.
    return subprocess.Popen([DEMO, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, process_group=0)


@pytest.mark.parametrize("options", [(), ("--udp",)])
def test_proves_and_leaves_nothing(place, options):
    demo = start_demo(*options)
    output = demo.communicate(timeout=180)[0]
    assert demo.returncode == 0, output
    if not options:
        assert re.search(rf"^ *{CLIENT6} - {GATEWAY4} \[", output, re.MULTILINE), output
    assert CLIENT6 in output
    assert f'"src":"{CLIENT6}"' in output
    assert "Proven:" in output
    wait_until(lambda: nothing_left(place), "nothing left of the demo")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_leaves_nothing(place, number):
    for _ in range(5):
        demo = start_demo()
        # Where it is hit is left to chance on purpose: each moment has to be safe.
        wait_until(lambda: any(place.glob("sixgate-*")), "the site begins", 60)
        time.sleep(random.uniform(0, 0.2))
        os.killpg(demo.pid, number)
        demo.communicate(timeout=30)
        wait_until(lambda: nothing_left(place), f"nothing left after {number.name}")


def test_keep_leaves_a_site_and_says_how_to_use_and_remove_it(place):
    demo = start_demo("--keep")
    output = demo.communicate(timeout=180)[0]
    assert demo.returncode == 0, output
    removal = int(re.search(r"^ *kill (\d+)$", output, re.MULTILINE).group(1))
    try:
        command = re.search(r"^ *(ip netns exec \S+-client curl .*)$", output, re.MULTILINE).group(1)
        assert VIP6 in command
        answer = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30, check=True)
        assert answer.stdout.startswith("Hello, 2001:db8:1::")
    finally:
        os.kill(removal, signal.SIGTERM)
    wait_until(lambda: nothing_left(place), "nothing left after the removal")
    site = re.search(r"sixgate-[0-9a-f]+", command).group(0)
    assert not list(Path("/run/netns").glob(f"{site}-*"))
