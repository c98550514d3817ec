"""What the tab "Motion transfer" does beside its clips: crops, notices, weights, explanations."""

import html
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models import faces, images, video
from gan_models.errors import Unreadable, UserError
from gan_models.fomm.sources import Driving
from tabs.kit import jobs, look, results, systems
from tabs.kit.answers import answers
from tabs.motion import crop as crops
from tabs.motion import texts

PUBLISHED = "published:"  # what the names of published weights begin with in the menu
SHOWN_EXPLAINED = 256  # pixels


class Motions(systems.System):
    """Ours, and the published weights that cannot be fetched from here."""

    def menu(self) -> list[tuple[str, str]]:
        known = super().menu()
        return known + [
            (texts.PUBLISHED_LABEL.format(name=name), PUBLISHED + name)
            for name in texts.PUBLISHED
            if not any(Path(here).name == name for _, here in known)
        ]

    def is_here(self, weights: str) -> bool:
        return not weights.startswith(PUBLISHED)

    def folder(self, weights: str | None) -> Path:
        if weights and not self.is_here(weights):
            raise UserError(texts.NOT_HERE.format(name=weights.removeprefix(PUBLISHED)))
        return super().folder(weights)

    def about(self, weights: str | None) -> str:
        if not weights or self.is_here(weights):
            return super().about(weights)
        return texts.PUBLISHED_ABOUT.format(name=weights.removeprefix(PUBLISHED))

    def frame(self, weights: str | None, picture: np.ndarray, click=None) -> faces.Framing:
        """The crop that weights take of a picture; the published ones look for faces, too."""
        framing = {"kind": "face", "margin": 0.0}
        if not weights or self.is_here(weights):
            framing = self.config(weights)["framing"]
        return faces.frame(picture, framing["kind"], click=click, margin=framing["margin"])

    def knows_puppets(self, weights: str | None) -> bool:
        """Whether weights were trained on nothing but what this project draws."""
        return "puppet" in self.config(weights)["data"].lower()


def read_portrait(path: str | None) -> np.ndarray:
    """(H, W, 3) uint8. Raises UserError."""
    if not path:
        raise UserError(texts.NO_PORTRAIT)
    return images.read_picture(path)


def open_drive(driving: str | None, replay: str | None = None) -> Driving:
    """`replay` (a saved motion or a picture) goes before the clip `driving`. Raises UserError."""
    if not replay and not driving:
        raise UserError(texts.NO_DRIVING)
    return Driving(replay or driving)


EMPTY = {
    "portrait": gr.update(visible=True), "portrait_crop": gr.update(visible=False),
    "other_portrait": gr.update(visible=False),
}  # fmt: skip
UNSHOWN = {"driving_crop": gr.update(value=None, visible=False)}


@answers(*EMPTY, notice="portrait_notice", failed=EMPTY)
def show_portrait(system, weights, portrait):
    if not portrait:
        return EMPTY
    picture = read_portrait(portrait)
    found = system.frame(weights, picture)
    value = crops.shown(picture, found.box, found.faces)
    return {
        "portrait": gr.update(visible="hidden"), "other_portrait": gr.update(visible=True),
        "portrait_crop": gr.update(value=value, visible=True),
        "portrait_notice": look.notice(found.notice),
    }  # fmt: skip


@answers("driving_crop", "frame", notice="driving_notice", failed=UNSHOWN)
def show_driving(system, weights, driving):
    """The clip's crop is shown where it leaves something out; a square clip is used whole."""
    if not driving:
        return UNSHOWN
    drive = open_drive(driving)
    first = drive.frame(0)
    found = system.frame(weights, first)
    notices = drive.clip.notices if drive.clip else ()
    told = " ".join(filter(None, [*notices, found.notice]))
    value = crops.shown(first, found.box, found.faces)
    whole = value["box"] == [0, 0, value["width"], value["height"]]
    return {
        "driving_crop": gr.update(value=value, visible=not whole),
        "frame": gr.update(maximum=max(1, (drive.count or 1) - 1)),
        "driving_notice": look.notice(jobs.without_folders(told)),
    }  # fmt: skip


@answers("crop", notice="notice")
def click(system, weights, given, crop, event: gr.EventData):
    """A click in what was given: the crop goes to the face there, or around that place."""
    x, y = float(event.x), float(event.y)
    picture = open_drive(given).frame(0)
    found = system.frame(weights, picture, click=(x, y))
    box = found.box
    if not any(face.holds(x, y) for face in found.faces):  # keep the size, go there
        box = faces.Box.around(x, y, (crops.chosen(crop, picture.shape[:2]) or box).side)
    # Only what `crops.shown` made: a dict of the visitor's own could pass for an update.
    kept = {key: crop.get(key) for key in ("picture", "width", "height", "faces")}
    return {"crop": kept | {"box": crops.corners(box)}}


@answers("frame")
def show_frame(reference):
    return {"frame": gr.update(visible=reference == "chosen")}


@answers("photograph_notice")
def warn(system, weights, portrait, driving):
    """The notice before the run: photographs given to weights that know drawn puppets."""
    try:
        strange = system.knows_puppets(weights)
    except UserError:
        strange = False
    given = {texts.THE_PORTRAIT: portrait, texts.THE_CLIP: driving}
    what = [name for name, path in given.items() if strange and path and not is_puppet(path)]
    told = texts.BOTH if len(what) == 2 else "".join(what)
    return {"photograph_notice": look.notice(told and texts.PHOTOGRAPH.format(what=told))}


def is_puppet(path: str) -> bool:
    """Whether the label inside the file says that this project drew it."""
    try:
        is_clip = Path(path).suffix.lower() in (".mp4", ".gif")
        label = video.clip_info(path).label if is_clip else images.read_settings(path)
    except Unreadable:
        return False
    return bool(label) and "puppet" in str(label.get("weights"))


@jobs.lease
def explained(system, weights, portrait, box, frame, frame_box, reference, how) -> dict:
    pipeline = system.open(weights)
    with jobs.device:
        return pipeline.explain(
            portrait, frame, box=box, driving_box=frame_box, reference=reference,
            size=SHOWN_EXPLAINED, **how,
        )  # fmt: skip


@answers("explained", notice="how_notice", loading=True)
def explain(
    system, weights, portrait, portrait_crop, driving, driving_crop, replay, moment, strength,
    mode, adapt,
):  # fmt: skip
    """How the portrait is moved at `moment` percent of the clip."""
    picture = read_portrait(portrait)
    drive = open_drive(driving, replay)
    if drive.motion:
        raise UserError(texts.NO_FRAMES_SHOWN)
    frame = drive.frame(round((drive.count - 1) * moment / 100))
    box = crops.chosen(portrait_crop, picture.shape[:2])
    frame_box = None if replay else crops.chosen(driving_crop, frame.shape[:2])
    reference = drive.frame(0) if mode == "relative" and not drive.single else None
    how = {"adapt_scale": bool(adapt), "strength": checked_strength(strength)}
    pictures = explained(system, weights, picture, box, frame, frame_box, reference, how)
    parts = [
        f'<figure><img src="{results.data_url(pictures[key])}" alt="{html.escape(title)}">'
        f"<figcaption>{html.escape(title)}</figcaption></figure>"
        for key, title in texts.PICTURES.items()
        if key in pictures
    ]
    return {"explained": f'<div class="figures">{"".join(parts)}</div>'}


def checked_strength(strength: float | None) -> float:
    """Raises UserError for what is no strength."""
    if strength is None or not 0 <= strength <= 2:
        raise UserError(texts.BAD_STRENGTH)
    return float(strength)
