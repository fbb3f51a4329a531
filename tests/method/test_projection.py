"""The supervised contrastive loss, and the projection head that it fits."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from toy_data import toy_rows

from reaugkd.method.projection import ContrastiveObjective, ProjectionHead, supervised_contrastive_loss
from reaugkd.recipe import TrainingSettings
from reaugkd.tasks.task import SPLITS, Task, make_task


def unit_rows(rows, width, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(rows, width))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def contrastive_by_hand(z, labels, tau):
    """Khosla et al. 2020, equation 2 (L_out), written out: the mean over the anchors that have a partner."""
    losses = []
    for i in range(len(z)):
        partners = [p for p in range(len(z)) if p != i and labels[p] == labels[i]]
        if not partners:
            continue
        denominator = sum(math.exp(float(z[i] @ z[a]) / tau) for a in range(len(z)) if a != i)
        logs = [math.log(math.exp(float(z[i] @ z[p]) / tau) / denominator) for p in partners]
        losses.append(-sum(logs) / len(partners))
    return sum(losses) / len(losses) if losses else 0.0


@pytest.mark.parametrize("tau", [0.07, 0.1, 1.0])
@pytest.mark.parametrize(
    "labels",
    [[0, 0, 1, 1, 2, 2, 2, 0], [0, 1, 2, 2, 3, 4, 5, 6], [1] * 8],
    ids=["partners", "few partners", "one class"],
)
def test_the_contrastive_loss_is_the_formula(labels, tau):
    z = unit_rows(8, 5)
    loss = supervised_contrastive_loss(torch.tensor(z), torch.tensor(labels), tau)
    assert loss.item() == pytest.approx(contrastive_by_hand(z, labels, tau), rel=1e-10)


def test_the_contrastive_loss_in_single_precision_is_the_formula():
    z, labels = unit_rows(64, 16), np.arange(64) % 5
    loss = supervised_contrastive_loss(torch.tensor(z, dtype=torch.float32), torch.tensor(labels), 0.1)
    assert loss.item() == pytest.approx(contrastive_by_hand(z, labels, 0.1), rel=1e-5)


def test_without_any_partner_the_loss_and_its_gradient_are_zero():
    z = torch.tensor(unit_rows(4, 3), requires_grad=True)
    loss = supervised_contrastive_loss(z, torch.arange(4))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(z.grad, torch.zeros_like(z))


def test_an_anchor_without_partner_still_stands_in_the_others_denominators():
    z, labels = unit_rows(4, 3), [0, 0, 0, 1]
    alone = supervised_contrastive_loss(torch.tensor(z[:3]), torch.tensor(labels[:3])).item()
    assert supervised_contrastive_loss(torch.tensor(z), torch.tensor(labels)).item() > alone


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2], [0, 1, 2, 2, 3]])
def test_the_contrastive_losss_gradient_is_its_slope(labels):
    z = torch.tensor(unit_rows(5, 4), requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: supervised_contrastive_loss(z, torch.tensor(labels), 0.3), (z,))


def test_the_contrastive_losss_gradient_is_finite_at_a_small_temperature():
    z = torch.tensor(unit_rows(16, 4), dtype=torch.float32, requires_grad=True)
    supervised_contrastive_loss(z, torch.arange(16) % 3, 0.01).backward()
    assert torch.isfinite(z.grad).all()


def test_the_objective_is_the_loss_of_the_projections():
    torch.manual_seed(0)
    head = ProjectionHead(7, 4)
    hidden, labels = np.random.default_rng(1).normal(size=(6, 7)).astype(np.float32), [0, 1, 0, 1, 2, 2]
    loss = ContrastiveObjective(head, 0.2)(torch.tensor(hidden), torch.tensor(labels))["loss"].item()
    assert loss == pytest.approx(contrastive_by_hand(head.project(hidden).astype(np.float64), labels, 0.2), rel=1e-5)
    assert ContrastiveObjective.accepts_loss_kwargs is False


def nearest_neighbour_accuracy(z, labels):
    similarities = z @ z.T
    np.fill_diagonal(similarities, -np.inf)
    return (labels[similarities.argmax(axis=1)] == labels).mean()


@pytest.fixture(scope="module")
def hidden_states():
    """Rows whose class lies in 2 small directions of 20, among large noise."""
    random = np.random.default_rng(0)
    labels = np.arange(120) % 3
    hidden = random.normal(size=(120, 20)) * 3
    hidden[:, :2] = np.asarray([[1, 0], [-0.5, 0.9], [-0.5, -0.9]])[labels] + random.normal(size=(120, 2)) * 0.1
    return hidden.astype(np.float32), labels


@pytest.fixture(scope="module")
def fit(hidden_states, toy_encoder_folder):
    """Fit a head for so many epochs."""
    hidden, labels = hidden_states
    rows = {split: toy_rows(2, seed=number) for number, split in enumerate(SPLITS)}
    named = [f"class {label}" for label in labels]
    rows["train"] = pd.DataFrame({"text": [f"row {row}" for row in range(120)], "label": named})
    for split in ("validation", "test"):
        rows[split] = rows[split].assign(label="class 0")
    task, student = make_task("hidden", rows), str(toy_encoder_folder)

    def fit_(epochs, seed=0):
        settings = TrainingSettings(epochs=epochs, learning_rate=2e-2, batch_size=60, bf16=False)
        options = {"student": student, "seed": seed, "on_progress": lambda _: None}
        return ProjectionHead.fit(task, hidden, projection_training=settings, **options)

    return fit_


def test_a_trained_head_separates_classes_that_the_hidden_states_hide(hidden_states, fit):
    hidden, labels = hidden_states
    head = fit(epochs=40)
    assert head.linear.out_features == 32  # the student's width
    unit = hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
    assert nearest_neighbour_accuracy(unit, labels) < 0.7
    assert nearest_neighbour_accuracy(head.project(hidden), labels) > 0.95


def test_only_the_seed_decides_the_head(fit):
    first, again, other = fit(epochs=2), fit(epochs=2), fit(epochs=2, seed=1)
    assert torch.equal(first.linear.weight, again.linear.weight)
    assert not torch.equal(first.linear.weight, other.linear.weight)


def test_a_batch_in_which_no_row_has_a_partner_gives_no_nan(fit, monkeypatch):
    monkeypatch.setattr(Task, "labels", lambda *_: np.arange(120))
    assert torch.isfinite(fit(epochs=2).linear.weight).all()


def test_projections_are_the_normalised_linear_map():
    torch.manual_seed(0)
    head = ProjectionHead(7, 4)
    hidden = np.random.default_rng(1).normal(size=(6, 7)).astype(np.float16)
    weight, bias = (value.detach().numpy().astype(np.float64) for value in head.parameters())
    wanted = hidden.astype(np.float64) @ weight.T + bias
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    projected = head.project(hidden)
    np.testing.assert_allclose(projected, wanted, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(projected.astype(np.float64), axis=1), 1, atol=1e-6)
    assert projected.dtype == np.float32
