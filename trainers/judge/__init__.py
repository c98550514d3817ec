"""The judge: one small network that reads a puppet back from its picture, for scoring the systems.

It reads the label map, the landmarks, 17 action units, the domain, the style and a few identity
numbers, so that a translated or animated puppet can be compared with what it should be, without a
pretrained network. It is trained on puppets drawn on the fly and ships in assets/weights.

    from trainers.judge import judge
    readings = judge(pictures)

Read in this order: networks.py (network, readings), train.py (options, data, loss, the loop),
scores.py (its own errors on puppets that no training sees).
"""

from trainers.judge.networks import IDENTITY, SIZE, STYLE, Readings, judge, load_judge

__all__ = ["IDENTITY", "SIZE", "STYLE", "Readings", "judge", "load_judge"]
