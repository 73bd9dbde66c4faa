"""Servers on addresses of their own that find each other by TLS: Pli, and Synapse on SQLite."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

from common import HERE, wait_for

CLIENT_PORT, FEDERATION_PORT = 8008, 8448


class Server:
    """`name` is the server's name, an address with a port; `url` is what clients talk to."""

    kind = ""

    def __init__(self, directory, address, authority):
        self.directory, self.address = directory, address
        self.name = f"{address}:{FEDERATION_PORT}"
        self.url = f"http://{address}:{CLIENT_PORT}"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self.certificate, self.key = authority.issue(address)
        self.authority = authority.file
        self.process = None
        self.prepare()
        self.start()

    def __str__(self):
        return self.kind

    def start(self):
        # What the suite itself is given for its libraries is not for the servers.
        env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        log = open(self.directory / "log", "ab")
        for port in (CLIENT_PORT, FEDERATION_PORT):
            with socket.socket() as probe:
                assert probe.connect_ex((self.address, port)), f"something listens on {self.address}:{port}"
        self.process = subprocess.Popen(self.command(), cwd=self.directory, stdout=log, stderr=log, env=env)
        wait_for(self.url + "/_matrix/client/versions", self.process)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def kill(self):
        """As a power cut does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def log(self):
        return (self.directory / "log").read_text(errors="replace")


class Pli(Server):
    kind = "pli"

    def prepare(self):
        settings = (HERE / "federation" / "pli.toml").read_text()
        (self.directory / "pli.toml").write_text(settings.format(
            name=self.name, address=self.address, client_port=CLIENT_PORT, federation_port=FEDERATION_PORT,
            certificate=self.certificate, key=self.key, authority=self.authority))

    def command(self):
        return [os.environ["PLI_SERVER_BIN"], "--config", "pli.toml"]


class Synapse(Server):
    kind = "synapse"

    def prepare(self):
        command = [python(), "-m", "synapse.app.homeserver", "--server-name", self.name, "--generate-config",
                   "--config-path", "homeserver.yaml", "--report-stats=no", "--data-directory", str(self.directory)]
        subprocess.run(command, cwd=self.directory, check=True, capture_output=True,
                       env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"})
        settings = (HERE / "federation" / "synapse.yaml").read_text()
        (self.directory / "federation.yaml").write_text(settings.format(
            address=self.address, client_port=CLIENT_PORT, federation_port=FEDERATION_PORT,
            certificate=self.certificate, key=self.key, authority=self.authority))
        for file in self.directory.glob("*.log.config"):
            level = os.environ.get("PLI_FED_SYNAPSE_LOG", "WARNING")
            file.write_text(file.read_text().replace("level: INFO", f"level: {level}"))

    def command(self):
        return [python(), "-m", "synapse.app.homeserver", "-c", "homeserver.yaml", "-c", "federation.yaml"]


def python():
    """The Python that has Synapse."""
    return os.environ.get("PLI_SYNAPSE_PYTHON", sys.executable)


KINDS = {"pli": Pli, "synapse": Synapse}


def start(kinds, directory, authority):
    """Servers of these kinds, on 127.0.0.2 and up."""
    servers = []
    for number, kind in enumerate(kinds, 2):
        began = time.monotonic()
        servers.append(KINDS[kind](directory / f"{kind}-{number}", f"127.0.0.{number}", authority))
        print(f"note federation: {kind} on {servers[-1].name} after {time.monotonic() - began:.1f} s", flush=True)
    return servers
