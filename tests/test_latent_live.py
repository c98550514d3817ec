"""The map and the walk of the tab "Latent space": what the browser asks for, on tiny weights."""

import base64

import numpy as np
import pytest

from gan_models import images
from gan_models.progan import ProGANPipeline
from tabs import latent
from tabs.kit import results, tickets
from tabs.latent import handlers, live, points
from tests import latent_given
from tests.latent_given import MIX, TWO
from tests.motion_given import last, visitor


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    return latent.system(latent_given.settings(tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def pipeline(system):
    return ProGANPipeline.from_weights(system.folder("plain"), device="cpu")


def noted(system, visit, weights="plain", shown=MIX, growth=100, truncation=1, label=""):
    """The ticket of a visitor whose page shows that."""
    answer = live.prepare(weights, label, shown, growth, truncation, False, 1.5, visit)["live"]
    assert answer["shown"] == shown["name"] and answer["pace"] == 1.5
    return answer["ticket"]


def painted(answer, expected):
    """Whether the picture of an answer is `expected` at the size that is shown, but for JPEG."""
    assert "error" not in answer, answer
    picture = images.read_picture(base64.b64decode(answer["picture"].partition(",")[2]))
    large = results.enlarge(expected, 512)
    assert picture.shape == large.shape
    return np.abs(picture.astype(int) - large).mean() < 8


def test_a_place_of_the_map_is_a_mix_of_its_corners(system, pipeline):
    ticket, corners = noted(system, visitor("maps")), [4, 9, 3, 8]

    def drawn(x, y):
        return live.draw(system, {"ticket": ticket, "corners": corners, "x": x, "y": y})

    for (x, y), seed in zip(((0, 0), (1, 0), (0, 1), (1, 1)), corners, strict=True):
        assert painted(drawn(x, y), pipeline.sample(pipeline.latents(seed))[0])
    z = [pipeline.latents(seed)[0] for seed in corners]
    middle = pipeline.mix(pipeline.mix(z[0], z[1], 0.3), pipeline.mix(z[2], z[3], 0.3), 0.6)
    assert painted(drawn(0.3, 0.6), pipeline.sample(middle)[0])
    assert not painted(drawn(0.3, 0.6), pipeline.sample(z[0])[0])
    answer = last(handlers.arrive(system, "plain", MIX, {"corners": corners, "x": 0.3, "y": 0.6}))
    assert answer["shown"]["name"] == "map of seeds 4 9 / 3 8, 30 % across, 60 % down"
    assert np.allclose(points.latent_of(pipeline, answer["shown"]), middle, atol=1e-6)


def test_the_map_shows_the_picture_of_each_of_its_places(system, pipeline):
    ticket, corners = noted(system, visitor("tiles"), truncation=0.5), [4, 9, 3, 8]
    the_map = live.map_of(system, tickets.read("latent", ticket), corners).astype(int)
    assert the_map.shape == (live.ACROSS * live.TILE,) * 2 + (3,)
    answer = live.draw(system, {"ticket": ticket, "corners": corners})
    sent = images.read_picture(base64.b64decode(answer["picture"].partition(",")[2]))
    assert np.abs(sent - the_map).mean() < 20  # JPEG
    for row, column in ((0, 0), (2, 5), (6, 1)):
        x, y = ((index + 0.5) / live.ACROSS for index in (column, row))
        latent = points.latent_of(pipeline, points.of_map(corners, x, y))
        expected = images.resize(pipeline.sample(latent, truncation=0.5)[0], live.TILE)
        top, left = row * live.TILE, column * live.TILE
        tile = the_map[top : top + live.TILE, left : left + live.TILE]
        assert np.abs(tile - expected).max() <= 1


def test_the_endless_walk_leaves_what_is_shown_and_passes_the_pictures_of_its_seed(
    system, pipeline
):
    ticket = noted(system, visitor("walker"), shown=TWO)
    for place, seed in ((0, 2), (1, 50), (2, 51), (1000, 1049)):
        answer = live.draw(system, {"ticket": ticket, "seed": 50, "place": place})
        assert painted(answer, pipeline.sample(pipeline.latents(seed))[0]), place
    there = [points.of_walk(pipeline, TWO, 50, place)["latent"] for place in (3.99, 4.0, 4.01)]
    assert np.linalg.norm(there[0] + np.array(there[2]) - 2 * np.array(there[1])) < 0.05
    answer = last(handlers.arrive(system, "plain", TWO, {"seed": 50, "place": 4}))
    assert answer["shown"]["name"] == "walk 50 from seed 2, 4 pictures on"
    assert answer["shown"]["latent"] == there[1]


def test_the_live_picture_is_that_of_the_ticket(system, pipeline):
    ticket = noted(system, visitor("grower"), growth=50, truncation=0.5)
    answer = live.draw(system, {"ticket": ticket, "corners": [1] * 4, "x": 0, "y": 0})
    small = pipeline.sample(pipeline.latents(1), resolution=8, truncation=0.5, matched=True)[0]
    assert painted(answer, small.repeat(64, 0).repeat(64, 1))


@pytest.mark.parametrize(
    "asked",
    [
        {"ticket": "/etc/passwd"},
        {"ticket": "0" * 20 + "/latent-live.json"},
        {"ticket": None, "corners": [1, 2, 3, 4]},
        {"corners": [1, 2, 3]},
        {"corners": [1, 2, 3, "x"], "x": 0, "y": 0},
        {"corners": [1, 2, 3, -4], "x": 0, "y": 0},
        {"corners": [1, 2, 3, 4], "x": float("nan"), "y": 0},
        {"corners": [1, 2, 3, 4], "x": 2, "y": 0},
        {"corners": [1, 2, 3, 4], "x": 0},
        {"seed": 1, "place": -1},
        {"seed": 1, "place": "1"},
        {"seed": None, "place": 1},
    ],
)
def test_what_no_page_asks_for_is_a_sentence(system, asked, caplog):
    asked = {"ticket": noted(system, visitor("asker"))} | asked
    assert set(live.draw(system, asked)) == {"error"}
    if "corners" not in asked or "x" in asked:
        notice = last(handlers.arrive(system, "plain", MIX, asked))["give_notice"]
        assert "error" in notice
    assert not caplog.records  # nothing unexpected
