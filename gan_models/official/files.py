"""Open a published checkpoint as plain data: dicts, lists, numbers, tensors and `Stub` objects.

A pickle names functions to be called when it is read. Here the few names that checkpoints need mean
stand-ins of this file, which keep what they are given and do nothing; every other name is refused.
"""

import math
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import torch

from gan_models.errors import UserError

LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # magic number of torch files to 1.5
NUMBERS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1"}

# What unpickling raises on damaged or hostile bytes, beside its own UnpicklingError.
DAMAGE = (
    pickle.UnpicklingError, EOFError, AttributeError, ImportError, LookupError, TypeError,
    ValueError, ArithmeticError, MemoryError, RuntimeError, AssertionError, OSError, struct.error,
    zipfile.BadZipFile,
)  # fmt: skip


class Unsuitable(ValueError):
    """What is wrong with a checkpoint's content; `read` adds the file's name."""


class Stub:
    """Stands for an object of another project's class: keeps its fields in `fields`."""

    def __new__(cls, *args):
        stub = object.__new__(cls)
        stub.fields = {}
        return stub

    def __setstate__(self, state):
        self.fields = state if isinstance(state, dict) else {}


class Call:
    """Stands for a function of numpy: keeps its arguments, and what BUILD adds."""

    def __new__(cls, *args):
        call = object.__new__(cls)
        call.args, call.state = args, ()
        return call

    def __setstate__(self, state):
        self.state = state


class Encode:
    """Stands for `_codecs.encode`, as which the oldest pickles store bytes."""

    def __new__(cls, text, encoding):
        return text.encode("latin1")


class Dtype(Call):
    """numpy.dtype"""


class Array(Call):
    """numpy.ndarray; its BUILD state is (version, shape, dtype, is column-major, bytes)."""


class Scalar(Call):
    """numpy's scalar(dtype, bytes)"""


class DataUnpickler(pickle.Unpickler):
    """Knows the stand-ins only. Each reading has classes of its own, as a pickle could set
    attributes on them.
    """

    def __init__(self, file, stand_ins):
        super().__init__(file, encoding="latin1")
        self.stand_ins = {
            name: type(kind.__name__, (kind,), {}) for name, kind in stand_ins.items()
        }

    def find_class(self, module, name):
        module = module.replace("numpy._core", "numpy.core")
        if (module, name) not in self.stand_ins:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return self.stand_ins[module, name]


NUMPY = {
    ("numpy.core.multiarray", "_reconstruct"): Array,
    ("numpy.core.multiarray", "scalar"): Scalar,
    ("numpy", "ndarray"): Array,
    ("numpy", "dtype"): Dtype,
    ("_codecs", "encode"): Encode,
}
OBJECTS = {  # classes of other projects that checkpoints hold, as (module, name)
    ("tfutil", "Network"): Stub,  # tkarras/progressive_growing_of_gans
    ("models.utils.config", "BaseConfig"): Stub,  # facebookresearch/pytorch_GAN_zoo
}


def load(path):
    """The content of a checkpoint file (torch.save or pickle).

    Raises:
        UserError: It is missing, damaged, neither kind of file, or asks to run code.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} is not a file: give a checkpoint that the project published.")
    try:
        with open(path, "rb") as file:
            start = file.read(len(LEGACY_TORCH))
            file.seek(0)
            if start.startswith((b"PK", LEGACY_TORCH)):
                return load_torch(file, path.stat().st_size)
            if start.startswith(b"\x80"):
                return DataUnpickler(file, NUMPY | OBJECTS).load()
    except DAMAGE as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise UserError(
            f"{path} was not opened, because it is damaged or not plain data ({reason:.200}): "
            "get the original file again."
        ) from error
    raise UserError(
        f"{path} is neither a torch file nor a pickle: give the checkpoint itself, unpacked."
    )


def load_torch(file, size):
    """torch's own restricted reader, with stand-ins for the classes of `OBJECTS`."""
    stand_ins = [(type("Stub", (kind,), {}), ".".join(name)) for name, kind in OBJECTS.items()]
    with torch.serialization.safe_globals(stand_ins):
        found = torch.load(file, map_location="cpu", weights_only=True)
    for tensor in tensors_in(found):
        # A view with stride 0 can claim any size.
        if tensor.numel() * tensor.element_size() > size:
            raise ValueError(f"a tensor of shape {tuple(tensor.shape)} is larger than the file")
    return found


def tensors_in(content):
    """Every tensor inside dicts, lists and tuples."""
    if isinstance(content, torch.Tensor):
        yield content
    elif isinstance(content, dict | list | tuple):
        for part in content.values() if isinstance(content, dict) else content:
            yield from tensors_in(part)


def is_state(content):
    """Whether this is a state dict: strings to dense tensors."""
    return (
        isinstance(content, dict)
        and len(content) > 0
        and all(isinstance(key, str) for key in content)
        and all(
            isinstance(value, torch.Tensor) and value.layout == torch.strided
            for value in content.values()
        )
    )


def to_tensor(value):
    """A float32 tensor of an `Array`, a `Scalar` or a number; Unsuitable for anything else."""
    try:
        if isinstance(value, Array):
            _, shape, dtype, column_major, data = value.state
        elif isinstance(value, Scalar):
            (dtype, data), shape, column_major = value.args, (), False
        else:
            return torch.tensor(float(value))
        code, order = dtype.args[0].lstrip("<>=|"), dtype.state[1]
        if code not in NUMBERS or order not in set("<>=|"):
            raise Unsuitable(f"an array has the type {order}{code}")
        numbers = np.frombuffer(data, np.dtype(order + code))
        if math.prod(shape) != numbers.size:
            raise Unsuitable(f"an array of shape {shape} has {numbers.size} numbers")
        numbers = numbers.reshape(shape, order="F" if column_major else "C")
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        if isinstance(error, Unsuitable):
            raise
        raise Unsuitable(f"an array is damaged ({error})") from error
    return torch.from_numpy(numbers.astype(np.float32))
