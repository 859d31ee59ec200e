//! The program: arguments in, exit code out. 0: done; 1: refused, with the reason; 2: a bug.

use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::panic::catch_unwind(tuner::cli::main) {
        Ok(code) => code,
        Err(_) => {
            let bug = "error: this is a bug in `tuner`: please report what is printed above";
            // Not `eprintln!`, which would panic where nobody listens.
            let _ = writeln!(io::stderr(), "{bug}");
            ExitCode::from(2)
        }
    }
}
