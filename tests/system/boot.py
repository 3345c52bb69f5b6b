"""--boot-plan of every role: phases, levels, components, the time each took, and then the end."""

import pathlib
import re

import harness

PROGRAMS = pathlib.Path(__file__).resolve().parents[2] / "config" / "entries" / "programs"

PHASES = ["infrastructure", "load", "activation", "all"]
# What roles may share stands below level 8, on the same level everywhere; their own above it.
COMPONENTS = {
    "dispatcher": ["8 door", "8 store", "9 dispatcher < door, store",
                   "10 announcement < door, dispatcher"],
    "nameservice": ["8 door", "9 nameservice < door", "10 announcement < door, nameservice"],
    "worker": ["0 pidgen", "8 door", "9 worker < door, pidgen", "10 announcement < door, worker"],
    "monitor": ["8 door", "9 monitor < door", "10 announcement < door, monitor"],
    "host": ["0 pidgen", "1 dispatcher < pidgen", "2 registry < dispatcher",
             "3 supervisor < pidgen, registry", "4 topology < supervisor",
             "5 lifecycle < registry, supervisor, topology",
             "6 factory < pidgen, dispatcher, topology, lifecycle",
             "7 functions < factory, lifecycle", "8 door",
             "9 host < door, factory, lifecycle, topology, functions",
             "10 announcement < door, host"],
    "up": ["0 pidgen", "2 registry", "3 finder < registry", "3 supervisor < pidgen, registry",
           "5 lifecycle < registry, supervisor", "8 stores < registry, lifecycle"],
}


class Boot(harness.SystemTest):

    def plan(self, role, *arguments):
        done = self.system.run(role, *arguments, "--port", 0, "--boot-plan")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [re.fullmatch(r"(\S.*?|  \S.*?) +(\d+\.\d{3}) ms", line)
                for line in done.stdout.splitlines()]
        self.assertTrue(all(rows), done.stdout)
        return [(row[1], float(row[2])) for row in rows]

    def check(self, role, *arguments, phases=PHASES):
        rows = self.plan(role, *arguments)
        self.assertEqual([name for name, _ in rows if not name.startswith(" ")], phases)
        steps = [name.strip() for name, _ in rows if name.startswith(" ")]
        self.assertEqual([step for step in steps if step[0].isdigit()], COMPONENTS[role])
        self.assertEqual(steps[:3], ["event bus", "log", "transcoder"])
        self.assertEqual("relay" in steps, role == "host")  # where there are processes
        self.assertIn("seal", steps)
        self.assertGreater(rows[-1][1], 0)

    def test_every_role_tells_its_plan(self):
        folder = self.system.folder
        self.check("dispatcher", "--data", folder / "d")
        self.check("nameservice", "--data", folder / "n")
        self.check("worker", "sum")
        self.check("monitor")
        self.check("host", PROGRAMS,
                   phases=["infrastructure", "load", "activation", "entries", "all"])
        self.check("up", "--data", folder / "u",
                   phases=["infrastructure", "load", "activation", "entries", "all"])

    def test_a_part_that_cannot_load_is_named_with_its_path(self):
        first = self.system.dispatcher("http://127.0.0.1:9")
        first.start()
        done = self.system.run("dispatcher", "--data", self.system.folder / "dispatcher", "--port",
                               0, "--boot-plan")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertIn("store_locked", done.stderr)
        self.assertRegex(done.stderr, r'path="?store')


if __name__ == "__main__":
    harness.main()
