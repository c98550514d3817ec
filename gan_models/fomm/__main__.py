"""Motion transfer from the command line.

    python -m gan_models.fomm --source P.png --driving C.mp4 --out R.mp4
    python -m gan_models.fomm --source portraits/ --driving clips/ --out results/
    python -m gan_models.fomm --source P.png --driving C.mp4 --out R.mp4 --size 512
    python -m gan_models.fomm --source P.png --driving nod.safetensors --out R.gif --paste-back
    python -m gan_models.fomm pose P.png --yaw 12 --mouth 0.5 --out R.png   (see pose --help)
    python -m gan_models.fomm crop --inp long.mp4 --out faces/      (see crop --help)

Flags of the official demo.py are known, also as --source_image and so on; but --relative,
--adapt-scale and --audio are on unless --no-relative and so on is given.

Files carry their settings, the weights' name and the words "made by a model".
"""

import hashlib
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro
from tqdm import tqdm

from gan_models import faces, images, video
from gan_models.commands import (
    AS_USUAL,
    RunningOptions,
    ended_by_a_sentence,
    listed,
    names,
    tell,
    tell_clip,
)
from gan_models.errors import UserError
from gan_models.fomm.cropping import crop_clips
from gan_models.fomm.full_size import LARGEST
from gan_models.fomm.motion import ENDING
from gan_models.fomm.pipeline import FOMMPipeline
from gan_models.fomm.sources import Driving

MOST_FPS = 60.0
LONGEST = 240  # bytes of a result's name without its ending; disks take 255
# `animate` takes them so.
HOW = ("relative", "adapt_scale", "strength", "smoothing", "paste_back", "size")
CONTROLS = ("yaw", "pitch", "roll", "eyes", "brows", "mouth", "smile", "gaze_x", "gaze_y")
Numbers4 = tuple[float, float, float, float]


@dataclass(frozen=True)
class Options:
    """Make a picture move as a clip does."""

    source: Annotated[Path, tyro.conf.arg(aliases=["--source-image"])]
    """The picture that will move, or a folder of pictures."""
    driving: Annotated[Path, tyro.conf.arg(aliases=["--driving-video"])]
    """What it follows: a clip, a picture (a pose), a saved motion, or a folder of these."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["--result-video"])] = None
    """.mp4 or .gif; .png, .jpg or .webp for one frame; a folder if source or driving is one."""
    relative: bool = True
    """Move the source as the driving moves; --no-relative puts it where the driving is."""
    adapt_scale: bool = True
    """With relative: fit the movement to the source's size."""
    find_best_frame: bool = False
    """Take the driving frame whose pose is nearest to the source's as the reference frame."""
    best_frame: int | None = None
    """The number of the reference frame, whose pose is the source's; else the first that shows
    something (a face, where the weights know faces): not a black start, or one that fades in."""
    audio: bool = True
    """Keep the driving clip's sound."""
    strength: float = 1.0
    """Of the motion: 0 is none, 2 twice as much."""
    smoothing: float = 0.0
    """Smooth the motion over time: standard deviation in frames, 0 to 30."""
    paste_back: bool = False
    """Blend the moved square into the full picture, at its own resolution."""
    size: int | None = None
    """Pixels of the moved square, up to 1024; else as many as it has in the source. Weights that
    keep no pixels of the source, as all official ones, have one size of their own."""
    box: Numbers4 | None = None
    """The part that moves: left top right bottom, in pixels; else the face or the middle."""
    driving_box: Numbers4 | None = None
    """The same for the driving, for all its frames."""
    save_motion: Path | None = None
    """Also save the driving's keypoints, no picture, as .safetensors for --driving."""
    max_fps: float = MOST_FPS
    """Faster clips are thinned out to at most this, 1 to 60; to 50 for a .gif."""
    cpu: bool = False
    """The same as --device cpu."""
    batch_size: int | None = None
    """Frames made at once; else as many as are fast."""
    running: RunningOptions = AS_USUAL


def animate(options: Options) -> None:
    """Every source by every driving. UserError at the end if some of several could not be made."""
    if options.find_best_frame and options.best_frame is not None:
        raise UserError("--find-best-frame and --best-frame exclude each other: give one.")
    if not 1 <= options.max_fps <= MOST_FPS:  # NaN fails too
        raise UserError(f"--max-fps is from 1 to {MOST_FPS:.0f}, not {options.max_fps:g}.")
    sources = listed("--source", options.source, images.PICTURE_ENDINGS)
    endings = video.FILM_ENDINGS | images.PICTURE_ENDINGS | {ENDING}
    drivings = listed("--driving", options.driving, endings)
    several = options.source.is_dir() or options.driving.is_dir()
    folder = options.out or Path("results")
    if several and (folder.is_file() or (folder.suffix and not folder.is_dir())):
        raise UserError(f"--out {folder} must be a folder, for there are several results.")
    saved = options.save_motion
    if saved and not options.driving.is_dir() and saved.suffix.lower() != ENDING:
        raise UserError(f"--save-motion {saved} must end in {ENDING}.")
    running = replace(options.running, device="cpu") if options.cpu else options.running
    pipeline = running.open(FOMMPipeline, "fomm")
    check_size(options, pipeline)
    failed = 0
    for driving, driving_name in names(drivings).items():
        motion = saved / f"{driving_name}{ENDING}" if saved and options.driving.is_dir() else saved
        for source, source_name in names(sources).items():
            out = folder / joined(source_name, driving_name) if several else options.out
            try:
                run(options, pipeline, source, driving, out, motion, ended=not several)
                motion = None  # it is saved
            except UserError as error:
                if not several:
                    raise
                failed += 1
                print(f"error: {source.name} with {driving.name}: {error}", file=sys.stderr)
    if failed:
        raise UserError(f"{failed} of the results could not be made, see above.")


def run(options, pipeline, source, path, out, motion_out, ended) -> None:
    """Make one result. ended: `out` has its ending; else .mp4 or .png is added to it."""
    ended = ended and out is not None
    gif = ended and out.suffix.lower() == ".gif"
    driving = Driving(path, min(options.max_fps, video.FASTEST[".gif"] if gif else MOST_FPS))
    if not ended:
        out = out or Path("result")
        out = out.with_name(out.name + (".png" if driving.single else ".mp4"))
    check_files(options, driving, source, path, out, motion_out)
    picture, clip, box, sound = images.read_picture(source), driving.clip, None, None
    framing = pipeline.frame(picture, box=options.box)
    said = [framing.notice and f"{source}: {framing.notice}"]
    if clip:
        looked = pipeline.frame_driving(driving, box=options.driving_box)
        said.append(looked.notice and f"{path}: {looked.notice}")
        box = looked.box
    elif driving.motion.weights not in ("", pipeline.name):
        said.append(
            f"{path} was taken with {driving.motion.weights}; {pipeline.name} may mean "
            "other points by its keypoints."
        )
    if driving.single and options.relative:
        said.append(f"{path} is one picture: its pose is taken as it is, not relative.")
    elif clip and options.audio and not driving.single:
        sound = clip if clip.has_sound else None
        said.append(None if clip.has_sound else f"{path} has no sound: nor has the result.")
    tell(said)
    if motion_out:
        bar = partial(tqdm, total=driving.count, unit="frame", desc=f"motion of {path.name}")
        taken = pipeline.motion(driving, box, progress=bar)
        taken.save(motion_out)
        tell([f"{motion_out}: {len(taken)} frames, {taken.num_keypoints} keypoints"])
    how = {name: getattr(options, name) for name in HOW}
    given = "first" if options.best_frame is None else options.best_frame
    how["reference"] = "best" if options.find_best_frame else given
    notices = []
    frames = pipeline.animate(
        picture, driving, box=framing.box, driving_box=box, batch_size=options.batch_size,
        notices=notices, **how,
    )  # fmt: skip
    about = {"source": source.name, "driving": path.name, "box": options.box}
    about |= {"precision": options.running.precision, **how}
    with closing(frames), tqdm(frames, total=driving.count, unit="frame", desc=out.name) as shown:
        write(out, shown, driving.fps, sound, weights=pipeline.name, settings=about)
    tell([*notices, *(clip.notices if clip else [])])


def check_size(options, pipeline) -> None:
    """UserError for a --size that would not be kept."""
    if options.size is None:
        return
    if options.paste_back:
        raise UserError("--size: with --paste-back the result has the source's own size: drop one.")
    if pipeline.frame_size(0, options.size) != options.size:
        sizes = f"{pipeline.size} to {LARGEST}" if pipeline.any_size else f"{pipeline.size}"
        raise UserError(f"--size {options.size}: {pipeline.name} makes frames of {sizes} pixels.")


def check_files(options, driving, source, path, out, motion_out) -> None:
    """UserError for what cannot be done with these, before anything is."""
    ending = out.suffix.lower()
    if ending in images.WRITABLE and not driving.single:
        raise UserError(f"--out {out} holds one picture: end it in .mp4 or .gif for a clip.")
    if ending not in images.WRITABLE and ending not in video.FASTEST:
        known = ", ".join([*video.FASTEST, *images.WRITABLE])
        raise UserError(f"--out {out} must end in one of {known}.")
    for written in (out, motion_out):
        if written and written.resolve() in (source.resolve(), path.resolve()):
            raise UserError(f"{written} would replace what the result is made from.")
    if driving.motion and motion_out:
        raise UserError(f"--save-motion: {path} is a saved motion already: leave it out.")
    if driving.motion and options.driving_box:
        raise UserError(
            f"--driving-box: {path} is a saved motion and holds no pictures: choose the box when "
            "it is saved."
        )
    for written in (out, motion_out):
        if written:
            images.check_writable(written)


def write(out, frames, fps, sound, **label) -> None:
    """Write the frames to `out`, by its ending, and say what it became."""
    if out.suffix.lower() in images.WRITABLE:
        picture = next(iter(frames))
        images.save_picture(out, picture, **label)
        tell([f"{out}: {picture.shape[1]} x {picture.shape[0]} pixels"])
        return
    info = video.write_clip(out, frames, fps, audio=sound, **label)
    tell_clip(out, info)


def joined(source: str, driving: str) -> str:
    """The result's name; of two that together are too long for a disk, what tells them apart."""
    whole = f"{source}-{driving}"
    if len(whole.encode(errors="replace")) <= LONGEST:
        return whole
    start = whole.encode(errors="replace")[: LONGEST - 9].decode(errors="ignore")
    return f"{start}-{hashlib.sha256(whole.encode(errors='replace')).hexdigest()[:8]}"


@dataclass(frozen=True)
class Pose:
    """Pose a still picture without any clip, as far as the weights have been fitted for it."""

    portrait: tyro.conf.Positional[Path]
    """The picture."""
    out: Path = Path("posed.png")
    """.png, .jpg or .webp."""
    yaw: float = 0.0
    """Turn the head, degrees; to the right of the picture above 0."""
    pitch: float = 0.0
    """Nod, degrees; down above 0."""
    roll: float = 0.0
    """Tilt the head, degrees; clockwise above 0."""
    eyes: float = 0.0
    """-1 closes them, 1 opens them wide."""
    brows: float = 0.0
    """-1 lowers them, 1 raises them."""
    mouth: float = 0.0
    """1 opens it wide."""
    smile: float = 0.0
    """-1 draws the corners of the mouth down, 1 up."""
    gaze_x: float = 0.0
    """-1 looks to the left of the picture, 1 to the right."""
    gaze_y: float = 0.0
    """-1 looks up, 1 down."""
    paste_back: bool = False
    """Blend the posed square into the full picture, at its own resolution."""
    box: Numbers4 | None = None
    """The part that is posed: left top right bottom, in pixels; else the face or the middle."""
    running: RunningOptions = AS_USUAL


def pose(options: Pose) -> None:
    if options.out.suffix.lower() not in images.WRITABLE:
        raise UserError(f"--out {options.out} must end in one of {', '.join(images.WRITABLE)}.")
    if options.out.resolve() == options.portrait.resolve():
        raise UserError(f"{options.out} would replace what the result is made from.")
    images.check_writable(options.out)
    pipeline = options.running.open(FOMMPipeline, "fomm")
    picture = images.read_picture(options.portrait)
    framing = pipeline.frame(picture, box=options.box)
    side = pipeline.frame_size(framing.box.side)
    source = pipeline.encode(faces.crop(picture, framing.box, side))
    # What is left at 0 need not be there.
    controls = {name: getattr(options, name) for name in CONTROLS if getattr(options, name) != 0}
    result = pipeline.render(source, pipeline.pose(source, controls), relative=False)[0]
    if options.paste_back:
        result = faces.Paster(picture, framing.box).paste(result)
    about = {"source": options.portrait.name, "box": options.box, **controls}
    tell([framing.notice and f"{options.portrait}: {framing.notice}"])
    write(options.out, [result], None, None, weights=pipeline.name, settings=about)


def crop(args: list[str], prog: str) -> None:
    clip = None
    with closing(tyro.cli(crop_clips, prog=prog, args=args)) as clips:
        for clip in clips:
            tell([f"{clip.path}: {clip.frames} frames from {clip.start:.2f} s"])
    if clip is None:
        tell(["No face stays long enough: try a smaller --min-frames or a larger --tolerance."])


def main(args: list[str] | None = None) -> None:
    args = sys.argv[1:] if args is None else args
    prog = "python -m gan_models.fomm"
    with ended_by_a_sentence():
        if args[:1] == ["crop"]:
            return crop(args[1:], f"{prog} crop")
        if args[:1] == ["pose"]:
            return pose(tyro.cli(Pose, prog=f"{prog} pose", args=args[1:]))
        animate(tyro.cli(Options, prog=prog, args=args, description=__doc__))


if __name__ == "__main__":
    main()
