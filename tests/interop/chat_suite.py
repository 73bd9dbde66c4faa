"""`pli chat`, the full-screen chat, in tmux and in French, and `pli` at the other end."""

import os
import pathlib
import shlex
import subprocess
import sys
import time

from common import Person, bodies, member, suite


class Window:
    """A terminal of its own (a tmux server on a socket in the directory) with `pli chat` in it."""

    def __init__(self, person, room, lang):
        self.socket = str(person.home / "tmux")
        command = ["env", f"PLI_HOME={person.home}", f"PLI_HOMESERVER={person.url}", "LC_ALL=C.UTF-8",
                   os.environ["PLI_BIN"], "--profile", person.name, "--lang", lang, "chat", room]
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", shlex.join(command))

    def tmux(self, *args):
        done = subprocess.run(["tmux", "-u", "-S", self.socket, *args], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def shows(self, *texts, seconds=30):
        """Waits until all of it is on the screen; the screen."""
        for _ in range(seconds * 10):
            screen = self.screen()
            if all(text in screen for text in texts):
                return screen
            time.sleep(0.1)
        raise AssertionError(f"{texts} not on the screen:\n{screen}")

    def types(self, text):
        self.tmux("send-keys", "-l", text)
        self.tmux("send-keys", "Enter")

    def is_open(self):
        return subprocess.run(["tmux", "-S", self.socket, "has-session"], capture_output=True).returncode == 0

    def close(self):
        if self.is_open():
            self.tmux("kill-server")


def play(scenes, directory, url):
    alice, bob = (Person(directory, name, url) for name in ("alice", "bob"))
    alice.register()
    bob_id = bob.register()["user_id"]
    room = member(alice("room", "create", "Salle de réunion", "--invite", bob_id), "room_id")
    bob("room", "join", room)
    alice("send", room, "bonjour Bob")
    window = Window(bob, room, "fr")
    try:
        window.shows("Salle de réunion", "chiffré", "alice a invité bob", "bonjour Bob")
        scenes.ok("the history is there, in French")
        window.types("réponse de la fenêtre")
        window.shows("bob: réponse de la fenêtre")
        assert "réponse de la fenêtre" in bodies(alice("history", room))
        scenes.ok("what is written arrives decrypted")
        alice("send", room, "vu, merci")
        window.shows("alice: vu, merci")
        scenes.ok("what arrives is shown at once")
        window.types("/members")
        window.shows("Membres", "│alice", "│bob")
        scenes.ok("the members are listed")
        (pathlib.Path(directory) / "screen.txt").write_text(window.screen())
        window.types("/quit")
        for _ in range(100):
            if not window.is_open():
                break
            time.sleep(0.1)
        assert not window.is_open(), window.screen()
        scenes.ok("it ends when asked to")
    except Exception as error:  # noqa: BLE001 – told and counted
        scenes.fail("the chat", error)
    finally:
        window.close()


if __name__ == "__main__":
    suite("chat", sys.argv[1], lambda scenes, url, directory: play(scenes, directory, url))
