// What was given and the result in one place: the line between them follows a drag or the arrows.
const find = (selector) => element.querySelector(selector);
const frame = find('.compare'), at = find('.compare-at');
const pictures = {before: find('.compare-before'), after: find('.compare-after')};
const move = () => {
  frame.style.setProperty('--at', at.value + '%');
  frame.dataset.shown = {0: 'after', 100: 'before'}[at.value] || 'both';
};
// A picture takes the other's place once it can be shown, so that nothing flickers.
const draw = () => {
  for (const [name, place] of Object.entries(pictures)) {
    const address = props.value?.[name];
    place.alt = props.value?.[name + '_alt'] || '';
    place.wanted = address;
    if (!address) { place.removeAttribute('src'); continue; }
    if (place.getAttribute('src') === address) continue;
    const next = new Image();
    next.src = address;
    next.decode().then(() => { if (place.wanted === address) place.src = address; }, () => {});
  }
};
at.addEventListener('input', move);
watch('value', draw);
move();
draw();
