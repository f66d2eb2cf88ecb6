"""A network in two, and what lets the frozen part train again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate.data.gather import Split
from striate.errors import RecipeError
from striate.modules.module import Net, build
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map
from striate.predict.normalize import Feeder, Normalization
from striate.training.loop.frozen import Frozen, Thaw, frozen_parts
from striate.training.settings import UNLIMITED
from training.drawn import SIDE, draw

TEXT = (
    "stem: [conv 6 3x3 -> bn -> relu] -> stage: conv 8 3x3 stride 2 -> relu -> "
    "pool avg -> head: [dropout 0.5 -> fc classes]"
)
PLAIN = Normalization((SIDE, SIDE), (SIDE, SIDE), 1, (40.0,), (60.0,), "uint8")
CPU = torch.device("cpu")


def net(text: str = TEXT) -> Net:
    torch.manual_seed(0)
    made = build(lay(read_text(text), Map(1, SIDE, SIDE), 3))
    made(torch.randn(16, 1, SIDE, SIDE))  # running statistics other than those of the start
    return made


def split(count: int = 20) -> Split:
    images, labels = draw(count, 3)
    return Split(images[..., None], labels, tuple(str(i) for i in range(count)))


@pytest.mark.parametrize(
    ("text", "freeze", "count"), [(TEXT, "stem", 1), (TEXT, "stage", 2), (TEXT, "body", 4)]
)
def test_body_then_tail_is_the_whole(text: str, freeze: str, count: int) -> None:
    whole = net(text)
    assert frozen_parts(whole.layout, freeze) == count
    frozen = Frozen(whole, count)
    images = split()
    made = frozen.features(images, Feeder(PLAIN, CPU), PLAIN.size, "fp32", lambda done: None)
    with torch.no_grad():
        exact = whole.eval()(Feeder(PLAIN, CPU).images(images.images))
        found = frozen.tail.eval()(frozen.feeder(CPU).images(made.images))
    assert torch.allclose(exact, found, atol=1e-6)
    assert made.names == images.names


def test_weights_of_the_tail_go_back_and_forth() -> None:
    whole = net()
    frozen = Frozen(whole, 4)
    with torch.no_grad():
        for parameter in frozen.tail.parameters():
            parameter.fill_(0.25)
    assert frozen.whole(frozen.tail) is whole
    head = whole.part("head")
    assert all((parameter == 0.25).all() for parameter in head.parameters())
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.fill_(0.5)
    assert all((parameter == 0.5).all() for parameter in frozen.part(whole).parameters())


@pytest.mark.parametrize(
    ("text", "freeze", "said"),
    [
        (
            TEXT,
            "stagge",
            "freeze: the network has no part labelled `stagge`\n"
            "  expected: a label of its main flow, or body: stem, stage, head\n  try: stage",
        ),
        (
            TEXT,
            "head",
            "freeze: with `head` frozen, nothing is left to train\n  expected: a label further forward",
        ),
        (
            "fc classes",
            "body",
            "freeze: with `body` frozen, there is nothing before it\n  expected: a label further forward",
        ),
    ],
)
def test_labels_that_cannot_be_frozen(text: str, freeze: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        frozen_parts(lay(read_text(text), Map(1, SIDE, SIDE), 3), freeze)
    assert str(caught.value) == said


def test_thaw_goes_from_the_last_part_to_the_first() -> None:
    whole = net()
    thaw = Thaw(whole, 4, epochs=4)
    stem, stage = whole.part("stem"), whole.part("stage")
    trained = []
    for epoch in range(4):
        thaw.set_epoch(epoch)
        trained.append(
            tuple(next(part.parameters()).requires_grad for part in (stem, stage, whole.part("head")))
        )
    assert trained == [(False, True, True)] * 2 + [(True, True, True)] * 2


def test_norms_of_frozen_parts_keep_their_statistics() -> None:
    whole = net()
    thaw = Thaw(whole, 4, epochs=4)
    norm = whole.part("stem.1")
    before = norm.running_mean.clone()
    thaw.set_epoch(0)
    whole(torch.randn(8, 1, SIDE, SIDE))
    assert torch.equal(norm.running_mean, before)
    thaw.set_epoch(3)
    whole(torch.randn(8, 1, SIDE, SIDE))
    assert not torch.equal(norm.running_mean, before)


def test_rates_fall_towards_the_first_part() -> None:
    whole = net()
    shares = {id(module): share for module, share in Thaw(whole, 4, epochs=4).lr_multipliers()}
    found = [shares[id(whole.part(label))] for label in ("head", "stage", "stem")]
    assert found == pytest.approx([1, 1 / 3, 1 / 9])


def test_features_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from striate.errors import ResourceError
    from striate.training.loop import memory as fit

    monkeypatch.setattr(fit, "free_memory_bytes", lambda device: 1000)
    frozen = Frozen(net(), 1)
    told = r"what the frozen part gives for 20 images takes 0\.0 GB\n"
    with pytest.raises(ResourceError, match=told + r"  expected: less than the 0\.0 GB that are free\n"):
        frozen.require_room(20, UNLIMITED, CPU)
    monkeypatch.setattr(fit.heap, "resident_bytes", lambda: 99_999_000)
    left = (
        told
        + r"  expected: less than the 0\.0 GB that are left\n  try: more --memory, or freeze a later label"
    )
    with pytest.raises(ResourceError, match=left):
        frozen.require_room(20, 100_000_000, CPU)
    # The limit of a GPU is of its own memory.
    monkeypatch.setattr(fit, "free_memory_bytes", lambda device: 10**9)
    frozen.require_room(20, 100_000_000, torch.device("cuda"))
    assert np.isfinite(split().images).all()
