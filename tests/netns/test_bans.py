"""Bans: who is banned does not get as far as the listeners, and to nothing else is any difference."""

import contextlib
import errno
import re
import signal
import socket
import statistics
import struct
import threading
import time

import pytest
from control import Control, control_path, ctl, result
from headers import v2
from netsite import CLIENT4, CLIENT6, GATEWAY6, ROOT, SERVER4, VIP4, VIP6, Site, wait_until
from netsite.site import nginx_http_paths
from test_pools import PORT, counter
from wire import read_header

FRONT = 80
LIMIT_S = 0.05


@pytest.fixture
def site():
    with Site(ipv4_client=True) as made:
        yield made


@pytest.fixture
def start(site, gateway):
    def run(bind=f'"*:{FRONT}"', more="", **options):
        return gateway(config=f"""run-directory = "{site.dir}/run"
            state-directory = "{site.dir}/state"
            workers = 1
            drain = 1s
            listener "l" {{ bind = {{ {bind} }} pool = "p" }}
            pool "p" {{ backend "{SERVER4}:{PORT}" {{}} }}
            {more}
        """, **options)
    return run


@pytest.fixture
def server(site):
    """Takes connections, whose headers are read, and says who the client is; then ends them."""
    listener = site.server.listen(SERVER4, PORT)
    stop = threading.Event()

    def serve():
        listener.settimeout(0.01)
        while not stop.is_set():
            with contextlib.suppress(TimeoutError), listener.accept()[0] as connection:
                connection.settimeout(5)
                connection.sendall(str(read_header(connection).src).encode())

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener
    stop.set()
    thread.join()
    listener.close()


def sets(site):
    """What `nft list ruleset` shows of the sets, as {prefix: rest of its words}."""
    text = site.gateway.run(["nft", "list", "ruleset"]).stdout
    found = {}
    for elements in re.findall(r"elements = \{ ([^}]*)\}", text):
        for element in elements.split(","):
            prefix, _, rest = element.strip().partition(" ")
            found[prefix] = rest
    return found


def attempt(site, host=GATEWAY6, port=FRONT, source=None, timeout=0.3):
    """Who the server was told, "silence" or the name of an error."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with site.client.socket(family) as client:
            client.settimeout(timeout)
            if source:
                client.bind((source, 0))
            client.connect((host, port))
            client.settimeout(5)
            return client.recv(100).decode()
    except TimeoutError:
        return "silence"
    except OSError as error:
        return errno.errorcode[error.errno]


def test_effective_at_once_and_nowhere_else(site, start, server):
    """Whoever is banned hears nothing, others and other services all the same as before."""
    daemon = start()
    ssh = site.gateway.listen("::", 22)
    assert attempt(site) == CLIENT6 and attempt(site, VIP4) == CLIENT4
    assert ctl(site, "ban", "2001:db8:1::/64", "--for", "1h", "--reason", 'too "loud"').stdout.startswith(
        "banned 2001:db8:1::/64 until ")
    assert re.fullmatch(r"timeout (1h|59m59s\S*) expires 59m59s\S* comment \"too 'loud'\"",
                        sets(site)["2001:db8:1::/64"])
    assert attempt(site) == "silence" and attempt(site, VIP6) == "silence"
    assert attempt(site, VIP4) == CLIENT4
    assert attempt(site, port=23) == "ECONNREFUSED"
    with site.client.connect(GATEWAY6, 22, 5):
        pass
    ssh.close()
    assert re.search("^guard: table in place, 1 banned; packets: [1-9][0-9]* of banned, 0 refused$",
                     ctl(site, "status").stdout, re.MULTILINE)
    assert ctl(site, "unban", "2001:db8:1::/64").stdout == "unbanned 2001:db8:1::/64\n"
    assert attempt(site) == CLIENT6
    assert daemon.stop() == 0
    assert counter(daemon, "packets_banned") >= 2


def test_ipv4(site, start, server):
    start()
    ctl(site, "ban", CLIENT4)
    assert sets(site) == {CLIENT4: ""}
    assert attempt(site, VIP4) == "silence" and attempt(site) == CLIENT6
    ctl(site, "unban", CLIENT4)
    ctl(site, "ban", "::ffff:198.51.100.0/120")
    assert sets(site) == {"198.51.100.0/24": ""}
    assert attempt(site, VIP4) == "silence"


def test_ipv4_clients_of_an_ipv6_socket(site, start, server):
    start(bind=f'"[::]:{FRONT}"', more=f"""
        listener "m" {{ bind = "[::]:81" v6only = no pool = "p" }}
    """)
    assert attempt(site, VIP4, 81) == CLIENT4
    ctl(site, "ban", CLIENT4)
    assert attempt(site, VIP4, 81) == "silence"


def test_how_soon(site, start, server):
    """From the moment that the command begins to the moment that no packet is heard any more, and from the answer:
    a client sends a SYN every millisecond, and those before the ban are answered."""
    start()
    begun, answered = [], []
    with Control(control_path(site)) as control:
        for _ in range(20):
            assert attempt(site) == CLIENT6
            before = time.monotonic()
            assert control.ask("ban", prefix="2001:db8:1::/64")["ok"]
            after = time.monotonic()
            heard = last_heard(site, after + 0.02)
            begun.append(max(heard, after) - before)
            answered.append(max(0.0, heard - after))
            assert control.ask("unban", prefix="2001:db8:1::/64")["ok"]
    print(f"\na ban holds {statistics.median(begun) * 1000:.2f} ms after the command (most {max(begun) * 1000:.2f}), "
          f"packets heard for {max(answered) * 1000:.2f} ms at most after its answer")
    assert max(begun) < LIMIT_S and max(answered) == 0


def last_heard(site, until):
    """When a connection was answered the last time."""
    heard = 0.0
    while time.monotonic() < until:
        with site.client.socket() as client:
            client.setblocking(False)
            client.connect_ex((GATEWAY6, FRONT))
            time.sleep(0.001)
            if client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                with contextlib.suppress(OSError):
                    client.getpeername()
                    heard = time.monotonic()
    return heard


def test_connections_that_there_are(site, start):
    """They hear nothing any more, either: a ban is about packets."""
    start()
    with site.server.listen(SERVER4, PORT) as listener, site.client.connect(GATEWAY6, FRONT) as client:
        far = listener.accept()[0]
        read_header(far)
        client.sendall(b"before")
        assert far.recv(100) == b"before"
        ctl(site, "ban", CLIENT6)
        client.sendall(b"after")
        far.settimeout(0.3)
        with pytest.raises(TimeoutError):
            far.recv(100)
        ctl(site, "unban", CLIENT6)
        far.settimeout(10)
        assert far.recv(100) == b"after"
        far.close()


def test_datagrams(site, start):
    start(more=f"""
        listener "u" {{ protocol = udp bind = "[::]:53" pool = "q" }}
        pool "q" {{ backend "{SERVER4}:53" {{}} }}
    """)
    with site.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as far, \
            site.client.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        far.bind((SERVER4, 53))
        far.settimeout(5)
        client.sendto(b"one", (GATEWAY6, 53))
        assert far.recv(1000).endswith(b"one")
        ctl(site, "ban", CLIENT6)
        client.sendto(b"two", (GATEWAY6, 53))
        ctl(site, "unban", CLIENT6)
        client.sendto(b"three", (GATEWAY6, 53))
        assert far.recv(1000).endswith(b"three")


def test_prefixes_and_ranges_of_a_listener(site, start, server):
    start(bind='"[2001:db8:81::/64]:8000-8010"')
    site.client.ip("route add 2001:db8:81::/64 via 2001:db8:1::1")
    assert attempt(site, "2001:db8:81::7", 8003) == CLIENT6
    ctl(site, "ban", CLIENT6)
    assert attempt(site, "2001:db8:81::7", 8003) == "silence"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_through_a_restart(site, start, server, how):
    """Also the first packet after it is not heard: the table is there before the sockets are."""
    daemon = start()
    ctl(site, "ban", "2001:db8:1::/64", "--for", "1h", "--reason", "loud")
    ctl(site, "ban", "203.0.113.0/24")
    ctl(site, "ban", CLIENT4, "--for", "1h")
    ctl(site, "unban", "203.0.113.0/24")
    before = result(site, "bans")["bans"]
    assert (site.dir / "state").stat().st_mode & 0o777 == 0o700
    daemon.stop(how)
    wait_until(lambda: not site.gateway.pids(), "its processes to end")
    assert not sets(site)
    heard = []
    stop = threading.Event()

    def knock():
        while not stop.is_set():
            if attempt(site, timeout=0.01) == CLIENT6:
                heard.append(time.monotonic())

    thread = threading.Thread(target=knock)
    thread.start()
    start()
    after = result(site, "bans")["bans"]
    stop.set()
    thread.join()
    assert [(ban["prefix"], ban["until"], ban["reason"]) for ban in after] == [
        (ban["prefix"], ban["until"], ban["reason"]) for ban in before]
    assert set(sets(site)) == {"2001:db8:1::/64", CLIENT4}
    assert not heard
    assert attempt(site) == "silence"


def test_time_goes_on_while_the_gateway_is_down(site, start, server):
    daemon = start()
    ctl(site, "ban", CLIENT6, "--for", "1s")
    ctl(site, "ban", CLIENT4, "--for", "1h")
    assert daemon.stop() == 0
    time.sleep(1)
    start()
    assert [ban["prefix"] for ban in result(site, "bans")["bans"]] == [CLIENT4]
    assert 3500 < result(site, "bans")["bans"][0]["left_s"] < 3600
    assert attempt(site) == CLIENT6


def test_end_of_a_ban(site, start, server):
    daemon = start()
    began = time.monotonic()
    ctl(site, "ban", CLIENT6, "--for", "1s")
    assert attempt(site) == "silence"
    wait_until(lambda: attempt(site) == CLIENT6, "the end of the ban")
    assert 1 <= time.monotonic() - began < 3
    assert ctl(site, "bans").stdout == ""
    assert not sets(site)
    # Without a ban no packet is looked at.
    wait_until(lambda: "chain admit" not in site.gateway.run(["nft", "list", "ruleset"]).stdout, "the chain to go")
    assert daemon.stop() == 0


# Workers may open no file, so what it is ahead by is in memory that all have of one.
CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static volatile long *ahead;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
	ahead = mmap(NULL, sizeof(*ahead), PROT_READ, MAP_SHARED, open(getenv("CLOCK_AHEAD"), O_RDONLY | O_CLOEXEC), 0);
	real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int result;

	if (!real) /* a library's own constructor asks first */
		begin();
	result = real(id, ts);
	if (id == CLOCK_REALTIME)
		ts->tv_sec += *ahead;
	return result;
}
"""


def test_clock_is_set(site, start, server):
    """Ends are times of the day: when the clock is set, the kernel, which counts by another, has to be told."""
    source, library, ahead = site.write("clock.c", CLOCK), site.dir / "clock.so", site.dir / "ahead"
    site.gateway.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"])
    ahead.write_bytes(bytes(8))

    def set_clock(seconds):
        with ahead.open("r+b") as file:
            file.write(struct.pack("q", seconds))

    # A build with sanitizers wants to be the first library, and works all the same if it is not.
    daemon = start(env={"LD_PRELOAD": str(library), "CLOCK_AHEAD": str(ahead),
                        "ASAN_OPTIONS": "verify_asan_link_order=0"})
    ctl(site, "ban", CLIENT6, "--for", "1h")
    ctl(site, "ban", CLIENT4, "--for", "3h")
    set_clock(7200)
    wait_until(lambda: attempt(site) == CLIENT6, "the ban of an hour to be over", 15)
    assert re.search("bans: the clock was set by (7200|7199) s", daemon.errors())
    assert re.search("expires (59m|1h)", sets(site)[CLIENT4]) and CLIENT6 not in sets(site)
    set_clock(-3600)
    wait_until(lambda: re.search("expires (3h59m|4h)", sets(site)[CLIENT4]), "the other one to have four hours", 15)
    assert attempt(site, VIP4) == "silence"


def test_bans_within_one_another(site, start, server):
    """Each ends by itself: an inner one that outlives the outer one holds on."""
    start()
    ctl(site, "ban", CLIENT6, "--reason", "inner")
    ctl(site, "ban", "2001:db8:1::/64", "--for", "1s", "--reason", "outer")
    assert "within 2001:db8::/32" not in ctl(site, "ban", "2001:db8::/32", "--for", "2s").stdout
    assert set(sets(site)) == {"2001:db8::/32"}
    assert f"{CLIENT6}, within 2001:db8::/32: inner" in ctl(site, "bans").stdout
    assert attempt(site) == "silence"
    assert "still lies within 2001:db8::/32" in ctl(site, "unban", "2001:db8:1::/64").stdout
    wait_until(lambda: set(sets(site)) == {CLIENT6}, "the outer one to end")
    assert attempt(site) == "silence"
    ctl(site, "unban", CLIENT6)
    assert attempt(site) == CLIENT6
    ctl(site, "ban", "2001:db8:1::/64")
    ctl(site, "ban", CLIENT6)
    ctl(site, "unban", "2001:db8:1::/64")
    assert set(sets(site)) == {CLIENT6}


def test_same_prefix_again(site, start):
    """The later ban is the one that holds, be it longer or shorter."""
    start()
    ctl(site, "ban", CLIENT6, "--for", "1h", "--reason", "first")
    ctl(site, "ban", CLIENT6, "--for", "2h", "--reason", "second")
    assert "timeout 2h" in sets(site)[CLIENT6] and "second" in sets(site)[CLIENT6]
    ctl(site, "ban", CLIENT6)
    assert sets(site) == {CLIENT6: ""}
    assert len(result(site, "bans")["bans"]) == 1


@pytest.mark.parametrize(("words", "status", "said"), [
    (["ban"], 64, "ban needs a word: prefix"),
    (["ban", "nobody"], 64, 'prefix "nobody": this is no address'),
    (["ban", "::/0"], 64, "that is everybody"),
    (["ban", "192.0.2.1/33"], 64, "the length of a prefix is a number up to 128, or to 32 for IPv4"),
    (["ban", "192.0.2.1", "--for", "1"], 64, 'for "1": write a whole number with a unit'),
    (["ban", "192.0.2.1", "--for", "0s"], 64, "from 1s to 3650d"),
    (["ban", "192.0.2.1", "--for", "9999d"], 64, "from 1s to 3650d"),
    (["ban", "192.0.2.1", "--reason", "x" * 121], 64, "write up to 120 bytes without control characters"),
    (["ban", "192.0.2.1", "--reason", "a\nb"], 64, "without control characters"),
    (["unban", "192.0.2.1"], 1, "192.0.2.1 is not banned"),
    (["bans", "192.0.2.1"], 64, "one word too many"),
])
def test_mistakes(site, start, words, status, said):
    start()
    done = ctl(site, *words, check=False)
    assert done.returncode == status and said in done.stderr
    assert not sets(site) and not result(site, "bans")["bans"]


def test_damaged_file(site, start, server):
    """What can be read of it holds, the file is kept under another name, and the gateway starts."""
    state = site.dir / "state"
    state.mkdir()
    text = ('{"sixgate":"bans","version":1}\n'
            f'{{"ban":"{CLIENT6}","reason":"loud"}}\n'
            'garbage\n{"ban":"nobody"}\n{"ban":"192.0.2.7"}\n{"ban":"192.0.2.')
    (state / "bans").write_text(text)
    daemon = start()
    assert (f"bans: {state}/bans:3: this is no JSON object; 2 such lines are passed over, the file is now called "
            "bans.damaged-1") in daemon.errors()
    assert (state / "bans.damaged-1").read_text() == text
    assert set(sets(site)) == {CLIENT6, "192.0.2.7"}
    assert attempt(site) == "silence"
    wait_until(lambda: (state / "bans").exists(), "a file in its place")
    assert daemon.stop() == 0
    daemon = start()
    assert "damaged" not in daemon.errors()
    assert set(sets(site)) == {CLIENT6, "192.0.2.7"}


def test_directory_that_cannot_be_written(site, start, server):
    """The ban holds, and both the command and the log say that it would not outlive the gateway."""
    (site.dir / "state").write_text("in the way")
    daemon = start()
    done = ctl(site, "ban", CLIENT6)
    assert "it is not written down" in done.stderr
    assert f"bans: {site.dir}/state: Not a directory" in daemon.errors()
    assert attempt(site) == "silence"
    assert daemon.errors().count("bans:") == 1


def test_two_gateways_with_one_directory(site, start):
    first = start()
    ctl(site, "ban", "192.0.2.7")
    config = (site.dir / "sixgated0.conf").read_text()
    second = site.sixgated_config(config.replace(f":{FRONT}", ":81").replace("/run\"", "/run2\""), name="second")
    assert "another gateway keeps its bans there" in second.errors()
    assert second.stop() == 0
    assert first.stop() == 0


def test_without_rights(site, start, server):
    """The ban is kept and the client reset by the workers; the command says what it takes to enforce it well."""
    daemon = start(wrapper=["setpriv", "--inh-caps=-net_admin", "--bounding-set=-net_admin"])
    done = ctl(site, "ban", CLIENT6, check=False)
    assert done.returncode == 1 and done.stdout.startswith("banned")
    assert "bans are not enforced by the kernel" in done.stderr and "CAP_NET_ADMIN is needed" in done.stderr
    wait_until(lambda: attempt(site) == "ECONNRESET", "the workers have the list", 0.5)
    ctl(site, "unban", CLIENT6, check=False)
    assert attempt(site) == CLIENT6
    ctl(site, "ban", CLIENT6, check=False)
    wait_until(lambda: attempt(site) == "ECONNRESET", "the ban")
    assert daemon.stop() == 0
    assert counter(daemon, "banned") >= 2
    start()
    assert attempt(site) == "silence"


def named(site, client):
    """As a proxy in front of the gateway has it for its client."""
    with site.client.connect(GATEWAY6, FRONT) as connection:
        connection.sendall(v2(client, GATEWAY6 if ":" in client else VIP4))
        try:
            return connection.recv(100).decode()
        except ConnectionResetError:
            return "reset"


def test_client_that_a_proxy_names(site, gateway, server):
    """The kernel sees the proxy only, the workers see to its clients: from the start, and until it ends."""
    def start():
        return gateway(config=f"""run-directory = "{site.dir}/run"
            state-directory = "{site.dir}/state"
            workers = 2
            listener "l" {{ bind = "[::]:{FRONT}" pool = "p" accept-proxy {{ from = "{CLIENT6}" }} }}
            pool "p" {{ backend "{SERVER4}:{PORT}" {{}} }}
        """)
    daemon = start()
    ctl(site, "ban", "2001:db8:bad::/48")
    ctl(site, "ban", "2001:db8:bad:1::/64")  # within it
    ctl(site, "ban", "198.51.100.0/24", "--for", "1s")
    wait_until(lambda: named(site, "2001:db8:bad::1") == "reset", "the ban holds", 0.5)
    assert named(site, "2001:db8:bae::1") == "2001:db8:bae::1"
    wait_until(lambda: named(site, "198.51.100.7") == "198.51.100.7", "it has ended")
    ctl(site, "unban", "2001:db8:bad::/48")
    wait_until(lambda: named(site, "2001:db8:bad::1") == "2001:db8:bad::1", "it was taken back")
    assert named(site, "2001:db8:bad:1::1") == "reset"
    assert daemon.stop() == 0
    start()
    assert named(site, "2001:db8:bad:1::1") == "reset"
    assert named(site, "2001:db8:bad::1") == "2001:db8:bad::1"


def test_only_root_may(site, start):
    """Whoever else may connect may look."""
    from control import as_user

    start()
    path = control_path(site)
    path.parent.chmod(0o755)
    path.chmod(0o666)

    def codes():
        with Control(path) as control:
            return [control.ask("ban", prefix="192.0.2.1").get("code"),
                    control.ask("unban", prefix="192.0.2.1").get("code"), control.ask("bans")["ok"]]

    site.dir.chmod(0o755)
    assert as_user(1234, [], codes) == "['not-permitted', 'not-permitted', True]"


def test_thousands(site, start, server):
    """10,000 one by one, and what they cost a client who is not banned, and the last one."""
    daemon = start()
    count = 10000
    with Control(control_path(site)) as control:
        began = time.monotonic()
        for i in range(count):
            assert control.ask("ban", prefix=f"2001:db8:2:{i:x}::/64", **{"for": "1h"})["result"]["enforced"]
        seconds = time.monotonic() - began
        before = time.monotonic()
        assert control.ask("ban", prefix=CLIENT6)["ok"]
        last = time.monotonic() - before
        assert attempt(site) == "silence"
        assert len(control.ask("bans")["result"]["bans"]) == count + 1
    assert len(sets(site)) == count + 1
    assert attempt(site, VIP4) == CLIENT4
    assert daemon.stop() == 0
    began = time.monotonic()
    start()
    print(f"\n{count} bans in {seconds:.1f} s, one more in {last * 1000:.1f} ms, start with them in "
          f"{(time.monotonic() - began) * 1000:.0f} ms")
    assert len(sets(site)) == count + 1 and attempt(site) == "silence"
    assert last < LIMIT_S


def test_more_than_fit(site, start):
    start()
    lines = "".join(f'{{"ban":"10.{i >> 8}.{i & 255}.0/24"}}\n' for i in range(65536))
    ctl(site, "ban", "192.0.2.1")
    state = site.dir / "state"
    daemon = site.daemons[-1]
    assert daemon.stop() == 0
    (state / "bans").write_text('{"sixgate":"bans","version":1}\n' + lines)
    start()
    assert len(result(site, "bans")["bans"]) == 65536
    with Control(control_path(site)) as control:
        full = control.ask("ban", prefix="192.0.2.1")
        assert full["code"] == "busy" and "there are 65536 bans already" in full["error"]
        before = time.monotonic()
        assert control.ask("unban", prefix="10.1.0.0/24")["result"]["enforced"]
        assert control.ask("ban", prefix="192.0.2.1")["result"]["enforced"]
        print(f"\nat the limit: unban and ban in {(time.monotonic() - before) * 1000:.1f} ms")


def test_nobody_else_can_change_it(site, start):
    start()
    ctl(site, "ban", CLIENT6)
    site.gateway.run(["nft", "flush", "ruleset"])
    done = site.gateway.run(["nft", "delete", "element", "inet", "sixgate-guard", "banned6", f"{{ {CLIENT6} }}"],
                            check=False)
    assert "not permitted" in done.stderr
    assert set(sets(site)) == {CLIENT6}


def test_refusals_and_bans_together(site, start):
    """While the pool is down others are refused, and who is banned hears nothing."""
    daemon = start(more=f"""
        listener "d" {{ bind = "*:81" pool = "q" }}
        pool "q" {{ backend "{SERVER4}:9" {{}} check {{ interval = 100ms fall = 1 }} }}
    """)
    wait_until(lambda: "no backend is left" in daemon.errors(), "down")
    assert attempt(site, port=81) == "ECONNREFUSED"
    ctl(site, "ban", CLIENT6)
    assert attempt(site, port=81) == "silence" and attempt(site, VIP4, 81) == "ECONNREFUSED"
    ctl(site, "unban", CLIENT6)
    assert attempt(site, port=81) == "ECONNREFUSED"


# ---- fail2ban -------------------------------------------------------------------------------------

class Fail2ban:
    """Debian's, on the server, with a configuration and files of its own."""

    def __init__(self, site, log, action):
        self.site = site
        self.dir = site.dir / "fail2ban"
        for name in ("action.d", "filter.d", "jail.d", "fail2ban.d"):
            (self.dir / name).mkdir(parents=True)
        (self.dir / "action.d" / "sixgate.conf").write_text((ROOT / "gateway" / "fail2ban.conf").read_text())
        (self.dir / "fail2ban.conf").write_text(f"""[Definition]
loglevel = INFO
logtarget = {self.dir}/log
syslogsocket = auto
socket = {self.dir}/socket
pidfile = {self.dir}/pid
dbfile = None
dbpurgeage = 1d
dbmaxmatches = 10
""")
        (self.dir / "filter.d" / "login.conf").write_text(
            '[Definition]\nfailregex = ^<HOST> "GET /login\n')
        (self.dir / "jail.conf").write_text(f"""[DEFAULT]
banaction = sixgate
[login]
enabled = true
filter = login
backend = polling
logpath = {log}
maxretry = 3
findtime = 600
bantime = 600
usedns = no
ignoreself = false
action = {action}
""")
        self.daemon = site.daemon(site.server, ["fail2ban-server", "-f", *self.where(), "start"], "fail2ban-server")
        self.daemon.wait_ready(lambda: self.client("ping", check=False).returncode == 0)
        wait_until(lambda: "login" in self.client("status").stdout, "the jail")

    def where(self):
        return ["-c", self.dir, "-s", self.dir / "socket", "-p", self.dir / "pid"]

    def client(self, *words, check=True):
        return self.site.server.run(["fail2ban-client", *self.where(), *words], check=check)

    def log(self):
        return (self.dir / "log").read_text()


@pytest.fixture
def web(site):
    """nginx with real clients in its log."""
    site.nginx(site.server, f"""
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    {nginx_http_paths()}
    set_real_ip_from 192.0.2.1;
    real_ip_header proxy_protocol;
    log_format plain '$remote_addr "$request" $status [$time_local]';
    access_log access.log plain;
    server {{ listen {SERVER4}:{PORT} proxy_protocol; location / {{ return 403 "no\\n"; }} }}
}}
""", [PORT])
    return site.dir / "nginx" / "access.log"


def get(site, path, host=GATEWAY6, timeout=5):
    return site.client.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", timeout,
                            f"http://[{host}]:{FRONT}{path}" if ":" in host else f"http://{host}:{FRONT}{path}"],
                           check=False).stdout


def sixgatectl(site):
    from netsite import build_dir

    return f"{build_dir()}/sixgatectl --socket {control_path(site)}"


def test_fail2ban(site, start, web):
    """It reads the server's log, in which IPv6 clients have their own addresses, and has them banned at the gateway."""
    start()
    fail2ban = Fail2ban(site, web, f'sixgate[sixgatectl="{sixgatectl(site)}"]')
    assert get(site, "/") == "403"
    for _ in range(3):
        assert get(site, "/login") == "403"
    wait_until(lambda: CLIENT6 in sets(site), f"the ban; fail2ban said:\n{fail2ban.log()}", 20)
    assert "fail2ban:login" in sets(site)[CLIENT6] and re.match("timeout (10m|9m59s)", sets(site)[CLIENT6])
    assert get(site, "/", timeout=0.3) == "000"
    assert get(site, "/", VIP4) == "403"
    fail2ban.client("set", "login", "unbanip", CLIENT6)
    wait_until(lambda: not sets(site), "the unban")
    assert get(site, "/") == "403"
    for _ in range(3):
        get(site, "/login", VIP4)
    wait_until(lambda: CLIENT4 in sets(site), "the ban of an IPv4 client", 20)
    # What is over, or was ended by hand, is no error for it.
    ctl(site, "unban", CLIENT4)
    fail2ban.client("set", "login", "unbanip", CLIENT4)
    assert "ERROR" not in fail2ban.log()
    fail2ban.client("set", "login", "bantime", "-1")
    fail2ban.client("set", "login", "banip", "2001:db8:9::1")
    wait_until(lambda: "2001:db8:9::1" in sets(site), "a ban by hand, for ever")
    assert "timeout" not in sets(site)["2001:db8:9::1"]
    fail2ban.daemon.stop()
    wait_until(lambda: not sets(site), "all to be let in at its end")
    assert "ERROR" not in fail2ban.log()


def test_fail2ban_of_subnets(site, start, web):
    start()
    fail2ban = Fail2ban(site, web, f'sixgate[sixgatectl="{sixgatectl(site)}", prefix6=/64]')
    fail2ban.client("set", "login", "banip", "2001:db8:9::1")
    wait_until(lambda: "2001:db8:9::/64" in sets(site), "the subnet")
    fail2ban.client("set", "login", "unbanip", "2001:db8:9::1")
    wait_until(lambda: not sets(site), "the unban")
    assert "ERROR" not in fail2ban.log()
    fail2ban.daemon.stop()
