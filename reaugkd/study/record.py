"""The results of a study in two small files, from which a later report goes on without any training."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from reaugkd.errors import ReAugKDError
from reaugkd.files import as_path, whole_file

ANSWERS_FILE = "answers.parquet"
SCENARIOS_FILE = "scenario_rows.csv"


@dataclass(frozen=True)
class StudyRecord:
    """Answers of students and rows of scenarios, each with the digest of its settings.

    Parameters
    ----------
    answers : DataFrame
        As :func:`reaugkd.study.answers.study_answers` gives them.
    scenarios : DataFrame
        A row for each scenario, seed and way.
    """

    answers: pd.DataFrame = field(default_factory=pd.DataFrame)
    scenarios: pd.DataFrame = field(default_factory=pd.DataFrame)

    @classmethod
    def load(cls, folder: str | Path) -> "StudyRecord":
        """Read a record from the folder of an earlier report; a :class:`ReAugKDError` says if it holds no answers."""
        folder = as_path(folder)
        answers, scenarios = folder / ANSWERS_FILE, folder / SCENARIOS_FILE
        if not answers.is_file():
            raise ReAugKDError(f"{str(folder)!r} holds no {ANSWERS_FILE}; name the folder of an earlier report.")
        return cls(pd.read_parquet(answers), pd.read_csv(scenarios) if scenarios.is_file() else pd.DataFrame())

    def save(self, folder: str | Path) -> list[Path]:
        """Write the record, and return its files."""
        answers, scenarios = Path(folder) / ANSWERS_FILE, Path(folder) / SCENARIOS_FILE
        with whole_file(answers) as writing:
            self.answers.to_parquet(writing, index=False, compression="zstd")
        if self.scenarios.empty:
            return [answers]
        with whole_file(scenarios) as writing:
            self.scenarios.to_csv(writing, index=False, float_format="%.6g")
        return [answers, scenarios]

    def rows_of(self, run: Mapping[str, Any]) -> pd.DataFrame:
        """Return the rows of one student or scenario by the columns of its run, ``about``; none if not recorded."""
        table = self.scenarios if "kind" in run else self.answers
        return table[(table.reindex(columns=list(run)) == pd.Series(run)).all(axis=1)]


NOTHING = StudyRecord()
