#!/usr/bin/env python3
"""Imports a file of distinct recipients with full evidence into a gate on Redis, then has redis-cli --pipe issue the same script calls.

    cargo build --release
    benches/side_by_side/import.py                     # 1 000 000 events, NDJSON
    benches/side_by_side/import.py --format csv --events 200000 --gate target/release/optgate

Both run on this machine, one after the other, against the same redis-server without persistence. The calls of redis-cli hold the very bytes that the
import left in Redis. CPU seconds tell what a busy machine hides; peak memory is that of the importing command and of the gate.
"""

import argparse
import csv
import json
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CATEGORIES = ["marketing", "utility", "authentication", "service", "call"]
BATCH = 5000


def main():
    options = read_options()
    with tempfile.TemporaryDirectory(prefix="optgate-import-") as folder:
        folder = Path(folder)
        events = write_events(folder, options)
        redis = Redis(folder)
        try:
            through_gate(options, folder, redis, events)
            by_redis_cli(options, folder, redis)
        finally:
            redis.stop()


def read_options():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--gate", default=ROOT / "target/release/optgate", type=Path)
    options.add_argument("--events", default=1_000_000, type=int)
    options.add_argument("--format", default="ndjson", choices=["ndjson", "csv"])
    options.add_argument("--repeat", action="store_true", help="import the file a second time and say how fast that was")
    options.add_argument("--profile", type=Path, help="record the gate with perf into this file")
    return options.parse_args()


def event(n):
    return {
        "recipient": f"+1555{n:07}", "kind": "grant", "categories": CATEGORIES, "occurred_at": "2026-01-31T09:30:00Z",
        "actor": "person", "source": "website",
        "evidence": {
            "channel": "website", "user_action": "checked_box", "name_and_logo_shown": True, "number_confirmed": True,
            "categories_shown": CATEGORIES, "business_named": "Acme", "wording_version": "2026-01", "locale": "en",
            "wording": "I agree to receive messages from Acme on WhatsApp", "url": "https://acme.example/checkout",
        },
    }  # fmt: skip


def flat(event):
    cells = {name: value for name, value in event.items() if name != "evidence"}
    cells |= {f"evidence.{name}": value for name, value in event["evidence"].items()}
    written = {True: "true", False: "false"}
    return {name: ";".join(v) if isinstance(v, list) else written.get(v, v) if isinstance(v, bool) else v for name, v in cells.items()}


def write_events(folder, options):
    path = folder / f"events.{options.format}"
    with path.open("w", newline="") as file:
        if options.format == "csv":
            rows = csv.DictWriter(file, flat(event(0)))
            rows.writeheader()
            rows.writerows(flat(event(n)) for n in range(options.events))
        else:
            file.writelines(json.dumps(event(n), separators=(",", ":")) + "\n" for n in range(options.events))
    print(f"{options.events} events, {path.stat().st_size / 2**20:.0f} MiB of {options.format}")
    return path


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


class Redis:
    """A server without persistence, and just enough of its protocol."""

    def __init__(self, folder):
        self.port = free_port()
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen([*command, "--dir", folder], stdout=subprocess.DEVNULL)
        wait_for(self.port)
        self.stream = socket.create_connection(("127.0.0.1", self.port)).makefile("rwb")

    def ask(self, *commands):
        self.stream.write(b"".join(encoded(words) for words in commands))
        self.stream.flush()
        return [self.answer() for _ in commands]

    def answer(self):
        line = self.stream.readline()
        if line[:1] in b":+-":
            return line[1:-2]
        length = int(line[1:])
        return None if length < 0 else self.stream.read(length + 2)[:-2]

    def stop(self):
        self.process.terminate()
        self.process.wait()


def encoded(words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def through_gate(options, folder, redis, events):
    admin = free_port()
    flags = ["--listen", f"127.0.0.1:{free_port()}", "--admin-listen", f"127.0.0.1:{admin}", "--upstream", "http://127.0.0.1:9"]
    command = [options.gate.resolve(), "serve", *flags, "--store", f"redis://127.0.0.1:{redis.port}"]
    gate = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(admin)
        profiler = options.profile and subprocess.Popen(["perf", "record", "-g", "-q", "-o", options.profile, "-p", str(gate.pid)])
        for turn in ["imported", "imported again"][: 1 + options.repeat]:
            import_once(options, folder, redis, events, (gate, admin, turn))
        if profiler:
            profiler.send_signal(2)
            profiler.wait()
    finally:
        gate.terminate()
        gate.wait()


def import_once(options, folder, redis, events, running):
    gate, admin, turn = running
    before = cpu_seconds(gate.pid), cpu_seconds(redis.process.pid)
    command = [options.gate.resolve(), "--admin", f"http://127.0.0.1:{admin}", "consent", "import", events.name]
    began = time.monotonic()
    client = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, stdout=subprocess.PIPE)
    _, status, usage = os.wait4(client.pid, 0)
    took = time.monotonic() - began
    told = client.stdout.read().decode().strip()
    if status:
        sys.exit(f"the import failed: {told}")
    cpu = cpu_seconds(gate.pid) - before[0], cpu_seconds(redis.process.pid) - before[1], usage.ru_utime + usage.ru_stime
    print(f"{turn}: {options.events / took:9.0f}/s in {took:.1f} s; {told}")
    print("  CPU in us per event: gate {:.1f}, redis-server {:.1f}, import {:.1f}".format(*(1e6 * c / options.events for c in cpu)))
    print(f"  peak memory: gate {peak_mib(gate.pid):.0f} MiB, import {usage.ru_maxrss / 1024:.0f} MiB")


def script():
    """The script as the store's source has it."""
    source = (ROOT / "src/store/redis/script.rs").read_text()
    return re.search(r'r"\n(.*?)";', source, re.DOTALL)[0][2:-2].encode()


def by_redis_cli(options, folder, redis):
    calls = folder / "calls"
    [sha] = redis.ask(["SCRIPT", "LOAD", script()])
    with calls.open("wb") as file:
        for first in range(0, options.events, BATCH):
            digits = [f"1555{n:07}" for n in range(first, min(first + BATCH, options.events))]
            keys = [(f"og:r:{{1.{d}}}", f"og:c:{{1.{d}}}") for d in digits]
            values = redis.ask(*(["GET", key] for pair in keys for key in pair))
            for (dossier, gate), history, record in zip(keys, values[::2], values[1::2]):
                file.write(encoded(["EVALSHA", sha, 2, dossier, gate, "", history, record]))
    stored = redis.ask(["DBSIZE"])
    redis.ask(["FLUSHALL"])
    before = cpu_seconds(redis.process.pid)
    began = time.monotonic()
    with calls.open("rb") as file:
        told = subprocess.run(["redis-cli", "-p", str(redis.port), "--pipe"], stdin=file, capture_output=True, text=True, check=True).stdout
    took = time.monotonic() - began
    print(f"redis-cli --pipe, {calls.stat().st_size / 2**20:.0f} MiB: {options.events / took:.0f}/s in {took:.1f} s; {told.splitlines()[-1]}")
    cpu = cpu_seconds(redis.process.pid) - before, resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"  CPU in us per event: redis-server {1e6 * cpu[0] / options.events:.1f}; keys {redis.ask(['DBSIZE'])} of {stored}")


if __name__ == "__main__":
    main()
