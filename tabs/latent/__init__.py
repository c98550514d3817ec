"""The tab "Latent space" (ProGAN): layout and events.

What happens is in handlers.py and clips.py, the words are in texts.py.
"""

from pathlib import Path
from types import SimpleNamespace

import gradio as gr

from tabs import jobs, look, results, weights_menu
from tabs import texts as words
from tabs.latent import clips, handlers, texts

NAME, README = texts.NAME, texts.README
EXAMPLES = Path(__file__).parent.parent.parent / "assets" / "examples" / "latent"
SEEDS = list(range(1, 13))  # the pictures shown first
START, END = {"name": "seed 1", "seed": 1}, {"name": "seed 2", "seed": 2}
SECONDS, FPS, SMOOTHING = 4, 30, 1.0
WAY, CLIP_SIZE = "spherical", 512

LIVE = {"trigger_mode": "always_last", "show_progress": "hidden", "api_visibility": "private"}
QUIET = {"show_progress": "hidden", "api_visibility": "private"}
BRING_INTO_VIEW = """() => document.querySelector('#latent-stage')
    ?.scrollIntoView({block: 'nearest', behavior: 'smooth'})"""
CLICK_FILE = "() => setTimeout(() => document.querySelector('#{0}')?.click(), 150)"


def load_now(settings: jobs.Settings) -> None:
    """Load the weights that the tab opens on, where lazy loading is discouraged."""
    for _, name in handlers.menu(settings)[:1]:
        handlers.open_pipeline(settings, name)


def read_example(weights: str | None) -> dict:
    """What example.json says of the stored example, if `weights` made it; else {}."""
    return results.stored_example(EXAMPLES, weights)


def build(page: gr.Blocks, settings: jobs.Settings, footer: gr.HTML) -> None:
    """The tab's contents, inside the page's `gr.Tab`; `footer` says which weights are in use."""
    choices = handlers.menu(settings)
    first = choices[0][1] if choices else None
    example = read_example(first)
    footer.value = look.footer(first or "", settings.device)
    c = SimpleNamespace(
        footer=footer,
        settings=gr.State(settings),
        start=gr.State(START),
        end=gr.State(END),
        seeds=gr.State(SEEDS),
    )
    with gr.Row(elem_classes=["tab-row"]):
        with gr.Column(scale=3, min_width=300, elem_classes=["zone"]):
            _give(c, example)
            _change(c, settings, choices)
        with gr.Column(scale=5, min_width=300, elem_classes=["zone"]):
            _get(c, example)
    _live_events(c)
    _point_events(c)
    _clip_events(c)
    _weights_events(page, c, first_look=not example)


# --- layout -----------------------------------------------------------------------------------


def _stored(example: dict, name: str) -> str | None:
    return str(EXAMPLES / name) if example else None


def _give(c: SimpleNamespace, example: dict) -> None:
    gr.Markdown(texts.PICK, elem_classes=["zone-title"])
    with gr.Row():
        for key, title, point in (("start", texts.START, START), ("end", texts.END, END)):
            with gr.Column(min_width=140, elem_classes=["point"]):
                thumb = gr.Image(
                    _stored(example, f"{key}.jpg"), label=f"{title}: {point['name']}",
                    height=170, buttons=[], interactive=False, elem_classes=["thumb"],
                    alt_text=title,
                )  # fmt: skip
                with gr.Row(equal_height=True):
                    seed = gr.Number(
                        point["seed"], label=texts.SEED.format(point=title), precision=0,
                        show_label=False, container=False, min_width=56, scale=2,
                        placeholder=texts.NO_SEED, elem_classes=["runs-on-enter"],
                    )  # fmt: skip
                    new = gr.Button(texts.NEW, size="md", min_width=56, scale=1)
            setattr(c, f"{key}_thumb", thumb)
            setattr(c, f"{key}_seed", seed)
            setattr(c, f"{key}_new", new)
    c.point_notice = gr.HTML()
    c.give_notice = gr.HTML()
    with gr.Row(elem_classes=["picks-row"]):
        c.target = gr.Radio(
            [(texts.START, "start"), (texts.END, "end")], value="start", scale=3, min_width=190,
            label=texts.CLICK_SETS, elem_classes=["in-a-line"],
        )  # fmt: skip
        c.more = gr.Button(texts.MORE, size="md", scale=1, min_width=120)
    picks = [(str(EXAMPLES / f"seed-{seed}.jpg"), f"seed {seed}") for seed in SEEDS]
    c.picks = gr.Gallery(
        picks if example else None, label=texts.PICKS, show_label=False, columns=6, buttons=[],
        allow_preview=False, object_fit="cover", interactive=False, elem_classes=["picks"],
    )  # fmt: skip


def _change(c: SimpleNamespace, settings: jobs.Settings, choices: list[tuple[str, str]]) -> None:
    gr.Markdown(texts.MAKE_CLIP, elem_classes=["zone-title"])
    classes = handlers.class_choices(settings, choices[0][1]) if choices else []
    c.label = gr.Dropdown(
        classes, value="" if classes else None, label=texts.CLASS, visible=len(classes) > 1
    )
    c.kind = gr.Radio(
        [(texts.PATH, "path"), (texts.LOOP, "walk")], value="path", label=texts.KIND,
        show_label=False,
    )  # fmt: skip
    c.seconds = gr.Slider(
        1, 60, SECONDS, step=0.5, label=texts.SECONDS, buttons=[], elem_classes=["runs-on-enter"]
    )
    with gr.Row():
        c.walk = gr.Button(texts.WALK, variant="primary", scale=3, elem_classes=["run-button"])
        c.stop = gr.Button(
            words.STOP, scale=1, min_width=80, interactive=False, elem_classes=["stop-button"]
        )
    c.progress = gr.HTML(look.hint(texts.KEYS), elem_classes=["progress"])
    c.clip_notice = gr.HTML()
    with gr.Accordion(words.MORE_SETTINGS, open=False):
        _more_settings(c)
    _weights_menu(c, choices)


def _more_settings(c: SimpleNamespace) -> None:
    c.way = gr.Radio(texts.WAYS, value=WAY, label=texts.WAY, info=texts.WAY_HELP)
    c.fps = gr.Slider(5, 60, FPS, step=1, label=texts.FPS, info=texts.FPS_HELP, buttons=[])
    c.walk_seed = gr.Number(
        1, label=texts.WALK_SEED, info=texts.WALK_SEED_HELP, precision=0,
        elem_classes=["runs-on-enter"],
    )  # fmt: skip
    c.smoothing = gr.Slider(
        0.2, 3, SMOOTHING, step=0.1, label=texts.SMOOTHING, info=texts.SMOOTHING_HELP, buttons=[]
    )
    c.size = gr.Dropdown(
        texts.CLIP_SIZES, value=CLIP_SIZE, label=texts.CLIP_SIZE, info=texts.CLIP_SIZE_HELP
    )
    c.sharp = gr.Checkbox(False, label=texts.SHARP, info=texts.SHARP_HELP)


def _weights_menu(c: SimpleNamespace, choices: list[tuple[str, str]]) -> None:
    weights_menu.layout(c, choices, choices[0][1] if choices else None, "progan")
    c.reset = gr.Button(words.RESET, size="md")
    c.weights_notice.render()


def _get(c: SimpleNamespace, example: dict) -> None:
    with gr.Row():
        with gr.Column(scale=3, min_width=300, elem_classes=["zone"]):
            _stage(c, example)
        with gr.Column(scale=2, min_width=240, elem_classes=["zone"]):
            _beside(c, example)
    c.strip = gr.Image(
        _stored(example, "frames.png"), label=texts.FRAMES, buttons=["download", "fullscreen"],
        interactive=False, visible=bool(example), elem_classes=["strip"], alt_text=texts.FRAMES,
    )  # fmt: skip
    with gr.Accordion(words.HOW, open=False) as c.how:
        c.grown = gr.Image(
            _stored(example, "growth.png"), label=texts.GROWTH_PICTURES, buttons=[],
            interactive=False, elem_classes=["strip"], alt_text=texts.GROWTH_PICTURES,
        )  # fmt: skip
        c.how_notice = gr.HTML()
        gr.Markdown(texts.ABOUT)


def _stage(c: SimpleNamespace, example: dict) -> None:
    """The result, large, and the two live controls of the picture right under it."""
    with gr.Tabs(selected="clip" if example else "picture", elem_id="latent-stage") as c.stage:
        with gr.Tab(texts.PICTURE, id="picture"):
            c.picture = gr.Image(
                _stored(example, "picture.png"), show_label=False, label=texts.PICTURE,
                buttons=["fullscreen"], interactive=False, elem_classes=["stage"],
                alt_text=texts.PICTURE,
            )  # fmt: skip
            c.picture_caption = gr.Markdown(
                example.get("picture_caption", ""), elem_classes=["caption"]
            )
        with gr.Tab(texts.CLIP, id="clip"):
            c.clip = gr.Video(
                _stored(example, "clip.mp4"), show_label=False, label=texts.CLIP, autoplay=True,
                loop=True, buttons=[], interactive=False, elem_classes=["stage"],
            )  # fmt: skip
            c.clip_caption = gr.Markdown(
                example.get("clip_caption", texts.FIRST_CLIP), elem_classes=["caption"]
            )
    c.position = gr.Slider(
        0, 100, 50, step=1, label=texts.POSITION, buttons=[], elem_classes=["runs-on-enter"]
    )
    c.growth = gr.Slider(
        0, 100, 100, step=1, label=texts.GROWTH, info=texts.GROWTH_HELP, buttons=[],
        elem_classes=["runs-on-enter"],
    )  # fmt: skip
    with gr.Row():
        c.keep_start = gr.Button(texts.KEEP_START, size="md", min_width=130)
        c.keep_end = gr.Button(texts.KEEP_END, size="md", min_width=130)


def _beside(c: SimpleNamespace, example: dict) -> None:
    """What a visitor takes away."""
    with gr.Row():
        c.get_picture = gr.Button(texts.GET_PICTURE, size="md", min_width=130)
        c.get_clip = gr.DownloadButton(
            texts.GET_CLIP, _stored(example, "clip.mp4"), size="md", min_width=130,
            interactive=bool(example),
        )  # fmt: skip
    with gr.Row():
        c.save = gr.Button(texts.SAVE, size="md", min_width=130)
        c.load = gr.UploadButton(texts.LOAD, size="md", file_types=[".safetensors"], min_width=130)
    c.file_notice = gr.HTML()
    c.text = gr.Textbox(
        example.get("settings", ""), label=words.SETTINGS, lines=8, max_lines=12,
        interactive=False, buttons=["copy"],
    )  # fmt: skip
    # Files made when asked for: the visible button makes one, a click on the unseen one fetches it.
    c.picture_file = gr.DownloadButton(elem_id="latent-picture-file", visible="hidden")
    c.latents_file = gr.DownloadButton(elem_id="latent-latents-file", visible="hidden")


# --- events -----------------------------------------------------------------------------------


def _show(c: SimpleNamespace) -> dict:
    """The event that draws the picture between start and end."""
    return {
        "fn": handlers.show,
        "inputs": [
            c.settings, c.weights, c.label, c.start, c.end, c.position, c.growth, c.way, c.sharp,
        ],
        "outputs": [c.picture, c.picture_caption, c.text, c.stage, c.give_notice],
    }  # fmt: skip


def _thumbs(c: SimpleNamespace) -> dict:
    return {
        "fn": handlers.thumbs,
        "inputs": [c.settings, c.weights, c.label, c.start, c.end],
        "outputs": [c.start_thumb, c.end_thumb, c.give_notice],
    }


def _fill(c: SimpleNamespace) -> dict:
    return {
        "fn": handlers.fill,
        "inputs": [c.settings, c.weights, c.label, c.seeds],
        "outputs": [c.picks, c.give_notice],
    }


def _growth(c: SimpleNamespace) -> dict:
    return {
        "fn": handlers.growth_pictures,
        "inputs": [c.settings, c.weights, c.label, c.start, c.end, c.position, c.way],
        "outputs": [c.grown, c.how_notice],
    }


def _live_events(c: SimpleNamespace) -> None:
    live = dict(LIVE, api_visibility="public")
    c.position.input(**_show(c), **live, api_name="latent_picture")
    for control in (c.growth, c.way, c.sharp):
        control.input(**_show(c), **LIVE)
    c.label.input(**_fill(c), **QUIET).then(**_thumbs(c), **QUIET).then(**_show(c), **QUIET)
    c.how.expand(**_growth(c), **QUIET)
    c.get_picture.click(
        handlers.picture_file,
        [c.settings, c.weights, c.label, c.start, c.end, c.position, c.growth, c.way],
        [c.picture_file, c.file_notice],
        **QUIET,
    ).success(js=CLICK_FILE.format("latent-picture-file"), **QUIET)


def _point_events(c: SimpleNamespace) -> None:
    points, fields = [c.start, c.end], [c.start_seed, c.end_seed]
    for point, seed, new, name in (
        (c.start, c.start_seed, c.start_new, "latent_start"),
        (c.end, c.end_seed, c.end_new, "latent_end"),
    ):
        given = {
            "fn": handlers.set_seed,
            "inputs": [seed, point],
            "outputs": [point, c.point_notice],
        }
        typed = seed.input(**given, **dict(LIVE, api_visibility="public"), api_name=name)
        rolled = new.click(handlers.new_seed, None, seed, **QUIET).then(**given, **QUIET)
        for event in (typed, rolled):
            event.success(**_thumbs(c), **QUIET).success(**_show(c), **QUIET)
    picked = c.picks.select(handlers.pick, [c.target, c.seeds], fields, **QUIET)
    for point, seed in zip(points, fields, strict=True):
        picked = picked.then(handlers.set_seed, [seed, point], [point, c.point_notice], **QUIET)
    c.more.click(handlers.next_seeds, c.seeds, c.seeds, **QUIET).then(**_fill(c), **QUIET)
    kept = [
        button.click(
            handlers.keep,
            [c.settings, c.weights, gr.State(target), *points, c.position, c.way],
            [*points, *fields, c.position, c.point_notice],
            **QUIET,
        )
        for button, target in ((c.keep_start, "start"), (c.keep_end, "end"))
    ]
    loaded = c.load.upload(
        handlers.load_latents,
        [c.settings, c.weights, c.load],
        [*points, *fields, c.file_notice],
        **QUIET,
    )
    for event in (picked, loaded, *kept):
        event.then(**_thumbs(c), **QUIET).then(**_show(c), **QUIET)
    c.save.click(
        handlers.save_latents,
        [c.settings, c.weights, *points],
        [c.latents_file, c.file_notice],
        **QUIET,
    ).success(js=CLICK_FILE.format("latent-latents-file"), **QUIET)


def _clip_events(c: SimpleNamespace) -> None:
    buttons = [c.walk, c.stop]
    c.walk.click(clips.begin, None, [c.progress, *buttons], queue=False, **QUIET).then(
        clips.make_clip,
        [
            c.settings, c.weights, c.label, c.start, c.end, c.kind, c.seconds, c.fps, c.way,
            c.walk_seed, c.smoothing, c.size, c.sharp,
        ],
        [
            c.progress, c.clip, c.get_clip, c.strip, c.clip_caption, c.text, c.stage,
            c.clip_notice, *buttons,
        ],
        show_progress="hidden", api_name="latent_clip", concurrency_limit=4,
    ).then(js=BRING_INTO_VIEW, **QUIET)  # fmt: skip
    c.stop.click(clips.stop, None, None, queue=False, **QUIET)


def _weights_events(page: gr.Blocks, c: SimpleNamespace, first_look: bool) -> None:
    opened = page.load(handlers.refresh, [c.settings, c.weights], [c.weights, c.footer], **QUIET)
    changed = c.weights.change(
        handlers.choose_weights,
        [c.settings, c.weights],
        [c.label, c.footer, c.weights_notice],
        **QUIET,
    )
    defaults = [START, END, SEEDS, 1, 2, 50, 100, "", "path", SECONDS, WAY, FPS, 1, SMOOTHING,
                CLIP_SIZE, False, "", "", "", ""]  # fmt: skip
    reset = c.reset.click(
        lambda: defaults,
        None,
        [c.start, c.end, c.seeds, c.start_seed, c.end_seed, c.position, c.growth, c.label, c.kind,
         c.seconds, c.way, c.fps, c.walk_seed, c.smoothing, c.size, c.sharp,
         c.point_notice, c.clip_notice, c.file_notice, c.weights_notice],
        **QUIET,
    )  # fmt: skip
    for event in (changed, reset, *([opened] if first_look else [])):
        drawn = (
            event.then(**_fill(c), **QUIET).then(**_thumbs(c), **QUIET).then(**_show(c), **QUIET)
        )
        if event is changed:
            drawn.then(**_growth(c), **QUIET)
    weights_menu.events(c, handlers.begin_fetch, handlers.fetch, handlers.stop_fetch)
