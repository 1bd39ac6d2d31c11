//! The process title, as `ps` shows it: text written over the memory that holds the arguments and
//! the environment of this process. `PR_SET_NAME` would hold fifteen bytes.

use std::cell::Cell;
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

use nix::libc;

/// The memory for the title, in addresses; found once, the same in all children.
#[derive(Clone, Copy, Debug)]
struct Room {
    start: usize,
    /// The end of the arguments.
    seam: usize,
    /// The end of the environment.
    end: usize,
}

static ROOM: OnceLock<Room> = OnceLock::new();

thread_local! {
    /// How long the title is that is shown; at first what stands there is none. Of the one thread that a
    /// process has, since what stands there with it is written to anyway.
    static SHOWN: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The kernel shows no more than one page of a title.
const PAGE: usize = 4096;

/// Makes room for titles and returns the arguments of the program, which cannot be read afterwards:
/// the environment is copied elsewhere, the arguments are handed over here. To be called first.
/// Where the kernel does not say where the memory is, there are no titles.
#[must_use]
pub fn take_arguments() -> Vec<OsString> {
    let arguments: Vec<OsString> = env::args_os().collect();
    if let Ok(room) = find() {
        let is_settable =
            |(name, _): &(OsString, OsString)| !name.is_empty() && !name.as_bytes().contains(&b'=');
        let variables: Vec<(OsString, OsString)> = env::vars_os().filter(is_settable).collect();
        // SAFETY: main calls this first, in a process with one thread: nobody reads or changes the
        // environment meanwhile, and nobody holds a pointer into it.
        #[expect(unsafe_code, reason = "the process title")]
        unsafe {
            libc::clearenv();
            for (name, value) in variables {
                env::set_var(name, value);
            }
        }
        let _ = ROOM.set(room);
    }
    arguments
}

fn find() -> io::Result<Room> {
    let stat = std::fs::read("/proc/self/stat")?;
    parse(&String::from_utf8_lossy(&stat)).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The fields `arg_start`, `arg_end`, `env_start` and `env_end` of proc(5): numbers 48 to 51, of
/// which the third is the first behind the name of the program, which may hold anything.
fn parse(stat: &str) -> Option<Room> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields
        .split_ascii_whitespace()
        .skip(45)
        .map(|field| field.parse::<usize>().ok());
    let mut next = || fields.next().flatten().filter(|&address| address > 0);
    let (start, seam, environment, end) = (next()?, next()?, next()?, next()?);
    let is_whole = start < seam && seam == environment && environment <= end;
    is_whole.then_some(Room {
        start,
        seam,
        end: end.min(start.saturating_add(PAGE)).max(seam),
    })
}

/// Shows `title`, cut to the room there is; a client's text in it must be clean already.
pub fn set(title: &str) {
    let Some(room) = ROOM.get() else {
        return;
    };
    let size = room.end.saturating_sub(room.start);
    let title = title.as_bytes();
    let title = title.get(..size.saturating_sub(1)).unwrap_or(title);
    // Behind the last title there are zeros already: pages are not written to without need.
    let last = SHOWN.replace(title.len()).min(size);
    // A byte that is not zero where the arguments ended tells the kernel that the text was
    // replaced, and that it ends at its first zero.
    let mark = room.seam.saturating_sub(room.start).saturating_sub(1);
    // SAFETY: the kernel says that start..end is the memory of this process's arguments and
    // environment: mapped, writable, ours for the life of the process. Nobody else uses it: the
    // environment was copied by `take_arguments`, and the arguments are not read after that. All that
    // is written is in start..start + size.
    #[expect(unsafe_code, reason = "the process title")]
    unsafe {
        let start = std::ptr::with_exposed_provenance_mut::<u8>(room.start);
        start.copy_from_nonoverlapping(title.as_ptr(), title.len());
        if last > title.len() {
            start.add(title.len()).write_bytes(0, last - title.len());
        }
        if mark >= title.len() {
            let byte = if mark > title.len() { b'.' } else { 0 };
            start.add(mark).write(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_are_found_behind_any_name() {
        let middle = "0 ".repeat(43);
        let line = |tail: &str| format!("7 (a) b) (c) S 1 {middle}{tail} 0\n");
        let room = parse(&line("100 120 120 9000")).unwrap();
        assert_eq!((room.start, room.seam, room.end), (100, 120, 100 + PAGE));
        let room = parse(&line("100 120 120 150")).unwrap();
        assert_eq!(room.end, 150);
        for tail in ["0 0 0 0", "100 120 130 150", "120 100 100 150", "100 120"] {
            assert!(parse(&line(tail)).is_none(), "{tail}");
        }
    }

    #[test]
    fn the_kernel_tells_the_addresses() {
        find().unwrap();
    }
}
