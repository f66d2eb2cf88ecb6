"""What other tools, papers and lecture notes call the layers of this notation, and their arguments: tables alone."""

from __future__ import annotations

import re
from difflib import get_close_matches

from striate.errors import nearest

# Lower case, without blanks, _ and -, and without the framework's ending 1d, 2d or 3d.
_CALLED = {
    "conv": (
        "convolution", "convolutional", "convlayer", "convolutionlayer", "convolutionallayer", "lazyconv",
        "conv2dlayer", "cnn",
    ),
    "conv 32 3x3": ("conv3x3",),
    "conv 32 1x1": ("conv1x1", "pointwise", "pointwiseconv", "pointwiseconvolution", "bottleneckconv"),
    "conv 32 3x3 groups 32": ("depthwise", "depthwiseconv", "depthwiseconvolution", "dwconv"),
    "conv 32 3x3 groups 32 -> conv 64 1x1": (
        "separableconv", "separableconvolution", "sepconv", "separable", "depthwiseseparableconv",
        "depthwiseseparable", "depthwiseseparableconvolution",
    ),
    "conv 32 3x3 dilate 2": (
        "dilatedconv", "dilatedconvolution", "atrous", "atrousconv", "atrousconvolution", "dilated",
    ),
    "conv 32 3x3 stride 2": ("stridedconv", "stridedconvolution"),
    "conv 32 3x3 groups 4": ("groupedconv", "groupconv", "groupedconvolution"),
    "local": ("locallyconnected", "locallyconnectedlayer", "localconv"),
    "maxpool": (
        "maxpooling", "maxpoollayer", "maxpoolinglayer", "downsample", "downsampling", "subsample",
        "subsampling", "pooling", "poollayer", "poolinglayer", "spatialmaxpooling",
    ),
    "avgpool": (
        "averagepool", "averagepooling", "avgpooling", "meanpool", "meanpooling", "spatialaveragepooling",
    ),
    "pool avg": (
        "gap", "globalpool", "globalpooling", "globalavgpool", "globalavgpooling", "globalaveragepool",
        "globalaveragepooling", "globalmeanpool", "adaptiveavgpool", "adaptiveaveragepool",
        "adaptiveaveragepooling", "avgpoolglobal",
    ),
    "pool max": ("gmp", "globalmaxpool", "globalmaxpooling", "adaptivemaxpool"),
    "bn": ("batchnorm", "batchnormalization", "batchnormalisation", "norm", "normalize", "lazybatchnorm"),
    "ln": ("layernorm", "layernormalization", "layernormalisation"),
    "lrn": ("localresponsenorm", "localresponsenormalization", "localresponsenormalisation"),
    "scale": ("layerscale",),
    "relu": ("rectifier", "rectified", "rectifiedlinear", "rectifiedlinearunit"),
    "leaky": ("lrelu", "leakyrelu", "leakyrectify", "leakyrectifier"),
    "prelu": ("parametricrelu",),
    "elu": ("exponentiallinearunit",),
    "silu": ("swish", "hardswish", "hswish"),
    "sigmoid": ("logistic", "sigm"),
    "tanh": ("tanhlayer", "hyperbolictangent"),
    "gelu": ("quickgelu",),
    "dropout": ("drop", "dropoutlayer"),
    "dropout2d": ("spatialdropout", "featuredropout"),
    "droppath": ("stochasticdepth", "dropconnect"),
    "fc": (
        "linear", "dense", "fullyconnected", "fullyconnectedlayer", "innerproduct", "affine", "mlp",
        "denselayer", "linearlayer", "fclayer", "ip", "connected", "hidden", "hiddenlayer", "lazylinear",
    ),
    "fc classes": (
        "output", "outputlayer", "classifier", "classes", "logits", "softmaxclassifier", "prediction",
        "softmaxlayer", "head",
    ),
    "flatten": ("view", "reshape", "ravel", "flattenlayer"),
    "softmax": ("logsoftmax", "softmaxactivation"),
    "identity": ("noop", "nothing", "pass", "skipconnection"),
    "grey": ("gray", "greyscale", "grayscale", "rgb2gray", "rgb2grey"),
    "filter sobel-x": ("sobel", "sobelx"),
    "filter sobel-y": ("sobely",),
    "filter blur": ("gaussian", "gaussianblur"),
    "widen": ("padchannels", "zeropadchannels"),
    "add { conv 32 3x3 | conv 32 1x1 }": (
        "residual", "residualblock", "resblock", "skip", "shortcut", "sum", "basicblock",
    ),
    "concat { conv 32 1x1 | conv 32 3x3 }": ("concatenate", "cat", "inception", "inceptionmodule", "merge"),
    "aux { fc classes }": ("auxiliary", "auxclassifier"),
    "[conv 32 3x3 -> relu] x3": ("repeat", "loop"),
    "[conv 32 3x3 -> relu]": ("sequential",),
}  # fmt: skip

# And their arguments.
ARGUMENTS_CALLED = {
    "mean": "avg", "average": "avg", "maximum": "max",
    "padding": "pad", "zeropad": "pad", "strides": "stride", "step": "stride", "dilation": "dilate",
    "dilationrate": "dilate", "rate": "dilate", "group": "groups", "epsilon": "eps",
    "numclasses": "classes", "nclasses": "classes", "nolabels": "classes",
    "kernelsize": "kernel", "filtersize": "kernel", "poolsize": "kernel", "size": "kernel", "window": "kernel",
    "ksize": "kernel", "field": "kernel",
    "filters": "channels", "outchannels": "channels", "numfilters": "channels", "numoutput": "channels",
    "nbfilter": "channels", "features": "channels", "maps": "channels",
    "units": "features", "outfeatures": "features", "neurons": "features", "nodes": "features",
    "outputsize": "grid", "negativeslope": "slope", "p": "share", "prob": "share", "dropoutratio": "share",
    "probability": "share", "localsize": "neighbors", "bias": "bias", "usebias": "bias", "biasterm": "bias",
    "ceilmode": "ceil", "depthmultiplier": "", "batchnormalize": "bn",
}  # fmt: skip

# What stands before a number and says what its place says anyway.
BY_PLACE = ("kernel_size", "filters", "out_channels", "units", "out_features", "size", "window", "p", "rate")

# Arguments of other tools that change nothing of the network's shape.
IDLE = (
    "inplace", "dim", "axis", "name", "input_shape", "input_dim", "in_channels", "in_features", "num_features",
    "kernel_initializer", "bias_initializer", "kernel_regularizer", "data_format", "padding_mode", "affine",
    "track_running_stats", "return_indices", "count_include_pad", "seed", "device", "dtype", "start_dim",
    "bottom", "top", "lr_mult", "decay_mult", "trainable", "phase", "num_parameters", "shape", "weight_filler",
    "bias_filler",
)  # fmt: skip

# What each argument in brackets is, by its place; an empty name changes nothing here.
SIGNATURES = {
    "Conv2d": ("", "channels", "kernel", "stride", "pad", "dilate", "groups", "bias"),
    "LazyConv2d": ("channels", "kernel", "stride", "pad", "dilate", "groups", "bias"),
    "Conv2D": ("channels", "kernel", "stride", "padding"),
    "Convolution2D": ("channels", "kernel", "stride", "padding"),
    "SeparableConv2D": ("channels", "kernel", "stride", "padding"),
    "DepthwiseConv2D": ("kernel", "stride", "padding"),
    "Convolution": (),
    "MaxPool2d": ("kernel", "stride", "pad", "dilate", "", "ceil"),
    "AvgPool2d": ("kernel", "stride", "pad", "ceil"),
    "MaxPooling2D": ("kernel", "stride", "padding"),
    "MaxPool2D": ("kernel", "stride", "padding"),
    "AveragePooling2D": ("kernel", "stride", "padding"),
    "AvgPool2D": ("kernel", "stride", "padding"),
    "AdaptiveAvgPool2d": ("grid",),
    "AdaptiveMaxPool2d": ("grid",),
    "Linear": ("", "features", "bias"),
    "BatchNorm2d": ("", "eps", "momentum"),
    "BatchNorm1d": ("", "eps", "momentum"),
    "BatchNormalization": ("", "", ""),
    "LayerNorm": ("", "eps"),
    "ReLU": ("",),
    "Softmax": ("",),
    "LogSoftmax": ("",),
    "log_softmax": ("", ""),
    "Flatten": ("", ""),
    "view": ("", "", ""),
    "reshape": ("", "", ""),
}

# Convolutions without padding unless it is said.
UNPADDED = (
    "Conv2d",
    "LazyConv2d",
    "Conv2D",
    "Convolution2D",
    "SeparableConv2D",
    "DepthwiseConv2D",
    "Convolution",
)

# Words of a sentence between the layers' own.
FILLERS = (
    "with", "of", "a", "an", "the", "and", "then", "followed", "by", "layer", "layers", "filters", "kernels",
    "channels", "units", "neurons", "nodes", "features", "maps", "d", "way", "to",
)  # fmt: skip

# Steps that hold no layer: what goes in, and what only training has.
NOTHING = (
    "input", "inputlayer", "inputimage", "image", "images", "picture", "data", "rescaling", "normalization",
    "accuracy", "softmaxwithloss", "loss", "crossentropy", "net",
)  # fmt: skip

# What groups steps, or hands a single one on.
GROUPS = ("sequential", "add", "append", "modulelist", "ordereddict", "model", "network", "block", "stage")

_FOREIGN = {foreign: ours for ours, all_foreign in _CALLED.items() for foreign in all_foreign}


def plain_word(word: str) -> str:
    """A word without what does not tell it from others: case, _ and -."""
    return word.lower().replace("_", "").replace("-", "")


def called(word: str, known: tuple[str, ...] = ()) -> str | None:
    """What a foreign word is called here, and a known one as it is; None where no table has it."""
    plain = plain_word(word)
    bare = plain[:-2] if plain[-2:] in ("1d", "2d", "3d") else plain
    by_lower = {each.lower(): each for each in known}
    for said in (plain, bare):
        if found := by_lower.get(said) or _FOREIGN.get(said):
            return found
    return None


def meant(word: str, known: tuple[str, ...]) -> str | None:
    """What `word` was probably meant to be: a known word, or text of this notation for a foreign one.

    known: the words that may stand here.
    """
    if found := called(word, known):
        return found
    by_lower = {each.lower(): each for each in known}
    numbered = re.fullmatch(r"(\D+)(\d+)", word)
    if numbered and numbered[1].lower() in by_lower:
        return f"{numbered[1].lower()} {numbered[2]}"
    plain = plain_word(word)
    # Stricter than `nearest`: with so many words, a short or a strange one would always be near to some.
    if len(plain) < 3:
        return None
    if close := get_close_matches(plain, by_lower, n=1, cutoff=0.65):
        return by_lower[close[0]]
    close = get_close_matches(plain, _FOREIGN, n=1, cutoff=0.8)
    return _FOREIGN[close[0]] if close else None


def meant_argument(word: str, known: tuple[str, ...]) -> str | None:
    """The same for a word among the arguments of a layer."""
    ours = ARGUMENTS_CALLED.get(plain_word(word))
    return ours if ours in known else nearest(word, known)
