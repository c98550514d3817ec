"""Scores of SPADE's paintings of label maps that no training saw.

    swd, fid        paintings beside the real pictures of the same maps; swd_floor is what as many
                    other real pictures score
    segmenter       does a network find the painted classes in the painting? pixel accuracy, and
                    intersection over union averaged over the classes that occur (mIoU); beside the
                    same of the real pictures, which no painting need exceed
    style           puppets, with styles: the judge's five style numbers of paintings, correlated
                    between two maps in one style (should be near 1: a style keeps its colours) and
                    between two styles of one map (near 0: the map does not decide them)

On puppets the segmenter is the shipped judge.
"""

import sys
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from tqdm import tqdm

from gan_models import images
from gan_models.devices import choose_device
from gan_models.errors import UserError
from gan_models.names import find_weights
from gan_models.spade.labels import labels_of
from gan_models.spade.networks import Encoder, Generator, GlobalGenerator, one_hot
from gan_models.weights import build_network, load_weights
from trainers import metrics
from trainers.data import Framing, open_labelled
from trainers.judge.networks import SIZE, STYLE, judge
from trainers.judge.scores import correlation
from trainers.puppets import draw, puppet_seed, random_parameters
from trainers.spade.config import Layout

BATCH = 16


class Painter:
    """The networks of a weights folder, batch by batch."""

    def __init__(self, folder, device="auto"):
        weights = load_weights(folder, "spade")
        self.config, self.labels = weights.config, labels_of(weights.config)
        self.device = choose_device(device)
        arguments = weights.config["networks"]
        kind = Generator if "size" in arguments["generator"] else GlobalGenerator
        self.generator = build_network(kind, weights, "generator").to(self.device)
        self.latent_size = arguments["generator"].get("latent_size", 0)
        self.encoder = None
        if self.latent_size and "encoder" in weights.states:
            self.encoder = build_network(Encoder, weights, "encoder").to(self.device)
        side = weights.config["size"]
        self.size = tuple(weights.config.get("shape", (side, side)))

    def seeded(self, seed, count):
        """Styles (count, Z) of the normal distribution; None where there are none."""
        if not self.latent_size:
            return None
        source = torch.Generator().manual_seed(seed)
        return torch.randn(count, self.latent_size, generator=source)

    @torch.inference_mode()
    def styles_of(self, pictures):
        """Styles (N, Z) of pictures (N, H, W, 3) uint8; None without an encoder."""
        if self.encoder is None:
            return None
        parts = [
            self.encoder(images.to_tensor(pictures[i : i + BATCH]).to(self.device))[0].cpu()
            for i in range(0, len(pictures), BATCH)
        ]
        return torch.cat(parts)

    @torch.inference_mode()
    def paint(self, label_maps, styles=None, instances=None):
        """Label maps (N, H, W) uint8 to pictures (N, H, W, 3) uint8."""
        found = []
        for start in tqdm(range(0, len(label_maps), BATCH), "paintings", disable=None, leave=False):
            part = slice(start, start + BATCH)
            maps = torch.from_numpy(label_maps[part]).long().to(self.device)
            borders = None
            if self.labels.edges:
                given = label_maps if instances is None else instances
                borders = torch.from_numpy(given[part].astype(np.int32)).to(self.device)
            semantics = one_hot(maps, self.labels.classes, borders)
            latents = None if styles is None else styles[part].to(self.device)
            found.append(images.to_pictures(self.generator(semantics, latents)))
        return np.concatenate(found)


def agreement(found, truth, classes, unknown=None):
    """Pixel accuracy and mIoU of label maps (N, H, W); what is unknown in truth does not count."""
    counted = np.full(truth.shape, True) if unknown is None else truth != unknown
    pairs = found[counted].astype(np.int64).clip(0, classes - 1) * classes + truth[counted]
    table = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    both, either = np.diag(table), table.sum(0) + table.sum(1) - np.diag(table)
    occurs = table.sum(0) > 0
    return {
        "pixel_accuracy": both.sum() / max(table.sum(), 1),
        "miou": (both[occurs] / either[occurs]).mean() if occurs.any() else 0.0,
    }


def segmented(file, device):
    """A function from pictures (N, H, W, 3) uint8 to label maps, by a TorchScript file that takes
    images (N, 3, H, W) in [0, 1] and returns scores (N, classes, H, W). UserError.
    """
    try:
        network = torch.jit.load(file, map_location=device).eval()
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"--segmenter {file} is no TorchScript file ({reason:.200}).") from error

    @torch.inference_mode()
    def find(pictures):
        found = []
        for start in range(0, len(pictures), BATCH):
            batch = images.to_tensor(pictures[start : start + BATCH], (0, 1)).to(device)
            scores = network(batch)
            if scores.ndim != 4 or scores.shape[2:] != batch.shape[2:]:
                raise UserError(
                    f"--segmenter {file} returns {tuple(scores.shape)} for images of "
                    f"{tuple(batch.shape)}: it must return scores (N, classes, H, W)."
                )
            found.append(scores.argmax(1).cpu().numpy())
        return np.concatenate(found)

    return find


def score(
    weights: metrics.Weights,
    data: metrics.Data,
    count: int = 256,
    seed: int = 0,
    names: Annotated[
        tuple[Literal["swd", "fid", "segmenter", "style"], ...], tyro.conf.arg(name="metrics")
    ] = (),
    layout: Layout | None = None,
    folders: tuple[str, str, str] = ("images", "labels", ""),
    holdout: float = 0.0,
    segmenter: str = "",
    device: str = "auto",
) -> dict:
    """Score paintings of label maps that training did not see.

    Args:
        weights: Folder, shipped name, run folder or Hub name of the weights.
        data: A folder in one of the layouts of the trainer (its val part), puppets, or
            puppets:held_out.
        count: Pictures; of a folder with fewer, all of them.
        seed: Of styles, and of the distance's patches and directions.
        names: What to compute; by default swd, and what the data and --segmenter allow; fid needs
            torch-fidelity and its Inception weights.
        layout: How a folder's files lie; default: that of the set the weights were trained on.
        folders: For custom: of pictures, label maps and instance maps (or "").
        holdout: For custom: the share given to training; only pictures left out are taken.
        segmenter: A TorchScript file that takes images (N, 3, H, W) in [0, 1] and returns scores
            (N, classes, H, W) of the weights' classes.
        device: auto, cpu, cuda or cuda:N.
    """
    metrics.check_count(count, "pictures")
    drawn = metrics.puppet_style(data)
    painter = Painter(find_weights(weights), device)
    names = names or default_metrics(drawn, segmenter, painter)
    check(names, drawn, segmenter, painter)
    find = segmented(segmenter, painter.device) if segmenter else None
    if drawn:
        real, maps, instances, other = drawn_puppets(count, painter.size[0], drawn)
    else:
        layout = layout or painter.labels.kind
        real, maps, instances, other = given(painter, data, count, layout, folders, holdout)
    styles = painter.seeded(seed, len(maps))
    fake = painter.paint(maps, styles, instances)
    about = {"data": data, "count": len(maps), "size": list(painter.size)}
    result = metrics.described("spade", painter.config, about)
    if "swd" in names:
        reference = metrics.SWDReference(squares(real), seed)
        result["swd"] = reference.distance(squares(fake))
        if other is not None:
            result["swd_floor"] = reference.distance(squares(other))
    if "fid" in names:
        features = map(metrics.inception_features, (squares(real), squares(fake)))
        result["fid"] = metrics.fid(*features)
    if "segmenter" in names:
        pictures = {"real": real, "painted": fake}
        if painter.encoder is not None:
            own = painter.paint(maps, painter.styles_of(real), instances)
            pictures["painted_in_own_style"] = own
            difference = np.abs(own.astype(np.int16) - real).mean(dtype=np.float64) / 255
            result["own_style_l1"] = difference
        result |= recognised(painter, pictures, maps, drawn and count, drawn, find)
    if "style" in names:
        result["style"] = style_numbers(painter, maps, instances, seed)
    return result


def default_metrics(drawn, segmenter, painter):
    names = ["swd"]
    if drawn or segmenter:
        names.append("segmenter")
    if drawn and painter.latent_size:
        names.append("style")
    return tuple(names)


def check(names, drawn, segmenter, painter):
    """UserError for what could only fail after minutes of work."""
    if drawn and painter.labels.kind != "puppets":
        raise UserError("These weights know no puppets: score them on a folder of their own set.")
    if "segmenter" in names and not (drawn or segmenter):
        raise UserError("Without puppets the metric segmenter needs --segmenter FILE.")
    if "style" in names and not (drawn and painter.latent_size):
        raise UserError("The metric style takes puppets, and weights with styles.")
    if "fid" in names:
        metrics.inception_file()
    if "swd" in names:
        metrics.check_size(np.empty((0, min(painter.size), 0, 3)))


def drawn_puppets(count, size, style):
    """(pictures, label maps, instances None, as many other pictures) of seeds that no training
    sees.
    """
    seeds = [puppet_seed(0, index, training=False) for index in range(2 * count)]
    every = [
        draw(random_parameters(number), size, style)
        for number in tqdm(seeds, "puppets", disable=None)
    ]
    pictures = np.stack([drawing.picture for drawing in every])
    maps = np.stack([drawing.label_map for drawing in every[:count]])
    return pictures[:count], maps, None, pictures[count:]


def given(painter, data, count, layout, folders, holdout):
    """(pictures, label maps, instances or None, other pictures or None) of a folder."""
    labels = painter.labels
    opened = open_labelled(
        data, layout=layout, classes=labels.classes, unknown=labels.unknown,
        framing=Framing(painter.size), instances=labels.edges, folders=folders, holdout=holdout,
        part="held_out", shuffle=False,
    )  # fmt: skip
    if opened.length < count:
        print(f"{data} has {opened.length:,} pictures to score: all are taken.", file=sys.stderr)
    batch = opened.first(min(2 * count, opened.length))
    pictures = np.ascontiguousarray(batch["images"].numpy().transpose(0, 2, 3, 1))
    maps, instances = batch["label_maps"].numpy(), batch.get("instances")
    instances = None if instances is None else instances.numpy()[:count]
    other = pictures[count:] if len(pictures) == 2 * count else None
    return pictures[:count], maps[:count], instances, other


def squares(pictures):
    """The middle of pictures (N, H, W, 3), as high as wide."""
    side = min(pictures.shape[1:3])
    top, left = ((length - side) // 2 for length in pictures.shape[1:3])
    return np.ascontiguousarray(pictures[:, top : top + side, left : left + side])


def recognised(painter, pictures, maps, count, style, find):
    """`agreement` of each set of pictures by name, and the paintings' mIoU relative to the real
    ones'.
    """
    unknown, classes, truth = painter.labels.unknown, painter.labels.classes, maps
    if find is None:  # the judge sees 64 pixels
        seeds = [puppet_seed(0, index, training=False) for index in range(count)]
        drawings = [draw(random_parameters(number), SIZE, style) for number in seeds]
        truth = np.stack([drawing.label_map for drawing in drawings])

        def find(some):
            return judge(np.stack([images.resize(picture, SIZE) for picture in some])).labels

    result = {
        name: agreement(find(some), truth, classes, unknown) for name, some in pictures.items()
    }
    for name in list(result)[1:]:
        relative = result[name]["miou"] / max(result["real"]["miou"], 1e-9)
        result[name]["relative_miou"] = relative
    return {"segmenter": result}


def style_numbers(painter, maps, instances, seed):
    """Mean correlation over the judge's style numbers: of one style on two maps, of two styles on
    one map; and of each number.
    """
    first, second = (painter.seeded(seed + more, len(maps)) for more in (1, 2))
    other = np.roll(maps, 1, axis=0)

    def read(label_maps, styles):
        pictures = painter.paint(label_maps, styles)
        return judge(np.stack([images.resize(picture, SIZE) for picture in pictures])).style

    here = read(maps, first)
    result = {}
    for name, there in (("same", read(other, first)), ("different", read(maps, second))):
        each = {key: correlation(here[:, i], there[:, i]) for i, key in enumerate(STYLE)}
        result[name] = {"mean": np.mean(list(each.values())), **each}
    return result
