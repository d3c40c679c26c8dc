//! The program: parse, run, map the error to the exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    match podgraft::cli::run(std::env::args_os().collect()) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("podgraft: {error:#}");
            ExitCode::from(2)
        }
    }
}
