"""Workflows in the shapes of published scientific ones, and three that were recorded: every order
is kept, and the makespan stands beside the best there is: the critical path, or all work over all
slots where that is longer.

Usage: workflow_shapes.py TASKD [STEPS [SECONDS]]. Starts roles of its own: workers enough that no
step waits for a slot. STEPS (up to 2,000) is how large the generated ones are; SECONDS how long
the critical path of each is scaled to.
"""
import json
import random
import statistics
import sys
import time
from pathlib import Path

import workflows

RECORDED = Path(__file__).parent / "data"
SLOTS = 64  # of a worker
WORKERS = 4


# A graph is a list of (name, places of those before it, seconds).

def montage(steps):
    """Images are projected, neighbours compared, all of it fitted, each corrected, then put
    together."""
    images = max(2, (steps - 6) // 4)
    graph = [(f"project{i}", [], 15) for i in range(images)]
    pairs = [(i, j) for i in range(images) for j in (i + 1, i + 2) if j < images]
    graph += [(f"diff{i}", list(pair), 1) for i, pair in enumerate(pairs)]
    graph.append(("concat", list(range(images, len(graph))), 3))
    graph.append(("model", [len(graph) - 1], 4))
    model = len(graph) - 1
    graph += [(f"background{i}", [model, i], 1) for i in range(images)]
    graph.append(("table", list(range(model + 1, len(graph))), 2))
    for name, seconds in (("add", 10), ("shrink", 3), ("picture", 1)):
        graph.append((name, [len(graph) - 1], seconds))
    return graph


def epigenomics(steps):
    """A read is split, each part goes through four steps of its own, then all are merged."""
    lanes = 4
    parts = max(1, (steps - 3 - lanes) // (4 * lanes + 1))
    graph, merged = [], []
    for lane in range(lanes):
        graph.append((f"split{lane}", [], 3))
        split, ends = len(graph) - 1, []
        for part in range(parts):
            before = split
            for name, seconds in (("filter", 2), ("convert", 1), ("pack", 1), ("map", 20)):
                graph.append((f"{name}{lane}-{part}", [before], seconds))
                before = len(graph) - 1
            ends.append(before)
        graph.append((f"merge{lane}", ends, 5))
        merged.append(len(graph) - 1)
    graph.append(("merge", merged, 5))
    for name, seconds in (("order", 2), ("pileup", 4)):
        graph.append((name, [len(graph) - 1], seconds))
    return graph


def genome(steps):
    """Of each chromosome: many parts, merged; what is found there is counted for each people."""
    peoples = 7
    chromosomes = max(1, steps // 100)
    parts = max(1, (steps // chromosomes) - 2 - 2 * peoples)
    graph = []
    for each in range(chromosomes):
        begin = len(graph)
        graph += [(f"part{each}-{i}", [], 20) for i in range(parts)]
        graph.append((f"merge{each}", list(range(begin, begin + parts)), 10))
        graph.append((f"sift{each}", [], 3))
        merge, sift = len(graph) - 2, len(graph) - 1
        for people in range(peoples):
            graph.append((f"overlap{each}-{people}", [merge, sift], 12))
            graph.append((f"frequency{each}-{people}", [merge, sift], 16))
    return graph


def seismology(steps):
    """Each pair of signals is worked on alone, then all are looked at together."""
    graph = [(f"deconvolve{i}", [], 1 + i % 7) for i in range(max(1, steps - 1))]
    graph.append(("wrap", list(range(len(graph))), 1))
    return graph


def recorded():
    for path in sorted(RECORDED.glob("*.json")):
        document = json.loads(path.read_text("utf-8"))
        yield f"{document['name']} (recorded)", [tuple(each) for each in document["tasks"]]


def behind(graph):
    """The seconds from the begin to the end of each, were there a worker for everybody."""
    ends = [None] * len(graph)

    def end(place):
        open_places = [place]
        while open_places:
            at = open_places[-1]
            missing = [each for each in graph[at][1] if ends[each] is None]
            if missing:
                open_places += missing
                continue
            ends[at] = graph[at][2] + max((ends[each] for each in graph[at][1]), default=0)
            open_places.pop()
        return ends[place]
    return [end(place) for place in range(len(graph))]


def document(name, graph, scale):
    names = [each[0] for each in graph]
    steps = [{"name": each, "type": "wait", "after": [names[place] for place in before],
              "payload": max(seconds * scale, 0.0001)} for each, before, seconds in graph]
    chance = random.Random(1)
    chance.shuffle(steps)  # the order in the document means nothing
    return {"name": name, "steps": steps}


def check_order(api, workflow, graph):
    """No step began before those had ended that it waits for."""
    steps, after = {}, 0
    while after is not None:
        page = api.call("GET", f"/v1/workflows/{workflow}/steps?limit=1000&after={after}")
        steps.update((each["name"], each) for each in page["steps"])
        after = page.get("next")
    assert len(steps) == len(graph), f"{len(steps)} steps of {len(graph)}"
    for name, before, _ in graph:
        assert steps[name]["state"] == "succeeded", steps[name]
        for place in before:
            other = steps[graph[place][0]]
            assert other["ended_at"] <= steps[name]["began_at"], (other, steps[name])


def measure(api, name, graph, seconds):
    path = max(behind(graph))
    scale = seconds / path
    began = time.perf_counter()
    done = api.call("POST", "/v1/workflows?wait=10m", {"document": document(name, graph, scale)})
    took = time.perf_counter() - began
    assert done["state"] == "succeeded", done
    check_order(api, done["id"], graph)
    work = sum(each[2] for each in graph) * scale
    slots = max(work / (SLOTS * WORKERS), seconds)
    edges = sum(len(each[1]) for each in graph)
    print(f"| {name} | {len(graph):,} | {edges:,} | {work:,.1f} s | {slots:.2f} s | {took:.2f} s |")
    return took / slots


def main():
    program = sys.argv[1]
    steps = min(int(sys.argv[2]) if len(sys.argv) > 2 else 2_000, 2_000)
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 2.0
    with workflows.Roles(program, WORKERS, "wait", SLOTS) as roles:
        run(workflows.Api(roles.port), steps, seconds)


def run(api, steps, seconds):
    print("| workflow | steps | edges | work | at best | makespan |")
    print("|---|---|---|---|---|---|")
    shapes = [(each.__name__, each(steps)) for each in (montage, epigenomics, genome, seismology)]
    ratios = [measure(api, name, graph, seconds) for name, graph in [*shapes, *recorded()]]
    print(f"\nmakespan over the best there is, median {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
