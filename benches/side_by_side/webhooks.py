#!/usr/bin/env python3
"""Relays signed webhooks through the gate and through plain nginx, the same bodies to the same bot, and prints what each costs.

    cargo build --release
    benches/side_by_side/webhooks.py                       # about a minute
    benches/side_by_side/webhooks.py --gate target/release/optgate --seconds 10 --rounds 5 --redis

Needs nginx and wrk. One thread each: nginx has one worker, the relay has one thread; the bot is another nginx that answers 200. Rounds take
turns, so that a busy machine is busy for everybody, and the median counts. CPU is the process's own, per webhook. `statuses` are what follows each send
(sent, delivered, read); `messages` are texts of people the gate does not know, which open their windows: each is written to the store before the bot hears
of it. The demand: three times the outbound rate, and Meta lets one number send at most 1 000 messages a second.
"""

import argparse
import hashlib
import hmac
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECRET = "an app secret"
SENDER, ACCOUNT = "106540352242922", "102290129340398"
DEMAND = 3000


def main():
    options = read_options()
    for tool, package in {"nginx": "nginx", "wrk": "wrk"}.items() | ({"redis-server": "redis-server"}.items() if options.redis else set()):
        if not shutil.which(tool):
            sys.exit(f"{tool} is absent: apt-get install {package}")
    print(machine(options))
    with tempfile.TemporaryDirectory(prefix="optgate-webhooks-") as folder:
        folder = Path(folder)
        bodies = {kind: write_bodies(folder, kind, options) for kind in ["statuses", "messages"]}
        started = []
        try:
            print_table(measure(folder, bodies, options, started))
        finally:
            for process in started:
                process.send_signal(signal.SIGTERM)
                process.wait()


def read_options():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--gate", default=ROOT / "target/release/optgate", type=Path)
    options.add_argument("--seconds", default=4, type=int, help="of each measurement")
    options.add_argument("--rounds", default=3, type=int)
    options.add_argument("--connections", default=32, type=int)
    options.add_argument("--redis", action="store_true", help="keep consent and queue in a redis-server without persistence as well")
    return options.parse_args()


def machine(options):
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False).stdout.strip()
    load = os.getloadavg()[0]
    return (
        f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, load {load:.1f}; {platform.release()}; commit {commit}\n"
        f"{options.rounds} rounds of {options.seconds} s, {options.connections} connections, bodies of 0.5 to 0.7 KB"
    )


def change(value):
    value = {"messaging_product": "whatsapp", "metadata": {"display_phone_number": "15550783881", "phone_number_id": SENDER}, **value}
    entry = {"id": ACCOUNT, "changes": [{"value": value, "field": "messages"}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def status(n):
    number, at = f"1555{n % 10**7:07}", str(int(time.time()))
    pricing = {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "utility"}
    kind = ["sent", "delivered", "read"][n % 3]
    status = {"id": f"wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI5QTNDQTVCM0Q{n:08}", "status": kind, "timestamp": at, "recipient_id": number, "pricing": pricing}
    return change({"contacts": [{"profile": {"name": "Sheena Nelson"}, "wa_id": number}], "statuses": [status]})


def message(n):
    number, at = f"1556{n % 10**7:07}", str(int(time.time()))
    message = {"from": number, "id": f"wamid.HBgLMTY1MDU1NTEyMzQVAgASGBQzQTRBNjU5OUFF{n:08}", "timestamp": at, "type": "text"}
    message["text"] = {"body": "Does it come in another color?"}
    return change({"contacts": [{"profile": {"name": "Sheena Nelson"}, "wa_id": number}], "messages": [message]})


def write_bodies(folder, kind, options):
    """A wrk script for each kind, and beside it its webhooks: a signature and a body a line."""
    path = folder / f"{kind}.txt"
    make = {"statuses": status, "messages": message}[kind]
    with path.open("w") as file:
        for n in range(20_000):
            body = json.dumps(make(n), separators=(",", ":"))
            file.write(hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).hexdigest() + body + "\n")
    script = folder / f"{kind}.lua"
    script.write_text(
        f"""
local requests, at = {{}}, 0
function init()
  for line in io.lines("{path}") do
    local headers = {{ ["Content-Type"] = "application/json", ["X-Hub-Signature-256"] = "sha256=" .. line:sub(1, 64) }}
    requests[#requests + 1] = wrk.format("POST", "/webhook", headers, line:sub(65))
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
"""
    )
    return script


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, process):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if process.poll() is not None:
                sys.exit(f"{process.args[0]} has ended")
            time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def nginx(folder, name, port, location):
    config = folder / f"{name}.conf"
    (folder / name).mkdir()
    config.write_text(
        f"""
daemon off; master_process off; worker_processes 1; pid {folder}/{name}/pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/{name}/body; proxy_temp_path {folder}/{name}/proxy; fastcgi_temp_path {folder}/{name}/f;
  uwsgi_temp_path {folder}/{name}/u; scgi_temp_path {folder}/{name}/s; keepalive_requests 100000000; client_max_body_size 3m; client_body_buffer_size 64k;
  {location[0]}
  server {{ listen 127.0.0.1:{port}; location / {{ {location[1]} }} }}
}}
"""
    )
    return subprocess.Popen(["nginx", "-c", config, "-p", folder / name])


def gate(folder, name, bot, options, relay, store=None):
    home, webhook = folder / name, free_port()
    home.mkdir()
    store = f'kind = "redis"\nurl = "redis://127.0.0.1:{store}"' if store else 'kind = "embedded"'
    (home / "optgate.toml").write_text(
        f"""
data_dir = "{home}"
[proxy]
listen = "127.0.0.1:{free_port()}"
workers = 1
[admin]
listen = "127.0.0.1:{free_port()}"
[upstream]
url = "http://127.0.0.1:9"
[store]
{store}
[log]
level = "error"
[webhook]
listen = "127.0.0.1:{webhook}"
verify_token = "v"
app_secrets = ["{SECRET}"]
relay = "{relay}"
[[tenants]]
name = "acme"
[[tenants.senders]]
phone_number_id = "{SENDER}"
account = "{ACCOUNT}"
phone = "+15550783881"
webhook_url = "http://127.0.0.1:{bot}/webhook"
"""
    )
    process = subprocess.Popen([options.gate.resolve(), "serve", "--config", home / "optgate.toml"], cwd=home, stdout=subprocess.DEVNULL)
    wait_for(webhook, process)
    return process, webhook


def measure(folder, bodies, options, started):
    """The rows: name, kind of webhook, and a measurement for each round."""
    bot, forwarding = free_port(), free_port()
    started.append(nginx(folder, "bot", bot, ("", "return 200;")))
    wait_for(bot, started[-1])
    upstream = f"upstream bot {{ server 127.0.0.1:{bot}; keepalive 64; keepalive_requests 100000000; }}"
    pass_on = 'proxy_pass http://bot; proxy_http_version 1.1; proxy_set_header Connection "";'
    proxy = nginx(folder, "proxy", forwarding, (upstream, pass_on))
    started.append(proxy)
    wait_for(forwarding, proxy)
    targets = [("bot alone", "statuses", (started[0], bot)), ("nginx", "statuses", (proxy, forwarding)), ("nginx", "messages", (proxy, forwarding))]
    stores = [("embedded", None)]
    if options.redis:
        port = free_port()
        redis = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder], stdout=subprocess.DEVNULL)
        started.append(redis)
        wait_for(port, redis)
        stores.append(("redis", port))
    for store, port in stores:
        for relay in ["wait", "queue"]:
            name = f"optgate {relay}, {store}"
            running = gate(folder, name.replace(" ", "-").replace(",", ""), bot, options, relay, port)
            started.append(running[0])
            targets += [(name, "statuses", running), (name, "messages", running)]
    rows = {(name, kind): [] for name, kind, _ in targets}
    for _ in range(options.rounds):
        for name, kind, (process, port) in targets:
            rows[name, kind].append(load(process, port, bodies[kind], options))
    return rows


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(process, port, script, options):
    before = cpu_seconds(process.pid)
    command = ["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", "--latency", "-s", script, f"http://127.0.0.1:{port}"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    cpu = cpu_seconds(process.pid) - before
    if re.search(r"Non-2xx|Socket errors", told):
        sys.exit(f"not every webhook was taken:\n{told}")
    requests, seconds = int(re.search(r"(\d+) requests in", told)[1]), float(re.search(r"requests in ([\d.]+)s", told)[1])
    return requests / seconds, 1e6 * cpu / requests, milliseconds(re.search(r"99%\s+([\d.]+)(us|ms|s)", told))


def milliseconds(found):
    return float(found[1]) * {"us": 0.001, "ms": 1, "s": 1000}[found[2]]


def print_table(rows):
    medians = {row: [statistics.median(column) for column in zip(*rounds)] for row, rounds in rows.items()}
    print(f"\n{'':26} {'webhooks':9} {'per second':>11} {'of nginx':>9} {'CPU us each':>12} {'of nginx':>9} {'p99 ms':>8} {'of the demand':>14}")
    for (name, kind), (rate, cpu, p99) in medians.items():
        base = medians["nginx", kind]
        print(f"{name:26} {kind:9} {rate:11.0f} {rate / base[0]:8.2f}x {cpu:12.1f} {cpu / base[1]:8.2f}x {p99:8.2f} {rate / DEMAND:13.1f}x")


if __name__ == "__main__":
    main()
