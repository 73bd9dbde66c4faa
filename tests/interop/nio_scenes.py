"""The scenes of nio_suite.py in which matrix-nio talks with matrix-nio. Each asserts what arrived."""

import io
import os
import traceback

import nio
from nio.crypto.attachments import decrypt_attachment
from nio.events.account_data import PushNotify

from common import PASSWORD, png
from nio_people import Nio, good, joined

PNG = png(16, 16)


def says(body):
    return lambda event: event.body == body


async def encryption_both_ways(alice, bob, _):
    room = await alice.room(bob, encrypted=True)
    await alice.say(room, "bonjour")
    heard = await bob.hear(nio.RoomMessageText, room, says("bonjour"))
    assert heard.decrypted and heard.sender == alice.id
    await bob.say(room, "salut")
    heard = await alice.hear(nio.RoomMessageText, room, says("salut"))
    assert heard.decrypted and heard.sender == bob.id
    raw = good(await alice.client.room_get_event(room, heard.event_id)).event
    assert raw.decrypted and raw.body == "salut", raw


async def encrypted_attachment(alice, bob, _):
    room = await alice.room(bob, encrypted=True)
    content = os.urandom(300_000)
    uploaded, key = await alice.client.upload(
        io.BytesIO(content), "application/pdf", "rapport.pdf", encrypt=True, filesize=len(content))
    good(uploaded)
    file = {"url": uploaded.content_uri, **key}
    await alice.say(room, {"msgtype": "m.file", "body": "rapport.pdf", "file": file})
    heard = await bob.hear(nio.RoomEncryptedFile, room)
    there = good(await bob.client.download(heard.url))
    assert there.body != content
    plain = decrypt_attachment(there.body, heard.key["k"], heard.hashes["sha256"], heard.iv)
    assert plain == content


async def media_and_thumbnail(alice, bob, _):
    room = await alice.room(bob)
    uploaded, _key = await alice.client.upload(io.BytesIO(PNG), "image/png", "carré.png", filesize=len(PNG))
    good(uploaded)
    await alice.say(room, {"msgtype": "m.image", "body": "carré.png", "url": uploaded.content_uri})
    heard = await bob.hear(nio.RoomMessageImage, room)
    there = good(await bob.client.download(heard.url))
    assert there.body == PNG and there.content_type == "image/png", there
    assert there.filename == "carré.png", there.filename
    server, media = heard.url.removeprefix("mxc://").split("/")
    small = good(await bob.client.thumbnail(server, media, 8, 8, nio.ResizingMethod.crop))
    assert small.body[:4] == b"\x89PNG" or small.body[:3] == b"\xff\xd8\xff", small
    assert good(await bob.client.content_repository_config()).upload_size > 1_000_000


async def reaction(alice, bob, _):
    room = await alice.room(bob, encrypted=True)
    sent = await alice.say(room, "d'accord ?")
    await bob.hear(nio.RoomMessageText, room, says("d'accord ?"))
    relation = {"m.relates_to": {"rel_type": "m.annotation", "event_id": sent, "key": "👍"}}
    given = await bob.say(room, relation, "m.reaction")
    heard = await alice.hear(nio.ReactionEvent, room)
    assert (heard.reacts_to, heard.key, heard.event_id) == (sent, "👍", given)
    listed = [e async for e in alice.client.room_get_event_relations(
        room, sent, nio.api.RelationshipType.annotation, "m.reaction")]
    assert [e.event_id for e in listed] == [given], listed
    again = await bob.client.room_send(room, "m.reaction", relation)
    assert isinstance(again, nio.RoomSendError) and again.status_code == "M_DUPLICATE_ANNOTATION", again


def edit_of(sent, body):
    new = {"msgtype": "m.text", "body": body}
    return {**new, "body": "* " + body, "m.new_content": new,
            "m.relates_to": {"rel_type": "m.replace", "event_id": sent}}


async def edit(alice, bob, _):
    secret = await alice.room(bob, encrypted=True)
    sent = await alice.say(secret, "lundi")
    await alice.say(secret, edit_of(sent, "mardi"))
    heard = await bob.hear(nio.RoomMessageText, secret, says("* mardi"))
    assert heard.decrypted and heard.source["content"]["m.new_content"]["body"] == "mardi"
    plain = await alice.room(bob)
    sent = await alice.say(plain, "lundi")
    edited = await alice.say(plain, edit_of(sent, "mardi"))
    event = good(await bob.client.room_get_event(plain, sent)).event
    assert event.source["unsigned"]["m.relations"]["m.replace"]["event_id"] == edited, event.source


async def redaction(alice, bob, _):
    room = await alice.room(bob, encrypted=True)
    sent = await alice.say(room, "à oublier")
    await bob.hear(nio.RoomMessageText, room, says("à oublier"))
    good(await alice.client.room_redact(room, sent, reason="erreur"))
    heard = await bob.hear(nio.RedactionEvent, room)
    assert (heard.redacts, heard.reason) == (sent, "erreur")
    event = good(await bob.client.room_get_event(room, sent)).event
    assert isinstance(event, nio.RedactedEvent) and event.reason == "erreur", event


async def thread(alice, bob, _):
    room = await alice.room(bob)
    root = await alice.say(room, "ordre du jour")
    relates = {"rel_type": "m.thread", "event_id": root, "is_falling_back": True,
               "m.in_reply_to": {"event_id": root}}
    answers = [await bob.say(room, {"msgtype": "m.text", "body": body, "m.relates_to": relates})
               for body in ("premier point", "second point")]
    await alice.hear(nio.RoomMessageText, room, says("second point"))
    roots = [e async for e in alice.client.room_get_threads(room)]
    assert [e.event_id for e in roots] == [root], roots
    bundle = roots[0].source["unsigned"]["m.relations"]["m.thread"]
    assert bundle["count"] == 2 and bundle["latest_event"]["event_id"] == answers[1], bundle
    assert bundle["current_user_participated"] is True, bundle
    listed = [e.event_id async for e in alice.client.room_get_event_relations(
        room, root, nio.api.RelationshipType.thread)]
    assert listed == answers[::-1], listed
    good(await alice.client.update_receipt_marker(room, answers[1], thread_id=root))
    mine = lambda: next((r for where, e in bob.ephemeral if where == room  # noqa: E731
                         and isinstance(e, nio.ReceiptEvent) for r in e.receipts
                         if r.event_id == answers[1] and r.user_id == alice.id), None)
    assert (await bob.until(mine)).thread_id == root


async def receipts(alice, bob, _):
    room = await alice.room(bob, encrypted=True)
    sent = await alice.say(room, "lu ?")
    await bob.hear(nio.RoomMessageText, room, says("lu ?"))
    assert bob.client.rooms[room].unread_notifications == 1, bob.client.rooms[room].unread_notifications
    good(await bob.client.room_read_markers(room, sent, sent))
    theirs = lambda: next((r for where, e in alice.ephemeral if where == room  # noqa: E731
                           and isinstance(e, nio.ReceiptEvent) for r in e.receipts
                           if r.event_id == sent and r.user_id == bob.id), None)
    await alice.until(theirs)
    await bob.until(lambda: bob.client.rooms[room].unread_notifications == 0
                    and bob.client.rooms[room].fully_read_marker == sent)


async def typing(alice, bob, _):
    room = await alice.room(bob)
    good(await bob.client.room_typing(room, True, 20_000))
    await alice.until(lambda: alice.client.rooms[room].typing_users == [bob.id])
    good(await bob.client.room_typing(room, False))
    await alice.until(lambda: alice.client.rooms[room].typing_users == [])


async def profile(alice, bob, _):
    room = await alice.room(bob)
    good(await alice.client.set_displayname("Alice Martin"))
    good(await alice.client.set_avatar("mxc://example.org/portrait"))
    shown = good(await bob.client.get_profile(alice.id))
    assert (shown.displayname, shown.avatar_url) == ("Alice Martin", "mxc://example.org/portrait")
    assert good(await bob.client.get_displayname(alice.id)).displayname == "Alice Martin"
    assert good(await bob.client.get_avatar(alice.id)).avatar_url == "mxc://example.org/portrait"
    await bob.until(lambda: bob.client.rooms[room].user_name(alice.id) == "Alice Martin")


async def presence(alice, bob, _):
    await alice.room(bob)
    good(await alice.client.set_presence("unavailable", "en réunion"))
    told = good(await bob.client.get_presence(alice.id))
    assert (told.presence, told.status_msg) == ("unavailable", "en réunion"), told
    await bob.until(lambda: any(p.user_id == alice.id and p.status_msg == "en réunion" for p in bob.presence))


async def room_upgrade(alice, bob, _):
    old = await alice.room(bob, room_version="10", name="Avant")
    await alice.say(old, "dernier mot")
    new = good(await alice.client.room_upgrade(old, "11")).room_id
    gone = await bob.hear(nio.RoomUpgradeEvent, old)
    assert gone.replacement_room == new
    state = {e["type"]: e["content"] for e in good(await alice.client.room_get_state(new)).events}
    assert state["m.room.create"]["predecessor"]["room_id"] == old, state
    assert state["m.room.name"]["name"] == "Avant"


async def export_and_import(alice, bob, directory):
    room = await alice.room(bob, encrypted=True)
    await alice.say(room, "avant le nouvel appareil")
    await bob.hear(nio.RoomMessageText, room, says("avant le nouvel appareil"))
    keys = directory / "keys.txt"
    keys.unlink(missing_ok=True)
    keys = str(keys)
    await bob.client.export_keys(keys, "phrase secrète", count=1_000)
    second = await bob.another_device("second")
    await second.client.import_keys(keys, "phrase secrète")
    page = good(await second.client.room_messages(room, limit=20))
    read = [e.body for e in page.chunk if isinstance(e, nio.RoomMessageText) and e.decrypted]
    assert "avant le nouvel appareil" in read, page.chunk
    good(await second.client.logout())
    await second.close()


async def sas_verification(alice, bob, _):
    room = await alice.room(bob, encrypted=True)
    await alice.say(room, "vérifions")
    await bob.hear(nio.RoomMessageText, room, says("vérifions"))
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
    one, other = (p.client.key_verifications[transaction] for p in (alice, bob))
    assert one.get_emoji() == other.get_emoji() and len(one.get_emoji()) == 7
    good(await alice.client.confirm_short_auth_string(transaction))
    good(await bob.client.confirm_short_auth_string(transaction))
    await alice.until(said(alice, nio.KeyVerificationMac))
    await bob.until(said(bob, nio.KeyVerificationMac))
    assert one.verified and other.verified
    assert alice.client.device_store[bob.id][bob.client.device_id].verified
    assert bob.client.device_store[alice.id][alice.client.device_id].verified


async def spaces(alice, bob, _):
    space = good(await alice.client.room_create(space=True, name="Service")).room_id
    child = good(await alice.client.room_create(
        name="Salle", visibility=nio.RoomVisibility.public, preset=nio.RoomPreset.public_chat)).room_id
    good(await alice.client.room_put_state(space, "m.space.child", {"via": ["localhost"]}, child))
    tree = good(await alice.client.space_get_hierarchy(space)).rooms
    assert [r["room_id"] for r in tree] == [space, child], tree
    assert tree[0]["children_state"][0]["state_key"] == child
    found = good(await bob.client.list_public_rooms())
    assert child in [room.room_id for room in found.public_rooms], found


async def knocking(alice, bob, _):
    room = await alice.room(room_version="11")
    good(await alice.client.room_enable_knocking(room))
    good(await bob.client.room_knock(room, reason="puis-je ?"))
    knocks = lambda e: e.membership == "knock" and e.state_key == bob.id  # noqa: E731
    knock = await alice.hear(nio.RoomMemberEvent, room, knocks)
    assert knock.content["reason"] == "puis-je ?"
    good(await alice.client.room_invite(room, bob.id))
    good(await bob.client.join(room))
    await bob.until(lambda: bob.id in joined(bob, room))


async def membership(alice, bob, _):
    room = await alice.room(bob)
    good(await alice.client.room_kick(room, bob.id, "dehors"))
    assert room not in good(await bob.client.joined_rooms()).rooms
    # A sync with a room that was left is understood.
    await bob.turn()
    good(await alice.client.room_ban(room, bob.id))
    refused = await bob.client.join(room)
    assert isinstance(refused, nio.JoinError) and refused.status_code == "M_FORBIDDEN", refused
    good(await alice.client.room_unban(room, bob.id))
    good(await alice.client.room_invite(room, bob.id))
    good(await bob.client.join(room))
    good(await bob.client.room_leave(room))
    good(await bob.client.room_forget(room))
    assert good(await alice.client.joined_members(room)).members[0].user_id == alice.id


async def history(alice, bob, _):
    room = await alice.room(bob)
    sent = [await alice.say(room, f"message {n}") for n in range(30)]
    bodies, start = [], None
    while True:
        page = good(await bob.client.room_messages(room, start=start, limit=7))
        bodies += [e.event_id for e in page.chunk if isinstance(e, nio.RoomMessageText)]
        if not page.end:
            break
        start = page.end
    assert bodies == sent[::-1]
    around = good(await bob.client.room_context(room, sent[15], limit=4))
    assert around.event.event_id == sent[15]
    near = [e.event_id for e in around.events_before[::-1] + around.events_after]
    assert near == [sent[13], sent[14], sent[16], sent[17]], near


async def aliases(alice, bob, _):
    room = await alice.room(preset=nio.RoomPreset.public_chat)
    alias = f"#salle-nio:{alice.id.split(':', 1)[1]}"
    good(await alice.client.room_put_alias(alias, room))
    assert good(await bob.client.room_resolve_alias(alias)).room_id == room
    assert good(await bob.client.join(alias)).room_id == room
    assert good(await bob.client.room_get_visibility(room)).visibility == "private"
    good(await alice.client.room_delete_alias(alias))
    assert isinstance(await bob.client.room_resolve_alias(alias), nio.RoomResolveAliasError)


async def devices(alice, _bob, _directory):
    second = await alice.another_device("à retirer")
    device = second.client.device_id
    good(await alice.client.update_device(device, {"display_name": "renommé"}))
    listed = {d.id: d.display_name for d in good(await alice.client.devices()).devices}
    assert listed[device] == "renommé", listed
    asked = await alice.client.delete_devices([device])
    assert isinstance(asked, nio.DeleteDevicesAuthResponse), asked
    auth = {"type": "m.login.password", "session": asked.session, "password": PASSWORD,
            "identifier": {"type": "m.id.user", "user": alice.id}}
    good(await alice.client.delete_devices([device], auth))
    assert device not in [d.id for d in good(await alice.client.devices()).devices]
    refused = await second.client.whoami()
    assert isinstance(refused, nio.WhoamiError) and refused.status_code == "M_UNKNOWN_TOKEN", refused
    await second.close()


async def odds_and_ends(alice, _bob, _directory):
    token = good(await alice.client.get_openid_token(alice.id))
    assert token.token_type == "Bearer" and token.expires_in > 0
    good(await alice.client.upload_filter(room={"timeline": {"limit": 3}}))
    good(await alice.client.set_pushrule(
        "global", nio.PushRuleKind.content, "projet", actions=[PushNotify()], pattern="projet"))
    good(await alice.client.enable_pushrule("global", nio.PushRuleKind.content, "projet", False))
    good(await alice.client.delete_pushrule("global", nio.PushRuleKind.content, "projet"))
    assert good(await alice.client.whoami()).device_id == alice.client.device_id
    good(await alice.client.login_info())
    good(await alice.client.discovery_info())


SCENES = [
    encryption_both_ways, encrypted_attachment, media_and_thumbnail, reaction, edit, redaction, thread,
    receipts, typing, profile, presence, room_upgrade, export_and_import, sas_verification, spaces,
    knocking, membership, history, aliases, devices, odds_and_ends,
]


async def play(url, directory, scenes):
    """Every scene with two people of its own; what fails does not stop the others."""
    only = os.environ.get("PLI_NIO_ONLY", "").split()
    for number, scene in enumerate(SCENES):
        if only and scene.__name__ not in only:
            continue
        alice = await Nio.register(url, f"nio-alice-{number}", directory)
        bob = await Nio.register(url, f"nio-bob-{number}", directory)
        name = scene.__name__.replace("_", " ")
        try:
            await scene(alice, bob, directory)
            scenes.ok(name)
        except Exception as error:  # noqa: BLE001 – told, counted, and the next scene
            if only:
                traceback.print_exc()
            scenes.fail(name, f"{type(error).__name__}: {error}")
        finally:
            await alice.close()
            await bob.close()
