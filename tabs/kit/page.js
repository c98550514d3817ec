// Enter runs and Escape stops, in the tab that is open. Where motion is unwelcome, clips wait. The
// README's text arrives after the page, so its headings (h-...) are scrolled to when they are there.
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
