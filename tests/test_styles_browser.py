"""The tab "Style translation" in a real browser: a picture in the style of a seed and of another
picture."""

from tabs import styles
from tabs.kit import jobs
from tabs.kit import texts as words
from tabs.styles import texts
from tests import tiny_stargan_v2
from tests.served import in_browser
from tests.test_browser import browser  # noqa: F401 - a fixture

SHOWN = "document.querySelector('#styles-picture-shown .compare-{0}')?.src"


def test_an_example_is_translated_by_a_seed_and_by_a_reference(browser, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "page"))
    weights = (("toy", str(tiny_stargan_v2.save_stargan_v2(tmp_path / "weights"))),)
    with in_browser(browser, styles, jobs.Settings("cpu", weights)) as page:
        page.wait_for_function(SHOWN.format("after"))
        caption = page.get_by_text("face-1.jpg as cat, seed 1.")
        caption.wait_for()
        before, after = (page.evaluate(SHOWN.format(one)) for one in ("before", "after"))
        page.get_by_role("button", name="seed 12").click()
        page.get_by_text("face-1.jpg as cat, seed 12.").wait_for()
        by_seed = page.evaluate(SHOWN.format("after"))
        reference = texts.STYLE_OF.format(name=words.FACES["face-5.jpg"])
        page.get_by_role("button", name=reference).click()
        page.get_by_text("face-1.jpg as cat, style of Ginger cat.").wait_for()
        assert len({after, by_seed, page.evaluate(SHOWN.format("after"))}) == 3
        assert page.evaluate(SHOWN.format("before")) == before
