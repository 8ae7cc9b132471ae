# SPDX-License-Identifier: MIT
"""proxyhdr(1) as a user meets it: output, exit status, complaints."""
import json
import os
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, os.environ.get("SIXGATE_BUILD", "build"), "proxyhdr")
KEYS = "verdict version command family transport src sport dst dport tlvs consumed reason".split()
ENDS = ["--src", "[2001:db8::1]:50000", "--dst", "[2001:db8::80]:443"]
V6 = bytes.fromhex(
    "0d0a0d0a000d0a515549540a 2121 0024"
    "20010db8000000000000000000000001 20010db8000000000000000000000080 c350 01bb"
)
OK, INVALID, INCOMPLETE, USAGE = 0, 1, 2, 64


def tool(*args, data=b""):
    return subprocess.run([TOOL, *args], input=data, capture_output=True, timeout=10)


def decode(data, *args):
    run = tool("decode", *args, data=data)
    assert run.stdout.count(b"\n") == 1 and run.stdout.endswith(b"\n")
    shown = json.loads(run.stdout)
    assert list(shown) == KEYS
    assert run.returncode == {"ok": OK, "invalid": INVALID, "incomplete": INCOMPLETE}[
        shown["verdict"]]
    return shown


def test_json_line():
    run = tool("decode", data=V6 + b"payload")
    assert run.stdout.decode() == (
        '{"verdict":"ok","version":2,"command":"PROXY","family":"INET6","transport":"STREAM",'
        '"src":"2001:db8::1","sport":50000,"dst":"2001:db8::80","dport":443,"tlvs":[],'
        '"consumed":52,"reason":null}\n'
    )


@pytest.mark.parametrize("data", [b"", V6[:-1], b"PROXY TCP4 1.2"])
def test_incomplete_tells_nothing(data):
    shown = decode(data)
    assert shown["verdict"] == "incomplete"
    assert all(shown[key] is None for key in KEYS[1:-1])
    assert shown["reason"]
    assert decode(data, "--udp")["verdict"] == "invalid"


def test_invalid_tells_why():
    shown = decode(b"GET / HTTP/1.0\r\n")
    assert shown["verdict"] == "invalid"
    assert shown["reason"] == "not a PROXY protocol header"
    assert all(shown[key] is None for key in KEYS[1:-1])


def test_version_1_is_no_datagram():
    line = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
    assert decode(line)["version"] == 1
    assert decode(line, "--udp")["verdict"] == "invalid"


def test_local_and_unknown_tell_no_addresses():
    for data in (V6[:12] + b"\x20\xff\x00\x02xx", b"PROXY UNKNOWN anything\r\n"):
        shown = decode(data + b"payload")
        assert shown["consumed"] == len(data)
        assert shown["family"] == shown["transport"] == "UNSPEC"
        assert shown["src"] is shown["sport"] is shown["dst"] is shown["dport"] is None


def test_unix_addresses_are_hexadecimal():
    data = tool("encode", "--version", "2", "--udp", "--src", "unix:/a", "--dst", "unix:/b").stdout
    shown = decode(data)
    assert (shown["family"], shown["transport"]) == ("UNIX", "DGRAM")
    assert shown["src"] == b"/a".ljust(108, b"\0").hex()
    assert shown["dst"] == b"/b".ljust(108, b"\0").hex()
    assert shown["sport"] is shown["dport"] is None


@pytest.mark.parametrize("args", [[], ["--udp"]], ids=["stream", "udp"])
@pytest.mark.parametrize("data", [V6, b"PROXY UNKNOWN\r\n", b"GET /"], ids=["v2", "v1", "http"])
def test_answers_while_the_pipe_is_open(data, args):
    with subprocess.Popen([TOOL, "decode", *args], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as proc:
        for i in range(len(data)):
            proc.stdin.write(data[i:i + 1])
            try:
                proc.stdin.flush()
            except BrokenPipeError:
                break
        assert json.loads(proc.stdout.readline())["verdict"] in ("ok", "invalid")
        try:
            proc.stdin.close()
        except BrokenPipeError:
            pass


@pytest.mark.parametrize("text", [
    V6.hex(), V6.hex().upper(), V6.hex(" "), V6.hex(":"), "0x" + V6.hex() + "\n",
    " ".join(f"0x{byte:02x}" for byte in V6), V6.hex() + " and more",
])
def test_hexadecimal_input(text):
    assert decode(text.encode(), "--hex")["consumed"] == 52


@pytest.mark.parametrize("text,where", [
    ("0d0g", b"character 4"), ("0d 0 a", b"character 5"), ("zz", b"character 1"), ("0d0", b"odd"),
])
def test_bad_hexadecimal_input(text, where):
    run = tool("decode", "--hex", data=text.encode())
    assert run.returncode == USAGE
    assert where in run.stderr and run.stdout == b""


def encode(*args):
    run = tool("encode", *args)
    assert run.returncode == OK, run.stderr
    return run.stdout


def test_encode():
    assert encode("--version", "2", *ENDS) == V6
    assert encode("--version", "2", "--hex", *ENDS) == V6.hex().encode() + b"\n"
    assert encode("--version", "1", *ENDS) == b"PROXY TCP6 2001:db8::1 2001:db8::80 50000 443\r\n"
    assert encode("--version", "2", "--udp", *ENDS)[13] == 0x22
    assert encode("--version", "2", "--local") == V6[:12] + b"\x20\0\0\0"
    assert encode("--version", "1", "--local") == b"PROXY UNKNOWN\r\n"


def test_encode_tlvs():
    data = encode("--version", "2", "--crc32c", "--tlv", "0xE0=01:02", "--tlv", "4=", *ENDS)
    assert data[52:62] == b"\xe0\0\2\1\2\4\0\0\3\0"
    shown = decode(data)
    assert [tlv["type"] for tlv in shown["tlvs"]] == [0xE0, 4, 3]
    broken = bytearray(data)
    broken[30] ^= 1
    assert decode(bytes(broken))["reason"] == "the CRC32c does not match"


V2 = ["--version", "2"]
V1 = ["--version", "1"]
LONG = "00" * 32000


@pytest.mark.parametrize("args,complaint", [
    ([], "--version"),
    (["--version", "3"], "'3'"),
    (V2, "--src and --dst"),
    (V2 + ENDS[:2], "--src and --dst"),
    (V2 + ["--src", "192.0.2.1:1", "--dst", "[::1]:2"], "one family"),
    (V2 + ["--src", "192.0.2.256:1", "--dst", "192.0.2.1:2"], "'192.0.2.256:1'"),
    (V2 + ["--src", "192.0.2.1:1", "--dst", "192.0.2.1:65536"], "'192.0.2.1:65536'"),
    (V2 + ["--src", "192.0.2.1", "--dst", "192.0.2.1:1"], "'192.0.2.1'"),
    (V2 + ["--src", "2001:db8::1:1", "--dst", "192.0.2.1:1"], "'2001:db8::1:1'"),
    (V2 + ["--src", "[::1:1", "--dst", "[::1]:1"], "'[::1:1'"),
    (V2 + ["--src", "[::1]1", "--dst", "[::1]:1"], "'[::1]1'"),
    (V2 + ["--src", "unix:/" + "a" * 108, "--dst", "unix:/b"], "unix:/path"),
    (V1 + ["--udp"] + ENDS, "UDP"),
    (V1 + ["--crc32c"] + ENDS, "no TLVs"),
    (V1 + ["--tlv", "4="] + ENDS, "no TLVs"),
    (V1 + ["--src", "unix:/a", "--dst", "unix:/b"], "UNIX"),
    (V2 + ["--tlv", "256=00"] + ENDS, "'256=00'"),
    (V2 + ["--tlv", "x"] + ENDS, "'x'"),
    (V2 + ["--tlv", "4=0"] + ENDS, "two digits"),
    (V2 + ["--tlv", "4=0g"] + ENDS, "character 2"),
    (V2 + ["--tlv", "3=00000000"] + ENDS, "--crc32c"),
    (V2 + ["--tlv", "5=" + "00" * 129] + ENDS, "128"),
    (V2 + ["--tlv", "4=" + LONG, "--tlv", "4=" + LONG, "--tlv", "4=" + LONG] + ENDS, "65535"),
    (V2 + ["--tlv", "4=" + LONG, "--tlv", "4=" + LONG, "--tlv", "4=" + "00" * 1520] + ENDS,
     "65535"),
    (V2 + ENDS + ["more"], "'more'"),
    (V2 + ENDS + ["--nonsense"], "--nonsense"),
])
def test_encode_refuses(args, complaint):
    run = tool("encode", *args)
    assert run.returncode == USAGE
    assert run.stdout == b""
    assert complaint in run.stderr.decode()


def test_top_level():
    assert tool("--help").returncode == OK
    assert tool("--help").stdout.startswith(b"Usage: proxyhdr")
    assert tool("--version").stdout.startswith(b"proxyhdr ")
    for args in [], ["nonsense"], ["decode", "more"], ["decode", "--nonsense"]:
        run = tool(*args)
        assert run.returncode == USAGE
        assert run.stderr and not run.stdout


def test_full_disk_is_told():
    with open("/dev/full", "wb") as full:
        run = subprocess.run([TOOL, "--help"], stdout=full, stderr=subprocess.PIPE, timeout=10)
    assert run.returncode == 74
    assert b"standard output" in run.stderr
