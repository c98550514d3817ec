"""The painting benchmark's table: both sides paint the same map, and the distance is in words."""

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
    assert spade.painted().std() > 1 and not (spade.painted(1) == spade.painted()).all()


def test_memory_of_a_painted_map_is_told(capsys):
    spade.memory()
    painted, noise = capsys.readouterr().out.splitlines()
    assert "MB" in painted and "a map of noise" in noise
