"""Scores of SPADE's paintings of label maps that no training saw.

    swd, fid        paintings beside the real pictures of the same maps; swd_floor is what as many
                    other real pictures score
    segmenter       does a network find the painted classes in the painting? pixel accuracy, and
                    intersection over union averaged over the classes that occur (mIoU); beside the
                    same of the real pictures, which no painting need exceed
    style           puppets, with styles: the judge's four colour numbers of paintings, correlated
                    between two maps in one style (should be near 1: a style keeps its colours) and
                    between two styles of one map (near 0: the map does not decide them); beside
                    the same of drawn puppets, which no painting need exceed

On puppets the segmenter is the shipped judge.
"""

import sys
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from tqdm import tqdm

from gan_models import images
from gan_models.errors import UserError
from gan_models.judge import SIZE, STYLE, judge
from gan_models.names import find_weights
from gan_models.spade.pipeline import SPADEPipeline
from gan_models.weights import read_config
from trainers import metrics
from trainers.data import Framing, open_labelled
from trainers.data.labelled import Layout
from trainers.judge.scores import correlation
from trainers.puppets import draw, puppet_seed, random_parameters

BATCH = 16  # pictures that a segmenter sees at once
COLOURS = STYLE[:4]  # not pattern: a cat's stripes are areas of the map, freckles too small to read


def painted(pipeline, maps, styles=None, instances=None):
    """Pictures (N, H, W, 3) uint8 of label maps (N, H, W), one style for each."""
    styles = [None] * len(maps) if styles is None else styles
    instances = [None] * len(maps) if instances is None else instances
    every = zip(maps, styles, instances, strict=True)
    bar = tqdm(every, "paintings", total=len(maps), disable=None, leave=False)
    return np.stack([pipeline.paint(m, style, instances=inst) for m, style, inst in bar])


def seeded(pipeline, first, count):
    """The styles of so many seeds; None where there are none."""
    if not pipeline.latent_size:
        return None
    return [pipeline.style(seed) for seed in range(first, first + count)]


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
    folder = find_weights(weights)
    pipeline = SPADEPipeline.from_weights(folder, device=device)
    names = names or default_metrics(drawn, segmenter, pipeline)
    check(names, drawn, segmenter, pipeline)
    find = segmented(segmenter, pipeline.device) if segmenter else None
    if drawn:
        real, maps, instances, other = drawn_puppets(count, pipeline.size[0], drawn)
    else:
        layout = layout or pipeline.labels.kind
        real, maps, instances, other = given(pipeline, data, count, layout, folders, holdout)
    fake = painted(pipeline, maps, seeded(pipeline, seed, len(maps)), instances)
    about = {"data": data, "count": len(maps), "size": list(pipeline.size)}
    result = metrics.described("spade", read_config(folder, "spade"), about)
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
        if pipeline.encoder is not None:
            own = painted(pipeline, maps, [pipeline.style_of(one) for one in real], instances)
            pictures["painted_in_own_style"] = own
            difference = np.abs(own.astype(np.int16) - real).mean(dtype=np.float64) / 255
            result["own_style_l1"] = difference
        result["segmenter"] = recognised(pipeline.labels, pictures, maps, drawn, find)
    if "style" in names:
        result["style"] = style_numbers(pipeline, maps, seed)
    return result


def default_metrics(drawn, segmenter, pipeline):
    names = ["swd"]
    if drawn or segmenter:
        names.append("segmenter")
    if drawn and pipeline.latent_size:
        names.append("style")
    return tuple(names)


def check(names, drawn, segmenter, pipeline):
    """UserError for what could only fail after minutes of work."""
    if drawn and pipeline.labels.kind != "puppets":
        raise UserError("These weights know no puppets: score them on a folder of their own set.")
    if "segmenter" in names and not (drawn or segmenter):
        raise UserError("Without puppets the metric segmenter needs --segmenter FILE.")
    if "style" in names and not (drawn and pipeline.latent_size):
        raise UserError("The metric style takes puppets, and weights with styles.")
    if "fid" in names:
        metrics.inception_file()
    if "swd" in names:
        metrics.check_size(np.empty((0, min(pipeline.size), 0, 3)))


def drawings(count, size, style):
    """The first `count` of the puppets that no training sees."""
    seeds = [puppet_seed(0, index, training=False) for index in range(count)]
    bar = tqdm(seeds, "puppets", disable=None, leave=False)
    return [draw(random_parameters(number), size, style) for number in bar]


def drawn_puppets(count, size, style):
    """(pictures, label maps, instances None, as many other pictures)."""
    every = drawings(2 * count, size, style)
    pictures = np.stack([drawing.picture for drawing in every])
    maps = np.stack([drawing.label_map for drawing in every[:count]])
    return pictures[:count], maps, None, pictures[count:]


def given(pipeline, data, count, layout, folders, holdout):
    """(pictures, label maps, instances or None, other pictures or None) of a folder."""
    labels = pipeline.labels
    opened = open_labelled(
        data, layout=layout, classes=labels.classes, unknown=labels.unknown,
        framing=Framing(pipeline.size), instances=labels.edges, folders=folders, holdout=holdout,
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


def recognised(labels, pictures, maps, drawn, find):
    """`agreement` of each set of pictures by name, and the paintings' mIoU relative to the real
    ones'; of puppets (`drawn`: their style) by the judge, unless a segmenter is given.
    """
    if find is None:  # the judge sees 64 pixels
        maps = np.stack([drawing.label_map for drawing in drawings(len(maps), SIZE, drawn)])

        def find(some):
            return judge(some).labels

    result = {
        name: agreement(find(some), maps, labels.classes, labels.unknown)
        for name, some in pictures.items()
    }
    for name in list(result)[1:]:
        relative = result[name]["miou"] / max(result["real"]["miou"], 1e-9)
        result[name]["relative_miou"] = relative
    return result


def style_numbers(pipeline, maps, seed):
    """Mean correlation over the judge's colour numbers, and that of each: of one style on two maps
    ("same"), of two styles on one map ("different"); beside it those of puppets drawn so.

    The same style means another colour in each domain, so the two maps are of one domain, and
    numbers count from its mean.
    """
    count = len(maps)
    puppets = [random_parameters(puppet_seed(0, i, training=False)) for i in range(3 * count)]
    domains = np.array([puppet.domain for puppet in puppets[:count]])

    def paintings(which, styles):
        return painted(pipeline, maps[which], [pipeline.style(seed + count + i) for i in styles])

    def redrawn(which, styles):
        shown = []
        for puppet, style in zip(which, styles, strict=True):
            own, other = puppets[puppet], puppets[count + style]
            style = replace(other.style, pattern=own.style.pattern)  # so the map stays as it is
            shown.append(draw(replace(own, style=style), SIZE).picture)
        return np.stack(shown)

    def correlations(show):
        here, *others = (
            centred(judge(show(which, styles)).style, domains)
            for which, styles in ((own, own), (following(domains), own), (own, own + count))
        )
        found = {}
        for name, there in zip(("same", "different"), others, strict=True):
            each = {key: correlation(here[:, i], there[:, i]) for i, key in enumerate(COLOURS)}
            found[name] = {"mean": np.mean(list(each.values())), **each}
        return found

    own = np.arange(count)
    return correlations(paintings) | {"drawn": correlations(redrawn)}


def following(domains):
    """For each puppet the next one of its domain, for the last one the first."""
    result = np.arange(len(domains))
    for domain in np.unique(domains):
        those = np.flatnonzero(domains == domain)
        result[those] = np.roll(those, -1)
    return result


def centred(numbers, domains):
    """Numbers (N, 5) less the mean of their domain."""
    means = {domain: numbers[domains == domain].mean(axis=0) for domain in domains}
    return numbers - np.stack([means[domain] for domain in domains])
