"""Nobody reads files of the computer that runs the page, and nobody learns which are there.

Every function of the page, those of the API and the page's own, is asked by raw HTTP for a picture
that was not uploaded, as every input that takes a file or a widget's value.
"""

import json
import re
import traceback
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gan_models import images
from tabs.kit import jobs
from tests import motion_given
from tests.served import Visit, page, upload

META = {"_type": "gradio.FileData"}
TAKES_FILES = ("image", "video", "file", "uploadbutton", "html")
AT_ONCE = 2


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """(a picture that is there, a path where none is), both outside of the page's folders."""
    folder = tmp_path_factory.mktemp("private")
    noise = np.random.default_rng(5).integers(0, 255, (40, 40, 3), np.uint8)
    images.save_picture(folder / "there.png", noise, weights="puppets", settings={})
    return str(folder / "there.png"), str(folder / "gone!.png")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(jobs, "REPORT_SECONDS", 30)  # the first answer of a clip is its last
        monkeypatch.setattr(traceback, "print_exc", lambda: None)  # of each refusal
        with page(tmp_path_factory.mktemp("served"), monkeypatch) as opened:
            yield opened


def events_that_take_files(served):
    """(event, [(component id, whether that is a widget)]) for each; events that do alike once."""
    kinds = {one["id"]: one["type"] for one in served.config["components"]}
    events = {
        (re.sub(r"_\d+$", "", one["api_name"] or ""), *one["inputs"]): one
        for one in served.config["dependencies"]
        if one["backend_fn"]
    }
    inputs = [
        [(one, kinds[one] == "html") for one in event["inputs"] if kinds[one] in TAKES_FILES]
        for event in events.values()
    ]
    return [(event, taken) for event, taken in zip(events.values(), inputs, strict=True) if taken]


def namings(path, widget):
    """The ways to name a file, as an upload or in a widget's value (its box is wrong, too)."""
    named = [{"path": path}, {"path": path, "meta": META}]
    if widget:
        return [{"box": path, **named[0]}, named[1], *({"box": one} for one in (path, *named))]
    return [
        *named, path, [named[0]], {"path": None, "url": f"file://{path}", "meta": META}, [named[1]],
        {"path": f"http://a/../../../../../../../..{path}", "is_stream": True, "meta": META},
    ]  # fmt: skip


@pytest.fixture(scope="module")
def given(served, tmp_path_factory):
    files = motion_given.files(tmp_path_factory.mktemp("given"))
    return {
        "motion-portrait": upload(served, files.portrait),
        "motion-driving": upload(served, files.clip),
        "expressions-picture": upload(served, files.portrait),
        "expressions-mirror": upload(served, files.photo),
        "styles-picture": upload(served, files.portrait),
        "styles-references": [upload(served, files.photo)],
    }


def events_named(served, name):
    return [one for one in served.config["dependencies"] if one["api_name"] == name]


@pytest.fixture(scope="module")
def used(served, given):
    """Visits that have seen the crop of their portrait, have made a clip, have opened Live and had
    a face measured.
    """
    visits = [Visit(served, given) for _ in range(AT_ONCE)]
    for visit in visits:
        for name in ("show_portrait", "show_driving", "prepare", "motion_clip"):
            event = events_named(served, name)[0]
            answer = visit.queued(event, visit.asked(event))["data"]
        assert answer[2]["path"].endswith(".mp4")
        event = events_named(served, "show_picture")[0]
        assert visit.queued(event, visit.asked(event))["data"][-1] == ""
    return visits


def plain(answer, path):
    """`answer` without what differs between two requests: the path asked for, and new files'."""
    text = json.dumps(answer).replace(path, "PATH").replace(path.rpartition("/")[2], "PATH")
    return re.sub(r"[0-9a-f]{20,}", "HASH", text)


@pytest.mark.parametrize("visited", ["new", "used"])
def test_no_input_reads_a_file_that_was_not_uploaded(served, given, used, outside, visited):
    """Every naming, beside the queue and one in it; what a visitor has made before has nothing to
    do with how a file is named.
    """
    events = events_that_take_files(served)
    assert len(events) > 20

    def refused(visit, event, component, widget):
        pairs = list(zip(*(namings(path, widget) for path in outside), strict=True))
        asked = [(visit.direct, pair) for pair in pairs[: None if visited == "new" else 2]]
        for ask, pair in asked + [(visit.queued, pairs[1])] * (visited == "new"):
            there, gone = (
                plain(ask(event, visit.asked(event, {component: value})), path)
                for value, path in zip(pair, outside, strict=True)
            )
            assert there == gone, (event["api_name"], component, pair)

    def share(number):
        for event, inputs in events[number::AT_ONCE]:
            visit = used[number] if visited == "used" else Visit(served, given)
            for component, widget in inputs:
                refused(visit, event, component, widget)

    with ThreadPoolExecutor(AT_ONCE) as pool:  # some of it is waiting
        list(pool.map(share, range(AT_ONCE)))


def test_no_function_of_a_component_and_no_address_reads_one(served, used, outside):
    visit = used[0]
    live = [one["id"] for one in served.config["components"]
            if one["props"].get("elem_id") == "motion-live"]  # fmt: skip
    assert "error" in visit.server_function(live[0], "move_frame", {})
    sent = [{"ticket": path, "picture": path, "find": True} for path in outside]
    functions = {}  # each function of each kind of component once
    for block in served.blocks.blocks.values():
        names = {name for name in dir(block) if hasattr(block, name)
                 and hasattr(getattr(block, name), "_is_server_fn")}  # fmt: skip
        functions |= {(type(block), name): block._id for name in names | {"preprocess"}}
    for (_, name), block in functions.items():
        answers = [visit.server_function(block, name, data) for data in sent]
        assert answers[0] == answers[1] and "data:image" not in answers[0]
    for address in ("/file=", "/file/", "/proxy=", "/stream/", "/file=assets/../", "/download/"):
        there, gone = (served.client.get(address + path) for path in outside)
        assert there.status_code == gone.status_code >= 400
        assert plain(there.text, outside[0]) == plain(gone.text, outside[1])


def test_what_comes_back_from_the_page_is_no_update_of_a_component(served, given):
    visit = Visit(served, given)
    click = events_named(served, "click")[0]
    crop = click["inputs"][3]
    value = {"__type__": "update", "box": [0, 0, 40, 40], "GRADIO_CACHE": "", "html_template": ""}
    answer = visit.queued(click, visit.asked(click, {crop: value}))["data"][0]
    assert answer["box"] == [-15, -15, 25, 25]
    assert set(answer) == {"of", "picture", "width", "height", "faces", "box"}


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(range(200))


@pytest.mark.parametrize("content", [HEIC, b""], ids=["heic", "empty"])
def test_a_visit_goes_on_after_an_unreadable_portrait(served, given, tmp_path, content):
    (tmp_path / "photo.heic").write_bytes(content)
    bad = upload(served, tmp_path / "photo.heic")
    visit = Visit(served, given)
    show, clip = events_named(served, "show_portrait")[0], events_named(served, "motion_clip")[0]
    for _ in range(2):  # it comes after a good one, too
        visit.given = given | {"motion-portrait": bad}
        uploader, shown, _, notice = visit.queued(show, visit.asked(show))["data"]
        assert "photo.heic" in notice and "error" in notice
        assert uploader["visible"] is True and shown["visible"] is False
        *_, notice, animate, stop = visit.queued(clip, visit.asked(clip))["data"]
        assert "photo.heic" in notice and animate["interactive"] and not stop["interactive"]
        visit.given = given
        uploader, shown, _, notice = visit.queued(show, visit.asked(show))["data"]
        assert notice == "" and shown["value"]["picture"].startswith("data:image")
        answer = visit.queued(clip, visit.asked(clip))["data"]
        assert answer[2]["path"].endswith(".mp4") and answer[-3] == ""
