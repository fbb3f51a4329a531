"""The one exception that means: the user can mend this."""


class ReAugKDError(Exception):
    """A mistake in the input or the surroundings that the user can mend.

    Its message is one sentence that says what is wrong, with what, and what to do. The command line and
    the app print that sentence and no traceback.

    Examples
    --------
    >>> model.predict([""])
    Traceback (most recent call last):
    ...
    reaugkd.errors.ReAugKDError: Text 1 is empty; write at least a word.

    """


def reason(error: Exception) -> str:
    """Return what an error says, in one line and without its full stop; its kind where it says nothing."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not written in UTF-8"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def require(is_good: bool, name: str, value: object, wanted: str) -> None:
    """Refuse a setting that is not what is wanted of it, by a sentence that says what it is and what it must be."""
    if not is_good:
        raise ReAugKDError(f"{name} is {value}; it must be {wanted}.")
