//! How large a terminal is.

use std::os::fd::{AsFd, AsRawFd};

use nix::libc;

nix::ioctl_read_bad!(tiocgwinsz, libc::TIOCGWINSZ, libc::winsize);

/// In characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub rows: usize,
    pub columns: usize,
}

/// That of the terminal behind `output`; what terminals once were where it does not know.
#[must_use]
pub fn extent(output: impl AsFd) -> Extent {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCGWINSZ writes one winsize to the address it is given, which is that of a local
    // one; the descriptor is open while it is borrowed.
    #[expect(unsafe_code, reason = "no safe interface to this ioctl exists")]
    let told = unsafe { tiocgwinsz(output.as_fd().as_raw_fd(), &raw mut size) };
    match (told, size.ws_row, size.ws_col) {
        (Ok(_), rows @ 1.., columns @ 1..) => Extent {
            rows: rows.into(),
            columns: columns.into(),
        },
        _ => Extent {
            rows: 24,
            columns: 80,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use nix::pty::{Winsize, openpty};

    use super::*;

    #[test]
    fn a_terminal_tells_and_for_others_something_is_assumed() {
        let size = Winsize {
            ws_row: 50,
            ws_col: 132,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let terminal = openpty(&size, None).unwrap();
        let extent_of = |rows, columns| Extent { rows, columns };
        assert_eq!(extent(&terminal.slave), extent_of(50, 132));
        assert_eq!(extent(File::open("/dev/null").unwrap()), extent_of(24, 80));
    }
}
