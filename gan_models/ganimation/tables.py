"""Tables of action units that other tools wrote: OpenFace, py-feat and LibreFace, as CSV files.

Columns are found by their names, wherever they stand, and brought to this project's order and
scale. The tools measure differently: even OpenFace's numbers of pictures and of films differ.
"""

import csv
import math
import os
from dataclasses import dataclass
from pathlib import PureWindowsPath

import numpy as np

from gan_models.errors import UserError
from gan_models.ganimation.action_units import CODES, said
from gan_models.images import a_file

MIN_CONFIDENCE = 0.8  # of a face that is taken for found
RATE = 25.0  # frames per second of tables without times
FASTEST = 120  # frames per second
# A tool's columns for an action unit, the best first, and what full intensity is there.
COLUMNS = {
    "OpenFace": lambda code: [(f"au{code:02d}_r", 5)],
    "py-feat": lambda code: [(f"au{code:02d}", 1)] + [("au43", 1)] * (code == 45),  # eyes closed
    "LibreFace": lambda code: [(f"au_{code}_intensity", 5), (f"au_{code}", 1)],  # or: is it there
}
FILE_COLUMNS = ("file", "input", "filename", "image", "path", "name")


@dataclass(frozen=True, eq=False)
class Table:
    """Faces and their action units, a row each, in the file's order.

    tool: "OpenFace", "py-feat" or "LibreFace".
    action_units: (rows, 17) float32 in [0, 1]; 0 for those that the tool does not measure.
    confidence: (rows,) float32 in [0, 1]: that there is a face. 0 where the tool says that it
        failed, 1 where it says nothing.
    faces: (rows,) int64, numbers that tell the faces of a picture or film apart.
    files: The name of each row's picture without folders, "" where there is no such column.
    frames: The number of each row's frame, None where there is no such column.
    times: (rows,) float64, seconds; where there are none, RATE frames or rows are a second.
    missing: Codes that the tool does not measure.
    """

    tool: str
    action_units: np.ndarray
    confidence: np.ndarray
    faces: np.ndarray
    files: list[str]
    frames: list[int | None]
    times: np.ndarray
    missing: tuple[int, ...]

    def track(self, face: int | None = None, strength: float = 1.0) -> tuple[np.ndarray, float]:
        """(action units (T, 17) at a constant rate, frames per second) of one face of a film.

        Moments at which it was not found for certain lie between their neighbours.

        Args:
            face: Its number; None: the one that is found most often.
            strength: Of the expressions: 2 is twice as strong, as far as 1 allows.
        """
        if not 0 <= strength <= 10:  # NaN fails too
            raise UserError(f"The strength of a track is from 0 to 10, not {strength}.")
        sure = (self.confidence >= MIN_CONFIDENCE) & np.isfinite(self.times)
        there, counts = np.unique(self.faces[sure], return_counts=True)
        if not len(there):
            raise UserError("The table has no face that was found for certain: take another film.")
        face = int(there[counts.argmax()]) if face is None else face
        if face not in there:
            raise UserError(f"The table has no face {face}, but: {said(there)}.")
        rows = np.flatnonzero(sure & (self.faces == face))
        moments, times = np.unique(self.times[np.isfinite(self.times)]), self.times
        step = (moments[-1] - moments[0]) / max(len(moments) - 1, 1) or 1 / RATE
        if not 1 / FASTEST <= step <= 1:  # no times of a film
            times, step = times / step / RATE, 1 / RATE
        known, first = np.unique(times[rows], return_index=True)
        units = self.action_units[rows[first]]
        grid = known[0] + step * np.arange(math.floor((known[-1] - known[0]) / step + 0.5) + 1)
        track = np.stack([np.interp(grid, known, unit) for unit in units.T], axis=1)
        return (strength * track).clip(0, 1).astype(np.float32), 1 / step


def read_rows(path: str | os.PathLike) -> list[list[str]]:
    """The rows of a CSV file that are not empty, whatever its separator is: a comma, also with a
    space, a semicolon or a tab.
    """
    with open(a_file(path), encoding="utf-8-sig", errors="replace", newline="") as file:
        first = file.readline()
        file.seek(0)
        separator = max(",;\t", key=first.count)
        try:
            return [row for row in csv.reader(file, delimiter=separator) if any(row)]
        except csv.Error as error:
            raise UserError(f"{path} is no table: {error}.") from error


def read_table(path: str | os.PathLike) -> Table:
    """The faces of a CSV file. UserError for no such table, and where columns are missing."""
    rows = read_rows(path)
    names = [name.strip().lower() for name in rows[0]] if rows else []
    tool, columns = columns_of(names, path)
    if len(rows) < 2:
        raise UserError(f"{path} has no rows below its first line: measure some pictures first.")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) < len(names):
            raise UserError(
                f"{path} is cut off: line {number} has {len(row)} of {len(names)} cells."
            )

    def numbers(name, missing):
        if name not in names:
            return np.full(len(rows) - 1, missing, np.float64)
        cells = [row[names.index(name)].strip() for row in rows[1:]]
        return np.array([number_of(cell, name, i, path) for i, cell in enumerate(cells, start=2)])

    units = np.zeros((len(rows) - 1, len(CODES)))
    for code, (name, full) in columns.items():
        units[:, CODES.index(code)] = numbers(name, 0) / full
    confidence = numbers("facescore" if "facescore" in names else "confidence", 1)
    confidence = confidence * (numbers("success", 1) > 0)
    confidence[~np.isfinite(units).all(1)] = 0  # py-feat's rows without a face
    # Regressors reach a little beyond their range; numbers that do by far have another scale.
    for row, index in np.argwhere((np.abs(units - 0.5) > 1.5) & (confidence > 0)[:, None]):
        name, full = columns[CODES[index]]
        raise UserError(
            f"{path}, line {row + 2}: {name} is {units[row, index] * full:g}, but its numbers are "
            f"0 to {full}."
        )
    where = next((names.index(name) for name in FILE_COLUMNS if name in names), None)
    files = ["" if where is None else PureWindowsPath(row[where].strip()).name for row in rows[1:]]
    frames = numbers("frame", math.nan) if "frame" in names else np.arange(len(files))
    times = numbers("timestamp", 0) if "timestamp" in names else frames / RATE
    id_column = next((name for name in ("face_id", "face") if name in names), None)
    faces = numbers(id_column, 0)
    if id_column is None and "frame" in names:  # the first, second, ... row of the same frame
        seen: dict[tuple, int] = {}
        for row, place in enumerate(zip(files, frames, strict=True)):
            faces[row] = seen[place] = seen.get(place, -1) + 1
    return Table(
        tool=tool,
        action_units=np.nan_to_num(units).clip(0, 1).astype(np.float32),
        confidence=np.nan_to_num(confidence).clip(0, 1).astype(np.float32),
        faces=np.nan_to_num(faces).astype(np.int64),
        files=files,
        frames=[int(x) if "frame" in names and math.isfinite(x) else None for x in frames],
        times=times,
        missing=tuple(code for code in CODES if code not in columns),
    )


def columns_of(names: list[str], path) -> tuple[str, dict[int, tuple[str, int]]]:
    """(the tool that wrote columns of these names, (column, full intensity) by code)."""
    found = {}
    for tool, candidates in COLUMNS.items():
        there = {code: [x for x in candidates(code) if x[0] in names] for code in CODES}
        found[tool] = {code: columns[0] for code, columns in there.items() if columns}
    tool = max(found, key=lambda tool: len(found[tool]))
    if not found[tool]:
        raise UserError(
            f"{path} has no columns of action units: AU01_r to AU45_r (OpenFace, run with -aus), "
            "AU01 to AU43 (py-feat) or au_1_intensity and so on (LibreFace)."
        )
    lacking = [f"AU{code:02d}_r" for code in CODES if code not in found["OpenFace"]]
    if tool == "OpenFace" and lacking:
        raise UserError(
            f"{path} lacks the columns {', '.join(lacking)}: OpenFace -aus writes them."
        )
    return tool, found[tool]


def number_of(cell: str, name: str, line: int, path) -> float:
    """NaN for an empty cell; UserError for what is no number."""
    try:
        return float(cell or "nan")
    except ValueError:
        raise UserError(f"{path}, line {line}: {cell!r} under {name} is no number.") from None
