"""Run by a test, by `accelerate launch` or alone: write losses and gradients of one batch to the named file.

Each process holds its part of the batch, and DistributedDataParallel means the gradients, as in a training.
"""

import sys

import torch
from accelerate import Accelerator
from torch import nn

from reaugkd.method.distillation import NO_LABEL, DistillationObjective
from reaugkd.method.projection import ContrastiveObjective, ProjectionHead
from reaugkd.recipe import DistillationSettings


class Tokens(nn.Module):
    """In the place of a classifier: a layer each for embedding and logits of what stands for tokens."""

    def __init__(self):
        super().__init__()
        self.embedding, self.logits = nn.Linear(5, 4), nn.Linear(5, 3)

    def forward(self, tokens):
        return self.embedding(tokens), self.logits(tokens)


def main():
    torch.manual_seed(0)
    rows = {
        "tokens": torch.randn(8, 5),
        "labels": torch.tensor([0, 1, 2, NO_LABEL, NO_LABEL, NO_LABEL, 1, NO_LABEL]),
        "soft_labels": torch.softmax(torch.randn(8, 3), dim=-1),
        "teacher_embeddings": nn.functional.normalize(torch.randn(8, 4), dim=-1),
    }
    of_head = {
        "teacher_hidden": torch.randn(8, 6),
        "labels": torch.tensor([0, 1, 0, 2, 1, 0, 1, 1]),
    }  # 2 has no partner
    settings = {"gold_label_weight": 0.7, "embedding_head": False}
    memory = nn.functional.normalize(torch.randn(20, 4), dim=-1)
    objectives = {
        "batch": (DistillationObjective(Tokens(), DistillationSettings(candidates="batch", **settings)), rows),
        "memory": (DistillationObjective(Tokens(), DistillationSettings(**settings), memory), rows),
        "contrastive": (ContrastiveObjective(ProjectionHead(6, 4), 0.1), of_head),
    }
    accelerator = Accelerator(cpu=True)
    part = slice(accelerator.process_index, None, accelerator.num_processes)
    found = {"processes": accelerator.num_processes}
    for name, (objective, batch) in objectives.items():
        prepared = accelerator.prepare(objective)
        loss = prepared(**{column: values[part] for column, values in batch.items()})["loss"]
        accelerator.backward(loss)
        found[name] = accelerator.gather(loss.detach()[None]).mean(), [one.grad for one in objective.parameters()]
    if accelerator.is_main_process:
        torch.save(found, sys.argv[1])


if __name__ == "__main__":
    main()
