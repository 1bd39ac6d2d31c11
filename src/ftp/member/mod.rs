//! Who has logged in: owns a store, and has the verbs that need one.

mod files;
mod listing;
mod names;
mod routes;
mod state;
mod sums;

use std::net::TcpStream;

use super::Account;
use super::data::Route;
use super::error::Error;
use super::link::Link;
use super::seat::Seat;
use super::session::Session;
use super::verb::{Arg, Feat, Verb};
use crate::config::Type;
use crate::path::Path;
use crate::store::Store;

/// A client after its login.
pub(super) struct Member<'a> {
    session: Session<'a>,
    user: Vec<u8>,
    store: Box<dyn Store>,
    /// The current directory.
    cwd: Path,
    /// How the next data connection is made; the next command that needs one chooses it.
    route: Option<Route>,
    /// That of the present command, until its data connection is made.
    chosen: Option<Route>,
    /// The data connection of a command that was refused, until the next one comes: the client may be sending
    /// already, and a connection that is closed over what nobody has read is reset.
    left: Option<TcpStream>,
    /// The data connection of an upload that the store has not taken.
    spent: Option<Link>,
    /// After EPSV ALL nothing else makes a data connection (RFC 2428 §4).
    only_epsv: bool,
    /// What REST said, for the next transfer to take.
    restart: Option<u64>,
    /// What RANG said beside that: where the next download ends.
    until: Option<u64>,
    /// What ALLO said, for the next transfer, if that is an upload.
    allocated: Option<u64>,
    /// What RNFR said; the next command finds it in `renamed`, the one after that does not.
    renaming: Option<Path>,
    renamed: Option<Path>,
}

impl<'a> Seat<'a> for Member<'a> {
    const OWN: &'a [Verb<Self>] = &[
        Verb::new("ABOR", Arg::None, "ends a transfer", Self::abor),
        Verb::new("ACCT", Arg::Optional, "is not needed", Self::acct),
        Verb::new(
            "ALLO",
            Arg::Needed,
            "bytes announces the size of an upload",
            Self::allo,
        ),
        Verb::new("APPE", Arg::Needed, "path appends to a file", Self::appe),
        Verb::new(
            "AVBL",
            Arg::Optional,
            "tells how many bytes there is room for",
            Self::avbl,
        )
        .feat(Feat::Line("AVBL")),
        Verb::new("CDUP", Arg::None, "goes to the directory above", Self::cdup),
        Verb::new("CWD", Arg::Needed, "path goes to a directory", Self::cwd),
        Verb::new("DELE", Arg::Needed, "path removes a file", Self::dele),
        Verb::new(
            "EPRT",
            Arg::Needed,
            "|family|address|port| has the server connect",
            Self::eprt,
        )
        .feat(Feat::Line("EPRT")),
        Verb::new(
            "EPSV",
            Arg::Optional,
            "[family|ALL] has the server listen",
            Self::epsv,
        )
        .feat(Feat::Line("EPSV")),
        Verb::new(
            "HASH",
            Arg::Needed,
            "path tells the checksum of a file, see OPTS HASH",
            Self::hash,
        )
        .feat(Feat::Hash),
        Verb::new(
            "LIST",
            Arg::Optional,
            "[path] lists files, for people",
            Self::list,
        ),
        Verb::new(
            "MDTM",
            Arg::Needed,
            "path tells when a file was modified",
            Self::mdtm,
        )
        .feat(Feat::Line("MDTM")),
        Verb::new(
            "MD5",
            Arg::Needed,
            "path tells the MD5 of a file",
            Self::md5,
        )
        .feat(Feat::Line("MD5")),
        Verb::new(
            "MFMT",
            Arg::Needed,
            "YYYYMMDDhhmmss path sets when a file was modified",
            Self::mfmt,
        )
        .feat(Feat::Times("MFMT")),
        Verb::new("MKD", Arg::Needed, "path makes a directory", Self::mkd),
        Verb::new(
            "MLSD",
            Arg::Optional,
            "[path] lists a directory, for programs",
            Self::mlsd,
        )
        .feat(Feat::Line("TVFS")),
        Verb::new(
            "MLST",
            Arg::Optional,
            "[path] tells the facts of one entry",
            Self::mlst,
        )
        .feat(Feat::Facts),
        Verb::new(
            "MODE",
            Arg::Needed,
            "S|Z sets the transfer mode",
            Self::mode,
        )
        .feat(Feat::Deflate("MODE Z")),
        Verb::new("NLST", Arg::Optional, "[path] lists names", Self::nlst),
        Verb::new("P@SW", Arg::None, "is PASV", Self::pasv),
        Verb::new("PASS", Arg::Optional, "password ends the login", Self::pass).secret(),
        Verb::new("PASV", Arg::None, "has the server listen", Self::pasv).feat(Feat::Line("PASV")),
        Verb::new(
            "PORT",
            Arg::Needed,
            "a,b,c,d,p,q has the server connect",
            Self::port,
        ),
        Verb::new("PWD", Arg::None, "tells the current directory", Self::pwd),
        Verb::new(
            "RANG",
            Arg::Needed,
            "first last lets the next download be these bytes",
            Self::rang,
        )
        .feat(Feat::Line("RANG STREAM")),
        Verb::new(
            "REST",
            Arg::Needed,
            "offset lets the next transfer begin there",
            Self::rest,
        )
        .feat(Feat::Line("REST STREAM")),
        Verb::new("RETR", Arg::Needed, "path fetches a file", Self::retr),
        Verb::new(
            "RMD",
            Arg::Needed,
            "path removes an empty directory",
            Self::rmd,
        ),
        Verb::new(
            "RNFR",
            Arg::Needed,
            "path names what is to be renamed",
            Self::rnfr,
        ),
        Verb::new("RNTO", Arg::Needed, "path renames it", Self::rnto),
        Verb::new(
            "SITE",
            Arg::Needed,
            "verb [argument]: see SITE HELP",
            Self::site,
        ),
        Verb::new(
            "SIZE",
            Arg::Needed,
            "path tells the size of a file",
            Self::size,
        )
        .feat(Feat::Line("SIZE")),
        Verb::new(
            "STAT",
            Arg::Optional,
            "[path] tells the state, or lists files",
            Self::stat,
        ),
        Verb::new("STOR", Arg::Needed, "path stores a file", Self::stor),
        Verb::new(
            "STOU",
            Arg::Optional,
            "[path] stores a file under a name of its own",
            Self::stou,
        ),
        Verb::new("STRU", Arg::Needed, "F sets the file structure", Self::stru),
        Verb::new(
            "TYPE",
            Arg::Needed,
            "A|I sets the representation",
            Self::set_type,
        ),
        Verb::new("USER", Arg::Needed, "name begins another login", Self::user),
        Verb::new("XCUP", Arg::None, "is CDUP", Self::cdup),
        Verb::new("XCWD", Arg::Needed, "path is CWD", Self::cwd),
        Verb::new(
            "XCRC",
            Arg::Needed,
            "path [start [end]] tells the CRC32 of a file",
            Self::xcrc,
        )
        .feat(Feat::Line("XCRC")),
        Verb::new(
            "XMD5",
            Arg::Needed,
            "path [start [end]] tells the MD5 of a file",
            Self::xmd5,
        )
        .feat(Feat::Line("XMD5")),
        Verb::new("XMKD", Arg::Needed, "path is MKD", Self::mkd),
        Verb::new("XPWD", Arg::None, "is PWD", Self::pwd),
        Verb::new("XRMD", Arg::Needed, "path is RMD", Self::rmd),
        Verb::new("XSHA", Arg::Needed, "path is XSHA1", Self::xsha1),
        Verb::new(
            "XSHA1",
            Arg::Needed,
            "path [start [end]] tells the SHA-1 of a file",
            Self::xsha1,
        )
        .feat(Feat::Line("XSHA1")),
        Verb::new(
            "XSHA256",
            Arg::Needed,
            "path [start [end]] tells the SHA-256 of a file",
            Self::xsha256,
        )
        .feat(Feat::Line("XSHA256")),
        Verb::new(
            "XSHA512",
            Arg::Needed,
            "path [start [end]] tells the SHA-512 of a file",
            Self::xsha512,
        )
        .feat(Feat::Line("XSHA512")),
    ];

    fn session(&mut self) -> &mut Session<'a> {
        &mut self.session
    }

    fn keeps_times(&self) -> bool {
        self.store.abilities().set_times
    }

    fn place(&self, verb: &str, argument: &[u8]) -> Option<Path> {
        let is_transfer = matches!(verb, "RETR" | "STOR" | "STOU" | "APPE");
        (is_transfer && !argument.is_empty()).then(|| self.resolve(argument))
    }

    fn begin_turn(&mut self) {
        self.renamed = self.renaming.take();
        self.left = None;
    }

    fn end_turn(&mut self) {
        if let Some(link) = self.spent.take() {
            link.linger();
        }
        self.leave_route();
        self.store.tidy();
    }
}

impl<'a> Member<'a> {
    /// At the top of the account's tree.
    pub(super) fn new(session: Session<'a>, account: Account) -> Self {
        Self {
            session,
            user: account.user,
            store: account.store,
            cwd: Path::root(),
            route: None,
            chosen: None,
            left: None,
            spent: None,
            only_epsv: false,
            restart: None,
            until: None,
            allocated: None,
            renaming: None,
            renamed: None,
        }
    }

    /// The session without the account.
    pub(super) fn leave(self) -> Session<'a> {
        self.session
    }

    fn resolve(&self, name: &[u8]) -> Path {
        self.cwd.resolve(name)
    }

    /// The path of something that is to be made: what could never be shown in a listing is refused.
    fn resolve_new(&self, name: &[u8]) -> Result<Path, Error> {
        let path = self.resolve(name);
        if name.iter().any(u8::is_ascii_control) {
            return Err(Error::refused(553, "Name not allowed: control characters."));
        }
        if path.is_root() {
            return Err(Error::refused(553, "Name not allowed: it is the root."));
        }
        Ok(path)
    }

    fn is_ascii(&self) -> bool {
        let default = self.session.settings.nanoftpd.default_type;
        self.session.representation.unwrap_or(default) == Type::Ascii
    }

    fn mode_name(&self) -> &'static str {
        if self.is_ascii() { "ASCII" } else { "BINARY" }
    }
}
