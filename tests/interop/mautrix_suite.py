"""A bot on mautrix-python with its own Olm against a Pli server, and a person on matrix-nio who talks to it."""

import asyncio
import sys

import nio
from mautrix.client import Client, InternalEventType
from mautrix.client.dispatcher import MembershipEventDispatcher
from mautrix.client.state_store import MemoryStateStore, MemorySyncStore
from mautrix.crypto import MemoryCryptoStore, OlmMachine
from mautrix.crypto.attachments import decrypt_attachment, encrypt_attachment
from mautrix.types import (
    EventType, FileInfo, MediaMessageEventContent, Membership, MessageType, PaginationDirection,
    PresenceState, RoomCreatePreset,
    RoomNameStateEventContent, TextMessageEventContent, TrustState,
)

from common import PASSWORD, png, suite
from nio_people import Nio, good, joined


class BotState(MemoryStateStore):
    """What the Olm machine asks for besides."""

    async def find_shared_rooms(self, user_id):
        return [room for room, members in self.members.items()
                if user_id in members and await self.is_encrypted(room)]


class Bot:
    """Joins where it is invited; answers «echo …» with the rest, and reacts to it."""

    def __init__(self, client, crypto):
        self.client, self.crypto = client, crypto
        self.heard = []
        client.add_dispatcher(MembershipEventDispatcher)
        client.add_event_handler(EventType.ROOM_MESSAGE, self.on_message)
        client.add_event_handler(InternalEventType.INVITE, self.on_invite)

    @classmethod
    async def start(cls, url, user):
        store = MemoryCryptoStore("bot", "a pickle key")
        client = Client(base_url=url, state_store=BotState(), sync_store=MemorySyncStore())
        await client.login(identifier=user, password=PASSWORD, device_name="bot")
        crypto = OlmMachine(client, store, client.state_store)
        crypto.share_keys_min_trust = crypto.send_keys_min_trust = TrustState.UNVERIFIED
        await store.put_device_id(client.device_id)
        await crypto.load()
        client.crypto = crypto
        self = cls(client, crypto)
        await crypto.share_keys()
        client.start(None)
        return self

    async def on_invite(self, event):
        await self.client.join_room(event.room_id)

    async def on_message(self, event):
        if event.sender == self.client.mxid:
            return
        self.heard.append(event)
        body = event.content.body or ""
        if body.startswith("echo "):
            await self.client.react(event.room_id, event.event_id, "🤖")
            answer = TextMessageEventContent(msgtype=MessageType.TEXT, body=body.removeprefix("echo "))
            answer.set_reply(event)
            await self.client.send_message(event.room_id, answer)

    async def until(self, test, what, seconds=30):
        for _ in range(seconds * 20):
            found = test()
            if found:
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"the bot waited in vain for {what}")

    async def stop(self):
        self.client.stop()
        await self.client.api.session.close()


def says(body):
    return lambda event: event.body == body


async def echo(bot, alice, encrypted):
    room = good(await alice.client.room_create(
        invite=[bot.client.mxid], preset=nio.RoomPreset.private_chat,
        initial_state=[nio.EnableEncryptionBuilder().as_dict()] if encrypted else [])).room_id
    await alice.until(lambda: bot.client.mxid in joined(alice, room))
    await alice.turn()
    asked = await alice.say(room, "echo bonjour")
    answer = await alice.hear(nio.RoomMessageText, room, lambda event: event.body.endswith("bonjour")
                              and event.sender == bot.client.mxid)
    assert bool(answer.decrypted) == encrypted, answer
    reaction = await alice.hear(nio.ReactionEvent, room)
    assert (reaction.reacts_to, reaction.key) == (asked, "🤖"), reaction
    return room


async def in_the_clear(bot, alice):
    await echo(bot, alice, False)


async def encrypted_both_ways(bot, alice):
    await echo(bot, alice, True)


async def encrypted_image(bot, alice):
    room = await echo(bot, alice, True)
    content = png(40, 40)
    sealed, file = encrypt_attachment(content)
    file.url = await bot.client.upload_media(sealed, mime_type="application/octet-stream")
    await bot.client.send_message(room, MediaMessageEventContent(
        msgtype=MessageType.IMAGE, body="image.png", file=file, info=FileInfo(mimetype="image/png")))
    heard = await alice.hear(nio.RoomEncryptedImage, room)
    there = good(await alice.client.download(heard.url)).body
    opened = nio.crypto.attachments.decrypt_attachment(there, heard.key["k"], heard.hashes["sha256"], heard.iv)
    assert opened == content
    again = await bot.client.download_media(file.url)
    assert decrypt_attachment(again, file.key.key, file.hashes["sha256"], file.iv) == content


async def state_and_members(bot, alice):
    room = await bot.client.create_room(name="du robot", preset=RoomCreatePreset.PUBLIC, room_version="11")
    good(await alice.client.join(room))
    await bot.client.send_state_event(room, EventType.ROOM_NAME, RoomNameStateEventContent(name="rebaptisée"))
    name = await bot.client.get_state_event(room, EventType.ROOM_NAME)
    assert name.name == "rebaptisée", name
    members = await bot.client.get_joined_members(room)
    assert set(members) == {bot.client.mxid, alice.id}, members
    await bot.client.ban_user(room, alice.id, "essai")
    member = await bot.client.get_state_event(room, EventType.ROOM_MEMBER, alice.id)
    assert member.membership == Membership.BAN, member
    levels = await bot.client.get_state_event(room, EventType.ROOM_POWER_LEVELS)
    assert levels.get_user_level(bot.client.mxid) == 100, levels


async def profile_and_presence(bot, alice):
    await bot.client.set_displayname("Robot")
    assert (await alice.client.get_displayname(bot.client.mxid)).displayname == "Robot"
    assert await bot.client.get_displayname(bot.client.mxid) == "Robot"
    await bot.client.set_presence(PresenceState.UNAVAILABLE, status="en pause")
    assert (await bot.client.get_presence(bot.client.mxid)).status == "en pause"


async def history_and_redaction(bot, alice):
    room = await echo(bot, alice, False)
    sent = await bot.client.send_text(room, "à retirer")
    await bot.client.redact(room, sent, "erreur")
    event = await bot.client.get_event(room, sent)
    assert not event.content.get("body", None), event
    await alice.until(lambda: any(e.reason == "erreur" for where, e in alice.events
                                  if where == room and isinstance(e, nio.RedactionEvent)))
    page = await bot.client.get_messages(room, PaginationDirection.BACKWARD, limit=50)
    assert "echo bonjour" in [event.content.get("body", None) for event in page.events
                              if event.type == EventType.ROOM_MESSAGE]
    await bot.client.send_receipt(room, sent)


async def account_data(bot, _alice):
    await bot.client.set_account_data("eu.pli.essai", {"valeur": 3})
    assert (await bot.client.get_account_data("eu.pli.essai"))["valeur"] == 3


SCENES = [in_the_clear, encrypted_both_ways, encrypted_image, state_and_members, profile_and_presence,
          history_and_redaction, account_data]


async def play(url, directory, scenes):
    for number, scene in enumerate(SCENES):
        alice = await Nio.register(url, f"mautrix-alice-{number}", directory)
        helper = await Nio.register(url, f"mautrix-bot-{number}", directory)
        bot = await Bot.start(url, helper.id)
        name = scene.__name__.replace("_", " ")
        try:
            await asyncio.wait_for(scene(bot, alice), 90)
            scenes.ok(name)
        except Exception as error:  # noqa: BLE001 – told, counted, and the next scene
            scenes.fail(name, f"{type(error).__name__}: {error}")
        finally:
            await bot.stop()
            await alice.close()
            await helper.close()


if __name__ == "__main__":
    suite("mautrix", sys.argv[1],
          lambda scenes, url, directory: asyncio.run(play(url, directory, scenes)))
