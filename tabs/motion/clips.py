"""The clip of the tab "Motion transfer": one long job with progress, and a usable part after Stop;
and the motion alone, as a file.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models import faces, images, video
from gan_models.errors import UserError
from gan_models.fomm.motion import Motion
from gan_models.fomm.pipeline import FOMMPipeline
from gan_models.fomm.sources import Driving
from tabs import jobs, look, results
from tabs import texts as words
from tabs.motion import crop, texts
from tabs.motion.handlers import (
    checked_strength,
    chosen_driving,
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
    drive: Driving
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
    drive_box = None if replay or drive.single else chosen_driving(driving_shown, drive)
    order = Order(
        name, picture, crop.chosen(shown, picture), drive, drive_box, how, int(size),
        jobs.visitor_folder(request),
    )  # fmt: skip
    job = jobs.Job(order.folder, JOB, drive.count)
    stem = f"{file_stem(name.rpartition('/')[2])}-{file_stem(Path(drive.name).stem)}"
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
    film = None if drive.single else drive.clip
    if film and drive_box is None:
        drive_box = pipeline.frame_driving(drive).box
    record = settings_of(order, box, drive_box)
    shown = deque()  # the driving of each picture

    def moved():
        with closing(frames(settings, order, box, drive_box)) as pairs:
            for picture, driving in pairs:
                shown.append(driving)
                yield picture

    pictures = job.watch(moved())
    first = next(pictures, None)
    if first is None:
        return None
    labels = {"weights": order.name, "settings": record}
    with ExitStack() as files:
        files.enter_context(closing(pictures))
        result = files.enter_context(video.clip_writer(clip, drive.fps, audio=film, **labels))
        if film:
            companion = files.enter_context(video.clip_writer(beside, drive.fps, **labels))
        for picture in itertools.chain([first], pictures):
            result.write(enlarge(picture, order.size))
            if film:
                companion.write(shown.popleft())
    return result.info, pipeline.size, record


@jobs.lease
def frames(settings, order: Order, box: faces.Box, drive_box: faces.Box | None) -> Iterator:
    """(moved frame (H, W, 3) uint8, the driving beside it or None); the device is held for one
    batch. A clip is decoded once; twice with the best reference, for which all of it is looked at
    before the first frame is made.
    """
    pipeline, drive = open_pipeline(settings, order.name), order.drive
    if drive_box is None:
        made = pipeline.animate(order.portrait, drive, box=box, **order.how)
        yield from ((picture, None) for picture in jobs.batches(made))
        return
    crops, whole = squares(pipeline, drive, drive_box)
    with closing(taking_turns(crops, order.folder)) as read:
        if order.how["reference"] == "best":
            given, beside = read, squares(pipeline, drive, drive_box)[0]
        else:
            given, beside = itertools.tee(read)
        made = pipeline.animate(order.portrait, given, box=box, driving_box=whole, **order.how)
        for picture, shown in zip(jobs.batches(made), beside, strict=False):
            yield picture, images.resize(shown, BESIDE)


def squares(pipeline: FOMMPipeline, drive: Driving, box: faces.Box) -> tuple[Iterator, faces.Box]:
    """(the driving's crop in each frame, for the network and to be shown; all of it as a box)."""
    side = max(BESIDE, pipeline.size)
    return drive.crops(box, side), faces.Box(0, 0, side, side)


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


def checked_reference(reference: str, frame: float | None, drive: Driving) -> str | int:
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
        "driving": Path(order.drive.name).name[:120],
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


def caption(job: jobs.Job, info: video.ClipInfo, native: int, drive: Driving) -> str:
    sound = bool(drive.clip and drive.clip.has_sound and not drive.single)
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
    box = chosen_driving(driving_shown, drive)
    with jobs.handed_over(
        request, f"{file_stem(Path(drive.name).stem)}-motion.safetensors"
    ) as path:

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
def detected(settings, name: str, drive: Driving, box: faces.Box | None) -> Iterator[Motion]:
    """The keypoints of `drive`, a batch of frames at a time."""
    pipeline = open_pipeline(settings, name)
    box = box or pipeline.frame_driving(drive).box
    pictures, whole = squares(pipeline, drive, box)
    while batch := list(itertools.islice(pictures, TURN)):
        with jobs.device:
            yield pipeline.detect(np.stack(batch), whole)
