// The painting tool. It holds class ids, one byte a pixel, and colours are only how they are shown.
// The picture follows the brush: one request is under way at a time, and the next one is sent with
// the newest map, so maps that come meanwhile replace each other.
const find = (selector) => element.querySelector(selector);
const screen = find('.paint-map'), result = find('.paint-result'), field = find('.paint-field');
const sheet = find('.paint-sheet'), tip = find('.paint-tip'), status = find('.paint-status');
const sizeBar = find('.paint-size'), split = find('.paint-split'), search = find('.paint-search');
const classes = find('.paint-classes'), kinds = find('.paint-kinds');
const undoButton = find('.paint-undo'), redoButton = find('.paint-redo');
const words = WORDS, MOST_STEPS = 100, REST = 400, ZOOMS = [1, 1.5, 2, 3, 4, 6, 8];

const state = {width: 0, height: 0, ids: null, names: [], colours: null, labels: '', chosen: 0,
  tool: 'brush', past: [], future: [], before: null, from: null, last: null, pointers: new Map(),
  pinch: null, zoom: 0, ticket: '', look: '', made: '', wish: false, busy: false, resting: 0, visit: 0,
  rested: false};
// The newest picture, and the one before the last change.
const newest = document.createElement('canvas'), earlier = document.createElement('canvas');

find('.paint-tools').setAttribute('aria-label', words.toolbar);
find('.paint-size-name').textContent = words.size;
for (const name of ['undo', 'redo', 'clear']) find('.paint-' + name).textContent = words[name];
for (const name of ['closer', 'farther'])
  Object.assign(find('.paint-' + name), {title: words[name], ariaLabel: words[name]});
screen.setAttribute('aria-label', words.map);
result.setAttribute('aria-label', words.result);
find('.paint-before').textContent = words.before;
Object.assign(split, {title: words.compare, ariaLabel: words.compare});
classes.setAttribute('aria-label', words.classes);
Object.assign(search, {placeholder: words.search, ariaLabel: words.search});
find('.paint-keys').textContent = words.keys;

const say = (text, wrong = false) => {
  if (status.textContent !== text) status.textContent = text;
  status.classList.toggle('paint-error', wrong);
};
const named = (text, more = {}) => Object.entries({name: state.names[state.chosen], ...more})
  .reduce((said, [key, value]) => said.replace(`{${key}}`, value), text);

// ---------------------------------------------------------------- tools and palette

function button(parent, text, title, press) {
  const made = document.createElement('button');
  Object.assign(made, {type: 'button', textContent: text, title});
  made.addEventListener('click', press);
  return parent.appendChild(made);
}
function press(parent, value) {
  for (const one of parent.children)
    one.setAttribute('aria-pressed', String(one.dataset.value === String(value)));
}
function useTool(name) {
  state.tool = name;
  press(kinds, name);
  tip.style.display = 'none';
}
for (const [name, [text, key]] of Object.entries(words.tools))
  button(kinds, text, `${text} (${key})`, () => useTool(name)).dataset.value = name;
useTool('brush');

function choose(id) {
  state.chosen = id;
  press(classes, id);
  say(named(words.painting));
}
function listClasses() {
  const wanted = search.value.trim().toLowerCase();
  classes.textContent = '';
  state.names.forEach((name, id) => {
    if (!name.toLowerCase().includes(wanted)) return;
    const made = button(classes, '', name, () => choose(id)), swatch = document.createElement('i');
    made.dataset.value = id;
    swatch.style.background = state.palette[id];
    made.append(swatch, name);
  });
  if (!classes.children.length) classes.textContent = words.none;
  press(classes, state.chosen);
}
search.addEventListener('input', listClasses);
search.addEventListener('keydown', (event) => {  // Enter takes the first that is found
  if (event.key === 'Enter') classes.querySelector('button')?.click();
});

// ---------------------------------------------------------------- the map

function draw() {
  const pen = screen.getContext('2d'), picture = pen.createImageData(state.width, state.height);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let at = 0; at < pixels.length; at++) pixels[at] = state.colours[state.ids[at]];
  pen.putImageData(picture, 0, 0);
}
function disc(x, y) {
  const size = Number(sizeBar.value), radius = size / 2, {width, height, ids, chosen} = state;
  const shift = size % 2 ? 0 : 0.5;  // an even size lies around a corner of four pixels
  const reach = Math.ceil(radius);
  for (let row = Math.max(0, y - reach); row <= Math.min(height - 1, y + reach); row++)
    for (let column = Math.max(0, x - reach); column <= Math.min(width - 1, x + reach); column++) {
      const away = (column - x + shift) ** 2 + (row - y + shift) ** 2;
      if (away <= radius * radius) ids[row * width + column] = chosen;
    }
}
function line([x, y], [toX, toY]) {
  const steps = Math.max(Math.abs(toX - x), Math.abs(toY - y), 1);
  for (let step = 0; step <= steps; step++)
    disc(Math.round(x + (toX - x) * step / steps), Math.round(y + (toY - y) * step / steps));
}
function rectangle([x, y], [toX, toY]) {
  const inside = (at, most) => Math.min(most - 1, Math.max(0, at));
  const [left, right] = [x, toX].map((at) => inside(at, state.width)).sort((a, b) => a - b);
  const [top, bottom] = [y, toY].map((at) => inside(at, state.height)).sort((a, b) => a - b);
  for (let row = top; row <= bottom; row++)
    state.ids.fill(state.chosen, row * state.width + left, row * state.width + right + 1);
}
function fill([x, y]) {
  const {width, height, ids, chosen} = state, old = ids[y * width + x], todo = [y * width + x];
  if (old === chosen) return;
  while (todo.length) {
    const at = todo.pop(), column = at % width;
    if (ids[at] !== old) continue;
    ids[at] = chosen;
    if (column) todo.push(at - 1);
    if (column < width - 1) todo.push(at + 1);
    if (at >= width) todo.push(at - width);
    if (at < width * (height - 1)) todo.push(at + width);
  }
}
const same = (a, b) => a.length === b.length && a.every((id, at) => id === b[at]);

// After a change of the map, `before` it: one step back more.
function changed(before) {
  if (same(before, state.ids)) return;
  state.past.push(before);
  if (state.past.length > MOST_STEPS) state.past.shift();
  state.future = [];
  show();
}
function show() {
  draw();
  undoButton.disabled = !state.past.length;
  redoButton.disabled = !state.future.length;
  wish();
  keep();
}
function step(from, to) {
  if (!from.length || state.before) return;
  to.push(state.ids);
  state.ids = from.pop();
  show();
}
const undo = () => step(state.past, state.future), redo = () => step(state.future, state.past);
function clear() {
  const before = state.ids.slice();
  state.ids.fill(state.chosen);
  changed(before);
}

// ---------------------------------------------------------------- pointers

function place(event) {
  const box = screen.getBoundingClientRect();
  return [Math.floor((event.clientX - box.left) / box.width * state.width),
    Math.floor((event.clientY - box.top) / box.height * state.height)];
}
const within = ([x, y]) => x >= 0 && y >= 0 && x < state.width && y < state.height;

function down(event) {
  if (!state.ids || event.button > 0) return;
  screen.setPointerCapture(event.pointerId);
  state.pointers.set(event.pointerId, event);
  if (state.pointers.size > 1) return pinch();
  const here = place(event);
  if (!within(here)) return;
  if (state.tool === 'pick') return choose(state.ids[here[1] * state.width + here[0]]);
  state.before = state.ids.slice();
  state.from = state.last = here;
  if (state.tool === 'fill') fill(here);
  else return move(event);
  up(event);
}
function move(event) {
  showTip(event);
  if (state.pointers.has(event.pointerId)) state.pointers.set(event.pointerId, event);
  if (state.pinch) return pinched();
  if (!state.before) return;
  if (state.tool === 'brush') {
    const seen = event.getCoalescedEvents?.() || [];
    for (const one of seen.length ? seen : [event]) {
      const here = place(one);
      line(state.last, here);
      state.last = here;
    }
  } else {  // what is dragged is drawn anew on what was there
    state.ids.set(state.before);
    (state.tool === 'line' ? line : rectangle)(state.from, place(event));
  }
  draw();
  wish();
}
function up(event) {
  state.pointers.delete(event.pointerId);
  if (state.pointers.size < 2) state.pinch = null;
  const {before} = state;
  state.before = null;
  if (before) changed(before);
}
function showTip(event) {
  const shown = event.pointerType !== 'touch' && ['brush', 'line'].includes(state.tool);
  const box = sheet.getBoundingClientRect(), size = sizeBar.value / state.width * box.width;
  Object.assign(tip.style, {display: shown && state.ids ? 'block' : 'none', width: size + 'px',
    height: size + 'px', left: event.clientX - box.left + 'px', top: event.clientY - box.top + 'px'});
}
screen.addEventListener('pointerdown', down);
screen.addEventListener('pointermove', move);
screen.addEventListener('pointerup', up);
screen.addEventListener('pointercancel', up);
screen.addEventListener('pointerleave', () => { tip.style.display = 'none'; });

// ---------------------------------------------------------------- zoom

// Times as large, with what lies at (x, y) of the window kept there.
function zoomTo(times, x, y) {
  const view = field.getBoundingClientRect(), old = sheet.getBoundingClientRect();
  const across = ((x ?? view.left + view.width / 2) - old.left) / old.width;
  const below = ((y ?? view.top + view.height / 2) - old.top) / old.height;
  field.style.height = times > 1 ? view.height + 'px' : '';
  sheet.style.width = 100 * times + '%';
  field.classList.toggle('paint-close', times > 1);
  const now = sheet.getBoundingClientRect();
  field.scrollLeft += now.left + across * now.width - (x ?? view.left + view.width / 2);
  field.scrollTop += now.top + below * now.height - (y ?? view.top + view.height / 2);
  state.times = times;
}
function zoom(by) {
  state.zoom = Math.min(ZOOMS.length - 1, Math.max(0, state.zoom + by));
  zoomTo(ZOOMS[state.zoom]);
}
const spread = () => {
  const [a, b] = [...state.pointers.values()];
  return {x: (a.clientX + b.clientX) / 2, y: (a.clientY + b.clientY) / 2,
    apart: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY)};
};
function pinch() {  // a second finger takes back what the first began
  if (state.before) {
    state.ids.set(state.before);
    state.before = null;
    draw();
    wish();
  }
  state.pinch = {...spread(), times: state.times || 1};
}
function pinched() {
  const now = spread(), {pinch: began} = state;
  field.scrollLeft += began.x - now.x;
  field.scrollTop += began.y - now.y;
  Object.assign(began, {x: now.x, y: now.y});
  const times = Math.min(8, Math.max(1, began.times * now.apart / began.apart));
  zoomTo(times, now.x, now.y);
  state.zoom = Math.max(0, ZOOMS.findLastIndex((one) => one <= times));
}

// ---------------------------------------------------------------- keys

const KEYS = {
  ...Object.fromEntries(Object.entries(words.tools)
    .map(([name, [, key]]) => [key.toLowerCase(), () => useTool(name)])),
  '[': () => { sizeBar.value = Number(sizeBar.value) - 1; },
  ']': () => { sizeBar.value = Number(sizeBar.value) + 1; },
  '+': () => zoom(1), '=': () => zoom(1), '-': () => zoom(-1),
};
const onKey = (event) => {
  if (!element.isConnected) return document.removeEventListener('keydown', onKey);
  const typing = 'input:not([type=range]):not([type=checkbox]), textarea, select, [role=listbox]';
  if (!state.ids || !element.getClientRects().length || event.altKey) return;
  if (event.target.closest?.(typing)) return;
  const key = event.key.toLowerCase();
  let done = null;
  if (event.ctrlKey || event.metaKey) {
    if (key === 'z') done = event.shiftKey ? redo : undo;
    if (key === 'y') done = redo;
  } else {
    done = KEYS[key];
  }
  if (!done) return;
  event.preventDefault();
  done();
};
document.addEventListener('keydown', onKey);
undoButton.addEventListener('click', undo);
redoButton.addEventListener('click', redo);
find('.paint-clear').addEventListener('click', () => { if (state.ids) clear(); });
find('.paint-closer').addEventListener('click', () => zoom(1));
find('.paint-farther').addEventListener('click', () => zoom(-1));

// ---------------------------------------------------------------- the picture

function encoded() {
  let text = '';
  for (let at = 0; at < state.ids.length; at += 8192)
    text += String.fromCharCode(...state.ids.subarray(at, at + 8192));
  return btoa(text);
}
// What the page's own events are given of the canvas: always the newest map.
function keep() {
  const {ticket, look, labels, width, height} = state;
  props.value = {ticket, look, labels, width, height, ids: encoded()};
}
function wish() {
  if (state.rested) remember(newest);
  state.rested = false;
  state.wish = true;
  ask();
}
async function ask() {
  if (state.busy || !state.wish || !state.ticket || !state.ids) return;
  const {visit, ticket} = state;
  state.wish = false;
  state.busy = true;
  try {
    const answer = await server.paint_map({ticket, ids: encoded()});
    if (visit === state.visit) {
      if (answer.error) say(answer.error, true);
      else await paint(answer);
    }
  } catch (error) {
    say(words.lost, true);
  } finally {
    state.busy = false;
  }
  if (state.wish) return ask();
  clearTimeout(state.resting);  // whatever shows the map elsewhere follows once it rests
  state.resting = setTimeout(() => {
    if (state.before || state.wish || state.busy) return;
    state.rested = true;
    trigger('input');
  }, REST);
}
async function paint({picture: address, seconds}) {
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  const {naturalWidth: width, naturalHeight: height} = picture;
  if (newest.width !== width || newest.height !== height) {
    for (const one of [result, newest, earlier]) Object.assign(one, {width, height});
    forget();
  }
  newest.getContext('2d').drawImage(picture, 0, 0);
  compose();
  say(named(words.painted, {...state, seconds: Math.max(seconds, 0.01).toFixed(2)}));
}

// ---------------------------------------------------------------- before and after

function remember(picture) {
  earlier.getContext('2d').drawImage(picture, 0, 0, earlier.width, earlier.height);
  split.disabled = false;
  compose();
}
function forget() {
  Object.assign(split, {disabled: true, value: 0});
}
// On the left of the edge what was there before.
function compose() {
  const pen = result.getContext('2d'), edge = Math.round(result.width * split.value / 100);
  pen.drawImage(newest, 0, 0);
  if (!edge) return;
  pen.drawImage(earlier, 0, 0, edge, earlier.height, 0, 0, edge, earlier.height);
  pen.fillStyle = 'white';
  pen.fillRect(edge - 1, 0, 2, result.height);
}
function compare(event) {
  const box = result.getBoundingClientRect();
  if (!event.buttons || split.disabled) return;
  split.value = 100 * (event.clientX - box.left) / box.width;
  compose();
}
split.addEventListener('input', compose);
result.addEventListener('pointerdown', compare);
result.addEventListener('pointermove', compare);

// ---------------------------------------------------------------- what the page says

async function given(address) {  // the picture that the map was read from
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  remember(picture);
}
function load(value) {
  const ids = Uint8Array.from(atob(value.map), (one) => one.charCodeAt(0));
  const shape = [state.width, state.height, state.labels].join();
  Object.assign(state, {made: value.made, width: value.width, height: value.height,
    labels: value.labels, names: value.names, palette: value.colours, before: null});
  if (shape !== [state.width, state.height, state.labels].join() || !state.ids) {
    const start = (value.height >> 3) * value.width + (value.width >> 1);  // hair, or sky
    Object.assign(state, {past: [], future: [], chosen: ids[start]});
    Object.assign(screen, {width: state.width, height: state.height});
    screen.style.aspectRatio = result.style.aspectRatio = `${state.width} / ${state.height}`;
    sizeBar.max = Math.max(8, Math.round(state.width / 4));
    sizeBar.value = Math.max(2, Math.round(state.width / 16));
    state.zoom = 0;
    zoomTo(1);
  } else if (!same(state.ids, ids)) {
    state.past.push(state.ids);
    state.future = [];
  }
  state.colours = Uint32Array.from(value.colours, (colour) => {
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    return (255 << 24 | blue << 16 | green << 8 | red) >>> 0;
  });
  state.ids = ids;
  listClasses();
  if (value.before) given(value.before);
}
function refresh() {
  const value = props.value;
  if (!value) {  // Reset
    clearTimeout(state.resting);
    Object.assign(state, {past: [], future: [], ids: null, before: null, ticket: '', wish: false,
      visit: state.visit + 1});
    search.value = '';
    forget();
    compose();
    useTool('brush');
    state.zoom = 0;
    zoomTo(1);
    return;
  }
  if (!value.ticket || value.ids) return;  // our own
  const other = value.look !== state.look;
  Object.assign(state, {ticket: value.ticket, look: value.look});
  if (value.map && value.made !== state.made) {
    load(value);
    show();
  } else if (state.ids) {
    keep();
    if (other) wish();
  }
}
watch('value', refresh);
if (props.value) refresh();
