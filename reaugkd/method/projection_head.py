"""The projection head: what turns the frozen teacher's embeddings into those of the memory, in the student's width."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class ProjectionHead(nn.Module):
    """One linear layer from the teacher's width to the student's, outputs of length 1 (z_i).

    Parameters
    ----------
    teacher_width : int
        Width H_t of ``teacher_hidden``.
    student_width : int
        Width d of the student's embedding.
    """

    def __init__(self, teacher_width: int, student_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(teacher_width, student_width)

    def forward(self, teacher_hidden: Tensor) -> Tensor:
        """Project and normalise.

        Parameters
        ----------
        teacher_hidden : (N, H_t) float
            Pooled outputs of the teacher.

        Returns
        -------
        (N, d) float
            Rows of length 1.
        """
        return nn.functional.normalize(self.linear(teacher_hidden), dim=-1)

    @torch.inference_mode()
    def project(self, teacher_hidden: NDArray[np.floating]) -> NDArray[np.float32]:
        """Project arrays: ``teacher_hidden`` (N, H_t) to ``teacher_embeddings`` (N, d) float32."""
        hidden = torch.as_tensor(np.asarray(teacher_hidden, dtype=np.float32), device=self.linear.weight.device)
        return self(hidden).float().cpu().numpy()
