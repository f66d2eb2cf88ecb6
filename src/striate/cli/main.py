"""`striate`: the list of commands, and how errors end."""

from __future__ import annotations

import os
import sys

from cyclopts import App

from striate.errors import StriateError
from striate.version import __version__

HELP = "A convolutional-network workbench: a network is a short text."

EXAMPLES = """Examples:

  striate plan "[conv 32 3x3 -> bn -> relu -> maxpool 2] x3 -> fc classes" --input 1x28x28
  striate train photos/                  a folder of class folders
  striate train photos/ --budget 10m     the best that ten minutes give
  striate predict runs/latest cat.jpg"""

app = App(
    name="striate",
    help=HELP,
    help_epilogue=EXAMPLES,
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)

# Each command is imported when it is called, so that none waits for what another needs.
_COMMANDS = {
    "plan": "What a network costs before it runs: shapes, weights, multiply-adds, receptive fields, memory.",
    "train": "Train a network on pictures.",
    "resume": "Go on with a training that was stopped.",
    "predict": "What a trained network says of pictures.",
    "runs": "List the trainings, newest first.",
    "zoo": "List the networks that come with striate.",
}
for _name, _help in _COMMANDS.items():
    app.command(f"striate.cli.{_name}:{_name}", name=_name, help=_help)


def main() -> None:
    """Run a command and leave with its exit code: 0, 1 for an error, 2 for a wrong call, 130 for Ctrl-C."""
    try:
        app()
    except StriateError as error:
        print(f"striate: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("striate: stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has left, as `head` does; leave quietly, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except MemoryError:
        print(
            "striate: the machine has too little memory\n  try: a smaller --set batch=N or --size N",
            file=sys.stderr,
        )
        sys.exit(1)
