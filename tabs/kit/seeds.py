"""Styles of seeds, as they travel through the page: a dict with a "name" that a visitor reads; and
the controls of tabs that mix two of them.
"""

import random
import re
from contextlib import ExitStack

import gradio as gr

from gan_models.errors import UserError
from gan_models.seeds import check_seed
from tabs.kit import layout, results
from tabs.kit import texts as words
from tabs.kit.answers import Answer, Tab, answers

FIRST_SHOWN = [11, 12, 13, 14]  # the variations that the page opens on
THUMB = 160  # pixels of the variations


def of_seed(seed: object) -> dict:
    """{"name", "seed"}. Raises UserError for what is not a seed."""
    seed = check_seed(seed)
    return {"name": f"seed {seed}", "seed": seed}


def name_of(first: dict, second: dict, share: float) -> str:
    """Of a mix, `share` percent of the way from the first style to the second."""
    if share in (0, 100):
        return (second if share else first)["name"]
    return f"{first['name']} to {second['name']}, {share:g} %"


def checked(value: object, largest: float, sentence: str) -> float:
    """Raises UserError with `sentence` for what is no number from 0 to `largest`."""
    if not isinstance(value, int | float) or not 0 <= value <= largest:
        raise UserError(sentence)
    return value


def checked_share(share: object) -> float:
    return checked(share, 100, words.BAD_SHARE)


# --- the controls


def states() -> dict[str, gr.State]:
    """The tab's `first` and `second` style, and the `seeds` of its variations."""
    styles = {"first": gr.State(of_seed(1)), "second": gr.State(of_seed(2))}
    return styles | {"seeds": gr.State(FIRST_SHOWN)}


def row(tab: Tab, which: str) -> None:
    """Adds `which`_seed, `which`_new and `which`_notice, for "first" or "second"."""
    with gr.Row(elem_classes=["seed-row"]):
        seed = layout.number(
            getattr(tab, which).value["seed"], words.STYLE_SEED[which], min_width=100,
            placeholder=words.NO_SEED,
        )  # fmt: skip
        new = gr.Button(words.NEW, size="md", min_width=90)
    vars(tab).update({f"{which}_seed": seed, f"{which}_new": new, f"{which}_notice": gr.HTML()})


def variations(tab: Tab, shown: list | None = None) -> None:
    """Adds variations and more; shown: (file, name) of each that is there already."""
    tab.variations = layout.picks(shown, words.VARIATIONS, "by-four", columns=4)
    tab.more = gr.Button(words.OTHER_STYLES, size="md")


def events(tab: Tab, show, vary) -> None:
    """After another style comes `show`, and `vary` after other seeds of the variations."""
    wishes = [tab.on(tab.swap.click, swap), tab.on(tab.variations.select, pick, newest=True)]
    for which in ("first", "second"):
        seed, new = getattr(tab, f"{which}_seed"), getattr(tab, f"{which}_new")
        notice = getattr(tab, f"{which}_notice")
        named = {"seed": seed, "style": getattr(tab, which), "notice": notice}
        tab.forgets(notice, seed.change)
        rolled = tab.on(new.click, new_seed, named=named)
        wishes += [
            tab.on(seed.input, set_seed, newest=True, named=named),
            tab.on(rolled.then, set_seed, named=named),
        ]
    for wish in wishes:
        tab.on(wish.then, show, newest=True)
    tab.on(tab.on(tab.more.click, next_seeds).then, vary, newest=True)


@answers("seed")
def new_seed():
    return {"seed": random.randrange(1000, 10000)}


@answers("style", notice="notice")
def set_seed(seed):
    """The style of a typed seed; an empty field changes nothing."""
    return {} if seed is None else {"style": of_seed(seed)}


@answers("first", "second", "first_seed", "second_seed")
def swap(first, second):
    return {"first": second, "second": first,
            "first_seed": second.get("seed"), "second_seed": first.get("seed")}  # fmt: skip


@answers("first", "first_seed", "share")
def pick(event: gr.SelectData):
    """A click on a variation takes its style, unmixed."""
    return taken(clicked(event))


def clicked(event: gr.SelectData) -> dict:
    """What a picture of a seed says below it: the next seeds may be chosen, and not yet drawn."""
    return of_seed(int(re.search(r"\d+", event.value["caption"])[0]))


def taken(style: dict) -> Answer:
    return {"first": style, "first_seed": style.get("seed"), "share": 0}


@answers("seeds")
def next_seeds(seeds: list[int]):
    return {"seeds": [seed + len(seeds) for seed in seeds]}


def varied(request, weights: str, seeds: list[int], pictures):
    """The answer that shows these pictures, one of each seed, small."""
    with ExitStack() as files:
        shown = []
        for seed, picture in zip(seeds, pictures, strict=True):
            name, small = f"seed-{seed}.jpg", results.enlarge(picture, THUMB)
            file = results.picture_file(request, name, small, weights, {"seed": seed})
            shown.append((files.enter_context(file), f"seed {seed}"))
        yield {"variations": shown}
