"""Train GANimation: `python -m trainers.ganimation [preset] [options]`.

Pumarola et al., "GANimation: Anatomically-aware Facial Animation from a Single Image", ECCV 2018.
Read in this order: config.py (options, presets, schedule), train.py (losses, the loop).
"""
