"""
What the processors do
======================

The covariance matrix is cut into tiles, and everything that is done with a tile is a task. A task
starts as soon as the tiles that it needs are ready. ``gprat.trace`` records them.
"""

# %%
# The likelihood and its gradient for 2000 points, in tiles of side 250: eight tiles a side. The
# first call starts the threads and takes the memory, and is not recorded.

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

# %%
# Where the time went, how fast each kind of task was, and what held the work up.

print(trace.summary())

# %%
# Who did what, and when. Each bar is a task. There is no barrier between assembly, factorisation,
# inverse and gradient: a phase begins on one thread while another still works on the one before.
# ``trace.save("trace.json")`` writes the same for https://ui.perfetto.dev, to zoom into.

trace.plot()
plt.show()

# %%
# When each tile of the factor was finished: column by column, and down each column.

tasks = trace.tasks
side = tasks["row"].max() + 1
finished = np.full((side, side), np.nan)
for task in tasks[np.isin(tasks["name"], ["potrf", "trsm"])]:
    finished[task["row"], task["column"]] = 1e3 * (task["end"] - tasks["start"].min())
figure, axes = plt.subplots(figsize=(4.6, 3.8), layout="constrained")
picture = axes.imshow(finished, cmap="viridis")
axes.set(xlabel="column of tiles", ylabel="row of tiles", title="finished at (ms)")
figure.colorbar(picture, ax=axes)
plt.show()
