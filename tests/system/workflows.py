"""Workflows in real processes: killed in the middle they go on, and people speak to them from the
command line."""

import json

import harness


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

    def test_what_is_wrong_with_a_document_is_said_with_its_place(self):
        dispatcher = self.system.start_all()
        answer = dispatcher.api.call(
            "POST", "/v1/workflows", "name: w\nsteps:\n  - {name: a, type: sum, after: [b]}\n",
            {"Content-Type": "application/yaml"})
        self.assert_problem(answer, 422, "bad_workflow")
        self.assertIn(":3:", answer.json["detail"])
        self.assertEqual(dispatcher.api.get("/v1/workflows").json["workflows"], [])

    def test_people_speak_to_a_workflow_from_the_command_line(self):
        dispatcher = self.system.start_all("upper")

        def taskd(*words, code=0, stdin=""):
            done = self.system.run("workflow", *words, url=dispatcher.url, stdin=stdin)
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
            return done.stdout + done.stderr
        path = self.system.directory / "talk.yaml"
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
