"""`striate resume`."""

from __future__ import annotations

from striate.api import require_train
from striate.cli.process import began, set_up_process
from striate.cli.screen import Screen


def resume(run: str, /, *, device: str | None = None, quiet: bool = False) -> None:
    """Go on with a training that was stopped, from its newest sound checkpoint.

    For example:

      striate resume runs/latest

    Parameters
    ----------
    run
        The run folder, its name under runs/, or runs/latest.
    device
        cpu, cuda, cuda:1 or mps; the one it began on if left out.
    quiet
        Print only the result.
    """
    started = began()
    require_train("striate resume")
    set_up_process()
    from striate.cli.summary import print_summary
    from striate.runs.folder import find_run
    from striate.train.job import reopen_job, run_job

    screen = Screen(quiet=quiet)
    with screen.stoppable():
        job = reopen_job(find_run(run), device=device, started=started, watch=screen)
        score = run_job(job, screen, resume=True)
    print_summary(job.run, job.record, score)
