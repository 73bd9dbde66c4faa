"""Two real clients (matrix-nio) on two servers: encrypted rooms, verification, new devices, outages."""

import asyncio

import nio

from nio_people import Nio, good, joined

from .people import NUMBERS


def says(body):
    return lambda event: getattr(event, "body", None) == body


async def people(play, a, b, *names):
    """Devices of these people: the first on the first server, the others on the second."""
    number = next(NUMBERS)
    found = []
    for server, name in zip((a, *[b] * len(names)), names):
        directory = server.directory / "nio"
        directory.mkdir(exist_ok=True)
        found.append(await Nio.register(server.url, f"nio-{name}{number}", directory))
    return found


async def room_of(alice, *others):
    """An encrypted room of alice's that the others, of other servers, have joined."""
    room = good(await alice.client.room_create(
        preset=nio.RoomPreset.private_chat, invite=[person.id for person in others],
        initial_state=[nio.EnableEncryptionBuilder().as_dict()])).room_id
    for person in others:
        await person.until(lambda person=person: room in person.client.invited_rooms)
        good(await person.client.join(room))
    for person in (alice, *others):
        await person.until(lambda person=person: len(joined(person, room)) == 1 + len(others))
        # Once more: devices are asked for when a member of an encrypted room was seen.
        await person.turn()
    return room


async def heard(person, room, body):
    event = await person.hear(nio.RoomMessageText, room, says(body))
    assert event.decrypted, event


async def knows(person, *devices):
    """Waits until a client knows the devices of others, which it learns when lists change."""
    for other in devices:
        def known(other=other):
            try:
                return other.client.device_id in person.client.device_store[other.id]
            except KeyError:
                return False
        known.__name__ = f"device {other.client.device_id} of {other.id}"
        await person.until(known)


async def both_ways(play, a, b):
    alice, bob = await people(play, a, b, "alice", "bob")
    room = await room_of(alice, bob)
    await knows(alice, bob)
    await alice.say(room, "chiffré d'alice")
    await heard(bob, room, "chiffré d'alice")
    await knows(bob, alice)
    await bob.say(room, "chiffré de bob")
    await heard(alice, room, "chiffré de bob")
    raw = good(await bob.client.room_messages(room, bob.client.next_batch, limit=5))
    assert not any(isinstance(event, nio.MegolmEvent) for event in raw.chunk), raw.chunk
    return alice, bob, room


async def verification(play, a, b):
    alice, bob, _room = await both_ways(play, a, b)
    device = alice.client.device_store[bob.id][bob.client.device_id]
    good(await alice.client.start_key_verification(device))
    said = lambda who, kind: lambda: next(  # noqa: E731
        (e for e in who.devices_said if isinstance(e, kind)), None)
    start = await bob.until(said(bob, nio.KeyVerificationStart))
    transaction = start.transaction_id
    good(await bob.client.accept_key_verification(transaction))
    await alice.until(said(alice, nio.KeyVerificationAccept))
    await alice.turn()
    await bob.until(said(bob, nio.KeyVerificationKey))
    await bob.turn()
    await alice.until(said(alice, nio.KeyVerificationKey))
    one, other = (person.client.key_verifications[transaction] for person in (alice, bob))
    assert one.get_emoji() == other.get_emoji() and len(one.get_emoji()) == 7
    good(await alice.client.confirm_short_auth_string(transaction))
    good(await bob.client.confirm_short_auth_string(transaction))
    await alice.until(said(alice, nio.KeyVerificationMac))
    await bob.until(said(bob, nio.KeyVerificationMac))
    assert one.verified and other.verified


async def new_devices(play, a, b):
    """A second device on each side, with no outage: it reads what is said from then on."""
    alice, bob, room = await both_ways(play, a, b)
    tablet, phone = await bob.another_device("tablette"), await alice.another_device("téléphone")
    await knows(alice, tablet)
    await knows(bob, phone)
    await alice.say(room, "pour la tablette")
    await heard(tablet, room, "pour la tablette")
    await bob.say(room, "pour le téléphone")
    for person in (alice, phone):
        await heard(person, room, "pour le téléphone")


async def new_devices_during_an_outage(play, a, b):
    """The second server is away; meanwhile somebody on the first gets a device and writes. Then the
    first is away while the second's get theirs. Everybody decrypts everything that came after."""
    alice, bob, room = await both_ways(play, a, b)
    b.kill()
    try:
        phone = await alice.another_device("téléphone")
        await knows(alice, phone)
        await alice.say(room, "pendant la panne")
    finally:
        b.start()
    await heard(bob, room, "pendant la panne")
    await heard(phone, room, "pendant la panne")
    await knows(bob, phone)
    await bob.say(room, "après la panne")
    for person in (alice, phone):
        await heard(person, room, "après la panne")
    a.kill()
    try:
        tablet = await bob.another_device("tablette")
        await knows(bob, tablet)
        await bob.say(room, "dans l'autre sens")
    finally:
        a.start()
    for person in (alice, phone):
        await heard(person, room, "dans l'autre sens")
    await knows(alice, tablet)
    await alice.say(room, "pour toutes les machines")
    for person in (bob, tablet, phone):
        await heard(person, room, "pour toutes les machines")


def scene(play_it):
    """A scene that is a coroutine as one that is none; clients are closed."""
    def run(play, a, b):
        made = []
        register = Nio.__init__

        def remembered(self, *args):
            register(self, *args)
            made.append(self)

        async def whole():
            try:
                await play_it(play, a, b)
            finally:
                for person in made:
                    await person.close()
        Nio.__init__ = remembered
        try:
            asyncio.run(whole())
        finally:
            Nio.__init__ = register
    run.__name__ = play_it.__name__
    return run


SCENES = [scene(each) for each in (both_ways, verification, new_devices, new_devices_during_an_outage)]
