"""The tab "Motion transfer" (First Order Motion Model): layout and events.

What happens is in handlers.py and clips.py, the crop that can be moved in crop.py, the words in
texts.py.
"""

from pathlib import Path
from types import SimpleNamespace

import gradio as gr

from tabs import jobs, look, results, weights_menu
from tabs import texts as words
from tabs.kit.given import PictureFile
from tabs.motion import clips, handlers, live, texts
from tabs.motion.crop import crop_box

NAME, README = texts.NAME, texts.README
EXAMPLES = Path(__file__).parent.parent.parent / "assets" / "examples" / "motion"
PORTRAIT, SINGER = "portrait-1.jpg", "driving-human.mp4"  # what the tab opens on
STRENGTH, CLIP_SIZE = 1.0, 512

QUIET = {"show_progress": "hidden", "api_visibility": "private"}
LIVE = {"trigger_mode": "always_last", **QUIET}
CLICK_FILE = "() => setTimeout(() => document.querySelector('#motion-motion-file')?.click(), 150)"
BRING_INTO_VIEW = """() => document.querySelector('#motion-stage')
    ?.scrollIntoView({block: 'nearest', behavior: 'smooth'})"""
# While the next clip is made the last one is silent. The driving follows the result it stands
# beside: it starts, stops and jumps with it, without a sound of its own.
HUSH = "() => document.querySelectorAll('#motion-stage video').forEach((one) => one.pause())"
TOGETHER = """() => {
  if (window.motionTogether) return;
  window.motionTogether = true;
  const follow = (event) => {
    const result = event.target;
    if (!result.closest?.('#motion-clip')) return;
    const driving = document.querySelector('#motion-driving-shown video');
    if (!driving) return;
    driving.muted = true;
    driving.playbackRate = result.playbackRate;
    if (Math.abs(driving.currentTime - result.currentTime) > 0.08 || event.type === 'seeking')
      driving.currentTime = result.currentTime;
    if (result.paused !== driving.paused) result.paused ? driving.pause() : driving.play();
  };
  for (const name of ['play', 'playing', 'pause', 'seeking', 'seeked', 'ratechange', 'timeupdate'])
    document.addEventListener(name, follow, true);
}"""


def load_now(settings: jobs.Settings) -> None:
    """Load the weights that the tab opens on, where lazy loading is discouraged."""
    name = handlers.first_choice(settings)
    if name:
        handlers.open_pipeline(settings, name)


def read_example(weights: str | None) -> dict:
    """What example.json says of the stored example, if `weights` made it; else {}."""
    return results.stored_example(EXAMPLES, weights)


def build(page: gr.Blocks, settings: jobs.Settings, footer: gr.HTML) -> None:
    """The tab's contents, inside the page's `gr.Tab`; `footer` says which weights are in use."""
    choices = handlers.menu(settings)
    first = handlers.first_choice(settings)
    example = read_example(first)
    footer.value = look.footer(first or "", settings.device)
    c = SimpleNamespace(footer=footer, settings=gr.State(settings))
    with gr.Row(elem_classes=["tab-row"]):
        with gr.Column(scale=3, min_width=300, elem_classes=["zone"]):
            _give(c, settings, first)
            _change(c, settings, choices, first)
        with gr.Column(scale=5, min_width=300, elem_classes=["zone"]):
            _get(c, settings, example)
    _given_events(c)
    _clip_events(page, c)
    _live_events(c)
    _weights_events(page, c)


# --- layout -----------------------------------------------------------------------------------


def _shipped(name: str) -> str | None:
    path = EXAMPLES / name
    return str(path) if path.is_file() else None


def _stored(example: dict, name: str) -> str | None:
    return _shipped(name) if example else None


def _give(c: SimpleNamespace, settings: jobs.Settings, first: str | None) -> None:
    portrait, driving = _shipped(PORTRAIT), _shipped(SINGER)
    opening = handlers.show_portrait(settings, first, portrait)
    gr.Markdown(texts.PICK, elem_classes=["zone-title"])
    with gr.Row():
        with gr.Column(min_width=140, elem_classes=["point"]):
            c.portrait = PictureFile(
                portrait, label=texts.PORTRAIT, sources=["upload", "clipboard", "webcam"],
                type="filepath", height=230, buttons=[], elem_id="motion-portrait",
                visible=opening[0]["visible"], alt_text=texts.PORTRAIT,
            )  # fmt: skip
            c.crop = crop_box(opening[1].get("value"), visible=opening[1]["visible"])
            c.other_portrait = gr.Button(
                texts.OTHER_PORTRAIT, size="md", visible=opening[2]["visible"], min_width=100
            )
            c.portraits = _picks("portrait-*.jpg", texts.PORTRAITS, 3)
        with gr.Column(min_width=140, elem_classes=["point"]):
            c.driving = gr.Video(
                driving, label=texts.DRIVING, sources=["upload", "webcam"], include_audio=True,
                height=230, buttons=[], elem_id="motion-driving",
            )  # fmt: skip
            c.other_driving = gr.Button(
                texts.OTHER_DRIVING, size="md", visible=bool(driving), min_width=100
            )
            c.singers = _picks("driving-*.jpg", texts.SINGERS, 3)
    c.driving_crop = crop_box(
        visible=False, words=texts.DRIVING_CROP, heading=texts.DRIVING_CROP_TITLE
    )
    c.portrait_notice = gr.HTML()
    c.driving_notice = gr.HTML()
    c.photograph_notice = gr.HTML()


def _picks(pattern: str, label: str, columns: int) -> gr.Gallery:
    files = handlers.asset_files(EXAMPLES, pattern)
    return gr.Gallery(
        files or None, label=label, show_label=False, columns=columns, buttons=[],
        allow_preview=False, object_fit="cover", interactive=False,
        elem_classes=["picks", "by-three"],
    )  # fmt: skip


def _change(c: SimpleNamespace, settings: jobs.Settings, choices: list, first: str | None) -> None:
    c.strength = gr.Slider(
        0, 2, STRENGTH, step=0.05, label=texts.STRENGTH, info=texts.STRENGTH_HELP, buttons=[],
        elem_classes=["runs-on-enter"],
    )  # fmt: skip
    with gr.Row():
        c.animate = gr.Button(
            texts.ANIMATE, variant="primary", scale=3, elem_classes=["run-button"]
        )
        c.stop = gr.Button(
            words.STOP, scale=1, min_width=80, interactive=False, elem_classes=["stop-button"]
        )
    c.progress = gr.HTML(look.hint(texts.KEYS), elem_classes=["progress"])
    c.clip_notice = gr.HTML()
    with gr.Accordion(words.MORE_SETTINGS, open=False):
        _more_settings(c)
    weights_menu.layout(c, choices, first, "fomm")
    c.about = gr.Markdown(handlers.about(settings, first), elem_classes=["about"])
    c.reset = gr.Button(words.RESET, size="md")
    c.weights_notice.render()


def _more_settings(c: SimpleNamespace) -> None:
    c.mode = gr.Radio(
        [(texts.RELATIVE, "relative"), (texts.ABSOLUTE, "absolute")], value="relative",
        label=texts.MODE, info=texts.MODE_HELP,
    )  # fmt: skip
    c.adapt = gr.Checkbox(True, label=texts.ADAPT, info=texts.ADAPT_HELP)
    c.reference = gr.Radio(
        texts.REFERENCES, value="first", label=texts.REFERENCE, info=texts.REFERENCE_HELP
    )
    c.frame = gr.Slider(0, 100, 0, step=1, label=texts.FRAME, buttons=[], visible=False)
    c.smoothing = gr.Slider(
        0, 5, 0, step=0.25, label=texts.SMOOTHING, info=texts.SMOOTHING_HELP, buttons=[]
    )
    c.paste = gr.Checkbox(False, label=texts.PASTE, info=texts.PASTE_HELP)
    c.size = gr.Dropdown(
        texts.CLIP_SIZES, value=CLIP_SIZE, label=texts.CLIP_SIZE, info=texts.CLIP_SIZE_HELP
    )
    c.replay = gr.File(
        label=texts.REPLAY, height=150,
        file_types=[".safetensors", ".png", ".jpg", ".jpeg", ".webp", ".gif"],
    )  # fmt: skip


def _get(c: SimpleNamespace, settings: jobs.Settings, example: dict) -> None:
    with gr.Row():
        with gr.Column(scale=3, min_width=300, elem_classes=["zone"]):
            _stage(c, settings, example)
        with gr.Column(scale=2, min_width=240, elem_classes=["zone"]):
            _beside(c, example)
    with gr.Accordion(words.HOW, open=False) as c.how:
        c.moment = gr.Slider(0, 100, 40, step=1, label=texts.MOMENT, buttons=[])
        c.explained = gr.HTML(label=texts.EXPLAINED)
        c.how_notice = gr.HTML()
        gr.Markdown(texts.ABOUT)


def _stage(c: SimpleNamespace, settings: jobs.Settings, example: dict) -> None:
    """The result, large."""
    with gr.Tabs(selected="clip", elem_id="motion-stage") as c.stage:
        with gr.Tab(texts.CLIP, id="clip"):
            with gr.Column(elem_classes=["stage-box"]):
                c.clip = gr.Video(
                    _stored(example, "clip.mp4"), show_label=False, label=texts.CLIP,
                    autoplay=True, buttons=[], interactive=False, elem_classes=["stage"],
                    elem_id="motion-clip",
                )  # fmt: skip
                c.preview = gr.HTML(elem_classes=["preview"])
            c.caption = gr.Markdown(
                example.get("caption", texts.FIRST_CLIP), elem_classes=["caption"]
            )
        with gr.Tab(texts.LIVE, id="live") as c.live_tab:
            with gr.Column(elem_classes=["stage-box"]):
                c.live = live.widget(settings)
            c.live_notice = gr.HTML()


def _beside(c: SimpleNamespace, example: dict) -> None:
    """The driving in step with the result, and what a visitor takes away."""
    c.shown = gr.Video(
        _stored(example, "clip-driving.mp4"), label=texts.SHOWN, buttons=[], interactive=False,
        visible=bool(example), elem_id="motion-driving-shown", elem_classes=["companion"],
    )  # fmt: skip
    with gr.Row():
        c.get_clip = gr.DownloadButton(
            texts.GET_CLIP, _stored(example, "clip.mp4"), size="md", min_width=130,
            interactive=bool(example),
        )  # fmt: skip
        c.save = gr.Button(texts.GET_MOTION, size="md", min_width=130)
    c.text = gr.Textbox(
        example.get("settings", ""), label=words.SETTINGS, lines=8, max_lines=12,
        interactive=False, buttons=["copy"],
    )  # fmt: skip
    # Made when asked for: the visible button makes it, a click on the unseen one fetches it.
    c.motion_file = gr.DownloadButton(elem_id="motion-motion-file", visible="hidden")


# --- events -----------------------------------------------------------------------------------


def _explain(c: SimpleNamespace) -> dict:
    return {
        "fn": handlers.explain,
        "inputs": [
            c.settings, c.weights, c.portrait, c.crop, c.driving, c.driving_crop, c.replay,
            c.moment, c.strength, c.mode, c.adapt,
        ],
        "outputs": [c.explained, c.how_notice],
    }  # fmt: skip


def _warn(c: SimpleNamespace) -> dict:
    return {
        "fn": handlers.warn,
        "inputs": [c.settings, c.weights, c.portrait, c.driving],
        "outputs": c.photograph_notice,
    }


def _show_portrait(c: SimpleNamespace) -> dict:
    return {
        "fn": handlers.show_portrait,
        "inputs": [c.settings, c.weights, c.portrait],
        "outputs": [c.portrait, c.crop, c.other_portrait, c.portrait_notice],
    }


def _show_driving(c: SimpleNamespace) -> dict:
    return {
        "fn": handlers.show_driving,
        "inputs": [c.settings, c.weights, c.driving],
        "outputs": [c.driving_crop, c.frame, c.other_driving, c.driving_notice],
    }


def _given_events(c: SimpleNamespace) -> None:
    # Each listens for itself: what follows by `then` is left out while it still runs.
    gr.on([c.portrait.change, c.weights.change], **_show_portrait(c), **LIVE)
    gr.on([c.driving.change, c.weights.change], **_show_driving(c), **LIVE)
    gr.on([c.portrait.change, c.driving.change, c.weights.change], **_warn(c), **LIVE)
    c.other_portrait.click(lambda: None, None, c.portrait, **QUIET)
    c.other_driving.click(lambda: None, None, c.driving, **QUIET)
    portraits = handlers.asset_files(EXAMPLES, "portrait-*.jpg")
    posters = handlers.asset_files(EXAMPLES, "driving-*.jpg")
    singers = [str(Path(poster).with_suffix(".mp4")) for poster in posters]
    c.portraits.select(handlers.pick, gr.State(portraits), c.portrait, **QUIET)
    c.singers.select(handlers.pick, gr.State(singers), c.driving, **QUIET)
    c.crop.select(
        handlers.click_portrait,
        [c.settings, c.weights, c.portrait, c.crop],
        [c.crop, c.portrait_notice],
        **QUIET,
    )
    c.driving_crop.select(
        handlers.click_driving,
        [c.settings, c.weights, c.driving, c.driving_crop],
        [c.driving_crop, c.driving_notice],
        **QUIET,
    )
    c.reference.input(lambda which: gr.update(visible=which == "chosen"), c.reference, c.frame,
                      **QUIET)  # fmt: skip


def _clip_events(page: gr.Blocks, c: SimpleNamespace) -> None:
    both = [c.animate, c.stop]
    began = c.animate.click(clips.begin, None, [c.progress, *both], queue=False, js=HUSH, **QUIET)
    began.then(
        clips.make_clip,
        [
            c.settings, c.weights, c.portrait, c.crop, c.driving, c.driving_crop, c.replay,
            c.strength, c.mode, c.adapt, c.reference, c.frame, c.smoothing, c.paste, c.size,
        ],
        [
            c.progress, c.preview, c.clip, c.get_clip, c.shown, c.caption, c.text, c.stage,
            c.clip_notice, *both,
        ],
        show_progress="hidden", api_name="motion_clip", concurrency_limit=4,
    ).then(js=BRING_INTO_VIEW, **QUIET)  # fmt: skip
    c.stop.click(clips.stop, None, None, queue=False, **QUIET)
    c.save.click(clips.begin, None, [c.progress, *both], queue=False, **QUIET).then(
        clips.save_motion,
        [c.settings, c.weights, c.driving, c.driving_crop],
        [c.progress, c.motion_file, c.clip_notice, *both],
        concurrency_limit=4, **QUIET,
    ).success(js=CLICK_FILE, **QUIET)  # fmt: skip
    c.how.expand(**_explain(c), **QUIET)
    c.moment.input(**_explain(c), **LIVE)
    page.load(js=TOGETHER, **QUIET)


def _live_events(c: SimpleNamespace) -> None:
    given = [c.settings, c.weights, c.portrait, c.crop, c.strength, c.mode, c.adapt]
    outputs = [c.live, c.live_notice]
    c.live_tab.select(live.prepare, given, outputs, **QUIET)
    controls = (c.crop, c.strength, c.mode, c.adapt, c.weights)
    changes = [c.crop.input, *(control.change for control in controls)]
    gr.on(changes, live.update, [*given, c.live], outputs, **LIVE)


def _weights_events(page: gr.Blocks, c: SimpleNamespace) -> None:
    page.load(handlers.refresh, [c.settings, c.weights], [c.weights, c.footer], **QUIET)
    c.weights.change(
        handlers.choose_weights,
        [c.settings, c.weights],
        [c.footer, c.about, c.weights_notice],
        **QUIET,
    )
    defaults = [
        _shipped(PORTRAIT), _shipped(SINGER), None, STRENGTH, "relative", True, "first", 0, 0.0,
        False, CLIP_SIZE, "", "", "",
    ]  # fmt: skip
    c.reset.click(
        lambda: defaults,
        None,
        [
            c.portrait, c.driving, c.replay, c.strength, c.mode, c.adapt, c.reference, c.frame,
            c.smoothing, c.paste, c.size, c.clip_notice, c.how_notice, c.weights_notice,
        ],
        **QUIET,
    ).then(**_show_portrait(c), **LIVE).then(**_show_driving(c), **LIVE)  # fmt: skip
    weights_menu.events(c, handlers.begin_fetch, handlers.fetch, handlers.stop_fetch)
