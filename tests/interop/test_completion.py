"""bash completes what sixgatectl says in its own --help, and nothing else."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / os.environ.get("SIXGATE_BUILD", "build") / "sixgatectl"
HARNESS = r"""
source /usr/share/bash-completion/bash_completion
source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*"
COMP_POINT=${#COMP_LINE}
_sixgatectl
printf '%s\n' "${COMPREPLY[@]}"
"""


def complete(*words, cwd="/"):
    """What bash offers for the last word."""
    out = subprocess.run(["bash", "-c", HARNESS, "bash", ROOT / "gateway" / "sixgatectl.bash",
                          "sixgatectl", *words], capture_output=True, text=True, check=False, cwd=cwd)
    assert out.stderr == ""
    return sorted(out.stdout.split())


@pytest.fixture(scope="module")
def usage():
    return subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout


def commands(usage):
    """Each command that the usage lines name, as a list of its words."""
    found = []
    for line in re.findall(r"^(?:usage:)? +sixgatectl (.*(?:\n {17,}.*)*)", usage, re.MULTILINE):
        words = re.sub(r"\[[^]]*\]", " ", line).split()
        words = [word for word in words if re.fullmatch(r"[a-z|-]+", word) and not word.startswith("-")]
        words = [word for word in words if word != "|"]
        if words:
            found.append([word.split("|") for word in words])
    return found


def test_every_option(usage):
    assert complete("--") == sorted(set(re.findall(r"--[a-z-]+", usage)))


def test_every_command(usage):
    assert complete("") == sorted({first for words in commands(usage) for first in words[0]})


def test_what_follows_net(usage):
    expected = {word for words in commands(usage) if words[0] == ["net"] for word in words[1]}
    assert "teardown" in expected
    assert complete("net", "") == sorted(expected)
    assert complete("--json", "--config", "/x", "net", "te") == ["teardown"]


def test_files_and_directories(tmp_path):
    (tmp_path / "some.conf").touch()
    (tmp_path / "some.d").mkdir()
    assert complete("--config", "some.c", cwd=tmp_path) == ["some.conf"]
    assert complete("--run-directory", "some", cwd=tmp_path) == ["some.d"]
    assert complete("net", "plan", "so", cwd=tmp_path) == []


def test_values():
    assert complete("who", "--protocol", "") == ["tcp", "udp"]
    assert complete("ban", "--for", "") == []
    assert complete("--reason", "net", "unb") == ["unban"]
