"""Expressions from the command line.

    python -m gan_models.ganimation edit portrait.jpg --au 12=0.6 --au 6=0.4 --out smiling.png
    python -m gan_models.ganimation edit portraits/ --emotion happiness --out happy/
    python -m gan_models.ganimation edit film.mp4 --emotion surprise --all-faces --out film2.mp4
    python -m gan_models.ganimation sweep portrait.jpg --out sheet.png
    python -m gan_models.ganimation animate portrait.jpg --emotion fear --back --out fear.gif
    python -m gan_models.ganimation animate portrait.jpg --track openface.csv --out acting.mp4

Files carry their settings, the weights' name and the words "made by a model".
"""

import itertools
import sys
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from PIL import Image, ImageDraw, ImageFont
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
from gan_models.ganimation.action_units import CODES, EMOTIONS, UNITS, emotion, parse, said
from gan_models.ganimation.following import Follower
from gan_models.ganimation.pipeline import EASINGS, GANimationPipeline, NoFace, between
from gan_models.ganimation.tables import read_table

Emotion = Literal[tuple(EMOTIONS)]
WHOLE = "--whole takes the middle square as it is."


@dataclass(frozen=True)
class Expression:
    au: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """An action unit and its intensity from 0 to 1, such as 12=0.6; may be given several times."""
    emotion: Emotion | None = None
    """A named expression; --au changes single units of it."""
    intensity: float = 1.0
    """Of the emotion, 0 to 1."""
    keep: float | None = None
    """Of all other units, this share of what is there: 1, the default, leaves them as they are, 0,
    the default with an emotion, brings them to rest."""

    def check(self) -> None:
        """UserError for what cannot be meant."""
        if not self.au and self.emotion is None and self.keep is None:
            raise UserError("Nothing would change: give --au 12=0.6 or --emotion happiness.")
        emotion(self.emotion or "neutral", self.intensity)
        parse(self.au)

    def wanted(self, pipeline, measured) -> np.ndarray:
        """The action units (n, 17) of faces of which those were measured."""
        units = {code: self.intensity * x for code, x in EMOTIONS.get(self.emotion, {}).items()}
        keep = (0 if self.emotion else 1) if self.keep is None else self.keep
        return pipeline.wanted(measured, units | parse(self.au), keep)

    def settings(self) -> dict:
        return {name: value for name, value in asdict(self).items() if value not in (None, ())}


@dataclass(frozen=True)
class Where:
    all_faces: bool = False
    """Edit every face that is found, not the largest one only."""
    click: tuple[float, float] | None = None
    """Edit the face at this place: x y, in pixels; of a film where it begins."""
    whole: bool = False
    """Do not look for a face: take the middle square as it is."""


ExpressionOptions = Annotated[Expression, tyro.conf.arg(name="")]
WhereOptions = Annotated[Where, tyro.conf.arg(name="")]


def edit(
    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional],
    out: Path = Path("edited"),
    expression: ExpressionOptions = Expression(),
    where: WhereOptions = Where(),
    maps: bool = False,
    running: RunningOptions = AS_USUAL,
) -> None:
    """Change the expression of the faces in pictures and films.

    Args:
        inputs: Pictures, films, or folders of them.
        out: Of one input a picture (.png, .jpg, .webp) or a clip (.mp4, .gif). Without ending: a
            folder, to which each result is written.
        maps: Of pictures also write NAME-maps.png: a row for each face with the face, the edited
            one, attention (white: the picture's own pixels are kept) and colour.
    """
    expression.check()
    endings = images.PICTURE_ENDINGS | video.FILM_ENDINGS
    files = [file for path in inputs for file in listed("The input", path, endings)]
    ending = out.suffix.lower()
    if not files:
        raise UserError("There is nothing to edit: give pictures, films, or folders of them.")
    if ending and len(files) > 1:
        raise UserError(
            f"--out {out} is one file, and there are {len(files)} inputs: name a folder."
        )
    if ending and ending not in (*images.WRITABLE, *video.FASTEST):
        raise UserError(f"--out {out} must end in .png, .jpg, .webp, .mp4 or .gif, or in nothing.")
    pipeline = running.open(GANimationPipeline, "ganimation")
    about = expression.settings() | asdict(where) | {"precision": running.precision}
    failed = 0
    for file, name in names(files).items():
        film = is_film(file)
        path = out if ending else out / f"{name}{'.mp4' if film else '.png'}"
        try:
            if path.resolve() == file.resolve():
                raise UserError(f"{path} would replace what the result is made from.")
            images.check_writable(path)
            settings = {"input": file.name} | about
            one = edit_film if film else edit_picture
            one(pipeline, file, path, expression, where, maps, settings)
        except UserError as error:
            if len(files) == 1:
                raise
            failed += 1
            print(f"error: {file.name}: {error}", file=sys.stderr)
    if failed:
        raise UserError(f"{failed} of {len(files)} could not be edited, see above.")


def edit_picture(pipeline, file, path, expression, where, maps, settings) -> None:
    if path.suffix.lower() not in images.WRITABLE:
        raise UserError(f"--out {path}: {file} is a picture: end it in .png, .jpg or .webp.")
    picture = images.read_picture(file)
    squares, notice = found(file, lambda: pipeline.squares(picture, **asdict(where)))
    measured = pipeline.measure(picture, squares)
    result = pipeline.edit(picture, squares, expression.wanted(pipeline, measured))
    images.save_picture(path, result.picture, weights=pipeline.name, settings=settings)
    tell([notice and f"{file}: {notice}"])
    tell([f"{path}: {len(squares)} face{'s' * (len(squares) > 1)}"])
    if maps:
        shown = []
        for square, *of in zip(squares, result.crops, result.attention, result.color, strict=True):
            of[1] = np.repeat((255 * of[1]).round().astype(np.uint8)[:, :, None], 3, axis=2)
            side = max(len(crop) for crop in result.crops)
            shown += [
                images.resize(x, side) for x in (faces.crop(picture, square, len(of[0])), *of)
            ]
        path = path.with_name(f"{path.stem}-maps.png")
        sheet = images.grid(shown, columns=4)
        images.save_picture(path, sheet, weights=pipeline.name, settings=settings)


def edit_film(pipeline, file, path, expression, where, maps, settings) -> None:
    ending = path.suffix.lower()
    if ending not in video.FASTEST:
        raise UserError(f"--out {path}: {file} is a film: end it in .mp4 or .gif.")
    if maps:
        raise UserError("--maps is for pictures: leave it out, or cut a frame out of the film.")
    clip = video.open_clip(file, max_fps=min(60, video.FASTEST[ending]))
    follower = Follower(pipeline, **asdict(where))

    def edited():
        with closing(clip.frames()) as frames:
            for frame in frames:
                squares = follower.look(frame)
                if squares:
                    measured = pipeline.measure(frame, squares)
                    wanted = expression.wanted(pipeline, measured)
                    frame = pipeline.edit(frame, squares, wanted).picture
                yield frame
        if follower.without == clip.frame_count:
            raise UserError(f"{file}: No face was found in any frame. {WHOLE}")

    shown = tqdm(edited(), total=clip.frame_count, unit="frame", desc=path.name)
    label = {"weights": pipeline.name, "settings": settings}
    sound = clip if clip.has_sound and ending == ".mp4" else None
    tell_clip(path, video.write_clip(path, shown, clip.fps, audio=sound, **label))
    if follower.without:
        told = f"{file}: no face was found in {follower.without} of {clip.frame_count} frames."
        clip.notices.append(told)
    tell(clip.notices)


def sweep(
    picture: Annotated[Path, tyro.conf.Positional],
    out: Path = Path("sweep.png"),
    units: str = said(CODES).replace(" ", ""),
    values: str = "0,0.33,0.66,0.99",
    keep: float = 1.0,
    side: int = 128,
    where: WhereOptions = Where(),
    running: RunningOptions = AS_USUAL,
) -> None:
    """Write a sheet of one face, with a row for each action unit, which grows from left to right.

    Args:
        picture: The face.
        out: .png, .jpg or .webp.
        units: Their codes, such as 1,2,12.
        values: Intensities from 0 to 1.
        keep: Of all other units, this share of what is there, 0 to 1.
        side: Pixels of each face.
    """
    if out.suffix.lower() not in images.WRITABLE:
        raise UserError(f"--out {out} must end in {', '.join(images.WRITABLE)}.")
    if not 16 <= side <= 1024:
        raise UserError(f"--side {side}: give 16 to 1024 pixels.")
    if where.all_faces:
        raise UserError("A sheet is of one face: leave out --all-faces, choose one by --click x y.")
    values = values.split(",")
    rows = [[parse([f"{code}={value}"]) for value in values] for code in units.split(",")]
    images.check_writable(out)
    pipeline = running.open(GANimationPipeline, "ganimation")
    whole = images.read_picture(picture)
    squares, notice = found(picture, lambda: pipeline.squares(whole, **asdict(where)))
    face, square = faces.crop(whole, squares[0], side), [faces.Box(0, 0, side, side)]
    measured = pipeline.measure(whole, squares)
    track = np.stack([pipeline.wanted(measured, one, keep) for row in rows for one in row])
    frames = iter(tqdm(pipeline.animate(face, square, track), total=len(track), unit="face"))
    cells = []
    for row in rows:
        cells += [label_of(next(iter(row[0])), side), *itertools.islice(frames, len(values))]
    sheet = images.grid(cells, columns=1 + len(values))
    about = {"input": picture.name, "units": units, "values": values, "keep": keep}
    images.save_picture(out, sheet, weights=pipeline.name, settings=about)
    tell([notice and f"{picture}: {notice}"])
    tell([f"{out}: {len(rows)} action units at {', '.join(values)}"])


def label_of(code: int, side: int) -> np.ndarray:
    """(side, side, 3): an action unit's name, black on white."""
    unit = UNITS[CODES.index(code)]
    image = Image.new("RGB", (side, side), "white")
    text = "\n".join([f"AU{code:02d}", *unit.name.split()])
    font = ImageFont.load_default(max(8, side // 9))
    ImageDraw.Draw(image).multiline_text((side // 16, side / 2), text, "black", font, anchor="lm")
    return np.array(image)


def animate(
    picture: Annotated[Path, tyro.conf.Positional],
    out: Path = Path("animated.mp4"),
    expression: ExpressionOptions = Expression(),
    start: Literal[("measured", *EMOTIONS)] = "measured",
    seconds: float = 2.0,
    fps: float = 25.0,
    easing: Literal[tuple(EASINGS)] = "ease-in-out",
    back: bool = False,
    track: Path | None = None,
    face: int | None = None,
    strength: float = 1.0,
    where: WhereOptions = Where(),
    running: RunningOptions = AS_USUAL,
) -> None:
    """Move a picture from one expression to another, or as a recorded table of action units says.

    Args:
        picture: The picture; all of it is shown.
        out: .mp4 or .gif.
        start: The expression at the beginning: the one that is there, or a named one.
        seconds: Length of the clip.
        fps: Frames per second.
        easing: How the movement begins and ends.
        back: Return to the start, so that the clip can loop.
        track: A CSV file of OpenFace, py-feat or LibreFace, row by row; its speed is kept.
        face: Of a track with several faces, the number of the one that is followed.
        strength: Of a track's expressions.
    """
    if out.suffix.lower() not in video.FASTEST:
        raise UserError(f"--out {out} must end in .mp4 or .gif.")
    about = {"input": picture.name} | asdict(where) | {"precision": running.precision}
    if track:
        if expression != Expression() or start != "measured" or back:
            raise UserError(
                "--track says all of the expression: leave out --au, --emotion and so on."
            )
        table = read_table(track)
        moments, fps = table.track(face, strength)
        about |= {"track": track.name, "face": face, "strength": strength}
        tell(track_notices(track, table))
    else:
        expression.check()
        if not 2 <= seconds * fps <= 10**6:  # NaN fails too
            raise UserError(f"--seconds {seconds} at --fps {fps} make no clip: give other ones.")
        about |= expression.settings() | {"start": start, "easing": easing, "back": back}
    images.check_writable(out)
    pipeline = running.open(GANimationPipeline, "ganimation")
    whole = images.read_picture(picture)
    squares, notice = found(picture, lambda: pipeline.squares(whole, **asdict(where)))
    if not track:
        measured = pipeline.measure(whole, squares)
        end = expression.wanted(pipeline, measured)
        first = measured if start == "measured" else np.broadcast_to(emotion(start), end.shape)
        moments = between(first, end, round(seconds * fps), easing, back)
    fastest = video.FASTEST[out.suffix.lower()]
    if fps > fastest:
        step = int(-(-fps // fastest))
        moments, fps = moments[::step], fps / step
    frames = tqdm(pipeline.animate(whole, squares, moments), total=len(moments), unit="frame")
    tell([notice and f"{picture}: {notice}"])
    tell_clip(out, video.write_clip(out, frames, fps, weights=pipeline.name, settings=about))


def track_notices(path, table) -> list[str]:
    """What is to be told about a track."""
    told = []
    if table.missing:
        told.append(f"{path}: {table.tool} does not measure {said(table.missing)}: they rest.")
    if (
        table.tool == "OpenFace"
        and len(table.action_units) > 25
        and table.action_units.max() <= 0.2
    ):
        told.append(
            f"{path}: none of its intensities is above 1, and OpenFace's go to 5. If they were "
            "divided by 5, --strength 5 brings them back."
        )
    return told


def is_film(file: Path) -> bool:
    """Whether a file is one, and no picture; of an animated picture only a .gif counts as one."""
    ending = file.suffix.lower()
    if ending in video.FILM_ENDINGS & images.PICTURE_ENDINGS:
        return video.open_clip(file).frame_count > 1
    return ending in video.FILM_ENDINGS


def found(file, squares):
    """What `squares` gives; a sentence that names the file and the option where it finds none."""
    try:
        return squares()
    except NoFace as error:
        raise UserError(f"{file}: {error} {WHOLE}") from error


def main(args: list[str] | None = None) -> None:
    commands = {"edit": edit, "sweep": sweep, "animate": animate}
    prog = "python -m gan_models.ganimation"
    with ended_by_a_sentence():
        tyro.extras.subcommand_cli_from_dict(commands, prog=prog, args=args, description=__doc__)


if __name__ == "__main__":
    main()
