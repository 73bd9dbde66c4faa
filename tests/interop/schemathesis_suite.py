"""schemathesis on the specification's OpenAPI files: no server error, no answer that breaks its schema.

PLI_MATRIX_SPEC is a checkout of github.com/matrix-org/matrix-spec (it holds `data/`). All operations are
put into one document, in which parameters get real values: users, rooms, aliases, events, media and so on
of the server under test, beside some that do not exist. SCHEMATHESIS_EXAMPLES is the number of examples
per operation (default 20), SCHEMATHESIS_SEED the seed (default 1), SCHEMATHESIS_ONLY a regular expression
of operation ids.

Started as a hook module by schemathesis itself (SCHEMATHESIS_HOOKS), this file sets the access token.
"""

import hashlib
import hmac
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
SECRET = "schemathesis"
# These end the session or the account whose token they get.
ENDS_SESSION = {"logout", "logout_all", "deactivateAccount", "deleteDevice", "deleteDevices", "changePassword"}


def call(url, method, path, body=None, token=None, raw=None, content_type="application/json"):
    data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
    request = urllib.request.Request(url + path, data=data, method=method)
    request.add_header("Content-Type", content_type)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def register(url, name, admin=False):
    """A user by the shared secret, so that one of them is an admin."""
    nonce = call(url, "GET", "/_synapse/admin/v1/register")["nonce"]
    parts = [nonce, name, "password of " + name, "admin" if admin else "notadmin"]
    mac = hmac.new(SECRET.encode(), "\0".join(parts).encode(), hashlib.sha1).hexdigest()
    body = {"nonce": nonce, "username": name, "password": "password of " + name, "admin": admin, "mac": mac}
    return call(url, "POST", "/_synapse/admin/v1/register", body)


# ---------------------------------------------------------------------------------------------------------
# Hooks, in the process of schemathesis.

if os.environ.get("PLI_SCHEMATHESIS_WORLD"):
    import schemathesis

    WORLD = json.loads(pathlib.Path(os.environ["PLI_SCHEMATHESIS_WORLD"]).read_text())
    COUNT = [0]

    @schemathesis.hook
    def before_call(context, case, kwargs):
        definition = case.operation.definition.raw
        token = WORLD["token"]
        if definition.get("operationId") in ENDS_SESSION:
            COUNT[0] += 1
            token = register(WORLD["url"], f"gone{os.getpid()}x{COUNT[0]}")["access_token"]
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {token}"
        # A long poll that waits is right, but this suite has no time.
        query = case.query or {}
        for name in ("timeout", "timeout_ms"):
            if re.fullmatch(r"\d+(\.0)?", str(query.get(name, ""))) and float(query[name]) > 50:
                query[name] = 50


# ---------------------------------------------------------------------------------------------------------
# The suite.


def world(url):
    """People, rooms, events, media: what parameters can name."""
    alice, bob, carol = (register(url, name, name == "alice") for name in ("alice", "bob", "carol"))
    token, v3 = alice["access_token"], "/_matrix/client/v3"
    rooms = []
    for options in ({"preset": "public_chat", "room_alias_name": "salle", "name": "Salle"},
                    {"preset": "private_chat", "invite": [bob["user_id"]], "room_version": "10"},
                    {"creation_content": {"type": "m.space"}, "preset": "public_chat"}):
        rooms.append(call(url, "POST", v3 + "/createRoom", options, token)["room_id"])
    path = urllib.parse.quote(rooms[0])
    call(url, "POST", f"{v3}/rooms/{path}/join", {}, bob["access_token"])
    call(url, "PUT", f"{v3}/rooms/{urllib.parse.quote(rooms[2])}/state/m.space.child/{path}", {"via": ["x"]}, token)
    events = []
    for n in range(3):
        content = {"msgtype": "m.text", "body": f"message {n}"}
        if n:
            content["m.relates_to"] = {"rel_type": "m.thread", "event_id": events[0]}
        events.append(call(url, "PUT", f"{v3}/rooms/{path}/send/m.room.message/t{n}", content, token)["event_id"])
    picture = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154"
                            "78da63f8cfc0000003010100f7034143000000004945 4e44ae426082".replace(" ", ""))
    media = call(url, "POST", "/_matrix/media/v3/upload?filename=a.png", token=token, raw=picture,
                 content_type="image/png")["content_uri"]
    own = f"{v3}/user/{alice['user_id']}"
    filter_id = call(url, "POST", own + "/filter", {"room": {"timeline": {"limit": 5}}}, token)["filter_id"]
    backup = {"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {"public_key": "abc", "signatures": {}}}
    version = call(url, "POST", v3 + "/room_keys/version", backup, token)["version"]
    call(url, "PUT", own + "/account_data/org.example", {"a": 1}, token)
    since = call(url, "GET", v3 + "/sync?timeout=0", token=token)["next_batch"]
    server, media_id = media.removeprefix("mxc://").split("/")
    return {
        "url": url, "token": token, "server": server,
        "users": [alice["user_id"], bob["user_id"], carol["user_id"], f"@nobody:{server}"],
        "others": [bob["user_id"], carol["user_id"], f"@nobody:{server}"],
        "rooms": rooms + [f"!nowhere:{server}"], "events": events + ["$nothing"],
        "aliases": [f"#salle:{server}", f"#none:{server}"], "media": media_id, "filter": filter_id,
        "version": version, "since": since, "device": alice["device_id"],
    }


def path_values(w):
    return {
        "userId": w["users"], "roomId": w["rooms"], "eventId": w["events"], "roomAlias": w["aliases"],
        "roomIdOrAlias": w["rooms"] + w["aliases"], "deviceId": [w["device"], "NONE"],
        "serverName": [w["server"], "elsewhere.example"], "mediaId": [w["media"], "none"], "fileName": ["a.png", "é.txt"],
        "eventType": ["m.room.message", "m.room.topic", "m.room.member", "m.reaction", "org.example.x"],
        "stateKey": ["key", w["users"][1]], "txnId": ["t1", "t2", "t0"], "relType": ["m.thread", "m.annotation", "x"],
        "receiptType": ["m.read", "m.read.private", "m.fully_read", "x"],
        "type": ["org.example", "m.direct", "m.push_rules", "m.fully_read"], "filterId": [w["filter"], "none"],
        "version": [w["version"], "999"], "sessionId": ["s1", "s2"], "keyName": ["displayname", "avatar_url", "m.tz", "org.x"],
        "kind": ["override", "underride", "sender", "room", "content"], "ruleId": [".m.rule.master", "mine", w["users"][1]],
        "protocol": ["irc", "none"], "networkId": ["irc"], "appserviceId": ["bridge"], "idpId": ["oidc", "none"],
        "tag": ["u.work", "m.favourite"],
    }


def query_values(w):
    return {
        "since": [w["since"], "s0"], "from": [w["since"]], "to": [w["since"]], "filter": [w["filter"], "{}"],
        "at": [w["since"]], "timeout": [0, 10], "timeout_ms": [0, 10], "room_id": w["rooms"][:1],
        "user_id": w["others"], "redirectUrl": ["https://client.example/"], "url": ["https://example.invalid/"],
        "alias": w["aliases"], "userid": w["users"], "server": [w["server"]],
    }


def real(schema, w):
    """A request schema in which identifiers are those of the server."""
    values = {"mx-user-id": w["others"], "mx-room-id": w["rooms"], "mx-event-id": w["events"],
              "mx-room-alias": w["aliases"], "mx-server-name": [w["server"]],
              "mx-mxc-uri": [f"mxc://{w['server']}/{w['media']}"]}
    if isinstance(schema, list):
        return [real(item, w) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("format"), str) and schema["format"] in values:
        return {"type": "string", "enum": values[schema["format"]]}
    return {key: real(value, w) for key, value in schema.items() if key != "x-event"}


def referring(schema, prefix):
    """`#/$defs/x` as `#/components/schemas/PREFIXx`."""
    if isinstance(schema, list):
        return [referring(item, prefix) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {}
    for key, value in schema.items():
        if key == "x-event":
            continue
        if key == "$ref":
            value = value.replace("#/$defs/", f"#/components/schemas/{prefix}")
        out[key] = referring(value, prefix)
    return out


def content(contents, prefix, w=None):
    of = (lambda schema: real(schema, w)) if w else (lambda schema: schema)
    return {"content": {kind: {"schema": referring(of(schema), prefix)} for kind, schema in contents.items()}}


def one(operation, w):
    """An operation as OpenAPI has it."""
    paths, queries = path_values(w), query_values(w)
    parameters = []
    for name in re.findall(r"{(\w+)}", operation["path"]):
        schema = {"type": "string", "enum": paths[name]}
        if name == "userId" and "/user/" in operation["path"]:
            schema["enum"] = w["users"][:2]
        if name == "userId" and "/admin/" in operation["path"]:
            schema["enum"] = w["others"]
        if name == "kind" and "pushrules" not in operation["path"]:
            schema = {"type": "string"}
        parameters.append({"in": "path", "name": name, "required": True, "schema": schema})
    for name, query in operation["query"].items():
        schema = referring(query["schema"], "in.")
        if name in queries and schema.get("type") in ("string", "integer"):
            schema = {"type": schema["type"], "enum": queries[name]}
        parameters.append({"in": "query", "name": name, "required": query["required"], "schema": schema})
    out = {"operationId": operation["id"], "parameters": parameters, "responses": {}}
    if operation.get("request"):
        out["requestBody"] = content(operation["request"], "in.", w) | {"required": operation["request_required"]}
    for status, contents in operation["responses"].items():
        answer = {"description": status}
        # Media have any content type.
        if "application/json" in contents:
            answer |= content({"application/json": contents["application/json"]}, "out.")
        out["responses"][status] = answer
    # User-interactive authentication, which one file leaves to the prose.
    if operation["id"] == "uploadCrossSigningKeys":
        out["responses"]["401"] = {"description": "401"}
    return out


def document(spec_path, w):
    sys.path.insert(0, str(HERE.parent / "spec"))
    import generate

    spec = generate.Spec(pathlib.Path(spec_path) / "data")
    only = re.compile(os.environ.get("SCHEMATHESIS_ONLY", ""))
    paths, forms = {}, 0
    for operation in generate.operations(spec):
        if not only.search(operation["id"]):
            continue
        methods, method = paths.setdefault(operation["path"], {}), operation["method"].lower()
        if method not in methods:
            methods[method] = one(operation, w)
            continue
        # Two forms of one endpoint: either will do.
        forms += 1
        first, second = methods[method], one(operation, w)
        for part in [(first.get("requestBody"), second.get("requestBody"))] + [
                (first["responses"][s], second["responses"][s]) for s in first["responses"] if s in second["responses"]]:
            for kind, media in ((part[0] or {}).get("content") or {}).items():
                other = part[1]["content"][kind]["schema"]
                media["schema"] = {"anyOf": [media["schema"], other]}
    defs = {f"out.{name}": referring(schema, "out.") for name, schema in spec.defs.items()}
    defs |= {f"in.{name}": referring(real(schema, w), "in.") for name, schema in spec.defs.items()}
    print(f"{sum(len(methods) for methods in paths.values()) + forms} operations")
    return {"openapi": "3.1.0", "info": {"title": "Matrix client-server API", "version": generate.VERSION},
            "paths": paths, "components": {"schemas": defs}}


def main(directory):
    spec_path = os.environ.get("PLI_MATRIX_SPEC")
    if not spec_path:
        print("skipped: PLI_MATRIX_SPEC does not name a checkout of github.com/matrix-org/matrix-spec")
        return
    from common import Pli

    os.environ["PLI_REGISTRATION__SHARED_SECRET"] = SECRET
    server = Pli(directory)
    try:
        w = world(server.url)
        directory = pathlib.Path(directory)
        (directory / "world.json").write_text(json.dumps(w))
        (directory / "openapi.json").write_text(json.dumps(document(spec_path, w), indent=1))
        began = time.monotonic()
        env = dict(os.environ, SCHEMATHESIS_HOOKS="schemathesis_suite", PYTHONPATH=str(HERE),
                   PLI_SCHEMATHESIS_WORLD=str(directory / "world.json"))
        done = subprocess.run(
            [os.path.join(os.environ["PLI_INTEROP_VENV"], "bin/schemathesis"), "run", str(directory / "openapi.json"),
             "--url", server.url, "--phases", "coverage,fuzzing", "--continue-on-failure", "--no-shrink",
             "--checks", "not_a_server_error,response_schema_conformance,content_type_conformance",
             "--max-examples", os.environ.get("SCHEMATHESIS_EXAMPLES", "20"),
             "--seed", os.environ.get("SCHEMATHESIS_SEED", "1"), "--warnings", "off",
             "--suppress-health-check", "all", "--request-timeout", "60", "--workers", "1"],
            env=env, cwd=directory, capture_output=True, text=True)
        (directory / "report.txt").write_text(done.stdout + done.stderr)
        print(done.stdout[-3000:], done.stderr[-2000:])
        answered = set(re.findall(r'method=(GET|POST|PUT|DELETE) path="([^"]+)".*? answered status=[23]', (directory / "log").read_text()))
        print(f"{len(answered)} methods and paths were answered with success")
        print(f"{time.monotonic() - began:.0f} s; the whole report is in {directory / 'report.txt'}")
        assert server.process.poll() is None, "the server ended"
        assert done.returncode == 0, "schemathesis found failures"
    finally:
        server.stop()


if __name__ == "__main__":
    main(sys.argv[1])
