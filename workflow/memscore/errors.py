"""The one exception that is meant for the person at the keyboard."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: which file, row or key; what is wrong; what to do about it.
    """
