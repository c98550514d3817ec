"""Train StarGAN v2: `python -m trainers.stargan_v2 [preset] [options]`.

Choi et al., "StarGAN v2: Diverse Image Synthesis for Multiple Domains", CVPR 2020. Read in this
order: config.py (options, presets, schedule), train.py (losses, the loop).
"""
