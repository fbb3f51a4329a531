"""The one exception that means: the user can mend this."""


class ReAugKDError(Exception):
    """A mistake in the input or the surroundings that the user can mend.

    Its message is one sentence that says what is wrong, with what, and what to do. The command line and
    the app print that sentence and no traceback.
    """
