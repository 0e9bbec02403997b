"""What we promise, the test that holds it, and how to break it so that the test must fail.

A break is one change of one line or two. `before` stands in the file exactly once.
"""

from typing import NamedTuple


class Promise(NamedTuple):
    """One promise.

    Attributes:
        text: What users may rely on.
        test: File and name of a test, as pytest takes them.
        file: The file that a break changes.
        before: Its text there.
        after: What replaces it.
    """

    text: str
    test: str
    file: str
    before: str
    after: str


TRAINER = "hybridsent/training/trainer.py"
FUSION = "modeling_hybridsent/fusion_hybridsent.py"
PROCESSING = "modeling_hybridsent/processing_hybridsent.py"
GROUPS = {
    "Training": (
        Promise(
            "Killed at any moment, a run that goes on from its checkpoints ends in the same weights, "
            "bit by bit (CPU, same versions, same number of threads and processes).",
            "tests/test_resuming.py::test_killed_twice_it_ends_in_the_same_weights",
            "hybridsent/training/checkpoints.py",
            "    return [*faults, *_faults_of_state(folder / STATE)]",
            "    return []",
        ),
        Promise(
            "SIGTERM makes a run finish its step, write a checkpoint, say so and end with 143.",
            "tests/test_resuming.py::test_sigterm_saves_the_step_says_so_and_leaves",
            "hybridsent/training/stopping.py",
            "        raise SystemExit(EXIT_CODE)",
            "        return",
        ),
        Promise(
            "A full disk or a kill leaves no half of a model in the output folder.",
            "tests/test_faults.py::test_a_disk_that_is_full_at_the_end_leaves_no_half_of_a_model",
            TRAINER,
            "        draft = folder / DRAFT",
            "        draft = folder",
        ),
        Promise(
            "A loss that is no number stops the run before it spoils a weight; its posts are named.",
            "tests/training/test_failures.py"
            "::test_a_loss_that_is_no_number_names_step_posts_and_norms",
            TRAINER,
            '        self._require_finite("loss", float(loss))\n',
            "",
        ),
        Promise(
            "Gradients that are no numbers are not learnt from.",
            "tests/training/test_failures.py"
            "::test_gradients_that_are_no_numbers_are_not_learnt_from",
            TRAINER,
            '            self._require_finite("norm of the gradients", float(norm))',
            "            pass",
        ),
        Promise(
            "One run at a time writes into a folder; its lock ends with it, however that ends.",
            "tests/support/test_locking.py::test_let_in_once_the_other_run_was_killed",
            "hybridsent/support/locking.py",
            "            fcntl.lockf(self._file, kind | fcntl.LOCK_NB)",
            "            pass",
        ),
        Promise(
            "Two processes learn what one does with the same posts in a step.",
            "tests/test_several_processes.py::test_two_processes_learn_what_one_does",
            TRAINER,
            "            shares = shares * self.accelerator.num_processes\n",
            "",
        ),
        Promise(
            "Stored states of frozen encoders give the losses and scores that the encoders give.",
            "tests/training/test_feature_cache.py"
            "::test_states_of_another_encoder_or_processor_are_not_used",
            "hybridsent/training/feature_cache.py",
            '            "encoder": [encoder.config.to_dict(), digest_of_weights(encoder)],\n',
            "",
        ),
    ),
    "Data": (
        Promise(
            "The joint label of MVSA follows one rule for all nine pairs of labels.",
            "tests/datasets_scripts/test_mvsa_single.py::test_the_rule_covers_all_nine_pairs",
            "datasets_scripts/published/labels.py",
            '    if text_label == image_label or image_label == "neutral":',
            "    if text_label == image_label:",
        ),
        Promise(
            "A prepared set is there whole or not at all, also when its making is killed.",
            "tests/test_faults.py::test_killed_while_it_prepares_no_half_of_a_set_is_there",
            "hybridsent/support/folders.py",
            '    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))',
            '    tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent)\n'
            "    (draft := target).mkdir()",
        ),
        Promise(
            "Prepared posts train a model bit by bit as their raw files do.",
            "tests/test_run_train.py::test_prepared_folder_trains_as_the_raw_one_does",
            "datasets_scripts/prepared.py",
            '        return load_dataset("parquet", data_files=files)',
            '        found = load_dataset("parquet", data_files=files)\n'
            '        found["train"] = found["train"].select(range(len(found["train"]))[::-1])\n'
            "        return found",
        ),
    ),
    "Scoring": (
        Promise(
            "Killed at any moment, a run of run_predict.py that goes on has every row exactly once.",
            "tests/test_run_predict.py::test_killed_at_any_moment_each_row_is_there_once",
            "hybridsent/scoring/run_folder.py",
            '        return finished_shards(self.folder, manifest["rows_per_shard"])',
            '        done = finished_shards(self.folder, manifest["rows_per_shard"])\n'
            "        return tuple(range(len(done) + 1))",
        ),
        Promise(
            "A row that cannot be scored keeps its place, with the reason.",
            "tests/scoring/test_inputs.py::test_broken_lines_of_json_keep_their_place",
            "hybridsent/scoring/text_files.py",
            "                    fields = _parse(line)\n",
            "                    fields = _parse(line)\n"
            "                    if isinstance(fields, str):\n"
            "                        continue\n",
        ),
        Promise(
            "A full disk loses no row: the same command goes on once there is room.",
            "tests/test_faults.py::test_a_full_disk_while_it_scores_loses_no_row",
            "hybridsent/scoring/shard_files.py",
            "            self.draft.unlink(missing_ok=True)  # first",
            "            self.draft.rename(self.folder / shard_name(self.start, self.stop))  #",
        ),
        Promise(
            "Answers of another model, input or setting are never mixed into a folder.",
            "tests/scoring/test_run_folder.py"
            "::test_the_same_question_goes_on_and_another_is_refused",
            "hybridsent/scoring/run_folder.py",
            "        if differ:",
            "        if False:",
        ),
    ),
    "Model": (
        Promise(
            "What stands in for a missing picture or text does not change a bit of the answer.",
            "tests/modeling_hybridsent/test_missing_modality.py"
            "::test_what_stands_in_for_a_missing_picture_changes_no_bit",
            "modeling_hybridsent/modeling_hybridsent.py",
            "        return self.image_features(*outputs, has_image)",
            "        return self.image_features(*outputs, torch.ones_like(has_image))",
        ),
        Promise(
            "Decision weights sum to 1 and are exactly 0 for a branch that cannot decide.",
            "tests/modeling_hybridsent/test_missing_modality.py"
            "::test_weights_are_exactly_zero_for_what_cannot_decide_and_sum_to_one",
            FUSION,
            "        scores = scores.masked_fill(~present, torch.finfo(scores.dtype).min)\n",
            "",
        ),
        Promise(
            "The probabilities are the branches' weighted by the decision weights.",
            "tests/modeling_hybridsent/test_model.py"
            "::test_probabilities_are_the_weighted_sum_of_the_branches",
            FUSION,
            "        log_p = torch.logsumexp(log_weights[..., None] + log_probs, dim=1)",
            "        log_p = torch.logsumexp(log_probs, dim=1)",
        ),
        Promise(
            "The calibration that a run fits, for posts with both modalities and for each alone, is "
            "stored with the model and applied in it.",
            "tests/evaluation/test_final_scores.py::test_the_model_decides_as_was_calibrated",
            "hybridsent/evaluation/final_scores.py",
            '        setattr(config, TEMPERATURES[given], row["temperature"])\n',
            '        config.temperature = row["temperature"]\n',
        ),
    ),
    "Strangers' files and code": (
        Promise(
            "No address is fetched because a row names one.",
            "tests/modeling_hybridsent/test_processing.py::test_web_address_is_never_fetched",
            PROCESSING,
            '    if isinstance(source, (str, os.PathLike)) and "://" in os.fspath(source):',
            "    if False:",
        ),
        Promise(
            "A picture of more than the allowed pixels is refused before it is decoded.",
            "tests/modeling_hybridsent/test_processing.py"
            "::test_oversized_picture_is_refused_before_decoding",
            PROCESSING,
            "    if image.width * image.height > max_pixels:",
            "    if False:",
        ),
        Promise(
            "Texts, labels and names of files become no code in the report.",
            "tests/evaluation/test_report_page.py::test_nothing_can_be_loaded_and_no_text_becomes_code",
            "hybridsent/evaluation/report_page.py",
            "        autoescape=True,",
            "        autoescape=False,",
        ),
        Promise(
            "Published are safetensors, JSON, our code, card and figures; no path of your machine.",
            "tests/publishing/test_publish.py"
            "::test_a_folder_that_cannot_be_published_is_named_and_nothing_is_sent",
            "hybridsent/publishing/published_files.py",
            "            if path := _local_path(text, source):",
            "            if path := None:",
        ),
        Promise(
            "All code that a published model needs lies beside its weights.",
            "tests/publishing/test_publish.py"
            "::test_all_that_is_needed_goes_in_one_commit_and_nothing_else",
            "hybridsent/publishing/published_files.py",
            '    "*_hybridsent.py",',
            '    "[!b]*_hybridsent.py",',
        ),
        Promise(
            "A push goes through whole or changes nothing, and overwrites nobody's commit.",
            "tests/publishing/test_publish.py"
            "::test_a_commit_of_somebody_else_in_between_is_not_overwritten",
            "hybridsent/publishing/publish.py",
            "        parent_commit=head,\n",
            "",
        ),
    ),
    "Errors": (
        Promise(
            "A command that fails says so in one message, ours or with the library it came from, and "
            "ends with 1; `--debug` shows the traceback.",
            "tests/support/test_command_line.py"
            "::test_the_error_of_a_library_says_which_and_how_to_see_more",
            "hybridsent/support/command_line.py",
            "    except Exception as error:\n        if debug:",
            "    except Exception as error:\n        if True:",
        ),
        Promise(
            "Bad rows of a set are named with file and line, ten of them at once.",
            "tests/datasets_scripts/test_mvsa_single.py::test_a_bad_row_is_named_with_its_line",
            "datasets_scripts/published/label_file.py",
            '        where, row = f"{file.name} line {number}", row_pattern.fullmatch(line.rstrip())',
            "        where, row = file.name, row_pattern.fullmatch(line.rstrip())",
        ),
    ),
}
PROMISES = tuple(promise for group in GROUPS.values() for promise in group)
