"""SPADE, also known as GauGAN (Park et al., CVPR 2019)."""
