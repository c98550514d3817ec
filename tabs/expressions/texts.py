"""Every text of the tab "Expressions" that a visitor reads, in one place.

Nothing here says what somebody feels: action units are measured, named expressions are targets.
"""

NAME = "Expressions"
README = "readme#expressions-ganimation"

# Give
PICK = "## Pick a face\nIts muscles are measured, and the sliders start there."
PICKS = "Faces to pick from"
CROP = "The face that changes. Drag it or use the arrow keys; + and - change its size."
ALL_FACES = "Change all {count} faces"

# Change
ANIMATE = "Animate"
EXPRESSION = "## Aim at an expression\nTargets to move towards; nobody's feelings are read."
EMOTIONS = {
    "happiness": "Happiness",
    "sadness": "Sadness",
    "surprise": "Surprise",
    "fear": "Fear",
    "anger": "Anger",
    "disgust": "Disgust",
    "contempt": "Contempt",
    "neutral": "Neutral",
}
STRENGTH = "Strength (%)"
STRENGTH_HELP = "0 keeps the face as it is, 100 goes as far as the sliders say."
MIRROR = "Mirror another face"
MIRROR_HELP = "The sliders take the action units that are measured in a second picture."
MIRROR_PICTURE = "Picture whose expression is taken"
MIRROR_PICKS = "Expressions to take"
MIRROR_NAMES = {
    "mirror-1.jpg": "Smile",
    "mirror-2.jpg": "Raised brows, open mouth",
    "mirror-3.jpg": "Frown",
    "mirror-4.jpg": "Corners of the mouth down",
    "mirror-5.jpg": "Wide eyes",
    "mirror-6.jpg": "Eyes shut",
}
MIRRORED = "The sliders show what was measured in {name}."
KEEP = "Own expression kept under a named one (%)"
KEEP_HELP = "At 0 all that the named expression does not move comes to rest."
EASING, EASING_HELP = "Pace (easing)", "How the movement starts and ends."
EASINGS = [
    ("Slow at both ends", "ease-in-out"), ("Slow start", "ease-in"), ("Slow end", "ease-out"),
    ("Even", "linear"),
]  # fmt: skip

# Get
PICTURE_STAGE = "Picture"
VIEW = "What is shown"
VIEWS = [
    ("Whole picture", "picture"), ("Face", "face"), ("Attention", "attention"),
    ("Colour", "color"),
]  # fmt: skip
BEFORE_ALT = "The picture before"
AFTER_ALT = {
    "picture": "The picture with the expression that the sliders say",
    "face": "The face with the expression that the sliders say",
    "attention": "Attention: white is kept, dark is painted anew",
    "color": "Colour: what is painted where attention is dark",
}
CHANGED, UNCHANGED = "{count} action units differ from what was measured.", "As measured."
GET_PICTURE, GET_BOTH = "Download picture", "Before and after"
UNITS = "## Action units\nFrom 0, at rest, to 1, as strong as can be."
REGIONS = {"brow": "Brow", "eye": "Eye", "nose": "Nose", "mouth": "Mouth"}
UNIT = "{name} (AU{code})"
MEASURED, RANDOM = "As measured", "Random"
FIRST_CLIP = "Press Animate to make a clip from the face as it is to what the sliders say."
EXAMPLE = "An example made earlier with {weights}. Animate makes the same thing now."
ABOUT = f"""
A face is described by *action units* (FACS): 17 groups of muscles, each from 0 to 1. One network,
the *critic*, measures them in the picture, and the sliders start there. The other, the *generator*,
takes the picture and the action units that are wanted, and answers with a colour picture and an
*attention* mask: where the mask is white the pixel of the picture itself is kept, where it is dark
the new colour is taken. Both are enlarged over the face at its own size, so what is kept stays
sharp, and the face is put back into the whole picture with a soft border.

What is measured is how strongly muscles are drawn, not what somebody feels; a named expression is a
list of action units to aim at. How these weights were trained, and on what, stands in
[the README]({README}).
"""

# While it works
KEYS = "Enter animates, Escape stops."
CLIP_DONE = "{frames} frames, {seconds:g} s, {width} x {height} px."

# Notices
PHOTOGRAPH = (
    "This is not one of the drawn puppets that these weights know: it is measured and changed only "
    "roughly. {remedy}"
)

NOT_MEASURED = "These weights have no critic and measure nothing: the sliders start at rest."

# Errors
NOTHING_MOVES = (
    "The sliders say what the face does already, so nothing would move. Move one, or click an "
    "expression."
)
BAD_UNIT = "An action unit is a number from 0 to 1."
BAD_STRENGTH = "A strength is a number from 0 to 100 %."
