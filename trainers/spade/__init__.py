"""Train SPADE: `python -m trainers.spade [preset] [options]`.

Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization", CVPR 2019. Read in
this order: config.py (options, presets, schedule), train.py (losses, the loop).
"""
