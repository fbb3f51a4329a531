"""Tables that notebooks show: aligned to the left, wrapped, without an index."""

from collections.abc import Mapping

import pandas as pd
from pandas.io.formats.style import Styler


def table(frame: pd.DataFrame, formats: Mapping[str, str] | None = None) -> Styler:
    """Lay a table out for reading.

    Parameters
    ----------
    frame : DataFrame
        The rows; an index that has a name becomes the first column.
    formats : mapping of str to str, optional
        By column, how a value is written, as ``"{:.1%}"``; other numbers have three decimals.

    Returns
    -------
    Styler
        What Jupyter shows, with texts escaped.

    Examples
    --------
    >>> shown = table(pd.DataFrame({"text": ["a < b"], "share": [0.5]}), {"share": "{:.0%}"}).to_html()
    >>> "50%" in shown and "a &lt; b" in shown
    True
    """
    rows = frame if frame.index.name is None else frame.reset_index()
    styled = rows.style.format(dict(formats or {}), precision=3, escape="html").hide(axis="index")
    layout = "text-align: left; white-space: normal; vertical-align: top"
    return styled.set_table_styles([{"selector": "th, td", "props": layout}])
