"""An nginx on the server that answers each connection with what it was told of it, and what it saw itself."""

from collections import namedtuple

from .site import SERVER4

# What nginx was told of a connection, what it saw of it, and where: the port says which pool it was.
VARIABLES = ("proxy_protocol_addr", "proxy_protocol_port", "proxy_protocol_server_addr",
             "proxy_protocol_server_port", "remote_addr", "remote_port", "server_addr", "server_port")
Seen = namedtuple("Seen", "addr port server_addr server_port remote_addr remote_port at_addr at_port")
SEEN_FORMAT = "|".join(f"${name}" for name in VARIABLES)

PASSED_ON = 8000  # the server's port that expects a header
PLAIN = 8001      # and one that does not
OTHER = 8002      # another that expects one, to tell two pools apart


def start_nginx(site, plain=(f"{SERVER4}:{PLAIN}",),
                told=(f"{SERVER4}:{PASSED_ON}", f"{SERVER4}:{OTHER}")):
    """`told` addresses expect a header, `plain` ones do not."""
    servers = "".join(f'server {{ listen {address} backlog=2048 {word}; return "{SEEN_FORMAT}"; }}\n'
                      for addresses, word in ((told, "proxy_protocol"), (plain, ""))
                      for address in addresses)
    ports = [int(address.rpartition(":")[2]) for address in (*told, *plain)]
    site.nginx(site.server, f"""
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events {{ worker_connections 4096; }}
stream {{
    log_format seen '{SEEN_FORMAT}';
    access_log access.log seen;
    {servers}
}}
""", ports)


def nginx_log(site):
    return [parse(line) for line in (site.dir / "nginx" / "access.log").read_text().splitlines()]


def parse(text):
    values = ["" if value == "-" else value for value in text.split("|")]
    return Seen(*(int(value) if value and name.endswith("port") else value
                  for name, value in zip(Seen._fields, values, strict=True)))


def read_all(connection):
    data = b""
    while more := connection.recv(4096):
        data += more
    return data


def ask(site, host, port):
    """Connects from the client; returns (our port, what nginx answered)."""
    with site.client.connect(host, port) as connection:
        return connection.getsockname()[1], parse(read_all(connection).decode())
