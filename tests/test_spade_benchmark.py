"""The painting benchmark's table: both sides paint the same map, and the distance is in words."""

import numpy as np
import pytest

from benchmarks import spade
from gan_models.spade import Generator


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    made = spade.Generator

    def small(semantics, size, latent_size):
        return made(semantics, size, channels=2, latent_size=latent_size, hidden=4)

    assert made is Generator
    monkeypatch.setattr(spade, "Generator", small)
    monkeypatch.setattr(spade, "SIZE", 64)


@pytest.mark.parametrize(("part", "target"), [(spade.first, ">= 2.5"), (spade.style, ">= 5")])
def test_table_compares_with_the_official_way(part, target, capsys):
    part(1)
    official, ours, *_ = capsys.readouterr().out.splitlines()
    assert official.endswith("equal") and " 1.00 " in official
    assert target in ours and (ours.endswith("equal") or " 1 at most" in ours)
    assert len(np.unique(spade.painted())) == 7


def test_memory_is_told(capsys):
    spade.memory()
    plain, folded, painted, noise = capsys.readouterr().out.splitlines()
    assert "the plain generator" in plain and "a map of noise" in noise
