"""`striate machine`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from striate.cli.console import print_json, prose
from striate.cli.process import set_up_process
from striate.errors import require_train


def machine(
    *,
    again: bool = False,
    device: str | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Show what this machine computes how fast, and which arithmetic is taken for it.

    It is measured once, in a few seconds, and kept in the cache folder; `striate train` looks there to know
    whether bf16 is worth trying, for the network, its evaluation and the optimizer each.  How a network runs fastest is tried for each network once, and kept
    as well.

    For example:

      striate machine
      striate machine --again
      striate machine --json

    Parameters
    ----------
    again
        Measure anew, on a quiet machine for instance.
    device
        cpu, cuda, cuda:1 or mps; the best there is if left out.
    json_
        Print everything as JSON.
    """
    require_train("striate machine")
    set_up_process()
    from striate.machine.device import choose_device
    from striate.training.selftest import self_test

    found = self_test(choose_device(device), again=again)
    if json_:
        taken = {part: asdict(choice) for part, choice in found.arithmetic().items()}
        print_json({**asdict(found), "bf16": found.bf16, "why": found.why(), "taken": taken}, indent=1)
        return
    facts = found.machine
    name = facts.get("device_name", facts["processor"])
    prose().print(
        f"device     {facts['device']}: {name}, {facts['cores']} cores, {facts['threads']} threads, "
        f"{facts['instructions']}"
    )
    prose().print(f"fp32       {found.fp32_flops / 1e9:,.0f} GFLOP/s in a convolution of 256 3x3 windows")
    prose().print(f"bf16       {found.bf16_flops / 1e9:,.0f} GFLOP/s, off by {found.bf16_error:.2%} at most")
    prose().print(f"memory     {found.copy_bytes / 1e9:,.0f} GB/s read and written in copying")
    for part, choice in found.arithmetic().items():
        prose().print(f"{part:10} {choice.value}: {choice.why}")
    prose().print(f"versions   {', '.join(f'{key} {value}' for key, value in found.versions.items())}")
