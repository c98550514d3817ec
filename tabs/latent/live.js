// The map and the endless walk. One request is under way at a time, for the newest wish; wishes that
// come meanwhile replace each other. The moving picture covers the still one (#latent-moving over
// #latent-picture) until the page has drawn the place where it came to rest.
const find = (selector) => element.querySelector(selector);
const field = find('.map-field'), map = find('.map-field img'), place = find('.map-place');
const walkButton = find('.map-walk'), pauseButton = find('.map-pause');
const otherButton = find('.map-other'), status = find('.map-status');
const words = props.words;
find('.map-title').textContent = words.title;
find('.map-help').textContent = words.help;
field.setAttribute('aria-label', words.title + '. ' + words.help);
walkButton.textContent = words.walk;
pauseButton.textContent = words.pause;
otherButton.textContent = words.other;

const seed = () => 1 + Math.floor(Math.random() * 9999);
const state = {ticket: '', shown: '', look: '', pace: 1.5, corners: [...props.corners], x: 0.5,
  y: 0.5, wish: null, busy: false, walk: null, resting: false, late: 0, visit: 0};

const say = (text, wrong = false) => {
  status.textContent = text;
  status.classList.toggle('map-error', wrong);
};
const canvas = () => document.querySelector('#latent-moving canvas');
const toPicture = () => document.querySelector('#latent-stage button[role=tab]')?.click();
const hide = () => { if (canvas()) canvas().style.display = 'none'; };
const mark = () => Object.assign(place.style,
  {left: `${100 * state.x}%`, top: `${100 * state.y}%`});
const buttons = () => {
  walkButton.disabled = Boolean(state.walk);
  pauseButton.disabled = !state.walk;
};

async function paint(address, visit) {
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  const screen = canvas();
  if (!screen || visit !== state.visit) return;  // Reset came while it was decoded
  screen.width = picture.naturalWidth;
  screen.height = picture.naturalHeight;
  screen.getContext('2d').drawImage(picture, 0, 0);
  screen.style.display = 'block';
}

// The newest wish is asked for as soon as the last one is answered.
async function ask() {
  if (state.busy || !state.ticket) return;
  const asked = state.walk ? step() : state.wish;
  if (!asked) return;
  const visit = state.visit;
  state.wish = null;
  state.busy = true;
  try {
    const answer = await server.draw_live({ticket: state.ticket, ...asked});
    if (visit !== state.visit) return;
    if (answer.error) { stop(); say(answer.error, true); return; }
    if (!state.walk) say('');
    await paint(answer.picture, visit);
    if (asked.seed && state.walk) state.walk.seen = asked;
  } catch (error) {
    stop();
    say(words.lost, true);
  } finally {
    state.busy = false;
  }
  requestAnimationFrame(ask);
}

// The walk goes by the clock, so that a slow computer drops pictures and not the pace.
function step() {
  const now = performance.now(), walk = state.walk;
  if (walk.seen && !canvas()?.getClientRects().length) {  // somebody looks at something else
    stop();
    hide();
    return null;
  }
  walk.place += Math.min(now - walk.now, 500) / 1000 / state.pace;
  walk.now = now;
  return {seed: walk.seed, place: Math.round(walk.place * 1000) / 1000};
}

// Where the movement ends the page takes over: it draws the place and notes its settings.
function rest(where) {
  state.resting = true;
  props.value = where;
  trigger('input');
}
function walk() {
  if (!state.ticket) return;
  toPicture();
  state.resting = false;
  state.walk = {seed: seed(), place: 0, now: performance.now(), seen: null};
  say(words.walking);
  buttons();
  ask();
}
function stop() {
  state.walk = null;
  buttons();
}
function pause() {
  const seen = state.walk?.seen;
  stop();
  say('');
  if (seen) rest(seen);
}
const here = () => ({corners: state.corners, x: state.x, y: state.y});
function go(x, y) {
  state.x = Math.min(1, Math.max(0, x));
  state.y = Math.min(1, Math.max(0, y));
  mark();
  stop();
  state.resting = false;
  state.wish = here();
  ask();
}
const pointed = (event) => {
  const box = field.getBoundingClientRect();
  go((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
};
field.addEventListener('pointerdown', (event) => {
  field.setPointerCapture(event.pointerId);
  toPicture();
  pointed(event);
});
field.addEventListener('pointermove', (event) => {
  if (field.hasPointerCapture(event.pointerId)) pointed(event);
});
field.addEventListener('pointerup', () => rest(here()));
field.addEventListener('pointercancel', () => rest(here()));
field.addEventListener('keydown', (event) => {
  const step = event.shiftKey ? 0.1 : 0.02;
  const [x, y] = {ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step],
    ArrowDown: [0, step]}[event.key] || [0, 0];
  if (!x && !y) return;
  event.preventDefault();
  if (!event.repeat) toPicture();
  go(state.x + x, state.y + y);
});
field.addEventListener('keyup', (event) => {
  if (event.key.startsWith('Arrow')) rest(here());
});
walkButton.addEventListener('click', walk);
pauseButton.addEventListener('click', pause);
otherButton.addEventListener('click', () => {
  state.corners = [seed(), seed(), seed(), seed()];
  drawMap();
});

async function drawMap() {
  const {ticket, look, corners} = state;
  if (!ticket) return;
  const answer = await server.draw_live({ticket, corners}).catch(() => ({error: words.lost}));
  if (answer.error) return say(answer.error, true);
  if (look === state.look && corners === state.corners) map.src = answer.picture;
}

// The page has drawn the place where the movement rests: its picture may be seen again.
async function uncover() {
  do {
    await new Promise((next) => setTimeout(next, 80));
    if (!state.resting) return;
  } while (state.busy || state.wish);
  await document.querySelector('#latent-picture img')?.decode().catch(() => {});
  if (state.resting) hide();
}

function refresh() {
  const value = props.value;
  if (!value) {  // Reset
    stop();
    say('');
    Object.assign(state, {corners: [...props.corners], x: 0.5, y: 0.5, look: '',
      wish: null, visit: state.visit + 1});
    if (props.stored) map.src = props.stored;
    else map.removeAttribute('src');
    mark();
    hide();
    return;
  }
  if (!value.ticket) return;  // our own
  const first = !state.look && props.stored;
  const other = value.look !== state.look || !map.getAttribute('src');
  if (state.walk && state.shown && value.shown !== state.shown) {  // it goes on from another one
    Object.assign(state.walk, {place: 0, seed: seed(), seen: null});
  }
  Object.assign(state, {ticket: value.ticket, shown: value.shown, look: value.look,
    pace: value.pace});
  if (other && !first) {
    clearTimeout(state.late);
    state.late = setTimeout(drawMap, 300);
  }
  if (state.resting) uncover();
  ask();
}
if (props.stored) map.src = props.stored;
watch('value', refresh);
mark();
buttons();
if (props.value) refresh();
