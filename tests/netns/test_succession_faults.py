"""What dies while images follow each other, and what that costs: a table of it."""

import contextlib
import os
import signal
import stat
import time

import pytest
from control import result
from flows import Flows, client_ports, config, kill_worker, start_server

from netsite import build_dir, wait_until
from netsite.manager import Manager

TABLE = []
HEADINGS = ("killed or broken", "new", "refused", "reset", "flows of it", "lost with it", "others lost", "datagrams lost",
            "longest pause")


@pytest.fixture(scope="module", autouse=True)
def table():
    yield
    rows = [HEADINGS, *TABLE]
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(HEADINGS))]
    print()
    for row in rows:
        print("  ".join(str(cell).rjust(width) if i else str(cell).ljust(width)
                        for i, (cell, width) in enumerate(zip(row, widths))))


class Fault:
    """A gateway with a manager behind it and flows through it. killed: how many flows the killed ones had."""

    def __init__(self, site, manager):
        self.site, self.manager, self.killed = site, manager, 0
        start_server(site)
        self.text = config(site)
        self.daemon = manager.start(self.text)
        wait_until(manager.has_estate, "what is kept")
        self.flows = Flows(site, (20, 40, 20, 20), 100, late_ms=60000)  # as long as those of before are stopped, flows wait
        self.flows.wait_live()
        self.flows.wait_second(1)
        self.began = time.monotonic()

    def workers(self):
        return [worker["pid"] for worker in result(self.site, "status")["workers"] if worker["pid"]]

    def begin(self, binary=None):
        result(self.site, "reload", **({"binary": str(binary)} if binary else {}))

    def trial_ended(self):
        wait_until(lambda: not result(self.site, "generation")["trying"], "the trial's end", 30)
        return result(self.site, "generation")["failure"]

    def kill_worker(self, pid):
        self.killed += kill_worker(self.flows, self.daemon, pid)

    def start_again(self):
        """What a service manager does when the supervisor was killed."""
        self.daemon.process.wait(20)
        self.daemon = self.manager.start(self.text)

    def write_config(self, text):
        self.site.write("sixgated.conf", text)

    def script(self, name, text):
        path = self.site.write(name, f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def settled(self):
        """Nobody of before is there any more, and everything goes on."""
        def alone():
            with contextlib.suppress(OSError, EOFError):
                now = result(self.site, "generation")
                return not now["trying"] and now["workers_before"] == 0
            return False
        wait_until(alone, "those of before have left", 40)
        self.flows.wait_second(2)
        self.flows.wait_live(20)


def children(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]
    return []


def killed_soon(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


# ---- what is done to it ----------------------------------------------------------------------------

def the_supervisor(fault):
    killed_soon(fault.daemon.pid)
    fault.start_again()


def a_worker(fault):
    fault.kill_worker(fault.workers()[0])


def all_workers(fault):
    for pid in fault.workers():
        fault.kill_worker(pid)


def the_logger(fault):
    loggers = [pid for pid in children(fault.daemon.pid) if pid not in fault.workers()]
    assert len(loggers) == 1
    killed_soon(loggers[0])


def a_trial(fault, moment, with_child=False):
    """At a moment after it began, or when it has workers of its own."""
    before = set(children(fault.daemon.pid))
    fault.begin()
    pid = wait_until(lambda: next(iter(set(children(fault.daemon.pid)) - before), None), "the trial")
    deadline = time.monotonic() + moment
    while time.monotonic() < deadline or (with_child and not children(pid) and os.path.exists(f"/proc/{pid}/fd")):
        pass
    killed_soon(pid)


def a_trial_at_once(fault):
    a_trial(fault, 0)


def a_trial_after_10_ms(fault):
    a_trial(fault, 0.01)


def a_trial_with_workers(fault):
    a_trial(fault, 0, with_child=True)


def an_image_after_exec(fault):
    """The program that was tried becomes the supervisor, and is killed before its first line."""
    fault.begin(fault.script("dies", f'[ -e "{fault.site.dir}/tried" ] && kill -9 $$\n'
                             f': > "{fault.site.dir}/tried"\nexec {build_dir().resolve()}/sixgated "$@"'))
    fault.start_again()


def an_image_with_workers(fault):
    """Killed when it begins to have workers of its own."""
    before = set(children(fault.daemon.pid))
    generation = result(fault.site, "generation")["generation"]
    fault.begin()

    def serves():
        with contextlib.suppress(OSError, EOFError):
            return result(fault.site, "generation")["generation"] > generation
        return len(set(children(fault.daemon.pid)) - before) > 2
    wait_until(serves, "the next image", 30)
    killed_soon(fault.daemon.pid)
    fault.start_again()


@contextlib.contextmanager
def handover(fault):
    """Old workers that hand over when the block ends; gives (old, new)."""
    old = fault.workers()
    generation = result(fault.site, "generation")["generation"]
    for pid in old:
        os.kill(pid, signal.SIGSTOP)
    try:
        fault.begin()

        def new():
            with contextlib.suppress(OSError, EOFError):
                # In this order: the other way round, the workers might be those of before.
                if result(fault.site, "generation")["generation"] > generation:
                    pids = [worker["pid"] for worker in result(fault.site, "status")["workers"] if worker["ready"]]
                    return len(pids) == len(old) and pids
            return None
        yield old, wait_until(new, "new workers", 60)
    finally:
        for pid in old:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def a_new_worker_in_the_handover(fault):
    with handover(fault) as (_, new):
        victim = new[0]
    wait_until(lambda: client_ports(victim, but=[pid for pid in fault.daemon.pids() if pid != victim]), "flows of its own")
    fault.kill_worker(victim)


def an_old_worker_before_the_handover(fault):
    with handover(fault) as (old, _):
        fault.kill_worker(old[0])


def an_old_worker_in_the_handover(fault):
    with handover(fault) as (old, new):
        victim = old[0]
    wait_until(lambda: client_ports(new[0]) or client_ports(new[1]), "flows that moved")
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it has given all, and left
        fault.kill_worker(victim)


def a_broken_configuration(fault):
    fault.write_config(fault.text.replace("drain", "drian"))
    with pytest.raises(AssertionError, match="drian"):
        fault.begin()
        raise AssertionError(fault.trial_ended())
    fault.write_config(fault.text)


def a_binary_that(fault, text, words):
    fault.begin(fault.script("other", text))
    reason = fault.trial_ended()
    assert words in reason, reason


def a_binary_that_crashes(fault):
    a_binary_that(fault, "kill -SEGV $$", "killed by signal 11")


def a_binary_that_exits(fault):
    a_binary_that(fault, "exit 3", "status 3")


def a_binary_that_hangs(fault):
    a_binary_that(fault, "sleep 1000", "not ready after 10 s")


FAULTS = (the_supervisor, a_worker, all_workers, the_logger, a_trial_at_once, a_trial_after_10_ms, a_trial_with_workers,
          an_image_after_exec, an_image_with_workers, a_new_worker_in_the_handover, an_old_worker_before_the_handover,
          an_old_worker_in_the_handover, a_broken_configuration, a_binary_that_crashes, a_binary_that_exits,
          a_binary_that_hangs)


@pytest.mark.parametrize("what", FAULTS, ids=lambda what: what.__name__)
def test_costs(site, what):
    """Nobody is refused, and no flow is lost but those of the process that was killed."""
    manager = Manager(site)
    fault = Fault(site, manager)
    flows = fault.flows
    try:
        what(fault)
        fault.settled()
        fault.begin()
        fault.settled()
    except BaseException:
        print(fault.daemon.errors())
        raise
    finally:
        flows.close()
    counts, unexpected = flows.counts(), flows.unexpected()
    new = [error for error in unexpected if error.kind == "new"]
    end = flows.seconds[-1]
    pause, kind, _ = flows.longest_pause(fault.began)
    TABLE.append((what.__name__.replace("_", " "), end["opened"], sum(error.what == "refused" for error in new),
                  sum(error.what != "refused" for error in new), fault.killed, counts["expected"],
                  len(unexpected) - len(new), end["lost"], f"{pause:.0f} ms ({kind})"))
    assert not unexpected, fault.daemon.errors()
    assert end["ok"] > 100
    assert fault.daemon.stop() == 0
    manager.close()
