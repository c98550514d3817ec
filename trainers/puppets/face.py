"""The moving parts of a face: eyes, brows, nose, mouth, cheeks, and the creases between them."""

import numpy as np

from trainers.puppets.geometry import (
    arc,
    between,
    clamp_between,
    ellipse,
    points,
    ring,
    stroke,
    taper,
)
from trainers.puppets.palette import GLOW, INK, WHITE, darker, lighter, mix
from trainers.puppets.scene import Eye, Scene, brow_curve, pupil_centre


def add_crease(scene: Scene, line, intensity: float, half_width: float) -> None:
    """A wrinkle that grows from nothing with the action unit that makes it, drawn large."""
    if intensity < 0.02:
        return
    curve = arc(line, 4)
    widths = taper(len(curve), 0.3, 1.0, 0.3) * half_width * min(1.0, 0.3 + 0.7 * intensity)
    scene.add("skin", crease_colour(scene, intensity), stroke(curve, widths))


def crease_colour(scene: Scene, intensity: float) -> np.ndarray:
    """Skin in shadow; dark skin needs a deeper shadow to show the same step."""
    skin = scene.palette.skin
    depth = np.interp(skin.mean(), (60, 220), (0.7, 0.34))
    return mix(skin, mix(INK, scene.palette.lip, 0.25), depth * min(1.0, 0.3 + 0.7 * intensity))


def add_eye(scene: Scene, side: int) -> None:
    """Lid, eyeball, iris, pupil, highlights and lash line; lids cut whatever lies between them."""
    m, palette, domain = scene.measures, scene.palette, scene.parameters.domain
    eye = scene.eyes[side]
    centre = np.array([eye.x, m.eye_y])
    lid = mix(darker(palette.skin, 0.2), palette.blush, 0.2)
    if domain == "robot":
        scene.add("skin", palette.hair, ellipse(*centre, m.eye_width + 0.09, m.eye_height + 0.1))
        lid = lighter(palette.hair, 0.3)
    grown = np.array([1.1, 1.28])
    upper = centre + (eye.rest_upper - centre) * grown
    lower = centre + (eye.rest_lower - centre) * (1.08, 1.12)
    scene.add("skin", lid, between(upper, lower))
    opening = float((eye.lower[:, 1] - eye.upper[:, 1]).max())
    if opening > 0.02:
        scene.add("eye", palette.eye, between(eye.upper, eye.lower))
        shadow = eye.upper + (eye.lower - eye.upper) * 0.22
        if domain != "robot":
            scene.add("eye", darker(palette.eye, 0.2), between(eye.upper, shadow))
        add_iris(scene, eye, pupil_centre(scene, side))
    widths = taper(len(eye.upper), 0.018, 0.036, 0.024)
    scene.add("brow", palette.lash, stroke(eye.upper, widths))
    if domain != "robot":
        outer = eye.upper[-1 if side > 0 else 0]
        flick = np.array([outer, outer + (side * 0.075, -0.05)])
        scene.add("brow", palette.lash, stroke(flick, (0.03, 0.008)))


def add_iris(scene: Scene, eye: Eye, centre: np.ndarray) -> None:
    """Iris, pupil and highlight (a lamp in a robot), cut by the lids."""
    m, palette, domain = scene.measures, scene.palette, scene.parameters.domain
    r = m.iris
    light = 1.0 if scene.parameters.light > 0 else -1.0

    def disc(colour, x, y, radius_x, radius_y):
        points = ellipse(centre[0] + x, centre[1] + y, radius_x, radius_y)
        scene.add("iris", colour, clamp_between(points, eye.upper, eye.lower))

    if domain == "robot":
        disc(mix(palette.iris, palette.eye, 0.55), 0, 0, 1.2 * r, 1.2 * r)
        disc(palette.iris, 0, 0, r, r)
        disc(mix(palette.iris, WHITE, 0.75), 0, 0, 0.55 * r, 0.55 * r)
        return
    disc(mix(palette.iris, INK, 0.55), 0, 0, r, r)
    disc(palette.iris, 0, 0.01, 0.84 * r, 0.84 * r)
    disc(lighter(palette.iris, 0.4), 0, 0.35 * r, 0.55 * r, 0.42 * r)
    disc(INK, 0, 0, (0.3 if domain == "cat" else 0.46) * r, (0.78 if domain == "cat" else 0.46) * r)
    disc(WHITE, light * 0.38 * r, -0.4 * r, 0.3 * r, 0.3 * r)


def add_brow(scene: Scene, side: int) -> None:
    curve = arc(brow_curve(scene, side), 5)
    m = scene.measures
    widths = taper(len(curve), 0.85, 1.0, 0.4) * m.brow_thickness
    scene.add("brow", scene.palette.brow, stroke(curve, widths))


def add_forehead_creases(scene: Scene) -> None:
    """The marks of 1, 2 and 4: lines over the middle, lines over the outer brows, a furrow."""
    m, unit = scene.measures, scene.units
    y = m.brow_y
    add_crease(scene, [(-0.2, y - 0.2), (0, y - 0.24), (0.2, y - 0.2)], unit[1], 0.026)
    for side in (-1, 1):
        furrow = np.array([(0.07, y - 0.08), (0.05, y + 0.08), (0.08, y + 0.2)]) * (side, 1)
        add_crease(scene, furrow, unit[4], 0.034)


def add_glasses(scene: Scene) -> None:
    m = scene.measures
    frame = darker(scene.palette.cloth, 0.45)
    for side in (-1, 1):
        scene.add("glasses", frame, ring(side * m.eye_x, m.eye_y + 0.01, 0.385, 0.335, 0.05))
        temple = np.array([(side * (m.eye_x + 0.37), m.eye_y - 0.05), (side * 1.0, m.eye_y - 0.08)])
        scene.add("glasses", frame, stroke(temple, 0.03))
    bridge = arc([(-m.eye_x + 0.37, m.eye_y), (0, m.eye_y - 0.06), (m.eye_x - 0.37, m.eye_y)])
    scene.add("glasses", frame, stroke(bridge, 0.03))


def add_cheeks(scene: Scene) -> None:
    """Blush at rest; 6 lifts it into round apples with lines beside the eyes."""
    m, unit, palette = scene.measures, scene.units, scene.palette
    raised = unit[6]
    for side in (-1, 1):
        x = side * 0.62 * m.head_width
        y = 0.36 - 0.09 * raised
        colour = mix(palette.blush, mix(palette.skin, palette.lip, 0.6), 0.5 * raised)
        scene.add("skin", colour, ellipse(x, y, 0.2 + 0.05 * raised, 0.12 + 0.06 * raised))
        outer = side * (m.eye_x + m.eye_width)
        for rise in (-0.02, 0.1):
            line = points("0.04,0.03 0.1,0.035 0.16,0.05") * (side, 1)
            add_crease(scene, line + (outer, m.eye_y + rise), raised, 0.02)


def add_nose(scene: Scene) -> None:
    """9 wrinkles the bridge, deepens the sides and lifts the wings."""
    m, unit, palette = scene.measures, scene.units, scene.palette
    domain = scene.parameters.domain
    wrinkle = unit[9]
    y = m.nose_y - 0.05 * wrinkle
    width = m.nose_width * (1 + 0.3 * wrinkle)
    for step, reach in ((0, 0.13), (1, 0.16), (2, 0.17)):
        top = m.eye_y - 0.08 + 0.115 * step
        line = [(-reach, top - 0.035), (0, top + 0.035), (reach, top - 0.035)]
        add_crease(scene, line, wrinkle, 0.034)
    for side in (-1, 1):
        fold = np.array([(0.21, y - 0.16), (0.29, y - 0.04), (0.36, y + 0.1)]) * (side, 1)
        add_crease(scene, fold, wrinkle, 0.034)
    if domain == "cat":
        tip = points("-1,-0.09 -0.4,-0.12 0.4,-0.12 1,-0.09 0.3,0.07 0,0.1 -0.3,0.07")
        scene.add("nose", palette.nose, tip * (width, 1) + (0, y))
        glint = ellipse(-0.3 * width, y - 0.07, 0.25 * width, 0.02)
        scene.add("nose", mix(palette.nose, WHITE, 0.5), glint)
        stem = np.array([(0, y + 0.08), (0, m.mouth_y - 0.1)])
        scene.add("lips", palette.lip, stroke(stem, 0.016))
    elif domain == "robot":
        plate = points("-0.7,-0.14 0.7,-0.14 1,-0.07 1,0.02 0.7,0.09 -0.7,0.09 -1,0.02 -1,-0.07")
        scene.add("nose", palette.nose, plate * (width, 1) + (0, y))
        for level in (-0.07, 0.02):
            slit = stroke([(-0.6 * width, y + level), (0.6 * width, y + level)], 0.018)
            scene.add("nose", mix(palette.nose, INK, 0.6), slit)
    else:
        add_human_nose(scene, y, width)


def add_human_nose(scene: Scene, y: float, width: float) -> None:
    palette = scene.palette
    away = -1.0 if scene.parameters.light > 0 else 1.0
    bridge = np.array([(0, y - 0.4), (0.1, y - 0.1), (width, y + 0.02), (0, y + 0.06)]) * (away, 1)
    scene.add("nose", darker(palette.skin, 0.11), bridge)
    scene.add("nose", palette.nose, ellipse(0, y + 0.01, width, 0.1))
    glint = ellipse(-away * 0.3 * width, y - 0.035, 0.3 * width, 0.032)
    scene.add("nose", mix(palette.nose, GLOW, 0.45), glint)
    for side in (-1, 1):
        nostril = ellipse(side * 0.46 * width, y + 0.062, 0.2 * width, 0.026)
        scene.add("nose", mix(palette.nose, INK, 0.55), nostril)


def add_muzzle(scene: Scene) -> None:
    """The pale lobes under a cat's nose and its chin."""
    m, palette = scene.measures, scene.palette
    pale = mix(palette.skin, np.array([255.0, 250.0, 244.0]), 0.62)
    scene.add("skin", pale, ellipse(0, m.mouth_y + 0.12 + 0.1 * scene.units[26], 0.27, 0.2))
    for side in (-1, 1):
        scene.add("skin", pale, ellipse(side * 0.23, m.mouth_y - 0.08, 0.31, 0.22))


def add_mouth(scene: Scene) -> None:
    m, unit, palette = scene.measures, scene.units, scene.palette
    domain = scene.parameters.domain
    mouth = scene.mouth
    lip = mix(palette.lip, darker(palette.skin, 0.3), 0.35 * unit[23])
    if domain == "robot":
        grow = np.array([[0, -0.045], [0, 0.045]])
        frame = between(mouth.upper_outer + grow[0], mouth.lower_outer + grow[1])
        scene.add("lips", palette.lip, frame)
        lip = mix(palette.iris, palette.eye, 0.1 + 0.3 * unit[23])
    scene.add("lips", lip, between(mouth.upper_outer, mouth.lower_outer))
    if domain == "human":
        scene.add("lips", darker(lip, 0.14), between(mouth.upper_outer, mouth.upper_inner))
        shine = mouth.lower_inner + (mouth.lower_outer - mouth.lower_inner) * 0.45
        shine = stroke(shine[7:12], (0.004, 0.02, 0.02, 0.02, 0.004))
        scene.add("lips", mix(lip, WHITE, 0.32), shine)
    if mouth.gap > 0.015:
        hole = between(mouth.upper_inner, mouth.lower_inner)
        scene.add("mouth", palette.mouth, hole)
        if mouth.gap > 0.2:
            low = mouth.lower_inner[9, 1]
            tongue = ellipse(0, low + 0.01, 0.55 * m.mouth_width, 0.42 * mouth.gap)
            tongue = clamp_between(tongue, mouth.upper_inner, mouth.lower_inner)
            scene.add("tongue", palette.tongue, tongue)
        inside = slice(1, -1)
        edge = mouth.upper_inner[inside] + (0, 0.105)
        edge[:, 1] = np.minimum(edge[:, 1], mouth.lower_inner[inside, 1])
        scene.add("teeth", palette.teeth, between(mouth.upper_inner[inside], edge))
    else:
        line = (mouth.upper_inner + mouth.lower_inner) / 2
        scene.add("lips", mix(lip, INK, 0.6), stroke(line, taper(len(line), 0.026, 0.014, 0.026)))


# Lines beside the right corner of the mouth, from that corner, and their half widths.
CORNER_CREASES = {
    14: ("0.03,-0.17 0.12,0 0.03,0.17", 0.055),
    15: ("0.02,0.03 0.07,0.11 0.08,0.2", 0.036),
    20: ("0.06,-0.11 0.1,0 0.06,0.11", 0.034),
    23: ("-0.01,-0.15 0.08,0 -0.01,0.15", 0.03),
}


def add_mouth_creases(scene: Scene) -> None:
    """What 10, 12, 14, 15, 17, 20 and 23 do beside the lips, drawn larger than life."""
    m, unit = scene.measures, scene.units
    mouth = scene.mouth
    for side in (-1, 1):
        corner = mouth.upper_inner[-1 if side > 0 else 0]
        fold = np.array([(0.26, m.nose_y + 0.04), (0.42, m.nose_y + 0.13), (0, 0)]) * (side, 1)
        fold[2] = corner + (side * 0.11, -0.03)
        add_crease(scene, fold, max(unit[10], 0.8 * unit[12]), 0.03)
        for number, (line, half_width) in CORNER_CREASES.items():
            add_crease(scene, corner + points(line) * (side, 1), unit[number], half_width)
    low = float(mouth.lower_outer[:, 1].max()) + 0.1
    add_crease(scene, [(-0.22, low + 0.08), (0, low), (0.22, low + 0.08)], unit[17], 0.045)
