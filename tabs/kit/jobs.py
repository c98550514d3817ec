"""The one way tabs run work: turns on the device, pipelines, visitors' files, long jobs.

The device is held for one batch and never for a whole job, in order of arrival: a visitor who
moves a slider waits for at most one batch of each other visitor. Stop is a file in the visitor's
folder, looked for between batches: it reaches the work in whatever process that runs.
"""

import atexit
import contextvars
import errno
import functools
import hashlib
import logging
import os
import re
import shutil
import tempfile
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_models.errors import UserError

ON_ZERO_GPU = bool(os.environ.get("SPACES_ZERO_GPU"))
if ON_ZERO_GPU:
    import spaces  # has to come before torch, and exists only where GPUs are lent by the call

PIPELINES_KEPT = 4
REPORT_SECONDS = 0.2  # how often a running job tells the page how far it is
# Long jobs at work: one is computed while another's files are read and written. Two cores are busy
# with one: of 12 clips at once half are there after 57 s so, 67 s by twos, 77 s by fours.
AT_ONCE = 2 if (os.cpu_count() or 1) > 2 else 1
A_TURN = 300  # pictures that a long job makes before those who wait come first
LONGEST = 200  # bytes of a result's name without its ending; disks take 255
MOST_WAITING = 60  # each has a thread


@dataclass(frozen=True)
class Settings:
    """What the command line chose: the same for every visitor, never changed."""

    device: str = "auto"
    weights: tuple[tuple[str, str], ...] = ()  # (name, folder) pairs of --weights
    public: bool = False  # visitors make this computer fetch nothing


class Turns:
    """A lock that serves in order of arrival (a job could take a threading.Lock back at once)."""

    def __init__(self) -> None:
        self._moved = threading.Condition()
        self._line: deque[object] = deque()

    def __enter__(self) -> None:
        mine = object()
        with self._moved:
            self._line.append(mine)
            self._moved.wait_for(lambda: self._line[0] is mine)

    def __exit__(self, *_: object) -> None:
        with self._moved:
            self._line.popleft()
            self._moved.notify_all()

    def give_way(self) -> None:
        """Within the `with`: let everybody who waits go first."""
        self.__exit__()
        self.__enter__()


device = Turns()  # `with jobs.device:` around one batch; a process computes on one device


def batches(items: Iterator) -> Iterator:
    """Yield from `items`, holding the device only while the next one is being made."""
    with closing(items):
        while True:
            with device:
                item = next(items, items)
            if item is items:  # nothing yields its own iterator, so this marks the end
                return
            yield item


def lease(function: Callable) -> Callable:
    """Borrow a GPU for each call of `function` where they are lent (ZeroGPU); else `function`."""
    return spaces.GPU(duration=60)(function) if ON_ZERO_GPU else function


class _Slot:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pipeline: Any = None


_slots: OrderedDict[tuple, _Slot] = OrderedDict()
_slots_guard = threading.Lock()


def _key(kind: type, folder: Path, settings: Settings) -> tuple:
    file = Path(folder) / "model.safetensors"  # a run rewrites it; an earlier version has none
    stamp = file.stat().st_mtime_ns if file.exists() else None
    return kind, str(folder), settings.device, stamp


def pipeline(kind: type, folder: Path, settings: Settings) -> Any:
    """`kind.from_weights(folder)`, loaded once and kept; loaded again once it is rewritten.

    Visitors who ask for weights that are being loaded wait; visitors who use other weights do not.
    """
    key = _key(kind, folder, settings)
    with _slots_guard:
        for other in [k for k in _slots if k[:3] == key[:3] and k != key]:
            del _slots[other]
        slot = _slots.setdefault(key, _Slot())
        _slots.move_to_end(key)
        while len(_slots) > PIPELINES_KEPT:
            _slots.popitem(last=False)
    with slot.lock:
        if slot.pipeline is None:
            slot.pipeline = kind.from_weights(folder, device=settings.device)
    return slot.pipeline


def device_name(settings: Settings) -> str:
    """The device that --device means here, in words."""
    import torch

    from gan_models.devices import choose_device

    chosen = choose_device(settings.device)
    if chosen.type == "cuda":
        return f"{chosen} ({torch.cuda.get_device_name(chosen)})"
    return "processor (CPU)" if chosen.type == "cpu" else str(chosen)


def is_loaded(kind: type, folder: Path, settings: Settings) -> bool:
    """Whether `pipeline` would answer at once."""
    with _slots_guard:
        slot = _slots.get(_key(kind, folder, settings))
    return bool(slot and slot.pipeline)


@functools.cache
def temporary_root() -> Path:
    """The folder of everything written for visitors; it goes when the program ends."""
    root = Path(tempfile.mkdtemp(prefix="gan-atelier-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


def visitors() -> Path:
    return temporary_root() / "visitors"


def visitor_folder(request: Any = None) -> Path:
    """This visitor's own folder, made on first use (`request`: Gradio's; None outside the page)."""
    session = getattr(request, "session_hash", None) or "no-visitor"
    folder = visitors() / hashlib.sha256(session.encode()).hexdigest()[:20]  # browsers choose it
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def handed_over(request: Any, file_name: str) -> Iterator[Path]:
    """A path for a file that a handler yields to the page: Gradio copies it before it resumes the
    handler, so the file can go at the end.
    """
    mine, ending = visitor_folder(request), Path(file_name).suffix
    stem = Path(file_name).stem.encode()[:LONGEST].decode(errors="ignore")
    with tempfile.TemporaryDirectory(dir=mine, ignore_cleanup_errors=True) as folder:
        yield Path(folder) / f"{stem}{ending}"


def end_visit(request: Any) -> None:
    """The page was closed: delete this visitor's files (Gradio closes the running handlers)."""
    shutil.rmtree(visitor_folder(request), ignore_errors=True)


def stop_file(system: Any, request: Any, name: str) -> Path:
    """Where Stop is asked for, by making this file; it goes when the job is asked for anew."""
    return visitor_folder(request) / f"{system.name}-{name}.stop"


class _Abandoned(Exception):
    """The visitor left, or the program ends: the work stops, its half-made file is not wanted."""


class Line:
    """Long jobs in order of arrival, of which the first AT_ONCE are at work.

    All at once would end all late; one by one, half of them end in half the time. Who has had his
    turn of A_TURN pictures goes to the end, so that one film of an hour does not stop everybody.
    """

    def __init__(self) -> None:
        self._moved = threading.Condition()
        self._jobs: list[Job] = []

    def join(self, job: "Job") -> None:
        with self._moved:
            if len(self._jobs) >= MOST_WAITING:
                raise UserError("Too many clips wait here already. Try again in a few minutes.")
            self._jobs.append(job)

    def leave(self, job: "Job") -> None:
        with self._moved:
            self._jobs.remove(job)
            self._moved.notify_all()

    def place(self, job: "Job | None" = None) -> int:
        """1 for who is at work next, 0 for who is; None: of a job that comes now."""
        with self._moved:
            before = self._jobs.index(job) if job in self._jobs else len(self._jobs)
            return max(0, before + 1 - AT_ONCE)

    def wait(self, job: "Job") -> None:
        """Return when it is the job's turn, or the job is to end."""
        with self._moved:
            if job.done and job.done % A_TURN == 0 and len(self._jobs) > AT_ONCE:
                self._jobs.remove(job)
                self._jobs.append(job)
                self._moved.notify_all()
            while not (job.abandoned or job.stop.exists()):
                if self._jobs.index(job) < AT_ONCE:
                    return
                self._moved.wait(REPORT_SECONDS)


line = Line()
_running: set["Job"] = set()


def end_all(patience: float = 10.0) -> None:
    """The program ends: so does all work, and what it has half made goes with all other files."""
    for job in list(_running):
        job.abandoned = True
    deadline = time.monotonic() + patience  # seconds; weights that are being loaded take longer
    while _running and time.monotonic() < deadline:
        time.sleep(0.01)
    shutil.rmtree(temporary_root(), ignore_errors=True)


class Job:
    """One long piece of work with progress and Stop.

    A handler makes it, wraps what is counted in `watch`, and loops over `run`. Stop ends `watch`
    early, so the work finishes normally with what there is. When the visitor leaves, the handler's
    generator is closed, `watch` raises inside the work, and whoever writes the file removes it.

    stop: a `stop_file`. latest: the last item that went through `watch`. waits: whether it stands
    in `line`.
    """

    def __init__(self, stop: Path, total: int | None = None, waits: bool = False):
        self.stop, self.total, self.waits = stop, total, waits
        self.done, self.stopped = 0, False
        self.result: Any = None
        self.latest: Any = None
        self.abandoned = False
        self._started = time.monotonic()
        self._first_item = self._started

    def watch(self, items: Iterator) -> Iterator:
        """Count `items` as they pass; end early after Stop."""
        with closing(items):
            for item in items:
                if self._ends():
                    return
                if self.done == 0:
                    self._first_item = time.monotonic()
                yield item
                self.latest = item
                self.done += 1

    def _ends(self) -> bool:
        """Whether Stop came, once it is the job's turn."""
        if self.waits:
            line.wait(self)
        if self.abandoned:
            raise _Abandoned
        self.stopped = self.stop.exists()
        return self.stopped

    def run(self, work: Callable[[], Any]) -> Iterator[None]:
        """Run `work` in a thread, yielding now and then; then raise its error or set `result`."""
        errors: list[BaseException] = []

        def body() -> None:
            try:
                if not self._ends():
                    self.result = work()
            except BaseException as error:  # noqa: BLE001 - raised by the page's thread below
                errors.append(error)
            finally:
                if self.waits:
                    line.leave(self)
                _running.discard(self)

        # Gradio and ZeroGPU keep the request in context variables, which threads do not inherit.
        thread = threading.Thread(target=contextvars.copy_context().run, args=(body,), daemon=True)
        if self.waits:
            line.join(self)
        _running.add(self)
        thread.start()
        try:
            while True:
                thread.join(REPORT_SECONDS)
                if not thread.is_alive():
                    break
                yield
        finally:
            self.abandoned = thread.is_alive()
        if errors:
            raise errors[0]

    def status(self) -> dict[str, float | None]:
        """`seconds` so far, `rate` per second and seconds `left` (None: not known yet)."""
        now = time.monotonic()
        rate = self.done / max(now - self._first_item, 1e-3) if self.done > 1 else None
        left = (self.total - self.done) / rate if rate and self.total else None
        return {"seconds": now - self._started, "rate": rate, "left": left}


def sentence(error: Exception) -> str:
    """What the page says about `error`: its own sentence, or a general one and a log entry."""
    if isinstance(error, UserError):
        return without_folders(str(error))
    if type(error).__name__ in ("OutOfMemoryError", "MemoryError"):
        return "The memory was not enough. Choose smaller weights or a smaller clip and try again."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "The disk of the computer that runs this page is full. Free some room and try again."
    logging.getLogger("gan_atelier").error("A handler failed", exc_info=error)
    return "Something unexpected went wrong; the terminal has the details. The page works on."


def without_folders(text: str) -> str:
    """`text` with the visitor's files by their names only: where they lie is nobody's business."""
    return re.sub(rf"{re.escape(str(temporary_root()))}/(\S+/)*", "", text)
