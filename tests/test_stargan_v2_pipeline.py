"""StarGAN v2's pipeline: pictures, styles, what is remembered, and what it refuses."""

import numpy as np
import pytest
import torch
from tiny_stargan_v2 import DOMAINS, networks_of, save_stargan_v2

from gan_models import images
from gan_models.errors import UserError
from gan_models.stargan_v2 import StarGANv2Pipeline
from gan_models.stargan_v2 import pipeline as module

RANDOM = np.random.default_rng(0)


def picture(height=40, width=60):
    return RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = save_stargan_v2(tmp_path_factory.mktemp("stargan") / "tiny")
    return StarGANv2Pipeline.from_weights(folder, device="cpu")


def test_a_picture_by_a_seed_and_by_a_reference(pipeline):
    source, reference = picture(), picture(50, 32)
    networks, _ = networks_of()
    crop = pipeline.crop(source)
    assert crop.shape == (32, 32, 3)
    domain = torch.tensor([1])
    with torch.inference_mode():
        style = networks["style_encoder"](images.to_tensor(pipeline.crop(reference)), domain)
        expected = networks["generator"](images.to_tensor(crop), style)
    found = pipeline.translate(source, "cat", reference=reference)
    assert np.abs(found.astype(int) - images.to_pictures(expected)[0]).max() <= 1
    latents = np.random.RandomState(7).randn(1, 4).astype(np.float32)
    with torch.inference_mode():
        style = networks["mapping_network"](torch.from_numpy(latents), domain)
    assert np.allclose(pipeline.style(1, 7), style[0], atol=1e-5)
    other = pipeline.translate(source, "cat", seed=7)
    assert not np.array_equal(found, other)
    assert not np.array_equal(other, pipeline.translate(source, "robot", seed=7))


def test_many_styles_of_one_source_are_decoded_in_batches_and_encoded_once(pipeline, monkeypatch):
    crop = pipeline.crop(picture())
    styles = [pipeline.style("human", seed) for seed in range(5)]
    calls = []
    generator = pipeline._generator
    plain = generator.encoded
    monkeypatch.setattr(
        generator, "encoded", lambda x, masks: calls.append(len(x)) or plain(x, masks)
    )
    one_by_one = [next(pipeline.translations(crop, [style])) for style in styles]
    monkeypatch.setattr(pipeline, "batch_size", 2)
    together = list(pipeline.translations(crop, styles))
    assert calls == [1]
    assert np.abs(np.int16(together) - np.int16(one_by_one)).max() <= 1


def test_caches_are_bounded_and_change_nothing(monkeypatch):
    monkeypatch.setattr(module, "REMEMBERED", 2 * 32**2)
    monkeypatch.setattr(module, "STYLES", 2)
    networks, _ = networks_of()
    pipeline = StarGANv2Pipeline(networks, {"size": 32, "domains": DOMAINS}, device="cpu")
    crop, style = pipeline.crop(picture()), pipeline.style("cat", 1)
    first = next(pipeline.translations(crop, [style]))
    for _ in range(4):
        other = pipeline.crop(picture())
        next(pipeline.translations(other, [style]))
        pipeline.style_of(other, "cat")
    for remembered in (pipeline._encoded, pipeline._style_of):
        assert remembered.cache_info().currsize == 2
    assert np.array_equal(first, next(pipeline.translations(crop, [style])))


def test_strength_leads_from_the_domains_mean_style(pipeline):
    style, half, none = (pipeline.style("cat", 3, strength) for strength in (1, 0.5, 0))
    assert np.allclose(half, (style + none) / 2, atol=1e-5)
    assert np.allclose(none, pipeline.style("cat", 4, 0))
    assert not np.allclose(none, pipeline.style("human", 3, 0))
    assert np.allclose(pipeline.mix(style, none, 0.5), half, atol=1e-5)


def test_a_skip_keeps_edges_where_the_landmark_network_is_there(tmp_path):
    with_masks = save_stargan_v2(tmp_path / "a", w_hpf=1.0, fan=True)
    without = save_stargan_v2(tmp_path / "b", w_hpf=1.0)
    both = [
        StarGANv2Pipeline.from_weights(folder, device="cpu") for folder in (with_masks, without)
    ]
    assert [bool(pipeline.notice) for pipeline in both] == [False, True]
    assert "wing.ckpt" in both[1].notice
    source = picture()
    crop = both[0].crop(source)
    found = [pipeline.translate(source, "human", seed=1) for pipeline in both]
    networks, _ = networks_of(w_hpf=1.0, fan=True)
    with torch.inference_mode():
        x = images.to_tensor(crop)
        style = torch.from_numpy(both[0].style("human", 1))[None]
        expected = networks["generator"](x, style, networks["fan"].masks(x))
    assert np.abs(found[0].astype(int) - images.to_pictures(expected)[0]).max() <= 1
    assert not np.array_equal(*found)


def test_what_it_refuses(pipeline):
    crop = pipeline.crop(picture())
    with pytest.raises(UserError, match="human, cat, robot"):
        pipeline.style("dog", 1)
    with pytest.raises(UserError, match="strength"):
        pipeline.style("cat", 1, float("nan"))
    with pytest.raises(UserError, match="seed"):
        pipeline.style("cat", -1)
    with pytest.raises(UserError, match="share"):
        pipeline.mix(np.zeros(8), np.zeros(8), 2)
    with pytest.raises(UserError, match="8 finite numbers"):
        next(pipeline.translations(crop, np.full((1, 8), np.nan)))
    with pytest.raises(UserError, match="32 x 32"):
        next(pipeline.translations(picture(), [pipeline.style("cat", 1)]))
    networks, _ = networks_of()
    with pytest.raises(UserError, match="3 domains"):
        StarGANv2Pipeline(networks, {"size": 32, "domains": DOMAINS[:2]}, device="cpu")
