"""matrix-nio: with `pli` in one encrypted room of a Pli server, and with itself in every module it has."""

import asyncio
import json
import os
import subprocess
import sys

import nio_scenes
from common import HERE, PASSWORD, Person, bodies, member, suite


def with_pli(directory, url):
    """`pli` and nio in one encrypted room, both ways."""
    alice, carol = (Person(directory, name, url) for name in ("alice", "carol"))
    alice.register()
    carol_id = carol.register()["user_id"]
    room = member(alice("room", "create", "nio", "--invite", carol_id), "room_id")
    store = os.path.join(directory, "nio-store")
    os.makedirs(store, exist_ok=True)
    nio = subprocess.Popen(
        [sys.executable, str(HERE / "nio_room.py"),
         url, carol_id, PASSWORD, room, store, "bonjour de pli", "bonjour de nio"],
        stdout=subprocess.PIPE, text=True,
    )
    ready = json.loads(nio.stdout.readline())
    assert ready.get("ready"), ready
    alice("send", room, "bonjour de pli")
    answer = json.loads(nio.stdout.readline())
    assert nio.wait(60) == 0, answer
    heard = [seen for seen in answer["seen"] if seen["body"] == "bonjour de pli"]
    assert heard and heard[0]["encrypted"], answer
    assert "bonjour de nio" in bodies(alice("history", room))


def play(scenes, url, directory):
    asyncio.run(nio_scenes.play(url, directory, scenes))
    try:
        with_pli(directory, url)
        scenes.ok("with pli, both ways")
    except Exception as error:  # noqa: BLE001 – told and counted
        scenes.fail("with pli, both ways", error)


if __name__ == "__main__":
    suite("nio", sys.argv[1], play)
