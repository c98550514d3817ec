"""What every tab has alike.

systems.py   one record per system: its weights menu, where weights lie, how they open
answers.py   handlers meet components by name; errors become sentences
layout.py    the zones of a tab, its events that all tabs have, Reset
clips.py     the clip job: progress, preview, Stop
tickets.py   what the browser may ask for by itself
jobs.py      turns on the device, pipelines, visitors' files, long jobs, sentences
results.py   pictures and files for the page
look.py      the theme, page.css and page.js, small pieces of HTML
"""
