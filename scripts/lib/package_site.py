"""The life of the package on a machine with systemd, from install to purge. Runs in the container that
scripts/package-test has booted, with the packages in /packages: package_site.py VERSION NEXT"""

import contextlib
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

VERSION, NEXT = sys.argv[1:]
UNIT = "sixgate.service"
CONFIG = Path("/etc/sixgate/sixgated.conf")
LOG = Path("/var/log/sixgate/access.json")
CLIENT6, CLIENT4, VIP6, VIP4 = "2001:db8:1::10", "198.51.100.10", "2001:db8:80::1", "203.0.113.80"
GATEWAY4, SERVER4 = "192.0.2.1", "192.0.2.10"
DRAIN = 6

# Everything that takes a right: an address, a port below 1024, a prefix, a client's own address, raw ICMP.
SITE = f"""
access-log = "{LOG}"
drain = {DRAIN}s
network {{ interface = "front"  address = {{ "{VIP6}/128", "{VIP4}" }} }}
listener "web"    {{ bind = "[{VIP6}]:80" pool = "web" }}
listener "prefix" {{ bind = "[2001:db8:81::/64]:80" pool = "web" }}
listener "old"    {{ bind = "{VIP4}:80" pool = "plain" identity = transparent }}
listener "dns"    {{ protocol = udp bind = "[{VIP6}]:53" pool = "dns" }}
listener "held"   {{ bind = "[{VIP6}]:8081" pool = "web" accept = after-backend }}
listener "down"   {{ bind = "[{VIP6}]:8080" pool = "down" }}
listener "slow"   {{ bind = "[{VIP6}]:7000" pool = "slow" identity = none }}
pool "web"   {{ backend "{SERVER4}:80" {{}} check {{ type = http }} }}
pool "down"  {{ backend "{SERVER4}:9" {{}} check {{ type = tcp  interval = 200ms }} }}
pool "plain" {{ backend "{SERVER4}:81" {{}} }}
pool "dns"   {{ backend "{SERVER4}:53" {{}} }}
pool "slow"  {{ backend "{SERVER4}:7000" {{}} }}
"""

NGINX = f"""
user root;
pid /run/nginx-site.pid;
daemon off;
events {{}}
http {{
    log_format who '$proxy_protocol_addr $remote_addr';
    access_log /run/nginx-site.log who;
    server {{ listen {SERVER4}:80 proxy_protocol; return 200 "$proxy_protocol_addr\\n"; }}
    server {{ listen {SERVER4}:81; return 200 "$remote_addr\\n"; }}
}}
"""


def run(*argv, check=True, **options):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                          **{"timeout": 120, **options})
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def shell(script):
    return run("sh", "-euc", script).stdout


def apt(*argv):
    """There is no network: what is needed has been downloaded."""
    return run("apt-get", "--yes", "--quiet", "--no-install-recommends", *argv)


def packages(where):
    return sorted(map(str, Path(where).glob("*.deb")))


def show(property_):
    return run("systemctl", "show", "--value", "--property", property_, UNIT).stdout.strip()


def main_pid():
    return int(show("MainPID"))


def is_active():
    return run("systemctl", "is-active", UNIT, check=False).stdout.strip() == "active"


def wait_until(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)
    return found


def systemctl(verb):
    run("systemctl", verb, UNIT)


def running_version():
    return run(f"/proc/{main_pid()}/exe", "--version").stdout.split()[1]


def expect(value, wanted, what):
    if value != wanted:
        raise AssertionError(f"{what}: {value!r} and not {wanted!r}")


def kernel_state():
    """What there is of the gateway's."""
    return shell(f"""
        ip -o addr show | grep -e {VIP6} -e {VIP4} || true
        ip -4 route show table all proto 166
        ip -6 route show table all proto 166
        ip rule show | grep 166: || true
        nft list tables | grep sixgate || true
    """)


# ---- a site: client ── gateway (this machine) ── server ----

def in_namespace(name, *argv, **options):
    return run("ip", "netns", "exec", name, *argv, **options)


def make_site():
    shell(f"""
        for side in client:front:2001:db8:1::1/64:198.51.100.1/24 server:back::{GATEWAY4}/24; do
            name=${{side%%:*}}
            ip netns add $name
            ip -n $name link set lo up
        done
        ip link add front type veth peer name eth0 netns client
        ip link add back type veth peer name eth0 netns server
        ip link set front up
        ip link set back up
        ip -n client link set eth0 up
        ip -n server link set eth0 up
        ip addr add 2001:db8:1::1/64 dev front nodad
        ip addr add 198.51.100.1/24 dev front
        ip addr add {GATEWAY4}/24 dev back
        ip -n client addr add {CLIENT6}/64 dev eth0 nodad
        ip -n client addr add {CLIENT4}/24 dev eth0
        ip -n client route add default via 2001:db8:1::1
        ip -n client route add default via 198.51.100.1
        ip -n server addr add {SERVER4}/24 dev eth0
        ip -n server route add default via {GATEWAY4}
        sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.back.rp_filter=0
    """)
    Path("/run/nginx-site.conf").write_text(NGINX)
    for argv in (["nginx", "-c", "/run/nginx-site.conf"], [sys.executable, "-B", __file__, "serve", ""]):
        subprocess.Popen(["ip", "netns", "exec", "server", *argv], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL)


def serve():
    """In the server's namespace: echoes, by TCP on port 7000 and by UDP, and answers what it was sent."""
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((SERVER4, 53))
    listener = socket.create_server((SERVER4, 7000))

    def echo(connection):
        with connection, contextlib.suppress(ConnectionResetError):
            while data := connection.recv(4096):
                connection.sendall(data)

    def accept():
        while True:
            threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    while True:
        data, peer = datagrams.recvfrom(4096)
        datagrams.sendto(data, peer)


def fetch(address, port=80):
    host = f"[{address}]" if ":" in address else address
    return in_namespace("client", "curl", "--silent", "--show-error", "--globoff", "--max-time", "5",
                        f"http://{host}:{port}/").stdout.strip()


def can_connect():
    return in_namespace("client", "curl", "--silent", "--globoff", "--max-time", "2", f"http://[{VIP6}]/",
                        check=False).returncode == 0


TALK = """
import socket, sys
with socket.create_connection((sys.argv[1], 7000), 5) as s:
    s.settimeout(60)
    for line in sys.stdin.buffer:
        s.sendall(line)
        assert s.makefile("rb").readline() == line
        print(line.decode().strip(), flush=True)
"""


class Talk:
    """A client's connection that lives as long as we like."""

    def __init__(self):
        self.process = subprocess.Popen(["ip", "netns", "exec", "client", sys.executable, "-c", TALK, VIP6],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.say("hello")

    def say(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        expect(self.process.stdout.readline().strip(), word, "what came back through the gateway")

    def end(self):
        self.process.stdin.close()
        expect(self.process.wait(10), 0, "the client's exit status")


STREAM = f"""
import hashlib, random, socket, sys, threading
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
block = random.Random(6).randbytes(1 << 20)
sent, received = hashlib.sha256(), hashlib.sha256()
with socket.create_connection(("{VIP6}", 7000), 10) as s:
    s.settimeout(30)
    n = [0, 0]
    def send():
        while not stop.is_set():
            piece = block[n[0] * 7919 % 900000:][:30011]
            s.sendall(piece)
            sent.update(piece)
            n[0] += len(piece)
        s.shutdown(socket.SHUT_WR)
    sender = threading.Thread(target=send)
    sender.start()
    while data := s.recv(65536):
        received.update(data)
        if n[1] >> 23 != n[1] + len(data) >> 23:
            print(n[1], flush=True)
        n[1] += len(data)
    sender.join()
assert (n[0], sent.digest()) == (n[1], received.digest()), n
print(n[1], flush=True)
"""

CONNECTIONS = f"""
import socket, sys, threading
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
done = 0
while not stop.is_set():
    word = b"connection %d" % done
    with socket.create_connection(("{VIP6}", 7000), 10) as s:
        s.settimeout(10)
        s.sendall(word)
        assert s.makefile("rb").read(len(word)) == word
    done += 1
    if done % 10 == 0:
        print(done, flush=True)
print(done, flush=True)
"""


class Client:
    """A script in the client's namespace that prints how far it is, until its input ends; fails at the first error."""

    def __init__(self, script):
        self.process = subprocess.Popen(["ip", "netns", "exec", "client", sys.executable, "-c", script],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)
        self.count = 0
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.count = int(line)

    def goes_on(self):
        before = self.count
        wait_until(lambda: self.count > before + 1 or self.process.poll() is not None, "a client goes on", 30)
        if self.process.poll() is not None:
            raise AssertionError(self.process.stderr.read())

    def end(self):
        self.process.stdin.close()
        expect(self.process.wait(60), 0, "a client's exit status, " + self.process.stderr.read())
        self.reader.join()
        return self.count


@contextlib.contextmanager
def nobody_notices():
    """While the block runs, new connections come one after the other and one streams: goes_on() checks that they do."""
    clients = [Client(STREAM), *(Client(CONNECTIONS) for _ in range(3))]

    def goes_on():
        for client in clients:
            client.goes_on()
    try:
        goes_on()
        yield goes_on
        goes_on()
        streamed, *connections = [client.end() for client in clients]
        print(f"    {streamed >> 20} MiB of one stream with the right checksum, {sum(connections)} new connections,"
              " none refused or reset")
    finally:
        for client in clients:
            client.process.kill()


class Requests:
    """Requests, one after the other, in the background."""

    def __enter__(self):
        self.done, self.errors, self.stop = 0, [], False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        return self

    def _run(self):
        while not self.stop:
            try:
                expect(fetch(VIP6), CLIENT6, "the address that nginx was told")
                self.done += 1
            except AssertionError as error:
                self.errors.append(str(error))

    def __exit__(self, *_):
        self.stop = True
        self.thread.join()


def check_site():
    expect(fetch(VIP6), CLIENT6, "what nginx is told of an IPv6 client")
    expect(fetch("2001:db8:81::abcd"), CLIENT6, "what nginx is told by way of a prefix")
    expect(fetch(VIP6, 8081), CLIENT6, "what nginx is told of a client that was held")
    expect(fetch(VIP4), CLIENT4, "the peer that nginx sees of a transparent connection")
    wait_until(lambda: "sixgate-guard" in run("nft", "list", "tables").stdout, "the kernel refuses clients of pool down")
    said = run("sixgatectl", "--json", "status").stdout
    expect(json.loads(said)["state"], "running", "what the gateway says of itself")
    expect(bool(re.search(r'"hold_held": ?[1-9]', said)), True, "a client was held")
    in_namespace("client", sys.executable, "-c", f"""
import socket
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
    s.settimeout(5)
    s.connect(("{VIP6}", 53))
    s.send(b"question")
    assert s.recv(4096).endswith(b"question")
""")


# ---- the course of a package's life ----

def install():
    apt("install", *packages("/packages"))
    expect(is_active(), True, "the service is active after the installation")
    expect(run("systemctl", "is-enabled", UNIT).stdout.strip(), "enabled", "is-enabled")
    expect(running_version(), VERSION, "the version that runs")
    expect(CONFIG.stat().st_mode & 0o777, 0o644, "the configuration's mode")
    for path, mode in (("/run/sixgate", 0o755), ("/var/lib/sixgate", 0o700), ("/var/log/sixgate", 0o750)):
        status = os.stat(path)
        expect((status.st_uid, status.st_mode & 0o777), (pwd.getpwnam("sixgate").pw_uid, mode), path)
    expect(Path("/proc/sys/fs/pipe-user-pages-soft").exists(), True, "the file of a sysctl of ours")
    expect("sixgate" in run("ip", "route", "add", "192.0.2.99", "dev", "lo", "proto", "sixgate").stderr, False,
           "ip knows the protocol")
    run("ip", "route", "del", "192.0.2.99", "dev", "lo", "proto", "sixgate")


def security():
    for options in (UNIT,), ("--offline=yes", f"/lib/systemd/system/{UNIT}"):
        verdict = run("systemd-analyze", "security", "--no-pager", *options).stdout
        exposure = re.search(r"Overall exposure level for sixgate.service: ([0-9.]+)", verdict)
        print("    " + exposure[0])
        if float(exposure[1]) > 2.0:
            raise AssertionError(verdict)
    expect(run("journalctl", "-u", UNIT, "-p", "warning", "-o", "cat").stdout, "", "warnings in the journal")
    run("sh", "/packages/tree/debian/tests/service")


def records():
    """The default configuration writes them to the journal."""
    run("curl", "--silent", "--max-time", "10", "http://[::1]:6464/", check=False)
    out = wait_until(lambda: run("journalctl", "-o", "cat", "SIXGATE_RECORD=access").stdout, "an access record", 40)
    print("    " + out.strip())
    expect(json.loads(out.splitlines()[0])["listener"], "web", "the record's listener")


def restart():
    make_site()
    CONFIG.write_text(SITE)
    before = main_pid()
    systemctl("restart")
    expect(main_pid() != before and is_active(), True, "another process is active")
    wait_until(lambda: run("sixgatectl", "net", "status", check=False).returncode == 0, "the network is set up")
    check_site()
    doctor = run("sixgatectl", "doctor", check=False).stdout.splitlines()
    expect([line for line in doctor if not line.startswith("ok ")],
           [f"WRONG   {SERVER4}:9 of pool down refuses connections: is the server running?"], "the doctor's findings")


def rotate():
    fetch(VIP6)
    wait_until(LOG.exists, "the access log")
    expect(LOG.stat().st_uid, pwd.getpwnam("sixgate").pw_uid, "the access log's owner")
    run("logrotate", "--force", "/etc/logrotate.d/sixgate")
    wait_until(lambda: LOG.exists() and LOG.stat().st_ino != Path(f"{LOG}.1").stat().st_ino, "a new access log")
    pid = main_pid()
    fetch(VIP6)
    wait_until(lambda: LOG.read_text().count("\n") == 1, "a record in the new access log")
    systemctl("reload")
    expect(main_pid(), pid, "the process after a reload")
    check_site()


def journal_of_root():
    """What root does with sixgatectl does not keep the gateway from doing the same as its own user."""
    systemctl("stop")
    expect(kernel_state(), "", "what is in the kernel after a stop")
    run("rm", "-r", "/run/sixgate")
    run("systemd-tmpfiles", "--create", "sixgate.conf")
    run("sixgatectl", "net", "apply")
    systemctl("start")
    check_site()


def bans():
    """They are kept across a restart, by a gateway that is not root."""
    run("sixgatectl", "ban", CLIENT6, "--for", "1h", "--reason", "a test")
    expect(can_connect(), False, "a banned client connects")
    systemctl("restart")
    expect(can_connect(), False, "a banned client connects after a restart")
    state = list(Path("/var/lib/sixgate").iterdir())
    expect({(p.stat().st_uid, p.stat().st_mode & 0o077) for p in state}, {(pwd.getpwnam("sixgate").pw_uid, 0)},
           f"owner and mode of {state}")
    run("sixgatectl", "unban", CLIENT6)
    check_site()


def drain():
    """A stop lets connections finish, for longer than systemd would wait of its own."""
    with drop_in("[Service]\nTimeoutStopSec=1s\n"):
        talk = Talk()
        began = time.monotonic()
        stop = subprocess.Popen(["systemctl", "stop", UNIT])
        wait_until(lambda: show("ActiveState") == "deactivating", "it stops")
        while time.monotonic() < began + DRAIN - 2:
            talk.say("still here")
            time.sleep(0.2)
        talk.end()
        expect(stop.wait(10), 0, "systemctl's exit status")
        expect(show("Result"), "success", "the unit's result")
        print(f"    a connection lived on for {time.monotonic() - began:.1f} s; TimeoutStopSec was 1 s")
    systemctl("start")


def other_process(before):
    return main_pid() not in (0, before) and is_active()


def journal_has(text):
    return text in run("journalctl", "-u", UNIT, "-o", "cat").stdout


@contextlib.contextmanager
def drop_in(text):
    path = Path("/run/systemd/system/sixgate.service.d/test.conf")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    run("systemctl", "daemon-reload")
    yield
    path.unlink()
    path.parent.rmdir()
    run("systemctl", "daemon-reload")


def without_a_gap():
    """Reloads, restarts, crashes: live connections go on and new ones are served."""
    with nobody_notices() as goes_on:
        for _ in range(3):
            before = main_pid()
            systemctl("reload")
            expect(main_pid(), before, "the process after a reload")
            goes_on()
            systemctl("restart")
            expect(other_process(before), True, "another process is active")
            goes_on()
            before = main_pid()
            os.kill(before, signal.SIGKILL)
            wait_until(lambda before=before: other_process(before), "systemd starts it again")
            goes_on()
            run("systemctl", "reset-failed", UNIT)  # or it would be too many starts
    expect(journal_has("restarting: workers serve on"), True, "a restart was known as one")
    check_site()
    expect(kernel_state() != "", True, "the network is set up")


def watchdog():
    """A supervisor that is stuck is replaced, and nobody notices."""
    with drop_in("[Service]\nWatchdogSec=1s\nTimeoutAbortSec=1s\n"), nobody_notices() as goes_on:
        systemctl("restart")
        for _ in range(2):
            before = main_pid()
            goes_on()
            time.sleep(2)
            expect(main_pid(), before, "the process, longer than the watchdog waits")
            os.kill(before, signal.SIGSTOP)
            wait_until(lambda before=before: other_process(before), "systemd starts another")
            goes_on()
    expect(journal_has("Watchdog timeout"), True, "the journal speaks of the watchdog")
    systemctl("restart")
    check_site()


def without_a_bus():
    """A restart is an end and a beginning then."""
    talk = Talk()
    run("systemctl", "stop", "dbus.socket", "dbus.service")
    before = main_pid()
    restart_ = subprocess.Popen(["systemctl", "restart", UNIT], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: journal_has("systemd cannot be asked over D-Bus"), "the reason is said")
    talk.say("still here")
    talk.end()
    expect(restart_.wait(20), 0, "systemctl's exit status")
    run("systemctl", "start", "dbus.socket")
    expect(other_process(before), True, "another process is active")
    check_site()


def upgrade():
    pid = main_pid()
    with Requests() as requests, nobody_notices() as goes_on:
        wait_until(lambda: requests.done > 3, "some requests")
        before = requests.done
        said = apt("install", *packages("/packages/next")).stdout
        expect("sixgate" in said, True, "apt speaks of the package")
        goes_on()
        wait_until(lambda: requests.done > before + 3, "requests after the upgrade")
    expect(requests.errors, [], "requests that failed")
    expect(main_pid(), pid, "the process after the upgrade")
    expect(CONFIG.read_text(), SITE, "the configuration after the upgrade")
    expect(run("sixgated", "--version").stdout.split()[1], NEXT, "the version that is installed")
    print(f"    {requests.done} requests, none failed")
    expect(running_version(), NEXT, "the version that runs after the upgrade")
    check_site()


def wrong_configuration():
    """Is not tried again and again, and does not make dpkg fail."""
    CONFIG.write_text(SITE + "\nlistner {}\n")
    expect(run("systemctl", "restart", UNIT, check=False).returncode != 0, True, "a wrong configuration is refused")
    expect(show("ExecMainStatus"), "78", "the exit status")
    expect(show("NRestarts"), "0", "attempts to start it again")
    apt("install", "--reinstall", *packages("/packages/next"))
    CONFIG.write_text(SITE)
    systemctl("start")
    check_site()


def leftovers():
    found = shell("find / /run -xdev \\( -path /packages -o -path /proc -o -path /sys -o -path /var/cache/apt "
                  "-o -path /var/log/journal -o -path /var/log/apt -o -path /var/lib/apt -o -path '/tmp' \\) -prune -o "
                  "\\( -name '*sixgate*' -o -name '*proxyhdr*' \\) -print").split()
    return found


def remove_and_purge():
    CONFIG.write_text(SITE.replace("network {", "network { keep = yes"))
    systemctl("restart")
    check_site()
    apt("remove", "sixgate")
    expect(run("pgrep", "sixgated", check=False).stdout, "", "processes after the removal")
    expect(CONFIG.exists(), True, "the configuration after the removal")
    expect(kernel_state(), "", "what is left in the kernel, though it was to be kept")
    apt("purge", "sixgate", "libproxyhdr1", "libproxyhdr-dev")
    expect(leftovers(), [], "files after the purge")
    pwd.getpwnam("sixgate")
    expect(shell("systemctl list-unit-files --no-legend '*sixgate*' || true"), "", "units after the purge")
    apt("install", *packages("/packages"))
    expect(is_active(), True, "the service is active when installed again")
    apt("purge", "sixgate", "libproxyhdr1", "libproxyhdr-dev")


def autopkgtest():
    """In a namespace without our site; the container is the testbed. What starts services was run before."""
    done = run("autopkgtest", "--no-built-binaries",
               *packages("/packages"), *map(str, Path("/packages").glob("*.dsc")), "--", "null", check=False)
    text = done.stdout + done.stderr
    summary = text[text.rfind("summary"):]
    print("\n".join("    " + line for line in summary.splitlines()))
    for test in ("site", "library"):
        if not re.search(rf"^{test} +PASS", summary, re.MULTILINE):
            raise AssertionError(text)


STEPS = [install, security, records, restart, rotate, journal_of_root, bans, drain, without_a_gap, watchdog,
         without_a_bus, upgrade, wrong_configuration,
         remove_and_purge, autopkgtest]


def main():
    for step in STEPS:
        began = time.monotonic()
        print(f"{step.__name__.replace('_', ' ')} ...", flush=True)
        step()
        print(f"    ok, {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    if VERSION == "serve":
        serve()
    main()
