"""hsbench on Pli and on Synapse in one run, as a table of Markdown.

HSBENCH is the hsbench binary. PLI_BENCH_SCENARIOS (comma separated) limits the scenarios.
"""

import json
import os
import pathlib
import subprocess
import sys

from common import Pli, Synapse

SCENARIOS = ["send", "fanout", "initial-sync", "register-login", "mixed"]


def measure(name, url, pid, data, scenario, out):
    command = [os.environ["HSBENCH"], "--server", url, "--pid", str(pid), "--data-dir", str(data),
               "--out", str(out), scenario]
    done = subprocess.run(command, capture_output=True, text=True)
    print(f"--- {name} {scenario}: exit {done.returncode}\n{done.stdout}", flush=True)
    if done.returncode:
        print(done.stderr[-3000:], flush=True)
    return done.returncode


def main(directory):
    directory = pathlib.Path(directory)
    scenarios = os.environ.get("PLI_BENCH_SCENARIOS", ",".join(SCENARIOS)).split(",")
    out = directory / "results.jsonl"
    worst = 0
    for scenario in scenarios:
        for kind in ("pli", "synapse"):
            place = directory / f"{kind}-{scenario}"
            server = Pli(place) if kind == "pli" else Synapse(place)
            pid = server.process.pid if kind == "pli" else server.pid
            try:
                code = measure(kind, server.url, pid, place, scenario, out)
                worst = max(worst, code if kind == "pli" else 0)
            finally:
                server.stop()
    for line in out.read_text().splitlines():
        print(json.dumps(json.loads(line))[:400])
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
