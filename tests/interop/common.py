"""What the interop suites share: servers on loopback, `pli` as a person runs it."""

import json
import os
import pathlib
import socket
import subprocess
import threading
import time
import urllib.request

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

    def __init__(self, directory, port=None, durability="sync"):
        self.port = port or free_port()
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = self.directory / "pli.toml"
        self.config.write_text((HERE / "pli.toml").read_text().format(port=self.port, durability=durability))
        log = open(self.directory / "log", "ab")
        self.process = subprocess.Popen(
            [os.environ["PLI_SERVER_BIN"], "--config", "pli.toml"],
            cwd=self.directory, stdout=log, stderr=log,
        )
        wait_for(self.url + "/_matrix/client/versions", self.process)

    def stop(self):
        self.process.terminate()
        self.process.wait(15)


class Synapse:
    """A Synapse from PyPI on SQLite."""

    def __init__(self, directory, port=None):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
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
