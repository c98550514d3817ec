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


class Clip:
    """A job in line whose pictures are made one at a time, when `made` allows."""

    def __init__(self, folder, name):
        self.job = jobs.Job(folder / f"{name}.stop", waits=True)
        self.made, self.running = threading.Semaphore(0), None

    def begin(self):
        self.running = self.job.run(lambda: list(self.job.watch(self.pictures())))
        next(self.running)
        return self

    def pictures(self):
        while self.made.acquire(timeout=WAIT):
            yield self.job.done

    def makes(self, count):
        """How many it has made, once it had the time for `count` more."""
        before = self.job.done
        self.made.release(count)
        until(lambda: self.job.done == before + count, 0.3)
        return self.job.done

    def end(self):
        self.job.stop.touch()
        self.made.release()
        assert list(self.running) is not None


def until(true, seconds=WAIT):
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.005)
    return true()


@pytest.fixture
def line(monkeypatch):
    monkeypatch.setattr(jobs, "line", jobs.Line())
    monkeypatch.setattr(jobs, "AT_ONCE", 2)
    monkeypatch.setattr(jobs, "A_TURN", 4)
    monkeypatch.setattr(jobs, "REPORT_SECONDS", 0.01)
    return jobs.line


def test_long_jobs_stand_in_line_and_know_their_place(line, tmp_path):
    first, *others = [Clip(tmp_path, number).begin() for number in range(jobs.AT_ONCE + 2)]
    assert [line.place(one.job) for one in (first, *others)] == [0] * jobs.AT_ONCE + [1, 2]
    *_, next_one, last = others
    assert first.makes(2) == 2 and next_one.makes(2) == 0
    assert texts.QUEUED.format(place=2) in clips.progress(last.job)
    assert texts.QUEUED.format(place=3) in clips.begin(SimpleNamespace(name="x"))["progress"]
    first.end()
    assert until(lambda: next_one.job.done == 2) and line.place(last.job) == 1
    last.end()  # who stops while he waits
    assert last.job.stopped and last.job.result is None and first.job.result == [0, 1]
    for one in others[:-1]:
        one.end()
    assert line.place() == 0 and texts.STARTING in clips.waiting()


def test_who_had_his_turn_lets_those_who_wait_go_first(line, tmp_path):
    long, short = (Clip(tmp_path, name).begin() for name in ("long", "short"))
    assert long.makes(6) == 6  # nobody waits: no turn ends
    other = Clip(tmp_path, "other").begin()
    assert line.place(other.job) == 1
    long.makes(4)
    assert long.job.done == 8 and line.place(long.job) == 1 and line.place(other.job) == 0
    assert other.makes(3) == 3 and texts.QUEUED.format(place=1) in clips.progress(long.job)
    short.end()
    assert until(lambda: long.job.done == 10)
    for one in (long, other):
        one.end()


def test_a_full_line_takes_nobody(line, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "MOST_WAITING", 1)
    first = Clip(tmp_path, "first").begin()
    with pytest.raises(UserError, match="Too many clips"):
        Clip(tmp_path, "second").begin()
    first.end()


def test_the_end_of_the_program_ends_all_work(line, tmp_path, monkeypatch):
    (tmp_path / "root").mkdir()
    monkeypatch.setattr(jobs, "temporary_root", lambda: tmp_path / "root")
    clip = Clip(tmp_path, "a").begin()
    waiting = [Clip(tmp_path, name).begin() for name in "bc"]
    clip.made.release()
    jobs.end_all(0.05)  # b is at work and hears of it with its next picture only
    waiting[0].made.release()
    assert until(lambda: not jobs._running) and not (tmp_path / "root").exists()
    with pytest.raises(jobs._Abandoned):
        list(clip.running)


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
    with jobs.handed_over(None, f"{'表' * 99}.mp4") as path:  # 297 bytes; disks take 255
        path.write_text("x")
        assert path.suffix == ".mp4"


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
