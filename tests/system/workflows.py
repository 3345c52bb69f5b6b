"""Workflows in real processes: killed in the middle they go on, and people speak to them from the
command line."""

import json
import os
import pathlib
from xml.etree import ElementTree

import harness

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "config" / "workflows"


def layered(layers, width):
    """Every step of a layer needs every step of the one before."""
    steps = []
    for layer in range(layers):
        for place in range(width):
            before = [f"s{layer - 1}_{each}" for each in range(width)] if layer else []
            numbers = [f"${{{name}}}" for name in before] or [1]
            steps.append({"name": f"s{layer}_{place}", "type": "sum", "after": before,
                          "payload": numbers})
    return {"name": "layered", "steps": steps,
            "output": f"${{s{layers - 1}_0}}"}


class Workflows(harness.SystemTest):

    def start(self, api, document, **more):
        answer = api.post("/v1/workflows", {"document": document, **more})
        self.assertEqual(answer.status, 201, answer.text)
        return answer.json["id"]

    def ended(self, api, workflow, steps=False):
        answer = api.get(f"/v1/workflows/{workflow}?wait=60s" + ("&steps=true" if steps else ""))
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json

    def test_a_workflow_goes_on_whatever_is_killed(self):
        dispatcher = self.system.start_all("sum", lease="2s")
        workflow = self.start(dispatcher.api, layered(12, 4))
        for goal in (4, 16, 30):
            harness.wait_until(
                lambda: dispatcher.api.get(f"/v1/workflows/{workflow}").json["succeeded"] >= goal,
                f"{goal} steps have succeeded")
            dispatcher.restart()
        done = self.ended(dispatcher.api, workflow, steps=True)
        self.assertEqual(done["state"], "succeeded", done)
        self.assertEqual(done["output"], 4 ** 11)
        self.assertEqual(done["succeeded"], 48)
        for step in done["steps"]:
            self.assert_succeeded_once(dispatcher.api.get(f"/v1/tasks/{step['task']}").json)

    def test_a_list_goes_on_whatever_is_killed(self):
        dispatcher = self.system.start_all("sum", lease="2s")
        document = {"name": "list", "inputs": ["numbers"], "steps": [
            {"name": "each", "type": "sum", "for_each": "${inputs.numbers}", "in_flight": 8,
             "payload": ["${item}", "${index}"]},
            {"name": "all", "type": "sum", "after": ["each"], "payload": "${each}"}]}
        workflow = self.start(dispatcher.api, document, inputs={"numbers": list(range(100))})

        def items():
            steps = dispatcher.api.get(f"/v1/workflows/{workflow}/steps").json["steps"]
            return steps[0].get("items_ended", 0)
        for goal in (10, 50):
            harness.wait_until(lambda: items() >= goal, f"{goal} items have ended")
            dispatcher.restart()
        done = self.ended(dispatcher.api, workflow)
        self.assertEqual((done["state"], done["output"]), ("succeeded", 9900), done)

    def test_results_that_a_workflow_needs_are_not_deleted(self):
        dispatcher = self.system.start_all("sum", lease="2s")
        document = {"name": "kept", "steps": [
            {"name": "a", "type": "sum", "payload": [1]},
            {"name": "b", "type": "sum", "payload": [2]},
            {"name": "gate", "approval": "go on?"},
            {"name": "c", "type": "sum", "after": ["a", "b", "gate"], "payload": ["${a}", "${b}"]},
            {"name": "d", "type": "sum", "after": ["gate", "b"], "payload": ["${b}", 0]}]}
        workflow = self.start(dispatcher.api, document)
        free = dispatcher.api.submit("sum", [7])
        dispatcher.api.wait_results([free])
        harness.wait_until(
            lambda: dispatcher.api.get(f"/v1/workflows/{workflow}").json["succeeded"] == 2, "both")
        dispatcher.restart()  # memory has forgotten them
        done = self.system.run("operation", "delete", "state:succeeded", "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(dispatcher.api.get(f"/v1/tasks/{free}").status, 404)
        answer = dispatcher.api.post(f"/v1/workflows/{workflow}/steps/gate/approve", {})
        self.assertEqual(answer.status, 200, answer.text)
        done = self.ended(dispatcher.api, workflow)
        self.assertEqual((done["state"], done["output"]), ("succeeded", {"c": 3, "d": 2}), done)

    def test_what_is_wrong_with_a_document_is_said_with_its_place(self):
        dispatcher = self.system.start_all()
        answer = dispatcher.api.call(
            "POST", "/v1/workflows", "name: w\nsteps:\n  - {name: a, type: sum, after: [b]}\n",
            {"Content-Type": "application/yaml"})
        self.assert_problem(answer, 422, "bad_workflow")
        self.assertIn(":3:", answer.json["detail"])
        self.assertEqual(dispatcher.api.get("/v1/workflows").json["workflows"], [])

    def test_the_examples_do_what_they_say(self):
        dispatcher = self.system.start_all("sum", "upper", "hash")

        def run(name, *words, code=0):
            done = self.system.run("workflow", "run", EXAMPLES / name, *words, url=dispatcher.url)
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
            return done
        done = run("numbers.yaml", "--wait", "60s")
        self.assertEqual(done.stdout, "ALL TOGETHER 36\n")
        done = run("numbers.yaml", "--set-json", "first=[1]", "--set-json", "second=[2]", "--watch")
        self.assertIn("tell is skipped", done.stderr)  # 3 is not above 10
        done = run("fan_out.yaml", "--wait", "60s")
        self.assertEqual(len(json.loads(done.stdout)["each"]), 4)
        done = run("failures.yaml", "--wait", "60s", "-o", "json")
        ended = json.loads(done.stdout)
        self.assertEqual(ended["output"], "PAY IS FAILED", ended)
        states = {step["name"]: step["state"] for step in ended["steps"]}
        self.assertEqual(states["give-back"], "succeeded", ended)
        done = run("gleitzeit.yaml")  # the document itself asks to wait
        self.assertIn("priority 1 is read as high", done.stderr)
        self.assertRegex(done.stdout, "^[0-9a-f]{64}\n$")
        workflow = run("people.yaml").stdout.strip()
        for words in (("signal", workflow, "amount", "250"), ("approve", workflow, "agree")):
            harness.wait_until(
                lambda: words[2] in self.system.run("workflow", "explain", workflow,
                                                    url=dispatcher.url).stdout,
                f"it waits for {words[2]}")
            self.assertEqual(self.system.run("workflow", *words, url=dispatcher.url).returncode, 0)
        self.assertEqual(self.ended(dispatcher.api, workflow)["output"], {"paid": 251})

    def test_what_is_wrong_in_a_file_asks_no_server(self):
        path = self.system.folder / "bad.yaml"
        path.write_text("steps:\n  - {name: a, typ: sum}\n", encoding="utf-8")
        for verb in ("check", "run", "graph"):
            done = self.system.run("workflow", verb, path, url="http://127.0.0.1:1")
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("bad.yaml:2:15: a step has no field 'typ'; did you mean 'type'?",
                          done.stderr)
        done = self.system.run("workflow", "check", EXAMPLES / "people.yaml")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("'people' is a workflow of 4 steps and 3 edges", done.stdout)
        picture = self.system.folder / "people.svg"
        done = self.system.run("workflow", "graph", EXAMPLES / "people.yaml", "--format", "svg",
                               "--output-file", picture)
        self.assertEqual(done.returncode, 0, done.stderr)
        names = {each.text for each in ElementTree.parse(picture).iter()}
        self.assertLess({"amount", "agree", "rest", "pay"}, names)

    def test_payloads_are_held_against_schemas(self):
        dispatcher = self.system.start_all("sum")
        schema = self.system.folder / "sum.yaml"
        schema.write_text("type: array\nitems: {type: number}\n", encoding="utf-8")
        done = self.system.run("queue", "set", "sum", "--schema", schema, url=dispatcher.url)
        self.assertEqual(done.returncode, 0, done.stderr)
        dispatcher.restart()
        done = self.system.run("submit", "sum", "--json", '[1, "x"]', url=dispatcher.url)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertIn("sum: /1: must be a number", done.stderr)
        document = "steps:\n  - {name: a, type: sum, payload: [1, [2]]}\n"
        answer = dispatcher.api.call("POST", "/v1/workflows", document,
                                     {"Content-Type": "application/yaml"})
        self.assert_problem(answer, 422, "schema_mismatch")
        self.assertIn(":2:39: sum: /1: must be a number", answer.json["detail"])

    def test_steps_read_what_they_may_of_the_environment(self):
        names = self.system.nameservice().start()
        dispatcher = self.system.dispatcher(names.url, "--workflow-env", "PATH,TASKD_NOT_THERE")
        dispatcher.start().wait_ready()
        document = {"name": "env", "env": ["PATH"], "steps": [{"name": "a", "join": True}],
                    "output": "${env.PATH}"}
        workflow = self.start(dispatcher.api, document)
        self.assertEqual(self.ended(dispatcher.api, workflow)["output"], os.environ["PATH"])
        document["env"] = ["HOME"]
        self.assert_problem(dispatcher.api.post("/v1/workflows", {"document": document}), 422,
                            "bad_workflow")

    def test_people_speak_to_a_workflow_from_the_command_line(self):
        dispatcher = self.system.start_all("upper")

        def taskd(*words, code=0, stdin=""):
            done = self.system.run("workflow", *words, url=dispatcher.url, stdin=stdin)
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
            return done.stdout + done.stderr
        path = self.system.folder / "talk.yaml"
        path.write_text("""
name: talk
inputs: {who: nobody}
steps:
  - {name: ask, approval: "may ${inputs.who} in?"}
  - {name: door, signal: door, after: [ask]}
  - {name: shout, type: upper, after: [door], payload: "${door.word} ${inputs.who}"}
""", encoding="utf-8")
        workflow = taskd("run", path, "--set", "who=ann", "-o", "id").strip()
        self.assertIn("approval", taskd("explain", workflow))
        taskd("approve", workflow, "ask", "--by", "bob")
        self.assertIn("signal", taskd("explain", workflow))
        taskd("signal", workflow, "door", '{"word": "hi"}')
        done = self.ended(dispatcher.api, workflow)
        self.assertEqual((done["state"], done["output"]), ("succeeded", "HI ANN"), done)
        self.assertIn("succeeded", taskd("show", workflow, "--steps"))
        self.assertIn("talk", taskd("list"))
        self.assertIn("digraph", taskd("graph", workflow, "--format", "dot"))
        refused = taskd("run", path, "-o", "id").strip()
        taskd("reject", refused, "ask", "--comment", "not today")
        self.assertEqual(self.ended(dispatcher.api, refused)["state"], "failed")
        taskd("retry", refused)
        taskd("cancel", refused, "--reason", "enough")
        self.assertEqual(self.ended(dispatcher.api, refused)["state"], "cancelled")
        self.assertIn("workflow_finished", taskd("cancel", refused, code=1))
        self.assertEqual(json.loads(taskd("show", refused, "-o", "json"))["error"]["message"],
                         "enough")


if __name__ == "__main__":
    harness.main()
