"""What the tab "Expressions" does beside its clips: faces, sliders, downloads.

The sliders hold what is wanted of the first face, `face` the file and what was measured in it.
"""

import functools
import inspect
import random
from collections.abc import Callable
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models import images
from gan_models.errors import UserError
from gan_models.ganimation.action_units import CODES, EMOTIONS
from tabs.expressions import subject, texts
from tabs.kit import crop as crops
from tabs.kit import given, look, results
from tabs.kit import texts as words
from tabs.kit.answers import Answer, answers
from tabs.kit.framing import FaceSystem, is_puppet
from tabs.kit.seeds import checked

SLIDERS = tuple(f"au{code}" for code in CODES)
STEP = 0.01  # of the sliders
NEAR = 0.05  # to what is measured: there a named expression changes nothing
SHOWN = ("compared", "caption", "text")
PLACED = (*SLIDERS, *SHOWN, "face")
EMPTY = given.EMPTY | {"all_faces": gr.update(visible=False)}


def with_sliders(handler: Callable) -> Callable:
    """The handler as the page calls it: with each slider's value in the place of `values`."""
    own = inspect.signature(handler)
    place = list(own.parameters).index("values")
    end = place + len(SLIDERS)

    @functools.wraps(handler)
    def spread(*inputs):
        return handler(*inputs[:place], list(inputs[place:end]), *inputs[end:])

    parameters = list(own.parameters.values())
    values = parameters[place]
    parameters[place : place + 1] = [values.replace(name=name) for name in SLIDERS]
    spread.__signature__ = own.replace(parameters=parameters)
    return spread


# --- faces


def framed(system: FaceSystem, weights: str | None, path: str) -> Answer:
    """The picture with its crop on it, and whether there are several faces. Raises UserError."""
    shown = given.framed(system, weights, path)
    count = len(shown["crop"]["value"]["faces"])
    label = texts.ALL_FACES.format(count=count)
    return shown | {"all_faces": gr.update(value=False, visible=count > 1, label=label)}


@answers(*EMPTY, *PLACED, notice="give_notice", loading=True, failed=EMPTY)
@with_sliders
def show_picture(system, weights, picture, strength, view, face, values):
    """Another picture, or other weights: the sliders start where the face is."""
    if not picture:
        yield EMPTY
        return
    shown = framed(system, weights, picture)
    yield shown
    crop = shown["crop"]["value"]
    answer = measured_anew(system, weights, picture, crop, False, strength, view, face, values)
    yield {"give_notice": shown["give_notice"]} | answer


@answers(*PLACED, notice="give_notice", loading=True)
@with_sliders
def move(system, weights, picture, crop, all_faces, strength, view, face, values):
    """Another crop, or all faces."""
    if not picture:
        return {}
    return measured_anew(system, weights, picture, crop, all_faces, strength, view, face, values)


def measured_anew(
    system, weights, picture, crop, all_faces, strength, view, face, before
) -> Answer:
    """The sliders go to what is measured; those that were moved for this picture stay."""
    boxes = subject.squares(system, weights, picture, crop, all_faces)
    measured = rounded(subject.measure(system, weights, picture, boxes)[0])
    values = list(measured)
    if face and face["file"] == picture:
        moved = differs(before, face["measured"])
        values = [old if far else new for old, new, far in zip(before, values, moved, strict=True)]
    answer = placed(system, weights, picture, crop, all_faces, strength, view, values)
    answer |= {"face": {"file": picture, "measured": measured}}
    if system.open(weights).critic is None:
        answer["give_notice"] = look.notice(texts.NOT_MEASURED)
    return answer


# --- sliders


@answers(*SHOWN, notice="change_notice", loading=True)
@with_sliders
def show(system, weights, picture, crop, all_faces, strength, view, values):
    """The picture as the sliders say."""
    return shown(system, weights, picture, crop, all_faces, strength, view, values)


@answers(*PLACED, notice="change_notice", loading=True)
def aim(system, weights, picture, crop, all_faces, strength, view, keep, emotion):
    """The sliders go to a named expression."""
    boxes = subject.squares(system, weights, picture, crop, all_faces)
    measured = subject.measure(system, weights, picture, boxes)
    keep = checked(keep, 100, texts.BAD_STRENGTH) / 100
    values = system.open(weights).wanted(measured, EMOTIONS[emotion], keep)[0]
    values = np.where(abs(values - measured[0]) < NEAR, measured[0], values)
    return placed(system, weights, picture, crop, all_faces, strength, view, rounded(values))


@answers(*PLACED, notice="change_notice", loading=True)
def roll(system, weights, picture, crop, all_faces, strength, view):
    """A few random units, all others at rest."""
    chosen = random.sample(CODES, random.randint(3, 6))
    values = [random.uniform(0.3, 1) if code in chosen else 0.0 for code in CODES]
    return placed(system, weights, picture, crop, all_faces, strength, view, rounded(values))


@answers(*PLACED, notice="change_notice", loading=True)
def to_measured(system, weights, picture, crop, all_faces, strength, view):
    return measured_anew(system, weights, picture, crop, all_faces, strength, view, None, None)


@answers(*PLACED, notice="mirror_notice", loading=True)
def mirror(system, weights, picture, crop, all_faces, strength, view, mirror_picture):
    """The sliders go to what is measured in a second picture."""
    if not mirror_picture:
        return {}
    taken = images.read_picture(mirror_picture)
    found = system.frame(weights, taken, is_puppet(mirror_picture))
    values = rounded(subject.measure(system, weights, mirror_picture, [found.box])[0])
    told = texts.MIRRORED.format(name=Path(mirror_picture).name)
    answer = placed(system, weights, picture, crop, all_faces, strength, view, values)
    return answer | {"mirror_notice": look.notice(f"{told} {found.notice}".strip())}


def placed(system, weights, picture, crop, all_faces, strength, view, values) -> Answer:
    """The sliders with these values, and the picture that they mean."""
    answer = shown(system, weights, picture, crop, all_faces, strength, view, values)
    return answer | dict(zip(SLIDERS, values, strict=True))


def shown(system, weights, picture, crop, all_faces, strength, view, values) -> Answer:
    boxes, wanted, record = planned(system, weights, picture, crop, all_faces, strength, values)
    after = subject.edit(system, weights, picture, boxes, wanted, view)
    before = before_url(picture, tuple(boxes), view)
    return {
        "compared": comparison(before, results.large_url(after), view),
        "caption": caption_of(record), "text": results.lines(record),
    }  # fmt: skip


def comparison(before: str, after: str, view: str) -> dict:
    """The value of `tabs.kit.compare.widget` for two data URLs."""
    return {
        "before": before, "after": after,
        "before_alt": texts.BEFORE_ALT, "after_alt": texts.AFTER_ALT[view],
    }  # fmt: skip


@functools.lru_cache(subject.KEPT)
def before_url(path: str, boxes: tuple, view: str) -> str:
    """The same while a slider moves."""
    return results.large_url(subject.before(path, list(boxes), view))


# --- what is asked of the networks


def planned(system, weights, picture, crop, all_faces, strength, values):
    """(the squares, (n, 17) action units wanted of them, the settings)."""
    boxes = subject.squares(system, weights, picture, crop, all_faces)
    units, moved = wanted(system, weights, picture, boxes, strength, values)
    record = {"weights": weights, "picture": Path(picture).name[-120:]}
    record["faces"] = "; ".join(", ".join(f"{edge:g}" for edge in crops.corners(b)) for b in boxes)
    record |= {"strength": f"{strength:g} %"}
    record |= {f"AU{code}": f"{value:g} (measured {was:g})" for code, (value, was) in moved.items()}
    return boxes, units, record


def wanted(system, weights, picture, boxes, strength, values) -> tuple[np.ndarray, dict]:
    """((n, 17) action units of these squares, {code: (value, as measured)} of moved sliders)."""
    values = [checked(value, 1, texts.BAD_UNIT) for value in values]
    share = checked(strength, 100, texts.BAD_STRENGTH) / 100
    measured = subject.measure(system, weights, picture, boxes)
    first = rounded(measured[0])
    far = differs(values, first)
    moved = {
        code: (value, was)
        for code, value, was, one in zip(CODES, values, first, far, strict=True)
        if one
    }
    units = {code: value for code, (value, _) in moved.items()}
    aim = system.open(weights).wanted(measured, units)
    return measured + share * (aim - measured), moved


def caption_of(record: dict) -> str:
    count = sum(key.startswith("AU") for key in record)
    return texts.CHANGED.format(count=count) if count else texts.UNCHANGED


def rounded(values) -> list[float]:
    return [round(float(value), 2) for value in values]


def differs(values, measured) -> list[bool]:
    """Which sliders were moved from where they started."""
    return [abs(a - b) > STEP / 2 for a, b in zip(values, measured, strict=True)]


# --- downloads


@answers("picture_file", notice="file_notice", loading=True)
@with_sliders
def save(
    system, weights, picture, crop, all_faces, strength, view, values, beside,
    request: gr.Request | None = None,
):  # fmt: skip
    """What is shown as a PNG at full size; `beside`: with the picture before on its left."""
    if not picture:
        raise UserError(words.NO_PICTURE)
    boxes, wanted, record = planned(system, weights, picture, crop, all_faces, strength, values)
    made = subject.edit(system, weights, picture, boxes, wanted, view, full=True)
    if beside:
        made = np.hstack([subject.before(picture, boxes, view, full=True), made])
    name = f"{results.file_stem(Path(picture).stem)}-{view}{'-both' if beside else ''}.png"
    with results.picture_file(request, name, made, weights, record) as path:
        yield {"picture_file": path}
