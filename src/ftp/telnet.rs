//! Telnet on the control connection (RFC 854), as far as FTP needs it: what a client sends around
//! an ABOR is taken out of the text, and a doubled IAC is the byte 255 of a name. Options are
//! neither agreed to nor refused; nobody who speaks FTP asks for one.
//!
//! Nobody sends Telnet commands within an argument either; but many clients do not double the 255 of a name
//! there, which would be another name without it.

/// Interpret as command.
pub(super) const IAC: u8 = 255;

/// Subnegotiation begins, ends.
const SB: u8 = 250;
const SE: u8 = 240;

/// Separates text from Telnet commands, byte by byte, wherever a packet ends.
#[derive(Debug, Default)]
pub(super) struct Telnet {
    state: State,
    /// Behind the first blank of a line.
    is_in_argument: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Text,
    /// After IAC.
    Command,
    /// After WILL, WONT, DO, DONT: the option's number follows.
    Choice,
    /// Within a subnegotiation.
    Within,
    /// After an IAC within a subnegotiation.
    WithinCommand,
}

impl Telnet {
    /// Takes one byte of the connection; what is text goes to the end of `text`.
    pub(super) fn take(&mut self, byte: u8, text: &mut Vec<u8>) {
        self.state = match (self.state, byte) {
            (State::Text, IAC) => State::Command,
            (State::Text, byte) => self.text(&[byte], text),
            (State::Command, IAC) => self.text(&[IAC], text),
            // The name of a client that does not double the byte 255.
            (State::Command, byte) if self.is_in_argument => self.text(&[IAC, byte], text),
            (State::Command, SB) => State::Within,
            (State::Command, 251..=254) => State::Choice,
            (State::Command, 236..=249) | (State::Choice, _) | (State::WithinCommand, SE) => {
                State::Text
            }
            // No Telnet command.
            (State::Command, byte) => self.text(&[IAC, byte], text),
            (State::Within, IAC) => State::WithinCommand,
            // A line's end ends it too, lest a stray byte swallow the rest of the session.
            (State::Within | State::WithinCommand, b'\n') => self.text(b"\n", text),
            (State::Within | State::WithinCommand, _) => State::Within,
        };
    }

    fn text(&mut self, bytes: &[u8], text: &mut Vec<u8>) -> State {
        text.extend_from_slice(bytes);
        match bytes.last() {
            Some(b'\n') => self.is_in_argument = false,
            Some(b' ') => self.is_in_argument = true,
            _ => {}
        }
        State::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telnet_commands_are_taken_out_wherever_a_packet_ends() {
        for (input, expected) in [
            (&b"NOOP\r\n"[..], &b"NOOP\r\n"[..]),
            (b"\xff\xf4\xff\xf2ABOR\r\n", b"ABOR\r\n"),
            (b"\xf2ABOR\r\n", b"\xf2ABOR\r\n"),
            (b"RETR \xff\xff\r\n", b"RETR \xff\r\n"),
            (b"RETR \xffa\r\n", b"RETR \xffa\r\n"),
            (
                b"RETR \xff\xf5\xff\xfa\xff\xfc\r\n",
                b"RETR \xff\xf5\xff\xfa\xff\xfc\r\n",
            ),
            (b"RETR a\xff\n\xff\xf4NOOP\n", b"RETR a\xff\nNOOP\n"),
            (b"\xff\xfd\x03NO\xff\xfb\xffOP", b"NOOP"),
            (b"a\xff\xfa\x18\x00xterm\xff\xff\xff\xf0b", b"ab"),
            (b"a\xff\xfa never ended\r\nNOOP\r\n", b"a\nNOOP\r\n"),
            (b"a\xff", b"a"),
        ] {
            let (mut telnet, mut text) = (Telnet::default(), Vec::new());
            for &byte in input {
                telnet.take(byte, &mut text);
            }
            assert_eq!(text, expected, "{input:?}");
        }
    }
}
