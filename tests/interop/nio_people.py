"""People on matrix-nio, for nio_scenes.py: a client, what it saw, and one turn of its sync loop."""

import asyncio
import os
import time

import nio

from common import PASSWORD


def good(response):
    """The response, which is no error."""
    assert not isinstance(response, nio.ErrorResponse), response
    return response


class Nio:
    """One device of somebody: the client and everything it was told."""

    def __init__(self, url, user, directory):
        store = os.path.join(str(directory), user.strip("@").split(":")[0] + str(time.time_ns()))
        os.makedirs(store)
        config = nio.AsyncClientConfig(encryption_enabled=True, store_sync_tokens=False)
        self.client = nio.AsyncClient(url, user, store_path=store, config=config)
        self.url, self.directory = url, directory
        self.events, self.ephemeral, self.devices_said, self.presence = [], [], [], []
        self.client.add_event_callback(lambda room, e: self.events.append((room.room_id, e)), nio.Event)
        self.client.add_event_callback(
            lambda room, e: self.events.append((room.room_id, e)), nio.InviteEvent)
        self.client.add_ephemeral_callback(
            lambda room, e: self.ephemeral.append((room.room_id, e)), nio.EphemeralEvent)
        self.client.add_to_device_callback(self.devices_said.append, nio.ToDeviceEvent)
        self.client.add_presence_callback(self.presence.append, nio.PresenceEvent)

    @classmethod
    async def register(cls, url, name, directory):
        self = cls(url, name, directory)
        good(await self.client.register(name, PASSWORD, device_name=f"{name} on nio"))
        await self.turn()
        return self

    async def another_device(self, name):
        other = Nio(self.url, self.client.user_id, self.directory)
        good(await other.client.login(PASSWORD, device_name=name))
        await other.turn()
        return other

    @property
    def id(self):
        return self.client.user_id

    async def turn(self, timeout=0):
        """What sync_forever does once, without waiting for the next answer."""
        client = self.client
        good(await client.sync(timeout=timeout, full_state=client.next_batch is None))
        for message in client.outgoing_to_device_messages:
            good(await client.to_device(message))
        client.outgoing_to_device_messages.clear()
        if client.should_upload_keys:
            good(await client.keys_upload())
        if client.should_query_keys:
            good(await client.keys_query())
        if client.should_claim_keys:
            good(await client.keys_claim(client.get_users_for_key_claiming()))

    async def until(self, what, seconds=30):
        """Turns until `what()` answers something; that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = what()
            if found:
                return found
            await self.turn(timeout=500)
        raise AssertionError(f"{self.id} waited in vain for {what.__name__}")

    def found(self, kind, room, test=lambda event: True):
        def search():
            return next((e for r, e in self.events if r == room and isinstance(e, kind) and test(e)), None)
        search.__name__ = f"{kind.__name__} in {room}"
        return search

    async def hear(self, kind, room, test=lambda event: True):
        return await self.until(self.found(kind, room, test))

    async def say(self, room, content, kind="m.room.message"):
        content = {"body": content, "msgtype": "m.text"} if isinstance(content, str) else content
        return good(await self.client.room_send(room, kind, content, ignore_unverified_devices=True)).event_id

    async def room(self, *invite, encrypted=False, **options):
        state = list(options.pop("initial_state", []))
        if encrypted:
            state.append(nio.EnableEncryptionBuilder().as_dict())
        options.setdefault("preset", nio.RoomPreset.private_chat)
        made = await self.client.room_create(
            invite=[person.id for person in invite], initial_state=state, **options)
        room = good(made).room_id
        for person in invite:
            good(await person.client.join(room))
        for person in (self, *invite):
            await person.until(lambda person=person: len(joined(person, room)) == 1 + len(invite))
        # Once more: devices are asked for when a member of an encrypted room was seen.
        await self.turn()
        return room

    async def close(self):
        await self.client.close()


def joined(person, room):
    known = person.client.rooms.get(room)
    return [user for user in known.users if user not in known.invited_users] if known else []


async def at_once(*calls):
    return await asyncio.gather(*calls)
