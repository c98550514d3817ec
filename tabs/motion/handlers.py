"""What the tab "Motion transfer" does beside its clips: crops, notices, weights, explanations.

Plain functions from what the page gives to what it shows.
"""

import html
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models import faces, images, video, weights
from gan_models.errors import Unreadable, UserError
from gan_models.fomm.pipeline import FOMMPipeline
from gan_models.fomm.sources import Driving
from tabs import jobs, look, results, weights_menu
from tabs import texts as words
from tabs.motion import crop, texts

PUBLISHED = "published:"  # what the names of published weights begin with in the menu
SHOWN_EXPLAINED = 256  # pixels


# --- weights ----------------------------------------------------------------------------------


def menu(settings: jobs.Settings) -> list[tuple[str, str]]:
    """(label, name): the known weights, then the published ones that are not here."""
    known = weights_menu.entries(settings, "fomm")
    return known + [
        (texts.PUBLISHED_LABEL.format(name=name), PUBLISHED + name)
        for name in texts.PUBLISHED
        if not any(Path(here).name == name for _, here in known)
    ]


def first_choice(settings: jobs.Settings) -> str | None:
    """The weights that the tab opens on."""
    known = [name for _, name in menu(settings) if not name.startswith(PUBLISHED)]
    return known[0] if known else None


def folder_of(settings: jobs.Settings, name: str | None) -> Path:
    """Raises UserError for published weights, which are not here, and where there are none."""
    if name and name.startswith(PUBLISHED):
        raise UserError(texts.NOT_HERE.format(name=name.removeprefix(PUBLISHED)))
    return weights_menu.folder_of(settings, name, "fomm")


begin_fetch, fetch, stop_fetch = weights_menu.fetching("fomm", menu)


def config_of(settings: jobs.Settings, name: str | None) -> dict:
    return weights.read_config(folder_of(settings, name), "fomm")


def open_pipeline(settings: jobs.Settings, name: str) -> FOMMPipeline:
    return jobs.pipeline(FOMMPipeline, folder_of(settings, name), settings)


def about(settings: jobs.Settings, name: str | None) -> str:
    """Markdown under the menu: data and licence, or how to get what is not here."""
    if name and name.startswith(PUBLISHED):
        name = name.removeprefix(PUBLISHED)
        return texts.PUBLISHED_ABOUT.format(name=name, file=texts.PUBLISHED[name])
    if not name:
        return ""
    config = config_of(settings, name)
    return texts.ABOUT_WEIGHTS.format(data=config["data"], licence=config["licence"])


def choose_weights(settings: jobs.Settings, name: str | None):
    """(footer, what the weights are, notice) for other weights."""
    try:
        told = about(settings, name)
    except UserError as error:
        return gr.skip(), gr.skip(), look.notice(str(error), "error")
    here = name and not name.startswith(PUBLISHED)
    footer = look.footer(name, jobs.device_name(settings)) if here else gr.skip()
    return footer, told, ""


def refresh(settings: jobs.Settings, name: str | None):
    """(weights menu, footer) when the page is opened."""
    return weights_menu.refreshed(settings, name, menu(settings))


# --- what is given ----------------------------------------------------------------------------


def read_portrait(path: str | None) -> np.ndarray:
    """(H, W, 3) uint8. Raises UserError or Unreadable."""
    if not path:
        raise UserError(texts.NO_PORTRAIT)
    return images.read_picture(path)


def open_drive(driving: str | None, replay: str | None = None) -> Driving:
    """What the page gave: `replay` (a saved motion or a picture) goes before the clip `driving`.

    Raises UserError.
    """
    given = replay or driving
    if not given:
        raise UserError(texts.NO_DRIVING)
    return Driving(given)


def chosen_driving(value: dict | None, drive: Driving) -> faces.Box | None:
    """The driving's crop that came back from the page, without a look at its frames."""
    return crop.chosen(value, np.broadcast_to(np.uint8(0), (*drive.sides(), 3)))


def framing(config: dict, picture: np.ndarray, click=None) -> faces.Framing:
    """The crop that these weights take of a picture."""
    kind, margin = config["framing"]["kind"], config["framing"]["margin"]
    return faces.frame(picture, kind, click=click, margin=margin)


def show_portrait(settings: jobs.Settings, name: str | None, portrait: str | None):
    """A portrait was given or taken away: (uploader, crop, "Your own picture", notice)."""
    empty = gr.update(visible=True), gr.update(visible=False), gr.update(visible=False)
    if not portrait:
        return *empty, ""
    try:
        picture = read_portrait(portrait)
        found = framing(_config_or_centre(settings, name), picture)
    except Exception as error:  # noqa: BLE001 - `sentence` logs what is not a sentence itself
        return *empty, look.notice(jobs.sentence(error), "error")
    value = crop.shown(picture, found.box, found.faces)
    return (
        gr.update(visible="hidden"), gr.update(value=value, visible=True), gr.update(visible=True),
        look.notice(found.notice),
    )  # fmt: skip


def _config_or_centre(settings: jobs.Settings, name: str | None) -> dict:
    """The crop is shown for weights that are not here, too: the published ones look for faces."""
    if name and name.startswith(PUBLISHED):
        return {"framing": {"kind": "face", "margin": 0.0}, "data": "", "size": 256}
    return config_of(settings, name)


def click_portrait(settings, name, portrait, shown, event: gr.EventData):
    """A click in the picture: the crop goes to the face there, or around that place."""
    return _clicked(settings, name, shown, lambda: read_portrait(portrait), event)


def click_driving(settings, name, driving, shown, event: gr.EventData):
    return _clicked(settings, name, shown, lambda: open_drive(driving).frame(0), event)


def _clicked(settings, name, shown, read, event):
    """(crop, notice)."""
    try:
        picture = read()
        place = float(event.x), float(event.y)
        config = _config_or_centre(settings, name)
        found = framing(config, picture, click=place)
        box = found.box
        hit = any(f.left <= place[0] <= f.right and f.top <= place[1] <= f.bottom
                  for f in found.faces)  # fmt: skip
        if not hit:  # no face there: keep the size and go there
            side = (crop.chosen(shown, picture) or box).side
            box = faces.Box(
                place[0] - side / 2, place[1] - side / 2, place[0] + side / 2, place[1] + side / 2
            )
        # Only what `crop.shown` made: a dict of the visitor's own could pass for an update.
        kept = {key: shown.get(key) for key in ("picture", "width", "height", "faces")}
        return kept | {"box": crop.corners(box)}, ""
    except Exception as error:  # noqa: BLE001 - `sentence` logs what is not a sentence itself
        return gr.skip(), look.notice(jobs.sentence(error), "error")


def show_driving(settings: jobs.Settings, name: str | None, driving: str | None):
    """A clip was given or taken away: (crop, last frame's number, "Your own clip", notice).

    The crop is shown where it leaves something out; a square clip is used whole.
    """
    if not driving:
        return gr.update(value=None, visible=False), gr.skip(), gr.update(visible=False), ""
    try:
        drive = open_drive(driving)
        first = drive.frame(0)
        found = framing(_config_or_centre(settings, name), first)
    except Exception as error:  # noqa: BLE001 - `sentence` logs what is not a sentence itself
        sentence = look.notice(jobs.sentence(error), "error")
        return gr.update(value=None, visible=False), gr.skip(), gr.update(visible=True), sentence
    height, width = first.shape[:2]
    whole = crop.corners(found.box) == [0, 0, width, height]
    told = " ".join([*(drive.clip.notices if drive.clip else ()), *filter(None, [found.notice])])
    last = max(1, (drive.count or 1) - 1)
    return (
        gr.update(value=crop.shown(first, found.box, found.faces), visible=not whole),
        gr.update(maximum=last), gr.update(visible=True),
        look.notice(jobs.without_folders(told)),
    )  # fmt: skip


def warn(settings: jobs.Settings, name: str | None, portrait: str | None, driving: str | None):
    """The notice before the run: photographs given to weights that know drawn puppets."""
    try:
        config = config_of(settings, name)
    except UserError:
        return ""
    if not knows_puppets(config):
        return ""
    strangers = [
        what
        for what, path in ((texts.THE_PORTRAIT, portrait), (texts.THE_CLIP, driving))
        if path and not is_puppet(path)
    ]
    if not strangers:
        return ""
    what = texts.BOTH if len(strangers) == 2 else strangers[0]
    return look.notice(texts.PHOTOGRAPH.format(what=what))


def knows_puppets(config: dict) -> bool:
    """Whether weights were trained on nothing but what this project draws."""
    return "puppet" in config["data"].lower()


def is_puppet(path: str) -> bool:
    """Whether the label inside the file says that this project drew it."""
    try:
        if Path(path).suffix.lower() in (".mp4", ".gif"):
            label = video.clip_info(path).label
        else:
            label = images.read_settings(path)
    except Unreadable:
        return False
    return bool(label) and "puppet" in str(label.get("weights"))


def pick(files: list[str], event: gr.SelectData) -> str:
    """The file of the picture clicked in a gallery."""
    return files[event.index]


# --- the explanation --------------------------------------------------------------------------


@jobs.lease
def explained(settings, name, portrait, box, frame, frame_box, reference, how) -> dict:
    pipeline = open_pipeline(settings, name)
    with jobs.device:
        return pipeline.explain(
            portrait, frame, box=box, driving_box=frame_box, reference=reference,
            size=SHOWN_EXPLAINED, **how,
        )  # fmt: skip


@jobs.told(lambda sentence: (gr.skip(), look.notice(sentence, "error")))
def explain(settings, name, portrait, shown, driving, driving_shown, replay, moment, strength,
            mode, adapt):  # fmt: skip
    """How the portrait is moved at `moment` percent of the clip: yields (pictures, notice)."""
    folder = folder_of(settings, name)
    if not jobs.is_loaded(FOMMPipeline, folder, settings):
        yield gr.skip(), look.notice(words.LOADING)
    picture = read_portrait(portrait)
    drive = open_drive(driving, replay)
    if drive.motion:
        raise UserError(texts.NO_FRAMES_SHOWN)
    frame = drive.frame(round((drive.count - 1) * moment / 100))
    box = crop.chosen(shown, picture)
    frame_box = None if replay else crop.chosen(driving_shown, frame)
    relative = mode == "relative" and not drive.single
    reference = drive.frame(0) if relative else None
    how = {"adapt_scale": bool(adapt), "strength": checked_strength(strength)}
    pictures = explained(settings, name, picture, box, frame, frame_box, reference, how)
    yield figures(pictures), ""


def figures(pictures: dict[str, np.ndarray]) -> str:
    """The explaining pictures side by side, each with its words."""
    parts = [
        f'<figure><img src="{results.data_url(pictures[key])}" alt="{html.escape(title)}">'
        f"<figcaption>{html.escape(title)}</figcaption></figure>"
        for key, title in texts.PICTURES.items()
        if key in pictures
    ]
    return f'<div class="figures">{"".join(parts)}</div>'


def checked_strength(strength: float | None) -> float:
    """Raises UserError for what is no strength."""
    if strength is None or not 0 <= strength <= 2:
        raise UserError(texts.BAD_STRENGTH)
    return float(strength)


def asset_files(folder: Path, pattern: str) -> list[str]:
    """The shipped files of a kind, in order."""
    return [str(path) for path in sorted(folder.glob(pattern))]
