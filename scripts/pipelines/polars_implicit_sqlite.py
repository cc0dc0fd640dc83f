"""What one would write without nightshelf: events to lists in SQLite with polars, implicit and sqlite3.

    polars_implicit_sqlite.py --events DIR --as-of 2026-08-29 --out DIR [--n-factors 64] [--iterations 10] [-k 50]

Weights by event type, halved with age; users x items as CSR; implicit's ALS; everybody's k best unseen items as one JSON
list a user, all in one transaction. Prints {"lists": n}.
"""

import argparse
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sps
from implicit.cpu.als import AlternatingLeastSquares

WEIGHTS = {"view": 1.0, "cart": 3.0, "remove_from_cart": -1.5, "purchase": 5.0, "refund": -5.0}
HALF_LIFE_DAYS = {"view": 30.0, "cart": 30.0, "remove_from_cart": 30.0, "purchase": 180.0, "refund": 180.0}
BATCH = 2_000


def read_cells(events, as_of):
    """One row a (user, item) pair with its weight, from the events up to `as_of`."""
    kind = pl.col("event_type")
    age = (pl.lit(as_of) - pl.col("timestamp")).dt.total_seconds() / 86_400
    half_life = kind.replace_strict(HALF_LIFE_DAYS, return_dtype=pl.Float64)
    weight = kind.replace_strict(WEIGHTS, return_dtype=pl.Float64) * (-age / half_life * np.log(2)).exp()
    return (
        pl.scan_parquet(events / "**" / "*.parquet", hive_partitioning=False)
        .select("user_id", "item_id", "event_type", "timestamp")
        .filter(pl.col("user_id").is_not_null(), pl.col("item_id").is_not_null(), kind.is_in(list(WEIGHTS)))
        .filter(pl.col("timestamp") <= as_of)
        .select("user_id", "item_id", weight.alias("weight"))
        .group_by("user_id", "item_id")
        .agg(pl.col("weight").sum())
        .filter(pl.col("weight") > 0)
        .collect(engine="streaming")
    )


def to_matrix(cells):
    users, items = (cells[name].unique().sort() for name in ("user_id", "item_id"))
    rows = cells["user_id"].cast(pl.Enum(users)).to_physical().to_numpy()
    columns = cells["item_id"].cast(pl.Enum(items)).to_physical().to_numpy()
    weights = cells["weight"].to_numpy().astype(np.float32)
    matrix = sps.csr_matrix((weights, (rows, columns)), shape=(len(users), len(items)))
    return users.to_list(), items.to_list(), matrix


def lists(model, matrix, users, items, k):
    """(user id, JSON of his items and scores), in the order of the users."""
    for start in range(0, len(users), BATCH):
        batch = np.arange(start, min(start + BATCH, len(users)))
        found, scores = model.recommend(batch, matrix[batch], N=k, filter_already_liked_items=True)
        for user, numbers, values in zip(batch.tolist(), found.tolist(), scores.tolist()):
            # implicit fills short lists up with item 0 or -1 and the lowest float
            pairs = [[items[item], round(value, 6)] for item, value in zip(numbers, values) if value > -1e38]
            yield users[user], json.dumps(pairs)


def write(path, rows):
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE recommendations (user_id TEXT PRIMARY KEY, items TEXT NOT NULL) WITHOUT ROWID")
    with connection:
        connection.executemany("INSERT INTO recommendations VALUES (?, ?)", rows)
    count = connection.execute("SELECT count(*) FROM recommendations").fetchone()[0]
    connection.close()
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--as-of", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--n-factors", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--alpha", type=float, default=10.0)
    parser.add_argument("--regularization", type=float, default=0.05)
    parser.add_argument("-k", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    as_of = datetime.fromisoformat(args.as_of).replace(tzinfo=UTC) + timedelta(days=1, seconds=-1)
    users, items, matrix = to_matrix(read_cells(args.events, as_of))
    model = AlternatingLeastSquares(
        factors=args.n_factors,
        iterations=args.iterations,
        alpha=args.alpha,
        regularization=args.regularization,
        num_threads=args.threads,
        random_state=7,
    )
    model.fit(matrix, show_progress=False)
    args.out.mkdir(parents=True, exist_ok=True)
    count = write(args.out / "recommendations.db", lists(model, matrix, users, items, args.k))
    print(json.dumps({"lists": count, "cells": matrix.nnz}))


if __name__ == "__main__":
    main()
