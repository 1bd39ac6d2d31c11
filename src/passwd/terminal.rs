//! A password from a terminal, which shows nothing meanwhile, or from whatever else the input is.
#![forbid(unsafe_code)]

use std::io::{self, IsTerminal as _, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::{flag, low_level};
use zeroize::Zeroizing;

use crate::auth::Password;

/// The longest line that is read, in bytes; a terminal gives no longer ones.
const LONGEST: usize = 4096;

/// The password, or why there is none.
pub(super) fn ask(input: &impl AsFd, prompt: &mut dyn Write) -> Result<Password, String> {
    let input = input.as_fd();
    let why = |error: io::Error| format!("cannot read the password: {error}");
    let password = if input.is_terminal() {
        let quiet = Quiet::begin(input).map_err(why)?;
        let mut ask = |question: &str| {
            let _ = write!(prompt, "{question}: ").and_then(|()| prompt.flush());
            quiet.line().map_err(why)
        };
        let first = ask("New password")?;
        // Nothing, or the end of the input, will be refused below.
        if !first.is_empty() && ask("The same again")? != first {
            return Err("the two passwords differ".to_owned());
        }
        first
    } else {
        line(input, || Ok(())).map_err(why)?
    };
    match &password[..] {
        [] => Err("an empty password would let nobody in".to_owned()),
        bytes if bytes.len() > Password::LONGEST => Err(format!(
            "a password has at most {} bytes",
            Password::LONGEST
        )),
        bytes if bytes.iter().any(u8::is_ascii_control) => {
            Err("a password with control characters cannot be sent over FTP".to_owned())
        }
        bytes => Ok(Password::from(bytes.to_vec())),
    }
}

/// A line without its end; `wait` is called before each read.
fn line(
    input: BorrowedFd<'_>,
    wait: impl Fn() -> io::Result<()>,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut buffer = Zeroizing::new([0; LONGEST]);
    while !bytes.contains(&b'\n') && bytes.len() < LONGEST {
        wait()?;
        let room = LONGEST - bytes.len();
        let count = match nix::unistd::read(input, buffer.get_mut(..room).unwrap_or_default()) {
            Err(Errno::EINTR) => continue,
            count => count?,
        };
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
    if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        bytes.truncate(end);
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(bytes)
}

/// A terminal that does not show what is typed, until this is dropped or a signal ends the program.
struct Quiet<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
    /// The signal that came meanwhile; 0: none.
    signal: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl<'a> Quiet<'a> {
    fn begin(terminal: BorrowedFd<'a>) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let quiet = Self {
            terminal,
            before,
            signal: Arc::new(AtomicUsize::new(0)),
            over: Arc::new(AtomicBool::new(false)),
        };
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_conditional_default(signal, Arc::clone(&quiet.over))?;
            flag::register_usize(signal, Arc::clone(&quiet.signal), number)?;
        }
        let mut silent = quiet.before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        silent.local_flags.insert(LocalFlags::ECHONL);
        tcsetattr(terminal, SetArg::TCSAFLUSH, &silent)?;
        Ok(quiet)
    }

    fn line(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        line(self.terminal, || {
            let mut terminal = [PollFd::new(self.terminal, PollFlags::POLLIN)];
            loop {
                let signal = self.signal.load(Ordering::SeqCst);
                if signal != 0 {
                    self.show();
                    low_level::emulate_default_handler(signal.try_into().unwrap_or(SIGTERM))?;
                }
                match poll(&mut terminal, PollTimeout::NONE) {
                    Err(Errno::EINTR) => {}
                    ready => return ready.map(drop).map_err(io::Error::from),
                }
            }
        })
    }

    fn show(&self) {
        let _ = tcsetattr(self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        self.show();
        self.over.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{BufRead as _, BufReader};

    use nix::pty::openpty;

    use super::*;

    #[test]
    fn other_input_is_one_line() {
        let long = "a".repeat(513);
        for (input, expected) in [
            ("secret\n", Ok("secret")),
            ("secret\r\nmore\n", Ok("secret")),
            ("se:cr et", Ok("se:cr et")),
            ("gr\u{fc}n", Ok("gr\u{fc}n")),
            ("", Err("an empty password would let nobody in")),
            ("\nsecret\n", Err("an empty password would let nobody in")),
            (
                "a\tb\n",
                Err("a password with control characters cannot be sent over FTP"),
            ),
            (&long, Err("a password has at most 512 bytes")),
        ] {
            let (reader, writer) = nix::unistd::pipe().unwrap();
            let mut writer = File::from(writer);
            for piece in input.as_bytes().chunks(100) {
                writer.write_all(piece).unwrap();
            }
            drop(writer);
            let mut prompt = Vec::new();
            let found = ask(&reader, &mut prompt);
            let found = found
                .as_ref()
                .map(Password::as_bytes)
                .map_err(String::as_str);
            assert_eq!(found, expected.map(str::as_bytes), "{input:?}");
            assert_eq!(prompt, b"");
        }
    }

    #[test]
    fn a_terminal_is_asked_twice_and_shows_nothing() {
        for (typed, expected) in [
            (&["secret", "secret"][..], Ok("secret")),
            (&["secret", "secrets"], Err("the two passwords differ")),
            (&[""], Err("an empty password would let nobody in")),
        ] {
            let pty = openpty(None, None).unwrap();
            let is_shown = || {
                let flags = tcgetattr(&pty.slave).unwrap().local_flags;
                flags.contains(LocalFlags::ECHO)
            };
            assert!(is_shown());
            let mut person = Person {
                terminal: File::from(pty.master),
                types: typed.to_vec(),
                read: Vec::new(),
            };
            let found = ask(&pty.slave, &mut person);
            let found = found
                .as_ref()
                .map(Password::as_bytes)
                .map_err(String::as_str);
            assert_eq!(found, expected.map(str::as_bytes));
            assert!(is_shown());
            let prompts = b"New password: The same again: ";
            assert!(prompts.starts_with(&person.read));
            // What the terminal showed: the ends of the lines.
            let mut shown = BufReader::new(person.terminal);
            for _ in typed {
                let mut line = String::new();
                shown.read_line(&mut line).unwrap();
                assert_eq!(line, "\r\n");
            }
        }
    }

    /// Reads the prompts, and types a line at the end of each.
    struct Person {
        terminal: File,
        types: Vec<&'static str>,
        read: Vec<u8>,
    }

    impl Write for Person {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.read.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            let line = format!("{}\n", self.types.remove(0));
            self.terminal.write_all(line.as_bytes())
        }
    }
}
