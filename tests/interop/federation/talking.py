"""What goes on in a room: messages, changes to them, history, files, who is typing, who has read."""

import json

from common import png

from .people import eventually, quoted, refused, same_state


def together(play, a, b, **room):
    """Somebody on each server, and an open room of the first that both are in."""
    alice, bob = play.user(a, "alice"), play.user(b, "bob")
    room, alias = alice.public_room(**room)
    bob.join(alias)
    alice.see_member(room, bob.id, "join")
    return alice, bob, room


def messages(play, a, b):
    alice, bob, room = together(play, a, b)
    for number in range(15):
        alice.send(room, f"alice {number}")
        bob.send(room, f"bob {number}")
    for person in (alice, bob):
        for other in ("alice", "bob"):
            for number in range(15):
                person.hear(room, f"{other} {number}")
    mine = [e["content"]["body"] for e in bob.timeline[room] if e["sender"] == alice.id and e["type"] == "m.room.message"]
    assert mine == [f"alice {n}" for n in range(15)], mine
    same = {e["event_id"] for e in alice.history(room)} ^ {e["event_id"] for e in bob.history(room)}
    assert not same, f"{len(same)} events on one server only"
    same_state(room, alice, bob)


def redaction(play, a, b):
    alice, bob, room = together(play, a, b)
    for one, other in ((alice, bob), (bob, alice)):
        event = one.send(room, "oups")
        other.see(room, event)
        one.redact(room, event)
        eventually("redacted", lambda: "body" not in other.event(room, event)["content"])
        assert other.event(room, event)["unsigned"]["redacted_because"]["sender"] == one.id
    event = bob.send(room, "impoli")
    alice.see(room, event)
    alice.redact(room, event)
    eventually("redacted by a moderator", lambda: "body" not in bob.event(room, event)["content"])
    event = alice.send(room, "pas à lui")
    bob.see(room, event)
    refused(bob.redact, room, event)
    topic = alice.set_state(room, "m.room.topic", {"topic": "à effacer"})
    bob.see(room, topic)
    alice.redact(room, topic)
    eventually("a redacted topic", lambda: "topic" not in bob.get_state(room, "m.room.topic"))
    same_state(room, alice, bob)


def relations(play, a, b):
    alice, bob, room = together(play, a, b)
    event = alice.send(room, "bonjuor")
    bob.see(room, event)
    bob.send(room, {"m.relates_to": {"rel_type": "m.annotation", "event_id": event, "key": "👍"}}, "m.reaction")
    alice.send(room, {"msgtype": "m.text", "body": "* bonjour", "m.new_content": {"msgtype": "m.text", "body": "bonjour"},
                      "m.relates_to": {"rel_type": "m.replace", "event_id": event}})
    bob.send(room, {"msgtype": "m.text", "body": "dans le fil", "m.relates_to": {"rel_type": "m.thread", "event_id": event}})
    path = f"/v1/rooms/{quoted(room)}/relations/{quoted(event)}"
    for person in (alice, bob):
        person.hear(room, "* bonjour")
        person.hear(room, "dans le fil")
        found = eventually("a reaction", lambda: person.get(f"{path}/m.annotation")["chunk"])
        assert [e["content"]["m.relates_to"]["key"] for e in found] == ["👍"] and found[0]["sender"] == bob.id
        aggregated = person.event(room, event)["unsigned"]["m.relations"]
        assert "m.replace" in aggregated and aggregated["m.thread"]["count"] == 1, aggregated


def backfill(play, a, b):
    """Five hundred events of before one's own server came."""
    alice = play.user(a, "alice")
    room, alias = alice.public_room()
    sent = [alice.send(room, f"{number}") for number in range(500)]
    bob = play.user(b, "bob")
    bob.join(alias)
    alice.see_member(room, bob.id, "join")

    def all_there():
        found = [e["event_id"] for e in reversed(bob.history(room, limit=100)) if e["type"] == "m.room.message"]
        all_there.count = len(found)
        return found if len(found) >= 500 else None

    try:
        found = eventually("500 events", all_there, 60)
    except AssertionError as error:
        raise AssertionError(f"{error}: {all_there.count} of 500") from None
    assert found == sent, "in another order"
    same_state(room, alice, bob)
    first = bob.get(f"/v3/rooms/{quoted(room)}/context/{quoted(sent[250])}", limit="4")
    assert first["event"]["content"]["body"] == "250" and len(first["events_before"]) == 2, first


def history_visibility(play, a, b):
    """Who comes later must not read what was said before, where the room says so."""
    alice, bob = play.user(a, "alice"), play.user(b, "bob")
    room, alias = alice.public_room(initial_state=[{
        "type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}])
    secret = alice.send(room, "entre nous")
    bob.join(alias)
    alice.see_member(room, bob.id, "join")
    alice.send(room, "pour tous")
    bob.hear(room, "pour tous")
    assert "entre nous" not in [e["content"].get("body") for e in bob.history(room)]
    refused(bob.event, room, secret)


def by_time(play, a, b):
    """The event next to a time, where one's own server has no history of then."""
    alice = play.user(a, "alice")
    room, alias = alice.public_room()
    events = [alice.send(room, f"{number}") for number in range(60)]
    middle = alice.event(room, events[20])
    bob = play.user(b, "bob")
    bob.join(alias)
    found = eventually("an event by its time", lambda: bob.get(
        f"/v1/rooms/{quoted(room)}/timestamp_to_event", ts=str(middle["origin_server_ts"]), dir="f"))
    assert found["origin_server_ts"] >= middle["origin_server_ts"], found
    assert found["event_id"] in events[15:26], found


def media(play, a, b):
    alice, bob, room = together(play, a, b)
    for data, kind, name in ((png(64, 48), "image/png", "carré.png"), (b"\x00\x01" * 400_000, "application/pdf", "note.pdf")):
        status, _headers, answer = alice.raw(
            "POST", f"/_matrix/media/v3/upload?filename={quoted(name)}", data, content_type=kind)
        assert status == 200, answer
        uri = json.loads(answer)["content_uri"]
        path = uri.removeprefix("mxc://")
        status, headers, there = bob.raw("GET", f"/_matrix/client/v1/media/download/{path}")
        assert status == 200, f"download {path}: {status} {there[:300]}"
        assert there == data and headers["Content-Type"] == kind, headers
        disposition = headers.get("Content-Disposition", "")
        assert "carr%C3%A9.png" in disposition or "note.pdf" in disposition, disposition
        if kind == "image/png":
            status, headers, small = bob.raw(
                "GET", f"/_matrix/client/v1/media/thumbnail/{path}?width=32&height=32&method=scale")
            assert status == 200 and headers["Content-Type"] in ("image/png", "image/jpeg", "image/webp"), (status, small[:200])
    status, _headers, answer = bob.raw("GET", f"/_matrix/client/v1/media/download/{a.name}/{'x' * 24}")
    assert status == 404, (status, answer[:200])


def typing(play, a, b):
    for one, other in ((a, b), (b, a)):
        alice, bob, room = together(play, one, other)
        for typist, reader in ((alice, bob), (bob, alice)):
            path = f"/v3/rooms/{quoted(room)}/typing/{quoted(typist.id)}"

            def last():
                found = [e["content"]["user_ids"] for e in reader.ephemeral.get(room, []) if e["type"] == "m.typing"]
                return found[-1] if found else []
            typist.put(path, {"typing": True, "timeout": 20000})
            reader.until("typing", lambda: last() == [typist.id])
            typist.put(path, {"typing": False})
            reader.until("no more typing", lambda: last() == [])


def receipts(play, a, b):
    alice, bob, room = together(play, a, b)
    for writer, reader in ((alice, bob), (bob, alice)):
        event = writer.send(room, f"à lire de {writer.id}")
        reader.see(room, event)
        reader.post(f"/v3/rooms/{quoted(room)}/receipt/m.read/{quoted(event)}", {"thread_id": "main"})

        def seen():
            return any(reader.id in users for e in writer.ephemeral.get(room, []) if e["type"] == "m.receipt"
                       for of, kinds in e["content"].items() if of == event for users in [kinds.get("m.read", {})])
        writer.until("a receipt", seen)
    # A private receipt is told to nobody.
    event = alice.send(room, "lu en secret")
    bob.see(room, event)
    bob.post(f"/v3/rooms/{quoted(room)}/receipt/m.read.private/{quoted(event)}", {})
    after = bob.send(room, "après")
    alice.see(room, after)
    assert not any("m.read.private" in kinds for e in alice.ephemeral.get(room, []) if e["type"] == "m.receipt"
                   for kinds in e["content"].values())


def presence(play, a, b):
    alice, bob, _room = together(play, a, b)
    for one, other in ((alice, bob), (bob, alice)):
        one.put(f"/v3/presence/{quoted(one.id)}/status", {"presence": "online", "status_msg": f"à l'écoute {one.id}"})
        other.until("presence", lambda: any(
            e["sender"] == one.id and e["content"].get("status_msg") == f"à l'écoute {one.id}" for e in other.presence))


def to_device(play, a, b):
    """Messages to a device of the other server arrive once each, in order."""
    alice, bob, _room = together(play, a, b)
    for number in range(10):
        alice.put(f"/v3/sendToDevice/org.example.note/{quoted(f'{alice.id}{number}')}",
                  {"messages": {bob.id: {bob.device: {"number": number}}}})
    alice.put("/v3/sendToDevice/org.example.note/all", {"messages": {bob.id: {"*": {"number": 10}}}})
    bob.until("messages to the device", lambda: len(bob.to_device) >= 11)
    bob.sync(timeout=500)
    assert [e["content"]["number"] for e in bob.to_device] == list(range(11)), bob.to_device
    assert all(e["sender"] == alice.id for e in bob.to_device)


SCENES = [messages, redaction, relations, backfill, history_visibility, by_time, media, typing, receipts, presence,
          to_device]
