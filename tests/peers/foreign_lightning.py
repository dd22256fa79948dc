"""Logs with Lightning's own CSV and TensorBoard loggers, imports their folders, and compares every number and
setting. Of torch, which those loggers need for the names of types alone and whose wheel has gigabytes, only names are
there, and of Lightning's trainer too.

    python tests/peers/foreign_lightning.py target/debug/overnight
"""

import abc
import csv
import importlib.abc
import importlib.machinery
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import types


class Name(abc.ABCMeta):
    """A class that has any attribute, each such a class again."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Name(name, (), {})

    def __or__(cls, other):
        return cls

    def __ror__(cls, other):
        return cls


# Of these only names are there.
BARE = ("torch", "torchmetrics", "lightning_fabric.wrappers") + tuple(
    f"pytorch_lightning.{part}"
    for part in ("accelerators", "callbacks", "utilities.migration", "utilities.model_helpers", "utilities.parsing")
)
# Of these only what is asked for, without what they import by themselves.
PACKAGES = ("lightning_fabric", "lightning_fabric.loggers", "lightning_fabric.utilities") + tuple(
    f"pytorch_lightning{part}" for part in ("", ".loggers", ".core", ".utilities")
)


class Names(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Modules of such classes."""

    def find_spec(self, name, path, target=None):
        if any(name == bare or name.startswith(f"{bare}.") for bare in BARE):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        class Module(types.ModuleType):
            def __getattr__(self, name):
                if name.startswith("__"):
                    raise AttributeError(name)
                setattr(self, name, Name(name, (), {}))
                return self.__dict__[name]

        return Module(spec.name)

    def exec_module(self, module):
        pass


def loggers():
    """Both, without what their packages import beside them."""
    sys.meta_path.insert(0, Names())
    for package in PACKAGES:
        first, *below = package.split(".")
        if not below:
            found = importlib.util.find_spec(first).submodule_search_locations[0]
        module = types.ModuleType(package)
        module.__path__ = [str(pathlib.Path(found).joinpath(*below))]
        sys.modules[package] = module
    from lightning_fabric.loggers import logger, tensorboard

    sys.modules["lightning_fabric.loggers"].Logger = logger.Logger
    # As where tensorboardX alone is there: the other writer is torch's.
    tensorboard._TENSORBOARD_AVAILABLE = False
    from lightning_fabric.loggers.csv_logs import CSVLogger
    from pytorch_lightning.loggers.tensorboard import TensorBoardLogger

    return CSVLogger, TensorBoardLogger


def loss(step, version):
    return 1 / (step + 3 + version)


def log(logger, version, status):
    for step in range(0, 50, 10):
        logger.log_metrics({"train_loss": loss(step, version), "epoch": step // 20}, step=step)
    logger.log_metrics({"val_acc": 0.5}, step=45)
    if status == "success":
        logger.save()
    logger.finalize(status)


def held(overnight, place, settings):
    """Imports what lies there, and compares it with what was logged."""
    source, workspace = place / "source", place / "workspace"
    workspace.mkdir()
    command = [overnight, "-C", workspace, "import", source, "--json"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert [run["tool"] for run in told["runs"]] == ["Lightning"] * 2, told
    for version, run in enumerate(told["runs"]):
        folder = workspace / "runs" / run["experiment"] / run["run"]
        with open(folder / "metrics.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        read = {int(row["step"]): float(row["train_loss"]) for row in rows if row["train_loss"]}
        logged = {step: loss(step, version) for step in range(0, 50, 10)}
        # Event files hold floats of 32 bits.
        assert read.keys() == logged.keys(), read
        assert all(abs(read[step] / logged[step] - 1) < (1e-7 if settings else 1e-15) for step in read), read
        assert [row["val_acc"] for row in rows if row["val_acc"]] == ["0.5"], rows
        assert run["metric"] == "val_acc", run
        arrived = json.loads((folder / "run.json").read_text())["imported"]["settings"]
        assert arrived == settings(version) if settings else arrived == {}, arrived
        state = json.loads((folder / "import.json").read_text())
        # What stands in the file at the beginning is no end.
        assert not state["has_ended"], state
    again = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert {run["what"] for run in again["runs"]} == {"same"}, again["runs"]


def main(overnight):
    overnight = pathlib.Path(overnight).resolve()
    csv_logger, tensorboard_logger = loggers()
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        for version in range(2):
            log(csv_logger(str(place / "source"), name="lightning_logs"), version, "success")
        held(overnight, place, None)
        print("csv logger: 2 runs with every number as it was logged")
    # Where it did not end well no file of settings is written: they stand in the events alone.
    for status in ("success", "failed"):
        with tempfile.TemporaryDirectory() as place:
            place = pathlib.Path(place)
            for version in range(2):
                logger = tensorboard_logger(str(place / "source"), name="lightning_logs")
                settings = {"lr": 0.1 * (version + 1), "model": {"depth": 3}, "layers": [2, 3], "name": "adam"}
                logger.log_hyperparams(settings)
                log(logger, version, status)

            def arrived(version):
                own = {"lr": 0.1 * (version + 1), "name": "adam"}
                if status == "success":
                    return own | {"model.depth": 3, "layers": [2, 3]}
                return own | {"model/depth": 3, "layers": "[2, 3]"}

            held(overnight, place, arrived)
            print(f"tensorboard logger, {status}: 2 runs with every number and setting as they were logged")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "target/debug/overnight")
