// Keys, in the tab that is open: Enter runs unless what has the focus takes it itself, Escape stops.
// A row of tabs, a gallery and a choice are one stop each, within which the arrow keys go on.
const BUSY_WITH_ENTER = 'a, button, textarea, select, summary, video, [contenteditable="true"], ' +
  '[role=button], [role=combobox], [role=listbox], [role=option], ' +
  'input:not([type=number]):not([type=range]):not([type=checkbox]):not([type=radio])';
const ROWS = [['[role=tablist]', '[role=tab]'], ['.picks', '.thumbnail-item'],
  ['fieldset', 'input[type=radio]']];
const rowOf = (element) => {
  for (const [row, one] of ROWS) {
    const holder = element.matches?.(one) && element.closest(row);
    if (holder) return [...holder.querySelectorAll(one)];
  }
};
addEventListener('keydown', (event) => {
  const press = (selector) => {
    const button = [...document.querySelectorAll(selector)]
      .find((one) => one.offsetParent !== null && !one.disabled);
    if (button) { event.preventDefault(); button.click(); }
  };
  if (event.isComposing || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === 'Escape') press('button.stop-button');
  if (event.key === 'Enter' && !event.target.closest?.(BUSY_WITH_ENTER)) press('button.run-button');
  const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
  const row = step && rowOf(event.target);
  if (!row) return;
  event.preventDefault();
  const next = row[(row.indexOf(event.target) + step + row.length) % row.length];
  next.focus();
  if (next.type === 'radio') next.click();
});
addEventListener('focusin', (event) => {
  const row = rowOf(event.target);
  row?.forEach((one) => { one.tabIndex = one === event.target ? 0 : -1; });
});
const arrange = () => {
  for (const wide of document.querySelectorAll('.readme pre, .readme table')) wide.tabIndex = 0;
  for (const strip of document.querySelectorAll('.strip img')) strip.loading = 'eager';
  for (const link of document.querySelectorAll('.md-header-anchor'))
    link.ariaLabel = 'Link to ' + link.parentElement.textContent.trim();
  for (const idle of document.querySelectorAll('button:has(> .image-frame)')) idle.tabIndex = -1;
  for (const [row, one] of ROWS) for (const holder of document.querySelectorAll(row)) {
    const ones = [...holder.querySelectorAll(one)];
    const first = ones.find((each) => each.checked || each.getAttribute('tabindex') === '0') ||
      ones.find((each) => each.ariaSelected === 'true') || ones[0];
    for (const each of ones) {
      each.tabIndex = each === first ? 0 : -1;
      const name = each.querySelector('.caption-label')?.textContent.trim();
      if (name && each.ariaLabel !== name) each.ariaLabel = each.title = name;
    }
  }
};
// A film that is dropped on the one that is shown goes the way of the button under it.
const chooserOf = (target) => target.closest?.('.given-film')?.parentElement
  .querySelector('.own-film')?.parentElement.querySelector('input[type=file]');
addEventListener('dragover', (event) => { if (chooserOf(event.target)) event.preventDefault(); });
addEventListener('drop', (event) => {
  const chooser = chooserOf(event.target);
  if (!chooser || !event.dataTransfer.files.length) return;
  event.preventDefault();
  if (chooser.closest('.tab-row').querySelector('button.run-button:disabled')) return;
  chooser.files = event.dataTransfer.files;
  chooser.dispatchEvent(new Event('change', {bubbles: true}));
});
let arranged = false;
new MutationObserver(() => {
  if (arranged) return;
  arranged = true;
  requestAnimationFrame(() => { arranged = false; arrange(); });
}).observe(document, {childList: true, subtree: true});

// Clips start by themselves, and begin anew at their end. Browsers allow it only without a sound,
// until the visitor has turned it on. Where motion is unwelcome, clips wait. Behind another tab they
// rest: playing unseen took a fifth of a core from the live view.
let sound = false;
const STAGED = '.stage-box video', resting = new WeakSet();
const play = (clip) => clip.play().catch(() => {});
const sight = new ResizeObserver((entries) => {  // what is behind another tab has no size
  for (const {target: clip} of entries) {
    if (clip.offsetParent) { if (resting.delete(clip)) play(clip); }
    else if (!clip.paused) { resting.add(clip); clip.pause(); }
  }
});
addEventListener('loadeddata', ({target: clip}) => {
  if (!clip.matches?.(STAGED)) return;
  Object.assign(clip, {loop: true, playsInline: true, muted: !sound});
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  clip.play().catch(({name}) => {
    if (name !== 'NotAllowedError') return;  // such as a rest that came first
    clip.muted = true;
    play(clip);
  });
  sight.unobserve(clip);  // so that it tells at once where this one is
  sight.observe(clip);
}, true);
addEventListener('volumechange', ({target: clip}) => {
  if (clip.matches?.(STAGED)) clip.closest('.stage-box').dataset.sound = clip.muted ? 'off' : 'on';
}, true);
addEventListener('click', ({target}) => {
  const clip = target.closest?.('.sound') && target.closest('.stage-box').querySelector('video');
  if (clip) clip.muted = !(sound = clip.muted);
});

// The README's text arrives after the page: its heading (h-...) is scrolled to when it is there.
// Gradio's <base> would lead its links to headings back to the app.
const go = (hash) => {
  const name = decodeURIComponent(hash.slice(1));
  const heading = document.getElementById(name) || document.getElementById('h-' + name);
  heading?.scrollIntoView();
  return heading;
};
addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href^="#"]');
  if (!link || !go(link.getAttribute('href'))) return;
  event.preventDefault();
  history.replaceState(null, '', location.pathname + link.getAttribute('href'));
});
if (location.hash) {
  const find = setInterval(() => { if (go(location.hash)) clearInterval(find); }, 200);
  setTimeout(() => clearInterval(find), 20000);
}
