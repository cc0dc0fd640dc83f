"""The objective of confidence ALS, by the same numpy code for everybody's factors.

Formula: sum over all pairs of c (p - s)^2 plus regularization (|U|^2 + |V|^2), s = u . v, c = 1 + alpha w and p = 1 on
cells, c = 1 and p = 0 elsewhere. The pairs without cells come in through the Gramians: the sum of all s^2 is
trace(U'U V'V).

    objective.py PAIRS_DIR FACTORS.npz ALPHA REGULARIZATION      prints {"own": number or null, "solved": number}

FACTORS.npz holds `items` and, where the model has them, `users`. `own` is with these users, `solved` with every
user solved exactly against the items.
"""

import json
import sys

import numpy as np

from inputs import load_csr

BLOCK = 1 << 16  # cells, or numbers of a batch of small matrices


def objective(matrix, users, items, alpha, regularization):
    cells = matrix.tocoo()
    total = float(np.sum((users.T @ users) * (items.T @ items)))
    for start in range(0, cells.nnz, BLOCK):
        block = slice(start, start + BLOCK)
        score = np.einsum("cf,cf->c", users[cells.row[block]], items[cells.col[block]])
        confidence = 1 + alpha * cells.data[block].astype(np.float64)
        total += float(np.sum(confidence * (1 - score) ** 2 - score**2))
    return total + regularization * float(np.sum(users**2) + np.sum(items**2))


def solve_users(matrix, items, alpha, regularization):
    """Each user's exact minimiser of the objective with the items as they are; users with equally many cells at once."""
    n_factors = items.shape[1]
    base = items.T @ items + regularization * np.eye(n_factors)
    inverse = np.linalg.inv(base)
    users = np.zeros((matrix.shape[0], n_factors))
    lengths = np.diff(matrix.indptr)
    for length in np.unique(lengths[lengths > 0]):
        rows = np.flatnonzero(lengths == length)
        step = max(1, 32 * BLOCK // int(length * n_factors))
        for start in range(0, len(rows), step):
            batch = rows[start : start + step]
            cells = matrix.indptr[batch][:, None] + np.arange(length)
            weights = alpha * matrix.data[cells].astype(np.float64)
            users[batch] = solve_batch(items[matrix.indices[cells]], weights, base, inverse)
    return users


def solve_batch(factors, weights, base, inverse):
    """(base + Y'WY) x = Y'(1 + w), for a batch of Y; the short ones in their own dimension (Woodbury)."""
    right = np.einsum("blf,bl->bf", factors, 1 + weights)
    length, n_factors = factors.shape[1:]
    if length >= n_factors:
        left = base + np.einsum("blf,bl,blg->bfg", factors, weights, factors, optimize=True)
        return np.linalg.solve(left, right[:, :, None])[:, :, 0]
    roots = factors * np.sqrt(weights)[:, :, None]
    projected = roots @ inverse
    small = np.eye(length) + projected @ roots.transpose(0, 2, 1)
    first = right @ inverse
    inner = np.linalg.solve(small, np.einsum("blf,bf->bl", roots, first)[:, :, None])[:, :, 0]
    return first - np.einsum("blf,bl->bf", projected, inner)


def main(directory, path, alpha, regularization):
    matrix = load_csr(directory)
    with np.load(path) as file:
        items = file["items"].astype(np.float64)
        own = file["users"].astype(np.float64) if "users" in file else None
    settings = float(alpha), float(regularization)
    values = {"own": None if own is None else objective(matrix, own, items, *settings)}
    values["solved"] = objective(matrix, solve_users(matrix, items, *settings), items, *settings)
    print(json.dumps(values))


if __name__ == "__main__":
    main(*sys.argv[1:])
