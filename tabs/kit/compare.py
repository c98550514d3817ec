"""What was given and the result in one place, with a line between them to be moved.

The value is {"before", "after": data URLs, "before_alt", "after_alt": what they show}.
"""

from pathlib import Path

import gradio as gr

from tabs.kit import look
from tabs.kit import texts as words


def widget(value: dict | None = None, **options) -> gr.HTML:
    files = look.widget(Path(__file__), "compare")
    page = files["html_template"].replace("LABEL", words.COMPARE)
    page = page.replace("BEFORE", words.BEFORE).replace("AFTER", words.AFTER)
    return gr.HTML(value, **files | {"html_template": page}, **options)
