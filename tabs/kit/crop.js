// The crop on its picture. `moved` keeps the centre inside the picture and the side between 8 px and
// the longer side.
const holder = element.querySelector('.crop-picture'), image = holder.querySelector('img');
const frame = holder.querySelector('.crop-box'), faces = holder.querySelector('.crop-faces');
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
