"""The clip of the tab "Motion transfer": one long job with progress, and a usable part after Stop;
and the motion alone, as a file.
"""

import itertools
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models import faces, video
from gan_models.errors import UserError
from gan_models.fomm.motion import Motion
from tabs import jobs, look, results
from tabs import texts as words
from tabs.motion import crop, texts
from tabs.motion.handlers import (
    Drive,
    checked_strength,
    folder_of,
    open_drive,
    open_pipeline,
    read_portrait,
)
from tabs.results import buttons, enlarge, file_stem

JOB = "motion-clip"  # its name for Stop
SKIPS = (gr.skip(),) * 6
IDLE = look.hint(texts.KEYS)
TURN = 16  # frames read before other visitors get a turn
BESIDE = 256  # pixels of the driving clip shown beside the result
PREVIEW = 384  # pixels of the newest frame while a clip is made


@dataclass(frozen=True)
class Order:
    """A clip as it was asked for, checked."""

    name: str
    portrait: np.ndarray
    box: faces.Box | None
    drive: Drive
    drive_box: faces.Box | None
    how: dict  # the rest of `animate`'s arguments
    size: int
    folder: Path  # of the visitor


def begin(request: gr.Request | None = None):
    """Before the clip waits for its turn: (progress, Animate, Stop)."""
    jobs.Job.allow(jobs.visitor_folder(request), JOB)
    return look.progress(words.QUEUED), *buttons(running=True)


def stop(request: gr.Request | None = None) -> None:
    jobs.Job.stop(jobs.visitor_folder(request), JOB)


@jobs.told(lambda told: (IDLE, "", *SKIPS, look.notice(told, "error"), *buttons(False)))
def make_clip(
    settings, name, portrait, shown, driving, driving_shown, replay, strength, mode, adapt,
    reference, frame, smoothing, paste, size, request: gr.Request | None = None,
):  # fmt: skip
    """The portrait moved by the clip.

    Yields (progress, newest frame, clip, download, driving beside it, caption, settings text,
    stage, notice, Animate, Stop). After Stop the clip holds the frames made so far.
    """
    folder_of(settings, name)  # weights that are not there are said before the work starts
    picture, drive = read_portrait(portrait), open_drive(driving, replay)
    how = {
        "relative": mode == "relative", "adapt_scale": bool(adapt),
        "reference": checked_reference(reference, frame, drive),
        "smoothing": float(smoothing or 0), "strength": checked_strength(strength),
        "paste_back": bool(paste),
    }  # fmt: skip
    first = None if replay or not drive.clip else drive.first_frame()
    drive_box = None if first is None else crop.chosen(driving_shown, first)
    order = Order(
        name, picture, crop.chosen(shown, picture), drive, drive_box, how, int(size),
        jobs.visitor_folder(request),
    )  # fmt: skip
    job = jobs.Job(order.folder, JOB, drive.count)
    stem = f"{file_stem(name.rpartition('/')[2])}-{file_stem(drive.path.stem)}"
    with (
        jobs.handed_over(request, f"{stem}.mp4") as clip,
        jobs.handed_over(request, f"{stem}-driving.mp4") as beside,
    ):
        for _ in job.run(lambda: write(settings, order, job, clip, beside)):
            yield *_running(job), *SKIPS, "", *buttons(running=True)
        if job.result is None:
            told = look.notice(words.STOPPED_EARLY)
            yield IDLE, "", *SKIPS, told, *buttons(running=False)
            return
        info, native, record = job.result
        yield (
            IDLE, "", str(clip), gr.update(value=str(clip), interactive=True),
            gr.update(value=str(beside) if beside.is_file() else None, visible=beside.is_file()),
            caption(job, info, native, drive), results.lines(record), gr.Tabs(selected="clip"), "",
            *buttons(running=False),
        )  # fmt: skip


def write(settings, order: Order, job: jobs.Job, clip: Path, beside: Path):
    """Write the clip and, from a clip's frames, the driving beside it.

    Returns (ClipInfo, pixels of the network's frames, settings), None if Stop came first.
    """
    drive = order.drive
    pipeline = open_pipeline(settings, order.name)
    box = order.box or pipeline.frame(order.portrait).box
    drive_box = order.drive_box
    if drive.clip and drive_box is None:
        drive_box = pipeline.frame_driving(drive.clip).box
    record = settings_of(order, box, drive_box)
    pictures = job.watch(frames(settings, order, box, drive_box))
    large = (enlarge(picture, order.size) for picture in pictures)
    first = next(large, None)
    if first is None:
        return None
    every = itertools.chain([first], large)
    sound = drive.clip if drive.clip and drive.clip.has_sound else None
    labels = {"weights": order.name, "settings": record}
    info = video.write_clip(clip, every, drive.fps, audio=sound, **labels)
    if drive.clip:
        with closing(drive.clip.frames()) as driving:
            shown = (
                faces.crop(picture, drive_box, BESIDE)
                for picture in job.attended(itertools.islice(driving, info.frames))
            )
            video.write_clip(beside, shown, drive.fps, **labels)
    return info, pipeline.size, record


@jobs.lease
def frames(settings, order: Order, box: faces.Box, drive_box: faces.Box | None) -> Iterator:
    """The moved frames, (H, W, 3) uint8; the device is held for one batch."""
    pipeline = open_pipeline(settings, order.name)
    drive = order.drive
    given = drive.motion if drive.motion else drive.picture
    if drive.clip:
        given = taking_turns(drive.clip.frames(), order.folder)
    made = pipeline.animate(
        order.portrait, given, box=box, driving_box=drive_box, **order.how
    )  # fmt: skip
    yield from jobs.batches(made)


def taking_turns(pictures: Iterable[np.ndarray], folder: Path) -> Iterator[np.ndarray]:
    """`pictures`, read while the device is held: now and then the others in line come first.

    The search for the best reference frame reads a whole clip before the first frame is made. Stop
    ends it.
    """
    with closing(pictures):
        for number, picture in enumerate(pictures):
            if number and number % TURN == 0:
                jobs.device.give_way()
                if jobs.Job.is_stopped(folder, JOB):
                    return
            yield picture


def checked_reference(reference: str, frame: float | None, drive: Drive) -> str | int:
    """ "first", "best", or a frame's number. Raises UserError for a number beyond the clip."""
    if reference != "chosen":
        return "best" if reference == "best" else "first"
    last = max(0, (drive.count or 1) - 1)
    if frame is None or frame != int(frame) or not 0 <= frame <= last:
        raise UserError(texts.BAD_FRAME.format(last=last))
    return int(frame)


def settings_of(order: Order, box: faces.Box, drive_box: faces.Box | None) -> dict:
    """The settings of a result, as they go into its label and onto the page."""
    record = {
        "weights": order.name,
        "driving": order.drive.path.name[:120],
        "portrait_crop": ", ".join(f"{edge:g}" for edge in crop.corners(box)),
    }
    if drive_box is not None:
        record["driving_crop"] = ", ".join(f"{edge:g}" for edge in crop.corners(drive_box))
    if not order.how["relative"]:
        return record | {"motion": "absolute", **_rest(order, ("smoothing", "strength"))}
    return record | {"motion": "relative", **_rest(order, tuple(order.how)[1:])}


def _rest(order: Order, keys: tuple[str, ...]) -> dict:
    return {key: order.how[key] for key in keys}


def _running(job: jobs.Job) -> tuple[str, str]:
    """(progress, newest frame) while a clip is made."""
    newest = job.latest
    preview = ""
    if newest is not None:
        url = results.data_url(newest, PREVIEW)
        preview = f'<img src="{url}" alt="{texts.PREVIEW}">'
    if job.total and job.done >= job.total:
        return look.progress(texts.BESIDE, 1.0), preview
    return results.progress(job), preview


def caption(job: jobs.Job, info: video.ClipInfo, native: int, drive: Drive) -> str:
    sound = bool(drive.clip and drive.clip.has_sound)
    sentence = texts.CLIP_DONE.format(
        frames=info.frames, seconds=round(info.seconds, 2), width=info.width, height=info.height,
        native=native, sound=texts.WITH_SOUND if sound else texts.WITHOUT_SOUND,
    )  # fmt: skip
    if job.stopped:
        partly = words.CLIP_PARTLY.format(frames=info.frames, total=job.total)
        sentence = f"{partly} {sentence}"
    return sentence


# --- the motion alone -------------------------------------------------------------------------


@jobs.told(lambda told: (IDLE, gr.skip(), look.notice(told, "error"), *buttons(False)))
def save_motion(settings, name, driving, driving_shown, request: gr.Request | None = None):
    """The clip's keypoints as a small file: yields (progress, file, notice, Animate, Stop)."""
    folder_of(settings, name)
    drive = open_drive(driving)
    job = jobs.Job(jobs.visitor_folder(request), JOB, drive.count)
    box = crop.chosen(driving_shown, drive.first_frame())
    with jobs.handed_over(request, f"{file_stem(drive.path.stem)}-motion.safetensors") as path:

        def work() -> Motion | None:
            parts = list(job.watch(detected(settings, name, drive, box)))
            if not parts:
                return None
            motion = Motion.from_rows(np.concatenate([part.rows for part in parts]))
            motion = Motion(motion.value, motion.jacobian, drive.fps, parts[0].weights)
            motion.save(path)
            return motion

        for _ in job.run(work):
            yield look.progress(words.STARTING), gr.skip(), "", *buttons(running=True)
        if job.result is None:
            told = look.notice(words.STOPPED_EARLY)
            yield IDLE, gr.skip(), told, *buttons(running=False)
            return
        count = len(job.result)
        told = texts.MOTION_DONE.format(frames=count, seconds=round(count / float(drive.fps), 2))
        yield IDLE, str(path), look.notice(told), *buttons(running=False)


@jobs.lease
def detected(settings, name: str, drive: Drive, box: faces.Box | None) -> Iterator[Motion]:
    """The keypoints of `drive`, a batch of frames at a time."""
    pipeline = open_pipeline(settings, name)
    if box is None:
        box = pipeline.frame_driving(drive.clip if drive.clip else drive.picture).box
    pictures = drive.clip.frames() if drive.clip else iter([drive.picture])
    while batch := list(itertools.islice(pictures, TURN)):
        with jobs.device:
            yield pipeline.detect(np.stack(batch), box)
