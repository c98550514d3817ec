"""Live: the camera moves the portrait, one frame after the other.

The browser (live.js) takes a small square of the newest camera frame and asks `move` for the moved
portrait; it asks again when the answer is there, so that late frames are dropped and never queue.
Nothing is kept between two frames but the portrait's crop, a file in the visitor's folder: the
neutral pose stays in the browser as numbers, and the ticket that names weights and file is signed.
"""

import base64
import binascii
import hashlib
import hmac
import io
import json
import secrets
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image

from gan_models import faces, images
from gan_models.errors import UserError
from gan_models.fomm.motion import Motion
from tabs import jobs, look, results
from tabs import texts as words
from tabs.motion import crop, texts
from tabs.motion.handlers import (
    checked_strength,
    config_of,
    framing,
    knows_puppets,
    open_pipeline,
    read_portrait,
)

SECRET = secrets.token_bytes(32)  # tickets of another start of the program are worth nothing
LARGEST_FRAME = 2**19  # characters of a frame that comes from the browser
GHOST = 320  # pixels of the portrait that is laid over the camera picture
LARGEST_SENT = 256  # pixels of the camera's square, twice the network's where that is small
SCRIPT = (Path(__file__).parent / "live.js").read_text(encoding="utf-8")

TEMPLATE = """
<div class="live">
  <div class="live-stage"><canvas class="live-result" width="512" height="512" role="img"></canvas>
    <p class="live-hint"></p></div>
  <div class="live-below">
    <div class="live-camera"><video muted playsinline></video><img alt="" class="live-ghost"></div>
    <div class="live-controls">
      <div class="live-buttons"><button type="button" class="live-start run"></button>
      <button type="button" class="live-neutral" disabled></button>
      <button type="button" class="live-stop stop-button" disabled></button></div>
      <label><input type="checkbox" class="live-ghosted" checked> <span></span></label>
      <p class="live-status" role="status"></p>
    </div>
  </div>
</div>
"""

CSS = """
.live-stage { position: relative; }
.live-result { width: 100%; aspect-ratio: 1; display: block; border-radius: var(--block-radius);
  background: var(--background-fill-secondary); }
.live-hint { position: absolute; inset: auto 12px 12px; padding: 10px 14px; margin: 0;
  border-radius: var(--radius-md); font-size: 0.9rem; color: var(--body-text-color);
  background: var(--body-background-fill); opacity: 0.92; }
.live-below { display: flex; gap: 12px; margin-top: 12px; align-items: flex-start; }
.live-camera { position: relative; flex: 0 0 38%; max-width: 220px; aspect-ratio: 1;
  overflow: hidden; border-radius: var(--radius-md); background: var(--background-fill-secondary); }
.live-camera video { width: 100%; height: 100%; object-fit: cover; transform: scaleX(-1); }
.live-ghost { position: absolute; inset: 0; width: 100%; height: 100%; opacity: 0.45; margin: 0;
  pointer-events: none; }
.live-controls { flex: 1; min-width: 0; font-size: 0.9rem; }
.live-controls p { margin: 8px 0 0; min-height: 2.8em; color: var(--body-text-color-subdued); }
.live-controls p.live-error { color: var(--error-text-color); }
.live-controls label { display: flex; gap: 8px; align-items: center; margin-top: 8px; }
.live-buttons { display: flex; flex-wrap: wrap; gap: 8px; }
.live-buttons button { margin: 0; line-height: 1.4; padding: 8px 14px; border: none;
  border-radius: var(--button-medium-radius, 6px);
  background: var(--button-secondary-background-fill); color: var(--button-secondary-text-color);
  font-weight: 500; cursor: pointer; }
.live-buttons button.run { background: var(--button-primary-background-fill);
  color: var(--button-primary-text-color); }
.live-buttons button:disabled { opacity: 0.5; cursor: default; }
"""


# --- the widget -------------------------------------------------------------------------------


def widget(settings: jobs.Settings) -> gr.HTML:
    """The live view; its value is what `prepare` gives."""

    def move_frame(asked: dict) -> dict:
        return move(settings, asked)

    return gr.HTML(
        None, html_template=TEMPLATE, css_template=CSS, js_on_load=SCRIPT, elem_id="motion-live",
        words=texts.LIVE_WORDS, server_functions=[move_frame],
    )  # fmt: skip


@jobs.told(lambda sentence: (gr.skip(), look.notice(sentence, "error")))
def prepare(
    settings, name, portrait, shown, strength, mode, adapt, request: gr.Request | None = None
):
    """The portrait becomes ready to be moved: yields (value of the widget, notice)."""
    if jobs.ON_ZERO_GPU:
        raise UserError(texts.LIVE_NOT_HERE)
    yield gr.skip(), look.notice(words.LOADING)
    config = config_of(settings, name)
    picture = read_portrait(portrait)
    box = crop.chosen(shown, picture) or framing(config, picture).box
    size = config["size"]
    file = jobs.visitor_folder(request) / "live.png"
    images.save_picture(file, faces.crop(picture, box, size), weights=name, settings={})
    pipeline = open_pipeline(settings, name)
    with jobs.device:
        pipeline.encode(images.read_picture(file))
    value = {
        "ticket": signed({"weights": name, "source": str(file)}),
        "ghost": results.data_url(faces.crop(picture, box, GHOST)),
        "side": min(LARGEST_SENT, 2 * size) if size < LARGEST_SENT else size,
        "find": config["framing"]["kind"] == "face",
        "strength": checked_strength(strength),
        "relative": mode == "relative",
        "adapt": bool(adapt),
    }
    yield value, look.notice(texts.LIVE_PUPPETS if knows_puppets(config) else "")


def update(
    settings, name, portrait, shown, strength, mode, adapt, value,
    request: gr.Request | None = None,
):  # fmt: skip
    """`prepare` again after a change, once the live view has been opened."""
    if not value:
        yield gr.skip(), gr.skip()
        return
    yield from prepare(settings, name, portrait, shown, strength, mode, adapt, request)


# --- one frame --------------------------------------------------------------------------------


def move(settings: jobs.Settings, asked: dict) -> dict:
    """What the browser asks for each frame, and the answer it draws.

    asked: "ticket", "picture" (a JPEG as base64: the camera's square; its full frame with "find"),
    "neutral" (keypoints of the neutral pose, rows of numbers, or None), "strength", "relative",
    "adapt".
    Returns {"picture": JPEG as base64, "pose": rows}, with "find" {"box": [left, top, right,
    bottom] in that frame, "found"}, or {"error": sentence}.
    """
    try:
        ticket = checked(asked["ticket"])
        frame = decoded(asked["picture"])
        if asked.get("find"):
            found = framing(config_of(settings, ticket["weights"]), frame)
            return {"box": crop.corners(found.box), "found": bool(found.faces)}
        source = images.read_picture(ticket["source"])
        neutral = read_pose(asked.get("neutral"))
        how = {
            "relative": bool(asked.get("relative", True)),
            "adapt_scale": bool(asked.get("adapt", True)),
            "strength": checked_strength(asked.get("strength", 1.0)),
        }
        picture, pose = moved(settings, ticket["weights"], source, frame, neutral, how)
    except Exception as error:  # noqa: BLE001 - `sentence` logs what is not a sentence itself
        return {"error": jobs.sentence(error)}
    return {"picture": encoded(picture), "pose": pose}


def moved(settings, name, source, frame, neutral, how) -> tuple[np.ndarray, list]:
    """(picture, pose): the device is held for this one frame."""
    pipeline = open_pipeline(settings, name)
    with jobs.device:
        prepared = pipeline.encode(source)  # the crop is finished: no face is looked for
        motion = pipeline.detect(frame)
        picture = pipeline.render(prepared, motion, neutral, **how)[0]
    return picture, np.round(motion.rows[0], 5).tolist()


def signed(facts: dict) -> str:
    """`facts` as text that `checked` believes."""
    text = json.dumps(facts)
    return f"{hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()} {text}"


def checked(ticket: str) -> dict:
    """The facts of a ticket of ours. Raises UserError for any other, and for one that ended."""
    seal, _, text = str(ticket).partition(" ")
    real = hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(seal.encode(), real.encode()):
        raise UserError(texts.LIVE_OVER)
    facts = json.loads(text)
    if not Path(facts["source"]).is_file():
        raise UserError(texts.LIVE_OVER)
    return facts


def decoded(text: str) -> np.ndarray:
    """(H, W, 3) uint8 of a base64 picture. Raises UserError or Unreadable."""
    if not isinstance(text, str) or len(text) > LARGEST_FRAME:
        raise UserError(texts.BAD_FRAME_SENT)
    try:
        return images.read_picture(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise UserError(texts.BAD_FRAME_SENT) from error


def encoded(picture: np.ndarray) -> str:
    """A JPEG as base64; without the coarse colours that enlarging would show."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=95, subsampling=0)
    return base64.b64encode(buffer.getvalue()).decode()


def read_pose(rows: list | None) -> Motion | None:
    """The neutral pose that the browser kept. Raises UserError for what is none."""
    if rows is None:
        return None
    try:
        return Motion.from_rows(np.asarray(rows, np.float32)[None])
    except (TypeError, ValueError) as error:
        raise UserError(texts.BAD_POSE) from error
