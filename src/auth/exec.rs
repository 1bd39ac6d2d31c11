//! Module Exec: a program of the site decides. What it is given, what its answer means, and the
//! verdict that goes back to whoever asked. Runs nothing itself.
#![forbid(unsafe_code)]

use zeroize::Zeroizing;

use super::{Account, Module, Password};

/// No user with a longer name is asked about, in bytes.
const LONGEST_USER: usize = 1024;

/// No longer answer is read, in bytes.
pub const LONGEST_ANSWER: usize = 4096;

/// What the program gets on standard input: the user and the password, a line each. `None`: they
/// cannot be put so, or the password is empty, which some directories take for a guest's.
#[must_use]
pub fn question(user: &[u8], password: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let is_line = |text: &[u8]| !text.iter().any(|byte| matches!(byte, b'\n' | b'\r' | 0));
    let fits = user.len() <= LONGEST_USER && password.len() <= Password::LONGEST;
    if user.is_empty() || password.is_empty() || !fits || !is_line(user) || !is_line(password) {
        return None;
    }
    let mut lines = Zeroizing::new(Vec::with_capacity(user.len() + password.len() + 2));
    for text in [user, password] {
        lines.extend_from_slice(text);
        lines.push(b'\n');
    }
    Some(lines)
}

/// What became of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the right password.
    Granted(Account),
    /// It is not, or there is no such user.
    Refused,
    /// Nobody knows: the program failed, and the log says how.
    Failed,
}

impl Verdict {
    /// What a program means that has exited with 0 and printed `answer` about `user`:
    /// `uid:gid:io_module`, one line.
    ///
    /// # Errors
    /// What is wrong with the answer. It is not quoted: nobody knows what it holds.
    pub fn read(user: &[u8], answer: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(answer).map_err(|_| "the answer is not text")?;
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains(char::is_control) {
            return Err("the answer is not one line".to_owned());
        }
        let fields: Vec<&str> = line.split(':').collect();
        let [uid, gid, module] = fields[..] else {
            let count = fields.len();
            return Err(format!(
                "the answer has {count} fields; uid:gid:io_module are 3"
            ));
        };
        let module = Module::named(module)
            .ok_or_else(|| format!("the answer names no module, which are {}", Module::names()))?;
        Ok(Self::Granted(Account {
            name: user.to_vec(),
            uid: uid.to_owned(),
            gid: gid.to_owned(),
            module,
        }))
    }

    /// As bytes, for a message between processes. Nothing at all is what a process says that cannot
    /// ask the program.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Failed => Vec::new(),
            Self::Refused => b"no".to_vec(),
            Self::Granted(account) => {
                let Account {
                    name,
                    uid,
                    gid,
                    module,
                } = account;
                let mut bytes = format!("yes\n{uid}\n{gid}\n{}\n", module.name()).into_bytes();
                bytes.extend_from_slice(name);
                bytes
            }
        }
    }

    /// What `encode` made bytes of.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        let granted = || {
            let mut fields = bytes.splitn(5, |byte| *byte == b'\n');
            let mut next = || fields.next();
            let text = |field: Option<&[u8]>| std::str::from_utf8(field?).ok().map(str::to_owned);
            (next()? == b"yes").then_some(())?;
            Some(Self::Granted(Account {
                uid: text(next())?,
                gid: text(next())?,
                module: Module::named(&text(next())?)?,
                name: next()?.to_vec(),
            }))
        };
        match bytes {
            b"no" => Self::Refused,
            _ => granted().unwrap_or(Self::Failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_a_line_each() {
        let asked =
            |user: &[u8], password: &[u8]| question(user, password).map(|text| text.to_vec());
        let whole = b"an\xff\n p w \n".to_vec();
        assert_eq!(asked(b"an\xff", b" p w "), Some(whole));
        let long = [b'x'; 2000];
        for (user, password) in [
            (&b""[..], &b"p"[..]),
            (b"u", b""),
            (b"u\nroot", b"p"),
            (b"u", b"p\nx"),
            (b"u", b"p\r"),
            (b"u\0", b"p"),
            (b"u", b"p\0"),
            (&long, b"p"),
            (b"u", &long),
        ] {
            assert_eq!(asked(user, password), None);
        }
    }

    #[test]
    fn an_answer_is_three_fields_in_one_line() {
        let account = |uid: &str, gid: &str, module| {
            Verdict::Granted(Account {
                name: b"ann".to_vec(),
                uid: uid.to_owned(),
                gid: gid.to_owned(),
                module,
            })
        };
        let read = |answer: &[u8]| Verdict::read(b"ann", answer);
        assert_eq!(read(b"1:2:File\n"), Ok(account("1", "2", Module::File)));
        assert_eq!(
            read(b"::MogileFs_FlatNS\r\n"),
            Ok(account("", "", Module::FlatNs))
        );
        assert_eq!(
            read(b"1:2:MogileFs"),
            Ok(account("1", "2", Module::MogileFs))
        );
        for (answer, why) in [
            (&b""[..], "the answer has 1 fields"),
            (b"ok\n", "the answer has 1 fields"),
            (b"ann:x:1:2:File\n", "the answer has 5 fields"),
            (b"1:2:file\n", "the answer names no module"),
            (b"1:2:File\n1:2:File\n", "the answer is not one line"),
            (b"1:2:File\0", "the answer is not one line"),
            (b"1:2:File \n", "the answer names no module"),
            (b"\xff:2:File\n", "the answer is not text"),
        ] {
            let error = read(answer).unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
    }

    #[test]
    fn a_verdict_travels_between_processes() {
        let granted = Verdict::read(b"an\n\xff", b"1::File").unwrap();
        for verdict in [granted, Verdict::Refused, Verdict::Failed] {
            assert_eq!(Verdict::decode(&verdict.encode()), verdict);
        }
        for bytes in [
            &b"yes"[..],
            b"yes\n1\n2\nfile\nx",
            b"yes\n1\n2\nFile",
            b"maybe",
        ] {
            assert_eq!(Verdict::decode(bytes), Verdict::Failed);
        }
    }
}
