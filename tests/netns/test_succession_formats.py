"""Images of different releases: each has more to say than the other understands, in every format that goes between them."""

import contextlib
import json
import os
import socket
import subprocess

import pytest
from netload import EchoServer
from netsite import BACKENDS, GATEWAY6, SERVER4, build_dir, wait_until
from test_succession import DATAGRAMS, FRONT, PORT, alone, config, control, load, ready, script, write_config
from wire import echoes

# A program that finds in its estate what the release before it does not have, and goes on as the gateway.
LATER = """
import json, os, struct, sys
real, record = sys.argv[1:3]
fd = int(os.environ["SIXGATE_ESTATE"])
estate = json.loads(os.pread(fd, 1 << 24, 0))
with open(record, "a") as file:
    print(json.dumps([os.environ.get("SIXGATE_TRIAL"), *estate["descriptors"]]), file=file)
if "carried" in estate["descriptors"]:
    carried = estate["descriptors"]["carried"]
    content = os.pread(carried, 1 << 24, 0)
    os.pwrite(carried, content[:8] + struct.pack("=HH5s", 999, 5, b"later") + content[8:], 0)
estate["of a later release"] = [1, {"a": None}]
estate["numbers"]["later number"] = -1
estate["texts"]["later text"] = ""
estate["descriptors"]["later thing"], estate["descriptors"]["tcp later [::]:80 0"] = more = os.dup(fd), os.dup(fd)
new = os.memfd_create("estate", 0)
os.write(new, json.dumps(estate).encode())
os.environ["SIXGATE_ESTATE"] = str(new)
for number in (new, *more):
    os.set_inheritable(number, True)
os.close(fd)
os.execv(real, [real, *sys.argv[3:]])
"""

# Flows have a field more, those that take them send a word more, and workers hear a message more with a descriptor.
SPEAK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/socket.h>
static char copy[1 << 17];
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	static ssize_t (*next)(int, const struct msghdr *, int);
	struct msghdr more = *message;
	struct iovec part = *message->msg_iov;
	const char *data = part.iov_base;
	ssize_t n;

	if (!next)
		next = dlsym(RTLD_NEXT, "sendmsg");
	more.msg_iov = &part;
	if (message->msg_iovlen == 1 && part.iov_len > 4 && memcmp(data, "6GFL", 4) == 0) {
		memcpy(copy, data, part.iov_len);
		memcpy(copy + part.iov_len, "\\xff\\xf0\\0\\3abc", 7);
		part.iov_base = copy;
		part.iov_len += 7;
		n = next(fd, &more, flags);
		return n < 0 ? n : n - 7;
	}
	if (part.iov_len == 8 && memcmp(data, "6GCR", 4) == 0) {
		part.iov_base = "6GZZ\\0\\0\\0\\7";
		next(fd, &more, flags);
	} else if (part.iov_len == 1 && data[0] == 'H' && message->msg_controllen) {
		part.iov_base = "z";
		next(fd, &more, flags);
	}
	return next(fd, message, flags);
}
"""


@pytest.fixture
def server(site):
    made = EchoServer(site.server, BACKENDS[0], PORT)
    yield made
    made.close()


@pytest.fixture
def variables(site):
    subprocess.run(["cc", "-shared", "-fPIC", "-o", site.dir / "speak.so", site.write("speak.c", SPEAK), "-ldl"], check=True)
    asan = os.environ.get("ASAN_OPTIONS", "")
    return {"LD_PRELOAD": f"{site.dir}/speak.so", "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0"}


def later(site, spoil=""):
    words = f'if [ -z "$SIXGATE_TRIAL" ]; then {spoil}\nfi\n' if spoil else ""
    return script(site, "later", f"{words}exec /usr/bin/python3 {site.write('later.py', LATER)} {build_dir()}/sixgated "
                                 f'{site.dir}/found "$@"')


def with_datagrams(site, more=""):
    return config(site, f"""
        listener "d" {{ bind = "[{GATEWAY6}]:{DATAGRAMS}" pool = "d" protocol = udp }}
        pool "d" {{ backend "{SERVER4}:{DATAGRAMS}" {{}} }}
        {more}""")


def datagrams(namespace, family):
    with namespace.entered():
        return socket.socket(family, socket.SOCK_DGRAM)


def source_of(talker, receiver, word):
    """Where the gateway's datagram comes from."""
    talker.send(word)
    while True:
        data, source = receiver.recvfrom(2048)
        if data.endswith(word):
            return source


def estates(daemon):
    """Descriptors that the supervisor has of estates' texts, as the later release adds."""
    links = []
    for fd in os.listdir(f"/proc/{daemon.pid}/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/{daemon.pid}/fd/{fd}"))
    return [link for link in links if "sixgate-estate" in link]


def found(site):
    return [json.loads(line) for line in (site.dir / "found").read_text().splitlines()]


def goes_on(site, daemon, binary=None):
    before = control(site, "generation")["result"]["generation"]
    assert control(site, "reload", **({"binary": binary} if binary else {}))["ok"], daemon.errors()

    def is_there():
        try:
            answer = control(site, "generation")["result"]
        except (OSError, ValueError):
            return False
        assert not answer["failure"], daemon.errors()
        return answer["generation"] == before + 1 and not answer["trying"]
    wait_until(is_there, "the next image", 60)
    alone(daemon)


def test_more_than_is_understood(site, gateway, server, variables):
    """Sockets, live connections and sessions go on, and what is not understood is passed over, there and back."""
    daemon = gateway(config=with_datagrams(site), env=variables)
    clients = load(site, 5)
    try:
        with site.client.connect(GATEWAY6, FRONT) as live, datagrams(site.client, socket.AF_INET6) as talker, \
                datagrams(site.server, socket.AF_INET) as receiver:
            talker.connect((GATEWAY6, DATAGRAMS))
            receiver.bind((SERVER4, DATAGRAMS))
            receiver.settimeout(20)
            assert echoes(live, b"before")
            source = source_of(talker, receiver, b"before")
            for word, binary in ((b"later", later(site)), (b"again", later(site)), (b"back", None)):
                goes_on(site, daemon, binary)
                assert echoes(live, word)
                assert source_of(talker, receiver, word) == source
                clients.goes_on(10)
                wait_until(lambda: not estates(daemon), "what nobody knows is closed")
    finally:
        clients.close()
    assert (clients.lost, clients.broken) == ([], [])
    assert "could not be" not in daemon.errors().replace(", 0 could not be", "")
    tries = found(site)
    assert [trial for trial, *_ in tries] == ["1", None, "1", None]
    assert all("carried" in names for trial, *names in tries if not trial)
    assert all("later thing" not in names for _, *names in tries), "nobody passes on what it does not know"
    assert daemon.stop() == 0


def test_way_back_of_a_later_release(site, gateway, server, variables):
    """The later one cannot start after all: the one before finds its own in what comes back."""
    (site.dir / "logs").mkdir()
    daemon = gateway(config=config(site), env=variables)
    with site.client.connect(GATEWAY6, FRONT) as live:
        assert echoes(live, b"before")
        write_config(site, daemon, config(site, f'access-log = "{site.dir}/logs/access"'))
        before = ready(daemon)
        control(site, "reload", binary=later(site, f"rm -r {site.dir}/logs"))
        wait_until(lambda: ready(daemon) > before, "the image before is back", 60)
        alone(daemon)
        assert "the image before this one comes back: it could not start: " in daemon.errors()
        assert os.path.samefile(f"/proc/{daemon.pid}/exe", build_dir() / "sixgated")
        assert echoes(live, b"after")
    assert daemon.stop() == 0
