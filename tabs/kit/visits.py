"""The page, which knows whose its files are: what a visitor uploaded or made goes when he does.

Gradio keeps such files in one folder for all, equal ones once, and forgets who has them; and of
each visitor who ever came it keeps a copy of the page, with the pictures in it.
"""

import ctypes
import gc
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from tabs.kit import jobs

GRACE = 60.0  # seconds; a phone that slept comes back, and a new file is on its way to somebody


class Page(gr.Blocks):
    def __init__(self, **options):
        super().__init__(**options)
        self.held: dict[str, set[str]] = {}  # by session, the files that went to or came from it
        self.gone: set[str] = set()  # sessions that left, and asked for nothing since

    async def process_api(self, block_fn, inputs, *more, session_hash=None, **options):
        """Gradio's: all that events read and change passes through it."""
        self.gone.discard(session_hash)
        self.hold(session_hash, inputs)
        answer = await super().process_api(
            block_fn, inputs, *more, session_hash=session_hash, **options
        )
        self.hold(session_hash, answer["data"])
        return answer

    def hold(self, session: str | None, values) -> None:
        for path in files_in(values):
            with suppress(OSError):
                os.utime(path)  # used just now: Gradio deletes what is old
            if session:
                self.held.setdefault(session, set()).add(path)

    def leave(self, request: gr.Request) -> None:
        """The page was closed (Gradio closes the running handlers)."""
        self.gone.add(request.session_hash)
        after_grace(self.end, request, self.forget(request))

    def forget(self, request: gr.Request) -> set[str]:
        """What the page and the jobs keep of a visit goes; returns the files that it held."""
        jobs.end_visit(request)
        self.state_holder.session_data.pop(request.session_hash, None)
        self.state_holder.time_last_used.pop(request.session_hash, None)
        return self.held.pop(request.session_hash, set())

    def end(self, request: gr.Request, files: set[str]) -> None:
        """What was still being made when the page was closed has left its traces since."""
        if request.session_hash in self.gone:
            self.gone.discard(request.session_hash)
            if late := self.forget(request):  # these files are still young
                after_grace(self.sweep, late)
        self.sweep(files)

    def sweep(self, files: set[str]) -> None:
        """Delete those that nobody has who is here, and the page itself has not. What no event has
        named yet is not among them: its visitor stands in the queue.
        """
        wanted = set().union(*list(self.held.values()))
        wanted.update(*(getattr(one, "keep_in_cache", ()) for one in self.blocks.values()))
        for file in files - wanted:
            with suppress(OSError):
                if time.time() - os.stat(file).st_ctime >= GRACE:
                    os.unlink(file)
        release_memory()


def after_grace(function, *given) -> None:
    later = threading.Timer(GRACE, function, given)
    later.daemon = True
    later.start()


def release_memory() -> None:
    """Give back what the C library keeps for each of the threads that served the visitors: of the
    1,234 MB after six clips by the shipped weights 859 MB are left.
    """
    gc.collect()
    with suppress(OSError, AttributeError):  # only glibc has this
        ctypes.CDLL(None).malloc_trim(0)


def files_in(values) -> Iterator[str]:
    """The files of the page's folder that are named in what an event reads or changes."""
    if isinstance(values, dict):
        path = os.path.abspath(str(values.get("path")))
        if Path(path).is_relative_to(get_upload_folder()):
            yield path
        values = values.values()
    if not isinstance(values, str | bytes):
        with suppress(TypeError):
            for value in values:
                yield from files_in(value)
