"""Every text of the tab "Style translation" that a visitor reads, in one place."""

NAME = "Style translation"
README = "readme#style-translation-stargan-v2"

# Give
PICK = "## Pick a picture\nIts pose stays; what it is and how it looks change."
PICKS, STYLE_PICKS = "Pictures to translate", "Pictures whose style is taken"
STYLE_OF = "Style: {name}"
CROP = "What is translated. Drag it or use the arrow keys; + and - change its size."

# Change
ANIMATE = "Animate"
DOMAIN = "Turn it into"
STYLE = "## Choose a style"
REFERENCES = "Style of a picture (reference)"
OWN_REFERENCES = "Your own references, one or several"
GIVEN = "Your references: click one"
THROUGH = "The clip goes through all {count} of them"
SLIDING = "The clip shows each of them on the left"
REFERENCES_HELP = (
    "The newest becomes the first style. A reference may be of any domain: it is read as one of "
    "the domain that is chosen, which looks best where it is one."
)
STRENGTH = "Strength of the style (%)"
STRENGTH_HELP = "0 is the domain's usual style, 100 the one that was chosen."
GRID_MORE = "More pictures for the grid"

# Get
PICTURE_STAGE, GRID_STAGE = "Picture", "Grid"
VIEW = "What is shown"
VIEWS = [("Square", "face"), ("Whole picture", "picture")]
BEFORE_ALT, AFTER_ALT = "The picture before", "The picture translated"
DONE = "{picture} as {domain}, {style}."
GET_PICTURE, GET_BOTH = "Download picture", "Before and after"
MAKE_GRID, GET_GRID = "Make the grid", "Download grid"
GRID = "Pictures by styles"
GRID_HELP = (
    "The picture, and more that are given in More settings, in the style of each of your "
    "references, or of the seeds that are shown."
)
GRID_DONE = "Pictures: {count}; styles: {styles}."
GRID_PARTLY = "Stopped after {done} of {total}: the rest is left white."
FIRST_CLIP = (
    "Press Animate to make a clip from the first style to the second, or through your references."
)
EXAMPLE = "An example made earlier with {weights}. Animate makes the same thing now."
ABOUT = f"""
A *style* is a row of numbers. The *mapping network* makes one of a seed, the *style encoder* takes
one from a picture (a *reference*); both have one exit for each *domain*. The *generator* paints the
picture anew in that style: pose and place stay, the rest is the style's. Between two styles, every
mixture is a style again. Strength pulls a style towards the mean of its domain.

The networks see a square of the picture and answer at their own size; in the whole picture the
square is put back with a soft border. How these weights were trained, and on what, stands in
[the README]({README}).
"""

# While it works
KEYS = "Enter animates, Escape stops."
CLIP_DONE = "{frames} frames, {seconds:g} s, {width} x {height} px."

# Notices
PHOTOGRAPH = (
    "This is not one of the drawn puppets that these weights know: it is translated only roughly. "
    "{remedy}"
)
FOREIGN = (
    "{style} is of the domain {there} and is read as one of {domain}. That may be asked; a "
    "reference of {domain} gives more of its look."
)
TOO_MANY = "The first {most} of {count} are used."

# Errors
BAD_STRENGTH = "A strength is a number from 0 to 200 %."
SAME = "The two styles are the same, so nothing would change. Choose another second style."
