"""How well the peak memory of a training step is predicted.

    python benchmarks/memory.py [--only NAME,...] [--quick]

Each configuration (network, batch, precision, optimizer, what is made again) runs two steps in a process of its
own, which gives freed memory back; its peak over what the process had before the network, with the libraries warm,
stands against the prediction.  Other processes change times and not this; one round of each is run.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import Any

from options import only, parser, read, tell
from receipt import Row, Session, write_receipt

# Network, batch, precision, optimizer, share of the plain step's memory that it has to fit (1: plain).
CONFIGURATIONS = [
    ("small28", 256, "fp32", "adamw", 1.0),
    ("small32", 128, "fp32", "adamw", 1.0),
    ("small32", 256, "bf16", "momentum", 1.0),
    ("small32", 256, "bf16", "adamw", 0.6),
    ("small64", 64, "fp32", "adamw", 1.0),
    ("small64", 128, "fp32", "muon", 0.5),
    ("small128", 32, "fp32", "adamw", 1.0),
    ("small128", 32, "bf16", "adamw", 0.6),
    ("small128", 64, "bf16", "sgd", 0.4),
    ("lenet5", 1024, "fp32", "momentum", 1.0),
    ("alexnet", 32, "fp32", "sgd", 1.0),
    ("alexnet", 64, "bf16", "momentum", 1.0),
    ("alexnet_2012", 16, "fp32", "momentum", 1.0),
    ("vgg11", 8, "fp32", "sgd", 1.0),
    ("plain34", 16, "bf16", "adamw", 0.7),
    ("vgg11_bn", 8, "fp32", "adamw", 1.0),
    ("vgg11_bn", 16, "bf16", "sgd", 1.0),
    ("vgg11_bn", 16, "bf16", "sgd", 0.85),
    ("vgg16_bn", 8, "bf16", "momentum", 1.0),
    ("googlenet", 16, "fp32", "adamw", 1.0),
    ("googlenet", 16, "bf16", "adamw", 1.0),
    ("googlenet", 32, "bf16", "adamw", 0.5),
    ("resnet18", 16, "fp32", "adamw", 1.0),
    ("resnet18", 32, "fp32", "adamw", 0.5),
    ("resnet18", 32, "bf16", "adamw", 1.0),
    ("resnet18", 32, "bf16", "sgd", 0.6),
    ("resnet34", 16, "bf16", "adamw", 1.0),
    ("resnet50", 16, "fp32", "adamw", 1.0),
    ("resnet50", 16, "bf16", "momentum", 1.0),
    ("resnet50", 32, "bf16", "momentum", 0.4),
    ("plain18", 16, "fp32", "nesterov", 1.0),
    ("resnet20", 128, "fp32", "momentum", 1.0),
    ("resnet20", 256, "bf16", "momentum", 0.5),
    ("resnet56", 128, "bf16", "adam", 1.0),
    ("resnet110", 64, "fp32", "momentum", 0.33),
    ("squeezenet1_1", 32, "fp32", "adamw", 1.0),
    ("squeezenet1_1", 32, "bf16", "adamw", 0.5),
    ("mobilenet_v1", 16, "fp32", "rmsprop", 1.0),
    ("mobilenet_v2", 16, "fp32", "adamw", 1.0),
    ("mobilenet_v2", 16, "bf16", "adamw", 1.0),
    ("mobilenet_v2", 32, "bf16", "adamw", 0.33),
    ("efficientnet_lite0", 16, "bf16", "adamw", 1.0),
    ("convnext_tiny", 8, "fp32", "adamw", 1.0),
    ("convnext_tiny", 16, "bf16", "adamw", 0.8),
]


def child(name: str, batch: int, precision: str, optimizer: str, share: float) -> None:
    """Measure one configuration; a line of JSON."""
    from striate.machine import allocator as heap

    heap.keep_freed_memory()
    heap.return_freed_memory()
    import torch

    import striate
    from striate.machine.device import emulates_bf16
    from striate.modules.module import build
    from striate.net.plan.memory import Thrift
    from striate.net.plan.memory_fit import Fitter
    from striate.net.plan.tape import EMULATED
    from striate.net.zoo.list import zoo_net
    from striate.training.loop.memory import write_recompute

    input, classes = zoo_net(name).input, zoo_net(name).classes
    layout = striate.read(name).lay(input, classes)
    emulated = precision == "bf16" and emulates_bf16(torch.device("cpu"))
    fitter = Fitter(layout, batch, EMULATED if emulated else precision, optimizer, False)
    thrift = Thrift()
    if share < 1:
        fit = fitter.fit(int(share * fitter.memory(Thrift()).total))
        assert fit is not None, "it cannot fit"
        thrift = fit.thrift
    warm = "conv 32 3x3 -> bn -> relu -> maxpool 2 -> conv 32 3x3 -> bn -> relu -> fc 10"
    # As a training builds it: `striate.read(...).build` gives one for hooks, which writes over no input.
    steps(build(striate.read(warm).lay((3, 32, 32), 10)), (3, 32, 32), 8, precision, optimizer, Thrift())
    heap.trim()
    base = heap.own_bytes()
    heap.forget_peak()
    net = build(layout)
    steps(net, input, batch, precision, optimizer, thrift)
    peak = heap.peak_bytes()
    assert peak is not None
    assert base is not None
    predicted = fitter.memory(thrift)
    found = {
        "net": name, "batch": batch, "precision": precision, "optimizer": optimizer,
        "recompute": write_recompute(thrift, layout), "micro_batches": thrift.micro_batches,
        "predicted_bytes": predicted.total, "measured_bytes": peak - base, "moment": predicted.moment,
        "threads": torch.get_num_threads(),
    }  # fmt: skip
    print(json.dumps(found))


def steps(net, input, batch, precision, optimizer, thrift) -> None:  # type: ignore[no-untyped-def]
    """Two training steps on drawn bytes, prepared as a run prepares them; the second has all that an optimizer keeps."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    from striate.training.layout import apply_layout
    from striate.training.settings import OptimizerSettings
    from striate.training.step.micro_batches import add_gradients
    from striate.training.step.optimizers import make_optimizer
    from striate.training.step.target import Target

    apply_layout(net, "channels_last").train()
    stepper = make_optimizer([(net, 1.0)], OptimizerSettings(optimizer, 1e-4, 0.0))
    channels, height, width = input
    stored = [torch.randint(0, 255, (batch, height, width, channels), dtype=torch.uint8) for _ in range(2)]
    target = Target(torch.zeros(batch, dtype=torch.long))

    def loss_of(logits, target):  # type: ignore[no-untyped-def]
        loss = target.cross_entropy(logits.float(), 0.0)
        for weight, side in net.auxiliary_logits:
            loss = loss + weight * F.cross_entropy(side.float(), target.labels)
        return loss

    for step in range(2):
        x = stored[step % 2].permute(0, 3, 1, 2).float().sub_(127).mul_(1 / 64)
        stepper.zero_grad(set_to_none=True)
        add_gradients(net, x, target, thrift, precision, loss_of)
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        stepper.step()
        del x


def measured(configuration: tuple[str, int, str, str, float]) -> dict[str, Any]:
    """What a child found for one configuration, and by what share the prediction was off."""
    command = [sys.executable, __file__, "--child", *map(str, configuration)]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    each: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    each["error"] = each["predicted_bytes"] / each["measured_bytes"] - 1
    how = each["recompute"] if len(each["recompute"]) < 40 else each["recompute"][:37] + "..."
    tell(
        f"{each['net']:20} {each['batch']:5} {each['precision']} {each['optimizer']:9} "
        f"x{each['micro_batches']} {how:40} measured {each['measured_bytes'] / 1e6:8.1f} MB  "
        f"predicted {each['predicted_bytes'] / 1e6:8.1f} MB  {each['error']:+.1%}"
    )
    return each


def main() -> None:
    """Run every configuration, and write."""
    if sys.argv[1:2] == ["--child"]:
        name, batch, precision, optimizer, share = sys.argv[2:]
        child(name, int(batch), precision, optimizer, float(share))
        return
    made = parser(__doc__, rounds=1)
    made.add_argument("--only", default="", help="names of networks, by commas")
    options = read(made)
    wanted = only(options, "small28")
    session = Session()
    found = [measured(each) for each in CONFIGURATIONS if not wanted or each[0] in wanted]
    errors = [abs(each["error"]) for each in found]
    median, worst = statistics.median(errors), max(errors)
    rows = [
        Row(
            what=f"peak memory of a training step, {len(found)} configurations",
            peer="measured, where striate's figure is its prediction",
            unit="MB",
            better="neither",
            ours=[each["predicted_bytes"] / 1e6 for each in found],
            theirs=[each["measured_bytes"] / 1e6 for each in found],
            figures={"error, %": [100 * each["error"] for each in found]},
            note=f"off by {median:.1%} in the median configuration and {worst:.1%} in the worst, "
            f"{max(found, key=lambda each: abs(each['error']))['net']}",
        )
    ]
    configurations = [" ".join(map(str, each)) for each in CONFIGURATIONS if not wanted or each[0] in wanted]
    write_receipt(
        "memory", rows, session, rounds=1, quick=options.quick, out=options.out, peers={},
        settings={"configurations": configurations},
    )  # fmt: skip


if __name__ == "__main__":
    main()
