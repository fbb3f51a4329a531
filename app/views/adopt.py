"""The form of the page Train that gives a classifier of one's own a memory; nothing is trained."""

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from reaugkd.errors import ReAugKDError

from ..listening import Updates, listen
from ..model_job import Train, adopt_as_asked
from ..parts.column_boxes import TABLES, line_box, place_columns
from ..rendering import fill_file

if TYPE_CHECKING:
    from .train import TrainView


class AdoptForm:
    """A form that adopts a classifier for the menu; it is shown where trainings are."""

    def __init__(self, page: "TrainView") -> None:
        self.page = page
        file = partial(gr.File, file_types=TABLES, height=120)
        with gr.Accordion("Adopt a classifier of mine", open=False, elem_id="adopt"):
            gr.Markdown(fill_file("adopt.md"))
            label = "The classifier: its name on the hub, or a folder on this machine"
            self.classifier = line_box(label, "adopt-classifier", placeholder="owner/name")
            self.train = file(label="Rows that it learnt from", elem_id="adopt-train")
            self.columns = place_columns("adopt")
            self.test = file(label="Rows that it never saw", elem_id="adopt-test")
            self.validation = file(label="More of these (optional)", elem_id="adopt-validation")
            self.model_name = line_box("Name of the model", "adopt-name", placeholder="that of the classifier")
            self.start = gr.Button("Adopt", variant="primary", elem_id="adopt-start")
        files = {"train": self.train, "test": self.test, "validation": self.validation}
        self.more_inputs: dict[str, Any] = files | self.columns

    def wire(self, started: list[Any], read: list[Any], **options: Any) -> None:
        """Fill in the columns of the train rows; adopt by the button."""
        listen(self, self.train.change, self._read, [*self.columns.values(), *read], **options)
        listen(self, self.start.click, self._start, started, **options)

    def _read(self, train: str | None) -> Updates:
        """Offer the columns of the train rows."""
        return self.page.read(train, self.columns)[0]

    def _start(self, classifier: str, model_name: str, **boxes: Any) -> Updates:
        name = model_name or self.page.menu.free_name(plain_name(classifier))
        return self.page.started(name, lambda: self.wanted(classifier, **boxes), "adopted")

    def wanted(self, classifier: str, **boxes: Any) -> Train:
        """Return what the boxes ask for; an empty box leaves the usual value."""
        if not classifier.strip():
            raise ReAugKDError("There is no classifier; write its name on the hub, or a folder on this machine.")
        self.page.menu.check_pretrained(classifier.strip())
        for box, what in (("train", "that it learnt from"), ("test", "that it never saw")):
            if not boxes[box]:
                raise ReAugKDError(f"There are no rows {what}; upload a table of them.")
        return partial(adopt_as_asked, classifier.strip(), {box: value for box, value in boxes.items() if value})


def plain_name(classifier: str) -> str:
    """Return the last part of a classifier's name or folder, as a name for a model."""
    return re.sub(r"[^\w.-]+", "-", Path(classifier.strip()).name).strip("-.")[:50] or "adopted"
