"""The clip of the tab "Latent space": a path from start to end, or a random walk over both."""

from collections.abc import Iterator

import gradio as gr
import numpy as np

from gan_models import images
from gan_models.errors import UserError
from gan_models.seeds import check_seed
from tabs.kit import clips, jobs
from tabs.kit.answers import answers
from tabs.kit.results import enlarge, file_stem, picture_file
from tabs.latent import texts
from tabs.latent.drawing import frames
from tabs.latent.handlers import THUMB
from tabs.latent.points import latent_of

STRIP = 8  # frames shown side by side under the clip


@answers("walk_seed")
def choose_kind(kind):
    return {"walk_seed": gr.update(visible=kind == "walk")}


@answers(
    "progress", "clip", "get_clip", "strip", "clip_caption", "text", "clip_notice", "run",
    "stop", "preview", notice="clip_notice", failed=clips.idle(texts.KEYS),
)  # fmt: skip
def make_clip(
    system, weights, label, start, end, kind, seconds, fps, way, walk_seed, pace, truncation, size,
    sharp, request: gr.Request | None = None,
):  # fmt: skip
    """A clip along the path (`kind` "path") or of a random walk ("walk"), see `walk_of`.

    After Stop the clip holds the frames made so far.
    """
    if not 0.5 <= (seconds or 0) <= 60 or not 1 <= (fps or 0) <= 60:
        raise UserError(texts.BAD_DURATION)
    system.folder(weights)  # weights that are not there are said before the work starts
    total = max(2, round(seconds * fps))
    record = {"weights": weights, "clip": kind, "seconds": seconds, "fps": fps}
    record |= {"start": start["name"], "end": end["name"], "truncation": truncation}
    if kind == "path":
        record |= {"path": way}
    else:
        record |= {"walk_seed": check_seed(walk_seed), "pace": f"{pace:g} s a picture"}
    record |= {"class": label} if label else {}
    job = clips.begun(system, request, total)
    kept: list[np.ndarray] = []

    def work():
        pipeline = system.open(weights)
        ends = latent_of(pipeline, start), latent_of(pipeline, end)
        if kind == "path":
            latents = pipeline.interpolate(*ends, total, way)
        else:
            latents = walk_of(pipeline, *ends, record["walk_seed"], round(seconds / pace), total)
        pictures = _noted(job.watch(frames(system, weights, latents, label, truncation)), kept)
        return clips.write(clip, pictures, size, fps, sharp, weights=weights, settings=record)

    stem = f"{file_stem(weights)}-{kind}"
    with jobs.handed_over(request, f"{stem}.mp4") as clip:
        yield from clips.working(job, work, texts.KEYS)
        if job.result is None:
            return
        caption = clips.caption(job, job.result, texts.CLIP_DONE, native=len(kept[0]))
        strip = _strip(kept, job.latest, sharp)
        with picture_file(request, f"{stem}-frames.png", strip, weights, record) as sheet:
            yield {
                **clips.done(clip, caption, record, texts.KEYS),
                "strip": gr.update(value=sheet, visible=True),
            }


def walk_of(pipeline, start, end, seed: int, legs: int, total: int) -> Iterator[np.ndarray]:
    """`total` latents of a walk that begins at start, passes end half-way and returns to start. On
    the way it passes pictures of `seed`, so that there are `legs` (at least 3) from one to another.
    """
    legs = max(legs, 3)
    between = pipeline.latents(seed, legs - 2)  # (legs - 2, latent_size)
    half = legs // 2
    waypoints = np.stack([start, *between[: half - 1], end, *between[half - 1 :]])
    return (pipeline.glide(waypoints, legs * frame / total) for frame in range(total))


def _noted(pictures: Iterator[np.ndarray], kept: list) -> Iterator[np.ndarray]:
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
