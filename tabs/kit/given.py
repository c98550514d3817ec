"""The picture that a visitor gives to weights that see faces, with its crop drawn on it: what the
tabs that change a picture have alike. Drawn faces are their examples.
"""

import functools
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models import images
from gan_models.errors import UserError
from tabs.kit import crop as crops
from tabs.kit import layout, look, systems
from tabs.kit import texts as words
from tabs.kit.answers import QUIET, Answer, Tab, answers
from tabs.kit.framing import FaceSystem, is_puppet, said

FACES = Path(__file__).parent.parent.parent / "assets" / "examples" / "expressions"
OPENING = "face-1.jpg"  # what the tabs open on
OPENING_FILE = str(FACES / OPENING)
EMPTY = {
    "picture": gr.update(visible=True), "crop": gr.update(visible=False),
    "other_picture": gr.update(visible=False),
}  # fmt: skip


def named(files: dict[str, str]) -> list[tuple[str, str]]:
    """(path, name) of those of the drawn faces that are there."""
    there = ((FACES / file, name) for file, name in files.items())
    return [(str(path), name) for path, name in there if path.is_file()]


def framed(system: FaceSystem, weights: str | None, path: str) -> Answer:
    """The picture with its crop on it. Raises UserError."""
    picture = images.read_picture(path)
    found = system.frame(weights, picture, is_puppet(path))
    value = crops.shown(picture, found.box, found.faces)
    return {
        "picture": gr.update(visible="hidden"), "other_picture": gr.update(visible=True),
        "crop": gr.update(value=value, visible=True),
        "give_notice": look.notice(said(found, picture, words.THE_PICTURE)),
    }  # fmt: skip


def widget(tab: Tab, ours: FaceSystem, crop_label: str, elem_id: str) -> None:
    """Adds picture, crop, other_picture; the tab opens on a drawn face."""
    try:
        opening = framed(ours, ours.first(), OPENING_FILE)
    except UserError:  # there are no weights yet, or no examples
        opening = EMPTY
    with gr.Column(min_width=140, elem_classes=["point"]):
        tab.picture = layout.PictureFile(
            OPENING_FILE if Path(OPENING_FILE).is_file() else None, label=words.PICTURE,
            sources=["upload", "clipboard", "webcam"], type="filepath", height=230, buttons=[],
            elem_id=elem_id, visible=opening["picture"]["visible"], alt_text=words.PICTURE,
        )  # fmt: skip
        shown = opening["crop"]
        tab.crop = crops.crop_box(crop_label, shown.get("value"), visible=shown["visible"])
        tab.other_picture = gr.Button(
            words.OTHER_PICTURE, size="md", min_width=100, visible=shown["visible"]
        )


def notices(tab: Tab) -> None:
    """Adds give_notice and photograph_notice."""
    tab.give_notice = gr.HTML()
    tab.photograph_notice = layout.notice()


def events(tab: Tab, photograph: str):
    """A click on a picture in `picks` gives it, one into the crop moves that; photographs are
    spoken of (`photograph`: the sentence, with a {remedy}) before anything is made. Returns the
    event that moved the crop.
    """
    wrong = gr.State(photograph)
    changed = [tab.picture.change, tab.weights.change]
    tab.on(changed, warn, newest=True, named={"sentence": wrong})
    systems.remedies(tab, tab.photograph_notice)
    tab.other_picture.click(lambda: None, None, tab.picture, **QUIET)
    picked(tab.picks, tab.picture, named(words.FACES))
    return tab.on(tab.crop.select, click)


def picked(shown: gr.Gallery, given: gr.Image, files: list[tuple[str, str]]) -> None:
    shown.select(layout.pick, gr.State([file for file, _ in files]), given, **QUIET)


@answers("crop", notice="give_notice")
def click(system, weights, picture, crop, event: gr.EventData):
    """A click in the picture: the crop goes to the face there, or around that place."""
    whole = images.read_picture(picture)
    return {"crop": system.clicked(weights, whole, is_puppet(picture), crop, event)}


@answers("photograph_notice")
def warn(system, weights, picture, sentence):
    """The notice before anything is made: a photograph is given to weights of drawn puppets."""
    if not system.unknown(weights, picture):
        return {"photograph_notice": ""}
    remedy, button = system.for_photographs()
    told = sentence.format(remedy=remedy)
    return {"photograph_notice": look.notice(told.strip(), remedy=button)}


@functools.lru_cache(16)
def small(path: str, largest: int) -> tuple[np.ndarray, float, tuple[int, int]]:
    """(the picture with at most `largest` pixels a side, its scale, (height, width) of the file).
    The last few are remembered. Raises UserError.
    """
    if not path:
        raise UserError(words.NO_PICTURE)
    picture = images.read_picture(path)
    sides = picture.shape[:2]
    scale = min(1.0, largest / max(sides))
    shape = tuple(max(1, round(scale * side)) for side in sides)
    return images.resize(picture, shape), scale, sides
