"""What the tab "Style translation" does beside its clips and grids."""

from contextlib import ExitStack
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models.errors import Unreadable, UserError
from tabs.kit import crop as crops
from tabs.kit import given, jobs, look, results
from tabs.kit import texts as words
from tabs.kit.answers import Answer, answers
from tabs.kit.seeds import THUMB, name_of, of_seed, taken, varied
from tabs.styles import subject, texts

SHOWN = ("compared", "caption", "text", "style_notice")
MOST = 12  # references, and pictures of a grid
MENU, TILE = 40, 96  # domains with a picture in the menu, and its pixels
# --- weights and pictures


@answers("domain", notice="missing", loading=True)
def prepare(system, weights, domain):
    """When the page opens and for other weights: their domains, and what they lack."""
    if not weights or not system.is_here(weights):  # said where they are chosen
        return {}
    pipeline = system.open(weights)
    kept = domain if domain in pipeline.domains else first_domain(pipeline.domains)
    return {
        "domain": gr.update(choices=list(pipeline.domains), value=kept),
        "missing": look.notice(pipeline.notice),
    }


def first_domain(domains) -> str | None:
    """Another one than the picture's that the tab opens on."""
    opening = subject.domain_of(given.OPENING_FILE)
    return next(iter([*(one for one in domains if one != opening), *domains]), None)


@answers("domain_pictures", notice="change_notice", loading=True)
def picture_domains(system, weights, picture, crop):
    """The square in the usual style of each domain, beside the domain's name in the menu."""
    if not given.usable(system, weights, picture):
        return {}
    box, domains = subject.square(system, weights, picture, crop), system.open(weights).domains
    codes = [
        subject.numbers(system, weights, domain, [of_seed(0)], 0)[0] for domain in domains[:MENU]
    ]
    rules = (
        f"#styles-domain label:nth-of-type({place})::before "
        f"{{ background-image: url({results.data_url(made, TILE)}); }}"
        for place, made in enumerate(subject.translated(system, weights, picture, box, codes), 1)
    )
    return {"domain_pictures": f"<style>{' '.join(rules)}</style>"}


@answers(*given.EMPTY, *SHOWN, notice="give_notice", loading=True, failed=given.EMPTY)
def show_picture(system, weights, picture, domain, first, second, share, strength, view):
    """Another picture, or other weights."""
    if not picture:
        yield given.EMPTY
        return
    answer = given.framed(system, weights, picture)
    yield answer
    crop = answer["crop"]["value"]
    made = shown(system, weights, picture, crop, domain, first, second, share, strength, view)
    yield {"give_notice": answer["give_notice"]} | made


# --- the picture in a style


@answers(*SHOWN, notice="change_notice", loading=True)
def show(system, weights, picture, crop, domain, first, second, share, strength, view):
    """The picture in the style that is chosen."""
    return shown(system, weights, picture, crop, domain, first, second, share, strength, view)


def shown(system, weights, picture, crop, domain, first, second, share, strength, view) -> Answer:
    asked = system, weights, picture, crop, domain, first, second, share, strength
    box, made, record = planned(*asked)
    caption = texts.DONE.format(picture=record["picture"], domain=domain, style=record["style"])
    domains = system.config(weights)["domains"]
    used = {0: [first], 100: [second]}.get(share, [first, second])
    return {
        "compared": comparison(*subject.pair(picture, box, made, view)),
        "caption": caption, "text": results.lines(record),
        "style_notice": look.notice(foreign(domains, domain, used)),
    }  # fmt: skip


def comparison(before, after) -> dict:
    """The value of `compared` for two pictures."""
    urls = map(results.large_url, (before, after))
    told = {"before_alt": texts.BEFORE_ALT, "after_alt": texts.AFTER_ALT}
    return dict(zip(("before", "after"), urls, strict=True)) | told


def foreign(domains, domain, styles) -> str:
    """The sentence on a reference of another domain; "" without one that is known as such."""
    for style in styles:
        there = subject.domain_of(style["file"]) if "file" in style else domain
        if there in domains and there != domain:
            name = style["name"].removeprefix(subject.OF)
            return texts.FOREIGN.format(style=name, there=there, domain=domain)
    return ""


def planned(system, weights, picture, crop, domain, first, second, share, strength):
    """(the square, it translated, the settings). Raises UserError."""
    box = subject.square(system, weights, picture, crop)
    style = subject.mixed(system, weights, domain, first, second, share, strength)
    made = next(subject.translated(system, weights, picture, box, [style]))
    record = settings_of(weights, picture, box, domain, strength)
    return box, made, record | {"style": name_of(first, second, share)}


def settings_of(weights, picture, box, domain, strength) -> dict:
    square = ", ".join(f"{edge:g}" for edge in crops.corners(box))
    record = {"weights": weights, "picture": Path(picture).name[-120:], "square": square}
    return record | {"domain": domain, "strength": f"{strength:g} %"}


# --- styles


@answers("first", "first_seed", "share")
def pick_reference(files, event: gr.SelectData):
    """A click on a reference takes its style; files: styles, as in `subject`."""
    return taken(files[event.index])


@answers("references", "given", "through", "sliding", "first", "first_seed", "share",
         notice="reference_notice", loading=True)  # fmt: skip
def read_references(system, weights, reference_files, request: gr.Request | None = None):
    """The visitor's own references; the newest becomes the first style. What cannot be read is
    said, the others stay.
    """
    told, made, styles = [], [], []
    paths = reference_files or []
    with ExitStack() as files:
        for path in paths[:MOST]:
            try:
                part = subject.cut(path, subject.square(system, weights, path), THUMB)
            except Unreadable as error:
                told.append(jobs.sentence(error))
                continue
            name = results.file_stem(Path(path).stem)[:60]
            file = results.picture_file(request, f"{len(made)}-{name}.jpg", part, weights, {})
            made.append((files.enter_context(file), Path(path).name[-60:]))
            styles.append(subject.of_file(path))
        if len(paths) > MOST:
            told.append(texts.TOO_MANY.format(most=MOST, count=len(paths)))
        answer = {"references": gr.update(value=made, visible=bool(made)), "given": styles}
        several = texts.THROUGH.format(count=len(styles))
        answer["through"] = gr.update(value=True, label=several, visible=len(styles) > 1)
        answer["sliding"] = gr.update(visible=len(styles) > 1)
        kind = {"kind": "error"} if told and not made else {}
        answer["reference_notice"] = look.notice(" ".join(told), **kind)
        yield answer | (taken(styles[-1]) if styles else {})


@answers("variations", notice="change_notice", loading=True)
def vary(
    system, weights, picture, crop, domain, strength, seeds, request: gr.Request | None = None
):
    """The square in the styles of other seeds, small."""
    if not given.usable(system, weights, picture):
        return
    box, styles = subject.square(system, weights, picture, crop), list(map(of_seed, seeds))
    codes = subject.numbers(system, weights, domain, styles, subject.checked(strength))
    made = subject.translated(system, weights, picture, box, codes)
    yield from varied(request, weights, seeds, made)


# --- downloads


@answers("picture_file", notice="file_notice", loading=True)
def save(
    system, weights, picture, crop, domain, first, second, share, strength, view, beside,
    request: gr.Request | None = None,
):  # fmt: skip
    """What is shown as a PNG, the whole picture at full size; `beside`: before on its left."""
    if not picture:
        raise UserError(words.NO_PICTURE)
    asked = system, weights, picture, crop, domain, first, second, share, strength
    box, made, record = planned(*asked)
    both = subject.pair(picture, box, made, view, largest=None)
    made = np.hstack(both) if beside else both[1]
    stem = results.file_stem(f"{Path(picture).stem}-{domain}")
    with results.picture_file(
        request, f"{stem}{'-both' if beside else ''}.png", made, weights, record
    ) as path:
        yield {"picture_file": path}
