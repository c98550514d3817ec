"""The tab "Latent space" (ProGAN): layout and events."""

from pathlib import Path

import gradio as gr

from gan_models.progan.pipeline import ProGANPipeline
from tabs.kit import jobs, layout, results, systems
from tabs.kit import texts as words
from tabs.kit.answers import Tab
from tabs.kit.layout import stored
from tabs.latent import clips, handlers, texts

NAME, README = texts.NAME, texts.README
EXAMPLES = Path(__file__).parent.parent.parent / "assets" / "examples" / "latent"
SEEDS = list(range(1, 13))  # the pictures shown first
START, END = {"name": "seed 1", "seed": 1}, {"name": "seed 2", "seed": 2}
SECONDS = 4


def system(settings: jobs.Settings) -> systems.System:
    return systems.System("progan", ProGANPipeline, settings)


def build(page: gr.Blocks, settings: jobs.Settings) -> Tab:
    ours = system(settings)
    example = results.stored_example(EXAMPLES, ours.first())
    tab = Tab(
        system=gr.State(ours), start=gr.State(START), end=gr.State(END), seeds=gr.State(SEEDS)
    )
    with layout.tab_row():
        with layout.zone("give"):
            _give(tab, example)
        with layout.zone("change"):
            _change(tab, ours)
        with layout.zone("get"):
            _get(tab, example)
    systems.layout(tab, ours)
    _picture_events(tab)
    _clip_and_weights_events(page, tab, first_look=not example)
    return tab


def _give(tab: Tab, example: dict) -> None:
    layout.title(texts.PICK)
    with gr.Row():
        for key, title, point in (("start", texts.START, START), ("end", texts.END, END)):
            with gr.Column(min_width=140, elem_classes=["point"]):
                thumb = stored(EXAMPLES, example, f"{key}.jpg")
                thumb = layout.picture(thumb, f"{title}: {point['name']}", "thumb", height=170)
                with gr.Row(equal_height=True):
                    seed = layout.number(
                        point["seed"], texts.SEED.format(point=title), show_label=False,
                        container=False, min_width=56, scale=2, placeholder=texts.NO_SEED,
                    )  # fmt: skip
                    new = gr.Button(texts.NEW, size="md", min_width=56, scale=1)
            vars(tab).update({f"{key}_thumb": thumb, f"{key}_seed": seed, f"{key}_new": new})
    tab.point_notice = gr.HTML()
    tab.give_notice = gr.HTML()
    with gr.Row(elem_classes=["picks-row"]):
        tab.target = gr.Radio(
            [(texts.START, "start"), (texts.END, "end")], value="start", scale=3, min_width=190,
            label=texts.CLICK_SETS, elem_classes=["in-a-line"],
        )  # fmt: skip
        tab.more = gr.Button(texts.MORE, size="md", scale=1, min_width=120)
    shipped = [(str(EXAMPLES / f"seed-{seed}.jpg"), f"seed {seed}") for seed in SEEDS]
    tab.picks = layout.picks(shipped if example else None, texts.PICKS, columns=6)


def _change(tab: Tab, ours: systems.System) -> None:
    layout.title(texts.MAKE_CLIP)
    layout.run_row(tab, texts.WALK, texts.KEYS)
    classes = handlers.class_choices(ours, ours.first()) if ours.first() else []
    tab.label = gr.Dropdown(
        classes, value="" if classes else None, label=texts.CLASS, visible=len(classes) > 1
    )
    tab.kind = gr.Radio(texts.KINDS, value="path", label=texts.KIND, show_label=False)
    tab.seconds = layout.slider(1, 60, SECONDS, 0.5, texts.SECONDS)
    with gr.Accordion(words.MORE_SETTINGS, open=False):
        tab.way = gr.Radio(texts.WAYS, value="spherical", label=texts.WAY, info=texts.WAY_HELP)
        tab.fps = layout.slider(5, 60, 30, 1, texts.FPS, texts.FPS_HELP)
        tab.walk_seed = layout.number(1, texts.WALK_SEED, info=texts.WALK_SEED_HELP)
        tab.smoothing = layout.slider(0.2, 3, 1.0, 0.1, texts.SMOOTHING, texts.SMOOTHING_HELP)
        layout.clip_size(tab, texts.CLIP_SIZE_HELP)
        tab.sharp = gr.Checkbox(False, label=texts.SHARP, info=texts.SHARP_HELP)


def _get(tab: Tab, example: dict) -> None:
    with layout.pair():
        with layout.zone("stage-zone"):
            _stage(tab, example)
        with layout.zone("beside"):
            _mix(tab)
            with gr.Row():
                tab.get_picture = layout.button(texts.GET_PICTURE)
                layout.get_clip(tab, stored(EXAMPLES, example, "clip.mp4"))
            with gr.Row():
                tab.save = layout.button(texts.SAVE)
                tab.load = gr.UploadButton(
                    texts.LOAD, size="md", file_types=[".safetensors"], min_width=130
                )
            tab.file_notice = gr.HTML()
            layout.settings(tab, example.get("settings", ""))
            tab.picture_file = layout.unseen_file("latent-picture-file")
            tab.latents_file = layout.unseen_file("latent-latents-file")
    tab.strip = layout.picture(
        stored(EXAMPLES, example, "frames.png"), texts.FRAMES, "strip",
        buttons=("download", "fullscreen"), visible=bool(example),
    )  # fmt: skip
    with gr.Accordion(words.HOW, open=False) as tab.how:
        grown = stored(EXAMPLES, example, "growth.png")
        tab.grown = layout.picture(grown, texts.GROWTH_PICTURES, "strip")
        tab.how_notice = gr.HTML()
        gr.Markdown(texts.ABOUT)


def _stage(tab: Tab, example: dict) -> None:
    """The result, large."""
    with gr.Tabs(selected="clip" if example else "picture", elem_id="latent-stage") as tab.stage:
        with gr.Tab(texts.PICTURE, id="picture"):
            tab.picture = layout.picture(
                stored(EXAMPLES, example, "picture.png"), texts.PICTURE, "stage",
                buttons=("fullscreen",), show_label=False,
            )  # fmt: skip
            tab.picture_caption = gr.Markdown(
                example.get("picture_caption", ""), elem_classes=["caption"]
            )
        with gr.Tab(words.CLIP, id="clip"):
            caption = example.get("clip_caption", texts.FIRST_CLIP)
            layout.clip(tab, stored(EXAMPLES, example, "clip.mp4"), caption)


def _mix(tab: Tab) -> None:
    """The two live controls of the picture."""
    tab.position = layout.slider(0, 100, 50, 1, texts.POSITION)
    tab.growth = layout.slider(0, 100, 100, 1, texts.GROWTH, texts.GROWTH_HELP)
    with gr.Row():
        tab.keep_start = layout.button(texts.KEEP_START)
        tab.keep_end = layout.button(texts.KEEP_END)


def _redraw(tab: Tab, event, *more):
    """After `event`: the small pictures, then the large one, between `more`."""
    for handler in (*more, handlers.thumbs, handlers.show):
        event = tab.on(event.then, handler)
    return event


def _picture_events(tab: Tab) -> None:
    tab.on(tab.position.input, handlers.show, newest=True, api_name="latent_picture")
    for control in (tab.growth, tab.way, tab.sharp):
        tab.on(control.input, handlers.show, newest=True)
    _redraw(tab, tab.on(tab.label.input, handlers.fill))
    tab.on(tab.how.expand, handlers.growth_pictures)
    tab.offers(tab.on(tab.get_picture.click, handlers.save_picture), tab.picture_file)
    picked = tab.on(tab.picks.select, handlers.pick)
    kept = []
    for target in ("start", "end"):
        seed, point = getattr(tab, f"{target}_seed"), getattr(tab, target)
        named = {"seed": seed, "point": point, "target": gr.State(target)}
        typed = tab.on(
            seed.input, handlers.set_seed, newest=True, named=named, api_name=f"latent_{target}"
        )
        rolled = tab.on(getattr(tab, f"{target}_new").click, handlers.new_seed, named=named)
        for event in (typed, tab.on(rolled.then, handlers.set_seed, named=named)):
            _redraw(tab, event)
        picked = tab.on(picked.then, handlers.set_seed, named=named)
        keep = getattr(tab, f"keep_{target}").click
        kept.append(tab.on(keep, handlers.keep, named=named))
    tab.on(tab.on(tab.more.click, handlers.next_seeds).then, handlers.fill)
    loaded = tab.on(tab.load.upload, handlers.load_latents)
    for event in (picked, loaded, *kept):
        _redraw(tab, event)
    tab.offers(tab.on(tab.save.click, handlers.save_latents), tab.latents_file)


def _clip_and_weights_events(page: gr.Blocks, tab: Tab, first_look: bool) -> None:
    layout.clip_events(tab, clips.make_clip, tab.stage)
    opened, changed = systems.events(page, tab)
    drawn = {"drawn": gr.State(tab.weights.value)}  # not the tab's own, so Reset leaves it
    changed = tab.on(changed.then, handlers.choose_class)
    changed = tab.on(changed.then, handlers.draw_all, named=drawn)
    tab.on(changed.then, handlers.growth_pictures)
    reset = layout.reset_event(tab)
    if first_look:
        tab.on(reset.then, handlers.draw_all_again, named=drawn)
        tab.on(opened.then, handlers.draw_all, named=drawn)
