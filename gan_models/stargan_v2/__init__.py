"""StarGAN v2 (Choi et al., "StarGAN v2: Diverse Image Synthesis for Multiple Domains", CVPR 2020).

networks.py   generator, mapping network, style encoder, discriminator
landmarks.py  the landmark network FAN: masks for the high-pass skip, and face alignment
official.py   the official checkpoints' layouts
"""
