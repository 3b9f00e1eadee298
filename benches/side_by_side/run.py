#!/usr/bin/env python3
"""Measures optgate beside what one would put there instead: nginx, HAProxy, HAProxy with a map file, nginx + Lua + Redis.

    benches/side_by_side/run.py                          # everything, 9 rounds: about 40 minutes
    benches/side_by_side/run.py --quick                  # every scenario once: a minute or two, to see that it works
    benches/side_by_side/run.py --scenarios cached,cold --peers nginx,optgate
    benches/side_by_side/run.py --gate target/release/optgate --write-readme

For Debian: what is absent is installed with apt-get, which is said; the gate is built with `cargo build --release`, unless --gate names
one. Each peer has the first core for itself with one worker; load (wrk), provider (an nginx that answers at once) and Redis share the
other cores. Peers take turns within a round and start anew in each. Before a peer is measured, every answer to 1,500 sends must be
right, a refused send must not have reached the provider, and afterwards the provider must have seen as many sends as were answered;
the gate must have logged one decision for each. A wrong one ends the program with status 1.

CPU is user and system time of the peer's processes, from /proc, divided by requests. Other work on the machine only ever adds to it, so
the ratio of the lowest rounds counts. Figures of different runs do not compare.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import traffic
import world as ground
from measuring import Scenario, Task, grown, measure, within
from peers import PEERS

PLAIN = ["direct", "splice", "nginx", "haproxy", "haproxy + map", "nginx + Lua + Redis", "optgate"]


SCENARIOS = {
    "cached": Scenario("1,000 recipients, all known to the peer already", PLAIN),
    "cold": Scenario("recipients drawn from a million: nearly every lookup misses what the peer remembers", PLAIN, people=1_000_000),
    "tls": Scenario("as cached, with TLS 1.3 to the provider", PLAIN, tls=True),
    "blocked": Scenario("everybody refused; peers without a check forward it all", PLAIN, choice="refused"),
    "workers": Scenario("one worker and two, free to use every core", ["nginx", "optgate", "optgate, two workers"], pinned=False),
    "one": Scenario("one connection, one request after the other", PLAIN, connections=1),
    "paced": Scenario("16 connections that make 1,000 requests a second together", PLAIN, connections=16, rate=1000),
    "misses": Scenario("every fifth lookup misses", ["optgate"], choice="mixed", people=1_000_000),
    "memory": Scenario("what the gate holds", ["optgate"], choice="known", people=1_000_000, then=grown),
}


def read_options():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="one round of a second each, 100,000 recipients in place of a million")
    options.add_argument("--gate", help="a release binary to measure; built if left out")
    options.add_argument("--rounds", type=int, help="9 if left out")
    options.add_argument("--seconds", type=int, help="of load on one peer in one round; 3 if left out")
    options.add_argument("--connections", type=int, default=64)
    options.add_argument("--people", type=int, help="recipients of cold, memory and misses; a million if left out")
    options.add_argument("--scenarios", default=",".join(SCENARIOS), help="of: %(default)s")
    options.add_argument("--peers", default=",".join(PEERS), help="of: %(default)s")
    options.add_argument("--json", help="a file for every round's figures")
    options.add_argument("--write-readme", action="store_true", help="put the table into README.md, between its markers")
    chosen = options.parse_args()
    chosen.rounds = chosen.rounds or (1 if chosen.quick else 9)
    chosen.seconds = chosen.seconds or (1 if chosen.quick else 3)
    chosen.people = chosen.people or (100_000 if chosen.quick else 1_000_000)
    chosen.scenarios = known(chosen.scenarios, SCENARIOS, options)
    chosen.peers = known(chosen.peers, PEERS, options)
    return chosen


def known(names, among, options):
    if unknown := [name for name in split(names, among) if name not in among]:
        options.error(f"unknown: {', '.join(unknown)}; there are: {', '.join(among)}")
    return split(names, among)


def split(names, among):
    """At commas, but for those that stand in a name."""
    for name in among:
        names = names.replace(name, name.replace(",", "\0"))
    return [name.strip().replace("\0", ",") for name in names.split(",")]


def main():
    options = read_options()
    ground.install_tools()
    world = ground.World(options.gate or ground.release_build())
    script = traffic.wrk_script(world.folder / "sends.lua")
    results = {}
    for name in options.scenarios:
        scenario = SCENARIOS[name]
        scenario.people = min(scenario.people, options.people)
        if scenario.connections == 64:
            scenario.connections = options.connections
        world.seed(scenario.people)
        tasks = [Task(world, script, name, scenario, peer, options.seconds) for peer in scenario.peers if peer in options.peers]
        results[name] = {task.peer: [] for task in tasks}
        for turn in range(options.rounds):
            for task in tasks:
                results[name][task.peer].append(measure(task, turn))
        print(f"\n{table(name, results[name])}", flush=True)
    print(f"\n{summary(results, options)}")
    if options.json:
        about = {"machine": ground.machine(), "versions": ground.versions(), "commit": ground.commit()}
        Path(options.json).write_text(json.dumps({**about, "results": results}, indent=1))
    if options.write_readme:
        write_readme(summary(results, options))


# ----- tables -----


def lowest(rounds, figure="cpu"):
    return min(entry[figure] for entry in rounds)


def middle(rounds, figure):
    return statistics.median(entry[figure] for entry in rounds)


def table(name, rows):
    lines = [f"**{name}**: {SCENARIOS[name].about}", ""]
    lines += ["| | CPU µs each | to nginx | medians | a second | p50 ms | p99 ms | RSS MB |", "|---|---|---|---|---|---|---|---|"]
    base = rows.get("nginx")
    for peer, rounds in rows.items():
        cpu = f"{lowest(rounds):.1f}" if PEERS[peer].start else ""
        ratios = ["", ""]
        if base and cpu:
            ratios = [f"{lowest(rounds) / lowest(base):.2f}", f"{middle(rounds, 'cpu') / middle(base, 'cpu'):.2f}"]
        memory = f"{middle(residents(rounds), 'loaded') / 1e6:.0f}" if cpu else ""
        speed = [f"{middle(rounds, 'per_second'):.0f}", f"{middle(rounds, 'p50') / 1000:.3f}", f"{middle(rounds, 'p99') / 1000:.3f}"]
        lines.append(f"| {peer} | " + " | ".join([cpu, *ratios, *speed, memory]) + " |")
    if "optgate" in rows and name in ["cold", "misses"]:
        lines += ["", lookups_line(rows["optgate"])]
    if "optgate" in rows and name == "memory":
        lines += ["", memory_text(rows["optgate"])]
    return "\n".join(lines)


def residents(rounds):
    return [entry["resident"] for entry in rounds]


def lookups_line(rounds):
    """The worst round counts: what an operator would notice."""
    hits, missed = [entry["lookups"]["cache"] for entry in rounds], [entry["lookups"]["store"] for entry in rounds]
    share = statistics.median(store[-1][1] / (store[-1][1] + cache[-1][1]) for cache, store in zip(hits, missed))
    bounds = [max(within(cache, part) for cache in hits) for part in [0.99, 0.999]]
    return f"The gate missed {100 * share:.0f} % of its lookups; 99 % of the hits took less than {bounds[0]:.1f} µs, 99.9 % less than {bounds[1]:.1f} µs."


def memory_text(rounds):
    started, loaded = [lowest(residents(rounds), when) / 1e6 for when in ["started", "loaded"]]
    full, each = lowest(rounds, "full") / 1e6, lowest(rounds, "each")
    people = SCENARIOS["memory"].people
    return f"{started:.1f} MB after the start, {loaded:.1f} MB under load, {full:.1f} MB with {people:,} recipients kept: {each:.0f} bytes for each"


COLUMNS = {"cached": "cached", "cold": "cold", "tls": "TLS to the provider", "blocked": "all refused"}


def summary(results, options):
    """The README's table: CPU per request to plain nginx, ratios of the lowest rounds."""
    columns = [name for name in COLUMNS if "nginx" in results.get(name, {})]
    lines = ["| CPU per request, to plain nginx | " + " | ".join(COLUMNS[name] for name in columns) + " |", "|---|" + "---|" * len(columns)]
    for peer in PLAIN[1:]:
        if any(peer in results[name] for name in columns):
            cells = [ratio(results[name], peer, "cpu") for name in columns]
            shown = f"**{peer}**" if peer == "optgate" else peer
            lines.append(f"| {shown} | " + " | ".join(cells) + " |")
    notes = [note for note in [plain_figures(results), latency_line(results), workers_line(results), memory_line(results)] if note]
    command = "benches/side_by_side/run.py" + (f" --rounds {options.rounds} --seconds {options.seconds}" if not options.quick else " --quick")
    rounds = f"{options.rounds} rounds of {options.seconds} s" if options.rounds > 1 else f"one round of {options.seconds} s, a trial"
    where = f"{ground.machine()}; {ground.versions()}; commit {ground.commit()}, {time.strftime('%d %B %Y')}."
    return "\n".join([*lines, "", " ".join([*notes, f"{rounds}, {options.connections} connections, ratio of the lowest rounds. {where}", f"`{command}`"])])


def ratio(rows, peer, figure):
    return f"{lowest(rows[peer], figure) / lowest(rows['nginx'], figure):.2f}" if peer in rows else ""


def plain_figures(results):
    spent = [f"{lowest(results[name]['nginx']):.1f} µs {COLUMNS[name]}" for name in COLUMNS if "nginx" in results.get(name, {})]
    return f"nginx took {', '.join(spent)}." if spent else ""


def latency_line(results):
    told = []
    for name, figure, text in [("one", "p50", "median at one connection"), ("paced", "p99", "99th percentile at 1,000 a second")]:
        rows = results.get(name, {})
        if "optgate" in rows and "nginx" in rows:
            pair = [lowest(rows[peer], figure) for peer in ["optgate", "nginx"]]
            told.append(f"{text} {pair[0]} µs ({pair[0] / pair[1]:.2f} of nginx)")
    return f"optgate's latency: {', '.join(told)}." if told else ""


def workers_line(results):
    rows = results.get("workers", {})
    if not {"optgate", "optgate, two workers"} <= rows.keys():
        return ""
    return f"Two workers, not pinned: {lowest(rows['optgate, two workers']) / lowest(rows['optgate']):.2f} of the CPU per request of one."


def memory_line(results):
    return f"Memory: {memory_text(results['memory']['optgate'])}." if results.get("memory") else ""


def write_readme(text):
    path = ground.ROOT / "README.md"
    before, rest = path.read_text().split("<!-- side_by_side -->\n", 1)
    after = rest.split("<!-- /side_by_side -->", 1)[1]
    path.write_text(f"{before}<!-- side_by_side -->\n{text}\n<!-- /side_by_side -->{after}")
    print("README.md written", file=sys.stderr)


if __name__ == "__main__":
    main()
