"""The one kind of error that a person can mend."""

import errno
import os


class UserError(ValueError):
    """A sentence for a person: what is wrong, where (option, file or control), and the remedy.

    The page and every command show it as it is; anything else that is raised is a fault of ours.
    """


class Unreadable(UserError):
    """A file that is no picture, clip or sound that can be read;
    data readers count it and go on.
    """


class NoFace(UserError):
    """No face in a picture, where weights look for one."""


def unwritten(path: str | os.PathLike, error: OSError) -> UserError:
    """The sentence about a file that could not be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    cause = "the disk is full: free some room, or choose another" if full else error.strerror
    return UserError(f"{path} could not be written: {cause or error}.")
