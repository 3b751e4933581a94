"""Gradients that AMICI computes at given points, for gradsweep to check.

    gradsweep startpoints PROBLEM --points 100 --out points.csv
    python examples/amici_gradients.py PROBLEM.yaml points.csv gradients.csv
    gradsweep sweep PROBLEM --at points.csv --gradient gradients.csv --no-priors

Needed: pip install amici petab (AMICI 1.0 or later; problems of PEtab version 1), and what
pypesto_gradients.py says of compiling. AMICI's importer leaves priors out: the derivative is that of
the negative log-likelihood, by each parameter on its scale. A point where AMICI fails has NaN.
"""

import argparse

import amici.sim.sundials as asd
import numpy as np
import pandas as pd
import petab.v1 as petab
from amici.importers.petab.v1 import import_petab_problem
from amici.sim.sundials.petab.v1 import LLH, SLLH, simulate_petab


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("problem", help="PEtab YAML file")
    parser.add_argument("points", help="CSV: column point, then estimated parameters on their scale")
    parser.add_argument("gradients", help="CSV file to write")
    parser.add_argument("--adjoint", action="store_true", help="adjoint sensitivities")
    parser.add_argument("--rtol", type=float, default=1e-8, help="of the solver")
    parser.add_argument("--atol", type=float, default=1e-16, help="of the solver")
    parser.add_argument("--max-steps", type=int, default=100_000, help="of the solver")
    arguments = parser.parse_args()

    problem = petab.Problem.from_yaml(arguments.problem)
    model = import_petab_problem(problem, verbose=False)
    solver = model.create_solver()
    method = asd.SensitivityMethod.adjoint if arguments.adjoint else asd.SensitivityMethod.forward
    solver.set_sensitivity_method(method)
    solver.set_sensitivity_order(asd.SensitivityOrder.first)
    solver.set_relative_tolerance(arguments.rtol)
    solver.set_absolute_tolerance(arguments.atol)
    solver.set_max_steps(arguments.max_steps)

    # Ids of points are texts, 007 included.
    points = pd.read_csv(arguments.points, dtype={"point": str})
    names = problem.x_free_ids
    gradients = pd.DataFrame(np.nan, index=points["point"], columns=names)
    for point, x in zip(points["point"], points[names].to_numpy(), strict=True):
        result = simulate_petab(
            problem,
            amici_model=model,
            solver=solver,
            problem_parameters=dict(zip(names, x, strict=True)),
            scaled_parameters=True,
            scaled_gradients=True,
        )
        if np.isfinite(result[LLH]) and result[SLLH] is not None:
            gradients.loc[point] = [0.0 - result[SLLH].get(name, 0.0) for name in names]
    gradients.to_csv(arguments.gradients)


if __name__ == "__main__":
    main()
