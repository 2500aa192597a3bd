//! Arguments → command → exit status; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    invoice_trackd::cli::main()
}
