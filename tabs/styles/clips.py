"""The long jobs of the tab "Style translation": a clip from style to style, and a grid."""

from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models import images
from gan_models.errors import UserError
from gan_models.stargan_v2.pipeline import path as path_of
from tabs.kit import clips, jobs, look, results
from tabs.kit import texts as words
from tabs.kit.answers import answers
from tabs.kit.given import frames_of
from tabs.kit.results import file_stem, lines, picture_file
from tabs.kit.seeds import of_seed
from tabs.styles import subject, texts
from tabs.styles.handlers import MOST, settings_of

LARGEST = 1280  # pixels of the longer side
SMALLEST = 512  # pixels of the shorter side
CELL = 256  # pixels of a grid's pictures, at most
WHITE = 255


@answers(
    "progress", "preview", "clip", "get_clip", "clip_caption", "text", "clip_notice", "run", "stop",
    notice="clip_notice", failed=clips.idle(texts.KEYS),
)  # fmt: skip
def make_clip(
    system, weights, picture, crop, domain, first, second, given, through, sliding, strength,
    view, seconds, fps, back, request: gr.Request | None = None,
):  # fmt: skip
    """From the first style to the second, or `through` the references that are given, and `back`.
    sliding: the references are shown on the left. After Stop the clip holds the frames made so far.
    """
    system.folder(weights)  # weights that are not there are said before the work starts
    if not picture:
        raise UserError(words.NO_PICTURE)
    total = frames_of(seconds, fps)
    stops = given if through and len(given) > 1 else [first, second]
    if stops[0] == stops[-1] and len(stops) == 2:
        raise UserError(texts.SAME)
    job = clips.begun(system, request, total)

    def work():
        box = subject.square(system, weights, picture, crop)
        record = settings_of(weights, picture, box, domain, strength)
        record |= {"styles": ", ".join(style["name"] for style in stops)}
        record |= {"seconds": seconds, "fps": fps, "back": bool(back)}
        codes = subject.numbers(system, weights, domain, stops, subject.checked(strength))
        styles = path_of(codes, total, bool(back))
        made = frames(system, weights, picture, box, styles, view)
        if sliding and stops is given:
            made = with_references(system, weights, stops, made, total, bool(back))
            record["references"] = "on the left"
        info = clips.write(path, job.watch(made), SMALLEST, fps, weights=weights, settings=record)
        return info and (info, record)

    stem = file_stem(f"{Path(picture).stem}-{domain}")
    with jobs.handed_over(request, f"{stem}.mp4") as path:
        yield from clips.working(job, work, texts.KEYS)
        if job.result is None:
            return
        info, record = job.result
        yield clips.done(path, clips.caption(job, info, texts.CLIP_DONE), record, texts.KEYS)


def frames(system, weights, path: str, box, styles, view: str) -> Iterator[np.ndarray]:
    for made in subject.translated(system, weights, path, box, styles):
        yield made if view == "face" else subject.pair(path, box, made, view, LARGEST)[1]


def with_references(system, weights, stops, made, total: int, loop: bool) -> Iterator[np.ndarray]:
    """Each of `total` frames with the reference that its style comes from on its left; the next one
    slides in from below.
    """
    stops, column = [*stops, *stops[:loop]], None
    places = path_of(np.arange(len(stops))[:, None], total + loop, loop=False)[:total]
    for (place,), picture in zip(places, made, strict=True):
        picture = results.enlarge(picture, SMALLEST)
        if column is None:
            column = np.vstack(references(system, weights, stops, len(picture)))
        top = round(place * len(picture))
        yield np.hstack([column[top : top + len(picture)], picture])


def references(system, weights, styles, side: int) -> list[np.ndarray]:
    """(side, side, 3) uint8: what the styles were taken from."""
    files = [style["file"] for style in styles]
    return [subject.cut(file, subject.square(system, weights, file), side) for file in files]


@answers(
    "progress", "preview", "grid", "grid_caption", "get_grid", "text", "run", "stop",
    notice="grid_notice", failed=clips.idle(texts.KEYS),
)  # fmt: skip
def make_grid(
    system, weights, picture, crop, more_pictures, domain, given, seeds, strength,
    request: gr.Request | None = None,
):  # fmt: skip
    """The pictures above, a row for each style: the references, or the seeds of the variations."""
    system.folder(weights)
    every = [one for one in [picture, *(more_pictures or [])] if one]
    sources = every[:MOST]
    styles = given or list(map(of_seed, seeds))
    if not sources:
        raise UserError(words.NO_PICTURE)
    total = len(sources) * len(styles)
    job = clips.begun(system, request, total)
    boxes = [
        subject.square(system, weights, one, crop if one == picture else None) for one in sources
    ]
    record = settings_of(weights, sources[0], boxes[0], domain, strength)
    record |= {"pictures": ", ".join(Path(one).name for one in sources)}
    record |= {"styles": ", ".join(style["name"] for style in styles)}

    def work():
        codes = subject.numbers(system, weights, domain, styles, subject.checked(strength))
        made = (
            one for source, box in zip(sources, boxes, strict=True)
            for one in subject.translated(system, weights, source, box, codes)
        )  # fmt: skip
        return list(job.watch(made)) or None

    yield from clips.working(job, work, texts.KEYS, "grid_notice")
    if job.result is None:
        return
    made = sheet(system, weights, list(zip(sources, boxes, strict=True)), styles, job.result)
    told = texts.TOO_MANY.format(most=MOST, count=len(every)) if len(every) > MOST else ""
    caption = texts.GRID_DONE.format(count=len(sources), styles=len(styles))
    if job.stopped:
        caption = texts.GRID_PARTLY.format(done=job.done, total=total)
    with picture_file(request, f"grid-{file_stem(str(domain))}.png", made, weights, record) as file:
        yield {
            **clips.idle(texts.KEYS), "grid": file, "grid_caption": caption,
            "get_grid": gr.update(value=file, interactive=True), "text": lines(record),
            "grid_notice": look.notice(told),
        }  # fmt: skip


def sheet(system, weights, sources, styles, made: list) -> np.ndarray:
    """One picture of the grid; references stand left of their rows, what is not made is white."""
    side = min(CELL, max(128, len(made[0])))
    blank = np.full((side, side, 3), WHITE, np.uint8)
    cells = [images.resize(one, side) for one in made]
    cells += [blank] * (len(sources) * len(styles) - len(made))
    rows = [[subject.cut(path, box, side) for path, box in sources]]
    rows += [cells[row :: len(styles)] for row in range(len(styles))]
    if "file" in styles[0]:
        left = references(system, weights, styles, side)
        rows = [[first, *row] for first, row in zip([blank, *left], rows, strict=True)]
    return images.grid([cell for row in rows for cell in row], len(rows[0]))
