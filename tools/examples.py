"""Makes what the tabs ship and open on, by running the tabs' own handlers once.

    python -m tools.examples latent|motion|painting|expressions|styles [WEIGHTS]
                                                        default: the first of the menu

Writes assets/examples/<tab>/: files, and example.json with what is said about them. For "motion"
and "expressions" what a visitor picks from is drawn first; without any weights that is all. For
"painting" maps are drawn, and no weights are needed. "styles" takes the faces of "expressions".
"""

import argparse
import inspect
import json
import shutil
from dataclasses import replace

import gradio as gr

from gan_models import images
from gan_models.spade.labels import LABELS
from tabs import expressions, latent, motion, painting, styles
from tabs.kit import given as faces_given
from tabs.kit import jobs
from tabs.kit.answers import GRADIO
from tools import faces, singers
from trainers.puppets import (
    ACTION_UNITS,
    FIRST_SCORE_SEED,
    Pose,
    draw,
    random_parameters,
)

MAP_SIZE = 256  # pixels
# (domain, seed above FIRST_SCORE_SEED) of each map, in the order of painting.texts.NAMES.
MAPS = (("human", 40), ("human", 49), ("human", 44), ("cat", 43), ("cat", 45), ("robot", 44))


class Maker:
    """Runs a tab's handlers with what the tab opens on, and keeps files of their answers."""

    def __init__(self, tab, settings: jobs.Settings, weights: str, **given):
        with gr.Blocks() as page:
            components = vars(tab.build(page, settings))
        self.given = {name: getattr(one, "value", None) for name, one in components.items()}
        self.given |= {"system": tab.system(settings), "weights": weights, **given}
        self.folder = tab.EXAMPLES

    def run(self, handler, **names: str) -> dict:
        """The last of the handler's answers; its files are kept under `names` before they go."""
        inputs = [one for one in inspect.signature(handler).parameters if one not in GRADIO]
        for answer in handler(*[self.given[name] for name in inputs]):
            for key, name in names.items():
                value = answer.get(key)
                path = value["value"] if isinstance(value, dict) else value
                if path:
                    shutil.copyfile(path, self.folder / name)
            for path, _ in (*answer.get("picks", ()), *answer.get("variations", ())):
                shutil.copy(path, self.folder)
        missing = [name for name in names.values() if not (self.folder / name).is_file()]
        if missing:
            raise SystemExit(f"error: {missing[0]} was not made; the page would say: {answer}")
        return answer

    def describe(self, said: dict) -> None:
        example = json.dumps({"weights": self.given["weights"], **said}, indent=2) + "\n"
        (self.folder / "example.json").write_text(example)


def make_latent(settings: jobs.Settings, weights: str) -> None:
    shutil.rmtree(latent.EXAMPLES, ignore_errors=True)
    latent.EXAMPLES.mkdir(parents=True)
    maker, handlers = Maker(latent, settings, weights), latent.handlers
    picture = maker.run(handlers.show, picture="picture.png")
    maker.run(handlers.thumbs, start_thumb="start.jpg", end_thumb="end.jpg")
    maker.given["how_open"] = True
    maker.run(handlers.growth_pictures, grown="growth.png")
    maker.run(handlers.fill)
    noted = {"weights": weights, "label": maker.given["label"], "truncation": 1}
    the_map = latent.live.map_of(maker.given["system"], noted, latent.live.CORNERS)
    images.save_picture(maker.folder / "map.jpg", the_map, weights=weights, settings={})
    made = maker.run(latent.clips.make_clip, clip="clip.mp4", strip="frames.png")
    maker.describe({
        "picture_caption": picture["picture_caption"],
        "get_shown": picture["get_shown"]["value"],
        "get_own": picture["get_own"]["value"],
        "clip_caption": f"{latent.texts.EXAMPLE.format(weights=weights)} {made['clip_caption']}",
        "settings": made["text"],
    })  # fmt: skip


def make_motion(settings: jobs.Settings, weights: str | None) -> None:
    """Draw the portraits and driving clips; replace the stored result."""
    motion.EXAMPLES.mkdir(parents=True, exist_ok=True)
    for old in motion.EXAMPLES.glob("[pd][or]*-*"):
        old.unlink()
    singers.write_portraits(motion.EXAMPLES)
    for singer in singers.SINGERS:
        singers.write_singer(singer, motion.EXAMPLES)
    if weights:
        portrait, clip = (str(motion.EXAMPLES / one) for one in (motion.PORTRAIT, motion.SINGER))
        given = {"portrait": portrait, "driving": clip, "portrait_crop": None}
        maker = Maker(motion, settings, weights, **given)
        made = maker.run(motion.clips.make_clip, clip="clip.mp4", shown="clip-driving.mp4")
        caption = f"{motion.texts.EXAMPLE.format(weights=weights)} {made['clip_caption']}"
        maker.describe({"caption": caption, "settings": made["text"]})


def make_painting(settings: jobs.Settings, weights: str | None) -> None:
    """Draw the maps: faces at rest that look at the visitor."""
    painting.EXAMPLES.mkdir(parents=True, exist_ok=True)
    for name, (domain, seed) in zip(painting.texts.NAMES, MAPS, strict=True):
        puppet = random_parameters(FIRST_SCORE_SEED + seed, domain)
        puppet = replace(puppet, pose=Pose(), action_units=(0.0,) * len(ACTION_UNITS))
        label_map = draw(puppet, MAP_SIZE).label_map
        painting.maps.write_index_png(painting.EXAMPLES / name, label_map, LABELS["puppets"])


def make_expressions(settings: jobs.Settings, weights: str | None) -> None:
    """Draw the faces; replace the stored result."""
    shutil.rmtree(expressions.EXAMPLES, ignore_errors=True)
    expressions.EXAMPLES.mkdir(parents=True)
    faces.write_faces(expressions.EXAMPLES)
    faces.write_icons(expressions.EXAMPLES)
    if weights:
        opening = str(expressions.EXAMPLES / expressions.OPENING)
        handlers = expressions.handlers
        given = {"picture": opening, "crop": None, "emotion": expressions.TARGET}
        maker = Maker(expressions, settings, weights, **given)
        measured = maker.run(handlers.to_measured)["face"]["measured"]
        aimed = maker.run(handlers.aim)
        values = {name: aimed[name] for name in handlers.SLIDERS}
        maker.given |= {**values, "beside": False}
        maker.run(handlers.save, picture_file="result.png")
        made = maker.run(expressions.clips.make_clip, clip="clip.mp4")
        told = expressions.texts.EXAMPLE.format(weights=weights)
        maker.describe({
            "measured": measured, "values": list(values.values()), "settings": aimed["text"],
            "caption": f"{told} {aimed['caption']}",
            "clip_caption": f"{told} {made['clip_caption']}",
        })  # fmt: skip


def make_styles(settings: jobs.Settings, weights: str | None) -> None:
    """Replace the stored result."""
    if not weights:
        raise SystemExit("error: there are no weights of stargan_v2 yet.")
    shutil.rmtree(styles.EXAMPLES, ignore_errors=True)
    styles.EXAMPLES.mkdir(parents=True)
    handlers, given = styles.handlers, {"picture": faces_given.OPENING_FILE, "crop": None}
    maker = Maker(styles, settings, weights, **given, beside=False)
    domains = maker.given["system"].config(weights)["domains"]
    maker.given["domain"] = handlers.first_domain(domains)
    shown = maker.run(handlers.show)
    maker.run(handlers.save, picture_file="result.png")
    maker.run(handlers.vary)
    menu = maker.run(handlers.picture_domains)
    made = maker.run(styles.clips.make_clip, clip="clip.mp4")
    told = styles.texts.EXAMPLE.format(weights=weights)
    maker.describe({
        "settings": shown["text"], "caption": f"{told} {shown['caption']}",
        "clip_caption": f"{told} {made['clip_caption']}",
        "domain_pictures": menu["domain_pictures"],
    })  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.examples", description=__doc__)
    parser.add_argument("tab", choices=("latent", "motion", "painting", "expressions", "styles"))
    parser.add_argument("weights", nargs="?")
    options = parser.parse_args()
    tab, make = {
        "latent": (latent, make_latent),
        "motion": (motion, make_motion),
        "painting": (painting, make_painting),
        "expressions": (expressions, make_expressions),
        "styles": (styles, make_styles),
    }[options.tab]
    settings = jobs.Settings()
    make(settings, options.weights or tab.system(settings).first())
    size = sum(file.stat().st_size for file in tab.EXAMPLES.iterdir())
    print(f"{tab.EXAMPLES}: {size:,} bytes")


if __name__ == "__main__":
    main()
