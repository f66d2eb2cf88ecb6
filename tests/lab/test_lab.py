"""Claims: their figures by hand, their arms, and a small one measured, stopped and gone on with."""

from __future__ import annotations

import math
import runpy
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from striate.errors import DataError, StriateError
from striate.lab.bench import Bench, Outcome
from striate.lab.catalog import CLAIMS, find_claim
from striate.lab.claim import (
    Arm,
    Claim,
    Comparison,
    Finding,
    Row,
    Verdict,
    differs,
    equals,
    interval,
    not_worse,
    ratio,
    ratio_interval,
)
from striate.lab.claims.activations import MAXOUT_DOUBLES, dead_share
from striate.lab.claims.depth import BASIC, BOTTLENECK, ONE_BY_ONE, cost, layers_with_weights, plain, residual
from striate.lab.claims.features import crossness, draw_lines
from striate.lab.claims.initialization import factor_of_layer
from striate.lab.claims.sharing import patch_gradients
from striate.lab.images import ImageSet, make_images, moved, painted, placed, turned_hue
from striate.lab.page import claim_page
from striate.lab.receipt import read_receipt, write_receipt
from striate.lab.run import run_claim
from striate.progress import Silence
from striate.training.loop.loop import Stopped

DOCS = Path(__file__).parents[2] / "docs"

# ---- figures over seeds -------------------------------------------------------------------------------


def test_interval_by_hand() -> None:
    # t(2) of 97.5 % is 4.30265, the standard deviation 1, and the root of three seeds.
    assert interval([1.0, 2.0, 3.0]) == pytest.approx(
        (2.0, 2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5), rel=1e-5
    )
    assert interval([7.0]) == (7.0, -math.inf, math.inf)


def test_ratios_are_compared_by_their_logarithms() -> None:
    middle, low, high = ratio_interval([1.0, 4.0])
    assert middle == pytest.approx(2.0)
    assert low * high == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("compare", "values", "verdict"),
    [
        (differs, [1.0, 1.1, 1.2], "holds"),
        (differs, [0.1, 0.0, -0.1], "does not hold"),
        (differs, [3.0, -3.0, 1.0], "not settled"),
        (equals, [0.1, 0.0, -0.1], "holds"),
        (equals, [1.0, 1.1, 1.2], "does not hold"),
        (equals, [0.4, 0.5, 0.6], "not settled"),
        (not_worse, [0.1, 0.0, -0.1], "holds"),
        (not_worse, [-1.0, -1.1, -1.2], "does not hold"),
        (not_worse, [-0.4, -0.5, 0.6], "not settled"),
    ],
)
def test_verdict_of_differences(compare, values: list[float], verdict: Verdict) -> None:  # type: ignore[no-untyped-def]
    assert compare("a difference", values).verdict == verdict


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([6.0, 6.5, 7.0], "holds"),
        ([3.0, 3.1, 3.2], "holds in part"),
        ([1.0, 1.1, 1.2], "does not hold"),
        ([1.0, 2.0, 4.0], "not settled"),
    ],
)
def test_verdict_of_ratios(values: list[float], verdict: Verdict) -> None:
    assert ratio("times", values, claimed=6, least=2).verdict == verdict


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        (["holds", "holds", None], "holds"),
        (["holds", "does not hold"], "holds in part"),
        (["holds", "not settled"], "holds in part"),
        (["does not hold", "not settled"], "does not hold"),
        (["not settled"], "not settled"),
    ],
)
def test_verdict_of_whole(verdicts: list[Verdict | None], whole: Verdict) -> None:
    found = Finding(tuple(Comparison("", "", (0.0,), 0, 0, 0, "", each) for each in verdicts))
    assert found.verdict == whole


def test_epochs_to_an_error() -> None:
    outcome = Outcome("", 0.1, 0, False, (0.65, 0.15), (1.0, 0.5), (0.5, 0.9), 0.9, 1.0)
    # 0.65 stands at 0.5 epochs, 0.15 at 1.5: four fifths of the way down.
    assert outcome.epochs_to(0.25) == pytest.approx(1.3)
    # From 0.9 of guessing at 0.
    assert outcome.epochs_to(0.775) == pytest.approx(0.25)
    assert outcome.epochs_to(0.1) == math.inf
    assert replace(outcome, diverged=True).epochs_to(0.25) == math.inf


# ---- images -------------------------------------------------------------------------------------------


def test_moved_by_hand() -> None:
    x = np.arange(9, dtype=np.uint8).reshape(1, 3, 3, 1)
    assert moved(x, 1, -1)[0, ..., 0].tolist() == [[0, 0, 0], [1, 2, 0], [4, 5, 0]]
    assert moved(x, 0, 0).tolist() == x.tolist()


def test_corners_share_nothing_with_the_middle() -> None:
    x = np.full((1, 2, 2, 1), 255, dtype=np.uint8)
    middle = placed(x, 6)
    corners = [placed(x, 6, corner=number) for number in range(4)]
    assert middle[0, 2:4, 2:4].min() == 255
    assert middle.sum() == 4 * 255
    assert all(not (middle & corner).any() for corner in corners)
    assert sum(corner.astype(int) for corner in corners)[0, :, :, 0].tolist()[0] == [255, 255, 0, 0, 255, 255]


def test_turned_hue() -> None:
    red = np.array([[[[200, 20, 20]]]], dtype=np.uint8)
    assert turned_hue(red, 0).tolist() == red.tolist()
    # A third of a turn hands red on to green.
    assert turned_hue(red, 1 / 3)[0, 0, 0].tolist() == [20, 200, 20]
    gray = np.full((1, 1, 1, 3), 99, dtype=np.uint8)
    assert turned_hue(gray, 0.3).tolist() == gray.tolist()


def test_painted_images_are_near_red() -> None:
    found = painted(np.full((50, 1, 1, 1), 240, dtype=np.uint8), np.random.default_rng(0))
    assert found.shape == (50, 1, 1, 3)
    assert (found[..., 0] == 240).all()
    assert found[..., 1:].max() <= 80


def test_sets_of_images(tmp_path: Path) -> None:
    loaded = bench(tmp_path).loaded
    few = make_images(loaded, ImageSet(per_class=3, classes=(5, 6)), 1)
    assert few.train[1].tolist().count(5) == few.train[1].tolist().count(6) == 3
    assert len(few.train[1]) == 6
    assert set(few.test[1].tolist()) == {5, 6}
    other = make_images(loaded, ImageSet(per_class=3, classes=(5, 6)), 2)
    assert not np.array_equal(few.train[0], other.train[0])
    assert make_images(loaded, ImageSet(canvas=2), 0).train[0].shape[1:] == (16, 16, 1)


# ---- claims -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=list(CLAIMS))
def test_claims_are_whole(claim: Claim, tmp_path: Path) -> None:
    said = (claim.line, claim.words, claim.source, claim.protocol, claim.falsifier, claim.changes)
    assert all(each.endswith(".") for each in said)
    assert len({arm.name for arm in claim.arms}) == len(claim.arms)
    here = bench(tmp_path)
    for arm in claim.arms:
        assert len(set(arm.learning_rates)) >= 7
        assert cost(arm.net, here).weights > 0


def test_no_claim_is_lost() -> None:
    assert len(CLAIMS) == 23
    assert {"relu-faster", "skip-helps", "coarse-to-fine"} < set(CLAIMS)


def test_networks_that_are_compared_cost_the_same(tmp_path: Path) -> None:
    here = bench(tmp_path)
    basic, neck = cost(BASIC, here), cost(BOTTLENECK, here)
    assert neck.multiply_adds == pytest.approx(basic.multiply_adds, rel=0.05)
    assert neck.weights == pytest.approx(basic.weights, rel=0.05)
    assert (layers_with_weights(BASIC, here), layers_with_weights(BOTTLENECK, here)) == (10, 14)
    relu, maxout = (cost(arm.net, here).weights for arm in MAXOUT_DOUBLES.arms)
    assert maxout == pytest.approx(relu, rel=0.05)
    assert ONE_BY_ONE.arms[0].net == BASIC


@pytest.mark.parametrize("depth", [8, 20, 44])
def test_depth_counts_layers_with_weights(depth: int, tmp_path: Path) -> None:
    here = bench(tmp_path)
    assert layers_with_weights(plain(depth), here) == layers_with_weights(residual(depth), here) == depth
    assert cost(plain(depth), here).weights == cost(residual(depth), here).weights


def test_factor_of_a_layer() -> None:
    assert factor_of_layer([8.0, 4.0, 2.0, 1.0]) == pytest.approx(0.5)


def test_gradients_of_places_add_up() -> None:
    draw = torch.Generator().manual_seed(1)
    x, weight, target = (
        torch.randn(*shape, generator=draw, dtype=torch.float64)
        for shape in ((1, 2, 5, 5), (3, 2, 3, 3), (1, 3, 5, 5))
    )
    whole, places = patch_gradients(x, weight, target)
    assert places.shape == (25, 3, 2, 3, 3)
    torch.testing.assert_close(places.sum(dim=0), whole, rtol=1e-12, atol=1e-12)
    # The comparison can fail.
    assert not torch.allclose(places[1:].sum(dim=0), whole)


@pytest.mark.parametrize(
    ("activation", "share"), [(nn.ReLU(), 0.5), (nn.LeakyReLU(0.01), 0.0), (nn.ELU(), 0.5)]
)
def test_dead_maps(activation: nn.Module, share: float) -> None:
    """Of two maps one is far below 0 everywhere: dead under relu, and under elu, whose slope is lost in float32."""
    conv = nn.Conv2d(1, 2, 1)
    conv.weight.data = torch.tensor([1.0, 1.0]).reshape(2, 1, 1, 1)
    conv.bias.data = torch.tensor([0.0, -50.0])
    assert dead_share(nn.Sequential(conv, activation), torch.rand(3, 1, 4, 4)) == share


def test_a_unit_that_answers_crosses() -> None:
    """The first map adds a row and a column and takes 4 off: a line gives 1, their cross 5.  The second sees rows alone."""
    drawn = draw_lines(9, 1)
    x = torch.from_numpy(np.stack(list(drawn.values()))).permute(0, 3, 1, 2) / 255.0
    conv = nn.Conv2d(1, 2, 5, padding=2)
    conv.weight.data = torch.zeros(2, 1, 5, 5)
    conv.weight.data[:, 0, 2] = 1.0
    conv.weight.data[0, 0, :, 2] = 1.0
    conv.bias.data = torch.tensor([-4.0, 0.0])
    net = nn.Sequential(OrderedDict(two=nn.Sequential(conv, nn.ReLU())))
    (twice, total), (alone, _) = crossness(net, x, list(drawn), 4)
    assert (twice, total) == (5.0, 2.5)
    assert alone < 2


# ---- measured -----------------------------------------------------------------------------------------

_ARMS = [Arm(name, f"fc 8 -> {name} -> head: fc classes", epochs=6) for name in ("relu", "tanh")]


def _measure(here: Bench) -> Finding:
    tests = [[100 * each.test_accuracy for each in here.outcomes(arm)] for arm in _ARMS]
    rows = [
        Row(arm.name, "test accuracy", "%", tuple(each), here.chosen(arm))
        for arm, each in zip(_ARMS, tests, strict=True)
    ]
    return Finding((differs("relu less tanh", [a - b for a, b in zip(*tests, strict=True)]),), tuple(rows))


TINY = Claim(
    name="tiny", line="A <line>.", words="Words.", source="Source.", protocol="Protocol.", falsifier="Falsifier.",
    changes="Changes.", measure=_measure, arms=_ARMS,
)  # fmt: skip


class Counter(Silence):
    """Counts trainings, and stops behind so many."""

    def __init__(self, most: int = 10**9) -> None:
        self.said: list[str] = []
        self.done, self.most = 0, most

    def say(self, text: str) -> None:
        self.said.append(text)

    def advance(self, done: int, note: str) -> None:
        self.done = done

    def stopping(self) -> bool:
        return self.done >= self.most


def bench(folder: Path) -> Bench:
    return Bench(folder, source="digits", most=100, seeds=2, quick=True, watch=Silence())


def test_measured_stopped_gone_on_with_and_shared(tmp_path: Path) -> None:
    with pytest.raises(Stopped) as stopped:
        run_claim(TINY, quick=True, images=100, out=tmp_path, watch=Counter(most=3))
    assert str(stopped.value) == (
        "stopped; the trainings that were done are kept\n  try: the same command, which goes on"
    )
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("trainings/*/outcome.json")}
    assert len(kept) == 3
    watch = Counter()
    receipt, page = run_claim(TINY, quick=True, images=100, out=tmp_path, watch=watch)
    assert "about 8 trainings, 3 of them kept from before" in watch.said[0]
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())
    assert receipt.verdict == "not settled"
    assert receipt.seeds == 2
    assert receipt.images == (100, 215, 360)
    assert read_receipt(tmp_path / "tiny" / "receipt.json") == receipt
    text = page.read_text(encoding="utf-8")
    assert "A &lt;line&gt;." in text
    assert "It settles nothing" in text
    assert "http" not in text.replace("http://www.w3.org", "").replace("http-equiv", "")
    # Another claim of the same arms trains nothing.
    before = set(tmp_path.glob("trainings/*"))
    run_claim(replace(TINY, name="other"), quick=True, images=100, out=tmp_path, watch=Silence())
    assert set(tmp_path.glob("trainings/*")) == before


def test_learning_rate_is_the_best_of_the_ladder_and_beyond_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Bench(tmp_path, source="digits", most=100, seeds=2, quick=False, watch=Silence())
    asked: list[float] = []

    def score(arm: Arm, learning_rate: float) -> float:
        asked.append(learning_rate)
        return -abs(math.log10(learning_rate) - math.log10(5.0))

    monkeypatch.setattr(here, "score_at", score)
    assert here.chosen(_ARMS[0]) == 3.0
    assert asked == [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]


def test_counted_claim_needs_no_training(tmp_path: Path) -> None:
    receipt, _ = run_claim(find_claim("googlenet-ten"), images=100, out=tmp_path, watch=Silence())
    first, second = receipt.finding.comparisons
    assert first.middle == pytest.approx(9.2229, abs=1e-4)
    assert second.middle == pytest.approx(4.6983, abs=1e-4)
    assert receipt.verdict == "holds in part"
    assert receipt.trainings == 0


def test_receipt_and_page_are_of_each_other(tmp_path: Path) -> None:
    claim = find_claim("sharing-adds")
    receipt, page = run_claim(claim, seeds=2, images=100, out=tmp_path, watch=Silence())
    assert claim_page(claim, receipt) == page.read_text(encoding="utf-8")
    assert 'aria-label="their sum over all places"' in claim_page(claim, receipt)
    write_receipt(tmp_path / "again.json", receipt)
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "sharing-adds" / "receipt.json").read_bytes()


# ---- errors -------------------------------------------------------------------------------------------


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(StriateError) as unknown:
        find_claim("relu-fast")
    assert str(unknown.value) == (
        "lab: there is no claim `relu-fast`\n  expected: a claim that `striate lab` lists\n  try: relu-faster"
    )
    with pytest.raises(StriateError) as seeds:
        run_claim(TINY, seeds=1, out=tmp_path, watch=Silence())
    assert str(seeds.value) == (
        "--seeds: 1 seed tells nothing of the spread\n  expected: 2 or more; 5 as a rule\n  try: --seeds 5"
    )
    with pytest.raises(StriateError) as images:
        run_claim(TINY, images=10, out=tmp_path, watch=Silence())
    assert (
        str(images.value) == "--images: 10 images are too few\n  expected: 100 or more\n  try: --images 2000"
    )
    broken = tmp_path / "receipt.json"
    broken.write_text("{}")
    with pytest.raises(DataError) as damaged:
        read_receipt(broken)
    assert str(damaged.value) == (
        f"{broken}: this is no receipt of a claim: 13 validation errors for Receipt\n"
        "  expected: JSON as `striate lab` writes it\n  try: striate lab NAME, which writes it"
    )


def test_data_that_a_claim_cannot_take(tmp_path: Path) -> None:
    reals, few = tmp_path / "reals.npz", tmp_path / "few.npz"
    x, y = np.random.default_rng(0).random((200, 8, 8)), np.arange(200) % 4
    np.savez(reals, x_train=x, y_train=y)
    np.savez(few, x_train=(255 * x).astype(np.uint8), y_train=y)
    with pytest.raises(DataError) as refused:
        run_claim(TINY, data=str(reals), out=tmp_path, watch=Silence())
    assert str(refused.value) == (
        f"{reals}: the images hold float32\n  expected: bytes of 0 to 255, of which the lab makes others\n"
        "  try: striate lab NAME, on the digits"
    )
    with pytest.raises(DataError) as missing:
        run_claim(find_claim("small-data-transfer"), data=str(few), out=tmp_path, watch=Silence())
    assert str(missing.value) == (
        "--data: there is no class number 4 among the images\n  expected: 10 classes or more: the claim divides them\n"
        "  try: striate lab NAME, on the digits"
    )


# ---- docs/claims.md -----------------------------------------------------------------------------------


def test_page_of_claims_is_generated() -> None:
    made = runpy.run_path(str(DOCS / "make_claims.py"))
    assert (DOCS / "claims.md").read_text(encoding="utf-8") == made["page"](), "run `make docs`"


def test_page_of_claims_takes_no_quick_run(tmp_path: Path) -> None:
    made = runpy.run_path(str(DOCS / "make_claims.py"))
    receipt, _ = run_claim(find_claim("googlenet-ten"), quick=True, images=100, out=tmp_path, watch=Silence())
    (tmp_path / "claims").mkdir()
    write_receipt(tmp_path / "claims" / "tiny.json", receipt)
    with pytest.raises(SystemExit, match="settles nothing"):
        made["page"](tmp_path / "claims")
