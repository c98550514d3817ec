"""What the tab "Semantic painting" does beside its live canvas: maps, styles, downloads."""

import random
from contextlib import ExitStack
from pathlib import Path

import gradio as gr

from gan_models import images
from gan_models.errors import UserError
from gan_models.spade.labels import read_map
from tabs.kit import jobs, look
from tabs.kit.answers import answers
from tabs.kit.results import DISPLAY, enlarge, file_stem, lines, picture_file
from tabs.painting import canvas as canvases
from tabs.painting import maps, styles, texts

THUMB = 160  # pixels of the variations

# --- maps


@answers(
    "canvas", "text", "first", "second", "first_seed", "second_seed", "style_box", "picture_box",
    "picks", "styles_notice", notice="canvas_notice", loading=True,
)  # fmt: skip
def prepare(
    system, weights, canvas, first, second, share, request: gr.Request | None = None
):  # fmt: skip
    """When the page opens, after Reset, and for other weights: the map stays where it can."""
    pipeline = system.open(weights)
    label_map = canvases.kept(pipeline, canvas)
    if label_map is None:
        label_map, _ = pipeline.fitted(maps.start(pipeline.labels, pipeline.size))
    first, second = (
        style if styles.fits(pipeline, style) else styles.of_seed(number)
        for number, style in enumerate((first, second), 1)
    )
    yield {
        "canvas": canvases.shown(pipeline.labels, label_map)
        | canvases.ticket(weights, first, second, share, request),
        "text": settings_text(weights, pipeline, first, second, share),
        "first": first, "first_seed": first.get("seed"),
        "second": second, "second_seed": second.get("seed"),
        "style_box": gr.update(visible=bool(pipeline.latent_size)),
        "picture_box": gr.update(visible=pipeline.encoder is not None),
        "picks": gr.update(visible=pipeline.labels.kind == maps.EXAMPLES_OF),
        "styles_notice": look.notice("" if pipeline.latent_size else texts.NO_STYLES),
    }  # fmt: skip


@answers("canvas", notice="give_notice", loading=True)
def pick(
    system, weights, first, second, share, event: gr.SelectData,
    request: gr.Request | None = None,
):  # fmt: skip
    """A click on an example puts it on the canvas."""
    files = maps.example_files()
    if 0 <= event.index < len(files):
        asked = system, weights, str(files[event.index]), "auto", first, second, share
        yield placed(*asked, request) | {"give_notice": ""}


@answers("canvas", notice="give_notice", loading=True)
def load_map(
    system, weights, map_file, reading, first, second, share, request: gr.Request | None = None
):
    """A map of the visitor's own, with what is to be said about it."""
    if map_file:
        yield placed(system, weights, map_file, reading, first, second, share, request)
    else:
        yield {}


def placed(system, weights, file, reading, first, second, share, request) -> dict:
    pipeline = system.open(weights)
    label_map, notices = read_map(file, pipeline.labels, reading)
    label_map, scaled = pipeline.fitted(label_map)
    return {
        "canvas": canvases.shown(pipeline.labels, label_map)
        | canvases.ticket(weights, first, second, share, request),
        "give_notice": look.notice(jobs.without_folders(" ".join(notices + scaled))),
    }


# --- styles


@answers("seed")
def new_seed():
    return {"seed": random.randrange(1000, 10000)}


@answers("style", notice="style_notice")
def set_seed(seed):
    """The style of a typed seed; an empty field changes nothing."""
    return {} if seed is None else {"style": styles.of_seed(seed)}


@answers("first", "first_seed", notice="style_notice", loading=True)
def take_style(system, weights, style_picture):
    """The style of a picture becomes the first style."""
    if not style_picture:
        return {}
    picture, pipeline = images.read_picture(style_picture), system.open(weights)
    with jobs.device:
        style = styles.of_picture(pipeline, Path(style_picture).name, picture)
    return {"first": style, "first_seed": None}


@answers("first", "second", "first_seed", "second_seed")
def swap(first, second):
    return {"first": second, "second": first,
            "first_seed": second.get("seed"), "second_seed": first.get("seed")}  # fmt: skip


@answers("first", "first_seed", "share")
def pick_style(seeds: list[int], event: gr.SelectData):
    """A click on a variation takes its style, unmixed."""
    style = styles.of_seed(seeds[event.index])
    return {"first": style, "first_seed": style["seed"], "share": 0}


@answers("canvas", "text", notice="style_notice", loading=True)
def restyle(system, weights, first, second, share, request: gr.Request | None = None):
    """The canvas learns of another style, and asks for its picture."""
    share = checked_share(share)
    return {
        "canvas": canvases.ticket(weights, first, second, share, request),
        "text": settings_text(weights, system.open(weights), first, second, share),
    }


def checked_share(share: float | None) -> float:
    if not isinstance(share, int | float) or not 0 <= share <= 100:
        raise UserError(texts.BAD_SHARE)
    return share


@answers("seeds")
def next_seeds(seeds: list[int]):
    return {"seeds": [seed + len(seeds) for seed in seeds]}


@answers("variations", notice="style_notice", loading=True)
def vary(system, weights, canvas, seeds, request: gr.Request | None = None):
    """The map on the canvas in other styles, small."""
    pipeline = system.open(weights)
    if not pipeline.latent_size:
        return
    label_map = canvases.current(pipeline, canvas)
    with ExitStack() as files:
        shown = []
        for seed in seeds:
            picture = painted(system, weights, label_map, pipeline.style(seed))
            name, small = f"seed-{seed}.jpg", enlarge(picture, THUMB)
            file = picture_file(request, name, small, weights, {"seed": seed})
            shown.append((files.enter_context(file), f"seed {seed}"))
        yield {"variations": shown}


# --- downloads


@jobs.lease
def painted(system, weights, label_map, style):
    pipeline = system.open(weights)
    with jobs.device:
        return pipeline.paint(label_map, style)


def settings_of(weights, pipeline, first, second, share) -> dict:
    height, width = pipeline.size
    record = {"weights": weights, "size": f"{width} x {height} px"}
    if pipeline.latent_size:
        record["style"] = styles.name_of(first, second, share)
    return record


def settings_text(weights, pipeline, first, second, share) -> str:
    return lines(settings_of(weights, pipeline, first, second, share))


@answers("picture_file", notice="file_notice", loading=True)
def save_picture(
    system, weights, canvas, first, second, share, enlarged, request: gr.Request | None = None
):
    """The picture as a PNG: `enlarged` as it is shown, or at its own size."""
    pipeline, share = system.open(weights), checked_share(share)
    label_map = canvases.current(pipeline, canvas)
    style = styles.mixed(pipeline, first, second, share)
    picture = painted(system, weights, label_map, style)
    picture = enlarge(picture, DISPLAY) if enlarged else picture
    record = settings_of(weights, pipeline, first, second, share)
    name = f"painting-{file_stem(weights)}-{picture.shape[1]}px.png"
    with picture_file(request, name, picture, weights, record) as path:
        yield {"picture_file": path}


@answers("map_out", notice="file_notice", loading=True)
def save_map(system, weights, canvas, request: gr.Request | None = None):
    """The map as a PNG of class ids in the set's colours, which the tab and trainers read."""
    pipeline = system.open(weights)
    label_map = canvases.current(pipeline, canvas)
    with jobs.handed_over(request, "map.png") as path:
        maps.write_index_png(path, label_map, pipeline.labels)
        yield {"map_out": str(path)}
