"""The expression benchmark: both sides edit the same faces, and the distance is in words."""

import functools

import pytest

from benchmarks import ganimation, timing


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    small = functools.partial(ganimation.Generator, channels=4, blocks=1)
    monkeypatch.setattr(ganimation, "Generator", small)
    monkeypatch.setattr(ganimation, "SIZE", 32)


@pytest.mark.parametrize(
    ("part", "target"),
    [(ganimation.one_pass, ">= 1.2"), (ganimation.edit, ""), (ganimation.faces, ">= 1.2")],
)
def test_table_compares_with_the_official_way(part, target, capsys):
    part(1)
    official, ours, reduced = capsys.readouterr().out.splitlines()
    assert official.endswith("equal") and " 1.00 " in official
    assert target in ours and (ours.endswith("equal") or " 1 at most" in ours)
    assert "bfloat16" in reduced and ("of 255 off" in reduced) == timing.has_bfloat16()


def test_memory_is_told(capsys):
    ganimation.memory()
    plain, folded = capsys.readouterr().out.splitlines()
    assert "the plain generator" in plain and "the folded generator" in folded
