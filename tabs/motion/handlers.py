"""What the tab "Motion transfer" does when something is given: crops, notices, weights."""

import functools
from contextlib import closing
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models import faces, images
from gan_models.errors import UserError
from gan_models.fomm.sources import Driving
from tabs.kit import crop as crops
from tabs.kit import framing, given, jobs, look
from tabs.kit.answers import answers
from tabs.kit.framing import is_puppet, said
from tabs.motion import texts

KEPT = 8  # opened clips, and frames, remembered by their files' names, which hold their content


class Motions(framing.FaceSystem):
    """Weights that see a portrait, and a clip."""

    def frame_driving(self, weights: str | None, drive: Driving) -> faces.Framing:
        """The crop of a clip, fixed over its length: a face may show after its first frame."""
        drawn, first = is_puppet(drive.name), None
        with closing(drive.looks()) as looks:
            for picture in looks:
                found = self.frame(weights, picture, drawn, quick=True)
                if found.faces or not found.notice:
                    return found
                first = first or found
        return first


def read_portrait(path: str | None) -> np.ndarray:
    """(H, W, 3) uint8, not to be written into. Raises UserError."""
    if not path:
        raise UserError(texts.NO_PORTRAIT)
    return portrait_at(path)


@functools.lru_cache(2)
def portrait_at(path: str) -> np.ndarray:
    """Decoded once for all the answers to a slider; a file's name holds its content."""
    return images.read_picture(path)


def portrait_box(system: Motions, weights, portrait: str, picture, crop: dict | None) -> faces.Box:
    """The crop on the portrait, or what the weights see of it. Raises UserError."""
    chosen = crops.chosen(crop, portrait, picture.shape[:2])
    return chosen or crops.rounded(system.frame(weights, picture, is_puppet(portrait)).box)


def open_drive(driving: str | None, replay: str | None = None) -> Driving:
    """`replay` (a saved motion or a picture) goes before the clip `driving`. Raises UserError."""
    if not replay and not driving:
        raise UserError(texts.NO_DRIVING)
    return Driving(replay or driving)


@functools.lru_cache(KEPT)
def opened(path: str) -> Driving:
    return open_drive(path)


@functools.lru_cache(KEPT)
def frame_at(drive: Driving, number: int) -> np.ndarray:
    """Frame `number` of a clip or a picture (H, W, 3); the last few are remembered."""
    with closing(drive.clip.part(number / drive.fps, 1 / drive.fps).frames()) as frames:
        picture = next(frames, None)
    return drive.frame(number) if picture is None else picture  # shorter than it says


UNSHOWN = {"driving_crop": gr.update(value=None, visible=False)}


@answers(*given.EMPTY, notice="give_notice", failed=given.EMPTY, once=True)
def show_portrait(system, weights, picture):
    return given.framed(system, weights, picture, texts.THE_PORTRAIT)


@answers("driving_crop", "frame", notice="driving_notice", failed=UNSHOWN, once=True)
def show_driving(system, weights, driving, frame):
    """The clip's crop is shown where it leaves something out; a square clip is used whole."""
    if not driving:
        return UNSHOWN
    drive = opened(driving)
    first = frame_at(drive, 0)
    found = system.frame_driving(weights, drive)
    notices = drive.clip.notices if drive.clip else ()
    told = " ".join(filter(None, [*notices, said(found, first, texts.THE_CLIP)]))
    value = crops.shown(driving, first, found.box, found.faces)
    last = max(1, (drive.count or 1) - 1)
    whole = value["box"] == [0, 0, value["width"], value["height"]]
    return {
        "driving_crop": gr.update(value=value, visible=not whole),
        "frame": gr.update(maximum=last, value=min(frame or 0, last)),
        "driving_notice": look.notice(jobs.without_folders(told)),
    }  # fmt: skip


@answers("crop", notice="notice")
def click(system, weights, given, crop, event: gr.EventData):
    """A click in what was given: the crop goes to the face there, or around that place."""
    picture = open_drive(given).frame(0)
    return {"crop": system.clicked(weights, given, picture, crop, event)}


@answers("in_use")
def say_in_use(replay, driving):
    """Which of the two moves the portrait, where there are two."""
    name = Path(replay).name if replay and driving else ""
    told = name and texts.REPLAY_IN_USE.format(name=name)
    return {"in_use": look.notice(told, remedy=look.Remedy(texts.USE_CLIP))}


@answers("frame")
def show_frame(reference):
    return {"frame": gr.update(visible=reference == "chosen")}


@answers("photograph_notice")
def warn(system, weights, portrait, driving):
    """The notice before the run: photographs given to weights that know drawn puppets."""
    what = system.unknown(weights, portrait, driving)
    if not what:
        return given.warned(system, "")
    name = texts.THE_PORTRAIT if what[0] == portrait else texts.THE_CLIP
    name = texts.BOTH if len(what) == 2 else name
    return given.warned(system, texts.PHOTOGRAPH, what=name)


def checked_strength(strength: float | None) -> float:
    """Raises UserError for what is no strength."""
    if strength is None or not 0 <= strength <= 2:
        raise UserError(texts.BAD_STRENGTH)
    return float(strength)


def checked_reference(reference: str, frame: float | None, drive: Driving) -> str | int:
    """ "first", "best", or a frame's number. Raises UserError for a number beyond the clip."""
    if reference != "chosen":
        return reference or "first"
    last = max(0, (drive.count or 1) - 1)
    if frame is None or frame != int(frame) or not 0 <= frame <= last:
        raise UserError(texts.BAD_FRAME.format(last=last))
    return int(frame)
