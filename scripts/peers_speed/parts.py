"""The parts of the comparison: who runs on what, and which figures come of it.

A part is a title and a list of contenders. A contender is one program with a number of threads; running it gives `Measured`.
"""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import inputs
from machine import environment
from ours import Ours, als, item_factors, item_item
from process import run
from tables import OURS

HERE = Path(__file__).parent
THREADS = (2, 1)
SPARK_THREADS = PIPELINE_THREADS = 2
JOB = {"n_factors": 64, "alpha": 10.0, "regularization": 0.05, "cg_steps": 3}
K = 50
SWEEPS = 4  # of the peers' training; each sweep is timed by itself
OUR_SWEEPS = (2, 10)  # nightshelf's sweeps are the difference of two trainings
NEIGHBOURS = 350


@dataclass
class Measured:
    values: list
    unit: str
    lower_is_better: bool
    what: str
    cores: float | None = None
    peak_mb: float | None = None
    notes: dict = field(default_factory=dict)


@dataclass
class Contender:
    who: str
    threads: int
    measure: object  # () -> [Measured]


@dataclass
class Part:
    title: str
    contenders: list


@dataclass
class Context:
    """What the flags say."""

    work: Path
    binary: str
    size: str
    gowalla: Path | None
    spark_events: int
    factors: int

    @property
    def small(self):
        return self.size == "small"

    @property
    def ours(self):
        return Ours(self.binary, self.work)

    @property
    def training(self):
        """What part train trains; the other parts have `JOB`."""
        return JOB | {"n_factors": self.factors}


def library(job, threads):
    command = [sys.executable, str(HERE / "library.py"), json.dumps(job | {"threads": threads})]
    finished = run(command, environment(threads))
    return json.loads(finished.stdout.splitlines()[-1]), finished


def objectives(pairs, factors):
    """Notes of the objective; what it prints is divided by the cells, so that sizes compare."""
    command = [sys.executable, str(HERE / "objective.py"), str(pairs.directory), str(factors)]
    finished = run([*command, str(JOB["alpha"]), str(JOB["regularization"])], environment(2))
    values = json.loads(finished.stdout)

    def spelled(value):
        return "" if value is None else f"{value / pairs.cells:.5f}"

    return {
        "objective a cell, users as trained": spelled(values["own"]),
        "objective a cell, users solved exactly": spelled(values["solved"]),
    }


# ---- train


def train_part(context):
    pairs = inputs.synthetic(context.work, context.size)
    contenders = [trained(context, pairs, threads) for threads in THREADS]
    for threads in THREADS:
        for peer in ("implicit", "irspack CG", "irspack iALS++", "LensKit"):
            contenders.append(trained_peer(context, pairs, peer, threads))
    title = f"Training: {pairs.name}, {pairs.cells:,} cells, {context.factors} factors; objectives after {SWEEPS} sweeps"
    return Part(title, contenders)


def trained_peer(context, pairs, peer, threads):
    factors = context.work / f"factors-{peer.replace(' ', '-')}.npz"
    known = {}

    def measure():
        # The objective does not depend on the run or the threads beyond rounding: once, with all threads.
        wants = threads == THREADS[0] and not known
        job = context.training | {"task": "train", "peer": peer, "pairs": str(pairs.directory), "sweeps": SWEEPS}
        job["factors"] = str(factors) if wants else None
        figures, finished = library(job, threads)
        if wants:
            known.update(objectives(pairs, factors))
        values = [seconds * 1e9 / (2 * pairs.cells) for seconds in figures["seconds"]]
        return [of_training(values, figures["cores"], finished.peak_mb, known)]

    return Contender(peer, threads, measure)


def trained(context, pairs, threads):
    known = {}

    def measure():
        wants = threads == THREADS[0] and not known
        seconds, finished = context.ours.train_seconds(pairs, threads, context.training, OUR_SWEEPS)
        if wants:
            known.update(our_objective(context, pairs))
        a_sweep = (seconds[1] - seconds[0]) / (OUR_SWEEPS[1] - OUR_SWEEPS[0])
        return [of_training([a_sweep * 1e9 / (2 * pairs.cells)], None, finished.peak_mb, known)]

    return Contender(OURS, threads, measure)


def of_training(values, cores, peak_mb, notes):
    return Measured(values, "ns a cell and half-sweep", True, "train", cores, peak_mb, notes)


def our_objective(context, pairs):
    _, directory, _, _ = context.ours.build(pairs, THREADS[0], 1, als(context.training, SWEEPS))
    items = item_factors(directory, pairs.items)
    if items is None:
        return {"objective a cell, users solved exactly": "no factors in the run"}
    path = context.work / "factors-nightshelf.npz"
    np.savez(path, items=items)
    return objectives(pairs, path)


# ---- score


def score_part(context):
    contenders = scored(context, inputs.synthetic(context.work, context.size), JOB["n_factors"])
    if context.gowalla:
        pairs = inputs.gowalla(context.work, context.gowalla)
        for n_factors in (64,) if context.small else (64, 256, 512):
            contenders += scored(context, pairs, n_factors)
    return Part(f"Scoring everybody: exact top {K}, seen items filtered", contenders)


def scored(context, pairs, n_factors):
    job = JOB | {"n_factors": n_factors}
    what = f"top {K}, {pairs.name}, {pairs.users:,} x {pairs.items:,} x {n_factors}"

    def rate(values, cores, finished):
        gflops = 2 * pairs.items * n_factors * values[0] / 1e9
        return [Measured(values, "users/s", False, what, cores, finished.peak_mb, {"GFLOP/s": f"{gflops:,.0f}"})]

    def our_run(threads):
        def measure():
            timings, _, finished, summary = context.ours.build(pairs, threads, K, als(job, SWEEPS))
            return rate([summary["users"] / timings["recommend"]], None, finished)

        return Contender(OURS, threads, measure)

    def peer_run(peer, threads, users):
        def measure():
            task = {"task": "score", "peer": peer, "pairs": str(pairs.directory), "k": K, "sample": users}
            figures, finished = library(job | task | {"factors": str(factors_of(context, pairs, job))}, threads)
            return rate([figures["users_per_s"]], figures["cores"], finished)

        return Contender(peer, threads, measure)

    samples = {"implicit": 4_000 if context.small else 40_000, "irspack": 1_000 if context.small else 4_000}
    peers = [peer_run(peer, threads, samples[peer]) for threads in THREADS for peer in samples]
    return [our_run(threads) for threads in THREADS] + peers


def factors_of(context, pairs, job):
    """Factors that the peers score with: implicit's, trained on the same pairs with as many sweeps as nightshelf's."""
    path = context.work / f"score-{pairs.directory.name}-{job['n_factors']}.npz"
    if not path.exists():
        task = {"task": "train", "peer": "implicit", "pairs": str(pairs.directory), "sweeps": SWEEPS}
        library(job | task | {"factors": str(path)}, THREADS[0])
    return path


# ---- items


def items_part(context):
    pairs = inputs.synthetic(context.work, context.size)
    contenders = []
    peers = {"cosine": ["implicit", "irspack"], "bm25": ["implicit"], "rp3beta": ["irspack"]}
    for kind, names in peers.items():
        for threads in THREADS:
            contenders.append(our_items(context, pairs, kind, threads))
            contenders += [peer_items(context, pairs, kind, name, threads) for name in names]
    return Part(f"Item models: {pairs.name}, {pairs.cells:,} cells, {NEIGHBOURS} neighbours, top {K}", contenders)


def of_items(kind, build_seconds, users_per_s, cores, peak_mb):
    return [
        Measured([build_seconds], "s", True, f"{kind}: build", cores[0], peak_mb),
        Measured([users_per_s], "users/s", False, f"{kind}: score", cores[1], peak_mb),
    ]


def our_items(context, pairs, kind, threads):
    def measure():
        timings, _, finished, summary = context.ours.build(pairs, threads, K, item_item(kind, NEIGHBOURS))
        rate = summary["users"] / timings["recommend"]
        return of_items(kind, timings["train"], rate, (None, None), finished.peak_mb)

    return Contender(OURS, threads, measure)


def peer_items(context, pairs, kind, peer, threads):
    job = {"task": "items", "peer": peer, "model": kind, "pairs": str(pairs.directory), "k": K, "neighbours": NEIGHBOURS}
    job["sample"] = {"implicit": 20_000, "irspack": 4_000}[peer] // (5 if context.small else 1)

    def measure():
        figures, finished = library(job, threads)
        cores = figures["build_cores"], figures["cores"]
        return of_items(kind, figures["seconds"], figures["users_per_s"], cores, finished.peak_mb)

    return Contender(peer, threads, measure)


# ---- whole jobs


def pipeline_part(context):
    shop = inputs.shop(context.work, context.binary, 500_000 if context.small else 10_000_000)
    peer = scripted(context, shop, "polars_implicit_sqlite.py", "polars + implicit + sqlite3", PIPELINE_THREADS)
    ours = whole_build(context, shop, PIPELINE_THREADS, sqlite=True)
    return Part(f"The whole job: {shop.n_events:,} events to lists of {K} for every user in SQLite", [ours, peer])


def spark_part(context):
    shop = inputs.shop(context.work, context.binary, context.spark_events)
    peer = scripted(context, shop, "spark_mllib.py", "PySpark, MLlib", SPARK_THREADS)
    ours = whole_build(context, shop, SPARK_THREADS, sqlite=False)
    return Part(f"The whole job on Spark: {shop.n_events:,} events to lists of {K} for every user in Parquet", [ours, peer])


ITERATIONS = 10


def of_job(finished, lists):
    cores = None
    return [Measured([finished.seconds], "s", True, "whole job", cores, finished.peak_mb, {"lists": f"{lists:,}"})]


def scripted(context, shop, script, who, threads):
    out = context.work / script.removesuffix(".py")

    def measure():
        path = HERE.parent / "pipelines" / script
        command = [sys.executable, str(path), "--events", str(shop.events), "--as-of", shop.as_of, "--out", str(out)]
        command += ["--n-factors", str(JOB["n_factors"]), "--iterations", str(ITERATIONS), "-k", str(K)]
        command += ["--alpha", str(JOB["alpha"]), "--regularization", str(JOB["regularization"])]
        finished = run([*command, "--threads", str(threads)], environment(threads))
        return of_job(finished, json.loads(finished.stdout.splitlines()[-1])["lists"])

    return Contender(who, threads, measure)


def whole_build(context, shop, threads, sqlite):
    """The same weights, the same model, nothing left out by rules that the scripts do not have."""
    database = context.work / "nightshelf.db"
    settings = [*als(JOB, ITERATIONS), "interactions.min_users_per_item=1", "interactions.max_events_per_active_day=0"]
    types = ("view", "cart", "remove_from_cart", "purchase", "refund")
    settings += [f"interactions.exclude.{name}={{}}" for name in types]
    words = [word for setting in settings for word in ("--set", setting)]

    def measure():
        for path in context.work.glob("nightshelf.db*"):
            path.unlink()
        runs = context.work / "shop-runs"
        command = [context.binary, "build", "--quiet", "--json", "--events", str(shop.events), "--as-of", shop.as_of]
        command += ["--runs", str(runs), "-k", str(K), "--threads", str(threads), *words]
        finished = run(command + (["--sqlite", str(database)] if sqlite else ["--publish", "none"]))
        return of_job(finished, sum(json.loads(finished.stdout)["lists"].values()))

    return Contender(OURS, threads, measure)


PARTS = {
    "train": train_part,
    "score": score_part,
    "items": items_part,
    "pipeline": pipeline_part,
    "spark": spark_part,
}
