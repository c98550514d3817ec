"""A picture that follows sliders while they move.

The browser (live.js) asks for each picture and asks again when the answer is there, so that late
values are dropped and never queue. What it may ask for hangs on a ticket (tickets.py), in which the
tab noted all that the sliders do not say.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import gradio as gr

from tabs.kit import jobs


def widget(name: str, sliders: str, follow: Callable[[dict], dict]) -> gr.HTML:
    """Nothing to see; its value is {"ticket"}, its `input` comes once the sliders rest.

    name: of the tab, whose picture is shown at NAME-picture-shown. sliders: their CSS selector.
    follow: from {"ticket", "values": {elem_id: number}} to {"after": data URL}, as `answered`.
    """

    def follow_sliders(asked: dict) -> dict:
        return follow(asked)

    script = Path(__file__).with_name("live.js").read_text(encoding="utf-8")
    return gr.HTML(
        None, html_template="<span></span>",
        js_on_load=script.replace("NAME", name).replace("SLIDERS", sliders),
        elem_id=f"{name}-live", server_functions=[follow_sliders], padding=False,
    )  # fmt: skip


def answered(follow: Callable) -> Callable:
    """What goes wrong becomes {"error": sentence}; no picture where GPUs are lent by the call."""

    @functools.wraps(follow)
    def wrapped(*inputs) -> dict:
        try:
            return {} if jobs.ON_ZERO_GPU else follow(*inputs)
        except Exception as error:  # noqa: BLE001 - `sentence` logs what is not a sentence itself
            return {"error": jobs.sentence(error)}

    return wrapped
