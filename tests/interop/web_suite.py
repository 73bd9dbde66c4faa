"""Cinny in Debian's Chromium, driven by Playwright, against a Pli server: js/web.mjs.

PLI_CINNY names a directory with a built Cinny (4.2.2 was used); pictures are in its `screenshots`.
"""

import os
import sys

from common import node, program, suite


def play(scenes, url, directory):
    pictures = directory / "screenshots"
    command = [*node("web.mjs"), url, os.environ["PLI_CINNY"], str(pictures)]
    program(scenes, "js/web.mjs", command, timeout=1200, hint=f", pictures in {pictures}")


if __name__ == "__main__":
    suite("web", sys.argv[1], play)
