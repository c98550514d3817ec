"""What others have published: offered in the weights menu, fetched or given by hand, never unasked.

A `system` is here a `systems.System`, which this serves.
"""

import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import gradio as gr

from gan_models import fetching, published
from gan_models.errors import UserError
from gan_models.fetching import megabytes
from gan_models.published import Published
from tabs.kit import jobs, look
from tabs.kit import texts as words
from tabs.kit.answers import Answer, Tab, answers

PREFIX = "published:"  # what the names of such weights begin with in the menu


def menu(system, known: set[str]) -> list[tuple[str, str]]:
    """(label, name) of what can be got for the system, but for what is known by its name already;
    what a program can fetch goes first.
    """
    if system.settings.public:
        return []
    entries = [entry for entry in published.of(system.name) if entry.name not in known]
    return [(_label(entry), PREFIX + entry.name) for entry in entries]


def _label(entry: Published) -> str:
    size = f"{entry.megabytes} MB " if entry.megabytes else ""
    label = words.TO_FETCH if entry.places else words.BY_HAND
    knows = re.split(r" \(|, \d", entry.knows)[0]  # the menu is narrow
    return label.format(name=entry.name, knows=knows, size=size)


def about(entry: Published) -> str:
    """Markdown under the menu."""
    file = "" if entry.places else " --given FILE"
    return entry.about() + words.OR_COMMAND.format(name=entry.name, file=file)


def offered(system, weights: str | None) -> Published | None:
    """What this name of the menu means, if it is something to be got."""
    entry = published.TABLE.get((weights or "").removeprefix(PREFIX))
    if not entry or system.settings.public or not (weights or "").startswith(PREFIX):
        return None
    return entry if entry in published.of(system.name) else None


def layout(tab: Tab) -> None:
    """Adds offer, with offer_row (offer_fetch, offer_stop), offer_progress, offer_file; and
    offer_notice.
    """
    with gr.Column(visible=False, elem_classes=["offer"]) as tab.offer:
        with gr.Row(visible=False) as tab.offer_row:
            tab.offer_fetch = gr.Button(words.FETCH, variant="primary", scale=3)
            tab.offer_stop = gr.Button(words.STOP, scale=1, min_width=80)
        tab.offer_progress = gr.HTML()
        tab.offer_file = gr.File(label=words.OWN_FILE, height=150)
    tab.offer_notice = gr.HTML()


def finder(tab: Tab) -> None:
    """Adds finder_fetch, finder_stop, finder_progress and finder_notice."""
    entries = _finders()
    here = all(entry.is_here() for entry in entries)
    with gr.Accordion(words.FINDER, open=False, visible=not here):
        about = "\n\n".join([words.FINDER_ABOUT, *(entry.about() for entry in entries)])
        gr.Markdown(about, elem_classes=["about"])
        with gr.Row():
            tab.finder_fetch = gr.Button(words.FINDER_FETCH, scale=3)
            tab.finder_stop = gr.Button(words.STOP, scale=1, min_width=80)
        tab.finder_progress = gr.HTML()
        tab.finder_notice = gr.HTML()


def _finders() -> list[Published]:
    return [entry for entry in published.ALL if entry.system == "faces"]


def events(tab: Tab) -> None:
    """Of a page whose visitors may fetch."""
    began = tab.on(tab.offer_fetch.click, begin, queue=False)
    tab.on(began.then, fetch)
    tab.on(tab.offer_stop.click, stop, queue=False)
    tab.on(tab.offer_file.upload, take)
    tab.forgets(tab.offer_notice, tab.weights.input)
    if hasattr(tab, "finder_fetch"):
        began = tab.on(tab.finder_fetch.click, begin, queue=False)
        tab.on(began.then, fetch_finder)
        tab.on(tab.finder_stop.click, stop, queue=False)


def shown(system, weights: str | None) -> Answer:
    """The offer is shown where it is chosen."""
    entry = offered(system, weights)
    return {
        "offer": gr.update(visible=bool(entry)),
        "offer_row": gr.update(visible=bool(entry and entry.places)), "offer_file": None,
    }  # fmt: skip


def begin(system, request: gr.Request | None = None) -> None:
    jobs.stop_file(system, request, "offer").unlink(missing_ok=True)


def stop(system, request: gr.Request | None = None) -> None:
    jobs.stop_file(system, request, "offer").touch()


@answers("weights", "offer_progress", notice="offer_notice", failed={"offer_progress": ""})
def fetch(system, weights: str | None, request: gr.Request | None = None):
    entry = offered(system, weights)
    if entry is None:
        raise UserError(words.PUBLIC)
    yield from got(system, entry, "offer", request, "offer_progress", "offer_notice")


@answers("weights", "offer_progress", notice="offer_notice", failed={"offer_progress": ""})
def take(system, weights: str | None, offer_file: str | None):
    """A file that the visitor got by hand."""
    entry = offered(system, weights)
    if entry is None or not offer_file:
        raise UserError(words.PUBLIC)
    yield {"offer_progress": look.progress(words.IMPORTING.format(file=Path(offer_file).name))}
    published.take(entry, Path(offer_file))
    yield chosen(system, entry) | {"offer_progress": ""}


@answers("finder_progress", notice="finder_notice", failed={"finder_progress": ""})
def fetch_finder(system, request: gr.Request | None = None):
    if system.settings.public:
        raise UserError(words.PUBLIC)
    entries = _finders()
    for entry in entries:
        whole = yield from followed(
            system, entry, "offer", request, "finder_progress", "finder_notice"
        )
        if not whole:
            return
    sums = ", ".join(fetching.sha256_of(entry.folder() / entry.file) for entry in entries)
    told = look.notice(words.FINDER_HERE.format(sums=sums))
    yield {"finder_progress": "", "finder_notice": told}


def chosen(system, entry: Published) -> Answer:
    """The menu names what is here now, and it is chosen at once."""
    return {"weights": gr.Dropdown(choices=system.menu(), value=str(entry.folder()))}


def got(system, entry: Published, name: str, request, progress: str, notice: str):
    """Answers while it is fetched; at the end it is chosen. See `followed`."""
    if (yield from followed(system, entry, name, request, progress, notice)):
        yield chosen(system, entry) | {progress: ""}


def followed(
    system, entry: Published, name: str, request, progress: str, notice: str
) -> Iterator[Answer]:
    """Answers of what is `progress` and `notice` in this tab, while a file is fetched; returns
    whether it is here. name: of the stop file.
    """
    job = jobs.Job(jobs.stop_file(system, request, name))
    for _ in job.run(lambda: deque(job.watch(published.fetch(entry)), maxlen=0)):
        # Which takes seconds, and nothing stops it.
        importing = job.latest and job.latest.done == job.latest.total
        if job.stop.exists() and not importing:
            break
        yield {progress: look.progress(*_how_far(entry, job.latest))}
    else:
        if not job.stopped:
            return True
    done = megabytes(fetching.there(entry.folder() / entry.file))
    yield {progress: "", notice: look.notice(words.STOPPED_AT.format(done=done))}
    return False


def _how_far(entry: Published, latest: fetching.Progress | None) -> tuple[str, float | None]:
    """(a line, the share that is done)"""
    if latest is None:
        return words.ASKING.format(file=entry.file), None
    if latest.done == latest.total:
        return words.IMPORTING.format(file=entry.file), None
    left = words.LEFT.format(left=look.duration(latest.left)) if latest.left else ""
    told = words.FETCHED_SO_FAR.format(
        file=entry.file, done=megabytes(latest.done), total=megabytes(latest.total),
        rate=latest.rate / 1e6, left=left,
    )  # fmt: skip
    return told, latest.done / latest.total if latest.total else None
