"""What a step is made of: rates, frozen layers, teachers, where training starts from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_data import read_rows, saved_weights, tiny

from depth_anything_v2.checkpoints.files import safetensors_metadata
from depth_anything_v2.checkpoints.registry import find_spec
from depth_anything_v2.errors import DepthKindError, OptionError
from depth_anything_v2.training.config import ScheduleConfig, TrainConfig
from depth_anything_v2.training.learner import rate_factor
from depth_anything_v2.training.network import Parent, encoder_layers, licence_of, parameter_groups, start_network
from depth_anything_v2.training.run import Run, train

HERE = Path(__file__).parent


def test_accumulation_and_recomputing_change_no_number(scenes: tuple[Path, Path], tmp_path: Path) -> None:
    losses = []
    for place, run in enumerate(({}, {"accumulate": 2}, {"gradient_checkpointing": True})):
        config = tiny("relative", scenes[0], run=run, loss={"ranking": 0.1, "anchor": 0.1}, schedule={"steps": 4})
        train(config, tmp_path / str(place), cpu=True)
        rows = read_rows(tmp_path / str(place) / "log.csv")
        losses.append([float(row["loss"]) for row in rows])
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-4)
    np.testing.assert_allclose(losses[2], losses[0], rtol=2e-4)


def test_one_batch_repeated_is_learnt_by_heart(scenes: tuple[Path, Path]) -> None:
    run = Run(tiny("metric", scenes[0], optimiser={"head_rate": 5e-3, "encoder_rate": 2e-3}), None, cpu=True)
    losses = run.overfit_one_batch(40)
    assert len(losses) == 40
    assert losses[-1] < 0.5 * losses[0]


def test_a_student_learns_from_a_teacher_and_stays_near_its_first_features(
    scenes: tuple[Path, Path], tmp_path: Path
) -> None:
    config = tiny(
        "relative",
        scenes[0],
        scenes[1],
        teacher={"checkpoint": "builtin"},
        loss={"alignment": 0.5, "anchor": 0.1},
        data={"train": [{"dataset": "pictures", "root": str(scenes[0].parent)}]},
        schedule={"steps": 12, "shape": "constant"},
        augmentation={"colour": 1.0},
        run={"licence": "CC0-1.0"},
    )
    result = train(config, tmp_path, cpu=True)
    rows = read_rows(tmp_path / "log.csv")
    assert np.mean([float(row["ssi"]) for row in rows[-3:]]) < np.mean([float(row["ssi"]) for row in rows[:3]])
    assert float(rows[0]["alignment"]) == 0  # nothing has moved yet
    assert any(float(row["alignment"]) > 0 for row in rows)
    about = safetensors_metadata(result.best)
    assert [(parent["name"], parent["role"]) for parent in about["parents"]] == [("builtin", "teacher")]
    assert about["licence"] == " AND ".join([str(find_spec("builtin").licence), "CC0-1.0"])


def test_a_teacher_of_the_wrong_kind_is_refused(scenes: tuple[Path, Path]) -> None:
    config = tiny("metric", scenes[0], teacher={"checkpoint": "builtin"})
    source = dataclasses.replace(config.data.train[0], labels="teacher")
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, train=(source,)))
    run = Run(config, None, cpu=True)
    with pytest.raises(DepthKindError, match="needs a metric teacher"):
        run.overfit_one_batch(1)


def test_training_starts_from_a_checkpoint_and_part_of_it(scenes: tuple[Path, Path], tmp_path: Path) -> None:
    first = train(tiny("relative", scenes[0], schedule={"steps": 2}, run={"licence": "MIT"}), tmp_path / "a", cpu=True)
    again = tiny("metric", scenes[0], model={"checkpoint": str(first.best), "part": "encoder"}, schedule={"steps": 1})
    network, parents = start_network(again.model, again.model.build())
    start = saved_weights(tmp_path / "a", "average")
    assert torch.equal(network.pretrained.blocks[2].mlp.fc1.weight, start["pretrained.blocks.2.mlp.fc1.weight"])
    assert not torch.equal(network.depth_head.projects[0].weight, start["depth_head.projects.0.weight"])
    assert [(parent.role, parent.licence) for parent in parents] == [("start", "MIT")]
    bare = {name.removeprefix("pretrained."): v for name, v in start.items() if name.startswith("pretrained.")}
    torch.save(bare, tmp_path / "dinov2.pth")
    section = dataclasses.replace(again.model, checkpoint=str(tmp_path / "dinov2.pth"))
    network, parents = start_network(section, again.model.build())
    assert torch.equal(network.pretrained.pos_embed, start["pretrained.pos_embed"])
    assert parents[0].licence == "Apache-2.0"
    with pytest.raises(OptionError, match="an encoder without a head"):
        start_network(dataclasses.replace(section, part="all"), again.model.build())


def frozen_blocks(config: TrainConfig, **options: Any) -> tuple[Any, list[dict[str, Any]]]:
    network, _ = start_network(config.model, config.model.build())
    return network, parameter_groups(network, dataclasses.replace(config.optimiser, **options))


def test_frozen_blocks_and_layer_wise_rates(scenes: tuple[Path, Path]) -> None:
    config = tiny("relative", scenes[0])
    network, groups = frozen_blocks(config, frozen_blocks=2, layer_decay=0.5, encoder_rate=1.0, head_rate=7.0)
    trained = [any(p.requires_grad for p in layer) for layer in encoder_layers(network)]
    assert trained == [False, False, False, True, True, True]  # embedding, four blocks, last norm
    assert [group["base"] for group in groups] == [0.25, 0.5, 1.0, 7.0]
    network, groups = frozen_blocks(config, frozen_blocks=99)
    assert not any(p.requires_grad for p in network.pretrained.parameters())
    assert [group["base"] for group in groups] == [config.optimiser.head_rate]
    every = {id(p) for group in groups for p in group["params"]}
    assert every == {id(p) for p in network.parameters() if p.requires_grad}


def test_frozen_weights_do_not_move(scenes: tuple[Path, Path], tmp_path: Path) -> None:
    train(tiny("relative", scenes[0], optimiser={"frozen_blocks": 2}, schedule={"steps": 2}), tmp_path, cpu=True)
    start = Run(tiny("relative", scenes[0]), None, cpu=True).learner.network.state_dict()
    moved = {name for name, value in saved_weights(tmp_path).items() if not torch.equal(value, start[name])}
    assert not any(
        name.startswith(("pretrained.blocks.0", "pretrained.blocks.1", "pretrained.patch")) for name in moved
    )
    assert any(name.startswith("pretrained.blocks.3") for name in moved)


def test_learning_rates_over_a_run() -> None:
    polynomial = ScheduleConfig(steps=10, power=0.9)
    assert [rate_factor(polynomial, step, 10) for step in (0, 5)] == pytest.approx([1, 0.5**0.9])
    decay = ScheduleConfig(steps=10, warmup_steps=2, shape="decay", decay_steps=4)
    factors = [rate_factor(decay, step, 10) for step in range(11)]
    assert factors[:7] == [0.5, 1, 1, 1, 1, 1, 1]
    assert factors[7:] == sorted(factors[7:], reverse=True)
    assert factors[10] == 0
    cosine = ScheduleConfig(steps=10, shape="cosine")
    assert [rate_factor(cosine, step, 10) for step in (0, 5, 10)] == pytest.approx([1, 0.5, 0])


def test_all_licences_of_the_parents_hold() -> None:
    free, bound, unknown = (Parent(name, "start", name) for name in ("Apache-2.0", "CC-BY-NC-4.0", None))
    assert licence_of([free], "") == "Apache-2.0"
    assert licence_of([free, free], "Apache-2.0") == "Apache-2.0"
    assert licence_of([free, bound], "") == "Apache-2.0 AND CC-BY-NC-4.0"
    assert licence_of([free, unknown], "MIT") is None
    assert licence_of([], "") is None


def test_precisions_one_after_the_other(scenes: tuple[Path, Path], tmp_path: Path) -> None:
    curves = []
    for precision in ("bfloat16", "float32"):
        config = tiny("metric", scenes[0], run={"precision": precision}, schedule={"steps": 2})
        train(config, tmp_path / precision, cpu=True)
        curves.append([float(row["loss"]) for row in read_rows(tmp_path / precision / "log.csv")])
    np.testing.assert_allclose(curves[0], curves[1], rtol=0.05)
    assert curves[0] != curves[1]
    assert saved_weights(tmp_path / "bfloat16")["pretrained.cls_token"].dtype == torch.float32
