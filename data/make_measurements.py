#!/usr/bin/env python3
"""Make the synthetic measurements of conversion, robertson and repressilator.

Running this (numpy and scipy) rewrites exactly the committed measurements.tsv files. The measurements of
stat5 are published data and are not touched. Truth = the nominal values, written out again below. One
generator numpy.random.default_rng(seed) per folder, one draw per row in the order of the rows.
"""
from pathlib import Path

import numpy as np
from scipy.integrate import solve_ivp

HERE = Path(__file__).resolve().parent
SEEDS = {"conversion": 101, "robertson": 102, "repressilator": 103}


def write(folder, rows):
    """rows: (observable, condition, time, measurement, observableParameters, noiseParameters)"""
    head = ["observableId", "simulationConditionId", "time", "measurement", "observableParameters", "noiseParameters"]
    lines = ["\t".join(head)]
    for obs, cond, t, m, op, np_ in rows:
        lines.append("\t".join([obs, cond, f"{t:.6g}", f"{m:.6g}", op, np_]))
    (HERE / folder / "measurements.tsv").write_text("\n".join(lines) + "\n", newline="\n")
    print(f"{folder}: {len(rows)} measurements")


def conversion():
    rng = np.random.default_rng(SEEDS["conversion"])
    k1, k2, scale_B, sd_A, sd_B, b_frac = 0.8, 0.6, 2.5, 0.05, 0.2, 0.02
    rows = []
    for cond, A0 in (("low", 1.0), ("high", 5.0)):
        for t in (0.0, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0):
            B = A0 * k1 / (k1 + k2) * -np.expm1(-(k1 + k2) * t)
            A = A0 - B
            rows.append(("obs_A", cond, t, A + sd_A * rng.standard_normal(), "", "sd_A"))
            rows.append(("obs_B", cond, t, scale_B * B + sd_B * rng.standard_normal(), "scale_B", "sd_B"))
            rows.append(("obs_frac", cond, t, B / (A + B) + rng.laplace(0.0, b_frac), "", "b_frac"))
    write("conversion", rows)


def robertson():
    rng = np.random.default_rng(SEEDS["robertson"])
    k1, k2, k3, sd_frac, sd_log_y2 = 0.04, 3e7, 1e4, 0.02, 0.1
    times = [float(f"{t:.6g}") for t in np.logspace(-3, 5, 25)]

    def rhs(_, y):
        slow, very_fast, fast = k1 * y[0], k2 * y[1] ** 2, k3 * y[1] * y[2]
        return [fast - slow, slow - very_fast - fast, very_fast]

    def jac(_, y):
        return [[-k1, k3 * y[2], k3 * y[1]],
                [k1, -2 * k2 * y[1] - k3 * y[2], -k3 * y[1]],
                [0.0, 2 * k2 * y[1], 0.0]]

    sol = solve_ivp(rhs, (0, times[-1]), [1.0, 0.0, 0.0], "Radau", times, jac=jac, rtol=1e-11, atol=1e-16)
    assert sol.success
    rows = []
    for t, y1, y2, y3 in zip(times, *sol.y):
        rows.append(("obs_y1", "batch", t, y1 + sd_frac * rng.standard_normal(), "", "sd_frac"))
        rows.append(("obs_y2", "batch", t, 1e4 * y2 * np.exp(sd_log_y2 * rng.standard_normal()), "", "sd_log_y2"))
        rows.append(("obs_y3", "batch", t, y3 + sd_frac * rng.standard_normal(), "", "sd_frac"))
    write("robertson", rows)


def repressilator():
    rng = np.random.default_rng(SEEDS["repressilator"])
    alpha, alpha0, beta, n, m0_lacI, scale, sd = 216.0, 0.216, 0.2, 2.0, 20.0, 1.5, 0.05
    times = np.arange(4.0, 201.0, 4.0)

    def rhs(_, x):  # order: m_lacI, m_tetR, m_cI, p_lacI, p_tetR, p_cI
        m, p = x[:3], x[3:]
        repressor = p[[2, 0, 1]]  # CI, LacI, TetR
        return np.concatenate([-m + alpha / (1 + repressor**n) + alpha0, -beta * (p - m)])

    x0 = [m0_lacI, 0.0, 0.0, 1.0, 1.0, 1.0]
    sol = solve_ivp(rhs, (0, times[-1]), x0, "Radau", times, rtol=1e-11, atol=1e-13)
    assert sol.success
    rows = []
    for j, t in enumerate(times):
        for i, gene in enumerate(("lacI", "tetR", "cI")):
            y = scale * sol.y[3 + i, j]
            rows.append((f"obs_{gene}", "free_run", t, 10 ** (np.log10(y) + sd * rng.standard_normal()), "", "sd_log10"))
    write("repressilator", rows)


if __name__ == "__main__":
    conversion()
    robertson()
    repressilator()
