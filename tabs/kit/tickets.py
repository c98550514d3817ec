"""Tickets, on which hangs what the browser may ask for by itself.

A ticket names a file in the visitor's folder, in which the page's own events noted the weights and
all that changes the picture. Nobody guesses another's: the folder is named after the visit.
"""

import json
import os
import re
from pathlib import Path

from gan_models.errors import UserError
from tabs.kit import jobs
from tabs.kit import texts as words


def write(name: str, noted: dict, request) -> str:
    """Note what the browser may ask for in the tab `name`; its ticket."""
    file = jobs.visitor_folder(request) / f"{name}-live.json"
    new = file.with_suffix(".new")
    new.write_text(json.dumps(noted))
    os.replace(new, file)  # whoever reads it meanwhile finds the old one whole
    return f"{file.parent.name}/{file.name}"


def read(name: str, ticket: object) -> dict:
    """What was noted. Raises UserError for what is no ticket, and for one that ended."""
    return json.loads(file_of(ticket, rf"{name}-live\.json").read_text())


def file_of(ticket: object, name: str) -> Path:
    """The file of a ticket; name: a pattern of its name. Raises UserError as `read`."""
    file = jobs.visitors() / str(ticket)
    if not re.fullmatch(rf"[0-9a-f]{{20}}/{name}", str(ticket)) or not file.is_file():
        raise UserError(words.VISIT_OVER)
    return file
