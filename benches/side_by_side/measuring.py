"""One peer in one round: every answer checked first, then load, then what the provider saw and the gate logged compared with it."""

import re
import sys
import urllib.request
from dataclasses import dataclass

import peers as compared
import traffic
import world as ground
from peers import PEERS


@dataclass
class Scenario:
    about: str
    peers: list
    choice: str = "any"
    people: int = 1000
    tls: bool = False
    connections: int = 64
    rate: int = 0
    pinned: bool = True
    size: int | None = None
    then: object = None  # what else is asked of the peer, after the load


@dataclass
class Task:
    """A scenario for one peer, and for how long."""

    world: ground.World
    script: object
    name: str
    scenario: Scenario
    peer: str
    seconds: int


def measure(task, turn):
    """Repeats a round in which the store was too slow for the gate's deadline, as happens where other work takes the cores."""
    for attempt in range(1, 11):
        try:
            return measured(task, f"{turn}-{attempt}")
        except traffic.Unanswered as why:
            print(f"{task.name}, {task.peer}, round {turn + 1}: {why}; once more", file=sys.stderr)
        except RuntimeError as wrong:
            sys.exit(f"{task.name}, {task.peer}: {wrong}")
    sys.exit(f"{task.name}, {task.peer}: the machine is too busy to measure")


def measured(task, turn):
    world, scenario, what = task.world, task.scenario, PEERS[task.peer]
    cores = ground.PROXY_CORES if scenario.pinned else set(ground.CORES)
    folder = world.folder / f"{task.name}-{task.peer}-{turn}".replace(" ", "")
    start = compared.Start(world, folder, scenario.tls, scenario.people, cores)
    if what.start is None:
        return load(task, None, world.provider)
    process = what.start(start)
    try:
        resident = {"started": ground.resident_bytes(process.pid)}
        before = world.sends_seen()
        expected = traffic.verify(start.port, what.checks, what.gate, scenario.size)
        verified = world.sends_seen() - before
        if verified != expected:
            raise RuntimeError(f"the provider saw {verified} sends in place of {expected}")
        earlier = lookups(start.admin) if what.gate else None
        result = load(task, process, start.port)
        counted(result, world.sends_seen() - before - verified, task)
        resident["loaded"] = ground.resident_bytes(process.pid)
        if what.gate:
            result["lookups"] = lookups(start.admin, earlier)
        if scenario.then:
            result |= scenario.then(task, process, start)
    finally:
        ground.stop(process)
    if what.gate and not scenario.then:
        logged(start, traffic.VERIFIED + result["requests"], scenario)
    return result | {"resident": resident}


def load(task, process, port):
    scenario = task.scenario
    before = ground.cpu_microseconds(process.pid) if process else 0
    recipients = traffic.Recipients(scenario.choice, scenario.people)
    result = traffic.wrk(task.script, port, scenario.connections, task.seconds, recipients, scenario.rate, ground.OTHER_CORES)
    spent = ground.cpu_microseconds(process.pid) - before if process else 0
    return result | {"cpu": spent / result["requests"], "per_second": 1e6 * result["requests"] / result["microseconds"]}


def counted(result, seen, task):
    """What was in flight when wrk stopped was seen by the provider and not by wrk."""
    refused = PEERS[task.peer].checks and task.scenario.choice == "refused"
    least = result["requests"] - result["refused"]
    most = 0 if refused else least + task.scenario.connections
    if not least <= seen <= most:
        raise RuntimeError(f"under load the provider saw {seen} sends in place of {least} to {most}")
    if result["broken"] or (refused and least):
        raise RuntimeError(f"wrong answers under load: {result}")
    if result["refused"] and not refused:
        raise traffic.Unanswered(f"{result['refused']} of {result['requests']} sends refused under load")


def logged(start, least, scenario):
    """The gate's log, after it has ended, holds one line for each send."""
    log = start.folder / "decisions.jsonl"
    with log.open("rb") as file:
        lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    log.unlink()
    if not least <= lines <= least + scenario.connections:
        raise RuntimeError(f"the gate logged {lines} decisions for {least} sends")


def grown(task, process, start):
    """What is held for each recipient: the gate's memory after everybody was looked up, less what as long a load on a thousand left behind."""
    people, seconds, sent = task.scenario.people, 3 + task.scenario.people // 15_000, 0

    def run(choice):
        print(f"{task.name}: {seconds} s of load on {'a thousand' if choice == 'known' else f'{people:,}'} recipients", file=sys.stderr)
        recipients = traffic.Recipients(choice, people)
        return traffic.wrk(task.script, start.port, task.scenario.connections, seconds, recipients, 0, ground.OTHER_CORES)["requests"]

    while sent < people:  # wrk begins with the first each time, so one run must reach the last
        run("known")
        before = ground.resident_bytes(process.pid)
        sent = run("each")
        seconds *= 2
    full = ground.resident_bytes(process.pid)
    return {"full": full, "each": (full - before) / people}


def lookups(admin, earlier=None):
    """The gate's own histogram of lookups by source, each as a list of bound in seconds and count up to it, since an earlier one."""
    page = urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics").read().decode()
    found = {}
    for source in ["cache", "store"]:
        rows = re.findall(rf'optgate_lookup_seconds_bucket{{le="([^"]+)",source="{source}"}} (\d+)', page)
        past = [count for _, count in earlier[source]] if earlier else [0] * len(rows)
        found[source] = [(float(bound.replace("+Inf", "inf")), int(count) - gone) for (bound, count), gone in zip(rows, past)]
    return found


def within(rows, share):
    """The bound in microseconds under which such a share of a histogram lies."""
    return next(1e6 * bound for bound, count in rows if count >= share * rows[-1][1])
