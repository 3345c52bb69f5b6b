"""taskd store check, and taskd doctor of a stopped store: they say of a data directory whether it
is sound, and change nothing in it."""

import json
import os
import sqlite3
from stat import S_ISDIR

import harness

SEGMENT_HEADER_BYTES = 4096
FRAME_HEAD_BYTES = 24  # length, checksum, batch number, salt


def frames_of(path):
    """(offset, length) of the frames of a segment, by its lengths alone."""
    data = path.read_bytes()
    salt = data[32:40]  # behind magic, version, checksum, store and number
    at, frames = SEGMENT_HEADER_BYTES, []
    while data[at + 16:at + 24] == salt:
        length = int.from_bytes(data[at:at + 4], "little")
        frames.append((at, length))
        at += FRAME_HEAD_BYTES + length
    return frames


class StoreCheck(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.data = self.system.folder / "dispatcher"
        dispatcher = self.system.start_all("sum")
        self.ids = [dispatcher.api.submit("sum", [number]) for number in range(20)]
        dispatcher.api.wait_results(self.ids)

    def stop(self):
        self.system.dp.terminate()
        self.assertEqual(self.system.dp.wait_end(), 0)

    def content(self):
        """What would differ after any write. A file without a byte in it is none."""
        stats = {str(path.relative_to(self.data)): path.stat() for path in self.data.rglob("*")}
        return {name: (stat.st_size, stat.st_mtime_ns, stat.st_ino)
                for name, stat in stats.items() if stat.st_size and not S_ISDIR(stat.st_mode)}

    def check(self, folder=None):
        before = self.content()
        done = self.system.run("store", "check", folder or self.data)
        self.assertEqual(self.content(), before, "it changed something")
        return done

    def change(self, path, at, flip=0xFF):
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ flip]))

    def newest_segment(self):
        """The segment with the newest frames, and those."""
        found = [(path, frames_of(path)) for path in sorted((self.data / "journal").glob("*.seg"))]
        return [(path, frames) for path, frames in found if len(frames) > 2][-1]

    def assert_damaged(self, done, name):
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(name, done.stderr)
        self.assertIn("damaged", done.stdout)

    def test_good(self):
        self.stop()
        done = self.check()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("20 tasks, 0 of them live", done.stdout)
        self.assertIn("sound", done.stdout)
        self.assertEqual(self.check(self.system.folder).returncode, 0)  # as of `taskd up`

    def doctor(self, *arguments):
        before = self.content()
        done = self.system.run("doctor", "--dir", self.data, *arguments)
        self.assertEqual(self.content(), before, "it changed something")
        return done

    def test_doctor_of_a_stopped_store(self):
        api = self.system.dp.api
        in_use = self.system.run("doctor", "--dir", self.data)
        self.assertEqual((in_use.returncode, in_use.stdout), (1, ""))
        self.assertIn("store_locked", in_use.stderr)
        self.assertEqual(api.call("PUT", "/v1/queues/held", {"concurrency": 2}).status, 200)
        for number in range(5):
            api.submit("held", number)
        api.submit("held", 9, run_at="2099-01-01T00:00:00Z")
        leased = api.post("/v1/leases", {"types": ["held"], "worker": "w", "max": 9}).json["tasks"]
        self.assertEqual(len(leased), 2)
        self.system.dp.kill()  # what the journal alone has is counted too
        done = self.doctor("-o", "json")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        told = json.loads(done.stdout)
        self.assertEqual((told["sound"], told["faults"], told["ended"], told["live"]),
                         (True, [], 20, 6))
        self.assertEqual(told["queues"], [{"type": "held", "queued": 3, "scheduled": 1,
                                           "running": 2, "leases": 2, "concurrency": 2}])
        self.assertRegex(self.doctor().stdout, r"(?s)QUEUE .*held +3 +1 +2 +2 +2\n.*sound")
        # Counted wrongly by whoever wrote it.
        self.system.dp.start().wait_ready()
        self.stop()
        view = sqlite3.connect(self.data / "view.db")
        view.execute("UPDATE mark SET kept = kept + 1")
        view.commit()
        view.close()
        done = self.doctor()
        self.assertEqual(done.returncode, 1)
        self.assertIn("ended tasks: 21 are counted, there are 20", done.stdout)
        self.assertIn("unsound", done.stdout)
        done = self.system.run("doctor", "--dir", self.system.folder / "nowhere")
        self.assertEqual((done.returncode, done.stdout), (3, ""))

    def test_doctor_of_a_store_with_a_list_under_way(self):
        document = {"name": "list", "steps": [
            {"name": "each", "type": "held", "for_each": [1, 2, 3], "payload": "${item}"}]}
        answer = self.system.dp.api.post("/v1/workflows", {"document": document})
        self.assertEqual(answer.status, 201, answer.text)
        for stop in (self.system.dp.kill, self.stop):  # in the journal alone, then in the view
            stop()
            done = self.doctor("-o", "json")
            self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
            self.assertEqual(json.loads(done.stdout)["live"], 3)
            self.system.dp.start().wait_ready()

    def test_doctor_beside_what_another_left(self):
        self.system.dp.terminate()
        self.assertEqual(self.system.dp.wait_end(), 0)
        scratch = self.system.folder / "scratch"
        left = scratch / f"taskd-work-{os.geteuid()}" / "doctor"
        left.mkdir(parents=True)
        done = self.system.run("doctor", "--dir", self.data, environment={"TMPDIR": str(scratch)})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(list(left.parent.iterdir()), [left])

    def test_after_a_kill(self):
        self.system.dp.kill()
        done = self.check()
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)

    def test_torn(self):
        self.stop()
        path, frames = self.newest_segment()
        at, length = frames[-1]
        self.change(path, at + FRAME_HEAD_BYTES + length // 2)
        done = self.check()
        # The view has what the torn frame held, so the two do not fit together any more.
        self.assertEqual(done.returncode, 1)
        self.assertIn("store_mismatch", done.stderr)
        for view in self.data.glob("view.db*"):
            view.unlink()
        done = self.check()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("the last write was cut short", done.stdout)
        self.system.dp.start().wait_ready()
        self.assertEqual(len(self.system.dp.api.all_tasks()), len(self.ids))

    def test_damaged_journal(self):
        self.stop()
        path, frames = self.newest_segment()
        at, length = frames[len(frames) // 2]
        self.change(path, at + FRAME_HEAD_BYTES + length // 2)
        self.assert_damaged(self.check(), "journal_corrupt")
        before = self.content()
        self.system.dp.spawn()
        self.assertEqual(self.system.dp.wait_end(), 1)
        self.assertIn("journal_corrupt", self.system.dp.last_log())
        self.assertEqual(self.content(), before, "it touched what is damaged")

    def test_damaged_view(self):
        self.stop()
        view = self.data / "view.db"
        for page in range(1, view.stat().st_size // 4096):
            self.change(view, page * 4096)  # the kind of each page
        self.assert_damaged(self.check(), "view_corrupt")
        self.system.dp.spawn()
        self.assertEqual(self.system.dp.wait_end(), 1)
        self.assertIn("view_corrupt", self.system.dp.last_log())

    def test_damaged_description(self):
        self.stop()
        (self.data / "store.json").write_text("{", encoding="utf-8")
        done = self.check()
        self.assertEqual(done.returncode, 1)
        self.assertIn("store_damaged", done.stderr)

    def test_in_use_and_not_there(self):
        done = self.system.run("store", "check", self.data)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("store_locked", done.stderr)
        done = self.system.run("store", "check", self.system.folder / "nowhere")
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn("file_missing", done.stderr)
        self.assertEqual(self.system.run("store", "mend", self.data).returncode, 2)


if __name__ == "__main__":
    harness.main()
