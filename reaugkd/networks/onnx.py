"""A network as an ONNX file: ONNX Runtime answers from it on the CPU as torch does, in less time."""

import io
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reaugkd.errors import ReAugKDError, reason
from reaugkd.networks.encoders import SAME, TextClassifier
from reaugkd.texts import Text

TRIED = 64  # texts of each length


class OnnxNetwork:
    """A network as ONNX Runtime runs it.

    Parameters
    ----------
    content : bytes
        What the ONNX file holds. It is kept, since a model is saved again whole, also where nothing can run it.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.session: Any = None
        if find_spec("onnxruntime"):
            from onnxruntime import InferenceSession, SessionOptions

            options = SessionOptions()  # none of its threads spins, or torch's and FAISS's would wait
            options.intra_op_num_threads = torch.get_num_threads()
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            self.session = InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def __reduce__(self) -> tuple[type, tuple[bytes]]:
        return OnnxNetwork, (self.content,)  # a session can be neither copied nor pickled

    def __call__(self, **tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return what :meth:`reaugkd.networks.encoders.TextClassifier.forward` does, by ONNX Runtime."""
        assert self.session is not None
        outputs = self.session.run(None, {name: values.numpy() for name, values in tokens.items()})
        embedding, logits = (torch.from_numpy(output) for output in outputs)
        return embedding, logits


class _ByPosition(nn.Module):
    """A network whose inputs have an order, as the exporter wants them."""

    def __init__(self, network: TextClassifier, names: Sequence[str]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *values: Tensor) -> tuple[Tensor, Tensor]:
        return self.network(**dict(zip(self.names, values, strict=True)))


def export_onnx(network: TextClassifier, texts: Sequence[Text]) -> OnnxNetwork:
    """Export a network, and check that it says the same of some texts.

    Parameters
    ----------
    network : TextClassifier
        On the CPU; it stays as it is.
    texts : sequence of Text
        At least one text or pair that it can read; the 64 shortest and the 64 longest are tried.

    Returns
    -------
    OnnxNetwork
        For ``network.onnx``: :meth:`~reaugkd.networks.encoders.TextClassifier.encode` then runs it.

    Raises
    ------
    ReAugKDError
        If onnx and onnxruntime are not installed, the architecture cannot be exported, or the outputs differ.
    """
    for package in ("onnx", "onnxruntime"):
        if find_spec(package) is None:
            raise ReAugKDError(f"The export needs {package}; install it with: pip install 'reaugkd[onnx]'")
    by_length = sorted(texts, key=lambda text: len("".join(text)))
    tried = [by_length[:TRIED], by_length[-TRIED:], by_length[:1], by_length[-1:]]
    try:
        exported = OnnxNetwork(_exported(network.eval(), _batch(network, [by_length[0], by_length[-1]])))
        differences = [_difference(network, exported, some) for some in tried]
    except Exception as error:  # each architecture fails in a way of its own
        raise ReAugKDError(
            f"A {type(network.encoder).__name__} cannot be exported to ONNX ({reason(error)[:200]}); use it as it is."
        ) from error
    if max(differences) > SAME:
        raise ReAugKDError(
            f"The exported {type(network.encoder).__name__} says something else than the network "
            f"(by {max(differences):.2g}); use the network as it is."
        )
    return exported


def _exported(network: TextClassifier, tokens: Mapping[str, Tensor]) -> bytes:
    """Return the ONNX file of a network that is traced at two texts; their number and length may be others later."""
    names, file = list(tokens), io.BytesIO()
    with warnings.catch_warnings():  # torch's other exporter needs two packages more, and twelve times the seconds
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _ByPosition(network, names).eval(),
            tuple(tokens.values()),
            file,  # type: ignore[arg-type]  # the exporter that is asked for takes it
            input_names=names,
            output_names=["x", "logits"],
            dynamic_axes={name: {0: "texts", 1: "tokens"} for name in names},
            dynamo=False,
        )
    return file.getvalue()


def _batch(network: TextClassifier, texts: Sequence[Text]) -> dict[str, Tensor]:
    return dict(network.tokenizer.pad(network.tokenize(texts), return_tensors="pt"))


def _difference(network: TextClassifier, exported: OnnxNetwork, texts: Sequence[Text]) -> float:
    """Return the most by which an output differs, as a share where it is above 1."""
    tokens = _batch(network, texts)
    with torch.inference_mode():
        wanted = network(**tokens)
    pairs = ((one.numpy(), other.numpy()) for one, other in zip(wanted, exported(**tokens), strict=True))
    return max(float((np.abs(one - other) / np.maximum(np.abs(one), 1)).max()) for one, other in pairs)
