"""One training run on the Hugging Face Trainer: the settings, the batches, the progress, the resume."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import (
    PreTrainedTokenizerBase,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.trainer import TRAINER_STATE_NAME

from reaugkd.epochs import TrainingEpochs
from reaugkd.errors import ReAugKDError

SECONDS_BETWEEN_CHECKPOINTS = 60
REFERENCE_WIDTH = 384


def check_seed(seed: int) -> None:
    """Refuse a seed that the generators of random numbers do not take.

    Parameters
    ----------
    seed : int
        The seed.

    Raises
    ------
    ReAugKDError
        If it is below 0 or above 4,294,967,295.
    """
    if not 0 <= seed < 2**32:
        raise ReAugKDError(f"The setting seed is {seed}; it must be from 0 to {2**32 - 1:,}.")


@dataclass(frozen=True)
class TrainingSettings:
    """How one network is trained; validated when made.

    Parameters
    ----------
    epochs : float
        Passes over the train rows.
    learning_rate : float
        Peak of a linear schedule with warm-up, for an encoder of width 384; see :meth:`for_width`.
    batch_size : int
        Rows per device and step.
    gradient_accumulation_steps : int
        Steps whose gradients are added up before the weights move.
    warmup_share : float
        Share of the steps during which the learning rate rises.
    weight_decay : float
        AdamW's weight decay.
    seed : int
        Seed of weights, dropout and order.
    bf16 : bool or None
        Train in bfloat16 autocast; None means where the hardware computes in it.
    freeze_word_embeddings : bool
        Leave the word embeddings as pretrained.
    """

    epochs: float
    learning_rate: float
    batch_size: int = 32
    gradient_accumulation_steps: int = 1
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    seed: int = 0
    bf16: bool | None = None
    freeze_word_embeddings: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "learning_rate", "batch_size", "gradient_accumulation_steps"):
            if not 0 < getattr(self, name) < math.inf:
                raise ReAugKDError(f"The setting {name} is {getattr(self, name)}; it must be above 0 and finite.")
        for name in ("warmup_share", "weight_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ReAugKDError(f"The setting {name} is {getattr(self, name)}; it must be from 0 to below 1.")
        check_seed(self.seed)

    def for_width(self, width: int) -> "TrainingSettings":
        """Return the settings for an encoder of another width: a wider one takes proportionally smaller steps."""
        return replace(self, learning_rate=self.learning_rate * REFERENCE_WIDTH / width)


@dataclass(frozen=True)
class Progress:
    """Where a training stands.

    Parameters
    ----------
    stage : str
        What is being done, for people.
    step, steps : int
        Optimizer steps done, and in all; both 0 where a stage does not count.
    loss : float or None
        Mean training loss since the last report.
    eta_seconds : float or None
        Estimated seconds until this stage ends.
    epochs : TrainingEpochs or None
        Where the watched texts lie so far, told when an epoch of the student's ends.
    """

    stage: str
    step: int = 0
    steps: int = 0
    loss: float | None = None
    eta_seconds: float | None = None
    epochs: TrainingEpochs | None = None


OnProgress = Callable[[Progress], None]
OnEpoch = Callable[[int], None]


def run_trainer(
    objective: nn.Module,
    dataset: Dataset,
    settings: TrainingSettings,
    folder: str | Path,
    stage: str,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    on_progress: OnProgress | None = None,
    on_epoch: OnEpoch | None = None,
) -> None:
    """Train a module in place, resuming from a checkpoint in the folder if there is one.

    Parameters
    ----------
    objective : nn.Module
        Its ``forward`` takes a batch's columns by name and returns a dict with ``loss``.
    dataset : Dataset
        Rows; token columns are padded with ``tokenizer``, the others stacked.
    settings : TrainingSettings
        How to train.
    folder : str or Path
        Where checkpoints go, one a minute. They serve the resume only and are the Trainer's own format.
    stage : str
        Name of the run, shown with its progress.
    tokenizer : PreTrainedTokenizerBase, optional
        Pads ``input_ids`` and the like; needed if the dataset has them.
    on_progress : callable, optional
        Is told of the progress, and may raise to cancel; without it a progress bar is drawn.
    on_epoch : callable, optional
        Is told the number of each epoch that has ended, and 0 before the first; where the last one is a part of an
        epoch, it counts as one. It may run the network.

    Raises
    ------
    ReAugKDError
        At the first loss that is no finite number.
    """
    set_seed(settings.seed)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        warmup_steps=settings.warmup_share,
        weight_decay=settings.weight_decay,
        seed=settings.seed,
        use_cpu=not torch.accelerator.is_available(),
        bf16=computes_bf16() if settings.bf16 is None else settings.bf16,
        optim="adamw_torch_fused",
        # Batches of like length spare most of the padding.
        train_sampling_strategy="group_by_length" if tokenizer is not None else "random",
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        save_strategy="no",
        save_total_limit=1,
        logging_steps=5,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,  # the bar is drawn by the callback below
    )
    trainer = _WatchfulTrainer(
        stage,
        model=objective,
        args=arguments,
        train_dataset=dataset,
        data_collator=lambda rows: collate(rows, tokenizer),
        callbacks=[_CheckpointByTime(), _Reporter(stage, on_progress) if on_progress else _Bar(stage)],
    )
    if on_epoch is not None:
        trainer.add_callback(_EachEpoch(on_epoch))
    trainer.remove_callback(PrinterCallback)  # it would print every log as a dict
    trainer.train(resume_from_checkpoint=_last_whole_checkpoint(Path(folder)))
    objective.eval()


def collate(rows: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase | None) -> dict[str, Tensor]:
    """Make a batch: pad the token columns, stack the others.

    Parameters
    ----------
    rows : list of dict
        Rows of the dataset; each value is a number, a list of numbers or an array.
    tokenizer : PreTrainedTokenizerBase or None
        Pads the columns it knows.

    Returns
    -------
    dict of str to Tensor
        Columns of N rows.
    """
    token_names = [name for name in rows[0] if tokenizer is not None and name in tokenizer.model_input_names]
    batch: dict[str, Tensor] = {}
    if tokenizer is not None and token_names:
        batch.update(tokenizer.pad({name: [row[name] for row in rows] for name in token_names}, return_tensors="pt"))
    for name in rows[0]:
        if name not in token_names and name != "length":
            batch[name] = torch.stack([torch.as_tensor(row[name]) for row in rows])
    return batch


def computes_bf16() -> bool:
    """Return whether this machine computes in bfloat16, instead of emulating it slowly."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _last_whole_checkpoint(folder: Path) -> str | None:
    """Return the newest checkpoint whose state, which the Trainer writes last, can be read."""
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True):
        try:
            TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        except (OSError, ValueError, TypeError):
            continue  # it was being written when the training stopped
        return str(checkpoint)
    return None


class _WatchfulTrainer(Trainer):
    """Stop at the first loss that is no number: nothing that is learnt after it is worth keeping."""

    def __init__(self, stage: str, **options: Any) -> None:
        super().__init__(**options)
        self.stage = stage

    def training_step(self, *arguments: Any, **options: Any) -> Tensor:
        loss = super().training_step(*arguments, **options)
        if not torch.isfinite(loss).all():
            raise ReAugKDError(
                f"The loss of the stage {self.stage!r} is no number any more after {self.state.global_step} steps; "
                "choose a smaller learning rate."
            )
        return loss


class _CheckpointByTime(TrainerCallback):
    """Save once a minute: an interruption costs a minute at most, and a short training writes nothing."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if time.monotonic() - self.last > SECONDS_BETWEEN_CHECKPOINTS:
            control.should_save = True
            self.last = time.monotonic()


class _EachEpoch(TrainerCallback):
    """Tell which epochs have ended; what is drawn at random in the training stays as it is without that."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        self.on_epoch = on_epoch

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if not state.global_step:
            self._tell(0, kwargs["model"])

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._tell(math.ceil(state.epoch or 0), kwargs["model"])  # a part of an epoch at the end counts

    def _tell(self, epoch: int, model: nn.Module) -> None:
        self.on_epoch(epoch)
        model.train()  # who looks at the network puts it into evaluation mode


class _Reporter(TrainerCallback):
    """Tell ``on_progress`` the loss and the time left."""

    def __init__(self, stage: str, on_progress: OnProgress) -> None:
        self.stage, self.on_progress = stage, on_progress

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.start, self.first_step = time.monotonic(), state.global_step
        self.on_progress(Progress(self.stage, state.global_step, state.max_steps))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if logs is None or "loss" not in logs:
            return
        done = max(state.global_step - self.first_step, 1)
        eta = (time.monotonic() - self.start) / done * (state.max_steps - state.global_step)
        self.on_progress(Progress(self.stage, state.global_step, state.max_steps, float(logs["loss"]), eta))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step % args.logging_steps:  # the last step had no log of its own
            self.on_progress(Progress(self.stage, state.global_step, state.max_steps, eta_seconds=0.0))


class _Bar(ProgressCallback):
    """The Trainer's progress bar with ETA, the loss beside it instead of a line a log."""

    def __init__(self, stage: str) -> None:
        super().__init__()
        self.stage = stage

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        super().on_train_begin(args, state, control, **kwargs)
        if self.training_bar is not None:
            self.training_bar.set_description(self.stage)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if self.training_bar is not None and logs and "loss" in logs:
            self.training_bar.set_postfix(loss=f"{float(logs['loss']):.3f}")
