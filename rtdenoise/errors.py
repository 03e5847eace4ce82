"""The errors that a user can mend."""


class RtdenoiseError(Exception):
    """Something the caller can put right.

    The message is one line that says what is wrong and what to do. The command line
    prints it and exits with code 2; every other exception is a defect of the program.
    """


class AudioError(RtdenoiseError, ValueError):
    """Audio has the wrong shape, type or rate."""
