() => {
  // A picture of the grid, or the large one, dragged onto Start or End becomes that. By keyboard: the
  // seed is typed there, or the large picture's own buttons do it.
  if (window.latentDrag) return;
  window.latentDrag = true;
  let dragged = null;
  const tab = () => document.querySelector('#latent-stage')?.closest('.tab-row');
  const points = () => [...tab().querySelectorAll('.point')];
  const under = (event) => dragged && tab().contains(event.target) && event.target.closest('.point');
  const mark = (point) => points().forEach((one) => one.classList.toggle('taking', one === point));
  document.addEventListener('dragstart', ({target, dataTransfer}) => {
    if (!tab()?.contains(target)) return;
    const name = target.closest?.('.picks .thumbnail-item')?.querySelector('.caption-label');
    dragged = name?.textContent.match(/\d+/)?.[0]
      || (target.closest?.('#latent-picture') ? 'shown' : null);
    if (dragged) dataTransfer.effectAllowed = 'copy';
  });
  document.addEventListener('dragover', (event) => {
    if (!dragged) return;
    mark(under(event));
    if (under(event)) event.preventDefault();
  });
  document.addEventListener('drop', (event) => {
    const point = under(event);
    if (!point) return;
    event.preventDefault();
    if (dragged === 'shown') {
      tab().querySelectorAll('.keep-here')[points().indexOf(point)].click();
    } else {
      const seed = point.querySelector('input[type=number]');
      seed.value = dragged;
      seed.dispatchEvent(new Event('input', {bubbles: true}));
    }
  });
  document.addEventListener('dragend', () => {
    if (dragged) mark(null);
    dragged = null;
  });
}
