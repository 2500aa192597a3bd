//! What this process has in its memory stays there.
//!
//! Left out on purpose: locking the memory against being swapped, which takes a limit that the
//! unit does not raise; swap is root's alone, as the credentials' files are.
//!
//! Guarantee: after [`seal`] no signal leaves a core dump, wherever the system would put one, and
//! no process of the same user can read or trace this one (ptrace(2), `/proc/PID/mem`, `environ`,
//! `fd`); root still can. No process that we are gives that up again.

use std::io;

use rustix::{
    fs::Mode,
    process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit, umask},
};

/// Switches core dumps off, and sets the umask. Cores both ways: a handler that the kernel pipes cores to is given them
/// whatever the limit (core(5)), and the limit alone is what people look at.
pub(super) fn seal() -> io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    umask(Mode::RWXG | Mode::RWXO);
    setrlimit(Resource::Core, none)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
