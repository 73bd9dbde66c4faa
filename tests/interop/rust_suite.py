"""matrix-sdk on simplified sliding sync against a Pli server: the program of rust-sdk/ (see run)."""

import os
import sys

from common import program, suite


def play(scenes, url, _):
    program(scenes, "rust-sdk", [os.environ["PLI_INTEROP_RUST"], url], timeout=1800)


if __name__ == "__main__":
    suite("rust", sys.argv[1], play)
