// The picture follows the sliders: one request is under way at a time, for the newest values. Where
// they come to rest the page's own event takes over (`input`), with all that is said of the result.
const SLIDERS = '.unit input[type=range]', STRENGTH = '#expressions-strength input[type=range]';
const state = {wish: null, busy: false, rest: 0};

async function ask() {
  if (state.busy || !state.wish) return;
  const asked = {...state.wish, ticket: props.value?.ticket};
  state.wish = null;
  state.busy = true;
  try {
    const {after} = asked.ticket ? await server.follow_sliders(asked) : {};
    const place = document.querySelector('#expressions-picture-shown .compare-after');
    if (after && place) {
      const next = new Image();
      next.src = place.wanted = after;
      await next.decode();
      if (place.wanted === after) place.src = after;
    }
  } catch (error) {  // the page's own event says what is wrong
  } finally {
    state.busy = false;
  }
  ask();
}

const follow = (event) => {
  if (!element.isConnected) return removeEventListener('input', follow);
  if (!event.target.closest?.(`.unit, #expressions-strength`)) return;
  setTimeout(() => {  // once the field of a slider and its knob agree
    const units = [...document.querySelectorAll(SLIDERS)].map((one) => [one.closest('.unit'), one])
      .map(([unit, one]) => [unit.className.match(/unit-(\d+)/)[1], Number(one.value)]);
    state.wish = {units: Object.fromEntries(units),
      strength: Number(document.querySelector(STRENGTH).value)};
    ask();
    clearTimeout(state.rest);
    state.rest = setTimeout(() => trigger('input'), props.value?.ticket ? 300 : 60);
  });
};
addEventListener('input', follow);
