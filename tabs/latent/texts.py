"""Every text of the tab "Latent space" that a visitor reads, in one place."""

NAME = "Latent space"
README = "readme#latent-space-progan"

# Give
PICK = (
    "## Pick pictures\nEach seed is a picture nobody drew. Click one to see it large, "
    "or drag it to Start or End."
)
START, END, NEW = "Start", "End", "New"
SEED, NO_SEED = "{point} seed", "kept"
PICKS = "Pictures to pick from"
MORE = "12 more"

# Change
MAKE_CLIP = "## Walk between them\nMakes a clip of all the pictures on the way."
POSITION = "Mix: from start to end (% of the path)"
GROWTH = "Growth (% of the resolutions)"
GROWTH_HELP = "From the first few pixels to full size; new layers fade in."
CLASS, ANY_CLASS = "Class", "(none)"
START_HERE, END_HERE = "Start here", "End here"
TRUNCATION = "Variety (truncation psi)"
TRUNCATION_HELP = (
    "Less draws more usual pictures; at 0 there is only the average one. It moves the features of "
    "the first layer, since latents on a sphere have no average."
)
KIND = "Clip"
KINDS = [("Path from start to end", "path"), ("Random walk over both and back", "walk")]
SECONDS = "Duration (s)"
WALK = "Walk"

WAY = "Way between two latents (interpolation)"
WAY_HELP = "Spherical keeps to the lengths the network was trained on; linear cuts the corner."
WAYS = [("Spherical", "spherical"), ("Linear", "linear")]
FPS, FPS_HELP = "Frames per second", "More frames, smoother and slower to make."
WALK_SEED, WALK_SEED_HELP = "Seed of the random walk", "Another number, other pictures on the way."
PACE, PACE_HELP = "Pace of random walks (s)", "From one picture on the way to the next."
CLIP_SIZE_HELP = "Smaller pictures are enlarged to it; never reduced."
SHARP, SHARP_HELP = "Enlarge with sharp pixels", "Shows every pixel as a square."
SAVE, LOAD = "Save start and end", "Load saved latents"

# Get
PICTURE = "Picture"
FRAMES = "Frames of the clip"
CAPTION = "{name}. {own} px, shown at {shown} px."
KEPT = "a kept picture (its numbers: Save start and end)"
GET_PICTURE = "Download picture"
GET_SHOWN, GET_OWN = "Download {size} px, as shown", "Download {size} px, own size"
GROWTH_PICTURES = "The same latent at every resolution"
ABOUT = f"""
A generator network turns a list of random numbers (a *latent*) into a picture; the seed decides the
numbers. The network was *grown*: first trained at a few pixels, then layers for twice the
resolution faded in, step by step. The last layers of the lower steps have not been trained since,
and their colours have drifted far off: the lower steps are shown with the mean and the spread of
the last one's colours, channel by channel. Neighbouring latents give similar pictures, so every
point on the way between two of them is a picture too. How these weights were trained, and on what,
stands in [the README]({README}).
"""
EXAMPLE = "An example made earlier with {weights}. Walk makes the same thing now."
FIRST_CLIP = "Press Walk to make a clip."

# The live view
LIVE_WORDS = {
    "title": "Drag over the map",
    "help": "Every place is a mix of the four corners. The arrow keys move, too.",
    "other": "Another map",
    "walk": "Walk on and on",
    "pause": "Pause",
    "walking": "Walking; Pause keeps the picture.",
    "lost": "The computer that runs this page does not answer. Reload the page.",
}
LIVE_NOT_HERE = "The live view works only on a machine of your own. Everything else works here."
BAD_PLACE = "This is no place of the map and none of the walk. Drag over the map again."

# While it works
KEYS = "Enter walks, Escape stops."
CLIP_DONE = "{frames} frames, {seconds:g} s, {width} px ({native} px pictures)."

# Errors
BAD_DURATION = "Choose a duration from 0.5 to 60 s and 1 to 60 frames per second."
OTHER_SIZE = (
    "{name} has {here} numbers and these weights take {there}. Choose the weights it was made "
    "with, or give a seed instead."
)
TOO_LARGE = "{file} is larger than 1 MB. Choose a file that Save start and end wrote."
NOT_LATENTS = "{file} holds no start and end. Choose a file that Save start and end wrote."
NOT_FINITE = "{file} holds numbers that are not finite. Save it again."
