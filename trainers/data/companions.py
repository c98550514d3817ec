"""Puppets that share colours, so that a style can be told from what it is the style of."""

from dataclasses import replace

import numpy as np

from trainers.puppets import FIRST_SCORE_SEED, PuppetParameters, puppet_seed, random_parameters


def puppets_of(count: int, seed: int, part: str) -> list[PuppetParameters]:
    """What the pictures of `puppets.drawn_set` are drawn from, in its order."""
    seeds = (puppet_seed(seed, index, part == "train") for index in range(count))
    return [random_parameters(number) for number in seeds]


def companion(puppet: PuppetParameters, random: np.random.Generator) -> PuppetParameters:
    """Another face of the puppet's domain in another pose; colours and light are the puppet's."""
    return coloured(another(puppet, random), puppet)


def recoloured(puppet: PuppetParameters, random: np.random.Generator) -> PuppetParameters:
    """The same face in the same pose, in the colours and light of another of its domain."""
    return coloured(puppet, another(puppet, random))


def another(puppet, random):
    return random_parameters(int(random.integers(FIRST_SCORE_SEED)), puppet.domain)


def coloured(puppet, like):
    cloth = {name: getattr(like.identity, name) for name in ("cloth_hue", "cloth_value")}
    same = {name: getattr(like, name) for name in ("style", "background", "light")}
    return replace(puppet, identity=replace(puppet.identity, **cloth), **same)
