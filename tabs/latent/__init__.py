"""The tab "Latent space" (ProGAN): layout and events."""

from pathlib import Path

import gradio as gr

from gan_models.progan.pipeline import ProGANPipeline
from tabs.kit import jobs, layout, results, seeds, sending, systems
from tabs.kit import texts as words
from tabs.kit.answers import QUIET, Tab
from tabs.kit.layout import stored
from tabs.latent import clips, handlers, live, points, texts

NAME, README = texts.NAME, texts.README
EXAMPLES = Path(__file__).parent.parent.parent / "assets" / "examples" / "latent"
SEEDS = list(range(1, 13))  # the pictures shown first
START, END = seeds.of_seed(1), seeds.of_seed(2)
SECONDS = 4
SENDS = handlers.save_picture, {"enlarged": True}
DRAG = Path(__file__).with_name("drag.js").read_text(encoding="utf-8")
MOVING = '<canvas style="display: none; width: 100%; height: 100%"></canvas>'


def system(settings: jobs.Settings) -> systems.System:
    return systems.System("progan", ProGANPipeline, settings)


def build(page: gr.Blocks, settings: jobs.Settings) -> Tab:
    ours = system(settings)
    example = results.stored_example(EXAMPLES, ours.first())
    tab = Tab(
        system=gr.State(ours), start=gr.State(START), end=gr.State(END), seeds=gr.State(SEEDS),
        shown=gr.State(points.of_mix(START, END, 50, "spherical")), how_open=gr.State(False),
    )  # fmt: skip
    with layout.tab_row():
        with layout.zone("give"):
            _give(tab, example)
        with layout.zone("change"):
            _change(tab, ours)
        with layout.zone("get"):
            _get(tab, example)
        systems.layout(tab, ours)
    _picture_events(tab)
    _file_events(tab)
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
    tab.point_notice = layout.notice()
    tab.give_notice = layout.notice()
    shipped = [(str(EXAMPLES / f"seed-{seed}.jpg"), f"seed {seed}") for seed in SEEDS]
    tab.picks = layout.picks(shipped if example else None, texts.PICKS, columns=6)
    tab.more = layout.button(texts.MORE)


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
        tab.pace = layout.slider(0.5, 10, 1.5, 0.5, texts.PACE, texts.PACE_HELP)
        tab.walk_seed = layout.number(1, texts.WALK_SEED, info=texts.WALK_SEED_HELP, visible=False)
        layout.clip_size(tab, texts.CLIP_SIZE_HELP)
        tab.sharp = gr.Checkbox(False, label=texts.SHARP, info=texts.SHARP_HELP)


def _get(tab: Tab, example: dict) -> None:
    with layout.pair():
        with layout.zone("stage-zone"):
            _stage(tab, example)
        with layout.zone("beside"):
            tab.live = live.widget(tab.system.value, stored(EXAMPLES, example, "map.jpg"))
            with gr.Row():
                tab.get_shown = layout.button(example.get("get_shown", texts.GET_PICTURE))
                tab.get_own = layout.button(example.get("get_own", texts.GET_PICTURE))
            with gr.Row():
                layout.get_clip(tab, stored(EXAMPLES, example, "clip.mp4"))
                tab.save = layout.button(texts.SAVE)
                tab.load = gr.UploadButton(
                    texts.LOAD, size="md", file_types=[".safetensors"], min_width=130
                )
            sending.row(tab)
            tab.file_notice = layout.notice()
            layout.settings(tab, example.get("settings", ""))
            tab.picture_file = layout.unseen_file("latent-picture-file")
            tab.latents_file = layout.unseen_file("latent-latents-file")
        with layout.zone("under"):
            _mix(tab)
    tab.strip = layout.picture(
        stored(EXAMPLES, example, "frames.png"), texts.FRAMES, "strip",
        buttons=("download", "fullscreen"), visible=bool(example), elem_id="latent-frames",
    )  # fmt: skip
    with gr.Accordion(words.HOW, open=False) as tab.how:
        grown = stored(EXAMPLES, example, "growth.png")
        tab.grown = layout.picture(grown, texts.GROWTH_PICTURES, "strip")
        tab.how_notice = layout.notice()
        gr.Markdown(texts.ABOUT)


def _stage(tab: Tab, example: dict) -> None:
    """The result, large."""
    with gr.Tabs(selected="clip" if example else "picture", elem_id="latent-stage") as tab.stage:
        with gr.Tab(texts.PICTURE, id="picture"):
            with gr.Column(elem_classes=["stage-box"]):
                tab.picture = layout.picture(
                    stored(EXAMPLES, example, "picture.png"), texts.PICTURE, "stage",
                    buttons=("fullscreen",), show_label=False, elem_id="latent-picture",
                )  # fmt: skip
                gr.HTML(MOVING, elem_id="latent-moving", elem_classes=["preview"])
            tab.picture_caption = gr.Markdown(
                example.get("picture_caption", ""), elem_classes=["caption"]
            )
            with gr.Row():
                tab.keep_start = layout.button(texts.START_HERE, "keep-here")
                tab.keep_end = layout.button(texts.END_HERE, "keep-here")
        with gr.Tab(words.CLIP, id="clip"):
            caption = example.get("clip_caption", texts.FIRST_CLIP)
            layout.clip(tab, stored(EXAMPLES, example, "clip.mp4"), caption)


def _mix(tab: Tab) -> None:
    """The live controls of the picture."""
    tab.position = layout.slider(0, 100, 50, 1, texts.POSITION)
    tab.growth = layout.slider(0, 100, 100, 1, texts.GROWTH, texts.GROWTH_HELP)
    tab.truncation = layout.slider(0, 1, 1, 0.05, texts.TRUNCATION, texts.TRUNCATION_HELP)


def _show(tab: Tab, event):
    """After `event`: the large picture, and how it grew."""
    shown = tab.on(event.then, handlers.show, newest=True)
    return tab.on(shown.then, handlers.growth_pictures, newest=True)


def _picture_events(tab: Tab) -> None:
    for control, options in ((tab.position, {"api_name": "latent_picture"}), (tab.way, {})):
        mixed = tab.on(control.input, handlers.show_mix, newest=True, **options)
        tab.on(mixed.then, handlers.growth_pictures, newest=True)
    for control in (tab.growth, tab.truncation, tab.sharp):
        tab.on(control.input, handlers.show, newest=True)
    small = tab.on(tab.truncation.input, handlers.fill, newest=True)
    small = tab.on(small.then, handlers.thumbs, newest=True)
    tab.on(small.then, handlers.growth_pictures, newest=True)
    _show(tab, tab.on(tab.picks.select, handlers.pick, newest=True))
    _show(tab, tab.on(tab.live.input, handlers.arrive, newest=True))
    tab.on(tab.on(tab.more.click, seeds.next_seeds).then, handlers.fill, newest=True)
    for target in ("start", "end"):
        seed, point = getattr(tab, f"{target}_seed"), getattr(tab, target)
        named = {"seed": seed, "point": point}
        typed = tab.on(
            seed.input, handlers.set_seed, newest=True, named=named, api_name=f"latent_{target}"
        )
        rolled = tab.on(getattr(tab, f"{target}_new").click, seeds.new_seed, named=named)
        for event in (typed, tab.on(rolled.then, handlers.set_seed, named=named)):
            _show(tab, tab.on(event.then, handlers.thumbs, newest=True))
        keep = getattr(tab, f"keep_{target}").click
        tab.on(tab.on(keep, handlers.keep, named=named).then, handlers.thumbs, newest=True)
    loaded = tab.on(tab.load.upload, handlers.load_latents)
    _show(tab, tab.on(loaded.then, handlers.thumbs, newest=True))
    wishes = [
        *(one.input for one in (tab.position, tab.way, tab.growth, tab.truncation, tab.sharp)),
        *(one.input for one in (tab.start_seed, tab.end_seed)),
        tab.picks.select, tab.start_new.click, tab.end_new.click, tab.load.upload,
    ]  # fmt: skip
    tab.turns_to("picture", *wishes)
    tab.on(tab.on(tab.how.expand, handlers.open_how).then, handlers.growth_pictures)
    tab.on(tab.how.collapse, handlers.close_how)


def _file_events(tab: Tab) -> None:
    layout.save_events(tab, handlers.save_picture, "enlarged", tab.get_own, tab.get_shown)
    tab.offers(tab.on(tab.save.click, handlers.save_latents), tab.latents_file)


def _clip_and_weights_events(page: gr.Blocks, tab: Tab, first_look: bool) -> None:
    tab.on(tab.kind.input, clips.choose_kind)
    layout.clip_events(tab, clips.make_clip, tab.stage)
    page.load(js=DRAG, **QUIET)
    opened, changed = systems.events(page, tab)
    drawn = {"drawn": gr.State(tab.weights.value)}  # not the tab's own, so Reset leaves it
    changed = tab.on(changed.then, handlers.choose_class, newest=True)
    for trigger in (changed.then, tab.label.input):
        anew = tab.on(trigger, handlers.draw_all, newest=True, named=drawn)
        tab.on(anew.then, handlers.growth_pictures, newest=True)
    opened = tab.on(opened.then, live.prepare)
    reset = tab.on(layout.reset_event(tab).then, live.prepare)
    if first_look:
        tab.on(reset.then, handlers.draw_all_again, named=drawn)
        tab.on(opened.then, handlers.draw_all, named=drawn)
