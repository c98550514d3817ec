"""The one kind of error that a person can mend."""


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
