//! The program as its users meet it: exit status, messages, files.
//!
//! Expectations come from `data/*/reference.json` (made without this program), from the closed
//! form of the conversion problem, from pyPESTO's and PEtab's definitions of columns, and from
//! `data/README.md`; none from the program's own output.

mod bad_options;
mod bad_problems;
mod failures;
mod good_runs;
mod points;
mod tools;
mod values;
mod whole_program;
