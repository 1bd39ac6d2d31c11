//! When it is this process's turn at a processor.

use std::io;

use nix::errno::Errno;
use nix::libc;

/// From now on nobody who runs is interrupted because this process, or a child of it, is awake again
/// (`SCHED_BATCH` of sched(7)); its share of the processors stays as it is. Where whoever started the
/// program has chosen anything but what all processes have (`SCHED_OTHER`), that stays.
///
/// # Errors
/// What sched_setscheduler(2) says; `EPERM` and `ENOSYS` where a container forbids it.
pub fn wait_for_turns() -> io::Result<()> {
    // SAFETY: both calls ask about this process and nothing else (0); the one parameter is read from a
    // local structure. They are the kernel's calls, since not all C libraries have them.
    #[expect(unsafe_code, reason = "nix has no call for it")]
    let answer = unsafe {
        if libc::syscall(libc::SYS_sched_getscheduler, 0) == libc::SCHED_OTHER.into() {
            let priority = libc::sched_param { sched_priority: 0 };
            libc::syscall(
                libc::SYS_sched_setscheduler,
                0,
                libc::SCHED_BATCH,
                &raw const priority,
            )
        } else {
            0
        }
    };
    Errno::result(answer)?;
    Ok(())
}
