"""Dropout on a CPU in a third of torch's time: torch draws a number for each element, a fifth of a student's step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

MASKS = 4  # of one number of torch's generator, 16 of its 64 bits each


def dropout(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero a share of values and enlarge the others, as :func:`torch.nn.functional.dropout` does.

    Parameters
    ----------
    values : Tensor
        Of any shape and floating type, on a CPU.
    p : float
        The share, from 0 to below 1; it is rounded to a 65,536th.
    training : bool
        Whether any is zeroed.
    inplace : bool
        Whether the values themselves are changed.

    Returns
    -------
    Tensor
        As ``values``; the same by the same seed of torch's generator, and others than torch's.
    """
    if not training or not p:
        return values
    numbers = torch.empty(-(-values.numel() // MASKS), dtype=torch.int64).random_(-(2**63), None)
    numbers = numbers.view(torch.int16)[: values.numel()].view(values.shape)
    mask = torch.ge(numbers, round(p * 2**16) - 2**15, out=torch.empty_like(values)).mul_(1 / (1 - p))
    return values.mul_(mask) if inplace else values * mask


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, p: float, scale: float | None) -> Tensor:
    """Attend with dropout, in the type of the query; torch does so in float32 on a CPU.

    Parameters
    ----------
    query, key, value : (..., L, d) Tensor
        Of each head.
    mask : Tensor or None
        Which key a query sees, as a truth value, or what is added to their score.
    p : float
        The share of the weights that are zeroed.
    scale : float or None
        Of the scores; one over the root of d if None.

    Returns
    -------
    (..., L, d) Tensor
        Sums of values.
    """
    scores = query * (query.shape[-1] ** -0.5 if scale is None else scale) @ key.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
    return dropout(weights, p) @ value


class FastDropout(TorchFunctionMode):
    """While it is entered, dropout is that of this file, whichever network asks for it."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: Any = (), options: dict[str, Any] | None = None
    ) -> Any:
        options = options or {}
        if function is nn.functional.dropout:
            return dropout(*arguments, **options)
        is_of_encoder = not (options.get("is_causal") or options.get("enable_gqa"))
        if function is nn.functional.scaled_dot_product_attention and options.get("dropout_p") and is_of_encoder:
            query, key, value = arguments
            return attention(query, key, value, options.get("attn_mask"), options["dropout_p"], options.get("scale"))
        return function(*arguments, **options)
