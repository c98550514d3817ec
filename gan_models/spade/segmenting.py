"""Label maps of pictures: of puppets by the shipped judge, of photographs by a segmenter of the
Hugging Face Hub, which is fetched only where somebody names it (it needs transformers).
"""

import functools

import numpy as np
from PIL import Image

from gan_models import images, judge
from gan_models.errors import UserError

SUGGESTED = {  # segmenters of the Hub that know a set's classes
    "ade20k": "nvidia/segformer-b0-finetuned-ade-512-512",
    "coco": "facebook/mask2former-swin-tiny-coco-panoptic",
    "cityscapes": "nvidia/segformer-b0-finetuned-cityscapes-1024-1024",
}
NO_SEGMENTER = (
    "A picture becomes a map of these classes by a segmenter that knows them. Name one of the "
    "Hugging Face Hub{such}; it is fetched once."
)


def map_of_picture(picture, labels, size, segmenter="", device="cpu"):
    """(label map (height, width) uint8 of classes, sentences) of the middle of a picture.

    Args:
        picture: What `images.read_picture` takes.
        labels: The `Labels` to read it as.
        size: (height, width) of the map; what is beyond its shape is cut off.
        segmenter: The Hub's name, or a folder, of a segmentation model for transformers; "" for
            the judge, which reads puppets.
        device: Of a segmenter.

    UserError for a picture that is none, labels that need a segmenter, and one that will not do.
    """
    picture, told = middle(images.read_picture(picture), size), []
    if segmenter:
        label_map, told = segmented(picture, labels, segmenter, device)
    elif labels.kind == "puppets":
        label_map = judge.judge(picture[None]).labels[0]
    else:
        such = SUGGESTED.get(labels.kind)
        raise UserError(NO_SEGMENTER.format(such=f", such as {such}" if such else ""))
    return np.array(Image.fromarray(label_map).resize(size[::-1], Image.Resampling.NEAREST)), told


def middle(picture, size):
    """The largest part in the middle of a picture (H, W, 3) that has the shape of `size`."""
    times = min(have / want for have, want in zip(picture.shape, size, strict=False))
    (top, rows), (left, columns) = (
        ((have - (part := max(1, round(want * times)))) // 2, part)
        for have, want in zip(picture.shape, size, strict=False)
    )
    return picture[top : top + rows, left : left + columns]


def segmented(picture, labels, segmenter, device):
    """`map_of_picture` by a segmenter, at the picture's size: classes are told by their names."""
    parts = opened(segmenter, str(device))(Image.fromarray(picture), subtask="semantic")
    rest, strange = labels.unknown or 0, {}
    label_map = np.full(picture.shape[:2], rest, np.uint8)
    for part in parts:
        there, found = np.asarray(part["mask"]) > 0, class_of(part["label"], labels)
        if found is None:
            strange[part["label"]] = there.sum()
        else:
            label_map[there] = found
    if 2 * sum(strange.values()) > label_map.size:
        raise UserError(
            f"{segmenter} sees what these weights have no class for ({', '.join(strange)}): choose "
            "a segmenter of the set that they were trained on."
        )
    listed = ", ".join(f"{name} on {count:,} pixels" for name, count in strange.items())
    told = f"No class is called so, read as {labels.names[rest]}: {listed}."
    return label_map, [told] if strange else []


def class_of(name, labels):
    """The class that a segmenter calls so, None for none. COCO's panoptic names have "-merged"."""
    name = name.lower().split(",")[0].strip().removesuffix("-merged")
    for known in (name, f"{name}-other"):
        if known in labels.names:
            return labels.names.index(known)
    return None


@functools.lru_cache(maxsize=1)
def opened(segmenter, device):
    """The segmenter, fetched from the Hub unless it is here. UserError."""
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            "Segmenters of the Hub need transformers: pip install transformers."
        ) from error
    try:
        return transformers.pipeline("image-segmentation", model=segmenter, device=device)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"The segmenter {segmenter} cannot be used ({reason:.200}).") from error
