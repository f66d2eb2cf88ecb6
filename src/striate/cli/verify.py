"""`striate verify`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from striate.cli.console import print_json, prose
from striate.errors import BundleError
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
    from striate.bundle.verify import verify as prove

    found = prove(bundle, data, runtime=runtime)
    if json_:
        print_json(found.to_record())
    else:
        prose().print(str(found))
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
