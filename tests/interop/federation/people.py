"""Somebody on a server, by plain requests of the client-server API, and what their sync told."""

import http.client
import itertools
import json
import time
import urllib.parse

from common import PASSWORD

NUMBERS = itertools.count(1)


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, request, status, body):
        super().__init__(f"{request} -> {status} {body}"[:600])
        self.status, self.body = status, body
        self.errcode = body.get("errcode") if isinstance(body, dict) else None


def quoted(part):
    return urllib.parse.quote(str(part), safe="")


class User:
    def __init__(self, server, name):
        self.server, self.token, self.since = server, None, None
        self.sent = itertools.count(1)
        self.timeline, self.state, self.ephemeral, self.presence, self.sections = {}, {}, {}, [], {}
        self.account_data, self.to_device, self.changed = [], [], set()
        answer = self.post("/v3/register", {
            "username": f"{name}{next(NUMBERS)}", "password": PASSWORD, "auth": {"type": "m.login.dummy"}})
        self.id, self.token, self.device = answer["user_id"], answer["access_token"], answer["device_id"]

    def raw(self, method, path, body=None, content_type="application/json", seconds=60):
        """Status, headers and bytes of the answer."""
        host = urllib.parse.urlsplit(self.server.url)
        connection = http.client.HTTPConnection(host.hostname, host.port, timeout=seconds)
        headers = {"Content-Type": content_type}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def request(self, method, path, body=None, **query):
        path = "/_matrix/client" + path
        if query:
            path += "?" + urllib.parse.urlencode(
                [(key, value if isinstance(value, str) else json.dumps(value)) if not isinstance(value, list)
                 else (key, value[0]) for key, value in query.items()])
        status, _headers, data = self.raw(method, path, body)
        try:
            answer = json.loads(data)
        except ValueError:
            answer = data
        if status >= 300:
            raise Refused(f"{self.server} {method} {path} {json.dumps(body)[:200]}", status, answer)
        return answer

    def get(self, path, **query):
        return self.request("GET", path, **query)

    def post(self, path, body=None, **query):
        return self.request("POST", path, {} if body is None else body, **query)

    def put(self, path, body, **query):
        return self.request("PUT", path, body, **query)

    # Rooms

    def create(self, **body):
        return self.post("/v3/createRoom", body)["room_id"]

    def public_room(self, **body):
        """An open room, and the alias of it."""
        alias = f"room{next(NUMBERS)}"
        room = self.create(preset="public_chat", room_alias_name=alias, **body)
        return room, f"#{alias}:{self.server.name}"

    def join(self, room, *via):
        path = f"/v3/join/{quoted(room)}"
        if via:
            path += "?" + urllib.parse.urlencode([(key, v) for v in via for key in ("server_name", "via")])
        return self.request("POST", path, {})["room_id"]

    def act(self, room, action, user=None, **body):
        """leave, invite, kick, ban, unban, forget …"""
        return self.post(f"/v3/rooms/{quoted(room)}/{action}", {**({"user_id": user} if user else {}), **body})

    def send(self, room, content, kind="m.room.message"):
        content = {"msgtype": "m.text", "body": content} if isinstance(content, str) else content
        path = f"/v3/rooms/{quoted(room)}/send/{kind}/{self.device}{next(self.sent)}"
        return self.put(path, content)["event_id"]

    def set_state(self, room, kind, content, key=""):
        return self.put(f"/v3/rooms/{quoted(room)}/state/{kind}/{quoted(key)}", content)["event_id"]

    def get_state(self, room, kind, key=""):
        return self.get(f"/v3/rooms/{quoted(room)}/state/{kind}/{quoted(key)}")

    def all_state(self, room):
        return self.get(f"/v3/rooms/{quoted(room)}/state")

    def redact(self, room, event):
        return self.put(f"/v3/rooms/{quoted(room)}/redact/{quoted(event)}/{self.device}{next(self.sent)}", {})["event_id"]

    def event(self, room, event):
        return self.get(f"/v3/rooms/{quoted(room)}/event/{quoted(event)}")

    def history(self, room, limit=100, most=2000):
        """Everything back to the beginning, newest first."""
        events, start = [], None
        while len(events) < most:
            page = self.get(f"/v3/rooms/{quoted(room)}/messages", dir="b", limit=str(limit),
                            **({"from": start} if start else {}))
            events += page["chunk"]
            if not page.get("end") or page["end"] == start:
                break
            start = page["end"]
        return events

    # Sync

    def sync(self, timeout=0):
        query = {"timeout": str(timeout), "filter": json.dumps({"room": {"timeline": {"limit": 300}}})}
        if self.since:
            query["since"] = self.since
        answer = self.get("/v3/sync", **query)
        self.since = answer["next_batch"]
        for section, rooms in answer.get("rooms", {}).items():
            for room, data in rooms.items():
                self.sections[room] = section
                events = data.get("timeline", {}).get("events", [])
                self.timeline.setdefault(room, []).extend(events)
                stripped = data.get("invite_state", data.get("knock_state", {})).get("events", [])
                self.state.setdefault(room, []).extend(data.get("state", {}).get("events", []) + stripped)
                self.ephemeral.setdefault(room, []).extend(data.get("ephemeral", {}).get("events", []))
        self.presence += answer.get("presence", {}).get("events", [])
        self.to_device += answer.get("to_device", {}).get("events", [])
        self.changed.update(answer.get("device_lists", {}).get("changed", []))
        return answer

    def until(self, what, test, seconds=30):
        """Syncs until `test` answers something: that."""
        end = time.monotonic() + seconds
        while True:
            found = test()
            if found:
                return found
            if time.monotonic() > end:
                raise AssertionError(f"{self.id} on {self.server} did not see {what} in {seconds} s")
            self.sync(timeout=700)

    def hear(self, room, body, seconds=30):
        return self.until(f"message {body!r}", lambda: next(
            (e for e in self.timeline.get(room, []) if e.get("content", {}).get("body") == body), None), seconds)

    def see(self, room, event, seconds=30):
        return self.until(f"event {event}", lambda: next(
            (e for e in self.timeline.get(room, []) if e["event_id"] == event), None), seconds)

    def see_section(self, room, section, seconds=30):
        return self.until(f"{room} as {section}", lambda: self.sections.get(room) == section, seconds)

    def see_member(self, room, user, membership, seconds=30):
        def search():
            events = [e for e in self.state.get(room, []) + self.timeline.get(room, [])
                      if e["type"] == "m.room.member" and e.get("state_key") == user]
            return events[-1] if events and events[-1]["content"]["membership"] == membership else None
        return self.until(f"{membership} of {user}", search, seconds)


def eventually(what, test, seconds=20):
    """What `test` answers once it is something; tried again until then, errors too."""
    end, error = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            found = test()
            if found:
                return found
        except Refused as refused:
            error = refused
        time.sleep(0.15)
    raise AssertionError(f"{what}: not within {seconds} s{f': {error}' if error else ''}")


def refused(call, *args, status=(400, 403, 404), **named):
    """The refusal that a call must end in."""
    try:
        answer = call(*args, **named)
    except Refused as error:
        assert error.status in status, f"refused otherwise: {error}"
        return error
    raise AssertionError(f"{call.__name__}{args} was not refused: {answer}")


def same_state(room, *users, seconds=25):
    """All these users' servers have the same state of the room; the state."""
    found = []

    def equal():
        found[:] = [{e["event_id"]: e for e in user.all_state(room)} for user in users]
        return all(state.keys() == found[0].keys() for state in found)

    try:
        eventually("same state", equal, seconds)
    except AssertionError as error:
        told = []
        for user, state in zip(users, found):
            rest = [e for e in state if any(e not in other for other in found)]
            told.append(f"{user.server} only: " + ", ".join(
                f"{state[e]['type']}|{state[e]['state_key']} {json.dumps(state[e]['content'])[:80]}" for e in rest))
        raise AssertionError(f"state of {room} differs: {'; '.join(told)} ({error})") from None
    return list(found[0].values())
