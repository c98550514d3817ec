"""The judge's own errors on puppets that no training sees."""

import numpy as np
from tqdm import tqdm

from gan_models.judge import IDENTITY, STYLE, Readings, load_judge, read
from trainers import metrics
from trainers.judge.train import draw_truth
from trainers.puppets import ACTION_UNITS, LABELS, STYLES, puppet_seed


def errors(readings, truth):
    """How far readings (`Readings`) lie from the truth, as a dict of plain numbers.

    Landmarks in pixels; action units, style and identity as mean absolute error, and as correlation
    per number; intersection over union is averaged over the labels that occur.
    """
    overlaps = []
    for label in range(len(LABELS)):
        read_there, is_there = readings.labels == label, truth.labels == label
        if is_there.any():
            overlaps.append((read_there & is_there).sum() / (read_there | is_there).sum())
    distance = np.linalg.norm(readings.landmarks - truth.landmarks, axis=2)
    result = {
        "label_accuracy": (readings.labels == truth.labels).mean(),
        "label_iou": np.mean(overlaps),
        "landmark_error": distance.mean(),
        "domain_accuracy": (readings.domain == truth.domain).mean(),
    }
    for name, names in (("action_units", ACTION_UNITS), ("style", STYLE), ("identity", IDENTITY)):
        there, found = getattr(truth, name), getattr(readings, name)
        result[f"{name}_error"] = np.abs(found - there).mean()
        result[f"{name}_correlation"] = {
            str(key): correlation(found[:, i], there[:, i]) for i, key in enumerate(names)
        }
    return result


def correlation(a, b):
    """Pearson's correlation of two rows of numbers; 0 where one of them does not vary."""
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a**2).sum() * (b**2).sum())
    return (a * b).sum() / size if size > 1e-12 else 0.0


def guess(truth, count):
    """The best `count` equal readings for all: each pixel's commonest label, each number's mean."""
    votes = np.stack([(truth.labels == label).sum(axis=0) for label in range(len(LABELS))])
    constant = {
        name: np.median(getattr(truth, name), axis=0)
        for name in ("landmarks", "action_units", "style", "identity")
    }
    constant["labels"] = votes.argmax(axis=0).astype(np.uint8)
    constant["domain"] = np.bincount(truth.domain).argmax()
    return Readings(**{name: np.stack([value] * count) for name, value in constant.items()})


def score(
    weights: metrics.Weights = "judge-puppets", count: int = 1024, device: str = "cpu"
) -> dict:
    """A judge's errors on puppets that no training sees, in both drawing styles.

    Args:
        weights: Folder, shipped name or run folder of the judge's weights.
        count: How many puppets.
        device: cpu, cuda or cuda:N.
    """
    metrics.check_count(count, "puppets")
    network = load_judge(weights, device)
    result = {"system": "judge", "weights": weights, "count": count}
    for style in STYLES:
        seeds = [puppet_seed(0, index, training=False) for index in range(count)]
        pictures, truth = draw_truth(tqdm(seeds, style, disable=None), style)
        result[style] = errors(read(network, pictures), truth)
    result["guess"] = errors(guess(truth, count), truth)  # what a blind judge would score at best
    return result
