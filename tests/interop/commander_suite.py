"""matrix-commander, a command-line client on matrix-nio, against a Pli server."""

import asyncio
import os
import pathlib
import subprocess
import sys

from common import PASSWORD, png, suite
from nio_people import Nio, good


class Commander:
    """One account of matrix-commander with its files."""

    def __init__(self, url, directory, name):
        self.url, self.name = url, name
        self.home = pathlib.Path(directory) / name
        self.home.mkdir(parents=True)

    def __call__(self, *args, seconds=60):
        command = [
            os.path.join(os.path.dirname(sys.executable), "matrix-commander"),
            "--credentials", str(self.home / "credentials.json"), "--store", str(self.home / "store"),
            "--no-ssl", *map(str, args),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, cwd=self.home)
        assert done.returncode == 0, f"{args}: {done.returncode} {done.stdout} {done.stderr}"
        assert "rror" not in done.stderr, f"{args}: {done.stderr}"
        return done.stdout

    def login(self, user, room):
        return self("--login", "password", "--homeserver", self.url, "--device", "commander",
                    "--user-login", user, "--password", PASSWORD, "--room-default", room)


def play(scenes, url, directory, people):
    alice, bob, room = people
    one, two = (Commander(url, directory, name) for name in ("one", "two"))

    def scene(name, call):
        try:
            call()
            scenes.ok(name)
        except Exception as error:  # noqa: BLE001 – told, counted, and the next scene
            scenes.fail(name, f"{type(error).__name__}: {error}")

    def sign_in():
        one.login(alice, room)
        two.login(bob, room)
        for each in (one, two):
            each("--whoami")

    def encrypted_message():
        two("--listen", "once")
        one("--message", "bonjour de matrix-commander", "--encrypted")
        assert "bonjour de matrix-commander" in two("--tail", "5")

    def file_and_image():
        note, image = one.home / "note.txt", one.home / "image.png"
        note.write_text("contenu")
        image.write_bytes(png(20, 20))
        one("--file", note)
        one("--image", image)
        folder = two.home / "downloads"
        folder.mkdir()
        two("--tail", "5", "--download-media", folder)
        got = [file.read_bytes() for file in folder.iterdir()]
        assert b"contenu" in got and png(20, 20) in got, [file.name for file in folder.iterdir()]

    def facts():
        devices = one("--devices", "--output", "json")
        assert "commander" in devices, devices
        assert room in one("--joined-rooms")
        one("--set-display-name", "Alice Martin")
        assert "Alice Martin" in one("--get-profile")
        one("--content-repository-config")
        one("--login-info")
        one("--discovery-info")
        assert bob in one("--joined-members", room)
        one("--get-room-info", room)

    def rooms():
        alias = "salle-commander"
        made = one("--room-create", alias, "--name", "Essai", "--topic", "sujet", "--plain", "--output", "json")
        made = next(word for word in made.replace('"', " ").replace(",", " ").split() if word.startswith("!"))
        one("--room-invite", made, "--user", bob)
        two("--room-join", made)
        one("--room-kick", made, "--user", bob)
        one("--room-leave", made)
        one("--room-forget", made)

    def sign_out():
        one("--logout", "me")

    for call in (sign_in, encrypted_message, file_and_image, facts, rooms, sign_out):
        scene(call.__name__.replace("_", " "), call)


async def people(url, directory):
    alice = await Nio.register(url, "alice", directory)
    bob = await Nio.register(url, "bob", directory)
    room = await alice.room(bob, encrypted=True, name="Salle")
    names = alice.id, bob.id, room
    for each in (alice, bob):
        good(await each.client.logout())
        await each.close()
    return names


def start(scenes, url, directory):
    play(scenes, url, directory / "accounts", asyncio.run(people(url, directory)))


if __name__ == "__main__":
    # It takes ids whose server name has a port, and room ids without a server name, for no ids.
    suite("commander", sys.argv[1], start, name="pli.example", room_version="11")
