"""The picture with its crop drawn on it, to be moved by the visitor.

The value travels as {"picture": data URL, "width", "height": of the full picture, "box": [left,
top, right, bottom] in its pixels, "faces": boxes to click}; only the box comes back changed.
"""

import math

import gradio as gr
import numpy as np

from gan_models import images
from gan_models.errors import UserError
from gan_models.faces import Box
from tabs import results
from tabs.motion import texts

SHOWN = 480  # pixels of the longer side
SMALLEST = 8  # pixels of the full picture

TEMPLATE = """
<p class="crop-title"></p>
<div class="crop-frame">
  <div class="crop-picture">
    <img alt="" draggable="false">
    <div class="crop-faces"></div>
    <div class="crop-box" tabindex="0" role="application"><span class="crop-grip"></span></div>
  </div>
</div>
"""

CSS = """
.crop-title { margin: 0 0 4px; font-size: 0.875rem; color: var(--body-text-color-subdued); }
.crop-title:empty { display: none; }
.crop-frame { display: flex; justify-content: center; }
.crop-picture { position: relative; overflow: hidden; line-height: 0; touch-action: pan-y;
  border-radius: var(--radius-md); cursor: crosshair; user-select: none; }
.crop-picture img { max-width: 100%; max-height: 260px; display: block; margin: 0; }
.crop-box { position: absolute; box-sizing: border-box; border: 2px solid white; cursor: move;
  outline: 1px solid rgba(0, 0, 0, .55); box-shadow: 0 0 0 2000px rgba(10, 8, 20, .5);
  touch-action: none; border-radius: 2px; }
.crop-box:focus-visible { border-color: var(--primary-400); }
.crop-grip { position: absolute; right: 3px; bottom: 3px; width: 24px; height: 24px;
  cursor: nwse-resize; touch-action: none; border: solid white; border-width: 0 4px 4px 0;
  filter: drop-shadow(0 0 1px rgba(0, 0, 0, .8)); box-sizing: border-box; }
.crop-faces span { position: absolute; border: 1px dashed white; border-radius: 3px;
  outline: 1px dashed rgba(0, 0, 0, .5); pointer-events: none; }
"""

# `moved` keeps the centre inside the picture and the side between 8 px and the longer side.
SCRIPT = """
const holder = element.querySelector('.crop-picture'), image = holder.querySelector('img');
const frame = holder.querySelector('.crop-box'), faces = holder.querySelector('.crop-faces');
frame.setAttribute('aria-label', props.words);
element.querySelector('.crop-title').textContent = props.heading;
const clamp = (number, low, high) => Math.min(high, Math.max(low, number));
let box = null, drag = null;
const place = (one, [left, top, right, bottom]) => {
  const {width, height} = props.value;
  Object.assign(one.style, {left: 100 * left / width + '%', top: 100 * top / height + '%',
    width: 100 * (right - left) / width + '%', height: 100 * (bottom - top) / height + '%'});
};
const draw = () => {
  const value = props.value;
  if (!value?.picture) { image.removeAttribute('src'); return; }
  if (image.getAttribute('src') !== value.picture) image.src = value.picture;
  image.alt = props.words;
  box = [...value.box];
  place(frame, box);
  faces.replaceChildren(...(value.faces || []).map((face) => {
    const one = document.createElement('span'); place(one, face); return one; }));
};
const moved = (x, y, side) => {
  const {width, height} = props.value;
  side = clamp(side, 8, Math.max(width, height));
  x = clamp(x, 0, width); y = clamp(y, 0, height);
  box = [x - side / 2, y - side / 2, x + side / 2, y + side / 2];
  place(frame, box);
};
const keep = () => { props.value = {...props.value, box: [...box]}; trigger('input'); };
const at = (event) => {
  const shown = image.getBoundingClientRect();
  return [(event.clientX - shown.left) * props.value.width / shown.width,
    (event.clientY - shown.top) * props.value.height / shown.height];
};
holder.addEventListener('pointerdown', (event) => {
  if (!box || event.button) return;
  const [x, y] = at(event), grip = event.target.className === 'crop-grip';
  drag = {x, y, box: [...box], grip, inside: frame.contains(event.target), far: false};
  if (drag.inside) holder.setPointerCapture(event.pointerId);
});
holder.addEventListener('pointermove', (event) => {
  if (!drag?.inside) return;
  const [x, y] = at(event), [left, top, right, bottom] = drag.box, side = right - left;
  const dx = x - drag.x, dy = y - drag.y;
  if (Math.hypot(dx, dy) > 0.015 * props.value.width) drag.far = true;
  if (!drag.far) return;
  if (drag.grip) {
    const larger = clamp(side + Math.max(dx, dy), 8,
      Math.max(props.value.width, props.value.height));
    moved(left + larger / 2, top + larger / 2, larger);
  } else moved((left + right) / 2 + dx, (top + bottom) / 2 + dy, side);
});
holder.addEventListener('pointerup', () => {
  if (drag?.far) keep();
  else if (drag) trigger('select', {x: drag.x, y: drag.y});
  drag = null;
});
holder.addEventListener('pointercancel', () => { drag = null; if (box) draw(); });
frame.addEventListener('keydown', (event) => {
  if (!box) return;
  const side = box[2] - box[0], step = 0.05 * side;
  const [dx, dy, grow] = {ArrowLeft: [-step, 0, 0], ArrowRight: [step, 0, 0],
    ArrowUp: [0, -step, 0], ArrowDown: [0, step, 0], '+': [0, 0, step], '-': [0, 0, -step],
  }[event.key] || [];
  if (dx === undefined) return;
  event.preventDefault();
  moved((box[0] + box[2]) / 2 + dx, (box[1] + box[3]) / 2 + dy, side + grow);
  keep();
});
watch('value', draw);
draw();
"""


def crop_box(value: dict | None = None, words: str = texts.CROP, heading="", **options) -> gr.HTML:
    """A picture with a movable square; `input` when it was moved, `select` for a click.

    words: for screen readers. heading: a line over the picture.
    """
    return gr.HTML(
        value, html_template=TEMPLATE, css_template=CSS, js_on_load=SCRIPT, words=words,
        heading=heading, **options,
    )  # fmt: skip


def shown(picture: np.ndarray, box: Box, faces: list[Box] = ()) -> dict:
    """The value that shows `picture` (H, W, 3) uint8 with `box` on it and several faces marked."""
    height, width = picture.shape[:2]
    scale = min(1, SHOWN / max(height, width))
    small = images.resize(picture, (max(1, round(height * scale)), max(1, round(width * scale))))
    return {
        "picture": results.data_url(small),
        "width": width,
        "height": height,
        "box": corners(box),
        "faces": [corners(face) for face in faces] if len(faces) > 1 else [],
    }


def corners(box: Box) -> list[float]:
    return [round(float(edge), 2) for edge in (box.left, box.top, box.right, box.bottom)]


def chosen(value: dict | None, picture: np.ndarray) -> Box | None:
    """The box that came back from the page; None where there is none.

    Raises UserError for what is no square around a place in `picture`.
    """
    if not value or not isinstance(value, dict) or "box" not in value:
        return None
    height, width = picture.shape[:2]
    try:
        left, top, right, bottom = (float(edge) for edge in value["box"])
    except (TypeError, ValueError) as error:
        raise UserError(texts.BAD_CROP) from error
    side = right - left
    sound = all(map(math.isfinite, (left, top, right, bottom))) and abs(bottom - top - side) < 1
    inside = 0 <= (left + right) / 2 <= width and 0 <= (top + bottom) / 2 <= height
    if not (sound and inside and SMALLEST <= side <= 2 * max(width, height)):
        raise UserError(texts.BAD_CROP)
    return Box(left, top, left + side, top + side)
