"""FOMM's trainer: `python -m trainers.fomm`.

config.py      options and presets
objective.py   the losses
train.py       the training loop
scores.py        what `python -m trainers.evaluate fomm` computes
puppet_moves.py  the drawn clips and truths that it scores
retargeting.py   fits the sliders of head and face to finished weights, and scores them
"""
