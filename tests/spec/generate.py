#!/usr/bin/env python3
"""Writes client-server.json, events.json and server-server.tsv beside this file from the Matrix specification's own files.

    python3 tests/spec/generate.py PATH_OF_MATRIX_SPEC

PATH_OF_MATRIX_SPEC is a checkout of github.com/matrix-org/matrix-spec at the tag of `VERSION` (it holds
`data/`). Needs PyYAML. What is left out: descriptions, titles, examples and the site's own keys. What is
added: `x-event` on the schemas that describe an event, so that a validator can look up the event's type.
"""

import json
import pathlib
import sys

import yaml

VERSION = "v1.19"
HEADER = {
    "source": f"https://github.com/matrix-org/matrix-spec, tag {VERSION}, data/api/client-server and "
              "data/event-schemas/schema, written by tests/spec/generate.py (descriptions and examples removed)",
    "license": "Apache-2.0, Copyright The Matrix.org Foundation C.I.C. and the authors named in those files",
}
DROPPED = {"description", "title", "example", "examples", "default", "externalDocs", "deprecated", "$schema",
           "$comment"}
MAPS = {"properties", "patternProperties"}
# The files that describe a whole event, and what stands around its content there.
EVENTS = {
    "api/client-server/definitions/client_event.yaml": "room",
    "api/client-server/definitions/client_event_without_room_id.yaml": "room",
    "event-schemas/schema/core-event-schema/stripped_state.yaml": "stripped",
    "event-schemas/schema/core-event-schema/event.yaml": "plain",
    "event-schemas/schema/core-event-schema/state_event.yaml": "room",
    "event-schemas/schema/core-event-schema/sync_state_event.yaml": "room",
    "event-schemas/schema/core-event-schema/room_event.yaml": "room",
    "event-schemas/schema/core-event-schema/sync_room_event.yaml": "room",
}

# Members of /sync that the OpenAPI file leaves to the prose of their modules.
SUPPLEMENT = {
    "device_lists": {
        "type": "object",
        "properties": {
            name: {"type": "array", "items": {"type": "string", "pattern": "^@"}} for name in ("changed", "left")
        },
    },
    "to_device": {
        "type": "object",
        "properties": {
            "events": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "content": {"type": "object"},
                        "sender": {"type": "string", "pattern": "^@"},
                        "type": {"type": "string"},
                    },
                    "required": ["content", "sender", "type"],
                    "x-event": "plain",
                },
            },
        },
    },
}


class Spec:
    """The files below `data/`, and the definitions that were met."""

    def __init__(self, data):
        self.data = data.resolve()
        self.files = {}
        self.defs = {}

    def load(self, path):
        if path not in self.files:
            self.files[path] = yaml.safe_load(path.read_text())
        return self.files[path]

    def follow(self, reference, base):
        """The file and the value that a `$ref` names."""
        name, _, pointer = reference.partition("#")
        path = (base.parent / name).resolve() if name else base
        value = self.load(path)
        for step in pointer.strip("/").split("/") if pointer else []:
            value = value[step]
        return path, pointer, value

    def name(self, path, pointer):
        name = str(path.relative_to(self.data)) + pointer.replace("/", ".")
        for prefix in ("api/client-server/definitions/", "api/client-server/", "event-schemas/schema/", "api/"):
            name = name.removeprefix(prefix)
        return name.replace(".yaml", "").replace("/", ".")

    def schema(self, schema, base):
        """The schema with `$ref`s into `#/$defs`, without what no validator reads."""
        if isinstance(schema, list):
            return [self.schema(item, base) for item in schema]
        if not isinstance(schema, dict):
            return schema
        out = {}
        for key, value in schema.items():
            if key in DROPPED or key.startswith("x-"):
                continue
            if key == "$ref":
                out[key] = self.reference(value, base)
            elif key in MAPS:
                out[key] = {name: self.schema(item, base) for name, item in value.items()}
            elif key in ("enum", "const", "required"):
                out[key] = value
            elif key == "oneOf":
                # The specification's alternatives overlap: an event is an object, too.
                out["anyOf"] = self.schema(value, base)
            else:
                out[key] = self.schema(value, base)
        if out.get("allOf") == []:
            del out["allOf"]
        return out

    def reference(self, reference, base):
        path, pointer, value = self.follow(reference, base)
        name = self.name(path, pointer)
        if name not in self.defs:
            self.defs[name] = {}
            self.defs[name].update(self.schema(value, path))
            event = EVENTS.get(str(path.relative_to(self.data)))
            if event:
                self.defs[name]["x-event"] = event
        return f"#/$defs/{name}"

    def whole(self, value, base):
        """A parameter or response, which may be a `$ref` of its own."""
        while "$ref" in value:
            base, _, value = self.follow(value["$ref"], base)
        return value, base


def operations(spec):
    out = []
    for path in sorted((spec.data / "api/client-server").glob("*.yaml")):
        document = spec.load(path)
        base_path = document["servers"][0]["variables"]["basePath"]["default"]
        for template, methods in document["paths"].items():
            shared = methods.get("parameters", [])
            for method, operation in methods.items():
                if method != "parameters":
                    one = one_operation(spec, path, operation, shared)
                    # Two templates end in a blank, to be another key than the same path's first operation.
                    one.update(method=method.upper(), path=base_path.rstrip("/") + template.rstrip())
                    out.append(one)
    for one in out:
        if one["id"] == "sync":
            one["responses"]["200"]["application/json"]["properties"].update(SUPPLEMENT)
    return sorted(out, key=lambda one: (one["path"], one["method"], one["id"]))


def server_operations(spec):
    """The operations between servers: operationId, method and path template."""
    rows = []
    for path in sorted((spec.data / "api/server-server").glob("*.yaml")):
        document = spec.load(path)
        base_path = document["servers"][0]["variables"]["basePath"]["default"]
        for template, methods in document["paths"].items():
            for method, operation in methods.items():
                if method != "parameters":
                    rows.append((base_path.rstrip("/") + template, method.upper(), operation["operationId"]))
    return ["\t".join((name, method, template)) for template, method, name in sorted(rows)]


def one_operation(spec, path, operation, shared):
    schemes = [next(iter(scheme), "") for scheme in operation.get("security", [{}])]
    auth = "" not in schemes and any(scheme.startswith("accessToken") for scheme in schemes)
    one = {"id": operation["operationId"], "auth": auth, "query": {}, "responses": {}}
    for parameter in shared + operation.get("parameters", []):
        parameter, base = spec.whole(parameter, path)
        if parameter["in"] == "query":
            schema = spec.schema(parameter["schema"], base)
            one["query"][parameter["name"]] = {"required": parameter.get("required", False), "schema": schema}
    if "requestBody" in operation:
        body, base = spec.whole(operation["requestBody"], path)
        one["request"] = contents(spec, body, base)
        one["request_required"] = body.get("required", False)
    for status, response in operation["responses"].items():
        response, base = spec.whole(response, path)
        one["responses"][str(status)] = contents(spec, response, base)
    return one


def contents(spec, value, base):
    """Content type → schema."""
    return {kind: spec.schema(media.get("schema", {}), base) for kind, media in (value.get("content") or {}).items()}


def member(spec, schema, base, name):
    """The schemas that an event schema, and those it builds on, give to one of its members."""
    found = []
    if name in schema.get("properties", {}):
        found.append(spec.schema(schema["properties"][name], base))
    for part in schema.get("allOf", []):
        part_base = base
        if "$ref" in part:
            part_base, _, part = spec.follow(part["$ref"], base)
        if "core-event-schema" not in part_base.parts or part_base.name == "call_event.yaml":
            found += member(spec, part, part_base, name)
    return found


def is_state(spec, schema, base):
    references = [part["$ref"] for part in schema.get("allOf", []) if "$ref" in part]
    return any(reference.endswith("state_event.yaml") for reference in references)


def joined(parts):
    return parts[0] if len(parts) == 1 else {"allOf": parts}


def events(spec):
    out, variants = {}, []
    for path in sorted((spec.data / "event-schemas/schema").glob("m.*.yaml")):
        kind, _, variant = path.name.removesuffix(".yaml").partition("$")
        schema = spec.load(path)
        content = member(spec, schema, path, "content")
        if kind == "m.key.verification.m.relates_to":
            continue
        if variant:
            variants.append((kind, variant, joined(content)))
            continue
        out[kind] = {"state": is_state(spec, schema, path), "content": joined(content)}
        state_key = member(spec, schema, path, "state_key")
        if state_key:
            out[kind]["state_key"] = joined(state_key)
    for kind, variant, content in variants:
        selector = "msgtype" if kind == "m.room.message" else "method"
        when = {"properties": {selector: {"const": variant}}, "required": [selector]}
        whole = out.setdefault(kind, {"state": False, "content": {}})
        if "allOf" not in whole["content"]:
            whole["content"] = {"allOf": [whole["content"]]}
        whole["content"]["allOf"].append({"if": when, "then": content})
    return out


def lines(value):
    """One line for each member of a list or an object, so that changes can be read."""
    if isinstance(value, list):
        return "[\n" + ",\n".join(json.dumps(item, ensure_ascii=False, sort_keys=True) for item in value) + "\n]"
    rows = (f"{json.dumps(key)}: {json.dumps(item, ensure_ascii=False, sort_keys=True)}"
            for key, item in sorted(value.items()))
    return "{\n" + ",\n".join(rows) + "\n}"


def write(name, header, parts):
    body = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in header.items()]
    body += [f"{json.dumps(key)}: {lines(value)}" for key, value in parts.items()]
    target = pathlib.Path(__file__).parent / name
    target.write_text("{\n" + ",\n".join(body) + "\n}\n")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    spec = Spec(pathlib.Path(sys.argv[1]) / "data")
    found = operations(spec)
    write("client-server.json", HEADER, {"operations": found, "$defs": spec.defs})
    spec.defs = {}
    kinds = events(spec)
    write("events.json", HEADER, {"events": kinds, "$defs": spec.defs})
    servers = server_operations(spec)
    head = f"# {HEADER['source'].split(',')[0]}, tag {VERSION}, data/api/server-server, written by generate.py"
    target = pathlib.Path(__file__).parent / "server-server.tsv"
    target.write_text("\n".join([head, *servers]) + "\n")
    print(f"{len(found)} operations, {len(servers)} between servers, {len(kinds)} event types")


if __name__ == "__main__":
    main()
