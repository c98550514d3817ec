"""What every tab has alike.

systems.py   one record per system: its weights menu, where weights lie, how they open
offers.py    what others have published, in that menu: fetched, or given by hand
answers.py   handlers meet components by name; errors become sentences
layout.py    the zones of a tab, its events that all tabs have, Reset
given.py     the picture that is given to weights that see faces, with its crop
framing.py   what weights see of a picture, and which pictures they know
crop.py      the box on a picture; compare.py: before and after in one picture
films.py     clips that a visitor gives; seeds.py: styles of seeds
clips.py     the clip job: progress, preview, Stop
tickets.py   what the browser may ask for by itself; live.py: a picture that follows sliders
visits.py    the page, and whose its files are
jobs.py      turns on the device, pipelines, visitors' files, long jobs, sentences
results.py   pictures and files for the page; sending.py: from one tab to another
look.py      the theme, page.css and page.js, small pieces of HTML
"""
