"""taskd simulate: clean over many steps with everything met; the same seed gives the same lives."""

import subprocess
import unittest

import harness

STEPS = 500_000


def simulate(seed, steps):
    return subprocess.run(
        [harness.EXECUTABLE, "simulate", "--seed", str(seed), "--steps", str(steps)],
        capture_output=True, text=True, timeout=280)


def figures(run):
    return [line for line in run.stdout.splitlines() if not line.endswith("steps a second")]


class Simulate(unittest.TestCase):

    def test_many_steps_are_clean_and_meet_everything(self):
        run = simulate(1, STEPS)
        self.assertEqual(run.returncode, 0, run.stderr + run.stdout)
        self.assertRegex(run.stdout, rf"steps +{STEPS}\n")
        self.assertRegex(run.stdout, r"\d+ steps a second\n")
        for name in ("expired + redrive", "step operation", "power cut", "events", "deliveries"):
            self.assertRegex(run.stdout, rf"{name.replace('+', '.')} +[1-9]")

    def test_a_seed_is_a_life(self):
        self.assertEqual(figures(simulate(7, 3_000)), figures(simulate(7, 3_000)))
        self.assertNotEqual(figures(simulate(7, 3_000)), figures(simulate(8, 3_000)))

    def test_lives_that_were_blamed_wrongly(self):
        """A step was cancelled in the turn that recovered; a workflow was deleted twice at once."""
        for seed in (7016, 19141, 14316):
            self.assertNotIn("broken: ", simulate(seed, 2_000).stderr, seed)

    def test_what_was_not_met_is_named(self):
        run = simulate(7, 20)
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assertIn("never met: ", run.stderr)
        self.assertNotIn("broken: ", run.stderr)


if __name__ == "__main__":
    harness.main()
