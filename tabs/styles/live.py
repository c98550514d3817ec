"""The picture follows the way between two styles and their strength (tabs/kit/live.py)."""

import gradio as gr

from gan_models.errors import UserError
from gan_models.faces import Box
from tabs.kit import crop as crops
from tabs.kit import live, results, tickets
from tabs.kit.answers import answers
from tabs.styles import subject

SHARE, STRENGTH = "styles-share", "styles-strength"  # elem_id of the sliders
NOTED = "weights", "picture", "domain", "first", "second"


def widget(system) -> gr.HTML:
    return live.widget("styles", f"#{SHARE}, #{STRENGTH}", lambda asked: follow(system, asked))


@answers("live")
def prepare(
    system, weights, picture, crop, domain, first, second, view, request: gr.Request | None = None
):  # fmt: skip
    """Another picture, crop, domain, style or view. What is wrong with them is said elsewhere."""
    try:
        box = subject.square(system, weights, picture, crop)
    except UserError:
        return {"live": None}
    noted = dict(zip(NOTED, (weights, picture, domain, first, second), strict=True))
    noted |= {"box": crops.corners(box), "view": view}
    return {"live": {"ticket": tickets.write("styles", noted, request)}}


@live.answered
def follow(system, asked: dict) -> dict:
    """What the browser asks for: {"after": data URL}."""
    noted = tickets.read("styles", asked["ticket"])
    weights, picture, domain, first, second = (noted[name] for name in NOTED)
    values = asked["values"]
    ends = first, second, values.get(SHARE), values.get(STRENGTH)
    style = subject.mixed(system, weights, domain, *ends)
    box = Box(*noted["box"])
    made = next(subject.translated(system, weights, picture, box, [style]))
    return {"after": results.large_url(subject.pair(picture, box, made, noted["view"])[1])}
