//! `nanoftpd passwd`: adds a user to the users file, or changes what is there. The file is locked,
//! and replaced as a whole: the daemon and every other reader see the old one or the new one. Never
//! called by the daemon; prints nothing but the prompts it is given a place for.
#![forbid(unsafe_code)]

mod edit;
mod terminal;

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::auth::{Hash, Module, Password};
use crate::cli::Passwd;
use crate::config::{Auth, Crypt};
use crate::text::quoted;
use edit::Change;

/// What was done to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Added,
    Changed,
}

/// Why nothing was done.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// What was asked for cannot be (exit 64).
    Usage(String),
    /// It went wrong (exit 1).
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(why) | Self::Failed(why) => f.write_str(why),
        }
    }
}

/// Does what `wanted` says to the users file that it or `config` names. The password comes from
/// `input`: asked for twice at a terminal, with the questions written to `prompt`; otherwise its
/// first line.
///
/// # Errors
/// The file is as it was.
pub fn run(
    wanted: &Passwd,
    config: &Auth,
    input: &impl AsFd,
    prompt: &mut dyn Write,
) -> Result<Outcome, Error> {
    let path = wanted.users.as_ref().unwrap_or(&config.text.file);
    if wanted.md5 && config.crypt != Crypt::Md5 {
        let why = "an MD5 hash would let nobody in while [auth] crypt is not md5";
        return Err(Error::Usage(why.to_owned()));
    }
    let mut change = Change::new(wanted, &config.text.separator())?;
    let password = terminal::ask(input, prompt).map_err(Error::Failed)?;
    change.hash = hash(&password, wanted.md5)?;
    replace(path, |text| change.apply(text))
        .map_err(|why| Error::Failed(format!("{}: {why}", path.display())))
}

fn hash(password: &Password, md5: bool) -> Result<String, Error> {
    let hash = if md5 {
        Ok(Hash::md5(password))
    } else {
        Hash::sha512(password)
    };
    hash.map_err(|why| Error::Failed(format!("cannot make a hash: {why}")))
}

/// Puts what `edit` makes of the file's text in the file's place, with the same mode and owner.
fn replace<T>(
    path: &Path,
    edit: impl FnOnce(&[u8]) -> Result<(Vec<u8>, T), String>,
) -> Result<T, String> {
    let why = |error: io::Error| error.to_string();
    let mut file = lock(path).map_err(why)?;
    // The place of a symbolic link is that of its target.
    let path = fs::canonicalize(path).map_err(why)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(why)?;
    let (text, outcome) = edit(&text)?;
    let about = file.metadata().map_err(why)?;
    Draft::write(&path, &text, &about)
        .and_then(|draft| draft.publish(&path))
        .map_err(why)?;
    Ok(outcome)
}

/// The file, made where it is missing, and ours until it is closed.
fn lock(path: &Path) -> io::Result<Flock<File>> {
    loop {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "is not a regular file",
            ));
        }
        let file = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
        // Whoever had the lock before may have put another file in the place of this one.
        let place = |about: &Metadata| (about.dev(), about.ino());
        let is_current = fs::metadata(path).is_ok_and(|now| {
            file.metadata()
                .is_ok_and(|locked| place(&locked) == place(&now))
        });
        if is_current {
            return Ok(file);
        }
    }
}

/// The new file under another name, which goes away unless it is published.
struct Draft(PathBuf);

impl Draft {
    fn write(path: &Path, text: &[u8], like: &Metadata) -> io::Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".new-{}", std::process::id()));
        let draft = Self(path.with_file_name(name));
        // What a killed run of the same number left; nobody else may write here.
        let _ = fs::remove_file(&draft.0);
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft.0)?;
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
            fchown(&file, Some(like.uid()), Some(like.gid()))?;
        }
        file.set_permissions(fs::Permissions::from_mode(like.mode() & 0o7777))?;
        file.write_all(text)?;
        file.sync_all()?;
        Ok(draft)
    }

    fn publish(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.0, path)?;
        // From here on the next may hold the lock, and have a draft of the same name.
        std::mem::forget(self);
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests;
