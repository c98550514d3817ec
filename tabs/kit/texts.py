"""Words that every tab uses, in one place; a tab's own words are in its texts.py."""

STOP = "Stop"
MORE_SETTINGS = "More settings"
SETTINGS = "Settings of this result"
HOW = "How it works"
RESET = "Reset everything"
CLIP, GET_CLIP, PREVIEW = "Clip", "Download clip", "The newest frame"
GET_BOTH = "Download side by side"
SEND_TO = "Send the picture to"
NOT_BOTH = "Make a clip first: then it can be downloaded beside what it was given."
SOUND_ON, SOUND_OFF = "Turn sound on", "Turn sound off"
SECONDS, FPS = "Duration of the clip (s)", "Frames per second"
BACK, BACK_HELP = "There and back", "The clip ends where it began, so it can loop."
BAD_LENGTH = "Choose a duration from 0.5 to 30 s and 5 to 60 frames per second."
CLIP_SIZE = "Size of the clip (px)"
CLIP_SIZES = [("As the network makes it", 0), ("256", 256), ("512", 512)]

# The result
BEFORE, AFTER = "Before", "After"
COMPARE = "How much of the picture before is shown, from the left (%)"

# Styles, of which two are mixed
STYLE_SEED = {"first": "First style (seed)", "second": "Second style (seed)"}
NEW, NO_SEED = "New", "of a picture"
VARIATIONS, OTHER_STYLES = "Styles of other seeds: click one", "Other styles"
SHARE = "From the first style to the second (%)"
SWAP = "Swap the two"
BAD_SHARE = "A mix of two styles is a number from 0 to 100 %."

# The picture that is given
PICTURE, OTHER_PICTURE, THE_PICTURE = "Picture", "Your own picture", "The picture"
NO_PICTURE = "There is no picture yet. Upload one, or click one of the faces."
NO_OTHERS = "How to get weights for photographs, or train some, stands in the README (above)."
CAN_BE_FETCHED = "Weights for photographs are not here yet, but can be got."
READ_ABOUT = "Show {name}"
FACES = {
    "face-1.jpg": "Short brown hair",
    "face-2.jpg": "Long brown hair",
    "face-3.jpg": "Grey curls",
    "face-4.jpg": "Cream cat",
    "face-5.jpg": "Ginger cat",
    "face-6.jpg": "Pink robot",
}

# Crops
FACE_FOUND = "{what} is cropped around its face: drag the crop, or click another place, to move it."
BAD_CROP = "The crop is not a square in the picture. Click the picture to set it anew."

# The weights menu
WEIGHTS = "Weights"
HUB = "Weights from the Hugging Face Hub"
HUB_NAME = "Repository"
HUB_HELP = "org/name or org/name@revision. Nothing is fetched before you press Download."
DOWNLOAD = "Download"
FETCHING = "Fetching {name} from the Hugging Face Hub, {seconds} so far."
FETCH_STOPPED = "Stopped waiting for {name}."
NO_WEIGHTS = (
    "There are no weights yet. Train some with python -m trainers.{system}, or start the page with "
    "--weights NAME=FOLDER."
)
USE_WEIGHTS = "Use {label}"
ABOUT_WEIGHTS = "Trained on: {data}. Licence: {licence}."
TO_FETCH, BY_HAND = "{name} ({size}to fetch): {knows}", "{name} (by hand): {knows}"
OR_COMMAND = "\n\nOr: `python -m gan_models.published fetch {name}{file}`"
NOT_HERE = (
    "The published {name} weights are not on this computer yet: what stands below the weights menu "
    "says how to get them. Or choose other weights."
)
ABOUT_FILE = " The file that was imported has the sha256 `{sha256}`."
FETCH = "Fetch it"
ASKING = "Asking for {file}."
FETCHED_SO_FAR = "{file}: {done} of {total} MB, {rate:.1f} MB/s{left}."
LEFT = ", {left} left"
IMPORTING = "Checking and importing {file}."
STOPPED_AT = "Stopped at {done} MB. When it is fetched again, it goes on from there."
OWN_FILE = "Or drop the file here, if you have it"
PUBLIC = "This page fetches nothing for its visitors."
FINDER = "Find faces better in photographs"
FINDER_ABOUT = """
Turned and small faces are found by the networks of face_alignment, which are not on this computer
yet; what ships finds frontal ones. Nothing is fetched before you press the button.
"""
FINDER_FETCH = "Fetch both"
FINDER_HERE = "Both are here and used from now on. sha256: {sums}."
BAD_REPOSITORY = "Give the repository as org/name or org/name@revision."

# While it works
LOADING = "Loading the weights (first use)."
QUEUED = "Waiting for its turn: place {place} in the line."
STARTING = "Starting."
FRAMES_DONE = "{done} of {total} frames, {rate:.0f} per second, {left} left"
FRAMES_SO_FAR = "{done} frames, {rate:.0f} per second"
CLIP_PARTLY = "Stopped at frame {frames} of {total}."
STOPPED_EARLY = "Stopped before the first frame, so there is no clip."
VISIT_OVER = "This visit has ended. Reload the page."
