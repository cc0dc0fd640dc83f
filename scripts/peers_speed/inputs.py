"""Makes what is measured on, once in a work directory: pairs for the libraries and the same for nightshelf.

A set of pairs is a directory with `csr.npz` (indptr, indices, data, shape), `pairs.parquet` (user_id and item_id as text,
one row an event, so that repetitions add up to `data`) and nothing else; row and column N are the user uNNNNNNN and
the item iNNNNNNN.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sps

from process import run


@dataclass
class Pairs:
    name: str
    directory: Path
    users: int
    items: int
    cells: int

    @property
    def parquet(self):
        return self.directory / "pairs.parquet"

    def matrix(self):
        return load_csr(self.directory)


def load_csr(directory):
    with np.load(Path(directory) / "csr.npz") as file:
        return sps.csr_matrix((file["data"], file["indices"], file["indptr"]), shape=tuple(file["shape"]))


def synthetic(work, size):
    """Users by a Pareto law, items by rank ** -0.8. Full: 10 million draws, which make 9,512,414 cells."""
    scale = {"small": 10, "full": 1}[size]
    n_users, n_items, n_draws = 500_000 // scale, 100_000 // scale, 10_000_000 // scale

    def draw():
        rng = np.random.default_rng(7)
        user_weights = rng.pareto(1.5, n_users) + 1
        item_weights = np.arange(1, n_items + 1) ** -0.8
        users = np.searchsorted(np.cumsum(user_weights / user_weights.sum()), rng.random(n_draws))
        items = np.searchsorted(np.cumsum(item_weights / item_weights.sum()), rng.random(n_draws))
        return users, items

    return pairs(f"synthetic {size}", work / f"synthetic-{size}", draw, (n_users, n_items))


def gowalla(work, source):
    def read():
        table = pq.read_table(source / "train.parquet", columns=["user_id", "item_id"])
        numbers = [np.unique(table[name].to_numpy(), return_inverse=True)[1] for name in table.column_names]
        return numbers[0], numbers[1]

    return pairs("gowalla", work / "gowalla", read, None)


def pairs(name, directory, draw, shape):
    if not (directory / "done.json").exists():
        directory.mkdir(parents=True, exist_ok=True)
        users, items = draw()
        # Numbers beyond the last, should rounding leave the cumulated weights below 1, belong to the last.
        shape = shape or (int(users.max()) + 1, int(items.max()) + 1)
        users, items = np.minimum(users, shape[0] - 1), np.minimum(items, shape[1] - 1)
        write_pairs(directory, users, items, shape)
    facts = json.loads((directory / "done.json").read_text())
    return Pairs(name, directory, facts["users"], facts["items"], facts["cells"])


def write_pairs(directory, users, items, shape):
    matrix = sps.csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=shape)
    matrix.sum_duplicates()
    np.savez(directory / "csr.npz", data=matrix.data, indices=matrix.indices, indptr=matrix.indptr, shape=shape)
    table = pa.table({"user_id": ids("u", users, shape[0]), "item_id": ids("i", items, shape[1])})
    pq.write_table(table, directory / "pairs.parquet", row_group_size=1 << 18)
    facts = {"users": shape[0], "items": shape[1], "cells": int(matrix.nnz)}
    (directory / "done.json").write_text(json.dumps(facts))


def ids(letter, numbers, count):
    names = pa.array([f"{letter}{number:07d}" for number in range(count)])
    return names.take(pa.array(numbers, pa.int64()))


@dataclass
class Shop:
    events: Path
    n_events: int
    as_of: str  # the last day with events


def shop(work, nightshelf, n_events):
    """A made-up shop: a user for 20 events, an item for 200."""
    directory = work / f"shop-{n_events}"
    if not (directory / "synth.json").exists():
        sizes = ["--users", n_events // 20, "--items", max(1000, n_events // 200)]
        run([nightshelf, "synth", "--quiet", "--out", str(directory), "--events", str(n_events), *map(str, sizes)])
    last = max(path.name for path in (directory / "events").glob("dt=*"))
    return Shop(directory / "events", n_events, last.removeprefix("dt="))
