"""The training run: settings, batches, determinism, progress, resume and the working folder."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch import nn
from transformers import AutoTokenizer, set_seed

from reaugkd.errors import ReAugKDError
from reaugkd.method.distillation import DistillationObjective
from reaugkd.networks import trainer
from reaugkd.networks.encoders import TextClassifier
from reaugkd.networks.trainer import BatchesOfLikeLength, Progress, collate, run_trainer, working_folder
from reaugkd.recipe import GOLD_ONLY, TEACHER_STAGES, TrainingSettings

SETTINGS = TrainingSettings(epochs=4, learning_rate=0.05, batch_size=8, bf16=False, seed=3)  # 5 steps an epoch


class Line(nn.Module):
    """A linear classifier on the column ``x``."""

    accepts_loss_kwargs = False

    def __init__(self):
        super().__init__()
        set_seed(0)
        self.linear = nn.Linear(4, 3)

    def forward(self, x, labels):
        return {"loss": nn.functional.cross_entropy(self.linear(x), labels)}


def line_rows():
    random = np.random.default_rng(0)
    labels = np.arange(40) % 3
    x = random.normal(size=(40, 4)) + np.eye(4)[labels] * 3
    return {"x": x.astype(np.float32), "labels": labels}


def trained(folder, settings=SETTINGS, on_progress=lambda _: None):
    objective = Line()
    run_trainer(objective, line_rows(), settings, folder, "Line", on_progress=on_progress)
    return objective.linear.weight.detach().clone()


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("epochs", 0, "must be above 0"),
        ("epochs", float("nan"), "must be above 0 and finite"),
        ("seed", -1, "must be from 0 to 4,294,967,295"),
        ("learning_rate", -1e-4, "must be above 0"),
        ("batch_size", 0, "must be above 0"),
        ("gradient_accumulation_steps", 0, "must be above 0"),
        ("warmup_share", 1.0, "from 0 to below 1"),
        ("weight_decay", -0.1, "from 0 to below 1"),
    ],
)
def test_settings_are_validated(name, value, wanted):
    with pytest.raises(ReAugKDError, match=f"The setting {name} is {value}; it must be.*{wanted.split()[-1]}"):
        TrainingSettings(**{"epochs": 1, "learning_rate": 1e-3, name: value})


def test_a_wider_encoder_takes_proportionally_smaller_steps():
    settings = TrainingSettings(epochs=1, learning_rate=1e-4)
    assert settings.for_width(384).learning_rate == pytest.approx(1e-4)
    assert settings.for_width(768).learning_rate == pytest.approx(5e-5)


@pytest.mark.parametrize("which", ["toy_encoder_folder", "wide_encoder_folder"])
def test_a_batch_pads_the_tokens_and_stacks_the_rest(which, request):
    tokenizer = AutoTokenizer.from_pretrained(request.getfixturevalue(which))
    first, second = tokenizer("apple"), tokenizer("rain and snow and fog")
    rows = [
        {**first, "labels": 2, "soft_labels": [0.5, 0.25, 0.25]},
        {**second, "labels": 0, "soft_labels": [0.0, 1.0, 0.0]},
    ]
    batch = collate(rows, tokenizer)
    short, long = len(first["input_ids"]), len(second["input_ids"])
    padding = [tokenizer.pad_token_id] * (long - short)
    assert set(batch) == {*tokenizer.model_input_names, "labels", "soft_labels"}
    assert batch["input_ids"].tolist() == [first["input_ids"] + padding, second["input_ids"]]
    assert batch["attention_mask"].tolist() == [[1] * short + [0] * (long - short), [1] * long]
    assert batch["labels"].tolist() == [2, 0]
    assert batch["soft_labels"].tolist() == [[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]]


def test_a_batch_of_rows_is_the_one_of_the_tensors_that_datasets_makes(toy_encoder_folder):
    tokenizer = AutoTokenizer.from_pretrained(toy_encoder_folder)
    columns = {"input_ids": [[1, 2, 3], [4], []], "labels": np.asarray([2, 0, -100])}
    columns |= {"soft_labels": np.eye(3, dtype=np.float32), "share": np.asarray([0.5, 0.25, 1.0], dtype=np.float32)}
    dataset = Dataset.from_dict(columns).with_format("torch")
    rows = trainer._rows(columns)
    assert len(rows) == 3
    found, wanted = (collate([given[number] for number in range(3)], tokenizer) for given in (rows, dataset))
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(found[name], value)
        assert found[name].dtype == value.dtype


def test_the_same_seed_gives_the_same_weights_and_another_one_others(tmp_path):
    first = trained(tmp_path / "first")
    assert torch.equal(trained(tmp_path / "again"), first)
    other = TrainingSettings(epochs=4, learning_rate=0.05, batch_size=8, bf16=False, seed=4)
    assert not torch.equal(trained(tmp_path / "other", other), first)


def test_training_converges(tmp_path):
    losses = []
    trained(tmp_path, on_progress=lambda progress: losses.append(progress.loss))
    assert losses[0] is None
    assert losses[-1] < 0.6 * losses[1]


def test_progress_starts_at_nothing_and_reaches_the_last_step(tmp_path):
    reports = []
    trained(tmp_path, on_progress=reports.append)
    assert reports[0] == Progress("Line", 0, 20)
    assert [report.step for report in reports] == [0, 5, 10, 15, 20]
    assert {(report.stage, report.steps) for report in reports} == {("Line", 20)}
    assert reports[1].eta_seconds > 0
    assert reports[-1].eta_seconds == 0


def test_the_last_step_is_reported_when_the_steps_are_no_multiple_of_five(tmp_path):
    reports = []
    settings = TrainingSettings(epochs=1.4, learning_rate=0.05, batch_size=8, bf16=False)
    trained(tmp_path, settings, on_progress=reports.append)
    assert reports[0].steps == 7
    assert reports[-1].step == 7


@pytest.mark.parametrize(("epochs", "told"), [(0.4, [0, 1]), (2, [0, 1, 2]), (2.4, [0, 1, 2, 3]), (3.0, [0, 1, 2, 3])])
def test_each_epoch_that_ends_is_told_once_and_a_part_at_the_end_counts_as_one(tmp_path, epochs, told):
    ended = []
    settings = TrainingSettings(epochs=epochs, learning_rate=0.05, batch_size=8, bf16=False)
    run_trainer(Line(), line_rows(), settings, tmp_path, "Line", on_progress=lambda _: None, on_epoch=ended.append)
    assert ended == told


def test_a_short_training_writes_no_checkpoint(tmp_path):
    trained(tmp_path / "folder")
    assert not list(tmp_path.rglob("checkpoint-*"))


class Stopped(Exception):
    """Raised by a test to interrupt a training."""


def stop_at(step):
    def on_progress(progress):
        if progress.step >= step:
            raise Stopped

    return on_progress


def test_an_interrupted_training_goes_on_and_ends_where_an_unbroken_one_does(tmp_path, monkeypatch):
    unbroken = trained(tmp_path / "unbroken")
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    with pytest.raises(Stopped):
        trained(tmp_path / "broken", on_progress=stop_at(10))
    steps = []
    resumed = trained(tmp_path / "broken", on_progress=lambda progress: steps.append(progress.step))
    # The step at which it broke is lost if its checkpoint was not yet written.
    assert steps[0] in (9, 10)
    assert steps[-1] == 20
    assert torch.allclose(resumed, unbroken, atol=1e-6)


class Words(nn.Module):
    """A bag of words with dropout."""

    accepts_loss_kwargs = False

    def __init__(self):
        super().__init__()
        set_seed(0)
        self.words, self.dropout = nn.EmbeddingBag(200, 3), nn.Dropout(0.5)

    def forward(self, input_ids, labels, **_):
        return {"loss": nn.functional.cross_entropy(self.dropout(self.words(input_ids)), labels)}


@pytest.mark.parametrize("stops", [[2], [7], [10], [18], [5, 3], [10, 2, 2], [7, 5, 4]], ids=str)
def test_batches_of_like_length_are_the_same_after_interruptions_in_any_epoch(
    tmp_path, monkeypatch, toy_encoder_folder, stops
):
    """Each run is stopped after so many steps of its own; an epoch has five."""
    tokenizer, random = AutoTokenizer.from_pretrained(toy_encoder_folder), np.random.default_rng(0)
    rows = {"input_ids": [random.integers(5, 100, length).tolist() for length in random.integers(2, 9, 40)]}
    rows |= {"labels": np.arange(40) % 3}

    def trained_words(folder, on_progress=lambda _: None):
        objective = Words()
        run_trainer(objective, rows, SETTINGS, folder, "Words", tokenizer=tokenizer, on_progress=on_progress)
        return objective.words.weight.detach()

    unbroken = trained_words(tmp_path / "unbroken")
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    step = trainer._WatchfulTrainer.training_step

    def stopping_step(*arguments, **options):
        if next(left, None) is None:
            raise Stopped
        return step(*arguments, **options)

    for stop in stops:
        left = iter(range(stop))
        with monkeypatch.context() as patch:
            patch.setattr(trainer._WatchfulTrainer, "training_step", stopping_step)
            with pytest.raises(Stopped):
                trained_words(tmp_path / "broken")
    torch.testing.assert_close(trained_words(tmp_path / "broken"), unbroken, atol=0, rtol=0)


@pytest.mark.parametrize("rows", [1, 7, 8, 40, 83, 2_000])
def test_an_epoch_has_every_row_once_in_batches_of_like_length(rows):
    lengths = np.random.default_rng(0).integers(2, 60, rows)
    epoch = iter(range(3))
    sampler = BatchesOfLikeLength(lengths.tolist(), 8, 5, lambda: next(epoch))
    orders = [list(sampler) for _ in range(2)]
    for order in orders:
        assert sorted(order) == list(range(rows))
        assert len(sampler) == rows
    if rows >= 40:
        assert orders[0] != orders[1]
        whole = lengths[orders[0]][: rows - rows % 8].reshape(-1, 8)
        spread = np.ptp(whole, axis=1)
        assert spread.mean() < 1.5 * 58 / min(len(whole), 50)
        assert np.abs(np.corrcoef(whole.mean(axis=1), np.arange(len(whole)))[0, 1]) < 0.9  # in no order of length


def test_the_order_of_an_epoch_depends_on_seed_and_epoch_alone():
    lengths = np.random.default_rng(0).integers(2, 60, 90).tolist()

    def order(seed, epoch):
        torch.rand(1)
        return list(BatchesOfLikeLength(lengths, 8, seed, lambda: epoch))

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_a_checkpoint_that_is_half_written_does_not_stop_the_resume(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    with pytest.raises(Stopped):
        trained(tmp_path, on_progress=stop_at(10))
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 60)
    (last,) = tmp_path.glob("checkpoint-*")
    half = shutil.copytree(last, tmp_path / "checkpoint-15")
    for name in (trainer.WHOLE_FILE, "model.safetensors"):
        (half / name).unlink()
    steps = []
    trained(tmp_path, on_progress=lambda progress: steps.append(progress.step))
    assert (steps[0], steps[-1]) == (int(last.name.split("-")[1]), 20)


def test_an_older_checkpoint_stays_until_the_new_one_is_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    seen, sync, whole_file = [], trainer.sync, trainer.whole_file

    def see(path, what):
        seen.append((what, path.name, sorted(other.name for other in path.parent.glob("checkpoint-*"))))
        assert not (path / trainer.WHOLE_FILE).exists()

    monkeypatch.setattr(trainer, "sync", lambda path: see(path, "synced") or sync(path))
    monkeypatch.setattr(trainer, "whole_file", lambda path: see(path.parent, "marked") or whole_file(path))
    with pytest.raises(Stopped):
        trained(tmp_path, on_progress=stop_at(5))
    first, second = ["checkpoint-1"], ["checkpoint-1", "checkpoint-2"]
    assert seen[:2] == [("synced", "checkpoint-1", first), ("marked", "checkpoint-1", first)]
    assert seen[2:4] == [("synced", "checkpoint-2", second), ("marked", "checkpoint-2", second)]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_training_at_that_step_by_a_sentence(tmp_path, monkeypatch, value):
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    losses, steps = iter([1.0] * 7 + [value] * 13), []

    class Diverging(Line):
        def forward(self, x, labels):
            return {"loss": super().forward(x, labels)["loss"] * next(losses)}

    def diverge():
        run_trainer(Diverging(), line_rows(), SETTINGS, tmp_path, "Line", on_progress=lambda p: steps.append(p.step))

    with pytest.raises(ReAugKDError, match=r"stage 'Line' became NaN or infinite after 7 steps; choose a smaller"):
        diverge()
    assert steps == [0, 5]
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-7"]  # of the last good step
    with pytest.raises(ReAugKDError, match="became NaN or infinite after 7 steps"):
        diverge()


def test_the_trainer_leaves_the_module_in_evaluation_mode(tmp_path):
    objective = Line()
    run_trainer(objective, line_rows(), SETTINGS, tmp_path, "Line", on_progress=lambda _: None)
    assert not objective.training


def test_the_progress_bar_shows_stage_and_loss(tmp_path, capsys):
    run_trainer(Line(), line_rows(), SETTINGS, tmp_path, "Line")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Line: 100%" in shown.err
    assert "20/20" in shown.err
    assert "loss=" in shown.err


def test_two_accumulated_half_batches_are_one_whole_batch(toy_encoder_folder, toy_task, tmp_path):
    sums = []
    for batch_size, steps in ((16, 1), (8, 2)):
        torch.manual_seed(0)
        classifier = TextClassifier.from_pretrained(toy_encoder_folder, 3, layers=1)
        for module in classifier.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        tokens = classifier.tokenize(toy_task.texts("train")[:16])
        rows = {**tokens, "labels": np.arange(16) % 3}
        settings = TrainingSettings(
            epochs=1, learning_rate=1e-2, batch_size=batch_size, gradient_accumulation_steps=steps, warmup_share=0,
            bf16=False,
        )  # fmt: skip
        gradients = {name: [] for name, _ in classifier.named_parameters()}
        for name, value in classifier.named_parameters():
            value.register_hook(lambda gradient, parts=gradients[name]: parts.append(gradient.clone()))
        run_trainer(
            DistillationObjective(classifier, GOLD_ONLY), rows, settings, tmp_path / str(batch_size), "Half",
            tokenizer=classifier.tokenizer, on_progress=lambda _: None,
        )  # fmt: skip
        assert {len(parts) for parts in gradients.values()} == {steps}
        sums.append({name: torch.stack(parts).sum(dim=0) for name, parts in gradients.items()})
    for name, gradient in sums[0].items():
        assert torch.allclose(sums[1][name], gradient, atol=2e-6, rtol=1e-3), name


def test_a_network_that_cannot_compute_in_bf16_is_trained_in_float32(tmp_path, monkeypatch):
    class Odd(Line):
        def forward(self, x, labels):
            if torch.is_autocast_enabled("cpu"):
                raise RuntimeError("expected scalar type Float but found BFloat16")
            return super().forward(x, labels)

    monkeypatch.setattr(trainer, "computes_bf16", lambda: True)
    odd = Odd()
    run_trainer(odd, line_rows(), replace(SETTINGS, bf16=None), tmp_path / "odd", "Line", on_progress=lambda _: None)
    assert torch.equal(odd.linear.weight, trained(tmp_path / "float32"))


def test_a_torch_that_is_built_for_cuda_trains_where_there_is_no_gpu(tmp_path, monkeypatch):
    def current_accelerator(check_available=False):
        return None if check_available else torch.device("cuda")

    monkeypatch.setattr(trainer, "computes_bf16", lambda: True)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", current_accelerator)
    line = Line()
    run_trainer(line, line_rows(), replace(SETTINGS, bf16=None), tmp_path, "Line", on_progress=lambda _: None)
    assert line.linear.weight.device.type == "cpu"


@pytest.mark.parametrize(("name", "value", "wanted"), [("epochs", "3x", "a number"), ("batch_size", 2.5, "a whole")])
def test_a_setting_of_another_kind_is_refused(name, value, wanted):
    with pytest.raises(ReAugKDError, match=f"The setting {name} is {value!r}; it must be {wanted}"):
        replace(SETTINGS, **{name: value})


def test_two_trainings_do_not_work_in_one_folder(tmp_path):
    folder = tmp_path / "model.partial"
    with (
        working_folder(folder, TEACHER_STAGES + "a"),
        pytest.raises(ReAugKDError, match="Another training works in .*partial"),
        working_folder(folder, TEACHER_STAGES + "a"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
    with working_folder(folder, TEACHER_STAGES + "a"):
        pass


def test_a_training_that_failed_leaves_no_lock(tmp_path):
    with pytest.raises(ValueError, match="stopped"), working_folder(tmp_path / "model.partial", TEACHER_STAGES + "a"):
        raise ValueError("stopped")
    assert [path.name for path in tmp_path.iterdir()] == ["model.partial"]
