"""Train the judge (`gan_models.judge`): `python -m trainers.judge [options]`.

Read in this order: train.py (options, data, loss, the loop), scores.py (its own errors on puppets
that no training sees).
"""
