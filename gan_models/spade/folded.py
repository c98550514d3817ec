"""SPADE's generator as the pipeline runs it: what depends on the label map alone is prepared once.

The numbers are those of `Generator` in eval mode, up to rounding. Three quarters of its work are
gamma and beta, which a pixel reads from the labels around it (5 x 5 of them for 3x3 kernels). A
painted map is piecewise constant, so most pixels have the surroundings of many others: gamma and
beta are computed once for each kind of surroundings, kept, and picked by every pixel. The first
convolution of a one-hot map is a sum of rows of its weight, which are looked up. Batch norm is part
of gamma and beta, spectral norm of the weights, and nothing is enlarged before it is scaled.

Features are kept as rows: (H W, C), one picture at a time.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from gan_models.folding import Conv, LastConv, WinogradConv, channels_last
from gan_models.spade.networks import LEAK, Generator

WINDOWS = 2**12  # whose gamma and beta are computed at a time: bounds the memory
ROWS = 2**16  # numbers of a feature map that are scaled at a time: they stay in the cache
WIDE = 256  # channels from which Winograd's products outweigh its transformations


class Surroundings(NamedTuple):
    """The different windows of a map at one resolution, and which of them each pixel has."""

    codes: torch.Tensor  # (U, k k), codes of the labels that the first convolution sees
    windows: torch.Tensor  # (V, k k), rows of `codes` (U: outside) that the second one sees
    places: torch.Tensor  # (h w,) rows of `windows`


class Prepared(NamedTuple):
    """What of a label map the generator uses."""

    begin: torch.Tensor | None  # (16 channels, h, w), the first map where labels begin the picture
    places: dict[tuple[int, int], torch.Tensor]  # of `Surroundings`, by resolution
    scales: dict[str, tuple[torch.Tensor, torch.Tensor]]  # gamma and beta (V, C), by SPADE layer

    @property
    def bytes(self):
        tensors = [*self.places.values(), *(x for pair in self.scales.values() for x in pair)]
        tensors += [] if self.begin is None else [self.begin]
        return sum(tensor.nbytes for tensor in tensors)


# ---------------------------------------------------------------- surroundings


def different(ids, kernel, outside):
    """(windows (U, k k), place (h, w)) of ids (h, w): the different k x k windows, beyond whose
    border lies `outside`, and the window around each pixel.
    """
    h, w = ids.shape
    half = kernel // 2
    padded = F.pad(ids, (half, half, half, half), value=outside)
    shifted = torch.stack(
        [padded[y : y + h, x : x + w] for y in range(kernel) for x in range(kernel)], dim=-1
    ).reshape(h * w, -1)  # (h w, k k)
    # Windows are told apart by a sum with 64 random bits for each of their places: of 65,536
    # pixels, two different windows have equal sums once in 10 billion maps.
    source = torch.Generator().manual_seed(0)
    factors = torch.randint(-(2**63), 2**63 - 1, (kernel * kernel,), generator=source)
    sums = (shifted * (factors.to(ids.device) | 1)).sum(dim=1)
    found, places = sums.unique(return_inverse=True)
    some = torch.empty(len(found), dtype=torch.long, device=ids.device)
    some[places] = torch.arange(h * w, device=ids.device)  # any pixel with this window
    return shifted[some], places.view(h, w)


def surroundings(codes, kernel, outside):
    """`Surroundings` of codes (h, w)."""
    first, ids = different(codes, kernel, outside)
    windows, places = different(ids, kernel, len(first))
    return Surroundings(first, windows, places.flatten())


# ---------------------------------------------------------------- layers


class FoldedSPADE(nn.Module):
    """See `networks.SPADE`: makes (1 + gamma) and beta, with what a batch norm does to x in them.

    Args:
        spade: The layer.
        classes: Semantic channels that are one-hot; one more is the edges' channel.
    """

    def __init__(self, spade, classes, dtype):
        super().__init__()
        self.normalise = isinstance(spade.param_free_norm, nn.InstanceNorm2d)
        shared = spade.mlp_shared[0]
        self.register_buffer("table", look_up_table(shared.weight.detach(), classes))
        self.register_buffer("shared_bias", shared.bias.detach().clone())
        scale, shift = 1.0, 0.0
        if not self.normalise:
            norm = spade.param_free_norm
            scale = (norm.running_var.double() + norm.eps).rsqrt()
            shift = -norm.running_mean.double() * scale
        parts = []
        for part in (spade.mlp_gamma, spade.mlp_beta):
            weight = part.weight.detach().double().permute(2, 3, 1, 0).flatten(0, 2)
            parts.append((weight, part.bias.detach().double()))  # (k k hidden, C), (C,)
        (gamma, one), (beta, bias) = parts
        one = one + 1
        weight = torch.cat([scale * gamma, shift * gamma + beta], dim=1)
        self.register_buffer("weight", weight.to(dtype))  # (k k hidden, 2 C)
        self.register_buffer("bias", torch.cat([scale * one, shift * one + bias]).to(dtype))

    def forward(self, around: Surroundings):
        """(scale, shift), each (V, C), for the different windows."""
        taps, codes, _ = self.table.shape
        offsets = torch.arange(taps, device=around.codes.device) * codes
        hidden = F.embedding_bag(around.codes + offsets, self.table.flatten(0, 1), mode="sum")
        hidden = F.relu(hidden + self.shared_bias).to(self.weight.dtype)
        hidden = torch.cat([hidden, torch.zeros_like(hidden[:1])])  # (U + 1, hidden): outside
        made = self.weight.new_empty(len(around.windows), self.weight.shape[1])
        for part, windows in zip(made.split(WINDOWS), around.windows.split(WINDOWS), strict=True):
            torch.addmm(self.bias, hidden[windows].flatten(1), self.weight, out=part)
        gamma, beta = made.chunk(2, dim=1)
        return gamma.contiguous(), beta.contiguous()


def look_up_table(weight, classes):
    """(k k, codes + 1, out): what a label adds to a convolution (out, S, k, k) of a one-hot map at
    each place of its kernel. A code is a class, plus the number of classes at edges; the last one,
    of what lies outside, adds nothing.
    """
    rows = weight.permute(2, 3, 1, 0).flatten(0, 1)  # (k k, S, out)
    table = rows[:, :classes]
    if rows.shape[1] > classes:
        table = torch.cat([table, table + rows[:, classes:]], dim=1)
    return F.pad(table, (0, 0, 0, 1)).contiguous()


def scaled(x, scale, shift, places, size, leak):
    """(h w, C): x scaled and shifted by its places' rows, then the leaky ReLU where `leak`.

    x: (H, W, C) of `size` (h, w), or of half that, to be enlarged. scale, shift: (V, C).
    """
    (h, w), channels = size, x.shape[2]
    out = x.new_empty(h * w, channels)
    times = h // x.shape[0]
    on_processor = x.device.type == "cpu"
    step = max(ROWS // (w * channels), 1) * times if on_processor else h
    for top in range(0, h, step):
        bottom = min(top + step, h)
        part, here = out[top * w : bottom * w], places[top * w : bottom * w]
        torch.index_select(scale, 0, here, out=part)
        rows = x[top // times : bottom // times, None, :, None]  # one pixel for two by two
        part = part.view(-1, times, w // times, times, channels)
        part.mul_(rows).add_(shift.index_select(0, here).view_as(part))
        if leak:
            F.leaky_relu_(part, LEAK)
    return out


class FoldedBlock(nn.Module):
    """See `networks.SPADEBlock`."""

    def __init__(self, block, classes, device, dtype):
        super().__init__()
        for name in ("norm_0", "norm_1", "norm_s"):
            norm = getattr(block, name)
            setattr(self, name, norm and FoldedSPADE(norm, classes, dtype))
        self.conv_0 = fastest(block.conv_0, device, dtype)
        self.conv_1 = fastest(block.conv_1, device, dtype)
        weight = block.conv_s and block.conv_s.normalised().detach().flatten(1).to(dtype)
        self.register_buffer("shortcut", weight)  # (out, in), or None

    def layers(self):
        """Its SPADE layers by name."""
        names = [name for name in ("norm_0", "norm_1", "norm_s") if getattr(self, name)]
        return {name: getattr(self, name) for name in names}

    def forward(self, x, scales, places, size):
        """x (1, in, h, w) -> (1, out, *size), which may be twice (h, w); scales: by layer."""

        def modulated(name, x, leak):
            x = F.instance_norm(x) if getattr(self, name).normalise else x
            return scaled(x[0].permute(1, 2, 0), *scales[name], places, size, leak)

        def image(rows):
            return rows.view(1, *size, -1).permute(0, 3, 1, 2)  # channels-last

        if self.shortcut is not None:
            shortcut = image(F.linear(modulated("norm_s", x, leak=False), self.shortcut))
        else:
            enlarged = x.shape[2:] != size
            shortcut = F.interpolate(x, size=size, mode="nearest") if enlarged else x
        x = self.conv_0(image(modulated("norm_0", x, leak=True)))
        return self.conv_1(image(modulated("norm_1", x, leak=True))).add_(shortcut)


def fastest(conv, device, dtype):
    """The folded form of a `networks.Spectral` convolution that is fastest."""
    weight = conv.normalised().detach()
    bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias
    wide = min(weight.shape[:2]) >= WIDE and weight.shape[-1] == 3
    if torch.device(device).type == "cpu" and dtype == torch.float32 and wide:
        return WinogradConv(weight, bias, dtype)
    return Conv(weight, bias, dtype)


# ---------------------------------------------------------------- generator


class FoldedGenerator(nn.Module):
    """A copy of `generator` for inference; the original stays as it is.

    Args:
        generator: A `Generator` of any configuration, in eval mode.
        classes: Its semantic channels that are one-hot.
        device: Where it runs.
        dtype: Of the convolutions; what is looked up is float32.
    """

    def __init__(self, generator: Generator, classes, device="cpu", dtype=torch.float32):
        super().__init__()
        self.size, self.start, self.names = generator.size, generator.start, generator.names
        self.classes = classes
        self.latent_size = generator.latent_size
        self.kernel = generator.head_0.norm_0.mlp_gamma.kernel_size[0]
        self.codes = classes * (1 + (generator.head_0.norm_0.mlp_shared[0].in_channels > classes))
        fc = generator.fc
        self.register_buffer("fc_bias", fc.bias.detach().clone())
        if self.latent_size:
            self.register_buffer("fc", fc.weight.detach().to(dtype))
        else:
            self.register_buffer("fc", look_up_table(fc.weight.detach(), classes))
        self.sizes, size = {}, self.start  # of each block's output
        for name in self.names:
            size = tuple(side * (1 + generator.doubles_before(name)) for side in size)
            self.sizes[name] = size
            setattr(self, name, FoldedBlock(getattr(generator, name), classes, device, dtype))
        conv, on_processor = generator.conv_img, torch.device(device).type == "cpu"
        made = LastConv(conv, dtype) if on_processor else Conv(conv.weight, conv.bias, dtype)
        self.conv_img, self.dtype = made, dtype
        self.to(device).eval()

    @torch.inference_mode()
    def prepare(self, label_map, edges=None):
        """`Prepared` of a label map (height, width) int64, with edges (height, width) of 0 and 1
        where the network takes them.
        """
        codes = label_map if edges is None else label_map + edges * self.classes
        begin = None if self.latent_size else self.first_map(nearest(codes, self.start))
        by_size, scales = {}, {}
        for name in self.names:
            size = self.sizes[name]
            if size not in by_size:
                by_size[size] = surroundings(nearest(codes, size), self.kernel, self.codes)
            for layer, spade in getattr(self, name).layers().items():
                scales[f"{name}.{layer}"] = spade(by_size[size])
        places = {size: around.places for size, around in by_size.items()}
        return Prepared(begin, places, scales)

    def first_map(self, codes):
        """(16 channels, h, w) of codes (h, w): the 3x3 convolution of the one-hot map."""
        taps, rows, _ = self.fc.shape
        windows, places = different(codes, 3, self.codes)
        offsets = torch.arange(taps, device=codes.device) * rows
        made = F.embedding_bag(windows + offsets, self.fc.flatten(0, 1), mode="sum") + self.fc_bias
        return made[places].permute(2, 0, 1).to(self.dtype)

    @torch.inference_mode()
    def forward(self, prepared, latents=None):
        """(N, 3, height, width) float32 in [-1, 1] of latents (N, latent_size), or (1, ...) where
        labels begin the picture.
        """
        if not self.latent_size:
            return self.picture(prepared, prepared.begin)
        begin = F.linear(latents.to(self.dtype), self.fc, self.fc_bias.to(self.dtype))
        begin = begin.view(len(latents), -1, *self.start)
        return torch.cat([self.picture(prepared, x) for x in begin])

    def picture(self, prepared, begin):
        x = channels_last(begin[None])
        for name in self.names:
            size = self.sizes[name]
            layers = getattr(self, name).layers()
            scales = {layer: prepared.scales[f"{name}.{layer}"] for layer in layers}
            x = getattr(self, name)(x, scales, prepared.places[size], size)
        return self.conv_img(F.leaky_relu_(x, LEAK)).float().tanh()


def nearest(codes, size):
    """codes (H, W) at `size` (h, w), a whole part of it: the upper left pixel of each square."""
    return codes[:: codes.shape[0] // size[0], :: codes.shape[1] // size[1]]
