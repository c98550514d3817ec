"""The clip of the tab "Motion transfer"; and the motion alone, as a file."""

import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models import faces, images
from gan_models.fomm.motion import Motion
from gan_models.fomm.pipeline import FOMMPipeline
from gan_models.fomm.sources import Driving
from tabs.kit import clips, crop, jobs, look
from tabs.kit.answers import answers
from tabs.kit.framing import is_puppet
from tabs.kit.results import file_stem
from tabs.motion import texts
from tabs.motion.handlers import (
    Motions,
    checked_reference,
    checked_strength,
    open_drive,
    read_portrait,
)

IDLE = clips.idle(texts.KEYS)
TURN = 16  # frames read before other visitors get a turn
BESIDE = 256  # pixels of the driving clip shown beside the result


@answers(
    "progress", "preview", "clip", "get_clip", "shown", "clip_caption", "text", "clip_notice",
    "run", "stop", notice="clip_notice", failed=IDLE,
)  # fmt: skip
def make_clip(
    system, weights, portrait, portrait_crop, driving, driving_crop, replay, strength, mode, adapt,
    reference, frame, smoothing, paste, size, request: gr.Request | None = None,
):  # fmt: skip
    """The portrait moved by the clip. After Stop the clip holds the frames made so far."""
    system.folder(weights)  # weights that are not there are said before the work starts
    picture, drive = read_portrait(portrait), open_drive(driving, replay)
    how = {
        "relative": mode == "relative", "adapt_scale": bool(adapt),
        "reference": checked_reference(reference, frame, drive),
        "smoothing": float(smoothing or 0), "strength": checked_strength(strength),
        "paste_back": bool(paste),
    }  # fmt: skip
    box = crop.chosen(portrait_crop, portrait, picture.shape[:2])
    drive_box = None
    if not (replay or drive.single):
        drive_box = crop.chosen(driving_crop, driving, drive.sides())
    film = None if drive.single else drive.clip
    job, notices = clips.begun(system, request, drive.count), []

    def work():
        """(ClipInfo, " (enlarged from ... px)" or "", settings), None if Stop came first."""
        pipeline = system.open(weights)
        boxes = box or system.frame(weights, picture, is_puppet(portrait)).box, drive_box
        if film and drive_box is None:
            boxes = boxes[0], system.frame_driving(weights, drive).box
        how["size"] = int(size) or pipeline.size
        record = settings_of(weights, Path(portrait).name, picture, drive, *boxes, how)
        pairs = job.watch(frames(system, weights, picture, drive, *boxes, how, job.stop, notices))
        info = clips.write(
            clip, pairs, int(size), drive.fps, audio=film, beside=film and beside,
            weights=weights, settings=record,
        )  # fmt: skip
        made = pipeline.frame_size(boxes[0].width, None if paste else how["size"])
        side = boxes[0].width * info.height / len(picture) if info and paste else int(size)
        # A clip of uneven sides has a row more.
        enlarged = texts.MADE_AT.format(size=made) if made < side - 1 else ""
        return info and (info, enlarged, record)

    stem = f"{file_stem(weights.rpartition('/')[2])}-{file_stem(Path(drive.name).stem)}"
    with (
        jobs.handed_over(request, f"{stem}.mp4") as clip,
        jobs.handed_over(request, f"{stem}-driving.mp4") as beside,
    ):
        yield from clips.working(job, work, texts.KEYS)
        if job.result is None:
            return
        info, made_at, record = job.result
        sound = texts.WITH_SOUND if film and film.has_sound else texts.WITHOUT_SOUND
        caption = clips.caption(job, info, texts.CLIP_DONE, made_at=made_at, sound=sound)
        yield {
            **clips.done(clip, caption, record, texts.KEYS),
            "clip_notice": look.notice(jobs.without_folders(" ".join([*notices, *info.notices]))),
            "shown": gr.update(value=str(beside) if film else None, visible=bool(film)),
        }


@jobs.lease
def frames(
    system, weights, portrait, drive: Driving, box, drive_box, how, stop: Path, notices: list
) -> Iterator:
    """(moved frame (H, W, 3) uint8, the driving beside it or None). A clip is decoded once; twice
    with the best reference, for which all of it is looked at before the first frame is made.

    notices: Takes sentences about what was done.
    """
    pipeline = system.open(weights)
    if drive_box is None:
        made = pipeline.animate(portrait, drive, box=box, **how)
        yield from ((picture, None) for picture in jobs.batches(made))
        return
    crops, whole = squares(pipeline, drive, drive_box)
    with closing(taking_turns(crops, stop)) as read:
        if how["reference"] == "best":
            given, beside = read, squares(pipeline, drive, drive_box)[0]
        else:
            given, beside = itertools.tee(read)
        made = pipeline.animate(portrait, given, box=box, driving_box=whole, notices=notices, **how)
        for picture, shown in zip(jobs.batches(made), beside, strict=False):
            yield picture, images.resize(shown, BESIDE)


def squares(pipeline: FOMMPipeline, drive: Driving, box: faces.Box) -> tuple[Iterator, faces.Box]:
    """(the driving's crop in each frame, for the network and to be shown; all of it as a box)."""
    side = max(BESIDE, pipeline.size)
    return drive.crops(box, side), faces.Box(0, 0, side, side)


def taking_turns(pictures: Iterator[np.ndarray], stop: Path) -> Iterator[np.ndarray]:
    """`pictures`, read while the device is held, as the search for the best reference does: now and
    then the others in line come first. Stop ends it.
    """
    with closing(pictures):
        for number, picture in enumerate(pictures):
            if number and number % TURN == 0:
                jobs.device.give_way()
                if stop.exists():
                    return
            yield picture


def settings_of(
    weights, name: str, portrait: np.ndarray, drive: Driving, box, drive_box, how: dict
) -> dict:
    """Enough to make the clip again. name: of the portrait's file."""
    height, width = portrait.shape[:2]
    record = {"weights": weights, "portrait": f"{name[-120:]} ({width} x {height} px)"}
    record["driving"] = Path(drive.name).name[-120:]
    if drive.clip:
        height, width = drive.sides()
        record["driving"] += f" ({width} x {height} px, {drive.count} frames)"
    for key, crop_box in (("portrait_crop", box), ("driving_crop", drive_box)):
        if crop_box is not None:
            record[key] = ", ".join(f"{edge:g}" for edge in crop.corners(crop_box))
    motion, unused = "absolute", ("relative", "adapt_scale", "reference")
    if how["relative"]:
        motion, unused = "relative", ("relative",)
    return record | {"motion": motion} | {key: how[key] for key in how if key not in unused}


@answers(
    "progress", "preview", "motion_file", "clip_notice", "run", "stop", notice="clip_notice",
    failed=IDLE,
)  # fmt: skip
def save_motion(system, weights, driving, driving_crop, request: gr.Request | None = None):
    system.folder(weights)
    drive = open_drive(driving)
    box = crop.chosen(driving_crop, driving, drive.sides())
    job = clips.begun(system, request, drive.count)
    stem = file_stem(Path(drive.name).stem)
    with jobs.handed_over(request, f"{stem}-motion.safetensors") as path:

        def work() -> int | None:
            rows = list(job.watch(detected(system, weights, drive, box)))
            if rows:
                Motion.from_rows(rows, drive.fps, system.open(weights).name).save(path)
            return len(rows) or None

        yield from clips.working(job, work, texts.KEYS)
        if job.result:
            seconds = round(job.result / float(drive.fps), 2)
            told = look.notice(texts.MOTION_DONE.format(frames=job.result, seconds=seconds))
            yield {**IDLE, "motion_file": str(path), "clip_notice": told}


@jobs.lease
def detected(system: Motions, weights, drive: Driving, box: faces.Box | None) -> Iterator:
    """The keypoints of each frame as a row, found by the batch."""
    pipeline = system.open(weights)
    box = box or system.frame_driving(weights, drive).box
    pictures, whole = squares(pipeline, drive, box)
    while batch := list(itertools.islice(pictures, TURN)):
        with jobs.device:
            rows = pipeline.detect(np.stack(batch), whole).rows
        yield from rows
