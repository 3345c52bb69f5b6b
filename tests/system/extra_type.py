"""One more built-in type, `words`, is one file, one row and one entry: this adds the entry to
config/workers.json and sees tasks of it run, beside all the others. Needs taskd_with_words."""

import json
import pathlib

import harness

WORKERS = pathlib.Path(__file__).parents[2] / "config" / "workers.json"
ENTRY = {"type": "words", "description": "counts the words of a text", "concurrency": 64,
         "enabled": True}


class ExtraType(harness.SystemTest):

    def test_it_runs_like_the_others(self):
        system = self.system
        listing = json.loads(WORKERS.read_text("utf-8"))
        listing["workers"].append(ENTRY)
        (system.folder / "workers.json").write_text(json.dumps(listing), "utf-8")
        up = system.up("--workers", system.folder / "workers.json").start()
        self.assertEqual([each["type"] for each in up.endpoints()["workers"]],
                         [each["type"] for each in listing["workers"]])
        for arguments, printed in [(("words", "one two  three"), "3"), (("words", ""), "0"),
                                   (("sum", 1, 2), "3"), (("upper", "a"), "A")]:
            done = system.run("submit", *arguments, "--data", up.data)
            self.assertEqual((done.returncode, done.stdout), (0, printed + "\n"), done.stderr)
        done = system.run("submit", "words", "--json", "{}", "--data", up.data)
        self.assertEqual(done.returncode, 5)
        self.assertIn("bad_payload", done.stderr)

    def test_it_starts_alone(self):
        system = self.system
        system.start_all("words")
        done = system.run("submit", "words", "alone", "here")
        self.assertEqual((done.returncode, done.stdout), (0, "2\n"), done.stderr)
        self.assertIn("words", system.run("help", "worker").stdout)


if __name__ == "__main__":
    harness.main()
