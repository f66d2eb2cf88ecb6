"""Whether "I don't know" keeps what it promised, and how well images of other data sets are told.

    python benchmarks/reject.py [--data DIR] [--quick]

A head on the frozen body that comes with striate is trained on 26 kinds of photographs, half of the training images held
out. `striate export --wrong-at-most 2%` promises from these that no more than that share of its answers is wrong, with
95 % confidence; here it is measured on the test images, which neither training nor promise has seen. Then the same bundle
is asked about other photographs and about CIFAR-10: what share it refuses, and the AUROC of its score of unlike images.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from options import data_folder, parser, read, tell
from receipt import Row, Session, write_receipt

import striate
from striate.bundle.bundle import Answers, Bundle
from striate.exporting.export import Exported
from striate.text.figures import wilson

# 1 % is refused: so many answers without a mistake are not among 869 validation images.
RISK = 0.02


def main() -> None:
    """Measure and write."""
    options = read(parser(__doc__, rounds=1))
    photos = data_folder(options, "caltech26")
    others = [data_folder(options, name) for name in ("imagenet-sample", "cifar-10-batches-bin")]
    session = Session()
    with tempfile.TemporaryDirectory() as folder:
        tell("training")
        run = striate.train(
            photos, transfer=True, freeze="body", epochs=2 if options.quick else 12, val_share=0.5,
            out=Path(folder) / "run", device="cpu",
        )  # fmt: skip
        tell("export")
        risk = 0.2 if options.quick else RISK
        made = run.export(Path(folder) / "bundle", wrong_at_most=risk, unlike=others, speed=False)
        tell("test images")
        answers, truth = asked(made.bundle, photos / "test")
        rows = [*promised(made, answers, truth, risk), *unlike(made, answers)]
    write_receipt(
        "reject", rows, session, rounds=1, quick=options.quick, out=options.out, peers={},
        settings={"promise": f"{100 * risk:g} % wrong at most", "trained": "--transfer --freeze body, half held out"},
    )  # fmt: skip


def asked(bundle: Bundle, folder: Path) -> tuple[Answers, NDArray[np.int64]]:
    """What the bundle says of images in class folders, and the place of the class of each."""
    files = sorted(folder.rglob("*.jpg"))
    return bundle.answer(files), np.array([bundle.classes.index(file.parent.name) for file in files])


def promised(made: Exported, answers: Answers, truth: NDArray[np.int64], risk: float) -> list[Row]:
    """The share of wrong answers beside what was promised, and what it costs."""
    sure = made.certificate.calibration
    promise = sure.promise(risk)
    assert promise is not None
    right, kept = answers.labels == truth, ~answers.reject
    wrong, count = int((~right & kept).sum()), int(kept.sum())
    low, high = wilson(wrong / count, count)
    return [
        Row(
            what=f"wrong among the answers to {len(truth):,} test images",
            peer=f"{100 * risk:g} % wrong at most, as promised",
            unit="%",
            better="lower",
            ours=[100 * wrong / count],
            theirs=[100 * risk],
            figures={
                "interval of 95 %, %": [100 * low, 100 * high],
                "wrong answers": [wrong],
                "answers": [count],
                "answered of the test images, %": [100 * count / len(truth)],
                "answered of the validation images, %": [100 * promise.coverage],
                "probability from which it answers": [promise.threshold],
                "calibration error before the temperature, %": [100 * sure.ece_before],
                "after, %": [100 * sure.ece_after],
            },
            note=f"promised from {sure.images:,} validation images",
        ),
        Row(
            what="right of all test images, were all answered",
            peer="among those that are answered",
            unit="%",
            better="neither",
            ours=[100 * float(right.mean())],
            theirs=[100 * (1 - wrong / count)],
        ),
    ]


def unlike(made: Exported, answers: Answers) -> list[Row]:
    """How the answers to images of other data sets are told from those to the test images."""
    usual = float(answers.reject.mean())
    return [
        Row(
            what=f'"I don\'t know" to {each.images:,} images of {each.source}',
            peer="to the test images",
            unit="%",
            better="higher",
            ours=[100 * each.refused],
            theirs=[100 * usual],
            figures={"AUROC of the score of unlike images": [each.auroc]},
            note="they show none of the 26 classes, but for some photographs that do",
        )
        for each in made.certificate.others
    ]


if __name__ == "__main__":
    main()
