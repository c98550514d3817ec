"""What stands in the zones of every tab: Give and Change on the left, Get on the right.

Most functions here add their components to the tab by name.
"""

import inspect
from pathlib import Path

import gradio as gr
from gradio.data_classes import FileData, ListFiles

from tabs.kit import clips, look, systems
from tabs.kit import texts as words
from tabs.kit.answers import QUIET, Tab

# What an event may change of a component, named where it is made, and Reset gives back.
RESET = ("value", "label", "visible", "choices", "maximum", "interactive", "selected", "open")
# While the next clip is made the last one is silent.
HUSH = "() => document.querySelectorAll('#{0} video').forEach((one) => {{ one.muted = true; }})"
INTO_VIEW = """() => document.querySelector('#{0}')
    ?.scrollIntoView({{block: 'nearest', behavior: 'smooth'}})"""

SOUND = (
    f'<button type="button" class="sound"><span class="turn-on">{words.SOUND_ON}</span>'
    f'<span class="turn-off">{words.SOUND_OFF}</span></button>'
)


# The button in a notice hands over its choice; what that changes elsewhere then comes into view.
REMEDY = """element.addEventListener('click', (event) => {
  const remedy = event.target.closest('.remedy');
  if (!remedy) return;
  const {choice, to} = remedy.dataset;
  trigger('select', {choice});
  if (!to) return;
  const row = element.closest('.tab-row');
  const follow = setInterval(  // other weights change what stands above it, too
    () => row.querySelector(to)?.scrollIntoView({block: 'center'}), 400);
  const stop = () => clearInterval(follow);
  setTimeout(stop, 30000);
  for (const move of ['wheel', 'pointerdown', 'keydown'])
    addEventListener(move, stop, {once: true});
});"""


class PictureFile(gr.Image):
    """An image whose value stays the file that was given: what is wrong with it is for the handlers
    to say. `gr.Image` itself takes any path of the computer that a request names without `meta`; as
    `FileData`, only what was uploaded is taken.
    """

    is_template = True  # in the browser a gr.Image
    data_model = FileData

    def preprocess(self, payload: FileData | None) -> str | None:
        return payload.path if payload else None


class PictureFiles(gr.File):
    """Several pictures (file_count="multiple"), as `PictureFile`: each is taken only if it
    was uploaded, and what is wrong with it is for the handlers to say.
    """

    is_template = True  # in the browser a gr.File

    def preprocess(self, payload: ListFiles | None) -> list[str] | None:
        return [file.path for file in payload.root] if payload else None


class Slider(gr.Slider):
    """A slider that takes a number beyond its ends for the end, and an empty field for the lower
    one: `gr.Slider` itself raises before a handler can say so, and Run, pressed by Enter in the
    field, would never come back.
    """

    is_template = True  # in the browser a gr.Slider

    def preprocess(self, payload: float | None) -> float:
        given = self.minimum if payload in (None, "") else payload
        return super().preprocess(min(max(given, self.minimum), self.maximum))


def tab_row() -> gr.Row:
    """Where the zones of a tab stand; page.css places them, on a phone the result after "give"."""
    return gr.Row(elem_classes=["tab-row"])


def zone(*names: str) -> gr.Column:
    """A zone of the tab's row: "give", "change", "get"."""
    return gr.Column(min_width=0, elem_classes=["zone", *names])


def pair() -> gr.Row:
    """Where within "get" the zones "stage-zone" and "beside" stand."""
    return gr.Row(elem_classes=["pair"])


def title(text: str) -> None:
    gr.Markdown(text, elem_classes=["zone-title"])


def notice(value: str = "") -> gr.HTML:
    """Where `look.notice` goes; its `select` is a click on the notice's button."""
    return gr.HTML(value, js_on_load=REMEDY)


def picks(value, label: str, *classes: str, columns: int, **options) -> gr.Gallery:
    """Pictures of which a click takes one."""
    return gr.Gallery(
        value or None, label=label, show_label=False, columns=columns, buttons=[],
        allow_preview=False, object_fit="cover", interactive=False,
        elem_classes=["picks", *classes], **options,
    )  # fmt: skip


def pick(files: list[str], event: gr.SelectData) -> str:
    return files[event.index]


def picture(value: str | None, label: str, *classes: str, buttons=(), **options) -> gr.Image:
    return gr.Image(
        value, label=label, alt_text=label, buttons=list(buttons), interactive=False,
        elem_classes=[*classes], **options,
    )  # fmt: skip


def slider(low, high, value, step, label: str, info: str | None = None, **options) -> gr.Slider:
    """A slider without Gradio's own reset."""
    return Slider(low, high, value, step=step, label=label, info=info, buttons=[], **options)


def number(value: int, label: str, **options) -> gr.Number:
    return gr.Number(value, label=label, precision=0, **options)


def clip_size(tab: Tab, info: str) -> None:
    """Adds size: of the clip's frames."""
    tab.size = gr.Dropdown(words.CLIP_SIZES, value=512, label=words.CLIP_SIZE, info=info)


def run_row(tab: Tab, label: str, hint: str, beside: str = "") -> None:
    """Adds run, stop, progress and clip_notice; beside: words of a second button of that name."""
    with gr.Row(elem_classes=["but-live"]):
        tab.run = gr.Button(
            label, variant="primary", scale=3, interactive=True, elem_classes=["run-button"]
        )
        if beside:
            tab.beside = gr.Button(beside, variant="primary", scale=3, min_width=150)
        tab.stop = gr.Button(
            words.STOP, scale=1, min_width=80, interactive=False, elem_classes=["stop-button"]
        )
    tab.progress = gr.HTML(look.hint(hint), elem_classes=["progress", "but-live"])
    tab.clip_notice = notice()


def clip(tab: Tab, stored: str | None, caption: str, sound: bool = False, **options) -> None:
    """Adds clip, the preview over it while it is made, and clip_caption. It plays by itself
    (page.js); with `sound`, that can be turned on.
    """
    with gr.Column(elem_classes=["stage-box"]):
        tab.clip = gr.Video(
            stored, show_label=False, label=words.CLIP, buttons=[], interactive=False,
            elem_classes=["stage"], **options,
        )  # fmt: skip
        if sound:
            gr.HTML(SOUND, elem_classes=["sound-box"])
        tab.preview = gr.HTML(elem_classes=["preview"])
    tab.clip_caption = gr.Markdown(caption, elem_classes=["caption"])


def button(label: str, *classes: str) -> gr.Button:
    return gr.Button(label, size="md", min_width=130, elem_classes=[*classes])


def get_clip(tab: Tab, stored: str | None) -> None:
    """Adds get_clip, which downloads it."""
    tab.get_clip = gr.DownloadButton(
        words.GET_CLIP, stored, size="md", min_width=130, interactive=bool(stored)
    )


def get_both(tab: Tab, given: bool, elem_id: str) -> None:
    """Adds get_both, which makes and downloads the clip beside what it was given (`shown`)."""
    tab.get_both = gr.Button(
        words.GET_BOTH, size="md", min_width=130, interactive=given, elem_classes=["while-idle"]
    )
    tab.both_file = unseen_file(elem_id)


def both_events(tab: Tab, hint: str) -> None:
    began = tab.on(tab.get_both.click, clips.begin, queue=False)
    tab.offers(tab.on(began.then, clips.save_both(hint), concurrency_limit=None), tab.both_file)
    tab.on(tab.shown.change, clips.offer_both, queue=False)


def unseen_file(elem_id: str) -> gr.DownloadButton:
    """A file made when asked for: a visible button makes it, a click on this one fetches it."""
    return gr.DownloadButton(elem_id=elem_id, elem_classes=["unseen"])


def save_events(tab: Tab, save, told: str, no: gr.Button, yes: gr.Button) -> None:
    """Two buttons fetch the picture_file that `save` makes; they tell it what is `told`."""
    for button, value in ((no, False), (yes, True)):
        saved = tab.on(button.click, save, named={told: gr.State(value)})
        tab.offers(saved, tab.picture_file)


def settings(tab: Tab, text: str) -> None:
    """Adds text: the settings of the result."""
    tab.text = gr.Textbox(
        text, label=words.SETTINGS, lines=8, max_lines=12, interactive=False, buttons=["copy"]
    )


def clip_events(tab: Tab, make, stage: gr.Tabs):
    """The run button makes a clip with `make`, Stop ends it. Returns the event that makes it."""
    hush = HUSH.format(stage.elem_id)
    began = tab.on(tab.run.click, clips.begin, queue=False, js=hush)
    made = tab.on(
        began.then, make, api_name=f"{stage.elem_id.partition('-')[0]}_clip", concurrency_limit=None
    )
    tab.turns_to("clip", tab.run.click, began.then)  # again: something may have come in between
    for event in (began, made):
        event.then(js=INTO_VIEW.format(stage.elem_id), **QUIET)
    tab.on(tab.stop.click, clips.stop, queue=False)
    given = [vars(tab)[name] for name in inspect.signature(make).parameters if name in vars(tab)]
    tab.forgets(tab.clip_notice, *(one.change for one in given if hasattr(one, "change")))
    return made


def reset_event(tab: Tab):
    """Reset gives back how the tab opened and ends whatever still runs. Returns its last event."""
    first = {}
    for name, one in vars(tab).items():
        if name == "events":
            continue
        given = one.constructor_args
        kept = {key: given[key] for key in RESET if key in given}
        if isinstance(one, gr.components.Component):
            kept = {"value": None} | kept
        if kept and name not in ("system", "footer"):
            first[one] = kept
    first[tab.weights] = {"value": tab.weights.value}  # its choices are as new as the page

    def give_back():
        return {one: gr.update(**values) for one, values in first.items()}

    ended = tab.reset.click(None, None, None, cancels=tab.events, **QUIET)
    return tab.on(ended.then(give_back, None, list(first), **QUIET).then, systems.refresh)


def stored(folder: Path, example: dict, name: str) -> str | None:
    return str(folder / name) if example else None
