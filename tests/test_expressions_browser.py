"""The tab "Expressions" in a real browser: a slider moves, and the face follows."""

import pytest

from tabs import expressions
from tabs.expressions import texts
from tabs.kit import jobs
from tabs.kit import texts as words
from tests import tiny_ganimation
from tests.served import in_browser
from tests.test_browser import PATIENCE, browser  # noqa: F401 - a fixture

SHOWN = "document.querySelector('.compare-{0}')?.src"
VALUES = "[...document.querySelectorAll('.unit input[type=range]')].map((one) => +one.value)"
OTHER = "(old) => document.querySelector('.compare-{0}').src !== old"


@pytest.fixture
def page(browser, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "page"))
    weights = (("mover", str(tiny_ganimation.save_ganimation(tmp_path / "weights"))),)
    with in_browser(browser, expressions, jobs.Settings("cpu", weights)) as opened:
        opened.wait_for_function(SHOWN.format("after"))
        yield opened


def test_a_face_follows_its_sliders(page):
    measured, before = page.evaluate(VALUES), page.evaluate(SHOWN.format("before"))
    assert len(measured) == 17 and 0 < sum(measured) < 17

    def changes(act, which="after"):
        seen = page.evaluate(SHOWN.format(which))
        act()
        page.wait_for_function(OTHER.format(which), arg=seen)

    # A slider by the keyboard: live, and then with its settings; the picture before stays.
    page.wait_for_timeout(1000)  # for the ticket
    smile = page.get_by_role("slider", name="Lip corner puller (AU12)")
    end = "Home" if float(smile.input_value()) > 0.5 else "End"
    with page.expect_response(lambda answer: "component_server" in answer.url) as live:
        changes(lambda: smile.press(end))
    assert "data:image" in live.value.text()
    told = "[...document.querySelectorAll('textarea')].some((one) => one.value.includes('AU12: '))"
    page.wait_for_function(told)
    assert page.evaluate(SHOWN.format("before")) == before

    # The line between the two.
    line = page.get_by_role("slider", name=words.COMPARE)
    line.press("PageUp")
    assert page.evaluate("document.querySelector('.compare').dataset.shown") == "both"
    line.press("Home")

    # A named expression, what attention keeps, and back to what is measured.
    changes(page.get_by_role("button", name=texts.EMOTIONS["surprise"]).click)
    assert page.locator(".unit-1 input[type=range]").input_value() == "0.8"
    changes(page.get_by_label("Attention").click)
    changes(page.get_by_role("button", name=texts.MEASURED).click)
    assert page.evaluate(VALUES) == measured

    # Another face: its own sliders, and the expression of a second picture.
    changes(page.get_by_role("button", name="Ginger cat").click, "before")
    page.wait_for_function(f"old => {VALUES}.join() !== old.join()", arg=measured)
    changes(page.get_by_role("button", name="Raised brows, open mouth").click)

    # On a phone the picture stays in sight at the last slider. Enter animates.
    page.set_viewport_size({"width": 360, "height": 780})
    last = page.get_by_role("slider", name="Jaw drop (AU26)")
    last.scroll_into_view_if_needed()
    box = page.locator(".compare").bounding_box()
    assert box["y"] >= 0 and box["width"] >= 320 and box["y"] + box["height"] < 780
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    last.press("Enter")
    page.get_by_text("75 frames, 3 s").wait_for(timeout=3 * PATIENCE)
    page.wait_for_function("document.querySelector('#expressions-clip video')?.src")

    # Reset gives back the first face.
    page.get_by_role("button", name=words.RESET).click()
    page.wait_for_function(f"old => {VALUES}.join() === old.join()", arg=measured)
    assert page.evaluate(SHOWN.format("before")) == before
