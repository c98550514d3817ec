() => {
  // The driving follows the result that it stands beside: it starts, stops and jumps with it, without
  // a sound of its own.
  if (window.motionTogether) return;
  window.motionTogether = true;
  const follow = (event) => {
    const result = event.target;
    if (!result.closest?.('#motion-clip')) return;
    const driving = document.querySelector('#motion-driving-shown video');
    if (!driving) return;
    driving.muted = true;
    driving.playbackRate = result.playbackRate;
    if (Math.abs(driving.currentTime - result.currentTime) > 0.08 || event.type === 'seeking')
      driving.currentTime = result.currentTime;
    if (result.paused !== driving.paused) result.paused ? driving.pause() : driving.play();
  };
  for (const name of ['play', 'playing', 'pause', 'seeking', 'seeked', 'ratechange', 'timeupdate'])
    document.addEventListener(name, follow, true);
}
