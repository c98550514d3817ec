"""ProGAN's published layouts: their parameter names, orientation of weights and settings.

A table maps each of our layers (`<layer>.weight`, `<layer>.bias`) to the layout's. Braces stand for
the level (0 is 4x4): {every} for each of 0, 1, ...; {upper} for 1, 2, ... and {below} for that
minus 1, where the 4x4 level differs; {last} for the topmost. {from_top} is {last} minus the level,
{pixels} its size, {twice}, {twice_1} and {twice_2} are 2 level, 2 level + 1 and 2 level + 2.
"""

from dataclasses import dataclass, field

from gan_models.progan.networks import SQRT2


@dataclass(frozen=True)
class Layout:
    """How one project stores one network."""

    network: str  # "generator" or "discriminator"
    layers: dict[str, str]  # our layer: theirs
    orient: dict  # our layer (up to its dot): function of their weight that gives ours
    arguments: dict = field(default_factory=dict)  # settings that differ from our defaults
    weight: str = ".weight"
    bias: str = ".bias"


# ---------------------------------------------------------------- orientation of weights


def convolution(weight):  # TensorFlow: (kh, kw, in, out)
    return weight.permute(3, 2, 0, 1)


def enlarging_convolution(weight):  # TensorFlow's fused one, a transposed one: (kh, kw, out, in)
    return weight.permute(2, 3, 0, 1).flip(2, 3)


def transposed(weight):  # (in, out)
    return weight.t()


def padded_convolution(weight):  # (out, in, 4, 4) of a 1x1 picture padded by 3
    return weight.flip(2, 3).permute(0, 2, 3, 1).flatten(0, 2)


def transposed_convolution(weight):  # (in, out, 4, 4) of a 1x1 picture
    return weight.permute(1, 2, 3, 0).flatten(0, 2)


def flat(weight):  # a convolution whose kernel covers the picture: (out, in, kh, kw)
    return weight.flatten(1)


# ---------------------------------------------------------------- tkarras, TensorFlow

TF_UNFUSED_G = Layout(
    "generator",
    {
        "first": "4x4/Dense",
        "conv1.{below}": "{pixels}x{pixels}/Conv0",
        "conv2.0": "4x4/Conv",
        "conv2.{upper}": "{pixels}x{pixels}/Conv1",
        "to_rgb.{every}": "ToRGB_lod{from_top}",
    },
    {"first": transposed, "conv1": convolution, "conv2": convolution, "to_rgb": convolution},
    weight="/weight",
    bias="/bias",
)
TF_FUSED_G = Layout(
    "generator",
    TF_UNFUSED_G.layers | {"conv1.{below}": "{pixels}x{pixels}/Conv0_up"},
    TF_UNFUSED_G.orient | {"conv1": enlarging_convolution},
    weight="/weight",
    bias="/bias",
)
TF_UNFUSED_D = Layout(
    "discriminator",
    {
        "from_rgb.{every}": "FromRGB_lod{from_top}",
        "conv1.{below}": "{pixels}x{pixels}/Conv0",
        "conv2.{below}": "{pixels}x{pixels}/Conv1",
        "conv": "4x4/Conv",
        "dense": "4x4/Dense0",
        "last": "4x4/Dense1",
    },
    {
        "from_rgb": convolution,
        "conv1": convolution,
        "conv2": convolution,
        "conv": convolution,
        "dense": transposed,
        "last": transposed,
    },
    {"pool_last": True},
    weight="/weight",
    bias="/bias",
)
TF_FUSED_D = Layout(
    "discriminator",
    TF_UNFUSED_D.layers | {"conv2.{below}": "{pixels}x{pixels}/Conv1_down"},
    TF_UNFUSED_D.orient,
    weight="/weight",
    bias="/bias",
)

# ---------------------------------------------------------------- genforce

SEFA_G = Layout(
    "generator",
    {
        "first": "layer0",
        "conv1.{below}": "layer{twice}",
        "conv2.{every}": "layer{twice_1}",
        "to_rgb.{every}": "output{every}",
    },
    {"first": padded_convolution},
    {"labels_first": False},
)
INTERFACEGAN_G = Layout(  # holds the last toRGB only; `import_network` adds the others as zeros
    "generator",
    {
        "first": "layer1",
        "conv1.{below}": "layer{twice_1}",
        "conv2.{every}": "layer{twice_2}",
        "to_rgb.{last}": "output_{pixels}x{pixels}",
    },
    {"first": padded_convolution},
    weight=".conv.weight",
    bias=".wscale.bias",
)

# ---------------------------------------------------------------- akanimax

AKANIMAX_GAINS_G = {"normalize_first": False, "first_gain": SQRT2, "rgb_gain": SQRT2}

V2_G = Layout(
    "generator",
    {
        "first": "initial_block.conv_1",
        "conv1.{below}": "layers.{below}.conv_1",
        "conv2.0": "initial_block.conv_2",
        "conv2.{upper}": "layers.{below}.conv_2",
        "to_rgb.{every}": "rgb_converters.{every}",
    },
    {"first": transposed_convolution},
    AKANIMAX_GAINS_G | {"normalize_latents": False},
)
V2_D = Layout(
    "discriminator",
    {
        "from_rgb.{every}": "rgb_to_features.{every}",
        "conv1.{below}": "layers.{below}.conv_1",
        "conv2.{below}": "layers.{below}.conv_2",
        "conv": "final_block.conv_1",
        "dense": "final_block.conv_2",
        "last": "final_block.conv_3",
    },
    {"dense": flat, "last": flat},
    {"pool_last": True, "last_gain": SQRT2, "activate_rgb": False, "stddev_group": None},
)
V3_G = Layout(
    "generator",
    {
        "first": "layers.0.conv_1",
        "conv1.{below}": "layers.{upper}.conv_1",
        "conv2.{every}": "layers.{every}.conv_2",
        "to_rgb.{every}": "rgb_converters.{every}",
    },
    {"first": transposed_convolution},
    AKANIMAX_GAINS_G,
)
V3_D = Layout(
    "discriminator",
    {
        "from_rgb.{every}": "from_rgb.{from_top}.0",
        "conv1.{below}": "layers.{from_top}.conv_1",
        "conv2.{below}": "layers.{from_top}.conv_2",
        "conv": "layers.{last}.conv_1",
        "dense": "layers.{last}.conv_2",
        "last": "layers.{last}.conv_3",
    },
    {"dense": flat, "last": flat},
    {"pool_last": True, "last_gain": SQRT2},
)
V3_CONDITIONAL_D = Layout(
    "discriminator",
    V3_D.layers | {"embedding": "layers.{last}.label_embedder"},
    V3_D.orient,
    {"pool_last": True, "last_gain": SQRT2, "projection": True},
)
V3_EARLY_D = Layout(  # before the leaky ReLU after fromRGB
    "discriminator",
    V3_D.layers | {"from_rgb.{every}": "from_rgb.{from_top}"},
    V3_D.orient,
    {"pool_last": True, "last_gain": SQRT2, "activate_rgb": False},
)

# ---------------------------------------------------------------- facebookresearch, GAN zoo

ZOO_G = Layout(
    "generator",
    {
        "first": "formatLayer",
        "conv1.{below}": "scaleLayers.{below}.0",
        "conv2.0": "groupScale0.0",
        "conv2.{upper}": "scaleLayers.{below}.1",
        "to_rgb.{every}": "toRGBLayers.{every}",
    },
    {},
    {"first_gain": SQRT2, "rgb_gain": SQRT2, "scale_bias": True, "first_bias": "position"},
)
ZOO_D = Layout(
    "discriminator",
    {
        "from_rgb.{every}": "fromRGBLayers.{every}",
        "conv1.{below}": "scaleLayers.{below}.0",
        "conv2.{below}": "scaleLayers.{below}.1",
        "conv": "groupScaleZero.0",
        "dense": "groupScaleZero.1",
        "last": "decisionLayer",
    },
    {},
    {
        "pool_last": True,
        "last_gain": SQRT2,
        "scale_bias": True,
        "stddev_consecutive": True,
        "stddev_unbiased": True,
    },
)

LAYOUTS = (
    TF_UNFUSED_G, TF_FUSED_G, TF_UNFUSED_D, TF_FUSED_D, SEFA_G, INTERFACEGAN_G, V2_G, V2_D, V3_G,
    V3_D, V3_CONDITIONAL_D, V3_EARLY_D, ZOO_G, ZOO_D,
)  # fmt: skip
