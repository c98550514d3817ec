"""Scores of motion transfer: an oracle gets 1, doing nothing 0, and every mark is what it says."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from gan_models.fomm import Generator, KeypointDetector
from gan_models.fomm.motion import Motion
from gan_models.fomm.pipeline import FOMMPipeline
from gan_models.images import save_picture, to_tensor
from gan_models.video import clip_info
from gan_models.weights import save_weights
from tests import tiny_fomm
from tests.plain_networks import Networks
from tests.puppet_regions import action_unit_region
from trainers import evaluate
from trainers.fomm import full_size, puppet_moves, scores
from trainers.puppets import clip, draw, random_parameters, transfer

SMALL = {"block_expansion": 4, "max_features": 8, "num_blocks": 2, "scale_factor": 0.5}
DETECTOR = {"num_keypoints": 4, **SMALL, "pad": 3}
GENERATOR = {
    "num_keypoints": 4,
    "block_expansion": 4,
    "num_down_blocks": 1,
    "num_bottleneck_blocks": 1,
    "dense_motion": SMALL,
}
SIZE = 32


class Oracle:
    """Knows the truth and goes `share` of the way there; 0 leaves the source as it is."""

    def __init__(self, share=1.0, known=()):
        self.share, self.known = share, known

    def reconstruct(self, frames):
        return self.towards(frames[0], frames)

    def animate(self, source, driving):
        for moves in self.known:
            for clip_driving, truth in zip(moves.driving, moves.truth, strict=True):
                if np.array_equal(truth[0], source) and np.array_equal(clip_driving, driving):
                    return self.towards(source, truth)
        raise AssertionError("the source is not in the pose that its driving clip begins with")

    def towards(self, source, truth):
        start = source.astype(np.float32)
        return (start + self.share * (truth - start)).round().astype(np.uint8)


@pytest.fixture(scope="module")
def networks():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pair = KeypointDetector(**DETECTOR), Generator(**GENERATOR)
        torch.nn.init.normal_(pair[0].jacobian.weight, std=0.01)
    return tuple(network.eval().requires_grad_(False) for network in pair)


@pytest.fixture(scope="module")
def weights(tmp_path_factory, networks):
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    save_weights(
        folder,
        system="fomm",
        networks=dict(zip(("detector", "generator"), networks, strict=True)),
        arguments={"detector": DETECTOR, "generator": GENERATOR},
        config={
            "name": "tiny",
            "size": SIZE,
            "value_range": [0, 1],
            "framing": {"kind": "centre", "margin": 0.0},
            "data": "nothing",
            "licence": "Apache-2.0",
            "images_seen": 1234,
        },
        card="# tiny",
    )
    return folder


# ---------------------------------------------------------------- the puppets


def test_the_truth_is_another_identity_under_the_clips_motion():
    moves = puppet_moves.puppet_set(2, SIZE, "training", 3)
    moving = clip(1_000_000_001, 3, fps=1.0)
    source = random_parameters(1_001_000_001)
    for t in range(3):
        np.testing.assert_array_equal(moves.driving[1, t], draw(moving[t], SIZE).picture)
        true = draw(transfer(source, moving[t]), SIZE)
        np.testing.assert_array_equal(moves.truth[1, t], true.picture)
        np.testing.assert_array_equal(moves.landmarks[1, t], true.landmarks)
        assert tuple(moves.action_units[1, t]) == moving[t].action_units


def test_a_larger_set_begins_with_the_smaller_and_styles_differ_in_look_only():
    two, three = (puppet_moves.puppet_set(n, SIZE, "training", 2) for n in (2, 3))
    np.testing.assert_array_equal(two.truth, three.truth[:2])
    other = puppet_moves.puppet_set(2, SIZE, "held_out", 2)
    assert (other.truth != two.truth).mean() > 0.5
    np.testing.assert_array_equal(other.landmarks, two.landmarks)
    pairs = puppet_moves.actors(12, 1)
    assert all(moving[0].domain == source.domain for moving, source in pairs[::2])
    assert any(moving[0].domain != source.domain for moving, source in pairs[1::2])


def test_sizes_that_are_never_drawn_are_resized():
    moves = puppet_moves.expression_set(1, 16, "training", 2)
    assert moves.truth.shape == (1, 2, 16, 16, 3) and moves.region.shape == (1, 2, 16, 16)
    assert moves.region.any() and not moves.region.all()


@pytest.mark.parametrize("group", puppet_moves.EXPRESSIONS)
def test_expressions_change_their_own_region(group):
    moves = puppet_moves.group_set(group, 2, 64)
    assert moves.truth.shape[1] == 1 + len(puppet_moves.EXPRESSIONS[group])
    changed = (moves.truth[:, 1:] != moves.truth[:, :1]).any(axis=-1)
    assert changed.any(axis=(2, 3)).all()  # every step of every clip shows
    assert not (changed & ~moves.region[:, 1:]).any()
    assert (moves.driving[:, 1:] != moves.driving[:, :1]).any(axis=(2, 3, 4)).all()
    units = {"brows": 1, "lids": 45, "gaze": 45, "mouth_opening": 26, "mouth_corners": 12}
    for index, (moving, source) in enumerate(puppet_moves.actors(2, 1)):
        pose = replace(moving[0].pose, gaze_x=0.0, gaze_y=0.0)
        allowed = action_unit_region(replace(source, pose=pose), units[group], 64)
        assert not (changed[index].any(axis=0) & ~allowed).any()


def test_the_head_holds_still_while_the_face_moves():
    moves = puppet_moves.expression_set(2, 64, "training", 4)
    changed = (moves.truth[:, 1:] != moves.truth[:, :1]).any(axis=-1)
    assert changed.any(axis=(2, 3)).all()
    grown = moves.region[:, 1:].any(axis=1)
    assert not (changed.any(axis=1) & ~grown).any()
    assert 0 < grown.mean() < 0.5 and not grown[:, 0].any()


# ---------------------------------------------------------------- the arithmetic


def test_marks_of_a_reconstruction_by_hand():
    clips = [np.full((3, 2, 2, 3), 100, np.uint8), np.full((2, 2, 2, 3), 50, np.uint8)]
    clips[0][0], clips[1][0] = 40, 50  # frames that count: 100, 100, 50; their mean is 83
    result = scores.reconstruction(Oracle(0.5), clips)
    assert result["unchanged"] == pytest.approx((60 + 60 + 0) / 3 / 255)
    assert result["mean_picture"] == pytest.approx((17 + 17 + 33) / 3 / 255)
    assert result["l1"] == pytest.approx((30 + 30 + 0) / 3 / 255)
    assert result["skill"] == pytest.approx(0.5)


def test_only_the_region_and_only_frames_after_the_first_count():
    truth = np.zeros((1, 2, 4, 4, 3), np.uint8)
    truth[0, 1, :2] = 200
    region = np.zeros((1, 2, 4, 4), bool)
    region[0, :, :1] = True
    ours = truth.copy()
    ours[0, 0] = 255  # the first frame
    ours[0, 1, 1:] = 77  # outside the region
    result = scores.movement(puppet_moves.Moves(truth, truth, region), ours)
    assert (result["l1"], result["skill"]) == (0, 1)
    assert result["unchanged"] == pytest.approx(200 / 255)
    still = puppet_moves.Moves(truth[:, :1].repeat(2, 1), truth[:, :1].repeat(2, 1), region)
    assert np.isnan(scores.movement(still, ours)["skill"])


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_oracle_is_1_and_doing_nothing_is_0(share):
    moves = puppet_moves.puppet_set(2, SIZE, "training", 3)
    mover = Oracle(share, [moves])
    for result in (
        scores.reconstruction(mover, moves.driving),
        whole := scores.movement(moves, scores.moved(mover, moves)),
        whole["same_domain"],
        whole["any_domain"],
    ):
        assert result["skill"] == pytest.approx(share, abs=0.02)
        assert result["l1"] == pytest.approx((1 - share) * result["unchanged"], abs=0.002)
        assert result["unchanged"] < result["mean_picture"]
    parts = whole["same_domain"]["l1"], whole["any_domain"]["l1"]
    assert whole["l1"] == pytest.approx(np.mean(parts))


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_expressions_of_an_oracle(share):
    groups = {name: puppet_moves.group_set(name, 2, SIZE) for name in ("brows", "gaze")}
    known = [puppet_moves.expression_set(2, SIZE, "training", 3), *groups.values()]
    result = scores.expression(Oracle(share, known), 2, SIZE, frames=3, groups=groups)
    for part in (result, *result["groups"].values()):
        assert part["skill"] == pytest.approx(share, abs=0.02)
        assert part["followed"] == pytest.approx(share, abs=0.02)


def test_followed_ignores_how_the_rest_is_painted():
    moves = puppet_moves.expression_set(2, SIZE, "training", 3)
    ours = np.clip(moves.truth.astype(int) // 2 + 60, 0, 255).astype(np.uint8)  # paler throughout
    assert scores.followed(moves, ours) == pytest.approx(0.5, abs=0.02)
    assert scores.movement(moves, ours)["skill"] < 0


def test_the_judge_marks_its_own_ceiling_and_floor():
    moves = puppet_moves.puppet_set(6, 64, "training", 6)
    perfect = scores.judged(moves, moves.truth)
    nothing = scores.judged(moves, np.repeat(moves.truth[:, :1], 6, axis=1))
    assert perfect["action_units"]["ours"] == perfect["action_units"]["drawn"] > 0.6
    assert perfect["landmarks"]["ours"] == perfect["landmarks"]["drawn"] < 1.2
    assert nothing["action_units"]["ours"] == nothing["action_units"]["unchanged"] < 0.4
    assert nothing["landmarks"]["ours"] == nothing["landmarks"]["unchanged"] > 1.5
    assert set(perfect["units"]) <= {str(unit) for unit in scores.ACTION_UNITS}


def test_landmark_distance_and_missing_faces():
    def find(picture):  # all 68 at (value, value); a black picture holds no face
        value = float(picture[0, 0, 0])
        return np.full((68, 2), value, np.float32) if value else None

    def shots(*values):
        return np.array(values, np.uint8)[:, None, None, None].repeat(3, 3)

    gauge = scores.Gauge("akd", lambda pictures: [find(picture) for picture in pictures])
    gauge.add(shots(13, 0, 9, 50), shots(10, 20, 0, 50), shots(4)[0])
    assert gauge.result() == {
        "akd": pytest.approx(3 * 2**0.5 / 2),  # of the first and the last
        "akd_unchanged": pytest.approx((6 + 16 + 46) / 3 * 2**0.5),
        "mkr": pytest.approx(1 / 3),
    }
    with pytest.raises(ValueError, match="No face was found"):
        scores.Gauge("akd", lambda pictures: [None]).result()


def test_identity_distance(monkeypatch):
    def embed(images):  # (N, 3, S, S) in [0, 1]
        assert images.shape[1] == 3 and 0 <= images.min() and images.max() <= 1
        return images.mean(dim=(2, 3)) * 255

    monkeypatch.setattr(scores, "identity_network", lambda path: embed)
    gauge = scores.identity_gauge("file")
    truth = np.full((20, 4, 4, 3), 9, np.uint8)
    gauge.add(truth + 1, truth, truth[0] + 4)
    distances = {"aed": pytest.approx(3**0.5), "aed_unchanged": pytest.approx(4 * 3**0.5)}
    assert gauge.result() == distances
    monkeypatch.setattr(scores, "identity_network", lambda path: torch.nn.Linear(7, 1))
    with pytest.raises(ValueError, match="resizes and normalises"):
        scores.identity_gauge("file").add(truth, truth, truth[0])


# ---------------------------------------------------------------- keypoints


class Fixed:
    """Finds the points given, one motion for each call."""

    def __init__(self, *motions):
        self.motions = list(motions)

    def detect(self, pictures):
        return self.motions.pop(0)


def test_keypoints_that_follow_the_transform_score_1():
    random = np.random.default_rng(0)
    own = random.uniform(-0.5, 0.5, (5, 3, 2))
    jacobian = random.normal(0, 0.2, (5, 3, 2, 2)) + np.eye(2)
    affine = scores.random_transforms(5, seed=7).double().numpy()
    back = np.linalg.inv(affine[:, None, :, :2])  # from the picture to its warped version
    seen = (back @ (own - affine[:, None, :, 2])[..., None])[..., 0]
    pictures = np.zeros((5, SIZE, SIZE, 3), np.uint8)
    mover = Fixed(Motion(own, jacobian), Motion(seen, back @ jacobian))
    result = scores.consistency(mover, pictures, seed=7)
    assert result["distance"] == pytest.approx(0, abs=1e-5)
    assert result["skill"] == pytest.approx(1, abs=1e-4)
    assert result["jacobian"] == pytest.approx(0, abs=1e-5)
    assert result["jacobian_constant"] > 0.05


def test_keypoints_that_never_move_score_0():
    points = np.tile([[0.0, 0.0], [0.3, 0.4]], (5, 1, 1))
    still = Motion(points)
    result = scores.consistency(Fixed(still, still), np.zeros((5, SIZE, SIZE, 3), np.uint8))
    assert result["distance"] == result["constant"] > 0.05
    assert result["skill"] == 0
    assert result["spread"] == pytest.approx(0.5)
    assert "jacobian" not in result


def test_the_picture_is_warped_as_the_points_are():
    """A detector that really finds something: the middle of a white disc."""

    class Disc:
        def detect(self, pictures):
            grid = np.linspace(-1, 1, pictures.shape[1])
            light = pictures[..., 0].astype(float)
            total = light.sum(axis=(1, 2))
            x, y = ((light * g).sum(axis=(1, 2)) / total for g in (grid, grid[:, None]))
            return Motion(np.stack([x, y], axis=1)[:, None])

    grid = np.linspace(-1, 1, 64)
    disc = (grid - 0.3) ** 2 + (grid[:, None] + 0.2) ** 2 < 0.03
    pictures = np.tile((disc * 255).astype(np.uint8)[None, :, :, None], (8, 1, 1, 3))
    result = scores.consistency(Disc(), pictures)
    assert result["distance"] < 0.02 and result["skill"] > 0.85
    assert result["pixels"] == pytest.approx(result["distance"] * 31.5)


# ---------------------------------------------------------------- networks and pipeline


def test_networks_move_as_the_networks_alone(networks):
    detector, generator = networks
    moves = puppet_moves.puppet_set(2, SIZE, "training", 3)
    frames = to_tensor(moves.driving[0], (0, 1))
    points = detector(frames)
    source = type(points)(*(part[:1].expand_as(part) for part in points))
    alone = generator(frames[:1].expand_as(frames), points, source).prediction
    mover = Networks(detector, generator, batch_size=2)
    ours = to_tensor(mover.reconstruct(moves.driving[0]), (0, 1))
    assert (ours - alone).abs().max() < 0.51 / 255
    one_by_one = Networks(detector, generator, batch_size=1)
    args = moves.truth[1, 0], moves.driving[1]
    difference = one_by_one.animate(*args).astype(int) - mover.animate(*args)
    assert abs(difference).max() <= 1


def test_the_pipeline_scores_as_the_networks_do(networks):
    plain = Networks(*networks)
    piped = scores.Piped(FOMMPipeline(*networks, {"size": SIZE}, device="cpu"))
    options = {"frames": 3, "names": ("reconstruction", "transfer", "consistency")}
    one, other = (scores.puppets(mover, SIZE, 2, **options) for mover in (plain, piped))
    assert one.keys() == set(options["names"])
    for name, result in one.items():
        for key, value in result.items():
            if not isinstance(value, dict):
                assert other[name][key] == pytest.approx(value, rel=2e-3, abs=2e-4), (name, key)


# ---------------------------------------------------------------- the command


def line(capsys, *args):
    """What the command printed on stdout, read as its one JSON line."""
    evaluate.main([str(arg) for arg in ("fomm", *args)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """Ten clips as folders of frames: a white square that wanders over a flat colour."""
    folder = tmp_path_factory.mktemp("filmed")
    random = np.random.default_rng(0)
    for number in range(10):
        for t in range(4):
            picture = np.full((SIZE, SIZE, 3), 20 * number, np.uint8)
            x, y = random.integers(0, 24, 2)
            picture[y : y + 8, x : x + 8] = 255
            path = folder / f"clip{number}" / f"{t}.png"
            path.parent.mkdir(exist_ok=True)
            save_picture(path, picture, weights="none", settings={})
    return folder


def test_scores_on_puppets(weights, capsys):
    metrics = ("--metrics", "transfer", "consistency")
    args = (weights, "puppets:held_out", "--count", "2", "--frames", "2", *metrics)
    result = line(capsys, *args)
    assert (result["system"], result["weights"], result["images_seen"]) == ("fomm", "tiny", 1234)
    assert (result["data"], result["count"], result["size"]) == ("puppets:held_out", 2, SIZE)
    assert "reconstruction" not in result and "expression" not in result
    part = result["transfer"]
    assert part["skill"] == pytest.approx(1 - part["l1"] / part["unchanged"], abs=1e-3)
    moves = puppet_moves.puppet_set(2, SIZE, "held_out", 2)
    unchanged = scores.l1(moves.truth[:, 1], moves.truth[:, 0]).mean()
    assert result["transfer"]["unchanged"] == pytest.approx(unchanged, rel=1e-3)


class TrueFrames:
    """Shows the drawn truth of the set that a driving clip belongs to, at any size."""

    def animate(self, source, driving, size=None):
        clips = (len(driving), 1.0 if len(driving) == 3 else full_size.RATE)
        moves, small = (puppet_moves.puppet_set(2, s, "training", *clips) for s in (size or 64, 64))
        return moves.truth[int(np.array_equal(driving, small.driving[1]))]


def test_marks_of_large_frames():
    found = full_size.scores(TrueFrames(), own=64, at=128, count=2, style="training", frames=3)
    assert found["full_size"]["l1"] == found["full_size"]["edges"] == 0
    assert found["full_size"]["flicker"] == found["truth"]["flicker"] > 0
    for way in ("enlarged", "halved_truth"):  # what is lost by enlarging lies along the edges
        assert 0.001 < found[way]["l1"] < found[way]["edges"] < 0.2


def test_edges_and_flicker_by_hand():
    frames = np.zeros((3, 16, 16, 3), np.uint8)
    frames[:, :, 8:] = 200
    band = full_size.edges(torch.from_numpy(frames).permute(0, 3, 1, 2) / 255)[:, 0]
    assert band[:, :, 5:11].all() and band.sum() == 3 * 16 * 6
    assert full_size.flicker(frames) == 0
    frames[1] += 51
    assert full_size.flicker(frames) == pytest.approx(0.4)


def test_large_frames_are_scored_both_ways(tmp_path, capsys):
    weights = tiny_fomm.save_fomm(tmp_path / "tiny")
    args = ("--count", "2", "--frames", "2", "--metrics", "transfer", "--at", "48")
    result = line(capsys, weights, "puppets", *args)
    ways = result["at_48"]
    assert set(ways) == {"full_size", "enlarged", "halved_truth", "truth"}
    assert ways["full_size"]["l1"] != ways["enlarged"]["l1"]


def test_scores_on_clips(weights, filmed, capsys):
    result = line(capsys, weights, filmed)
    assert result["count"] == 10
    assert set(result["reconstruction"]) == {"l1", "unchanged", "mean_picture", "skill"}
    assert result["consistency"]["constant"] > 0
    left_out = line(capsys, weights, filmed, "--holdout", "0.4", "--frames", "2")
    assert 1 < left_out["count"] < 10


def test_pairs_of_clips_are_animated(weights, filmed, capsys, tmp_path):
    (tmp_path / "pairs.csv").write_text(
        "distance,source,driving,frame\n0,clip1,clip2,0\n0,clip7,clip3,0\n0,absent,clip3,0\n"
    )
    args = ("--metrics", "consistency", "--pairs", tmp_path / "pairs.csv")
    line(capsys, weights, filmed, *args, "--animations", tmp_path / "moved")
    names = sorted(path.name for path in (tmp_path / "moved").iterdir())
    assert names == ["clip2-clip1.mp4", "clip3-clip7.mp4"]
    assert clip_info(tmp_path / "moved" / names[0]).frames == 4
    with pytest.raises(SystemExit, match="--pairs goes with it"):
        evaluate.main(["fomm", str(weights), str(filmed), "--pairs", "p.csv"])


def test_identities_by_a_given_network(weights, filmed, capsys, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        embedder = torch.jit.trace(torch.nn.Flatten(), torch.zeros(1, 3, SIZE, SIZE))
        embedder.save(str(tmp_path / "embedder.pt"))
    args = (filmed, "--metrics", "aed", "--embedder", tmp_path / "embedder.pt", "--count", "3")
    result = line(capsys, weights, *args)
    assert result["reconstruction"]["aed"] > 0 and result["reconstruction"]["aed_unchanged"] > 0


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["puppets", "--count", "1"], "--count is 1"),
        (["puppets", "--frames", "1"], "--frames is 1"),
        (["puppets", "--at", "600"], "--at 600: give 33 to 512, .* weights that blend"),
        (["FILMED", "--at", "64"], "puppets as data"),
        (["puppets:500"], "puppets or puppets:held_out"),
        (["FILMED", "--metrics", "transfer"], "transfer needs the drawn truth"),
        (["FILMED", "--metrics", "aed"], "--embedder"),
        (["FILMED", "--metrics", "aed", "--embedder", "nowhere.pt"], "nowhere.pt is not"),
        (["nowhere-at-all"], "nowhere-at-all"),
    ],
)
def test_mistakes_are_sentences(weights, filmed, args, sentence):
    args = [str(filmed) if arg == "FILMED" else arg for arg in args]
    with pytest.raises(SystemExit, match=sentence):
        evaluate.main(["fomm", str(weights), *args])


def test_landmarks_without_their_weights_are_refused_before_work(monkeypatch, filmed, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(SystemExit, match="AKD needs face_alignment's landmark weights"):
        evaluate.main(["fomm", "no-such-weights", str(filmed), "--metrics", "akd"])
