"""Makes what the tab ships and opens on.

    python -m tabs.motion.examples [WEIGHTS]     default: the first of the weights menu

Draws the portraits and driving clips into assets/examples/motion/ and runs the tab's own handler
once: clip.mp4, clip-driving.mp4 and example.json with what is said about them. Without any weights
only the material is drawn.
"""

import json
import shutil
import sys

from tabs import jobs, motion
from tabs.motion import clips, handlers, puppets, texts


def draw_material() -> None:
    """Replace the portraits and driving clips."""
    motion.EXAMPLES.mkdir(parents=True, exist_ok=True)
    for old in motion.EXAMPLES.glob("[pd][or]*-*"):
        old.unlink()
    puppets.write_portraits(motion.EXAMPLES)
    for singer in puppets.SINGERS:
        puppets.write_singer(singer, motion.EXAMPLES)


def make(settings: jobs.Settings, name: str) -> None:
    """Replace the stored result by one of the weights `name`, with the tab's own defaults."""
    portrait, singer = (str(motion.EXAMPLES / one) for one in (motion.PORTRAIT, motion.SINGER))
    answers = clips.make_clip(
        settings, name, portrait, None, singer, None, None, motion.STRENGTH, "relative", True,
        "first", 0, 0, False, motion.CLIP_SIZE,
    )  # fmt: skip
    kept = {2: "clip.mp4", 4: "clip-driving.mp4"}
    for answer in answers:
        for place, file_name in kept.items():
            value = answer[place]
            path = value.get("value") if isinstance(value, dict) else value
            if path:
                shutil.copyfile(path, motion.EXAMPLES / file_name)
    if answer[5] == clips.SKIPS[0]:
        raise SystemExit(f"error: no clip was made; the page would say: {answer[8]}")
    example = {
        "weights": name,
        "caption": f"{texts.EXAMPLE.format(weights=name)} {answer[5]}",
        "settings": answer[6],
    }
    (motion.EXAMPLES / "example.json").write_text(json.dumps(example, indent=2) + "\n")


def main() -> None:
    settings = jobs.Settings()
    names = sys.argv[1:] or [name for name in [handlers.first_choice(settings)] if name]
    draw_material()
    for name in names[:1]:
        make(settings, name)
    size = sum(file.stat().st_size for file in motion.EXAMPLES.iterdir())
    print(f"{motion.EXAMPLES}: {size:,} bytes")


if __name__ == "__main__":
    main()
