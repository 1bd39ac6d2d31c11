//! What a client may believe: a tree of its own, changed by what the replies say and by nothing
//! else. Written without the code it is compared with.

use std::collections::BTreeMap;

use super::memory::Nodes;

/// Where something is: names from the root on.
type Place = Vec<Vec<u8>>;

/// One command and what came of it.
pub(super) struct Turn<'t> {
    /// In upper case.
    pub(super) verb: &'t str,
    pub(super) argument: &'t [u8],
    /// Of the last reply, and all its lines.
    pub(super) code: u16,
    pub(super) text: &'t [u8],
    /// Whether there was a 150.
    pub(super) is_opened: bool,
    /// What was sent over the data connection, and what came.
    pub(super) sent: &'t [u8],
    pub(super) received: &'t [u8],
}

/// The tree, and what the session remembers.
#[derive(Default)]
pub(super) struct Model {
    /// `None` is a directory.
    nodes: BTreeMap<Place, Option<Vec<u8>>>,
    user: Vec<u8>,
    is_member: bool,
    cwd: Place,
    is_ascii: bool,
    restart: usize,
    /// Where RANG lets a download end.
    until: Option<usize>,
    renaming: Option<Place>,
}

impl Model {
    /// Whether the store holds just this.
    pub(super) fn is_like(&self, nodes: &Nodes) -> bool {
        let own = self.nodes.iter();
        let own: Nodes = own
            .map(|(place, bytes)| (path(place), bytes.clone()))
            .collect();
        own == *nodes
    }

    /// Takes a turn in, if it can be true.
    pub(super) fn take(&mut self, turn: &Turn<'_>) {
        if turn.argument.iter().any(|byte| b"\0\r".contains(byte)) {
            // Not even heard, whatever the verb.
            self.renaming = None;
            return assert!(turn.code >= 500 && !turn.is_opened);
        }
        if self.is_member {
            let renaming = self.renaming.take();
            self.changes(turn, renaming);
            self.tells(turn);
            self.transfers(turn);
        } else {
            assert!(!turn.is_opened && ![250, 257, 350].contains(&turn.code));
        }
        self.logs_in(turn);
    }

    fn logs_in(&mut self, turn: &Turn<'_>) {
        match (turn.verb, turn.code) {
            ("USER", 331) => {
                let (user, is_ascii) = (turn.argument.to_vec(), self.is_ascii);
                self.leave();
                (self.user, self.is_ascii) = (user, is_ascii);
            }
            ("REIN", 220) => self.leave(),
            ("PASS", code) => {
                let is_right = self.user == b"test" && turn.argument == b"secret";
                assert_eq!(code == 230, is_right && !self.is_member);
                if code == 230 {
                    self.is_member = true;
                }
                if !self.is_member {
                    self.user.clear();
                }
            }
            _ => {}
        }
    }

    /// The tree stays; what the session remembers does not.
    fn leave(&mut self) {
        let nodes = std::mem::take(&mut self.nodes);
        *self = Self {
            nodes,
            ..Self::default()
        };
    }

    /// What changes the tree, or where the client is in it: it succeeds if and only if it can.
    fn changes(&mut self, turn: &Turn<'_>, renaming: Option<Place>) {
        let place = self.place(turn.argument);
        let is_allowed = !turn.argument.is_empty();
        let is_new = is_allowed && is_name(turn.argument) && self.is_free(&place);
        match turn.verb {
            "CWD" | "XCWD" => {
                let home = turn.argument.strip_prefix(b"~");
                let home = home.filter(|rest| rest.is_empty() || rest.starts_with(b"/"));
                let home = home.map(|rest| resolved(&[], rest));
                let goals = [Some(place), home];
                let goal = goals.into_iter().flatten().find(|place| self.is_dir(place));
                let goal = goal.filter(|_| is_allowed);
                assert_eq!(turn.code == 250, goal.is_some());
                self.cwd = goal.unwrap_or_else(|| std::mem::take(&mut self.cwd));
            }
            "CDUP" | "XCUP" => {
                let above = resolved(&self.cwd, b"..");
                assert_eq!(turn.code == 250, self.is_dir(&above));
                if turn.code == 250 {
                    self.cwd = above;
                }
            }
            "MKD" | "XMKD" => {
                assert_eq!(turn.code == 257, is_new);
                if is_new {
                    self.nodes.insert(place, None);
                }
            }
            "RMD" | "XRMD" => {
                let is_empty = self.below(&place).next().is_none();
                let can = is_allowed && !place.is_empty() && self.is_dir(&place) && is_empty;
                assert_eq!(turn.code == 250, can);
                if can {
                    self.nodes.remove(&place);
                }
            }
            "DELE" => {
                assert_eq!(turn.code == 250, is_allowed && self.file(&place).is_some());
                if turn.code == 250 {
                    self.nodes.remove(&place);
                }
            }
            "RNFR" => {
                let is_there = is_allowed && self.nodes.contains_key(&place);
                assert_eq!(turn.code == 350, is_there);
                self.renaming = is_there.then_some(place);
            }
            "RNTO" => {
                let from = renaming.filter(|from| is_new && self.file(from).is_some());
                assert_eq!(turn.code == 250, from.is_some());
                if let Some(bytes) = from.and_then(|from| self.nodes.remove(&from)) {
                    self.nodes.insert(place, bytes);
                }
            }
            _ => {}
        }
    }

    /// What only tells something, or is remembered.
    fn tells(&mut self, turn: &Turn<'_>) {
        let place = self.place(turn.argument);
        match (turn.verb, turn.code) {
            ("PWD" | "XPWD", code) => {
                let own = path(&self.cwd);
                let own = own.iter().map(|byte| char::from(*byte)).collect::<String>();
                let own = own.replace('"', "\"\"");
                let own: Vec<u8> = own.chars().filter_map(|c| u8::try_from(c).ok()).collect();
                let own = [b"257 \"", own.as_slice(), b"\" is"].concat();
                let own: Vec<u8> = own.into_iter().map(shown).collect();
                assert!(code == 257 && turn.text.starts_with(&own));
            }
            ("SIZE", 213) => {
                let size = self
                    .file(&place)
                    .map(|bytes| format!("213 {}", bytes.len()));
                assert_eq!(size.as_deref().map(str::as_bytes), Some(turn.text));
            }
            ("MDTM", code) => assert!(code != 213 || self.file(&place).is_some()),
            ("TYPE", 200) => {
                let letter = turn
                    .argument
                    .iter()
                    .find(|byte| !byte.is_ascii_whitespace());
                self.is_ascii = letter.is_some_and(|letter| letter.eq_ignore_ascii_case(&b'A'));
            }
            // Without an argument it is not even heard.
            ("REST" | "RANG", _) if turn.argument.is_empty() => {}
            ("REST" | "RANG", code) => {
                let text = String::from_utf8_lossy(turn.argument);
                let mut numbers = text
                    .split_whitespace()
                    .map(|number| number.parse().unwrap_or(usize::MAX));
                let said = (numbers.next().unwrap_or_default(), numbers.next());
                (self.restart, self.until) = match said {
                    (1, Some(0)) => (0, None),
                    (first, last) if code == 350 => {
                        (first, last.map(|last| last.saturating_add(1)))
                    }
                    _ => (0, None),
                };
            }
            _ => {}
        }
    }

    fn transfers(&mut self, turn: &Turn<'_>) {
        let is_done = turn.code == 226;
        let place = self.place(turn.argument);
        let (restart, until) = match turn.verb {
            "RETR" | "STOR" | "APPE" if turn.argument.is_empty() => return assert!(!is_done),
            "RETR" | "STOR" | "APPE" | "STOU" | "LIST" | "NLST" | "MLSD" => {
                (std::mem::take(&mut self.restart), self.until.take())
            }
            _ => return,
        };
        if !is_done {
            return;
        }
        assert!(turn.is_opened);
        match turn.verb {
            "RETR" => {
                let wanted = self.file(&place).and_then(|bytes| {
                    let end = until.map_or(bytes.len(), |until| until.min(bytes.len()));
                    bytes.get(restart..end.max(restart))
                });
                let wanted = wanted.map(|bytes| self.on_wire(bytes));
                assert_eq!(wanted.as_deref(), Some(turn.received));
            }
            "STOR" | "APPE" => {
                assert!(turn.verb == "APPE" || until.is_none());
                let old = self.file(&place).unwrap_or_default();
                let kept = if turn.verb == "APPE" {
                    old.len()
                } else {
                    restart
                };
                let old = old.get(..kept).map(<[u8]>::to_vec);
                self.store(place, old, turn);
            }
            "STOU" => {
                let opening = turn.text.strip_prefix(b"150 FILE: ").unwrap_or_default();
                let name = opening.split(|&byte| byte == b'\r').next();
                let place = self.place(name.unwrap_or_default());
                assert!(name.is_some_and(|name| name.starts_with(turn.argument)));
                assert!(!self.nodes.contains_key(&place));
                self.store(place, Some(Vec::new()), turn);
            }
            "MLSD" => {
                let listed = turn.received.split(|&byte| byte == b'\n');
                let listed = listed.filter(|line| !line.is_empty()).count();
                assert_eq!(listed, self.below(&place).count());
                assert!(self.is_dir(&place));
            }
            _ => {
                let lines = turn.received.iter().filter(|&&byte| byte == b'\n').count();
                assert!(lines <= self.nodes.len());
            }
        }
    }

    fn store(&mut self, place: Place, old: Option<Vec<u8>>, turn: &Turn<'_>) {
        let can = self.is_dir(&resolved(&place, b"..")) && !self.is_dir(&place);
        assert!(can && place.last().is_some_and(|name| name != b"full"));
        let sent = if self.is_ascii {
            stored(turn.sent)
        } else {
            turn.sent.to_vec()
        };
        let Some(mut bytes) = old else {
            unreachable!("stored behind the end of a file");
        };
        bytes.extend(sent);
        self.nodes.insert(place, Some(bytes));
    }

    /// TYPE A, where it matters: a line ends with CRLF.
    fn on_wire(&self, bytes: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        for &byte in bytes {
            if self.is_ascii && byte == b'\n' && wire.last() != Some(&b'\r') {
                wire.push(b'\r');
            }
            wire.push(byte);
        }
        wire
    }

    fn place(&self, name: &[u8]) -> Place {
        resolved(&self.cwd, name)
    }

    fn is_dir(&self, place: &Place) -> bool {
        place.is_empty() || self.nodes.get(place) == Some(&None)
    }

    fn file(&self, place: &Place) -> Option<&[u8]> {
        self.nodes.get(place)?.as_deref()
    }

    fn is_free(&self, place: &Place) -> bool {
        let is_taken = place.is_empty() || self.nodes.contains_key(place);
        !is_taken && self.is_dir(&resolved(place, b".."))
    }

    fn below(&self, dir: &Place) -> impl Iterator<Item = &Place> {
        let own = move |place: &&Place| place.len() == dir.len() + 1 && place.starts_with(dir);
        self.nodes.keys().filter(own)
    }
}

/// TYPE A, on its way to the store: the CR before the end of a line belongs to it.
fn stored(wire: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for &byte in wire {
        if byte == b'\n' && bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        bytes.push(byte);
    }
    bytes
}

/// Whether something may be called so that is new.
fn is_name(name: &[u8]) -> bool {
    !name.iter().any(u8::is_ascii_control)
}

fn shown(byte: u8) -> u8 {
    if byte.is_ascii_control() { b'?' } else { byte }
}

fn path(place: &[Vec<u8>]) -> Vec<u8> {
    [b"/".as_slice(), &place.join(&b'/')].concat()
}

fn resolved(from: &[Vec<u8>], name: &[u8]) -> Place {
    let mut place = if name.starts_with(b"/") {
        Vec::new()
    } else {
        from.to_vec()
    };
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                place.pop();
            }
            part => place.push(part.to_vec()),
        }
    }
    place
}
