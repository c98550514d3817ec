"""Where a pipeline runs and in which precision: the names that options and menus use."""

import torch

from gan_models.errors import UserError

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(device):
    """torch.device of a name ("auto": a GPU where there is one, "cpu", "cuda", "cuda:1", ...).
    UserError if it is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        if chosen.type == "cuda":  # with its number, which set_device asks for
            chosen = torch.device("cuda", chosen.index or 0)
            if not torch.cuda.is_available() or chosen.index >= torch.cuda.device_count():
                raise RuntimeError(f"no usable CUDA GPU of number {chosen.index}")
        else:
            torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:  # torch built without it: AssertionError
        reason = str(error).split(".")[0]
        raise UserError(f"Device '{device}' cannot be used here ({reason}): take auto.") from error
    return chosen


def choose_precision(precision, device):
    """torch.dtype of a name on a torch.device. "bfloat16" and, on a GPU, "float16" are faster and
    change a picture by less than 1 of 255 on average. UserError for what does not run there.
    """
    if precision not in PRECISIONS:
        raise UserError(f"Precision {precision!r} is not one of {', '.join(PRECISIONS)}.")
    if precision == "float16" and device.type == "cpu":
        raise UserError("Precision float16 needs a GPU: choose bfloat16 or float32.")
    return PRECISIONS[precision]
