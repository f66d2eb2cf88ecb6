"""Chance: known answers, evenness, and independence."""

from __future__ import annotations

import numpy as np
import pytest

from striate.data.augment.chance import _GOLDEN, Chance, Stream, _mix, balanced, shuffled, uniform


def test_splitmix64_known_answers() -> None:
    # Sebastiano Vigna's splitmix64.c with the state 1234567.
    known = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    steps = np.arange(5, dtype=np.uint64) * _GOLDEN
    assert _mix(np.uint64(1234567) + steps).tolist() == known


def test_sequences_are_splitmix64_from_a_beginning_of_their_own() -> None:
    found = Chance(1, 2, np.array([5, 9])).sequences(4, Stream.NOISE)
    assert found.shape == (2, 4)
    assert len(set(found.ravel().tolist())) == 8
    longer = Chance(1, 2, np.array([9])).sequences(6, Stream.NOISE)
    assert longer[0, :4].tolist() == found[1].tolist()


def test_uniform_is_even_and_below_one() -> None:
    found = uniform(0, 0, np.arange(100_000), Stream.FLIP)
    assert found.min() >= 0
    assert found.max() < 1
    counts = np.histogram(found, 20, (0, 1))[0]
    # Chi squared with 19 degrees of freedom: above 43.8 once in a thousand.
    assert ((counts - 5000) ** 2 / 5000).sum() < 43.8


def test_streams_seeds_and_epochs_are_apart() -> None:
    images = np.arange(20_000)
    drawn = [uniform(0, 0, images, stream) for stream in Stream]
    drawn += [uniform(1, 0, images, Stream.FLIP), uniform(0, 1, images, Stream.FLIP)]
    assert np.abs(np.corrcoef(drawn) - np.eye(len(drawn))).max() < 0.035


def test_no_two_uses_share_a_stream() -> None:
    assert sorted(Stream) == list(range(len(Stream)))
    assert len(Stream.__members__) == len(Stream)


def test_the_streams_keep_their_numbers() -> None:
    names = "ORDER TOP LEFT FLIP VFLIP ANGLE AREA ASPECT BRIGHTNESS CONTRAST SATURATION GREY NOISE CUTOUT_ROW CUTOUT_COLUMN MIXUP ASIDE"
    assert [each.name for each in Stream] == names.split()


def slowly(seed: int, epoch: int, image: int, stream: int) -> float:
    """The formula in whole numbers of Python."""
    golden, word = 0x9E3779B97F4A7C15, 2**64 - 1

    def mix(x: int) -> int:
        z = (x + golden) & word
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & word
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & word
        return z ^ (z >> 31)

    key = mix(mix((seed + golden) & word) ^ epoch) + stream * golden
    return (mix(mix((image + key) & word)) >> 11) / 2**53


@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1])
@pytest.mark.parametrize("stream", [Stream.ORDER, Stream.FLIP, Stream.MIXUP])
def test_what_is_drawn_stays_what_it_is(seed: int, stream: Stream) -> None:
    # Runs that were stopped must go on as they began: the formula and the streams may never change.
    images = np.array([0, 1, 10**12])
    found = uniform(seed, 3, images, stream).tolist()
    assert found == [slowly(seed, 3, image, stream) for image in images.tolist()]
    assert found != [slowly(seed, 4, image, stream) for image in images.tolist()]


def test_parts_draw_what_the_whole_draws() -> None:
    images = np.array([4, 4, 8, 1, 0])
    whole = Chance(3, 2, images)
    parts = list(Chance(3, 2, images).parts(2))
    assert [part.indices(5) for part, _ in parts] == [(0, 2, 1), (2, 4, 1), (4, 5, 1)]
    for part, chance in parts:
        assert chance.images.tolist() == images[part].tolist()
        assert chance.uniform(Stream.TOP).tolist() == whole.uniform(Stream.TOP)[part].tolist()
        assert chance.below(9, Stream.LEFT).tolist() == whole.below(9, Stream.LEFT)[part].tolist()
        found, expected = chance.sequences(3, Stream.NOISE), whole.sequences(3, Stream.NOISE)[part]
        assert found.tolist() == expected.tolist()


def test_below_reaches_every_number_and_no_other() -> None:
    found = Chance(0, 0, np.arange(1000)).below(7, Stream.TOP)
    assert sorted(set(found.tolist())) == list(range(7))
    assert set(Chance(0, 0, np.arange(100)).below(1, Stream.TOP).tolist()) == {0}


def test_uniform_between() -> None:
    found = Chance(0, 0, np.arange(1000)).uniform(Stream.ANGLE, -3, 5)
    assert found.min() == pytest.approx(-3, abs=0.05)
    assert found.max() == pytest.approx(5, abs=0.05)


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_shuffled(count: int) -> None:
    order = shuffled(count, 1, 2)
    assert sorted(order.tolist()) == list(range(count))
    if count == 1000:
        assert order.tolist() != list(range(count))
        assert order.tolist() != shuffled(count, 1, 3).tolist()
        assert order.tolist() != shuffled(count, 2, 2).tolist()
        assert order.tolist() == shuffled(count, 1, 2).tolist()


def test_balanced_classes_come_equally_often() -> None:
    """8 of one class, 192 of another, 3 of a third: 66 or 67 of each, and nothing of a larger class twice."""
    labels = np.repeat([0, 1, 2], [8, 192, 3])
    seen = set()
    for epoch in range(3):
        drawn = balanced(labels, 5, epoch)
        places, turns = drawn % 203, drawn // 203
        assert len(drawn) == len(set(drawn.tolist())) == 203
        assert sorted(np.bincount(labels[places]).tolist()) == [67, 68, 68]
        assert turns[labels[places] == 1].max() == 0
        counts = np.bincount(places, minlength=203)
        assert set(counts[:8].tolist()) <= {8, 9}
        assert set(counts[200:].tolist()) <= {22, 23}
        # Mixed well: the first half is of all classes alike, too.
        assert np.bincount(labels[places[:100]], minlength=3).min() >= 15
        seen.add(drawn.tobytes())
    assert len(seen) == 3
    assert (balanced(labels, 5, 2) == drawn).all()
