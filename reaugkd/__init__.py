"""Retrieval-augmented knowledge distillation for text classification (ReAugKD, ACL 2023)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reaugkd import plots as plots
    from reaugkd.adoption import adopt as adopt
    from reaugkd.analysis.condensed import condense as condense
    from reaugkd.errors import ReAugKDError as ReAugKDError
    from reaugkd.estimator import DistilledClassifier as DistilledClassifier
    from reaugkd.method.answers import EncodedTexts as EncodedTexts
    from reaugkd.method.distillation import Student as Student
    from reaugkd.method.memory import Memory as Memory
    from reaugkd.method.milvus import MilvusMemory as MilvusMemory
    from reaugkd.method.pool import Pool as Pool
    from reaugkd.method.projection import ProjectionHead as ProjectionHead
    from reaugkd.method.teacher import Teacher as Teacher
    from reaugkd.method.teacher import TeacherOutputs as TeacherOutputs
    from reaugkd.model.classifier import ReAugKDClassifier as ReAugKDClassifier
    from reaugkd.model.evaluation import Networks as Networks
    from reaugkd.model.evaluation import score_methods as score_methods
    from reaugkd.model.explanation import Explanation as Explanation
    from reaugkd.model.explanation import Neighbour as Neighbour
    from reaugkd.model.maps import EpochWatch as EpochWatch
    from reaugkd.model.maps import fit_maps as fit_maps
    from reaugkd.networks.weights import find_weights as find_weights
    from reaugkd.recipe import DEFAULT_ENCODER as DEFAULT_ENCODER
    from reaugkd.recipe import Recipe as Recipe
    from reaugkd.tasks.sources import SHOPTALK_TEACHER_OUTPUTS as SHOPTALK_TEACHER_OUTPUTS
    from reaugkd.tasks.sources import load_files as load_files
    from reaugkd.tasks.sources import load_task as load_task
    from reaugkd.tasks.task import Task as Task
    from reaugkd.training import load_or_train as load_or_train
    from reaugkd.training import teach as teach
    from reaugkd.training import train as train

__version__ = "0.1.0"

# The public names by the file that they live in, in the order in which the method uses them.
_NAMES = {
    "errors": ("ReAugKDError",),
    "recipe": ("Recipe", "DEFAULT_ENCODER"),
    "tasks.task": ("Task",),
    "tasks.sources": ("load_task", "load_files", "SHOPTALK_TEACHER_OUTPUTS"),
    "networks.weights": ("find_weights",),
    "method.teacher": ("Teacher", "TeacherOutputs"),
    "method.projection": ("ProjectionHead",),
    "method.memory": ("Memory",),
    "method.milvus": ("MilvusMemory",),
    "method.distillation": ("Student",),
    "method.answers": ("EncodedTexts",),
    "method.pool": ("Pool",),
    "model.classifier": ("ReAugKDClassifier",),
    "model.explanation": ("Explanation", "Neighbour"),
    "model.evaluation": ("Networks", "score_methods"),
    "model.maps": ("EpochWatch", "fit_maps"),
    "training": ("teach", "train", "load_or_train"),
    "analysis.condensed": ("condense",),
    "adoption": ("adopt",),
    "estimator": ("DistilledClassifier",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}
__all__ = ["__version__", *_HOME, "plots"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: `reaugkd --help` does not wait for torch.
    if name == "plots":
        import_module("reaugkd.plots.figures")
        return import_module("reaugkd.plots")
    if name in _HOME:
        return getattr(import_module(f"reaugkd.{_HOME[name]}"), name)
    raise AttributeError(f"module 'reaugkd' has no attribute {name!r}")
