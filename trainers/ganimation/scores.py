"""Scores of GANimation's edits of faces that no training saw.

On puppets, each is given the action units of another:

    expression   does the shipped judge read them in the edit? mean error, and correlation with what
                 was asked, over all units and over the `strong` ones; `drawn`: the same of the true
                 picture, which no edit need exceed
    truth        distance to the same puppet drawn with these units, mean of 0 to 255, over the
                 pixels that this changes; `closer`: how many times nearer than the unedited picture
    moves        each unit alone, from 0 to 1: how many times more the pixels change that it should
                 move than those of the other regions of the face, at least of any (`lowest`)
    kept         PSNR outside the attended area, and the mean change of 0 to 255 there when a
                 picture is given the units that are measured in it
    measured     error and correlation of what the weights' own critic reads in pictures

Of a folder, whose edits have no truth and no judge: `measured`; `kept`; and `expression` by the
weights' own critic, which they were trained to please.
"""

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import tyro
from tqdm import tqdm

from gan_models.errors import UserError
from gan_models.ganimation.action_units import CODES, UNITS
from gan_models.ganimation.pipeline import GANimationPipeline
from gan_models.judge import judge
from gan_models.names import find_weights
from gan_models.weights import read_config
from trainers import metrics
from trainers.data.action_units import Crop, open_action_units
from trainers.judge.scores import correlation
from trainers.puppets import draw, puppet_seed, random_parameters

STRONG = (1, 2, 4, 5, 12, 25, 26, 45)
REGIONS = ("brow", "eye", "nose", "mouth")
CHANGED = 12  # of 255: less is no change
ATTENDED = 0.9  # where attention keeps less than this of the input's pixel
MOVED = 24  # puppets whose units are moved one by one


def edited(pipeline, pictures, action_units):
    """(edits (N, H, W, 3) uint8, attention (N, H, W)) of pictures and (N, 17), each as a whole."""
    made, kept = [], []
    every = zip(pictures, action_units, strict=True)
    for picture, units in tqdm(every, "edits", len(pictures), disable=None, leave=False):
        squares, _ = pipeline.squares(picture, whole=True)
        edit = pipeline.edit(picture, squares, units[None])
        made.append(edit.picture)
        kept.append(edit.attention[0])
    return np.stack(made), np.stack(kept)


def measured(pipeline, pictures):
    """What the critic reads, (N, 17)."""
    return np.concatenate(
        [pipeline.measure(one, pipeline.squares(one, whole=True)[0]) for one in pictures]
    )


def agreement(found, asked):
    """Error and correlations of action units (N, 17)."""
    each = {str(code): correlation(found[:, i], asked[:, i]) for i, code in enumerate(CODES)}
    return {
        "error": np.abs(found - asked).mean(),
        "correlation": np.mean(list(each.values())),
        "strong": np.mean([each[str(code)] for code in STRONG]),
        "each": each,
    }


def read(pictures):
    """What the judge reads, (N, 17)."""
    return judge(pictures).action_units


def difference(a, b):
    """(N, H, W) mean over the colours, 0 to 255."""
    return np.abs(a.astype(np.int16) - b).mean(axis=3)


def drawn(parameters, action_units, size, style):
    """The puppets with these units (N, 17), (N, size, size, 3) uint8."""
    pairs = zip(parameters, np.float64(action_units), strict=True)
    return np.stack(
        [draw(replace(p, action_units=tuple(u.clip(0, 1))), size, style).picture for p, u in pairs]
    )


def moves(pipeline, parameters, size, style):
    """For each unit: the mean change of the pixels that it should change, as a multiple of that of
    the region, among the others, that changes most.
    """
    at_rest = np.zeros((len(parameters), len(CODES)))
    rest = drawn(parameters, at_rest, size, style)
    still, _ = edited(pipeline, rest, at_rest)
    places, changes = {}, {}
    for index, code in enumerate(CODES):
        wanted = at_rest.copy()
        wanted[:, index] = 1
        places[code] = difference(drawn(parameters, wanted, size, style), rest) > CHANGED
        changes[code] = difference(edited(pipeline, rest, wanted)[0], still)
    regions = {
        name: np.any([places[unit.code] for unit in UNITS if unit.region == name], axis=0)
        for name in REGIONS
    }
    result = {}
    for unit in UNITS:
        own, change = places[unit.code], changes[unit.code]
        elsewhere = [regions[name] & ~own for name in REGIONS if name != unit.region]
        most = max(change[place].mean() for place in elsewhere)
        result[str(unit.code)] = change[own].mean() / max(most, 1e-3)
    return {"lowest": min(result.values()), **result}


def nearer(pictures, edits, truth):
    """How much nearer the edits are to the truth than the pictures (N, H, W, 3) uint8."""
    before, after = difference(pictures, truth), difference(edits, truth)
    changed = before > CHANGED
    distances = {"before": before[changed].mean(), "after": after[changed].mean()}
    closer = distances["before"] / max(distances["after"], 1e-3)
    everywhere = {"before": before.mean(), "after": after.mean()}
    return {"closer": closer, **distances, "everywhere": everywhere}


def kept(pipeline, pictures, edits, attention, readings):
    """How well pixels outside the attended area are kept: see the top of this file."""
    outside = attention > ATTENDED
    squares = np.square(np.float64(edits) - pictures).mean(axis=3)
    same, mask = edited(pipeline, pictures, readings)
    return {
        "attention": attention.mean(),
        "psnr": 10 * np.log10(255**2 / max(squares[outside].mean(), 1e-4)),
        "own_units": difference(same, pictures)[mask > ATTENDED].mean(),
        "own_units_everywhere": difference(same, pictures).mean(),
    }


def score(
    weights: metrics.Weights,
    data: metrics.Data,
    count: int = 256,
    size: int = 0,
    crop: Crop = "face",
    holdout: float = 0.0,
    names: Annotated[
        tuple[Literal["expression", "truth", "moves", "kept", "measured"], ...],
        tyro.conf.arg(name="metrics"),
    ] = (),
    device: str = "auto",
) -> dict:
    """Score edits of faces that training did not see.

    Args:
        weights: Folder, shipped name, run folder or Hub name of the weights.
        data: A folder as the trainer takes it, puppets, or puppets:held_out.
        count: Pictures; of a folder with fewer, all of them.
        size: Of the puppets in pixels, edited at their full size; default: that of the networks.
        crop: Of a folder's pictures: as in training.
        holdout: The share given to training, without lists of names; only what was left out is
            scored.
        names: What to compute; by default all that the data allows.
        device: auto, cpu, cuda or cuda:N.
    """
    metrics.check_count(count, "pictures")
    style, folder = metrics.puppet_style(data), find_weights(weights)
    pipeline = GANimationPipeline.from_weights(folder, device=device)
    names = names or ("expression", "kept", "measured") + ("truth", "moves") * (style is not None)
    if style is None and {"truth", "moves"} & set(names):
        raise UserError("Only puppets have a truth: truth and moves cannot be scored on others.")
    if style:
        size = size or pipeline.size
        seeds = (puppet_seed(0, index, training=False) for index in range(count))
        parameters = list(map(random_parameters, seeds))
        units = np.float32([one.action_units for one in parameters])
        pictures = drawn(parameters, units, size, style)
    else:
        pictures, units = given(pipeline, data, count, crop, holdout)
    about = {"data": data, "count": len(pictures), "size": pictures.shape[1]}
    result = metrics.described("ganimation", read_config(folder, "ganimation"), about)
    asked = np.roll(units, 1, axis=0)
    edits, attention = edited(pipeline, pictures, asked)
    readings = measured(pipeline, pictures)
    if "measured" in names:
        result["measured"] = agreement(readings, units)
    if "expression" in names:
        found = read(edits) if style else measured(pipeline, edits)
        result["expression"] = agreement(found, asked)
    if style and {"expression", "truth"} & set(names):
        truth = drawn(parameters, asked, size, style)
        if "expression" in names:
            result["expression"]["drawn"] = agreement(read(truth), asked)
        if "truth" in names:
            result["truth"] = nearer(pictures, edits, truth)
    if "kept" in names:
        result["kept"] = kept(pipeline, pictures, edits, attention, readings)
    if "moves" in names:
        result["moves"] = moves(pipeline, parameters[:MOVED], size, style)
    return result


def given(pipeline, data, count, crop, holdout):
    """(pictures (N, size, size, 3), action units (N, 17)) of a folder's left-out part."""
    opened = open_action_units(
        data, size=pipeline.size, crop=crop, margin=pipeline.framing["margin"], holdout=holdout,
        part="held_out", shuffle=False,
    )  # fmt: skip
    batch = opened.first(min(count, opened.length))
    pictures = np.ascontiguousarray(batch["images"].numpy().transpose(0, 2, 3, 1))
    return pictures, batch["action_units"].numpy()
