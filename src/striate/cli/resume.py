"""`striate resume`."""

from __future__ import annotations

from striate.cli.console import prose
from striate.cli.process import began, set_up_process
from striate.cli.screen import Screen
from striate.errors import require_train


def resume(run: str, /, *, data: str | None = None, device: str | None = None, quiet: bool = False) -> None:
    """Go on with a training that was stopped, from its newest sound checkpoint.

    For example:

      striate resume runs/latest
      striate resume runs/latest --data /new/place/photos/

    Parameters
    ----------
    run
        The run folder, its name under runs/, or runs/latest: here the newest that was stopped.
    data
        Where the images are now, if they were moved; they have to be the same.
    device
        cpu, cuda, cuda:1 or mps; the one it began on if left out.
    quiet
        Print only the result.
    """
    started = began()
    require_train("striate resume")
    set_up_process()
    from striate.predict.summary import summary_lines
    from striate.runs.folder import find_run, is_open
    from striate.training.job import reopen_job, run_job

    screen = Screen(quiet=quiet)
    with screen.stoppable():
        job = reopen_job(find_run(run, is_open), device=device, started=started, watch=screen, source=data)
        run_job(job, screen, resume=True)
    prose().print()
    for line in summary_lines(job.run, job.record):
        prose().print(line)
