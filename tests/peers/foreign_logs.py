"""Writes logs with other programs' own packages, imports them, and compares what overnight read with what those
programs read back themselves.

    python tests/peers/foreign_logs.py target/debug/overnight
"""

import csv
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray
from tensorboardX import SummaryWriter


NORMAL = numpy.random.default_rng(0).normal(size=10_000)


def tensorboard(folder):
    """A run that was resumed: the second file goes back, and overtakes."""
    first = SummaryWriter(str(folder), filename_suffix=".one")
    for step in range(0, 200, 10):
        first.add_scalar("loss", 2.0 - step / 1000, step)
        first.add_scalar("val/acc", step / 200, step)
    first.add_text("said", "To be, or not to be", 100)
    first.add_image("digits", numpy.zeros((3, 8, 8), dtype=numpy.uint8), 100)
    first.add_image("faces", numpy.ones((3, 16, 8), dtype=numpy.uint8), 100)
    first.add_histogram("weights", NORMAL, 100, bins=200)
    first.add_hparams({"lr": 0.001, "layers": 4, "name": "adam"}, {"score": 1.0})
    first.close()
    second = SummaryWriter(str(folder), filename_suffix=".two")
    for step in range(150, 300, 10):
        second.add_scalar("loss", 1.0 - step / 1000, step)
    second.close()


def events(folder):
    """Scalars, histograms and pictures as tensors of their plugins, by TensorBoard's own writer, as TensorFlow 2
    logs them."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.histogram import metadata as of_histograms
    from tensorboard.plugins.scalar import metadata
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboard.util.tensor_util import make_tensor_proto

    writer = EventFileWriter(str(folder))
    for step in range(5):
        tensor = make_tensor_proto(0.5 * step, dtype=numpy.float32)
        about = metadata.create_summary_metadata(display_name="", description="")
        value = Summary.Value(tag="loss", tensor=tensor, metadata=about)
        counts, edges = numpy.histogram(NORMAL * (step + 1), bins=200)
        buckets = numpy.stack([edges[:-1], edges[1:], counts], axis=1)
        spread = Summary.Value(
            tag="weights",
            tensor=make_tensor_proto(buckets, dtype=numpy.float64),
            metadata=of_histograms.create_summary_metadata(display_name="", description=""),
        )
        writer.add_event(Event(wall_time=1.7e9 + step, step=step, summary=Summary(value=[value, spread])))
    writer.close()


def hugging_face(folder):
    """The state of a trainer, as Hugging Face's own class saves it."""
    from transformers.trainer_callback import TrainerState

    log = [{"loss": 2.5, "learning_rate": 5e-5, "epoch": 0.5, "step": 10}, {"eval_loss": 2.25, "epoch": 1.0, "step": 20}]
    checkpoint = folder / "checkpoint-20"
    checkpoint.mkdir()
    TrainerState(global_step=20, max_steps=40, train_batch_size=8, log_history=log).save_to_json(
        str(checkpoint / "trainer_state.json")
    )


def imported(overnight, workspace, source):
    told = subprocess.run(
        [overnight, "-C", str(workspace), "import", str(source), "--json"], check=True, capture_output=True, text=True
    )
    return json.loads(told.stdout)["runs"]


def rows(workspace, run):
    folder = pathlib.Path(workspace) / "runs" / run["experiment"] / run["run"]
    with open(folder / "metrics.csv", newline="") as file:
        return folder, list(csv.DictReader(file))


def as_tensorboard_reads(folder, tag):
    """The later value of a step, and nothing that a later start overtook."""
    values = {}
    for file in sorted(folder.glob("events*")):
        own = EventAccumulator(str(file), size_guidance={"scalars": 0, "tensors": 0}).Reload()
        if tag in own.Tags()["scalars"]:
            found = [(event.step, event.value) for event in own.Scalars(tag)]
        elif tag in own.Tags()["tensors"]:
            found = [(event.step, float(make_ndarray(event.tensor_proto))) for event in own.Tensors(tag)]
        else:
            continue
        values = {step: value for step, value in values.items() if step < found[0][0]}
        values.update(found)
    return values


def main(overnight):
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        workspace = place / "workspace"
        workspace.mkdir()
        for name, write, tags in [("resumed", tensorboard, ["loss", "val/acc"]), ("tensors", events, ["loss"])]:
            source = place / name
            source.mkdir()
            write(source)
            (run,) = imported(overnight, workspace, source)
            folder, read = rows(workspace, run)
            for tag in tags:
                ours = {int(row["step"]): float(row[tag]) for row in read if row[tag]}
                theirs = as_tensorboard_reads(source, tag)
                assert ours.keys() == theirs.keys(), (name, tag, ours.keys() ^ theirs.keys())
                assert all(abs(ours[step] - theirs[step]) < 1e-6 for step in ours), (name, tag)
            if name == "resumed":
                settings = json.loads((folder / "run.json").read_text())["imported"]["settings"]
                assert settings == {"lr": 0.001, "layers": 4, "name": "adam"}, settings
                sample = json.loads((folder / "samples" / "step-00000100.json").read_text())
                assert any(item["text"].startswith("To be") for item in sample["items"]), sample
                assert (folder / "samples" / "step-00000100.png").stat().st_size > 0
            with open(folder / "distributions.csv", newline="") as file:
                row = list(csv.DictReader(file))[0]
            wanted = {"min": 0, "p5": 5, "p25": 25, "p50": 50, "p75": 75, "p95": 95, "max": 100}
            for word, percent in wanted.items():
                told = float(row[f"weights/{word}"])
                # As exactly as its buckets are narrow.
                assert abs(told - numpy.percentile(NORMAL, percent)) < 0.05, (name, word, told)
            assert imported(overnight, workspace, source)[0]["what"] == "same"
            print(f"{name}: {len(read)} rows as TensorBoard reads them")
        source = place / "trained"
        source.mkdir()
        hugging_face(source)
        (run,) = imported(overnight, workspace, source)
        _, read = rows(workspace, run)
        told = [(row["step"], row["epoch"], row["loss"], row["eval_loss"]) for row in read]
        assert told == [("10", "0.5", "2.5", ""), ("20", "1", "", "2.25")], told
        print("trained: 2 rows as Hugging Face logged them")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "target/debug/overnight")
