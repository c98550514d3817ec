"""The clip of a tab: one long job with progress, and a usable part after Stop."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models import images, video
from gan_models.errors import UserError
from gan_models.faces import Box
from tabs.kit import jobs, look, results
from tabs.kit import texts as words
from tabs.kit.answers import Answer, answers
from tabs.kit.systems import System

PREVIEW = 384  # pixels of the newest frame while a clip is made


@answers("progress", "run", "stop")
def begin(system: System, request: gr.Request | None = None) -> Answer:
    jobs.stop_file(system, request, "clip").unlink(missing_ok=True)
    return {"progress": waiting(), **buttons(running=True)}


def begun(system: System, request: gr.Request | None, total: int) -> jobs.Job:
    """The job of a clip of `total` frames; it stands in line."""
    return jobs.Job(jobs.stop_file(system, request, "clip"), total, waits=True)


def waiting(job: jobs.Job | None = None) -> str:
    """What stands there before the first frame, and while others have their turn."""
    place = jobs.line.place(job)
    return look.progress(words.QUEUED.format(place=place) if place else words.STARTING)


def stop(system: System, request: gr.Request | None = None) -> None:
    jobs.stop_file(system, request, "clip").touch()


def buttons(running: bool) -> Answer:
    return {"run": gr.update(interactive=not running), "stop": gr.update(interactive=running)}


def idle(hint: str) -> Answer:
    """What stands there when no clip is made."""
    return {"progress": look.hint(hint), "preview": "", **buttons(running=False)}


def working(
    job: jobs.Job, work: Callable, hint: str, notice: str = "clip_notice"
) -> Iterator[Answer]:
    """Run `work` and say how far it is, or, in `notice`, that Stop came first: then `job.result` is
    None.
    """
    for _ in job.run(work):
        picture = newest(job, PREVIEW)
        preview = picture and f'<img src="{picture}" alt="{words.PREVIEW}">'
        yield {"progress": progress(job), "preview": preview, **buttons(running=True)}
    if job.result is None:
        yield {**idle(hint), notice: look.notice(words.STOPPED_EARLY)}


def progress(job: jobs.Job) -> str:
    """The bar: frames done, how fast, how long still, and the newest frame, small."""
    status = job.status()
    if status["rate"] is None or jobs.line.place(job):
        return waiting(job)
    text, part = words.FRAMES_SO_FAR, None
    if status["left"] is not None:
        text, part = words.FRAMES_DONE, min(1.0, job.done / job.total)
        status["left"] = look.duration(status["left"])
    text = text.format(done=job.done, total=job.total, **status)
    return look.progress(text, part, newest(job, 64))


def newest(job: jobs.Job, size: int) -> str:
    """The newest picture as a data URL; "" where the job makes other things."""
    item = job.latest[0] if isinstance(job.latest, tuple) else job.latest
    return results.data_url(item, size) if np.ndim(item) == 3 else ""


def write(
    path: Path, pictures: Iterator, size: int, fps, sharp=False, audio=None, beside=None, **label
) -> video.ClipInfo | None:
    """Write `pictures` (a generator, closed in any case), enlarged to `size`; None without any.

    beside: a second path, for what then comes as (picture, the one beside it).
    """
    images.check_writable(path)
    with closing(pictures), ExitStack() as files:
        first = next(pictures, None)
        if first is None:
            return None
        result = files.enter_context(video.clip_writer(path, fps, audio=audio, **label))
        companion = files.enter_context(video.clip_writer(beside, fps, **label)) if beside else None
        for item in itertools.chain([first], pictures):
            picture, shown = item if isinstance(item, tuple) else (item, None)
            result.write(results.enlarge(picture, size, sharp))
            if companion:
                companion.write(shown)
    return result.info


@answers("get_both")
def offer_both(shown: str | None) -> Answer:
    """There is no film beside a clip that a picture or a saved motion moved."""
    return {"get_both": gr.update(interactive=bool(shown))}


def save_both(hint: str) -> Callable:
    """The handler that makes a file of what was given and the result side by side."""

    @answers(
        "progress", "preview", "both_file", "run", "stop", notice="clip_notice", failed=idle(hint)
    )
    def both(
        system: System, shown: str | None, clip: str | None, request: gr.Request | None = None
    ):
        if not (shown and clip):
            raise UserError(words.NOT_BOTH)
        result = video.open_clip(clip)
        label = video.clip_info(clip).label or {"weights": None, "settings": {}}
        job = begun(system, request, result.frame_count)
        with jobs.handed_over(request, f"{Path(clip).stem}-both.mp4") as path:

            def work() -> video.ClipInfo | None:
                frames = job.watch(beside(video.open_clip(shown), result))
                told = {"weights": label["weights"], "settings": label["settings"]}
                return write(path, frames, 1, result.fps, audio=result, **told)

            yield from working(job, work, hint)
            if job.result:
                yield {**idle(hint), "both_file": str(path)}

    return both


def beside(given: video.Clip, result: video.Clip) -> Iterator[np.ndarray]:
    """Each frame of `result` with that of `given` on its left, both as high as `result`."""
    width = round(given.width * result.height / given.height)
    whole = Box(0, 0, given.width, given.height)
    given = given.cropped(whole, (result.height, width))
    with closing(given.frames()) as left, closing(result.frames()) as right:
        yield from (np.hstack(pair) for pair in zip(left, right, strict=False))


def caption(job: jobs.Job, info: video.ClipInfo, sentence: str, **facts) -> str:
    """`sentence` about the clip, after how much of it there is."""
    told = sentence.format(**vars(info) | {"seconds": round(info.seconds, 2)}, **facts)
    partly = words.CLIP_PARTLY.format(frames=info.frames, total=job.total)
    return f"{partly} {told}" if job.stopped else told


def done(clip: Path, caption: str, record: dict, hint: str) -> Answer:
    return {
        **idle(hint), "clip": str(clip), "get_clip": gr.update(value=str(clip), interactive=True),
        "clip_caption": caption, "text": results.lines(record),
    }  # fmt: skip
