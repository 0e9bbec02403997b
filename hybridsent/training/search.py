"""The search for learning rates and dropout that suit a set of posts, on its validation posts alone.

Trials are those of optuna, run by the Trainer's own `hyperparameter_search`. They are kept in
`search/trials.jsonl` of the output folder, so that a killed search goes on.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from transformers import Trainer
from transformers.trainer_utils import SaveStrategy, TrainOutput

from hybridsent.support.folders import write_whole
from hybridsent.training.arguments import (
    LOWER_IS_BETTER,
    METRIC,
    HybridSentTrainingArguments,
    ModelArguments,
)
from hybridsent.training.stopping import StopOnSigterm, TrainingError
from hybridsent.training.trainer import HybridSentTrainer, low_rank_factors
from modeling_hybridsent import HybridSentConfig, HybridSentForSequenceClassification

RATES = ("learning_rate", "text_encoder_learning_rate", "vision_encoder_learning_rate")
WIDTH = 4  # a rate is sought from the recipe's divided by this to the recipe's times this
DROPOUT, MOST_DROPOUT = "hidden_dropout", 0.5
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
Build = Callable[[ModelArguments, HybridSentTrainingArguments], HybridSentForSequenceClassification]


class SearchTrainer(HybridSentTrainer):
    """Train the model of each trial anew; a trial that diverges is given up, unless it is the first."""

    def train(self, *args: Any, trial: Any = None, **kwargs: Any) -> TrainOutput:
        """Train the model of one trial."""
        try:
            # Not that of our trainer, which adds low-rank factors: the model is not there yet.
            return Trainer.train(self, *args, trial=trial, **kwargs)
        except TrainingError as error:
            if not _ended(trial.study):  # the recipe's own settings
                raise
            raise optuna.TrialPruned(str(error)) from error


class SettingsSearch:
    """A search over the learning rates that a recipe has, and the dropout of the model.

    The first trial has the recipe's own settings. Each further one depends on the seed and on the
    trials before it, whether or not the search was interrupted.

    Args:
        models: Settings of the model.
        training: Settings of the training.
        build: Builds the model of a trial, with its frozen layers frozen.
        posts: A fingerprint of the posts; trials on others, or with other settings, are not continued.
        **trainer: Further arguments of `HybridSentTrainer`.
    """

    def __init__(
        self, models: ModelArguments, training: HybridSentTrainingArguments, build: Build,
        posts: Mapping[str, Any], **trainer: Any,
    ) -> None:  # fmt: skip
        self.models, self.training, self._build, self._trainer = models, training, build, trainer
        self.metric = (training.metric_for_best_model or METRIC).removeprefix("eval_")
        is_error = self.metric.endswith("loss") or self.metric in LOWER_IS_BETTER
        self.direction = "minimize" if is_error else "maximize"
        self._better = min if is_error else max
        self.recipe = {
            name: rate
            for name in RATES
            if (rate := getattr(training, name)) is not None and rate > 0
        }
        self.space = {name: [rate / WIDTH, rate * WIDTH] for name, rate in self.recipe.items()}
        self.recipe[DROPOUT] = models.fields_of_config().get(
            DROPOUT, HybridSentConfig.hidden_dropout
        )
        self.space[DROPOUT] = [0.0, MOST_DROPOUT]
        self.folder = Path(training.output_dir)
        self.study = self._open(posts)
        self._best: float | None = None  # of this trial's evaluations

    def _open(self, posts: Mapping[str, Any]) -> optuna.Study:
        """Open the study of these settings; a trial that a kill interrupted is taken out of it."""
        settings = json.dumps(
            [self.space, self.recipe, self.metric, posts], sort_keys=True, default=str
        )
        file = self.folder / "search" / "trials.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        self._where = {
            "study_name": hashlib.sha256(settings.encode()).hexdigest()[:16],
            "storage": JournalStorage(JournalFileBackend(str(file))),
            "load_if_exists": True,
            "sampler": optuna.samplers.RandomSampler(),  # replaced for each trial
            "pruner": optuna.pruners.NopPruner(),
        }
        study = optuna.create_study(direction=self.direction, **self._where)
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
        return study

    def choose(self, trials: int) -> dict[str, float]:
        """Run the trials that are missing, write `search.json`, and return the best settings.

        Args:
            trials: Number of trials, with those that ended earlier.

        Raises:
            TrainingError: The recipe's own settings do not train.
        """
        ended = _ended(self.study)
        if ended == 0 and not self.study.get_trials(states=(TrialState.WAITING,)):
            self.study.enqueue_trial(self.recipe)
        if trials > ended:
            self._search(trials - ended)
        table = self._table()
        write_whole(json.dumps(table, indent=1), self.folder / "search.json")
        return dict(table["chosen"]["settings"])

    def _search(self, trials: int) -> None:
        trainer = SearchTrainer(
            model_init=self._model, args=self._settings_of_trials(), **self._trainer
        )
        trainer.remove_callback(StopOnSigterm)  # a trial is not continued
        trainer.hyperparameter_search(
            hp_space=self._rates,
            compute_objective=self._objective,
            n_trials=trials,
            direction=self.direction,
            backend="optuna",
            **self._where,
        )

    def _settings_of_trials(self) -> HybridSentTrainingArguments:
        """Return settings that keep no checkpoint and tell nobody: the score is all that counts."""
        settings = copy.copy(self.training)
        settings.output_dir = str(self.folder / "search")
        settings.save_strategy, settings.load_best_model_at_end = SaveStrategy.NO, False
        settings.metric_for_best_model = self.metric
        settings.greater_is_better = self.direction == "maximize"
        settings.report_to, settings.disable_tqdm = [], True
        return settings

    def _suggest(self, trial: optuna.Trial) -> dict[str, float]:
        """Return the settings of a trial."""
        if DROPOUT not in trial.params:
            seed = self.training.seed + _ended(trial.study)
            trial.study.sampler = optuna.samplers.TPESampler(seed=seed)
            self._best = None
        return {
            name: trial.suggest_float(name, *ends, log=name in RATES)
            for name, ends in self.space.items()
        }

    def _rates(self, trial: optuna.Trial) -> dict[str, float]:
        return {name: value for name, value in self._suggest(trial).items() if name in RATES}

    def _model(self, trial: optuna.Trial | None) -> HybridSentForSequenceClassification:
        chosen = self.recipe if trial is None else self._suggest(trial)
        models, training = with_settings(chosen, self.models, self.training)
        model = self._build(models, training)
        low_rank_factors(model, training)
        return model

    def _objective(self, metrics: Mapping[str, float]) -> float:
        """Return the score of a trial: of the epoch that its training would keep."""
        value = metrics[f"eval_{self.metric}"]
        if self.training.load_best_model_at_end and self._best is not None:
            value = self._better(value, self._best)
        self._best = value
        return value

    def describe(self, scored: str) -> str:
        """Return which trial was chosen, and where the others stand.

        Args:
            scored: Split that is scored at the end.
        """
        table = self._table()
        best = table["chosen"]
        settings = ", ".join(f"{name} {value:.3g}" for name, value in best["settings"].items())
        text = (
            f"Search: of {len(table['trials'])} trials, trial {best['trial']} has the best "
            f"{self.metric} on the validation posts, {best[self.metric]:.4f}: {settings}. "
            f"All trials: {self.folder / 'search.json'}"
        )
        if scored == "validation":
            text += (
                "\nWarning: no test post has a label, so the scores are of the posts that chose."
            )
        return text

    def _table(self) -> dict[str, Any]:
        """Return all trials that ended, and the best of them."""
        rows = [
            {"trial": number, "settings": trial.params, self.metric: _score(trial)}
            for number, trial in enumerate(self.study.get_trials(states=ENDED))
        ]
        scored = [row for row in rows if row[self.metric] is not None]
        best = self._better(scored, key=lambda x: x[self.metric])
        return {
            "metric": self.metric, "split": "validation", "seed": self.training.seed,
            "space": self.space, "trials": rows, "chosen": best,
        }  # fmt: skip


def _score(trial: optuna.trial.FrozenTrial) -> float | None:
    """Return the score of a trial; None if it was given up, whatever its first epochs gave."""
    return trial.value if trial.state == TrialState.COMPLETE else None


def _ended(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=ENDED))


def with_settings(
    chosen: Mapping[str, float], models: ModelArguments, training: HybridSentTrainingArguments
) -> tuple[ModelArguments, HybridSentTrainingArguments]:
    """Return copies of the settings with those that a search chose.

    Args:
        chosen: Learning rates and dropout by name.
        models: Settings of the model.
        training: Settings of the training.
    """
    fields = models.fields_of_config() | {DROPOUT: chosen[DROPOUT]}
    changed = copy.copy(training)
    for name in RATES:
        setattr(changed, name, chosen.get(name, getattr(training, name)))
    return replace(models, model_config=fields), changed
