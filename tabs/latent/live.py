"""The live view: a drag over a map of pictures, and a walk that never ends.

The browser (live.js) asks `draw` for each picture and asks again when the answer is there, so that
late wishes are dropped and never queue. What it may ask for hangs on a ticket: a file in the
visitor's folder in which `ticket` noted the weights and all that changes the look. Where a drag or
the walk ends, the page's own events take over (`handlers.arrive`).
"""

import json
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models import images
from gan_models.errors import UserError
from tabs.kit import jobs, look, results, tickets
from tabs.kit.answers import answers
from tabs.latent import points, texts
from tabs.latent.drawing import grown, sample

CORNERS = [6, 3, 2, 5]  # seeds of the first map
ACROSS, TILE = 7, 56  # pictures in a row of the map, and pixels of each


def widget(system, stored: Path | None) -> gr.HTML:
    """The map and the walk's button; its value is what `ticket` gives. stored: the first map."""

    def draw_live(asked: dict) -> dict:
        return draw(system, asked)

    return gr.HTML(
        None, **look.widget(Path(__file__), "live"), elem_id="latent-live",
        words=texts.LIVE_WORDS, corners=CORNERS, server_functions=[draw_live],
        stored=results.data_url(images.read_picture(stored)) if stored else "",
    )  # fmt: skip


def ticket(weights, label, shown, growth, truncation, sharp, pace, request) -> dict:
    """Note what the browser may ask for; the widget's value."""
    noted = {
        "weights": weights, "label": label, "shown": shown, "growth": growth,
        "truncation": truncation, "sharp": sharp,
    }  # fmt: skip
    map_look = json.dumps([weights, label, truncation])
    return {"ticket": tickets.write("latent", noted, request), "shown": shown["name"],
            "look": map_look, "pace": pace}  # fmt: skip


@answers("live")
def prepare(
    weights, label, shown, growth, truncation, sharp, pace, request: gr.Request | None = None
):
    return {"live": ticket(weights, label, shown, growth, truncation, sharp, pace, request)}


def draw(system, asked: dict) -> dict:
    """What the browser asks for, and the answer it paints.

    asked: "ticket", and "corners" (four seeds) with "x", "y" in [0, 1] for a place of the map,
    "corners" alone for the map, or "seed" and "place" for the endless walk from the picture shown.
    Returns {"picture": data URL} or {"error": sentence}.
    """
    try:
        if jobs.ON_ZERO_GPU:
            raise UserError(texts.LIVE_NOT_HERE)
        noted = tickets.read("latent", asked["ticket"])
        if "corners" in asked and "x" not in asked:
            return {"picture": results.data_url(map_of(system, noted, asked["corners"]))}
        picture = picture_of(system, noted, asked)
    except Exception as error:  # noqa: BLE001 - `sentence` logs what is not a sentence itself
        return {"error": jobs.sentence(error)}
    return {"picture": results.large_url(picture)}


def picture_of(system, noted: dict, asked: dict) -> np.ndarray:
    """The picture of a place, as large as it is shown."""
    pipeline = system.open(noted["weights"])
    if "corners" in asked:
        point = points.of_map(asked["corners"], asked["x"], asked.get("y"))
    else:
        point = points.of_walk(pipeline, noted["shown"], asked.get("seed"), asked.get("place"))
    resolution, alpha = grown(pipeline.resolutions, noted["growth"])
    latent = points.latent_of(pipeline, point)[None]
    drawn = noted["label"], noted["truncation"], resolution, alpha
    picture = sample(system, noted["weights"], latent, *drawn)[0]
    sharp = noted["sharp"] or resolution != pipeline.size
    return results.enlarge(picture, results.DISPLAY, sharp)


def map_of(system, noted: dict, corners: list) -> np.ndarray:
    """(ACROSS * TILE, ACROSS * TILE, 3): the picture at the middle of each field of the map."""
    pipeline = system.open(noted["weights"])
    middles = [(index + 0.5) / ACROSS for index in range(ACROSS)]
    places = [points.of_map(corners, x, y) for y in middles for x in middles]
    latents = np.stack([points.latent_of(pipeline, place) for place in places])
    small = min(size for size in pipeline.resolutions if size >= min(TILE, pipeline.size))
    drawn = noted["label"], noted["truncation"], small
    pictures = sample(system, noted["weights"], latents, *drawn)
    tiles = np.stack([images.resize(picture, (TILE, TILE)) for picture in pictures])
    rows = tiles.reshape(ACROSS, ACROSS, TILE, TILE, 3).swapaxes(1, 2)
    return rows.reshape(ACROSS * TILE, ACROSS * TILE, 3)
