"""sixgatectl: every deliberate mistake is named by doctor, alone, with the command that mends it."""

import contextlib
import json
import os
import select
import shutil
import socket
import tempfile
import threading
from collections import namedtuple
from pathlib import Path

import pytest

from netsite import GATEWAY6, SERVER4, build_dir, wait_until
from netsite.site import nginx_http_paths
from netsite.web import answers

PORT = 7000
VIP = "2001:db8:90::1"
PREFIX = "2001:db8:91::/64"
VIP4 = "203.0.113.80"
SOURCE, FOREIGN_SOURCE = "192.0.2.2", "192.0.2.3"
IPV6_FREEBIND = 78
EX_NOPERM = 77

CONFIG = f"""
run-directory = "%s"
workers = 1
access-log = off
network {{
    interface = "front"
    address = {{ "{VIP}/128", "{VIP4}/32" }}
    source-interface = "back"
    source = {{ "{SOURCE}/32" }}
}}
listener "plain" {{ bind = {{ "[{VIP}]:{PORT}", "[{PREFIX}]:{PORT}" }} pool = "web" }}
listener "old" {{ bind = "{VIP4}:{PORT}" pool = "web" identity = transparent }}
pool "web" {{ source = {{ "{SOURCE}", "{FOREIGN_SOURCE}" }} backend "{SERVER4}:{PORT}" {{}} }}
"""

NOBODY = ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]


class Control:
    """sixgatectl for one configuration in the gateway of a site."""

    def __init__(self, site):
        self.site = site
        self.program = build_dir() / "sixgatectl"
        self.config = site.write("net.conf", CONFIG % (site.dir / "run"))
        self.wrapper = []

    def run(self, *words, wrapper=()):
        argv = [*self.wrapper, *wrapper, self.program, "--config", self.config, *words]
        result = self.site.gateway.run(argv, check=False)
        assert "Sanitizer" not in result.stderr, result.stderr
        return result

    def json(self, *words, **options):
        result = self.run("--json", *words, **options)
        return result.returncode, json.loads(result.stdout)

    def shell(self, command):
        return self.site.gateway.run([*self.wrapper, "sh", "-c", command])

    def apply(self):
        result = self.run("net", "apply")
        assert result.returncode == 0, result.stderr + result.stdout

    def bad(self, *words):
        """What doctor calls wrong or warns of; its exit status must say the same."""
        status, report = self.json("doctor", *words)
        wrong = [check for check in report["checks"] if check["status"] == "wrong"]
        assert status == (1 if wrong else 0), report
        assert report["ok"] == (not wrong)
        return [check for check in report["checks"] if check["status"] in ("wrong", "warn")]

    def wait_fine(self, *words):
        """A link that has just come up may take a moment until it is."""
        last = []

        def fine():
            last[:] = self.bad(*words)
            return not last
        try:
            wait_until(fine, "doctor finds nothing", 5)
        except TimeoutError:
            pytest.fail(f"doctor still finds {json.dumps(last, indent=1)}")


def listen_anyhow(namespace, host):
    """As the gateway would, but without it: it would mend what is broken before doctor sees it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = namespace.socket(family)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    else:
        listener.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
    listener.bind((host, PORT))
    listener.listen(128)
    return listener


def answer_anyhow(control):
    """At the control socket, as doctor looks whether the gateway is there."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(control.site.dir / "run" / "control.sock"))
    listener.listen(128)
    return listener


@pytest.fixture
def control(site):
    if not (build_dir() / "sixgatectl").exists():
        pytest.fail(f"{build_dir()}/sixgatectl is missing: run make first")
    made = Control(site)
    sockets = [site.server.listen(SERVER4, PORT)]
    site.gateway.sysctl("net.ipv4.ip_forward", 1)
    site.gateway.ip(f"addr add {FOREIGN_SOURCE}/32 dev back")
    yield made
    for listener in sockets:
        listener.close()


@pytest.fixture
def right(control):
    """A site that doctor finds nothing in."""
    control.apply()
    sockets = [listen_anyhow(control.site.gateway, host) for host in (VIP, PREFIX.split("/")[0], VIP4)]
    sockets.append(answer_anyhow(control))
    control.wait_fine()
    yield control
    for listener in sockets:
        listener.close()


Case = namedtuple("Case", "name broken check subject status words", defaults=((),))
PROC = "/proc/sys/net"
BACK_ROUTE = "192.0.2.0/24 dev back proto kernel scope link src 192.0.2.1"

CASES = [
    Case("link-down", "ip link set front down", "link", "front", "wrong"),
    Case("server-link-down", "ip link set back down", "link", "back", "wrong"),
    Case("lo-down", "ip link set lo down", "link", "lo", "wrong"),
    Case("ipv6-disabled", f"echo 1 > {PROC}/ipv6/conf/front/disable_ipv6", "ipv6", "front", "wrong"),
    Case("link-too-small-for-ipv6", "ip link set front mtu 1000", "ipv6", "front", "wrong"),
    Case("vip-missing", f"ip -6 addr del {VIP}/128 dev front", "address", VIP, "wrong"),
    Case("vip4-missing", f"ip -4 addr del {VIP4}/32 dev front", "address", VIP4, "wrong"),
    Case("vip-elsewhere", f"ip -6 addr del {VIP}/128 dev front; ip -6 addr add {VIP}/128 dev back nodad",
         "address", VIP, "wrong"),
    Case("vip-twice", f"ip -6 addr add {VIP}/128 dev back nodad", "address", VIP, "warn"),
    Case("source-of-network-missing", f"ip -4 addr del {SOURCE}/32 dev back", "address", SOURCE, "wrong"),
    Case("source-missing", f"ip -4 addr del {FOREIGN_SOURCE}/32 dev back", "source", FOREIGN_SOURCE, "wrong"),
    Case("rule-deleted", "ip -4 rule del priority 166", "rule", "166", "wrong"),
    Case("rule-in-front", "ip -4 route add default via 192.0.2.13; ip -4 rule add priority 10 lookup main",
         "rule", "166", "wrong"),
    Case("main-moved-in-front", "ip -4 route add default via 192.0.2.13; ip -4 rule add priority 10 lookup main;"
         " ip -4 rule del priority 32766", "rule", "166", "wrong"),
    Case("rule-of-few-routes-in-front", "ip -4 rule add priority 10 lookup main", "rule", "166", "warn"),
    Case("blackhole-rule-in-front", "ip -4 rule add priority 10 fwmark 0x1000/0x1000 blackhole",
         "rule", "166", "wrong"),
    Case("prefix-route-deleted", f"ip -6 route del local {PREFIX} table local", "route", PREFIX, "wrong"),
    Case("answer-route-deleted", "ip -4 route flush table 166", "route", "0.0.0.0/0", "wrong"),
    Case("nftables-deleted", "nft delete table inet sixgate", "nftables", "inet sixgate", "wrong"),
    Case("nftables-flushed", "nft flush ruleset", "nftables", "inet sixgate", "wrong"),
    Case("nftables-altered", "nft insert rule inet sixgate divert accept", "nftables", "inet sixgate", "wrong"),
    Case("blackhole", f"ip -4 route add blackhole {SERVER4}/32", "backend", SERVER4, "wrong"),
    Case("prohibit", f"ip -4 route add prohibit {SERVER4}/32 metric 5", "backend", SERVER4, "wrong"),
    Case("server-is-local", f"ip -4 route add local {SERVER4}/32 dev lo table local", "backend", SERVER4,
         "wrong", ("--no-connect",)),
    Case("subnet-without-route", f"ip -4 route del {BACK_ROUTE}", "backend", SERVER4, "wrong"),
    Case("mtu", "ip link set back mtu 1200", "mtu", SERVER4, "warn"),
    Case("route-mtu", f"ip -4 route change {BACK_ROUTE} mtu 1000", "mtu", SERVER4, "warn"),
    Case("rp-filter", f"echo 1 > {PROC}/ipv4/conf/all/rp_filter; ip -4 route add {SERVER4}/32 dev front",
         "rp_filter", "back", "wrong", ("--no-connect",)),
    Case("forwarding", f"echo 0 > {PROC}/ipv4/ip_forward", "forwarding", "net.ipv4.ip_forward", "warn"),
    Case("few-ports", f"echo '40000 40099' > {PROC}/ipv4/ip_local_port_range", "ports", "web", "wrong"),
    Case("not-many-ports", f"echo '40000 41999' > {PROC}/ipv4/ip_local_port_range", "ports", "web", "warn"),
    Case("somaxconn", f"echo 128 > {PROC}/core/somaxconn", "somaxconn", "net.core.somaxconn", "warn"),
]


def assert_mended(control, case):
    """The mistake is named, and nothing else; its command mends it."""
    found = control.bad(*case.words)
    assert [(one["check"], one["subject"], one["status"]) for one in found] == \
        [(case.check, case.subject, case.status)], json.dumps(found, indent=1)
    assert found[0]["mend"], found
    control.shell(found[0]["mend"])
    control.wait_fine(*case.words)
    _, report = control.json("doctor", *case.words)
    assert "ok" in [one["status"] for one in report["checks"]
                    if (one["check"], one["subject"]) == (case.check, case.subject)]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_mistake_is_named_and_mended(right, case):
    right.shell(case.broken)
    assert_mended(right, case)


def test_duplicate_address(right):
    """Another machine has the VIP: its address is not used until it is put there as ours."""
    right.site.client.ip(f"addr add {VIP}/128 dev eth0 nodad")
    right.site.gateway.sysctl("net.ipv6.conf.front.accept_dad", 1)
    right.shell(f"ip -6 addr del {VIP}/128 dev front; ip -6 addr add {VIP}/128 dev front")
    wait_until(lambda: "dadfailed" in right.shell("ip -6 addr show dev front").stdout, "the duplicate is seen")
    assert_mended(right, Case("", "", "address", VIP, "wrong"))


def test_address_that_nobody_set_up(right):
    """Without the section the address is the administrator's, and so is the command."""
    right.run("net", "teardown")
    text = f'run-directory = "{right.site.dir}/run"\n' \
           f'listener "l" {{ bind = "[2001:db8:1::99]:{PORT}" pool = "web" }}\n' \
           f'pool "web" {{ backend "{SERVER4}:{PORT}" {{}} }}\n'
    right.config = right.site.write("plain.conf", text)
    with listen_anyhow(right.site.gateway, "2001:db8:1::99"):
        assert_mended(right, Case("", "", "address", "2001:db8:1::99", "wrong"))


# ---- systemd-networkd ----------------------------------------------------------------------------

NETWORKD = [
    ("default", "true"),
    ("main-file", "printf '[Network]\\nManageForeignRoutes=yes\\n' > /etc/systemd/networkd.conf"),
    ("half", "printf '[Network]\\nManageForeignRoutes=no\\n' > /etc/systemd/networkd.conf"),
    ("later-drop-in", "printf '[Network]\\nManageForeignRoutingPolicyRules=yes\\n' > "
     "/run/systemd/networkd.conf.d/70-a.conf"),
]


@pytest.mark.parametrize("broken", [broken for _, broken in NETWORKD], ids=[name for name, _ in NETWORKD])
def test_networkd(right, broken):
    """All in a mount namespace whose /etc/systemd and /run/systemd are its own."""
    holder = right.site.daemon(right.site.gateway, [
        "unshare", "--mount", "sh", "-ec",
        "for d in /etc/systemd /run/systemd; do mkdir -p $d; mount -t tmpfs none $d; mkdir $d/networkd.conf.d; done;"
        " mkdir -p /run/systemd/netif/links; echo made; exec sleep 1000"], "holder")
    holder.wait_ready(lambda: "made" in holder.output())
    right.wrapper = ["nsenter", f"--target={holder.pid}", "--mount", "--root"]
    right.wait_fine()
    right.shell("echo x > /run/systemd/netif/links/2")
    right.shell(broken)
    assert_mended(right, Case("", "", "networkd", "systemd-networkd", "warn"))


# ---- what no command mends -----------------------------------------------------------------------

def test_port_that_another_program_has(right):
    """All is as it should be, but nobody answers at the control socket."""
    path = right.site.dir / "run" / "control.sock"
    path.rename(path.with_suffix(".away"))
    found = right.bad()
    assert {(one["check"], one["status"], one["mend"]) for one in found} == {("listener", "wrong", None)}
    assert len(found) == 3 and all("another program has" in one["text"] for one in found)
    path.with_suffix(".away").rename(path)
    right.wait_fine()


@pytest.fixture
def told(control):
    """A gateway whose clients all have a header, and a web server at two ports: one expects it."""
    site = control.site
    ports = {"expected": 7001, "unexpected": 7002}
    web = site.nginx(site.server, f"""
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    {nginx_http_paths()}
    access_log off;
    server {{ listen {SERVER4}:{ports["expected"]} proxy_protocol; }}
    server {{ listen {SERVER4}:{ports["unexpected"]}; }}
}}
""", [], name="web")
    for port in ports.values():
        web.wait_ready(lambda port=port: answers(site, SERVER4, port))

    def use(port, identity="proxy-v2"):
        control.config.write_text(f"""run-directory = "{site.dir}/run"
            state-directory = "{site.dir}/state"
            listener "l" {{ bind = "[{GATEWAY6}]:{PORT}" pool = "p" identity = {identity} }}
            pool "p" {{ backend "{SERVER4}:{port}" {{}} }}
        """)
        _, report = control.json("doctor")
        return [(one["status"], one["text"]) for one in report["checks"] if one["check"] == "header"]
    use.ports = ports
    return use


@pytest.mark.parametrize("identity", ["proxy-v2", "proxy-v1"])
def test_server_that_expects_no_header(told, identity):
    """It is found by its answer, for which doctor does not wait long."""
    said = []

    def found():
        said[:] = told(told.ports["unexpected"], identity)
        return [status for status, _ in said] == ["wrong"]
    wait_until(found, "doctor sees the answer in time", 30)
    assert "does not expect the PROXY header" in said[0][1] and '"HTTP/1.1 400 Bad Request"' in said[0][1]


def test_server_that_expects_the_header(told):
    for identity in ("proxy-v2", "proxy-v1"):
        assert [status for status, _ in told(told.ports["expected"], identity)] == ["ok"]
    assert told(told.ports["unexpected"], "none") == []


def test_server_that_ends_the_connection(told, control):
    """One that accepts and closes, which may be how it takes a check."""
    ender = control.site.server.listen(SERVER4, 7003)
    ended = threading.Event()

    def end_all():
        while not ended.is_set():
            if select.select([ender], [], [], 0.1)[0]:
                connection, _ = ender.accept()
                with connection, contextlib.suppress(OSError):  # it may be gone already
                    connection.recv(16)
    thread = threading.Thread(target=end_all)
    thread.start()
    try:
        wait_until(lambda: [status for status, _ in told(7003)] == ["warn"], "doctor sees the end in time", 30)
    finally:
        ended.set()
        thread.join()
        ender.close()


@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "silent"])
def test_server_that_does_not_answer(right, silent):
    right.config.write_text(right.config.read_text().replace(f"{SERVER4}:{PORT}", f"{SERVER4}:9"))
    if silent:
        right.site.server.run(["nft", "-f", "-"], stdin="add table ip t\n"
                              "add chain ip t c { type filter hook input priority 0; }\n"
                              "add rule ip t c tcp dport 9 drop\n")
    found = right.bad()
    assert [(one["check"], one["subject"], one["mend"]) for one in found] == [("connect", f"{SERVER4}:9", None)]
    assert "is the server running?" in found[0]["text"]
    assert right.bad("--no-connect") == []


def test_missing_link(right):
    right.config.write_text(right.config.read_text().replace('"front"', '"front9"'))
    found = right.bad()
    assert ("link", "front9", "wrong", None) in [
        (one["check"], one["subject"], one["status"], one["mend"]) for one in found]
    result = right.run("net", "plan")
    assert "waiting: interface front9 is missing" in result.stdout.splitlines()
    assert result.returncode == 1


def test_what_others_have_set_is_as_good(right):
    """An address of another length, and a local route, that do not carry our mark."""
    right.run("net", "teardown")
    right.shell(f"ip -6 addr add {VIP}/64 dev front nodad")
    right.shell(f"ip -6 route add local {PREFIX} dev lo table local proto static")
    right.run("net", "apply")
    right.wait_fine()
    assert right.run("net", "plan").returncode == 0
    assert right.run("net", "teardown").returncode == 0
    assert f"{VIP}/64" in right.site.gateway.addresses()


def test_prefix_that_cuts_off_neighbours(right):
    right.shell("ip -6 addr add 2001:db8:91::5/48 dev front nodad")
    found = right.bad()
    assert [(one["check"], one["status"], one["mend"]) for one in found] == [("neighbours", "warn", None)]


# ---- the gateway itself --------------------------------------------------------------------------

def test_gateway_is_started(control):
    """The command that doctor names starts it; it sets the network up by itself."""
    control.apply()
    found = control.bad()
    assert {(one["check"], one["status"]) for one in found} == {("listener", "wrong")}
    assert len(found) == 3
    control.shell(found[0]["mend"])
    control.wait_fine()


# ---- net plan, apply, status, teardown -----------------------------------------------------------

def test_life(control):
    result = control.run("net", "plan")
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert any(line.startswith(f"ip -6 addr add {VIP}/128 dev front") for line in lines)
    assert any(line.startswith("ip -4 rule add priority 166") for line in lines)
    assert any(line.startswith("nft") for line in lines) and any(line.startswith("\t") for line in lines)
    status, before = control.json("net", "status")
    assert status == 1 and before["last"] is None and before["nftables"] == "missing"
    assert before["present"] == [] and before["missing"] and not before["left_over"]

    applied = control.run("net", "apply")
    assert applied.returncode == 0
    assert applied.stdout == result.stdout
    assert control.run("net", "plan").returncode == 0
    status, plan = control.json("net", "plan")
    assert (status, plan) == (0, {"changes": False, "steps": [], "waiting": [], "nftables": "present"})
    status, after = control.json("net", "status")
    assert status == 0 and after["ok"] and after["nftables"] == "present"
    assert after["last"] == {"interrupted": False, "step": after["last"]["step"],
                             "command": after["last"]["command"]}
    assert len(after["present"]) == len(before["missing"])
    assert "last application: complete" in control.run("net", "status").stdout

    control.shell("nft add chain inet sixgate other")
    assert control.json("net", "status")[1]["nftables"] == "changed"
    text = control.config.read_text()
    control.config.write_text(text.replace("address = {", 'address = { "203.0.113.99",'))
    control.apply()
    control.config.write_text(text)
    status, left = control.json("net", "status")
    assert status == 1 and ["203.0.113.99" in line for line in left["left_over"]] == [True]

    down = control.site.gateway.run([control.program, "--run-directory", control.site.dir / "run", "net",
                                     "teardown"])
    assert "ip -6 addr del" in down.stdout
    status, gone = control.json("net", "status")
    assert gone["present"] == [] and gone["nftables"] == "missing"
    assert f"{GATEWAY6}/64" in control.site.gateway.addresses()


def test_interrupted_application_is_told(control):
    (control.site.dir / "run").mkdir()
    (control.site.dir / "run" / "net.journal").write_text("begin 3\ndo 1 ip -6 addr add x\n")
    assert "last application: interrupted at step 1: ip -6 addr add x" in control.run("net", "status").stdout
    result = control.run("net", "apply")
    assert result.returncode == 0
    assert "the last application was interrupted at step 1" in result.stderr
    assert "last application: complete" in control.run("net", "status").stdout


# ---- without capabilities ------------------------------------------------------------------------

@pytest.fixture
def ordinary(right):
    """What an ordinary user may read: the program and its configuration, outside of the site's folder."""
    directory = Path(tempfile.mkdtemp())
    os.chmod(directory, 0o755)
    shutil.copy(right.program, directory)
    shutil.copy(right.config, directory)
    right.program, right.config = directory / "sixgatectl", directory / "net.conf"
    yield right
    shutil.rmtree(directory)


def test_ordinary_user_sees_what_can_be_seen(ordinary):
    for words in (("net", "plan"), ("net", "status"), ("doctor",)):
        result = ordinary.run(*words, wrapper=NOBODY)
        assert result.returncode == EX_NOPERM, result.stdout + result.stderr
        assert "nftables: not read: CAP_NET_ADMIN is needed" in result.stdout
        assert result.stderr == ""
    status, report = ordinary.json("doctor", wrapper=NOBODY)
    assert status == EX_NOPERM and report["ok"]
    assert [one["check"] for one in report["checks"] if one["status"] != "ok"] == ["nftables"]
    assert ordinary.json("net", "plan", wrapper=NOBODY)[1]["nftables"] == "unknown"

    ordinary.shell(f"ip -6 addr del {VIP}/128 dev front")
    for words in (("net", "plan"), ("net", "status"), ("doctor",)):
        assert ordinary.run(*words, wrapper=NOBODY).returncode == 1


@pytest.mark.parametrize("command", ["apply", "teardown"])
def test_ordinary_user_changes_nothing(ordinary, command):
    before = ordinary.run("net", "status").stdout
    result = ordinary.run("net", command, wrapper=NOBODY)
    assert result.returncode == EX_NOPERM
    assert result.stderr == ("sixgatectl: cannot change the network: CAP_NET_ADMIN is needed: run it as root "
                             f"(sudo sixgatectl net {command})\n")
    assert ordinary.run("net", "status").stdout == before


# ---- the command line ----------------------------------------------------------------------------

@pytest.mark.parametrize("words, status", [
    ((), 64), (("net",), 64), (("net", "fly"), 64), (("net", "plan", "x"), 64), (("fly",), 64),
    (("doctor", "x"), 64), (("--fly", "doctor"), 64), (("--config",), 64), (("--no-connect", "net", "plan"), 64),
    (("--run-directory", "/x", "net", "plan"), 64), (("--run-directory", "x", "net", "teardown"), 64),
    (("--config", "/nowhere", "net", "plan"), 78), (("--config", "/nowhere", "net", "teardown"), 78),
    (("--help",), 0), (("--version",), 0)])
def test_command_line(module_site, words, status):
    result = module_site.gateway.run([build_dir() / "sixgatectl", *words], check=False)
    assert result.returncode == status
    assert bool(result.stdout) == (status == 0)
    assert result.stderr.startswith("sixgatectl: ") == (status != 0)


def test_mistyped_command(module_site):
    def said(word):
        return module_site.gateway.run([build_dir() / "sixgatectl", word], check=False).stderr

    assert said("statsu") == "sixgatectl: no such command: statsu; did you mean status?\n"
    assert said("docter") == "sixgatectl: no such command: docter; did you mean doctor?\n"
    assert said("upgrade") == "sixgatectl: no such command: upgrade; --help tells more\n"
    assert said("\33[31mx") == "sixgatectl: no such command: ?[31mx; --help tells more\n"  # a terminal reads it


def test_help_of_one_command(module_site):
    """Its own forms and no others; all of them without a command."""
    def lines(*words):
        said = module_site.gateway.run([build_dir() / "sixgatectl", *words, "--help"]).stdout.splitlines()
        return [line for line in said if "sixgatectl [" in line], said

    for words, form in ((["ban"], "ban PREFIX "), (["bans"], "status|bans|reload-lists"), (["status"], "status|bans|"),
                        (["set", "weight"], "set weight POOL"), (["drain", "gateway"], "drain gateway [--deadline")):
        forms, said = lines(*words)
        assert len(forms) == 1 and form in forms[0] and forms[0].startswith("usage: sixgatectl ["), said
        assert said[-1].endswith("sixgatectl(8) says more.")
    flows = lines("flows")[1]
    assert "--follow" in flows[2] and len(flows) == 4
    assert len(lines()[0]) > 15
