"""StarGAN v2's benchmark: all ways make the same pictures, and the distance is in words."""

import functools

import pytest

from benchmarks import stargan_v2, timing


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(stargan_v2, "SIZE", 32)
    monkeypatch.setattr(stargan_v2, "CHANNELS", 4)
    for name in ("Generator", "StyleEncoder"):
        small = functools.partial(getattr(stargan_v2, name), most=8)
        monkeypatch.setattr(stargan_v2, name, small)


@pytest.mark.parametrize(
    ("part", "target"),
    [(stargan_v2.picture, ">= 1.25"), (stargan_v2.style, ""), (stargan_v2.grid, ">= 2")],
)
@pytest.mark.parametrize("units", [True, False])
def test_table_compares_with_the_official_way(part, target, units, capsys, monkeypatch):
    monkeypatch.setattr(timing, "has_bfloat16", lambda: units)
    part(1)
    official, ours, reduced = capsys.readouterr().out.splitlines()
    assert official.endswith("equal") and " 1.00 " in official
    assert target in ours and (ours.endswith("equal") or " 1 at most" in ours)
    assert ", bfloat16 " in reduced
    assert ("of 255 off" if units else timing.NO_UNITS) in reduced
