"""Every text of the tab "Motion transfer" that a visitor reads, in one place."""

NAME = "Motion transfer"
README = "readme#motion-transfer-fomm"

# Give
PICK = "## Pick a portrait and what moves it\nThe portrait follows head and face of the clip."
PORTRAIT, DRIVING = "Portrait", "Driving"
OTHER_DRIVING = "Your own clip"
PORTRAITS, SINGERS = "Portraits to pick from", "Driving clips to pick from"
NAMES = (
    "Orange cat", "Brown-haired man", "Teal robot", "Woman in pink", "Grey cat", "Red-haired woman",
)  # fmt: skip
SINGER_NAMES = ("Brown cat, singing", "Blonde woman, singing", "Robot, singing")
CROP = "Crop of the portrait. Drag it or use the arrow keys; + and - change its size."
DRIVING_CROP = "Crop of the driving clip. Drag it or use the arrow keys; + and - change its size."
DRIVING_CROP_TITLE = "What is used of the clip (its first frame): drag to move, the corner to size."

# Change
STRENGTH = "Strength of motion (relative keypoint scale)"
STRENGTH_HELP = "0 keeps still, 1 is the clip's own motion, 2 doubles it."
ANIMATE, BE, BACK = "Animate", "Be this character", "Back to the clip"
MODE = "Motion"
MODES = [("Relative", "relative"), ("Absolute", "absolute")]
MODE_HELP = "Relative adds the clip's changes to the portrait's pose; absolute copies the pose."
ADAPT = "Fit the motion to the portrait's size (adapt scale)"
ADAPT_HELP = "A large face moves further than a small one."
REFERENCE = "Reference frame: where the clip looks like the portrait"
REFERENCES = [("First", "first"), ("Best match", "best"), ("Chosen", "chosen")]
REFERENCE_HELP = (
    "Motion is measured from it. The first is not a blank one, and shows a face where the weights "
    "know faces; the best match costs one more look at the clip."
)
FRAME = "Chosen frame (number)"
SMOOTHING = "Smoothing of the motion (frames)"
SMOOTHING_HELP = "Calms trembling; too much swallows quick movements."
PASTE = "Paste back into the full picture"
PASTE_HELP = "The result has the size of the portrait's picture, with only the crop moving."
CLIP_SIZE_HELP = (
    "Of the moved square. Weights that keep the portrait's own pixels make it as sharp as the "
    "portrait; others make small frames, which are enlarged."
)
REPLAY_IN_USE = "{name}, given under More settings, moves the portrait now, not this clip."
USE_CLIP = "Use the clip instead"
REPLAY = "Drive with a saved motion (.safetensors) or a picture instead"

# Get
STILL, LIVE, SHOWN, GET_MOTION = "Still", "Live", "Driving", "Save motion"
STILL_SHOWN = "The portrait, moved as the clip moves at this moment"
NO_STILL = "Choose a portrait, a clip or a strength: one frame of the result is shown here."
FIRST_CLIP = "Press Animate to make a clip."
MOMENT = "Moment of the clip (%)"
MOMENT_HELP = "One frame of the result, before a clip is made; also what “How it works” explains."
PICTURES = {
    "keypoints": "Keypoints of the portrait",
    "driving_keypoints": "Keypoints of the clip",
    "deformation": "Deformation: where each pixel comes from",
    "deformed": "The portrait, only deformed",
    "occlusion": "Occlusion map: dark is painted anew",
}
EXPLAINED = "What the networks see at this moment"
ABOUT = f"""
A detector finds *keypoints* in the portrait and in every frame of the clip, each with a small
matrix (its Jacobian) for how the picture turns and stretches around it; nobody told it where to put
them. From the two sets a second network makes the *deformation*, which says for every pixel of the
result where in the portrait it comes from. An *occlusion map* marks what cannot be taken from
there, like the inside of a mouth that was closed. The generator moves the portrait's features by
the deformation, drops what the map marks dark, and draws the frame: [the README]({README}) says
more.
"""
EXAMPLE = "An example made earlier with {weights}. Animate makes the same thing now."

# Live
LIVE_WORDS = {
    "start": "Start the camera",
    "neutral": "Set neutral pose",
    "stop": "Stop the camera",
    "record": "Record",
    "keep": "End the recording",
    "recording": "Recording what is shown, without sound.",
    "unrecorded": "That was too short to be recorded: record for a few seconds.",
    "recorded": "Saved as {name} ({kind}), among your downloads.",
    "ghost": "Show the portrait over the camera picture",
    "result": "The portrait, moved by the camera",
    "hint": (
        "The camera moves the portrait. Hold your head as the portrait does and set the neutral "
        "pose: from there you move it."
    ),
    "asking": "The browser asks whether this page may use the camera.",
    "first": "Waiting for the first frame.",
    "rate": "{rate} frames per second, shown {age} ms after the camera saw them.",
    "faceless": "No face was found, so the middle of the camera picture is used.",
    "denied": (
        "This page may not use the camera. Allow it in the browser's address bar and start again; "
        "clips work without a camera."
    ),
    "missing": "No camera was found. Connect one and start again; clips work without a camera.",
    "taken": "Another program uses the camera. Close it and start again.",
    "insecure": (
        "Browsers give the camera only to pages on https or on this computer (localhost). Open the "
        "page there; clips work here, too."
    ),
    "lost": "The program that makes the frames did not answer. Start the camera again.",
}
LIVE_PUPPETS = (
    "These weights know drawn puppets: a person before the camera moves the portrait only roughly."
)
LIVE_NOT_HERE = "Live needs a computer of its own; on this shared one, record a clip instead."
BAD_FRAME_SENT = "The camera's frame could not be read. Start the camera again."
BAD_POSE = "The neutral pose is damaged. Set it again."

# Pose
POSE = "Pose"
SLIDERS = {
    "yaw": "Turn the head (yaw, degrees)",
    "pitch": "Nod (pitch, degrees)",
    "roll": "Tilt (roll, degrees)",
    "eyes": "Eyes: closed to wide",
    "brows": "Brows: low to high",
    "mouth": "Open the mouth",
    "smile": "Corners of the mouth: down to up",
    "gaze_x": "Look: left to right",
    "gaze_y": "Look: up to down",
}
ZERO, GET_POSE = "All to zero", "Download picture"
POSED = "The portrait, posed by the sliders"
NO_SLIDERS = (
    "These weights have no sliders for head and face. Choose others in the weights menu, or "
    "animate with a clip."
)

# While it works
KEYS = "Enter animates, Escape stops."
CLIP_DONE = "{frames} frames, {seconds:g} s, {width} x {height} px{made_at}, {sound}."
MADE_AT = " (enlarged from {size} px)"  # what the weights could not make larger
WITH_SOUND, WITHOUT_SOUND = "with sound", "without sound"
MOTION_DONE = "The motion of {frames} frames, {seconds:g} s."

# Notices
PHOTOGRAPH = (
    "{what} is not one of the drawn puppets that these weights know: it will follow only roughly. "
    "{remedy}"
)
THE_PORTRAIT, THE_CLIP, BOTH = "The portrait", "The driving clip", "This pair"

# Errors
NO_PORTRAIT = "There is no portrait yet. Upload one, or click one of the pictures."
NO_DRIVING = "There is no driving clip yet. Upload one, record one, or click one of the clips."
BAD_STRENGTH = "Choose a strength from 0 to 2."
BAD_FRAME = "The chosen reference frame is a whole number from 0 to {last}."
NO_FRAMES_SHOWN = "A saved motion holds no pictures, so there is nothing to explain here."
