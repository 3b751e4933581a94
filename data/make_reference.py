#!/usr/bin/env python3
"""Make reference.json in each data folder: objective and gradient, computed apart from gradsweep.

    python3 make_reference.py [folder ...]        (numpy, scipy, sympy, mpmath; a few minutes)

The equations, observables and noise assignments are written out below a second time, by hand; nothing is read
from model.xml, observables.tsv or conditions.tsv. Only measurements.tsv (numbers) and parameters.tsv (bounds and
nominal values) are read. The objective is the negative log likelihood of PEtab v1 with all constants, the
gradient is with respect to the parameters on their scale (log10 everywhere: theta = log10 p).

ODE folders: sympy writes the forward sensitivity equations of x' = f(x, p, t) for theta,
    S' = (df/dx) S + (df/dp) diag(p ln 10),   S(0) = (dx0/dp) diag(p ln 10),
and scipy's Radau integrates x and S together with the analytical Jacobian of the whole system, at two
tolerances. The values are those of the finer one, the errors the differences between the two. As a check that
the sensitivity equations are right, the gradient is also made by complex steps (theta + 1e-30 i) through the
plain ODE with another solver (scipy's BDF). conversion: closed form in mpmath with 50 digits; written to 17 digits.
"""
import csv
import json
import math
import sys
from pathlib import Path

import mpmath
import numpy as np
import sympy as sp
from scipy.integrate import solve_ivp

HERE = Path(__file__).resolve().parent
LN10 = math.log(10.0)
time = sp.Symbol("time", real=True)


def symbols(text):
    return sp.symbols(text, positive=True)


def nllh_row(y, sigma, m, kind):
    """Negative log likelihood of one measurement m (PEtab v1)."""
    scale, dist = kind.split("-")
    if scale == "lin":
        r, jac = y - m, sp.Integer(1)
    elif scale == "log":
        r, jac = sp.log(y) - sp.log(m), m
    else:
        r, jac = (sp.log(y) - sp.log(m)) / sp.log(10), m * sp.log(10)
    if dist == "normal":
        return sp.log(2 * sp.pi * sigma**2 * jac**2) / 2 + (r / sigma) ** 2 / 2
    return sp.log(2 * sigma * jac) + sp.Abs(r) / sigma


# ---------------------------------------------------------------------------------------------- the problems

def stat5():
    d, xhe, xho, mhe, mho, ph, sA, sB, sr = P = symbols(
        "Epo_degradation_BaF3 k_exp_hetero k_exp_homo k_imp_hetero k_imp_homo k_phos"
        " sd_pSTAT5A_rel sd_pSTAT5B_rel sd_rSTAT5A_rel")
    A, B, pAA, pAB, pBB, nAA, nAB, nBB = X = symbols("A B pAA pAB pBB nAA nAB nBB")
    w = ph * sp.Rational(125, 10**9) * sp.exp(-d * time)  # k_phos times Epo
    cyt, nuc, ratio, s = sp.Rational(14, 10), sp.Rational(45, 100), sp.Rational(693, 1000), sp.Rational(107, 1000)
    v = nuc / cyt
    F = [-2 * w * A**2 - w * A * B + v * (2 * xho * nAA + xhe * nAB),
         -2 * w * B**2 - w * A * B + v * (2 * xho * nBB + xhe * nAB),
         w * A**2 - mho * pAA, w * A * B - mhe * pAB, w * B**2 - mho * pBB,
         mho * pAA / v - xho * nAA, mhe * pAB / v - xhe * nAB, mho * pBB / v - xho * nBB]
    total = sp.Rational(2076, 10)
    X0 = [ratio * total, (1 - ratio) * total, 0, 0, 0, 0, 0, 0]
    inA, inB = s * (A + 2 * pAA), (1 - s) * (B + 2 * pBB)
    obs = {"pSTAT5A_rel": (100 * (pAB + 2 * s * pAA) / (pAB + inA), sA, "lin-normal"),
           "pSTAT5B_rel": (100 * (pAB + 2 * (1 - s) * pBB) / (pAB + inB), sB, "lin-normal"),
           "rSTAT5A_rel": (100 * (pAB + inA) / (2 * pAB + inA + inB), sr, "lin-normal")}
    return dict(P=P, X=X, F=F, X0=X0, obs=obs, seed=201, fine=(1e-12, 1e-16), coarse=(1e-11, 1e-15))


def robertson():
    k1, k2, k3, sd, sdl = P = symbols("k1 k2 k3 sd_frac sd_log_y2")
    y1, y2, y3 = X = symbols("y1 y2 y3")
    F = [-k1 * y1 + k3 * y2 * y3, k1 * y1 - k3 * y2 * y3 - k2 * y2**2, k2 * y2**2]
    obs = {"obs_y1": (y1, sd, "lin-normal"), "obs_y2": (10000 * y2, sdl, "log-normal"),
           "obs_y3": (y3, sd, "lin-normal")}
    return dict(P=P, X=X, F=F, X0=[1, 0, 0], obs=obs, seed=202, fine=(1e-12, 1e-20), coarse=(1e-11, 1e-19))


def repressilator():
    al, al0, be, n, m0, scale, sd = P = symbols("alpha alpha0 beta n_hill m0_lacI scale sd_log10")
    ml, mt, mc, pl, pt, pc = X = symbols("m_lacI m_tetR m_cI p_lacI p_tetR p_cI")
    F = [al / (1 + pc**n) + al0 - ml, al / (1 + pl**n) + al0 - mt, al / (1 + pt**n) + al0 - mc,
         be * (ml - pl), be * (mt - pt), be * (mc - pc)]
    obs = {f"obs_{g}": (scale * p, sd, "log10-normal") for g, p in (("lacI", pl), ("tetR", pt), ("cI", pc))}
    return dict(P=P, X=X, F=F, X0=[m0, 0, 0, 1, 1, 1], obs=obs, seed=203, fine=(1e-11, 1e-11), coarse=(1e-10, 1e-10),
                check_rtol=1e-8)


def conversion():
    k1, k2, scale_B, sd_A, sd_B, b = P = symbols("k1 k2 scale_B sd_A sd_B b_frac")
    out = {}
    for cond, A0 in (("low", 1), ("high", 5)):
        B = A0 * k1 / (k1 + k2) * (1 - sp.exp(-(k1 + k2) * time))
        A = A0 - B
        out["obs_A", cond] = (A, sd_A, "lin-normal")
        out["obs_B", cond] = (scale_B * B, sd_B, "lin-normal")
        out["obs_frac", cond] = (B / A0, b, "lin-laplace")
    return dict(P=P, obs=out, seed=204)


# ------------------------------------------------------------------------------------------------ computation

def read(folder, name):
    with open(HERE / folder / name, newline="") as f:
        return list(csv.DictReader(f, delimiter="\t"))


class Ode:
    """Objective and gradient of an ODE problem by forward sensitivities with scipy's Radau."""

    def __init__(self, folder, P, X, F, X0, obs, seed, fine, coarse, check_rtol=1e-11):
        self.P, self.X, self.check_rtol = P, X, check_rtol
        self.nx, self.np = len(X), len(P)
        F = sp.Matrix(F)
        X0 = sp.Matrix(X0)
        dyn = sorted((F.free_symbols | X0.free_symbols) & set(P), key=P.index)
        self.dyn = [P.index(q) for q in dyn]  # parameters of the ODE; the others only of observables and noise
        S = sp.Matrix(self.nx, len(dyn), lambda i, j: sp.Symbol(f"S_{i}_{j}", real=True))
        D = sp.diag(*[q * sp.log(10) for q in dyn])
        z = sp.Matrix(list(X) + list(S.T))  # x, then one block of nx per parameter
        G = sp.Matrix(list(F) + list((F.jacobian(X) * S + F.jacobian(dyn) * D).T))
        args = [time, list(z), list(P)]
        lam = lambda a, e: sp.lambdify(a, e, "numpy", cse=True)
        self.rhs, self.jac = lam(args, list(G)), lam(args, G.jacobian(z))
        self.z0 = lam([list(P)], list(X0) + list((X0.jacobian(dyn) * D).T))
        self.f, self.fx, self.x0 = lam([time, list(X), list(P)], list(F)), \
            lam([time, list(X), list(P)], F.jacobian(X)), lam([list(P)], list(X0))
        m = sp.Symbol("m", real=True)
        self.row = {}
        for o, (y, sigma, kind) in obs.items():
            L = nllh_row(y, sigma, m, kind)
            self.row[o] = (lam([list(X), list(P), m], L),
                           lam([list(X), list(P), m], [sp.diff(L, q) for q in list(X) + list(P)]))
        self.data = [(o["observableId"], float(o["time"]), float(o["measurement"])) for o in read(folder, "measurements.tsv")]
        self.times = sorted({t for _, t, _ in self.data})

    def solve(self, f, jac, z0, tol):
        rtol, atol = tol
        T = [t for t in self.times if t > 0]
        # stop at every output time: no interpolation error in the outputs
        out, z, t0 = {0.0: z0}, z0, 0.0
        h = None
        for t in T:
            sol = solve_ivp(f, (t0, t), z, "Radau", jac=jac, rtol=rtol, atol=atol,
                            first_step=None if h is None else min(h, t - t0))
            if not sol.success:
                raise ArithmeticError(sol.message)
            h = max(np.diff(sol.t))
            z, t0 = sol.y[:, -1], t
            out[t] = z
        return out

    def forward(self, theta, tol):
        p = 10.0 ** np.asarray(theta)
        out = self.solve(lambda t, z: np.array(self.rhs(t, z, p)), lambda t, z: np.array(self.jac(t, z, p), float),
                         np.array(self.z0(p), float), tol)
        fs, gs = [], [[] for _ in p]
        for o, t, m in self.data:
            z = out[t]
            x, S = z[:self.nx], z[self.nx:].reshape(-1, self.nx)
            val, der = self.row[o]
            d = np.array(der(x, p, m), float)
            fs.append(float(val(x, p, m)))
            for j in range(self.np):
                gs[j].append(d[self.nx + j] * p[j] * LN10)
            for k, j in enumerate(self.dyn):
                gs[j].append(d[:self.nx] @ S[k])
        return math.fsum(fs), np.array([math.fsum(g) for g in gs])

    def complex_step(self, theta, tol):
        rtol, atol = tol
        h, g = 1e-30, []  # a check of the equations: BDF's error test hardly sees the imaginary part
        for j in range(self.np):
            p = (10.0 ** np.asarray(theta)).astype(complex)
            p[j] *= 1 + 1j * h * LN10
            x0 = np.array(self.x0(p), complex)
            sol = solve_ivp(lambda t, z: np.array(self.f(t, z, p)), (0.0, self.times[-1]), x0, "BDF", self.times,
                            jac=lambda t, z: np.array(self.fx(t, z, p), complex), rtol=rtol, atol=atol)
            if not sol.success:
                raise ArithmeticError(sol.message)
            out = dict(zip(self.times, sol.y.T))
            g.append(math.fsum((self.row[o][0](out[t], p, m)).imag for o, t, m in self.data) / h)
        return np.array(g)


def close(a, b, g):
    """Largest |a - b| over the gradient g, component by component, but not below 1e-6 of the largest."""
    g = np.abs(g)
    return float(np.max(np.abs(a - b) / np.maximum(g, 1e-6 * g.max())))


def ode_points(folder, problem):
    ode = Ode(folder, **problem)

    def one(theta):
        r = {"x": list(map(float, theta))}
        try:
            with np.errstate(over="raise", invalid="raise", divide="raise"):
                f1, g1 = ode.forward(theta, problem["fine"])
                f0, g0 = ode.forward(theta, problem["coarse"])
            gc = ode.complex_step(theta, (ode.check_rtol, problem["fine"][1]))
        except ArithmeticError as e:
            return r | {"objective": None, "gradient": None, "reliable": False, "why": str(e)}
        r |= {"objective": f1, "gradient": g1.tolist(), "objective_error": abs(f1 - f0),
              "gradient_error": np.abs(g1 - g0).tolist(), "gradient_error_relative": close(g1, g0, g1),
              "complex_step_difference_relative": close(g1, gc, g1)}
        r["reliable"] = bool(np.isfinite(g1).all() and r["objective_error"] <= 1e-7 * max(1.0, abs(f1))
                             and r["gradient_error_relative"] <= 1e-6 and r["complex_step_difference_relative"] <= 1e-3)
        return r

    rt, at = problem["fine"]
    crt, cat = problem["coarse"]
    return one, {"method": f"forward sensitivities, scipy Radau, rtol {rt:g}, atol {at:g}",
                 "accuracy": f"*_error: absolute difference from the same at rtol {crt:g}, atol {cat:g}; *_relative: largest over "
                             "the gradient, divided by max(|g_i|, 1e-6 max|g|); complex_step: the gradient made by "
                             f"complex steps through the plain ODE, scipy BDF, rtol {ode.check_rtol:g}, atol {at:g}"}


def conversion_points(folder, problem):
    mpmath.mp.dps = 50
    P = problem["P"]
    m = sp.Symbol("m", real=True)
    fun = {}
    for key, (y, sigma, kind) in problem["obs"].items():
        L = nllh_row(y, sigma, m, kind)
        fun[key] = sp.lambdify([list(P), time, m], [L] + [sp.diff(L, q) for q in P], "mpmath", cse=True)
    data = [((r["observableId"], r["simulationConditionId"]), mpmath.mpf(r["time"]), mpmath.mpf(r["measurement"]))
            for r in read(folder, "measurements.tsv")]

    def one(theta):
        p = [mpmath.power(10, mpmath.mpf(float(x))) for x in theta]
        rows = [fun[k](p, t, y) for k, t, y in data]
        s = [mpmath.fsum(c) for c in zip(*rows)]
        g = [d * q * mpmath.log(10) for d, q in zip(s[1:], p)]
        # float() rounds correctly, so the error is half a unit in the last place
        return {"x": list(map(float, theta)), "objective": float(s[0]), "gradient": [float(v) for v in g],
                "objective_30_digits": mpmath.nstr(s[0], 30), "gradient_30_digits": [mpmath.nstr(v, 30) for v in g],
                "reliable": True}

    return one, {"method": "closed form, mpmath, 50 digits", "accuracy": "exact to the digits written"}


def make(folder):
    problem = {"stat5": stat5, "robertson": robertson, "repressilator": repressilator, "conversion": conversion}[folder]()
    table = {r["parameterId"]: r for r in read(folder, "parameters.tsv") if r["estimate"] == "1"}
    ids = [str(q) for q in problem["P"]]
    assert list(table) == ids and all(r["parameterScale"] == "log10" for r in table.values())
    lb, ub, nominal = ([math.log10(float(r[c])) for r in table.values()] for c in ("lowerBound", "upperBound", "nominalValue"))
    one, about = (conversion_points if folder == "conversion" else ode_points)(folder, problem)
    rng = np.random.default_rng(problem["seed"])
    X = np.array(lb) + (np.array(ub) - np.array(lb)) * rng.random((5, len(ids)))
    out = {"problem": folder, "made_by": "make_reference.py",
           "objective_is": "negative log likelihood (PEtab v1), all constants included; to be minimised",
           "gradient_is": "derivative with respect to x, the parameters on their scale", **about,
           "parameter_ids": ids, "parameter_scales": ["log10"] * len(ids),
           "lower_bounds_scaled": lb, "upper_bounds_scaled": ub,
           "points_are": f"uniform in the scaled bounds, numpy.random.default_rng({problem['seed']}).random((5, {len(ids)})), one row a point",
           "nominal": one(nominal), "points": []}
    for x in X:
        out["points"].append(one(x))
    (HERE / folder / "reference.json").write_text(json.dumps(out, indent=1) + "\n", newline="\n")
    for name, r in [("nominal", out["nominal"])] + [(f"point {i}", r) for i, r in enumerate(out["points"])]:
        print(f"{folder} {name}: {r['objective']!r} error {r.get('objective_error', 0):.1e}, gradient relative"
              f" {r.get('gradient_error_relative', 0):.1e}, complex step {r.get('complex_step_difference_relative', 0):.1e},"
              f" reliable {r['reliable']}", flush=True)


if __name__ == "__main__":
    for folder in sys.argv[1:] or ["stat5", "conversion", "robertson", "repressilator"]:
        make(folder)
