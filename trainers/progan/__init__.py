"""Train ProGAN: `python -m trainers.progan [preset] [options]`.

Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation", ICLR
2018. Read in this order: config.py (options, presets, schedule), train.py (losses, the loop).
"""
