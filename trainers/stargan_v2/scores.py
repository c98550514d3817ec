"""Scores of StarGAN v2's translations of pictures that no training saw.

swd         per domain: translations into it beside its real pictures; floor is what as many
            other real pictures of it score
lpips       by the official protocol, for each pair of domains: the mean distance between ten
            translations of one source, which is their variety
fid         of all those translations to the domain's training part; of puppets, to the drawings
            that are also the references. The usual Inception: the official code's is torchvision's
judge       puppets: what the judge reads in the translations of sources into other domains
    domain_accuracy     share that it takes for the domain that was asked for
    pose_error          mean distance of landmarks from the source's, as a share of the width
    style_closer        share of translations whose style numbers are nearer to their
                        reference's than to a random other one's of that domain
    diversity           mean difference of two seeds' style numbers, divided by that of two
                        drawn puppets of the domain
"""

import itertools
import sys
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from tqdm import tqdm

from gan_models.errors import Unreadable, UserError
from gan_models.judge import SIZE, judge
from gan_models.names import find_weights
from gan_models.stargan_v2.pipeline import StarGANv2Pipeline
from gan_models.weights import read_config
from trainers import metrics
from trainers.data import open_domains
from trainers.puppets import DOMAINS, draw, puppet_seed, random_parameters

OUTPUTS = 10  # of each source, in the official protocol
CHUNK = 32  # pictures read at a time


def score(
    weights: metrics.Weights,
    data: metrics.Data,
    count: int = 256,
    seed: int = 0,
    names: Annotated[
        tuple[Literal["swd", "fid", "lpips", "judge"], ...], tyro.conf.arg(name="metrics")
    ] = (),
    holdout: float = 0.0,
    device: str = "auto",
) -> dict:
    """Score translations of pictures that training did not see, by seeds and by references.

    Args:
        weights: Folder, shipped name, run folder or Hub name of the weights.
        data: A folder with a folder for each domain (its val part, if it has one), puppets, or
            puppets:held_out.
        count: Sources for each domain to translate into; of a folder with fewer, all of them.
        seed: Of styles, and of the distance's patches and directions.
        names: What to compute; by default swd, and judge on puppets; fid needs torch-fidelity and
            its Inception weights, lpips torchvision's AlexNet weights.
        holdout: For a folder without val: the share given to training.
        device: auto, cpu, cuda or cuda:N.
    """
    metrics.check_count(count, "pictures")
    drawn = metrics.puppet_style(data)
    folder = find_weights(weights)
    pipeline = StarGANv2Pipeline.from_weights(folder, device=device)
    names = names or (("swd", "judge") if drawn else ("swd",))
    check(names, pipeline, drawn)
    if drawn:
        real = drawn_domains(pipeline, 2 * count, drawn)
    else:
        real = given(pipeline, data, 2 * count, seed, holdout)
    about = {"data": data, "count": count, "size": pipeline.size}
    result = metrics.described("stargan_v2", read_config(folder, "stargan_v2"), about)
    if {"swd", "judge"} & set(names):
        fake = translated(pipeline, real, count, seed)
    if "swd" in names:
        result["swd"] = distances(real, fake, seed)
    if "judge" in names:
        result["judge"] = read(real, fake, count, seed)
    if {"fid", "lpips"} & set(names):
        known = None
        if "fid" in names:
            known = known_features(pipeline, None if drawn else data, real, seed, holdout)
        result |= protocol(pipeline, real, known, "lpips" in names, count, seed)
    return result


def check(names, pipeline, drawn):
    """UserError for scores that cannot be computed."""
    if "judge" in names and not drawn:
        raise UserError("The metric judge reads drawn puppets: give puppets as data.")
    if drawn and set(pipeline.domains) != set(DOMAINS):
        raise UserError("These weights know no puppets: score them on a folder of their own set.")
    if "fid" in names:
        metrics.inception_file()
    if "lpips" in names:
        metrics.alexnet_file()
    if "swd" in names:
        metrics.check_size(np.empty((0, pipeline.size, 0, 3)))


def drawn_domains(pipeline, count, style):
    """{domain: pictures (count, S, S, 3)} of puppets that no training sees."""
    found = {}
    for domain in pipeline.domains:
        seeds = (puppet_seed(0, index, training=False) for index in range(count))
        bar = tqdm(seeds, domain, total=count, disable=None, leave=False)
        drawings = (draw(random_parameters(number, domain), pipeline.size, style) for number in bar)
        found[domain] = np.stack([drawing.picture for drawing in drawings])
    return found


def given(pipeline, data, count, seed, holdout):
    """{domain: pictures (n, S, S, 3)}, n at most `count`, of a folder's part left out."""
    opened = domains_of(pipeline, data, "held_out", seed, holdout)
    random, source, found = np.random.default_rng(seed), opened.source, {}
    for domain, members in zip(opened.classes, source.members, strict=True):
        found[domain] = readable(source, members[:count], random)
    return found


def readable(source, members, random):
    """Pictures (n, S, S, 3); a damaged file is passed over and said."""
    some = []
    for index in members:
        try:
            some.append(source.picture(index, random))
        except Unreadable as error:
            print(f"Passed over: {error}", file=sys.stderr)
    return np.stack(some).transpose(0, 2, 3, 1)


def domains_of(pipeline, data, part, seed, holdout):
    opened = open_domains(data, size=pipeline.size, part=part, seed=seed, holdout=holdout)
    if tuple(opened.classes) != pipeline.domains:
        raise UserError(
            f"{data} has the domains {', '.join(opened.classes)}, and the weights know "
            f"{', '.join(pipeline.domains)}."
        )
    return opened


def of_others(every, domain, count):
    """`count` of what stands for each picture {domain: (n, ...)}, evenly of all other domains."""
    others = [some for name, some in every.items() if name != domain]
    return np.concatenate([some[: -(-count // len(others))] for some in others])[:count]


def translated(pipeline, real, count, seed):
    """{way: {domain: pictures}} made of other domains' pictures: by "latent" (n, 2, S, S, 3), of
    two seeds each, and by "reference" (n, S, S, 3), each of another of the domain's own pictures.
    """
    found = {"latent": {}, "reference": {}}
    for domain, references in real.items():
        by_seeds, by_references = [], []
        bar = tqdm(of_others(real, domain, count), f"to {domain}", disable=None, leave=False)
        for index, source in enumerate(bar):
            styles = [pipeline.style(domain, seed + 2 * index + i) for i in range(2)]
            styles.append(pipeline.style_of(references[index % len(references)], domain))
            *two, one = pipeline.translations(np.ascontiguousarray(source), styles)
            by_seeds.append(two)
            by_references.append(one)
        found["latent"][domain] = np.array(by_seeds)
        found["reference"][domain] = np.stack(by_references)
    return found


def distances(real, fake, seed):
    """{domain: {way: sliced Wasserstein distance, "floor": that of other real pictures}}."""
    result = {}
    for domain, pictures in real.items():
        here = {"latent": fake["latent"][domain][:, 0], "reference": fake["reference"][domain]}
        here["floor"] = pictures[len(pictures) // 2 :]
        half = min(len(pictures) // 2, *map(len, here.values()))  # as many of each
        reference = metrics.SWDReference(pictures[:half], seed)
        result[domain] = {way: reference.distance(some[:half]) for way, some in here.items()}
    return result


def known_features(pipeline, data, real, seed, holdout):
    """{domain: Inception features (n, 2048)} of the training part of `data`; without, of `real`."""
    if not data:
        return {domain: metrics.inception_features(some) for domain, some in real.items()}
    opened = domains_of(pipeline, data, "train", seed, holdout)
    random, source, found = np.random.default_rng(seed), opened.source, {}
    for domain, members in zip(opened.classes, source.members, strict=True):
        parts = []
        for start in tqdm(range(0, len(members), CHUNK), domain, disable=None, leave=False):
            some = readable(source, members[start : start + CHUNK], random)
            parts.append(metrics.inception_features(some))
        found[domain] = torch.cat(parts)
    return found


def protocol(pipeline, real, known, with_lpips, count, seed):
    """The official scores of ten translations of each source: {"lpips" and, with `known` features,
    "fid": {way: {"cat2dog": ..., "mean": ...}}}.

    Differs from the official code: the pictures are rounded and clamped as a person sees them, and
    a domain with few references gives each of them several times.
    """
    wanted = [name for name, asked in (("lpips", with_lpips), ("fid", known)) if asked]
    result = {name: {"latent": {}, "reference": {}} for name in wanted}
    for way, into, other in itertools.product(("latent", "reference"), real, real):
        if into == other:
            continue
        task, apart, features = f"{other}2{into}", [], []
        for group in tens(pipeline, real[other][:count], real[into], into, way, seed, task):
            if with_lpips:
                apart.append(metrics.lpips(group))
            if known:
                features.append(metrics.inception_features(group))
        if with_lpips:
            result["lpips"][way][task] = np.mean(apart)
        if known:
            result["fid"][way][task] = metrics.fid(known[into], torch.cat(features))
    for ways in result.values():
        for tasks in ways.values():
            tasks["mean"] = np.mean(list(tasks.values()))
    return result


def tens(pipeline, sources, references, domain, way, seed, task):
    """Yield (10, S, S, 3) uint8: each source in ten styles, of seeds or of references in turn."""
    turns = np.random.default_rng(seed).permutation(len(references))
    for index, source in enumerate(tqdm(sources, f"{task}, {way}", disable=None, leave=False)):
        numbers = range(OUTPUTS * index, OUTPUTS * (index + 1))
        if way == "latent":
            styles = [pipeline.style(domain, seed + number) for number in numbers]
        else:
            chosen = [references[turns[number % len(turns)]] for number in numbers]
            styles = [pipeline.style_of(np.ascontiguousarray(one), domain) for one in chosen]
        yield np.stack(list(pipeline.translations(np.ascontiguousarray(source), styles)))


def read(real, fake, count, seed):
    """The judge's numbers, over all domains, for both ways."""
    random, result = np.random.default_rng(seed), {}
    of_real = {domain: judge(pictures) for domain, pictures in real.items()}
    landmarks = {domain: found.landmarks for domain, found in of_real.items()}
    ways = {
        "latent": {domain: some[:, 0] for domain, some in fake["latent"].items()},
        "reference": fake["reference"],
    }
    for way, pictures in ways.items():
        right, off, closer = [], [], []
        for domain, some in pictures.items():
            found = judge(some)
            right += (found.domain == DOMAINS.index(domain)).tolist()
            moved = found.landmarks - of_others(landmarks, domain, count)
            off += np.linalg.norm(moved, axis=2).mean(1).tolist()
            styles = of_real[domain].style
            own = styles[np.arange(len(some)) % len(styles)]
            other = styles[random.permutation(len(styles))[np.arange(len(some)) % len(styles)]]
            gaps = [np.abs(found.style - one).mean(1) for one in (own, other)]
            closer += (gaps[0] < gaps[1]).tolist()
        result[way] = {"domain_accuracy": np.mean(right), "pose_error": np.mean(off) / SIZE}
        if way == "reference":
            result[way]["style_closer"] = np.mean(closer)
    spread = []
    for domain, two in fake["latent"].items():
        first, second = (judge(two[:, index]).style for index in range(2))
        drawn = of_real[domain].style
        between = np.abs(drawn - drawn[random.permutation(len(drawn))]).mean()
        spread.append(np.abs(first - second).mean() / between)
    result["latent"]["diversity"] = np.mean(spread)
    return result
