import pandas as pd

from reaugkd.plots.tables import table


def test_a_table_is_left_aligned_wraps_and_has_no_index():
    html = table(pd.DataFrame({"text": ["a < b"], "share": [0.5]}), {"share": "{:.0%}"}).to_html()
    assert "a &lt; b" in html
    assert "50%" in html
    assert "white-space: normal" in html
    assert html.count("text-align: left") == 2  # of heads and of cells
    assert "row_heading" not in html


def test_an_index_with_a_name_is_the_first_column():
    html = table(pd.DataFrame({"accuracy": [0.69123]}, index=pd.Index(["KD"], name="method"))).to_html()
    assert html.index("method") < html.index("accuracy")
    assert "KD" in html
    assert "0.691" in html


def test_numbers_without_a_format_of_their_own_have_three_decimals():
    html = table(pd.DataFrame({"share": [0.5], "loss": [0.123456]}), {"share": "{:.0%}"}).to_html()
    assert "50%" in html
    assert ">0.123<" in html
