"""How the page greets a person: on its shipped weights, in a browser started as a person's.

The browser keeps its real autoplay policy, and states are read without what counts as a gesture.
"""

import shutil
import time

import numpy as np
import pytest

import app
from gan_models.fomm.motion import Motion
from tabs.expressions import texts as expressions
from tabs.kit import jobs
from tabs.kit import texts as words
from tabs.latent import texts as latent
from tabs.motion import texts as motion
from tabs.painting import texts as painting
from tabs.styles import texts as styles
from tests.test_browser import BROWSERS, FLAGS, PATIENCE, missing

POLICY = "--autoplay-policy=document-user-activation-required"


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        missing("there is no Chromium or Chrome")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*FLAGS, POLICY])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The page on its shipped weights, served within this process."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("page")))
        blocks = app.build(jobs.Settings(device="cpu"))
        options = app.parse(["--host", "127.0.0.1"])
        _, url, _ = app.launch(blocks, options, prevent_thread_lock=True, quiet=True)
        yield url
        blocks.close()


@pytest.fixture
def opening(browser, address):
    """Opens the page: a function of a path and the options of a new browser context."""
    contexts = []

    def opened(path="", width=1280, height=900, **options):
        size = {"width": width, "height": height}
        contexts.append(browser.new_context(viewport=size, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(address + path)
        return page

    yield opened
    for context in contexts:
        context.close()


def told(page, expression):
    """The value of `expression` in the page, without being a gesture as page.evaluate is one."""
    session = page.context.new_cdp_session(page)
    how = {"returnByValue": True, "awaitPromise": True, "userGesture": False}
    answer = session.send("Runtime.evaluate", {"expression": expression, **how})
    assert "exceptionDetails" not in answer, answer
    session.detach()
    return answer["result"].get("value")


def until(page, expression):
    """Waits until `expression` is true, and gives what it is."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not (value := told(page, expression)):
        assert time.monotonic() < deadline, expression
        time.sleep(0.1)
    return value


STAGED = "[...document.querySelectorAll('.stage-box video')].find((one) => one.offsetParent)"
STATE = f"(({{currentTime, paused, muted, loop, playsInline}}) => ({{currentTime, paused, muted, \
loop, playsInline}}))({STAGED} || {{}})"
REFUSED = f"""(() => {{ const clip = document.createElement('video'); clip.src = {STAGED}.src;
  return clip.play().then(() => 'played', (error) => error.name); }})()"""


def test_stored_clips_start_by_themselves_and_loop(opening):
    page = opening()
    until(page, f"{STAGED}?.currentTime > 0.3")
    assert told(page, REFUSED) == "NotAllowedError"  # the policy is the real one
    state = told(page, STATE)
    assert state["muted"] and state["loop"] and state["playsInline"] and not state["paused"]
    until(page, "document.querySelector('#motion-driving-shown video').currentTime > 0.3")
    until(page, f"{STAGED}.currentTime > 3")
    until(page, f"{STAGED}.currentTime < 1")  # it has begun anew
    page.get_by_role("tab", name=latent.NAME).click()
    until(page, f"/clip.mp4/.test({STAGED}?.src) && {STAGED}.currentTime > 0.3")
    assert told(page, STATE)["muted"]


def test_clips_rest_behind_another_tab(opening):
    page = opening()
    page.set_viewport_size({"width": 1280, "height": 900})
    playing = "[...document.querySelectorAll('video')].filter((one) => !one.paused)"
    until(page, f"{STAGED}?.currentTime > 0.3")
    until(page, f"{playing}.length === 2")  # the result, and the driving beside it
    page.set_viewport_size({"width": 360, "height": 780})
    page.locator("#motion-driving-shown video").scroll_into_view_if_needed()
    time.sleep(1)
    assert told(page, f"{playing}.length") == 2  # scrolled away, both go on
    page.get_by_role("tab", name="Live").click()
    until(page, f"{playing}.length === 0")
    page.get_by_role("tab", name=latent.NAME).click()
    until(page, f"{playing}.length === 1 && {playing}[0] === {STAGED}")
    page.get_by_role("tab", name=motion.NAME).click()
    page.get_by_role("tab", name="Clip", exact=True).click()
    until(page, f"{playing}.length === 2 && {playing}.every((one) => one.offsetParent)")
    page.evaluate(f"{STAGED}.pause()")  # what a visitor has stopped stays so
    page.get_by_role("tab", name=latent.NAME).click()
    page.get_by_role("tab", name=motion.NAME).click()
    time.sleep(1)
    assert told(page, STATE)["paused"]


def test_a_clip_that_is_picked_takes_the_place_of_a_saved_motion(opening, tmp_path):
    file = tmp_path / "nod-motion.safetensors"
    Motion(np.zeros((3, 15, 2)), np.tile(np.eye(2), (3, 15, 1, 1))).save(file)
    page = opening()
    page.get_by_text(words.MORE_SETTINGS).locator("visible=true").click()
    page.set_input_files("input[type=file][accept*=safetensors]", file)
    told = motion.REPLAY_IN_USE.format(name=file.name)
    page.get_by_text(told).wait_for()
    page.get_by_role("button", name=motion.USE_CLIP).click()
    page.get_by_text(told).wait_for(state="detached")
    page.set_input_files("input[type=file][accept*=safetensors]", file)
    page.get_by_text(told).wait_for()
    page.locator(".picks:visible").nth(1).locator(".thumbnail-item").nth(1).click()
    page.get_by_text(told).wait_for(state="detached")


def test_sound_is_turned_on_by_its_button(opening):
    page = opening()
    until(page, f"{STAGED}?.currentTime > 0.3")
    page.get_by_role("button", name=words.SOUND_ON).click()
    until(page, f"!{STAGED}.muted && !{STAGED}.paused")
    page.get_by_role("button", name=words.SOUND_OFF).click()
    until(page, f"{STAGED}.muted")


def test_clips_wait_where_motion_is_unwelcome(opening):
    page = opening(reduced_motion="reduce")
    until(page, f"{STAGED}?.readyState > 2")
    time.sleep(1)
    state = told(page, STATE)
    assert state["paused"] and state["currentTime"] == 0


def focused(page):
    return page.evaluate(
        "(({ariaLabel, textContent}) => ariaLabel || textContent.trim())(document.activeElement)"
    )


def test_the_main_button_is_within_ten_stops(opening):
    page = opening()
    for tab, run in ((motion.NAME, motion.ANIMATE), (latent.NAME, latent.WALK)):
        page.get_by_role("tab", name=tab).click()
        page.locator(".picks:visible .thumbnail-item").first.wait_for()
        page.locator("#header a").focus()  # the first stop
        stops = [focused(page)]
        while run not in stops and len(stops) < 30:
            page.keyboard.press("Tab")
            stops.append(focused(page))
        assert len(stops) <= 10, stops


def test_examples_have_names_and_are_walked_through_by_arrows(opening):
    page = opening()
    page.get_by_role("button", name="Orange cat").focus()
    page.keyboard.press("ArrowRight")
    assert focused(page) == "Brown-haired man"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert focused(page) == "Red-haired woman"
    page.keyboard.press("Enter")  # a button keeps its own
    page.wait_for_function(
        "document.activeElement.closest('.picks').querySelectorAll('[tabindex=\"0\"]').length === 1"
    )
    assert page.locator("button.stop-button:visible").is_disabled()


AT_THE_END = """() => new Promise((done) => {
  [...document.querySelectorAll('.reset')].find((one) => one.offsetParent).scrollIntoView();
  requestAnimationFrame(() => {
    const box = document.querySelector('#motion-clip').getBoundingClientRect();
    done([box.top, box.bottom]);
  });
})"""


@pytest.fixture
def slowly(monkeypatch):
    """A job still runs when it is looked at: after its first frames it waits for Stop."""
    watch = jobs.Job.watch

    def wait(job, items):
        for number, item in enumerate(watch(job, items)):
            while number > 1 and not job.stop.exists():
                time.sleep(0.2)
            yield item

    monkeypatch.setattr(jobs.Job, "watch", wait)


def test_enter_runs_from_a_slider_and_escape_stops_with_the_stage_in_sight(opening, slowly):
    page = opening(width=360, height=780)
    page.locator(".run-button:visible").wait_for()
    page.get_by_role("slider", name="range slider for " + motion.STRENGTH).press("Enter")
    page.get_by_text(" of 90 frames, ").locator("visible=true").first.wait_for()
    top, bottom = page.evaluate(AT_THE_END)
    assert 0 <= top < bottom <= 780
    page.get_by_role("tab", name=motion.STILL).click()
    page.keyboard.press("Escape")
    page.get_by_text("Stopped at frame").first.wait_for(state="attached")
    # The answer that came late leaves the visitor where he went.
    assert page.get_by_role("tab", name=motion.STILL).get_attribute("aria-selected") == "true"


TOPS = """() => ['.picks', '.stage', '.run-button', '.about', '.reset']
  .map((one) => [...document.querySelectorAll(one)].find((each) => each.offsetParent))
  .map((one) => one.getBoundingClientRect().top)"""
ROWS = """() => [...document.querySelectorAll('.picks')].filter((one) => one.offsetParent)
  .map((one) => new Set([...one.querySelectorAll('.thumbnail-item')]
    .map((each) => Math.round(each.getBoundingClientRect().top))).size)"""


def test_on_a_phone_every_system_is_in_sight_and_results_come_before_what_changes_them(opening):
    page = opening(width=360, height=780)
    for name in (motion.NAME, latent.NAME, painting.NAME, expressions.NAME):
        tab = page.get_by_role("tab", name=name)
        tab.wait_for()
        box = tab.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 360 and box["y"] < 200
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    for name in (motion.NAME, latent.NAME):
        page.get_by_role("tab", name=name).click()
        page.locator(".run-button:visible").wait_for()
        page.locator(".picks:visible .thumbnail-item").first.wait_for()
        tops = page.evaluate(TOPS)
        assert tops == sorted(tops), name
        assert set(page.evaluate(ROWS)) == {1}, name


def test_no_third_of_a_wide_page_is_empty(opening):
    """The zones end at nearly the same height."""
    page = opening(width=1440)
    for tab in (motion.NAME, latent.NAME):
        page.get_by_role("tab", name=tab).click()
        page.locator(".stage:visible").wait_for()
        for width in (1440, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            ends = page.evaluate(
                "['.change', '.stage-zone, .under', '.beside', '.get'].map((one) => Math.max(..."
                "[...document.querySelectorAll(one)].filter((each) => each.offsetParent)"
                ".map((each) => each.getBoundingClientRect().bottom)))"
            )
            change, stage, beside, get = ends
            assert abs(stage - beside) < max(stage, beside) / 3, (tab, width, ends)
            assert abs(change - get) < get / 3, (tab, width, ends)


# Text that can be read, whose colour is nearer to its ground than 4.5 : 1. Disabled controls are
# exempt, as WCAG has it.
PALE = """() => {
  const pen = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = (colour) => {
    pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => colour.slice(0, 3)
    .map((one) => one <= 10 ? one / 255 / 12.92 : ((one / 255 + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const over = (top, under) => top.map((one, at) =>
    at === 3 ? 255 : one * top[3] / 255 + under[at] * (1 - top[3] / 255));
  const ground = (element) => {
    if (!element) return [255, 255, 255, 255];
    const own = rgba(getComputedStyle(element).backgroundColor);
    return own[3] === 255 ? own : over(own, ground(element.parentElement));
  };
  const pale = {}, texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; text = texts.nextNode();) {
    const element = text.parentElement, range = document.createRange();
    range.selectNode(text);
    if (!text.data.trim() || !range.getBoundingClientRect().width || element.closest('[disabled]')
      || !element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    const under = ground(element), colour = over(rgba(getComputedStyle(element).color), under);
    const [low, high] = [light(under), light(colour)].sort((one, other) => one - other);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) pale[text.data.trim().slice(0, 60)] = ratio;
  }
  return pale;
}"""


# Colours fade over; on a busy machine a fade may begin late, and one within another later still.
FADED = """() => {
  const fades = document.getAnimations().filter((one) => one instanceof CSSTransition);
  fades.forEach((one) => one.finish());
  return !fades.length;
}"""


def look_at(page):
    """Nothing is cut off or pale on a phone, in the light and in the dark."""
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(
            "dark => document.body.classList.contains('dark') === dark", arg=scheme == "dark"
        )
        page.wait_for_function(FADED)
        assert page.evaluate(PALE) == {}


TOLD = "[...document.querySelectorAll('.notice.error')].filter((one) => one.checkVisibility())"


@pytest.mark.parametrize("tab, place", [(expressions, "expressions"), (styles, "styles")])
def test_a_tab_while_it_runs_stopped_empty_and_in_error(opening, slowly, tmp_path, tab, place):
    page = opening(width=360, height=780)
    page.get_by_role("tab", name=tab.NAME).click()
    run = page.locator(".run-button:visible")
    run.click()
    page.get_by_text(" of 75 frames, ").locator("visible=true").first.wait_for()
    look_at(page)
    page.keyboard.press("Escape")
    page.get_by_text("Stopped at frame").locator("visible=true").wait_for()
    other = page.get_by_role("button", name=words.OTHER_PICTURE).locator("visible=true")
    other.click()
    other.wait_for(state="hidden")  # the picture is gone
    chooser = page.locator(f"#{place}-picture input[type=file]")
    chooser.wait_for(state="attached")
    run.click()
    page.get_by_text(words.NO_PICTURE).locator("visible=true").wait_for()
    look_at(page)

    # What is no picture is said once, where it was given; another one takes the sentence away.
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    chooser.set_input_files(str(broken))
    page.get_by_text("broken.png").locator("visible=true").wait_for()
    page.wait_for_timeout(1000)  # for what follows
    page.wait_for_function(f"{TOLD}.length === 1")
    look_at(page)
    page.get_by_role("button", name="Cream cat", exact=True).first.click()
    page.wait_for_function(f"{TOLD}.length === 0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(opening, scheme):
    page = opening(color_scheme=scheme)
    for tab in (motion.NAME, latent.NAME, painting.NAME):
        page.get_by_role("tab", name=tab).click()
        for accordion in (words.MORE_SETTINGS, words.HUB, words.HOW):
            page.get_by_role("button", name=accordion).locator("visible=true").click()
        page.get_by_label(words.HUB_NAME).locator("visible=true").wait_for()
        page.locator(".foot:visible").get_by_role("button", name=words.DOWNLOAD).click()
        page.get_by_role("alert").locator("visible=true").wait_for()
        assert page.evaluate(PALE) == {}
    page = opening("readme", color_scheme=scheme)
    page.locator("h1").wait_for()
    assert page.evaluate(PALE) == {}


def test_the_readme_opens_beside_the_app_and_leads_within_itself(opening):
    page = opening(width=360, height=780)
    with page.context.expect_page() as beside:
        page.locator("#header a").click()
    readme = beside.value
    readme.wait_for_function("scrollY > 0")  # the section that the link names
    sizes = "[document.documentElement.scrollWidth, document.querySelector('.readme').clientWidth]"
    width, text = readme.evaluate(sizes)
    assert width == 360 and text > 300
    before = readme.evaluate("scrollY")
    readme.locator("h2 .md-header-anchor").last.dispatch_event("click")
    readme.wait_for_function(f"scrollY > {before}")
    assert "/readme#h-" in readme.url


def test_a_picture_goes_from_tab_to_tab(opening):
    """A sample's face is measured in the next tab, and then moved in a third."""
    page = opening()
    page.get_by_role("tab", name=latent.NAME).click()

    def send(name):
        row = page.locator(".send:visible")
        row.get_by_role("button", name=name, exact=True).click()

    send(expressions.NAME)
    page.locator("#expressions-stage-still").get_by_text(expressions.UNCHANGED).wait_for()
    before = page.locator("#motion-stage-still img").count()
    send(motion.NAME)
    page.locator("#motion-stage-still img:visible").first.wait_for()
    assert not before
