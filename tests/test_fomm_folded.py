"""The networks for inference: the plain ones' numbers, whatever is folded, fused or left out."""

import pytest
import tiny_fomm
import torch
import torch.nn.functional as F
from torch import nn

from gan_models.folding import channels_last
from gan_models.fomm import folded_layers
from gan_models.fomm.folded import FoldedDetector, FoldedGenerator
from gan_models.fomm.networks import Block, Generator, Keypoints, ResidualBlock, heatmaps

PLAIN = {"border": False, "warped_skips": False, "blend": False}
DETECTORS = {
    "jacobians": {},
    "one map": {"single_jacobian_map": True},
    "zero order": {"estimate_jacobian": False, "pad": 1},
    "anchors": {"anchors": 0.3, "pad": 1},
    "full size": {"scale_factor": 1},
}
GENERATORS = {
    "official": PLAIN,
    "ours": {"motion_features": True},
    "no occlusion": {"estimate_occlusion_map": False, "align_corners": False},
    "deep": {"num_down_blocks": 2, "max_features": 16, "num_bottleneck_blocks": 2},
    "deep official": PLAIN | {"num_down_blocks": 3, "max_features": 16, "align_corners": False},
    "border only": PLAIN | {"border": True},
    "skips only": PLAIN | {"warped_skips": True, "num_down_blocks": 2},
    "blend only": PLAIN | {"blend": True},
    "features only": PLAIN | {"motion_features": True, "num_down_blocks": 2},
}


@pytest.fixture(scope="module")
def pictures():
    source = torch.Generator().manual_seed(0)
    return torch.rand(4, 3, 32, 32, generator=source)


@pytest.fixture(scope="module")
def pose(pictures):
    """(source's keypoints, those of three driving frames)."""
    detector, _ = tiny_fomm.networks()
    with torch.no_grad():
        return detector(pictures[:1]), detector(pictures[1:])


def close(ours, theirs, tolerance=1e-5):
    assert (ours is None) == (theirs is None)
    if ours is not None:
        assert ours.shape == theirs.shape and ours.dtype == torch.float32
        assert (ours - theirs).abs().max() <= tolerance


@pytest.mark.parametrize("changes", DETECTORS.values(), ids=DETECTORS)
def test_detector_finds_the_same_points(changes, pictures):
    detector, _ = tiny_fomm.networks(detector=changes)
    with torch.no_grad():
        expected = detector(pictures)
    points = FoldedDetector(detector)(pictures)
    assert expected.value.std(dim=0).max() > 0.01  # they depend on the picture
    close(points.value, expected.value)
    close(points.jacobian, expected.jacobian)
    low = FoldedDetector(detector, dtype=torch.bfloat16)(pictures)
    close(low.value, expected.value)  # points are not left to 8 bits


@pytest.mark.parametrize("changes", GENERATORS.values(), ids=GENERATORS)
def test_generator_draws_the_same(changes, pictures, pose):
    _, generator = tiny_fomm.networks(generator=changes)
    at_rest, driving = pose
    with torch.no_grad():
        expected = generator(pictures[:1].expand(3, -1, -1, -1), driving, repeated(at_rest, 3))
    ours = FoldedGenerator(generator)
    encoded = ours.encode(pictures[:1])
    output = ours.animate(encoded, driving, at_rest, explain=True)
    assert expected.prediction.std(dim=0).max() > 1e-3  # frames differ
    assert output.logits is None  # only training looks at them
    for name, value in output._asdict().items():
        if name != "logits":
            close(value, getattr(expected, name), 1e-4 if name == "sparse_deformed" else 2e-5)
    assert torch.equal(ours.animate(encoded, driving, at_rest), output.prediction)
    for number in range(3):
        one = Keypoints(*(part[number : number + 1] for part in driving))
        close(ours.animate(encoded, one, at_rest)[0], output.prediction[number])


def repeated(keypoints, n):
    return Keypoints(*(part.expand(n, *part.shape[1:]) for part in keypoints))


def test_zero_order_motion(pictures, pose):
    _, generator = tiny_fomm.networks()
    at_rest, driving = (Keypoints(points.value) for points in pose)
    with torch.no_grad():
        expected = generator(
            pictures[:1].expand(3, -1, -1, -1), driving, Keypoints(at_rest.value.expand(3, -1, -1))
        )
    ours = FoldedGenerator(generator)
    close(ours.animate(ours.encode(pictures[:1]), driving, at_rest), expected.prediction)


def test_without_dense_motion_every_frame_is_the_source(pictures, pose):
    generator = Generator(3, 4, 8, 1, 1, estimate_occlusion_map=False, dense_motion=None).eval()
    at_rest, driving = pose
    ours = FoldedGenerator(generator)
    output = ours.animate(ours.encode(pictures[:1]), driving, at_rest, explain=True)
    with torch.no_grad():
        expected = generator(pictures[:1], driving, at_rest).prediction
    close(output.prediction, expected.expand(3, -1, -1, -1))
    assert all(value is None for value in output[1:])


def test_low_precision_is_near_and_encodes_exactly(pictures, pose):
    _, generator = tiny_fomm.networks(generator=GENERATORS["ours"])
    at_rest, driving = pose
    exact, low = FoldedGenerator(generator), FoldedGenerator(generator, dtype=torch.bfloat16)
    encoded = low.encode(pictures[:1])
    for ours, theirs in zip(encoded.features, exact.encode(pictures[:1]).features, strict=True):
        assert torch.equal(ours, theirs)
    expected = exact.animate(encoded, driving, at_rest)
    got = low.animate(encoded, driving, at_rest)
    difference = (got - expected).abs()
    assert got.dtype == torch.float32 and 0 < difference.max()
    assert difference.mean() < 1 / 255


def test_original_is_left_alone(pictures, pose):
    detector, generator = tiny_fomm.networks()
    before = [value.clone() for network in (detector, generator) for value in network.parameters()]
    ours = FoldedGenerator(generator)
    ours.animate(ours.encode(pictures[:1]), pose[1], pose[0])
    FoldedDetector(detector)(pictures)
    with torch.no_grad():  # nor do the copies share anything with it
        old = ours.animate(ours.encode(pictures[:1]), pose[1], pose[0])
        after = [value for network in (detector, generator) for value in network.parameters()]
        assert all(map(torch.equal, before, after))
        for value in generator.parameters():
            value.zero_()
    assert torch.equal(ours.animate(ours.encode(pictures[:1]), pose[1], pose[0]), old)


@pytest.mark.parametrize("size", [(8, 8), (4, 12), (7, 10), (1, 5)])
def test_winograd(size):
    torch.manual_seed(0)  # its rounding errors come close to the tolerance
    conv = nn.Conv2d(5, 6, 3, padding=1)
    weight, bias = conv.weight.detach(), conv.bias.detach()
    x = channels_last(torch.randn(2, 5, *size))
    with torch.inference_mode():
        y = folded_layers.WinogradConv(weight, bias, torch.float32)(x)
        close(y, conv(x))


def test_wide_residual_blocks_use_it():
    block = normed(ResidualBlock(folded_layers.WIDE))
    ours = folded_layers.FoldedResidual(block, "cpu", torch.float32)
    assert isinstance(ours.conv1, folded_layers.WinogradConv)
    x = torch.randn(1, folded_layers.WIDE, 8, 8)
    with torch.inference_mode():
        close(ours(channels_last(x)), block(x), 1e-4)


@pytest.mark.parametrize("layer", [folded_layers.FoldedUp, folded_layers.HeavyUp])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4)])
def test_enlarging_layers_are_exact_to_the_border(layer, size):
    block = normed(Block(6, 5, resample="up"))
    ours = layer(*folded_layers.folded(block.conv, block.norm), torch.float32)
    x = torch.randn(2, 6, *size)
    with torch.inference_mode():
        close(ours(channels_last(x)), block(x))


def test_heavy_weights_take_the_other_form():
    narrow, heavy = Block(8, 8, resample="up"), Block(1024, 512, resample="up")
    kinds = [folded_layers.folded_up(block, "cpu", torch.float32) for block in (narrow, heavy)]
    assert [type(kind) for kind in kinds] == [folded_layers.FoldedUp, folded_layers.HeavyUp]


@pytest.mark.parametrize("border", [True, False])
@pytest.mark.parametrize("align_corners", [True, False])
def test_features_are_moved_as_torch_moves_them(border, align_corners):
    image, share = channels_last(torch.rand(1, 6, 5, 7)), torch.rand(2, 1, 8, 9)
    places = 3 * torch.rand(2, 8, 9, 2) - 1.5  # beyond the border, too
    places[0, 0, :2] = torch.tensor([[-1.0, 1.0], [1.0, -1.0]])
    expected = share * F.grid_sample(
        image.expand(2, -1, -1, -1), places, align_corners=align_corners,
        padding_mode="border" if border else "zeros",
    )  # fmt: skip
    with torch.inference_mode():
        ours = folded_layers.moved_rows(image, places, border, align_corners, share)
        close(ours, expected)
        places[0, 0, 0] = torch.nan  # as of maps that have no inverse
        close(folded_layers.moved_rows(image, places, border, align_corners, share)[1], ours[1])


def normed(block):
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value, low in (
                (module.weight.data, 0.5), (module.bias.data, -0.5),
                (module.running_var, 0.5), (module.running_mean, -0.5),
            ):  # fmt: skip
                value.uniform_(low, low + 1)
    return block.eval()


def test_heatmaps_hold_no_numbers_that_processors_are_slow_with():
    heat = heatmaps(64, 64, torch.tensor([[[-0.9, 0.9], [0.3, -0.4]]]), 0.01)
    assert heat.amax(dim=(2, 3)).min() > 0.9
    assert heat[heat > 0].min() > 1e-30 > torch.finfo(torch.float32).tiny
    there = torch.tensor([[[0.1, 0.2]]], requires_grad=True)
    heatmaps(8, 8, there, 0.1)[0, 0, 2, 3].backward()
    assert (there.grad != 0).all()
