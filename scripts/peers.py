"""Tunes the peers of scripts/peers.sh on one split, and writes their lists for `nightshelf evaluate --lists`.

    peers.py search --config CONFIG --work DIR --repeats allow|new-only --trials 40 --seconds 300 [--skip lenskit]
    peers.py show --work DIR

DIR/split holds fold-1 (validation) and fold-2 (test) as `nightshelf evaluate --export-split` writes them. A peer's
first trial has the library's defaults, the others are drawn with a fixed seed; the best NDCG@20 on fold-1, over users
known to training, is trained on fold-2 and gives DIR/lists/NAME.parquet. Rules are those of a build: `blocked_items` of
CONFIG are on no list, and with `new-only` no item of the user's own history. `weight_power` is ours, not the
libraries': the exported weight to this power, 0 makes all pairs equal.
"""

import argparse
import contextlib
import io
import json
import logging
import math
import random
import sys
import time
import tomllib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sps

LIST_LENGTH = 50
K = 20
SEED = 7
THREADS = 2


# ---- data


@dataclass
class Fold:
    """One split: the training matrix, and what is relevant to the test users that it knows.

    `relevant` is a set a test user: columns of items, and the ids of items that training does not know.
    """

    users: np.ndarray
    items: np.ndarray
    train: sps.csr_matrix
    test_users: np.ndarray
    relevant: list
    blocked: np.ndarray


def read_fold(directory, blocked_items):
    train = pq.read_table(directory / "train.parquet").to_pandas()
    test = pq.read_table(directory / "test.parquet").to_pandas()
    users, rows = np.unique(train.user_id.to_numpy(str), return_inverse=True)
    items, columns = np.unique(train.item_id.to_numpy(str), return_inverse=True)
    matrix = sps.csr_matrix((train.weight.to_numpy(np.float32), (rows, columns)), shape=(len(users), len(items)))
    row_of = {user: row for row, user in enumerate(users)}
    column_of = {item: column for column, item in enumerate(items)}
    of_user = {}
    for user, item in zip(test.user_id, test.item_id):
        if user in row_of:
            of_user.setdefault(row_of[user], set()).add(column_of.get(item, item))
    test_users = np.array(sorted(of_user))
    blocked = np.array([column_of[item] for item in blocked_items if item in column_of], dtype=int)
    relevant = [of_user[user] for user in test_users]
    return Fold(users, items, matrix, test_users, relevant, blocked)


def weighted(train, power):
    """The training matrix with its weights to a power."""
    matrix = train.copy()
    matrix.data = matrix.data**power
    return matrix


def top_lists(scores, fold, new_only):
    """The best items of each test user, best first; equal scores in the order of the items."""
    scores = np.array(scores, dtype=np.float64)
    scores[~np.isfinite(scores)] = -np.inf
    scores[:, fold.blocked] = -np.inf
    if new_only:
        own = fold.train[fold.test_users].tocoo()
        scores[own.row, own.col] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :LIST_LENGTH]
    found = np.isfinite(np.take_along_axis(scores, order, axis=1))
    return [row[keep] for row, keep in zip(order, found)]


def ndcg(lists, fold):
    """Mean NDCG@20 with binary gains; the ideal list is cut at 20, and items unknown to training count in it."""
    gains = 1 / np.log2(np.arange(2, K + 2))
    ideal = np.cumsum(gains)
    values = [
        sum(gains[rank] for rank, item in enumerate(items[:K]) if item in relevant) / ideal[min(K, len(relevant)) - 1]
        for items, relevant in zip(lists, fold.relevant)
    ]
    return float(np.mean(values))


def write_lists(path, lists, fold):
    table = pa.table(
        {
            "user_id": pa.array(fold.users[fold.test_users], pa.string()),
            "items": pa.array([fold.items[row].tolist() for row in lists], pa.list_(pa.string())),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


# ---- peers: each trains on a fold with settings, and returns a function that scores all items for the test users


def implicit_als(fold, weight_power=1.0, **settings):
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(**settings, num_threads=THREADS, random_state=SEED)
    model.fit(weighted(fold.train, weight_power), show_progress=False)
    return lambda: model.user_factors[fold.test_users] @ model.item_factors.T


def implicit_knn(class_name):
    def fit(fold, weight_power=1.0, **settings):
        from implicit import nearest_neighbours

        matrix = weighted(fold.train, weight_power).astype(np.float64)
        model = getattr(nearest_neighbours, class_name)(**settings, num_threads=THREADS)
        model.fit(matrix, show_progress=False)
        return lambda: (matrix[fold.test_users] @ model.similarity).toarray()

    return fit


def irspack(class_name, **fixed):
    def fit(fold, weight_power=1.0, **settings):
        import irspack

        matrix = weighted(fold.train, weight_power)
        model = getattr(irspack, class_name)(matrix, **settings, **fixed, n_threads=THREADS).learn()
        return lambda: model.get_score(fold.test_users)

    return fit


def lenskit_scores(scorer, fold, weight_power):
    from lenskit.data import ItemList, RecQuery, from_interactions_df
    from lenskit.training import TrainingOptions
    import pandas as pd

    pairs = weighted(fold.train, weight_power).tocoo()
    frame = pd.DataFrame({"user_id": fold.users[pairs.row], "item_id": fold.items[pairs.col], "rating": pairs.data})
    data = from_interactions_df(frame)
    scorer.train(data, TrainingOptions(rng=SEED))

    candidates = ItemList.from_vocabulary(data.items)
    columns = np.argsort(data.items.ids())  # the folds' items are sorted, the vocabulary need not be

    def scores_of(user):
        query = RecQuery(user_id=user, user_items=data.user_row(user))
        return scorer(query, candidates).scores()[columns]

    return lambda: np.stack([scores_of(user) for user in fold.users[fold.test_users]])


def lenskit_item_knn(fold, **settings):
    from lenskit.knn import ItemKNNScorer

    return lenskit_scores(ItemKNNScorer(feedback="implicit", **settings), fold, 1.0)


def lenskit_implicit_mf(fold, weight_power=1.0, **settings):
    from lenskit.als import ImplicitMFScorer

    return lenskit_scores(ImplicitMFScorer(**settings), fold, weight_power)


# ---- settings to search


def whole(low, high):
    """A whole number, even in its logarithm."""
    return lambda rng: round(math.exp(rng.uniform(math.log(low), math.log(high))))


def log(low, high):
    return lambda rng: float(f"{math.exp(rng.uniform(math.log(low), math.log(high))):.4g}")


def linear(low, high):
    return lambda rng: round(rng.uniform(low, high), 3)


def one_of(*values):
    return lambda rng: rng.choice(values)


POWER = {"weight_power": one_of(0.0, 0.5, 1.0)}
NEIGHBOURS = whole(5, 1000)

# name: (what it needs, how to train it, settings to draw from)
PEERS = {
    "implicit_als": (
        "implicit",
        implicit_als,
        {"factors": whole(8, 256), "regularization": log(1e-3, 100), "alpha": log(0.1, 100)}
        | {"iterations": whole(5, 30)}
        | POWER,
    ),
    "implicit_bm25": (
        "implicit",
        implicit_knn("BM25Recommender"),
        {"K": NEIGHBOURS, "K1": log(0.05, 20), "B": linear(0, 1)} | POWER,
    ),
    "implicit_cosine": ("implicit", implicit_knn("CosineRecommender"), {"K": NEIGHBOURS} | POWER),
    "implicit_tfidf": ("implicit", implicit_knn("TFIDFRecommender"), {"K": NEIGHBOURS} | POWER),
    "irspack_ials": (
        "irspack",
        irspack("IALSRecommender", random_seed=SEED),
        {"n_components": whole(8, 256), "alpha0": log(3e-3, 1), "reg": log(1e-4, 1e-1)}
        | {"train_epochs": whole(5, 30), "confidence_scaling": one_of("none", "log")}
        | POWER,
    ),
    "irspack_rp3beta": (
        "irspack",
        irspack("RP3betaRecommender"),
        {"top_k": NEIGHBOURS, "alpha": linear(0.3, 2), "beta": linear(0, 1), "normalize_weight": one_of(False, True)}
        | POWER,
    ),
    "lenskit_item_knn": (
        "lenskit",
        lenskit_item_knn,
        {"max_nbrs": NEIGHBOURS, "save_nbrs": one_of(None, 50, 100, 200, 500), "min_sim": log(1e-6, 0.2)},
    ),
    "lenskit_implicit_mf": (
        "lenskit",
        lenskit_implicit_mf,
        {"embedding_size": whole(8, 256), "epochs": whole(5, 20), "regularization": log(1e-3, 100)}
        | {"weight": log(0.5, 100), "use_ratings": one_of(False, True)}
        | POWER,
    ),
}


def trials(name, space, n):
    """The library's defaults, then n - 1 drawn settings."""
    rng = random.Random(f"{SEED} {name}")
    return [{}] + [{key: draw(rng) for key, draw in space.items()} for _ in range(n - 1)]


# ---- search


def search_peer(name, args, validation, test):
    _, fit, space = PEERS[name]
    started = time.monotonic()
    measured = []
    for settings in trials(name, space, args.trials):
        if measured and time.monotonic() - started > args.seconds:
            break
        lists = top_lists(fit(validation, **settings)(), validation, args.repeats == "new-only")
        measured.append((ndcg(lists, validation), settings))
    value, settings = max(measured, key=lambda trial: trial[0])
    seconds = time.monotonic() - started
    fitting = time.monotonic()
    scores = fit(test, **settings)
    fit_seconds = time.monotonic() - fitting
    write_lists(args.work / "lists" / f"{name}.parquet", top_lists(scores(), test, args.repeats == "new-only"), test)
    return {
        "settings": settings,
        "trials": len(measured),
        "capped": len(measured) < args.trials,
        "ndcg_validation": round(value, 5),
        "ndcg_validation_defaults": round(measured[0][0], 5),
        "search_seconds": round(seconds, 1),
        "fit_seconds": round(fit_seconds, 2),
    }


def search(args):
    config = tomllib.loads(args.config.read_text())
    blocked = config.get("recommendations", {}).get("blocked_items", [])
    validation = read_fold(args.work / "split" / "fold-1", blocked)
    test = read_fold(args.work / "split" / "fold-2", blocked)
    report = {"repeats": args.repeats, "trials": args.trials, "seconds": args.seconds, "peers": {}}
    for name, (needs, _, _) in PEERS.items():
        if needs in args.skip.split(","):
            print(f"==> {name}: SKIPPED (NIGHTSHELF_SKIP)", file=sys.stderr)
            continue
        print(f"==> tuning {name}", file=sys.stderr, end="", flush=True)
        with contextlib.redirect_stdout(io.StringIO()):  # progress bars of the libraries
            found = search_peer(name, args, validation, test)
        report["peers"][name] = found
        note = f", stopped by --seconds {args.seconds}" if found["capped"] else ""
        print(f": {found['trials']} trials in {found['search_seconds']:.0f} s{note}", file=sys.stderr)
        (args.work / "peers.json").write_text(json.dumps(report, indent=1) + "\n")


# ---- the table of settings


def spelled(settings):
    return ", ".join(f"{key} {value}" for key, value in settings.items()) or "the library's defaults"


def show(args):
    report = json.loads((args.work / "peers.json").read_text())
    print(f" {'peer':<20} {'trials':>6}  {'fit s':>6}  {'ndcg@20 in validation':<22} settings")
    for name, peer in report["peers"].items():
        values = f"{peer['ndcg_validation']:.4f} (defaults {peer['ndcg_validation_defaults']:.4f})"
        trials_done = f"{peer['trials']}{'!' if peer['capped'] else ''}"
        print(f" {name:<20} {trials_done:>6}  {peer['fit_seconds']:>6.2f}  {values:<22} {spelled(peer['settings'])}")
    if any(peer["capped"] for peer in report["peers"].values()):
        print(f"\n ! stopped by --seconds {report['seconds']} before trial {report['trials']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    of_search = commands.add_parser("search")
    of_search.add_argument("--config", type=Path, required=True)
    of_search.add_argument("--repeats", choices=["allow", "new-only"], required=True)
    of_search.add_argument("--trials", type=int, default=40)
    of_search.add_argument("--seconds", type=int, default=300)
    of_search.add_argument("--skip", default="")
    for command in (of_search, commands.add_parser("show")):
        command.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    {"search": search, "show": show}[args.command](args)


if __name__ == "__main__":
    main()
