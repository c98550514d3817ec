"""Where weights are: a name's folder (given, shipped, of a run, on the Hugging Face Hub)."""

import os
import re
from pathlib import Path

from gan_models.errors import UserError
from gan_models.weights import FILE, read_config

SHIPPED = Path(__file__).resolve().parent.parent / "assets" / "weights"
RUNS = Path("runs")  # where trainers write, below the working directory
HUB_NAME = re.compile(r"([\w.-]+/[\w.-]+)(?::([\w./-]+))?(?:@([\w./-]+))?", re.ASCII)


def find_weights(name: str | Path) -> Path:
    """The weights folder that `name` means, downloaded if need be.

    In this order: a folder (a run's folder means its `weights`); a shipped name
    (`assets/weights/<name>`); a run's name (`runs/<name>/weights`); a Hugging Face name
    `org/repo`, `org/repo@revision`, `org/repo:subfolder@revision`. The Hub's cached copy comes
    first, then one online try. Without a revision the newest cached commit is used, else the
    Hub's newest; the commit is logged, so that it can be pinned.

    Raises:
        UserError: Nothing is found, or what the Hub holds is not sound. Without a network
            within 2 s, from a server that does not answer within 8 s.
    """
    name = str(name)
    path = Path(os.path.expanduser(name))
    places = [path / "weights", path]  # a run has a config.json of its own
    if path.name == name:
        places += [SHIPPED / name, RUNS / name / "weights"]
    for place in places:
        if holds_weights(place):
            return place
    if os.path.isdir(path):
        raise UserError(f"{path} has no {FILE}: it is not a weights folder.")
    match = None if ".." in re.split(r"[/:@]", name) else HUB_NAME.fullmatch(name)
    if match is None or path.parts[0] == RUNS.name or os.path.isdir(path.parts[0]):
        shipped = ", ".join(label for label, _ in known_weights(None)) or "none yet"
        raise UserError(
            f"There are no weights called {name!r:.200}: give a folder, one of the known names "
            f"({shipped}), or a Hugging Face name like org/repo@revision."
        )
    from gan_models import hub  # its client takes a while to import

    repo, subfolder, revision = match.groups()
    return hub.find(repo, (subfolder or "").strip("/"), revision)


def holds_weights(folder: Path) -> bool:
    """Whether there is a weights file, or the config.json of an earlier version; not whether it is
    sound."""
    return any(os.path.isfile(folder / name) for name in (FILE, "config.json"))


def known_weights(system: str | None) -> list[tuple[str, str]]:
    """(label, name for `find_weights`) of shipped weights, then of local runs, newest first.

    Folders whose description cannot be read are left out, as are other systems' (None: all).
    """
    runs = sorted(RUNS.glob("*/weights"), key=os.path.getmtime, reverse=True)
    places = [(folder, folder.name, "") for folder in sorted(SHIPPED.glob("*"))]
    places += [(folder, str(folder.parent), "run, ") for folder in runs]
    found = []
    for folder, name, kind in places:
        try:
            config = read_config(folder, system)
        except UserError:
            continue
        kind = "published, " if "published" in config else kind
        found.append((f"{Path(name).name} ({kind}{config['size']} px)", name))
    return found
