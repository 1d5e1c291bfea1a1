"""Configurations: presets hold, mistakes are told with the nearest right word."""

from __future__ import annotations

from pathlib import Path

import pytest

from depth_anything_v2.errors import InputError, OptionError
from depth_anything_v2.training.config import TaskName
from depth_anything_v2.training.schema import list_presets, load_config

SMALL = """
[model]
checkpoint = "vits"
[[data.train]]
dataset = "manifest"
root = "train.csv"
[schedule]
steps = 5
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.mark.parametrize("name", list_presets())
def test_every_preset_fits_the_schema_and_is_described(name: str) -> None:
    task: TaskName = "metric" if name.startswith("metric") else "relative"
    config = load_config(name, task)
    assert config.task == task
    assert name in list_presets(task)


def test_the_originals_recipe() -> None:
    indoor, outdoor = load_config("metric-indoor", "metric"), load_config("metric-outdoor", "metric")
    rates, schedule = indoor.optimiser, indoor.schedule
    assert (rates.name, rates.encoder_rate, rates.head_rate) == ("adamw", 5e-6, 5e-5)
    assert (rates.betas, rates.weight_decay) == ((0.9, 0.999), 0.01)
    assert (schedule.epochs, schedule.shape, schedule.power, schedule.warmup_steps) == (120, "polynomial", 0.9, 0)
    assert (indoor.loss.silog_lambda, indoor.data.batch_size, indoor.loss.silog_pictures) == (0.5, 32, 4)
    assert (indoor.data.sizes, indoor.augmentation.flip, indoor.model.part) == (((518, 518),), 0.5, "encoder")
    assert (indoor.model.max_depth, outdoor.model.max_depth) == (20, 80)
    assert [source.dataset for source in (*outdoor.data.train, *outdoor.data.val)] == ["vkitti2", "kitti"]
    assert outdoor.optimiser == rates


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("optimiser.encodr_rate=1", "no 'optimiser.encodr_rate': did you mean 'encoder_rate'?"),
        ("optimizer.encoder_rate=1", "no 'optimizer': did you mean 'optimiser'?"),
        ("optimiser.ema=0.9", "no 'optimiser.ema': did you mean 'run.ema'?"),
        ("schedule.steps=many", "schedule.steps is a whole number, not 'many'"),
        ("schedule.steps=2.5", "schedule.steps is a whole number, not 2.5"),
        ("schedule.steps=-2", "schedule.steps must be at least 0, not -2"),
        ("schedule.shape=cosin", "schedule.shape is not 'cosin': did you mean 'cosine'?"),
        ("schedule.shape=decay", "schedule.decay_steps is missing"),
        ("schedule.steps=0", "how long?"),
        ("augmentation.flip=1.5", "augmentation.flip must be at least 0 and at most 1, not 1.5"),
        ("augmentation.zoom=[0.9, 0.5]", "augmentation.zoom is [smallest, largest]"),
        ("optimiser.betas=[0.9]", "optimiser.betas has 2 values, not 1"),
        ("optimiser.head_rate=nan", "optimiser.head_rate must be at least 0, not nan"),
        ("run.tensorboard=1", "run.tensorboard is true or false, not 1"),
        ("data.sizes=[[520, 518]]", "[520, 518] is not a multiple of 14"),
        ("data.train.0.dataset=3", "data.train.0.dataset is a text in quotes"),
        ("data.train=[]", "data.train is empty"),
        ("data.train.3.root=x", "'3' is not one of its 1 places"),
        ("data.train.0.labels=teacher", "teacher.checkpoint is missing"),
        ("model.max_depth=20", "model.max_depth is of metric depth"),
        ("model.embed_dim=100", "must be a multiple of num_heads"),
        ("model.encoder=vitx", "unknown encoder 'vitx'"),
        ("model=3", "model is a table"),
        ("nonsense", "a change is TABLE.KEY=VALUE"),
    ],
)
def test_a_mistake_is_named(small: Path, change: str, said: str) -> None:
    with pytest.raises(OptionError) as error:
        load_config(small, "relative", changes=[change])
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_metric_training_needs_its_largest_depth(small: Path) -> None:
    with pytest.raises(OptionError, match=r"model\.max_depth is missing"):
        load_config(small, "metric")


def test_a_preset_of_the_other_task_says_the_right_command() -> None:
    with pytest.raises(OptionError, match="depth-anything train metric metric-own"):
        load_config("metric-own", "relative")


def test_an_unknown_preset_and_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="did you mean 'metric-indoor'"):
        load_config("metric-indor", "metric")
    with pytest.raises(InputError, match="cannot read"):
        load_config(tmp_path / "absent.toml", "metric")
    broken = tmp_path / "broken.toml"
    broken.write_text("[model\n")
    with pytest.raises(OptionError, match="is not TOML"):
        load_config(broken, "metric")


def test_a_file_stands_on_its_base_and_changes_stand_above_both(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "metric-own"\n[optimiser]\nhead_rate = 0.5\n[schedule]\nepochs = 3\n')
    config = load_config(path, "metric", changes=["schedule.epochs=4"], roots=["own=/data/own.csv"])
    assert (config.optimiser.head_rate, config.optimiser.encoder_rate, config.schedule.epochs) == (0.5, 2e-6, 4)
    assert [source.root for source in (*config.data.train, *config.data.val)] == ["/data/own.csv"] * 2
    path.write_text(f'base = "{path}"\n')
    with pytest.raises(OptionError, match="is its own base"):
        load_config(path, "metric")


def test_where_data_are_is_told_by_name() -> None:
    with pytest.raises(OptionError, match="no source is called 'hypersm': did you mean 'hypersim'"):
        load_config("metric-indoor", "metric", roots=["hypersm=/data"])


def test_a_smaller_transformer_has_a_name_of_its_own(small: Path) -> None:
    config = load_config(small, "relative", changes=["model.embed_dim=192", "model.num_heads=3"]).model.build()
    assert (config.encoder, config.embed_dim, config.num_heads, config.taps) == ("vit-192x12", 192, 3, (2, 5, 8, 11))
    shallow = load_config(small, "relative", changes=["model.depth=8"]).model.build()
    assert shallow.taps == (1, 3, 5, 7)
