"""Servers that federate: Pli and Synapse, in every order, over TLS on loopback addresses.

federation_suite.py DIRECTORY [--servers pli,synapse,pli]   (or PLI_FED_SERVERS)

The first server plays with each kind among the others, in both directions; three play together, too.
PLI_FED_ONLY        names of scenes, to play only these
PLI_FED_DIRECTIONS  ab, ba or both (default): who has the room
PLI_FED_TRACE       tracebacks
"""

import argparse
import os
import pathlib
import time
import traceback

from common import Scenes
from federation import certificates, encryption, finding, keys, membership, outage, people, servers, talking

MODULES = [membership, talking, keys, finding, outage, encryption]


class Play:
    """What a scene is given: its people, and the servers."""

    def __init__(self, all_servers):
        self.servers, self.number = all_servers, 0

    def user(self, server, name):
        return people.User(server, name)


def wanted(scene):
    only = os.environ.get("PLI_FED_ONLY", "").split()
    return not only or scene.__name__ in only


def play(scene, name, scenes, *args):
    began = time.monotonic()
    try:
        scene(*args)
    except Exception as error:  # noqa: BLE001 – told and counted
        scenes.fail(name, f"{type(error).__name__}: {error}")
        if os.environ.get("PLI_FED_TRACE"):
            traceback.print_exc()
    else:
        scenes.ok(f"{name} ({time.monotonic() - began:.1f} s)")


def play_pair(a, b, context, scenes):
    directions = os.environ.get("PLI_FED_DIRECTIONS", "both" if a.kind != b.kind else "ab")
    pairs = [(a, b)] * (directions != "ba") + [(b, a)] * (directions != "ab")
    for scene in [scene for module in MODULES for scene in module.SCENES if wanted(scene)]:
        for host, guest in pairs:
            context.number += 1
            play(scene, f"{scene.__name__}, room of {host} with {guest}", scenes, context, host, guest)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--servers", default=os.environ.get("PLI_FED_SERVERS", "pli,synapse,pli"))
    options = parser.parse_args()
    kinds = options.servers.split(",")
    options.directory.mkdir(parents=True, exist_ok=True)
    scenes = Scenes("federation")
    authority = certificates.Authority(options.directory.resolve())
    running = servers.start(kinds, options.directory.resolve(), authority)
    context = Play(running)
    try:
        partners = {server.kind: server for server in reversed(running[1:])}
        for partner in sorted(partners.values(), key=running.index):
            play_pair(running[0], partner, context, scenes)
        for scene in outage.LARGE if len(running) > 2 else []:
            if wanted(scene):
                play(scene, f"{scene.__name__}, {', '.join(kinds)}", scenes, context, *running)
        for server in running:
            scenes.ok(f"{server.kind} on {server.address} still runs") if server.process.poll() is None else \
                scenes.fail("still running", f"{server.kind} on {server.address} ended")
    finally:
        for server in running:
            if server.process.poll() is None:
                server.stop()
    scenes.end()


if __name__ == "__main__":
    main()
