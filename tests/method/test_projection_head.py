"""The projection head."""

import numpy as np
import torch

from reaugkd.method.projection_head import ProjectionHead


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
