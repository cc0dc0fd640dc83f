"""One measurement of one Python library, in a process of its own: a job as JSON in the arguments, figures as JSON out.

    library.py '{"task": "train", "peer": "implicit", "pairs": DIR, "threads": 2, ...}'

All ALS peers are set to minimise one function, that of objective.py: c = 1 + alpha w on cells. In the libraries' words:

| nightshelf     | implicit       | irspack (loss ORIGINAL, nu 0)           | LensKit (use_ratings)   |
|----------------|----------------|-----------------------------------------|-------------------------|
| alpha          | alpha          | 1 / alpha0                              | weight                  |
| regularization | regularization | reg = regularization * alpha0           | regularization          |
| cg_steps       | cg_steps       | max_cg_steps (CG), none (iALS++)        | none, Cholesky          |
| n_factors      | factors        | n_components                            | embedding_size          |
"""

import json
import logging
import os
import sys
import time
import warnings

import numpy as np

from inputs import load_csr

SEED = 7


class Stopwatch:
    """Wall seconds of a stretch, and how many cores this process kept busy in it."""

    def __enter__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self.wall
        self.cores = (time.process_time() - self.cpu) / self.seconds


# ---- train: seconds of each sweep, and the factors


def train_implicit(job, matrix):
    from implicit.cpu.als import AlternatingLeastSquares

    seconds = []
    settings = {"factors": job["n_factors"], "alpha": job["alpha"], "regularization": job["regularization"]}
    model = AlternatingLeastSquares(
        **settings, iterations=job["sweeps"], num_threads=job["threads"], random_state=SEED
    )
    model.cg_steps = job["cg_steps"]
    model.fit(matrix, show_progress=False, callback=lambda _, elapsed, loss: seconds.append(elapsed))
    return seconds, model.user_factors, model.item_factors


def irspack_ials(job, matrix, solver):
    from irspack import IALSRecommender

    alpha0 = 1 / job["alpha"]
    settings = {"alpha0": alpha0, "reg": job["regularization"] * alpha0, "nu": 0.0, "loss_type": "ORIGINAL"}
    model = IALSRecommender(
        matrix,
        n_components=job["n_factors"],
        **settings,
        solver_type=solver,
        max_cg_steps=job["cg_steps"],
        n_threads=job["threads"],
        random_seed=SEED,
    )
    model.trainer = model._create_trainer()
    return model


def train_irspack(solver):
    def train(job, matrix):
        trainer = irspack_ials(job, matrix, solver).trainer
        seconds = [timed(trainer.run_epoch) for _ in range(job["sweeps"])]
        return seconds, trainer.core_trainer.user, trainer.core_trainer.item

    return train


def train_lenskit(job, matrix):
    import pandas as pd
    from lenskit.als import ImplicitMFScorer
    from lenskit.data import from_interactions_df
    from lenskit.training import TrainingOptions

    cells = matrix.tocoo()
    frame = pd.DataFrame({"user_id": cells.row, "item_id": cells.col, "rating": cells.data})
    data = from_interactions_df(frame)
    settings = {"embedding_size": job["n_factors"], "weight": job["alpha"], "regularization": job["regularization"]}
    scorer = ImplicitMFScorer(**settings, use_ratings=True)
    trainer = scorer.create_trainer(data, TrainingOptions(rng=SEED))
    seconds = [timed(trainer.train_epoch) for _ in range(job["sweeps"])]
    users = by_number(scorer.user_embeddings, data.users.ids(), matrix.shape[0])
    return seconds, users, by_number(scorer.item_embeddings, data.items.ids(), matrix.shape[1])


def by_number(factors, numbers, count):
    """Rows that the library knows, in the order of the matrix; rows without cells stay zero."""
    rows = np.zeros((count, factors.shape[1]), np.float32)
    rows[np.asarray(numbers)] = factors
    return rows


def timed(work):
    with Stopwatch() as watch:
        work()
    return watch.seconds


def train(job):
    matrix = load_csr(job["pairs"])
    with Stopwatch() as watch:
        seconds, users, items = TRAINERS[job["peer"]](job, matrix)
    if job.get("factors"):
        np.savez(job["factors"], users=users, items=items)
    return {"seconds": seconds, "cores": watch.cores}


TRAINERS = {
    "implicit": train_implicit,
    "irspack CG": train_irspack("CG"),
    "irspack iALS++": train_irspack("IALSPP"),
    "LensKit": train_lenskit,
}


# ---- score: users a second to their exact top k, from given factors


def score_implicit(job, matrix, factors):
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(factors=factors["items"].shape[1], num_threads=job["threads"])
    model.user_factors, model.item_factors = factors["users"], factors["items"]

    def recommend(batch):
        return model.recommend(batch, matrix[batch], N=job["k"], filter_already_liked_items=True)

    return in_batches(recommend, sample(job, matrix), 1000)


def score_irspack(job, matrix, factors):
    model = irspack_ials(job | {"n_factors": factors["items"].shape[1]}, matrix, "CG")
    model.trainer.core_trainer.user, model.trainer.core_trainer.item = factors["users"], factors["items"]
    return in_processes(job, lambda batch: top_k(model.get_score_remove_seen(batch), job["k"]), sample(job, matrix))


def score(job):
    matrix = load_csr(job["pairs"])
    with np.load(job["factors"]) as file:
        factors = {name: file[name] for name in ("users", "items")}
    return {"implicit": score_implicit, "irspack": score_irspack}[job["peer"]](job, matrix, factors)


def sample(job, matrix):
    """Users with history, drawn without regard to it; the first hundred more than asked for are for warming up."""
    known = np.flatnonzero(np.diff(matrix.indptr))
    drawn = np.random.default_rng(SEED).permutation(known)
    return drawn[: job["sample"] + WARM_UP]


WARM_UP = 100


def top_k(scores, k):
    best = np.argpartition(scores, -k, axis=1)[:, -k:]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
    return np.take_along_axis(best, order, axis=1)


def in_batches(recommend, users, size):
    recommend(users[:WARM_UP])
    users = users[WARM_UP:]
    with Stopwatch() as watch:
        for start in range(0, len(users), size):
            recommend(users[start : start + size])
    return {"users_per_s": len(users) / watch.seconds, "cores": watch.cores}


def in_processes(job, recommend, users, size=250):
    """As `in_batches`, dealt to a forked process a thread: for libraries whose call keeps one core busy."""
    recommend(users[:WARM_UP])
    users = users[WARM_UP:]
    parts = np.array_split(users, job["threads"])
    started = time.perf_counter()
    before = os.times()
    children = [fork(recommend, part, size) for part in parts]
    codes = [os.waitpid(child, 0)[1] for child in children]
    seconds = time.perf_counter() - started
    if any(codes):
        raise RuntimeError(f"a scoring process failed: {codes}")
    after = os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return {"users_per_s": len(users) / seconds, "cores": busy / seconds}


def fork(recommend, users, size):
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        for start in range(0, len(users), size):
            recommend(users[start : start + size])
        code = 0
    finally:
        os._exit(code)


# ---- items: seconds to build the similarity, then users a second


def items_implicit(class_name):
    def build(job, matrix):
        from implicit import nearest_neighbours

        model = getattr(nearest_neighbours, class_name)(K=job["neighbours"], num_threads=job["threads"])
        wide = matrix.astype(np.float64)
        seconds = timed(lambda: model.fit(wide, show_progress=False))
        return seconds, lambda batch: model.recommend(batch, wide[batch], N=job["k"], filter_already_liked_items=True)

    return build


def items_irspack(class_name, **settings):
    def build(job, matrix):
        import irspack

        recommender = getattr(irspack, class_name)
        model = recommender(matrix, top_k=job["neighbours"], n_threads=job["threads"], **settings)
        seconds = timed(model.learn)
        return seconds, lambda batch: top_k(model.get_score_remove_seen(batch), job["k"])

    return build


def items(job):
    matrix = load_csr(job["pairs"])
    with Stopwatch() as watch:
        seconds, recommend = ITEM_MODELS[job["peer"]][job["model"]](job, matrix)
    return {"seconds": seconds, "build_cores": watch.cores} | in_processes(job, recommend, sample(job, matrix))


ITEM_MODELS = {
    "implicit": {"cosine": items_implicit("CosineRecommender"), "bm25": items_implicit("BM25Recommender")},
    "irspack": {
        "cosine": items_irspack("CosineKNNRecommender", normalize=True),
        "rp3beta": items_irspack("RP3betaRecommender", alpha=0.6, beta=0.1),
    },
}


def main():
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    job = json.loads(sys.argv[1])
    figures = {"train": train, "score": score, "items": items}[job["task"]](job)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
