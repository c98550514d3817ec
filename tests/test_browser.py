"""The page in a real browser, served by the real command: one visit from opening to leaving.

Needs Chromium or Chrome; without one the test is skipped, or fails where CI is set.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from gradio_client import Client

from gan_models import images, video
from gan_models.seeds import BAD_SEED
from tabs import latent
from tabs.kit import texts as words
from tabs.latent import texts
from tabs.motion import texts as motion
from tests import tiny

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--use-fake-device-for-media-stream",
]  # fmt: skip
PATIENCE = 60_000  # milliseconds until the page counts as stuck


def missing(what):
    """No browser: a skip with the reason; a failure in CI, which installs one."""
    reason = f"{what}, so the page was not tried in a browser"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        missing("there is no Chromium or Chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=FLAGS)
        yield browser
        browser.close()


class Outside:
    """A proxy that lets nothing through and remembers who wanted to leave this computer."""

    def __init__(self):
        self.asked = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:  # closed
                return
            with connection:
                connection.settimeout(5)
                self.asked.append(connection.recv(200).decode(errors="replace"))


@pytest.fixture(scope="module")
def server(browser, tmp_path_factory):
    """`python app.py` on tiny weights: (url, process, its temporary folder, outside)."""
    place = tmp_path_factory.mktemp("server")
    weights = tiny.save_progan(place / "tiny-weights", resolution=16)
    mover = tiny.save_fomm(place / "mover-weights", sliders={"yaw": (-30, 30), "mouth": (0, 1)})
    temporary = place / "tmp"
    temporary.mkdir()
    outside = Outside()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    proxies = {f"{scheme}_proxy": outside.url for scheme in ("http", "https", "all")}
    proxies |= {name.upper(): url for name, url in proxies.items()} | {
        "no_proxy": "127.0.0.1,localhost",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GRADIO_")}
    with open(place / "log", "w") as log:
        process = subprocess.Popen(
            [
                sys.executable, ROOT / "app.py", "--port", str(port),
                "--weights", f"tiny={weights}", "--weights", f"mover={mover}",
            ],
            cwd=place, env=kept | proxies | {"TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"},
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120  # benchmarks say how fast; here it only has to come
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, (place / "log").read_text()
                assert time.monotonic() < deadline, "the page was not served"
                threading.Event().wait(0.1)
        yield url, process, temporary, outside
    finally:
        process.kill()
        process.wait()
        outside.socket.close()


@pytest.fixture
def opened(browser, server):
    """The opened page, at its first tab; afterwards: nothing has left this computer."""
    url, _, _, outside = server
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    hosts, errors = set(), []
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)
    yield page
    context.close()
    assert hosts <= {"127.0.0.1", None}, hosts  # None: data and blob URLs
    assert outside.asked == []
    assert errors == []


@pytest.fixture
def visit(opened):
    """The page at the tab "Latent space"."""
    opened.get_by_role("tab", name=texts.NAME).click()
    opened.get_by_text("16 px, shown at 512 px.").first.wait_for()
    return opened


def walk(page):
    return page.get_by_role("button", name=texts.WALK, exact=True)


def ready(page):
    page.locator("button.run-button:not([disabled]):visible").wait_for()


PLAYS = """async () => {
  const video = [...document.querySelectorAll(".stage video")]
    .find((one) => one.offsetParent !== null);
  if (!video) return {};
  if (video.readyState < 1) await new Promise((done) => (video.onloadedmetadata = done));
  video.muted = true;
  await video.play();
  const before = video.currentTime;
  const moved = await new Promise((done) => {
    const began = performance.now();
    const look = () => (video.currentTime !== before || performance.now() - began > 10000)
      ? done(video.currentTime !== before) : requestAnimationFrame(look);
    look();
  });
  return {moved, duration: video.duration, width: video.videoWidth, error: video.error?.message};
}"""


def test_a_visit(visit, server):
    page = visit
    # The first look: pictures to pick from, start, end and the picture between them.
    assert page.locator(".picks:visible img").count() == 12
    page.locator(".stage:visible img").wait_for()
    assert "Weights: tiny" in page.locator(".footer:visible").inner_text()

    # A click in the grid and a live slider.
    page.locator(".picks:visible button").nth(4).click()
    page.get_by_text("Seed 5. 16 px").wait_for()
    page.get_by_role("button", name=texts.START_HERE).click()
    page.get_by_text("Start: seed 5").wait_for()
    slider = page.get_by_role("slider", name=re.compile("^range slider for Mix"))
    slider.focus()
    slider.press("ArrowRight")
    page.get_by_text("Seed 5 to seed 2, 51 %").wait_for()

    # A clip of one second that plays.
    seconds = page.get_by_label(f"number input for {texts.SECONDS}")
    seconds.fill("1")
    seconds.press("Enter")  # Enter runs
    page.get_by_text("30 frames, 1 s, 512 px (16 px pictures).").wait_for()
    ready(page)
    played = page.evaluate(PLAYS)
    assert played["moved"] and not played["error"]
    assert played["width"] == 512 and played["duration"] == pytest.approx(1, abs=0.1)
    with page.expect_download() as download:
        page.get_by_role("button", name=words.GET_CLIP).click()
    assert download.value.suggested_filename == "tiny-path.mp4"

    # Files made when asked for.
    for button, size in ((texts.GET_SHOWN, 512), (texts.GET_OWN, 16)):
        with page.expect_download() as download:
            page.get_by_role("button", name=button.format(size=size)).click()
        assert download.value.suggested_filename == f"tiny-seed-5-to-seed-2-51-{size}px.png"

    # An error is a sentence at its control, and the page goes on working.
    page.get_by_label(texts.SEED.format(point=texts.START)).fill("-3")
    page.get_by_role("alert").get_by_text(BAD_SEED).wait_for()
    page.get_by_label(texts.SEED.format(point=texts.START)).fill("8")
    page.get_by_role("alert").wait_for(state="detached")

    # The README, beside the page, at the section that the header's link names.
    with page.context.expect_page() as beside:
        page.locator("#header a").click()
    heading = beside.value.get_by_role("heading", name="Motion transfer (FOMM)")
    heading.wait_for()
    beside.value.wait_for_function("scrollY > 0")
    assert heading.bounding_box()["y"] < 900


def test_sliders_pose_the_portrait_live(opened):
    page, posed = opened, opened.locator("#motion-posed img")
    page.get_by_role("tab", name=motion.POSE, exact=True).click()
    posed.wait_for()
    still = posed.get_attribute("src")
    assert page.locator("input[type=range]:visible").count() == 3  # with the strength of motion
    changed = "old => document.querySelector('#motion-posed img').src !== old"
    yaw = page.get_by_role("slider", name=f"range slider for {motion.SLIDERS['yaw']}")
    yaw.focus()
    yaw.press("End")
    page.wait_for_function(changed, arg=still)
    with page.expect_download() as download:
        page.get_by_role("button", name=motion.GET_POSE).click()
    assert download.value.suggested_filename == "pose-mover-32px.png"
    turned = posed.get_attribute("src")
    page.get_by_role("button", name=motion.ZERO).click()
    page.wait_for_function(changed, arg=turned)
    assert posed.get_attribute("src") == still and yaw.input_value() == "0"


MOVES = """async () => {
  const moving = document.querySelector('#latent-moving canvas');
  const seen = new Set();
  for (let look = 0; look < 400 && seen.size < 4; look++) {
    seen.add(moving.getClientRects().length ? moving.toDataURL() : '');
    await new Promise((next) => setTimeout(next, 25));
  }
  return seen.size;
}"""


def test_a_drag_over_the_map_and_an_endless_walk(visit):
    page = visit
    words_of, still = texts.LIVE_WORDS, page.locator("#latent-moving canvas")
    seconds = page.get_by_label(f"number input for {texts.SECONDS}")
    seconds.fill("1")
    seconds.press("Enter")
    page.get_by_text("30 frames, 1 s, 512 px (16 px pictures).").wait_for()
    ready(page)  # now the clip is in sight, and the first drag shows the picture
    page.locator(".map-field img[src]").wait_for()
    box = page.locator(".map-field").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.25 * box["height"], steps=5)
    still.wait_for()  # it moves before the page has drawn anything
    page.mouse.up()
    place = page.get_by_text("50 % across, 25 % down. 16 px, shown at 512 px.")
    place.locator("visible=true").first.wait_for()
    still.wait_for(state="hidden")
    page.locator(".map-field").press("ArrowLeft")
    page.get_by_text("48 % across, 25 % down. 16").locator("visible=true").first.wait_for()

    page.get_by_role("button", name=words_of["walk"]).click()
    assert page.evaluate(MOVES) == 4
    page.keyboard.press("Escape")
    page.get_by_text("pictures on. 16 px").locator("visible=true").first.wait_for()
    still.wait_for(state="hidden")
    page.get_by_role("button", name=texts.END_HERE).click()
    page.get_by_text(f"End: {texts.NO_SEED}").wait_for()
    old = page.locator(".map-field img").get_attribute("src")
    page.get_by_role("button", name=words_of["other"]).click()
    page.wait_for_function("(old) => document.querySelector('.map-field img').src !== old", arg=old)

    page.get_by_role("button", name=words_of["walk"]).click()
    assert page.evaluate(MOVES) == 4
    page.get_by_role("button", name=words.RESET).locator("visible=true").click()  # ends it, too
    page.get_by_role("button", name=words_of["pause"], disabled=True).wait_for()
    page.get_by_text("Seed 1 to seed 2, 50 %. 16 px").locator("visible=true").first.wait_for()
    still.wait_for(state="hidden")


def test_stop_leaves_a_clip_and_leaving_leaves_nothing(visit, server):
    _, process, temporary, _ = server
    page = visit
    seconds = page.get_by_label(f"number input for {texts.SECONDS}")
    seconds.fill("60")
    seconds.press("Tab")
    walk(page).click()
    page.get_by_text("of 1800 frames").wait_for()
    page.keyboard.press("Escape")  # Escape stops
    page.get_by_text("Stopped at frame").wait_for()
    ready(page)
    played = page.evaluate(PLAYS)
    assert played["moved"] and 0 < played["duration"] < 60

    # Leaving in the middle of a clip ends the work and its files.
    walk(page).click()
    page.get_by_text("of 1800 frames").wait_for()
    assert list(temporary.glob("gan-atelier-*/visitors/*"))
    page.close()
    deadline = time.monotonic() + 30
    while any(temporary.glob("gan-atelier-*/visitors/*/*")):
        assert time.monotonic() < deadline, "the visitor's files are still there"
        threading.Event().wait(0.1)


def test_reset_gives_back_how_the_tab_opened(visit):
    page = visit
    picked, caption = page.locator(".picks:visible img"), page.get_by_text(texts.FIRST_CLIP)
    first = picked.first.get_attribute("src")
    page.get_by_role("button", name=texts.MORE).click()
    page.wait_for_function(
        "(first) => [...document.querySelectorAll('.picks img')]"
        ".every((one) => one.getAttribute('src') !== first)",
        arg=first,
    )
    page.get_by_label(texts.SEED.format(point=texts.START)).fill("-3")
    page.get_by_role("alert").get_by_text(BAD_SEED).wait_for()
    seconds = page.get_by_label(f"number input for {texts.SECONDS}")
    seconds.fill("1")
    seconds.press("Enter")
    page.get_by_text("30 frames, 1 s, 512 px (16 px pictures).").wait_for()
    ready(page)
    page.get_by_label(words.WEIGHTS, exact=True).locator("visible=true").click()
    page.get_by_role("option").get_by_text("progan-puppets").click()
    page.get_by_text("64 px, shown at 512 px.").first.wait_for(state="attached")
    assert page.locator(".stage:visible video").count() == 1  # nobody asked for the picture
    seconds.fill("60")
    seconds.press("Enter")
    page.get_by_text("of 1800 frames").wait_for()

    page.get_by_role("button", name=words.RESET).locator("visible=true").click()
    page.get_by_text("16 px, shown at 512 px.").first.wait_for()
    page.get_by_text("Weights: tiny").locator("visible=true").wait_for()
    ready(page)  # the clip that was being made has ended
    page.get_by_role("tab", name=words.CLIP).locator("visible=true").click()
    caption.locator("visible=true").wait_for()
    page.wait_for_timeout(1000)  # whatever is drawn now, the visitor looks at the clip
    assert caption.locator("visible=true").count() == 1
    assert page.get_by_role("alert").count() == 0
    assert seconds.input_value() == str(latent.SECONDS)
    assert page.get_by_label(texts.SEED.format(point=texts.START)).input_value() == "1"
    assert page.locator(".stage:visible video").count() == 0
    page.get_by_text(texts.KEYS).locator("visible=true").wait_for()


def test_a_phone_needs_no_sideways_scrolling(visit):
    visit.set_viewport_size({"width": 360, "height": 780})
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for accordion in (words.MORE_SETTINGS, words.HUB, words.HOW):
        visit.get_by_role("button", name=accordion).click()
    visit.get_by_label(words.HUB_NAME).locator("visible=true").wait_for()
    assert visit.evaluate(overflow) == 0
    assert visit.locator(".stage:visible img").bounding_box()["width"] >= 320
    visit.get_by_role("tab", name=motion.NAME).click()
    for accordion in (words.MORE_SETTINGS, words.HUB, words.HOW):
        visit.get_by_role("button", name=accordion).click()
    visit.locator(".figures img").first.wait_for()
    assert visit.evaluate(overflow) == 0
    assert visit.locator("#motion-clip").bounding_box()["width"] >= 320


FOLLOWS = """async () => {
  const [result, driving] = ['#motion-clip video', '#motion-driving-shown video']
    .map((one) => document.querySelector(one));
  result.muted = true;
  result.currentTime = 0;
  await result.play();
  const apart = [];
  while (result.currentTime < 0.9 * result.duration) {
    await new Promise((next) => setTimeout(next, 100));
    apart.push(Math.abs(result.currentTime - driving.currentTime));
  }
  apart.sort((one, other) => one - other);
  return {apart: apart[Math.floor(apart.length / 2)], sound: result.webkitAudioDecodedByteCount,
    duration: result.duration, silent: driving.muted};
}"""


def test_a_shipped_portrait_follows_a_shipped_clip(opened, tmp_path):
    page = opened
    # The first look: a portrait with its crop, a clip that drives, and others to pick.
    page.locator(".crop-box:visible").wait_for()
    page.locator(".picks:visible img").nth(8).wait_for()
    assert "Weights: mover" in page.locator(".footer:visible").inner_text()
    page.locator(".picks:visible button").nth(2).click()  # the robot

    # One frame of the result, with the clip's beside it, before anything is started.
    still = page.locator(".stage:visible.still img")
    still.wait_for()
    assert page.locator(".still img:visible").count() == 2
    first = still.get_attribute("src")
    page.get_by_role("slider", name=re.compile(motion.STRENGTH[:8])).press("Home")
    page.wait_for_function(
        "(first) => document.querySelector('.stage.still img').src !== first", arg=first
    )
    page.get_by_role("slider", name=re.compile(motion.STRENGTH[:8])).fill("1")

    page.get_by_role("button", name=motion.ANIMATE).click()
    done = re.compile(r"^90 frames, 3\.6 s, 512 x 512 px.*, with sound\.$")
    page.locator(".caption:visible").get_by_text(done).wait_for()
    ready(page)
    played = page.evaluate(PLAYS)
    assert played["moved"] and not played["error"] and played["width"] == 512
    played = page.evaluate(FOLLOWS)
    assert played["duration"] == pytest.approx(3.6, abs=0.05) and played["sound"] > 1000
    assert played["apart"] < 0.3 and played["silent"]
    with page.expect_download() as download:
        page.get_by_role("button", name=words.GET_CLIP).click()
    assert download.value.suggested_filename == "mover-driving-human.mp4"
    download.value.save_as(tmp_path / "clip.mp4")
    clip = video.open_clip(tmp_path / "clip.mp4")
    assert clip.frame_count == 90 and clip.has_sound
    with page.expect_download() as download:
        page.get_by_role("button", name=motion.GET_MOTION).click()
    assert download.value.suggested_filename == "driving-human-motion.safetensors"

    # The crop is moved by the mouse and the keyboard, and counts.
    box = page.locator(".crop-box:visible").bounding_box()
    grip = page.locator(".crop-grip:visible").bounding_box()
    page.mouse.move(grip["x"] + 12, grip["y"] + 12)
    page.mouse.down()
    page.mouse.move(grip["x"] - 60, grip["y"] - 60, steps=4)
    page.mouse.up()
    page.locator(".crop-box:visible").press("ArrowRight")
    smaller = page.locator(".crop-box:visible").bounding_box()
    assert smaller["width"] < box["width"] - 40 and smaller["x"] > box["x"]
    page.get_by_role("button", name=motion.ANIMATE).click()
    page.locator("textarea:visible").first.wait_for()
    page.wait_for_function(
        "[...document.querySelectorAll('textarea')].some((one) => "
        "/portrait_crop: [1-9]/.test(one.value))"
    )


def test_pictures_are_dragged_to_start_and_end(visit):
    page, points = visit, visit.locator(".point:visible")
    page.locator(".picks:visible .thumbnail-item").nth(6).drag_to(points.nth(1))
    page.get_by_text("End: seed 7").wait_for()
    page.locator(".picks:visible button").nth(3).click()
    page.get_by_text("Seed 4. 16 px").wait_for()
    page.locator("#latent-picture img").drag_to(points.nth(0))
    page.get_by_text("Start: seed 4").wait_for()
    page.get_by_text("End: seed 7").wait_for()


def test_a_photograph_is_told_before_the_run(opened, tmp_path):
    images.save_picture(
        tmp_path / "me.png", np.zeros((90, 120, 3), np.uint8), weights="", settings={}
    )
    page = opened
    page.get_by_role("button", name=words.OTHER_PICTURE).click()
    page.locator("#motion-portrait button:visible").first.wait_for()
    page.locator("#motion-portrait input[type=file]").set_input_files(tmp_path / "me.png")
    page.get_by_text("The portrait is not one of the drawn puppets").wait_for()
    assert page.locator(".crop-box:visible").count() == 1
    label = page.locator(".crop-box:visible").get_attribute("aria-label")
    assert label == motion.CROP, "shown anew, it keeps its words"
    remedy = page.get_by_role("button", name=words.READ_ABOUT.format(name="vox-adv"))
    remedy.click()  # from where the notice stands
    page.get_by_role("link", name="disk.yandex.com").wait_for()
    page.get_by_role("button", name=words.FETCH, exact=True).locator("visible=true").wait_for()
    page.wait_for_function(
        "[...document.querySelectorAll('.about')].some((one) => one.offsetParent"
        " && one.getBoundingClientRect().top < innerHeight)"
    )


def test_the_camera_moves_the_portrait(opened, tmp_path):
    page = opened
    page.get_by_role("button", name=motion.BE).click()
    page.get_by_text(motion.LIVE_WORDS["denied"]).wait_for()  # nobody has allowed it yet
    page.context.grant_permissions(["camera"])
    page.locator(".live-start").click()
    page.get_by_text("frames per second, shown").wait_for()
    pictures = set()
    for _ in range(20):
        pictures.add(page.evaluate("document.querySelector('.live-result').toDataURL()"))
        page.wait_for_timeout(100)
    assert len(pictures) > 3
    assert page.get_by_role("button", name=motion.ANIMATE).count() == 0
    assert page.locator(".stop-button:visible").count() == 1
    page.locator(".live-neutral").click()
    saved = []
    page.on("download", lambda download: saved.append(download))
    for seconds in (2, 6, 18):  # a busy computer takes its time to begin
        page.locator(".live-record").click()
        page.wait_for_timeout(1000 * seconds)
        page.locator(".live-record").click()
        page.wait_for_function(
            "(begun) => document.querySelector('.live-recorded').textContent !== begun",
            arg=motion.LIVE_WORDS["recording"],
        )
        if motion.LIVE_WORDS["unrecorded"] not in page.locator(".live-recorded").inner_text():
            break
    page.get_by_text("Saved as live.").wait_for()
    saved[0].save_as(tmp_path / saved[0].suggested_filename)
    recorded = video.open_clip(tmp_path / saved[0].suggested_filename)
    assert recorded.width == 512 and len(list(recorded.frames())) > 3
    page.keyboard.press("Escape")
    page.locator(".live-start:not([disabled])").wait_for()
    assert page.evaluate("document.querySelector('.live-camera video').srcObject") is None
    page.get_by_role("button", name=motion.BACK).click()
    page.get_by_role("button", name=motion.ANIMATE).wait_for()


def test_the_program_ends_cleanly_within_a_clip(server):
    url, process, temporary, _ = server
    Client(url, verbose=False).submit(seconds=60, fps=60, api_name="/latent_clip")
    deadline = time.monotonic() + 60
    while not list(temporary.glob("gan-atelier-*/visitors/*/*/.*.part.mp4")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM  # not aborted
    assert not list(temporary.glob("gan-atelier-*"))
