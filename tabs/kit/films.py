"""A clip that a visitor gives: any film and any animated picture, shown as his browser can."""

from collections.abc import Callable
from pathlib import Path

import gradio as gr

from gan_models import video
from tabs.kit import clips, jobs, look
from tabs.kit import texts as words
from tabs.kit.answers import Tab, answers
from tabs.kit.systems import System

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
    """Opens the file chooser, while no clip is being made: they share the bar and Stop."""
    return gr.UploadButton(
        label,
        file_types=["video", *ENDINGS],
        size="md",
        min_width=100,
        elem_classes=["own-film", "while-idle"],
        **options,
    )


def events(tab: Tab, name: str, notice: str, hint: str) -> None:
    """The button other_`name` gives the component `name` its film; `hint` stands where the bar is
    when nothing is made.
    """
    button = getattr(tab, f"other_{name}")
    named = {"given": button, "film": getattr(tab, name), "notice": getattr(tab, notice)}
    tab.on(button.upload, taking(hint), newest=True, named=named, concurrency_limit=None)


def taking(hint: str) -> Callable:
    """The handler that takes a film. One that browsers do not play, and a GIF, become one that they
    do, with its label; that takes as long as any clip and has its bar and Stop.
    """

    @answers("film", "progress", "preview", "run", "stop", notice="notice", failed=clips.idle(hint))
    def take(system: System, given: str, request: gr.Request | None = None):
        file = Path(given)
        if file.suffix.lower() in PLAYED:
            yield {"film": given}
            return
        clip, label = video.open_clip(file, max_side=LARGEST), video.clip_info(file).label or {}
        kept = {"weights": label.get("weights"), "settings": label.get("settings", {})}
        yield clips.begin(system, request)
        job = clips.begun(system, request, clip.frame_count)
        with jobs.handed_over(request, f"{file.stem}.mp4") as path:

            def work() -> video.ClipInfo | None:
                return clips.write(path, job.watch(clip.frames()), 1, clip.fps, audio=clip, **kept)

            yield from clips.working(job, work, hint, "notice")
            if job.result:
                part = words.CLIP_PARTLY.format(frames=job.result.frames, total=job.total)
                told = look.notice(part) if job.stopped else ""
                yield {**clips.idle(hint), "film": str(path), "notice": told}

    return take
