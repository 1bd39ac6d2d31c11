//! `top`: the state of the whole again and again. On a terminal each picture is drawn over the last,
//! with one write, and no mode of the terminal is touched: whenever and however this ends, the
//! cursor is below the picture and all is as it was.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use super::{Form, Request, ask};
use crate::sys::terminal::{self, Extent};

/// Shows on `output` what the daemon behind `socket` says, a picture `every` so often, until nobody
/// reads any more.
///
/// # Errors
/// As [`ask`]; what writing says.
pub fn watch(
    socket: &Path,
    output: &mut (impl Write + AsFd + IsTerminal),
    every: Duration,
) -> io::Result<()> {
    let is_terminal = output.is_terminal();
    loop {
        let table = ask(socket, &Request::Status(Form::Top))?;
        let picture = if is_terminal {
            // Asked each time: windows change.
            drawn(&table, terminal::extent(output.as_fd()))
        } else {
            format!("{table}\n")
        };
        let written = output.write_all(picture.as_bytes());
        match written.and_then(|()| output.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            shown => shown?,
        }
        std::thread::sleep(every);
    }
}

/// From the upper left corner on: each line, and nothing behind it; below the last one nothing.
fn drawn(table: &str, extent: Extent) -> String {
    // The cursor needs a line, too.
    let lines = table.lines().take(extent.rows.saturating_sub(1));
    let mut picture = String::from("\x1b[H");
    for line in lines {
        picture.extend(line.chars().take(extent.columns));
        picture.push_str("\x1b[K\r\n");
    }
    picture.push_str("\x1b[J");
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_stays_in_the_window_and_leaves_nothing_of_the_last_one() {
        let extent = Extent {
            rows: 3,
            columns: 4,
        };
        let picture = drawn("gr\u{fc}nes\nb\nc\nd\n", extent);
        assert_eq!(picture, "\x1b[Hgr\u{fc}n\x1b[K\r\nb\x1b[K\r\n\x1b[J");
    }
}
