"""What scripts/demo shows, once everything is installed and built."""

import json
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "netns"))

from netsite import CLIENT6, GATEWAY4, SERVER4, VIP6, Site, build_dir, wait_until  # noqa: E402
from netsite.site import nginx_http_paths, terminated_as_exit  # noqa: E402

OTHER_CLIENT6 = "2001:db8:1::11"
WEB_PORT = 80
RECORDER_PORT = 8080
HEADER_LIMIT = 4096

PICTURE = f"""
   client                      gateway                        server
   IPv6 only                   sixgated                       IPv4 only, Debian's nginx
   {CLIENT6}  ── IPv6 ──  {VIP6}
                               {GATEWAY4}  ───── IPv4 ──────  {SERVER4}
"""

GATEWAY_CONFIG = f"""
workers = 1
access-log = "off"
listener "web" {{ bind = "[{VIP6}]:{WEB_PORT}"  pool = "web"  identity = proxy-v2 }}
listener "recorder" {{ bind = "[{VIP6}]:{RECORDER_PORT}"  pool = "recorder"  identity = proxy-v2 }}
pool "web" {{ backend "{SERVER4}:{WEB_PORT}" {{}} }}
pool "recorder" {{ backend "{SERVER4}:{RECORDER_PORT}" {{}} }}
"""

NGINX_CONFIG = f"""
events {{}}
http {{
    {nginx_http_paths()}
    log_format identity '$proxy_protocol_addr - $remote_addr [$time_local] "$request" $status';
    access_log access.log identity;
    server {{
        listen {SERVER4}:{WEB_PORT} proxy_protocol;
        location / {{ return 200 "Hello, $proxy_protocol_addr\\n"; }}
    }}
}}
"""


class Failure(Exception):
    """What the demo was to prove does not hold."""


def show(title, text):
    print(f"\n{title}")
    for line in text.splitlines():
        print(f"    {line}")


def expect(holds, message):
    if not holds:
        raise Failure(message)


def start(site):
    site.client.ip(f"addr add {OTHER_CLIENT6}/64 dev eth0 nodad")
    site.nginx(site.server, NGINX_CONFIG, [WEB_PORT])
    site.sixgated_config(GATEWAY_CONFIG)


def show_addresses(site):
    client, server = site.client.addresses(), site.server.addresses()
    show("1. Two hosts that cannot speak to each other:",
         f"the client's addresses: {' '.join(client)}\nthe server's addresses: {' '.join(server)}")
    expect(all(":" in address for address in client), "the client has an IPv4 address")
    expect(all(":" not in address for address in server), "the server has an IPv6 address")


def curl(site, source, path, port=WEB_PORT):
    url = f"http://[{VIP6}]:{port}{path}"
    argv = ["curl", "--silent", "--show-error", "--globoff", "--noproxy", "*", "--max-time", "10",
            "--interface", source, url]
    return f"curl --interface {source} {url}", site.client.run(argv).stdout


def make_requests(site):
    print("\n2. The client asks over IPv6:")
    for source in (CLIENT6, OTHER_CLIENT6):
        command, answer = curl(site, source, "/")
        print(f"    $ {command}\n    {answer.strip()}")


def check_log(site):
    log = site.dir / "nginx" / "access.log"
    lines = wait_until(lambda: (found := log.read_text().splitlines()) and len(found) >= 2 and found,
                       "two lines in nginx's log")
    show("3. The server's own log, by log_format '$proxy_protocol_addr - $remote_addr ...':", "\n".join(lines))
    for line, client in zip(lines, (CLIENT6, OTHER_CLIENT6)):
        fields = line.split()
        expect(fields[0] == client, f"the first field is {fields[0]} and not the client's address {client}")
        expect(fields[2] == GATEWAY4, f"the third field is {fields[2]} and not the gateway's {GATEWAY4}")


def record(listener, received):
    """Takes one connection, keeps its first bytes and answers like a web server."""
    connection, _ = listener.accept()
    with connection:
        while b"\r\n\r\n" not in received[16:] and len(received) < HEADER_LIMIT:
            received += connection.recv(HEADER_LIMIT)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def capture_header(site):
    received = bytearray()
    with site.server.listen(SERVER4, RECORDER_PORT) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=record, args=(listener, received), daemon=True)
        thread.start()
        curl(site, CLIENT6, "/recorded", RECORDER_PORT)
        thread.join()
    return bytes(received)


def check_header(site):
    received = capture_header(site)
    tool = subprocess.run([build_dir() / "proxyhdr", "decode"], input=received, capture_output=True, check=False)
    expect(tool.returncode == 0, f"proxyhdr decode ended with {tool.returncode}: {tool.stdout} {tool.stderr}")
    decoded = json.loads(tool.stdout)
    header = received[:decoded["consumed"]]
    show(f"4. What makes it so: the {len(header)} bytes that the server received ahead of the client's own, in hex,",
         "\n".join(header[i:i + 16].hex(" ") for i in range(0, len(header), 16)))
    show("   and decoded by build/proxyhdr decode:", tool.stdout.decode().strip())
    show("   Behind them came, untouched:", received[len(header):].decode().splitlines()[0])
    expect(decoded["src"] == CLIENT6, f"the header names {decoded['src']} and not the client {CLIENT6}")
    expect(decoded["dst"] == VIP6 and decoded["dport"] == RECORDER_PORT,
           f"the header says that the client connected to {decoded['dst']} port {decoded['dport']}")


def show_commands(site, guardian):
    client, gateway, server = (site.netns_name(namespace) for namespace in site.namespaces)
    print(f"""
The site stays up. To play with it (as root):
    ip netns exec {client} curl -g 'http://[{VIP6}]/'
    ip netns exec {server} tail -f {site.dir}/nginx/access.log
    ip netns exec {gateway} ss -tnp
    cat {site.dir}/sixgated.conf
To remove it:
    kill {guardian}""")


def run(site):
    print(PICTURE.rstrip())
    start(site)
    show_addresses(site)
    make_requests(site)
    check_log(site)
    check_header(site)
    print("\nProven: a client that has only IPv6 was served by an nginx that has only IPv4, and nginx's own log "
          "names\nthe client's IPv6 address, because the gateway told it in a PROXY protocol v2 header.")


def main():
    stays = False
    with terminated_as_exit():
        site = Site()
        try:
            run(site)
            stays = "--keep" in sys.argv[1:]
        except (Failure, OSError, RuntimeError) as failure:
            return f"\nNOT proven: {failure}"
        finally:
            if stays:
                show_commands(site, site.keep())
            else:
                site.close()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
