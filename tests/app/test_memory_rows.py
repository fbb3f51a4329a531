"""The list of memories as it is drawn."""

import pandas as pd

from app.parts.memory_rows import rows_html


def test_a_row_with_a_pending_edit_says_what_becomes_of_it_and_a_text_is_no_html():
    rows = pd.DataFrame({"number": [3, 4], "text": ["<b>${1}</b>", "fog"], "label": ["a", "b"], "doubt": [0.5, None]})
    html = rows_html(rows, {3: "c"}, "doubt", False)
    assert "&lt;b&gt;" in html
    assert "${" not in html
    assert "a <b>→ c</b>" in html
    assert html.count('class="edited"') == 1
    assert "0.50" in html
    assert "nan" not in html
