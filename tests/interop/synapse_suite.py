"""`pli` against Synapse: a client that works with any homeserver."""

import pathlib
import sys

from common import Person, Synapse, bodies, meanwhile, member


def main(directory):
    server = Synapse(directory)
    try:
        alice, bob = (Person(directory, name, server.url) for name in ("alice", "bob"))
        alice_id, bob_id = alice.register()["user_id"], bob.register()["user_id"]
        room = member(alice("room", "create", "essai", "--invite", bob_id), "room_id")
        bob("room", "join", room)
        sent = member(alice("send", room, "bonjour"), "event_id")
        document = pathlib.Path(directory) / "rapport.txt"
        document.write_text("contenu")
        alice("send", room, "--file", document)
        downloads = pathlib.Path(directory) / "downloads"
        history = bob("history", room, "--download", downloads)
        assert "bonjour" in bodies(history), history
        assert [f.read_text() for f in downloads.iterdir()] == ["contenu"]
        bob("send", room, "salut", "--reply-to", sent)
        assert any(body.endswith("salut") for body in bodies(alice("history", room)))
        waiting = meanwhile(bob, "verify", "--yes", "--timeout", "150")
        one = alice("verify", bob_id, "--yes", "--timeout", "150")
        other = waiting.result()
        assert member(one, "emojis") == member(other, "emojis")
        second = Person(directory, "alice-laptop", server.url)
        second("login", alice_id, "--password-file", second.home / "password", "--no-recovery")
        second("recover", "--recovery-key-file", alice.home / "recovery-key")
        assert "bonjour" in bodies(second("history", room))
        call = alice("call", "start", room, "--domain", "webconf.example")
        assert any(member(call, "url") in body for body in bodies(bob("history", room)))
        print("register, room, both ways, file, reply, verification, recovery, call")
    finally:
        server.stop()


if __name__ == "__main__":
    main(sys.argv[1])
