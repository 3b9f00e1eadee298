#!/usr/bin/env python3
"""Measures how the cost of a send grows with connections, with recipients in Redis and with the length of bodies.

    benches/side_by_side/growth.py                          # writes benches/growth.md and benches/growth.svg: about 12 minutes
    benches/side_by_side/growth.py --people 10000000        # the last point is ten million recipients: 4 GB of memory
    benches/side_by_side/growth.py --rounds 1 --seconds 1 --to /tmp   # a trial

Peers, checks and figures are those of run.py beside it, which says how they are measured; connections and bodies are measured with 1,000
recipients that every peer has in memory, recipients with draws that mostly miss it. As many as a million recipients arrive as consent
events; beyond that, gate records are copied inside Redis.
"""

import argparse
import math
import time
from pathlib import Path

import traffic
import world as ground
from measuring import Scenario, Task, measure

PEERS = ["nginx", "nginx + Lua + Redis", "optgate"]
COLORS = {"nginx": "#6b7280", "nginx + Lua + Redis": "#d97706", "optgate": "#2563eb"}
CONNECTIONS = [1, 16, 64, 256, 1024]
PEOPLE = [1_000, 10_000, 100_000, 1_000_000, 10_000_000]
SIZES = [300, 1_024, 4_096, 16_384, 61_440]


def read_options():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--gate", help="a release binary to measure; built if left out")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=2, help="of load on one peer in one round")
    options.add_argument("--people", type=int, default=1_000_000, help="the largest number of recipients; %(default)s if left out")
    options.add_argument("--only", choices=["connections", "recipients", "bytes"], help="one of the three")
    options.add_argument("--to", type=Path, default=ground.ROOT / "benches", help="the folder for growth.md and growth.svg")
    return options.parse_args()


def axes(options):
    """Name, points, and what a point means."""
    among = [count for count in PEOPLE if count <= options.people]
    found = {
        "connections": (CONNECTIONS, lambda count: Scenario("", PEERS, connections=count)),
        "recipients": (among, lambda count: Scenario("", PEERS, people=count)),
        "bytes": (SIZES, lambda size: Scenario("", PEERS, size=size)),
    }
    return {name: axis for name, axis in found.items() if options.only in [None, name]}


def main():
    options = read_options()
    ground.install_tools()
    world = ground.World(options.gate or ground.release_build())
    results = {name: points(world, name, axis, options) for name, axis in axes(options).items()}
    where = (
        f"{options.rounds} rounds of {options.seconds} s, the lowest counts. {ground.machine()}; {ground.versions()}; "
        f"commit {ground.commit()}, {time.strftime('%d %B %Y')}. `benches/side_by_side/growth.py --people {options.people}`"
    )
    (options.to / "growth.md").write_text(report(results, where))
    (options.to / "growth.svg").write_text(plot(results))
    print((options.to / "growth.md").read_text())


def points(world, name, axis, options):
    """The lowest round of each peer at each point."""
    values, make = axis
    found = {}
    for value in values:
        scenario = make(value)
        world.seed(scenario.people)
        script = traffic.wrk_script(world.folder / f"{name}-{value}.lua", scenario.size)
        tasks = [Task(world, script, f"{name}-{value}", scenario, peer, options.seconds) for peer in PEERS]
        rounds = {peer: [] for peer in PEERS}
        for turn in range(options.rounds):
            for task in tasks:
                rounds[task.peer].append(measure(task, turn))
        found[value] = {peer: {"cpu": min(r["cpu"] for r in taken), "p50": min(r["p50"] for r in taken)} for peer, taken in rounds.items()}
        ground.say(f"{name} {value:,}: " + ", ".join(f"{peer} {figures['cpu']:.1f} µs" for peer, figures in found[value].items()))
    return found


# ----- the table -----


def report(results, where):
    lines = ["# How the cost of a send grows", "", "CPU per request in microseconds, and in brackets beside plain nginx, which checks nothing.", ""]
    lines += ["![CPU per request by connections, recipients and bytes](growth.svg)", ""]
    titles = {"connections": "connections", "recipients": "recipients in Redis, drawn evenly", "bytes": "bytes of the body"}
    for name, found in results.items():
        lines += [f"| {titles[name]} | " + " | ".join(PEERS) + " |", "|--:|" + "--:|" * len(PEERS)]
        for value, figures in found.items():
            base = figures["nginx"]["cpu"]
            cells = [f"{figures[peer]['cpu']:.1f}" + (f" ({figures[peer]['cpu'] / base:.2f})" if peer != "nginx" else "") for peer in PEERS]
            lines.append(f"| {value:,} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join([*lines, where, ""])


# ----- the plot: three panels side by side, a logarithmic axis below, microseconds from zero at the left -----

WIDTH, HEIGHT, LEFT, TOP, GAP = 250, 220, 56, 48, 40


def plot(results):
    panels = len(results)
    width = max(LEFT + panels * (WIDTH + GAP), 640)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + HEIGHT + 60}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{TOP + HEIGHT + 60}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14">CPU per request, microseconds</text>',
        *legend(width),
    ]
    for n, (name, found) in enumerate(results.items()):
        parts += panel(name, found, LEFT + n * (WIDTH + GAP))
    return "\n".join([*parts, "</svg>", ""])


def legend(width):
    x, parts = width - 40 - sum(44 + 7 * len(peer) for peer in PEERS), []
    for peer in PEERS:
        parts.append(f'<line x1="{x}" y1="14" x2="{x + 20}" y2="14" stroke="{COLORS[peer]}" stroke-width="3"/>')
        parts.append(f'<text x="{x + 26}" y="18">{peer}</text>')
        x += 44 + 7 * len(peer)
    return parts


def panel(name, found, left):
    values, bottom = list(found), TOP + HEIGHT
    highest = step_above(max(figures[peer]["cpu"] for figures in found.values() for peer in PEERS))
    span = math.log(values[-1] / values[0]) or 1

    def across(value):
        return left + WIDTH * math.log(value / values[0]) / span

    def up(microseconds):
        return bottom - HEIGHT * microseconds / highest

    parts = [f'<text x="{left + WIDTH / 2}" y="{bottom + 42}" text-anchor="middle">{name}</text>']
    for line in range(5):
        y, shown = up(highest * line / 4), highest * line / 4
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + WIDTH}" y2="{y:.1f}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#4b5563">{shown:g}</text>')
    for value in values:
        parts.append(f'<text x="{across(value):.1f}" y="{bottom + 18}" text-anchor="middle" fill="#4b5563">{short(value)}</text>')
    for peer in PEERS:
        line = [(across(value), up(figures[peer]["cpu"])) for value, figures in found.items()]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLORS[peer]}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLORS[peer]}"/>' for x, y in line]
    return parts


def step_above(figure):
    """The next round number that four lines divide well."""
    scale = 10 ** math.floor(math.log10(figure))
    return next(step * scale for step in [1, 1.2, 1.6, 2, 3, 4, 6, 8, 10] if step * scale >= figure)


def short(value):
    for size, unit in [(1_000_000, "M"), (1_000, "k")]:
        if value >= size and value % size == 0:
            return f"{value // size}{unit}"
    return f"{value // 1024}Ki" if value >= 1024 and value % 1024 == 0 else str(value)


if __name__ == "__main__":
    main()
