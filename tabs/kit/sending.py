"""Send to: the picture that one tab has made is given to another.

A tab that sends has a row `send`, and its module SENDS: the handler that makes a picture_file, and
what it is told besides. A module that takes has TAKES: the component that is given a picture, and
the stage, if any, that shows what comes of it.
"""

import gradio as gr

from tabs.kit import layout
from tabs.kit import texts as words
from tabs.kit.answers import QUIET, Tab

GO = """() => {{
  document.querySelector('#{0}')?.scrollIntoView({{block: 'start'}});
  return {{__type__: 'update', selected: '{1}'}};
}}"""


def row(tab: Tab) -> None:
    """Adds send, which `connect` fills once all tabs are there."""
    tab.send = gr.Row(elem_classes=["send"])


def connect(pages: gr.Tabs, built: dict) -> None:
    """built: the tabs of the page by module; each stands in `pages` under its module's NAME."""
    for module, tab in built.items():
        others = [one for one in built if one is not module and hasattr(one, "TAKES")]
        if not hasattr(module, "SENDS") or not others:
            continue
        with tab.send:
            gr.Markdown(words.SEND_TO, elem_classes=["caption"])
            buttons = [layout.button(other.NAME) for other in others]
        handler, told = module.SENDS
        for other, button in zip(others, buttons, strict=True):
            place, stage = other.TAKES
            named = {name: gr.State(value) for name, value in told.items()}
            named["picture_file"] = getattr(built[other], place)
            sent = tab.on(button.click, handler, named=named)
            go = GO.format(pages.elem_id, other.NAME)
            sent.success(None, None, pages, js=go, **QUIET)
            if stage:
                built[other].turns_to(stage, sent.success)
