# Gradients that PEtab.jl computes at given points, for gradsweep to check.
#
#     gradsweep startpoints PROBLEM --points 100 --out points.csv
#     julia examples/petab_jl_gradients.jl PROBLEM.yaml points.csv gradients.csv
#     gradsweep sweep PROBLEM --at points.csv --gradient gradients.csv
#
# Needed: PEtab.jl 3 or later, CSV and DataFrames. The derivative is that of the negative log posterior,
# by each parameter on its scale (problems of PEtab version 1). A point where the solver fails has NaN.
#
# Written from PEtab.jl's documentation and source; the authors of gradsweep have not run it.

using CSV, DataFrames, PEtab

length(ARGS) == 3 || error("expected three files: PROBLEM.yaml points.csv gradients.csv")
yaml_file, points_file, gradients_file = ARGS

problem = PEtabODEProblem(PEtabModel(yaml_file))
# Ids of points are texts, 007 included.
points = CSV.read(points_file, DataFrame; types = Dict(:point => String))
gradients = DataFrame([name => Float64[] for name in problem.xnames])
for row in eachrow(points)
    x = Float64[row[name] for name in problem.xnames]
    push!(gradients, isfinite(problem.nllh(x)) ? collect(problem.grad(x)) : fill(NaN, length(x)))
end
insertcols!(gradients, 1, :point => points.point)
CSV.write(gradients_file, gradients)
