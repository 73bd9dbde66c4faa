"""matrix-js-sdk with its Rust cryptography (WebAssembly) in Node against a Pli server: js/suite.mjs."""

import os
import pathlib
import subprocess
import sys

from common import Pli, Scenes, Wire, node


def main(directory):
    directory = pathlib.Path(directory)
    scenes, server = Scenes("js"), Pli(directory, wired=True)
    wire = Wire(server, directory)
    try:
        code = subprocess.run(
            [*node("suite.mjs"), wire.url, *os.environ.get("PLI_JS_ONLY", "").split()], timeout=3600,
        ).returncode
        if code:
            scenes.fail("the scenes of js/suite.mjs", f"ended with {code}")
        else:
            scenes.ok("the scenes of js/suite.mjs")
    finally:
        wire.stop()
        server.stop()
    scenes.end(wire)


if __name__ == "__main__":
    main(sys.argv[1])
