"""StarGAN v2's scores tell good translations from bad ones."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_stargan_v2 import save_stargan_v2

from gan_models.errors import UserError
from gan_models.stargan_v2 import StarGANv2Pipeline
from trainers import metrics
from trainers.puppets import DOMAINS, draw, puppet_seed, random_parameters
from trainers.stargan_v2 import scores


def drawings(domain, first, count):
    numbers = [puppet_seed(0, index, training=False) for index in range(first, first + count)]
    return np.stack([draw(random_parameters(number, domain), 64).picture for number in numbers])


def test_the_judge_tells_right_translations_from_unchanged_sources():
    count = 12
    real = {domain: drawings(domain, 0, 2 * count) for domain in DOMAINS}
    others = {domain: [name for name in DOMAINS if name != domain] for domain in DOMAINS}
    sources = {
        domain: np.concatenate([real[name][: count // 2] for name in others[domain]])
        for domain in DOMAINS
    }
    own = {domain: real[domain][:count] for domain in DOMAINS}  # exactly the references

    def read(pictures):
        fake = {
            "latent": {name: np.stack([one, one[::-1]], axis=1) for name, one in pictures.items()},
            "reference": pictures,
        }
        return scores.read(real, fake, count, 0)

    good, unchanged = read(own), read(sources)
    assert good["reference"]["domain_accuracy"] > 0.9
    assert unchanged["reference"]["domain_accuracy"] < 0.1
    assert good["reference"]["style_closer"] > 0.85 > unchanged["reference"]["style_closer"]
    assert unchanged["reference"]["pose_error"] == 0 < good["reference"]["pose_error"]
    assert good["latent"]["diversity"] > 0.5
    fake = {"latent": {name: one[:, None] for name, one in own.items()}, "reference": sources}
    for found in scores.distances(real, fake, 0).values():
        same, floor, other = (found[way]["mean"] for way in ("latent", "floor", "reference"))
        assert same < floor < other


def test_scores_of_weights(tmp_path):
    folder = save_stargan_v2(tmp_path / "tiny")
    result = scores.score(str(folder), "puppets", count=4, device="cpu")
    assert set(result["swd"]) == set(DOMAINS)
    assert set(result["judge"]) == {"latent", "reference"}
    with pytest.raises(UserError, match="AlexNet"):
        scores.score(str(folder), "puppets", names=("lpips",), device="cpu")
    with pytest.raises(UserError, match="puppets as data"):
        scores.score(str(folder), str(tmp_path), names=("judge",), device="cpu")


def test_the_official_scores_are_of_ten_translations_of_each_source(tmp_path, monkeypatch, capsys):
    pipeline = StarGANv2Pipeline.from_weights(save_stargan_v2(tmp_path / "tiny"), device="cpu")
    random = np.random.default_rng(0)
    real = {name: random.integers(0, 256, (3, 32, 32, 3), np.uint8) for name in pipeline.domains}
    monkeypatch.setattr(metrics, "lpips", lambda some: len(some) + (some[0] != some[1]).any())
    monkeypatch.setattr(metrics, "inception_features", lambda some: torch.ones(len(some), 2))
    monkeypatch.setattr(metrics, "fid", lambda known, fake: len(fake))
    found = scores.protocol(pipeline, real, dict.fromkeys(real, 0), True, 2, seed=0)
    tasks = {f"{a}2{b}" for a in real for b in real if a != b}
    for way in ("latent", "reference"):
        assert found["lpips"][way] == dict.fromkeys({*tasks, "mean"}, 11)
        assert found["fid"][way] == dict.fromkeys({*tasks, "mean"}, 20)
    assert set(scores.protocol(pipeline, real, None, True, 1, seed=0)) == {"lpips"}
    for domain, pictures in real.items():
        (tmp_path / "set/train" / domain).mkdir(parents=True)
        for index, picture in enumerate(pictures):
            Image.fromarray(picture).save(tmp_path / "set/train" / domain / f"{index}.png")
    pipeline.domains = tuple(sorted(real))  # as a folder's are
    (tmp_path / "set/train" / domain / "damaged.png").write_bytes(b"no picture")
    known = scores.known_features(pipeline, tmp_path / "set", {}, 0, holdout=0.0)
    assert {name: len(some) for name, some in known.items()} == dict.fromkeys(DOMAINS, 3)
    assert "Passed over: " in (said := capsys.readouterr().err) and "damaged.png" in said


def test_a_distance_compares_as_many_pictures_of_each():
    """A folder may have fewer pictures than were asked for."""
    random = np.random.default_rng(0)
    seven, five = (random.integers(0, 255, (n, 32, 32, 3), np.uint8) for n in (7, 5))
    fake = {"latent": {"cat": five[:, None]}, "reference": {"cat": five}}
    found = scores.distances({"cat": seven}, fake, seed=0)["cat"]
    assert set(found) == {"latent", "reference", "floor"}
    assert found["latent"] == found["reference"]
