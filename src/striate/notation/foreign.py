"""What other tools and papers call the layers of this notation, for the cure of an error."""

from __future__ import annotations

import re
from difflib import get_close_matches

from striate.errors import nearest

# Lower case, without _ and -, and without the framework's ending 1d, 2d or 3d.
_CALLED = {
    "conv": ("convolution", "convolutional", "convlayer"),
    "conv 32 3x3": ("conv3x3",),
    "conv 32 1x1": ("conv1x1", "pointwise", "pointwiseconv"),
    "conv 32 3x3 groups 32": ("depthwise", "depthwiseconv", "dwconv"),
    "conv 32 3x3 groups 32 -> conv 64": ("separableconv", "sepconv", "separable"),
    "local": ("locallyconnected",),
    "maxpool": ("maxpooling", "downsample", "downsampling", "subsample", "subsampling"),
    "avgpool": ("averagepool", "averagepooling", "avgpooling", "meanpool", "meanpooling"),
    "pool avg": (
        "gap", "globalpool", "globalpooling", "globalavgpool", "globalavgpooling", "globalaveragepool",
        "globalaveragepooling", "globalmeanpool", "adaptiveavgpool", "avgpoolglobal",
    ),
    "pool max": ("gmp", "globalmaxpool", "globalmaxpooling", "adaptivemaxpool"),
    "bn": ("batchnorm", "batchnormalization", "batchnormalisation", "norm", "normalize"),
    "ln": ("layernorm", "layernormalization", "layernormalisation"),
    "lrn": ("localresponsenorm", "localresponsenormalization", "localresponsenormalisation"),
    "scale": ("layerscale",),
    "relu": ("rectifier", "rectified", "rectifiedlinear"),
    "leaky": ("lrelu", "leakyrelu", "leakyrectify"),
    "silu": ("swish", "hardswish", "hswish"),
    "sigmoid": ("logistic", "sigm"),
    "gelu": ("quickgelu",),
    "dropout2d": ("spatialdropout", "featuredropout"),
    "droppath": ("stochasticdepth", "dropconnect"),
    "fc": ("linear", "dense", "fullyconnected", "innerproduct", "affine", "mlp"),
    "fc classes": ("output", "classifier", "classes", "logits"),
    "flatten": ("view", "reshape", "ravel"),
    "softmax": ("logsoftmax",),
    "identity": ("noop", "nothing", "pass"),
    "grey": ("gray", "greyscale", "grayscale", "rgb2gray", "rgb2grey"),
    "filter sobel-x": ("sobel",),
    "filter blur": ("gaussian", "gaussianblur"),
    "widen": ("padchannels", "zeropadchannels"),
    "add { conv 32 3x3 | identity }": ("residual", "residualblock", "resblock", "skip", "shortcut", "sum"),
    "concat { conv 32 1x1 | conv 32 3x3 }": ("concatenate", "cat", "inception", "merge"),
    "aux { fc classes }": ("auxiliary", "auxclassifier"),
    "[conv 32 3x3 -> relu] x3": ("repeat", "loop"),
    "[conv 32 3x3 -> relu]": ("sequential",),
}  # fmt: skip

# And their arguments.
_ARGUMENTS_CALLED = {
    "mean": "avg", "average": "avg", "maximum": "max",
    "padding": "pad", "strides": "stride", "dilation": "dilate", "group": "groups", "epsilon": "eps",
    "num_classes": "classes", "nclasses": "classes", "n_classes": "classes",
}  # fmt: skip

_FOREIGN = {foreign: ours for ours, all_foreign in _CALLED.items() for foreign in all_foreign}


def meant(word: str, known: tuple[str, ...]) -> str | None:
    """What `word` was probably meant to be: a known word, or text of this notation for a foreign one.

    known: the words that may stand here.
    """
    plain = word.lower().replace("_", "").replace("-", "")
    bare = plain[:-2] if plain[-2:] in ("1d", "2d", "3d") else plain
    by_lower = {each.lower(): each for each in known}
    for said in (plain, bare):
        found = by_lower.get(said) or _FOREIGN.get(said)
        if found:
            return found
    numbered = re.fullmatch(r"(\D+)(\d+)", word)
    if numbered and numbered[1].lower() in by_lower:
        return f"{numbered[1].lower()} {numbered[2]}"
    # Stricter than `nearest`: with so many words, a short or a strange one would always be near to some.
    if len(plain) < 3:
        return None
    if close := get_close_matches(plain, by_lower, n=1, cutoff=0.65):
        return by_lower[close[0]]
    close = get_close_matches(plain, _FOREIGN, n=1, cutoff=0.8)
    return _FOREIGN[close[0]] if close else None


def meant_argument(word: str, known: tuple[str, ...]) -> str | None:
    """The same for a word among the arguments of a layer."""
    ours = _ARGUMENTS_CALLED.get(word.lower())
    return ours if ours in known else nearest(word, known)
