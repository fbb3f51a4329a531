"""Each loss against NumPy float64, and its gradient against its slope."""

import numpy as np
import pytest
import torch
from losses_by_hand import leave_one_out_by_hand, relational_by_hand, soft_label_by_hand, softmax, unit
from torch import nn

from reaugkd.losses import cosine_loss, leave_one_out_loss, relational_loss, soft_label_cross_entropy


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


def test_the_cosine_loss_is_the_formula(arrays):
    loss = cosine_loss(*tensors(arrays, "x", "z"))
    assert loss.item() == pytest.approx(np.mean([1 - a @ b for a, b in zip(arrays["x"], arrays["z"], strict=True)]))
    assert cosine_loss(*tensors(arrays, "z", "z")).item() == pytest.approx(0, abs=1e-12)


ROWS = torch.tensor([3, 0, 10, 7, 1, 2])


@pytest.mark.parametrize("tau", [0.05, 0.1, 1.0])
def test_the_leave_one_out_loss_is_the_formula(arrays, tau):
    memory_soft = softmax(np.random.default_rng(1).normal(size=(11, 4)))
    x, soft, memory = tensors(arrays, "x", "soft", "memory")
    loss = leave_one_out_loss(x, soft, memory, torch.tensor(memory_soft), ROWS, tau)
    wanted = leave_one_out_by_hand(arrays["x"], arrays["soft"], arrays["memory"], memory_soft, ROWS.tolist(), tau)
    assert loss.item() == pytest.approx(wanted, rel=1e-9)


def test_a_text_never_retrieves_itself(arrays):
    x, soft, memory = tensors(arrays, "x", "soft", "memory")
    memory_soft = torch.tensor(softmax(np.random.default_rng(1).normal(size=(11, 4))))
    before = leave_one_out_loss(x[:1], soft[:1], memory, memory_soft, ROWS[:1])
    memory[3], memory_soft[3] = x[0], soft[0]  # row 3 is the text's own
    assert leave_one_out_loss(x[:1], soft[:1], memory, memory_soft, ROWS[:1]).item() == before.item()


def test_the_leave_one_out_losss_gradient_is_its_slope(arrays):
    x, soft, memory = tensors(arrays, "x", "soft", "memory")
    memory_soft = torch.tensor(softmax(np.random.default_rng(1).normal(size=(11, 4))))
    x.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda values: leave_one_out_loss(values, soft, memory, memory_soft, ROWS, 0.3), (x,)
    )
