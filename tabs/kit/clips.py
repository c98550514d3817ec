"""The clip of a tab: one long job with progress, and a usable part after Stop."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models import video
from tabs.kit import jobs, look, results
from tabs.kit import texts as words
from tabs.kit.answers import Answer, answers
from tabs.kit.systems import System

PREVIEW = 384  # pixels of the newest frame while a clip is made


def stop_file(system: System, request: gr.Request | None) -> Path:
    return jobs.stop_file(request, f"{system.name}-clip")


@answers("progress", "run", "stop")
def begin(system: System, request: gr.Request | None = None) -> Answer:
    """Before a clip waits for its turn."""
    stop_file(system, request).unlink(missing_ok=True)
    return {"progress": look.progress(words.QUEUED), **buttons(running=True)}


def stop(system: System, request: gr.Request | None = None) -> None:
    stop_file(system, request).touch()


def buttons(running: bool) -> Answer:
    return {"run": gr.update(interactive=not running), "stop": gr.update(interactive=running)}


def idle(hint: str) -> Answer:
    """What stands there when no clip is made."""
    return {"progress": look.hint(hint), "preview": "", **buttons(running=False)}


def working(job: jobs.Job, work: Callable, hint: str) -> Iterator[Answer]:
    """Run `work` and say how far it is; `job.result` is None if Stop came before the first frame,
    which is said, too.
    """
    for _ in job.run(work):
        yield {"progress": progress(job), "preview": preview(job), **buttons(running=True)}
    if job.result is None:
        yield {**idle(hint), "clip_notice": look.notice(words.STOPPED_EARLY)}


def progress(job: jobs.Job) -> str:
    """The bar: frames done, how fast, how long still, and the newest frame, small."""
    status = job.status()
    if status["rate"] is None:
        return look.progress(words.STARTING)
    picture = newest(job, 64)
    if status["left"] is None:
        text = words.FRAMES_SO_FAR.format(done=job.done, rate=status["rate"])
        return look.progress(text, None, picture)
    left = look.duration(max(0, status["left"]))
    text = words.FRAMES_DONE.format(done=job.done, total=job.total, rate=status["rate"], left=left)
    return look.progress(text, min(1.0, job.done / job.total), picture)


def preview(job: jobs.Job) -> str:
    """The newest frame, to be laid over the stage."""
    picture = newest(job, PREVIEW)
    return picture and f'<img src="{picture}" alt="{words.PREVIEW}">'


def newest(job: jobs.Job, size: int) -> str:
    """The newest picture as a data URL; "" where the job makes other things."""
    item = job.latest[0] if isinstance(job.latest, tuple) else job.latest
    return results.data_url(item, size) if np.ndim(item) == 3 else ""


def write(
    path: Path, pictures: Iterator[np.ndarray], size: int, fps, sharp: bool = False, **how
) -> video.ClipInfo | None:
    """Write `pictures` (a generator, closed in any case), enlarged to `size`, as `video.write_clip`
    does; None if there are none.
    """
    with closing(pictures):
        large = (results.enlarge(picture, size, sharp) for picture in pictures)
        first = next(large, None)
        if first is None:
            return None
        return video.write_clip(path, itertools.chain([first], large), fps, **how)


def caption(job: jobs.Job, info: video.ClipInfo, sentence: str, **facts) -> str:
    """`sentence` about the clip, after how much of it there is."""
    told = sentence.format(
        frames=info.frames, seconds=round(info.seconds, 2), width=info.width, height=info.height,
        **facts,
    )  # fmt: skip
    partly = words.CLIP_PARTLY.format(frames=info.frames, total=job.total)
    return f"{partly} {told}" if job.stopped else told


def done(clip: Path, caption: str, record: dict, hint: str) -> Answer:
    """The clip is there."""
    return {
        **idle(hint), "clip": str(clip), "get_clip": gr.update(value=str(clip), interactive=True),
        "clip_caption": caption, "text": results.lines(record), "stage": gr.Tabs(selected="clip"),
    }  # fmt: skip
