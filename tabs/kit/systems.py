"""One record per system, and what tabs do with it: the weights menu, others' weights."""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from gan_models import names, published
from gan_models import weights as files
from gan_models.errors import UserError
from tabs.kit import jobs, look, offers
from tabs.kit import texts as words
from tabs.kit.answers import Tab, answers

HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?", re.ASCII)


@dataclass(frozen=True)
class System:
    """One system's weights: what the menu offers, where they lie, and the pipeline they open."""

    name: str  # as weights call it
    kind: type  # of the pipeline
    settings: jobs.Settings

    sees_faces = False

    def menu(self) -> list[tuple[str, str]]:
        """(label, name) of the known weights: the command line's, the shipped, the local runs; then
        of the published ones that can be got.
        """
        given = [
            (f"{name} (--weights)", name)
            for name, folder in self.settings.weights
            if files.read_config(folder)["system"] == self.name
        ]
        known = given + names.known_weights(self.name)
        return known + offers.menu(self, {Path(name).name for _, name in known})

    def is_here(self, weights: str) -> bool:
        """Whether what the menu offers can be used without fetching it elsewhere."""
        return not weights.startswith(offers.PREFIX)

    def remedy(self, will_do: Callable[[str], bool]) -> look.Remedy | None:
        """The button that chooses the first weights that are here and will do."""
        here = ((label, name) for label, name in self.menu() if self.is_here(name))
        found = ((label, name) for label, name in here if will_do(name))
        return next(
            (look.Remedy(words.USE_WEIGHTS.format(label=x), name) for x, name in found), None
        )

    def first(self) -> str | None:
        """The weights that the tab opens on."""
        return next((name for _, name in self.menu() if self.is_here(name)), None)

    def folder(self, weights: str | None) -> Path:
        """UserError where there are no weights at all."""
        if not weights:
            raise UserError(words.NO_WEIGHTS.format(system=self.name))
        if not self.is_here(weights):
            name = weights.removeprefix(offers.PREFIX)
            error = UserError(words.NOT_HERE.format(name=name))
            error.kind, error.remedy = "info", self.remedy(lambda name: True)
            raise error
        if given := dict(self.settings.weights).get(weights):
            return Path(given)
        if not names.holds_weights(resolved(weights)):  # deleted since
            resolved.cache_clear()
        return resolved(weights)

    def config(self, weights: str | None) -> dict:
        return files.read_config(self.folder(weights), self.name)

    def about(self, weights: str | None) -> str:
        """Markdown under the menu: data and licence; of what can be got, where it lies."""
        if not weights:
            return ""
        if entry := offers.offered(self, weights):
            return offers.about(entry)
        config = self.config(weights)
        about = words.ABOUT_WEIGHTS.format(data=config["data"], licence=config["licence"])
        sha256 = config.get("sha256")  # of the published file
        return about + (words.ABOUT_FILE.format(sha256=sha256) if sha256 else "")

    def is_loaded(self, weights: str | None) -> bool:
        return jobs.is_loaded(self.kind, self.folder(weights), self.settings)

    def open(self, weights: str | None) -> Any:
        return jobs.pipeline(self.kind, self.folder(weights), self.settings)

    def load_now(self) -> None:
        """Load what the tab opens on, where lazy loading is discouraged."""
        if self.first():
            self.open(self.first())


@functools.lru_cache(maxsize=64)
def resolved(weights: str) -> Path:
    """Found once: it is asked at each slider's move, and a Hub name costs a look in its cache."""
    return names.find_weights(weights)


def layout(tab: Tab, system: System) -> None:
    """The bottom of a tab, in its row of zones. Adds weights, about, weights_notice, hub_name,
    download, fetch_stop, fetch_progress, hub_notice, reset and footer; and what `offers` adds.
    """
    first, fetches = system.first(), not system.settings.public
    none = "" if first else look.notice(words.NO_WEIGHTS.format(system=system.name))
    with gr.Row(elem_classes=["foot"]):
        with gr.Column(min_width=260):
            tab.weights = gr.Dropdown(system.menu(), value=first, label=words.WEIGHTS)
            tab.about = gr.Markdown(system.about(first), elem_classes=["about"])
            tab.weights_notice = gr.HTML(none)
            offers.layout(tab)
        with gr.Column(min_width=260, visible=fetches):
            with gr.Accordion(words.HUB, open=False):
                tab.hub_name = gr.Textbox(
                    label=words.HUB_NAME, info=words.HUB_HELP, placeholder="org/name", max_lines=1
                )
                with gr.Row():
                    tab.download = gr.Button(words.DOWNLOAD, scale=3)
                    tab.fetch_stop = gr.Button(words.STOP, scale=1, min_width=80)
                tab.fetch_progress = gr.HTML()
                tab.hub_notice = gr.HTML()
            if system.sees_faces:
                offers.finder(tab)
        with gr.Column(min_width=260):
            tab.reset = gr.Button(words.RESET, size="md", elem_classes=["reset"])
    tab.footer = gr.HTML(
        look.footer(first or "", system.settings.device), elem_classes=["footer-box"]
    )


def events(page: gr.Blocks, tab: Tab):
    """The buttons in notices choose weights. Returns the events that follow the opening of the page
    and another choice of weights.
    """
    notices = (one for name, one in vars(tab).items() if name.endswith("_notice"))
    tab.on([one.select for one in notices], take_remedy, queue=False)
    if not tab.system.value.settings.public:
        began = tab.on(tab.download.click, begin_fetch, queue=False)
        tab.on(began.then, fetch)
        tab.on(tab.fetch_stop.click, stop_fetch, queue=False)
        tab.forgets(tab.hub_notice, tab.hub_name.input)
        offers.events(tab)
    return tab.on(page.load, refresh), tab.on(tab.weights.change, choose)


@answers("weights", "footer")
def refresh(system: System, weights: str | None):
    """When the page is opened: there may be new runs since the start."""
    footer = look.footer(weights or "", jobs.device_name(system.settings))
    return {"weights": gr.Dropdown(choices=system.menu()), "footer": footer}


@answers("weights")
def take_remedy(system: System, event: gr.EventData):
    """Nothing but what the menu offers."""
    menu = system.menu()  # the page's own may be older
    if event.choice not in [name for _, name in menu]:
        return {}
    return {"weights": gr.Dropdown(choices=menu, value=event.choice)}


@answers("footer", "about", "offer", "offer_row", "offer_file", notice="weights_notice")
def choose(system: System, weights: str | None):
    answer = {"about": system.about(weights), **offers.shown(system, weights)}
    if weights and system.is_here(weights):
        answer["footer"] = look.footer(weights, jobs.device_name(system.settings))
    return answer


def begin_fetch(system: System, request: gr.Request | None = None) -> None:
    jobs.stop_file(system, request, "fetch").unlink(missing_ok=True)


def stop_fetch(system: System, request: gr.Request | None = None) -> None:
    jobs.stop_file(system, request, "fetch").touch()


def repository(text: str | None) -> str:
    """The Hub's name that was typed. Raises UserError for what is none."""
    name = (text or "").strip()
    # A visitor names repositories only: a folder of the computer that runs this page is none.
    if not HUB_NAME.fullmatch(name) or Path(name.partition("/")[0]).exists():
        raise UserError(words.BAD_REPOSITORY)
    return name


@answers("weights", "fetch_progress", notice="hub_notice", failed={"fetch_progress": ""})
def fetch(system: System, hub_name: str | None, request: gr.Request | None = None):
    name = repository(hub_name)
    if (entry := published.at_hub(name)) and entry.system == system.name:
        yield from offers.got(system, entry, "fetch", request, "fetch_progress", "hub_notice")
        return
    job = jobs.Job(jobs.stop_file(system, request, "fetch"))
    for _ in job.run(lambda: names.find_weights(name)):
        if job.stop.exists():
            told = look.notice(words.FETCH_STOPPED.format(name=name))
            yield {"fetch_progress": "", "hub_notice": told}
            return
        seconds = look.duration(job.status()["seconds"])
        told = words.FETCHING.format(name=name, seconds=seconds)
        yield {"fetch_progress": look.progress(told)}
    files.read_config(job.result, system.name)
    resolved.cache_clear()  # a name without a revision may mean what was just fetched
    choices = [*system.menu(), (name, name)]
    yield {"fetch_progress": "", "weights": gr.Dropdown(choices=choices, value=name)}
