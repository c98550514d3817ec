"""A clip that a visitor gives: any film and any animated picture, shown as his browser can."""

from pathlib import Path

import gradio as gr

from gan_models import video
from tabs.kit import jobs
from tabs.kit.answers import Tab, answers

ENDINGS = sorted(video.FILM_ENDINGS)
PLAYED = (".mp4", ".m4v", ".webm", ".mov", ".ogv")  # by browsers; the rest is written as .mp4
LARGEST = 1024  # pixels of the longer side of what is written


def film(value: str | None, label: str, **options) -> gr.Video:
    """Shown; recorded where it was taken away. Its `own` button opens files, or what is dropped
    here (page.js): Gradio's own upload of a video refuses GIFs.
    """
    return gr.Video(
        value, label=label, sources=["webcam"], webcam_options=gr.WebcamOptions(mirror=False),
        include_audio=True, buttons=[], elem_classes=["given-film"], **options,
    )  # fmt: skip


def own(label: str, **options) -> gr.UploadButton:
    """Opens the file chooser."""
    return gr.UploadButton(
        label,
        file_types=["video", *ENDINGS],
        size="md",
        min_width=100,
        elem_classes=["own-film"],
        **options,
    )


def events(tab: Tab, name: str, notice: str) -> None:
    """The button other_`name` gives the component `name` its film."""
    button = getattr(tab, f"other_{name}")
    named = {"given": button, "film": getattr(tab, name), "notice": getattr(tab, notice)}
    tab.on(button.upload, take, named=named)


@answers("film", notice="notice")
def take(given: str, request: gr.Request | None = None):
    """A film that browsers do not play, and a GIF, become one that they do, with its label."""
    file = Path(given)
    if file.suffix.lower() in PLAYED:
        yield {"film": given}
        return
    clip, label = video.open_clip(file, max_side=LARGEST), video.clip_info(file).label or {}
    told = {"weights": label.get("weights"), "settings": label.get("settings", {})}
    with jobs.handed_over(request, f"{file.stem}.mp4") as path:
        video.write_clip(path, clip.frames(), clip.fps, audio=clip, **told)
        yield {"film": str(path)}
