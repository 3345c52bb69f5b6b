"""Holds messages against the contracts that services serve: OpenAPI 3.1 for answers, AsyncAPI for
events. Knows as much of JSON Schema as these contracts use, and says so when one uses more."""

import re

KNOWN = {"type", "properties", "required", "additionalProperties", "items", "maxItems", "minItems",
         "enum", "const", "pattern", "minLength", "maxLength", "minimum", "maximum",
         "exclusiveMinimum", "format", "description", "$ref", "examples", "default"}
INSTANT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
KINDS = {"object": dict, "array": list, "string": str, "boolean": bool}


def is_kind(value, kind):
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, KINDS[kind])


class Contract:
    def __init__(self, document):
        self.document = document

    def resolve(self, node):
        while isinstance(node, dict) and "$ref" in node:
            target = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def faults(self, value, schema, place="$"):
        schema = self.resolve(schema)
        unknown = set(schema) - KNOWN
        if unknown:
            return [f"{place}: the contract uses {sorted(unknown)}, which is not understood here"]
        kind = schema.get("type")
        if kind and not is_kind(value, kind):
            return [f"{place}: {value!r} is no {kind}"]
        found = list(self._scalar(value, schema, place))
        if isinstance(value, dict):
            known = schema.get("properties", {})
            found += [f"{place}: {name} is missing" for name in schema.get("required", ())
                      if name not in value]
            if schema.get("additionalProperties") is False:
                found += [f"{place}: {name} is not known" for name in value if name not in known]
            for name, each in value.items():
                if name in known:
                    found += self.faults(each, known[name], f"{place}.{name}")
        if isinstance(value, list):
            if len(value) > schema.get("maxItems", len(value)):
                found.append(f"{place}: {len(value)} items")
            for index, each in enumerate(value):
                found += self.faults(each, schema.get("items", {}), f"{place}[{index}]")
        return found

    @staticmethod
    def _scalar(value, schema, place):
        if "enum" in schema and value not in schema["enum"]:
            yield f"{place}: {value!r} is none of {schema['enum']}"
        if "const" in schema and value != schema["const"]:
            yield f"{place}: {value!r} is not {schema['const']!r}"
        if isinstance(value, str):
            if "pattern" in schema and not re.search(schema["pattern"], value):
                yield f"{place}: {value!r} is not {schema['pattern']}"
            if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
                yield f"{place}: {len(value)} characters"
            if schema.get("format") == "date-time" and not INSTANT.match(value):
                yield f"{place}: {value!r} is no instant"
        elif is_kind(value, "number"):
            if value < schema.get("minimum", value) or value > schema.get("maximum", value):
                yield f"{place}: {value} is out of bounds"
            if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
                yield f"{place}: {value} is too little"


class HttpContract(Contract):
    """Of one service; remembers which operations and statuses were seen."""

    def __init__(self, document):
        super().__init__(document)
        self.seen = set()

    def operation(self, method, path):
        parts = path.partition("?")[0].split("/")
        exact_first = sorted(self.document["paths"].items(), key=lambda item: "{" in item[0])
        for pattern, item in exact_first:
            wanted = pattern.split("/")
            if len(wanted) == len(parts) and all(a == b or a.startswith("{")
                                                 for a, b in zip(wanted, parts)):
                if method.lower() in item:
                    return pattern, item[method.lower()]
        return None, None

    def request_faults(self, method, path, body):
        """What is wrong with a JSON body that is sent there."""
        _, operation = self.operation(method, path)
        if operation is None:
            return [f"{method} {path}: the contract has no such operation"]
        content = self.resolve(operation["requestBody"])["content"]
        return self.faults(body, content["application/json"]["schema"])

    def check(self, method, path, answer):
        """Raises unless the answer is one that the contract has."""
        where = f"{method} {path} {answer.status}"
        pattern, operation = self.operation(method, path)
        media = (answer.headers.get("Content-Type") or "").partition(";")[0]
        if operation is None:
            assert answer.status in (404, 405), f"{where}: the contract has no such operation"
            response = self.document["components"]["responses"]["Problem"]
        else:
            self.seen.add((method, pattern, answer.status))
            responses = operation["responses"]
            response = self.resolve(responses.get(str(answer.status)) or responses.get(
                f"{answer.status // 100}XX") or responses["default"])
            assert str(answer.status) in responses or answer.status >= 400, where
        assert media in response["content"], f"{where}: {media} {answer.text}"
        for name, header in response.get("headers", {}).items():
            assert name in answer.headers or not header.get("required"), f"{where}: no {name}"
        if media.endswith("json"):
            found = self.faults(answer.json, response["content"][media]["schema"])
            assert not found, f"{where}: {found}"


class EventContract(Contract):
    def check(self, event):
        channel = self.document["channels"].get(event["topic"])
        assert channel is not None, f"the contract has no channel {event['topic']}"
        message = self.resolve(channel["publish"]["message"])
        found = self.faults(event["data"], message["payload"])
        assert not found, f"{event['topic']} {event['id']}: {found}"
        for name in ("id", "source", "key", "traceparent", "type"):
            assert event.get(name), f"{event['topic']} {event['id']} has no {name}"
