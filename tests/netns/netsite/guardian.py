"""Clears a site away when its owner is gone, however it went: even SIGKILL closes the pipe on our stdin.

Run as: guardian.py DIRECTORY INODE...   The inodes are those of the site's network namespaces. We make the
directory ourselves and then say so on stdout, so that it never exists without somebody to remove it.

The owner may write one line of names: then the site is meant to stay, under these names, after the owner
has ended, until we get SIGTERM.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time


def processes_in(inodes):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{pid}/ns/net").st_ino in inodes:
                yield int(pid)
        except OSError:
            continue


def kill_all(inodes, owner):
    """Looks again until nothing is found, since a process may fork while we look."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [pid for pid in processes_in(inodes) if pid not in (owner, os.getpid())]
        if not found:
            return
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.005)


def clean(directory, inodes, names, owner):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    kill_all(inodes, owner)
    for name in names:
        subprocess.run(["ip", "netns", "delete", name], check=False)
    shutil.rmtree(directory, ignore_errors=True)


def let_go_of_terminal():
    """Whoever reads the owner's output, in a pipe perhaps, is to see its end when the owner ends."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)


def main():
    directory, inodes = sys.argv[1], {int(word) for word in sys.argv[2:]}
    owner = os.getppid()
    os.mkdir(directory, 0o700)
    names = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with contextlib.suppress(BrokenPipeError):
            os.write(sys.stdout.fileno(), b"ready\n")
        names = sys.stdin.readline().split()
        if names:
            let_go_of_terminal()
            signal.pause()
    finally:
        clean(directory, inodes, names, owner)


main()
