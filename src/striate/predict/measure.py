"""How good a trained network is on labelled images that it has not been trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from striate.data.files.finding import Finding
from striate.data.labelled import Image, Labelled, Wanted, label_images
from striate.errors import DataError, RunError, counted, nearest
from striate.predict.score import score, worst_mistakes
from striate.predict.summary import score_lines
from striate.progress import Silence, Watch
from striate.report.page import measured_page, notebook_frame
from striate.runs.record import Mistake, PreparationRecord, Score

if TYPE_CHECKING:
    from striate.bundle.bundle import Bundle
    from striate.predict.normalize import Normalization
    from striate.predict.trained import Trained

# Images that go through the network together.
GROUP = 256

# Of the record that `striate test --json` prints.
VERSION = 1

NAMED = 5


@dataclass(frozen=True)
class Candidate:
    """A network that answers, and what it was trained on.

    name: of the run or the network.  count: of its classes.  classes: their names, or None where they are
    not known.  seen: the first 8 bytes of the SHA-256 of the images that it was trained on, where known.
    answer: stored images N x H x W x C -> probabilities N x classes.
    """

    name: str
    count: int
    classes: tuple[str, ...] | None
    preparation: Normalization | PreparationRecord
    seen: frozenset[bytes]
    answer: Callable[[NDArray[Any]], NDArray[np.float32]]


@dataclass(frozen=True, repr=False)
class Measured:
    """What came out.

    network: the run or the network.  data: as the user named it; split: `test`, or `all` of its images.
    left_out: images that could not be used.  seen: how many were in its training, exactly; None where that
    is not known.  by_name: whether classes were matched by their names, or by their order.
    mistakes: as `worst_mistakes` gives them.
    """

    network: str
    data: str
    split: str
    score: Score
    left_out: tuple[Finding, ...]
    seen: int | None
    by_name: bool
    mistakes: list[Mistake]

    def to_record(self) -> dict[str, Any]:
        """As plain values, without the images of the mistakes."""
        return {
            "version": VERSION,
            "network": self.network,
            "data": self.data,
            "split": self.split,
            **self.score.model_dump(),
            "left_out": len(self.left_out),
            "seen_in_training": self.seen,
            "classes_by": "name" if self.by_name else "order",
            "mistakes": [each.model_dump(exclude={"png"}) for each in self.mistakes],
        }

    def page(self) -> str:
        """All of it as one self-contained page of HTML."""
        return str(
            measured_page(self.network, self.data, self.split, self.score, self.mistakes, self.notes())
        )

    def _repr_html_(self) -> str:
        """The page, in a notebook."""
        return notebook_frame(self.page())

    def __str__(self) -> str:
        """What `striate test` prints."""
        return "\n".join(self.lines())

    # At the prompt, too: not a line of all its fields.
    __repr__ = __str__

    def lines(self) -> Iterator[str]:
        """What `striate test` prints."""
        score = self.score
        low, high = score.interval
        for note in self.notes():
            yield f"note      {note}"
        split = "test split" if self.split == "test" else "all images"
        yield (
            f"accuracy {score.accuracy:.2%} of {counted(score.images, 'image')} ({split}; 95 % interval {low:.2%} to "
            f"{high:.2%}), loss {score.loss:.3f}"
        )
        if len(score.classes) > 10:
            yield f"the true class is among the five surest for {score.top5:.2%}"
        yield from score_lines(score)

    def notes(self) -> list[str]:
        """What has to be known to read the figures, a sentence each."""
        found = []
        if self.seen:
            found.append(
                f"{self.seen:,} of {counted(self.score.images, 'image')} were seen in training: the score will "
                "be too optimistic"
            )
        if not self.by_name:
            found.append(
                "the names of the network's classes are not known: they are taken in the order of the data's"
            )
        if self.left_out:
            found.append(f"{counted(len(self.left_out), 'file')} left out, which could not be used")
        return found


def run_candidate(trained: Trained) -> Candidate:
    """A run as a candidate."""
    try:
        content = trained.run.seen.read_bytes()
    except OSError:
        # An earlier striate did not note it.
        content = b""
    seen = frozenset(content[at : at + 8] for at in range(0, len(content), 8))
    known = trained.preparation
    return Candidate(
        str(trained.run.path), len(trained.classes), trained.classes, known, seen, trained.predict_stored
    )


def bundle_candidate(bundle: Bundle) -> Candidate:
    """A bundle as a candidate; nothing of torch is needed to ask it."""

    def answer(images: NDArray[Any]) -> NDArray[np.float32]:
        return bundle.answer_stored(images, wrong_at_most=0).probabilities

    known = bundle.manifest.preprocessing
    return Candidate(str(bundle.path), len(bundle.classes), bundle.classes, known, frozenset(), answer)


@dataclass(frozen=True)
class Answers:
    """What a network answers about labelled images.

    used: the places in `data.items` of those that could be used.  probabilities: N x classes, for them.
    labels: N places among the network's classes.  left_out: the others.  seen: how many were in its training.
    """

    data: Labelled
    wanted: Wanted
    used: list[int]
    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    left_out: list[Finding]
    seen: int

    @property
    def names(self) -> list[str]:
        """Of the images that could be used."""
        return [self.data.items[number].name for number in self.used]

    def stored(self, place: int) -> NDArray[Any]:
        """The image of a place among those that could be used, H x W x C."""
        one = Labelled("", "", "", (), (self.data.items[self.used[place]],), ())
        image = next(iter(one.images(self.wanted)))
        assert isinstance(image, Image)
        return image.values


def measure(candidate: Candidate, source: str | Path, watch: Watch | None = None) -> Measured:
    """Ask a network about labelled images: those of the test split where DATA has one, else all of them.

    Raises DataError where a class of the data is none of the network's, or not one image can be used;
    RunError where `watch` asks to stop.
    """
    data = label_images(source)
    found = answer(candidate, data, watch)
    classes = candidate.classes or data.classes
    known = candidate.preparation
    return Measured(
        network=candidate.name,
        data=data.source,
        split=data.split,
        score=score(found.probabilities, found.labels, classes),
        left_out=tuple(found.left_out),
        seen=found.seen if candidate.seen else None,
        by_name=candidate.classes is not None,
        mistakes=worst_mistakes(
            found.probabilities, found.labels, found.names, classes, known.size, found.stored
        ),
    )


def answer(candidate: Candidate, data: Labelled, watch: Watch | None = None) -> Answers:
    """What a network answers about labelled images.  Raises as `measure`."""
    watch = watch or Silence()
    places = _places(candidate, data)
    known = candidate.preparation
    wanted = Wanted(known.stored_size, known.channels, known.dtype, known.fit, known.values)
    group: list[Image] = []
    used: list[int] = []
    seen = 0
    left_out = [each for each in data.findings if each.left_out]
    rows: list[NDArray[np.float32]] = []
    watch.begin("testing", len(data.items))
    for number, each in enumerate(data.images(wanted)):
        if isinstance(each, Finding):
            left_out.append(each)
        else:
            group.append(each)
            used.append(number)
            seen += bytes.fromhex(each.content[:16]) in candidate.seen
        if len(group) == GROUP:
            rows.append(candidate.answer(np.stack([image.values for image in group])))
            group.clear()
        watch.advance(number + 1, "")
        if watch.stopping():
            raise RunError("stopped; a test leaves nothing behind", cure="the same command again")
    if group:
        rows.append(candidate.answer(np.stack([image.values for image in group])))
    watch.end()
    if not rows:
        raise DataError(
            "not one of its images can be used",
            place=data.source,
            excerpt="\n".join(f"    {each.name}: {each.reason}" for each in left_out[:NAMED]),
            expected="images that can be read",
            cure=f"striate check {data.source}",
        )
    labels = np.array([places[data.items[number].label] for number in used], dtype=np.int64)
    return Answers(data, wanted, used, np.concatenate(rows), labels, left_out, seen)


def _places(candidate: Candidate, data: Labelled) -> list[int]:
    """For each class of the data its place among the network's, by name; by order where names are not known,
    or are the numbers 0, 1, 2, ...
    """
    numbers = data.classes == tuple(map(str, range(len(data.classes))))
    if candidate.classes is None or (numbers and data.classes != candidate.classes[: len(data.classes)]):
        if len(data.classes) != candidate.count:
            raise DataError(
                f"the data have {counted(len(data.classes), 'class', 'classes')}, the network {candidate.count:,}",
                place=data.source,
                expected="the same classes in the same order, as names are not known",
                cure=f"images of all {candidate.count:,} classes, in folders that sort as the network's classes do",
            )
        return list(range(len(data.classes)))
    known = {name: place for place, name in enumerate(candidate.classes)}
    unknown = [name for name in data.classes if name not in known]
    if unknown:
        near = nearest(unknown[0], known)
        shown = ", ".join(candidate.classes[:8]) + (", ..." if len(known) > 8 else "")
        raise DataError(
            f"the network has no class `{unknown[0]}`"
            + (
                f", nor {counted(len(unknown) - 1, 'other', 'others')} of the data"
                if len(unknown) > 1
                else ""
            ),
            place=data.source,
            expected=f"classes of {candidate.name}: {shown}",
            cure=f"name it `{near}` if it is the same, or leave it out" if near else "leave it out",
        )
    return [known[name] for name in data.classes]
