"""Runs nightshelf on the same input, and reads its own account of stages and memory."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq

from process import run

PAIRS = ["events.preset=pairs", "interactions.min_users_per_item=1"]


def als(job, iterations):
    """Keys of the loss that the libraries minimise, see library.py."""
    return [
        "model.kind=als",
        "model.als.weighting=confidence",
        f"model.als.n_factors={job['n_factors']}",
        f"model.als.alpha={float(job['alpha'])}",
        f"model.als.regularization={job['regularization']}",
        f"model.als.cg_steps={job['cg_steps']}",
        f"model.als.iterations={iterations}",
    ]


def item_item(kind, neighbours):
    """rp3beta as the library's call in library.py; `k1` and `b` of bm25 are both sides' defaults."""
    keys = [f"model.item_item.kind={kind}", f"model.item_item.neighbours={neighbours}"]
    numbers = ["model.item_item.alpha=0.6", "model.item_item.beta=0.1", "model.item_item.normalise=false"]
    return ["model.kind=item_item", *keys, *numbers]


def flags(settings):
    return [word for setting in settings for word in ("--set", setting)]


class Ours:
    def __init__(self, binary, work):
        self.binary = binary
        self.work = work

    def train_seconds(self, pairs, threads, job, iterations):
        """Seconds of training alone for each number of iterations; one process, which reads the pairs once."""
        configs = []
        for count in iterations:
            path = self.work / f"ours-{count}.toml"
            path.write_text("".join(f"{toml(setting)}\n" for setting in als(job, count)))
            configs += ["--config", str(path)]
        few = self.work / "few-users.parquet"
        pq.write_table(pq.read_table(pairs.parquet).slice(0, 100), few)
        command = [self.binary, "evaluate", "--quiet", "--json", *configs, "--train", str(pairs.parquet)]
        command += ["--test", str(few), "-k", "1", "--threads", str(threads), "--repeats", "allow"]
        command += flags([*PAIRS, "evaluation.resamples=0", "evaluation.permutations=0"])
        finished = run(command)
        timings = dict(json.loads(finished.stdout)["timings_s"])
        return [timings[f"train ours-{count}: als"] for count in iterations], finished

    def build(self, pairs, threads, k, settings):
        """A build of all lists without similar items and without publishing: stage seconds, run directory, process."""
        runs = self.work / "runs"
        shutil.rmtree(runs, ignore_errors=True)
        command = [self.binary, "build", "--quiet", "--json", "--events", str(pairs.parquet), "--runs", str(runs)]
        command += ["--publish", "none", "-k", str(k), "--threads", str(threads)]
        few_similar = ["recommendations.similar.k=1", "recommendations.similar.min_pair_users=1000000"]
        finished = run([*command, *flags([*PAIRS, *few_similar, *settings])])
        summary = json.loads(finished.stdout)
        run_directory = runs / summary["run"]
        if summary["rejected"] or summary["interactions"] != pairs.cells:
            raise SystemExit(f"nightshelf has {summary['interactions']} cells of {pairs.cells}: {summary['rejected']}")
        return dict(summary["timings_s"]), run_directory, finished, summary


def toml(setting):
    key, _, value = setting.partition("=")
    is_text = not value.replace(".", "", 1).isdigit() and value not in ("true", "false")
    return f'{key} = "{value}"' if is_text else f"{key} = {value}"


def item_factors(run_directory, n_items):
    """Item factors of a run in the order of the matrix; items that the run does not know stay zero. None: no such file."""
    path = run_directory / "model" / "item_factors.parquet"
    if not path.exists():
        return None
    table = pq.read_table(path)
    rows = np.array([int(item.removeprefix("i")) for item in table["item_id"].to_pylist()])
    flat = table["factors"].combine_chunks().flatten().to_numpy()
    factors = np.zeros((n_items, len(flat) // len(rows)), np.float32)
    factors[rows] = flat.reshape(len(rows), -1)
    return factors
