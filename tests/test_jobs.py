"""The one way tabs run work: turns on the device, loading, Stop, visitors' files, errors."""

import errno
import logging
import os
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from gan_models import video
from gan_models.errors import Unreadable, UserError
from tabs.kit import clips, jobs, texts

WAIT = 20  # seconds until a hanging test fails; nothing here takes a tenth of one


class Pipeline:
    """Counts how often it is loaded; `hold` keeps a load from ending."""

    loads: list = []
    hold = threading.Event()

    @classmethod
    def from_weights(cls, folder, device):
        cls.loads.append((folder.name, device))
        if folder.name == "slow":
            cls.hold.wait(WAIT)
        return cls()


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Makes weights folders of a given name; no pipelines are loaded yet."""
    monkeypatch.setattr(jobs, "_slots", type(jobs._slots)())
    monkeypatch.setattr(Pipeline, "loads", [])
    monkeypatch.setattr(Pipeline, "hold", threading.Event())

    def make(name):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").touch()
        return tmp_path / name

    return make


def in_threads(*functions):
    threads = [threading.Thread(target=function, daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    return threads


def join(threads):
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()


# --- the device


def test_the_device_is_given_in_order_of_arrival():
    turns, order = jobs.Turns(), []

    def take(name):
        with turns:
            order.append(name)

    with turns:
        threads = []
        for name in range(8):
            threads += in_threads(lambda name=name: take(name))
            while len(turns._line) < name + 2:  # the holder and those who wait
                threads[-1].join(0.001)
    join(threads)
    assert order == list(range(8))


def test_the_device_is_passed_on_after_an_error():
    turns = jobs.Turns()
    with pytest.raises(RuntimeError), turns:
        raise RuntimeError
    with turns:
        assert len(turns._line) == 1


def test_a_job_holds_the_device_for_one_batch_only():
    held = []

    def work():
        for number in range(3):
            held.append(len(jobs.device._line))
            yield number

    for _ in jobs.batches(work()):
        held.append(len(jobs.device._line))
        with jobs.device:  # between batches it is free: nobody waits for ever
            pass
    assert held == [1, 0] * 3


def test_two_jobs_take_turns_batch_by_batch():
    order, ended = [], []

    def work(name):
        def five():
            for _ in range(5):
                order.append(name)
                while len(jobs.device._line) < 2 and not ended:  # until the other one waits
                    threading.Event().wait(0.001)
                yield name

        for _ in jobs.batches(five()):
            pass
        ended.append(name)

    join(in_threads(lambda: work("a"), lambda: work("b")))
    assert order in (["a", "b"] * 5, ["b", "a"] * 5)


def test_a_lease_is_the_function_itself_where_no_gpus_are_lent():
    assert jobs.lease(len) is len


# --- pipelines


def test_a_pipeline_is_loaded_once_for_all_visitors(folders):
    folder, settings, seen = folders("a"), jobs.Settings(device="cpu"), []
    assert not jobs.is_loaded(Pipeline, folder, settings)
    ask = lambda: seen.append(jobs.pipeline(Pipeline, folder, settings))  # noqa: E731
    join(in_threads(*[ask] * 8))
    assert Pipeline.loads == [("a", "cpu")] and len(set(map(id, seen))) == 1
    assert jobs.is_loaded(Pipeline, folder, settings)


def test_loading_does_not_keep_visitors_of_other_weights_waiting(folders):
    slow, fast, settings = folders("slow"), folders("fast"), jobs.Settings()
    waiting = in_threads(lambda: jobs.pipeline(Pipeline, slow, settings))
    while ("slow", "auto") not in Pipeline.loads:
        waiting[0].join(0.001)
    assert jobs.pipeline(Pipeline, fast, settings)
    assert not jobs.is_loaded(Pipeline, slow, settings)
    Pipeline.hold.set()
    join(waiting)


def test_rewritten_weights_are_loaded_again_and_few_are_kept(folders):
    folder, settings = folders("a"), jobs.Settings()
    first = jobs.pipeline(Pipeline, folder, settings)
    os.utime(folder / "model.safetensors", (1, 1))
    assert jobs.pipeline(Pipeline, folder, settings) is not first
    assert len(jobs._slots) == 1
    for name in "bcdef":
        jobs.pipeline(Pipeline, folders(name), settings)
    assert len(jobs._slots) == jobs.PIPELINES_KEPT
    assert not jobs.is_loaded(Pipeline, folder, settings)


def test_a_load_that_fails_is_tried_again(folders):
    class Failing(Pipeline):
        @classmethod
        def from_weights(cls, folder, device):
            super().from_weights(folder, device)
            if len(cls.loads) == 1:
                raise UserError("truncated")
            return cls()

    folder, settings = folders("a"), jobs.Settings()
    with pytest.raises(UserError):
        jobs.pipeline(Failing, folder, settings)
    assert jobs.pipeline(Failing, folder, settings)


# --- jobs


def iter_of(*items):
    yield from items


def test_stop_ends_a_job_with_what_there_is(tmp_path):
    job = jobs.Job(tmp_path / "stop", 100)

    def numbers():
        for number in range(100):
            if number == 3:
                job.stop.touch()
            yield number

    for _ in job.run(lambda: list(job.watch(numbers()))):
        pass
    assert job.result == [0, 1, 2] and job.stopped and job.done == 3 and job.latest == 2

    again = jobs.Job(tmp_path / "stop", 2)
    assert again.stop.exists()
    again.stop.unlink()
    for _ in again.run(lambda: list(again.watch(iter_of(1, 2)))):
        pass
    assert again.result == [1, 2] and not again.stopped


def test_progress_says_how_fast_and_how_long(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(jobs, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    job = jobs.Job(tmp_path / "stop", 10)
    assert job.status()["left"] is None
    clock[0] = 103.0  # loading took three seconds, which say nothing about the rate
    items = job.watch(iter_of(*range(10)))
    for _ in range(5):
        next(items)
        clock[0] += 0.5
    assert job.done == 4
    assert job.status() == {"seconds": 5.5, "rate": 4 / 2.5, "left": 6 * 2.5 / 4}


def test_an_error_in_the_work_reaches_the_handler(tmp_path):
    job = jobs.Job(tmp_path / "stop")
    with pytest.raises(ZeroDivisionError):
        for _ in job.run(lambda: 1 // 0):
            pass


def test_only_somebody_elses_job_is_waited_for():
    system, me, other = SimpleNamespace(name="x"), visitor("me"), visitor("other")

    def told():
        return clips.begin(system, me)["progress"]

    for whose, words in ((me, texts.STARTING), (other, texts.QUEUED)):
        job, hold = jobs.Job(jobs.stop_file(system, whose, "clip")), threading.Event()
        running = job.run(lambda hold=hold: hold.wait(WAIT))
        next(running)
        assert words in told() and words in clips.progress(jobs.Job(jobs.stop_file(system, me, "")))
        hold.set()
        assert list(running) is not None and texts.STARTING in told()


def test_when_the_visitor_leaves_the_half_made_clip_goes(tmp_path):
    job, ended = jobs.Job(tmp_path / "stop"), threading.Event()
    frame = np.zeros((16, 16, 3), np.uint8)

    def endless():
        try:
            while True:
                yield frame
        finally:
            ended.set()

    path = tmp_path / "out" / "clip.mp4"
    running = job.run(
        lambda: video.write_clip(path, job.watch(endless()), 30, weights="w", settings={})
    )
    next(running)
    running.close()  # what Gradio does
    assert ended.wait(WAIT)
    deadline = time.monotonic() + WAIT
    while any(path.parent.iterdir()) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert list(path.parent.iterdir()) == [] and not job.stopped


# --- visitors


def visitor(session):
    return SimpleNamespace(session_hash=session)


def test_each_visitor_has_a_folder_that_ends_with_the_visit():
    one, two = jobs.visitor_folder(visitor("one")), jobs.visitor_folder(visitor("two"))
    assert one != two and one == jobs.visitor_folder(visitor("one"))
    (one / "file").touch()
    jobs.end_visit(visitor("one"))
    assert not one.exists() and two.exists()


@pytest.mark.parametrize("session", ["../../etc", "/etc", "a/b", "\0", "x" * 5000])
def test_a_session_name_cannot_lead_out_of_the_temporary_folder(session):
    folder = jobs.visitor_folder(visitor(session))
    assert folder.parent == jobs.temporary_root() / "visitors" and folder.is_dir()


def test_a_file_handed_over_goes_afterwards():
    with jobs.handed_over(None, "picture.png") as path:
        path.write_text("x")
        with jobs.handed_over(None, "picture.png") as other:
            assert other != path and other.name == path.name
    assert not path.exists() and not path.parent.exists()


# --- errors


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UserError("Give a seed."), "Give a seed."),
        (UserError("w.safetensors is truncated."), "w.safetensors is truncated."),
        (Unreadable("No frame."), "No frame."),
        (MemoryError(), "memory was not enough"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
    ],
)
def test_errors_become_sentences(error, words, caplog):
    assert words in jobs.sentence(error)
    assert not caplog.records


def test_an_unexpected_error_is_logged_and_never_shown(caplog):
    with caplog.at_level(logging.ERROR):
        sentence = jobs.sentence(KeyError("secret"))
    assert "secret" not in sentence and "terminal" in sentence
    assert "secret" in caplog.text


def test_a_sentence_names_the_file_but_not_where_it_lies():
    file = jobs.temporary_root() / "page" / "0a1b" / "my clip.mp4"
    assert jobs.sentence(Unreadable(f"{file} is cut off.")) == "my clip.mp4 is cut off."
    assert jobs.sentence(Unreadable("/home/me/x.mp4 is cut off.")) == "/home/me/x.mp4 is cut off."


def test_giving_way_lets_everybody_who_waits_go_first():
    turns, order, started = jobs.Turns(), [], threading.Event()

    def other():
        started.set()
        with turns:
            order.append("other")

    with turns:
        thread = threading.Thread(target=other)
        thread.start()
        started.wait()
        while len(turns._line) < 2:
            time.sleep(0.001)
        order.append("before")
        turns.give_way()
        order.append("after")
    thread.join()
    assert order == ["before", "other", "after"]
