"""A successor that was good in its trial and cannot start after all: the image before it comes back."""

import os
import resource
import shutil
import signal
import subprocess

import pytest
from control import ctl
from netload import EchoServer
from netsite import BACKENDS, GATEWAY6, build_dir, wait_until
from test_succession import FRONT, PORT, alone, config, control, is_alive, load, ready, reload, script, write_config
from wire import echoes

# Takes the address on which the next image is to listen, and stays.
TAKE = """
import os, signal, socket, time
os.closerange(3, 65536)
taken = socket.socket(socket.AF_INET6)
while True:
    try:
        taken.bind(("::", 81))
        break
    except OSError:  # what was left running of the trial still has it
        time.sleep(0.01)
taken.listen()
if os.fork():
    os._exit(0)
signal.pause()
"""

# All children but the first, which is the logger, end at once. Whatever is executed next is free of it.
FORK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void forget(void)
{
	unsetenv("LD_PRELOAD");
}
pid_t fork(void)
{
	static int forks;
	pid_t pid = ((pid_t (*)(void))dlsym(RTLD_NEXT, "fork"))();
	if (forks++ > 0 && pid == 0)
		_exit(7);
	return pid;
}
"""


@pytest.fixture
def server(site):
    made = EchoServer(site.server, BACKENDS[0], PORT)
    yield made
    made.close()


def program(site, name, spoil):
    """One that is good in its trial; when it is executed in earnest, the words of a shell come first."""
    copy = site.dir / f"{name}-sixgated"
    shutil.copy(build_dir() / "sixgated", copy)
    return script(site, name, f'if [ -z "$SIXGATE_TRIAL" ]; then {spoil}\nfi\nexec {copy} "$@"')


def python(site, name, text):
    return f"/usr/bin/python3 {site.write(name, text)}"


def taken(site):
    return python(site, "take", TAKE), 'listener "more" { bind = "*:81" pool = "p" }', "[::]:81"


def log_gone(site):
    (site.dir / "logs").mkdir()
    return f"rm -r {site.dir}/logs", f'access-log = "{site.dir}/logs/access"', "access log"


def workers_die(site):
    subprocess.run(["cc", "-shared", "-fPIC", "-o", site.dir / "fork.so", site.write("fork.c", FORK), "-ldl"], check=True)
    return (f"export LD_PRELOAD={site.dir}/fork.so ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0", "",
            "worker ")


def list_gone(site):
    """What was read in the trial is gone."""
    (site.dir / "list").write_text("2001:db8::/32\n")
    return f"rm {site.dir}/list", f'listener "more" {{ bind = "*:81" pool = "p" clients {{ deny-file = "{site.dir}/list" }} }}', "list"


def falls_back(site, daemon, bad, reason):
    before = ready(daemon)
    told = ctl(site, "reload", "--binary", bad, check=False)
    assert told.returncode == 1 and reason in told.stderr, told.stdout + told.stderr + daemon.errors()
    assert "no successor: it could not start: " in told.stderr
    assert "the image before this one comes back: it could not start: " in daemon.errors()
    wait_until(lambda: ready(daemon) > before, "the image before is back")
    alone(daemon)
    # It is the image of before.
    assert os.path.samefile(f"/proc/{daemon.pid}/exe", build_dir() / "sixgated")


@pytest.mark.parametrize("spoil", [taken, log_gone, workers_die, list_gone])
def test_back(site, gateway, server, spoil):
    """Nobody notices but who has asked for the successor; and there can be another one."""
    good = config(site)
    daemon = gateway(config=good)
    words, more, reason = spoil(site)
    bad = program(site, "spoilt", words)
    clients = load(site, 10)
    try:
        with site.client.connect(GATEWAY6, FRONT) as live:
            assert echoes(live, b"before")
            write_config(site, daemon, good + more)
            for _ in range(2 if spoil is workers_die else 1):
                falls_back(site, daemon, bad, reason)
                clients.goes_on(10)
                assert echoes(live, b"after")
            assert control(site, "generation")["result"]["failure"]
            write_config(site, daemon, good)
            reload(daemon)
            assert control(site, "generation")["result"]["failure"] is None
            clients.goes_on(10)
            assert echoes(live, b"at last")
    finally:
        clients.close()
    assert (clients.lost, clients.broken) == ([], [])


def test_program_replaced(site, gateway, server):
    """The one that comes back has another one at its path by now, which the next reload takes."""
    path = site.dir / "sixgated"
    shutil.copy(build_dir() / "sixgated", path)
    daemon = gateway(config=config(site), build=site.dir)
    os.unlink(path)
    shutil.copy(build_dir() / "sixgated", path)
    words, more, reason = log_gone(site)
    write_config(site, daemon, config(site, more))
    before = ready(daemon)
    assert reason in ctl(site, "reload", "--binary", program(site, "spoilt", words), check=False).stderr
    wait_until(lambda: ready(daemon) > before, "the image before is back")
    assert os.readlink(f"/proc/{daemon.pid}/exe").endswith(" (deleted)")
    write_config(site, daemon, config(site))
    assert ctl(site, "reload").returncode == 0
    assert os.path.samefile(f"/proc/{daemon.pid}/exe", path)


def test_holder_comes_back(site, gateway, server):
    daemon = gateway(config=config(site, listener="accept = after-backend"))
    assert "has no effect" not in daemon.errors()
    clients = load(site, 5)
    try:
        words, more, reason = log_gone(site)
        write_config(site, daemon, config(site, more, listener="accept = after-backend"))
        before = ready(daemon)
        assert reason in ctl(site, "reload", "--binary", program(site, "spoilt", words), check=False).stderr
        wait_until(lambda: ready(daemon) > before, "the image before is back")
        alone(daemon, 3)
        clients.goes_on(10)
    finally:
        clients.close()
    assert (clients.lost, clients.broken) == ([], [])


@pytest.mark.parametrize("words", ["exit 3", "kill -ABRT $$", "exec /bin/false"])
def test_nothing_comes_back(site, manager, server, words):
    """A program that ends as soon as it is executed takes the supervisor along: the service manager starts another."""
    text = config(site)
    daemon = manager.start(text)
    wait_until(manager.has_estate, "what is kept")
    clients = load(site, 10)
    try:
        with site.client.connect(GATEWAY6, FRONT) as live:
            assert echoes(live, b"before")
            before = [pid for pid in daemon.pids() if pid != daemon.pid]
            control(site, "reload", binary=program(site, "spoilt", words))
            assert daemon.process.wait(20) != 0
            assert echoes(live, b"in between")
            manager.start(text)
            clients.goes_on(20)
            wait_until(lambda: not any(is_alive(pid) for pid in before), "those of before have left", 20)
            assert echoes(live, b"after")
            clients.goes_on(10)
    finally:
        clients.close()
    assert (clients.lost, clients.broken) == ([], [])


@pytest.mark.parametrize(("more", "reason"), [
    ('access-log = "{dir}/none/access"', "access log"),
    ('listener "x" {{ bind = "192.0.2.200:80" pool = "p" }}', "no interface has this address"),
])
def test_cannot_start_under_a_manager(site, manager, server, more, reason):
    """No way back, as the supervisor that failed was started by the manager: the workers before it live on."""
    text = config(site)
    daemon = manager.start(text)
    wait_until(manager.has_estate, "what is kept")
    clients = load(site, 10)
    try:
        with site.client.connect(GATEWAY6, FRONT) as live:
            assert echoes(live, b"before")
            daemon.kill(signal.SIGKILL)
            daemon.process.wait()
            with pytest.raises(RuntimeError, match=reason):
                manager.start(text + more.format(dir=site.dir))
            assert echoes(live, b"in between")
            manager.start(text)
            clients.goes_on(20)
            assert echoes(live, b"after")
    finally:
        clients.close()
    assert (clients.lost, clients.broken) == ([], [])


def test_few_descriptors(site, gateway, server):
    """However few may be open, a reload works or is refused, and nobody is without a gateway."""
    few, many = config(site, workers=1), config(site, workers=12)
    daemon = gateway(config=few)
    clients = load(site, 5)
    needed = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    reasons = []
    try:
        for more in range(240, 0, -20):
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (needed + more,) * 2)
            for text in (many, few):
                write_config(site, daemon, text)
                told = ctl(site, "reload", check=False)
                reasons += [told.stderr] if told.returncode else []
                assert daemon.alive(), daemon.errors()
                clients.goes_on(3)
    finally:
        clients.close()
    assert (clients.lost, clients.broken) == ([], []), daemon.errors()
    assert any("raise the limit of open files (LimitNOFILE=" in reason for reason in reasons), reasons
