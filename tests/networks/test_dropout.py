"""Dropout on a CPU: the share it zeroes, what it leaves, gradients, and torch's attention as the measure of ours."""

import numpy as np
import pytest
import torch
from torch import nn

from reaugkd.networks.dropout import FastDropout, attention, dropout

attend = nn.functional.scaled_dot_product_attention


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_share_is_zeroed_and_the_others_are_enlarged(kind, share):
    torch.manual_seed(0)
    values = torch.ones(101, 1003, dtype=kind)
    found = dropout(values, share)
    zeroed = (found == 0).float().mean().item()
    assert abs(zeroed - share) < 5 * np.sqrt(share * (1 - share) / values.numel())
    assert found.dtype == kind
    torch.testing.assert_close(found[found != 0].unique(), torch.tensor([1 / (1 - share)], dtype=kind))


def test_neighbours_of_one_drawn_number_are_zeroed_independently():
    torch.manual_seed(0)
    zeroed = (dropout(torch.ones(40_000, 4), 0.5) == 0).double()
    correlation = np.corrcoef(zeroed.numpy().T)
    assert np.abs(correlation - np.eye(4)).max() < 5 / np.sqrt(len(zeroed))


def test_the_same_seed_zeroes_the_same_and_another_draw_others():
    values = torch.randn(7, 13)
    torch.manual_seed(3)
    first, second = dropout(values, 0.3), dropout(values, 0.3)
    torch.manual_seed(3)
    torch.testing.assert_close(dropout(values, 0.3), first, rtol=0, atol=0)
    assert not torch.equal(first, second)


def test_the_gradient_passes_where_a_value_is_left():
    values = torch.randn(9, 31, requires_grad=True)
    found = dropout(values, 0.4)
    found.sum().backward()
    torch.testing.assert_close(values.grad, torch.where(found == 0, 0.0, 1 / 0.6))


def test_nothing_is_zeroed_out_of_training_and_inplace_changes_the_values_themselves():
    values = torch.randn(4, 5)
    assert dropout(values, 0.5, training=False) is values
    assert dropout(values, 0.0) is values
    changed = torch.ones(50)
    assert dropout(changed, 0.5, inplace=True) is changed
    assert set(changed.tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("mask", ["none", "truth", "added"])
def test_attention_without_dropout_is_that_of_torch(mask, scale):
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 6, 8, dtype=torch.float64).unbind()
    seen = torch.rand(2, 1, 1, 6) > 0.4
    seen[..., 0] = True
    masks = {"none": None, "truth": seen, "added": torch.where(seen, 0.0, -1e9).double()}
    expected = attend(query, key, value, attn_mask=masks[mask], scale=scale)
    # The weights are those of float32, as torch's softmax of a bfloat16 score is.
    torch.testing.assert_close(attention(query, key, value, masks[mask], 0.0, scale), expected, rtol=1e-5, atol=1e-6)


def test_attention_with_dropout_is_on_average_that_without():
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 6, 8).unbind()
    drawn = torch.stack([attention(query, key, value, None, 0.2, None) for _ in range(4_000)])
    error = drawn.std(dim=0) / len(drawn) ** 0.5
    assert ((drawn.mean(dim=0) - attend(query, key, value)).abs() < 5 * error).all()


def test_every_dropout_of_a_network_is_taken_over_and_torch_has_its_own_again():
    layer = nn.Dropout(0.5)
    values, (query, key, value) = torch.ones(100), torch.randn(3, 2, 6, 8).unbind()
    results = []
    for _ in range(2):
        torch.manual_seed(0)
        with FastDropout():
            results.append((layer(values), attend(query, key, value, dropout_p=0.5)))
    torch.manual_seed(0)
    ours = dropout(values, 0.5), attention(query, key, value, None, 0.5, None)
    for found in results:
        torch.testing.assert_close(found, ours, rtol=0, atol=0)
    torch.manual_seed(0)
    assert not torch.equal(layer(values), ours[0])
    layer.eval()
    with FastDropout():
        assert layer(values) is values


def test_attention_that_an_encoder_does_not_need_stays_that_of_torch():
    query, key, value = torch.randn(3, 1, 6, 8).unbind()
    with FastDropout():
        found = attend(query, key, value, is_causal=True, dropout_p=0.5)
    # The first token sees itself alone: its value is zeroed or doubled.
    assert torch.equal(found[0, 0], torch.zeros(8)) or torch.allclose(found[0, 0], 2 * value[0, 0])
