"""How a view says what is wrong: one sentence, read aloud by those who do not see it."""

from reaugkd.errors import ReAugKDError
from reaugkd.neighbour_table import escaped_text


def sentence_html(error: ReAugKDError | str) -> str:
    """Show the one sentence that says what to mend.

    Parameters
    ----------
    error : ReAugKDError or str
        What is wrong.

    Returns
    -------
    str
        HTML; names in it are escaped.
    """
    return f'<p class="sentence" role="alert">{escaped_text(str(error))}</p>'
