"""Retrieval-augmented knowledge distillation for text classification (ReAugKD, ACL 2023)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reaugkd.errors import ReAugKDError as ReAugKDError
    from reaugkd.method.memory import Memory as Memory
    from reaugkd.method.pool import Pool as Pool
    from reaugkd.method.teacher import TeacherOutputs as TeacherOutputs
    from reaugkd.model.classifier import ReAugKDClassifier as ReAugKDClassifier
    from reaugkd.model.explanation import Explanation as Explanation
    from reaugkd.model.explanation import Neighbour as Neighbour
    from reaugkd.recipe import Recipe as Recipe
    from reaugkd.recipe import teach as teach
    from reaugkd.recipe import train as train
    from reaugkd.tasks.sources import load_files as load_files
    from reaugkd.tasks.sources import load_task as load_task

__version__ = "0.1.0"

_HOME = {
    "ReAugKDError": "errors",
    "ReAugKDClassifier": "model.classifier",
    "Explanation": "model.explanation",
    "Neighbour": "model.explanation",
    "Memory": "method.memory",
    "Pool": "method.pool",
    "Recipe": "recipe",
    "teach": "recipe",
    "train": "recipe",
    "load_files": "tasks.sources",
    "load_task": "tasks.sources",
    "TeacherOutputs": "method.teacher",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    # Imported when asked for: `reaugkd --help` does not wait for torch.
    if name in _HOME:
        return getattr(import_module(f"reaugkd.{_HOME[name]}"), name)
    raise AttributeError(f"module 'reaugkd' has no attribute {name!r}")
