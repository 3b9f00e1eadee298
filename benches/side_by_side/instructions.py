#!/usr/bin/env python3
"""Counts what one send costs the gate's worker in instructions and allocations, and compares with what is written in benches/instructions.json.

    benches/side_by_side/instructions.py            # builds, counts, and fails if there are 5 % more than written
    benches/side_by_side/instructions.py --update   # writes what it counts: for a change that is worth its price, said in the commit

The real program under valgrind's callgrind, real sockets, one send after another over one connection to recipients whom the gate has in
memory; counting begins after a warm-up, in the thread that serves. It repeats from run to run within 0.1 %, which no clock on a shared machine
does. The program is optimized a little (opt-level 1) and not linked as a whole, because a release build takes minutes: the figures are some 40 %
above those of a release build. Not optimized at all it would cost five times as much, and most of that where nothing costs in a release.
"""

import argparse
import collections
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import traffic
import world as ground

WRITTEN = ground.ROOT / "benches/instructions.json"
LIMIT = 1.05
PEOPLE, WARM, SENDS = 24, 192, 480


def main():
    options = read_options()
    if not shutil.which("valgrind"):
        sys.exit("valgrind is absent: apt-get install valgrind (tests/run --install-only does)")
    gate = options.gate or build()
    counts = [count(gate) for _ in range(options.runs)]
    found = {name: round(statistics.median(run[name] for run in counts)) for name in counts[0]}
    compiler = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True, cwd=ground.ROOT).stdout.strip()
    if options.runs > 1:
        print("\n".join(f"{name}: {sorted(round(run[name], 1) for run in counts)}" for name in counts[0]))
    if options.update:
        WRITTEN.write_text(json.dumps({**found, "compiler": compiler}, indent=2) + "\n")
        print(f"{WRITTEN.relative_to(ground.ROOT)}: {found}")
        return
    compare(found, compiler)


def read_options():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--update", action="store_true", help="write the figures down in place of comparing with them")
    options.add_argument("--runs", type=int, default=1, help="count so often and take the median")
    options.add_argument("--gate", type=Path, help="a program to count, in place of building one")
    return options.parse_args()


def compare(found, compiler):
    written = json.loads(WRITTEN.read_text())
    worse = []
    for name, figure in found.items():
        share = figure / written[name]
        print(f"{figure:,} {name} for a send; {written[name]:,} are written, {100 * (share - 1):+.1f} %")
        if share > LIMIT:
            worse.append(name)
    if compiler != written["compiler"]:
        print(f"counted with {compiler}, written with {written['compiler']}: a part of the difference may be the compiler's")
    if worse:
        sys.exit(
            f"a send costs more than 5 % more {' and '.join(worse)}. Find what it was with callgrind_annotate or, if it is worth it, "
            "run benches/side_by_side/instructions.py --update and say why in the commit"
        )


def build():
    """Only the crate itself is compiled for this: its dependencies are those of the tests."""
    command = ["cargo", "build", "--locked", "--bin", "optgate", "--message-format", "json-render-diagnostics"]
    optimized = os.environ | {"CARGO_PROFILE_DEV_OPT_LEVEL": "1"}
    told = subprocess.run(command, cwd=ground.ROOT, env=optimized, stdout=subprocess.PIPE, text=True, check=True).stdout
    return next(Path(line["executable"]) for line in map(json.loads, told.splitlines()) if line.get("executable"))


# ----- one count -----


def count(gate):
    with tempfile.TemporaryDirectory(prefix="optgate-instructions-") as folder:
        folder = Path(folder)
        provider = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=provide, args=[provider], daemon=True).start()
        listen, admin = ground.free_port(), ground.free_port()
        config = write_config(folder, listen, admin, provider.getsockname()[1])
        valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes", f"--callgrind-out-file={folder}/out"]
        process = ground.spawn([*valgrind, gate, "serve", "--config", config], folder / "log")
        try:
            ground.wait_until_ready(admin, process)
            agree(admin, (folder / "admin.token").read_text().strip())
            with socket.create_connection(("127.0.0.1", listen)) as caller:
                caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                send(caller, WARM)
                control(process, "--instr=on")
                send(caller, SENDS)
                control(process, "--instr=off")
            control(process, "--dump")
        finally:
            ground.stop(process)
        return busiest(folder)


def write_config(folder, listen, admin, provider):
    text = f"""
data_dir = "{folder}"
[proxy]
listen = "127.0.0.1:{listen}"
workers = 1
[admin]
listen = "127.0.0.1:{admin}"
[upstream]
url = "http://127.0.0.1:{provider}"
[store]
lookup_deadline_ms = 60000  # valgrind is slow
[decision_log]
file = "{folder}/decisions.jsonl"
[log]
level = "error"
"""
    (folder / "optgate.toml").write_text(text)
    return folder / "optgate.toml"


def provide(listener):
    """The provider's stand-in: connections are few and kept, so a thread for each will do."""
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=answer, args=[connection], daemon=True).start()


def answer(connection):
    told = (f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(ground.ANSWER)}\r\n\r\n{ground.ANSWER}").encode()
    read = b""
    while more := connection.recv(65536):
        read += more
        while found := re.match(rb"(.*?\r\n\r\n)", read, re.DOTALL):
            length = int(re.search(rb"content-length: *(\d+)", found[1].lower())[1])
            if len(read) < len(found[1]) + length:
                break
            read = read[len(found[1]) + length :]
            connection.sendall(told)


def agree(admin, token):
    def call(method, path, body, kind):
        asked = http.client.HTTPConnection("127.0.0.1", admin, timeout=120)
        asked.request(method, path, body, {"Authorization": f"Bearer {token}", "Content-Type": kind})
        status, told = (lambda taken: (taken.status, taken.read()))(asked.getresponse())
        if status != 200:
            sys.exit(f"{method} {path}: {status} {told[:1000]!r}")

    listed = [
        {"id": str(n), "name": name, "language": "en_US", "category": category.upper(), "status": "APPROVED"}
        for n, (name, category) in enumerate(traffic.TEMPLATES.items())
    ]
    call("PUT", "/v1/templates/1", json.dumps({"data": listed}), "application/json")
    lines = [ground.event(traffic.AGREED + n, "grant", traffic.ALL, 1) for n in range(PEOPLE)]
    call("POST", "/v1/events", "\n".join(lines) + "\n", "application/x-ndjson")


def send(caller, times):
    made = traffic.requests()
    for n in range(times):
        _, before, after = made[n % len(made)]
        status, head, body = traffic.exchange(caller, f"{before}{traffic.AGREED + n % PEOPLE}{after}")
        if status != 200:
            sys.exit(f"a send that was agreed to is answered {status} {head!r} {body!r}")


def control(process, wish):
    time.sleep(0.3)  # what follows an answer, such as its line in the log, is done
    told = subprocess.run(["callgrind_control", wish, str(process.pid)], capture_output=True, text=True, timeout=120, check=False)
    if told.returncode != 0 or "Error" in told.stdout + told.stderr:
        sys.exit(f"callgrind_control {wish}: {told.stdout}{told.stderr}")


def busiest(folder):
    """Instructions and allocations of the thread that served: the others write the log and keep time, and when they wake is chance."""
    counted = [read(path) for path in folder.glob("out.*-*")]
    served = max(counted, key=lambda thread: thread["instructions"])
    if served["instructions"] < SENDS * 1000:
        sys.exit(f"callgrind counted next to nothing: {counted}")
    return {name: figure / SENDS for name, figure in served.items()}


def read(path):
    """The total of a thread's profile, and how often it called the allocator."""
    names, called, calls, total = {}, None, collections.Counter(), 0
    with path.open(errors="replace") as file:
        for line in file:
            if found := re.match(r"(c?fn)=(\(\d+\))(?: (.*))?", line):
                names[found[2]] = found[3] or names.get(found[2], "")
                called = names[found[2]] if found[1] == "cfn" else called
            elif line.startswith("calls="):
                calls[called] += int(line[6:].split()[0])
            elif line.startswith("totals:"):
                total = int(line.split()[1])
    allocations = sum(times for name, times in calls.items() if re.search(r"__rust_(alloc|alloc_zeroed|realloc)$", name))
    return {"instructions": total, "allocations": allocations}


if __name__ == "__main__":
    main()
