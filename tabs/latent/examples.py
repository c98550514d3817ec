"""Makes the example that the tab opens on, by running the tab's own handlers once.

    python -m tabs.latent.examples [WEIGHTS]     default: the first of the weights menu

Writes assets/examples/latent/: pictures, a clip, and example.json with what is said about them.
"""

import json
import shutil
import sys
from collections.abc import Iterable

from tabs import jobs, latent
from tabs import texts as words
from tabs.latent import clips, handlers, texts


def make(settings: jobs.Settings, name: str) -> None:
    """Replace the stored example by one of the weights `name`."""
    shutil.rmtree(latent.EXAMPLES, ignore_errors=True)
    latent.EXAMPLES.mkdir(parents=True)
    way = latent.WAY
    points = latent.START, latent.END
    chosen = settings, name, ""
    seconds, fps, smoothing = latent.SECONDS, latent.FPS, latent.SMOOTHING
    picture = _kept(handlers.show(*chosen, *points, 50, 100, way, False), "picture.png")
    _kept(handlers.thumbs(*chosen, *points), "start.jpg", "end.jpg")
    _kept(handlers.growth_pictures(*chosen, *points, 50, way), "growth.png")
    for answer in handlers.fill(*chosen, latent.SEEDS):
        for path, caption in answer[0] if isinstance(answer[0], list) else ():
            shutil.copyfile(path, latent.EXAMPLES / f"{caption.replace(' ', '-')}.jpg")
    _, _, _, _, caption, text, *_ = _kept(
        clips.make_clip(
            *chosen, *points, "path", seconds, fps, way, 1, smoothing, latent.CLIP_SIZE, False
        ),
        None,
        "clip.mp4",
        None,
        "frames.png",
    )
    example = {
        "weights": name,
        "picture_caption": picture[1],
        "clip_caption": f"{texts.EXAMPLE.format(weights=name)} {caption}",
        "settings": text,
    }
    (latent.EXAMPLES / "example.json").write_text(json.dumps(example, indent=2) + "\n")


def _kept(answers: Iterable[tuple], *names: str | None) -> tuple:
    """The last of `answers`; files in it are kept under `names` before the handler deletes them."""
    for answer in answers:
        for value, name in zip(answer, names, strict=False):
            path = value.get("value") if isinstance(value, dict) else value
            if name and path:
                shutil.copyfile(path, latent.EXAMPLES / name)
    missing = [name for name in names if name and not (latent.EXAMPLES / name).is_file()]
    if missing:
        raise SystemExit(f"error: {missing[0]} was not made; the page would say: {answer}")
    return answer


def main() -> None:
    settings = jobs.Settings()
    names = sys.argv[1:] or [name for _, name in handlers.menu(settings)[:1]]
    if not names:
        raise SystemExit("error: " + words.NO_WEIGHTS.format(system="progan"))
    make(settings, names[0])
    size = sum(file.stat().st_size for file in latent.EXAMPLES.iterdir())
    print(f"{latent.EXAMPLES}: {size:,} bytes")


if __name__ == "__main__":
    main()
