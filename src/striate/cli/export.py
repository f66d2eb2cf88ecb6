"""`striate export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from striate.cli.console import open_page, prose
from striate.cli.process import set_up_process
from striate.cli.screen import Screen
from striate.cli.values import OUT, require_outside, share
from striate.errors import StriateError, counted, require_train
from striate.text.figures import size
from striate.text.visible import visible


def export(
    run: str,
    data: str | None = None,
    /,
    *,
    out: Annotated[Path, OUT] = Path("bundle"),
    int8: bool = False,
    lose_at_most: float = 0.5,
    wrong_at_most: str | None = None,
    unlike: tuple[str, ...] = (),
    include_images: bool = False,
    name: str | None = None,
    skip_speed: bool = False,
    force: bool = False,
    open_: Annotated[bool, Parameter(name="--open")] = False,
    json_: Annotated[bool, Parameter(name="--json")] = False,
    quiet: bool = False,
) -> None:
    """Write a trained network as a bundle that answers without torch, and prove it.

    The bundle holds the network as ONNX, its preprocessing as data, the class names, how sure its answers are, and a
    certificate: on the validation images it answered as the trained network does, at batch 1, 3 and 16. If it does
    not, nothing is written.

    For example:

      striate export runs/latest
      striate export runs/latest --int8 --lose-at-most 0.5 -o small/
      striate export runs/latest --wrong-at-most 1% -o bundle.zip
      striate export runs/latest photos/ --unlike other-photos/

    Parameters
    ----------
    run
        The run folder, its name under runs/, or runs/latest.
    data
        Where its data lie now, if not where they were.
    out
        A new folder, or a .zip.
    int8
        Weights and activations in 8 bits. Layers that hurt stay in float.
    lose_at_most
        With --int8: percentage points of accuracy that it may cost; otherwise it is refused.
    wrong_at_most
        The share of answers that may be wrong, as 1%. Where that is not sure the answer is "I don't know".
    unlike
        Images of another kind, to measure how well they are refused; may be given several times.
    include_images
        Some of your validation images travel with the bundle, so that `verify` can ask about them.
    name
        How it is called where it is served; the name of the data if left out.
    skip_speed
        Do not measure the runtimes.
    force
        Replace a bundle that is there.
    open_
        Show the certificate in the browser.
    json_
        Print the certificate as JSON.
    quiet
        Print only the result.
    """
    require_train("striate export")
    set_up_process()
    if not 0 <= lose_at_most <= 100:
        raise StriateError(
            f"{lose_at_most:g} percentage points cannot be lost",
            place="--lose-at-most",
            expected="0 to 100",
            cure="--lose-at-most 0.5",
        )
    if data is not None:
        require_outside("--out", out / "bundle", data)
    risk = None if wrong_at_most is None else share(wrong_at_most, "--wrong-at-most")
    from striate.exporting.export import export as write
    from striate.predict.trained import load_trained

    screen = Screen(quiet=quiet or json_)
    with screen.stoppable():
        made = write(
            load_trained(run, device="cpu"),
            out,
            data=data,
            int8=int8,
            lose_at_most=lose_at_most,
            wrong_at_most=risk,
            unlike=unlike,
            include_images=include_images,
            name=name,
            force=force,
            speed=not skip_speed,
            watch=screen,
        )
    proof = made.certificate
    if json_:
        print(json.dumps({"version": 1, "bundle": str(made.path), **proof.model_dump()}))
        return
    console = prose()
    low, high = proof.after.interval
    worst = max(each.share for each in proof.checks)
    console.print(
        f"proof     {len(proof.checks)} checks: the largest difference is {worst:.1g} of the largest logit, all labels equal"
        if all(each.decided == each.decided_equal for each in proof.checks)
        else ""
    )
    console.print(
        f"accuracy  {proof.after.accuracy:.2%} of {counted(proof.after.images, 'image')} (95 % interval {low:.2%} to "
        f"{high:.2%}), {proof.before.accuracy:.2%} before"
    )
    if proof.int8 is not None:
        from striate.exporting.quantize import described

        low, high = proof.int8.interval
        console.print(
            f"int8      {proof.int8.lost:.2f} percentage points lost ({low:.2f} to {high:.2f}), {proof.int8.agreement:.2%} of "
            f"the labels equal; {described(proof.int8.layers)}"
        )
    sure = proof.calibration
    console.print(
        f"sure      calibration error {sure.ece_before:.2%} before, {sure.ece_after:.2%} after (temperature {sure.temperature:.3g})"
    )
    if sure.wrong_at_most is not None and (found := sure.promise(sure.wrong_at_most)) is not None:
        console.print(
            f"sure      at most {100 * found.risk:g}% wrong: answers from a probability of {found.threshold:.3f} on, which are "
            f"{found.coverage:.1%} of the images"
        )
    for each in proof.timings:
        if each.single_ms is not None:
            memory = f", {size(each.peak_bytes)} peak" if each.peak_bytes else ""
            console.print(
                f"speed     {each.runtime} {each.precision}: {each.single_ms:.3g} ms an image, {each.images_per_s:,.0f} images a "
                f"second by 16{memory}"
            )
    console.print(f"bundle    {visible(str(made.path))}")
    if open_ and made.path.is_dir():
        open_page(made.path / "certificate.html")
