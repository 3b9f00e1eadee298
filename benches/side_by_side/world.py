"""What every measurement here stands on: tools, processes and their CPU, the provider's stand-in, Redis, and consent in both.

Everything listens on free ports of 127.0.0.1 and ends with the program. The proxy that is measured has the first core for itself; the
load, the provider and Redis share the others.
"""

import atexit
import ctypes
import hashlib
import http.client
import json
import os
import platform
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import traffic

ROOT = Path(__file__).resolve().parents[2]
MODULES = Path("/usr/lib/nginx/modules")
CORES = sorted(os.sched_getaffinity(0))
PROXY_CORES = set(CORES[:1])
OTHER_CORES = set(CORES[1:]) or PROXY_CORES

# What must exist -> the Debian package that brings it.
TOOLS = {
    "nginx": "nginx",
    MODULES / "ngx_stream_module.so": "libnginx-mod-stream",
    MODULES / "ngx_http_lua_module.so": "libnginx-mod-http-lua",
    "/usr/share/lua/5.1/nginx/redis.lua": "lua-nginx-redis",
    "/usr/share/lua/5.1/cjson/util.lua": "lua-cjson",
    "haproxy": "haproxy",
    "redis-server": "redis-server",
    "redis-cli": "redis-tools",
    "wrk": "wrk",
    "openssl": "openssl",
    "cc": "build-essential",
}


def say(text):
    print(text, file=sys.stderr, flush=True)


def absent():
    return sorted({package for tool, package in TOOLS.items() if not (shutil.which(tool) or Path(tool).exists())})


def install_tools():
    """Installs with apt-get what is absent, without letting Debian start the daemons."""
    if not (packages := absent()):
        return
    say(f"absent, installing with apt-get: {' '.join(packages)}")
    if not shutil.which("apt-get"):
        sys.exit(f"no apt-get here; install by hand: {' '.join(packages)}")
    sudo = [] if os.getuid() == 0 else ["sudo"]
    policy = Path("/usr/sbin/policy-rc.d")
    guarded = not policy.exists()
    if guarded:
        subprocess.run([*sudo, "tee", policy], input=b"#!/bin/sh\nexit 101\n", stdout=subprocess.DEVNULL, check=True)
        subprocess.run([*sudo, "chmod", "755", policy], check=True)
    try:
        wait = ["-qq", "-o", "DPkg::Lock::Timeout=120"]
        subprocess.run([*sudo, "apt-get", *wait, "update"], check=True)
        install = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *wait, "-y", "install", "--no-install-recommends"]
        subprocess.run([*sudo, *install, *packages], stdout=subprocess.DEVNULL, check=True)
    finally:
        if guarded:
            subprocess.run([*sudo, "rm", "-f", policy], check=True)
    if packages := absent():
        sys.exit(f"still absent after the installation: {' '.join(packages)}")


def release_build():
    """The gate as a user builds it."""
    say("cargo build --release: minutes the first time")
    subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "optgate"], cwd=ROOT, check=True)
    told = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=ROOT, capture_output=True, check=True).stdout
    return Path(json.loads(told)["target_directory"]) / "release/optgate"


def commit():
    told = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"


def machine():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{model[1] if model else platform.machine()}, {len(CORES)} cores, Linux {platform.release().split('-')[0]}"


def versions():
    def first(command, pattern):
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        return re.search(pattern, told.stdout + told.stderr)[1]

    return (
        f"nginx {first(['nginx', '-v'], r'nginx/([0-9.]+)')}, HAProxy {first(['haproxy', '-v'], r'version ([0-9.]+)')}, "
        f"Redis {first(['redis-server', '-v'], r'v=([0-9.]+)')}, wrk {first(['wrk', '-v'], r'wrk (?:debian/)?([0-9.]+)')}"
    )


# ----- processes -----

_running = []
_ports = set()
_libc = ctypes.CDLL(None)


def spawn(command, log, cores=None):
    """A process on some cores that ends with this program, whatever ends it."""

    def before():
        os.setsid()
        _libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        if cores:
            os.sched_setaffinity(0, cores)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    with Path(log).open("ab") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, preexec_fn=before)
    process.log = log
    _running.append(process)
    return process


def stop(process):
    if process in _running:
        _running.remove(process)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@atexit.register
def stop_all():
    for process in reversed(_running[:]):
        stop(process)


def free_port():
    """Below the ports that outgoing connections take, and never the same twice."""
    for port in range(20000 + os.getpid() % 8000, 32000):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _ports:
            _ports.add(port)
            return port
    sys.exit("no free port between 20000 and 32000")


def wait_for(port, process):
    for _ in range(1200):
        if process.poll() is not None:
            sys.exit(f"{process.args[0]} has ended: {Path(process.log).read_text()[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def family(pid):
    """A process and what it started."""
    found = [pid]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            pass  # ended meanwhile
    return found


def cpu_microseconds(pid):
    """User and system time of a process, its threads and its children, as the scheduler counted it, to the nanosecond."""
    total = 0
    for member in family(pid):
        for task in Path(f"/proc/{member}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1000


def resident_bytes(pid):
    pages = re.compile(r"Rss:\s+(\d+) kB")
    return sum(int(pages.search(Path(f"/proc/{member}/smaps_rollup").read_text())[1]) * 1024 for member in family(pid))


# ----- the provider, Redis, consent -----

ANSWER = (
    '{"messaging_product":"whatsapp","contacts":[{"input":"+4915100000001","wa_id":"4915100000001"}],'
    '"messages":[{"id":"wamid.HBgNNDkxNTEwMDAwMDAwMRUCABEYEjA3RkY4QkE5QjZFN0E0MkM1RQA=","message_status":"accepted"}]}'
)


class World:
    def __init__(self, gate):
        self.gate = Path(gate).resolve()
        self.folder = Path(tempfile.mkdtemp(prefix="optgate-side-by-side-"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.folder.chmod(0o755)  # nginx may give up root
        self.certificates()
        self.start_provider()
        self.redis = free_port()
        command = ["redis-server", "--port", str(self.redis), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", self.folder]
        self.redis_process = spawn(command, self.folder / "redis.log", OTHER_CORES)
        wait_for(self.redis, self.redis_process)
        self.granted = 0

    def certificates(self):
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl("req", "-x509", *key, "-days", "9", "-subj", "/CN=bench", "-keyout", "ca.key", "-out", "ca.pem",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
        openssl("req", *key, "-subj", "/CN=localhost", "-keyout", "provider.key", "-out", "provider.csr")
        (self.folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", "provider.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "9",
                "-extfile", "names", "-out", "provider.pem")  # fmt: skip

    def start_provider(self):
        """An nginx that answers every send as the provider does, and counts."""
        self.provider, self.provider_tls, self.status, self.asked = free_port(), free_port(), free_port(), 0
        server = f"""
          server {{
            listen 127.0.0.1:{self.provider} backlog=4096; listen 127.0.0.1:{self.provider_tls} ssl backlog=4096;
            ssl_certificate {self.folder}/provider.pem; ssl_certificate_key {self.folder}/provider.key;
            ssl_protocols TLSv1.3; ssl_session_cache shared:tls:4m; default_type application/json;
            add_header x-fb-request-id AbcdefGhIjKlmnopQrsTuv; add_header facebook-api-version v23.0; add_header cache-control "private, no-cache";
            location / {{ return 200 '{ANSWER}'; }}
          }}
          server {{ listen 127.0.0.1:{self.status}; location / {{ stub_status; }} }}"""
        self.provider_process = nginx(self.folder / "provider", server, OTHER_CORES)
        wait_for(self.provider, self.provider_process)

    def sends_seen(self):
        """How many requests the provider has had, once none is on its way any more."""
        before = None
        while True:
            self.asked += 1  # the page counts its own requests too
            page = urllib.request.urlopen(f"http://127.0.0.1:{self.status}/", timeout=5).read().decode().split()
            seen = int(page[page.index("requests") + 3]) - self.asked
            if seen == before:
                return seen
            before = seen
            time.sleep(0.05)

    def redis_call(self, *arguments):
        command = ["redis-cli", "-p", str(self.redis), *map(str, arguments)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        if told.startswith(("ERR", "WRONG", "NOSCRIPT")):
            sys.exit(f"redis: {told}")
        return told

    def seed(self, people, by_events=1_000_000):
        """Sees to it that so many recipients agreed, in the gate's records and under the keys that nginx + Lua reads; and that the refused did not.

        As many as `by_events` arrive as consent events with evidence; a larger number gets copies of a gate record, which is all
        that a send reads.
        """
        if people > self.granted:
            started = time.time()
            seed_gate(self, range(self.granted, min(people, max(by_events, self.granted))), refused=self.granted == 0)
            copy_records(self, max(by_events, self.granted), people)
            plain_records(self, self.granted, people)
            self.granted = people
            say(f"{people} recipients agreed, written in {time.time() - started:.0f} s")


def nginx(folder, http_block, cores, main="", block="http"):
    """An nginx of one worker; the paths keep it out of the system's folders."""
    folder.mkdir(exist_ok=True)
    paths = " ".join(f"{name}_temp_path {folder}/{name};" for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
    common = f"access_log off; server_tokens off; tcp_nodelay on; keepalive_timeout 300s; keepalive_requests 1000000000; {paths}"
    (folder / "nginx.conf").write_text(
        f"""{main}
        {"user root;" if os.getuid() == 0 else ""}
        daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors error; worker_rlimit_nofile 16384;
        events {{ worker_connections 8192; }}
        {block} {{ {common if block == "http" else ""} {http_block} }}
        """
    )
    return spawn(["nginx", "-c", folder / "nginx.conf", "-p", folder], folder / "log", cores)


def gate_config(world, folder, listen, admin, upstream, workers=1, extra=""):
    senders = "".join(
        f'[[tenants.senders]]\nphone_number_id = "{sender}"\naccount = "1"\nphone = "+1555078388{n}"\n' for n, sender in enumerate(traffic.SENDERS)
    )
    text = f"""
data_dir = "{folder}"
[proxy]
listen = "127.0.0.1:{listen}"
workers = {workers}
[admin]
listen = "127.0.0.1:{admin}"
{extra}
[upstream]
url = "{upstream}"
ca_file = "{world.folder}/ca.pem"
[store]
kind = "redis"
url = "redis://127.0.0.1:{world.redis}"
lookup_deadline_ms = 1000  # costs nothing, and other work on the machine fails fewer lookups
[decision_log]
file = "{folder}/decisions.jsonl"
[log]
level = "warn"
[[tenants]]
name = "bench"
{senders}"""
    path = folder / "optgate.toml"
    path.write_text(text)
    return path


def wait_until_ready(admin, process):
    wait_for(admin, process)
    for _ in range(200):
        asked = http.client.HTTPConnection("127.0.0.1", admin, timeout=5)
        asked.request("GET", "/readyz")
        if asked.getresponse().status == 200:
            return
        time.sleep(0.05)
    sys.exit(f"the gate does not become ready: {Path(process.log).read_text()[-2000:]}")


EVIDENCE = {
    "channel": "website", "user_action": "checked_box", "name_and_logo_shown": True, "number_confirmed": True, "business_named": "Bench",
    "wording": "I agree to receive messages from Bench on WhatsApp", "wording_version": "1", "locale": "en",
}  # fmt: skip


def event(number, kind, categories, day):
    base = {"recipient": f"+{number}", "kind": kind, "categories": categories, "occurred_at": f"2026-01-0{day}T00:00:00Z", "actor": "person"}
    proof = {"evidence": EVIDENCE | {"categories_shown": categories}} if kind == "grant" else {}
    return json.dumps({**base, "source": "website", **proof}, separators=(",", ":"))


def seed_gate(world, people, refused):
    """Templates and consent through the admin API of a gate that lives just for this."""
    folder = world.folder / f"seed-{people.start}"
    folder.mkdir()
    token, admin = "seed" + os.urandom(12).hex(), free_port()
    digest = hashlib.sha256(token.encode()).hexdigest()
    grant = f'[[admin.tokens]]\nname = "seed"\nsha256 = "{digest}"\nscopes = ["admin"]'
    config = gate_config(world, folder, free_port(), admin, f"http://127.0.0.1:{world.provider}", extra=grant)
    gate = spawn([world.gate, "serve", "--config", config], folder / "log")
    wait_until_ready(admin, gate)

    def call(method, path, body, kind):
        asked = http.client.HTTPConnection("127.0.0.1", admin, timeout=600)
        asked.request(method, path, body, {"Authorization": f"Bearer {token}", "Content-Type": kind})
        answer = asked.getresponse()
        told = answer.read()
        if answer.status != 200 or json.loads(told or b"{}").get("rejected"):
            sys.exit(f"{method} {path}: {answer.status} {told[:1000]!r}")

    listed = [
        {"id": str(n), "name": name, "language": "en_US", "category": category.upper(), "status": "APPROVED"}
        for n, (name, category) in enumerate(traffic.TEMPLATES.items())
    ]
    call("PUT", "/v1/templates/1", json.dumps({"data": listed}), "application/json")
    if refused:
        withdrawn = [traffic.REFUSED + n for n in range(0, traffic.REFUSED_COUNT, 2)]
        lines = [event(number, "grant", traffic.ALL, 1) for number in withdrawn]
        lines += [event(number, "revoke", ["marketing"], 2) for number in withdrawn]
        call("POST", "/v1/events", "\n".join(lines) + "\n", "application/x-ndjson")
    for start in range(people.start, people.stop, 20_000):
        numbers = range(traffic.AGREED + start, traffic.AGREED + min(start + 20_000, people.stop))
        call("POST", "/v1/events", "\n".join(event(number, "grant", traffic.ALL, 1) for number in numbers) + "\n", "application/x-ndjson")
    stop(gate)


def copy_records(world, start, end):
    """Gate records for more people than one waits for, copied from the first of them inside Redis."""
    if end <= start:
        return
    key = world.redis_call("--scan", "--pattern", f"og:c:*{traffic.AGREED}*").split()[0]
    before, after = key.split(str(traffic.AGREED))
    script = (
        "local v = redis.call('GET', KEYS[1]) for n = tonumber(ARGV[1]), tonumber(ARGV[2]) - 1 do "
        "redis.call('SET', ARGV[3] .. string.format('%.0f', n) .. ARGV[4], v) end"
    )
    for first in range(start, end, 200_000):
        numbers = (traffic.AGREED + first, traffic.AGREED + min(first + 200_000, end))
        world.redis_call("EVAL", script, 1, key, *numbers, before, after)


def plain_records(world, start, end):
    """`consent:NUMBER` -> categories, as a team would write it by hand for nginx + Lua."""
    script = (
        "for n = tonumber(ARGV[1]), tonumber(ARGV[2]) - 1, tonumber(ARGV[4]) do "
        "redis.call('SET', 'consent:' .. string.format('%.0f', n), ARGV[3]) end"
    )
    for first in range(start, end, 200_000):
        agreed = (traffic.AGREED + first, traffic.AGREED + min(first + 200_000, end))
        world.redis_call("EVAL", script, 0, *agreed, ",".join(traffic.ALL), 1)
    if start == 0:
        world.redis_call("EVAL", script, 0, traffic.REFUSED, traffic.REFUSED + traffic.REFUSED_COUNT, "utility,authentication", 2)
