//! The kinds of faults: what each is called, whom it strikes, what may be said with it. The help is
//! made of these rows.

/// Who is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// A command on a tracker's port.
    Command,
    /// A whole tracker: its listening socket and connections.
    Tracker,
    /// A request to a device.
    Request,
    /// A whole device: its listening socket and connections.
    Device,
}

/// One kind of fault, and its line in the help.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) side: Side,
    /// Commands or HTTP methods that it strikes when none is named, between spaces; none: all.
    default: &'static str,
    /// Parameters of its own, between spaces.
    params: &'static str,
    pub(crate) help: &'static str,
}

impl Kind {
    /// By its name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// Does it strike this command or method when none is named?
    pub(super) fn strikes(&self, verb: &str) -> bool {
        self.default.is_empty() || self.default.split(' ').any(|name| name == verb)
    }

    /// Is this a parameter of its own?
    pub(super) fn takes(&self, param: &str) -> bool {
        self.params.split(' ').any(|name| name == param)
    }
}

const fn row(
    side: Side,
    name: &'static str,
    default: &'static str,
    params: &'static str,
    help: &'static str,
) -> Kind {
    Kind {
        name,
        side,
        default,
        params,
        help,
    }
}

/// Every kind there is.
#[rustfmt::skip]
pub(crate) const KINDS: &[Kind] = &[
    row(Side::Tracker, "down", "", "", "refuse connections and end the present ones"),
    row(Side::Command, "mute", "", "", "take the request, do nothing, never answer"),
    row(Side::Command, "close", "", "", "close without an answer and without doing it"),
    row(Side::Command, "lose-reply", "", "", "do it, then close without an answer"),
    row(Side::Command, "err", "", "code text", "refuse with code= (failure) and text="),
    row(Side::Command, "delay", "", "ms", "wait ms= (1000) first, then do it"),
    row(Side::Command, "late", "", "ms", "do it, then wait ms= (1000) before the answer"),
    row(Side::Command, "no-temp-file", "create_close", "after-commit",
        "no_temp_file; the upload is lost, or with after-commit=1 there"),
    row(Side::Command, "paths-zero", "get_paths", "", "OK paths=0"),
    row(Side::Command, "no-devices", "create_open", "", "no_devices"),
    row(Side::Command, "stray", "rename", "",
        "the second line of a rename onto a key hits the next client anyway"),
    row(Side::Command, "double", "", "", "answer, then send a second line `OK `"),
    row(Side::Command, "wrong-callid", "", "", "answer with another callid"),
    row(Side::Command, "garbage", "", "", "answer with a line that is neither OK nor ERR"),
    row(Side::Command, "cut-reply", "", "at", "send at= (0) bytes of the answer, then close"),
    row(Side::Command, "flood", "", "bytes", "answer with a line of bytes= (8 MiB) bytes"),
    row(Side::Device, "refuse", "", "", "refuse connections and end the present ones"),
    row(Side::Request, "reset", "", "", "reset the connection when the request is there"),
    row(Side::Request, "freeze", "", "", "take the request, never read on, never answer"),
    row(Side::Request, "status", "GET PUT", "code early",
        "answer code= (500); early=1: body unread, then close"),
    row(Side::Request, "stall", "GET PUT", "at",
        "stop before the headers, or at= bytes into the body"),
    row(Side::Request, "cut", "GET PUT", "at rst",
        "close at= (0) bytes into the body; rst=1: by a reset"),
    row(Side::Request, "slow", "GET PUT", "bytes ms", "move bytes= (1) per ms= (100) only"),
    row(Side::Request, "wrong-length", "GET", "by",
        "add by= (1) to Content-Length, close after the body"),
    row(Side::Request, "short", "GET", "at", "a sound answer with at= (0) bytes of body"),
    row(Side::Request, "no-length", "GET", "", "no Content-Length; the end is a close"),
    row(Side::Request, "no-range", "GET", "", "take no notice of Range"),
    row(Side::Request, "corrupt", "GET", "at", "turn the bits of byte at= (0) around"),
    row(Side::Request, "hang-reply", "PUT", "close",
        "store the body, never answer; close=1: hang up instead"),
    row(Side::Request, "lose-put", "PUT", "at", "store at= (0) bytes and answer 200"),
];
