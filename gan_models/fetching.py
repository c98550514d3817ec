"""One large file from the net: gone on with after a break, stopped at will, checked at its end.

What is there of NAME lies beside it as NAME.part, and NAME.part.json says of which version it is,
so that the next try, today or another day, asks for the rest only.
"""

import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout
from tqdm import tqdm

from gan_models.errors import UserError, unwritten

SECONDS = 20.0  # without a byte, until a connection counts as broken
PAUSE = 1.0  # seconds before a broken one is gone on with
CHUNK = 2**20  # bytes, at most
LARGEST = 4 * 2**30  # bytes; no published file comes near


@dataclass(frozen=True)
class Progress:
    """How far a download is, in bytes; `total` is None where the server does not say."""

    done: int
    total: int | None
    there: int  # before this try
    seconds: float  # of this try

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return (self.done - self.there) / max(self.seconds, 1e-3)

    @property
    def left(self) -> float | None:
        """Seconds."""
        return (self.total - self.done) / self.rate if self.total and self.rate > 0 else None


class _NotThere(Exception):
    """This place has not the file; another may."""


class _Broken(Exception):
    """The connection came to its end before the file did."""


def download(
    places: tuple[str, ...], file: Path, sha256: str = "", by_hand: tuple[str, ...] = ()
) -> Iterator[Progress]:
    """Fetch `file` from the first of these URLs that has it, yielding after each piece. To stop,
    close the generator: the next call goes on. Returns its sha256 and the URL.

    sha256: its first digits, where they are published; the Hub states all of them. by_hand: where
    a person can get the file.

    UserError where no place has it, the connection breaks and brings nothing more, the disk is
    full, the sum is another, or somebody else is fetching it.
    """
    part, said = _with(file, ".part"), []
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(_with(part, ".lock"), timeout=0, thread_local=False)
        lock.acquire()
    except Timeout:
        raise UserError(f"{file.name} is being fetched already: wait until it is here.") from None
    except OSError as error:
        raise unwritten(file.parent, error) from error
    try:
        for url in places:
            try:
                stated = yield from _to_the_end(url, part)
            except _NotThere as error:
                said.append(str(error))
                continue
            digest = sha256_of(part)
            if digest.startswith(sha256) and digest.startswith(stated):
                os.replace(part, file)
                return digest, url
            part.unlink()
            said.append(
                f"what {host(url)} sent is not the file that was published, for its sha256 is "
                f"{digest} instead of {stated or sha256 + '...'}"
            )
        hand = f" By hand: {' or '.join(by_hand)}" if by_hand else ""
        raise UserError(f"{file.name} could not be fetched: {'; '.join(said)}.{hand}")
    finally:
        if not part.exists():
            _with(part, ".json").unlink(missing_ok=True)
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def with_bar(pieces: Iterator[Progress], name: str) -> None:
    """Fetch it all, with a bar on a terminal."""
    with tqdm(unit="B", unit_scale=True, desc=name, disable=None) as bar:
        for progress in pieces:
            bar.total, bar.initial, bar.n = progress.total, progress.there, progress.done
            bar.refresh()


def sha256_of(file: Path) -> str:
    digest = hashlib.sha256()
    with open(file, "rb") as content:
        while block := content.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def host(url: str) -> str:
    return urlsplit(url).netloc


def there(file: Path) -> int:
    """Bytes of it that an earlier try brought, which may be all."""
    return _size(file) or _size(_with(file, ".part"))


def megabytes(size: float | None) -> str:
    return "?" if size is None else f"{size / 1e6:.0f}" if size >= 1e7 else f"{size / 1e6:.1f}"


def _with(file: Path, ending: str) -> Path:
    return file.with_name(file.name + ending)


def _to_the_end(url: str, part: Path) -> Iterator[Progress]:
    """Connect until the whole file is there, as long as each connection brings more of it. Returns
    the sha256 that the server states, or "".
    """
    begun, before = time.monotonic(), _size(part)
    there = before
    while True:
        try:
            return (yield from _go_on(url, part, begun, there))
        except (_Broken, OSError, http.client.HTTPException) as error:
            reason, size = getattr(error, "reason", error), _size(part)
            if not size or _noted(part).get("url", url) != url:  # of another place
                raise _NotThere(f"{host(url)} cannot be reached ({reason})") from error
            if size <= before:
                raise UserError(
                    f"{host(url)} broke off at {megabytes(size)} MB ({reason}): fetch "
                    f"{part.stem} again, and it goes on from there."
                ) from error
        before = size
        time.sleep(PAUSE)


def _go_on(url: str, part: Path, begun: float, there: int) -> Iterator[Progress]:
    """One connection: from where an earlier one broke off, if it is still the same version."""
    noted = _noted(part)
    start = _size(part) if noted.get("url") == url and noted.get("total") else 0
    if start and start == noted["total"]:
        return noted["sha256"]
    start = start if noted.get("version") else 0
    more = {"Range": f"bytes={start}-", "If-Range": noted["version"]} if start else {}
    response, stated = _ask(url, more)
    with response:
        ranged = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers["Content-Range"] or "")
        if response.status != 206:
            start = 0  # a server without ranges, or another version
        elif not ranged or [int(one) for one in ranged.groups()] != [start, noted["total"]]:
            _with(part, ".json").unlink()
            raise _Broken("it has another length now")
        length = response.headers["Content-Length"]
        total = noted["total"] if start else int(length) if length else None
        piece = response.read1(CHUNK)
        page = (response.headers["Content-Type"] or "").startswith("text/html")
        if page or start == 0 and piece.lstrip()[:1] == b"<":
            raise _NotThere(
                f"{host(url)} sent a web page instead of it, as where too many ask for it, or "
                "where it has moved"
            )
        _room(part, total)
        tag = response.headers["ETag"] or ""
        version = response.headers["Last-Modified"] if tag[:2] in ("", "W/") else tag
        note = {"url": url, "version": version, "total": total, "sha256": stated}
        _write(_with(part, ".json"), json.dumps(note).encode(), "wb")
        done, how, there = start, "ab" if start else "wb", min(there, start)
        while piece:
            _write(part, piece, how)
            done, how = done + len(piece), "ab"
            if done > LARGEST:
                part.unlink()
                raise _NotThere(f"{host(url)} sends more than {LARGEST / 1e9:.1f} GB")
            yield Progress(done, total, there, time.monotonic() - begun)
            piece = response.read1(CHUNK)
    if total is not None and done != total:
        raise _Broken(f"it has {megabytes(total)}")
    return stated


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Hands on what the Hub states of a file before it sends on to where that lies."""

    stated = ""

    def redirect_request(self, request, response, code, message, headers, url):
        self.stated = _stated(headers) or self.stated
        return super().redirect_request(request, response, code, message, headers, url)


def _stated(headers) -> str:
    tag = (headers["X-Linked-ETag"] or "").strip('"')
    return tag if re.fullmatch(r"[0-9a-f]{64}", tag) else ""


def _ask(url: str, more: dict):
    """(the response, the sha256 that was stated on the way to it, or "")."""
    way = _Redirects()
    headers = {"User-Agent": "gan-atelier", "Accept-Encoding": "identity", **more}
    try:
        opened = urllib.request.build_opener(way).open(
            urllib.request.Request(url, headers=headers), timeout=SECONDS
        )
    except urllib.error.HTTPError as error:
        raise _NotThere(f"{host(url)} answers {error.code} ({error.reason})") from error
    return opened, _stated(opened.headers) or way.stated


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _noted(part: Path) -> dict:
    try:
        return json.loads(_with(part, ".json").read_bytes())
    except (OSError, ValueError):
        return {}


def _room(part: Path, total: int | None) -> None:
    free, more = shutil.disk_usage(part.parent).free, (total or 0) - _size(part)
    if free < more:
        raise UserError(
            f"The disk of {part.parent} is too full: {part.stem} needs {megabytes(more)} MB more, "
            f"and {megabytes(free)} MB are free. Make room and fetch it again."
        )


def _write(file: Path, content: bytes, how: str) -> None:
    try:
        with open(file, how) as out:
            out.write(content)
    except OSError as error:
        raise unwritten(file, error) from error
