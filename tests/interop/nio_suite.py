"""matrix-nio and `pli` in one encrypted room of a Pli server, both ways."""

import json
import os
import subprocess
import sys

from common import HERE, PASSWORD, Person, Pli, bodies, member


def main(directory):
    server = Pli(directory)
    try:
        alice = Person(directory, "alice", server.url)
        carol = Person(directory, "carol", server.url)
        alice.register()
        carol_id = carol.register()["user_id"]
        room = member(alice("room", "create", "nio", "--invite", carol_id), "room_id")
        store = os.path.join(directory, "nio-store")
        os.makedirs(store, exist_ok=True)
        nio = subprocess.Popen(
            [os.path.join(os.environ["PLI_INTEROP_VENV"], "bin/python"), str(HERE / "nio_room.py"),
             server.url, carol_id, PASSWORD, room, store, "bonjour de pli", "bonjour de nio"],
            stdout=subprocess.PIPE, text=True,
        )
        ready = json.loads(nio.stdout.readline())
        assert ready.get("ready"), ready
        alice("send", room, "bonjour de pli")
        answer = json.loads(nio.stdout.readline())
        assert nio.wait(60) == 0, answer
        heard = [seen for seen in answer["seen"] if seen["body"] == "bonjour de pli"]
        assert heard and heard[0]["encrypted"], answer
        history = alice("history", room)
        assert "bonjour de nio" in bodies(history), history
        print(f"nio heard {heard[0]}, pli heard 'bonjour de nio' ({answer['sent']})")
    finally:
        server.stop()


if __name__ == "__main__":
    main(sys.argv[1])
