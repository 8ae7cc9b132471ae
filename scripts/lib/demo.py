"""What scripts/demo shows, once everything is installed and built."""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "netns"))

from netsite import CLIENT6, GATEWAY4, SERVER4, VIP6, Site, build_dir, wait_until  # noqa: E402
from netsite.dns import ANSWER, NAME, Asker, Unbound  # noqa: E402
from netsite.dns import PORT as DNS_PORT  # noqa: E402
from netsite.site import nginx_http_paths, terminated_as_exit  # noqa: E402

OTHER_CLIENT6 = "2001:db8:1::11"
WEB_PORT = 80
RECORDER_PORT = 8080
HEADER_LIMIT = 4096
DATAGRAM = b"Hello by UDP"

PICTURE = f"""
   client                      gateway                        server
   IPv6 only                   sixgated                       IPv4 only, Debian's %s
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

UDP_CONFIG = f"""
workers = 1
access-log = "off"
listener "dns" {{ protocol = udp  bind = "[{VIP6}]:{DNS_PORT}"  pool = "dns"  identity = proxy-v2 }}
listener "recorder" {{ protocol = udp  bind = "[{VIP6}]:{RECORDER_PORT}"  pool = "recorder"  identity = proxy-v2 }}
pool "dns" {{ backend "{SERVER4}:{DNS_PORT}" {{}} }}
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


COMMANDS = f"""
    ip netns exec {{client}} curl -g 'http://[{VIP6}]/'
    ip netns exec {{server}} tail -f {{dir}}/nginx/access.log
    ip netns exec {{gateway}} ss -tnp
"""
UDP_COMMANDS = f"""
    ip netns exec {{client}} dig @{VIP6} {NAME} A
    ip netns exec {{server}} tail -f {{dir}}/unbound.err
    ip netns exec {{gateway}} ss -unp
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


def check_header(received, *options):
    tool = subprocess.run([build_dir() / "proxyhdr", "decode", *options], input=received, capture_output=True,
                          check=False)
    expect(tool.returncode == 0, f"proxyhdr decode ended with {tool.returncode}: {tool.stdout} {tool.stderr}")
    decoded = json.loads(tool.stdout)
    header, rest = received[:decoded["consumed"]], received[decoded["consumed"]:].decode()
    show(f"4. What makes it so: the {len(header)} bytes that the server received ahead of the client's own, in hex,",
         "\n".join(header[i:i + 16].hex(" ") for i in range(0, len(header), 16)))
    show(f"   and decoded by {' '.join(('build/proxyhdr decode', *options))}:", tool.stdout.decode().strip())
    show("   Behind them came, untouched:", rest.splitlines()[0])
    expect(decoded["src"] == CLIENT6, f"the header names {decoded['src']} and not the client {CLIENT6}")
    expect(decoded["dst"] == VIP6 and decoded["dport"] == RECORDER_PORT,
           f"the header says that the client connected to {decoded['dst']} port {decoded['dport']}")


def ask_dns(site):
    print("\n2. The client asks over IPv6, by UDP:")
    askers = [Asker(CLIENT6, 41001), Asker(OTHER_CLIENT6, 41002)]
    for asker in askers:
        command = ["dig", f"@{VIP6}", "-b", f"{asker.addr}#{asker.port}", "+tries=1", "+short", NAME, "A"]
        answer = site.client.run(command).stdout.strip()
        print(f"    $ {' '.join(command)}\n    {answer}")
        expect(answer == ANSWER, f"the answer is {answer} and not {ANSWER}")
    return askers


def check_dns_log(server, askers):
    wait_until(lambda: len(server.askers()) >= len(askers), "two queries in unbound's log")
    show("3. The server's own log, with log-queries and log-local-actions: address, then address@port:",
         "\n".join(line for line in server.log().splitlines() if NAME in line))
    expect(server.askers() == askers, f"the log names {server.askers()} and not the clients {askers}")


def capture_datagram(site):
    with site.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as recorder, \
            site.client.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        for end in (recorder, client):
            end.settimeout(10)
        recorder.bind((SERVER4, RECORDER_PORT))
        client.bind((CLIENT6, 0))
        client.sendto(DATAGRAM, (VIP6, RECORDER_PORT))
        received, _ = recorder.recvfrom(HEADER_LIMIT)
    expect(received.endswith(DATAGRAM), "the server has not received what the client has sent")
    return received


def show_commands(site, guardian, commands):
    names = dict(zip(("client", "gateway", "server"), map(site.netns_name, site.namespaces)))
    print(f"""
The site stays up. To play with it (as root):{commands.format(dir=site.dir, **names).rstrip()}
    cat {site.dir}/sixgated.conf
To remove it:
    kill {guardian}""")


def run(site):
    print(PICTURE.rstrip() % "nginx")
    start(site)
    show_addresses(site)
    make_requests(site)
    check_log(site)
    check_header(capture_header(site))
    print("\nProven: a client that has only IPv6 was served by an nginx that has only IPv4, and nginx's own log "
          "names\nthe client's IPv6 address, because the gateway told it in a PROXY protocol v2 header.")


def run_udp(site):
    print(PICTURE.rstrip() % "unbound")
    site.client.ip(f"addr add {OTHER_CLIENT6}/64 dev eth0 nodad")
    server = Unbound(site)
    site.sixgated_config(UDP_CONFIG)
    show_addresses(site)
    check_dns_log(server, ask_dns(site))
    check_header(capture_datagram(site), "--udp")
    print("\nProven: a client that has only IPv6 was answered by an unbound that has only IPv4, and unbound's own "
          "log\nnames the client's IPv6 address and port, because the gateway told it in a PROXY protocol v2 header "
          "ahead\nof each datagram.")


def main():
    stays = False
    show_site, commands = (run_udp, UDP_COMMANDS) if "--udp" in sys.argv[1:] else (run, COMMANDS)
    with terminated_as_exit():
        site = Site()
        try:
            show_site(site)
            stays = "--keep" in sys.argv[1:]
        except (Failure, OSError, RuntimeError) as failure:
            return f"\nNOT proven: {failure}"
        finally:
            if stays:
                show_commands(site, site.keep(), commands)
            else:
                site.close()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
