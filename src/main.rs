use std::process::ExitCode;

fn main() -> ExitCode {
    gradsweep::cli::run()
}
