import csv
import math
import re
import shlex
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from matplotlib import image
from rich.console import Console
from small_runs import with_steps

from rtdenoise.train import validate, workers
from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.config import FitConfig
from rtdenoise.train.data import DataError, Sources
from rtdenoise.train.fit import Fit
from rtdenoise.train.mix import MixConfig
from rtdenoise.train.networks import NETWORKS
from rtdenoise.train.space import SPACES
from rtdenoise.train.study import FIRST_COMPLETE, RETRIES
from rtdenoise.train.trials import Trial, draw_trials, options, ranked, write_tables
from rtdenoise.train.tune import tune
from rtdenoise.train.workers import Job, serve

Search = Callable[..., list[Trial]]


@pytest.fixture
def base(config: FitConfig) -> FitConfig:
    """Ten steps with a validation after every two; its values lie outside of the space."""
    return with_steps(config, 10, patches=1, batch_clips=1, check_steps=2)


@pytest.fixture
def search(base: FitConfig, cache: Path, tmp_path: Path) -> Search:
    """Run a search in the test's folder with anything changed."""

    def run(
        trials: int, workers: int = 1, console: Console | None = None, **changes: Any
    ) -> list[Trial]:
        config = replace(base, **changes)
        shown = console or Console(quiet=True)
        return tune(config, tmp_path, cache, "cpu", trials, workers, shown)

    return run


class Toy:
    """Stands in for training: scores follow from the settings, and grow with the steps."""

    configs: ClassVar[list[FitConfig]] = []
    score: ClassVar[Callable[[FitConfig, int], float]]

    def __init__(self, config: FitConfig, folder: Path, *_: object) -> None:
        self.config = config
        self.configs.append(config)

    def run(self, on_check: Callable[[int, dict[str, float]], None]) -> dict[str, float]:
        total, every = self.config.steps(1), self.config.check_steps
        for step in range(every, total + 1, every):
            scores = {"si_sdr_db": 10 * type(self).score(self.config, step), "snr_db": 1.0}
            on_check(step, scores)
        return scores


def closeness(config: FitConfig, step: int) -> float:
    """Best at a learning rate of 3e-3 and a width of 48."""
    off = math.log10(config.learning_rate / 3e-3) ** 2 + (config.arguments["width"] / 48 - 1) ** 2
    return step / 10 - off


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> type[Toy]:
    monkeypatch.setattr(Toy, "configs", [])
    monkeypatch.setattr(Toy, "score", staticmethod(closeness), raising=False)
    monkeypatch.setattr(workers, "Fit", Toy)
    return Toy


def by_number(trials: list[Trial]) -> list[Trial]:
    return sorted(trials, key=lambda t: t.number)


def interrupt(config: FitConfig, step: int) -> float:
    raise KeyboardInterrupt


class TestSearch:
    def test_begins_with_the_base_and_has_as_many_trials_as_wanted(
        self, search: Search, base: FitConfig, toy: type[Toy]
    ) -> None:
        found = by_number(search(7))
        assert [t.number for t in found] == list(range(7))
        assert {t.state for t in found} <= {"complete", "pruned"}
        assert toy.configs[0] == base
        assert found[0].settings == {
            "depth": 2,
            "width": 8,
            "dropout": 0.1,
            "learning_rate": 2e-3,
            "l2": 0.0,
        }
        assert found[0].note == "as given"
        assert ranked(found)[0].score == max(t.score for t in found if t.state == "complete")
        assert ranked(found)[0].score > found[0].score

    def test_trials_lie_in_the_space_and_differ_in_nothing_else(
        self, search: Search, base: FitConfig, toy: type[Toy]
    ) -> None:
        found = by_number(search(5))
        space = SPACES["dncnn"]
        assert len({str(t.settings) for t in found}) == 5
        for trial, config in zip(found[1:], toy.configs[1:], strict=True):
            assert space.settings(config) == trial.settings
            assert space.apply(config, space.settings(base)) == base
            for name, axis in space.axes.items():
                value = trial.settings[name]
                assert type(value) is type(axis.low)
                # Rounded to three digits, which may step over a bound.
                assert 0.995 * axis.low <= value <= 1.005 * axis.high
                assert value == pytest.approx(axis.nearest(value), rel=0.005)

    def test_hopeless_trials_are_pruned(self, search: Search, toy: type[Toy]) -> None:
        steps: list[int] = []

        def score(config: FitConfig, step: int) -> float:
            if step == 2:
                steps.append(0)
            steps[-1] = step
            return step / 10 + (0 if len(steps) > FIRST_COMPLETE + 1 else 1)

        toy.score = staticmethod(score)
        found = by_number(search(FIRST_COMPLETE + 3))
        pruned = [t for t in found if t.state == "pruned"]
        assert [t.number for t in pruned] == [FIRST_COMPLETE + 1, FIRST_COMPLETE + 2]
        assert {(t.steps, t.score, t.note) for t in pruned} == {(2, 0.2, "below the median")}
        assert steps == [10] * (FIRST_COMPLETE + 1) + [2, 2]
        assert [t.state for t in ranked(found)[-2:]] == ["pruned", "pruned"]

    def test_score_of_a_trial_is_that_of_its_best_checkpoint(
        self, search: Search, toy: type[Toy]
    ) -> None:
        toy.score = staticmethod(lambda config, step: 1 - abs(step - 6) / 10)
        (trial,) = search(1)
        assert (trial.score, trial.steps) == (1.0, 10)
        assert trial.hours == pytest.approx(10 * 0.2 / 3600)

    def test_diverging_trials_end_early_but_not_the_search(
        self, search: Search, toy: type[Toy]
    ) -> None:
        def score(config: FitConfig, step: int) -> float:
            return math.nan if len(toy.configs) == 2 and step == 4 else 1.0

        toy.score = staticmethod(score)
        found = by_number(search(4))
        assert [t.state for t in found] == ["complete", "pruned", "complete", "complete"]
        assert (found[1].note, found[1].steps) == ("diverged", 4)

    def test_a_network_too_large_for_the_gpu_is_passed_over(
        self, search: Search, toy: type[Toy]
    ) -> None:
        def score(config: FitConfig, step: int) -> float:
            if len(toy.configs) == 2:
                raise torch.OutOfMemoryError
            return 1.0

        toy.score = staticmethod(score)
        found = by_number(search(3))
        assert (found[1].state, found[1].note, found[1].score) == ("pruned", "out of memory", None)

    def test_nothing_but_divergence_is_an_error(
        self, search: Search, toy: type[Toy], tmp_path: Path
    ) -> None:
        toy.score = staticmethod(lambda config, step: math.nan)
        with pytest.raises(DataError, match=r"no trial came to its end.*trials\.md"):
            search(2)
        assert (tmp_path / "trials.md").read_text().count("diverged") == 2
        assert (tmp_path / "trials.png").exists()

    def test_one_line_for_each_trial(self, search: Search, toy: type[Toy], capsys) -> None:
        search(3, console=Console(width=300))
        lines = capsys.readouterr().out.splitlines()
        assert [line[:17] for line in lines] == [f"trial {k}  complete" for k in range(3)]
        assert all("--learning-rate" in line and "best" in line for line in lines)

    def test_trains_really(
        self, search: Search, base: FitConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # PESQ takes longer than all the steps of a tiny run.
        monkeypatch.setattr(validate.importlib.util, "find_spec", lambda name: None)
        best = search(2)[0]
        for number in range(2):
            last = Checkpoint.load(tmp_path / f"trial_{number:03d}" / "last.pt")
            assert last.step == 10
        kept = Checkpoint.load(tmp_path / f"trial_{best.number:03d}" / "best.pt")
        assert SPACES["dncnn"].apply(base, best.settings).arguments == kept.arguments
        assert best.scores == kept.scores
        assert best.minutes > 0


class TestResuming:
    def test_goes_on_to_a_larger_number_and_repeats_nothing(
        self, search: Search, toy: type[Toy]
    ) -> None:
        first = by_number(search(4))
        assert by_number(search(4)) == first
        assert len(toy.configs) == 4
        more = by_number(search(7))
        assert more[:4] == first
        assert len(toy.configs) == len(more) == 7
        assert len({t.settings["learning_rate"] for t in more}) == 7

    @pytest.mark.parametrize(
        "changes",
        [{"learning_rate": 1e-3}, {"mix": MixConfig(rooms=3)}],
    )
    def test_another_recipe_is_refused(
        self, search: Search, toy: type[Toy], tmp_path: Path, changes: dict[str, Any]
    ) -> None:
        search(1)
        before = (tmp_path / "trials.csv").read_bytes()
        (name,) = changes
        with pytest.raises(DataError, match=rf"another recipe \({name} differ\)") as caught:
            search(4, **changes)
        assert "\n" not in str(caught.value)
        assert len(toy.configs) == 1
        assert (tmp_path / "trials.csv").read_bytes() == before
        assert len(search(2)) == 2

    def test_other_bounds_are_refused(
        self, search: Search, toy: type[Toy], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        search(1)
        space = replace(SPACES["dncnn"], arguments={})
        monkeypatch.setitem(SPACES, "dncnn", space)
        with pytest.raises(DataError, match="search space differ"):
            search(2)

    @pytest.mark.parametrize("cut", [0, 2])
    def test_trial_that_was_cut_off_is_tried_again(
        self, search: Search, toy: type[Toy], cut: int
    ) -> None:
        def score(config: FitConfig, step: int) -> float:
            if len(toy.configs) == cut + 1 and step == 6:
                raise KeyboardInterrupt
            return 1.0

        toy.score = staticmethod(score)
        with pytest.raises(KeyboardInterrupt):
            search(4)
        found = by_number(search(4))
        assert [t.state for t in found].count("complete") == 4
        assert (found[cut].state, found[cut].steps) == ("failed", 4)
        assert found[cut].note.endswith(f"cut off, went on as {cut + 1}")
        assert found[cut + 1].settings == found[cut].settings
        assert toy.configs[cut] == toy.configs[cut + 1]
        assert len(toy.configs) == 5

    def test_trial_that_was_killed_goes_on_from_its_checkpoint(
        self, search: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(validate.importlib.util, "find_spec", lambda name: None)
        step, taken = Fit._train_step, []

        def killed(run: Fit, module: torch.nn.Module) -> torch.Tensor:
            if run.step == 7 and 7 not in taken:
                taken.append(7)
                raise KeyboardInterrupt
            taken.append(run.step)
            return step(run, module)

        monkeypatch.setattr(Fit, "_train_step", killed)
        with pytest.raises(KeyboardInterrupt):
            search(1)
        cut, whole = by_number(search(1))
        assert taken == [*range(7), 7, *range(6, 10)]
        assert (cut.state, cut.steps) == ("failed", 6)
        assert (whole.state, whole.steps) == ("complete", 10)
        assert whole.minutes > cut.minutes
        assert [p.name for p in tmp_path.glob("trial_*")] == ["trial_000"]

    def test_trial_cut_off_before_its_last_scores_were_noted_is_complete(
        self, search: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(validate.importlib.util, "find_spec", lambda name: None)
        save = Checkpoint.save

        def last_act(checkpoint: Checkpoint, path: Path) -> None:
            save(checkpoint, path)
            if path.name == "last.pt" and checkpoint.step == 10:
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(Checkpoint, "save", last_act)
            with pytest.raises(KeyboardInterrupt):
                search(1)
        whole = search(1)[0]
        assert (whole.state, whole.steps) == ("complete", 10)

    def test_trial_that_never_gets_anywhere_is_given_up(
        self, search: Search, toy: type[Toy]
    ) -> None:
        toy.score = staticmethod(interrupt)
        for _ in range(1 + RETRIES):
            with pytest.raises(KeyboardInterrupt):
                search(1)
        assert len({str(c) for c in toy.configs}) == 1
        toy.score = staticmethod(closeness)
        found = search(1)
        assert [t.state for t in found].count("failed") == 1 + RETRIES
        assert found[0].settings != found[-1].settings

    def test_one_search_at_a_time(self, search: Search, toy: type[Toy], tmp_path: Path) -> None:
        other = sqlite3.connect(tmp_path / "study.lock")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DataError, match="another process is searching"):
            search(1)
        other.close()
        assert len(search(1)) == 1


class TestRefusals:
    def test_bad_data_ends_the_search_with_its_message(
        self, search: Search, toy: type[Toy]
    ) -> None:
        def score(config: FitConfig, step: int) -> float:
            raise DataError("a.wav: cannot be read")

        toy.score = staticmethod(score)
        with pytest.raises(DataError, match=r"^a\.wav: cannot be read$"):
            search(3)
        assert len(toy.configs) == 1

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"sources": Sources(speech="nowhere", noise="nowhere")}, "no such folder"),
            ({"network": "other"}, "nothing to search for 'other'"),
            ({"start_from": "best.pt"}, "none can start from a checkpoint"),
        ],
    )
    def test_what_cannot_be_searched_leaves_no_study(
        self, search: Search, tmp_path: Path, changes: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(DataError, match=message):
            search(1, **changes)
        assert not list(tmp_path.iterdir())

    def test_torchrun_is_refused(self, search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(DataError, match="torchrun"):
            search(1)


class TestProcesses:
    def test_two_processes_share_a_study(self, search: Search, tmp_path: Path) -> None:
        found = by_number(search(3, workers=2))
        assert [t.number for t in found] == [0, 1, 2]
        assert {t.state for t in found} == {"complete"}
        assert {t.steps for t in found} == {10}
        folders = sorted(p.name for p in tmp_path.glob("trial_*"))
        assert folders == [f"trial_{k:03d}" for k in range(3)]
        # Two at a time: the first two began before either had ended.
        begun = [min(f.stat().st_mtime for f in (tmp_path / n).iterdir()) for n in folders]
        ended = [max(f.stat().st_mtime for f in (tmp_path / n).iterdir()) for n in folders]
        assert max(begun[:2]) < max(ended[:2])
        assert min(begun[2:]) >= min(ended[:2])

    @pytest.mark.parametrize(
        ("act", "message"),
        [
            ("os._exit(7)", r"^trial [01]: its process died \(exit code 7\)"),
            ("pipe.send(('refused', 'a.wav: is bad'))", r"^a\.wav: is bad$"),
        ],
    )
    def test_process_that_fails_ends_the_search(
        self,
        search: Search,
        tmp_path_factory: pytest.TempPathFactory,
        monkeypatch: pytest.MonkeyPatch,
        act: str,
        message: str,
    ) -> None:
        # A module of its own starts sooner than one that imports torch.
        folder = tmp_path_factory.mktemp("module")
        name = f"failing_{abs(hash(act))}"
        (folder / f"{name}.py").write_text(f"import os\ndef work(pipe, *rest):\n    {act}\n")
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setattr(workers, "work", __import__(name).work)
        since = time.monotonic()
        with pytest.raises(DataError, match=message):
            search(3, workers=2)
        assert time.monotonic() - since < 30

    def test_defect_in_a_process_is_one_here(self) -> None:
        with pytest.raises(RuntimeError, match=r"(?s)^trial 3 failed.*Traceback"):
            workers._answer(None, 3, ("failed", "Traceback"))

    def test_process_tells_what_went_wrong(
        self, base: FitConfig, cache: Path, tmp_path: Path, toy: type[Toy]
    ) -> None:
        for raised, kind, text in (
            (DataError("a.wav: is bad"), "refused", r"^a\.wav: is bad$"),
            (ZeroDivisionError("a defect"), "failed", r"(?s)^Traceback.*a defect"),
        ):

            def score(config: FitConfig, step: int, raised: Exception = raised) -> float:
                raise raised

            toy.score = staticmethod(score)
            ours, theirs = Pipe()
            serve(theirs, Job(0, base, tmp_path), cache, "cpu")
            told = ours.recv()
            assert told[0] == kind
            assert re.search(text, told[1])

    def test_process_stops_a_trial_when_told(
        self, base: FitConfig, cache: Path, tmp_path: Path, toy: type[Toy]
    ) -> None:
        ours, theirs = Pipe()
        for answer in ("", "", "below the median"):
            ours.send(answer)
        ours.send(Job(1, base, tmp_path))
        for _ in range(5):
            ours.send("")
        # After the second trial it reads the end of the pipe.
        recorder = Recorder(theirs, 9)
        serve(recorder, Job(0, base, tmp_path), cache, "cpu")
        sent = recorder.sent
        assert [m[1] for m in sent[:3]] == [2, 4, 6]
        assert sent[3] == ("end", "below the median", {})
        assert [m[1] for m in sent[4:9]] == [2, 4, 6, 8, 10]
        assert sent[9][:2] == ("end", "")


class Recorder:
    """A pipe that keeps what is sent, and ends after so many messages were read."""

    def __init__(self, pipe: Any, messages: int) -> None:
        self.pipe, self.left = pipe, messages
        self.sent: list[Any] = []

    def send(self, message: Any) -> None:
        self.sent.append(message)

    def recv(self) -> Any:
        if not self.left:
            raise EOFError
        self.left -= 1
        return self.pipe.recv()


class TestResults:
    trials: ClassVar[list[Trial]] = [
        Trial(0, "complete", {"width": 48, "l2": 0.0}, 2.5, {"m": 2.5}, 10, 1.0, 3.5, "as given"),
        Trial(1, "pruned", {"width": 64, "l2": 1e-5}, 2.9, {"m": 2.9}, 4, 0.4, 1.5, "bad"),
        Trial(2, "complete", {"width": 32, "l2": 1e-6}, 2.75, {"m": 2.75}, 10, 1.0, 3.25, ""),
        Trial(3, "pruned", {"width": 96, "l2": 1e-3}, None, {}, 2, 0.2, 0.1, "diverged"),
        Trial(4, "failed", {"width": 80, "l2": 1e-4}, 9.0, {"m": 9.0}, 2, 0.2, 0.1, "cut off"),
        Trial(5, "waiting", {"width": 80, "l2": 1e-4}, None, {}, 0, 0.0, 0.0, ""),
    ]

    def test_ranking(self) -> None:
        assert [t.number for t in ranked(self.trials)] == [2, 0, 1, 3, 4, 5]

    def test_tables_hold_every_trial(self, tmp_path: Path) -> None:
        write_tables(self.trials, tmp_path)
        with (tmp_path / "trials.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["trial"] for row in rows] == list("201345")
        assert [row["rank"] for row in rows] == ["1", "2", "", "", "", ""]
        assert [float(row["l2"]) for row in rows] == [1e-6, 0, 1e-5, 1e-3, 1e-4, 1e-4]
        assert rows[3]["score"] == ""
        lines = (tmp_path / "trials.md").read_text().splitlines()
        assert len(lines) == 2 + 6
        assert len({len(line) for line in lines}) == 1
        titles = [cell.strip() for cell in lines[0].strip("|").split("|")]
        expected = "rank trial state score m width l2 steps hours minutes note"
        assert titles == expected.split()

    def test_picture_holds_every_trial(self) -> None:
        figure = draw_trials(self.trials, {"l2"})
        history, width, l2 = figure.axes

        def places(panel: Any) -> list[float]:
            marks = [line for line in panel.get_lines() if line.get_label() != "best so far"]
            low, high = panel.get_xlim()
            found = sorted(float(x) for line in marks for x in line.get_xdata())
            assert low < found[0] <= found[-1] < high
            return found

        assert places(history) == [0, 1, 2, 3, 4, 5]
        assert places(width) == [32, 48, 64, 80, 80, 96]
        assert places(l2) == pytest.approx([0, 1e-6, 1e-5, 1e-4, 1e-4, 1e-3])
        assert (width.get_xscale(), l2.get_xscale()) == ("linear", "symlog")
        (so_far,) = (n for n in history.get_lines() if n.get_label() == "best so far")
        assert list(so_far.get_ydata()) == [2.5, 2.75]
        assert draw_trials(self.trials[1:3], {"l2"}).axes[2].get_xscale() == "log"
        # An outlier without a rank stretches no axis.
        assert history.get_ylim()[1] < 4

    def test_search_writes_them(self, search: Search, toy: type[Toy], tmp_path: Path) -> None:
        found = search(7)
        with (tmp_path / "trials.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [int(row["trial"]) for row in rows] == [t.number for t in found]
        assert len((tmp_path / "trials.md").read_text().splitlines()) == 2 + 7
        assert image.imread(tmp_path / "trials.png").std() > 0.05

    def test_options_repeat_the_trial(self) -> None:
        settings = {"depth": 10, "dropout": 0.15, "learning_rate": 1.23e-05, "l2": 0.0}
        trial = Trial(0, "complete", settings, 1.0, {}, 1, 1.0, 1.0, "")
        words = shlex.split(options(trial))
        assert words[::2] == ["--depth", "--dropout", "--learning-rate", "--l2"]
        assert [float(w) for w in words[1::2]] == list(settings.values())


class TestSpaces:
    def test_every_network_has_one(self) -> None:
        assert SPACES.keys() == NETWORKS.keys()

    @pytest.mark.parametrize("name", list(SPACES))
    def test_its_corners_can_be_built_and_its_fields_exist(
        self, name: str, base: FitConfig
    ) -> None:
        space = SPACES[name]
        config = replace(base, network=name, arguments={})
        for corner in ("low", "high"):
            settings = {k: getattr(axis, corner) for k, axis in space.axes.items()}
            applied = space.apply(config, settings)
            assert space.settings(applied) == settings
            with torch.device("meta"):
                NETWORKS[name](**applied.arguments)

    @pytest.mark.parametrize("name", list(SPACES))
    def test_defaults_lie_inside(self, name: str, base: FitConfig) -> None:
        config = replace(base, network=name, arguments={}, l2=1e-6)
        for key, value in SPACES[name].settings(config).items():
            assert SPACES[name].axes[key].nearest(value) == pytest.approx(value)
