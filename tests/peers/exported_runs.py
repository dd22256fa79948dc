"""Exports some runs in every form and compares what other programs read of them with the run directories.

    python tests/peers/exported_runs.py target/debug/overnight target/debug/examples/fake-worker
"""

import csv
import io
import json
import math
import os
import pathlib
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import zipfile

import numpy
import pandas
import polars
import pyarrow.parquet
from PIL import Image
from pypdf import PdfReader
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util.tensor_util import make_ndarray

overnight, worker = (pathlib.Path(path).resolve() for path in sys.argv[1:3])

EXPERIMENT = """
description = "three seeds of two rates, and a name_with & signs"
[data]
kind = "shapes"
count = 100
[model]
kind = "mlp"
[train]
steps = 40
[checkpoint]
every = 20
[sweep]
seeds = [1, 2, 3]
[sweep.values]
"train.optimizer.lr" = [1e-3, 3e-4]
"""

SAMPLE = {"step": 20, "items": [{"kind": "text", "prompt": "To", "text": " be,\n# or", "temperature": 1.0, "top_k": 0, "top_p": 1.0}]}


# How weights were spread, as `import` keeps what programs with histograms log.
QUANTILES = ["min", "p5", "p25", "p50", "p75", "p95", "max"]
SPREAD = [-2.5, -1, -0.25, 0.1, 0.3, 1.7, 4]
# A column of another program. No comma, quotation mark or line break, which a header has no place for.
HOSTILE = "50% of_{x} & $y^2$ ~ a|b <c> #1 \\input{made} \u202eevil"


def run(*arguments):
    environment = {**os.environ, "OVERNIGHT_WORKER": str(worker)}
    done = subprocess.run([overnight, *arguments], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"overnight {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def bits(value):
    return "nan" if math.isnan(value) else struct.pack("<d", value)


def single(value):
    with numpy.errstate(over="ignore"):
        value = numpy.float32(value)
    return "nan" if math.isnan(value) else value.tobytes()


def tables():
    """What stands in the run directories: by run, rows of named cells as they are spelt."""
    return {
        path.parent.name: list(csv.DictReader(path.open()))
        for path in sorted(pathlib.Path("runs/x").glob("*/metrics.csv"))
    }


def logged(rows):
    return [
        (int(row["step"]), name, float(cell))
        for row in rows
        for name, cell in row.items()
        if name != "step" and cell != ""
    ]


def make():
    pathlib.Path("experiments").mkdir()
    pathlib.Path("experiments/x.toml").write_text(EXPERIMENT)
    run("run", "--plain", "--no-report", "experiments/x.toml")
    for place, folder in enumerate(sorted(pathlib.Path("runs/x").iterdir())):
        header = next(csv.reader((folder / "metrics.csv").open()))
        odd = {"step": 41, "time": 1.7e9 + place / 3, "train/loss": "nan", "val/loss": 0.1 + place / 7, "lr": "1e-300", "grad_norm": "inf"}
        with (folder / "metrics.csv").open("a") as file:
            file.write(",".join(str(odd.get(name, "")) for name in header) + "\n")
        header = ["step", *(f"weights/{word}" for word in QUANTILES)]
        rows = [[step, *(value * step for value in SPREAD)] for step in (10, 20)]
        with (folder / "distributions.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])
        (folder / "samples").mkdir(exist_ok=True)
        (folder / "samples/step-00000020.json").write_text(json.dumps(SAMPLE))


def tensorboard():
    run("export", "x", "--format", "tensorboard", "-o", "tb")
    numbers = 0
    for name, rows in tables().items():
        folder = pathlib.Path("tb/x") / name
        read = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
        read.Reload()
        metrics = [metric for metric in rows[0] if metric not in ("step", "time")]
        for metric in metrics:
            expected = [(int(row["step"]), single(row[metric]), bits(float(row["time"]))) for row in rows if row[metric]]
            if not expected:
                assert metric not in read.Tags()["scalars"], metric
                continue
            found = [(event.step, single(event.value), bits(event.wall_time)) for event in read.Scalars(metric)]
            assert found == expected, (name, metric, found[:3], expected[:3])
            numbers += len(found)
        text = read.Tensors("samples/1")[0]
        assert text.step == 20 and text.tensor_proto.string_val[0] == b"    To be,\n    # or", text
        spread = [(event.step, make_ndarray(event.tensor_proto)) for event in read.Tensors("weights")]
        assert [step for step, _ in spread] == [10, 20], spread
        for step, buckets in spread:
            edges = [value * step for value in SPREAD]
            assert buckets.tolist() == [[low, high, share] for low, high, share in zip(edges, edges[1:], [5, 20, 25, 25, 20, 5])], buckets
        assert read.SummaryMetadata("weights").plugin_data.plugin_name == "histograms"
        sessions = {}
        for event in EventFileLoader(str(next(folder.iterdir()))).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "hparams":
                    data = plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
                    sessions[value.tag] = data
        start = sessions["_hparams_/session_start_info"].session_start_info.hparams
        record = json.loads((pathlib.Path("runs/x") / name / "run.json").read_text())
        assert start["train.optimizer.lr"].number_value == record["settings"]["train"]["optimizer"]["lr"]
        assert start["train.seed"].number_value == record["settings"]["train"]["seed"]
        assert start["model.kind"].string_value == "mlp"
        assert sessions["_hparams_/session_end_info"].session_end_info.status == 1
    return f"{numbers} scalars to the bit of 32, settings, texts, histograms"


def check_long(frame, what):
    for name, rows in tables().items():
        part = frame[frame["run"] == name]
        found = [(int(step), metric, bits(value)) for step, metric, value in zip(part["step"], part["metric"], part["value"])]
        assert found == [(step, metric, bits(value)) for step, metric, value in logged(rows)], (what, name)
    assert sorted(set(frame["train.optimizer.lr"])) == [3e-4, 1e-3], what
    assert sorted(set(frame["seed"])) == [1, 2, 3], what


def check_wide(frame, what):
    for name, rows in tables().items():
        part = frame[frame["run"] == name]
        for metric in [metric for metric in rows[0] if metric != "step"]:
            expected = [bits(float(row[metric] or "nan")) for row in rows]
            assert [bits(float(value)) for value in part[metric]] == expected, (what, name, metric)


def comma_separated():
    run("export", "x", "-o", "long.csv")
    check_long(pandas.read_csv("long.csv"), "CSV")
    run("export", "x", "--wide", "-o", "wide.csv")
    check_wide(pandas.read_csv("wide.csv"), "CSV")
    return "pandas reads both forms to the bit"


def parquet():
    run("export", "x", "-o", "long.parquet")
    frame = pandas.read_parquet("long.parquet")
    check_long(frame, "Parquet")
    types = {name: str(kind) for name, kind in frame.dtypes.items()}
    assert (types["seed"], types["step"], types["value"]) == ("uint64", "int64", "float64"), types
    about = pyarrow.parquet.ParquetFile("long.parquet").metadata
    assert about.created_by.startswith("overnight"), about
    for column in range(3):
        assert about.row_group(0).column(column).compression == "SNAPPY"
    words = {about.row_group(0).column(place).path_in_schema: about.row_group(0).column(place) for place in range(about.num_columns)}
    for name in ("experiment", "run", "metric"):
        assert any("DICTIONARY" in encoding for encoding in words[name].encodings), name
    by_polars = polars.read_parquet("long.parquet")
    assert dict(by_polars.schema) | {"seed": polars.UInt64, "step": polars.Int64, "value": polars.Float64, "run": polars.String} == dict(by_polars.schema)
    assert [bits(value) for value in by_polars["value"]] == [bits(value) for value in frame["value"]]
    run("export", "x", "--wide", "--format", "parquet", "-o", "wide.parquet")
    check_wide(pandas.read_parquet("wide.parquet"), "Parquet")
    return "pandas with pyarrow and Polars read both forms to the bit, with their types"


def as_json():
    run("export", "x", "-o", "runs.json")
    read = json.loads(pathlib.Path("runs.json").read_text())
    for one in read["runs"]:
        rows = tables()[one["run"]]
        assert one["columns"] == list(rows[0])
        for found, row in zip(one["rows"], rows, strict=True):
            for value, cell in zip(found, row.values(), strict=True):
                assert (value is None) == (cell == "")
                assert cell == "" or bits(float(value)) == bits(float(cell)), (value, cell)
            assert isinstance(found[0], int), found
        spread = one["distributions"]
        assert spread["columns"][4] == "weights/p50" and spread["rows"][1] == [20, *(value * 20 for value in SPREAD)], spread
    return f"{len(read['runs'])} runs"


def markdown():
    run("export", "x", "--metric", "val/loss", "--metric", "train/loss", "-o", "table.md")
    text = pathlib.Path("table.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    heads, rows = rows[0], rows[2:]
    assert heads[0] == "train.optimizer.lr" and len(rows) == 2, text
    values = {}
    for name, table in tables().items():
        record = json.loads((pathlib.Path("runs/x") / name / "run.json").read_text())
        best = min(float(row["val/loss"]) for row in table if row["val/loss"])
        values.setdefault(record["settings"]["train"]["optimizer"]["lr"], []).append(best)
    for row in rows:
        of = values[float(row[0])]
        mean, _, spread = row[2].strip("*").partition(" ± ")
        assert row[1] == str(len(of)) == "3", row
        assert abs(float(mean) - statistics.mean(of)) <= 10.0 ** -len(mean.partition(".")[2]), (row, of)
        assert math.isclose(float(spread), statistics.stdev(of), rel_tol=0.06, abs_tol=1e-12), (row, of)
    run("export", "x", "-o", "table.tex")
    latex = pathlib.Path("table.tex").read_text()
    assert latex.count("\\toprule") == latex.count("\\bottomrule") == 1 and "10^{-4}" in latex, latex
    return "means and spreads are those of Python's statistics"


def latex():
    """Compiles the table as a paper would, with names that hold every sign LaTeX obeys."""
    if shutil.which("pdflatex") is None:
        return "skipped: no pdflatex here (apt install texlive-latex-base texlive-latex-recommended)"
    for folder in pathlib.Path("runs/x").iterdir():
        table = folder / "metrics.csv"
        text = table.read_text()
        head, rest = text.split("\n", 1)
        table.write_text(head.replace("val/loss", HOSTILE) + "\n" + rest)
    try:
        run("export", "x", "--metric", HOSTILE, "--metric", "train/loss", "-o", "hostile.tex")
        run("export", "x", "--metric", HOSTILE, "-o", "hostile.md")
    finally:
        for folder in pathlib.Path("runs/x").iterdir():
            table = folder / "metrics.csv"
            table.write_text(table.read_text().replace(HOSTILE, "val/loss"))
    pathlib.Path("document.tex").write_text(
        "\\documentclass{article}\n\\usepackage[T1]{fontenc}\n\\usepackage[utf8]{inputenc}\n\\usepackage{booktabs}\n"
        "\\begin{document}\n\\input{hostile.tex}\n\\end{document}\n"
    )
    made = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "document.tex"], capture_output=True, text=True, errors="replace"
    )
    assert made.returncode == 0, made.stdout[-3000:]
    text = "\n".join(page.extract_text() for page in PdfReader("document.pdf").pages)
    assert "50% of_{x}" in text and "Seeds" in text, text
    assert not pathlib.Path("made-by-latex").exists()
    rows = [line for line in pathlib.Path("hostile.md").read_text().splitlines() if line.startswith("|")]
    pipes = {len(re.findall(r"(?<!\\)\|", line)) for line in rows}
    assert len(pipes) == 1, rows
    return "compiles with \\ { } $ & # _ % ^ ~ < > | and a mark of direction in a name"


def paper():
    run("export", "x", "-o", "paper.pdf")
    read = PdfReader("paper.pdf")
    text = "\n".join(page.extract_text() for page in read.pages)
    assert read.metadata.producer.startswith("overnight"), read.metadata
    for words in ("6 runs of 1 experiment, written on 20", "Validation loss", "train.optimizer.lr"):
        assert words in text, (words, text)
    assert "x" in read.metadata.title
    run("export", "x", "--chart", "val/loss", "--width", "900", "-o", "chart.png")
    image = Image.open("chart.png")
    assert image.size[0] == 900 and image.info["Software"].startswith("overnight"), image
    assert len(image.convert("RGB").getcolors(1 << 24)) > 20, "it shows nothing"
    return f"{len(read.pages)} pages whose words can be searched for, a picture of {image.size}"


def archive():
    run("export", "x", "-o", "night.zip")
    first = pathlib.Path("night.zip").read_bytes()
    packed = zipfile.ZipFile(io.BytesIO(first))
    assert packed.testzip() is None
    names = packed.namelist()
    assert names == sorted(names, key=lambda name: name.split("/")) and all(name.startswith("night/") for name in names)
    assert {entry.date_time for entry in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert "<h2>The night</h2>" in packed.read("night/index.html").decode()
    assert "night/index.html" in names and not any("/." in name for name in names)
    private = [str(pathlib.Path.cwd()), socket.gethostname()]
    for name in names:
        text = packed.read(name).decode("utf-8", "replace")
        for word in private:
            found = re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)
            assert not found, (name, word, text[max(0, found.start() - 200):][:400])
    page = packed.read("night/index.html").decode()
    for link in [part.split('"')[0] for part in page.split('href="')[1:]]:
        target = link.split("#")[0].split("?")[0]
        if target and ":" not in target:
            assert f"night/{target}" in names, link
    return f"{len(names)} files, none with this machine's name or paths"


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    make()
    for check in (tensorboard, comma_separated, parquet, as_json, markdown, latex, paper, archive):
        print(f"{check.__name__}: {check()}", flush=True)
