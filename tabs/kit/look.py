"""How the page looks: one theme for light and dark, its style sheet (page.css) and keys (page.js),
and the small pieces of HTML that Gradio has no component for. Nothing is fetched.
"""

import re
from html import escape
from pathlib import Path
from typing import NamedTuple

import gradio as gr

VERSION = "0.1.0"

VIOLET = gr.themes.Color(  # the accent, after the puppets' violet backgrounds
    "#f6f3fd", "#ece6fa", "#dcd1f5", "#c4b1ec", "#a98ce0", "#8f6ad2",
    "#7650bd", "#623fa2", "#503486", "#432d6e", "#2a1a4a", name="violet",
)  # fmt: skip
SLATE = gr.themes.Color(
    "#fafafb", "#f2f2f5", "#e5e5ea", "#d2d2da", "#a2a1af", "#747383",
    "#575566", "#434150", "#2c2a37", "#1f1d28", "#15141c", name="slate",
)  # fmt: skip

HERE = Path(__file__).parent
CSS = (HERE / "page.css").read_text(encoding="utf-8")
# Gradio keeps CSS to what lies within the page; the rules are about what lies around it.
HEAD = f"""<style>
gradio-app > .gradio-container, gradio-app .main.fillable {{ width: 100%; }}
gradio-app > .gradio-container {{ overflow: clip !important; }}
@media (max-width: 480px) {{ gradio-app .main.fillable {{ padding: 12px 16px !important; }} }}
</style><script>{(HERE / "page.js").read_text(encoding="utf-8")}</script>"""


def widget(beside: Path, name: str) -> dict[str, str]:
    """What gr.HTML takes of a widget of ours: name.html, .css and .js in the folder of `beside`."""
    kinds = {"html_template": "html", "css_template": "css", "js_on_load": "js"}
    return {
        key: beside.with_name(f"{name}.{ending}").read_text(encoding="utf-8")
        for key, ending in kinds.items()
    }


def theme() -> gr.themes.Base:
    return gr.themes.Base(
        primary_hue=VIOLET,
        secondary_hue=VIOLET,
        neutral_hue=SLATE,
        font=[gr.themes.Font("system-ui"), gr.themes.Font("sans-serif")],
        font_mono=[gr.themes.Font("ui-monospace"), gr.themes.Font("monospace")],
    ).set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_label_background_fill="*block_background_fill",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        block_title_text_weight="550",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
        button_large_text_weight="550",
        button_medium_text_weight="500",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
        input_background_fill="white",
        input_background_fill_dark="*neutral_800",
    )


class Remedy(NamedTuple):
    """A button within a notice, which does what the notice proposes (`layout.notice`)."""

    label: str
    choice: str = ""  # what its click hands over
    to: str = ""  # a selector of what then comes into view


def notice(text: str = "", kind: str = "info", remedy: Remedy | None = None) -> str:
    """A sentence beside the control it is about; "" for none. `kind`: "info" or "error"."""
    if not text:
        return ""
    role, button = "alert" if kind == "error" else "status", ""
    if remedy:
        label, choice, to = map(escape, remedy)
        button = (
            f' <button type="button" class="remedy" data-choice="{choice}" data-to="{to}">'
            f"{label}</button>"
        )
    return f'<div class="notice {kind}" role="{role}">{escape(text)}{button}</div>'


def hint(text: str) -> str:
    """What stands where the progress will be, while nothing runs."""
    return f'<div class="job hint">{escape(text)}</div>'


def progress(text: str, done: float | None = None, picture: str = "") -> str:
    """A bar over a line. `done` in [0, 1], None while not known; `picture`: a data URL."""
    preview = f'<img src="{picture}" alt="the newest frame">' if picture else ""
    fill, value = '<div class="fill waiting"></div>', ""
    if done is not None:
        fill = f'<div class="fill" style="width:{100 * done:.1f}%"></div>'
        value = f' aria-valuenow="{100 * done:.0f}"'
    return (
        f'<div class="job">{preview}<div><div class="track" role="progressbar" aria-valuemin="0" '
        f'aria-valuemax="100" aria-label="{escape(text)}"{value}>{fill}</div>{escape(text)}'
        "</div></div>"
    )


def duration(seconds: float) -> str:
    seconds = max(1, round(seconds))
    return f"{seconds} s" if seconds < 90 else f"{seconds // 60} min {seconds % 60} s"


def header(name: str, sentence: str, link: str, link_text: str) -> str:
    return (
        f'<header id="header"><h1>{escape(name)}</h1><p>{escape(sentence)}</p>'
        f'<a href="{escape(link)}" target="_blank" rel="noopener">{escape(link_text)}</a></header>'
    )


def footer(weights: str, device: str) -> str:
    return (
        f'<footer class="footer"><p>Weights: {escape(weights or "none")} · '
        f"Device: {escape(device)} · Version {VERSION}</p></footer>"
    )


def readme(root: Path) -> str:
    """README.md as a page of this program (no network), its pictures found below `root`."""
    path = root / "README.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return re.sub(r"\]\((assets/[^)]+)\)", rf"](/gradio_api/file={root}/\1)", text)
