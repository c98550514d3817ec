"""GANimation (Pumarola et al., "GANimation: Anatomically-aware Facial Animation from a Single
Image", ECCV 2018).

networks.py   generator with its colour and attention heads, critic that reads action units
"""
