"""taskd up: everything on one machine by one command, which looks after its children and takes them
with it."""

import http.server
import json
import os
import signal
import threading

import harness

KINDS = {"reverse", "hash", "sum", "upper", "wait"}


class Stranger(http.server.BaseHTTPRequestHandler):
    """Notes which keys it is shown."""

    def do_GET(self):
        self.server.shown.append(self.headers["Authorization"])
        answer = b'{"tasks":[],"next":null,"processes":[]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Up(harness.SystemTest):

    def start(self, *arguments, port=0):
        return self.system.up(*arguments).start(port)

    def test_endpoints_and_the_end(self):
        up = self.start()
        told = up.endpoints()
        self.assertEqual({each["type"] for each in told["workers"]}, KINDS)
        for name in ("dispatcher", "nameservice", "monitor", "host"):
            self.assertEqual(set(told[name]), {"url", "pid"})
            self.assertEqual(up.api(name).get("/readyz").status, 200)
        pids = up.pids()
        self.assertEqual(sorted(pids), sorted(harness.children_of(up.process.pid)))

        def seen():
            overview = up.api("monitor").get("/v1/overview").json
            return {each["type"] for each in overview["nameservice"]["registrations"]}
        harness.wait_until(lambda: seen() == KINDS, "the monitor has asked since")
        self.assertEqual((up.data / "key").stat().st_mode & 0o777, 0o600)
        done = self.system.run("submit", "sum", 1, 2, 3, "--data", up.data)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "6\n", ""))
        # A client of the same person finds the key by the server's address.
        done = self.system.run("submit", "upper", "straße", url=told["dispatcher"]["url"])
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "STRASSE\n", ""))
        up.process.terminate()
        self.assertEqual(up.process.wait(harness.PATIENCE), 0, up.log())
        self.assertFalse(any(map(harness.is_alive, pids)))
        self.assertFalse((up.data / "endpoints.json").exists())
        for command in (["list"], ["process", "list"]):
            done = self.system.run(*command, "--data", up.data)
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertIn(f"unreachable: the server cannot be reached (no taskd up runs on "
                          f"{up.data})", done.stderr)
        self.assertIn("dispatcher   | ", up.log())
        self.assertIn("sum-1        | ", up.log())

    def test_ten_thousand_tasks_and_the_dispatcher_killed_twice(self):
        up = self.start()
        expected, batches = {}, []
        for start in range(0, 10_000, 100):
            batch = [{"id": harness.uuid7(), "type": "sum", "payload": [number, 1]}
                     for number in range(start, start + 100)]
            expected |= {spec["id"]: start + at + 1 for at, spec in enumerate(batch)}
            batches.append(batch)
        port = up.port_of("dispatcher")
        for number, batch in enumerate(batches):
            if number in (33, 66):
                os.kill(up.endpoints()["dispatcher"]["pid"], signal.SIGKILL)
            answer, _ = harness.submit_patiently(up.api(), batch)
            self.assertEqual(answer.status, 202, answer.text)
        ended = up.api().wait_results(list(expected), 60)
        self.assertEqual({task: each.get("result") for task, each in ended.items()}, expected)
        listed = up.api().all_tasks()
        self.assertEqual(len(listed), 10_000)
        for task in listed:
            self.assert_succeeded_once(task)
        totals = up.api().get("/v1/stats").json["totals"]
        self.assertEqual((totals["submitted"], totals["succeeded"]), (10_000, 10_000))
        self.assertEqual(up.port_of("dispatcher"), port)
        self.assertEqual(up.log().count("ended, started again"), 2)

    def test_killed_children_come_back_on_their_ports(self):
        up = self.start("--lease", "1s")
        before = up.endpoints()
        for name in ("nameservice", "monitor", "dispatcher"):
            os.kill(before[name]["pid"], signal.SIGKILL)
            harness.wait_until(lambda: up.endpoints()[name]["pid"] != before[name]["pid"],
                               f"{name} is started again")
            self.assertEqual(up.endpoints()[name]["url"], before[name]["url"])

            def is_back():
                try:
                    return up.api(name).get("/readyz").status == 200
                except harness.Broken:
                    return False
            harness.wait_until(is_back, f"{name} answers again")
        worker = next(each for each in before["workers"] if each["type"] == "sum")
        # The dispatcher has only just come back: it meets its workers again one by one.
        harness.wait_until(lambda: "sum" in self.ports_of_workers(up), "the worker is known again")
        ports = self.ports_of_workers(up)
        os.kill(worker["pid"], signal.SIGKILL)

        def new_worker():
            pids = {each["type"]: each["pid"] for each in up.endpoints()["workers"]}
            return pids["sum"] not in (worker["pid"], 0) and harness.is_alive(pids["sum"])
        harness.wait_until(new_worker, "the worker is started again")
        done = self.system.run("submit", "sum", 20, 22, "--data", up.data)
        self.assertEqual((done.returncode, done.stdout), (0, "42\n"), done.stderr)
        newest = [each["port"] for each in up.api().get("/v1/workers").json["workers"]
                  if each["types"] == ["sum"] and each["reachable"]]
        self.assertIn(ports["sum"], newest)

    def test_children_never_outlive_it(self):
        up = self.start()
        pids = up.pids()
        self.assertEqual(len(pids), 9)
        up.kill()
        harness.wait_until(lambda: not any(map(harness.is_alive, pids)), "all have ended", 10)
        up.start()  # what the killed one left behind is in nobody's way
        self.assertFalse(set(up.pids()) & set(pids))

    def ports_of_workers(self, up):
        workers = up.api().get("/v1/workers").json["workers"]
        return {each["types"][0]: each["port"] for each in workers}

    def test_a_dispatcher_with_routes_of_its_own_is_backed_up(self):
        entries = self.system.folder / "shop.yaml"
        entries.write_text("""version: "1.0"
namespace: shop
entries:
  - {name: order, kind: http.endpoint, path: /orders, type: sum}
""", "utf-8")
        up = self.start()
        done = self.system.run("registry", "apply", entries, "--data", up.data)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((up.data / "dispatcher" / "endpoints.json").exists())
        nobodys = {"XDG_STATE_HOME": str(self.system.folder / "none")}
        own = up.endpoints()["dispatcher"]["url"]
        for name, options in (("by-data", []), ("by-url", ["--url", own])):
            kept = self.system.folder / name
            done = self.system.run("backup", "--data", up.data, "--to", kept, *options,
                                   environment=nobodys)
            self.assertEqual((done.returncode, done.stdout), (0, f"{kept}\n"), done.stderr)
            self.assertNotIn("not sent", done.stderr)

    def test_consecutive_ports(self):
        first = harness.free_ports(9)
        up = self.start(port=first)
        for offset, name in enumerate(("dispatcher", "nameservice", "monitor")):
            self.assertEqual(up.port_of(name), first + offset)
        ports = self.ports_of_workers(up)
        self.assertEqual([ports[each["type"]] for each in up.endpoints()["workers"]],
                         [first + 3 + at for at in range(5)])
        self.assertEqual(up.port_of("host"), first + 8)

    def test_workers_bring_the_schemas_of_their_payloads(self):
        listing = self.system.folder / "workers.json"
        listing.write_text(json.dumps({"workers": [
            {"type": "sum", "schema": {"type": "array", "items": {"type": "number"}}}]}), "utf-8")
        up = self.start("--workers", listing)
        harness.wait_until(lambda: "schema" in up.api().get("/v1/queues/sum").json,
                           "the schema is brought")
        answer = up.api().post("/v1/tasks", {"type": "sum", "payload": [1, "x"]})
        self.assert_problem(answer, 422, "schema_mismatch")
        self.assertIn("sum: /1: must be a number", answer.json["detail"])

    def test_workers_file(self):
        listing = self.system.folder / "workers.json"
        listing.write_text(json.dumps({"workers": [
            {"type": "sum", "description": "adds", "concurrency": 2, "enabled": True},
            {"type": "hash", "description": "off", "concurrency": 2, "enabled": False}]}), "utf-8")
        up = self.start("--workers", listing)
        self.assertEqual([each["type"] for each in up.endpoints()["workers"]], ["sum"])
        for text, fault in (('{"workers": [', "bad_json"),
                            ('{"workers": [{"type": "sum", "speed": 1}]}',
                             "worker 1 (sum): unknown_field")):
            listing.write_text(text, "utf-8")
            for command in ("up", "compose"):
                done = self.system.run(command, "--workers", listing)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(f"({listing}: {fault}", done.stderr)

    def test_what_keeps_it_from_starting(self):
        up = self.start()
        second = self.system.run("up", "--data", up.data, "--port", 0)
        self.assertEqual(second.returncode, 1, second.stderr)
        self.assertIn("store_locked", second.stderr)
        other = self.system.folder / "other"
        taken = self.system.run("up", "--data", other, "--port", up.port_of("dispatcher"))
        self.assertEqual(taken.returncode, 1, taken.stderr)
        self.assertIn("port_in_use", taken.stderr)
        missing = self.system.run("up", "--data", other, "--workers", "no-such-file")
        self.assertEqual(missing.returncode, 3, missing.stderr)
        self.assertIn("file_missing", missing.stderr)
        self.assertEqual(up.api().get("/readyz").status, 200)

    def test_second_signal_leaves_at_once(self):
        up = self.start()
        up.api().submit("wait", 600)
        api = up.api()
        harness.wait_until(lambda: api.get("/v1/stats").json["states"]["running"] == 1, "it runs")
        pids = up.pids()
        up.process.terminate()
        harness.wait_until(lambda: "draining" in up.log(), "it drains")
        up.process.terminate()
        self.assertEqual(up.process.wait(10), 128 + signal.SIGTERM)
        harness.wait_until(lambda: not any(map(harness.is_alive, pids)), "all have ended", 10)

    def test_a_child_is_killed_once_the_time_is_over_that_its_settings_give_it(self):
        settings = self.system.folder / "config"
        settings.mkdir()
        (settings / "worker.yaml").write_text("drain-timeout: 100ms\n", "utf-8")
        up = self.start("--config-dir", settings)
        worker = next(each for each in up.endpoints()["workers"] if each["type"] == "sum")
        os.kill(worker["pid"], signal.SIGSTOP)
        up.process.terminate()
        self.assertEqual(up.process.wait(25), 0)  # after 5 s; 35 s were those of other settings
        self.assertIn("not in time, killed", up.log())
        self.assertEqual(up.log().count("not in time, killed"), 1)

    def test_types_that_are_no_names_have_workers_too(self):
        types = ["img/resize", "img-resize", "img/re/size", "a" * 128, "a" * 127 + "b", "a" * 53]
        listing = self.system.folder / "workers.json"
        listing.write_text(json.dumps({"workers": [
            {"type": each, "kind": "exec", "command": ["cat"]} for each in types]}), "utf-8")
        up = self.start("--workers", listing)
        names = {each["type"]: each["name"] for each in up.endpoints()["workers"]}
        self.assertEqual(len(set(names.values())), len(types), names)
        self.assertEqual(names["img-resize"], "img-resize-1")
        for each in types:
            done = up.api().post("/v1/tasks?wait=30s", {"type": each, "payload": 7}).json
            self.assertEqual((done["state"], done["result"]), ("succeeded", 7), done)

    def test_the_key_of_a_data_directory_is_for_its_servers_alone(self):
        up = self.start()
        stranger = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
        stranger.shown = []
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        self.addCleanup(stranger.server_close)
        self.addCleanup(stranger.shutdown)
        elsewhere = f"http://127.0.0.1:{stranger.server_port}"
        of_data = {"TASKD_DATA": str(up.data), "XDG_STATE_HOME": str(self.system.folder / "none")}
        done = self.system.run("list", "--url", elsewhere, environment=of_data)
        self.assertEqual((done.returncode, stranger.shown), (0, [None]), done.stderr)
        settings = self.system.folder / "client.yaml"
        settings.write_text(f"data: {up.data}\n", "utf-8")
        done = self.system.run("process", "list", "--url", elsewhere, "--client-config", settings)
        self.assertEqual(stranger.shown, [None, None], done.stderr)
        done = self.system.run("list", "--url", elsewhere, "--key-file", up.data / "key",
                               environment=of_data)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(stranger.shown[-1].startswith("Bearer "))
        own = up.endpoints()["dispatcher"]["url"].replace("127.0.0.1", "localhost")
        for url in (own, own + "/"):
            done = self.system.run("list", "--url", url, environment=of_data)
            self.assertEqual(done.returncode, 0, done.stderr)
        # Whoever comes by a name that only may be the same is told why no key was shown.
        alias = own.replace("localhost", "127.1")
        for command in (["list"], ["events"], ["load", "--for", "1s"],
                        ["backup", "--data", up.data]):
            done = self.system.run(*command, "--url", alias, environment=of_data)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(f"the key of {up.data} was not sent: {alias} is none of", done.stderr)
            self.assertIn("missing_key", done.stderr)
        # What a directory's own server asks for it gets, whoever started it.
        done = self.system.run("backup", "--data", up.data, environment=of_data)
        self.assertEqual(done.returncode, 0, done.stderr)
        # What cannot be read is told as it is.
        told = up.data / "endpoints.json"
        was = told.read_bytes()
        told.write_text("{", "utf-8")
        done = self.system.run("list", "--url", alias, environment=of_data)
        self.assertIn(f"the key of {up.data} was not sent: config_invalid", done.stderr)
        told.unlink()
        for command in (["list"], ["backup", "--data", up.data]):
            done = self.system.run(*command, "--url", alias, environment=of_data)
            self.assertIn(f"the key of {up.data} was not sent: file_missing", done.stderr)
        told.write_bytes(was)
        done = self.system.run("list", "--url", alias, "--key-file", up.data / "key",
                               environment=of_data)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    harness.main()
