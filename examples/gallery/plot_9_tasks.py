"""
What the processors do
======================

The covariance matrix is cut into tiles, and everything that is done with a tile is a task. A task
starts as soon as the tiles that it needs are ready. ``gprat.trace`` records them.
"""

# %%
# The likelihood and its gradient for 2000 points, in tiles of side 250: eight tiles a side. The
# first call starts the threads and is not recorded.

import matplotlib.pyplot as plt
import numpy as np

import gprat
from gprat.kernels import RBF, ConstantKernel

rng = np.random.default_rng(0)
X = rng.uniform(-3, 3, size=(2000, 4))
y = np.sin(X).sum(axis=1)
gp = gprat.GP(X, y, ConstantKernel(1.0) * RBF(np.ones(4)), tile_size=250)
gp.log_marginal_likelihood(eval_gradient=True)
with gprat.trace() as trace:
    gp.log_marginal_likelihood(eval_gradient=True)
tasks = trace.tasks

names, counts = np.unique(tasks["name"], return_counts=True)
for name, count in zip(names, counts, strict=True):
    seconds = (tasks["end"] - tasks["start"])[tasks["name"] == name].sum()
    print(f"{count:4d} × {name:<24} {1e3 * seconds:7.1f} ms")

# %%
# Who did what, and when. Each bar is a task. There is no barrier between assembly, factorisation,
# inverse and gradient: a phase begins on one thread while another still works on the one before.

PHASES = {
    "assembly": ["assemble"],
    "factorisation": ["potrf", "trsm", "syrk", "gemm"],
    "solves": ["solve", "solve_update", "solve_transposed"],
    "inverse": ["trtri", "lauum", *(n for n in names if n.startswith(("inverse", "gram")))],
    "gradient": ["contract"],
}
threads = np.unique(tasks["thread"])
origin = tasks["start"].min()

figure, axes = plt.subplots(figsize=(10, 1.4 + 0.5 * threads.size), layout="constrained")
for row, thread in enumerate(threads):
    for number, (phase, members) in enumerate(PHASES.items()):
        mine = tasks[(tasks["thread"] == thread) & np.isin(tasks["name"], members)]
        starts, lengths = mine["start"] - origin, mine["end"] - mine["start"]
        axes.broken_barh(
            list(zip(1e3 * starts, 1e3 * lengths, strict=True)),
            (row - 0.4, 0.8),
            color=f"C{number}",
            ec="white",
            lw=0.3,
            label=phase if row == 0 else None,
        )
axes.set(xlabel="ms", yticks=range(threads.size), yticklabels=threads, ylabel="thread")
axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, frameon=False)
plt.show()

# %%
# When each tile of the factor was finished: column by column, and down each column.

side = tasks["row"].max() + 1
finished = np.full((side, side), np.nan)
for task in tasks[np.isin(tasks["name"], ["potrf", "trsm"])]:
    finished[task["row"], task["column"]] = 1e3 * (task["end"] - origin)
figure, axes = plt.subplots(figsize=(4.6, 3.8), layout="constrained")
picture = axes.imshow(finished, cmap="viridis")
axes.set(xlabel="column of tiles", ylabel="row of tiles", title="finished at (ms)")
figure.colorbar(picture, ax=axes)
plt.show()
