"""matrix-js-sdk with its Rust cryptography (WebAssembly) in Node against a Pli server: js/suite.mjs."""

import os
import sys

from common import node, program, suite


def play(scenes, url, _):
    only = os.environ.get("PLI_JS_ONLY", "").split()
    program(scenes, "js/suite.mjs", [*node("suite.mjs"), url, *only], timeout=3600)


if __name__ == "__main__":
    suite("js", sys.argv[1], play)
