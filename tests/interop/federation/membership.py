"""Who is in a room: joining, inviting, knocking, restricted rooms, leaving, kicks and bans."""

from .people import Refused, eventually, refused, same_state


def join_by_alias(play, a, b):
    alice, bob = play.user(a, "alice"), play.user(b, "bob")
    room, alias = alice.public_room(name="Salon", topic="de quoi il s'agit")
    assert bob.join(alias) == room
    alice.see_member(room, bob.id, "join")
    bob.send(room, "bonjour")
    alice.hear(room, "bonjour")
    alice.send(room, "salut")
    bob.hear(room, "salut")
    assert bob.get_state(room, "m.room.topic")["topic"] == "de quoi il s'agit"
    members = bob.get(f"/v3/rooms/{room}/joined_members")["joined"]
    assert set(members) == {alice.id, bob.id}, members
    same_state(room, alice, bob)


def invite_accept(play, a, b):
    alice, bob = play.user(a, "alice"), play.user(b, "bob")
    room = alice.create(preset="private_chat", name="À deux", is_direct=True, invite=[bob.id])
    bob.see_section(room, "invite")
    names = [e["content"].get("name") for e in bob.state[room] if e["type"] == "m.room.name"]
    assert names == ["À deux"], bob.state[room]
    assert any(e["type"] == "m.room.create" for e in bob.state[room]), "no create event in the invitation"
    invited = bob.see_member(room, bob.id, "invite")
    assert invited["sender"] == alice.id and invited["content"].get("is_direct"), invited
    bob.join(room)
    alice.see_member(room, bob.id, "join")
    bob.send(room, "me voilà")
    alice.hear(room, "me voilà")
    same_state(room, alice, bob)


def invite_reject(play, a, b):
    alice, bob = play.user(a, "alice"), play.user(b, "bob")
    room = alice.create(preset="private_chat", invite=[bob.id])
    bob.see_section(room, "invite")
    bob.act(room, "leave")
    alice.see_member(room, bob.id, "leave")
    bob.see_section(room, "leave")
    refused(bob.join, room, a.name)
    alice.act(room, "invite", bob.id, reason="encore")
    bob.see_section(room, "invite")
    bob.join(room)
    same_state(room, alice, bob)


def invite_retract(play, a, b):
    alice, bob = play.user(a, "alice"), play.user(b, "bob")
    room = alice.create(preset="private_chat", invite=[bob.id])
    bob.see_section(room, "invite")
    alice.act(room, "kick", bob.id, reason="une erreur")
    bob.see_section(room, "leave")
    refused(bob.join, room, a.name)


def knock(play, a, b):
    alice, bob = play.user(a, "alice"), play.user(b, "bob")
    room = alice.create(preset="private_chat", name="Fermé", initial_state=[
        {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}])
    refused(bob.join, room, a.name)
    bob.request("POST", f"/v3/knock/{room}?server_name={a.name}&via={a.name}", {"reason": "toc toc"})
    knocked = alice.see_member(room, bob.id, "knock")
    assert knocked["content"].get("reason") == "toc toc", knocked
    bob.see_section(room, "knock")
    assert any(e["type"] == "m.room.name" for e in bob.state[room]), bob.state[room]
    alice.act(room, "invite", bob.id)
    bob.see_section(room, "invite")
    bob.join(room)
    alice.see_member(room, bob.id, "join")
    same_state(room, alice, bob)


def knock_denied_and_withdrawn(play, a, b):
    alice, bob, carol = play.user(a, "alice"), play.user(b, "bob"), play.user(b, "carol")
    room = alice.create(preset="private_chat", initial_state=[
        {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}])
    for person in (bob, carol):
        person.request("POST", f"/v3/knock/{room}?server_name={a.name}&via={a.name}", {})
        alice.see_member(room, person.id, "knock")
        person.see_section(room, "knock")
    alice.act(room, "kick", bob.id)
    refused(bob.join, room, a.name)
    carol.act(room, "leave")
    carol.see_section(room, "leave")
    # Synapse 1.163 withdraws a knock for its own users only, and tells nobody of one that is denied.
    if b.kind != "synapse":
        alice.see_member(room, carol.id, "leave")
    if "synapse" not in (a.kind, b.kind):
        bob.see_section(room, "leave")


def restricted(play, a, b):
    alice, bob, carol = play.user(a, "alice"), play.user(b, "bob"), play.user(b, "carol")
    club, _alias = alice.public_room()
    room = alice.create(preset="private_chat", initial_state=[{
        "type": "m.room.join_rules", "state_key": "", "content": {
            "join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]}}])
    refused(carol.join, room, a.name)
    bob.join(club, a.name)
    bob.join(room, a.name)
    joined = alice.see_member(room, bob.id, "join")
    assert joined["content"].get("join_authorised_via_users_server") == alice.id, joined
    bob.send(room, "par le club")
    alice.hear(room, "par le club")
    refused(carol.join, room, b.name)
    # Now a server that is in the room, but that nobody may invite from, is asked by its own users.
    carol.join(club, a.name)
    carol.join(room, a.name)
    alice.see_member(room, carol.id, "join")
    same_state(room, alice, bob, carol)


def leave_and_rejoin(play, a, b):
    alice, bob = play.user(a, "alice"), play.user(b, "bob")
    room, alias = alice.public_room()
    for turn in range(3):
        bob.join(alias)
        alice.see_member(room, bob.id, "join")
        bob.send(room, f"tour {turn}")
        alice.hear(room, f"tour {turn}")
        bob.act(room, "leave")
        alice.see_member(room, bob.id, "leave")
        alice.send(room, f"absent {turn}")
        alice.set_state(room, "m.room.topic", {"topic": f"tour {turn}"})
    bob.join(alias)
    alice.see_member(room, bob.id, "join")
    same_state(room, alice, bob)
    assert bob.get_state(room, "m.room.topic")["topic"] == "tour 2"
    bodies = {e["content"].get("body") for e in bob.history(room)}
    assert {"absent 0", "absent 1", "absent 2"} <= bodies, bodies


def kick_and_ban(play, a, b):
    alice, bob = play.user(a, "alice"), play.user(b, "bob")
    room, alias = alice.public_room()
    bob.join(alias)
    alice.see_member(room, bob.id, "join")
    alice.act(room, "kick", bob.id, reason="dehors")
    bob.see_section(room, "leave")
    refused(bob.send, room, "encore moi")
    bob.join(alias)
    alice.see_member(room, bob.id, "join")
    alice.act(room, "ban", bob.id)
    bob.see_member(room, bob.id, "ban")
    refused(bob.join, alias)
    refused(bob.join, room, a.name, b.name)
    refused(alice.act, room, "invite", bob.id)
    refused(bob.request, "POST", f"/v3/knock/{room}?server_name={a.name}&via={a.name}", {})
    alice.act(room, "unban", bob.id)
    eventually("joined after the unban", lambda: bob.join(alias))
    alice.see_member(room, bob.id, "join")
    same_state(room, alice, bob)


def ban_evasion(play, a, b):
    """Banned by one server, somebody tries with what their own server still believes."""
    alice, bob, carol = play.user(a, "alice"), play.user(b, "bob"), play.user(b, "carol")
    room, alias = alice.public_room()
    for person in (bob, carol):
        person.join(alias)
        alice.see_member(room, person.id, "join")
    alice.act(room, "ban", bob.id)
    carol.see_member(room, bob.id, "ban")
    refused(carol.act, room, "invite", bob.id)
    refused(bob.send, room, "par la fenêtre")
    refused(bob.set_state, room, "m.room.member", {"membership": "join"}, bob.id)
    refused(bob.join, room, b.name)
    refused(carol.act, room, "unban", bob.id)
    # Everybody of a server is shut out by an access list: their events are not taken any more.
    alice.set_state(room, "m.room.server_acl", {"allow": ["*"], "deny": [b.name, b.address], "allow_ip_literals": True})
    eventually("the list arrived", lambda: carol.get_state(room, "m.room.server_acl")["deny"])
    dave = play.user(b, "dave")
    for attempt in (lambda: carol.send(room, "malgré la liste"), lambda: dave.join(room, a.name)):
        try:
            attempt()
        except Refused:
            pass  # Their own server may refuse at once, or leave it to the others.
    second, other = alice.public_room()
    erin = play.user(b, "erin")
    erin.join(other)
    erin.send(second, "ce qui suit est arrivé")
    alice.hear(second, "ce qui suit est arrivé")
    assert not any(e["content"].get("body") == "malgré la liste" for e in alice.history(room))
    members = {e["state_key"] for e in alice.all_state(room) if e["type"] == "m.room.member"}
    assert dave.id not in members, members


SCENES = [join_by_alias, invite_accept, invite_reject, invite_retract, knock, knock_denied_and_withdrawn,
          restricted, leave_and_rejoin, kick_and_ban, ban_evasion]
