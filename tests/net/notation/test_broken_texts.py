"""Broken texts, the whole error of each, and its cure applied."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from striate.errors import NotationError
from striate.net.notation.reader import read_text

Mend = Callable[[str, NotationError], str] | str | None


def marked(text: str, error: NotationError) -> tuple[int, int]:
    """Where the carets of an error stand in the text."""
    _, line, column = error.place.rsplit(":", 2)
    start = sum(len(each) + 1 for each in text.split("\n")[: int(line) - 1]) + int(column) - 1
    return start, start + error.excerpt.count("^")


def put(text: str, error: NotationError) -> str:
    """The cure in the place of what is marked."""
    start, end = marked(text, error)
    return text[:start] + error.cure.split(" in place of ")[0] + text[end:]


def drop(text: str, error: NotationError) -> str:
    """The text without what is marked."""
    assert error.cure.startswith("leave it out")
    start, end = marked(text, error)
    return text[:start] + text[end:]


def end(text: str, error: NotationError) -> str:
    """The cure behind the text."""
    return text + error.cure


def whole(text: str, error: NotationError) -> str:
    """The cure alone."""
    return error.cure


# A text, how its cure mends it (or the mended text; None where the cure says only what to think about),
# and the error.
BROKEN: list[tuple[str, Mend, str]] = [
    # Nothing, or arrows with nothing beside them.
    ("", whole, """\
network:1:1: there is no network here
    1 |
      | ^
  expected: steps joined by ->
  try: conv 32 3x3 -> relu"""),
    ("# nothing but a comment\n", whole, """\
network:1:1: there is no network here
    1 | # nothing but a comment
      | ^
  expected: steps joined by ->
  try: conv 32 3x3 -> relu"""),
    ("-> relu", whole, """\
network:1:1: unexpected `->`
    1 | -> relu
      | ^^
  expected: a layer such as `conv 32 3x3`, a bracket, or a block
  try: relu"""),
    ("relu ->", drop, """\
network:1:6: the text ends after `->`
    1 | relu ->
      |      ^^
  expected: another step
  try: leave it out"""),
    ("conv 3 ->\n\n# the end\n", drop, """\
network:1:8: the text ends after `->`
    1 | conv 3 ->
      |        ^^
  expected: another step
  try: leave it out"""),
    ("relu -> -> tanh", "relu -> identity -> tanh", """\
network:1:9: there is no step between `->` and `->`
    1 | relu -> -> tanh
      |         ^^
  expected: a layer such as `conv 32 3x3`, a bracket, or a block
  try: identity, which does nothing"""),
    # An argument forgotten.
    ("conv 3x3", whole, """\
network:1:1: `conv` needs channels
    1 | conv 3x3
      | ^^^^
  expected: channels: a whole number from 1
  try: conv 32 3x3"""),
    ("conv 5x5 stride 2 nobias", whole, """\
network:1:1: `conv` needs channels
    1 | conv 5x5 stride 2 nobias
      | ^^^^
  expected: channels: a whole number from 1
  try: conv 32 5x5 stride 2 nobias"""),
    ("maxpool stride 2", whole, """\
network:1:1: `maxpool` needs a kernel
    1 | maxpool stride 2
      | ^^^^^^^
  expected: kernel: a whole number from 1 to 4096 or HEIGHTxWIDTH
  try: maxpool 2"""),
    ("fc", whole, """\
network:1:1: `fc` needs features
    1 | fc
      | ^^
  expected: features: a whole number from 1
  try: fc classes"""),
    ("fc nobias", whole, """\
network:1:1: `fc` needs features
    1 | fc nobias
      | ^^
  expected: features: a whole number from 1
  try: fc classes nobias"""),
    ("pool", whole, """\
network:1:1: `pool` needs a kind
    1 | pool
      | ^^^^
  expected: kind: one of avg, max
  try: maxpool 2"""),
    ("depthpool 2", whole, """\
network:1:1: `depthpool` needs a kind
    1 | depthpool 2
      | ^^^^^^^^^
  expected: kind: one of max, avg
  try: depthpool max 2"""),
    ("filter", whole, """\
network:1:1: `filter` needs a kind
    1 | filter
      | ^^^^^^
  expected: kind: one of sobel-x, sobel-y, laplacian, sharpen, blur, emboss, identity
  try: filter sobel-x"""),
    ("maxout", whole, """\
network:1:1: `maxout` needs pieces
    1 | maxout
      | ^^^^^^
  expected: pieces: a whole number from 2
  try: maxout 2"""),
    ("Local 3x3 valid", whole, """\
network:1:1: `Local` needs channels
    1 | Local 3x3 valid
      | ^^^^^
  expected: channels: a whole number from 1
  try: local 32 3x3 valid"""),
    # An arrow forgotten.
    ("conv 32 3x3 relu", put, """\
network:1:13: `relu` begins a new step
    1 | conv 32 3x3 relu
      |             ^^^^
  expected: -> between two steps
  try: -> relu"""),
    ("conv 32 3x3 [relu]", put, """\
network:1:13: `[` begins a new step
    1 | conv 32 3x3 [relu]
      |             ^
  expected: -> between two steps
  try: -> ["""),
    ("[conv 32 3x3] relu", put, """\
network:1:15: `relu` begins a new step
    1 | [conv 32 3x3] relu
      |               ^^^^
  expected: -> between two steps
  try: -> relu"""),
    ("conv 32 3x3 head: relu", put, """\
network:1:13: `head` begins a new step
    1 | conv 32 3x3 head: relu
      |             ^^^^
  expected: -> between two steps
  try: -> head"""),
    ("relu, tanh", whole, """\
network:1:5: unexpected `,`
    1 | relu, tanh
      |     ^
  expected: -> and another step, or the end of the text
  try: relu -> tanh"""),
    ("relu; tanh", whole, """\
network:1:5: unexpected `;`
    1 | relu; tanh
      |     ^
  expected: -> and another step, or the end of the text
  try: relu -> tanh"""),
    ("relu = tanh", put, """\
network:1:6: unexpected `=`
    1 | relu = tanh
      |      ^
  expected: -> and another step, or the end of the text
  try: ->"""),
    ("relu => tanh", whole, """\
network:1:6: `=>` does not belong here
    1 | relu => tanh
      |      ^^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: relu -> tanh"""),
    ("relu — tanh", whole, """\
network:1:6: `—` does not belong here
    1 | relu — tanh
      |      ^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: relu -> tanh"""),
    ("relu --> tanh", whole, """\
network:1:6: `-->` does not belong here
    1 | relu --> tanh
      |      ^^^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: relu -> tanh"""),
    ("relu > tanh", whole, """\
network:1:6: `>` does not belong here
    1 | relu > tanh
      |      ^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: relu -> tanh"""),
    ("relu ⟶ tanh", whole, """\
network:1:6: `⟶` does not belong here
    1 | relu ⟶ tanh
      |      ^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: relu -> tanh"""),
    # Words of other tools, and words misspelt.
    ("con 32 3x3", put, """\
network:1:1: `con` is not a layer
    1 | con 32 3x3
      | ^^^
  expected: a layer word or a block defined by `let` above
  try: conv"""),
    ("CONVV 32 3x3", put, """\
network:1:1: `CONVV` is not a layer
    1 | CONVV 32 3x3
      | ^^^^^
  expected: a layer word or a block defined by `let` above
  try: conv"""),
    ("batchnorm", put, """\
network:1:1: `batchnorm` is not a layer
    1 | batchnorm
      | ^^^^^^^^^
  expected: a layer word or a block defined by `let` above
  try: bn"""),
    ("Linear 10", whole, """\
network:1:1: `Linear` is not a layer
    1 | Linear 10
      | ^^^^^^
  expected: a layer word or a block defined by `let` above
  try: fc 10"""),
    ("dense 10", whole, """\
network:1:1: `dense` is not a layer
    1 | dense 10
      | ^^^^^
  expected: a layer word or a block defined by `let` above
  try: fc 10"""),
    ("globalavgpool", put, """\
network:1:1: `globalavgpool` is not a layer
    1 | globalavgpool
      | ^^^^^^^^^^^^^
  expected: a layer word or a block defined by `let` above
  try: pool avg"""),
    ("lrelu", put, """\
network:1:1: `lrelu` is not a layer
    1 | lrelu
      | ^^^^^
  expected: a layer word or a block defined by `let` above
  try: leaky"""),
    ("conv32 3x3", whole, """\
network:1:1: `conv32` is not a layer
    1 | conv32 3x3
      | ^^^^^^
  expected: a layer word or a block defined by `let` above
  try: conv 32 3x3"""),
    ("Conv2d(3, 64) -> relu", whole, """\
network:1:1: `Conv2d` is not a layer
    1 | Conv2d(3, 64) -> relu
      | ^^^^^^^^^^^^^
  expected: a layer word or a block defined by `let` above
  try: conv 64 3x3 valid -> relu"""),
    ("nn.MaxPool2d 2", whole, """\
network:1:1: `nn.MaxPool2d` does not belong here
    1 | nn.MaxPool2d 2
      | ^^^^^^^^^^^^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: maxpool 2"""),
    ("torch.nn.ReLU -> tanh", whole, """\
network:1:1: `torch.nn.ReLU` does not belong here
    1 | torch.nn.ReLU -> tanh
      | ^^^^^^^^^^^^^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: relu -> tanh"""),
    ("relu()", put, """\
network:1:1: the arguments of `relu` stand without brackets
    1 | relu()
      | ^^^^^^
  expected: relu alone
  try: relu"""),
    ("conv(32, 3x3)", put, """\
network:1:1: the arguments of `conv` stand without brackets
    1 | conv(32, 3x3)
      | ^^^^^^^^^^^^^
  expected: conv CHANNELS [KERNEL] [stride N] [pad N] [dilate N] [groups N] [valid] [same] [nobias]
  try: conv 32 3x3"""),
    ("conv()", put, """\
network:1:1: the arguments of `conv` stand without brackets
    1 | conv()
      | ^^^^^^
  expected: conv CHANNELS [KERNEL] [stride N] [pad N] [dilate N] [groups N] [valid] [same] [nobias]
  try: conv 32 3x3"""),
    ("conv(32", put, """\
network:1:1: the arguments of `conv` stand without brackets
    1 | conv(32
      | ^^^^^^^
  expected: conv CHANNELS [KERNEL] [stride N] [pad N] [dilate N] [groups N] [valid] [same] [nobias]
  try: conv 32 3x3"""),
    ("conv(32, kernel_size=3)", whole, """\
network:1:1: the arguments of `conv` stand without brackets
    1 | conv(32, kernel_size=3)
      | ^^^^^^^^^^^^^^^^^^^^^^^
  expected: conv CHANNELS [KERNEL] [stride N] [pad N] [dilate N] [groups N] [valid] [same] [nobias]
  try: conv 32 3x3"""),
    ("Residual { relu | identity }", put, """\
network:1:1: `Residual` is not a layer
    1 | Residual { relu | identity }
      | ^^^^^^^^
  expected: a layer word or a block defined by `let` above
  try: add"""),
    ("block(3) -> relu", None, """\
network:1:1: `block` is not a layer
    1 | block(3) -> relu
      | ^^^^^
  expected: a layer word or a block defined by `let` above
  try: let block(...) = ...; above"""),
    ("relu -> zzzzzz", None, """\
network:1:9: `zzzzzz` is not a layer
    1 | relu -> zzzzzz
      |         ^^^^^^
  expected: a layer word or a block defined by `let` above
  try: one of conv, local, whiten, filter, grey, maxpool, avgpool, pool, depthpool, bn, ln, lrn, scale, relu, relu6, leaky, prelu, elu, sigmoid, tanh, gelu, silu, maxout, dropout, dropout2d, droppath, fc, flatten, softmax, identity, widen"""),
    # Arguments that a layer does not have.
    ("conv 32 kernel_size 3x3", whole, """\
network:1:9: the word `kernel_size` is not written
    1 | conv 32 kernel_size 3x3
      |         ^^^^^^^^^^^
  expected: conv CHANNELS [KERNEL] [stride N] [pad N] [dilate N] [groups N] [valid] [same] [nobias]
  try: conv 32 3x3"""),
    ("conv 32 3x3 padding 1", whole, """\
network:1:13: `conv` knows no `padding`
    1 | conv 32 3x3 padding 1
      |             ^^^^^^^
  expected: conv CHANNELS [KERNEL] [stride N] [pad N] [dilate N] [groups N] [valid] [same] [nobias]
  try: conv 32 3x3"""),
    ("conv 32 3x3 stride=2", whole, """\
network:1:13: `stride` needs a number after it
    1 | conv 32 3x3 stride=2
      |             ^^^^^^
  expected: stride: a whole number from 1 to 4096 or HEIGHTxWIDTH
  try: conv 32 3x3 stride 2"""),
    ("conv 32 3x3 stride 2 stride 2", "conv 32 3x3 stride 2", """\
network:1:22: `stride` is given twice
    1 | conv 32 3x3 stride 2 stride 2
      |                      ^^^^^^
  expected: `stride` once
  try: leave one out"""),
    ("conv 32 3x3 stride", put, """\
network:1:13: `stride` needs a number after it
    1 | conv 32 3x3 stride
      |             ^^^^^^
  expected: stride: a whole number from 1 to 4096 or HEIGHTxWIDTH
  try: stride 2"""),
    ("conv 32 3x3 2", put, """\
network:1:13: `2` is one too many
    1 | conv 32 3x3 2
      |             ^
  expected: conv CHANNELS [KERNEL] [stride N] [pad N] [dilate N] [groups N] [valid] [same] [nobias]
  try: stride 2"""),
    ("conv 32 3x3 rleu", put, """\
network:1:13: `conv` knows no `rleu`
    1 | conv 32 3x3 rleu
      |             ^^^^
  expected: conv CHANNELS [KERNEL] [stride N] [pad N] [dilate N] [groups N] [valid] [same] [nobias]
  try: -> relu"""),
    ("conv 32 3x3 zzzzzz", drop, """\
network:1:13: `conv` knows no `zzzzzz`
    1 | conv 32 3x3 zzzzzz
      |             ^^^^^^
  expected: conv CHANNELS [KERNEL] [stride N] [pad N] [dilate N] [groups N] [valid] [same] [nobias]
  try: leave it out"""),
    ("fc num_classes", put, """\
network:1:4: `fc` knows no `num_classes`
    1 | fc num_classes
      |    ^^^^^^^^^^^
  expected: fc FEATURES [nobias]
  try: classes"""),
    ("fc clases", put, """\
network:1:4: `fc` knows no `clases`
    1 | fc clases
      |    ^^^^^^
  expected: fc FEATURES [nobias]
  try: classes"""),
    ("relu 3", drop, """\
network:1:6: `3` is one too many
    1 | relu 3
      |      ^
  expected: relu alone
  try: leave it out"""),
    ("fc 10 20", drop, """\
network:1:7: `20` is one too many
    1 | fc 10 20
      |       ^^
  expected: fc FEATURES [nobias]
  try: leave it out"""),
    ("pool mean", put, """\
network:1:6: `pool` knows no `mean`
    1 | pool mean
      |      ^^^^
  expected: pool avg|max [GRID]
  try: avg"""),
    ("pool median", "pool avg", """\
network:1:6: `pool` knows no `median`
    1 | pool median
      |      ^^^^^^
  expected: pool avg|max [GRID]
  try: leave it out"""),
    ("pool avg max", drop, """\
network:1:10: `max` is one too many
    1 | pool avg max
      |          ^^^
  expected: pool avg|max [GRID]
  try: leave it out"""),
    ("bn eps", put, """\
network:1:4: `eps` needs a number after it
    1 | bn eps
      |    ^^^
  expected: eps: a number from 1e-12 to 1
  try: eps 1e-05"""),
    # Values that do not fit.
    ("conv 0 3x3", put, """\
network:1:6: channels cannot be 0
    1 | conv 0 3x3
      |      ^
  expected: channels: a whole number from 1
  try: 1 in place of 0"""),
    ("conv 1.5 3x3", put, """\
network:1:6: channels cannot be 1.5
    1 | conv 1.5 3x3
      |      ^^^
  expected: channels: a whole number from 1
  try: 2 in place of 1.5"""),
    ("conv 32 9999x3", put, """\
network:1:9: kernel cannot be 9999x3
    1 | conv 32 9999x3
      |         ^^^^^^
  expected: kernel: a whole number from 1 to 4096 or HEIGHTxWIDTH
  try: 4096 in place of 9999x3"""),
    ("conv 3000000000", put, """\
network:1:6: 3000000000 is too large
    1 | conv 3000000000
      |      ^^^^^^^^^^
  expected: at most 1000000000
  try: 1000000000"""),
    ("conv 1e400", put, """\
network:1:6: 1e400 is too large
    1 | conv 1e400
      |      ^^^^^
  expected: at most 1000000000
  try: 1000000000"""),
    ("conv 32 3x3 groups ?(1, 1.5)", "conv 32 3x3 groups ?(1, 2)", """\
network:1:20: groups cannot be 1.5
    1 | conv 32 3x3 groups ?(1, 1.5)
      |                    ^^^^^^^^^
  expected: groups: a whole number from 1
  try: 2 in place of 1.5"""),
    ("fc 3x3", put, """\
network:1:4: features cannot be 3x3
    1 | fc 3x3
      |    ^^^
  expected: features: a whole number from 1
  try: 3 in place of 3x3"""),
    ("dropout 50", put, """\
network:1:9: share cannot be 50
    1 | dropout 50
      |         ^^
  expected: share: a number from 0 to 0.999
  try: 0.5 in place of 50"""),
    ("dropout 1", put, """\
network:1:9: share cannot be 1
    1 | dropout 1
      |         ^
  expected: share: a number from 0 to 0.999
  try: 0.5 in place of 1"""),
    ("bn eps 2", put, """\
network:1:8: eps cannot be 2
    1 | bn eps 2
      |        ^
  expected: eps: a number from 1e-12 to 1
  try: 1e-05 in place of 2"""),
    ("bn eps 0", put, """\
network:1:8: eps cannot be 0
    1 | bn eps 0
      |        ^
  expected: eps: a number from 1e-12 to 1
  try: 1e-05 in place of 0"""),
    ("conv nan", None, """\
network:1:6: `conv` knows no `nan`
    1 | conv nan
      |      ^^^
  expected: conv CHANNELS [KERNEL] [stride N] [pad N] [dilate N] [groups N] [valid] [same] [nobias]
  try: leave it out"""),
    # Numbers that are none.
    ("conv 32 3 x 3", put, """\
network:1:9: `3 x 3` can mean two things
    1 | conv 32 3 x 3
      |         ^^^^^
  expected: 3x3 for a window, 3 x3 to repeat
  try: 3x3"""),
    ("conv 32x3x3", whole, """\
network:1:6: `32x3x3` does not belong here
    1 | conv 32x3x3
      |      ^^^^^^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: conv 32 3x3"""),
    ("conv 3x64x64", whole, """\
network:1:6: `3x64x64` does not belong here
    1 | conv 3x64x64
      |      ^^^^^^^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: conv 3 64x64"""),
    ("conv 32 3x", put, """\
network:1:9: `3x` does not belong here
    1 | conv 32 3x
      |         ^^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: 3x3"""),
    ("dropout -0.5", put, """\
network:1:9: `-0.5` does not belong here
    1 | dropout -0.5
      |         ^^^^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: 0.5"""),
    ("dropout .5", whole, """\
network:1:9: `.5` does not belong here
    1 | dropout .5
      |         ^^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: dropout 0.5"""),
    ("dropout 0,5", put, """\
network:1:9: unexpected `,`
    1 | dropout 0,5
      |         ^^^
  expected: a point in a number
  try: 0.5"""),
    ("dropout 0.1.2", put, """\
network:1:9: `0.1.2` does not belong here
    1 | dropout 0.1.2
      |         ^^^^^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: 0.1"""),
    ("conv 64relu", put, """\
network:1:6: `64relu` does not belong here
    1 | conv 64relu
      |      ^^^^^^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: 64 -> relu"""),
    ("conv 1e5x", None, """\
network:1:6: `1e5x` does not belong here
    1 | conv 1e5x
      |      ^^^^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: 1e5 x"""),
    ("conv ٣", None, """\
network:1:6: `٣` does not belong here
    1 | conv ٣
      |      ^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: the digits 0 to 9"""),
    # Characters that do not belong.
    ("relu\xa0-> tanh", "relu -> tanh", """\
network:1:5: `\\xa0` does not belong here
    1 | relu -> tanh
      |     ^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: a plain space"""),
    ("relu -> \u202etanh", drop, """\
network:1:9: `\\u202e` does not belong here
    1 | relu ->  tanh
      |         ^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: leave it out"""),
    ("\ufeffrelu", drop, """\
network:1:1: `\\ufeff` does not belong here
    1 |  relu
      | ^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: leave it out; the file was saved with a byte order mark"""),
    ("relu \x1b[31m-> tanh", None, """\
network:1:6: `\\x1b` does not belong here
    1 | relu  [31m-> tanh
      |      ^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: leave it out"""),
    ("relu -> tanh\x00", drop, """\
network:1:13: `\\x00` does not belong here
    1 | relu -> tanh
      |             ^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: leave it out"""),
    ("relu + tanh", whole, """\
network:1:6: `+` does not belong here
    1 | relu + tanh
      |      ^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: relu -> tanh"""),
    ("relu * 3", whole, """\
network:1:6: `* 3` does not belong here
    1 | relu * 3
      |      ^^^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: relu x3"""),
    ("relu -> 'tanh'", whole, """\
network:1:9: `'` does not belong here
    1 | relu -> 'tanh'
      |         ^
  expected: a word, a number, a size such as 3x3, -> or a bracket
  try: relu -> tanh"""),
    ("y" * 70, None, """\
network:1:1: this word has 70 characters
    1 | yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  expected: at most 60
  try: a shorter word"""),
    # Brackets.
    ("[relu -> tanh", end, """\
network:1:1: this `[` is never closed
    1 | [relu -> tanh
      | ^
  expected: `]` after its steps
  try: ]"""),
    ("[relu -> tanh}", put, """\
network:1:14: unexpected `}`
    1 | [relu -> tanh}
      |              ^
  expected: -> and another step, or `]`
  try: ]"""),
    ("[relu -> tanh]]", drop, """\
network:1:15: this `]` closes nothing
    1 | [relu -> tanh]]
      |               ^
  expected: -> and another step, or the end of the text
  try: leave it out"""),
    ("[]", "[identity]", """\
network:1:2: there is no step between `[` and `]`
    1 | []
      |  ^
  expected: a layer such as `conv 32 3x3`, a bracket, or a block
  try: identity, which does nothing"""),
    ("conv 32 3x3 -> relu)", drop, """\
network:1:20: this `)` closes nothing
    1 | conv 32 3x3 -> relu)
      |                    ^
  expected: -> and another step, or the end of the text
  try: leave it out"""),
    ("[relu]: tanh", put, """\
network:1:7: unexpected `:`
    1 | [relu]: tanh
      |       ^
  expected: -> and another step, or the end of the text
  try: ->"""),
    ("relu | tanh", "add { relu | tanh }", """\
network:1:6: unexpected `|`
    1 | relu | tanh
      |      ^
  expected: -> and another step, or the end of the text
  try: add { ... | ... } around the flows"""),
    # Repeats.
    ("[relu] 3", put, """\
network:1:8: unexpected `3`
    1 | [relu] 3
      |        ^
  expected: -> and another step, or the end of the text
  try: x3"""),
    ("[relu] x0", put, """\
network:1:8: cannot repeat 0 times
    1 | [relu] x0
      |        ^^
  expected: a whole number from 1 to 20000
  try: x2"""),
    ("[relu] x 2.5", put, """\
network:1:10: cannot repeat 2.5 times
    1 | [relu] x 2.5
      |          ^^^
  expected: a whole number from 1 to 20000
  try: 2"""),
    ("[relu] x99999", put, """\
network:1:8: cannot repeat 99999 times
    1 | [relu] x99999
      |        ^^^^^^
  expected: a whole number from 1 to 20000
  try: x2"""),
    ("[relu] x -> tanh", put, """\
network:1:8: `x` needs a number after it
    1 | [relu] x -> tanh
      |        ^
  expected: how many times, as in x3
  try: x3"""),
    ("x3", whole, """\
network:1:1: there is no step before `x3` to repeat
    1 | x3
      | ^^
  expected: a step, then how many times
  try: [conv 32 3x3 -> relu] x3"""),
    ("relu x x", whole, """\
network:1:8: `x` is not a value
    1 | relu x x
      |        ^
  expected: a number, a size such as 3x3, or one of classes, channels
  try: relu x2"""),
    # Branches.
    ("add { conv 3 }", put, """\
network:1:14: this `add` has one flow
    1 | add { conv 3 }
      |              ^
  expected: two or more, separated by `|`
  try: | identity }"""),
    ("add [relu | tanh]", None, """\
network:1:5: unexpected `[`
    1 | add [relu | tanh]
      |     ^
  expected: `{` and flows separated by `|`
  try: add { conv 32 3x3 | identity }"""),
    ("add { relu | }", "add { relu | identity }", """\
network:1:14: there is no step between `|` and `}`
    1 | add { relu | }
      |              ^
  expected: a layer such as `conv 32 3x3`, a bracket, or a block
  try: identity, which does nothing"""),
    ("add { relu | tanh", end, """\
network:1:5: this `{` is never closed
    1 | add { relu | tanh
      |     ^
  expected: `}` after its steps
  try: }"""),
    ("add", whole, """\
network:1:4: the text ends too early
    1 | add
      |    ^
  expected: `{` and flows separated by `|`
  try: add { conv 32 3x3 | identity }"""),
    ("{ relu | tanh }", put, """\
network:1:1: unexpected `{`
    1 | { relu | tanh }
      | ^
  expected: a layer such as `conv 32 3x3`, a bracket, or a block
  try: add {"""),
    ("aux relu", put, """\
network:1:5: unexpected `relu`
    1 | aux relu
      |     ^^^^
  expected: `{` and a flow
  try: { fc classes }"""),
    ("aux 3x3 { fc 10 }", put, """\
network:1:5: a loss cannot weigh 3x3
    1 | aux 3x3 { fc 10 }
      |     ^^^
  expected: a number from 0
  try: 0.3"""),
    ("aux 0.3 { fc classes", end, """\
network:1:9: this `{` is never closed
    1 | aux 0.3 { fc classes
      |         ^
  expected: `}` after its steps
  try: }"""),
    # Definitions and labels.
    ("let conv = relu; tanh", put, """\
network:1:5: `conv` is a word of the notation
    1 | let conv = relu; tanh
      |     ^^^^
  expected: a name for the block
  try: my_conv"""),
    ("let block = relu\nblock -> tanh", put, """\
network:1:13: the definition of `block` does not end
    1 | let block = relu
      |             ^^^^
  expected: -> and another step, or `;`
  try: relu;"""),
    ("let a = relu\nlet b = tanh; a -> b", put, """\
network:1:9: the definition of `a` does not end
    1 | let a = relu
      |         ^^^^
  expected: -> and another step, or `;`
  try: relu;"""),
    ("let block = relu", "let block = relu; block()", """\
network:1:17: the definition of `block` does not end
    1 | let block = relu
      |                 ^
  expected: -> and another step, or `;` at the end of `block`
  try: ;"""),
    ("let block = relu;", end, """\
network:1:18: the network itself is missing
    1 | let block = relu;
      |                  ^
  expected: a flow after the definitions
  try: block()"""),
    ("let block relu; block", put, """\
network:1:11: unexpected `relu`
    1 | let block relu; block
      |           ^^^^
  expected: `=` and the flow that the name stands for
  try: = relu"""),
    ("let block = relu; let block = tanh; block", put, """\
network:1:23: the name `block` is already taken
    1 | let block = relu; let block = tanh; block
      |                       ^^^^^
  expected: another name
  try: block_2"""),
    ("let block = block -> relu; block", None, """\
network:1:13: `block` cannot stand in its own definition
    1 | let block = block -> relu; block
      |             ^^^^^
  expected: blocks defined above it
  try: [ ... ] x3 to repeat"""),
    ("let a = b; let b = relu; a", "let b = relu; let a = b; a", """\
network:1:9: `b` is defined only further down
    1 | let a = b; let b = relu; a
      |         ^
  expected: blocks defined above it
  try: move the definition of `b` up"""),
    ("let block(n) = n -> relu; block(3)", put, """\
network:1:16: `n` stands for a number here
    1 | let block(n) = n -> relu; block(3)
      |                ^
  expected: a layer word or a block defined by `let` above
  try: conv n 3x3"""),
    ("let block(n, n) = conv n; block(3, 3)", put, """\
network:1:14: the name `n` is already taken
    1 | let block(n, n) = conv n; block(3, 3)
      |              ^
  expected: another name
  try: n_2"""),
    ("let block() = relu; block", drop, """\
network:1:10: there are no parameters in these brackets
    1 | let block() = relu; block
      |          ^^
  expected: their names
  try: leave it out"""),
    ("let 3 = relu; tanh", put, """\
network:1:5: unexpected `3`
    1 | let 3 = relu; tanh
      |     ^
  expected: a name for the block
  try: my_3"""),
    ("let = relu; tanh", None, """\
network:1:5: unexpected `=`
    1 | let = relu; tanh
      |     ^
  expected: a name for the block
  try: my_name"""),
    ("let block(n) = conv n; block", put, """\
network:1:24: `block` takes 1 value and got 0
    1 | let block(n) = conv n; block
      |                        ^^^^^
  expected: block(n)
  try: block(32)"""),
    ("let block(n) = conv n; block(1, 2)", put, """\
network:1:24: `block` takes 1 value and got 2
    1 | let block(n) = conv n; block(1, 2)
      |                        ^^^^^^^^^^^
  expected: block(n)
  try: block(32)"""),
    ("let block(n) = conv n; block(n=3)", drop, """\
network:1:30: values are passed by their place, not by name
    1 | let block(n) = conv n; block(n=3)
      |                              ^^
  expected: block(n)
  try: leave it out"""),
    ("let block(n) = conv n; block(3", end, """\
network:1:31: the text ends too early
    1 | let block(n) = conv n; block(3
      |                               ^
  expected: `,` or `)`
  try: )"""),
    ("relu -> let a = tanh; a", "let a = tanh; relu -> a", """\
network:1:9: a definition cannot stand inside a flow
    1 | relu -> let a = tanh; a
      |         ^^^
  expected: definitions first, then one flow
  try: move it to the beginning of the text"""),
    ("relu let a = tanh; a", "let a = tanh; relu -> a", """\
network:1:6: a definition cannot stand inside a flow
    1 | relu let a = tanh; a
      |      ^^^
  expected: definitions first, then one flow
  try: move it to the beginning of the text"""),
    ("stem: relu -> stem: tanh", put, """\
network:1:15: the label `stem` stands twice in this flow
    1 | stem: relu -> stem: tanh
      |               ^^^^
  expected: another label
  try: stem_2"""),
    ("relu: tanh", put, """\
network:1:1: `relu` is a word of the notation
    1 | relu: tanh
      | ^^^^
  expected: a label
  try: my_relu"""),
    # Holes.
    ("conv ?(16, 32", end, """\
network:1:14: the text ends too early
    1 | conv ?(16, 32
      |              ^
  expected: `,`, `..` or `)`
  try: )"""),
    ("conv ?(32 .. 16)", put, """\
network:1:8: this range is empty
    1 | conv ?(32 .. 16)
      |        ^^^^^^^^
  expected: a number, .., and a larger one
  try: 16 .. 32"""),
    ("conv ?(3 .. 3)", put, """\
network:1:8: this range is empty
    1 | conv ?(3 .. 3)
      |        ^^^^^^
  expected: a number, .., and a larger one
  try: 3"""),
    ("conv ?(3x3 .. 5x5)", None, """\
network:1:8: a range cannot end at 3x3
    1 | conv ?(3x3 .. 5x5)
      |        ^^^
  expected: a number
  try: 3"""),
    ("conv ?()", "conv ?(16)", """\
network:1:8: unexpected `)`
    1 | conv ?()
      |        ^
  expected: a number, a size such as 3x3, or a name
  try: a number before it"""),
    ("conv ?(small, large)", None, """\
network:1:8: `small` is not a value
    1 | conv ?(small, large)
      |        ^^^^^
  expected: a number, a size such as 3x3, or one of classes, channels
  try: a number in its place"""),
]  # fmt: skip

IDS = [text[:30].encode("unicode_escape").decode() or "nothing" for text, _, _ in BROKEN]


def refused(text: str) -> NotationError:
    with pytest.raises(NotationError) as caught:
        read_text(text)
    return caught.value


@pytest.mark.parametrize(("text", "mend", "error"), BROKEN, ids=IDS)
def test_the_whole_error(text: str, mend: Mend, error: str) -> None:
    assert str(refused(text)) == error


@pytest.mark.parametrize(("text", "mend", "error"), BROKEN, ids=IDS)
def test_every_error_has_place_excerpt_expectation_and_cure(text: str, mend: Mend, error: str) -> None:
    found = refused(text)
    assert found.place.startswith("network:")
    assert "^" in found.excerpt
    assert found.expected
    assert found.cure


@pytest.mark.parametrize(
    ("text", "mend"),
    [(text, mend) for text, mend, _ in BROKEN if mend is not None],
    ids=[name for name, (_, mend, _) in zip(IDS, BROKEN, strict=True) if mend is not None],
)
def test_the_cure_cures(text: str, mend: Callable[[str, NotationError], str] | str) -> None:
    mended = mend if isinstance(mend, str) else mend(text, refused(text))
    read_text(mended)


def test_a_file_is_named_in_its_errors() -> None:
    with pytest.raises(NotationError) as caught:
        read_text("relu\n-> con 3", "nets/mine.net")
    assert caught.value.place == "nets/mine.net:2:4"


def test_a_cure_that_does_not_cure_would_be_seen() -> None:
    error = refused("conv 32 3x3 relu")
    error.cure = "relu"
    with pytest.raises(NotationError):
        read_text(put("conv 32 3x3 relu", error))
