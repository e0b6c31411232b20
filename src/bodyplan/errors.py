"""The exception for errors that a user can fix: `BodyplanError`."""


class BodyplanError(Exception):
    """An error outside the code, such as a wrong name, a damaged file or a full disk.

    The message is one sentence that names the cause (a file or an argument) and the fix. The
    command line prints it without a traceback and exits with status 2.
    """
