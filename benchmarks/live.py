"""How fast and how late the live view is, in a real browser with a camera that plays a file.

    python -m benchmarks.live [--weights NAME=FOLDER] [--seconds 20]

Each camera frame has its number drawn into it as black and white squares. The page is watched from
outside: the number is read off the camera's picture when the page takes it, and the moment is noted
when the page draws the answer. Prints distinct frames per second, and the age of the shown frame:
from the moment when the camera captured that number to the end of drawing the answer, a display's
delay not counted.
Needs playwright and a Chromium.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from benchmarks.timing import served

RATE, FRAMES, BITS = 30, 512, 9  # the file plays 17 s and starts again
WIDTH, HEIGHT, SQUARE = 640, 480, 40
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
)  # fmt: skip

# Reads the number off every picture that the camera gives and off every one that the page takes,
# and notes when each answer has been drawn.
WATCH = """
window.seen = {camera: [], taken: [], shown: []};
const draw = CanvasRenderingContext2D.prototype.drawImage;
const strip = Object.assign(document.createElement('canvas'), {width: 120, height: 10});
const pen = strip.getContext('2d', {willReadFrequently: true});
const numberIn = (video) => {  // whatever of it the page crops
  draw.call(pen, video, (WIDTH - HEIGHT) / 2, 0, HEIGHT, SQUARE, 0, 0, 120, 10);
  const row = pen.getImageData(0, 3, 120, 1).data;
  let number = 0;
  for (let bit = 0; bit < BITS; bit++)
    if (row[4 * Math.round((bit + 0.5) * 10)] > 127) number |= 1 << bit;
  return number;
};
const callback = HTMLVideoElement.prototype.requestVideoFrameCallback;
HTMLVideoElement.prototype.requestVideoFrameCallback = function (then) {
  return callback.call(this, (now, about) => {
    window.seen.camera.push([numberIn(this), about.captureTime ?? now]);
    then(now, about);
  });
};
CanvasRenderingContext2D.prototype.drawImage = function (what, ...rest) {
  const done = draw.call(this, what, ...rest);
  if (what instanceof HTMLVideoElement) window.seen.taken.push(numberIn(what));
  else if (this.canvas.className === 'live-result')
    window.seen.shown.push([window.seen.taken.length - 1, performance.now()]);
  return done;
};
"""


def write_camera(path: Path) -> None:
    """A puppet that moves, 640 x 480, numbered, as the MJPEG that Chromium's fake camera plays."""
    from trainers.puppets import clip, draw

    poses = [draw(one, 256).picture for one in clip(1_000_000_021, 128, "human", RATE)]
    how = {"codec": "mjpeg", "pix_fmt_out": "yuvj420p", "quality": 9, "macro_block_size": 1}
    writer = imageio_ffmpeg.write_frames(str(path), (WIDTH, HEIGHT), fps=RATE, **how)
    writer.send(None)
    for number in range(FRAMES):
        there_and_back = abs((number + 127) % 254 - 127)
        frame = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        frame[:, 64:576] = poses[there_and_back].repeat(2, axis=0).repeat(2, axis=1)[:HEIGHT]
        for bit in range(BITS):
            left = (WIDTH - HEIGHT) // 2 + bit * SQUARE
            frame[:SQUARE, left : left + SQUARE] = 255 * (number >> bit & 1)
        writer.send(np.ascontiguousarray(frame))
    writer.close()


def watch(url: str, camera: Path, seconds: float) -> dict:
    """Opens the page, starts the camera, and returns what was taken and shown."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise SystemExit("error: there is no Chromium: install one (apt-get install chromium).")
    constants = f"const WIDTH = {WIDTH}, HEIGHT = {HEIGHT}, SQUARE = {SQUARE}, BITS = {BITS};"
    with sync_playwright() as playwright:
        flags = [*FLAGS, f"--use-file-for-fake-video-capture={camera}"]
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(180_000)
        page.add_init_script(f"(() => {{ {constants} {WATCH} }})()")
        page.goto(url)
        page.get_by_role("tab", name="Live").click()
        page.locator(".live-start:not([disabled])").click()
        page.wait_for_function("window.seen.shown.length > 20")
        page.evaluate("window.seen.shown.length = window.seen.camera.length = 0")
        page.wait_for_timeout(1000 * seconds)
        seen = page.evaluate("window.seen")
        browser.close()
    return seen


def measure(seen: dict) -> dict[str, float]:
    """Frames per second and ages (ms) from the numbers and moments that were seen."""
    shown = [(seen["taken"][place], when) for place, when in seen["shown"]]
    ages, numbers = [], set()
    for number, when in shown:
        came = [moment for one, moment in seen["camera"] if one == number and moment <= when]
        if came:  # the newest of its turns: the file is played again and again
            ages.append(when - came[-1])
            numbers.add(came[-1])
    seconds = (shown[-1][1] - shown[0][1]) / 1000
    camera = [moment for _, moment in seen["camera"]]
    return {
        "camera frames per second": 1000 * (len(camera) - 1) / (camera[-1] - camera[0]),
        "distinct frames per second": (len(numbers) - 1) / seconds,
        "median age (ms)": float(np.median(ages)),
        "95th percentile of the age (ms)": float(np.percentile(ages, 95)),
        "largest age (ms)": float(max(ages)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    parser.add_argument("--weights", metavar="NAME=FOLDER", help="default: the shipped ones")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        camera = Path(folder) / "camera.mjpeg"
        write_camera(camera)
        with served(*(["--weights", options.weights] if options.weights else [])) as url:
            seen = watch(url, camera, options.seconds)
    for name, value in measure(seen).items():
        print(f"{name:32} {value:8.1f}")


if __name__ == "__main__":
    main()
