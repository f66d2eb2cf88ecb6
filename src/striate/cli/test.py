"""`striate test`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from striate.api.runs import candidate_of
from striate.bundle.bundle import Bundle, is_bundle
from striate.cli.console import prose
from striate.cli.process import set_up_process
from striate.cli.screen import Screen
from striate.cli.values import require_new, require_outside
from striate.errors import StriateError, require_train
from striate.text.visible import visible


def test(
    run: str,
    data: str | None = None,
    /,
    *,
    net: str | None = None,
    weights: str | None = None,
    sha256: str | None = None,
    report: Path | None = None,
    force: bool = False,
    json_: Annotated[bool, Parameter(name="--json")] = False,
    device: str | None = None,
    quiet: bool = False,
) -> None:
    """How good a network is on labelled images that it has not been trained on.

    The images are those of the test split where DATA has one, else all of DATA. Classes are matched by
    their names. Images that the run was trained on are counted, and warned of.

    For example:

      striate test runs/latest new-photos/
      striate test runs/latest new-photos/ --report test.html
      striate test bundle/ new-photos/
      striate test --net resnet20 --weights resnet20-12fca82f.th cifar-10-batches-bin/

    Parameters
    ----------
    run
        The run folder, its name under runs/, or runs/latest, or a bundle, which needs no torch; not where --net
        is given.
    data
        Labelled images; `striate train --help` says what they may be.
    net
        A network of the zoo instead of a run, with its published weights.
    weights
        These weights: a file, a URL, or hf:OWNER/NAME.
    sha256
        The hash that the file of the weights must have, or its first digits, 8 at least.
    report
        Write a page with the confusion, every class, and the worst mistakes.
    force
        Write over a page that is there.
    json_
        Print one JSON object, with a version.
    device
        cpu, cuda, cuda:1 or mps; the best there is if left out.
    quiet
        Print only the result.
    """
    bundled = net is None and is_bundle(run)
    if not bundled:
        require_train("striate test")
        set_up_process()
    if net is not None:
        if data is not None:
            raise StriateError(
                "a run and --net are two networks",
                place="test",
                expected="one of them",
                cure=f"striate test {run} {data}, or striate test --net {net} --weights FILE {data}",
            )
        model, source = net, run
    elif data is None:
        raise StriateError(
            "there is a run without data, or data without a network",
            place="test",
            expected="striate test RUN DATA",
            cure=f"striate test runs/latest {run}, or striate test --net NAME --weights FILE {run}",
        )
    else:
        model, source = run, data
    if report is not None:
        require_outside("--report", report, source)
        require_new(report, force, "--report")
    from striate.disk.atomic import write_atomic
    from striate.predict.measure import bundle_candidate, measure

    screen = Screen(quiet=quiet or json_)
    with screen.stoppable():
        if bundled:
            candidate = bundle_candidate(Bundle.read(model))
        else:
            candidate = candidate_of(
                model, net=net is not None, weights=weights, sha256=sha256, device=device, watch=screen
            )
        found = measure(candidate, source, screen)
    if report is not None:
        write_atomic(report, found.page().encode())
    if json_:
        print(json.dumps(found.to_record()))
        return
    console = prose()
    for line in found.lines():
        console.print(line)
    if report is not None:
        console.print(f"\nreport  {visible(str(report))}")
