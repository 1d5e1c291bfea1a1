"""Running over a set: what fails, what is skipped, what is done before, and several processes."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from evaluation_samples import Knowing, Loader, Samples

from depth_anything_v2 import DepthPrediction
from depth_anything_v2.errors import DepthKindError, InputError, NoInputError, OptionError, OutputError
from depth_anything_v2.evaluation import Benchmark, EvaluationOptions, evaluate
from depth_anything_v2.evaluation.evaluator import ModelLoader
from depth_anything_v2.jobs.options import EstimatorOptions

BENCHMARK = Benchmark("own", "Own", limits="scene", metrics=("abs_rel", "order"))


class Counting:
    """A model that counts its calls, and may be interrupted."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.calls, self.stop_after, self.model = 0, stop_after, Knowing(0.1)

    def __call__(self, image: np.ndarray) -> DepthPrediction:
        if self.calls == self.stop_after:
            raise KeyboardInterrupt
        self.calls += 1
        return self.model(image)


def test_bad_samples_do_not_stop_the_others() -> None:
    told = []
    samples = Samples(6, bad=(1,), blind=(4,))
    done = evaluate(Knowing(0.1), samples, BENCHMARK, on_record=lambda *seen: told.append(seen[1:]))
    assert [record.status for record in done.records] == ["scored", "failed", "scored", "scored", "skipped", "scored"]
    assert "the disk is gone" in done.records[1].message
    assert "0 pixels that count" in done.records[4].message
    assert told == [(n, 6) for n in range(1, 7)]
    assert (done.ok, done.count("scored"), done.alignment) == (False, 4, "scale-shift-inverse")
    assert evaluate(Knowing(), Samples(3, blind=(1,)), BENCHMARK).ok  # skipped is no failure


def test_a_model_that_always_fails_or_never_fits() -> None:
    def small(image: np.ndarray) -> DepthPrediction:
        return DepthPrediction(np.ones((5, 5)), "relative")

    with pytest.raises(InputError, match=r"all 6 samples failed, the first because: .* 5 x 5 .* resize it"):
        evaluate(small, Samples(6), BENCHMARK)
    with pytest.raises(DepthKindError, match="needs metric depth"):
        evaluate(Knowing(), Samples(6), BENCHMARK, options=EvaluationOptions(alignment="none"))


def test_nothing_to_do_and_nonsense() -> None:
    with pytest.raises(NoInputError, match="has no samples"):
        evaluate(Knowing(), [], BENCHMARK, data="an empty split")
    with pytest.raises(OptionError, match="at least 1"):
        EvaluationOptions(processes=0)
    with pytest.raises(OptionError, match="loader"):
        evaluate(Counting(), Samples(2), BENCHMARK, options=EvaluationOptions(processes=2))


def test_an_interrupted_evaluation_goes_on(tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate(Counting(stop_after=3), Samples(6), BENCHMARK, results=tmp_path)
    file = next(tmp_path.glob("*.jsonl"))
    with file.open("a") as stream:
        stream.write('{"index": 3, "name": "torn')  # killed while it wrote
    rest = Counting()
    done = evaluate(rest, Samples(6), BENCHMARK, results=tmp_path)
    assert rest.calls == 3
    whole = evaluate(Knowing(0.1), Samples(6), BENCHMARK)
    assert [r.metrics for r in done.records] == [r.metrics for r in whole.records]
    again = Counting()
    evaluate(again, Samples(6), BENCHMARK, results=tmp_path)
    assert again.calls == 0


def test_failures_are_tried_again_and_other_models_are_not_mixed(tmp_path) -> None:
    evaluate(Knowing(), Samples(4, bad=(2,)), BENCHMARK, identity="a", results=tmp_path)
    mended = Counting()
    done = evaluate(mended, Samples(4), BENCHMARK, identity="a", results=tmp_path)
    assert (mended.calls, done.ok) == (1, True)
    for change in (
        {"identity": "b"},
        {"identity": "a", "data": "other"},
        {"identity": "a", "options": EvaluationOptions(alignment="median")},
    ):
        fresh = Counting()
        evaluate(fresh, Samples(4), BENCHMARK, results=tmp_path, **change)
        assert fresh.calls == 4
    other = Counting()
    evaluate(other, Samples(4), dataclasses.replace(BENCHMARK, max_depth_m=5.0), identity="a", results=tmp_path)
    assert other.calls == 4


def test_a_file_of_something_else_and_a_folder_that_is_none(tmp_path) -> None:
    evaluate(Knowing(), Samples(2), BENCHMARK, results=tmp_path)
    file = next(tmp_path.glob("*.jsonl"))
    lines = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps({**json.loads(lines[0]), "model": "another"}), *lines[1:]]) + "\n")
    with pytest.raises(OutputError, match="another evaluation"):
        evaluate(Knowing(), Samples(2), BENCHMARK, results=tmp_path)
    with pytest.raises(OutputError, match="is a file, not a folder"):
        evaluate(Knowing(), Samples(2), BENCHMARK, results=file)


def test_several_processes_give_the_same(tmp_path) -> None:
    alone = evaluate(Loader(0.2), Samples(7, bad=(5,)), BENCHMARK)
    options = EvaluationOptions(processes=2)
    together = evaluate(Loader(0.2), Samples(7, bad=(5,)), BENCHMARK, options=options, results=tmp_path)
    assert [(r.index, r.status, r.metrics) for r in together.records] == [
        (r.index, r.status, r.metrics) for r in alone.records
    ]
    assert multiprocessing.active_children() == []


def test_the_package_s_own_options_are_a_loader() -> None:
    assert isinstance(EstimatorOptions("builtin"), ModelLoader)
    assert not isinstance(Counting(), ModelLoader)


SCRIPT = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from evaluation_samples import Knowing, Samples
from depth_anything_v2.evaluation import Benchmark, EvaluationOptions, evaluate
class Slow:
    def load(self):
        return self
    def __call__(self, image):
        time.sleep(0.2)
        return Knowing()(image)
if __name__ == "__main__":
    evaluate(
        Slow(),
        Samples(40),
        Benchmark("own", "Own", limits="scene"),
        identity="x",
        results=Path({results!r}),
        options=EvaluationOptions(processes=2),
        on_record=lambda record, done, of: print(record.index, flush=True),
    )
"""


def test_a_killed_evaluation_leaves_no_process_and_keeps_what_is_done(tmp_path) -> None:
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(SCRIPT).format(tests=str(Path(__file__).parent), results=str(tmp_path / "r")))
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, start_new_session=True)
    for _ in range(3):
        assert process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and _group_lives(process.pid):
        time.sleep(0.1)
    assert not _group_lives(process.pid)
    rest = Counting()
    benchmark = dataclasses.replace(BENCHMARK, metrics=("abs_rel", "delta1"))
    done = evaluate(rest, Samples(40), benchmark, identity="x", results=tmp_path / "r")
    assert done.ok
    assert 3 <= 40 - rest.calls < 40


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
