"""The tab "Semantic painting" (SPADE): layout and events."""

import gradio as gr

from gan_models.spade.pipeline import SPADEPipeline
from tabs.kit import jobs, layout, sending, systems
from tabs.kit import texts as words
from tabs.kit.answers import Tab
from tabs.kit.seeds import of_seed
from tabs.painting import canvas, handlers, maps, texts

NAME, README = texts.NAME, texts.README
EXAMPLES = maps.EXAMPLES
SEEDS = [11, 12, 13, 14]  # the variations shown first
TAKES = "source", None
SENDS = handlers.save_picture, {"enlarged": True}


def system(settings: jobs.Settings) -> systems.System:
    return systems.System("spade", SPADEPipeline, settings)


def build(page: gr.Blocks, settings: jobs.Settings) -> Tab:
    ours = system(settings)
    tab = Tab(
        system=gr.State(ours), seeds=gr.State(SEEDS),
        first=gr.State(of_seed(1)), second=gr.State(of_seed(2)),
    )  # fmt: skip
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
    tab.give_notice = gr.HTML()


def _picture_file(label: str, elem_id: str, *more: str) -> layout.PictureFile:
    """In an accordion of the same title."""
    return layout.PictureFile(
        label=label, show_label=False, sources=["upload", "clipboard", *more], type="filepath",
        height=170, buttons=[], elem_id=elem_id, alt_text=label,
    )  # fmt: skip


def _seed_row(tab: Tab, which: str, title: str, number: int) -> None:
    with gr.Row(elem_classes=["seed-row"]):
        seed = layout.number(
            number, texts.SEED.format(which=title), min_width=100, placeholder=texts.NO_SEED
        )
        new = gr.Button(texts.NEW, size="md", min_width=90)
    vars(tab).update({f"{which}_seed": seed, f"{which}_new": new})


def _change(tab: Tab) -> None:
    layout.title(texts.STYLE)
    tab.styles_notice = gr.HTML()
    with gr.Column(visible=True) as tab.style_box:
        _seed_row(tab, "first", texts.FIRST, 1)
        tab.variations = layout.picks(None, texts.VARIATIONS, "by-four", columns=4)
        tab.more = gr.Button(texts.MORE, size="md")
        tab.share = layout.slider(0, 100, 0, 1, texts.SHARE)
        with gr.Accordion(texts.STYLE_PICTURE, open=False, visible=True) as tab.picture_box:
            tab.style_picture = _picture_file(texts.STYLE_PICTURE, "painting-style", "webcam")
        with gr.Accordion(words.MORE_SETTINGS, open=False):
            _seed_row(tab, "second", texts.SECOND, 2)
            tab.swap = layout.button(texts.SWAP)
    tab.style_notice = gr.HTML()


def _get(tab: Tab, ours: systems.System) -> None:
    tab.canvas = canvas.widget(ours)
    tab.canvas_notice = gr.HTML()
    with gr.Row():
        tab.get_picture = layout.button(texts.GET_PICTURE)
        tab.get_own = layout.button(texts.GET_OWN)
        tab.get_map = layout.button(texts.GET_MAP)
    sending.row(tab)
    tab.file_notice = gr.HTML()
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
    _style_events(tab)
    for button, enlarged in ((tab.get_picture, True), (tab.get_own, False)):
        named = {"enlarged": gr.State(enlarged)}
        tab.offers(tab.on(button.click, handlers.save_picture, named=named), tab.picture_file)
    tab.offers(tab.on(tab.get_map.click, handlers.save_map), tab.map_out)
    opened, changed = systems.events(page, tab)
    for event in (opened, changed, layout.reset_event(tab)):
        tab.on(event.then, handlers.prepare)


def _style_events(tab: Tab) -> None:
    def restyles(event):
        tab.on(event.then, handlers.restyle)

    for which in ("first", "second"):
        seed, style = getattr(tab, f"{which}_seed"), getattr(tab, which)
        named = {"seed": seed, "style": style}
        restyles(tab.on(seed.input, handlers.set_seed, newest=True, named=named))
        rolled = tab.on(getattr(tab, f"{which}_new").click, handlers.new_seed, named=named)
        restyles(tab.on(rolled.then, handlers.set_seed, named=named))
    tab.on(tab.share.input, handlers.restyle, newest=True)
    restyles(tab.on(tab.style_picture.change, handlers.take_style))
    restyles(tab.on(tab.swap.click, handlers.swap))
    restyles(tab.on(tab.variations.select, handlers.pick_style))
    tab.on(tab.on(tab.more.click, handlers.next_seeds).then, handlers.vary)
