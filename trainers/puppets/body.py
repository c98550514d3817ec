"""What frames the face: shoulders, neck, head, ears, hair, a robot's antenna, a cat's whiskers."""

import numpy as np

from trainers.puppets.geometry import (
    arc,
    between,
    ellipse,
    mirrored,
    points,
    ring,
    smooth,
    stroke,
    taper,
)
from trainers.puppets.palette import GLOW, INK, WHITE, darker, lighter, mix
from trainers.puppets.parameters import COLLARS, HAIRCUTS
from trainers.puppets.scene import Scene

# Right halves of the heads, from the crown to the chin.
HEADS = {
    "human": points("0,-1.2 0.56,-1.08 0.9,-0.62 0.95,-0.05 0.87,0.48 0.62,0.9 0.28,1.12 0,1.16"),
    "cat": points("0,-0.98 0.52,-0.95 0.9,-0.64 1.04,-0.14 1.1,0.34 0.88,0.76 0.44,1.02 0,1.07"),
    "robot": points("0,-1.04 0.66,-1.04 0.92,-0.86 0.95,-0.05 0.95,0.5 0.91,0.94 0.68,1.1 0,1.1"),
}

# From the right temple to the left one.
HAIRLINES = {
    "crop": "0.87,-0.3 0.78,-0.66 0,-0.86 -0.3,-0.78 -0.78,-0.66 -0.87,-0.3",
    "bob": "0.86,0 0.83,-0.5 0.5,-0.74 0,-0.76 -0.5,-0.74 -0.83,-0.5 -0.86,0",
    "long": "0.9,0.1 0.86,-0.42 0.1,-0.84 -0.02,-1.06 -0.5,-0.7 -0.86,-0.3 -0.9,0.1",
    "curls": "0.88,-0.25 0.76,-0.68 0.4,-0.82 0,-0.78 -0.4,-0.82 -0.76,-0.68 -0.88,-0.25",
    "bun": "0.87,-0.3 0.74,-0.74 0.4,-0.94 0,-0.99 -0.4,-0.94 -0.74,-0.74 -0.87,-0.3",
    "quiff": "0.88,-0.3 0.8,-0.7 0.3,-0.9 -0.3,-0.86 -0.8,-0.7 -0.88,-0.3",
}


def head_outline(scene: Scene) -> np.ndarray:
    """The closed outline of the head; 26 drops its lower end."""
    m, identity = scene.measures, scene.parameters.identity
    half = HEADS[scene.parameters.domain] * (m.head_width, m.head_height)
    half[4:6, 0] *= 1 + 0.06 * identity.jaw
    half[5:7, 0] *= 1 + 0.12 * identity.chin
    half[5:, 1] += 0.2 * scene.units[26] * np.array([0.7, 1.0, 1.0])
    return smooth(mirrored(half))


def half_of(outline: np.ndarray, side: int) -> np.ndarray:
    """The right or left half of a mirrored outline, from top to bottom."""
    middle = len(outline) // 2
    right = outline[: middle + 1]
    return right if side > 0 else right * (-1, 1)


def add_body(scene: Scene) -> None:
    """Neck and shoulders; they stay behind when the head turns."""
    palette, identity = scene.palette, scene.parameters.identity
    domain = scene.parameters.domain
    wide = 1 + 0.08 * identity.shoulders
    away = -1 if scene.parameters.light > 0 else 1
    skin = mix(palette.skin, palette.lip, 0.6) if domain == "robot" else palette.skin
    neck = {"human": 0.4, "cat": 0.46, "robot": 0.3}[domain]
    collar = COLLARS[identity.collar % len(COLLARS)]
    if collar == "hood":
        scene.add("cloth", darker(palette.cloth, 0.3), ellipse(0, 1.35, 0.98 * wide, 0.4), 0, True)
    column = points("-1,0.6 1,0.6 1,1.4 1,1.6 -1,1.6 -1,1.4") * (neck, 1)
    column[3:5, 0] += (0.2, -0.2)
    scene.add("neck", skin, column, 0, True)
    shadow = [(-neck, 0.6), (neck, 0.6), (neck, 1.22), (away * 0.1, 1.42), (-neck, 1.22)]
    scene.add("neck", darker(skin, 0.3), np.array(shadow), 0, True)
    torso = points(
        "-0.44,1.34 -0.2,1.49 0.2,1.49 0.44,1.34 1.05,1.5 1.5,1.75 1.72,2.6 0,2.9 -1.72,2.6 "
        "-1.5,1.75 -1.05,1.5"
    )
    torso[[0, *range(3, 11)], 0] *= wide
    scene.add("cloth", palette.cloth, smooth(torso), 0, True)
    shade = points("0.5,1.38 1.05,1.5 1.5,1.75 1.72,2.6 0.8,2.6 0.74,1.8") * (away, 1)
    shade[1:4, 0] *= wide
    shade = smooth(shade)
    scene.add("cloth", darker(palette.cloth, 0.2), shade, 0, True)
    trim = lighter(palette.cloth, 0.45)
    if collar == "turtleneck":
        tube = points("-1,1.2 1,1.2 1,1.62 -1,1.62") * (neck, 1)
        tube[:, 0] += (-0.05, 0.05, 0.14, -0.14)
        scene.add("cloth", darker(palette.cloth, 0.1), tube, 0, True)
    elif collar == "deep":
        opening = points("-0.36,1.3 0.36,1.3 0,1.85")
        scene.add("neck", darker(skin, 0.12), opening, 0, True)
        for side in (-1, 1):
            lapel = points("0.36,1.24 0.52,1.36 0.14,1.88 0,1.84")
            scene.add("cloth", trim, lapel * (side, 1), 0, True)
    else:
        band = arc([(-0.5 * wide, 1.33), (-0.24, 1.49), (0.24, 1.49), (0.5 * wide, 1.33)])
        scene.add("cloth", trim, stroke(band, 0.055), 0, True)


def add_ears(scene: Scene) -> None:
    m, palette, identity = scene.measures, scene.palette, scene.parameters.identity
    domain, size = scene.parameters.domain, 1 + 0.16 * identity.ear_size
    for side in (-1, 1):
        near_light = side * scene.parameters.light > 0
        if domain == "cat":
            base = np.array([(0.24, -0.8), (0.62, -1.36), (0.86, -1.68), (1.0, -1.1), (1.02, -0.4)])
            ear = base * (side * m.head_width, m.head_height)
            ear[1:4, 1] = -0.7 + (ear[1:4, 1] + 0.7) * size
            middle = ear.mean(axis=0) + (0, 0.12)
            outer = palette.skin if near_light else darker(palette.skin, 0.16)
            scene.add("ear", outer, smooth(ear), -0.05)
            pink = mix(np.array([244.0, 150.0, 160.0]), palette.skin, 0.25)
            scene.add("ear", pink, smooth(middle + (ear - middle) * (0.58, 0.66)), -0.04)
        elif domain == "robot":
            x = side * 1.0 * m.head_width
            for reach, tall, colour in ((0.13, 0.3, palette.lip), (0.2, 0.2, palette.hair)):
                box = points("0,-1 1,-0.9 1,0.9 0,1") * (side * reach, tall) + (x, 0)
                box = box * (1, size)
                scene.add("ear", colour, box, -0.05)
        else:
            x = side * 0.97 * m.head_width
            outer = palette.skin if near_light else darker(palette.skin, 0.16)
            scene.add("ear", outer, ellipse(x, 0.04, 0.17 * size, 0.25 * size), -0.08)
            inner = darker(mix(palette.skin, palette.blush, 0.5), 0.22)
            middle = ellipse(x + side * 0.03, 0.05, 0.09 * size, 0.15 * size)
            scene.add("ear", inner, middle, -0.08)


def add_head(scene: Scene) -> None:
    """The head with its shaded side, and what is painted on it."""
    palette, light = scene.palette, scene.parameters.light
    outline = head_outline(scene)
    scene.add("skin", palette.skin, outline, 0.0)
    away = -1 if light > 0 else 1
    domain = scene.parameters.domain
    if domain == "robot":
        add_panel(scene, outline)
    edge = half_of(outline, away)
    scene.add(
        "skin", darker(palette.skin, 0.06 + 0.13 * abs(light)), between(edge, edge * (0.8, 1)), 0.0
    )
    if domain == "cat":
        add_stripes(scene)


def add_panel(scene: Scene, outline: np.ndarray) -> None:
    """A robot's lighter face plate, its cap, and rivets as many as the pattern says."""
    m, palette, style = scene.measures, scene.palette, scene.parameters.style
    plate = outline * (0.82, 0.86) + (0, 0.06)
    scene.add("skin", mix(palette.skin, WHITE, 0.3 + 0.2 * style.accent), plate, 0.02)
    h = m.head_height
    w = m.head_width
    cap = points(
        "-0.97,-0.52 -0.93,-0.96 -0.64,-1.13 0.64,-1.13 0.93,-0.96 0.97,-0.52 0.9,-0.72 0.4,-0.84 "
        "-0.4,-0.84 -0.9,-0.72"
    )
    cap = smooth(cap * (w, h))
    scene.add("hair", palette.hair, cap, 0.0)
    glint = np.array([(-0.6, -1.03), (-0.1, -1.06), (-0.1, -0.99), (-0.6, -0.95)]) * (w, h)
    scene.add("hair", lighter(palette.hair, 0.4), smooth(glint), 0.0)
    for side in (-1, 1):
        size = 0.03 + 0.035 * style.pattern
        for y in (0.42, 0.92):
            rivet = ellipse(side * 0.8 * w, y * h - 0.02, size, size)
            scene.add("skin", palette.blush, rivet, 0.05)


def add_stripes(scene: Scene) -> None:
    """Tabby marks on forehead and cheeks; the pattern is their length and width."""
    m, palette, pattern = scene.measures, scene.palette, scene.parameters.style.pattern
    if pattern < 0.12:
        return
    long, wide = 0.1 + 0.26 * pattern, 0.03 + 0.045 * pattern
    w, h = m.head_width, m.head_height
    for x, scale in ((-0.22, 0.8), (0.0, 1.0), (0.22, 0.8)):
        line = np.array([(x * w, -0.97 * h), (0.9 * x * w, -0.97 * h + long * scale)])
        scene.add("hair", palette.hair, stroke(line, (wide, 0.2 * wide)), None)
    for side in (-1, 1):
        for y, turn in ((0.12, 0.05), (0.38, 0.0)):
            line = np.array([(side * 1.1 * w, y), (side * (1.1 - 1.1 * long) * w, y + turn)])
            line[0, 0] = side * (1.03 if y < 0.2 else 1.06) * w
            scene.add("hair", palette.hair, stroke(line, (0.9 * wide, 0.2 * wide)), None)


def add_freckles(scene: Scene) -> None:
    pattern, palette = scene.parameters.style.pattern, scene.palette
    if scene.parameters.domain != "human" or pattern < 0.55:
        return
    colour = mix(palette.skin, np.array([150.0, 74.0, 44.0]), 0.7 * (pattern - 0.35))
    for x, y in ((0.5, 0.26), (0.62, 0.33), (0.73, 0.25), (0.4, 0.32)):
        for side in (-1, 1):
            scene.add("skin", colour, ellipse(side * x, y, 0.024, 0.024))


def add_extras(scene: Scene) -> None:
    """Whiskers or antenna."""
    m, palette = scene.measures, scene.palette
    if scene.parameters.domain == "cat":
        colour = mix(palette.skin, WHITE, 0.85)
        for side in (-1, 1):
            for y, fall in ((-0.12, -0.1), (-0.03, 0.03), (0.06, 0.16)):
                start = np.array((side * 0.4, m.mouth_y + y))
                line = arc([start, start + (side * 0.45, 0.4 * fall), start + (side * 0.95, fall)])
                scene.add("extra", colour, stroke(line, taper(len(line), 0.024, 0.02, 0.008)), 0.25)
    elif scene.parameters.domain == "robot":
        top = -1.04 * m.head_height
        scene.add("extra", palette.lip, stroke([(0, top + 0.1), (0, top - 0.3)], 0.035), 0.0)
        scene.add("extra", palette.lip, ellipse(0, top - 0.02, 0.16, 0.07), 0.0)
        scene.add("extra", palette.iris, ellipse(0, top - 0.36, 0.12, 0.12), 0.0)
        shine = mix(palette.iris, WHITE, 0.7)
        scene.add("extra", shine, ellipse(-0.03, top - 0.4, 0.045, 0.045), 0.0)


def add_back_hair(scene: Scene) -> None:
    """Hair behind head and shoulders."""
    if scene.parameters.domain != "human":
        return
    m, identity = scene.measures, scene.parameters.identity
    colour = darker(scene.palette.hair, 0.25)
    cut = HAIRCUTS[identity.haircut % len(HAIRCUTS)]
    full = 1 + 0.05 * identity.hair_volume
    w, h = m.head_width * full, m.head_height
    if cut in ("bob", "long"):
        end, flare = (0.86, 1.12) if cut == "bob" else (1.75, 1.2)
        half = points("0,-1.36 0.76,-1.2 1.1,-0.5 1.16,0.2 1,0.8 0.8,0.06 0,-0.1")
        half[:3, 1] *= h
        half[4] = (flare, 0.8 * end)
        half[5:, 1] += end
        scene.add("hair", colour, smooth(mirrored(half * (w, 1))), -0.12)
    elif cut == "curls":
        for angle in np.linspace(-0.15, np.pi + 0.15, 9):
            curl = ellipse(1.02 * w * np.cos(angle), -0.36 - 0.88 * h * np.sin(angle), 0.36, 0.34)
            scene.add("hair", colour, curl, -0.12)
    elif cut == "bun":
        scene.add("hair", scene.palette.hair, ellipse(0, -1.29 * h, 0.37 * full, 0.25), -0.1)
        scene.add("hair", colour, ring(0, -1.31 * h, 0.25 * full, 0.16, 0.05), -0.1)


def add_front_hair(scene: Scene) -> None:
    """Hair over the forehead: a curve over the crown and a hairline that ends above the brows."""
    if scene.parameters.domain != "human":
        return
    m, identity = scene.measures, scene.parameters.identity
    hair = scene.palette.hair
    cut = HAIRCUTS[identity.haircut % len(HAIRCUTS)]
    w, h = m.head_width, m.head_height
    lift = 0.06 * identity.hair_volume
    side = 1 if identity.parting > 0 else -1
    part = abs(identity.parting)
    low, top = (0.12, -1.36) if cut in ("bob", "long") else (-0.12, -1.33)
    if cut == "quiff":
        crown = points("-0.98,-0.2 -1,-0.6 -0.8,-1.16 -0.36,-1.4 0.42,-1.48 0.96,-1.2 0.98,-0.2")
        crown[3:6, 1] -= lift
    else:
        crown = points("-0.99,0 -1.04,-0.5 -0.76,-1.14 0,0 0.76,-1.14 1.04,-0.5 0.99,0")
        crown[[0, -1], 1], crown[3, 1] = low, top
        crown[2:5, 1] -= lift
    hairline = points(HAIRLINES[cut])
    if cut in ("crop", "long"):  # what lies at the parting
        hairline[2 : 4 if cut == "long" else 3, 0] += part
    line = np.concatenate([crown, hairline]) * (side * w, h)
    scene.add("hair", hair, smooth(line))
    if cut == "curls":
        for x in (-0.84, -0.5, -0.17, 0.17, 0.5, 0.84):
            y = -0.62 if abs(x) > 0.8 else -0.94
            scene.add("hair", hair, ellipse(x * w, y * h - 0.06, 0.26, 0.2), None)
    toward = 1 if scene.parameters.light > 0 else -1
    glint = arc(points("0.72,-0.92 0.5,-1.12 0.16,-1.2") * (toward * w, h))
    scene.add(
        "hair", mix(hair, GLOW, 0.28), stroke(glint, taper(len(glint), 0.012, 0.05, 0.012)), 0.0
    )
    fold = arc(points("0.86,-0.72 0.66,-1.02 0.3,-1.16") * (-toward * w, h))
    scene.add(
        "hair", mix(hair, INK, 0.16), stroke(fold, taper(len(fold), 0.012, 0.045, 0.012)), 0.0
    )
