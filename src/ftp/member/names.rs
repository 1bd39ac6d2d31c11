//! Directories and names: where the client is, what exists, what is made, renamed and removed.

use log::info;

use super::Member;
use crate::ftp::error::Error;
use crate::ftp::facts;
use crate::ftp::reply::quoted;
use crate::ftp::verb::{Answer, say};
use crate::path::Path;
use crate::store::Kind;
use crate::text;

impl Member<'_> {
    /// PWD
    pub(super) fn pwd(&mut self, _: &[u8]) -> Answer {
        let text = [&quoted(self.cwd.as_bytes())[..], b" is current directory."];
        say(257, text.concat())
    }

    /// CWD
    pub(super) fn cwd(&mut self, name: &[u8]) -> Answer {
        let gone = self.go(self.resolve(name));
        // Some clients ask for their home at first. It is the root, unless somebody has taken the
        // name.
        let home = name
            .strip_prefix(b"~")
            .filter(|rest| rest.is_empty() || rest.starts_with(b"/"));
        match (home, gone) {
            (Some(rest), Err(Error::Refused(_))) => self.go(Path::root().resolve(rest)),
            (_, gone) => gone,
        }
    }

    /// CDUP
    pub(super) fn cdup(&mut self, _: &[u8]) -> Answer {
        self.go(self.cwd.parent())
    }

    fn go(&mut self, path: Path) -> Answer {
        self.store.enter(&path)?;
        self.cwd = path;
        let text = [&quoted(self.cwd.as_bytes())[..], b" is current directory."];
        say(250, text.concat())
    }

    /// SIZE (RFC 3659 §4): what is stored, also in TYPE A.
    pub(super) fn size(&mut self, name: &[u8]) -> Answer {
        let path = self.resolve(name);
        let entry = self.store.stat(&path)?;
        match (entry.kind, entry.size) {
            (Kind::File, Some(size)) => say(213, size.to_string()),
            (Kind::File, None) => Err(Error::refused(550, "The size is not known.")),
            (Kind::Dir, _) => Err(Error::refused(550, "Not a plain file.")),
        }
    }

    /// MDTM (RFC 3659 §3)
    pub(super) fn mdtm(&mut self, name: &[u8]) -> Answer {
        let path = self.resolve(name);
        match self.store.modified(&path)?.and_then(facts::time) {
            Some(time) => say(213, time),
            None => Err(Error::refused(550, "The modification time is not known.")),
        }
    }

    /// DELE
    pub(super) fn dele(&mut self, name: &[u8]) -> Answer {
        let path = self.resolve(name);
        self.store.remove(&path)?;
        self.log_change("dele-ok", &path);
        say(250, "Delete command successful.")
    }

    /// MKD
    pub(super) fn mkd(&mut self, name: &[u8]) -> Answer {
        let path = self.resolve_new(name)?;
        self.store.make_dir(&path)?;
        self.log_change("mkd-ok", &path);
        say(257, [&quoted(path.as_bytes())[..], b" created."].concat())
    }

    /// RMD
    pub(super) fn rmd(&mut self, name: &[u8]) -> Answer {
        let path = self.resolve(name);
        if path.is_root() {
            return Err(Error::refused(550, "The root cannot be removed."));
        }
        self.store.remove_dir(&path)?;
        self.log_change("rmd-ok", &path);
        say(250, "RMD command successful.")
    }

    /// RNFR
    pub(super) fn rnfr(&mut self, name: &[u8]) -> Answer {
        let path = self.resolve(name);
        if path.is_root() {
            return Err(Error::refused(553, "The root cannot be renamed."));
        }
        self.store.stat(&path)?;
        self.renaming = Some(path);
        say(350, "RNFR command successful; waiting for RNTO.")
    }

    /// RNTO
    pub(super) fn rnto(&mut self, name: &[u8]) -> Answer {
        let Some(from) = self.renamed.take() else {
            return Err(Error::refused(503, "RNFR first."));
        };
        let to = self.resolve_new(name)?;
        self.store.rename(&from, &to).map_err(Error::of_target)?;
        info!(
            "rename-ok {} user={} from={} path={}",
            self.session.tag(),
            text::quoted(&self.user),
            text::quoted(from.as_bytes()),
            text::quoted(to.as_bytes())
        );
        say(250, "RNTO command successful.")
    }

    /// One line of the log for a change of the tree.
    pub(super) fn log_change(&self, event: &str, path: &Path) {
        info!(
            "{event} {} user={} path={}",
            self.session.tag(),
            text::quoted(&self.user),
            text::quoted(path.as_bytes())
        );
    }
}
