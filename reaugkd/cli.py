"""The command line: ``reaugkd weights | teach | black-box | train | adopt | ...``."""

import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer import Argument, Option

import reaugkd
from reaugkd.errors import ReAugKDError
from reaugkd.recipe import DEFAULT_ENCODER

# torch and transformers take seconds to import, so each command imports what it needs.

SHOWN_NEIGHBOURS = 8  # --json has all
TRIED_TEXTS = 1_000  # of the memory, whether an export says the same of them
INTERRUPTED = 130  # the exit status

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Retrieval-augmented knowledge distillation for text classification (ReAugKD, ACL 2023).",
)

TextColumn = Annotated[str | None, Option(help="Column of the text.")]
TextPairColumn = Annotated[str | None, Option(help="Column of the second text, for pairs.")]
LabelColumn = Annotated[str, Option(help="Column of the gold label.")]
TEACHER_HELP = "Pretrained encoder to fine-tune as teacher: a name or a folder."
Seed = Annotated[int, Option(help="Seed of all trainings.")]
MaxLength = Annotated[int, Option(min=4, help="Most tokens of a text; the rest is cut.")]
AsJson = Annotated[bool, Option("--json", help="Print JSON.")]
EncoderKey = Annotated[str | None, Option(help="Untuned encoder for a further key of the memory.")]
EncoderKeyLayers = Annotated[int | None, Option(min=1, help="How many of its first layers to keep.")]


def _task(
    task: Annotated[str | None, Option(help="shoptalk, glue/TASK, or OWNER/NAME[:CONFIG] on the hub.")] = None,
    train: Annotated[Path | None, Option(help="A CSV, TSV, JSONL or Parquet file instead of --task.")] = None,
    test: Annotated[Path | None, Option(help="Test rows; 20 % of train if left out.")] = None,
    validation: Annotated[Path | None, Option(help="Rows to choose k, λ and τ on; 10 % of train if left out.")] = None,
    unlabelled: Annotated[Path | None, Option(help="Texts without labels, for the teacher to label.")] = None,
    text_column: TextColumn = None,
    text_pair_column: TextPairColumn = None,
    label_column: LabelColumn = "label",
    metric: Annotated[str | None, Option(help="accuracy, accuracy_and_f1, macro_f1 or matthews_correlation.")] = None,
    positive_label: Annotated[str | None, Option(help="The class of two whose F1 counts.")] = None,
) -> Any:
    """Load the task that these options name."""
    if (task is None) == (train is None):
        raise ReAugKDError("Name either a --task or a --train file, and not both.")
    options: dict[str, Any] = {"text_column": text_column, "text_pair_column": text_pair_column}
    options |= {"label_column": label_column, "metric": metric, "unlabelled": unlabelled}
    if train is not None:
        return reaugkd.load_files(train, test, validation, positive_label=positive_label, **options)
    if test or validation or positive_label:
        raise ReAugKDError("--test, --validation and --positive-label go with --train; leave them out.")
    return reaugkd.load_task(str(task), **options)


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


@app.command()
def weights(name: Annotated[str, Argument(help="Name of a pretrained encoder, or a folder.")]) -> None:
    """Put a pretrained encoder into the cache and print its folder."""
    from reaugkd.networks.weights import find_weights

    typer.echo(find_weights(name, _say))


@app.command()
@_on_task
def teach(
    loaded: Any,
    out: Annotated[Path, Option(help="Parquet file for the outputs.")],
    teacher: Annotated[str, Option(help=TEACHER_HELP)] = DEFAULT_ENCODER,
    epochs: Annotated[float | None, Option(help="Passes over the train rows.")] = None,
    max_length: MaxLength = 128,
    seed: Seed = 0,
) -> None:
    """Fine-tune a teacher and write its outputs (hidden states, soft labels) for every row."""
    recipe = reaugkd.Recipe(teacher=teacher, teacher_epochs=epochs, max_length=max_length, seed=seed)
    outputs = reaugkd.teach(loaded, recipe, out)
    for split in ("validation", "test"):
        right = (outputs.of(split)[1].argmax(axis=1) == loaded.labels(split)).mean()
        _say(f"Teacher's accuracy on {split}: {100 * right:.1f} %.")
    _say(f"Wrote {len(outputs.ids):,} rows to {out}.")


@app.command()
@_on_task
def black_box(
    loaded: Any,
    soft_labels: Annotated[Path, Option(help="Table of its probabilities: a column for each class, id and split.")],
    out: Annotated[Path, Option(help="Parquet file for the outputs.")],
    encoder: Annotated[str, Option(help="Encoder for the embeddings.")] = DEFAULT_ENCODER,
) -> None:
    """Make teacher outputs from the probabilities of a black box, for `reaugkd train --teacher-outputs`."""
    from reaugkd.method.teacher import black_box_outputs, read_soft_labels
    from reaugkd.training import check_outputs_file

    out = check_outputs_file(out)
    outputs = black_box_outputs(loaded, read_soft_labels(soft_labels, loaded), encoder)
    outputs.save(out)
    _say(f"Wrote {len(outputs.ids):,} rows to {out}.")


@app.command()
@_on_task
def train(
    loaded: Any,
    out: Annotated[Path, Option(help="Folder for the model.")],
    task: str | None,
    teacher: Annotated[str | None, Option(help=TEACHER_HELP)] = None,
    teacher_outputs: Annotated[Path | None, Option(help="File by `reaugkd teach`, in place of a teacher.")] = None,
    student: Annotated[str, Option(help="Pretrained encoder that the student starts from.")] = DEFAULT_ENCODER,
    student_layers: Annotated[int, Option(min=0, help="How many of its first layers to keep; 0 for all.")] = 2,
    epochs: Annotated[float | None, Option(help="Passes over the train rows, for each student.")] = None,
    teacher_epochs: Annotated[float | None, Option(help="Passes over the train rows, for the teacher.")] = None,
    encoder_key: EncoderKey = None,
    encoder_key_layers: EncoderKeyLayers = None,
    keep_teacher: Annotated[bool, Option(help="Keep the teacher in the model's folder.")] = False,
    max_length: MaxLength = 128,
    seed: Seed = 0,
) -> None:
    """Train a student with the teacher's memory, and score every ablation.

    On shoptalk, the shipped outputs of a large teacher are used unless --teacher names another one.
    """
    from reaugkd.networks.trainer import processes_of_training
    from reaugkd.tasks.sources import SHOPTALK_TEACHER_OUTPUTS

    if teacher and teacher_outputs:
        raise ReAugKDError("Name either a --teacher or --teacher-outputs, and not both.")
    if task == "shoptalk" and not teacher:
        teacher_outputs = teacher_outputs or SHOPTALK_TEACHER_OUTPUTS
    recipe = reaugkd.Recipe(
        teacher=teacher or DEFAULT_ENCODER,
        student=student,
        student_layers=student_layers or None,
        epochs=epochs,
        teacher_epochs=teacher_epochs,
        encoder_key=encoder_key,
        encoder_key_layers=encoder_key_layers,
        keep_teacher=keep_teacher,
        max_length=max_length,
        seed=seed,
    )
    outputs = reaugkd.TeacherOutputs.load(teacher_outputs) if teacher_outputs else None
    model = reaugkd.train(loaded, recipe, out, teacher_outputs=outputs, say=_say)
    processes = processes_of_training()
    if processes.is_main_process:
        _print_card(model.card)
        _say(f'Saved the model in {out}; ask it with: reaugkd predict {out} "..."')
    processes.wait_for_everyone()  # one that ends before the others may be aborted by torch
    processes.destroy_process_group()


@app.command()
def adopt(
    classifier: Annotated[str, Argument(help="A fine-tuned sequence classifier: a folder, or a name on the hub.")],
    train: Annotated[Path, Option(help="The rows that it learnt from; they become its memory.")],
    test: Annotated[Path, Option(help="Rows that it never saw.")],
    out: Annotated[Path, Option(help="Folder for the model.")],
    validation: Annotated[
        Path | None, Option(help="Such rows to choose weights on; else half of the test rows.")
    ] = None,
    text_column: TextColumn = None,
    text_pair_column: TextPairColumn = None,
    label_column: LabelColumn = "label",
    metric: Annotated[str | None, Option(help="accuracy, accuracy_and_f1, macro_f1 or matthews_correlation.")] = None,
    soft_labels: Annotated[Path | None, Option(help="Table of the memory's soft labels, a column a class.")] = None,
    max_length: Annotated[int | None, Option(min=4, help="Most tokens of a text; else all it can read.")] = None,
) -> None:
    """Give a classifier of your own a memory of its train rows; nothing is trained."""
    from reaugkd.method.teacher import read_soft_labels

    columns: dict[str, Any] = {"text_column": text_column, "text_pair_column": text_pair_column}
    loaded = reaugkd.load_files(train, test, validation, **columns, label_column=label_column, metric=metric)
    model = reaugkd.adopt(
        classifier,
        loaded,
        out,
        saw_validation=validation is None,
        soft_labels=read_soft_labels(soft_labels, loaded) if soft_labels else None,
        max_length=max_length,
        on_progress=_say_stage,
        say=_say,
    )
    _print_card(model.card)
    _say(f'Saved the model in {out}; ask it with: reaugkd predict {out} "...", see it with: reaugkd app {out}')


@app.command()
def evaluate(
    model: Annotated[str, Argument(help="Folder of a trained model.")],
    data: Annotated[Path, Option(help="Rows with gold labels: CSV, TSV, JSONL or Parquet.")],
    text_column: TextColumn = None,
    text_pair_column: TextPairColumn = None,
    label_column: LabelColumn = "label",
    as_json: AsJson = False,
) -> None:
    """Score a trained model on rows of your own."""
    from reaugkd.tasks.sources import named_texts

    classifier = reaugkd.ReAugKDClassifier.from_pretrained(model)
    columns = {"text": text_column or "text", "label": label_column}
    if classifier.settings.is_pair:
        columns["text_pair"] = text_pair_column or "text_pair"
    scores = classifier.evaluate(named_texts(data, columns))
    if as_json:
        typer.echo(json.dumps(scores))
        return
    rows = ((method, f"{100 * score:.1f}") for method, score in scores["methods"].items())
    _print_table(f"{model} on {data} ({scores['rows']:,} rows)", ["method", f"{scores['metric']}, %"], rows)


@app.command()
def predict(
    model: Annotated[str, Argument(help="Folder of a trained model.")],
    texts: Annotated[list[str], Argument(help="Texts; for pairs, first and second in turn.")],
    k: Annotated[int | None, Option(help="Neighbours by every key.")] = None,
    retrieval_weight: Annotated[float | None, Option(help="λ, from 0 (student alone) to 1 (memory alone).")] = None,
    temperature: Annotated[float | None, Option(help="τ of the neighbours' weights.")] = None,
    as_json: AsJson = False,
) -> None:
    """Classify texts; show the parts of student and memory in each answer, and the nearest memories."""
    classifier = reaugkd.ReAugKDClassifier.from_pretrained(model)
    queries: list[Any] = list(texts)
    if classifier.settings.is_pair:
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
def threshold(
    model: Annotated[str, Argument(help="Folder of a trained model.")],
    accuracy: Annotated[float, Option(help="What is wanted of the texts that are answered, from 0 to 1.")],
    out: Annotated[Path | None, Option(help="Folder for the model with its threshold; not saved if left out.")] = None,
    by: Annotated[str, Option(help="probability, or a key: the cosine of its nearest memory.")] = "probability",
) -> None:
    """Choose on the validation rows which texts are left to a person, and show what that does on the test rows."""
    from reaugkd.model.folder import check_target

    if out is not None:
        check_target(out)
    chosen = reaugkd.ReAugKDClassifier.from_pretrained(model).with_threshold(accuracy, by)
    rows = []
    for split in ("validation", "test"):
        answers = chosen.answer(chosen.encode_rows(chosen.held_out([split])))
        sure, right = answers.is_sure, answers.right
        shares = (sure.mean(), right[sure].mean() if sure.any() else float("nan"), right.mean())
        rows.append([split, f"{len(sure):,}", *(f"{100 * share:.1f}" for share in shares)])
    if out is not None:
        chosen.save_pretrained(out)
    least = chosen.threshold.least  # type: ignore[union-attr]  # it has one now
    title = f"answered where {by} is {least:.3f} or more; the others are left to a person"
    _print_table(title, ["rows", "count", "answered, %", "right of these, %", "right of all, %"], rows)
    _say(f"Saved the model with its threshold in {out}." if out else "Nothing was saved; name a folder with --out.")


@app.command()
def edit(
    model: Annotated[str, Argument(help="Folder of a trained model.")],
    patch: Annotated[Path, Option(help="JSON Lines file of edits: add, relabel or remove a row of the memory.")],
    out: Annotated[Path | None, Option(help="Folder for the edited model; not saved if left out.")] = None,
    encoder_key: EncoderKey = None,
    encoder_key_layers: EncoderKeyLayers = None,
    refit: Annotated[bool, Option(help="Fit the pool again on the validation rows.")] = False,
) -> None:
    """Edit a model's memory without training: show what that fixes and breaks, and save a new version.

    Half of the test rows show what the edits change. Once they are saved, the other half tells what they are worth.
    """
    from reaugkd.analysis.edit_effects import broken_pins, halves, told_in_words, with_told_effect
    from reaugkd.analysis.edits import apply_patch, read_patch
    from reaugkd.analysis.refit import refit_pool, with_encoder_key
    from reaugkd.method.answers import changed_answers, effect_counts
    from reaugkd.texts import row_in_one_line

    original = reaugkd.ReAugKDClassifier.from_pretrained(model)
    if out is not None:
        _check_new_folder(out, model, "--out is the folder")
    edited = apply_patch(original, read_patch(patch))
    if encoder_key is not None:
        edited = with_encoder_key(edited, encoder_key, encoder_key_layers)
    elif refit:
        edited = refit_pool(edited)
    for row in broken_pins(original, edited).to_dict("records"):
        _say(f"A text that must stay right breaks, {row['label']} → {row['after']}: {row_in_one_line(row)}")
    judging, telling = halves(edited.encode_rows(original.held_out(["test"])))  # an edited model has every key
    changed = changed_answers(original.answer(judging), edited.answer(judging))
    if out is not None:
        edited = with_told_effect(original, edited, telling)
        edited.save_pretrained(out)
    heads = ["effect", "label", "before", "after"]
    shown = ([*(row[name] for name in heads), row_in_one_line(row)] for row in changed.to_dict("records"))
    _print_table("test rows of the first half whose answer changes", [*heads, "text"], shown)
    counts = effect_counts(changed)
    _say(f"Of {len(judging):,} test rows {counts['fixed']} are fixed and {counts['broken']} broken.")
    _say(told_in_words(edited) if out else "The other test rows are not asked before the edits are saved.")
    _say(f"Saved the edited model in {out}." if out else "Nothing was saved; name a folder with --out to save it.")


@app.command()
def condense(
    model: Annotated[str, Argument(help="Folder of a trained model.")],
    out: Annotated[Path, Argument(help="Folder for the model with the condensed memory.")],
    keep: Annotated[float, Option(help="The part of the memory's bytes to keep.")] = 0.1,
    most_bytes: Annotated[int | None, Option("--bytes", min=1, help="The most bytes, in place of --keep.")] = None,
    method: Annotated[str | None, Option(help="prototypes, coverage, used or random; else the best.")] = None,
) -> None:
    """Make a model's memory smaller without training: show what each way keeps, and save the best as a new version."""
    original = reaugkd.ReAugKDClassifier.from_pretrained(model)
    _check_new_folder(out, model, "The new folder is that")
    condensed = reaugkd.condense(original, keep, most_bytes=most_bytes, method=method, say=_say)
    condensed.model.save_pretrained(out)
    curve, metric = condensed.curve, original.settings.metric
    heads = ["method", "entries", "kB", "share, %", f"{metric}, %", "log loss", "gain kept, %", "saved"]
    columns = [curve["method"], *(curve["entries"].map("{:,}".format), (curve["bytes"] / 1000).map("{:,.0f}".format))]
    columns += [(100 * curve[name]).map("{:.1f}".format) for name in ("share", "score")]
    columns += [curve["log_loss"].map("{:.4f}".format), (100 * curve["gain_kept"]).map("{:.0f}".format)]
    columns += [curve["is_chosen"].map({True: "yes", False: ""})]
    _print_table("each way, on validation rows", heads, zip(*columns, strict=True))
    _say(f"{condensed.in_words(original)} Saved in {out}.")


@app.command()
def export(
    model: Annotated[str, Argument(help="Folder of a trained model.")],
    out: Annotated[Path | None, Option(help="Folder for a copy that has the file; else the model itself.")] = None,
) -> None:
    """Put the student as an ONNX file into a model: it gives the same answers in less time on a CPU."""
    from reaugkd.analysis.key_cost import milliseconds
    from reaugkd.model.folder import check_target
    from reaugkd.networks.onnx import export_onnx

    target = check_target(out or Path(model))
    classifier = reaugkd.ReAugKDClassifier.from_pretrained(model)
    texts, student = classifier.memory.texts[:TRIED_TEXTS], classifier.student
    student.onnx = None
    before = milliseconds(classifier, texts[0])["student"]
    student.onnx = export_onnx(student, texts)
    after = milliseconds(classifier, texts[0])["student"]
    classifier.save_pretrained(target)
    _say(f"Wrote student.onnx into {target}: a text takes the student {after:.1f} ms, by torch {before:.1f} ms.")


@app.command()
def train_set(
    model: Annotated[str, Argument(help="Folder of a trained model.")],
    out: Annotated[Path, Option(help="A .csv or .parquet file, or a folder for a `datasets` data set.")],
    patch: Annotated[Path | None, Option(help="JSON Lines file of edits to apply first.")] = None,
) -> None:
    """Write the train rows as the memory holds them, with the labels as they are corrected."""
    from reaugkd.analysis.edits import apply_patch, read_patch, write_train_set

    classifier = reaugkd.ReAugKDClassifier.from_pretrained(model)
    if patch is not None:
        classifier = apply_patch(classifier, read_patch(patch))
    _say(f"Wrote the train rows to {write_train_set(classifier, out)}; train on them with: reaugkd train.")


@app.command()
def study(
    plan: Annotated[Path, Argument(help="YAML file: tasks, teachers, methods, seeds.")],
    out: Annotated[Path, Option(help="Folder for what is trained, the tables and the plots.")],
    data: Annotated[Path | None, Option(help="Folder of the tasks' files; the plan's folder if left out.")] = None,
    known: Annotated[Path | None, Option(help="Folder of an earlier report, to take its answers.")] = None,
    report_only: Annotated[bool, Option(help="Train nothing; report the students that are trained.")] = False,
) -> None:
    """Compare methods over tasks and seeds; continue where an earlier call stopped."""
    from reaugkd.study.plan import read_study
    from reaugkd.study.report import write_report
    from reaugkd.study.run import StudyRecord, run_scenarios, run_study

    read, start, record = read_study(plan), data or plan.parent, StudyRecord.load(known) if known else StudyRecord()
    if not report_only:
        run_study(read, start, out, say=_say, known=record)
        run_scenarios(read, start, out, say=_say, known=record)
    for path in write_report(read, start, out, record):
        _say(f"Wrote {path}.")


@app.command("app", add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def open_page(context: typer.Context) -> None:
    """Open the page that asks a model, shows why, and edits its memory: reaugkd app MODEL."""
    try:
        from reaugkd.app.serve import main as serve
    except ModuleNotFoundError as error:
        raise ReAugKDError(f"The page needs {error.name}; install it with: pip install 'reaugkd[app]'") from error
    sys.exit(serve(context.args))


@app.command()
def info(model: Annotated[Path, Argument(help="Folder of a trained model.")], as_json: AsJson = False) -> None:
    """Show a trained model's card: what it was made of, and its table of ablations."""
    from reaugkd.model.folder import read_card, read_metrics, read_settings_file

    about = read_settings_file(model)
    if as_json:
        metrics = read_metrics(model, about["files"])
        told = {"model": about["model"], "pool": about["pool"], "threshold": about.get("threshold"), "metrics": metrics}
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        _print_card(read_card(model))


@app.command()
def verify(model: Annotated[Path, Argument(help="Folder of a trained model.")]) -> None:
    """Read every file of a model, and say whether each is as it was written; also of one too large to check at load."""
    from reaugkd.model.folder import bytes_of, verify_model

    files = verify_model(model)
    typer.echo(f"Read {len(files):,} files with {bytes_of(files):,} bytes: each is as it was written.")


def main() -> None:
    """Run the command line; a user's mistake prints one sentence on standard error and exits with status 1."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a Windows console's own encoding has no λ
            stream.reconfigure(encoding="utf-8", errors="replace")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        app()
    except (ReAugKDError, OSError) as error:
        sys.stderr.write(f"reaugkd: {error}\n")
        sys.exit(1)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _say("\nreaugkd: interrupted; run the same command again to continue a training.")
        raise


def _check_new_folder(out: Path, model: str, called: str) -> None:
    """Refuse to write a new version of a model into its own folder, or where something else lies."""
    from reaugkd.model.folder import check_target

    if out.expanduser().resolve() == Path(model).expanduser().resolve():
        raise ReAugKDError(f"{called} of the model itself; name another folder.")
    check_target(out)


def _say(message: str) -> None:
    typer.echo(message, err=True)


def _say_stage(progress: Any) -> None:
    """Say which stage begins."""
    if not progress.step:
        _say(f"{progress.stage} ...")


def _print_table(title: str, heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    table = Table(*heads, title=escape(title), title_justify="left")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    Console().print(table)


def _print_card(card: str) -> None:
    """Print a model card without the header that the hub reads."""
    from rich.markdown import Markdown

    Console().print(Markdown(card.split("---\n", 2)[-1]))


def _print_explanation(explanation: Any) -> None:
    from reaugkd.texts import in_one_line

    probabilities = dict(zip(explanation.classes, explanation.probabilities, strict=True))
    label, runner_up, text = map(escape, (explanation.label, explanation.runner_up, in_one_line(explanation.text)))
    console = Console(highlight=False)
    console.print(f"[bold]{label}[/bold] ({probabilities[explanation.label]:.2f})  {text}")
    console.print(f"runner-up: {runner_up} ({probabilities[explanation.runner_up]:.2f})")
    if explanation.words_read is not None:
        console.print(f"Only the first {explanation.words_read} words were read by the student.")
    if explanation.threshold is not None:
        by, least = explanation.threshold.by, explanation.threshold.least
        what = "answered" if explanation.is_sure else "left to a person"
        console.print(f"{what}: {by} {explanation.score:.3f}, the threshold is {least:.3f}")
    table, leading = explanation.table().drop(columns="runner_up_share"), explanation.keys_by_part[0].name
    nearest = [f"{leading} {rank}" for rank in range(1, SHOWN_NEIGHBOURS + 1)]
    shown = table[table["adds"].notna() | table["part"].isin(nearest)].astype(object).fillna("")
    rows = shown.map(lambda value: f"{value:.2f}" if isinstance(value, float) else value).to_numpy()
    _print_table(f"what adds up, and the memories nearest by the {leading} key", shown.columns, rows)
