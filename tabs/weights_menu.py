"""The weights menu of a tab: known weights, and others from the Hugging Face Hub."""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import gradio as gr

from gan_models import names, weights
from gan_models.errors import UserError
from tabs import jobs, look
from tabs import texts as words

HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?", re.ASCII)


def entries(settings: jobs.Settings, system: str) -> list[tuple[str, str]]:
    """(label, name) of the known weights: the command line's, the shipped, the local runs."""
    given = [
        (f"{name} (--weights)", name)
        for name, folder in settings.weights
        if weights.read_config(folder)["system"] == system
    ]
    return given + names.known_weights(system)


def folder_of(settings: jobs.Settings, name: str | None, system: str) -> Path:
    """The folder of the weights `name`; UserError where there are none at all."""
    if not name:
        raise UserError(words.NO_WEIGHTS.format(system=system))
    given = dict(settings.weights)
    if name in given:
        return Path(given[name])
    if not names.holds_weights(resolved(name)):  # deleted since
        resolved.cache_clear()
    return resolved(name)


@functools.lru_cache(maxsize=64)
def resolved(name: str) -> Path:
    """Where the weights are, found once: this is asked at each slider's move and camera frame, and
    a Hub name costs a look through its cache. What a folder holds is not remembered.
    """
    return names.find_weights(name)


def refreshed(settings: jobs.Settings, name: str | None, choices: list):
    """(weights menu, footer) when the page is opened: there may be new runs since the start."""
    return gr.Dropdown(choices=choices), look.footer(name or "", jobs.device_name(settings))


def layout(c: SimpleNamespace, choices: list, first: str | None, system: str) -> None:
    """Adds to `c`: weights, hub_name, download, fetch_stop, fetch_progress, and weights_notice,
    which the tab renders where it wants it. `first`: what the tab opens on, None: there are none.
    """
    c.weights = gr.Dropdown(choices, value=first, label=words.WEIGHTS)
    c.weights_notice = gr.HTML(
        "" if first else look.notice(words.NO_WEIGHTS.format(system=system)), render=False
    )
    with gr.Accordion(words.HUB, open=False):
        c.hub_name = gr.Textbox(
            label=words.HUB_NAME, info=words.HUB_HELP, placeholder="org/name", max_lines=1
        )
        with gr.Row():
            c.download = gr.Button(words.DOWNLOAD, scale=3)
            c.fetch_stop = gr.Button(words.STOP, scale=1, min_width=80)
        c.fetch_progress = gr.HTML()


def events(c: SimpleNamespace, begin: Callable, fetch: Callable, stop: Callable) -> None:
    """Download and its Stop, with the handlers of `fetching`."""
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    c.download.click(begin, None, None, queue=False, **quiet).then(
        fetch,
        [c.settings, c.hub_name],
        [c.weights, c.fetch_progress, c.weights_notice],
        **quiet,
    )
    c.fetch_stop.click(stop, None, None, queue=False, **quiet)


def fetching(system: str, menu: Callable[[jobs.Settings], list]) -> tuple[Callable, ...]:
    """The handlers (begin, fetch, stop) that download weights of `system` from the Hub."""
    job_name = f"{system}-fetch"  # its name for Stop

    def begin_fetch(request: gr.Request | None = None) -> None:
        jobs.Job.allow(jobs.visitor_folder(request), job_name)

    def stop_fetch(request: gr.Request | None = None) -> None:
        jobs.Job.stop(jobs.visitor_folder(request), job_name)

    @jobs.told(lambda sentence: (gr.skip(), "", look.notice(sentence, "error")))
    def fetch(settings: jobs.Settings, name: str, request: gr.Request | None = None):
        """Download weights from the Hub: yields (weights menu, progress, notice)."""
        name = (name or "").strip()
        # A visitor names repositories only: a folder of the computer that runs this page is none.
        if not HUB_NAME.fullmatch(name) or Path(name.partition("/")[0]).exists():
            raise UserError(words.BAD_REPOSITORY)
        job = jobs.Job(jobs.visitor_folder(request), job_name)
        for _ in job.run(lambda: names.find_weights(name)):
            if job.stop_asked():
                yield gr.skip(), "", look.notice(words.FETCH_STOPPED.format(name=name))
                return
            seconds = look.duration(job.status()["seconds"])
            yield gr.skip(), look.progress(words.FETCHING.format(name=name, seconds=seconds)), ""
        weights.read_config(job.result, system)
        resolved.cache_clear()  # a name without a revision may mean what was just fetched
        yield gr.Dropdown(choices=[*menu(settings), (name, name)], value=name), "", ""

    return begin_fetch, fetch, stop_fetch
