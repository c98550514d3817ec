"""The clip of the tab "Latent space": one long job with progress, and a usable part after Stop."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models import images, video
from gan_models.errors import UserError
from tabs import jobs, look
from tabs import texts as words
from tabs.latent import texts
from tabs.latent.handlers import (
    THUMB,
    check_seed,
    folder_of,
    frames,
    latent_of,
    open_pipeline,
)
from tabs.results import buttons, enlarge, file_stem, lines, progress

JOB = "latent-clip"  # its name for Stop
STRIP = 8  # frames shown side by side under the clip
SKIPS = (gr.skip(),) * 6
IDLE = look.hint(texts.KEYS)


def begin(request: gr.Request | None = None):
    """Before the clip waits for its turn: (progress, Walk, Stop)."""
    jobs.Job.allow(jobs.visitor_folder(request), JOB)
    return look.progress(words.QUEUED), *buttons(running=True)


def stop(request: gr.Request | None = None) -> None:
    jobs.Job.stop(jobs.visitor_folder(request), JOB)


@jobs.told(lambda sentence: (IDLE, *SKIPS, look.notice(sentence, "error"), *buttons(False)))
def make_clip(
    settings, name, label, start, end, kind, seconds, fps, way, walk_seed, smoothing, size, sharp,
    request: gr.Request | None = None,
):  # fmt: skip
    """A clip along the path (`kind` "path") or of a random walk ("walk").

    Yields (progress, clip, download, frames, caption, settings text, stage, notice, Walk, Stop).
    After Stop the clip holds the frames made so far.
    """
    if not 0.5 <= (seconds or 0) <= 60 or not 1 <= (fps or 0) <= 60:
        raise UserError(texts.BAD_DURATION)
    folder_of(settings, name)  # weights that are not there are said before the work starts
    total = max(2, round(seconds * fps))
    record = {"weights": name, "clip": kind, "seconds": seconds, "fps": fps}
    if kind == "path":
        record |= {"start": start["name"], "end": end["name"], "path": way}
    else:
        record |= {"walk_seed": check_seed(walk_seed), "smoothing_seconds": smoothing}
    record |= {"class": label} if label else {}
    job = jobs.Job(jobs.visitor_folder(request), JOB, total)
    kept: list[np.ndarray] = []

    def work(path: Path) -> video.ClipInfo | None:
        pipeline = open_pipeline(settings, name)
        if kind == "path":
            ends = latent_of(pipeline, start), latent_of(pipeline, end)
            latents = pipeline.interpolate(*ends, total, way)
        else:
            latents = pipeline.random_walk(record["walk_seed"], total, smoothing * fps)
        pictures = _noted(job.watch(frames(settings, name, latents, label)), kept)
        large = (enlarge(picture, size, sharp) for picture in pictures)
        first = next(large, None)
        if first is None:
            return None
        every = itertools.chain([first], large)
        return video.write_clip(path, every, fps, weights=name, settings=record)

    with (
        jobs.handed_over(request, f"{file_stem(name)}-{kind}.mp4") as clip,
        jobs.handed_over(request, f"{file_stem(name)}-{kind}-frames.png") as sheet,
    ):
        for _ in job.run(lambda: work(clip)):
            yield progress(job), *SKIPS, "", *buttons(running=True)
        if job.result is None:
            yield IDLE, *SKIPS, look.notice(words.STOPPED_EARLY), *buttons(running=False)
            return
        strip = _strip(kept, job.latest, sharp)
        images.save_picture(sheet, strip, weights=name, settings=record)
        yield (
            IDLE, str(clip), gr.update(value=str(clip), interactive=True),
            gr.update(value=str(sheet), visible=True),
            _caption(job, len(kept[0])), lines(record), gr.Tabs(selected="clip"), "",
            *buttons(running=False),
        )  # fmt: skip


def _noted(pictures: Iterable[np.ndarray], kept: list) -> Iterator[np.ndarray]:
    """`pictures`; `kept` fills with evenly spaced ones, a few more than the strip shows."""
    step = 1
    for index, picture in enumerate(pictures):
        if index % step == 0:
            kept.append(picture)
        if len(kept) > 8 * STRIP:
            del kept[1::2]
            step *= 2
        yield picture


def _strip(kept: list[np.ndarray], newest: np.ndarray, sharp: bool) -> np.ndarray:
    """Up to STRIP of the kept pictures side by side, from the first to the newest."""
    count = min(STRIP, len(kept))
    places = np.linspace(0, len(kept) - 1, count).round().astype(int)
    shown = [kept[place] for place in places[:-1]] + [newest]
    return images.grid([enlarge(picture, THUMB, sharp) for picture in shown], count)


def _caption(job: jobs.Job, native: int) -> str:
    clip = job.result
    sentence = texts.CLIP_DONE.format(
        frames=clip.frames, seconds=round(clip.seconds, 2), size=clip.width, native=native
    )
    if job.stopped:
        sentence = f"{words.CLIP_PARTLY.format(frames=clip.frames, total=job.total)} {sentence}"
    return sentence
