"""The tab "Style translation" in a real browser: a picture in the style of a seed and of another
picture, by the shipped weights.
"""

from tabs import styles
from tabs.kit import jobs
from tabs.kit import texts as words
from tabs.styles import live, texts
from tests.served import in_browser
from tests.test_browser import browser  # noqa: F401 - a fixture

MENU = """[...document.querySelectorAll('#styles-domain label')].every((one) =>
  getComputedStyle(one, '::before').backgroundImage.startsWith('url("data:image'))"""
SHOWN = "document.querySelector('#styles-picture-shown .compare-{0}')?.src"


def test_an_example_is_translated_by_a_seed_and_by_a_reference(browser, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "page"))
    settings = jobs.Settings("cpu")
    with in_browser(browser, styles, settings) as page:
        page.get_by_role("tab", name=texts.PICTURE_STAGE).click()
        page.wait_for_function(SHOWN.format("after"))
        page.get_by_text("face-1.jpg as cat, seed 1.").wait_for()
        page.wait_for_function(MENU)
        before, after = (page.evaluate(SHOWN.format(one)) for one in ("before", "after"))
        page.get_by_role("button", name="seed 12").click()
        page.get_by_text("face-1.jpg as cat, seed 12.").wait_for()
        by_seed = page.evaluate(SHOWN.format("after"))
        reference = texts.STYLE_OF.format(name=words.FACES["face-5.jpg"])
        page.get_by_role("button", name=reference).click()
        page.get_by_text("face-1.jpg as cat, style of Ginger cat.").wait_for()
        by_reference = page.evaluate(SHOWN.format("after"))
        assert len({after, by_seed, by_reference}) == 3

        # A slider: the live picture is the one that comes with its settings.
        page.wait_for_timeout(1000)  # for the ticket
        share = page.locator(f"#{live.SHARE} input[type=range]")
        with page.expect_response(lambda answer: "component_server" in answer.url) as asked:
            share.press("PageUp")
        page.get_by_text("face-1.jpg as cat, style of Ginger cat to seed 2, 10 %.").wait_for()
        between = page.evaluate(SHOWN.format("after"))
        assert asked.value.json()["after"] == between not in (after, by_seed, by_reference)
        assert page.evaluate(SHOWN.format("before")) == before
