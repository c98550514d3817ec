"""The portrait posed by sliders, without any clip: live, the newest wish only.

Which sliders there are, and how far they go, is told by the weights.
"""

from html import escape
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models import faces
from gan_models.fomm.retargeting import HEAD, NETWORK
from tabs.kit import crop as crops
from tabs.kit import jobs, layout, look, results
from tabs.kit.answers import Answer, Tab, answers
from tabs.motion import texts
from tabs.motion.handlers import Motions, portrait_box, read_portrait

SHOWN = 512  # pixels
SLIDERS = tuple(texts.SLIDERS)


def controls(system: Motions, weights: str | None) -> dict[str, list[float]]:
    """[lowest, highest] of each slider that weights offer, by name; often none."""
    if not weights or not system.is_here(weights):
        return {}
    return system.config(weights)["networks"].get(NETWORK, {}).get("controls", {})


def stage(tab: Tab, ours: Motions) -> None:
    """Adds posed, the sliders by their names, zero, get_pose, pose_file and pose_notice."""
    known = controls(ours, ours.first())
    with gr.Row():
        with gr.Column(scale=3, min_width=300):
            tab.posed = gr.HTML("", elem_id="motion-posed", elem_classes=["stage", "still"])
            tab.pose_notice = layout.notice("" if known else no_sliders(ours))
        with gr.Column(scale=2, min_width=220, visible=bool(known)) as tab.sliders:
            for name, label in texts.SLIDERS.items():
                low, high = known.get(name, (-1, 1))
                step = 1 if name in HEAD else 0.05
                slider = layout.slider(low, high, 0, step, label, visible=name in known)
                setattr(tab, name, slider)
            with gr.Row():
                tab.zero = layout.button(texts.ZERO)
                tab.get_pose = layout.button(texts.GET_POSE)
            tab.pose_of = gr.State()  # the values of the picture that is shown
            tab.pose_file = layout.unseen_file("motion-pose-file")


def events(tab: Tab) -> None:
    tab.on(
        [getattr(tab, name).input for name in SLIDERS], show, newest=True, api_name="motion_pose"
    )
    tab.on(tab.pose_tab.select, show, newest=True)
    tab.on(tab.on(tab.zero.click, to_zero).then, show)
    changes = [tab.portrait_crop.input, tab.portrait_crop.change, tab.paste.change]
    tab.on(changes, update, newest=True)
    tab.on(tab.on(tab.weights.change, offer, newest=True).then, update, newest=True)
    tab.offers(tab.on(tab.get_pose.click, save), tab.pose_file)


@answers("sliders", *SLIDERS, notice="pose_notice")
def offer(system, weights):
    """The sliders of other weights."""
    known = controls(system, weights)
    answer = {name: gr.update(visible=name in known) for name in SLIDERS}
    for name, (low, high) in known.items():
        if name in answer:
            answer[name] = gr.update(visible=True, minimum=low, maximum=high)
    told = "" if known else no_sliders(system)
    return {**answer, "sliders": gr.update(visible=bool(known)), "pose_notice": told}


def no_sliders(system: Motions) -> str:
    return look.notice(texts.NO_SLIDERS, remedy=system.remedy(lambda name: controls(system, name)))


@answers(*SLIDERS)
def to_zero():
    return dict.fromkeys(SLIDERS, 0)


@answers("posed", "pose_of", notice="pose_notice", loading=True)
def show(
    system, weights, portrait, portrait_crop, paste,
    yaw, pitch, roll, eyes, brows, mouth, smile, gaze_x, gaze_y,
):  # fmt: skip
    """The portrait as the sliders say; `pose_of` keeps what they said."""
    values = yaw, pitch, roll, eyes, brows, mouth, smile, gaze_x, gaze_y
    values = dict(zip(SLIDERS, values, strict=True))
    return again(system, weights, portrait, portrait_crop, paste, values)


@answers("posed", "pose_of", notice="pose_notice", loading=True)
def update(system, weights, portrait, portrait_crop, paste, pose_of, on_stage):
    """The same pose of another portrait, while it is on the stage."""
    if pose_of is None or on_stage != "pose":
        return {}
    return again(system, weights, portrait, portrait_crop, paste, pose_of)


def again(system, weights, portrait, portrait_crop, paste, values: dict) -> Answer:
    if not controls(system, weights):
        return {"posed": "", "pose_notice": no_sliders(system)}
    picture, _ = made(system, weights, portrait, portrait_crop, paste, values)
    data = results.data_url(picture, SHOWN, quality=95, subsampling=0)
    return {"posed": f'<img src="{data}" alt="{escape(texts.POSED)}">', "pose_of": values}


@answers("pose_file", notice="pose_notice", loading=True)
def save(
    system, weights, portrait, portrait_crop, paste, pose_of, request: gr.Request | None = None
):
    """What is shown as a PNG, at its own size."""
    picture, record = made(system, weights, portrait, portrait_crop, paste, pose_of or {})
    name = f"pose-{results.file_stem(weights)}-{len(picture)}px.png"
    with results.picture_file(request, name, picture, weights, record) as path:
        yield {"pose_file": path}


def made(
    system: Motions, weights, portrait, portrait_crop, paste, values: dict
) -> tuple[np.ndarray, dict]:
    """(the posed picture, the settings that made it)."""
    picture = read_portrait(portrait)
    box = portrait_box(system, weights, portrait, picture, portrait_crop)
    # A slider that these weights have not does not show and stays at 0.
    values = {name: value for name, value in values.items() if value != 0}
    result = posed(system, weights, picture, box, values, paste)
    about = {"portrait": Path(portrait).name, "crop": crops.corners(box)}
    return result, about | {"paste_back": bool(paste)} | values


@jobs.lease
def posed(system: Motions, weights, picture: np.ndarray, box, values: dict, paste) -> np.ndarray:
    """The crop `box` of the picture, posed, at its own size; the whole picture with `paste`."""
    pipeline = system.open(weights)
    crop = faces.crop(picture, box, pipeline.frame_size(box.side))
    with jobs.device:
        source = pipeline.encode(crop)
        result = pipeline.render(source, pipeline.pose(source, values), relative=False)[0]
    return faces.Paster(picture, box).paste(result) if paste else result
