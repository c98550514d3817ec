"""The clip of the tab "Expressions": from the face as it is to what the sliders say."""

from collections.abc import Iterator
from pathlib import Path

import gradio as gr

from gan_models.errors import UserError
from gan_models.ganimation.pipeline import between
from tabs.expressions import subject, texts
from tabs.expressions.handlers import planned, with_sliders
from tabs.kit import clips, given, jobs
from tabs.kit import texts as words
from tabs.kit.answers import answers
from tabs.kit.results import file_stem

LARGEST = 1280  # pixels of the longer side
SMALLEST = 256  # pixels of the shorter side


@answers(
    "progress", "preview", "clip", "get_clip", "clip_caption", "text", "clip_notice", "run", "stop",
    notice="clip_notice", failed=clips.idle(texts.KEYS),
)  # fmt: skip
@with_sliders
def make_clip(
    system, weights, picture, crop, all_faces, strength, view, values, seconds, fps, easing, back,
    request: gr.Request | None = None,
):  # fmt: skip
    """The face, or the whole picture, on its way to the expression, and `back`. After Stop the clip
    holds the frames made so far.
    """
    system.folder(weights)  # weights that are not there are said before the work starts
    if not picture:
        raise UserError(words.NO_PICTURE)
    given.small(picture, given.SHOWN)  # so is a file that cannot be read
    total = given.frames_of(seconds, fps)
    job = clips.begun(system, request, total)

    def work():
        boxes, wanted, record = planned(system, weights, picture, crop, all_faces, strength, values)
        if not any(key.startswith("AU") for key in record) or not strength:
            raise UserError(texts.NOTHING_MOVES)
        record |= {"seconds": seconds, "fps": fps, "easing": easing, "back": bool(back)}
        measured = subject.measure(system, weights, picture, boxes)
        track = between(measured, wanted, total, easing, bool(back))
        made = job.watch(frames(system, weights, picture, boxes, track, view == "picture"))
        info = clips.write(path, made, SMALLEST, fps, weights=weights, settings=record)
        return info and (info, record)

    with jobs.handed_over(request, f"{file_stem(Path(picture).stem)}-expression.mp4") as path:
        yield from clips.working(job, work, texts.KEYS)
        if job.result is None:
            return
        info, record = job.result
        yield clips.done(path, clips.caption(job, info, texts.CLIP_DONE), record, texts.KEYS)


@jobs.lease
def frames(system, weights, path: str, boxes, track, full: bool) -> Iterator:
    """(H, W, 3) uint8 of each moment of the track (T, n, 17): the whole picture, or the first
    face.
    """
    pipeline = system.open(weights)
    if full:
        picture, boxes = subject.fitted(path, boxes, LARGEST)
    else:
        picture, track = subject.cut(path, boxes[0], LARGEST), track[:, :1]
        boxes = [subject.whole(picture)]
    yield from jobs.batches(pipeline.animate(picture, boxes, track))
