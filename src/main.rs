use std::process::ExitCode;

fn main() -> ExitCode {
    // Mesa's device-select layer looks for a display server and complains on stderr where there is
    // none, as in a batch job. Nothing is displayed here.
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
    gradsweep::cli::run()
}
