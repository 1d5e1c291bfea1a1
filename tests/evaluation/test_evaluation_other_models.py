"""Another library's model through the adapter that the documentation gives."""

from __future__ import annotations

import re
from pathlib import Path

import transformers

from depth_anything_v2.evaluation import EvaluationOptions, evaluate, load_benchmark
from depth_anything_v2.evaluation.rendered import RenderedScenes

PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"


def test_a_pipeline_of_transformers() -> None:
    backbone = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False,
    )  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
        head_hidden_size=4,
    )  # fmt: skip
    pipe = transformers.pipeline(
        "depth-estimation",
        model=transformers.DepthAnythingForDepthEstimation(config).eval(),
        image_processor=transformers.DPTImageProcessorPil(size={"height": 56, "width": 56}),
    )
    examples = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (code,) = [text for language, text in examples if language == "python" and "def from_pipeline" in text]
    given: dict = {}
    exec(compile(code, str(PAGE), "exec"), given)
    benchmark = load_benchmark("rendered")
    model = given["from_pipeline"](pipe)
    done = evaluate(model, RenderedScenes(2, 48, 64), benchmark, options=EvaluationOptions())
    assert done.ok
    assert done.alignment == "scale-shift-inverse"
