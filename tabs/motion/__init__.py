"""The tab "Motion transfer" (First Order Motion Model): layout and events."""

from pathlib import Path

import gradio as gr

from gan_models.fomm.pipeline import FOMMPipeline
from tabs.kit import clips as kit
from tabs.kit import films, given, jobs, layout, look, results, systems
from tabs.kit import texts as words
from tabs.kit.answers import QUIET, Tab
from tabs.kit.crop import crop_box
from tabs.motion import clips, handlers, live, pose, still, texts

NAME, README = texts.NAME, texts.README
EXAMPLES = Path(__file__).parent.parent.parent / "assets" / "examples" / "motion"
PORTRAIT, SINGER = "portrait-1.jpg", "driving-human.mp4"  # what the tab opens on
TAKES = "portrait", "still"

# The live view, which may not be there before its first use, starts its camera.
BE = "() => { window.motionLive = true; dispatchEvent(new Event('motion-live')); }"
# A clip that is picked takes the place of a saved motion that was given before.
CLIP_WINS = "(driving, replay) => driving ? null : replay"
TOGETHER = Path(__file__).with_name("together.js").read_text(encoding="utf-8")


def system(settings: jobs.Settings) -> handlers.Motions:
    return handlers.Motions("fomm", FOMMPipeline, settings)


def build(page: gr.Blocks, settings: jobs.Settings) -> Tab:
    ours = system(settings)
    example = results.stored_example(EXAMPLES, ours.first())
    tab = Tab(system=gr.State(ours))
    with layout.tab_row():
        with layout.zone("give"):
            _give(tab, ours)
        with layout.zone("change"):
            _change(tab)
        with layout.zone("get"):
            _get(tab, ours, example)
        systems.layout(tab, ours)
    _given_events(tab)
    _clip_events(page, tab)
    return tab


def shipped(pattern: str) -> list[str]:
    return [str(path) for path in sorted(EXAMPLES.glob(pattern))]


def named(pattern: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
    return list(zip(shipped(pattern), names, strict=True))


def _give(tab: Tab, ours: handlers.Motions) -> None:
    portrait = str(EXAMPLES / PORTRAIT)
    layout.title(texts.PICK)
    with gr.Row():
        with gr.Column(min_width=140, elem_classes=["point"]):
            tab.portrait, tab.portrait_crop, tab.other_portrait = given.widget(
                ours, texts.CROP, "motion-portrait", portrait, texts.PORTRAIT
            )
            tab.portraits = layout.picks(
                named("portrait-*.jpg", texts.NAMES), texts.PORTRAITS, "by-three", columns=3
            )
        with gr.Column(min_width=140, elem_classes=["point"]):
            tab.driving = films.film(
                str(EXAMPLES / SINGER), texts.DRIVING, height=230, elem_id="motion-driving"
            )
            tab.in_use = layout.notice()
            tab.other_driving = films.own(texts.OTHER_DRIVING)
            tab.singers = layout.picks(
                named("driving-*.jpg", texts.SINGER_NAMES), texts.SINGERS, "by-three", columns=3
            )
    tab.driving_crop = crop_box(texts.DRIVING_CROP, visible=False, heading=texts.DRIVING_CROP_TITLE)
    tab.portrait_notice = layout.notice()
    tab.driving_notice = layout.notice()
    tab.photograph_notice = layout.notice()


def _change(tab: Tab) -> None:
    layout.run_row(tab, texts.ANIMATE, texts.KEYS, beside=texts.BE)
    tab.back = gr.Button(texts.BACK, elem_classes=["with-live"])
    tab.strength = layout.slider(0, 2, 1.0, 0.05, texts.STRENGTH, texts.STRENGTH_HELP)
    with gr.Accordion(words.MORE_SETTINGS, open=False):
        tab.mode = gr.Radio(texts.MODES, value="relative", label=texts.MODE, info=texts.MODE_HELP)
        tab.adapt = gr.Checkbox(True, label=texts.ADAPT, info=texts.ADAPT_HELP)
        tab.reference = gr.Radio(
            texts.REFERENCES, value="first", label=texts.REFERENCE, info=texts.REFERENCE_HELP
        )
        tab.frame = layout.slider(0, 100, 0, 1, texts.FRAME, visible=False)
        tab.smoothing = layout.slider(0, 5, 0, 0.25, texts.SMOOTHING, texts.SMOOTHING_HELP)
        tab.paste = gr.Checkbox(False, label=texts.PASTE, info=texts.PASTE_HELP)
        layout.clip_size(tab, texts.CLIP_SIZE_HELP)
        tab.replay = gr.File(
            label=texts.REPLAY, height=150,
            file_types=[".safetensors", ".png", ".jpg", ".jpeg", ".webp", ".gif"],
        )  # fmt: skip


def _get(tab: Tab, ours: handlers.Motions, example: dict) -> None:
    clip = layout.stored(EXAMPLES, example, "clip.mp4")
    with layout.pair():
        stage = {"selected": "clip", "elem_id": "motion-stage"}
        with layout.zone("stage-zone"), gr.Tabs(**stage) as tab.stage:
            with gr.Tab(words.CLIP, id="clip", elem_id="motion-stage-clip") as tab.clip_tab:
                caption = example.get("caption", texts.FIRST_CLIP)
                layout.clip(tab, clip, caption, sound=True, elem_id="motion-clip")
            with gr.Tab(texts.STILL, id="still", elem_id="motion-stage-still") as tab.still_tab:
                tab.still = gr.HTML(look.hint(texts.NO_STILL), elem_classes=["stage", "still"])
                tab.moment = layout.slider(0, 100, 0, 1, texts.MOMENT, texts.MOMENT_HELP)
            with gr.Tab(texts.POSE, id="pose", elem_id="motion-stage-pose") as tab.pose_tab:
                pose.stage(tab, ours)
            with gr.Tab(texts.LIVE, id="live", elem_id="motion-stage-live") as tab.live_tab:
                tab.live = live.widget(ours)
                tab.live_notice = layout.notice()
        with layout.zone("beside", "but-live", "but-pose"):
            with gr.Column(elem_classes=["with-clip"]):
                tab.shown = gr.Video(
                    layout.stored(EXAMPLES, example, "clip-driving.mp4"), label=texts.SHOWN,
                    buttons=[], interactive=False, visible=bool(example),
                    elem_id="motion-driving-shown", elem_classes=["companion"],
                )  # fmt: skip
                with gr.Row():
                    layout.get_clip(tab, clip)
                    layout.get_both(tab, bool(example), "motion-both-file")
                    tab.save = layout.button(texts.GET_MOTION, "while-idle")
                layout.settings(tab, example.get("settings", ""))
                tab.motion_file = layout.unseen_file("motion-motion-file")
            with gr.Column(elem_classes=["with-still"]):
                tab.still_driving = gr.HTML(elem_classes=["still"], label=texts.SHOWN)
    tab.on_stage = gr.State("clip")
    tab.how_open = gr.State(False)
    tab.moment_of = gr.State()  # the driving for which `moment` was chosen
    with gr.Accordion(words.HOW, open=False) as tab.how:
        tab.explained = gr.HTML(label=texts.EXPLAINED)
        tab.how_notice = layout.notice()
        gr.Markdown(texts.ABOUT)


def _given_events(tab: Tab) -> None:
    # Each listens for itself: what follows by `then` is left out while it still runs.
    portrait, driving, weights = tab.portrait.change, tab.driving.change, tab.weights.change
    named = {"picture": tab.portrait, "crop": tab.portrait_crop}
    named |= {"other_picture": tab.other_portrait, "give_notice": tab.portrait_notice}
    tab.on([portrait, weights], handlers.show_portrait, newest=True, named=named)
    tab.on([driving, weights], handlers.show_driving, newest=True)
    tab.on([portrait, driving, weights], handlers.warn, newest=True)
    singers = [str(Path(poster).with_suffix(".mp4")) for poster in shipped("driving-*.jpg")]
    for which, shown, files in (
        ("portrait", tab.portraits, shipped("portrait-*.jpg")), ("driving", tab.singers, singers),
    ):  # fmt: skip
        component, crop = getattr(tab, which), getattr(tab, f"{which}_crop")
        shown.select(layout.pick, gr.State(files), component, queue=False, **QUIET)
        notice = getattr(tab, f"{which}_notice")
        named = {"given": component, "crop": crop, "notice": notice}
        tab.on(crop.select, handlers.click, named=named)
    films.events(tab, "driving", "driving_notice", texts.KEYS)
    tab.on(tab.reference.input, handlers.show_frame)
    tab.on(tab.replay.change, handlers.say_in_use, queue=False)
    wins = [driving, tab.singers.select, tab.in_use.select]
    gr.on(wins, None, [tab.driving, tab.replay], tab.replay, js=CLIP_WINS, **QUIET)


def _clip_events(page: gr.Blocks, tab: Tab) -> None:
    changes = [tab.portrait_crop.input, tab.driving_crop.input, tab.moment.input]
    changes += [
        one.change
        for one in (tab.portrait_crop, tab.driving_crop, tab.replay, tab.strength, tab.mode,
                    tab.adapt, tab.reference, tab.frame, tab.paste, tab.weights)
    ]  # fmt: skip
    stills = tab.on(changes, still.show, newest=True)
    stills.success(None, tab.still, tab.stage, js=still.TURN, **QUIET)
    tab.run.click(None, None, None, cancels=[stills], **QUIET)
    layout.clip_events(tab, clips.make_clip, tab.stage)
    began = tab.on(tab.save.click, kit.begin, queue=False)
    tab.offers(tab.on(began.then, clips.save_motion, concurrency_limit=None), tab.motion_file)
    layout.both_events(tab, texts.KEYS)
    tab.on(changes, still.explain, newest=True)
    opened = tab.on(tab.how.expand, still.how_opens, queue=False)
    tab.on(opened.then, still.explain)
    tab.on(tab.how.collapse, still.how_closes, queue=False)
    page.load(js=TOGETHER, **QUIET)
    tab.on(page.load, still.warm)
    pose.events(tab)
    systems.events(page, tab)
    layout.reset_event(tab)
    for one, chosen in (
        (tab.clip_tab, still.clip_chosen),
        (tab.still_tab, still.still_chosen),
        (tab.pose_tab, still.pose_chosen),
        (tab.live_tab, still.live_chosen),
    ):
        tab.on(one.select, chosen, queue=False)
    tab.turns_to("live", tab.beside.click)
    tab.beside.click(js=BE, **QUIET)
    tab.turns_to("clip", tab.back.click)
    tab.on(tab.live_tab.select, live.prepare)
    controls = (tab.portrait_crop, tab.strength, tab.mode, tab.adapt, tab.weights)
    moves = [tab.portrait_crop.input, *(control.change for control in controls)]
    tab.on(moves, live.update, newest=True)
