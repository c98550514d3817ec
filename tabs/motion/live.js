// The live view: camera in, moved portrait out. One request is under way at a time; the frame that
// is sent next is always the newest one, so frames that come meanwhile are dropped.
const find = (selector) => element.querySelector(selector);
const video = find('video'), screen = find('.live-result'), hint = find('.live-hint');
const ghost = find('.live-ghost'), status = find('.live-status');
const startButton = find('.live-start'), neutralButton = find('.live-neutral');
const stopButton = find('.live-stop'), ghosted = find('.live-ghosted');
const recordButton = find('.live-record'), recorded = find('.live-recorded');
const words = WORDS;  // as properties they would be lost where the view is shown late
startButton.textContent = words.start;
neutralButton.textContent = words.neutral;
stopButton.textContent = words.stop;
find('label span').textContent = words.ghost;
screen.setAttribute('aria-label', words.result);
hint.textContent = words.hint;

const taken = document.createElement('canvas');
const state = {stream: null, fresh: null, busy: false, neutral: null, pose: null, box: null,
  wanted: false, shown: [], ticket: '', recorder: null};
// What this browser can record: H.264 in MP4 where it may, which every player opens; else WebM.
const RECORDS = [['video/mp4;codecs=avc1.42E01E', 'mp4', 'MP4, H.264'],
  ['video/webm;codecs=vp9', 'webm', 'WebM, VP9'], ['video/webm', 'webm', 'WebM']]
  .find(([type]) => window.MediaRecorder?.isTypeSupported(type));
recordButton.hidden = !RECORDS;

const say = (text, wrong = false) => {
  if (status.textContent !== text) status.textContent = text;
  status.classList.toggle('live-error', wrong);
};
const buttons = () => {
  const on = Boolean(state.stream);
  startButton.disabled = on || !props.value?.ticket;
  stopButton.disabled = !on;
  neutralButton.disabled = !on;
  recordButton.disabled = !on;
  recordButton.textContent = state.recorder ? words.keep : words.record;
  ghost.style.display = ghosted.checked && ghost.src ? '' : 'none';
};
const refresh = () => {
  const value = props.value || {};
  if (value.ghost && ghost.src !== value.ghost) {
    ghost.src = value.ghost;
    ghost.decode().then(() => { if (!state.stream) paint(ghost); });
  }
  if (value.ticket !== state.ticket) {  // other weights have other keypoints: a new neutral pose
    Object.assign(state, {ticket: value.ticket, neutral: null, box: null});
  }
  buttons();
  if (window.motionLive && value.ticket) {  // the button beside Animate asked for it
    window.motionLive = false;
    if (!state.stream) start();
  }
};

const paint = (picture) => {
  const pen = screen.getContext('2d');
  pen.imageSmoothingQuality = 'high';
  pen.drawImage(picture, 0, 0, screen.width, screen.height);
};

const refusal = (error) => ({NotAllowedError: words.denied, SecurityError: words.denied,
  NotFoundError: words.missing, OverconstrainedError: words.missing,
  NotReadableError: words.taken}[error.name] || words.denied);

async function start() {
  if (!navigator.mediaDevices?.getUserMedia) return say(words.insecure, true);
  startButton.disabled = true;
  say(words.asking);
  try {
    state.stream = await navigator.mediaDevices.getUserMedia({audio: false, video: {
      width: {ideal: 640}, height: {ideal: 480}, frameRate: {ideal: 30}, facingMode: 'user'}});
    video.srcObject = state.stream;
    await video.play();
  } catch (error) {
    stop();
    return say(refusal(error), true);
  }
  Object.assign(state, {neutral: null, pose: null, box: null, shown: [], wanted: false});
  hint.style.display = 'none';
  say(words.first);
  buttons();
  watchCamera(state.stream);
}

function stop() {
  state.recorder?.stop();
  state.stream?.getTracks().forEach((track) => track.stop());
  Object.assign(state, {stream: null, fresh: null});
  video.srcObject = null;
  say('');
  buttons();
}

// What is shown, as a file: from one click on the button to the next, or until the camera stops.
function record() {
  if (state.recorder) return state.recorder.stop();
  const [type, ending, name] = RECORDS, parts = [];
  const recorder = new MediaRecorder(screen.captureStream(30),
    {mimeType: type, videoBitsPerSecond: 6e6});
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.onstop = () => {
    state.recorder = null;
    buttons();
    const file = new Blob(parts, {type}), link = document.createElement('a');
    if (!file.size) { recorded.textContent = words.unrecorded; return; }
    link.href = URL.createObjectURL(file);
    link.download = 'live.' + ending;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    recorded.textContent = words.recorded.replace('{name}', link.download).replace('{kind}', name);
  };
  state.recorder = recorder;
  recorded.textContent = words.recording;
  recorder.start(1000);
  buttons();
}

// Notes when each camera frame came; where the browser does not tell, the clock does.
function watchCamera(stream) {
  const arrived = (now, about) => {
    if (state.stream !== stream) return;
    if (element.offsetParent === null && !element.getClientRects().length) return stop();
    state.fresh = about?.captureTime ?? now;
    ask();
    again();
  };
  const again = () => video.requestVideoFrameCallback
    ? video.requestVideoFrameCallback(arrived)
    : setTimeout(() => arrived(performance.now()), 33);
  again();
}

// The square that the network sees, mirrored as people know themselves; or the whole small frame.
function take(whole) {
  const {videoWidth: width, videoHeight: height} = video, side = props.value.side;
  const centre = Math.min(width, height);
  let [left, top, across, down] = [(width - centre) / 2, (height - centre) / 2, centre, centre];
  if (whole) [left, top, across, down] = [0, 0, width, height];
  else if (state.box) [left, top, across, down] = state.box;
  const scale = whole ? Math.min(1, 480 / Math.max(width, height)) : side / across;
  taken.width = Math.round(across * scale);
  taken.height = Math.round(down * scale);
  const pen = taken.getContext('2d', {willReadFrequently: true});
  pen.imageSmoothingQuality = 'high';
  pen.setTransform(-1, 0, 0, 1, taken.width, 0);
  pen.drawImage(video, left, top, across, down, 0, 0, taken.width, taken.height);
  return taken.toDataURL('image/jpeg', 0.85).split(',')[1];
}

async function ask() {
  if (state.busy || state.fresh === null || !props.value?.ticket || !video.videoWidth) return;
  const {stream, fresh: when} = state, {ticket, strength, relative, adapt} = props.value;
  state.busy = true;
  state.fresh = null;
  try {
    const whole = props.value.find && !state.box;
    const answer = await server.move_frame({ticket, strength, relative, adapt, find: whole,
      picture: take(whole), neutral: state.wanted ? null : state.neutral});
    if (state.stream !== stream) return;
    if (answer.error) { stop(); say(answer.error, true); return; }
    if (whole) located(answer);
    else if (ticket === props.value.ticket) await show(answer, when);
  } catch (error) {
    if (state.stream === stream) { stop(); say(words.lost, true); }
  } finally {
    state.busy = false;
  }
  ask();
}

// A face's place in the mirrored small frame, as a square of the camera's own.
function located({box: [left, top, right, bottom], found}) {
  const scale = Math.max(1, Math.max(video.videoWidth, video.videoHeight) / 480);
  const side = (right - left) * scale;
  state.box = [video.videoWidth - right * scale, top * scale, side, (bottom - top) * scale];
  if (!found) say(words.faceless);
}

async function show(answer, when) {
  const picture = new Image();
  picture.src = answer.picture;
  await picture.decode();
  paint(picture);
  state.pose = answer.pose;
  if (state.wanted || !state.neutral) state.neutral = answer.pose;
  state.wanted = false;
  const now = performance.now();
  state.shown = [...state.shown.filter((one) => now - one.now < 4000), {now, age: now - when}];
  if (state.shown.length > 3) {
    const seconds = (now - state.shown[0].now) / 1000;
    const ages = state.shown.map((one) => one.age).sort((a, b) => a - b);
    say(words.rate.replace('{rate}', ((state.shown.length - 1) / seconds).toFixed(0))
      .replace('{age}', ages[Math.floor(ages.length / 2)].toFixed(0)));
  }
}

startButton.addEventListener('click', start);
stopButton.addEventListener('click', stop);
recordButton.addEventListener('click', record);
addEventListener('motion-live', refresh);
neutralButton.addEventListener('click', () => {
  state.wanted = true;
  if (props.value.find) state.box = null;
});
ghosted.addEventListener('change', buttons);
watch('value', refresh);
refresh();
