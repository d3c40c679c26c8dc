//! The program: parse, run, map the error to the exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|command| command == "serve") {
        podgraft::server::memory::settle(&arguments);
    }
    match podgraft::cli::run(arguments) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("podgraft: {error:#}");
            ExitCode::from(2)
        }
    }
}
