"""How the page looks: one theme for light and dark, its style sheet and keys, and the small pieces
of HTML that Gradio has no component for (progress, notice, header, footer). Nothing is fetched.
"""

import re
from html import escape
from pathlib import Path

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

CSS = """
.gradio-container { max-width: 1760px !important; margin: 0 auto !important; }
.nav-holder { display: none !important; }
#header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 2px 14px; }
.html-container { padding: 0 !important; }
#header a { margin: 0 !important; padding: 0 !important; }
#header h1 { font-size: 1.4rem; font-weight: 650; margin: 0; letter-spacing: -0.01em; }
#header p, .footer p { margin: 0; color: var(--body-text-color-subdued); }
.footer p { font-size: 0.85rem; padding: 8px 0 16px; }
.zone { gap: 12px !important; }
.zone-title h2 { font-size: 1.05rem; font-weight: 650; margin: 0; }
.zone-title p { margin: 0; font-size: 0.875rem; color: var(--body-text-color-subdued); }
.block:has(> .html-container > .prose:empty):not(.progress) { display: none; }

/* The result: a square, the largest thing on the page, the same for a picture and a clip. */
.stage { border: none !important; background: none !important; aspect-ratio: 1;
  max-width: 640px; margin: 0 auto; }
.stage .image-container, .stage .image-frame, .stage .image-frame img, .stage video {
  aspect-ratio: 1; width: 100% !important; height: auto !important; max-height: none !important;
  object-fit: contain; }
.stage video { border-radius: var(--block-radius); }
.caption p { margin: 0; font-size: 0.875rem; color: var(--body-text-color-subdued);
  min-height: 1.4em; }

/* The newest frame, over the stage while a clip is made; the stage keeps its size. */
.stage-box { position: relative; gap: 0 !important; max-width: 640px; margin: 0 auto;
  width: 100%; }
.preview { position: absolute !important; inset: 0; z-index: 5; pointer-events: none; }
.preview .prose, .preview .html-container { height: 100%; }
.preview img { width: 100%; height: 100%; object-fit: contain; margin: 0;
  border-radius: var(--block-radius); background: var(--body-background-fill); }
#motion-driving { height: auto !important; min-height: 240px; }
#motion-driving:has(video[src]) { aspect-ratio: 1; min-height: 0; }
#motion-driving:has(video[src]) .source-selection { display: none; }
#motion-driving video { object-fit: contain; max-height: 100%; }
.companion video { object-fit: contain; max-height: 340px; }
.figures { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(125px, 1fr)); }
.figures figure { margin: 0; }
.figures img { width: 100%; border-radius: var(--radius-md); margin: 0; }
.figures figcaption { font-size: 0.85rem; color: var(--body-text-color-subdued); }
.about { font-size: 0.875rem; }
.about p { margin: 4px 0; overflow-wrap: anywhere; }

/* Start and end, and the pictures to pick from. */
.point { gap: 8px !important; }
.thumb, .strip { padding-top: 30px !important; }
.thumb img, .strip img { object-fit: contain; }
.picks-row { align-items: center; }
.picks-row .form { border: none; background: none; box-shadow: none; }
.in-a-line { padding: 0 !important; border: none !important; background: none !important;
  display: flex; flex-wrap: wrap; align-items: center; gap: 4px 12px; }
.in-a-line > span { margin: 0 !important; font-size: 0.875rem; }
.picks { border: none !important; background: none !important; }
.picks .grid-wrap { height: auto !important; min-height: 0 !important; max-height: none !important;
  padding: 2px !important; overflow: visible !important; }
.picks .grid-container { padding: 0 !important; gap: 6px !important;
  grid-template-columns: repeat(6, minmax(0, 1fr)) !important;
  grid-auto-rows: min-content !important; align-content: start; height: auto !important; }
.picks .gallery-item, .picks .thumbnail-item { min-height: 0 !important; width: 100%; }
.picks .thumbnail-item { aspect-ratio: 1; height: auto !important;
  border-radius: var(--radius-md); }
.picks .caption-label { display: none; }
@media (max-width: 480px) { .picks .grid-container {
  grid-template-columns: repeat(4, minmax(0, 1fr)) !important; } }
.by-three .grid-container { grid-template-columns: repeat(3, minmax(0, 1fr)) !important; }

.dark input[type="range"] { --neutral-200: var(--neutral-700); }
.notice { padding: 8px 12px; border-radius: var(--radius-md); font-size: 0.9rem; line-height: 1.4;
  overflow-wrap: anywhere; background: var(--background-fill-secondary);
  border: 1px solid var(--border-color-primary); }
.notice.error { border-color: var(--error-border-color); background: var(--error-background-fill);
  color: var(--error-text-color); }
.progress { min-height: 48px; }
.hint { font-size: 0.85rem; color: var(--body-text-color-subdued); }
.job { display: flex; gap: 12px; align-items: center; height: 48px; }
.job img { width: 48px; height: 48px; border-radius: var(--radius-md); flex: none; margin: 0;
  object-fit: cover; }
.job > div { flex: 1; min-width: 0; font-size: 0.875rem; }
.job .track { height: 6px; border-radius: 3px; background: var(--border-color-primary);
  overflow: hidden; margin-bottom: 6px; }
.job .fill { height: 100%; border-radius: 3px; background: var(--slider-color);
  transition: width 0.2s; }
.job .fill.waiting { width: 30%; animation: waiting 1.4s ease-in-out infinite alternate; }
@keyframes waiting { from { margin-left: 0; } to { margin-left: 70%; } }

@media (prefers-reduced-motion: reduce) {
  *, *::before, *::after { animation: none !important; transition: none !important; } }
"""

# Enter runs and Escape stops, in the tab that is open. Where motion is unwelcome, clips wait. The
# README's text arrives after the page, so its headings (h-...) are scrolled to when they are there.
HEAD = """
<style>
@media (max-width: 480px) { gradio-app .main.fillable { padding: 12px 16px !important; } }
</style>
<script>
addEventListener('keydown', (event) => {
  const press = (selector) => {
    const button = [...document.querySelectorAll(selector)]
      .find((one) => one.offsetParent !== null && !one.disabled);
    if (button) { event.preventDefault(); button.click(); }
  };
  const enters = event.target.matches?.('.runs-on-enter input') && !event.isComposing;
  if (event.key === 'Escape') press('button.stop-button');
  if (event.key === 'Enter' && enters) press('button.run-button');
});
addEventListener('play', (event) => {
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  if (still && !navigator.userActivation?.isActive) event.target.pause();
}, true);
if (location.hash) {
  const find = setInterval(() => {
    const heading = document.getElementById('h-' + location.hash.slice(1));
    if (heading) { clearInterval(find); heading.scrollIntoView(); }
  }, 200);
  setTimeout(() => clearInterval(find), 20000);
}
</script>
"""


def theme() -> gr.themes.Base:
    """The one theme: system fonts, one accent, light and dark."""
    return gr.themes.Base(
        primary_hue=VIOLET,
        secondary_hue=VIOLET,
        neutral_hue=SLATE,
        font=[gr.themes.Font("system-ui"), gr.themes.Font("sans-serif")],
        font_mono=[gr.themes.Font("ui-monospace"), gr.themes.Font("monospace")],
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_label_background_fill="*block_background_fill",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        block_title_text_weight="550",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
        button_primary_text_color="white",
        button_large_text_weight="550",
        button_medium_text_weight="500",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
        input_background_fill="white",
        input_background_fill_dark="*neutral_800",
    )


def notice(text: str = "", kind: str = "info") -> str:
    """A sentence beside the control it is about; "" for none. `kind`: "info" or "error"."""
    if not text:
        return ""
    role = "alert" if kind == "error" else "status"
    return f'<div class="notice {kind}" role="{role}">{escape(text)}</div>'


def hint(text: str) -> str:
    """What stands where the progress will be, while nothing runs."""
    return f'<div class="job hint">{escape(text)}</div>'


def progress(text: str, done: float | None = None, picture: str = "") -> str:
    """A bar over a line. `done` in [0, 1], None while not known; `picture`: a data URL."""
    preview = f'<img src="{picture}" alt="the newest frame">' if picture else ""
    if done is None:
        fill, value = '<div class="fill waiting"></div>', ""
    else:
        fill = f'<div class="fill" style="width:{100 * done:.1f}%"></div>'
        value = f' aria-valuenow="{100 * done:.0f}"'
    return (
        f'<div class="job">{preview}<div><div class="track" role="progressbar" aria-valuemin="0" '
        f'aria-valuemax="100" aria-label="{escape(text)}"{value}>{fill}</div>{escape(text)}'
        "</div></div>"
    )


def duration(seconds: float) -> str:
    """Seconds in words short enough for a progress line."""
    seconds = max(1, round(seconds))
    return f"{seconds} s" if seconds < 90 else f"{seconds // 60} min {seconds % 60} s"


def header(name: str, sentence: str, link: str, link_text: str) -> str:
    return (
        f'<header id="header"><h1>{escape(name)}</h1><p>{escape(sentence)}</p>'
        f'<a href="{escape(link)}">{escape(link_text)}</a></header>'
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
