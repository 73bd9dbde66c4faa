"""State resolution of random rooms: Pli's resolver (federation/examples/resolve.rs) and Synapse's.

PLI_STATERES_GRAPHS  rooms for each algorithm (10000)
PLI_STATERES_SEED    number of the first room (1); a room depends on its number only
PLI_STATERES_ONLY    names of algorithms: v1 v2 v2.1
PLI_RESOLVE_BIN      the example's binary
"""

import json
import os
import pathlib
import random
import subprocess
import sys
import time

from common import Scenes
from stateres.rooms import Room

# Room versions by the algorithm they resolve state with.
ALGORITHMS = {"v1": [1], "v2": list(range(2, 12)), "v2.1": [12]}
SIZES = [60, 100, 200, 300, 500]


def room_of(algorithm, seed):
    numbers = ALGORITHMS[algorithm]
    chance = random.Random(f"{algorithm} {seed}")
    return Room(chance, numbers[seed % len(numbers)], chance.choice(SIZES))


class Resolver:
    """Pli's resolver as a process: a line in, a line out."""

    def __init__(self):
        self.process = subprocess.Popen(
            [os.environ["PLI_RESOLVE_BIN"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, room):
        question = {"version": str(room.number), "forks": room.forks,
                    "events": [room.json[event_id] for event_id in room.needed()]}
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline()), question


def told(room, ours, theirs):
    """What differs between two resolved states."""
    def shown(event_id):
        event = room.json[event_id]
        return f"{event['type']}|{event.get('state_key')} {event_id} {json.dumps(event['content'])[:120]}"
    return {"pli": [shown(e) for e in sorted(set(ours) - set(theirs))],
            "synapse": [shown(e) for e in sorted(set(theirs) - set(ours))]}


def play(algorithm, directory, first, count):
    resolver, different = Resolver(), []
    forks = events = conflicts = largest = 0
    began = time.monotonic()
    for seed in range(first, first + count):
        room = room_of(algorithm, seed)
        answer, question = resolver(room)
        states = answer.get("states", [None] * len(room.forks))
        forks += len(room.forks)
        events += len(room.json)
        largest = max(largest, len(room.json))
        for index, (ours, theirs) in enumerate(zip(states, room.answers)):
            conflicts += any(state != theirs for state in room.forks[index])
            if ours != theirs:
                why = answer.get("error") or told(room, ours, theirs)
                different.append(seed)
                print(f"note stateres: {algorithm} room {seed} fork {index}: {why}", flush=True)
                (directory / f"{algorithm}-{seed}.json").write_text(
                    json.dumps({"question": question, "synapse": room.answers, "pli": states}))
                break
    took = time.monotonic() - began
    print(f"note stateres: {algorithm}: {count} rooms, {events} events (at most {largest} in a room), {forks} forks, "
          f"{conflicts} of them no input state, {len(different)} rooms differ, {took:.0f} s", flush=True)
    return different


def main(directory):
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    scenes = Scenes("stateres")
    first = int(os.environ.get("PLI_STATERES_SEED", "1"))
    count = int(os.environ.get("PLI_STATERES_GRAPHS", "10000"))
    for algorithm in os.environ.get("PLI_STATERES_ONLY", "").split() or ALGORITHMS:
        different = play(algorithm, directory, first, count)
        if different:
            scenes.fail(algorithm, f"{len(different)} of {count} rooms differ: {different[:20]}")
        else:
            scenes.ok(f"{algorithm}: {count} rooms")
    scenes.end()


if __name__ == "__main__":
    main(sys.argv[1])
