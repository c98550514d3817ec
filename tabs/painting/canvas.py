"""The canvas: a painting tool that holds class ids, and the picture that follows the brush.

The browser (canvas.js) asks `paint` for each picture and asks again when the answer is there, so
that late maps are dropped and never queue. What the picture is painted with hangs on a ticket: a
file in the visitor's folder in which `ticket` noted the weights and the style. The value goes to
the browser as `shown` makes it, and comes back as {"ids" (base64), "width", "height", "labels"}.
"""

import hashlib
import json
import secrets
import time
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models.errors import UserError
from gan_models.spade.labels import Labels
from tabs.kit import jobs, look, results, tickets
from tabs.painting import maps, styles, texts

LARGEST_SIDE = 4096  # pixels of a map that a browser may name


def widget(system) -> gr.HTML:
    def paint_map(asked: dict) -> dict:
        return paint(system, asked)

    files = look.widget(Path(__file__), "canvas")
    # Written into the script: properties would be lost where the tab is shown late.
    script = files["js_on_load"].replace("WORDS", json.dumps(texts.CANVAS_WORDS))
    files["js_on_load"] = script
    return gr.HTML(None, **files, elem_id="painting-canvas", server_functions=[paint_map])


def ticket(weights, first, second, share, request) -> dict:
    """Note what the browser paints with; the part of the widget's value that says so."""
    noted = {"weights": weights, "first": first, "second": second, "share": share}
    noted_as = hashlib.blake2b(json.dumps(noted).encode(), digest_size=8).hexdigest()
    return {"ticket": tickets.write("painting", noted, request), "look": noted_as}


def shown(labels: Labels, label_map: np.ndarray, before: np.ndarray | None = None) -> dict:
    """The part of the value that shows a map; `made` tells one from the last, even of the same.

    before: the picture (H, W, 3) that the map was read from.
    """
    return {
        "before": "" if before is None else results.data_url(before, results.DISPLAY),
        "map": maps.encoded(label_map), "made": secrets.token_hex(10),
        "width": label_map.shape[1], "height": label_map.shape[0], "names": list(labels.names),
        "colours": [f"#{bytes(colour).hex()}" for colour in labels.colours],
        "labels": key(labels),
    }  # fmt: skip


def key(labels: Labels) -> str:
    """The same for labels whose ids mean the same."""
    return hashlib.blake2b("\n".join(labels.names).encode(), digest_size=8).hexdigest()


def current(pipeline, value: object) -> np.ndarray:
    """The map on the canvas, `pipeline.size`. Raises UserError for what is none."""
    if not isinstance(value, dict) or "ids" not in value:
        raise UserError(texts.BAD_IDS)
    return maps.decoded(value["ids"], pipeline.size, pipeline.labels.classes)


def kept(pipeline, value: object) -> np.ndarray | None:
    """The map on the canvas at the size of other weights with the same labels; else None."""
    if not isinstance(value, dict) or value.get("labels") != key(pipeline.labels):
        return None
    shape = value.get("height"), value.get("width")
    if not all(type(side) is int and 0 < side <= LARGEST_SIDE for side in shape):
        return None
    return pipeline.fitted(maps.decoded(value.get("ids"), shape, pipeline.labels.classes))[0]


def paint(system, asked: dict) -> dict:
    """What the browser asks for, and the answer it shows.

    asked: "ticket" and "ids". Returns {"picture": data URL, "seconds"} or {"error": sentence}.
    """
    try:
        if jobs.ON_ZERO_GPU:
            raise UserError(texts.LIVE_NOT_HERE)
        noted = tickets.read("painting", asked["ticket"])
        pipeline = system.open(noted["weights"])
        label_map = maps.decoded(asked.get("ids"), pipeline.size, pipeline.labels.classes)
        style = styles.mixed(pipeline, noted["first"], noted["second"], noted["share"])
        with jobs.device:
            began = time.perf_counter()
            picture = pipeline.paint(label_map, style)
            seconds = time.perf_counter() - began
        picture = results.enlarge(picture, results.DISPLAY)
    except Exception as error:  # noqa: BLE001 - `sentence` logs what is not a sentence itself
        return {"error": jobs.sentence(error)}
    shown = results.large_url(picture)
    return {"picture": shown, "seconds": round(seconds, 3)}
