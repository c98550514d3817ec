"""The picture follows the sliders of the action units (tabs/kit/live.py)."""

import gradio as gr

from gan_models.errors import UserError
from gan_models.faces import Box
from gan_models.ganimation.action_units import CODES
from tabs.expressions import handlers, subject
from tabs.kit import crop as crops
from tabs.kit import live, results, tickets
from tabs.kit.answers import answers

STRENGTH, UNIT = "expressions-strength", "expressions-au{code}"  # elem_id of the sliders


def widget(system) -> gr.HTML:
    return live.widget("expressions", f".unit, #{STRENGTH}", lambda asked: follow(system, asked))


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


@live.answered
def follow(system, asked: dict) -> dict:
    """What the browser asks for: {"after": data URL}."""
    noted, given = tickets.read("expressions", asked["ticket"]), asked["values"]
    values = [given.get(UNIT.format(code=code)) for code in CODES]
    boxes = [Box(*corners) for corners in noted["boxes"]]
    weights, picture = noted["weights"], noted["picture"]
    wanted, _ = handlers.wanted(system, weights, picture, boxes, given.get(STRENGTH), values)
    after = subject.edit(system, weights, picture, boxes, wanted, noted["view"])
    return {"after": results.large_url(after)}
