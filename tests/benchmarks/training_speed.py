"""Measure distillation beside what people would use instead: ``make bench PARTS=training``; see :mod:`bench`.

One fine-tuned teacher, one student of two layers, the same rows, epochs, batches and learning rate for all:

- ``reaugkd``: the teacher's pass over the train rows, the projection head, and the student by our whole loss;
- ``reaugkd, soft labels alone``: the same without projection head and relational loss, which is what the others learn;
- ``Trainer``: transformers' own with the teacher in every step, float32, as it is set by default;
- ``Trainer, tuned``: the same in bfloat16 where the machine computes in it, batches of like length, fused AdamW, and
  the teacher in inference mode;
- ``TextBrewer``: its GeneralDistiller, where ``pip install textbrewer tensorboardX`` has installed it.

The tables hold the seconds from a tuned teacher to a trained student, and the accuracy on the test rows. All begin with
tokenised rows of no more than 128 tokens, padded by batch; the teacher reads them by its own tokenizer. The fine-tuning
of the teacher is the same for all and not counted.
"""

import tempfile
import time
from dataclasses import replace

import numpy as np
import torch
from datasets import Dataset
from timing import ratio
from transformers import DataCollatorWithPadding, PrinterCallback, Trainer, TrainingArguments, set_seed

import reaugkd as rk
from reaugkd.method.distillation import Student
from reaugkd.method.losses import soft_label_cross_entropy
from reaugkd.method.memory import Memory
from reaugkd.method.projection import ProjectionHead
from reaugkd.method.teacher import Teacher
from reaugkd.networks.trainer import computes_bf16, silent
from reaugkd.networks.weights import LARGE_ENCODER, find_weights
from reaugkd.recipe import DEFAULT_ENCODER
from reaugkd.tasks.task import make_task

TEACHERS = {"MiniLM, 6 layers": DEFAULT_ENCODER, "mpnet, 12 layers": LARGE_ENCODER}
EPOCHS = 10
TEACHER = "teacher_"  # begins the names of what the teacher reads
OURS, SOFT, PLAIN, TUNED, TEXTBREWER = (
    "reaugkd",
    "reaugkd, soft labels alone",
    "Trainer",
    "Trainer, tuned",
    "TextBrewer",
)
BARS = {PLAIN: 5.0, TUNED: 2.0, TEXTBREWER: 3.0}


def by_us(task, teacher, recipe, loss):
    """Distil by the library: the teacher reads each row once."""
    hidden, soft_labels = teacher.read(task.texts("train"))
    if loss.aligns:
        z = ProjectionHead.fit(task, hidden, recipe, on_progress=silent).project(hidden)
    else:
        z = np.ones((len(hidden), 1), dtype=np.float32)  # nothing reads them
    memory = Memory.of(task, soft_labels, z)
    return Student.fit(task, memory, replace(recipe, distillation=loss), on_progress=silent)


def own(tokens, prefix):
    """Return what one network reads of a row or batch that holds the tokens of both."""
    of_network = (name for name in tokens if name.startswith(TEACHER) == bool(prefix))
    return {name.removeprefix(prefix): tokens[name] for name in of_network}


class Reads(torch.nn.Module):
    """A network that reads its own tokens of a batch that holds those of both."""

    def __init__(self, network, prefix=""):
        super().__init__()
        self.network, self.prefix = network, prefix

    def forward(self, **batch):
        return self.network(**own(batch, self.prefix))


class Padded:
    """Makes a batch of rows: pads the tokens of each network by its own tokenizer."""

    def __init__(self, student, teacher):
        self.pads = {
            "": DataCollatorWithPadding(student.tokenizer),
            TEACHER: DataCollatorWithPadding(teacher.tokenizer),
        }

    def __call__(self, rows):
        batches = {prefix: pad([own(row, prefix) for row in rows]) for prefix, pad in self.pads.items()}
        return {prefix + name: value for prefix, batch in batches.items() for name, value in batch.items()}


class Online(Trainer):
    """Distillation as it is mostly written: the teacher runs in every step."""

    def __init__(self, teacher, no_gradient, **options):
        super().__init__(**options)
        self.teacher, self.no_gradient = teacher, no_gradient

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        # The Trainer puts the student alone into bfloat16.
        with self.no_gradient(), torch.autocast("cpu", torch.bfloat16, enabled=self.args.bf16):
            soft_labels = torch.softmax(self.teacher(**inputs)[1].float(), dim=-1)
        _, logits = model(**inputs)
        return soft_label_cross_entropy(soft_labels.clone(), logits.float())  # of inference mode none can be kept


def fresh_student(task, teacher, recipe):
    """Return the student that every method starts from, and the tokens of the train rows for it and for its teacher."""
    set_seed(recipe.seed)
    student = Student.from_pretrained(find_weights(recipe.student), len(task.label_names), layers=recipe.student_layers)
    texts = task.texts("train")
    of_teacher = {TEACHER + name: ids for name, ids in teacher.tokenize(texts).items()}
    return student, Dataset.from_dict({**student.tokenize(texts), **of_teacher})


def by_trainer(task, teacher, recipe, tuned):
    """Distil by the Trainer, as it is set by default or as a good engineer sets it."""
    student, rows = fresh_student(task, teacher, recipe)
    settings, options = recipe.student_training, {}
    if tuned:
        options = {"bf16": computes_bf16(), "optim": "adamw_torch_fused", "train_sampling_strategy": "group_by_length"}
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            per_device_train_batch_size=settings.batch_size,
            warmup_steps=settings.warmup_share,
            weight_decay=settings.weight_decay,
            seed=settings.seed,
            use_cpu=True,
            remove_unused_columns=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            **options,
        )
        trainer = Online(
            Reads(teacher, TEACHER),
            torch.inference_mode if tuned else torch.no_grad,
            model=Reads(student),
            args=arguments,
            train_dataset=rows,
            data_collator=Padded(student, teacher),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return student.eval()


def by_textbrewer(task, teacher, recipe):
    """Distil by TextBrewer's soft labels."""
    from textbrewer import DistillationConfig, GeneralDistiller, TrainingConfig
    from transformers import get_linear_schedule_with_warmup

    student, rows = fresh_student(task, teacher, recipe)
    settings = recipe.student_training
    loader = torch.utils.data.DataLoader(
        rows.to_list(), settings.batch_size, shuffle=True, collate_fn=Padded(student, teacher)
    )
    optimizer = torch.optim.AdamW(student.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    steps = len(loader) * int(settings.epochs)
    schedule = {"num_warmup_steps": int(settings.warmup_share * steps), "num_training_steps": steps}

    def adapted(_, outputs):
        return {"logits": outputs[1]}

    with tempfile.TemporaryDirectory() as folder:
        training = TrainingConfig(
            output_dir=folder, log_dir=None, ckpt_frequency=1, ckpt_epoch_frequency=10**6, device="cpu"
        )
        distiller = GeneralDistiller(
            training,
            DistillationConfig(temperature=1, kd_loss_type="ce"),
            Reads(teacher, TEACHER),
            Reads(student),
            adapted,
            adapted,
        )
        with distiller:
            distiller.train(
                optimizer, loader, int(settings.epochs), get_linear_schedule_with_warmup, schedule, max_grad_norm=1.0
            )
    return student.eval()


def cut(task, share):
    """Return the task with a share of its train rows."""
    tables = {split: task.table(split) for split in ("train", "validation", "test")}
    rows = tables["train"].sample(frac=share, random_state=0).reset_index(drop=True)
    return make_task(task.name, tables | {"train": rows}, label_names=task.label_names)


def measure(*, share=1.0, seeds=3, clock=time.perf_counter, teachers=tuple(TEACHERS), say=print):
    """Return tables of seconds and accuracies, and of ratios; ``share`` of the train rows."""
    task = rk.load_task("shoptalk")
    task = task if share == 1 else cut(task, share)
    found, ratios = [], []
    for teacher_name in teachers:
        recipe = rk.Recipe(teacher=TEACHERS[teacher_name], epochs=EPOCHS, teacher_epochs=6).for_task(task)
        say(f"Training: {teacher_name} is fine-tuned")
        teacher = Teacher.fit(task, recipe, on_progress=silent)
        alone = replace(recipe.distillation, relational_weight=0.0)
        ways = {
            OURS: lambda teacher, recipe: by_us(task, teacher, recipe, recipe.distillation),
            SOFT: lambda teacher, recipe, alone=alone: by_us(task, teacher, recipe, alone),
            PLAIN: lambda teacher, recipe: by_trainer(task, teacher, recipe, tuned=False),
            TUNED: lambda teacher, recipe: by_trainer(task, teacher, recipe, tuned=True),
            TEXTBREWER: lambda teacher, recipe: by_textbrewer(task, teacher, recipe),
        }
        try:
            import textbrewer  # noqa: F401
        except ImportError as error:
            say(f"TextBrewer is left out ({error}); pip install textbrewer tensorboardX")
            del ways[TEXTBREWER]
        times, right = {name: [] for name in ways}, {name: [] for name in ways}
        for seed in range(seeds):
            seeded = replace(recipe, seed=seed).for_task(task)
            for name, distil in ways.items():
                say(f"Training: {teacher_name}, seed {seed}, {name}")
                start = clock()
                student = distil(teacher, seeded)
                times[name].append(clock() - start)
                said = student.encode(task.texts("test"))[1].argmax(axis=1)
                right[name].append(100 * float((said == task.labels("test")).mean()))
        texts = len(task.rows["train"]) * EPOCHS
        times = {name: np.asarray(spent) for name, spent in times.items()}
        for name, spent in times.items():
            row = {"teacher": teacher_name, "method": name, "median, s": float(np.median(spent))}
            row |= {"examples a second": texts / row["median, s"], "accuracy, %": float(np.mean(right[name]))}
            error = float(np.std(right[name], ddof=1) / np.sqrt(seeds)) if seeds > 1 else float("nan")
            found.append(row | {"standard error": error})
        for name in times:
            if name not in (OURS, SOFT):
                ratios += [{"teacher": teacher_name} | ratio(times, name, OURS, BARS[name])]
                ratios += [{"teacher": teacher_name} | ratio(times, name, SOFT)]
    return {"whole trainings": found, "ratios": ratios}
