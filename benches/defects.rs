//! Fault injection: every kind of defect in right gradients of every problem, the examples' and the
//! public benchmark collection's (`PETAB_BENCHMARKS_DIR`), random points, default settings.
//!
//! `cargo bench --bench defects -- [--points N] [--check-rtol R[,R]] [--list] [NAME…]`; problems whose
//! points cost seconds are left out unless named. `--list` names what is not as it should be.

#[path = "../tests/injection/mod.rs"]
mod injection;

use gradsweep::model;
use injection::{HEADER, Material, Runs, kinds, with_priors};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A point of these, with its probes and gradients, costs seconds.
const COSTLY: [&str; 9] = [
    "Alkan_SciSignal2018",
    "Bachmann_MSB2011",
    "Beer_MolBioSystems2014",
    "Chen_MSB2009",
    "Lang_PLOSComputBiol2024",
    "Lucarelli_CellSystems2018",
    "Raimundez_PCB2020",
    "SalazarCavazos_MBoC2020",
    "Smith_BMCSystBiol2013",
];

fn main() {
    let (mut points, mut tolerances) = (400, vec![1e-3, 2e-4]);
    let (mut names, mut is_listed) = (Vec::new(), false);
    let mut rest = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().unwrap_or_else(|| panic!("{argument}: a value is expected"));
        match argument.as_str() {
            "--points" => points = value().parse().expect("--points: a number"),
            "--check-rtol" => {
                let number = |t: &str| t.parse().expect("--check-rtol: numbers");
                tolerances = value().split(',').map(number).collect();
            }
            "--list" => is_listed = true,
            name => names.push(name.to_owned()),
        }
    }
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    // Few problems have priors.
    let example_with_priors = with_priors(&examples.join("conversion"));
    let mut folders =
        vec![("conversion with priors".to_owned(), example_with_priors.path().to_owned())];
    for parent in
        std::iter::once(examples).chain(std::env::var_os("PETAB_BENCHMARKS_DIR").map(PathBuf::from))
    {
        let entries = std::fs::read_dir(parent).expect("the folder can be read");
        let mut own: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
        own.retain(|p| p.is_dir());
        own.sort();
        folders.extend(own.into_iter().map(|folder| {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, folder)
        }));
    }
    println!("rtol {HEADER}");
    let (mut totals, mut found_apart) = ([(0, 0); 2], 0);
    for (name, folder) in folders {
        let is_named = names.iter().any(|n| name.starts_with(n.as_str()));
        if !is_named && (!names.is_empty() || COSTLY.contains(&name.as_str())) {
            continue;
        }
        let began = Instant::now();
        let load = || model::load(&folder).unwrap_or_else(|e| panic!("{e}"));
        let problem = load();
        let material = Material::new(&problem, load(), points);
        let seconds = began.elapsed().as_secs_f64();
        let kinds = kinds(&material);
        for &rtol in &tolerances {
            let runs = Runs::new(&material, rtol);
            let (cells, parameters) = runs.false_failures();
            println!(
                "{rtol:e} | {name} | right gradient: {cells} failing cells, {parameters} parameters \
                 called in some run; {seconds:.1} s ||||||||||"
            );
            for kind in &kinds {
                let report = runs.report(&name, kind);
                println!("{rtol:e} {}", report.line);
                if is_listed {
                    report.details.iter().for_each(|line| println!("    {line}"));
                }
                // Without anything to find it says that nothing is called wrong.
                let total = &mut totals[usize::from(report.to_find > 0)];
                *total = (total.0 + usize::from(report.is_right), total.1 + 1);
                found_apart += report.called_apart;
            }
        }
        eprintln!("{name}: {:.1} s", began.elapsed().as_secs_f64());
    }
    let [(silent, without), (right, with)] = totals;
    println!(
        "{right} of {with} pairs of problem and kind with something to find are right, {silent} of \
         {without} without; what need not be found was found in {found_apart} runs"
    );
}
