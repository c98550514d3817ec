"""Live: the camera moves the portrait, one frame after the other.

The browser (live.js) asks `move` for each frame and asks again when the answer is there, so that
late frames are dropped and never queue. Nothing is kept between two frames but the portrait's crop,
a file in the visitor's folder that the ticket names, and whose label names the weights. Nobody
guesses another's ticket: the folder is named after the visit.
"""

import base64
import binascii
import functools
import hashlib
import json
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models import faces, images
from gan_models.errors import UserError
from gan_models.fomm.motion import Motion
from gan_models.fomm.sources import Source
from tabs.kit import crop, jobs, look, results, tickets
from tabs.kit.answers import answers
from tabs.motion import texts
from tabs.motion.handlers import Motions, checked_strength, portrait_box, read_portrait

LARGEST_FRAME = 2**19  # characters of a frame that comes from the browser
GHOST = 320  # pixels of the portrait that is laid over the camera picture
SHOWN = 512  # pixels of the moved portrait, where the weights can make that many
LARGEST_SENT = 256  # pixels of the camera's square, twice the network's where that is small
PORTRAIT = r"live-[0-9a-f]{20}\.png"  # the file's name that a ticket ends with


def widget(system: Motions) -> gr.HTML:
    """The live view; its value is what `prepare` gives."""

    def move_frame(asked: dict) -> dict:
        return move(system, asked)

    files = look.widget(Path(__file__), "live")
    files["js_on_load"] = files["js_on_load"].replace("WORDS", json.dumps(texts.LIVE_WORDS))
    return gr.HTML(None, **files, elem_id="motion-live", server_functions=[move_frame])


@answers("live", notice="live_notice", loading=True)
def prepare(
    system, weights, portrait, portrait_crop, strength, mode, adapt,
    request: gr.Request | None = None,
):  # fmt: skip
    """The portrait becomes ready to be moved."""
    if jobs.ON_ZERO_GPU:
        raise UserError(texts.LIVE_NOT_HERE)
    config = system.config(weights)
    picture = read_portrait(portrait)
    box = portrait_box(system, weights, portrait, picture, portrait_crop)
    size, pipeline = config["size"], system.open(weights)
    shown = pipeline.frame_size(box.width, SHOWN)
    name = hashlib.sha256(weights.encode()).hexdigest()[:20]
    file = jobs.visitor_folder(request) / f"live-{name}.png"
    images.save_picture(file, faces.crop(picture, box, shown), weights=weights, settings={})
    with jobs.device:
        encoded(pipeline, file, file.stat().st_mtime_ns)
    value = {
        "ticket": f"{file.parent.name}/{file.name}",
        "ghost": results.data_url(faces.crop(picture, box, GHOST)),
        "side": max(size, min(LARGEST_SENT, 2 * size)),
        "find": system.looks_for_faces(weights),
        "strength": checked_strength(strength),
        "relative": mode == "relative",
        "adapt": bool(adapt),
    }
    puppets = texts.LIVE_PUPPETS if system.knows_puppets(weights) else ""
    return {"live": value, "live_notice": look.notice(puppets)}


@answers("live", "live_notice")
def update(
    system, weights, portrait, portrait_crop, strength, mode, adapt, on_stage,
    request: gr.Request | None = None,
):  # fmt: skip
    """`prepare` again after a change, while the live view is on the stage."""
    given = portrait, portrait_crop, strength, mode, adapt
    yield from prepare(system, weights, *given, request) if on_stage == "live" else [{}]


def move(system: Motions, asked: dict) -> dict:
    """What the browser asks for each frame, and the answer it draws.

    asked: "ticket", "picture" (a JPEG as base64: the camera's square; its full frame with "find"),
    "neutral" (keypoints as rows of numbers, or None), "strength", "relative", "adapt".
    Returns {"picture": data URL, "pose": rows}, with "find" {"box": corners in that frame,
    "found"}, or {"error": sentence}.
    """
    try:
        source = tickets.file_of(asked["ticket"], PORTRAIT)
        weights = images.read_settings(source)["weights"]
        frame = decoded(asked["picture"])
        if asked.get("find"):
            found = system.frame(weights, frame)
            return {"box": crop.corners(found.box), "found": bool(found.faces)}
        neutral, strength = read_pose(asked["neutral"]), checked_strength(asked["strength"])
        how = {"relative": bool(asked["relative"]), "adapt_scale": bool(asked["adapt"])}
        pipeline = system.open(weights)
        with jobs.device:
            prepared = encoded(pipeline, source, source.stat().st_mtime_ns)
            motion = pipeline.detect(frame)
            picture = pipeline.render(prepared, motion, neutral, strength=strength, **how)[0]
    except Exception as error:  # noqa: BLE001 - `sentence` logs what is not a sentence itself
        return {"error": jobs.sentence(error)}
    # Without the coarse colours that enlarging would show.
    shown = results.data_url(picture, quality=90, subsampling=0)
    return {"picture": shown, "pose": np.round(motion.rows[0], 5).tolist()}


@functools.lru_cache(maxsize=4)
def encoded(pipeline, file: Path, stamp: int) -> Source:
    """The portrait's crop as `render` takes it: no face is looked for in it.

    stamp: When the file was written, for another portrait takes its place.
    """
    return pipeline.encode(images.read_picture(file))


def decoded(text: str) -> np.ndarray:
    """(H, W, 3) uint8 of a base64 picture. Raises UserError or Unreadable."""
    if not isinstance(text, str) or len(text) > LARGEST_FRAME:
        raise UserError(texts.BAD_FRAME_SENT)
    try:
        return images.read_picture(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise UserError(texts.BAD_FRAME_SENT) from error


def read_pose(rows: list | None) -> Motion | None:
    """The neutral pose that the browser kept. Raises UserError for what is none."""
    if rows is None:
        return None
    try:
        return Motion.from_rows(np.asarray(rows, np.float32)[None])
    except (TypeError, ValueError) as error:
        raise UserError(texts.BAD_POSE) from error
