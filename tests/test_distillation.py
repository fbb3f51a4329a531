"""Distillation: both losses against NumPy, and whether the teacher reaches the student."""

import numpy as np
import pytest
import torch
from torch import nn

from reaugkd.data import SPLITS
from reaugkd.distillation import (
    DistillationObjective,
    DistillationSettings,
    relational_loss,
    soft_label_cross_entropy,
    train_student,
)
from reaugkd.encoders import TextClassifier
from reaugkd.errors import ReAugKDError
from reaugkd.projection import ContrastiveObjective
from reaugkd.teacher import ClassificationObjective
from reaugkd.trainer import TrainingSettings


def softmax(values):
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def soft_label_by_hand(soft_labels, logits, temperature):
    softened = soft_labels ** (1 / temperature)
    softened = softened / softened.sum(axis=1, keepdims=True)
    student = softmax(logits / temperature)
    return temperature**2 * np.mean([-(t * np.log(s)).sum() for t, s in zip(softened, student, strict=True)])


def relational_by_hand(x, z, candidates, tau, direction):
    total = 0.0
    for i in range(len(x)):
        q = softmax(np.asarray([z[i] @ c / tau for c in candidates]))
        p = softmax(np.asarray([x[i] @ c / tau for c in candidates]))
        first, second = (q, p) if direction == "teacher_student" else (p, q)
        total += sum(a * np.log(a / b) for a, b in zip(first, second, strict=True))
    return total / len(x)


@pytest.fixture
def arrays():
    random = np.random.default_rng(0)
    return {
        "soft": softmax(random.normal(size=(6, 4)) * 2),
        "logits": random.normal(size=(6, 4)),
        "x": unit(random.normal(size=(6, 5))),
        "z": unit(random.normal(size=(6, 5))),
        "memory": unit(random.normal(size=(11, 5))),
    }


def tensors(arrays, *names):
    return [torch.tensor(arrays[name]) for name in names]


@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])
def test_the_soft_label_loss_is_the_formula(arrays, temperature):
    loss = soft_label_cross_entropy(*tensors(arrays, "soft", "logits"), temperature)
    assert loss.item() == pytest.approx(soft_label_by_hand(arrays["soft"], arrays["logits"], temperature), rel=1e-10)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_soft_label_that_is_certain_gives_the_plain_cross_entropy_at_any_temperature(arrays, temperature):
    certain, logits = np.eye(4)[[0, 1, 2, 3, 0, 1]], torch.tensor(arrays["logits"])
    loss = soft_label_cross_entropy(torch.tensor(certain), logits, temperature)
    plain = nn.functional.cross_entropy(logits / temperature, torch.tensor([0, 1, 2, 3, 0, 1])) * temperature**2
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)


def test_the_soft_label_loss_is_lowest_where_the_student_says_what_the_teacher_says(arrays):
    soft = torch.tensor(arrays["soft"])
    logits = soft.log().requires_grad_()
    loss = soft_label_cross_entropy(soft, logits)
    loss.backward()
    assert loss.item() == pytest.approx(-(arrays["soft"] * np.log(arrays["soft"])).sum(axis=1).mean(), rel=1e-10)
    assert logits.grad.abs().max() < 1e-12


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_soft_label_losss_gradient_is_its_slope(arrays, temperature):
    soft, logits = tensors(arrays, "soft", "logits")
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda values: soft_label_cross_entropy(soft, values, temperature), (logits,))


@pytest.mark.parametrize("direction", ["teacher_student", "student_teacher"])
@pytest.mark.parametrize("candidates", ["z", "memory"])
@pytest.mark.parametrize("tau", [0.05, 0.1, 1.0])
def test_the_relational_loss_is_the_formula(arrays, candidates, direction, tau):
    loss = relational_loss(*tensors(arrays, "x", "z", candidates), tau, direction)
    wanted = relational_by_hand(arrays["x"], arrays["z"], arrays[candidates], tau, direction)
    assert loss.item() == pytest.approx(wanted, rel=1e-9)
    assert wanted > 0


def test_the_papers_direction_is_the_default_and_the_directions_differ(arrays):
    given = tensors(arrays, "x", "z", "memory")
    assert relational_loss(*given).item() == relational_loss(*given, 0.1, "teacher_student").item()
    assert abs(relational_loss(*given).item() - relational_loss(*given, 0.1, "student_teacher").item()) > 0.01


@pytest.mark.parametrize("direction", ["teacher_student", "student_teacher"])
def test_the_relational_loss_is_zero_where_the_student_lands_on_the_teacher(arrays, direction):
    z, memory = tensors(arrays, "z", "memory")
    x = z.clone().requires_grad_()
    loss = relational_loss(x, z, memory, 0.1, direction)
    loss.backward()
    assert abs(loss.item()) < 1e-12
    assert x.grad.abs().max() < 1e-12


@pytest.mark.parametrize("direction", ["teacher_student", "student_teacher"])
def test_the_relational_losss_gradient_is_its_slope(arrays, direction):
    x, z, memory = tensors(arrays, "x", "z", "memory")
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda values: relational_loss(values, z, memory, 0.3, direction), (x,))


@pytest.mark.parametrize("name", ["z", "memory"])
def test_one_changed_teacher_embedding_changes_the_relational_loss(arrays, name):
    before = relational_loss(*tensors(arrays, "x", "z", "memory")).item()
    arrays[name][2] = unit(arrays[name][2] + 0.3)
    assert abs(relational_loss(*tensors(arrays, "x", "z", "memory")).item() - before) > 1e-3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"relational_weight": -1}, "relational_weight is -1; it must not be below 0"),
        ({"soft_label_weight": -1}, "soft_label_weight is -1; it must not be below 0"),
        ({"gold_label_weight": -1}, "gold_label_weight is -1; it must not be below 0"),
        ({"soft_label_weight": 0}, "Both soft_label_weight and gold_label_weight are 0"),
        ({"distillation_temperature": 0}, "distillation_temperature is 0; it must be above 0"),
        ({"relational_temperature": -0.1}, r"relational_temperature is -0\.1; it must be above 0"),
        ({"candidates": "all"}, "candidates is 'all'; it must be one of batch, memory"),
        ({"kl_direction": "both"}, "kl_direction is 'both'; it must be one of teacher_student, student_teacher"),
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
    return (
        settings.gold_label_weight * gold
        + settings.soft_label_weight * soft_label_by_hand(soft, logits, settings.distillation_temperature)
        + settings.relational_weight
        * relational_by_hand(unit(pooled), z, candidates, settings.relational_temperature, settings.kl_direction)
    )


@pytest.mark.parametrize(
    "settings",
    [
        DistillationSettings(),
        DistillationSettings(candidates="batch"),
        DistillationSettings(relational_weight=0),
        DistillationSettings(soft_label_weight=0, gold_label_weight=1, relational_weight=0),
        DistillationSettings(0.7, 0.3, 2.0, 2.0, 0.2, "batch", "student_teacher"),
    ],
    ids=["default", "batch", "kd", "gold", "all"],
)
def test_the_students_loss_is_the_weighted_sum_of_its_parts(student, batch, settings):
    loss = DistillationObjective(student, settings, MEMORY)(**batch)["loss"].item()
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


def test_the_memory_is_no_weight_and_is_not_saved(student):
    objective = DistillationObjective(student, DistillationSettings(), MEMORY)
    assert "memory" not in objective.state_dict()
    assert all(value is not objective.memory for value in objective.parameters())


@pytest.mark.parametrize("objective", [ClassificationObjective, ContrastiveObjective, DistillationObjective])
def test_the_trainer_divides_each_loss_by_the_accumulation_steps(objective):
    assert objective.accepts_loss_kwargs is False


SETTINGS = TrainingSettings(epochs=6, learning_rate=4e-4, batch_size=16, bf16=False, freeze_word_embeddings=False)


def train(folder, toy_task, toy_encoder_folder, distillation, **teacher):
    return train_student(
        toy_encoder_folder, toy_task, SETTINGS, distillation, folder, "Student",
        layers=2, max_length=16, on_progress=lambda _: None, **teacher,
    )  # fmt: skip


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


def test_the_same_seed_gives_the_same_student(toy_task, toy_encoder_folder, tmp_path):
    gold_only = DistillationSettings(soft_label_weight=0, gold_label_weight=1, relational_weight=0)
    first, again = (train(tmp_path / run, toy_task, toy_encoder_folder, gold_only) for run in ("first", "again"))
    state = again.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in first.state_dict().items())
    assert not first.training


@pytest.mark.parametrize(
    ("distillation", "missing"),
    [
        (DistillationSettings(), "soft_labels"),
        (DistillationSettings(soft_label_weight=0, gold_label_weight=1), "teacher_embeddings"),
    ],
)
def test_a_loss_that_lacks_the_teachers_values_is_refused(
    toy_task, toy_encoder_folder, tmp_path, distillation, missing
):
    with pytest.raises(ReAugKDError, match=f"needs the teacher's {missing}"):
        train(tmp_path, toy_task, toy_encoder_folder, distillation)


def test_embeddings_of_another_width_than_the_students_are_refused(toy_task, toy_encoder_folder, tmp_path):
    soft_labels, embeddings = np.full((90, 3), 1 / 3, dtype=np.float32), np.ones((90, 31), dtype=np.float32)
    with pytest.raises(ReAugKDError, match="are 31 wide and the student's 32"):
        train(
            tmp_path, toy_task, toy_encoder_folder, DistillationSettings(),
            soft_labels=soft_labels, teacher_embeddings=embeddings,
        )  # fmt: skip
