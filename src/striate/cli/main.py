"""`striate`: the list of commands, and how errors end."""

from __future__ import annotations

import os
import signal
import sys

from cyclopts import App, Parameter

from striate.cli.console import helping
from striate.cli.foreign import translated
from striate.cli.values import with_whole_sizes
from striate.errors import StriateError
from striate.text.visible import visible_lines
from striate.version import __version__

HELP = "A convolutional-network workbench: a network is a short text."

EXAMPLES = """For example:

  striate plan "conv 8 3x3 -> relu -> fc classes" --input 1x28x28
  striate train photos/                  a folder of class folders
  striate train photos/ --budget 10m     the best that ten minutes give
  striate predict runs/latest cat.jpg

A command leaves with

  0    what was asked for was done
  1    an error, which is printed; `check` and `doctor` also where something is to be looked at
  2    a call that cannot be read: an unknown command or flag, a value of another kind
  130  Ctrl-C, or another signal to end; what was trained is saved"""

# Each command is imported when it is called, so that none waits for what another needs.
COMMANDS = {
    "plan": "What a network costs before it runs: shapes, weights, multiply-adds, receptive fields, memory.",
    "draw": "Draw a network: its volumes, its branches, its weights and work as areas.",
    "check": "Look at every image before training: what cannot be used, what is odd, what is there twice.",
    "train": "Train a network on images.",
    "resume": "Go on with a training that was stopped.",
    "test": "How good a network is on labelled images that it has not been trained on.",
    "compare": "Runs against each other on the same images: is the difference more than chance, and where is it?",
    "predict": "What a trained network says of images.",
    "explain": "What a trained network looks at in images, as pictures.",
    "look": "Layers at work: what is dead, saturated, shrinking or growing before any training, or in a run.",
    "filter": "Put an image through a filter, or any flow without trained weights.",
    "doctor": "Why a training learned or did not, in words, with the command to try.",
    "export": "Write a trained network as a bundle that answers without torch, and prove it.",
    "verify": "Prove a bundle again, on the machine where it runs.",
    "bench": "How fast a trained network or a bundle answers here, by each runtime.",
    "serve": "Serve a bundle over HTTP, with a page to drop an image on.",
    "show": "A sheet of training images as the network sees them.",
    "runs": "List the trainings, newest first.",
    "search": "Search hyperparameters from coarse to fine: many short trials, the best go on.",
    "sweep": "Train a grid of values, each with several seeds, and draw the spread.",
    "replay": "Train again from a run folder alone, and compare the weights.",
    "features": "What a trained network makes of images at one of its parts.",
    "lr": "Find a learning rate: train while it rises, and draw the loss.",
    "lab": "Claims of lecture notes, measured: list them, or measure one.",
    "machine": "Benchmark this machine and show the precision it trains in.",
    "cache": "What lies in the cache, how large it is, and clearing it.",
    "recipe": "The keys of a recipe, each explained; or the text of one.",
    "words": "The words of the notation, each explained.",
    "zoo": "List the networks that come with striate.",
}


def application(called: str | None = None) -> App:
    """The reader of the command line.

    called: the command that will be called.  Its help is its own docstring; the others, which are not
    imported, are listed with one line each.
    """
    app = App(
        name="striate",
        console=helping(),
        error_console=helping(stderr=True),
        help=HELP,
        help_epilogue=EXAMPLES,
        version=__version__,
        help_format="plaintext",
        default_parameter=Parameter(negative=(), show_default=False),
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    # No file of the user's shell is changed: it says what to add where something is to be added.
    app.register_install_completion_command(
        add_to_startup=False, help="Write the file that completes commands and flags on Tab."
    )
    for name, line in COMMANDS.items():
        own = None if name == called else line
        app.command(f"striate.cli.{name}:{name}", name=name, help=own, help_epilogue="")
    return app


def main() -> None:
    """Run a command and leave with its exit code: 0, 1 for an error, 2 for a wrong call, 130 for Ctrl-C."""
    _fill_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal has no letters for is shown with escapes.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        words = with_whole_sizes(translated(sys.argv[1:]))
        application(words[0] if words else None)(words)
        sys.stdout.flush()
    except StriateError as error:
        _leave(str(error), error.exit_code)
    except KeyboardInterrupt as error:
        notes: list[str] = getattr(error, "__notes__", [])
        _leave("\n  try: ".join(["stopped", *notes]), 130)
    except BrokenPipeError:
        # Whoever read our output has left, as `head` does; leave quietly, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except MemoryError:
        _leave("the machine has too little memory\n  try: a smaller --set batch=N or --size N", 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _leave(f"{where}{error.strerror or error}", 1)
    except Exception as error:
        if not _was_interrupted(error):
            raise
        _leave("stopped", 130)


def _fill_standard_streams() -> None:
    """Put a stream that leads nowhere where there is none, as under pythonw or in a service.

    Its number is taken as well: the next file that is opened would have it, and what is meant for the terminal
    would go there.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _was_interrupted(error: BaseException) -> bool:
    """Whether Ctrl-C is behind an error, as where it met a library that was just being loaded."""
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, KeyboardInterrupt):
            return True
        behind = behind.__cause__ or behind.__context__
    return False


def _leave(told: str, code: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(f"striate: {visible_lines(told)}", file=sys.stderr)
    # Once more Ctrl-C while Python tidies up ends it without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)
