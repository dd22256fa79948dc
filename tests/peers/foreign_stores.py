"""Logs runs with MLflow, W&B (offline), Sacred and Hydra, imports their folders, and compares every number.

    python tests/peers/foreign_stores.py target/debug/overnight
"""

import csv
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

STEPS = range(0, 50, 10)


def loss(step):
    return float("nan") if step == 20 else 1 / (step + 3)


def mlflow(folder):
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    import mlflow

    mlflow.set_tracking_uri((folder / "mlruns").as_uri())
    mlflow.set_experiment("digits")
    with mlflow.start_run(run_name="parent"):
        mlflow.log_param("lr", 0.1)
        for step in STEPS:
            mlflow.log_metric("loss", loss(step), step=step)
        with mlflow.start_run(run_name="child", nested=True):
            mlflow.log_metric("loss", 1.0, step=1)
    with mlflow.start_run(run_name="gone") as gone:
        mlflow.log_metric("loss", 5.0, step=1)
    mlflow.delete_run(gone.info.run_id)


def mlflow_database(folder):
    """As MLflow keeps runs unless a folder is asked for."""
    import numpy
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    kept = folder / "mlruns" / "1"
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("digits", artifact_location=kept.as_uri()))
    with mlflow.start_run(run_name="parent"):
        mlflow.log_param("lr", 0.1)
        mlflow.log_param("long", "x" * 5000)
        for step in STEPS:
            mlflow.log_metric("loss", loss(step), step=step)
        mlflow.log_text("To be", "said/one.txt")
        mlflow.log_image(numpy.zeros((8, 8, 3), dtype=numpy.uint8), key="digits", step=20, synchronous=True)
        with mlflow.start_run(run_name="child", nested=True):
            mlflow.log_metric("loss", 1.0, step=1)
    with mlflow.start_run(run_name="gone") as gone:
        mlflow.log_metric("loss", 5.0, step=1)
    mlflow.delete_run(gone.info.run_id)


def mlflow_ahead(folder):
    """The same while a server is at work: what is new stands in the write-ahead log beside the file."""
    import sqlite3

    # Whoever leaves last would bring the log into the file.
    AT_WORK.append(sqlite3.connect(folder / "mlflow.db"))
    assert AT_WORK[-1].execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    AT_WORK[-1].execute("PRAGMA user_version").fetchone()
    mlflow_database(folder)
    assert (folder / "mlflow.db-wal").stat().st_size > 0


AT_WORK = []


def wandb(folder):
    os.environ["WANDB_SILENT"] = "true"
    import wandb

    run = wandb.init(project="digits", name="parent", config={"lr": 0.1}, mode="offline", dir=str(folder))
    for step in STEPS:
        run.log({"loss": loss(step)}, step=step)
    # Longer than a block.
    run.log({"words": "x" * 100_000}, step=60)
    run.summary["test"] = 0.75
    run.finish()


def sacred(folder):
    import sacred

    experiment = sacred.Experiment("digits", save_git_info=False)
    experiment.observers.append(sacred.observers.FileStorageObserver(str(folder)))
    experiment.add_config(lr=0.1)

    def main(_run):
        for step in STEPS:
            _run.log_scalar("loss", loss(step), step)

    experiment.main(main)
    experiment.run(options={"--loglevel": "ERROR"})


def hydra(folder):
    program = folder / "digits.py"
    program.write_text(
        "import hydra, pathlib\n"
        "from hydra.core.hydra_config import HydraConfig\n"
        "@hydra.main(version_base=None, config_path='conf', config_name='config')\n"
        "def main(config):\n"
        "    out = pathlib.Path(HydraConfig.get().runtime.output_dir) / 'metrics.csv'\n"
        f"    rows = {[(step, repr(loss(step))) for step in STEPS]!r}\n"
        "    out.write_text('step,loss\\n' + ''.join(f'{step},{value}\\n' for step, value in rows))\n"
        "main()\n"
    )
    (folder / "conf").mkdir()
    (folder / "conf" / "config.yaml").write_text("lr: 0.5\n")
    subprocess.run([sys.executable, str(program), "-m", "lr=0.1,0.2"], cwd=folder, check=True, capture_output=True)


def brought(command):
    """W&B goes on writing after a run has finished: what comes then fills rows up, and nothing is logged again."""
    words = {"new"}
    while True:
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        assert {run["what"] for run in told["runs"]} <= words, told["runs"]
        if not any("still being written" in said for run in told["runs"] for said in run["warnings"]):
            return told
        words = {"grown", "filled", "same"}
        time.sleep(0.05)


def main(overnight):
    overnight = pathlib.Path(overnight).resolve()
    for write, runs in [(mlflow, 2), (mlflow_database, 2), (mlflow_ahead, 2), (wandb, 1), (sacred, 1), (hydra, 2)]:
        with tempfile.TemporaryDirectory() as place:
            source, workspace = pathlib.Path(place) / "source", pathlib.Path(place) / "workspace"
            source.mkdir()
            workspace.mkdir()
            write(source)
            command = [overnight, "-C", workspace, "import", source, "--json"]
            told = brought(command)
            assert len(told["runs"]) == runs, (write.__name__, told)
            seen = 0
            for run in told["runs"]:
                assert run["experiment"] == "digits", run
                folder = workspace / "runs" / run["experiment"] / run["run"]
                with open(folder / "metrics.csv", newline="") as file:
                    read = {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file) if row["loss"]}
                settings = json.loads((folder / "run.json").read_text())["imported"]["settings"]
                if run["run"].startswith("child"):
                    assert (read, settings["mlflow.parent"]) == ({1: 1.0}, "parent"), (read, settings)
                    continue
                assert settings["lr"] in (0.1, 0.2), settings
                assert read.keys() == set(STEPS), (write.__name__, read)
                same = (read[step] == loss(step) or math.isnan(read[step]) and math.isnan(loss(step)) for step in STEPS)
                assert all(same), (write.__name__, read)
                seen += 1
                with open(folder / "metrics.csv", newline="") as file:
                    last = list(csv.DictReader(file))[-1]
                assert write is not wandb or last["test"] == "0.75", last
                samples = [path.name for path in (folder / "samples").glob("*")]
                assert write is not mlflow_database or "step-00000020.png" in samples, samples
                assert write is not mlflow_database or "step-00000040.json" in samples, samples
            assert "mlflow" not in write.__name__ or any("deleted" in said for said in told["left_out"]), told
            again = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            assert {run["what"] for run in again["runs"]} == {"same"}, again["runs"]
            print(f"{write.__name__}: {seen} runs with every number as it was logged")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "target/debug/overnight")
