"""The tab "Expressions" (GANimation): layout and events."""

import functools

import gradio as gr

from gan_models import images
from gan_models.ganimation.action_units import CODES, EMOTIONS, UNITS
from gan_models.ganimation.pipeline import GANimationPipeline
from tabs.expressions import clips, handlers, live, texts
from tabs.kit import compare, given, jobs, layout, results, sending, systems
from tabs.kit import texts as words
from tabs.kit.answers import Tab
from tabs.kit.framing import FaceSystem

NAME, README = texts.NAME, texts.README
EXAMPLES, OPENING = given.FACES, given.OPENING
TARGET = "happiness"  # what the tab opens on
TAKES = "picture", "picture"
SENDS = handlers.save, {"beside": False, "view": "picture"}
TILE = 44  # pixels of the small picture beside a slider, in page.css
# Each row of the sheet is a unit at rest and at its most.
ICONS = (
    '<style>.unit::before {{ background-image: url("/gradio_api/file={sheet}"); }} {rows}</style>'
)


def system(settings: jobs.Settings) -> FaceSystem:
    return FaceSystem("ganimation", GANimationPipeline, settings)


def build(page: gr.Blocks, settings: jobs.Settings) -> Tab:
    ours = system(settings)
    example = results.stored_example(EXAMPLES, ours.first())
    file = str(EXAMPLES / OPENING)
    face = {"file": file, "measured": example["measured"]} if example else None
    tab = Tab(system=gr.State(ours), face=gr.State(face))
    with layout.tab_row():
        with layout.zone("give"):
            _give(tab, ours)
        with layout.zone("change"):
            _change(tab)
        with layout.zone("get"):
            _get(tab, example)
        systems.layout(tab, ours)
    _face_events(tab)
    _slider_events(page, tab)
    _file_events(page, tab, first_look=not example)
    return tab


def _give(tab: Tab, ours: FaceSystem) -> None:
    layout.title(texts.PICK)
    with gr.Row():
        given.place(tab, ours, texts.CROP, "expressions-picture", texts.PICKS)
    tab.all_faces = gr.Checkbox(False, label=texts.ALL_FACES, visible=False)
    given.notices(tab)


def _change(tab: Tab) -> None:
    layout.run_row(tab, texts.ANIMATE, texts.KEYS)
    layout.title(texts.EXPRESSION)
    with gr.Row(elem_classes=["emotions"]):
        for name in EMOTIONS:
            button = gr.Button(texts.EMOTIONS[name], size="md", min_width=90)
            setattr(tab, f"to_{name}", button)
    tab.strength = layout.slider(
        0, 100, 100, 1, texts.STRENGTH, texts.STRENGTH_HELP, elem_id=live.STRENGTH
    )
    tab.change_notice = layout.notice()
    with gr.Accordion(texts.MIRROR):
        gr.Markdown(texts.MIRROR_HELP, elem_classes=["caption"])
        files = given.named(texts.MIRROR_NAMES)
        tab.mirror_picks = layout.picks(files, texts.MIRROR_PICKS, columns=6)
        tab.mirror_picture = layout.PictureFile(
            label=texts.MIRROR_PICTURE, sources=["upload", "clipboard", "webcam"],
            type="filepath", height=170, buttons=[], elem_id="expressions-mirror",
            alt_text=texts.MIRROR_PICTURE,
        )  # fmt: skip
        tab.mirror_notice = layout.notice()
    with gr.Accordion(words.MORE_SETTINGS, open=False):
        tab.keep = layout.slider(0, 100, 0, 1, texts.KEEP, texts.KEEP_HELP)
        given.length(tab)
        tab.easing = gr.Dropdown(
            texts.EASINGS, value="ease-in-out", label=texts.EASING, info=texts.EASING_HELP
        )


def _get(tab: Tab, example: dict) -> None:
    clip = layout.stored(EXAMPLES, example, "clip.mp4")
    with layout.pair():
        stage = {"selected": "clip" if example else "picture", "elem_id": "expressions-stage"}
        with layout.zone("stage-zone"), gr.Tabs(**stage) as tab.stage:
            with gr.Tab(texts.PICTURE_STAGE, id="picture", elem_id="expressions-stage-still"):
                tab.compared = compare.widget(
                    _stored(example), elem_id="expressions-picture-shown",
                    elem_classes=["stage"],
                )  # fmt: skip
                tab.caption = gr.Markdown(example.get("caption", ""), elem_classes=["caption"])
            with gr.Tab(words.CLIP, id="clip", elem_id="expressions-stage-clip"):
                caption = example.get("clip_caption", texts.FIRST_CLIP)
                layout.clip(tab, clip, caption, elem_id="expressions-clip")
        with layout.zone("beside", "units"):
            _sliders(tab, example)
            tab.live = live.widget(tab.system.value)
        with layout.zone("under"):
            with gr.Column(elem_classes=["with-still"]):
                tab.view = gr.Radio(texts.VIEWS, value="picture", label=texts.VIEW)
                with gr.Row():
                    tab.get_picture = layout.button(texts.GET_PICTURE)
                    tab.get_both = layout.button(texts.GET_BOTH)
                sending.row(tab)
                tab.file_notice = layout.notice()
            with gr.Row(elem_classes=["with-clip"]):
                layout.get_clip(tab, clip)
            layout.settings(tab, example.get("settings", ""))
            tab.picture_file = layout.unseen_file("expressions-picture-file")
    with gr.Accordion(words.HOW, open=False):
        gr.Markdown(texts.ABOUT)


def _stored(example: dict) -> dict | None:
    if not example:
        return None
    names = OPENING, "result.png"
    before, after = (results.large_url(images.read_picture(EXAMPLES / name)) for name in names)
    return handlers.comparison(before, after, "picture")


def _sliders(tab: Tab, example: dict) -> None:
    sheet = EXAMPLES / "units.jpg"
    rows = "\n".join(
        f".unit-{unit.code}::before {{ background-position-y: -{TILE * row}px; }}"
        for row, unit in enumerate(UNITS)
    )
    gr.HTML(ICONS.format(rows=rows, sheet=sheet))
    layout.title(texts.UNITS)
    with gr.Row():
        tab.measured = layout.button(texts.MEASURED)
        tab.random = layout.button(texts.RANDOM)
    values = dict(zip(CODES, example.get("values", [0] * len(CODES)), strict=True))
    for region, title in texts.REGIONS.items():
        gr.Markdown(f"### {title}", elem_classes=["region"])
        for unit in UNITS:
            if unit.region == region:
                slider = layout.slider(
                    0, 1, values[unit.code], handlers.STEP,
                    texts.UNIT.format(name=unit.name, code=unit.code),
                    elem_classes=["unit", f"unit-{unit.code}"],
                    elem_id=live.UNIT.format(code=unit.code),
                )  # fmt: skip
                setattr(tab, f"au{unit.code}", slider)


def _face_events(tab: Tab) -> None:
    picture, weights = tab.picture.change, tab.weights.change
    tab.on([picture, weights], handlers.show_picture, newest=True)
    given.picked(tab.mirror_picks, tab.mirror_picture, given.named(texts.MIRROR_NAMES))
    told = tab.change_notice, tab.mirror_notice, tab.file_notice
    tab.on(given.events(tab, texts.PHOTOGRAPH, *told).then, handlers.move)
    tab.on([tab.crop.input, tab.all_faces.input], handlers.move, newest=True)


def _slider_events(page: gr.Blocks, tab: Tab) -> None:
    moved = [getattr(tab, name).input for name in (*handlers.SLIDERS, "strength")]
    rested = [tab.live.input, tab.view.input]
    tab.on(rested, handlers.show, newest=True, api_name="expressions_picture")
    changes = [one.change for one in (tab.crop, tab.all_faces, tab.view, tab.weights)]
    tab.on([page.load, *changes], live.prepare, newest=True)
    buttons = {getattr(tab, f"to_{name}"): name for name in EMOTIONS}
    for button, name in buttons.items():
        tab.on(button.click, handlers.aim, newest=True, named={"emotion": gr.State(name)})
    tab.on(tab.random.click, handlers.roll, newest=True)
    tab.on(tab.measured.click, handlers.to_measured, newest=True)
    tab.on(tab.mirror_picture.change, handlers.mirror, newest=True)
    clicks = [one.click for one in (*buttons, tab.random, tab.measured)]
    picked = [tab.picks.select, tab.picture.input, tab.crop.input, tab.crop.select]
    picked += [tab.mirror_picks.select, tab.mirror_picture.input]
    wishes = [*moved, *clicks, *picked, tab.view.input]
    tab.turns_to("picture", functools.partial(gr.on, wishes))


def _file_events(page: gr.Blocks, tab: Tab, first_look: bool) -> None:
    layout.save_events(tab, handlers.save, "beside", tab.get_picture, tab.get_both)
    layout.clip_events(tab, clips.make_clip, tab.stage)
    opened, _ = systems.events(page, tab)
    reset = layout.reset_event(tab)
    if first_look:
        for event in (opened, reset):
            tab.on(event.then, handlers.show_picture)
