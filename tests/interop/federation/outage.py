"""Servers that stop for a while, and what they make up for afterwards."""

from .people import eventually, same_state
from .talking import together


def events_of(user, room):
    return {e["event_id"] for e in user.history(room)}


def same_events(room, *users, seconds=60):
    def equal():
        found = [events_of(user, room) for user in users]
        equal.told = [len(events) for events in found]
        return all(events == found[0] for events in found)
    try:
        eventually("the same events", equal, seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}: {equal.told}") from None


def killed_and_back(play, a, b):
    """The guest's server is killed, misses messages and state, and comes back."""
    alice, bob, room = together(play, a, b)
    bob.send(room, "avant")
    alice.hear(room, "avant")
    b.kill()
    try:
        for number in range(30):
            alice.send(room, f"manqué {number}")
        alice.set_state(room, "m.room.topic", {"topic": "changé"})
        late = alice.send(room, "dernier")
    finally:
        b.start()
    bob.see(room, late, 60)
    same_events(room, alice, bob)
    bob.send(room, "de retour")
    alice.hear(room, "de retour")
    same_state(room, alice, bob)


def messages_wait(play, a, b):
    """What was said while the other server was away is sent by itself once it is back, each once."""
    alice, bob, room = together(play, a, b)
    b.stop()
    try:
        for number in range(5):
            alice.send(room, f"en attente {number}")
        for number in range(5):
            alice.put(f"/v3/sendToDevice/org.example.note/{alice.device}w{number}",
                      {"messages": {bob.id: {bob.device: {"number": number}}}})
    finally:
        b.start()
    bob.hear(room, "en attente 4", 60)
    bob.until("messages to the device", lambda: len(bob.to_device) >= 5, 60)
    bob.sync(timeout=1000)
    assert [e["content"]["number"] for e in bob.to_device] == list(range(5)), bob.to_device
    found = [e["content"].get("body") for e in bob.history(room)]
    assert all(found.count(f"en attente {n}") == 1 for n in range(5)), found


def three_servers(play, a, b, c):
    """One of three stops; the others go on, also with state; afterwards all have everything."""
    alice, bob, carol = play.user(a, "alice"), play.user(b, "bob"), play.user(c, "carol")
    room, alias = alice.public_room()
    levels = alice.get_state(room, "m.room.power_levels")
    for person in (bob, carol):
        person.join(alias)
        alice.see_member(room, person.id, "join")
    levels["users"].update({bob.id: 50, carol.id: 50})
    alice.set_state(room, "m.room.power_levels", levels)
    for person in (bob, carol):
        eventually("the levels", lambda: person.get_state(room, "m.room.power_levels")["users"].get(carol.id) == 50)
    people_of = {a.address: alice, b.address: bob, c.address: carol}
    for stopped in (c, b, a):
        others = [person for address, person in people_of.items() if address != stopped.address]
        gone = people_of[stopped.address]
        stopped.kill()
        try:
            for number in range(10):
                for person in others:
                    person.send(room, f"{stopped.address} {number} {person.id}")
            others[0].set_state(room, "m.room.name", {"name": f"sans {stopped.address}"})
            others[1].set_state(room, "m.room.topic", {"topic": f"sans {stopped.address}"})
        finally:
            stopped.start()
        last = others[1].send(room, f"fini {stopped.address}")
        gone.see(room, last, 90)
        gone.send(room, f"de retour {stopped.address}")
        for person in others:
            person.hear(room, f"de retour {stopped.address}", 60)
        same_events(room, alice, bob, carol)
        same_state(room, alice, bob, carol)


def partition(play, a, b, c):
    """Two servers write while the third, that heard neither, is away, and one of them goes away when
    it comes back: histories fork, and meet again."""
    alice, bob, carol = play.user(a, "alice"), play.user(b, "bob"), play.user(c, "carol")
    room, alias = alice.public_room()
    for person in (bob, carol):
        person.join(alias)
        alice.see_member(room, person.id, "join")
    eventually("everybody everywhere", lambda: all(
        len(person.get(f"/v3/rooms/{room}/joined_members")["joined"]) == 3 for person in (alice, bob, carol)))
    c.kill()
    for number in range(5):
        alice.send(room, f"côté a {number}")
        alice.set_state(room, "org.example.side", {"side": "a", "number": number})
    bob.hear(room, "côté a 4")
    a.kill()
    try:
        c.start()
        for number in range(5):
            carol.send(room, f"côté c {number}")
        bob.hear(room, "côté c 4", 60)
        bob.send(room, "tout vu")
    finally:
        a.start()
    alice.hear(room, "tout vu", 90)
    for person in (alice, bob, carol):
        person.send(room, f"fin {person.id}")
    same_events(room, alice, bob, carol, seconds=90)
    same_state(room, alice, bob, carol, seconds=60)


SCENES = [messages_wait, killed_and_back]
LARGE = [three_servers, partition]
