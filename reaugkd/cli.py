"""The command line: ``reaugkd weights | teach | black-box | train | ...``."""

import io
import json
import logging
import os
import sys
from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from reaugkd.errors import ReAugKDError

# torch and transformers take seconds to import: each command imports what it needs.

SHOWN_NEIGHBOURS = 8  # --json has all

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Retrieval-augmented knowledge distillation for text classification (ReAugKD, ACL 2023).",
)

TextColumn = Annotated[str | None, typer.Option(help="Column of the text.")]
TextPairColumn = Annotated[str | None, typer.Option(help="Column of the second text, for pairs.")]
LabelColumn = Annotated[str, typer.Option(help="Column of the gold label.")]
Teacher = Annotated[str | None, typer.Option(help="Pretrained encoder to fine-tune as teacher: a name or a folder.")]
Seed = Annotated[int, typer.Option(help="Seed of all trainings.")]
MaxLength = Annotated[int, typer.Option(min=4, help="Tokens after which a text is cut.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
EncoderKey = Annotated[
    str | None, typer.Option(help="Untuned encoder that searches the memory too: a name or a folder.")
]
EncoderKeyLayers = Annotated[int | None, typer.Option(min=1, help="Layers to keep of it, the first so many.")]


def _task(
    task: Annotated[
        str | None, typer.Option(help="shoptalk, glue/TASK, or OWNER/NAME[:CONFIG] of a hub data set.")
    ] = None,
    train: Annotated[
        Path | None, typer.Option("--train", help="Local CSV, TSV, JSONL or Parquet file, in place of --task.")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="Test rows; 20 % of train are held out if left out.")] = None,
    validation: Annotated[
        Path | None, typer.Option(help="Rows to choose k, λ and τ on; 10 % or 50 of train are held out if left out.")
    ] = None,
    unlabelled: Annotated[
        Path | None, typer.Option(help="Texts that only the teacher labels: they teach the student, fill the memory.")
    ] = None,
    text_column: TextColumn = None,
    text_pair_column: TextPairColumn = None,
    label_column: LabelColumn = "label",
    metric: Annotated[
        str | None, typer.Option(help="accuracy, accuracy_and_f1, macro_f1 or matthews_correlation.")
    ] = None,
    positive_label: Annotated[
        str | None, typer.Option(help="Of two classes, the one whose F1 counts (with --train).")
    ] = None,
    train_rows: Annotated[int | None, typer.Option(min=1, help="Draw so many train rows (with --train).")] = None,
    planted_errors: Annotated[
        bool, typer.Option("--planted-errors", help="Plant shoptalk's wrong labels in its train rows.")
    ] = False,
) -> Any:
    """Load the task that these options name."""
    from reaugkd.sources import load_files, load_task

    if (task is None) == (train is None):
        raise ReAugKDError("Name either a --task or a --train file, and not both.")
    if train is None:
        if test or validation:
            raise ReAugKDError("--test and --validation go with --train; a --task has its own splits.")
        if positive_label or train_rows:
            raise ReAugKDError("--positive-label and --train-rows go with --train; leave them out.")
        return load_task(
            str(task),
            text_column=text_column,
            text_pair_column=text_pair_column,
            label_column=label_column,
            metric=metric,
            unlabelled=unlabelled,
            planted_errors=planted_errors,
            say=_say,
        )
    if planted_errors:
        raise ReAugKDError("--planted-errors goes with --task shoptalk only; leave it out.")
    return load_files(
        train,
        test,
        validation,
        text_column=text_column or "text",
        text_pair_column=text_pair_column,
        label_column=label_column,
        metric=metric or "accuracy",
        positive_label=positive_label,
        train_rows=train_rows,
        unlabelled=unlabelled,
        say=_say,
    )


def _on_task(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of :func:`_task`, and first the task that they name."""
    options, (_, *own) = signature(_task).parameters, signature(command).parameters.values()

    @wraps(command)
    def call(**given: Any) -> None:
        loaded = _task(**{name: given[name] for name in options})
        command(loaded, **{parameter.name: given[parameter.name] for parameter in own})

    every = [*options.values(), *(parameter for parameter in own if parameter.name not in options)]
    keywords = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in every]
    call.__signature__ = Signature(keywords)  # type: ignore[attr-defined]  # typer reads it
    return call


def _resumable(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command that goes on where it stopped say so when it is interrupted."""

    @wraps(command)
    def call(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except KeyboardInterrupt:
            _say("\nreaugkd: interrupted; the same command goes on where it stopped.")
            raise typer.Exit(130) from None

    return call


@app.command()
def weights(name: Annotated[str, typer.Argument(help="Name of a pretrained encoder, or a folder.")]) -> None:
    """Put a pretrained encoder into the cache and print its folder."""
    from reaugkd.weights import find_weights

    typer.echo(find_weights(name, _say))


@app.command()
@_resumable
@_on_task
def teach(
    loaded: Any,
    out: Annotated[Path, typer.Option(help="Parquet file for the outputs.")],
    teacher: Teacher = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the train rows.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    max_length: MaxLength = 128,
    seed: Seed = 0,
) -> None:
    """Fine-tune a teacher and write its outputs (hidden states, soft labels) for every row."""
    from dataclasses import replace

    from reaugkd import recipe as recipes
    from reaugkd.weights import DEFAULT_ENCODER

    recipe = recipes.Recipe(teacher=teacher or DEFAULT_ENCODER, teacher_epochs=epochs, max_length=max_length, seed=seed)
    if learning_rate is not None:
        recipe = replace(recipe, teacher_training=replace(recipe.teacher_training, learning_rate=learning_rate))
    outputs = recipes.teach(loaded, recipe, out)
    for split in ("validation", "test"):
        right = (outputs.of(split)[1].argmax(axis=1) == loaded.labels(split)).mean()
        _say(f"Teacher's accuracy on {split}: {100 * right:.1f} %.")
    _say(f"Wrote {len(outputs.ids):,} rows to {out}.")


@app.command()
@_on_task
def black_box(
    loaded: Any,
    soft_labels: Annotated[
        Path,
        typer.Option(
            help="Table of the teacher's answers: a column of probabilities a class; id and split tell the row."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Parquet file for the outputs.")],
    encoder: Annotated[str | None, typer.Option(help="Open encoder that gives the embeddings.")] = None,
) -> None:
    """Make teacher outputs of a teacher whose answers alone are known, for `reaugkd train --teacher-outputs`."""
    from reaugkd.black_box import black_box_outputs, read_soft_labels
    from reaugkd.recipe import check_outputs_file
    from reaugkd.weights import DEFAULT_ENCODER

    check_outputs_file(out)
    outputs = black_box_outputs(loaded, read_soft_labels(soft_labels, loaded), encoder or DEFAULT_ENCODER)
    outputs.save(out)
    _say(f"Wrote {len(outputs.ids):,} rows to {out}.")


@app.command()
@_resumable
@_on_task
def train(
    loaded: Any,
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    task: str | None,
    teacher: Teacher = None,
    teacher_outputs: Annotated[
        Path | None, typer.Option(help="File that `reaugkd teach` wrote; then no teacher is trained.")
    ] = None,
    student: Annotated[str | None, typer.Option(help="Pretrained encoder that the student starts from.")] = None,
    student_layers: Annotated[str, typer.Option(help="Layers to keep of it: the first so many, or all.")] = "2",
    epochs: Annotated[float | None, typer.Option(help="Passes over the train rows, for each student.")] = None,
    teacher_epochs: Annotated[float | None, typer.Option(help="The same for the teacher.")] = None,
    relational_weight: Annotated[float | None, typer.Option(help="β, the weight of the relational loss.")] = None,
    encoder_key: EncoderKey = None,
    encoder_key_layers: EncoderKeyLayers = None,
    keep_teacher: Annotated[
        bool, typer.Option("--keep-teacher", help="Keep the teacher in the model's folder.")
    ] = False,
    max_length: MaxLength = 128,
    seed: Seed = 0,
) -> None:
    """Train a student with the teacher's memory, and score every ablation.

    On shoptalk, the outputs of a large teacher are shipped and used unless --teacher names another one.
    """
    from dataclasses import replace

    from accelerate import PartialState

    from reaugkd import recipe as recipes
    from reaugkd.sources import SHOPTALK_TEACHER_OUTPUTS
    from reaugkd.teacher import TeacherOutputs
    from reaugkd.weights import DEFAULT_ENCODER

    if teacher and teacher_outputs:
        raise ReAugKDError("--teacher and --teacher-outputs exclude each other; leave one of them out.")
    if task == "shoptalk" and not teacher:
        teacher_outputs = teacher_outputs or SHOPTALK_TEACHER_OUTPUTS
    recipe = recipes.Recipe(
        teacher=teacher or DEFAULT_ENCODER,
        student=student or DEFAULT_ENCODER,
        student_layers=_layers(student_layers),
        epochs=epochs,
        teacher_epochs=teacher_epochs,
        encoder_key=encoder_key,
        encoder_key_layers=encoder_key_layers,
        keep_teacher=keep_teacher,
        max_length=max_length,
        seed=seed,
    )
    if relational_weight is not None:
        recipe = replace(recipe, distillation=replace(recipe.distillation, relational_weight=relational_weight))
    outputs = TeacherOutputs.load(teacher_outputs) if teacher_outputs else None
    model = recipes.train(loaded, recipe, out, teacher_outputs=outputs, say=_say)
    if not PartialState().is_main_process:
        return
    _print_ablations(model.parts.metrics)
    _say(f'Saved the model in {out}; ask it with: reaugkd predict {out} "..."')


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Folder of a trained model.")],
    data: Annotated[Path, typer.Option(help="Rows with gold labels: CSV, TSV, JSONL or Parquet.")],
    text_column: TextColumn = None,
    text_pair_column: TextPairColumn = None,
    label_column: LabelColumn = "label",
    as_json: AsJson = False,
) -> None:
    """Score a trained model on rows of your own."""
    from reaugkd.classifier import ReAugKDClassifier
    from reaugkd.evaluation import evaluate_model
    from reaugkd.sources import named_texts

    classifier = ReAugKDClassifier.from_pretrained(model)
    columns = {"text": text_column or "text", "label": label_column}
    if classifier.parts.settings.is_pair:
        columns["text_pair"] = text_pair_column or "text_pair"
    scores = evaluate_model(classifier, named_texts(data, columns))
    if as_json:
        typer.echo(json.dumps(scores))
        return
    table = Table("method", f"{scores['metric']}, %", title=f"{model} on {data} ({scores['rows']:,} rows)")
    for method, score in scores["methods"].items():
        table.add_row(method, f"{100 * score:.1f}")
    Console().print(table)


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="Folder of a trained model.")],
    texts: Annotated[list[str], typer.Argument(help="Texts; for pairs, first and second in turn.")],
    k: Annotated[int | None, typer.Option(help="Neighbours by every key.")] = None,
    retrieval_weight: Annotated[
        float | None, typer.Option(help="λ, from 0, the student alone, to 1, the memory alone.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="τ of the neighbours' weights.")] = None,
    as_json: AsJson = False,
) -> None:
    """Classify texts; show what student and memory add to each answer, and the nearest memories."""
    from reaugkd.classifier import ReAugKDClassifier

    classifier = ReAugKDClassifier.from_pretrained(model)
    queries: list[Any] = list(texts)
    if classifier.parts.settings.is_pair:
        if len(texts) % 2:
            raise ReAugKDError("This model classifies pairs of texts; give an even number of texts.")
        queries = list(zip(texts[::2], texts[1::2], strict=True))
    explanations = [
        classifier.explain(text, k=k, retrieval_weight=retrieval_weight, temperature=temperature) for text in queries
    ]
    if as_json:
        typer.echo(json.dumps([explanation.as_dict() for explanation in explanations], ensure_ascii=False))
        return
    for explanation in explanations:
        _print_explanation(explanation)


@app.command()
def edit(
    model: Annotated[str, typer.Argument(help="Folder of a trained model.")],
    patch: Annotated[Path, typer.Option(help="JSON Lines, an edit each: add, relabel or remove a row of the memory.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the edited model; without it only its effect is shown.")
    ] = None,
    encoder_key: EncoderKey = None,
    encoder_key_layers: EncoderKeyLayers = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="Fit the pool again on the validation rows, as --encoder-key does.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Edit a model's memory without training: show what that fixes and breaks, and save a new version."""
    from reaugkd.answers import changed_answers, effect_counts
    from reaugkd.classifier import ReAugKDClassifier
    from reaugkd.patch import apply_patch, read_patch
    from reaugkd.refit import refit_pool, with_encoder_key
    from reaugkd.texts import row_in_one_line

    original = ReAugKDClassifier.from_pretrained(model)
    if out is not None and out.resolve() == Path(model).resolve():
        raise ReAugKDError("--out is the model itself; name another folder, the original stays.")
    edited = apply_patch(original, read_patch(patch))
    if encoder_key is not None:
        edited = with_encoder_key(edited, encoder_key, encoder_key_layers)
    elif refit:
        edited = refit_pool(edited)
    rows = original.held_out(["test"])
    changed = changed_answers(*(version.answer(version.encode_rows(rows)) for version in (original, edited)))
    if out is not None:
        edited.save_pretrained(out)
    if as_json:
        plain = changed.to_json(orient="records", date_format="iso")  # dates, lists and missing values too
        typer.echo(
            json.dumps({"edits": edited.parts.metrics["edits"], "changed": json.loads(plain)}, ensure_ascii=False)
        )
        return
    table = Table("effect", "label", "before", "after", "text", title="test rows whose answer changes")
    for row in changed.to_dict("records"):
        names = (row[name] for name in ("effect", "label", "before", "after"))
        table.add_row(*map(_escaped, (*names, row_in_one_line(row))))
    Console().print(table)
    counts = effect_counts(changed)
    _say(f"Of the test rows {counts['fixed']} are fixed and {counts['broken']} broken.")
    _say(f"Saved the edited model in {out}." if out else "Nothing was saved; name a folder with --out for that.")


@app.command()
@_resumable
def study(
    plan: Annotated[Path, typer.Argument(help="YAML file: tasks, teachers, methods, seeds.")],
    out: Annotated[Path, typer.Option(help="Folder for what is trained, the tables and the plots.")],
    data: Annotated[
        Path | None, typer.Option(help="Where the tasks' paths start; the plan's folder if left out.")
    ] = None,
    known: Annotated[
        Path | None, typer.Option(help="Folder of an earlier report; what it has recorded is not trained again.")
    ] = None,
    report_only: Annotated[bool, typer.Option("--report-only", help="Train nothing; report on what is there.")] = False,
) -> None:
    """Compare methods over tasks and seeds; go on where an earlier call stopped."""
    from reaugkd.study import run_scenarios, run_study
    from reaugkd.study_plan import read_study
    from reaugkd.study_record import StudyRecord
    from reaugkd.study_report import write_report

    read, start, record = read_study(plan), data or plan.parent, StudyRecord.load(known)
    if not report_only:
        run_study(read, start, out, say=_say, known=record)
        run_scenarios(read, start, out, say=_say, known=record)
    for path in write_report(read, start, out, record):
        _say(f"Wrote {path}.")


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="Folder of a trained model.")],
    as_json: AsJson = False,
) -> None:
    """Show what a trained model was made of, and its table of ablations."""
    from reaugkd.model_card import memory_in_words
    from reaugkd.model_folder import METRICS_FILE, read_settings_file

    about = read_settings_file(model)
    metrics_path = Path(model) / METRICS_FILE
    metrics = json.loads(metrics_path.read_text(encoding="utf-8")) if metrics_path.is_file() else {}
    if as_json:
        shown = {"model": about["model"], "pool": about["pool"], "metrics": metrics}
        typer.echo(json.dumps(shown, ensure_ascii=False))
        return
    table = Table("setting", "value", title=str(model))
    for name in ("task", "metric", "label_names", "is_pair", "teacher", "student", "student_layers", "max_length"):
        value = about["model"].get(name)
        table.add_row(name, _escaped(", ".join(value) if isinstance(value, list) else str(value)))
    Console().print(table)
    pool = about["pool"]
    table = Table("", "weight", "k", "τ", title="student and keys of the memory")
    table.add_row("student", f"{pool['student_weight']:.2f}")
    for name, key in pool["keys"].items():
        table.add_row(name, f"{key['weight']:.2f}", str(key["k"]), f"{key['temperature']:g}")
    Console().print(table)
    if "memory" in metrics:
        _say(memory_in_words(metrics["memory"]))
    if "methods" in metrics:
        _print_ablations(metrics)


def main() -> None:
    """Run the command line; a user's mistake ends in one sentence on standard error and exit status 1."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a Windows console's own encoding has no λ
            stream.reconfigure(encoding="utf-8", errors="replace")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        app()
    except ReAugKDError as error:
        sys.stderr.write(f"reaugkd: {error}\n")
        sys.exit(1)


def _layers(asked: str) -> int | None:
    if asked != "all" and not (asked.isdecimal() and int(asked)):
        raise ReAugKDError(f"--student-layers is {asked!r}; give a number from 1, or all.")
    return None if asked == "all" else int(asked)


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)


def _print_ablations(metrics: dict[str, Any]) -> None:
    from reaugkd.model_card import COLUMNS, ablation_rows, alignment_in_words

    table = Table(*COLUMNS, title=f"{metrics['metric'].replace('_', ' ')}, percent; log loss, nats")
    for row in ablation_rows(metrics):
        table.add_row(*row)
    Console().print(table)
    _say(f"Alignment: {alignment_in_words(metrics['alignment'])}.")


def _escaped(value: Any) -> str:
    from rich.markup import escape

    return escape(str(value))


def _print_explanation(explanation: Any) -> None:
    from reaugkd.explanation import NEW_CLASSES
    from reaugkd.texts import in_one_line

    said = dict(zip(explanation.classes, explanation.probabilities, strict=True))
    console = Console()
    label, runner_up, text = map(_escaped, (explanation.label, explanation.runner_up, in_one_line(explanation.text)))
    console.print(f"[bold]{label}[/bold] ({said[explanation.label]:.2f})  {text}", highlight=False)
    console.print(f"runner-up: {runner_up} ({said[explanation.runner_up]:.2f})", highlight=False)
    parts = {name: part for name, part in explanation.parts.items() if part or name != NEW_CLASSES}
    table = Table("part", "log-odds" if explanation.pool.kind == "logarithmic" else "probability")
    for name, part in {**parts, "sum": explanation.lead}.items():
        table.add_row(name, f"{part:+.2f}")
    console.print(table)
    key = explanation.keys_by_part[0]
    heads = ("similarity", "weight", "share", "label", "teacher", "text")
    shown = key.neighbours[:SHOWN_NEIGHBOURS]
    title = f"the {len(shown)} nearest of {len(key.neighbours)} memories by the {key.name} key"
    table = Table(*heads, title=title, title_justify="left")
    for neighbour in shown:
        says = int(neighbour.soft_labels.argmax())
        table.add_row(
            f"{neighbour.similarity:.2f}",
            f"{neighbour.weight:.2f}",
            f"{neighbour.share:.0%}",
            _escaped(neighbour.label),
            _escaped(f"{explanation.classes[says]} {neighbour.soft_labels[says]:.2f}"),
            _escaped(neighbour.text),
        )
    console.print(table)
