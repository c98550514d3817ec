"""The tab "Semantic painting" (SPADE): layout and events."""

import gradio as gr

from gan_models.spade.pipeline import SPADEPipeline
from tabs.kit import jobs, layout, seeds, sending, systems
from tabs.kit import texts as words
from tabs.kit.answers import Tab
from tabs.painting import canvas, handlers, maps, texts

NAME, README = texts.NAME, texts.README
EXAMPLES = maps.EXAMPLES
TAKES = "source", None
SENDS = handlers.save_picture, {"enlarged": True}


def system(settings: jobs.Settings) -> systems.System:
    return systems.System("spade", SPADEPipeline, settings)


def build(page: gr.Blocks, settings: jobs.Settings) -> Tab:
    ours = system(settings)
    tab = Tab(system=gr.State(ours), **seeds.states())
    with layout.tab_row():
        with layout.zone("give"):
            _give(tab)
        with layout.zone("change"):
            _change(tab)
        with layout.zone("get"):
            _get(tab, ours)
        systems.layout(tab, ours)
    _events(page, tab)
    return tab


def _give(tab: Tab) -> None:
    layout.title(texts.PICK)
    files = [(str(file), texts.NAMES[file.name]) for file in maps.example_files()]
    tab.picks = layout.picks(files, texts.PICKS, "by-three", columns=3, visible=bool(files))
    tab.noise = layout.button(texts.NOISE)
    with gr.Accordion(texts.PICTURE, open=False):
        tab.source = _picture_file(texts.PICTURE, "painting-source", "webcam")
        tab.source_help = gr.Markdown(texts.PICTURE_HELP, elem_classes=["caption"])
        with gr.Column(visible=False) as tab.segmenter_box:
            tab.segmenter = gr.Textbox(
                label=texts.SEGMENTER,
                info=texts.SEGMENTER_HELP,
                placeholder="org/name",
                max_lines=1,
            )
            tab.read = layout.button(texts.READ)
    with gr.Accordion(texts.OWN, open=False):
        tab.map_file = _picture_file(texts.OWN, "painting-map")
        tab.reading = gr.Dropdown(
            texts.READINGS, value="auto", label=texts.READING, info=texts.READING_HELP
        )
        gr.Markdown(texts.OWN_HELP, elem_classes=["caption"])
    tab.give_notice = layout.notice()


def _picture_file(label: str, elem_id: str, *more: str) -> layout.PictureFile:
    """In an accordion of the same title."""
    return layout.PictureFile(
        label=label, show_label=False, sources=["upload", "clipboard", *more], type="filepath",
        height=170, buttons=[], elem_id=elem_id, alt_text=label,
    )  # fmt: skip


def _change(tab: Tab) -> None:
    layout.title(texts.STYLE)
    tab.styles_notice = layout.notice()
    with gr.Column(visible=True) as tab.style_box:
        seeds.row(tab, "first")
        seeds.variations(tab)
        tab.share = layout.slider(0, 100, 0, 1, words.SHARE)
        with gr.Accordion(texts.STYLE_PICTURE, open=False, visible=True) as tab.picture_box:
            tab.style_picture = _picture_file(texts.STYLE_PICTURE, "painting-style", "webcam")
            tab.style_picture_notice = layout.notice()
        with gr.Accordion(words.MORE_SETTINGS, open=False):
            seeds.row(tab, "second")
            tab.swap = layout.button(words.SWAP)
    tab.style_notice = layout.notice()


def _get(tab: Tab, ours: systems.System) -> None:
    tab.canvas = canvas.widget(ours)
    tab.canvas_notice = layout.notice()
    with gr.Row():
        tab.get_picture = layout.button(texts.GET_PICTURE)
        tab.get_own = layout.button(texts.GET_OWN)
        tab.get_map = layout.button(texts.GET_MAP)
    sending.row(tab)
    tab.file_notice = layout.notice()
    tab.picture_file = layout.unseen_file("painting-picture-file")
    tab.map_out = layout.unseen_file("painting-map-file")
    layout.settings(tab, "")
    with gr.Accordion(words.HOW, open=False):
        gr.Markdown(texts.ABOUT)


def _events(page: gr.Blocks, tab: Tab) -> None:
    tab.on(tab.picks.select, handlers.pick)
    tab.on(tab.noise.click, handlers.noise)
    tab.on(tab.source.change, handlers.read_puppet)
    tab.on([tab.read.click, tab.segmenter.submit], handlers.read_photograph)
    for trigger in (tab.map_file.change, tab.reading.input):
        tab.on(trigger, handlers.load_map)
    tab.on(tab.canvas.input, handlers.vary, newest=True)
    seeds.events(tab, handlers.restyle, handlers.vary)
    tab.on(tab.share.input, handlers.restyle, newest=True)
    tab.on(tab.on(tab.style_picture.change, handlers.take_style).then, handlers.restyle)
    layout.save_events(tab, handlers.save_picture, "enlarged", tab.get_own, tab.get_picture)
    tab.forgets(tab.file_notice, tab.canvas.input, tab.share.change, tab.weights.change)
    tab.offers(tab.on(tab.get_map.click, handlers.save_map), tab.map_out)
    opened, changed = systems.events(page, tab)
    for event in (opened, changed, layout.reset_event(tab)):
        tab.on(event.then, handlers.prepare, newest=True)
