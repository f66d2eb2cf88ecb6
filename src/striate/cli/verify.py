"""`striate verify`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from striate.cli.console import print_json, prose
from striate.errors import BundleError, counted
from striate.text.visible import visible


def verify(
    bundle: str,
    data: str | None = None,
    /,
    *,
    runtime: Literal["auto", "onnxruntime", "openvino"] = "auto",
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Prove a bundle again, on the machine where it runs.

    Every file must have the hash that the bundle was proven with. The network is asked about drawn images, whose
    answers the bundle carries, at batch 1, 3 and 16; and about yours, if the bundle was exported with
    --include-images. With DATA the accuracy on labelled images is measured, and the promised risk.

    Torch is not needed.

    For example:

      striate verify bundle/
      striate verify bundle.zip new-photos/
      striate verify bundle/ --runtime openvino

    Parameters
    ----------
    bundle
        The folder or .zip that `striate export` wrote.
    data
        Labelled images; `striate train --help` says what they may be.
    runtime
        What answers.
    json_
        Print one JSON object.
    """
    from striate.bundle.verify import holds
    from striate.bundle.verify import verify as prove

    found = prove(bundle, data, runtime=runtime)
    if json_:
        print_json(found.to_record())
    else:
        console = prose()
        for check in found.checks:
            console.print(
                f"{'holds' if holds(check, found.manifest.precision) else 'FAILS':9} {check.what}: difference "
                f"{check.share:.2g} of the largest logit, {check.decided_equal:,} of {check.decided:,} decided labels equal"
            )
        if found.measured is not None:
            low, high = found.measured.interval
            console.print(
                f"accuracy  {found.measured.accuracy:.2%} of {counted(found.measured.images, 'image')} (95 % interval {low:.2%} "
                f"to {high:.2%})"
            )
        if found.left_out:
            console.print(f"left out  {counted(len(found.left_out), 'file')} that cannot be used")
        if found.promised:
            console.print(f"{'sure' if found.kept else 'FAILS':9} {found.promised}")
        if found.verdict == "proven":
            console.print(f"proven    {visible(found.manifest.name)}, {found.manifest.precision}")
    if found.verdict == "failed":
        raise BundleError(
            "the bundle does not answer here as it was proven to"
            if found.failed
            else "the promised risk is not kept on these images",
            place=visible(bundle),
            expected="every check to hold",
            cure="striate export on this machine, or another --runtime"
            if found.failed
            else "striate export with images like these among the validation images",
        )
