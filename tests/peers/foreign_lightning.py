"""Logs with Lightning's own CSV logger, imports its folder, and compares every number. Of torch, which that logger
needs for the names of types alone and whose wheel has gigabytes, only names are there.

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


class Names(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Modules of such classes."""

    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("torch", "torchmetrics"):
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


def csv_logger():
    """The logger, without what its packages import beside it."""
    sys.meta_path.insert(0, Names())
    found = importlib.util.find_spec("lightning_fabric").submodule_search_locations[0]
    for package in ("lightning_fabric", "lightning_fabric.loggers", "lightning_fabric.utilities"):
        module = types.ModuleType(package)
        module.__path__ = [str(pathlib.Path(found).joinpath(*package.split(".")[1:]))]
        sys.modules[package] = module
    from lightning_fabric.loggers.csv_logs import CSVLogger

    return CSVLogger


def main(overnight):
    overnight = pathlib.Path(overnight).resolve()
    with tempfile.TemporaryDirectory() as place:
        source, workspace = pathlib.Path(place) / "source", pathlib.Path(place) / "workspace"
        workspace.mkdir()
        logger_of = csv_logger()
        for version in range(2):
            logger = logger_of(str(source), name="lightning_logs")
            for step in range(0, 50, 10):
                logger.log_metrics({"train_loss": 1 / (step + 3 + version), "epoch": step // 20}, step=step)
            logger.log_metrics({"val_loss": 0.5}, step=45)
            logger.save()
            logger.finalize("success")
        command = [overnight, "-C", workspace, "import", source, "--json"]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        assert [run["tool"] for run in told["runs"]] == ["Lightning"] * 2, told
        for version, run in enumerate(told["runs"]):
            with open(workspace / "runs" / run["experiment"] / run["run"] / "metrics.csv", newline="") as file:
                rows = list(csv.DictReader(file))
            read = {int(row["step"]): float(row["train_loss"]) for row in rows if row["train_loss"]}
            assert read == {step: 1 / (step + 3 + version) for step in range(0, 50, 10)}, read
            assert [row["val_loss"] for row in rows if row["val_loss"]] == ["0.5"], rows
    print("lightning: 2 runs with every number as it was logged")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "target/debug/overnight")
