"""Every text of the tab "Semantic painting" that a visitor reads, in one place."""

NAME = "Semantic painting"
README = "readme#semantic-painting-spade"

# Give
PICK = "## Pick a map\nA map says what is where. Click one, then paint on it."
PICKS = "Maps to start from"
NAMES = {
    "1-long-hair.png": "Long hair",
    "2-curls-and-glasses.png": "Curls and glasses",
    "3-short-hair.png": "Short hair",
    "4-cat.png": "Cat",
    "5-cat-with-glasses.png": "Cat with glasses",
    "6-robot.png": "Robot",
}
NOISE = "Random map"
PICTURE = "Map from a picture"
PICTURE_HELP = (
    "A picture of a puppet becomes its map. In photographs little is found: these weights and "
    "their judge know puppets only."
)
SEGMENTER = "Segmenter (a repository of the Hugging Face Hub)"
SEGMENTER_HELP = (
    "Finds the classes in a photograph, such as {such}. Nothing is fetched before you press Read."
)
NO_SUGGESTION = "one that knows these weights' classes"
READ = "Read the picture"
SEEING = "Reading the picture with {name} (fetched once), {seconds} so far."
NO_PICTURE = "Choose a picture first: then it can be read."
OWN = "Your own map (PNG)"
OWN_HELP = "A PNG of class ids (grey or indexed), or of colours that stand for classes."
READING, READING_HELP = "How its pixels are read", "By itself, unless you know better."
READINGS = [
    ("By itself", "auto"),
    ("As class ids", "ids"),
    ("By this set's colours", "colours"),
    ("By the official code's colours", "official colours"),
    ("GauGAN: the red byte is the id", "red bytes"),
]

# Change
STYLE = "## Restyle it\nThe map says what is where; the style says how it looks."
STYLE_PICTURE = "Style of a picture"
NO_STYLES = "These weights know no styles: each map means one picture."

# Get
GET_PICTURE, GET_OWN, GET_MAP = "Download picture", "Download picture, own size", "Download map"
ABOUT = f"""
Each layer of the generator normalises what it knows, and then scales and shifts it by numbers that
a small network reads off the map around each pixel (*SPADE*: spatially-adaptive normalisation). So
the map is not washed out on the way. The *style* is a list of random numbers from which the first
layer starts; an encoder, trained beside the generator, finds those of a picture. What the map alone
decides is computed once, so that another style of the same map comes sooner. How these weights were
trained, and on what, stands in [the README]({README}).
"""

# The canvas
CANVAS_WORDS = {
    "tools": {
        "brush": ["Brush", "B"],
        "fill": ["Fill", "F"],
        "rectangle": ["Rectangle", "R"],
        "line": ["Line", "L"],
        "pick": ["Pick", "I"],
    },
    "toolbar": "Painting tools",
    "size": "Size",
    "undo": "Undo",
    "redo": "Redo",
    "clear": "Clear",
    "closer": "Zoom in",
    "farther": "Zoom out",
    "map": "The map: paint here with a mouse, a finger or a pen",
    "result": "The picture that the map means",
    "before": "Before",
    "compare": "How much of the picture before the last change is shown",
    "search": "Find a class",
    "classes": "Classes to paint with",
    "none": "No class has this in its name.",
    "keys": "Keys: B, F, R, L, I choose a tool, [ and ] the size, + and − zoom, Ctrl+Z undoes, "
    "Ctrl+Y redoes. Two fingers zoom and move.",
    "painting": "Painting with {name}.",
    "painted": "Painting with {name}. {width} x {height} px, painted in {seconds} s.",
    "lost": "The computer that runs this page does not answer. Reload the page.",
}
LIVE_NOT_HERE = "The painting works only on a machine of your own."

# Errors
BAD_IDS = (
    "The page sent a map of another size than these weights paint. Reload the page and paint again."
)
BAD_CLASSES = "The page sent classes that these weights do not know. Reload the page."
