"""matrix-sdk on simplified sliding sync against a Pli server: the program of rust-sdk/ (see run)."""

import os
import pathlib
import subprocess
import sys

from common import Pli, Scenes, Wire


def main(directory):
    directory = pathlib.Path(directory)
    scenes, server = Scenes("rust"), Pli(directory, wired=True)
    wire = Wire(server, directory)
    try:
        code = subprocess.run([os.environ["PLI_INTEROP_RUST"], wire.url], timeout=1800).returncode
        if code:
            scenes.fail("the scenes of rust-sdk", f"ended with {code}")
        else:
            scenes.ok("the scenes of rust-sdk")
    finally:
        wire.stop()
        server.stop()
    scenes.end(wire)


if __name__ == "__main__":
    main(sys.argv[1])
