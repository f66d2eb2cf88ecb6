"""`striate replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from striate.cli.console import prose
from striate.cli.process import began, set_up_process
from striate.cli.screen import Screen
from striate.cli.values import OUT
from striate.errors import RunError, require_train


def replay(
    run: str, /, *, out: Annotated[Path | None, OUT] = None, device: str | None = None, quiet: bool = False
) -> None:
    """Train again from a run folder alone, and say whether the weights come out equal to the bit.

    The exit code is 0 where they do, 1 where they do not.

    For example:

      striate replay runs/latest

    Parameters
    ----------
    run
        The run folder, its name under runs/, or runs/latest.
    out
        The folder of the second run; a new one under runs/ if left out.
    device
        cpu, cuda, cuda:1 or mps; the best there is if left out.
    quiet
        Print only the result.
    """
    started = began()
    require_train("striate replay")
    set_up_process()
    from striate.runs.folder import find_run, is_done
    from striate.training.replay import replay as train_again

    screen = Screen(quiet=quiet)
    first = find_run(run, is_done)
    with screen.stoppable():
        found = train_again(first, out=out, device=device, started=started, watch=screen)
    console = prose()
    for difference in found.differences:
        console.print(difference)
    if not found.equal:
        raise RunError(
            "the weights came out different",
            place=str(found.run.path),
            expected=f"those of {first.path}"
            + ("" if found.differences else "; versions and machine are the same"),
            cure="the same versions, machine and number of threads" if found.differences else "",
        )
    console.print(f"equal: the last weights of {found.run.path} are those of {first.path} to the bit")
