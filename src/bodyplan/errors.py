"""The one exception that tells a user what went wrong and how to put it right."""


class BodyplanError(Exception):
    """A mistake or mishap outside the code: a wrong name, a damaged file, a full disk.

    Its message is one sentence naming the cause (a file or an argument) and the fix. The command
    line prints that sentence without a traceback and exits with status 2.
    """
