"""Each loss against NumPy float64, and its gradient against its slope."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from losses_by_hand import relational_by_hand, soft_label_by_hand, softmax, unit
from torch import nn

from reaugkd.method.losses import relational_loss, soft_label_cross_entropy


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


@pytest.mark.parametrize("candidates", ["z", "memory"])
@pytest.mark.parametrize("tau", [0.05, 0.1, 1.0])
def test_the_relational_loss_is_the_formula(arrays, candidates, tau):
    loss = relational_loss(*tensors(arrays, "x", "z", candidates), tau)
    wanted = relational_by_hand(arrays["x"], arrays["z"], arrays[candidates], tau)
    assert loss.item() == pytest.approx(wanted, rel=1e-9)
    assert wanted > 0


def test_the_relational_loss_is_zero_where_the_student_lands_on_the_teacher(arrays):
    z, memory = tensors(arrays, "z", "memory")
    x = z.clone().requires_grad_()
    loss = relational_loss(x, z, memory, 0.1)
    loss.backward()
    assert abs(loss.item()) < 1e-12
    assert x.grad.abs().max() < 1e-12


def test_the_relational_losss_gradient_is_its_slope(arrays):
    x, z, memory = tensors(arrays, "x", "z", "memory")
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda values: relational_loss(values, z, memory, 0.3), (x,))


@pytest.mark.parametrize("name", ["z", "memory"])
def test_one_changed_teacher_embedding_changes_the_relational_loss(arrays, name):
    before = relational_loss(*tensors(arrays, "x", "z", "memory")).item()
    arrays[name][2] = unit(arrays[name][2] + 0.3)
    assert abs(relational_loss(*tensors(arrays, "x", "z", "memory")).item() - before) > 1e-3


@pytest.mark.slow  # three processes import torch and accelerate
def test_two_processes_have_the_loss_and_the_gradients_of_one(tmp_path):
    script, found = Path(__file__).with_name("gradients.py"), {}
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1"]
    launch += ["--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0"]
    for processes, launched in ((1, []), (2, launch)):
        path = tmp_path / f"{processes}.pt"
        subprocess.run([sys.executable, *launched, str(script), str(path)], check=True, capture_output=True)
        found[processes] = torch.load(path)
        assert found[processes].pop("processes") == processes
    assert found[1].keys() == {"batch", "memory", "contrastive"}
    for name, (loss, gradients) in found[1].items():
        torch.testing.assert_close(found[2][name][0], loss)
        for one, two in zip(gradients, found[2][name][1], strict=True):
            assert one.abs().max() > 0.01
            torch.testing.assert_close(two, one, atol=1e-5, rtol=1e-5)
