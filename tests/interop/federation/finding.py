"""People and rooms of other servers: profiles, aliases, the directory, spaces, upgrades, all room versions."""

from .people import eventually, quoted, refused, same_state
from .talking import together


def profile(play, a, b):
    alice, bob, room = together(play, a, b)
    path = f"/v3/profile/{quoted(alice.id)}"
    alice.put(f"{path}/displayname", {"displayname": "Alice Martin"})
    alice.put(f"{path}/avatar_url", {"avatar_url": f"mxc://{a.name}/portrait"})
    eventually("the new name", lambda: bob.get(path).get("displayname") == "Alice Martin")
    eventually("the portrait", lambda: bob.get(f"{path}/avatar_url")["avatar_url"] == f"mxc://{a.name}/portrait")
    bob.until("the name in the room", lambda: any(
        e["type"] == "m.room.member" and e["content"].get("displayname") == "Alice Martin"
        for e in bob.timeline.get(room, [])))
    alice.put(f"{path}/displayname", {"displayname": "Alice Durand"})
    eventually("the next name", lambda: bob.get_state(room, "m.room.member", alice.id)["displayname"] == "Alice Durand")
    stranger = play.user(b, "stranger")
    assert stranger.get(path)["displayname"] == "Alice Durand"
    refused(bob.get, f"/v3/profile/{quoted(f'@nobody-here:{a.name}')}", status=(404,))
    same_state(room, alice, bob)


def directory(play, a, b):
    alice, bob = play.user(a, "alice"), play.user(b, "bob")
    room, alias = alice.public_room()
    found = bob.get(f"/v3/directory/room/{quoted(alias)}")
    assert found["room_id"] == room and a.name in found["servers"], found
    refused(bob.get, f"/v3/directory/room/{quoted(f'#nowhere:{a.name}')}", status=(404,))
    bob.join(alias)
    second = f"#second{room[1:8].lower()}:{b.name}"
    bob.put(f"/v3/directory/room/{quoted(second)}", {"room_id": room})
    carol = play.user(a, "carol")
    assert carol.get(f"/v3/directory/room/{quoted(second)}")["room_id"] == room
    carol.join(second)
    same_state(room, alice, bob)


def public_rooms(play, a, b):
    alice, bob = play.user(a, "alice"), play.user(b, "bob")
    words = [f"Cantine{play.number}x{n}" for n in range(5)]
    rooms = [alice.create(preset="public_chat", visibility="public", name=word, topic="menus") for word in words]
    hidden = alice.create(preset="public_chat", visibility="private", name=f"Cantine{play.number}xcachée")

    def search(**more):
        return bob.post("/v3/publicRooms", {"filter": {"generic_search_term": f"Cantine{play.number}x"}, **more}, server=a.name)
    found = eventually("five rooms", lambda: (
        answer := search(), answer["chunk"] if len(answer["chunk"]) == 5 else None)[1])
    assert {entry["room_id"] for entry in found} == set(rooms) and hidden not in str(found), found
    assert {entry["name"] for entry in found} == set(words) and all(e["num_joined_members"] == 1 for e in found)
    first = search(limit=2)
    second = search(limit=2, since=first["next_batch"])
    ids = [entry["room_id"] for entry in first["chunk"] + second["chunk"]]
    assert len(set(ids)) == 4, (first, second)
    listed = bob.get("/v3/publicRooms", server=a.name, limit="3")
    assert len(listed["chunk"]) == 3, listed


def spaces(play, a, b):
    alice, bob = play.user(a, "alice"), play.user(b, "bob")
    space = alice.create(preset="public_chat", name="Ministère", creation_content={"type": "m.space"})
    inner = alice.create(preset="public_chat", name="Direction", creation_content={"type": "m.space"})
    rooms = [alice.create(preset="public_chat", name=f"Bureau {n}") for n in range(3)]
    closed = alice.create(preset="private_chat", name="Fermé")
    for parent, child in [(space, inner), (space, rooms[0]), (space, closed), (inner, rooms[1]), (inner, rooms[2])]:
        alice.set_state(parent, "m.space.child", {"via": [a.name]}, child)
    bob.join(space, a.name)
    alice.see_member(space, bob.id, "join")
    path = f"/v1/rooms/{quoted(space)}/hierarchy"

    def tree():
        found = {entry["room_id"]: entry for entry in bob.get(path)["rooms"]}
        return found if set(found) == {space, inner, *rooms} else None
    try:
        found = eventually("the whole hierarchy", tree)
    except AssertionError as error:
        raise AssertionError(f"{error}: {[e.get('name') for e in bob.get(path)['rooms']]}") from None
    assert found[rooms[2]]["name"] == "Bureau 2" and found[inner]["room_type"] == "m.space", found
    assert len(found[inner]["children_state"]) == 2, found[inner]
    assert closed not in found
    summary = bob.get(f"/v1/room_summary/{quoted(rooms[1])}", via=a.name)
    assert summary["name"] == "Bureau 1" and summary["room_id"] == rooms[1], summary


def upgrade(play, a, b):
    alice, bob, room = together(play, a, b, room_version="10", name="Avant")
    new = alice.post(f"/v3/rooms/{quoted(room)}/upgrade", {"new_version": "11"})["replacement_room"]
    bob.until("a tombstone", lambda: any(e["type"] == "m.room.tombstone" for e in bob.timeline.get(room, [])))
    assert bob.get_state(room, "m.room.tombstone")["replacement_room"] == new
    bob.join(new, a.name)
    alice.see_member(new, bob.id, "join")
    create = bob.get_state(new, "m.room.create")
    assert create["predecessor"]["room_id"] == room and create["room_version"] == "11", create
    assert bob.get_state(new, "m.room.name")["name"] == "Avant"
    bob.send(new, "dans le nouveau")
    alice.hear(new, "dans le nouveau")
    same_state(new, alice, bob)
    same_state(room, alice, bob)


def versions(play, a, b):
    """A room of each version, with everything that differs between them."""
    alice, bob, carol = play.user(a, "alice"), play.user(b, "bob"), play.user(b, "carol")
    wrong = []
    for number in range(1, 13):
        try:
            version(alice, bob, carol, str(number))
        except Exception as error:  # noqa: BLE001 – all versions are tried, all failures told
            wrong.append(f"version {number}: {error}")
    assert not wrong, "; ".join(wrong)


def version(alice, bob, carol, number):
    room, alias = alice.public_room(room_version=number)
    bob.join(alias)
    alice.see_member(room, bob.id, "join")
    alice.act(room, "invite", carol.id)
    carol.see_section(room, "invite")
    carol.join(room)
    levels = alice.get_state(room, "m.room.power_levels")
    levels["users"][bob.id] = 50
    alice.set_state(room, "m.room.power_levels", levels)
    eventually("the levels", lambda: bob.get_state(room, "m.room.power_levels")["users"].get(bob.id) == 50)
    topic = bob.set_state(room, "m.room.topic", {"topic": f"version {number}"})
    alice.see(room, topic)
    event = alice.send(room, "à effacer")
    bob.see(room, event)
    bob.redact(room, event)
    eventually("redacted", lambda: "body" not in alice.event(room, event)["content"])
    bob.act(room, "kick", carol.id)
    alice.see_member(room, carol.id, "leave")
    own = alice.send(room, f"fin {number}")
    bob.see(room, own)
    same_state(room, alice, bob)
    assert bob.get_state(room, "m.room.create").get("room_version", "1") == number


SCENES = [profile, directory, public_rooms, spaces, upgrade, versions]
