"""What a study found, in two small files, from which a report compares again or adds seeds without any training."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from reaugkd.errors import ReAugKDError

ANSWERS_FILE = "answers.parquet"
SCENARIOS_FILE = "scenario_rows.csv"
STUDENT = ["task", "teacher", "method", "seed", "made_by"]
SCENARIO = ["kind", "task", "teacher", "seed", "made_by"]


@dataclass(frozen=True)
class StudyRecord:
    """Answers of students and rows of scenarios, each with the digest of the settings that made it.

    Parameters
    ----------
    answers : DataFrame
        As :func:`reaugkd.study_answers.study_answers` gives them.
    scenarios : DataFrame
        A row for each scenario, seed and way.
    """

    answers: pd.DataFrame
    scenarios: pd.DataFrame

    @classmethod
    def load(cls, folder: str | Path | None) -> "StudyRecord":
        """Read a record; an empty one where no folder is named.

        Parameters
        ----------
        folder : str or Path or None
            Where an earlier report was written.

        Returns
        -------
        StudyRecord
            What was found.

        Raises
        ------
        ReAugKDError
            If the folder holds no answers.
        """
        if folder is None:
            return cls(pd.DataFrame(columns=STUDENT), pd.DataFrame(columns=SCENARIO))
        answers, scenarios = Path(folder) / ANSWERS_FILE, Path(folder) / SCENARIOS_FILE
        if not answers.is_file():
            raise ReAugKDError(f"{str(folder)!r} holds no {ANSWERS_FILE}; name the folder of an earlier report.")
        rows = pd.read_csv(scenarios) if scenarios.is_file() else pd.DataFrame(columns=SCENARIO)
        return cls(pd.read_parquet(answers), rows)

    def save(self, folder: str | Path) -> list[Path]:
        """Write the record, and return its files."""
        written = [Path(folder) / ANSWERS_FILE]
        self.answers.to_parquet(written[0], index=False, compression="zstd")
        if len(self.scenarios):
            written.append(Path(folder) / SCENARIOS_FILE)
            self.scenarios.to_csv(written[-1], index=False, float_format="%.6g")
        return written

    def answers_of(self, student: Mapping[str, Any]) -> pd.DataFrame:
        """Return the answers of one student, by :data:`STUDENT`; none where it is not recorded."""
        return _matching(self.answers, student)

    def rows_of(self, scenario: Mapping[str, Any]) -> pd.DataFrame:
        """Return the rows of one scenario and seed, by :data:`SCENARIO`; none where it is not recorded."""
        return _matching(self.scenarios, scenario)


def _matching(table: pd.DataFrame, wanted: Mapping[str, Any]) -> pd.DataFrame:
    same = pd.Series(True, index=table.index)
    for name, value in wanted.items():
        same &= table[name] == value
    return table[same]
