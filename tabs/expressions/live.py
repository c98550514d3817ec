"""The picture follows the sliders while they move.

The browser (live.js) asks `follow` for each picture and asks again when the answer is there, so
that late values are dropped and never queue. What it may ask for hangs on a ticket: a file in the
visitor's folder in which `prepare` noted the weights, the picture and its squares.
"""

from pathlib import Path

import gradio as gr

from gan_models.errors import UserError
from gan_models.faces import Box
from gan_models.ganimation.action_units import CODES
from tabs.expressions import handlers, subject, texts
from tabs.kit import crop as crops
from tabs.kit import jobs, tickets
from tabs.kit.answers import answers


def widget(system) -> gr.HTML:
    """Nothing to see; its value is what `prepare` gives, its `input` the rest after a move."""

    def follow_sliders(asked: dict) -> dict:
        return follow(system, asked)

    script = Path(__file__).with_name("live.js").read_text(encoding="utf-8")
    return gr.HTML(
        None, html_template="<span></span>", js_on_load=script, elem_id="expressions-live",
        server_functions=[follow_sliders], padding=False,
    )  # fmt: skip


@answers("live")
def prepare(
    system, weights, picture, crop, all_faces, view, request: gr.Request | None = None
):  # fmt: skip
    """Another picture, crop or view. What is wrong with them is said elsewhere."""
    try:
        boxes = subject.squares(system, weights, picture, crop, all_faces)
    except UserError:
        return {"live": None}
    noted = {"weights": weights, "picture": picture, "view": view,
             "boxes": [crops.corners(box) for box in boxes]}  # fmt: skip
    return {"live": {"ticket": tickets.write("expressions", noted, request)}}


def follow(system, asked: dict) -> dict:
    """What the browser asks for, and the answer it shows.

    asked: "ticket", "units" {code: intensity} and "strength". Returns {"after": data URL} or
    {"error": sentence}.
    """
    try:
        if jobs.ON_ZERO_GPU:
            return {}
        noted = tickets.read("expressions", asked["ticket"])
        given = asked.get("units")
        if not isinstance(given, dict):
            raise UserError(texts.BAD_UNIT)
        values = [given.get(str(code)) for code in CODES]
        boxes = [Box(*corners) for corners in noted["boxes"]]
        weights, picture = noted["weights"], noted["picture"]
        wanted, _ = handlers.wanted(system, weights, picture, boxes, asked.get("strength"), values)
        after = subject.edit(system, weights, picture, boxes, wanted, noted["view"])
    except Exception as error:  # noqa: BLE001 - `sentence` logs what is not a sentence itself
        return {"error": jobs.sentence(error)}
    return {"after": handlers.url(after)}
