"""Published files: fetched from a server on this machine, with every fault that it can have."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from file_server import FileServer
from test_fomm_official import checkpoint, filled

from gan_models import fetching, published
from gan_models.errors import UserError
from gan_models.names import find_weights, known_weights
from gan_models.weights import load_weights

CONTENT = bytes(range(256)) * 4096  # 1 MB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fetching, "PAUSE", 0)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with FileServer(CONTENT) as stand_in:
        yield stand_in


def fetched(server, *paths, sha256=""):
    """The Progress after each piece; the file is then whole, and nothing else is left."""
    places = tuple(f"{server.url}/{path}" for path in paths or ("file",))
    file, told = Path("folder") / "file", []
    pieces = fetching.download(places, file, sha256)
    while True:
        try:
            told.append(next(pieces))
        except StopIteration as end:
            assert end.value == (DIGEST, places[-1])
            break
    assert file.read_bytes() == server.content
    assert [path.name for path in file.parent.iterdir()] == ["file"]
    file.unlink()
    return told


def ranges(server):
    return [asked for _, asked in server.requests]


def refused(server, *paths, sha256=""):
    with pytest.raises(UserError) as error:
        fetched(server, *paths, sha256=sha256)
    assert not Path("folder/file").exists()
    return str(error.value)


# ---------------------------------------------------------------- the download


def test_every_piece_is_told(server):
    told = fetched(server)
    assert told[-1].done == told[-1].total == len(CONTENT) and told[-1].left == 0
    assert sorted(one.done for one in told) == [one.done for one in told]
    half = fetching.Progress(30_000_000, 50_000_000, 10_000_000, 4.0)
    assert half.rate == 5e6 and half.left == 4.0  # what was there before took no time
    assert fetching.Progress(5, None, 0, 1.0).left is None


def test_a_connection_that_breaks_is_gone_on_with(server):
    server.cuts = [300_000, 300_000]
    told = fetched(server)
    assert ranges(server) == [None, "bytes=300000-", "bytes=600000-"]
    assert told[-1].there == 0


def test_it_is_stopped_at_will_and_goes_on_another_day(server):
    server.pause = 0.01
    pieces = fetching.download((f"{server.url}/file",), Path("folder/file"))
    while next(pieces).done < 300_000:
        pass
    pieces.close()
    there = fetching.there(Path("folder/file"))
    assert there >= 300_000
    told = fetched(server)
    assert ranges(server) == [None, f"bytes={there}-"] and told[0].there == there
    Path("folder/file").write_bytes(b"whole")  # and not stored yet
    assert fetching.there(Path("folder/file")) == 5


@pytest.mark.parametrize("fault", ["other version", "no ranges", "no tag", "another place"])
def test_what_cannot_be_gone_on_with_starts_anew(server, fault):
    server.cuts, server.tag = [300_000, 0], None if fault == "no tag" else '"one"'
    assert "broke off at" in refused(server)  # nothing came of the second connection
    if fault == "other version":
        server.tag, server.content = '"two"', CONTENT[::-1]
        with pytest.raises(AssertionError):  # another sum
            fetched(server)
        return
    server.ranges = fault != "no ranges"
    told = fetched(server, *(("missing", "file2") if fault == "another place" else ()))
    assert told[-1].done == len(CONTENT) and told[-1].there == 0


def test_a_length_that_is_never_reached_is_said_and_what_came_stays(server):
    server.promised = 50_000
    assert "broke off at 1.0 MB" in refused(server) and "goes on from there" in refused(server)
    assert fetching.there(Path("folder/file")) == len(CONTENT)


def test_a_web_page_is_refused_and_the_next_place_is_asked(server):
    server.cuts = [300_000, 0]
    refused(server)
    server.page = b"<!DOCTYPE html><title>Quota exceeded</title>"
    said = refused(server, "missing", "file")
    assert "sent a web page instead" in said
    assert fetching.there(Path("folder/file")) == 300_000  # is not lost by it
    server.page, server.content = None, b"  <html>" + CONTENT  # without its type
    server.tag = '"two"'
    assert "sent a web page instead" in refused(server)
    server.content = CONTENT
    assert "answers 404" in refused(server, "missing")
    fetched(server, "missing", "file")


def test_another_file_than_was_published_is_refused(server):
    fetched(server, sha256=DIGEST[:10])
    assert DIGEST in refused(server, sha256="619a316812")
    server.stated = DIGEST
    fetched(server, "org/name/resolve/main/file")
    server.stated = "0" * 64  # as the Hub states it
    assert "instead of 000" in refused(server, "org/name/resolve/main/file")
    assert not list(Path("folder").iterdir())


def test_a_full_disk_is_a_sentence(server, monkeypatch):
    Path("folder").mkdir()
    Path("folder/file.part").symlink_to("/dev/full")
    assert "could not be written: the disk is full" in refused(server)
    Path("folder/file.part").unlink()
    usage = shutil.disk_usage(".")._replace(free=500_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert "file needs 1.0 MB more, and 0.5 MB are free" in refused(server)


def test_two_do_not_fetch_the_same_file(server):
    server.pause = 0.01
    pieces = fetching.download((f"{server.url}/file",), Path("folder/file"))
    next(pieces)
    assert "is being fetched already" in refused(server)
    pieces.close()
    fetched(server)


def test_no_connection_is_a_sentence(server):
    server.cuts = [300_000, 0]
    refused(server)
    places, file = (f"{server.url}/missing", "http://127.0.0.1:9/file"), Path("folder/file")
    with pytest.raises(UserError, match="127.0.0.1:9 cannot be reached"):
        list(fetching.download(places, file))
    assert fetching.there(file) == 300_000  # of another place, and kept for it
    server.__exit__()
    file.with_name("file.part").unlink()
    assert "cannot be reached" in refused(server)


# ---------------------------------------------------------------- the table, and importing


def test_the_table_says_all_that_a_person_should_know():
    assert len(published.TABLE) == len(published.ALL)
    for entry in published.ALL:
        about = entry.about()
        assert entry.places or entry.by_hand
        for part in (entry.file, entry.licence, entry.knows, entry.copied_by, *entry.places):
            assert part in about
    assert len(published.of("fomm")) == 8
    assert published.at_hub("huggan/pggan-celebahq-1024@main").name == "pggan-celebahq-1024"
    assert published.at_hub("huggan/pggan") is None


@pytest.fixture
def vox(server, monkeypatch, tmp_path):
    """vox-adv lies on the server of this machine, in small."""
    file = checkpoint(tmp_path / "other.pth.tar", filled("loss_small"), legacy=True)
    server.content = file.read_bytes()
    entry = replace(published.named("vox-adv"), places=(f"{server.url}/vox-adv-cpk.pth.tar",))
    monkeypatch.setitem(published.TABLE, "vox-adv", entry)
    return entry


def test_the_command_fetches_imports_and_keeps_the_sum(server, vox, capsys):
    server.cuts = [100_000, 0]
    with pytest.raises(SystemExit, match="broke off at.*goes on from there"):
        published.main(["fetch", "vox-adv"])
    published.main(["list"])
    said = capsys.readouterr().out
    assert "vox-adv (fomm, 751 MB" in said
    published.main(["fetch", "vox-adv"])
    digest = hashlib.sha256(server.content).hexdigest()
    assert f"sha256 of vox-adv-cpk.pth.tar: {digest}" in capsys.readouterr().out
    stored = load_weights(find_weights("vox-adv"), "fomm")
    assert stored.config["sha256"] == digest and "VoxCeleb" in stored.config["data"]
    assert digest in (stored.folder / "README.md").read_text()
    assert [path.name for path in Path("runs/vox-adv").iterdir()] == ["weights"]
    assert known_weights("fomm")[-1][1] == "runs/vox-adv"
    asked = len(server.requests)
    published.main(["fetch", "vox-adv"])  # it is here
    assert len(server.requests) == asked and digest in capsys.readouterr().out


def test_a_file_that_is_no_checkpoint_is_removed(server, vox):
    server.page = b"<html>"
    with pytest.raises(UserError, match="sent a web page instead.*By hand: https://drive"):
        list(published.fetch(vox))
    server.content, server.page = CONTENT, None
    with pytest.raises(UserError, match="neither a torch file nor a pickle.*is removed"):
        list(published.fetch(vox))
    assert not list(Path("runs/vox-adv").iterdir())


def test_where_a_program_cannot_fetch_it_takes_the_file_that_a_person_got(vox, tmp_path, capsys):
    entry = published.named("gaugan-coco")
    with pytest.raises(UserError, match="get latest_net_G.pth by hand from https://drive"):
        list(published.fetch(entry))
    with pytest.raises(UserError, match="holds weights of fomm, not of spade"):
        published.take(entry, tmp_path / "other.pth.tar")
    with pytest.raises(SystemExit, match="nowhere is not a file"):
        published.main(["fetch", "vox-adv", "--given", "nowhere"])
    published.main(["fetch", "vox-adv", "--given", str(tmp_path / "other.pth.tar")])
    assert (tmp_path / "other.pth.tar").is_file() and "sha256 of" in capsys.readouterr().out
    assert load_weights(find_weights("vox-adv")).config["published"] == "vox-adv"
    with pytest.raises(SystemExit, match="vox-adv is here: to take another file, move runs/vox-ad"):
        published.main(["fetch", "vox-adv", "--given", str(tmp_path / "other.pth.tar")])


def test_a_file_that_stays_whole_is_copied_or_the_cause_is_said(server, tmp_path, capsys):
    given, wing = tmp_path / "given", Path("runs/wing")
    given.write_bytes(CONTENT)
    Path("runs").mkdir()
    wing.touch()
    with pytest.raises(UserError, match="runs/wing/wing.ckpt could not be written: "):
        published.take(published.named("wing"), given)
    wing.unlink()
    published.main(["fetch", "wing", "--given", str(given)])
    assert DIGEST in capsys.readouterr().out and given.is_file()
    assert (wing / "wing.ckpt").read_bytes() == CONTENT
    assert sorted(path.name for path in wing.iterdir()) == ["wing.ckpt", "wing.ckpt.sha256"]


def test_a_stop_says_how_much_is_here(vox, monkeypatch, capsys):
    def stopped(entry):
        raise KeyboardInterrupt

    monkeypatch.setattr(published, "fetch", stopped)
    with pytest.raises(SystemExit) as end:
        published.main(["fetch", "vox-adv"])
    assert end.value.code == 130
    assert capsys.readouterr().err.endswith(
        "stopped at 0.0 MB: the same command goes on from there.\n"
    )


def test_face_alignments_files_go_where_it_looks(server, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    places = (f"{server.url}/s3fd.pth",)
    entry = replace(published.named("face-finder"), places=places, sha256=DIGEST[:8])
    list(published.fetch(entry))
    file = tmp_path / "torch" / "hub" / "checkpoints" / "s3fd-619a316812.pth"
    assert file.read_bytes() == CONTENT and entry.is_here()
    assert file.with_name(f"{file.name}.sha256").read_text() == f"{DIGEST}  {file.name}\n"
    entry = published.named("face-finder")
    with pytest.raises(UserError, match="whose sha256 begins with 619a316812"):
        file.unlink()
        published.take(entry, tmp_path / "torch" / "hub" / "checkpoints" / f"{file.name}.sha256")


def test_a_note_that_is_damaged_is_no_obstacle(server):
    server.cuts = [300_000, 0]
    refused(server)
    note = Path("folder/file.part.json")
    assert json.loads(note.read_text())["total"] == len(CONTENT)
    note.write_text("{")
    assert fetched(server)[-1].there == 0
