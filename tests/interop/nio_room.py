"""matrix-nio in an encrypted room of Pli, both ways.

nio_room.py BASE_URL USER PASSWORD ROOM STORE_DIR EXPECT SAY

Logs in, joins ROOM, waits for a decrypted message that equals EXPECT, then sends SAY (encrypted) and
prints one JSON line with what it saw. Exits 1 if the message does not come within 120 seconds.
"""

import asyncio
import json
import sys

from nio import (
    AsyncClient,
    AsyncClientConfig,
    LoginResponse,
    MegolmEvent,
    RoomMessageText,
    RoomSendResponse,
    SyncError,
)


async def main(base_url, user, password, room, store, expect, say):
    config = AsyncClientConfig(encryption_enabled=True, store_sync_tokens=True)
    client = AsyncClient(base_url, user, store_path=store, config=config)
    login = await client.login(password, device_name="nio")
    assert isinstance(login, LoginResponse), login
    heard = asyncio.Event()
    seen = []

    def on_message(where, event):
        if where.room_id == room:
            seen.append({"body": event.body, "encrypted": event.decrypted, "sender": event.sender})
            if event.body == expect and event.decrypted:
                heard.set()

    def on_undecrypted(where, event):
        seen.append({"undecrypted": event.event_id, "sender": event.sender})

    def on_error(response):
        seen.append({"sync error": str(response)})

    client.add_event_callback(on_message, RoomMessageText)
    client.add_event_callback(on_undecrypted, MegolmEvent)
    client.add_response_callback(on_error, SyncError)
    await client.sync(timeout=0, full_state=True)
    await client.join(room)
    await client.sync(timeout=1000, full_state=True)
    if client.should_upload_keys:
        await client.keys_upload()
    print(json.dumps({"ready": True, "user_id": client.user_id}), flush=True)
    forever = asyncio.create_task(client.sync_forever(timeout=5000, full_state=False))
    try:
        await asyncio.wait_for(heard.wait(), 120)
    except asyncio.TimeoutError:
        print(json.dumps({"error": "not heard", "seen": seen}), flush=True)
        forever.cancel()
        await client.close()
        return 1
    sent = await client.room_send(
        room,
        "m.room.message",
        {"msgtype": "m.text", "body": say},
        ignore_unverified_devices=True,
    )
    ok = isinstance(sent, RoomSendResponse)
    print(json.dumps({"seen": seen, "sent": ok and sent.event_id, "error": None if ok else str(sent)}), flush=True)
    forever.cancel()
    await client.close()
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
