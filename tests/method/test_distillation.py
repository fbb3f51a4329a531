"""Distillation: the sum of the losses against NumPy, and whether the teacher reaches the student."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from losses_by_hand import relational_by_hand, soft_label_by_hand, softmax, unit
from transformers import set_seed

from reaugkd.errors import ReAugKDError
from reaugkd.method import distillation
from reaugkd.method.distillation import NO_LABEL, DistillationObjective, train_classifier
from reaugkd.method.memory import Memory
from reaugkd.method.projection import ContrastiveObjective
from reaugkd.networks.encoders import TextClassifier
from reaugkd.recipe import GOLD_ONLY, DistillationSettings, TrainingSettings
from reaugkd.tasks.task import SPLITS, make_task, with_unlabelled


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"relational_weight": -1}, "relational_weight is -1; it must be at least 0"),
        ({"soft_label_weight": -1}, "soft_label_weight is -1; it must be at least 0"),
        ({"gold_label_weight": -1}, "gold_label_weight is -1; it must be at least 0"),
        ({"soft_label_weight": 0}, "Both soft_label_weight and gold_label_weight are 0"),
        ({"distillation_temperature": 0}, "distillation_temperature is 0; it must be above 0"),
        ({"relational_temperature": -0.1}, r"relational_temperature is -0\.1; it must be above 0"),
        ({"candidates": "all"}, "candidates is 'all'; it must be one of batch, memory"),
    ],
)
def test_settings_are_validated(settings, message):
    with pytest.raises(ReAugKDError, match=message):
        DistillationSettings(**settings)


@pytest.fixture(scope="module")
def student(toy_encoder_folder):
    torch.manual_seed(0)
    return TextClassifier.from_pretrained(toy_encoder_folder, 3, layers=2).eval()


@pytest.fixture
def batch(student, toy_task):
    random = np.random.default_rng(4)
    texts = toy_task.texts("train")[25:33]
    tokens = student.tokenizer.pad(dict(student.tokenize(texts)), return_tensors="pt")
    return {
        **tokens,
        "labels": torch.tensor(toy_task.labels("train")[25:33]),
        "soft_labels": torch.tensor(softmax(random.normal(size=(8, 3))), dtype=torch.float32),
        "teacher_embeddings": torch.tensor(unit(random.normal(size=(8, 32))), dtype=torch.float32),
    }


MEMORY = torch.tensor(unit(np.random.default_rng(5).normal(size=(20, 32))), dtype=torch.float32)


def loss_by_hand(student, batch, settings):
    tokens = {name: batch[name] for name in ("input_ids", "token_type_ids", "attention_mask")}
    with torch.inference_mode():
        pooled, logits = (values.numpy().astype(np.float64) for values in student(**tokens))
    labels = batch["labels"].numpy()
    soft, z = (batch[name].numpy().astype(np.float64) for name in ("soft_labels", "teacher_embeddings"))
    candidates = MEMORY.numpy().astype(np.float64) if settings.candidates == "memory" else z
    gold = -np.log(softmax(logits)[np.arange(8), labels]).mean()
    relational = relational_by_hand(unit(pooled), z, candidates, settings.relational_temperature)
    return (
        settings.gold_label_weight * gold
        + settings.soft_label_weight * soft_label_by_hand(soft, logits, settings.distillation_temperature)
        + settings.relational_weight * relational
    )


@pytest.mark.parametrize(
    "settings",
    [
        DistillationSettings(),
        DistillationSettings(candidates="batch"),
        DistillationSettings(relational_weight=0),
        GOLD_ONLY,
        DistillationSettings(0.7, 0.3, 2.0, 2.0, 0.2, "batch"),
    ],
    ids=["default", "batch", "kd", "gold", "all"],
)
def test_the_students_loss_is_the_weighted_sum_of_its_parts(student, batch, settings):
    memory = MEMORY if settings.candidates == "memory" else None
    loss = DistillationObjective(student, settings, memory)(**batch)["loss"].item()
    assert loss == pytest.approx(loss_by_hand(student, batch, settings), rel=1e-4)


@pytest.mark.parametrize("name", ["soft_labels", "teacher_embeddings"])
def test_one_changed_teacher_value_changes_the_students_loss_and_its_gradient(student, batch, name):
    def loss_and_gradient():
        student.zero_grad()
        loss = DistillationObjective(student, DistillationSettings(), MEMORY)(**batch)["loss"]
        loss.backward()
        return loss.item(), student.encoder.encoder.layer[0].output.dense.weight.grad.clone()

    loss, gradient = loss_and_gradient()
    batch[name][3] = batch[name][3].roll(1)
    changed_loss, changed_gradient = loss_and_gradient()
    student.zero_grad(set_to_none=True)
    assert abs(changed_loss - loss) > 1e-3
    assert (changed_gradient - gradient).abs().max() > 1e-6


def test_gold_labels_do_not_count_where_their_weight_is_zero(student, batch):
    objective = DistillationObjective(student, DistillationSettings(), MEMORY)
    before = objective(**batch)["loss"].item()
    assert objective(**batch | {"labels": (batch["labels"] + 1) % 3})["loss"].item() == before


@pytest.mark.parametrize("unlabelled", [[0], [2, 5, 7], range(8)], ids=["one", "some", "all"])
def test_a_text_without_a_gold_label_has_no_part_in_the_gold_loss_and_its_whole_in_the_others(
    student, batch, unlabelled
):
    settings = DistillationSettings(0.7, 0.3, 2.0, 2.0, 0.2, "batch")
    labels = batch["labels"].clone()
    labels[list(unlabelled)] = NO_LABEL
    loss = DistillationObjective(student, settings)(**batch | {"labels": labels})["loss"].item()
    by_teacher = loss_by_hand(student, batch, replace(settings, gold_label_weight=0.0))
    with torch.inference_mode():
        logits = student(**{name: batch[name] for name in ("input_ids", "token_type_ids", "attention_mask")})[1]
    kept = [row for row in range(8) if row not in unlabelled]
    gold = -np.log(softmax(logits.numpy().astype(np.float64))[kept, batch["labels"].numpy()[kept]])
    assert loss == pytest.approx(by_teacher + 0.3 * (gold.mean() if kept else 0.0), rel=1e-4)


def test_the_memory_is_no_weight_and_is_not_saved(student):
    objective = DistillationObjective(student, DistillationSettings(), MEMORY)
    assert "memory" not in objective.state_dict()
    assert all(value is not objective.memory for value in objective.parameters())


@pytest.mark.parametrize("objective", [ContrastiveObjective, DistillationObjective])
def test_the_trainer_divides_each_loss_by_the_accumulation_steps(objective):
    assert objective.accepts_loss_kwargs is False


SETTINGS = TrainingSettings(epochs=6, learning_rate=4e-4, batch_size=16, bf16=False, freeze_word_embeddings=False)


def train(folder, task, toy_encoder_folder, loss, soft_labels=None, teacher_embeddings=None):
    """A student that learns from a memory of these values, or from gold labels where none are given."""
    memory = None
    if soft_labels is not None:
        z = np.zeros((len(soft_labels), 1)) if teacher_embeddings is None else teacher_embeddings
        memory = Memory.of(task, soft_labels, z)
    set_seed(SETTINGS.seed)
    student = TextClassifier.from_pretrained(toy_encoder_folder, len(task.label_names), layers=2, max_length=16)
    options = {"memory": memory, "loss": loss, "folder": folder, "on_progress": lambda _: None}
    train_classifier(student, task, SETTINGS, "Student", **options)
    return student


def test_the_student_follows_the_teacher_when_the_teachers_labels_are_swapped(toy_task, toy_encoder_folder, tmp_path):
    gold = {split: toy_task.labels(split) for split in SPLITS}
    answers = {}
    for shift in (0, 1):
        soft = np.full((90, 3), 0.05, dtype=np.float32)
        soft[np.arange(90), (gold["train"] + shift) % 3] = 0.9
        student = train(
            tmp_path / str(shift), toy_task, toy_encoder_folder, DistillationSettings(relational_weight=0),
            soft_labels=soft,
        )  # fmt: skip
        answers[shift] = student.encode(toy_task.texts("test"))[1].argmax(axis=1)
    assert (answers[0] == gold["test"]).mean() > 0.9
    assert (answers[1] == (gold["test"] + 1) % 3).mean() > 0.9


def test_the_students_embeddings_follow_the_teachers(toy_task, toy_encoder_folder, tmp_path):
    random = np.random.default_rng(0)
    directions = unit(random.normal(size=(3, 32)))
    labels = toy_task.labels("train")
    soft = np.eye(3, dtype=np.float32)[labels]
    for shift in (0, 1):
        z = unit(directions[(labels + shift) % 3] + 0.02 * random.normal(size=(90, 32))).astype(np.float32)
        student = train(
            tmp_path / str(shift), toy_task, toy_encoder_folder, DistillationSettings(),
            soft_labels=soft, teacher_embeddings=z,
        )  # fmt: skip
        x = unit(student.encode(toy_task.texts("test"))[0])
        assert ((x @ directions.T).argmax(axis=1) == (toy_task.labels("test") + shift) % 3).mean() > 0.9


@pytest.fixture
def datasets(monkeypatch):
    """The rows on which each network is trained."""
    given = []
    original = distillation.run_trainer

    def spy(objective, rows, *others, **options):
        given.append(rows)
        return original(objective, rows, *others, **options)

    monkeypatch.setattr(distillation, "run_trainer", spy)
    return given


def test_who_learns_from_a_teacher_learns_from_unlabelled_texts_too(
    unlabelled_task, toy_encoder_folder, tmp_path, datasets
):
    taught = len(unlabelled_task.taught_texts)
    soft = np.full((taught, 3), 1 / 3, dtype=np.float32)
    z = unit(np.random.default_rng(0).normal(size=(taught, 32))).astype(np.float32)
    mixed = DistillationSettings(gold_label_weight=0.5)
    for run, (settings, given) in enumerate([(mixed, {"soft_labels": soft, "teacher_embeddings": z}), (GOLD_ONLY, {})]):
        train(tmp_path / str(run), unlabelled_task, toy_encoder_folder, settings, **given)
    by_teacher, by_gold = datasets
    gold = unlabelled_task.labels("train").tolist()
    assert by_teacher["labels"].tolist() == gold + [NO_LABEL] * (taught - 90)
    assert by_gold["labels"].tolist() == gold
    tokenizer = TextClassifier.from_pretrained(toy_encoder_folder, 3).tokenizer
    wanted = tokenizer(unlabelled_task.taught_texts)["input_ids"]
    assert by_teacher["input_ids"] == wanted


def test_the_student_follows_the_teacher_on_unlabelled_texts(toy_task, toy_encoder_folder, tmp_path):
    """The words of one class are in the unlabelled texts alone: what they mean only the teacher says."""
    rows = {split: toy_task.rows[split].to_pandas() for split in SPLITS}
    names = np.asarray(toy_task.label_names)
    tables = {split: table.assign(label=names[table["label"]]) for split, table in rows.items()}
    weather = tables["train"]["label"] == "weather"
    kept = pd.concat([tables["train"][~weather], tables["train"][weather].head(2).assign(text=["the", "a"])])
    task, left_out = with_unlabelled(
        make_task("two", tables | {"train": kept}), tables["train"][weather].drop(columns=["label", "id"])
    )
    labels = np.concatenate([task.labels("train"), np.full(len(task.rows["unlabelled"]), 2)])
    soft = np.where(np.arange(3) == labels[:, None], 0.9, 0.05).astype(np.float32)
    student = train(
        tmp_path / "student", task, toy_encoder_folder, DistillationSettings(relational_weight=0), soft_labels=soft
    )
    of_weather = [text for text, label in zip(task.texts("test"), task.labels("test"), strict=True) if label == 2]
    assert (student.encode(of_weather)[1].argmax(axis=1) == 2).mean() > 0.9
    assert left_out < 15


def test_gold_labels_alone_teach_the_task_and_the_seed_decides_how(toy_task, toy_encoder_folder, tmp_path):
    first, again = (train(tmp_path / run, toy_task, toy_encoder_folder, GOLD_ONLY) for run in ("first", "again"))
    state = again.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in first.state_dict().items())
    assert not first.training
    answers = first.encode(toy_task.texts("test"))[1].argmax(axis=1)
    assert (answers == toy_task.labels("test")).mean() > 0.9


def test_without_a_memory_the_gold_labels_alone_count(toy_task, toy_encoder_folder, tmp_path, datasets):
    by_gold = train(tmp_path / "gold", toy_task, toy_encoder_folder, GOLD_ONLY)
    student = train(tmp_path / "student", toy_task, toy_encoder_folder, DistillationSettings())
    assert not {"soft_labels", "teacher_embeddings"} & set(datasets[1])
    state = by_gold.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in student.state_dict().items())


def test_embeddings_of_another_width_than_the_students_are_refused(toy_task, toy_encoder_folder, tmp_path):
    soft_labels, embeddings = np.full((90, 3), 1 / 3, dtype=np.float32), np.ones((90, 31), dtype=np.float32)
    with pytest.raises(ReAugKDError, match="are 31 wide and the student's 32"):
        train(
            tmp_path, toy_task, toy_encoder_folder, DistillationSettings(),
            soft_labels=soft_labels, teacher_embeddings=embeddings,
        )  # fmt: skip
