"""The pending edits of a visitor: which of them fit a model, and how they are listed."""

from app.parts.pending_edits import pending_html, pending_patch
from reaugkd.analysis.edits import Edit


def test_pending_edits_of_ids_of_any_form_come_back_by_model_and_those_that_do_not_fit_are_counted(toy_model):
    rows = toy_model.memory.rows
    patch = (Edit("remove", rows["id"][0]), Edit("add", " 7 ", "fruit", rows["text"][1]), Edit("remove", " 7 "))
    stored = {"toy": [edit.as_dict() for edit in patch], "twice": [patch[0].as_dict()] * 3}
    assert pending_patch(stored, "toy", toy_model) == (patch, 0)
    assert pending_patch(stored, "twice", toy_model) == (patch[:1], 2)
    assert pending_patch(stored, "other", toy_model) == ((), 0)


def test_each_button_that_drops_an_edit_names_it():
    html = pending_html((Edit("remove", "a <b>"), Edit("relabel", "c", "metal")), ["metal"])
    assert 'aria-label="Drop: remove a &lt;b&gt;"' in html
    assert 'aria-label="Drop: relabel c to metal"' in html
