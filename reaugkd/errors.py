"""The exception for mistakes that the user can correct."""


class ReAugKDError(Exception):
    """A mistake in the input or the environment that the user can correct.

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
    """Return the message of an error in one line without its full stop; the name of its class if it has none."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not written in UTF-8"
    if isinstance(error, UnicodeEncodeError):
        return "it holds half a character, a lone surrogate"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def require(is_good: bool, name: str, value: object, wanted: str) -> None:
    """Refuse a wrong setting by a sentence with its name, its value and what is wanted."""
    if not is_good:
        raise ReAugKDError(f"{name} is {value}; it must be {wanted}.")
