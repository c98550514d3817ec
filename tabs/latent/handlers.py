"""What the tab "Latent space" does beside its clips and its live view.

Points of the latent space travel as dicts (points.py). Files that a handler yields go once the page
has its own copy.
"""

import json
from contextlib import ExitStack, contextmanager
from pathlib import Path

import gradio as gr
import numpy as np
import safetensors
import safetensors.numpy

from gan_models import images
from gan_models.errors import UserError
from tabs.kit import jobs
from tabs.kit.answers import answers
from tabs.kit.results import DISPLAY, enlarge, file_stem, lines, picture_file
from tabs.kit.seeds import clicked, of_seed
from tabs.latent import live, points, texts
from tabs.latent.drawing import grown, sample
from tabs.latent.points import as_sentence, latent_of

THUMB = 128  # pixels of the small pictures
LARGEST_LATENTS_FILE = 2**20  # bytes; two latents of 512 numbers take 4 kB
LARGE = ("picture", "picture_caption", "text", "get_shown", "get_own", "live")


def class_choices(system, weights: str | None) -> list[tuple[str, str]]:
    """(label, class) for the class menu: no class first, then those of the weights."""
    classes = system.config(weights)["classes"]
    return [(texts.ANY_CLASS, ""), *((one, one) for one in classes)]


@answers("label", notice="weights_notice")
def choose_class(system, weights):
    choices = class_choices(system, weights)
    return {"label": gr.Dropdown(choices=choices, value="", visible=len(choices) > 1)}


# --- the large picture


@answers(*LARGE, notice="give_notice", loading=True)
def show(
    system, weights, label, shown, growth, truncation, sharp, pace,
    request: gr.Request | None = None,
):  # fmt: skip
    """The picture that a visitor wished to see."""
    yield from _large(system, weights, label, shown, growth, truncation, sharp, pace, request)


@answers(*LARGE, "shown", notice="give_notice", loading=True)
def show_mix(
    system, weights, label, start, end, position, way, growth, truncation, sharp, pace,
    request: gr.Request | None = None,
):  # fmt: skip
    """The picture between start and end."""
    shown = points.of_mix(start, end, position, way)
    for answer in show(system, weights, label, shown, growth, truncation, sharp, pace, request):
        yield answer | ({"shown": shown} if "picture" in answer else {})


def _large(system, weights, label, shown, growth, truncation, sharp, pace, request):
    """The picture, large, with all that is said about it and made of it."""
    picture, record = _current(system, weights, label, shown, growth, truncation)
    large = as_shown(system, weights, picture, sharp)
    sizes = len(large), len(picture)
    caption = texts.CAPTION.format(name=as_sentence(shown["name"]), shown=sizes[0], own=sizes[1])
    with picture_file(request, "picture.png", large, weights, record) as path:
        yield {
            "picture": path, "picture_caption": caption, "text": lines(record),
            "get_shown": gr.update(value=texts.GET_SHOWN.format(size=sizes[0])),
            "get_own": gr.update(
                value=texts.GET_OWN.format(size=sizes[1]), visible=sizes[0] != sizes[1]
            ),
            "live": live.ticket(weights, label, shown, growth, truncation, sharp, pace, request),
        }  # fmt: skip


def _current(system, weights, label, shown, growth, truncation) -> tuple[np.ndarray, dict]:
    """The picture at its own size, and the settings that made it."""
    pipeline = system.open(weights)
    latent = latent_of(pipeline, shown)[None]
    resolution, alpha = grown(pipeline.resolutions, growth)
    picture = sample(system, weights, latent, label, truncation, resolution, alpha)[0]
    record = {"weights": weights, "picture": shown["name"]}
    record |= {"truncation": truncation, "resolution": resolution, "fade_in": alpha}
    return picture, record | ({"class": label} if label else {})


def as_shown(system, weights, picture: np.ndarray, sharp: bool) -> np.ndarray:
    """`picture` enlarged; one that has not grown up shows its pixels as squares."""
    grown_up = len(picture) == system.open(weights).size
    return enlarge(picture, DISPLAY, sharp or not grown_up)


@answers("picture_file", notice="file_notice", loading=True)
def save_picture(
    system, weights, label, shown, growth, truncation, sharp, enlarged,
    request: gr.Request | None = None,
):  # fmt: skip
    """The picture as a PNG: `enlarged` as it is shown, or at its own size."""
    picture, record = _current(system, weights, label, shown, growth, truncation)
    picture = as_shown(system, weights, picture, sharp) if enlarged else picture
    stem = file_stem(f"{weights}-{shown['name']}").strip("-")
    name = f"{stem}-{len(picture)}px.png"
    with picture_file(request, name, picture, weights, record) as path:
        yield {"picture_file": path}


@answers("grown", notice="how_notice", loading=True)
def growth_pictures(
    system, weights, label, shown, truncation, how_open, request: gr.Request | None = None
):
    """The current picture at every resolution, side by side, where somebody looks at it."""
    if not how_open:
        return
    pipeline = system.open(weights)
    latent = latent_of(pipeline, shown)[None]
    steps = [
        sample(system, weights, latent, label, truncation, size)[0] for size in pipeline.resolutions
    ]
    size = max(THUMB, len(steps[-1]))
    sheet = images.grid([enlarge(step, size, sharp=True) for step in steps], len(steps))
    record = {"weights": weights, "picture": shown["name"], "resolutions": pipeline.resolutions}
    with picture_file(request, "growth.png", sheet, weights, record) as path:
        yield {"grown": path}


@answers("how_open")
def open_how():
    return {"how_open": True}


@answers("how_open")
def close_how():
    return {"how_open": False}


# --- everything anew


@answers("picks", "start_thumb", "end_thumb", *LARGE, "drawn", notice="give_notice", loading=True)
def draw_all(
    system, weights, label, seeds, start, end, shown, growth, truncation, sharp, pace,
    request: gr.Request | None = None,
):  # fmt: skip
    """Every picture anew, because the weights are other ones.

    `drawn` becomes the weights that all pictures are of.
    """
    yield from fill(system, weights, label, seeds, truncation, request)
    yield from thumbs(system, weights, label, start, end, truncation, request)
    yield from _large(system, weights, label, shown, growth, truncation, sharp, pace, request)
    yield {"drawn": weights}


@answers(*draw_all.names, notice="give_notice", loading=True)
def draw_all_again(
    system, weights, label, seeds, start, end, shown, growth, truncation, sharp, pace, drawn,
    request: gr.Request | None = None,
):  # fmt: skip
    """After Reset, which may also have changed the weights: then the menu's event draws."""
    if drawn == weights:
        look = growth, truncation, sharp, pace
        yield from draw_all(system, weights, label, seeds, start, end, shown, *look, request)


# --- points


@answers("point", "shown", notice="point_notice")
def set_seed(seed):
    """The point of a typed seed, which is shown; an empty field changes nothing."""
    if seed is None:
        return {}
    point = of_seed(seed)
    return {"point": point, "shown": point}


@answers("shown")
def pick(event: gr.SelectData):
    """A click in the gallery shows that picture."""
    return {"shown": clicked(event)}


@answers("point", "seed", notice="point_notice", loading=True)
def keep(system, weights, shown):
    """The picture that is shown becomes the start or the end."""
    return {"point": points.kept(system.open(weights), shown), "seed": shown.get("seed")}


@answers("shown", notice="give_notice", loading=True)
def arrive(system, weights, shown, live):
    """Where a drag over the map or the endless walk has ended is the picture that is shown."""
    asked = live if isinstance(live, dict) else {}
    if "corners" in asked:
        return {"shown": points.of_map(asked["corners"], asked.get("x"), asked.get("y"))}
    pipeline, seed, place = system.open(weights), asked.get("seed"), asked.get("place")
    return {"shown": points.of_walk(pipeline, shown, seed, place)}


@contextmanager
def _thumb_files(request, system, weights, label, truncation, given: list[dict]):
    """A file of each point's small picture."""
    latents = np.stack([latent_of(system.open(weights), point) for point in given])
    with ExitStack() as files:
        paths = []
        pictures = sample(system, weights, latents, label, truncation)
        for point, picture in zip(given, pictures, strict=True):
            record = {key: point[key] for key in ("name", "seed") if key in point}
            name, small = f"{file_stem(point['name'])}.jpg", enlarge(picture, THUMB)
            file = picture_file(request, name, small, weights, record)
            paths.append(files.enter_context(file))
        yield paths


def point_label(title: str, point: dict) -> str:
    return f"{title}: {point['name'] if 'seed' in point else texts.NO_SEED}"


@answers("start_thumb", "end_thumb", notice="give_notice", loading=True)
def thumbs(system, weights, label, start, end, truncation, request: gr.Request | None = None):
    with _thumb_files(request, system, weights, label, truncation, [start, end]) as (first, last):
        yield {
            "start_thumb": gr.update(value=first, label=point_label(texts.START, start)),
            "end_thumb": gr.update(value=last, label=point_label(texts.END, end)),
        }


@answers("picks", notice="give_notice", loading=True)
def fill(system, weights, label, seeds, truncation, request: gr.Request | None = None):
    given = [of_seed(seed) for seed in seeds]
    with _thumb_files(request, system, weights, label, truncation, given) as files:
        yield {"picks": [(file, point["name"]) for file, point in zip(files, given, strict=True)]}


# --- files of latents


@answers("latents_file", notice="file_notice", loading=True)
def save_latents(system, weights, start, end, request: gr.Request | None = None):
    pipeline = system.open(weights)
    arrays = {"start": latent_of(pipeline, start), "end": latent_of(pipeline, end)}
    facts = {"weights": weights, "start": start["name"], "end": end["name"]}
    with jobs.handed_over(request, "latents.safetensors") as path:
        safetensors.numpy.save_file(arrays, path, {"gan_atelier": json.dumps(facts)})
        yield {"latents_file": str(path)}


@answers("start", "end", "shown", "start_seed", "end_seed", notice="file_notice", loading=True)
def load_latents(system, weights, load):
    """Start and end from an uploaded file of `save_latents`, which may be any other file."""
    file, size = Path(load), system.open(weights).latent_size
    if file.stat().st_size > LARGEST_LATENTS_FILE:
        raise UserError(texts.TOO_LARGE.format(file=file.name))
    try:
        arrays = safetensors.numpy.load_file(file)
        pair = {key: arrays[key].astype(np.float32) for key in ("start", "end")}
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(texts.NOT_LATENTS.format(file=file.name)) from error
    for latent in pair.values():
        if latent.shape != (size,):
            raise UserError(texts.OTHER_SIZE.format(name=file.name, here=latent.size, there=size))
        if not np.isfinite(latent).all():
            raise UserError(texts.NOT_FINITE.format(file=file.name))
    named = {key: f"{key} of {file.name}"[: points.LONGEST_NAME] for key in pair}
    loaded = {key: {"name": named[key], "latent": pair[key].tolist()} for key in pair}
    return loaded | {"shown": loaded["start"], "start_seed": None, "end_seed": None}
