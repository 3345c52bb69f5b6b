"""--boot-plan of every role: phases, levels, components, the time each took, and then the end."""

import pathlib
import re

import harness

PROGRAMS = pathlib.Path(__file__).resolve().parents[2] / "config" / "entries" / "programs"

PHASES = ["infrastructure", "load", "activation", "all"]
COMPONENTS = {
    "dispatcher": ["0 door", "0 store", "1 dispatcher < door, store",
                   "2 announcement < door, dispatcher"],
    "nameservice": ["0 door", "1 nameservice < door", "2 announcement < door, nameservice"],
    "worker": ["0 door", "0 pidgen", "1 worker < door, pidgen", "2 announcement < door, worker"],
    "monitor": ["0 door", "1 monitor < door", "2 announcement < door, monitor"],
    "host": ["0 door", "0 pidgen", "1 dispatcher < pidgen", "2 topology < dispatcher",
             "3 factory < pidgen, dispatcher, topology", "4 functions < factory",
             "5 supervisor < pidgen, factory, functions",
             "5 host < door, factory, functions, topology",
             "6 announcement < door, host, supervisor"],
    "up": ["0 registry", "0 pidgen", "1 finder < registry", "1 supervisor < pidgen, registry",
           "1 stores < registry", "2 lifecycle < registry, stores, supervisor"],
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
        self.assertEqual(steps[:2], ["event bus", "log"])
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
