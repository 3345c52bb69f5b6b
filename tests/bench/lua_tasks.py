"""A task in Lua beside the same task built in: `sum` of the same numbers, by the same load through
the same dispatcher, with one worker of either kind in turn.

Usage: lua_tasks.py TASKD [SECONDS] [ROUNDS]. Starts roles of its own. The load client holds every
result against what the built-in work gives, so both did the same.
"""
import json
import os
import statistics
import subprocess
import sys

from workflows import Api, Roles

PROGRAM = """
return function(numbers)
  local sum = 0
  for _, each in ipairs(numbers) do sum = sum + each end
  return sum
end
"""


def cpu_seconds(pid):
    """Of all its threads."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Turn:
    """One worker alone, under load."""

    def __init__(self, roles, program, names, words):
        self.roles, self.program = roles, program
        self.worker = subprocess.Popen(
            [program, "worker", *words, "--port", "0", "--nameservice", names,
             "--concurrency", "64"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        roles.wait(lambda: self.reached() == 1)

    def reached(self):
        workers = Api(self.roles.port).call("GET", "/v1/workers")["workers"]
        return sum(1 for each in workers if each["reachable"])

    def load(self, rate, seconds):
        before = cpu_seconds(self.worker.pid)
        done = subprocess.run(
            [self.program, "load", "--url", f"http://127.0.0.1:{self.roles.port}", "--mix",
             "sum=1", "--rate", rate, "--for", f"{seconds}s", "-o", "json"],
            capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"the load failed: {done.stderr}{done.stdout}")
        figures = json.loads(done.stdout)
        figures["cpu_us"] = (cpu_seconds(self.worker.pid) - before) / figures["succeeded"] * 1e6
        return figures

    def end(self):
        self.worker.terminate()
        self.worker.wait()
        self.roles.wait(lambda: self.reached() == 0)


def main():
    program = sys.argv[1]
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    with Roles(program, 0) as roles:
        source = os.path.join(roles.directory.name, "sum.lua")
        with open(source, "w", encoding="ascii") as file:
            file.write(PROGRAM)
        kinds = {"built in": ["sum"], "in Lua": ["lua", "--type", "sum", "--source", source]}
        seen = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind, words in kinds.items():
                turn = Turn(roles, program, roles.names_url, words)
                seen[kind].append((turn.load("max", seconds), turn.load("500", seconds)))
                turn.end()
    medians = {}
    for kind, runs in seen.items():
        rate = statistics.median(each["came_back_a_second"] for each, _ in runs)
        cpu = statistics.median(each["cpu_us"] for each, _ in runs)
        medians[kind] = rate, cpu
        middle = statistics.median(each["result_ms"]["p50"] for _, each in runs)
        high = statistics.median(each["result_ms"]["p99"] for _, each in runs)
        print(f"sum {kind}: {rate:,.0f} tasks/s, worker {cpu:.1f} us of CPU a task; at 500/s "
              f"p50 {middle:.2f} ms, p99 {high:.2f} ms (medians of {rounds})")
    (rate, cpu), (lua_rate, lua_cpu) = medians["built in"], medians["in Lua"]
    print(f"in Lua: {lua_rate / rate:.2f} of the rate, {lua_cpu / cpu:.2f} times the worker's CPU")


if __name__ == "__main__":
    main()
