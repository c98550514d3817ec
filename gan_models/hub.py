"""Weights folders on the Hugging Face Hub: the cached copy first, then one online try.

Only config.json, the safetensors that it describes, and README.md are ever fetched. Used through
`gan_models.names.find_weights`, which imports this when a Hub name is asked for: the client takes a
third of a second.
"""

import logging
import os
import re
import socket
import threading
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from huggingface_hub import constants, errors, get_hf_file_metadata, hf_hub_download, hf_hub_url

from gan_models.errors import UserError
from gan_models.weights import files_of, parse_description, read_config

# The library would ask the Hub for a list of known callers and name its caller in each request.
constants.HF_HUB_DISABLE_TELEMETRY = True

logger = logging.getLogger(__name__)

COMMIT = re.compile(r"[0-9a-f]{40}")
MAX_BYTES = {".safetensors": 4 * 2**30, ".json": 2**20, ".md": 2**20}
CONNECT_SECONDS = 1.5  # until "no connection"; the sentence then comes within 2 s
ANSWER_SECONDS = 4.0  # until "did not answer", for one request; the sentence within 8 s
REFUSALS = {
    errors.GatedRepoError: "its owner asks for consent; give it on its page and set HF_TOKEN",
    errors.RepositoryNotFoundError: "there is no such repository, or it is private (then set "
    "HF_TOKEN)",
    errors.RevisionNotFoundError: "the repository has no such revision; name another one after "
    "the @",
    errors.RemoteEntryNotFoundError: "a file is not there, so it is not a weights folder of this "
    "project",
}


def find(repo: str, subfolder: str = "", revision: str | None = None) -> Path:
    """The folder in the Hub's local cache that holds these weights, downloaded if need be: see
    `gan_models.names.find_weights`, which splits the name. What was cached before stays.

    UserError for what is not cached and not reachable, or not a sound weights folder.
    """
    name = repo + (f":{subfolder}" if subfolder else "")
    storage = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    folder = _cached(storage, subfolder, revision)
    if folder is None:
        try:
            folder = _download(storage, repo, subfolder, revision or "main")
        except UserError:
            raise
        except (errors.HTTPError, OSError, ValueError) as error:  # all that the client raises
            raise UserError(_sentence(f"{name}@{revision or 'main'}", error)) from error
    commit = folder.relative_to(storage / "snapshots").parts[0]
    if revision != commit:
        logger.warning("%s is at commit %s; pin it as %s@%s", name, commit, name, commit)
    return folder


def _cached(storage: Path, subfolder: str, revision: str | None) -> Path | None:
    """A complete, sound copy of this revision (None: of the newest cached commit), or None."""
    if revision is None:
        snapshots = sorted(storage.glob("snapshots/*"), key=os.path.getmtime, reverse=True)
    else:
        reference = storage / "refs" / revision
        commit = reference.read_text().strip() if reference.is_file() else revision
        snapshots = [storage / "snapshots" / commit] if COMMIT.fullmatch(commit) else []
    for snapshot in snapshots:
        try:
            read_config(snapshot / subfolder)
        except UserError:
            continue
        return snapshot / subfolder
    return None


def _download(storage: Path, repo: str, subfolder: str, revision: str) -> Path:
    """Fetch one commit's weights folder into the cache, and check it. UserError for files that are
    not sound; HTTPError, OSError, ValueError from the client, or for no connection.
    """
    if constants.HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE is set")
    try:
        _within(CONNECT_SECONDS, _connect, constants.ENDPOINT)
    except OSError as error:
        raise ConnectionError("there is no connection to it") from error
    path = f"{subfolder}/" if subfolder else ""
    config = _fetch(repo, f"{path}config.json", revision)  # first: others' repositories end here
    folder, commit = config.parent, config.relative_to(storage / "snapshots").parts[0]
    for file in files_of(parse_description(config.read_bytes(), config)).values():
        # What is there is not sound, or it would have been used.
        _fetch(repo, f"{path}{file}", commit, again=(folder / file).exists())
    try:
        _fetch(repo, f"{path}README.md", commit)
    except errors.RemoteEntryNotFoundError:
        logger.info("%s has no model card", repo)
    read_config(folder)
    return folder


def _fetch(repo: str, file: str, revision: str, again: bool = True) -> Path:
    """Bring one file into the cache; the library checks its length before it keeps it.

    Its size is asked first, with a deadline: the download's own retries would last minutes.
    """
    url = hf_hub_url(repo, file, revision=revision, endpoint=constants.ENDPOINT)
    found = _within(ANSWER_SECONDS, get_hf_file_metadata, url, timeout=ANSWER_SECONDS)
    limit = MAX_BYTES[os.path.splitext(file)[1]]
    if found.size is not None and found.size > limit:
        raise UserError(f"{repo}: {file} is larger than {limit:,} bytes and is refused.")
    where = {"endpoint": constants.ENDPOINT, "cache_dir": constants.HF_HUB_CACHE}
    return Path(hf_hub_download(repo, file, revision=revision, force_download=again, **where))


def _connect(endpoint: str) -> None:
    """Open and close a connection to the Hub, or to the proxy that leads there."""
    url = urlsplit(endpoint)
    proxies = {} if proxy_bypass(url.hostname) else getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if proxy:
        url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    port = url.port or {"http": 80, "https": 443}.get(url.scheme, 1080)
    socket.create_connection((url.hostname, port), CONNECT_SECONDS).close()


def _within(seconds: float, function: Callable, *args, **kwargs):
    """The result of `function(...)`, or TimeoutError after `seconds`.

    In a thread, because a name look-up has no timeout and a socket's starts anew at each byte.
    """
    answer: futures.Future = futures.Future()

    def work():
        try:
            answer.set_result(function(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the caller raises it
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        return answer.result(timeout=seconds)
    except futures.TimeoutError:
        raise TimeoutError(f"it did not answer within {seconds:g} s") from None


def _sentence(name: str, error: Exception) -> str:
    """What went wrong, for a person."""
    words = next((words for kind, words in REFUSALS.items() if isinstance(error, kind)), None)
    if words is None:
        words = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        words += ". Try again later, or use weights that are already here"
    return f"Could not get {name} from the Hugging Face Hub: {words}."
