"""Cinny in Debian's Chromium, driven by Playwright, against a Pli server: js/web.mjs.

PLI_CINNY names a directory with a built Cinny (4.2.2 was used); pictures are in its `screenshots`.
"""

import os
import pathlib
import subprocess
import sys

from common import Pli, Scenes, Wire, node


def main(directory):
    directory = pathlib.Path(directory)
    scenes, server = Scenes("web"), Pli(directory, wired=True)
    wire = Wire(server, directory)
    try:
        pictures = directory / "screenshots"
        code = subprocess.run(
            [*node("web.mjs"), wire.url, os.environ["PLI_CINNY"], str(pictures)], timeout=1200,
        ).returncode
        if code:
            scenes.fail("the scenes of js/web.mjs", f"ended with {code}, pictures in {pictures}")
        else:
            scenes.ok("the scenes of js/web.mjs")
    finally:
        wire.stop()
        server.stop()
    scenes.end(wire)


if __name__ == "__main__":
    main(sys.argv[1])
