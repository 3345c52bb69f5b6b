"""A test that is skipped is told, and is a failure where TASKD_SKIPS lets nothing be skipped."""

import pathlib
import subprocess
import sys

import harness

SKIPPED = """
import harness, unittest
class Some(unittest.TestCase):
    def test_runs(self):
        pass
    def test_is_skipped(self):
        self.skipTest({why!r})
harness.main()
"""


class Skips(harness.SystemTest):

    def run_skipped(self, why, skips=None):
        path = self.system.folder / "some.py"
        path.write_text(SKIPPED.format(why=why), "utf-8")
        environment = self.system.environment | {
            "PYTHONPATH": str(pathlib.Path(__file__).parent), "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {"TASKD_SKIPS": skips} if skips else {}
        done = subprocess.run([sys.executable, path], env=environment, capture_output=True,
                              text=True, timeout=harness.PATIENCE, check=False)
        self.assertIn(f"skipped: Some.test_is_skipped: {why}\n", done.stdout)
        return done.returncode

    def test_what_may_be_skipped(self):
        why = "there is no promtool here"
        self.assertEqual(self.run_skipped(why), 0)
        self.assertEqual(self.run_skipped(why, "none"), 1)
        self.assertEqual(self.run_skipped(why, "promtool"), 0)
        self.assertEqual(self.run_skipped(why, "kubectl,promtool"), 0)
        self.assertEqual(self.run_skipped("there is no kubectl here", "promtool"), 1)
        self.assertEqual(self.run_skipped(harness.ONLY_WHEN_ASKED, "none"), 0)


if __name__ == "__main__":
    harness.main()
