"""What the tab "Semantic painting" does beside its live canvas: maps, styles, downloads."""

from pathlib import Path

import gradio as gr
import numpy as np

from gan_models import images
from gan_models.errors import UserError
from gan_models.spade import segmenting
from gan_models.spade.labels import read_map
from tabs.kit import jobs, look, systems
from tabs.kit import texts as words
from tabs.kit.answers import answers
from tabs.kit.results import DISPLAY, enlarge, file_stem, lines, picture_file
from tabs.kit.seeds import checked_share, name_of, of_seed, varied
from tabs.painting import canvas as canvases
from tabs.painting import maps, styles, texts

# --- maps


@answers(
    "canvas", "text", "first", "second", "first_seed", "second_seed", "style_box", "picture_box",
    "picks", "source_help", "segmenter_box", "segmenter", "styles_notice",
    notice="canvas_notice", loading=True,
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
        style if styles.fits(pipeline, style) else of_seed(number)
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
        **kinds_of_map(pipeline.labels.kind),
        "styles_notice": look.notice("" if pipeline.latent_size else texts.NO_STYLES),
    }  # fmt: skip


def kinds_of_map(kind) -> dict:
    """What is offered to begin with: examples and the judge are of puppets only."""
    ours, such = kind == "puppets", segmenting.SUGGESTED.get(kind, texts.NO_SUGGESTION)
    return {
        "picks": gr.update(visible=ours), "source_help": gr.update(visible=ours),
        "segmenter_box": gr.update(visible=not ours),
        "segmenter": gr.update(info=texts.SEGMENTER_HELP.format(such=such)),
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
    shown = canvases.shown(pipeline.labels, label_map)
    return on_canvas(shown, notices + scaled, weights, first, second, share, request)


def on_canvas(shown, notices, *asked) -> dict:
    """The answer that shows a map; asked: what `canvas.ticket` takes."""
    notice = look.notice(jobs.without_folders(" ".join(notices)))
    return {"canvas": shown | canvases.ticket(*asked), "give_notice": notice}


@answers("canvas", notice="give_notice", loading=True)
def noise(system, weights, first, second, share, request: gr.Request | None = None):
    """A random map, which undo takes back."""
    pipeline = system.open(weights)
    label_map = maps.noise(pipeline.labels, pipeline.size, np.random.default_rng())
    shown = canvases.shown(pipeline.labels, label_map)
    return on_canvas(shown, [], weights, first, second, share, request)


@answers("canvas", notice="give_notice", loading=True)
def read_puppet(
    system, weights, source, first, second, share, request: gr.Request | None = None
):  # fmt: skip
    """A picture for weights that know puppets becomes a map at once."""
    pipeline = system.open(weights)
    if source and pipeline.labels.kind == "puppets":
        return read_picture(pipeline, source, "", (weights, first, second, share, request))
    return {}


@answers("canvas", notice="give_notice", loading=True)
def read_photograph(
    system, weights, source, segmenter, first, second, share, request: gr.Request | None = None
):
    """A photograph becomes a map by a segmenter of the Hub, fetched where it isn't here yet."""
    if not source:
        raise UserError(texts.NO_PICTURE)
    if system.settings.public:
        raise UserError(words.PUBLIC)
    name, pipeline = systems.repository(segmenter), system.open(weights)
    job = jobs.Job(jobs.stop_file(system, request, "segmenter"))
    for _ in job.run(lambda: segmenting.opened(name, str(pipeline.device))):
        seconds = look.duration(job.status()["seconds"])
        yield {"give_notice": look.notice(texts.SEEING.format(name=name, seconds=seconds))}
    yield read_picture(pipeline, source, name, (weights, first, second, share, request))


def read_picture(pipeline, source, segmenter, asked) -> dict:
    picture = segmenting.middle(images.read_picture(source), pipeline.size)
    with jobs.device:
        label_map, notices = segmenting.map_of_picture(
            picture, pipeline.labels, pipeline.size, segmenter, pipeline.device
        )
    return on_canvas(canvases.shown(pipeline.labels, label_map, picture), notices, *asked)


# --- styles


@answers("first", "first_seed", notice="style_picture_notice", loading=True)
def take_style(system, weights, style_picture):
    """The style of a picture becomes the first style."""
    if not style_picture:
        return {}
    picture, pipeline = images.read_picture(style_picture), system.open(weights)
    with jobs.device:
        style = styles.of_picture(pipeline, Path(style_picture).name, picture)
    return {"first": style, "first_seed": None}


@answers("canvas", "text", notice="style_notice", loading=True)
def restyle(system, weights, first, second, share, request: gr.Request | None = None):
    """The canvas learns of another style, and asks for its picture."""
    share = checked_share(share)
    return {
        "canvas": canvases.ticket(weights, first, second, share, request),
        "text": settings_text(weights, system.open(weights), first, second, share),
    }


@answers("variations", notice="style_notice", loading=True)
def vary(system, weights, canvas, seeds, request: gr.Request | None = None):
    """The map on the canvas in other styles, small."""
    pipeline = system.open(weights)
    if not pipeline.latent_size:
        return
    label_map = canvases.current(pipeline, canvas)
    styles = map(pipeline.style, seeds)
    made = (painted(system, weights, label_map, style) for style in styles)
    yield from varied(request, weights, seeds, made)


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
        record["style"] = name_of(first, second, share)
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
