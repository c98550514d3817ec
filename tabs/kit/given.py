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
from tabs.kit import layout, look
from tabs.kit import texts as words
from tabs.kit.answers import QUIET, Answer, Tab, answers
from tabs.kit.framing import FaceSystem, is_puppet, said

FACES = Path(__file__).parent.parent.parent / "assets" / "examples" / "expressions"
OPENING = "face-1.jpg"  # what the tabs open on
OPENING_FILE = str(FACES / OPENING)
SHOWN = 768  # pixels of the longer side of a whole picture, while sliders move
EMPTY = {
    "picture": gr.update(visible=True), "crop": gr.update(value=None, visible=False),
    "other_picture": gr.update(visible=False),
}  # fmt: skip


def named(files: dict[str, str]) -> list[tuple[str, str]]:
    """(path, name) of those of the drawn faces that are there."""
    there = ((FACES / file, name) for file, name in files.items())
    return [(str(path), name) for path, name in there if path.is_file()]


def framed(
    system: FaceSystem, weights: str | None, path: str | None, what: str = words.THE_PICTURE
) -> Answer:
    """The picture, called `what`, with its crop on it; EMPTY without one. Raises UserError."""
    if not path:
        return EMPTY
    picture = images.read_picture(path)
    found = system.frame(weights, picture, is_puppet(path))
    value = crops.shown(path, picture, found.box, found.faces)
    return {
        "picture": gr.update(visible="hidden"), "other_picture": gr.update(visible=True),
        "crop": gr.update(value=value, visible=True),
        "give_notice": look.notice(said(found, picture, what)),
    }  # fmt: skip


def widget(
    ours: FaceSystem, crop_label: str, elem_id: str, file=OPENING_FILE, label: str = words.PICTURE
) -> tuple[gr.Image, gr.HTML, gr.Button]:
    """(picture, crop, other_picture), in a column of the caller; the tab opens on `file`."""
    try:
        opening = framed(ours, ours.first(), file)
    except UserError:  # there are no weights yet, or no examples
        opening = EMPTY
    picture = layout.PictureFile(
        file if Path(file).is_file() else None, label=label, alt_text=label,
        sources=["upload", "clipboard", "webcam"], type="filepath", height=230, buttons=[],
        elem_id=elem_id, visible=opening["picture"]["visible"],
    )  # fmt: skip
    shown = opening["crop"]
    crop = crops.crop_box(crop_label, shown.get("value"), visible=shown["visible"])
    other = gr.Button(words.OTHER_PICTURE, size="md", min_width=100, visible=shown["visible"])
    other.click(lambda: None, None, picture, **QUIET)
    return picture, crop, other


def place(tab: Tab, ours: FaceSystem, crop_label: str, elem_id: str, picks: str) -> None:
    """Adds picture, crop, other_picture; and beside them picks, the drawn faces."""
    with gr.Column(min_width=140, elem_classes=["point"]):
        tab.picture, tab.crop, tab.other_picture = widget(ours, crop_label, elem_id)
    with gr.Column(min_width=140, elem_classes=["point"]):
        tab.picks = layout.picks(named(words.FACES), picks, "by-three", columns=3)


def length(tab: Tab) -> None:
    """Adds seconds, fps and back: how long a clip is."""
    tab.seconds = layout.slider(0.5, 30, 3, 0.5, words.SECONDS)
    tab.fps = layout.slider(5, 60, 25, 1, words.FPS)
    tab.back = gr.Checkbox(True, label=words.BACK, info=words.BACK_HELP)


def frames_of(seconds: float | None, fps: float | None) -> int:
    """The number of a clip's frames. Raises UserError."""
    if not 0.5 <= (seconds or 0) <= 30 or not 5 <= (fps or 0) <= 60:
        raise UserError(words.BAD_LENGTH)
    return round(seconds * fps)


def notices(tab: Tab) -> None:
    """Adds give_notice and photograph_notice."""
    tab.give_notice = layout.notice()
    tab.photograph_notice = layout.notice()


def usable(system: FaceSystem, weights: str | None, path: str | None) -> bool:
    """Whether something can be made of the picture. What is wrong with it, or the weights, is said
    where they are given.
    """
    try:
        system.folder(weights)
        return bool(small(path, SHOWN))
    except UserError:
        return False


def events(tab: Tab, photograph: str, *notices: gr.HTML):
    """A click on a picture in `picks` gives it, one into the crop moves that; photographs are
    spoken of (`photograph`: the sentence, with a {remedy}) before anything is made. What stands in
    `notices` of the one before goes. Returns the event that moved the crop.
    """
    wrong = gr.State(photograph)
    changed = [tab.picture.change, tab.weights.change]
    tab.on(changed, warn, newest=True, named={"sentence": wrong})
    for one in notices:
        tab.forgets(one, *changed)
    picked(tab.picks, tab.picture, named(words.FACES))
    return tab.on(tab.crop.select, click)


def picked(shown: gr.Gallery, given: gr.Image, files: list[tuple[str, str]]) -> None:
    paths = gr.State([file for file, _ in files])
    shown.select(layout.pick, paths, given, queue=False, **QUIET)


@answers("crop", notice="give_notice")
def click(system, weights, picture, crop, event: gr.EventData):
    """A click in the picture: the crop goes to the face there, or around that place."""
    whole = images.read_picture(picture)
    return {"crop": system.clicked(weights, picture, whole, crop, event)}


@answers("photograph_notice")
def warn(system, weights, picture, sentence):
    """The notice before anything is made: a photograph is given to weights of drawn puppets."""
    foreign = usable(system, weights, picture) and system.unknown(weights, picture)
    return warned(system, sentence if foreign else "")


def warned(system, sentence: str, **facts) -> Answer:
    """sentence: with a {remedy}, and what `facts` are; "" for none."""
    remedy, button = system.for_photographs() if sentence else ("", None)
    told = sentence.format(remedy=remedy, **facts)
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
