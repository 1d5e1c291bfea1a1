"""Memory: the estimate against measured peaks, what a machine has, and what follows from both."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from depth_anything_v2 import planner
from depth_anything_v2.config import MODEL_CONFIGS, model_config
from depth_anything_v2.dpt import build_model
from depth_anything_v2.errors import ImageTooLargeError
from depth_anything_v2.estimator import DepthEstimator

GIGABYTE = 10**9


class Engine:
    """One that is asked for nothing but what it is."""

    name, device, precision = "torch", "cpu", "float32"

    def __init__(self, device: str = "cpu", free: int | None = None) -> None:
        self.device, self._free = device, free

    def free_memory(self) -> int | None:
        return self._free

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        return batch.mean(axis=1)


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch):
    """Let the machine have so many bytes free, and this process none."""
    monkeypatch.setattr(planner, "resident_bytes", lambda: 0)

    def have(count: int | None) -> None:
        monkeypatch.setattr(planner, "free_memory", lambda: count)

    return have


# Peak resident memory of a process, in megabytes: encoder, engine, precision, height, width, batch.
MEASURED = [
    ("vits", "torch", "float32", 252, 252, 1, 498),
    ("vits", "torch", "float32", 518, 518, 1, 613),
    ("vits", "torch", "float32", 518, 784, 1, 676),
    ("vits", "torch", "float32", 1036, 1036, 1, 1038),
    ("vits", "torch", "bfloat16", 518, 518, 1, 543),
    ("vits", "torch", "bfloat16", 518, 784, 1, 604),
    ("vits", "torch", "bfloat16", 1036, 1036, 1, 781),
    ("vits", "onnx", "float32", 252, 252, 1, 247),
    ("vits", "onnx", "float32", 518, 518, 1, 428),
    ("vits", "onnx", "float32", 518, 784, 1, 632),
    ("vits", "onnx", "float32", 1036, 1036, 1, 2073),
    ("lite0", "torch", "float32", 256, 384, 1, 329),
    ("lite0", "torch", "float32", 1024, 1024, 1, 667),
    ("lite0", "torch", "float32", 2048, 2048, 1, 1442),
    ("vits", "openvino", "float32", 252, 252, 1, 449),
    ("vits", "openvino", "float32", 518, 518, 1, 460),
    ("vits", "openvino", "float32", 518, 784, 1, 475),
    ("vits", "openvino", "float32", 518, 518, 4, 703),
    ("vits", "openvino", "float32", 1036, 1036, 1, 718),
    ("vits", "openvino", "float32", 1540, 1540, 1, 1160),
    ("vits", "openvino", "bfloat16", 252, 252, 1, 307),
    ("vits", "openvino", "bfloat16", 518, 518, 1, 317),
    ("vits", "openvino", "bfloat16", 518, 784, 1, 322),
    ("vits", "openvino", "bfloat16", 518, 518, 4, 460),
    ("vits", "openvino", "bfloat16", 1036, 1036, 1, 477),
    ("vits", "openvino", "bfloat16", 1540, 1540, 1, 744),
    ("lite0", "openvino", "float32", 256, 384, 1, 179),
    ("lite0", "openvino", "float32", 1024, 1024, 1, 374),
    ("lite0", "openvino", "float32", 2048, 2048, 1, 966),
]
# The same where a smaller size came first.
MEASURED_MIXED = [
    ("vits", "openvino", "float32", 518, 518, 1, 729),
    ("vits", "openvino", "float32", 518, 784, 1, 844),
    ("vits", "openvino", "float32", 1036, 1036, 1, 1376),
    ("vits", "openvino", "bfloat16", 518, 518, 1, 455),
    ("vits", "openvino", "bfloat16", 518, 784, 1, 519),
    ("vits", "openvino", "bfloat16", 1036, 1036, 1, 822),
    ("lite0", "openvino", "float32", 256, 384, 1, 238),
    ("lite0", "openvino", "float32", 1024, 1024, 1, 615),
    ("lite0", "openvino", "float32", 2048, 2048, 1, 1829),
]


@pytest.mark.parametrize(
    ("mixed", "case"), [(False, case) for case in MEASURED] + [(True, case) for case in MEASURED_MIXED]
)
def test_the_estimate_is_near_what_was_measured(mixed: bool, case: tuple[str, str, str, int, int, int, int]) -> None:
    encoder, engine, precision, height, width, batch, megabytes = case
    running = Engine()
    running.name, running.precision = engine, precision
    found = planner.needed_bytes(model_config(encoder), running, (height, width), batch, mixed=mixed)
    print(f"{encoder} {engine} {precision} {height} x {width} x {batch}: {found / 1e6 / megabytes:.2f}")
    assert found / 1e6 == pytest.approx(megabytes, rel=0.18)


PEAK = """if True:
    import re
    from pathlib import Path
    import numpy as np
    from depth_anything_v2.config import model_config
    from depth_anything_v2.dpt import build_model
    from depth_anything_v2.engines.torch_engine import TorchEngine

    def peak():
        return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

    engine = TorchEngine(build_model(model_config("lite0")), "cpu")
    engine(np.zeros((1, 3, 64, 64), np.float32))
    before = peak()
    engine(np.zeros((1, 3, 1024, 1024), np.float32))
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is told by Linux")
def test_the_estimate_is_near_the_peak_of_a_process_that_runs_now() -> None:
    """The small model at 1,024 x 1,024: what it adds to a process, by the system's own account."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True, env=environment)
    expected = planner.activation_bytes(model_config("lite0"), "torch", "float32", (1024, 1024))
    assert int(done.stdout) == pytest.approx(expected, rel=0.35)


@pytest.mark.parametrize("encoder", MODEL_CONFIGS)
def test_weights_are_counted(encoder: str) -> None:
    config = model_config(encoder)
    with torch.device("meta"):
        model = build_model(config)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert planner.weight_bytes(config) == pytest.approx(4 * parameters, rel=0.08)


def test_a_picture_that_cannot_fit_is_refused_with_the_size_that_does(free) -> None:
    config = model_config("vits")
    estimator = DepthEstimator(Engine(), config, input_size=1512)
    free(1 * GIGABYTE)
    with pytest.raises(ImageTooLargeError, match=r"^'x.jpg' would need about 1.7 GB at input size 1512 \(") as caught:
        estimator.prepare(np.zeros((300, 300, 3), np.uint8), "x.jpg")
    size = int(re.search(r"an input size of (\d+) or less fits$", str(caught.value))[1])
    fitting = estimator.prepare(np.zeros((300, 300, 3), np.uint8), input_size=size)
    assert fitting.network_size == (size, size)
    assert planner.needed_bytes(config, estimator.engine, (size, size)) <= GIGABYTE
    assert planner.needed_bytes(config, estimator.engine, (size + 14, size + 14)) > GIGABYTE
    free(2 * GIGABYTE)
    assert estimator.prepare(np.zeros((300, 300, 3), np.uint8)).network_size == (1512, 1512)


def test_openvino_needs_more_for_a_second_size(free) -> None:
    engine, config = Engine(), model_config("vits")
    engine.name = "openvino"
    large, small = np.zeros((1036, 1036, 3), np.uint8), np.zeros((56, 56, 3), np.uint8)
    free(planner.needed_bytes(config, engine, (1036, 1036)))
    first, second = (DepthEstimator(engine, config, input_size=1036) for _ in range(2))
    assert first.prepare(large).network_size == first.prepare(large).network_size == (1036, 1036)
    second.prepare(small, input_size=56)
    with pytest.raises(ImageTooLargeError, match="or less fits"):
        second.prepare(large)


def test_where_nothing_fits_another_checkpoint_is_named(free) -> None:
    free(1_000_000)
    with pytest.raises(ImageTooLargeError, match="use a smaller checkpoint"):
        DepthEstimator(Engine(), model_config("vits")).prepare(np.zeros((300, 300, 3), np.uint8))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_nothing_is_refused_where_nothing_is_known(free, device: str) -> None:
    free(None)
    estimator = DepthEstimator(Engine(device), model_config("lite0"), input_size=2048)
    assert estimator.prepare(np.zeros((4, 4, 3), np.uint8)).network_size == (2048, 2048)
    assert "available" not in str(estimator.plan())


def test_memory_that_this_process_has_counts_as_available(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an engine keeps from the pass before is there for the next one."""
    monkeypatch.setattr(planner, "free_memory", lambda: 100)
    monkeypatch.setattr(planner, "resident_bytes", lambda: 50)
    assert planner.available_bytes(Engine()) == 150
    assert planner.available_bytes(Engine("cuda:0", free=7)) == 7


@pytest.mark.parametrize(("gigabytes", "batch"), [(40, 8), (6, 8), (2, 2), (0.3, 1)])
def test_the_batch_on_a_gpu_is_what_half_of_its_free_memory_holds(gigabytes: float, batch: int) -> None:
    engine = Engine("cuda", free=int(gigabytes * GIGABYTE))
    estimator = DepthEstimator(engine, model_config("vits"))
    assert estimator.batch_size == estimator.plan().batch_size == batch
    assert DepthEstimator(engine, model_config("vits"), batch_size=16).batch_size == 16


def test_large_pictures_go_through_a_gpu_in_smaller_batches() -> None:
    sizes: list[int] = []

    class Counting(Engine):
        def __call__(self, batch: np.ndarray) -> np.ndarray:
            sizes.append(len(batch))
            return super().__call__(batch)

    estimator = DepthEstimator(Counting("cuda", free=2 * GIGABYTE), model_config("vits"), input_size=112)
    assert estimator.batch_size == 8
    estimator.predict_arrays([np.zeros((112, 1500, 3), np.uint8)] * 4 + [np.zeros((112, 112, 3), np.uint8)] * 8)
    assert sorted(set(sizes)) == [4, 8]
    sizes.clear()
    estimator.predict_arrays([np.zeros((40, 40, 3), np.uint8)] * 2, input_size=1036)
    assert sizes == [1, 1]


def test_a_plan_says_what_was_chosen(free) -> None:
    free(18 * GIGABYTE)
    estimator = DepthEstimator(Engine(), model_config("vits"))
    assert str(estimator.plan(600, 800)) == "batch 1 of 686 x 518, about 0.6 GB of 18 GB available"
    assert DepthEstimator(Engine(), model_config("vits"), batch_size=3).plan().batch_size == 3
    free(1 * GIGABYTE)
    assert DepthEstimator(Engine(), model_config("vits"), batch_size=16).plan(600, 800).batch_size == 2


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = (
    "MemTotal: 8000000 kB\nMemFree: 100000 kB\nMemAvailable:  3000000 kB\nSwapFree: 1000000 kB\nHugePages_Total: 0\n"
)


@pytest.mark.skipif(sys.platform == "win32", reason="how Linux tells")
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/meminfo": MEMINFO}, 4_000_000 * 1024),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/user/job\n",
                "sys/fs/cgroup/user/job/memory.max": "max\n",
                "sys/fs/cgroup/user/memory.max": "1000000\n",
                "sys/fs/cgroup/user/memory.current": "700000\n",
                "sys/fs/cgroup/user/memory.stat": "anon 5\ninactive_file 200000\n",
            },
            500_000,
        ),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/docker/of-the-host\n",
                "sys/fs/cgroup/memory.max": "2000000\n",
                "sys/fs/cgroup/memory.current": "500000\n",
                "sys/fs/cgroup/memory.stat": "inactive_file 0\n",
            },
            1_500_000,
        ),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "12:cpu,cpuacct:/x\n9:memory:/x\n",
                "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "900000\n",
                "sys/fs/cgroup/memory/x/memory.usage_in_bytes": "800000\n",
                "sys/fs/cgroup/memory/x/memory.stat": "total_inactive_file 1000\n",
            },
            101_000,
        ),
        ({"proc/meminfo": "nonsense", "proc/self/cgroup": "nonsense\n"}, None),
        ({}, None),
    ],
)
def test_what_linux_says_is_free(tmp_path: Path, files: dict[str, str], expected: int | None) -> None:
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert planner.free_memory(write(tmp_path, files)) == (physical if expected is None else expected)


def test_the_memory_of_this_process_and_of_this_machine() -> None:
    assert planner.free_memory() > 0
    if sys.platform == "linux":
        assert 50_000_000 < planner.resident_bytes() < 50 * GIGABYTE
    assert planner.resident_bytes(Path("/nowhere")) == 0


def test_a_system_that_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf")
    assert planner.free_memory(tmp_path) is None


@pytest.mark.parametrize(("answers", "expected"), [(1, 123), (0, None)])
def test_what_windows_says_is_free(answers: int, expected: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(status: object) -> int:
        status._obj.page_free = 123
        assert status._obj.length == 64
        return answers

    kernel = types.SimpleNamespace(GlobalMemoryStatusEx=ask)
    monkeypatch.setattr(ctypes, "windll", types.SimpleNamespace(kernel32=kernel), raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    if ctypes.sizeof(ctypes.c_ulong) != 4:  # as it is on Windows
        monkeypatch.setattr(ctypes, "c_ulong", ctypes.c_uint32)
    assert planner.free_memory() == expected
