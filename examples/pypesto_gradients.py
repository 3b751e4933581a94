"""Gradients that pyPESTO (with AMICI) computes at given points, for gradsweep to check.

    gradsweep startpoints PROBLEM --points 100 --out points.csv
    python examples/pypesto_gradients.py PROBLEM.yaml points.csv gradients.csv
    gradsweep sweep PROBLEM --at points.csv --gradient gradients.csv

Needed: pip install pypesto[amici,petab]. AMICI compiles the model: a C++ compiler, a BLAS and the SWIG
that pip brings must be found first in PATH. The derivative is that of pyPESTO's objective, the
negative log posterior, by each parameter on its scale. A point where AMICI fails has NaN.
"""

import argparse

import numpy as np
import pandas as pd
from pypesto.petab import PetabImporter


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("problem", help="PEtab YAML file")
    parser.add_argument("points", help="CSV: column point, then estimated parameters on their scale")
    parser.add_argument("gradients", help="CSV file to write")
    parser.add_argument("--rtol", type=float, default=1e-8, help="of the solver")
    parser.add_argument("--atol", type=float, default=1e-16, help="of the solver")
    parser.add_argument("--max-steps", type=int, default=100_000, help="of the solver")
    arguments = parser.parse_args()

    importer = PetabImporter.from_yaml(arguments.problem)
    creator = importer.create_objective_creator()
    model = creator.create_model(verbose=False)
    solver = creator.create_solver(model)
    solver.set_relative_tolerance(arguments.rtol)
    solver.set_absolute_tolerance(arguments.atol)
    solver.set_max_steps(arguments.max_steps)
    likelihood = creator.create_objective(model=model, solver=solver)
    # Adds the priors.
    problem = importer.create_problem(objective=likelihood)

    # Ids of points are texts, 007 included.
    points = pd.read_csv(arguments.points, dtype={"point": str})
    names = [problem.x_names[i] for i in problem.x_free_indices]
    gradients = pd.DataFrame(np.nan, index=points["point"], columns=names)
    for point, x in zip(points["point"], points[names].to_numpy(), strict=True):
        value, gradient = problem.objective(x, sensi_orders=(0, 1))
        if np.isfinite(value):
            gradients.loc[point] = gradient
    gradients.to_csv(arguments.gradients)


if __name__ == "__main__":
    main()
