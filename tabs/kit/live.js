// A picture follows sliders: one request is under way at a time, for the newest values. Where they
// come to rest the page's own event takes over (`input`), with all that is said of the result.
const state = {wish: null, busy: false, rest: 0};

async function ask() {
  if (state.busy || !state.wish) return;
  const asked = {values: state.wish, ticket: props.value?.ticket};
  state.wish = null;
  state.busy = true;
  try {
    const {after} = asked.ticket ? await server.follow_sliders(asked) : {};
    const place = document.querySelector('#NAME-picture-shown .compare-after');
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
  if (!event.target.closest?.('SLIDERS')) return;
  setTimeout(() => {  // once the field of a slider and its knob agree
    const sliders = [...document.querySelectorAll('SLIDERS')];
    state.wish = Object.fromEntries(
      sliders.map((one) => [one.id, Number(one.querySelector('input[type=range]').value)]));
    ask();
    clearTimeout(state.rest);
    state.rest = setTimeout(() => trigger('input'), props.value?.ticket ? 300 : 60);
  });
};
addEventListener('input', follow);
