"""One training run on the Hugging Face Trainer: the batches, the progress, and where an interrupted one goes on."""

import math
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor, nn
from torch.utils.data import Sampler
from transformers import PreTrainedTokenizerBase, Trainer, TrainerCallback, default_data_collator, set_seed
from transformers.trainer_callback import PrinterCallback, ProgressCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from reaugkd.errors import ReAugKDError
from reaugkd.files import alone, explain_disk_errors, make_folder, remove_at_once, sync, whole_file
from reaugkd.networks.dropout import FastDropout
from reaugkd.recipe import STUDENT_STAGES, TEACHER_STAGES, TrainingSettings

if TYPE_CHECKING:
    from reaugkd.model.maps import TrainingEpochs

SECONDS_BETWEEN_CHECKPOINTS = 60
WHOLE_FILE = "whole"  # written last into a checkpoint
SORTED_AT_ONCE = 50  # batches; more would spare little padding, and the epochs' batches would differ less


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
        Where the watched texts lie so far; given when an epoch of the student ends.
    epoch, score : int and float, or None
        A student's own score on validation rows, and the epoch after which it is so.
    """

    stage: str
    step: int = 0
    steps: int = 0
    loss: float | None = None
    eta_seconds: float | None = None
    epochs: "TrainingEpochs | None" = None
    epoch: int | None = None
    score: float | None = None


OnProgress = Callable[[Progress], None]
OnEpoch = Callable[[int], None]


def silent(_: Progress) -> None:
    """Draw no progress."""


def run_trainer(
    objective: nn.Module,
    columns: Mapping[str, Any],
    settings: TrainingSettings,
    folder: str | Path | None,
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
    columns : mapping of str to list or array
        Columns of N rows: lists of token ids, which are padded with ``tokenizer``, and arrays, which are stacked.
    settings : TrainingSettings
        How to train.
    folder : str or Path or None
        Where checkpoints go, one a minute. They serve the resume only and are the Trainer's own format. Where it is
        None, they go when the training ends.
    stage : str
        Name of the run, shown with its progress.
    tokenizer : PreTrainedTokenizerBase, optional
        Pads ``input_ids`` and the like; needed if there are such columns.
    on_progress : callable, optional
        Gets the progress, and may raise to cancel; a bar is drawn if left out.
    on_epoch : callable, optional
        Gets the number of each epoch that has ended, and 0 before the first; where the last one is a part of an
        epoch, it counts as one. It may run the network.

    Raises
    ------
    ReAugKDError
        At the first loss that is no finite number.
    """
    collator = default_data_collator if tokenizer is None else partial(collate, tokenizer=tokenizer)
    rows = _rows(columns)
    batch = collator(rows[:2])
    bf16 = computes_bf16() and _runs_in_bf16(objective, batch) if settings.bf16 is None else settings.bf16
    set_seed(settings.seed)
    with TemporaryDirectory() if folder is None else nullcontext(folder) as checkpoints:
        resumed = _last_whole_checkpoint(Path(checkpoints))
        arguments = TrainingArguments(
            output_dir=str(checkpoints),
            run_name=stage,
            num_train_epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            per_device_train_batch_size=settings.batch_size,
            gradient_accumulation_steps=settings.gradient_accumulation_steps,
            warmup_steps=settings.warmup_share,
            weight_decay=settings.weight_decay,
            seed=settings.seed,
            use_cpu=not torch.accelerator.is_available(),
            bf16=bf16,
            optim="adamw_torch_fused",
            remove_unused_columns=False,
            dataloader_pin_memory=torch.cuda.is_available(),
            save_strategy="no",
            logging_steps=5,
            disable_tqdm=True,  # the bar is drawn by the callback below
        )
        callbacks = [_Watch(on_progress, on_epoch), *([_Bar()] if on_progress is None else [])]
        trainer = _WatchfulTrainer(objective, arguments, collator, rows, callbacks=callbacks)
        trainer.remove_callback(PrinterCallback)  # it would print every log as a dict
        trainer.train(resume_from_checkpoint=resumed)
    objective.eval()


def _rows(columns: Mapping[str, Any]) -> Any:
    """Return the rows of columns: `datasets` makes each anew, which takes as long as a tenth of its training."""
    arrays = [
        [np.asarray(ids, np.int64) for ids in column] if isinstance(column, list) else column
        for column in columns.values()
    ]
    return [dict(zip(columns, row, strict=True)) for row in zip(*arrays, strict=True)]


def collate(rows: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase) -> dict[str, Tensor]:
    """Make a batch: pad the token columns, stack the others.

    Parameters
    ----------
    rows : list of dict
        N rows.
    tokenizer : PreTrainedTokenizerBase
        Pads the columns it knows.

    Returns
    -------
    dict of str to Tensor
        Columns of N rows.
    """
    names = [name for name in rows[0] if name in tokenizer.model_input_names]
    # tokenizer.pad makes lists of tensors first, number by number.
    padding = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
    tokens = {
        name: nn.utils.rnn.pad_sequence(
            [torch.as_tensor(row[name]) for row in rows], True, padding.get(name, 0), tokenizer.padding_side
        ).long()
        for name in names
    }
    others = [{name: row[name] for name in row if name not in names} for row in rows]
    return {**tokens, **default_data_collator(others)}


def processes_of_training() -> PartialState:
    """Return which of the processes of ``accelerate launch`` this is; on CPUs too, where accelerate has to be told."""
    return PartialState(cpu=not torch.accelerator.is_available())


def computes_bf16() -> bool:
    """Return whether this machine computes in bfloat16, instead of emulating it slowly."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _runs_in_bf16(objective: nn.Module, batch: dict[str, Tensor]) -> bool:
    """Try a batch, forth and back: some encoders, such as DeBERTa, mix a type of their own in."""
    # A torch that is built for CUDA names it also where there is no GPU.
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    objective.to(device)
    try:
        with torch.autocast(device.type, torch.bfloat16):
            objective(**{name: value.to(device) for name, value in batch.items()})["loss"].backward()
    except RuntimeError:
        return False
    finally:
        objective.zero_grad()
    return True


def _last_whole_checkpoint(folder: Path) -> str | None:
    """Return the newest checkpoint that was whole on disk; another was being written when the training stopped."""
    whole = [path.parent for path in folder.glob(f"checkpoint-*/{WHOLE_FILE}")]
    return str(max(whole, key=lambda path: int(path.name.split("-")[1]))) if whole else None


class BatchesOfLikeLength(Sampler[int]):
    """The rows of an epoch in an order whose batches are of like length, which spares most of the padding.

    The Trainer's own sampler sorts a quarter of a small task at a time, which leaves a fifth of all tokens padding.

    Parameters
    ----------
    lengths : list of int
        Tokens of each row.
    batch_size : int
        Rows that follow each other and become a batch.
    seed : int
        Of the order.
    epoch : callable
        Returns the number of the epoch that begins; each has an order of its own, also where a training goes on there.
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: int, epoch: Callable[[], int]) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = np.asarray(lengths), batch_size, seed, epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng([self.seed, self.epoch()])
        order = random.permutation(len(self))
        whole = len(self) // self.batch_size  # batches; the last one has the rest, of any length
        rows, rest = np.split(order, [whole * self.batch_size])
        pools = np.split(rows, range(0, len(rows), SORTED_AT_ONCE * self.batch_size)[1:])
        alike = np.concatenate([pool[self.lengths[pool].argsort(kind="stable")] for pool in pools])
        mixed = random.permutation(alike.reshape(whole, self.batch_size))
        return iter(np.concatenate([mixed.ravel(), rest]).tolist())


class _WatchfulTrainer(Trainer):
    """The Trainer with our batches and, on a CPU, our dropout; it stops at the first loss that is no number."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        rows: Any = self.train_dataset
        if "input_ids" not in rows[0]:
            return super()._get_train_sampler(train_dataset)
        lengths, batch_size = [len(row["input_ids"]) for row in rows], self.args.train_batch_size
        return BatchesOfLikeLength(lengths, batch_size, self.args.seed, lambda: int(self.state.epoch or 0))

    def compute_loss(self, *arguments: Any, **options: Any) -> Any:
        with FastDropout() if self.args.device.type == "cpu" else nullcontext():
            return super().compute_loss(*arguments, **options)

    def training_step(self, *arguments: Any, **options: Any) -> Tensor:
        loss = super().training_step(*arguments, **options)
        if not torch.isfinite(loss).all():
            raise ReAugKDError(
                f"The loss of the stage {self.args.run_name!r} became NaN or infinite after {self.state.global_step} "
                "steps; choose a smaller learning rate."
            )
        return loss


class _Watch(TrainerCallback):
    """Tell of the progress and of epochs that end, and save once a minute, so that no interruption costs more."""

    def __init__(self, on_progress: OnProgress | None, on_epoch: OnEpoch | None) -> None:
        self.on_progress, self.on_epoch = on_progress, on_epoch
        self.saved = time.monotonic()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self.start, self.first_step = time.monotonic(), state.global_step
        self._report(args, state)
        if not state.global_step:
            self._tell_epoch(0, kwargs["model"])

    def on_step_end(self, args: Any, state: Any, control: TrainerControl, **kwargs: Any) -> None:
        if time.monotonic() - self.saved > SECONDS_BETWEEN_CHECKPOINTS:
            control.should_save = True
            self.saved = time.monotonic()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        if args.should_save:
            newest = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
            sync(newest)
            with whole_file(newest / WHOLE_FILE) as writing:
                writing.touch()
            for other in set(newest.parent.glob("checkpoint-*")) - {newest}:  # the Trainer would before this is whole
                shutil.rmtree(other)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        if "loss" in kwargs["logs"]:
            a_step = (time.monotonic() - self.start) / max(state.global_step - self.first_step, 1)
            eta = a_step * (state.max_steps - state.global_step)
            self._report(args, state, float(kwargs["logs"]["loss"]), eta)

    def on_epoch_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self._tell_epoch(math.ceil(state.epoch or 0), kwargs["model"])  # a part of an epoch at the end counts

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        if state.global_step % args.logging_steps:  # the last step had no log of its own
            self._report(args, state, eta=0.0)

    def _report(
        self, args: TrainingArguments, state: TrainerState, loss: float | None = None, eta: float | None = None
    ) -> None:
        if self.on_progress is not None:
            self.on_progress(Progress(str(args.run_name), state.global_step, state.max_steps, loss, eta))

    def _tell_epoch(self, epoch: int, model: nn.Module) -> None:
        if self.on_epoch is not None:
            self.on_epoch(epoch)
            model.train()  # a look at the network may have put it into evaluation mode


class _Bar(ProgressCallback):
    """The Trainer's progress bar: ETA, stage and loss stand beside it, and no log is printed as a line."""

    def on_log(self, args: TrainingArguments, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if self.training_bar is not None and "loss" in logs:
            self.training_bar.set_description(args.run_name)
            self.training_bar.set_postfix(loss=f"{float(logs['loss']):.3f}")


@contextmanager
def working_folder(folder: Path, *stages: str) -> Iterator[list[Path]]:
    """Keep finished stages until all is done; then remove them, and those of other settings beside them.

    Under ``accelerate launch`` every process goes through the same stages, and only the main one writes.

    Parameters
    ----------
    folder : Path
        The working folder.
    *stages : str
        Names by :func:`teacher_stages` or :func:`student_stages`.

    Yields
    ------
    list of Path
        A folder for each, with what an interrupted training left there.

    Raises
    ------
    ReAugKDError
        If the folder holds other things, another training works there, or the disk is full.
    """
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    if folder.is_file() or not all(name.startswith((TEACHER_STAGES, STUDENT_STAGES)) for name in names):
        raise ReAugKDError(f"The folder {str(folder)!r} is needed for unfinished work but holds other things; move it.")
    processes = processes_of_training()
    processes.wait_for_everyone()
    paths = [folder / name for name in stages]
    with ExitStack() as held:
        if processes.is_main_process:
            make_folder(folder.parent)
            try:
                held.enter_context(alone(folder.with_name(f".{folder.name}"), timeout=0.2))
            except TimeoutError as error:
                raise ReAugKDError(
                    f"Another training works in {str(folder)!r}; wait until it is done, or name another place for this "
                    "one."
                ) from error
        held.enter_context(explain_disk_errors(folder))
        for path in paths:
            make_folder(path)
        yield paths
        processes.wait_for_everyone()
        if processes.is_main_process:
            try:
                remove_at_once(folder)  # stages that are half removed would count as finished
            except OSError as error:  # Windows holds files that are still in use
                warnings.warn(
                    f"All is finished, but its working folder {str(folder)!r} cannot be removed ({error}); delete it.",
                    stacklevel=2,
                )
