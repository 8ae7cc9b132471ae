"""What sixgated says of its configuration and its command line, before it starts anything."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from netsite import build_dir

EX_USAGE = 64
EX_CONFIG = 78

POOL = 'pool "p" { backend "192.0.2.10:80" {} }\n'
LISTENER = 'listener "l" { bind = "[::1]:9" pool = "p" }\n'
GOOD = LISTENER + POOL

KNOWN = ("known here: workers, drain, max-flows, user, run-directory, control-group, state-directory, log, log-level, access-log, "
         "hold, who, metrics, network, resolve, listener, pool")
WRITE = "write 'name = value' or 'name { ... }'"
WHOLE = "name a configuration file of up to 1 MiB"


def sixgated(*args, **options):
    """Runs it to its end, which must come by itself and at once."""
    return subprocess.run([build_dir() / "sixgated", *args], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=20, check=False, **options)


def assert_refused(result, status, message):
    assert result.stderr.decode() == f"sixgated: {message}\n"
    assert result.stdout == b""
    assert result.returncode == status


@pytest.fixture
def config_file(tmp_path):
    def write(content):
        path = tmp_path / "sixgated.conf"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_good_file(config_file):
    path = config_file(f"""
# everything that there is
workers = 2
drain = 10s
max-flows = 1000
user = nobody
log = stderr
log-level = warning
access-log = off
listener "web" {{
    bind = {{ "*:80", "[fe80::1%lo]:81" }}
    protocol = tcp
    pool = "p"
    identity = proxy-v2
    v6only = yes
    backlog = 128
    timeouts {{ connect = 5s idle = 10m half-closed = 10m dead-peer = 30s }}
}}
pool "p" {{
    balance = round-robin
    source = {{ "192.0.2.1", "192.0.2.2" }}
    backend "192.0.2.10:80" {{ weight = 3 }}
    backend "192.0.2.11:80" {{}}
}}
""")
    result = sixgated("--check", path)
    assert result.stdout.decode() == f"{path}: ok\n"
    assert result.stderr == b""
    assert result.returncode == 0


def test_check_touches_nothing(config_file, tmp_path):
    """It neither listens, for the port is taken, nor opens the log, nor asks whether the user exists."""
    log = tmp_path / "access.log"
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        path = config_file(f'user = no-such-user-here\naccess-log = "{log}"\n'
                           f'listener l {{ bind = "[::1]:{port}" pool = p }}\n{POOL}')
        result = sixgated("--check", path)
    assert result.stdout.decode() == f"{path}: ok\n"
    assert result.returncode == 0
    assert not log.exists()


def test_byte_order_mark(config_file):
    path = config_file(b"\xef\xbb\xbf" + GOOD.encode())
    assert sixgated("--check", path).returncode == 0


def test_many_sections(config_file):
    """They are counted before anything is done with them that takes its time."""
    path = config_file("".join(f"pool x{i} {{}}\n" for i in range(70000)))
    begin = time.monotonic()
    assert_refused(sixgated("--check", path), EX_CONFIG,
                   f"{path}:4097: too many sections; a file may have 4096 in all")
    assert time.monotonic() - begin < 5


def test_odd_path(tmp_path):
    """A terminal gets to see a path, but not what would move its cursor."""
    path = tmp_path / "a\x1b[2J\n\x7f.conf"
    shown = f"{tmp_path}/a?[2J??.conf"
    assert_refused(sixgated("--check", path), EX_CONFIG, f"{shown}: No such file or directory; {WHOLE}")
    path.write_text("worker = 1", encoding="ascii")
    assert_refused(sixgated("--check", path), EX_CONFIG,
                   f"{shown}:1: unknown option 'worker'; did you mean 'workers'?")


def test_long_path():
    path = "/" + "n" * 3000
    assert_refused(sixgated("--check", path), EX_CONFIG, f"{'n' * 200}: File name too long; {WHOLE}")


BROKEN_FILES = [
    ("", '1: there is no listener; add: listener "web" { bind = "*:80" pool = "web" }'),
    (GOOD + "\n}", "4: this '}' closes nothing; remove it, or add the '{'"),
    ("listener l {\n timeouts {\n }\n", "1: this brace is never closed; a '}' is missing"),
    ('user = "nobody\n' + POOL.replace('"', ""), "1: this string never ends; a quotation mark is missing"),
    ("# one\n\n/* two\n" + GOOD, "3: this comment never ends; a '*/' is missing"),
    ("workers = 1\n" + GOOD + "workers = 1\n",
     '4: given a second time; write it once, or a list { "a", "b" }'),
    ("# comments\n/* do not\n disturb */ // the count\nworker = 1\n",
     "4: unknown option 'worker'; did you mean 'workers'?"),
    ("threads = 1\n", f"1: unknown option 'threads'; {KNOWN}"),
    ("listener l {\n\n binds = x }", "3: unknown option 'binds' in listener; did you mean 'bind'?"),
    ("workers 2\n", f"1: missing equal sign after option 'workers'; {WRITE}"),
    ("listener { }", "1: missing title for section 'listener'; write 'listener \"name\" { ... }'"),
    (POOL + POOL, "2: found duplicate title 'p'; give each a name of its own"),
    ('user = nobody\n"${}pool" x {}\n',
     "2: '${': the environment is not looked up; write the value itself"),
    ('\naccess-log = "/a\\tb"\n',
     "2: a backslash, which no option needs; write what is meant without one"),
    ("pool p {\n backend a {}\n backend a {}\n}",
     '3: backend "a": the pool has this backend already: give it a weight instead'),
    ("pool p {\n backend 192.0.2.1:80\n}", '3: a backend ends in { }, write: backend "192.0.2.10:80" {}'),
    ("listener l { bind = *:80 }", "1: '*' and '+' stand in strings only; write \"*:80\""),
    ("\nworkers = 1000\n", '2: workers "1000": workers is auto or a number from 1 to 256'),
    ("drain = 400d\n", '1: drain "400d": must be from 0s to 1d'),
    ("drain = 99999999999999999999s\n", '1: drain "99999999999999999999s": must be from 0s to 1d'),
    ("drain = 10\n", '1: drain "10": write a whole number with a unit, ms, s, m, h or d, like 5s'),
    ("drain = 25h\n", '1: drain "25h": must be from 0s to 1d'),
    ("max-flows = lots\n", '1: max-flows "lots": write a whole number from 0 to 1000000'),
    ("user = \"\"\n", '1: user "": user is the name of a user of this machine, like nobody'),
    ("log = stdout\n", '1: log "stdout": log is stderr or journal'),
    ("log-level = 3\n", '1: log-level "3": log-level is error, warning, info or debug'),
    ("access-log = yes\n",
     '1: access-log "yes": access-log is off, stdout, stderr, journal or a path from / on'),
    (POOL + 'listener "l" {\n}\n', '2: listener "l" has no address; add: bind = "*:80"'),
    (POOL + "listener l {\n bind = 2001:db8::1:80\n pool = p }",
     '3: bind "2001:db8::1:80": write an IPv6 address in brackets: [2001:db8::1]:80'),
    (POOL + 'listener l {\n bind = { "*:80",\n "*:80" }\n pool = p }',
     '4: bind "*:80": a listener has this address already: each may be bound once'),
    (POOL + "listener l {\n bind = [fe80::1%nope]:80\n pool = p }",
     '3: bind "[fe80::1%nope]:80": there is no interface of that name on this machine'),
    (POOL + "listener l { bind = [::]:80 }", '2: listener "l" has no pool; add: pool = "name"'),
    (POOL + "listener l { bind = [::]:80\n pool = q }",
     '3: pool "q": there is none of this name; add: pool "q" { backend "192.0.2.10:80" {} }'),
    (POOL + "listener l { bind = [::]:80 pool = p\n protocol = sctp }",
     '3: protocol "sctp": protocol is tcp or udp'),
    (POOL + "listener l { bind = [::]:80 pool = p\n identity = x-forwarded-for }",
     '3: identity "x-forwarded-for": identity is proxy-v2, proxy-v1, none or transparent'),
    (POOL + "listener l { bind = [::]:80 pool = p\n v6only = 1 }", '3: v6only "1": write yes or no'),
    (POOL + 'listener l { bind = "*:80" pool = p\n v6only = no }',
     '3: v6only "no": [::]:80 would take IPv4 clients of 0.0.0.0:80, too; bind one of them, or write '
     "v6only = yes"),
    (POOL + "listener l { bind = [::]:80 pool = p\n timeouts {\n idle = 1ms } }",
     '4: idle "1ms": must be from 1s to 30d'),
    ("pool p {\n}", '1: pool "p" has no backend; add: backend "192.0.2.10:80" {}'),
    ('pool p {\n backend "www.example.org" {} }',
     '2: backend "www.example.org": a backend is an IPv4 address or a name, and a port, like 192.0.2.10:80 or '
     "db.example:5432"),
    ('pool p {\n source = "2001:db8::1"\n}',
     '2: source "2001:db8::1": a source is an IPv4 address of this machine, like 192.0.2.1'),
    ("pool p {\n balance = least\n}", '2: balance "least": balance is round-robin, least-connections or maglev'),
    ("pool p { backend 192.0.2.1:80 {\n weight = 0.5 } }",
     '2: weight "0.5": write a whole number from 0 to 65535'),
    (b"workers = 1\n\0\n", "2: a zero byte; this is no text file"),
    (b"\x7fELF\x02\x01\x01\0\0", "1: a zero byte; this is no text file"),
]


@pytest.mark.parametrize("option", ["--check", "--config"])
@pytest.mark.parametrize(("content", "message"), BROKEN_FILES)
def test_broken_file(config_file, content, message, option):
    path = config_file(content)
    assert_refused(sixgated(option, path), EX_CONFIG, f"{path}:{message}")


def test_missing_file(tmp_path):
    path = tmp_path / "none.conf"
    assert_refused(sixgated("--check", path), EX_CONFIG, f"{path}: No such file or directory; {WHOLE}")


def test_directory(tmp_path):
    assert_refused(sixgated("--config", tmp_path), EX_CONFIG, f"{tmp_path}: Is a directory; {WHOLE}")


def test_file_too_large(config_file):
    path = config_file(GOOD.ljust((1 << 20) + 1))
    assert_refused(sixgated("--check", path), EX_CONFIG, f"{path}: File too large; {WHOLE}")
    assert sixgated("--check", config_file(GOOD.ljust(1 << 20))).returncode == 0


def test_unreadable_file():
    """Root may read everything, so another user tries, in a place that he may go to."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        program = shutil.copy(build_dir() / "sixgated", place)
        path = Path(place, "sixgated.conf")
        path.write_text(GOOD, encoding="ascii")
        path.chmod(0o600)
        result = sixgated("--check", path, executable=program, user="nobody")
    assert_refused(result, EX_CONFIG, f"{path}: Permission denied; {WHOLE}")


def test_file_from_a_pipe():
    """As the shell's <(...) gives it, by a writer that takes its time."""
    reader, writer = os.pipe()

    def write():
        os.write(writer, GOOD.encode())
        os.close(writer)

    timer = threading.Timer(0.2, write)
    timer.start()
    try:
        result = sixgated("--check", f"/dev/fd/{reader}", pass_fds=[reader])
    finally:
        timer.join()
        os.close(reader)
    assert result.stdout.decode() == f"/dev/fd/{reader}: ok\n"
    assert result.returncode == 0


LISTEN = "--listen=[::1]:9"
BACKEND = "--backend=192.0.2.10:80"
NOTHING = ("nothing to do: give --config FILE, or --listen '[::]:8080' --backend 192.0.2.10:80; "
           "--help tells more")

BROKEN_COMMANDS = [
    ([], NOTHING),
    (["--log-level=debug"], NOTHING),
    ([LISTEN], "--backend is missing: add --backend 192.0.2.10:80"),
    ([BACKEND], "--listen is missing: add --listen '[::]:8080'"),
    ([LISTEN, BACKEND, "start"], "start: what is this word for? Options begin with --"),
    (["--verbose"], "--verbose: there is no such option; --help lists them"),
    (["-v"], "-v: there is no such option; --help lists them"),
    (["-dv"], "-d: there is no such option; --help lists them"),
    (["--config"], "--config: its value is missing; --help shows what it takes"),
    (["--check=a", "--config=b"], "--config b: there is a file already, a; name one"),
    (["--config=a", LISTEN],
     "--listen: a file says all of this; give either --config or --listen and --backend, not both"),
    (["--listen=8080"],
     "--listen 8080: an address is missing: write all there are as '*', like '*:8080'"),
    (["--help=3"], "--help takes no value"),
    (["\x1b[2J"], "?[2J: what is this word for? Options begin with --"),
    (["--listen=[::]"],
     "--listen [::]: write an IPv6 address with its port as [2001:db8::1]:80"),
    (["--backend=[::1]:80"],
     "--backend [::1]:80: a backend is an IPv4 address or a name, and a port, like 192.0.2.10:80 or db.example:5432"),
    (["--identity=v2"], "--identity v2: identity is proxy-v2, proxy-v1, none or transparent"),
    (["--source=lo"], "--source lo: a source is an IPv4 address of this machine, like 192.0.2.1"),
    (["--workers=0"], "--workers 0: workers is auto or a number from 1 to 256"),
    (["--access-log=log"],
     "--access-log log: access-log is off, stdout, stderr, journal or a path from / on"),
    (["--log-level=trace"], "--log-level trace: log-level is error, warning, info or debug"),
    (["--user="], "--user : user is the name of a user of this machine, like nobody"),
]


@pytest.mark.parametrize(("args", "message"), BROKEN_COMMANDS)
def test_broken_command_line(args, message):
    assert_refused(sixgated(*args), EX_USAGE, message)


def test_help():
    result = sixgated("--help")
    assert result.stdout.decode().startswith("usage: sixgated --config FILE")
    assert result.stderr == b""
    assert result.returncode == 0


def test_version():
    result = sixgated("--version")
    name, version = result.stdout.decode().split()
    assert name == "sixgated"
    assert version.count(".") == 2
    assert result.stderr == b""
    assert result.returncode == 0
