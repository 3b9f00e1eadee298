"""What is compared: plain proxies without any check, checks that a team would write by hand, and the gate. One worker each."""

from dataclasses import dataclass
from pathlib import Path

import traffic
import world as ground

HERE = Path(__file__).resolve().parent
NO_TEXT = "application/json string '{\"error\":{\"message\":\"(#131050) The recipient agreed to no such message\",\"code\":131050}}'"


@dataclass
class Start:
    """Where and how a peer is to start."""

    world: ground.World
    folder: Path
    tls: bool
    people: int
    cores: set

    def __post_init__(self):
        self.folder.mkdir(parents=True)
        self.port, self.admin = ground.free_port(), ground.free_port()
        self.upstream = f"127.0.0.1:{self.world.provider_tls if self.tls else self.world.provider}"

    def ready(self, process):
        ground.wait_for(self.port, process)
        return process


def nginx_tls(start):
    return (
        f"proxy_ssl_protocols TLSv1.3; proxy_ssl_verify on; proxy_ssl_trusted_certificate {start.world.folder}/ca.pem; "
        "proxy_ssl_name localhost; proxy_ssl_server_name on; proxy_ssl_session_reuse on;"
        if start.tls
        else ""
    )


def splice(start):
    block = (
        f"server {{ listen 127.0.0.1:{start.port} backlog=4096; proxy_pass {start.upstream}; tcp_nodelay on; "
        f"{'proxy_ssl on;' if start.tls else ''} {nginx_tls(start)} }}"
    )
    main = f"load_module {ground.MODULES}/ngx_stream_module.so;"
    return start.ready(ground.nginx(start.folder, block, start.cores, main, "stream"))


def nginx(start, main="", before="", check=""):
    block = f"""
      {before} client_body_buffer_size 64k; client_body_in_single_buffer on;
      upstream provider {{ server {start.upstream}; keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 300s; }}
      server {{
        listen 127.0.0.1:{start.port} backlog=4096;
        location / {{
          {check} proxy_pass {"https" if start.tls else "http"}://provider; proxy_http_version 1.1; proxy_set_header Connection "";
          proxy_set_header Host graph.facebook.com; {nginx_tls(start)}
        }}
      }}"""
    return start.ready(ground.nginx(start.folder, block, start.cores, main))


def nginx_lua(start):
    templates = start.folder / "templates"
    templates.write_text("".join(f"{name} {category}\n" for name, category in traffic.TEMPLATES.items()))
    main = f"load_module {ground.MODULES}/ndk_http_module.so; load_module {ground.MODULES}/ngx_http_lua_module.so;"
    before = f"""
      lua_package_path "{HERE}/?.lua;/usr/share/lua/5.1/?.lua;;"; lua_shared_dict consent 512m; lua_socket_log_errors off;
      init_by_lua_block {{ require("consent").templates("{templates}") }}"""
    check = f'set $redis {start.world.redis}; access_by_lua_block {{ return require("consent").check() }}'
    return nginx(start, main, before, check)


def haproxy(start, check=""):
    tls = f"ssl verify required ca-file {start.world.folder}/ca.pem sni str(localhost) ssl-min-ver TLSv1.3" if start.tls else ""
    (start.folder / "haproxy.cfg").write_text(
        f"""
global
  nbthread 1
  maxconn 4000
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
frontend callers
  bind 127.0.0.1:{start.port} backlog 4096
{check}
  default_backend provider
backend provider
  http-request set-header Host graph.facebook.com
  server provider {start.upstream} pool-max-conn 1024 pool-purge-delay 300s {tls}
"""
    )
    return start.ready(ground.spawn(["haproxy", "-db", "-f", start.folder / "haproxy.cfg"], start.folder / "log", start.cores))


def haproxy_map(start):
    """A file of everybody's categories, read at start: it grows stale until somebody writes and loads it again."""
    consent, templates = start.folder / "consent.map", start.folder / "templates.map"
    with consent.open("w") as file:
        file.writelines(f"{traffic.AGREED + n} {','.join(traffic.ALL)}\n" for n in range(start.people))
        file.writelines(f"{traffic.REFUSED + n} utility,authentication\n" for n in range(0, traffic.REFUSED_COUNT, 2))
    templates.write_text("".join(f"{name} {category}\n" for name, category in traffic.TEMPLATES.items()))
    check = f"""
  option http-buffer-request
  http-request set-var(txn.category) req.body,json_query('$.template.name'),map_str({templates},marketing)
  http-request set-var(txn.agreed) req.body,json_query('$.to'),ltrim(+),map_str({consent},nothing)
  acl marketing var(txn.category) -m str marketing
  acl utility var(txn.category) -m str utility
  acl authentication var(txn.category) -m str authentication
  acl agreed_marketing var(txn.agreed) -m sub marketing
  acl agreed_utility var(txn.agreed) -m sub utility
  acl agreed_authentication var(txn.agreed) -m sub authentication
  http-request return status 400 content-type {NO_TEXT} if marketing !agreed_marketing
  http-request return status 400 content-type {NO_TEXT} if utility !agreed_utility
  http-request return status 400 content-type {NO_TEXT} if authentication !agreed_authentication"""
    return haproxy(start, check)


def optgate(start, workers=1):
    upstream = f"{'https' if start.tls else 'http'}://{start.upstream}"
    config = ground.gate_config(start.world, start.folder, start.port, start.admin, upstream, workers)
    gate = ground.spawn([start.world.gate, "serve", "--config", config], start.folder / "log", start.cores)
    ground.wait_until_ready(start.admin, gate)
    return start.ready(gate)


@dataclass
class Peer:
    start: object
    checks: bool
    about: str

    @property
    def gate(self):
        return self.start is optgate or "optgate" in self.about


PEERS = {
    "direct": Peer(None, False, "no proxy"),
    "splice": Peer(splice, False, "nginx passes bytes on and reads no HTTP: the floor of any proxy"),
    "nginx": Peer(nginx, False, "plain reverse proxy: what all ratios refer to"),
    "haproxy": Peer(haproxy, False, "plain reverse proxy"),
    "haproxy + map": Peer(haproxy_map, True, "checks against a file that is stale until it is loaded again"),
    "nginx + Lua + Redis": Peer(nginx_lua, True, "checks against Redis, remembers for a minute"),
    "optgate": Peer(optgate, True, "optgate with Redis, all of it on: decision log to a file, metrics, learning from answers, at most once"),
    "optgate, two workers": Peer(lambda start: optgate(start, 2), True, "optgate with two workers"),
}
