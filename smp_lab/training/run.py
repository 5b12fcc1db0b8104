"""One run from settings to record: load, train, resume, write."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, TrainerCallback, set_seed

from smp_lab.errors import ConfigError, Interrupted, RunExistsError, first_line
from smp_lab.lease import Lease, LeaseLostError, held, remove_finished
from smp_lab.methods import MAGNITUDE, NONE
from smp_lab.paths import LOGS_FOLDER, events_file, unfinished_folder
from smp_lab.processes import is_first_process
from smp_lab.schedule import count_steps, note_on_length
from smp_lab.storage.array_files import shared_masks_folder
from smp_lab.storage.runs import RunRecord, load_run, save_run
from smp_lab.training.checkpoints import (
    clear,
    conditions,
    keep_only,
    newest_whole,
    require_same_conditions,
    step_of,
    writing,
)
from smp_lab.training.encoder_checks import check_tokens
from smp_lab.training.encoders import load_encoder
from smp_lab.training.kept_weights import keep_weights
from smp_lab.training.kinds import development_splits, trained_kind
from smp_lab.training.model import build_model
from smp_lab.training.prepare import Prepared
from smp_lab.training.processes import process_group_closed, shared_by_all
from smp_lab.training.progress import Events, Progress, add_event
from smp_lab.training.provenance import code_version, provenance
from smp_lab.training.recorder import SnapshotRecorder
from smp_lab.training.results import history_table, predictions_of, results
from smp_lab.training.stop import StopOnRequest, listening
from smp_lab.training.teachers import kept_logits
from smp_lab.training.trainer import Log, PruningTrainer, training_arguments


def train(
    prepared: Prepared,
    runs: Path,
    *,
    command: str,
    write: Callable[[str], Any] | None = None,
    report_to: str = "none",
    resume_anyway: bool = False,
    allow_unknown: bool = False,
) -> RunRecord | None:
    """Train a run and write its record; resume from its newest whole checkpoint if there is one.

    Parameters
    ----------
    prepared
        From `prepare`.
    runs
        Folder that gets the record; checkpoints lie in a hidden folder beside it until then, and the trained weights
        of a dense run in another one for as long as nobody deletes them.
    command
        Command line that makes this run, for the record.
    write
        Prints a line of progress; None trains in silence.
    report_to
        Logger of the library that gets every row of the history: "tensorboard", "wandb" and so on.
    resume_anyway
        Resume although the checkpoint was written with another number of threads or on another kind of device; the
        record names both.
    allow_unknown
        Train although the encoder's tokenizer does not know a fifth of the tokens or more.

    Returns
    -------
    RunRecord
        The run; None in all but the first of several processes that share it (torchrun).

    Raises
    ------
    RunExistsError
        If the run is there already, or another process trains it.
    Interrupted
        After Ctrl-C: the checkpoint is written.
    SmpLabError
        If something else prevents it.
    """
    config = prepared.config
    folder = unfinished_folder(runs, config.run_id)
    if (runs / config.run_id).exists():
        remove_finished(folder)
        raise RunExistsError(f"Run {config.run_id} is already in {runs}. Change a setting or the seed for another one.")
    # Before the work: a mask may go there.
    shared_masks_folder(runs)
    if not is_first_process():
        _train(prepared, runs, folder, None, newest_whole(folder, config), command, None, report_to, allow_unknown)
        return None
    if write:
        write(f"run {config.run_id}")
    with ExitStack() as stack:
        with writing(f"Run {config.run_id}"):
            lease = stack.enter_context(held(folder, write))
        found = newest_whole(folder, config, write)
        if found and not resume_anyway:
            require_same_conditions(found[0], found[1]["conditions"], conditions(config))
        with writing(f"Run {config.run_id}"):
            keep_only(folder, found[0] if found else None, lease)
        try:
            return _train(prepared, runs, folder, lease, found, command, write, report_to, allow_unknown)
        except RunExistsError as error:
            # Both made the same one: see `held`.
            if write:
                write(f"{error} It is left as it is.")
            return load_run(runs / config.run_id)
        except BaseException as error:
            # Where another process has taken the run over, that is why this one failed, and what it would write from
            # now on would be the other's.
            lease.require()
            state = "stopped" if isinstance(error, (Interrupted, KeyboardInterrupt)) else "failed"
            add_event(events_file(runs, config.run_id), "end", state=state, reason=first_line(error))
            raise
        finally:
            # Only a checkpoint is worth keeping, and only until the record is there.
            with suppress(LeaseLostError):
                if (runs / config.run_id).exists() or not any(folder.glob("checkpoint-*")):
                    clear(folder, lease)


@process_group_closed()
def _train(
    prepared: Prepared,
    runs: Path,
    folder: Path,
    lease: Lease | None,
    found: tuple[Path, dict[str, Any]] | None,
    command: str,
    write: Callable[[str], Any] | None,
    report_to: str,
    allow_unknown: bool,
) -> RunRecord | None:
    config, data = prepared.config, prepared.data
    # Now: by the end of a long run the clone may stand at another commit than the code that made it.
    code = code_version()
    checkpoint, log = None, Log()
    if found:
        checkpoint, log = found[0], Log(**found[1]["state"])
        log.resumed += 1
    from_step = step_of(checkpoint) if checkpoint else 0
    log.processes.append({"from_step": from_step, **conditions(config), **code})
    set_seed(config.seed)
    encoder = load_encoder(prepared.files, dropout=config.dropout)
    if config.max_length > encoder.max_length:
        raise ConfigError(
            f"Encoder {config.base_model!r} takes at most {encoder.max_length} tokens an example; got --max-length "
            f"{config.max_length}."
        )
    train_examples = trained_kind(data.task).tokenize(data.train, encoder.tokenizer, config.max_length)
    development = development_splits(data, encoder.tokenizer, config.max_length)
    unknown = check_tokens(
        config.base_model,
        encoder.tokenizer,
        getattr(encoder.model.config, "type_vocab_size", 0),
        [train_examples.columns, *(split.examples.columns for split in development)],
        allow_unknown=allow_unknown,
    )
    notes = (*encoder.notes, *filter(None, [unknown]))
    total_steps = count_steps(config, len(train_examples))
    for note in filter(None, (*data.notes, *notes, note_on_length(config, total_steps))) if write else ():
        write(note)
    if prepared.teacher is not None:
        file = folder / "teacher_logits.npy"
        train_examples.columns["teacher_logits"] = kept_logits(
            prepared.teacher, config, encoder, data.train, file, write
        )
    model = build_model(config, encoder, total_steps)
    snapshots = SnapshotRecorder(folder / "snapshots", total_steps, model.pruned)
    stop = StopOnRequest()
    callbacks: list[TrainerCallback] = [stop]
    if is_first_process():
        begin = {
            "run_id": config.run_id,
            "config": config.to_dict(),
            "layout": encoder.layout.to_dict(),
            "from_step": from_step,
            "total_steps": total_steps,
        }
        callbacks.append(Events(events_file(runs, config.run_id), log, begin, model.pruned))
        callbacks += [Progress(log, write)] if write else []
    if report_to != "none":
        # By default the library logs into the folder of checkpoints, which goes when the run is finished.
        os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(runs / LOGS_FOLDER / config.run_id))
    arguments = training_arguments(config, folder, total_steps)
    # Checkpoints are written where this holder of the run alone writes; all processes write the parts of one.
    (staging,) = shared_by_all([str(lease.staging) if lease else ""])
    try:
        trainer = PruningTrainer(
            model,
            replace(arguments, output_dir=staging, report_to=report_to),
            config=config,
            train_examples=train_examples,
            development=development,
            collator=encoder.collator,
            log=log,
            snapshots=snapshots,
            lease=lease,
            callbacks=callbacks,
        )
    except (ValueError, RuntimeError) as error:
        if report_to == "none":
            raise
        raise ConfigError(f"Logger {report_to!r} cannot be used: {error}") from None
    trainer.remove_callback(PrinterCallback)
    with listening(stop.hear):
        if total_steps:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        else:
            trainer.evaluate()
    log.tick()
    if trainer.state.global_step < total_steps:
        raise Interrupted(
            f"Stopped at step {trainer.state.global_step} of {total_steps}; a checkpoint is kept. Start the same "
            "command again to resume."
        )
    if lease is None:
        return None
    if config.method_info.remaining == NONE:
        # Before the record: whoever sees a dense run finds its weights.
        file = keep_weights(runs, config.run_id, model.trained_state(), lease)
        if write:
            write(f"weights in {file}, {file.stat().st_size / 1e6:.0f} MB; without them the run cannot be a teacher")
    method, masks, base = config.method_info, model.pruned.mask_set(), None
    if masks is not None and method.importance == MAGNITUDE and method.trains_weights:
        base = snapshots.magnitude_mask(model.pruned, masks)
    return save_run(
        runs,
        config=config,
        layout=encoder.layout,
        provenance=provenance(prepared, log, command, code, notes),
        results=results(trainer, data),
        history=history_table(log),
        masks=masks,
        base=base,
        scores=snapshots.score_history(model.pruned),
        predictions=predictions_of(trainer.config.task_info, trainer.development, trainer.predictions),
        lease=lease,
    )
