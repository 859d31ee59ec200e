//! The program: arguments in, exit code out. 0: done; 1: refused, with the reason; 2: a bug.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::panic::catch_unwind(tuner::cli::main) {
        Ok(code) => code,
        Err(_) => {
            eprintln!("error: this is a bug in `tuner`: please report what is printed above");
            ExitCode::from(2)
        }
    }
}
