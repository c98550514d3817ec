"""The tab "Style translation" (StarGAN v2): layout and events."""

import functools

import gradio as gr

from gan_models import images
from gan_models.stargan_v2.pipeline import StarGANv2Pipeline
from tabs.kit import clips as kit
from tabs.kit import compare, given, jobs, layout, results, seeds, sending, systems
from tabs.kit import texts as words
from tabs.kit.answers import Tab
from tabs.kit.framing import FaceSystem
from tabs.styles import clips, handlers, live, subject, texts

NAME, README = texts.NAME, texts.README
EXAMPLES = given.FACES.with_name("styles")
FILES = given.named(words.FACES)
TAKES = "picture", "picture"
SENDS = handlers.save, {"beside": False}


def system(settings: jobs.Settings) -> FaceSystem:
    return FaceSystem("stargan_v2", StarGANv2Pipeline, settings)


def build(page: gr.Blocks, settings: jobs.Settings) -> Tab:
    ours = system(settings)
    example = results.stored_example(EXAMPLES, ours.first())
    tab = Tab(system=gr.State(ours), given=gr.State([]), **seeds.states())
    with layout.tab_row():
        with layout.zone("give"):
            _give(tab, ours)
        with layout.zone("change"):
            _change(tab, ours, example)
        with layout.zone("get"):
            _get(tab, ours, example)
        systems.layout(tab, ours)
    _picture_events(tab)
    _style_events(page, tab)
    _file_events(page, tab, first_look=not example)
    return tab


def _give(tab: Tab, ours: FaceSystem) -> None:
    layout.title(texts.PICK)
    with gr.Row():
        given.place(tab, ours, texts.CROP, "styles-picture", texts.PICKS)
    given.notices(tab)


def _change(tab: Tab, ours: FaceSystem, example: dict) -> None:
    first = ours.first()
    domains = ours.config(first).get("domains", []) if first else []
    layout.run_row(tab, texts.ANIMATE, texts.KEYS)
    tab.missing = gr.HTML()
    tab.domain = gr.Radio(
        domains, value=handlers.first_domain(domains), label=texts.DOMAIN, elem_id="styles-domain"
    )
    tab.domain_pictures = gr.HTML(example.get("domain_pictures"), elem_classes=["unseen"])
    layout.title(texts.STYLE)
    seeds.row(tab, "first")
    files = [(str(EXAMPLES / f"seed-{seed}.jpg"), f"seed {seed}") for seed in seeds.FIRST_SHOWN]
    seeds.variations(tab, files if example else None)
    tab.share = layout.slider(0, 100, 0, 1, words.SHARE, elem_id=live.SHARE)
    tab.strength = layout.slider(
        0, 150, 100, 1, texts.STRENGTH, texts.STRENGTH_HELP, elem_id=live.STRENGTH
    )
    tab.live = live.widget(ours)
    tab.change_notice, tab.style_notice = layout.notice(), layout.notice()
    with gr.Accordion(texts.REFERENCES):
        named = [(file, texts.STYLE_OF.format(name=name)) for file, name in FILES]
        tab.style_picks = layout.picks(named, texts.STYLE_PICKS, columns=6)
        tab.references = layout.picks(None, texts.GIVEN, columns=6, visible=False)
        tab.through = gr.Checkbox(True, label=texts.THROUGH, visible=False)
        tab.sliding = gr.Checkbox(False, label=texts.SLIDING, visible=False)
        tab.reference_files = layout.PictureFiles(
            file_count="multiple",
            label=texts.OWN_REFERENCES,
            height=150,
            elem_id="styles-references",
        )
        tab.reference_notice = layout.notice()
        gr.Markdown(texts.REFERENCES_HELP, elem_classes=["caption"])
    with gr.Accordion(words.MORE_SETTINGS, open=False):
        seeds.row(tab, "second")
        tab.swap = layout.button(words.SWAP)
        given.length(tab)
        tab.more_pictures = layout.PictureFiles(
            file_count="multiple", label=texts.GRID_MORE, height=150, elem_id="styles-more"
        )


def _get(tab: Tab, ours: FaceSystem, example: dict) -> None:
    clip = layout.stored(EXAMPLES, example, "clip.mp4")
    stage = {"selected": "clip" if example else "picture", "elem_id": "styles-stage"}
    with layout.zone("stage-zone"), gr.Tabs(**stage) as tab.stage:
        with gr.Tab(texts.PICTURE_STAGE, id="picture", elem_id="styles-stage-still"):
            tab.compared = compare.widget(
                _stored(ours, example), elem_id="styles-picture-shown", elem_classes=["stage"]
            )
            tab.caption = gr.Markdown(example.get("caption", ""), elem_classes=["caption"])
        with gr.Tab(texts.GRID_STAGE, id="grid", elem_id="styles-stage-grid"):
            tab.grid = layout.picture(None, texts.GRID, show_label=False, elem_id="styles-grid")
            tab.grid_caption = gr.Markdown(texts.GRID_HELP, elem_classes=["caption"])
            with gr.Row():
                tab.make_grid = layout.button(texts.MAKE_GRID)
                tab.get_grid = gr.DownloadButton(
                    texts.GET_GRID, None, size="md", min_width=130, interactive=False
                )
            tab.grid_notice = layout.notice()
        with gr.Tab(words.CLIP, id="clip", elem_id="styles-stage-clip"):
            caption = example.get("clip_caption", texts.FIRST_CLIP)
            layout.clip(tab, clip, caption, elem_id="styles-clip")
    with layout.zone("under"):
        with gr.Column(elem_classes=["with-still"]):
            with gr.Row():
                tab.get_picture = layout.button(texts.GET_PICTURE)
                tab.get_both = layout.button(texts.GET_BOTH)
            sending.row(tab)
            tab.file_notice = layout.notice()
        tab.view = gr.Radio(texts.VIEWS, value="face", label=texts.VIEW)
        with gr.Row(elem_classes=["with-clip"]):
            layout.get_clip(tab, clip)
        layout.settings(tab, example.get("settings", ""))
        tab.picture_file = layout.unseen_file("styles-picture-file")
    with gr.Accordion(words.HOW, open=False):
        gr.Markdown(texts.ABOUT)


def _stored(ours: FaceSystem, example: dict) -> dict | None:
    """The example before and after."""
    if not example:
        return None
    after = images.read_picture(EXAMPLES / "result.png")
    box = subject.square(ours, ours.first(), given.OPENING_FILE)
    return handlers.comparison(subject.cut(given.OPENING_FILE, box, len(after)), after)


def _around(tab: Tab, event) -> None:
    """What is shown of a picture besides it in its style."""
    tab.on(tab.on(event.then, handlers.vary).then, handlers.picture_domains)


def _picture_events(tab: Tab) -> None:
    _around(tab, tab.on(tab.picture.change, handlers.show_picture, newest=True))
    told = tab.change_notice, tab.grid_notice, tab.file_notice
    clicked = given.events(tab, texts.PHOTOGRAPH, *told)
    for moved in (clicked.then, tab.crop.input):
        _around(tab, tab.on(moved, handlers.show))


def _style_events(page: gr.Blocks, tab: Tab) -> None:
    rested = [tab.live.input, tab.view.input]
    tab.on(rested, handlers.show, newest=True, api_name="styles_picture")
    noted = tab.crop, tab.domain, tab.first, tab.second, tab.view, tab.weights
    tab.on([page.load, *(one.change for one in noted)], live.prepare, newest=True)
    tab.on(tab.strength.release, handlers.vary)
    tab.on(tab.on(tab.domain.input, handlers.show, newest=True).then, handlers.vary)
    seeds.events(tab, handlers.show, handlers.vary)
    examples = gr.State([subject.of_file(file, name) for file, name in FILES])
    for event in (
        tab.on(tab.style_picks.select, handlers.pick_reference, named={"files": examples}),
        tab.on(tab.references.select, handlers.pick_reference, named={"files": tab.given}),
        tab.on(tab.reference_files.change, handlers.read_references),
    ):
        tab.on(event.then, handlers.show)
    wishes = [tab.share.input, tab.strength.input, tab.domain.input, tab.first_seed.input,
              tab.first_new.click, tab.swap.click, tab.variations.select, tab.style_picks.select,
              tab.references.select, tab.picks.select, tab.picture.input, tab.crop.input,
              tab.crop.select]  # fmt: skip
    tab.turns_to("picture", functools.partial(gr.on, wishes))


def _file_events(page: gr.Blocks, tab: Tab, first_look: bool) -> None:
    layout.save_events(tab, handlers.save, "beside", tab.get_picture, tab.get_both)
    layout.clip_events(tab, clips.make_clip, tab.stage)
    began = tab.on(tab.make_grid.click, kit.begin, queue=False)
    tab.on(began.then, clips.make_grid, concurrency_limit=None)
    opened, changed = systems.events(page, tab)
    reset = layout.reset_event(tab)
    for event in (changed, *((opened, reset) if first_look else ())):
        ready = tab.on(event.then, handlers.prepare)
        _around(tab, tab.on(ready.then, handlers.show_picture))
