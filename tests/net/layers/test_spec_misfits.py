"""Layers that do not fit: the whole error of each, and its cure applied."""

from __future__ import annotations

import re

import pytest

from striate.errors import FitError
from striate.net.layers.argument import Misfit
from striate.net.layers.convolution import Conv
from striate.net.layers.value import Name
from striate.net.layout.layout import Layout, joined, lay, make_layer
from striate.net.network import Flow, Network, Step, Word
from striate.net.notation.reader import read_text
from striate.net.shape import Flat, Map

# A text, its input, texts mended by each cure, and the error.  There are 10 classes.
MISFITS: list[tuple[str, Map, list[str], str]] = [
    ("conv 384 11x11 valid", Map(256, 8, 8), ["conv 384 8x8 valid", "conv 384 11x11 pad 2"], """\
network:1:1: the 11x11 window does not fit: the map here is 8x8 and no padding was given
    1 | conv 384 11x11 valid
      | ^^^^^^^^^^^^^^^^^^^^    the input is 256x8x8
  expected: dilate*(F-1)+1 <= N + 2P
  try: a window of at most 8x8, or pad 2"""),
    ("maxpool 3x3 stride 2 -> conv 384 11x11 valid", Map(256, 17, 17), ["maxpool 3x3 stride 2 -> conv 384 8x8 valid", "maxpool 3x3 stride 2 -> conv 384 11x11 pad 2"], """\
network:1:25: the 11x11 window does not fit: the map here is 8x8 and no padding was given
    1 | maxpool 3x3 stride 2 -> conv 384 11x11 valid
      |                         ^^^^^^^^^^^^^^^^^^^^    after `maxpool 3x3 stride 2`, 256x8x8
  expected: dilate*(F-1)+1 <= N + 2P
  try: a window of at most 8x8, or pad 2"""),
    ("conv 8 5x3 valid", Map(3, 4, 9), ["conv 8 4x9 valid", "conv 8 5x3 pad 1x0"], """\
network:1:1: the 5x3 window does not fit: the map here is 4x9 and no padding was given
    1 | conv 8 5x3 valid
      | ^^^^^^^^^^^^^^^^    the input is 3x4x9
  expected: dilate*(F-1)+1 <= N + 2P
  try: a window of at most 4x9, or pad 1x0"""),
    ("conv 8 7 pad 1", Map(3, 4, 4), ["conv 8 6x6 pad 1", "conv 8 7 pad 2"], """\
network:1:1: the 7x7 window does not fit: the map here is 4x4 and the padding is 1
    1 | conv 8 7 pad 1
      | ^^^^^^^^^^^^^^    the input is 3x4x4
  expected: dilate*(F-1)+1 <= N + 2P
  try: a window of at most 6x6, or pad 2"""),
    ("conv 8 3 dilate 4 valid", Map(3, 8, 8), ["conv 8 2x2 dilate 4 valid", "conv 8 3 dilate 4 pad 1"], """\
network:1:1: the 9x9 (dilated) window does not fit: the map here is 8x8 and no padding was given
    1 | conv 8 3 dilate 4 valid
      | ^^^^^^^^^^^^^^^^^^^^^^^    the input is 3x8x8
  expected: dilate*(F-1)+1 <= N + 2P
  try: a window of at most 2x2, or pad 1"""),
    ("conv 8 3x3 dilate 2x4 pad 1", Map(3, 6, 6), ["conv 8 4x2 dilate 2x4 pad 1", "conv 8 3x3 dilate 2x4 pad 1x2"], """\
network:1:1: the 5x9 (dilated) window does not fit: the map here is 6x6 and the padding is 1
    1 | conv 8 3x3 dilate 2x4 pad 1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^    the input is 3x6x6
  expected: dilate*(F-1)+1 <= N + 2P
  try: a window of at most 4x2, or pad 1x2"""),
    ("maxpool 3", Map(3, 2, 2), ["maxpool 2x2", "maxpool 3 pad 1"], """\
network:1:1: the 3x3 window does not fit: the map here is 2x2 and no padding was given
    1 | maxpool 3
      | ^^^^^^^^^    the input is 3x2x2
  expected: dilate*(F-1)+1 <= N + 2P
  try: a window of at most 2x2, or pad 1"""),
    ("avgpool 4x2", Map(3, 2, 2), ["avgpool 2x2", "avgpool 4x2 pad 1x0"], """\
network:1:1: the 4x2 window does not fit: the map here is 2x2 and no padding was given
    1 | avgpool 4x2
      | ^^^^^^^^^^^    the input is 3x2x2
  expected: dilate*(F-1)+1 <= N + 2P
  try: a window of at most 2x2, or pad 1x0"""),
    ("maxpool 5 pad 1", Map(3, 1, 1), ["maxpool 3x3 pad 1", "maxpool 5 pad 2"], """\
network:1:1: the 5x5 window does not fit: the map here is 1x1 and the padding is 1
    1 | maxpool 5 pad 1
      | ^^^^^^^^^^^^^^^    the input is 3x1x1
  expected: dilate*(F-1)+1 <= N + 2P
  try: a window of at most 3x3, or pad 2"""),
    ("conv 8 2x2", Map(3, 8, 8), ["conv 8 2x2 same"], """\
network:1:1: a window of 2x2 has no middle, so the usual padding dilate*(F-1)/2 is not whole
    1 | conv 8 2x2
      | ^^^^^^^^^^    the input is 3x8x8
  expected: an odd window, or the padding said
  try: same, which keeps the size at stride 1"""),
    ("conv 8 3x4", Map(3, 8, 8), ["conv 8 3x4 same"], """\
network:1:1: a window of 3x4 has no middle, so the usual padding dilate*(F-1)/2 is not whole
    1 | conv 8 3x4
      | ^^^^^^^^^^    the input is 3x8x8
  expected: an odd window, or the padding said
  try: same, which keeps the size at stride 1"""),
    ("conv 8 4 dilate 3", Map(3, 8, 8), ["conv 8 4 dilate 3 same"], """\
network:1:1: a window of 4x4 has no middle, so the usual padding dilate*(F-1)/2 is not whole
    1 | conv 8 4 dilate 3
      | ^^^^^^^^^^^^^^^^^    the input is 3x8x8
  expected: an odd window, or the padding said
  try: same, which keeps the size at stride 1"""),
    ("conv 8 3 pad 1 valid", Map(3, 8, 8), ["conv 8 3 pad 1", "conv 8 3 valid"], """\
network:1:1: the padding is given twice
    1 | conv 8 3 pad 1 valid
      | ^^^^^^^^^^^^^^^^^^^^    the input is 3x8x8
  expected: one of pad, valid and same
  try: leave out all but one"""),
    ("conv 9 3 groups 2", Map(4, 8, 8), ["conv 9 3 groups 1"], """\
network:1:1: groups 2 does not divide the 9 output channels
    1 | conv 9 3 groups 2
      | ^^^^^^^^^^^^^^^^^    the input is 4x8x8
  expected: groups that divide the channels of the input and of the output
  try: groups 1"""),
    ("conv 8 3 groups 3", Map(4, 8, 8), ["conv 8 3 groups 2"], """\
network:1:1: groups 3 does not divide the 4 input channels
    1 | conv 8 3 groups 3
      | ^^^^^^^^^^^^^^^^^    the input is 4x8x8
  expected: groups that divide the channels of the input and of the output
  try: groups 2"""),
    ("conv 12 3 groups 8", Map(18, 8, 8), ["conv 12 3 groups 6"], """\
network:1:1: groups 8 does not divide the 18 input channels
    1 | conv 12 3 groups 8
      | ^^^^^^^^^^^^^^^^^^    the input is 18x8x8
  expected: groups that divide the channels of the input and of the output
  try: groups 6"""),
    ("maxpool 3 pad 2", Map(3, 8, 8), ["maxpool 3 pad 1"], """\
network:1:1: pad 2 lets a window of 3 lie wholly in the padding
    1 | maxpool 3 pad 2
      | ^^^^^^^^^^^^^^^    the input is 3x8x8
  expected: pad <= F/2
  try: pad 1"""),
    ("maxpool 2x4 pad 2", Map(3, 8, 8), ["maxpool 2x4 pad 1"], """\
network:1:1: pad 2 lets a window of 2 lie wholly in the padding
    1 | maxpool 2x4 pad 2
      | ^^^^^^^^^^^^^^^^^    the input is 3x8x8
  expected: pad <= F/2
  try: pad 1"""),
    ("maxpool 5x2 pad 3", Map(3, 8, 8), ["maxpool 5x2 pad 1"], """\
network:1:1: pad 3 lets a window of 5 lie wholly in the padding
    1 | maxpool 5x2 pad 3
      | ^^^^^^^^^^^^^^^^^    the input is 3x8x8
  expected: pad <= F/2
  try: pad 1"""),
    ("widen 2", Map(3, 8, 8), ["conv 2 1x1"], """\
network:1:1: widen 2 would drop channels: there are 3
    1 | widen 2
      | ^^^^^^^    the input is 3x8x8
  expected: at least 3
  try: conv 2 1x1, which can have fewer"""),
    ("depthpool max 2", Map(3, 8, 8), ["conv 4 -> depthpool max 2"], """\
network:1:1: 2 does not divide the 3 channels here
    1 | depthpool max 2
      | ^^^^^^^^^^^^^^^    the input is 3x8x8
  expected: a number that divides the channels
  try: 4 channels in the layer before"""),
    ("conv 8 -> maxout 3", Map(3, 8, 8), ["conv 9 -> maxout 3"], """\
network:1:11: 3 does not divide the 8 channels here
    1 | conv 8 -> maxout 3
      |           ^^^^^^^^    after `conv 8`, 8x8x8
  expected: a number that divides the channels
  try: 9 channels in the layer before"""),
    ("fc 10 -> conv 3", Map(3, 8, 8), ["conv 3 -> fc 10"], """\
network:1:10: `conv` needs feature maps, and here are 10 plain features
    1 | fc 10 -> conv 3
      |          ^^^^^^    after `fc 10`, 10 numbers
  expected: channels x height x width
  try: `conv` before the first fc or flatten"""),
    ("flatten -> maxpool 2", Map(3, 8, 8), ["maxpool 2 -> flatten"], """\
network:1:12: `maxpool` needs feature maps, and here are 192 plain features
    1 | flatten -> maxpool 2
      |            ^^^^^^^^^    after `flatten`, 192 numbers
  expected: channels x height x width
  try: `maxpool` before the first fc or flatten"""),
    ("fc 10 -> lrn", Map(3, 8, 8), ["lrn -> fc 10"], """\
network:1:10: `lrn` needs feature maps, and here are 10 plain features
    1 | fc 10 -> lrn
      |          ^^^    after `fc 10`, 10 numbers
  expected: channels x height x width
  try: `lrn` before the first fc or flatten"""),
    ("fc 1 -> grey", Map(3, 8, 8), ["grey -> fc 1"], """\
network:1:9: `grey` needs feature maps, and here is 1 plain feature
    1 | fc 1 -> grey
      |         ^^^^    after `fc 1`, 1 number
  expected: channels x height x width
  try: `grey` before the first fc or flatten"""),
    ("fc 4 -> pool avg", Map(3, 8, 8), ["pool avg -> fc 4"], """\
network:1:9: `pool` needs feature maps, and here are 4 plain features
    1 | fc 4 -> pool avg
      |         ^^^^^^^^    after `fc 4`, 4 numbers
  expected: channels x height x width
  try: `pool` before the first fc or flatten"""),
    ("fc 4 -> dropout2d", Map(3, 8, 8), ["dropout2d -> fc 4"], """\
network:1:9: `dropout2d` needs feature maps, and here are 4 plain features
    1 | fc 4 -> dropout2d
      |         ^^^^^^^^^    after `fc 4`, 4 numbers
  expected: channels x height x width
  try: `dropout2d` before the first fc or flatten"""),
    ("fc 4 -> filter blur", Map(3, 8, 8), ["filter blur -> fc 4"], """\
network:1:9: `filter` needs feature maps, and here are 4 plain features
    1 | fc 4 -> filter blur
      |         ^^^^^^^^^^^    after `fc 4`, 4 numbers
  expected: channels x height x width
  try: `filter` before the first fc or flatten"""),
    ("fc 4 -> widen 8", Map(3, 8, 8), ["widen 8 -> fc 4"], """\
network:1:9: `widen` needs feature maps, and here are 4 plain features
    1 | fc 4 -> widen 8
      |         ^^^^^^^    after `fc 4`, 4 numbers
  expected: channels x height x width
  try: `widen` before the first fc or flatten"""),
    ("fc 4 -> local 8", Map(3, 8, 8), ["local 8 -> fc 4"], """\
network:1:9: `local` needs feature maps, and here are 4 plain features
    1 | fc 4 -> local 8
      |         ^^^^^^^    after `fc 4`, 4 numbers
  expected: channels x height x width
  try: `local` before the first fc or flatten"""),
    ("add { conv 16 3x3 stride 2 | identity }", Map(8, 8, 8), ["add { conv 16 3x3 stride 2 | identity -> conv 16 1x1 stride 2 }"], """\
network:1:1: the branches of `add` differ: 16x4x4 and 8x8x8
    1 | add { conv 16 3x3 stride 2 | identity }
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^    the input is 8x8x8
  expected: the same shape from every branch
  try: conv 16 1x1 stride 2 at the end of the branch that gives 8x8x8"""),
    ("add { conv 16 3x3 | identity }", Map(8, 8, 8), ["add { conv 16 3x3 | identity -> conv 16 1x1 }"], """\
network:1:1: the branches of `add` differ: 16x8x8 and 8x8x8
    1 | add { conv 16 3x3 | identity }
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^    the input is 8x8x8
  expected: the same shape from every branch
  try: conv 16 1x1 at the end of the branch that gives 8x8x8"""),
    ("add { conv 16 3x3 stride 2x3 | identity }", Map(8, 9, 9), ["add { conv 16 3x3 stride 2x3 | identity -> conv 16 1x1 stride 2x3 }"], """\
network:1:1: the branches of `add` differ: 16x5x3 and 8x9x9
    1 | add { conv 16 3x3 stride 2x3 | identity }
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^    the input is 8x9x9
  expected: the same shape from every branch
  try: conv 16 1x1 stride 2x3 at the end of the branch that gives 8x9x9"""),
    ("add { conv 16 3x3 valid | identity }", Map(8, 8, 8), ["add { conv 16 3x3 valid | conv 16 3x3 valid }"], """\
network:1:1: the branches of `add` differ: 16x6x6 and 8x8x8
    1 | add { conv 16 3x3 valid | identity }
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^    the input is 8x8x8
  expected: the same shape from every branch
  try: the same channels, stride and padding in every branch"""),
    ("add { conv 8 3x3 | identity | conv 8 3x3 stride 2 }", Map(8, 8, 8), ["add { conv 8 3x3 -> conv 8 1x1 stride 2 | identity -> conv 8 1x1 stride 2 | conv 8 3x3 stride 2 }"], """\
network:1:1: the branches of `add` differ: 8x8x8 and 8x4x4
    1 | add { conv 8 3x3 | identity | conv 8 3x3 stride 2 }
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^    the input is 8x8x8
  expected: the same shape from every branch
  try: conv 8 1x1 stride 2 at the end of the branch that gives 8x8x8"""),
    ("add { conv 4 | conv 8 | conv 16 }", Map(8, 8, 8), ["add { conv 16 | conv 16 | conv 16 }"], """\
network:1:1: the branches of `add` differ: 4x8x8 and 8x8x8 and 16x8x8
    1 | add { conv 4 | conv 8 | conv 16 }
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^    the input is 8x8x8
  expected: the same shape from every branch
  try: the same channels, stride and padding in every branch"""),
    ("add { fc 10 | fc 20 }", Map(8, 8, 8), ["add { fc 10 -> fc 20 | fc 20 }"], """\
network:1:1: the branches of `add` differ: 10 and 20
    1 | add { fc 10 | fc 20 }
      | ^^^^^^^^^^^^^^^^^^^^^    the input is 8x8x8
  expected: the same shape from every branch
  try: fc 20 at the end of the branch that gives 10"""),
    ("add { fc 10 | identity }", Map(8, 8, 8), ["add { fc 10 | identity -> fc 10 }"], """\
network:1:1: the branches of `add` differ: 10 and 8x8x8
    1 | add { fc 10 | identity }
      | ^^^^^^^^^^^^^^^^^^^^^^^^    the input is 8x8x8
  expected: the same shape from every branch
  try: fc 10 at the end of the branch that gives 8x8x8"""),
    ("fc 10 -> add { fc 20 | identity }", Map(8, 8, 8), ["fc 10 -> add { fc 20 | identity -> fc 20 }"], """\
network:1:10: the branches of `add` differ: 20 and 10
    1 | fc 10 -> add { fc 20 | identity }
      |          ^^^^^^^^^^^^^^^^^^^^^^^^    after `fc 10`, 10 numbers
  expected: the same shape from every branch
  try: fc 20 at the end of the branch that gives 10"""),
    ("concat { conv 16 3x3 stride 2 | identity }", Map(8, 8, 8), ["concat { conv 16 3x3 stride 2 | conv 8 1x1 stride 2 }"], """\
network:1:1: the branches of `concat` differ: 16x4x4 and 8x8x8
    1 | concat { conv 16 3x3 stride 2 | identity }
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^    the input is 8x8x8
  expected: the same height and width from every branch
  try: the same stride and padding in every branch"""),
    ("concat { fc 10 | identity }", Map(8, 8, 8), ["concat { fc 10 -> flatten | identity -> flatten }"], """\
network:1:1: the branches of `concat` differ: 10 and 8x8x8
    1 | concat { fc 10 | identity }
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^    the input is 8x8x8
  expected: the same height and width from every branch
  try: flatten at the end of every branch"""),
    ("conv ?(3,4)", Map(3, 8, 8), ["conv 3", "conv 4"], """\
network:1:1: the hole ?(3, 4) is not filled
    1 | conv ?(3,4)
      | ^^^^^^^^^^^    the input is 3x8x8
  expected: a value
  try: one of its values in its place; `striate search DATA --net TEXT` tries them"""),
    ("relu x ?(1 .. 3)", Map(3, 8, 8), ["relu x2"], """\
network:1:1: the hole ?(1 .. 3) is not filled
    1 | relu x ?(1 .. 3)
      | ^^^^    the input is 3x8x8
  expected: a value
  try: one of its values in its place; `striate search DATA --net TEXT` tries them"""),
    ("let f(n) = conv n 3x3; f(0)", Map(3, 8, 8), ["let f(n) = conv n 3x3; f(1)"], """\
network:1:12: channels cannot be 0
    1 | let f(n) = conv n 3x3; f(0)
      |            ^^^^^^^^^^    the input is 3x8x8, in `f(0)` at 1:24
  expected: channels: a whole number from 1
  try: 1 in place of 0"""),
    ("let f(n) = conv n 3x3; f(2.5)", Map(3, 8, 8), ["let f(n) = conv n 3x3; f(3)"], """\
network:1:12: channels cannot be 2.5
    1 | let f(n) = conv n 3x3; f(2.5)
      |            ^^^^^^^^^^    the input is 3x8x8, in `f(2.5)` at 1:24
  expected: channels: a whole number from 1
  try: 3 in place of 2.5"""),
    ("let f(n) = conv n 3x3; f(3x3)", Map(3, 8, 8), ["let f(n) = conv n 3x3; f(3)"], """\
network:1:12: channels cannot be 3x3
    1 | let f(n) = conv n 3x3; f(3x3)
      |            ^^^^^^^^^^    the input is 3x8x8, in `f(3x3)` at 1:24
  expected: channels: a whole number from 1
  try: 3 in place of 3x3"""),
    ("let f(p) = dropout p; relu -> f(50)", Map(3, 8, 8), ["let f(p) = dropout p; relu -> f(0.5)"], """\
network:1:12: share cannot be 50
    1 | let f(p) = dropout p; relu -> f(50)
      |            ^^^^^^^^^    after `relu`, 3x8x8, in `f(50)` at 1:31
  expected: share: a number from 0 to 0.999
  try: 0.5 in place of 50"""),
    ("let f(n) = relu x n; f(0)", Map(3, 8, 8), ["let f(n) = relu x n; f(2)"], """\
network:1:12: cannot repeat 0 times
    1 | let f(n) = relu x n; f(0)
      |            ^^^^    the input is 3x8x8, in `f(0)` at 1:22
  expected: a whole number from 1 to 20000
  try: 2 in place of 0"""),
    ("let f(n) = relu x n; f(1.5)", Map(3, 8, 8), ["let f(n) = relu x n; f(2)"], """\
network:1:12: cannot repeat 1.5 times
    1 | let f(n) = relu x n; f(1.5)
      |            ^^^^    the input is 3x8x8, in `f(1.5)` at 1:22
  expected: a whole number from 1 to 20000
  try: 2 in place of 1.5"""),
    ("let f(n) = relu x n; f(30000)", Map(3, 8, 8), ["let f(n) = relu x n; f(2)"], """\
network:1:12: cannot repeat 30000 times
    1 | let f(n) = relu x n; f(30000)
      |            ^^^^    the input is 3x8x8, in `f(30000)` at 1:22
  expected: a whole number from 1 to 20000
  try: 2 in place of 30000"""),
    ("let f(n) = relu x n; f(3x3)", Map(3, 8, 8), ["let f(n) = relu x n; f(3)"], """\
network:1:12: 3x3 is not a number
    1 | let f(n) = relu x n; f(3x3)
      |            ^^^^    the input is 3x8x8, in `f(3x3)` at 1:22
  expected: a number
  try: 3 in place of 3x3"""),
    ("let f(w) = aux w { relu }; f(3x3)", Map(3, 8, 8), ["let f(w) = aux w { relu }; f(3)"], """\
network:1:12: 3x3 is not a number
    1 | let f(w) = aux w { relu }; f(3x3)
      |            ^^^^^^^^^^^^^^    the input is 3x8x8, in `f(3x3)` at 1:28
  expected: a number
  try: 3 in place of 3x3"""),
    ("conv 1000000000 -> conv 1000000000", Map(3, 8, 8), ["conv 1000000 -> conv 1000"], """\
network:1:20: 1,000,000,001,000,000,000 weights are more than any machine holds
    1 | conv 1000000000 -> conv 1000000000
      |                    ^^^^^^^^^^^^^^^    after `conv 1000000000`, 1000000000x8x8
  expected: at most 1,000,000,000,000
  try: a smaller layer, or a pool before it"""),
    ("widen 1000000000", Map(3, 4096, 4096), [], """\
network:1:1: 16,777,216,000,000,000 numbers in its output are more than any machine holds
    1 | widen 1000000000
      | ^^^^^^^^^^^^^^^^    the input is 3x4096x4096
  expected: at most 1,000,000,000,000
  try: a smaller layer, or a pool before it"""),
    ("conv 8 3x3 stride classes -> conv 8 9x9 valid", Map(3, 30, 30), [], """\
network:1:30: the 9x9 window does not fit: the map here is 3x3 and no padding was given
    1 | conv 8 3x3 stride classes -> conv 8 9x9 valid
      |                              ^^^^^^^^^^^^^^^^    after `conv 8 3x3 stride classes`, 8x3x3
  expected: dilate*(F-1)+1 <= N + 2P
  try: a window of at most 3x3, or pad 3"""),
    ("pool avg channels -> conv 8 classes valid", Map(3, 8, 8), [], """\
network:1:22: the 10x10 window does not fit: the map here is 3x3 and no padding was given
    1 | pool avg channels -> conv 8 classes valid
      |                      ^^^^^^^^^^^^^^^^^^^^    after `pool avg channels`, 3x3x3
  expected: dilate*(F-1)+1 <= N + 2P
  try: a window of at most 3x3, or pad 4"""),
]  # fmt: skip

# Cures that say what to think about; the mended text is one way to do it.
PROSE = {
    "leave out all but one",
    "the same channels, stride and padding in every branch",
    "the same stride and padding in every branch",
    "a smaller layer, or a pool before it",
    "one of its values in its place; `striate search DATA --net TEXT` tries them",
}


def misfit(text: str, image: Map) -> FitError:
    with pytest.raises(FitError) as caught:
        lay(read_text(text), image, 10)
    return caught.value


@pytest.mark.parametrize(("text", "image", "mended", "error"), MISFITS, ids=[row[0] for row in MISFITS])
def test_the_whole_error(text: str, image: Map, mended: list[str], error: str) -> None:
    assert str(misfit(text, image)) == error


def said(cure: str) -> list[str]:
    """The pieces of a cure that are to be typed."""
    layer = re.fullmatch(r"`(\w+)` before the first fc or flatten", cure)
    if layer:
        return [f"{layer[1]}"]
    plain = re.sub(r" in place of .*| at the end of .*|, which .*| channels in the layer before", "", cure)
    return plain.replace("a window of at most ", "").split(", or ")


@pytest.mark.parametrize(("text", "image", "mended", "error"), MISFITS, ids=[row[0] for row in MISFITS])
def test_the_cure_cures(text: str, image: Map, mended: list[str], error: str) -> None:
    cure = misfit(text, image).cure
    if cure not in PROSE:
        # Each piece of the cure stands in a mended text where the broken one has something else.
        for piece in said(cure):
            assert any(piece in each and each != text for each in mended) or not mended
    for each in mended:
        lay(read_text(each), image, 10)


def test_nearly_every_cure_is_tried() -> None:
    untried = [text for text, _, mended, _ in MISFITS if not mended]
    assert len(untried) <= 3


def test_the_number_of_classes_is_needed() -> None:
    with pytest.raises(FitError) as caught:
        lay(read_text("relu -> fc classes"), Map(3, 8, 8), None)
    assert str(caught.value) == (
        "network:1:9: the number of classes is not known\n"
        "    1 | relu -> fc classes\n"
        "      |         ^^^^^^^^^^    after `relu`, 3x8x8\n"
        "  expected: images, or the number said\n"
        "  try: --classes 10"
    )


def test_branches_together_larger_than_any_machine() -> None:
    # Each gives 10^9 * 8 * 8 numbers, 16 of them 1.024 * 10^12.
    text = f"concat {{ {' | '.join(['conv 1000000000'] * 16)} }}"
    error = misfit(text, Map(3, 8, 8))
    assert error.problem == "1,024,000,000,000 numbers in its output are more than any machine holds"


def test_an_error_without_a_text_has_no_place() -> None:
    network = Network(Flow((Step(Word("conv", (("channels", 8), ("valid", True), ("kernel", 9)))),)))
    with pytest.raises(FitError) as caught:
        lay(network, Map(3, 8, 8), None)
    assert str(caught.value) == (
        "the 9x9 window does not fit: the map here is 8x8 and no padding was given\n"
        "  expected: dilate*(F-1)+1 <= N + 2P\n"
        "  try: a window of at most 8x8, or pad 1"
    )


ENDS = [
    (
        "conv 8 -> fc 20",
        "network:1:11: the network answers 20 numbers but there are 10 classes\n"
        "    1 | conv 8 -> fc 20\n"
        "      |           ^^^^^\n"
        "  expected: 10 numbers, one logit for each class\n"
        "  try: `fc classes` as the last layer",
        "conv 8 -> fc classes",
    ),
    (
        "conv 10 -> relu",
        "network:1:12: the network answers 10x8x8 but there are 10 classes\n"
        "    1 | conv 10 -> relu\n"
        "      |            ^^^^\n"
        "  expected: 10 numbers, one logit for each class\n"
        "  try: `fc classes` as the last layer",
        "conv 10 -> relu -> fc classes",
    ),
    (
        "fc 20 -> softmax",
        "network:1:1: the network answers 20 numbers but there are 10 classes\n"
        "    1 | fc 20 -> softmax\n"
        "      | ^^^^^\n"
        "  expected: 10 numbers, one logit for each class\n"
        "  try: `fc classes` as the last layer",
        "fc classes -> softmax",
    ),
    (
        "conv 8 -> aux { fc 20 } -> fc 10",
        "network:1:17: the network answers 20 numbers but there are 10 classes\n"
        "    1 | conv 8 -> aux { fc 20 } -> fc 10\n"
        "      |                 ^^^^^\n"
        "  expected: 10 numbers, one logit for each class\n"
        "  try: `fc classes` as the last layer",
        "conv 8 -> aux { fc classes } -> fc 10",
    ),
    (
        "aux { fc 10 }",
        "network:1:1: the network answers 3x8x8 but there are 10 classes\n"
        "    1 | aux { fc 10 }\n"
        "      | ^^^^^^^^^^^^^\n"
        "  expected: 10 numbers, one logit for each class\n"
        "  try: `fc classes` as the last layer",
        "aux { fc 10 } -> fc classes",
    ),
]


def laid(text: str) -> Layout:
    return lay(read_text(text), Map(3, 8, 8), 10)


@pytest.mark.parametrize(("text", "error", "mended"), ENDS, ids=[row[0] for row in ENDS])
def test_a_network_that_does_not_answer_one_logit_for_each_class(text: str, error: str, mended: str) -> None:
    with pytest.raises(FitError) as caught:
        laid(text).require_classes(10)
    assert str(caught.value) == error
    laid(mended).require_classes(10)


@pytest.mark.parametrize(
    "text",
    [
        "fc classes",
        "fc 10 -> softmax",
        "conv classes -> pool avg",
        "aux { pool avg -> fc 10 } -> [fc 10]",
        "concat { fc 4 | fc 6 }",
        "let head = fc classes; add { head | head }",
    ],
)
def test_networks_that_answer_one_logit_for_each_class(text: str) -> None:
    laid(text).require_classes(10)
    with pytest.raises(FitError):
        laid(text).require_classes(11)


def test_joined_refuses_what_cannot_be_added_or_concatenated() -> None:
    assert joined("add", [Map(3, 4, 4), Map(3, 4, 4)]) == Map(3, 4, 4)
    assert joined("concat", [Map(3, 4, 4), Map(5, 4, 4)]) == Map(8, 4, 4)
    assert joined("concat", [Flat(3), Flat(5)]) == Flat(8)
    for kind, outputs in (
        ("add", [Map(3, 4, 4), Map(3, 4, 5)]),
        ("add", [Flat(4), Map(4, 1, 1)]),
        ("concat", [Map(3, 4, 4), Map(3, 4, 5)]),
        ("concat", [Flat(4), Map(4, 1, 1)]),
    ):
        with pytest.raises(Misfit, match=rf"^the branches of `{kind}` differ: "):
            joined(kind, outputs)  # type: ignore[arg-type]


def test_make_layer_settles_its_values() -> None:
    assert make_layer(Word("conv"), {"channels": 8.0, "kernel": 3}) == Conv(8, (3, 3))  # type: ignore[arg-type]
    with pytest.raises(Misfit, match=r"^channels cannot be 0$") as caught:
        make_layer(Word("conv"), {"channels": 0})
    assert (caught.value.expected, caught.value.cure) == (
        "channels: a whole number from 1",
        "1 in place of 0",
    )
    for value in (float("inf"), float("nan"), -1, 10**10):
        with pytest.raises(Misfit, match=r"^channels cannot be "):
            make_layer(Word("conv"), {"channels": value})


def test_a_name_that_stands_for_nothing_is_a_defect_not_a_user_error() -> None:
    network = Network(Flow((Step(Word("fc", (("features", Name("nothing")),))),)))
    with pytest.raises(AssertionError):
        lay(network, Map(3, 8, 8), 10)


def test_the_example_of_the_design() -> None:
    text = "conv 256 3x3 -> maxpool 3x3 stride 2\n -> conv 384 11x11 valid"
    with pytest.raises(FitError) as caught:
        lay(read_text(text, "alexnet.net"), Map(3, 17, 17), 1000)
    assert str(caught.value) == (
        "alexnet.net:2:5: the 11x11 window does not fit: the map here is 8x8 and no padding was given\n"
        "    2 |  -> conv 384 11x11 valid\n"
        "      |     ^^^^^^^^^^^^^^^^^^^^    after `maxpool 3x3 stride 2`, 256x8x8\n"
        "  expected: dilate*(F-1)+1 <= N + 2P\n"
        "  try: a window of at most 8x8, or pad 2"
    )
