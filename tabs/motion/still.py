"""One moment of the driving, before any clip is made: the still of the result, shown at every
choice, and how it works at that moment.
"""

import functools
import html
import itertools
from contextlib import closing

import numpy as np

from gan_models import faces
from gan_models.errors import Unreadable, UserError
from gan_models.fomm.motion import Motion, check_keypoints, pose_distance
from gan_models.fomm.pipeline import FOMMPipeline
from gan_models.fomm.reference import First
from gan_models.fomm.sources import Driving
from tabs.kit import crop as crops
from tabs.kit import jobs, look, results
from tabs.kit import texts as words
from tabs.kit.answers import answers
from tabs.motion import texts
from tabs.motion.handlers import (
    KEPT,
    Motions,
    checked_reference,
    checked_strength,
    frame_at,
    opened,
    portrait_box,
    read_portrait,
)

SHOWN = 512  # pixels
BESIDE, SHOWN_EXPLAINED = 256, 256
LOOKS, LOOKED = 6, 150  # of a clip, among its first frames: which of them is worth showing


@answers()
def warm(system: Motions, weights, portrait, driving):
    """When the page opens: weights are loaded, what runs for the first time is prepared, and the
    clip is looked through, so that the first still is as fast as the next ones.
    """
    if jobs.ON_ZERO_GPU:  # they are loaded, and the visitor's time there is short
        return
    usual = {"strength": 1.0, "mode": "relative", "adapt": True, "reference": "first"}
    nothing = {"portrait_crop": None, "driving_crop": None, "replay": None, "frame": None,
               "paste": False, "moment": None, "moment_of": None, "on_stage": "clip"}  # fmt: skip
    for _ in show(system, weights, portrait=portrait, driving=driving, **usual, **nothing):
        pass


# --- what is on the stage


@answers("on_stage")
def clip_chosen():
    return {"on_stage": "clip"}


@answers("on_stage")
def still_chosen():
    return {"on_stage": "still"}


@answers("on_stage")
def pose_chosen():
    return {"on_stage": "pose"}


@answers("on_stage")
def live_chosen():
    return {"on_stage": "live"}


# --- the still

# Where a still has come, the stage turns to it: decided in the browser, at that moment, so that one
# that comes late takes nobody away from a clip that is being made, from Pose or from Live.
TURN = """(still) => {
  const row = document.querySelector('#motion-stage').closest('.tab-row');
  const elsewhere = ['pose', 'live'].some((part) => row.querySelector(
    `[id$="-stage-${part}-button"][aria-selected="true"]`));
  const fresh = (still || '').includes('<img') && still !== row.still;
  row.still = still;
  return {__type__: 'update', ...(fresh && !elsewhere
    && !row.querySelector('button.run-button').disabled && {selected: 'still'})};
}"""


@answers("still", "still_driving", "moment", "moment_of", notice="clip_notice")
def show(
    system, weights, portrait, portrait_crop, driving, driving_crop, replay, strength, mode, adapt,
    reference, frame, paste, moment, moment_of, on_stage,
):  # fmt: skip
    """The result at `moment` percent of the driving, where all that it needs is there.

    A new driving (`moment_of` names the one before) is shown where it moves most. What is wrong
    with a file is said where it was given. The browser turns the stage to a new one (`TURN`).
    """
    given, strength = replay or driving, checked_strength(strength)
    needed = portrait and given and weights and system.is_here(weights)
    if on_stage in ("pose", "live") or not needed:
        yield {}
        return
    try:
        picture, drive = read_portrait(portrait), opened(given)
    except Unreadable:
        yield {}
        return
    reference = checked_reference(reference, frame, drive)
    if not system.is_loaded(weights):
        yield {"clip_notice": look.notice(words.LOADING)}
    box = portrait_box(system, weights, portrait, picture, portrait_crop)
    drive_box = None
    if not drive.motion:
        drive_box = driving_box(system, weights, drive, driving_crop, replay)
    relative = mode == "relative" and not drive.single
    how = {"relative": relative, "adapt_scale": bool(adapt), "strength": strength}
    number = None if moment_of != given else numbered(drive, moment)
    size = None if paste else SHOWN
    result, beside, number = moved(
        system, weights, picture, box, size, drive, drive_box, reference, number, how
    )
    if paste:
        result = faces.Paster(picture, box).paste(result)
    answer = {
        "still": image(result, SHOWN, texts.STILL_SHOWN), "moment_of": given,
        "still_driving": "" if beside is None else image(beside, BESIDE, texts.SHOWN),
    }  # fmt: skip
    if moment_of != given:
        answer["moment"] = percent(drive, number)
    yield answer


@jobs.lease
def moved(
    system: Motions, weights, picture, box, size, drive: Driving, drive_box, reference, number, how
):
    """(the result, a square; the driving's crop (S, S, 3) or None; the frame's number).

    size: of the result in pixels, None: the crop's own. number: of the driving's frame; None: the
    one that is farthest from the reference.
    """
    pipeline = system.open(weights)
    if drive.motion:
        check_keypoints(drive.motion, pipeline.num_keypoints, pipeline.has_jacobians)
    made = pipeline.frame_size(box.width, size)
    with jobs.device:
        source = pipeline.encode(faces.crop(picture, box, made), made)
    numbers, poses, _ = looks(pipeline, drive, drive_box)
    initial = pose(
        pipeline, drive, drive_box, measured_from(pipeline, source, drive, drive_box, reference)
    )
    if number is None:
        farthest = numbers[int(np.abs(poses.value - initial.value).sum((1, 2)).argmax())]
        number = numbered(drive, percent(drive, farthest))  # as the slider has it from then on
    wanted = pose(pipeline, drive, drive_box, number)
    with jobs.device:
        result = pipeline.render(source, wanted, initial, **how)[0]
    if drive.motion:
        return result, None, number
    return result, faces.crop(frame_at(drive, number), drive_box, BESIDE), number


# What is found in a clip is remembered: another portrait or strength is moved by the same.


def driving_box(system: Motions, weights: str, drive: Driving, crop, replay) -> faces.Box:
    """The crop on the clip, or what the weights see of it or of `replay`. Raises UserError."""
    chosen = None if replay else crops.chosen(crop, drive.name, drive.sides())
    return chosen or box_of(system, weights, drive)


@functools.lru_cache(KEPT)
def box_of(system: Motions, weights: str, drive: Driving) -> faces.Box:
    return crops.rounded(system.frame_driving(weights, drive).box)


@functools.lru_cache(KEPT)
def looks(pipeline: FOMMPipeline, drive: Driving, box) -> tuple[range, Motion, int]:
    """(numbers, keypoints) of a few frames, and the number of the first to measure motion from."""
    count = min(drive.count, LOOKED)
    numbers = range(0, count, max(1, count // LOOKS))
    if drive.motion:
        return numbers, drive.motion[list(numbers)], 0
    pictures, search = [], First(pipeline.framing["kind"])
    with closing(drive.crops(box, pipeline.size)) as frames:
        for number, crop in enumerate(itertools.islice(frames, count)):
            if search.found is None:
                search.look([crop])
            if number in numbers:
                pictures.append(crop)
    whole = faces.Box(0, 0, pipeline.size, pipeline.size)
    with jobs.device:
        return numbers, pipeline.detect(np.stack(pictures), whole), search.index


@functools.lru_cache(4 * KEPT)
def pose(pipeline: FOMMPipeline, drive: Driving, box, number: int) -> Motion:
    """The keypoints of a frame."""
    if drive.motion:
        return drive.motion[[number]]
    numbers, poses, _ = looks(pipeline, drive, box)
    if number in numbers:
        return poses[[numbers.index(number)]]
    with jobs.device:
        return pipeline.detect(frame_at(drive, number), box)


def measured_from(pipeline: FOMMPipeline, source, drive: Driving, box, reference) -> int:
    """The number of the frame that "first", "best" or a number means."""
    numbers, poses, first = looks(pipeline, drive, box)
    if reference == "best":
        away = [pose_distance(source.motion.value[0], points) for points in poses.value]
        return numbers[int(np.argmin(away))]
    return first if reference == "first" else reference


def percent(drive: Driving, number: int) -> int:
    return round(100 * number / max(1, drive.count - 1))


def numbered(drive: Driving, moment: float | None) -> int:
    return round((drive.count - 1) * min(100, max(0, moment or 0)) / 100)


def image(picture: np.ndarray, size: int, words: str) -> str:
    data = results.data_url(picture, size, quality=95, subsampling=0)
    return f'<img src="{data}" alt="{html.escape(words)}">'


# --- how it works


@answers("how_open")
def how_opens():
    return {"how_open": True}


@answers("how_open")
def how_closes():
    return {"how_open": False}


@answers("explained", notice="how_notice", loading=True)
def explain(
    system, weights, portrait, portrait_crop, driving, driving_crop, replay, moment, strength,
    mode, adapt, reference, frame, how_open,
):  # fmt: skip
    """How the portrait is moved at `moment` percent of the clip, while somebody looks: what the
    still shows.
    """
    if not how_open:
        return {}
    picture = read_portrait(portrait)
    drive = opened(replay or driving)
    if drive.motion:
        raise UserError(texts.NO_FRAMES_SHOWN)
    reference = checked_reference(reference, frame, drive)
    box = portrait_box(system, weights, portrait, picture, portrait_crop)
    drive_box = driving_box(system, weights, drive, driving_crop, replay)
    if mode != "relative" or drive.single:
        reference = None
    how = {"adapt_scale": bool(adapt), "strength": checked_strength(strength)}
    number = numbered(drive, moment)
    pictures = explained(system, weights, picture, box, drive, drive_box, reference, number, how)
    parts = [
        f'<figure><img src="{results.data_url(pictures[key])}" alt="{html.escape(title)}">'
        f"<figcaption>{html.escape(title)}</figcaption></figure>"
        for key, title in texts.PICTURES.items()
        if key in pictures
    ]
    return {"explained": f'<div class="figures">{"".join(parts)}</div>'}


@jobs.lease
def explained(
    system, weights, portrait, box, drive: Driving, drive_box, reference, number: int, how
) -> dict:
    """reference: of the motion, as for `moved`; None: the frame drives by its own pose."""
    pipeline = system.open(weights)
    if reference is not None:
        with jobs.device:
            source = pipeline.encode(faces.crop(portrait, box, pipeline.size))
        reference = frame_at(drive, measured_from(pipeline, source, drive, drive_box, reference))
    with jobs.device:
        return pipeline.explain(
            portrait, frame_at(drive, number), box=box, driving_box=drive_box,
            reference=reference, size=SHOWN_EXPLAINED, **how,
        )  # fmt: skip
