//! What MogileFS does not show and sessions tell each other, through the master: directories that
//! have no keys yet, when files were written, how the database sorts, who did not answer, which copies
//! are corrupt. It is bounded, and all of it can be lost without harm to any file.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;

use super::order::Order;
use crate::leash::News;
use crate::mogilefs::Gossip;

/// The most directories, and the most times; the oldest are forgotten.
const MOST: usize = 10_000;

/// The longest domain or prefix, in bytes: a key and its slash.
const LONGEST: usize = 256;

/// The most trackers and nodes that are known not to answer. Of more than that each session finds out
/// by itself.
const MOST_SHUNNED: usize = 100;

/// The most copies that are known to be corrupt.
const MOST_CORRUPT: usize = 100;

/// How many times go into one piece of news.
const TIMES: usize = 100;

/// What is known.
#[derive(Clone, Debug, Default)]
pub struct Lore {
    /// Domain and prefix, with its slash.
    dirs: BTreeSet<(Vec<u8>, Vec<u8>)>,
    dirs_by_age: VecDeque<(Vec<u8>, Vec<u8>)>,
    /// Seconds since the epoch, by fid: the bytes of a fid never change.
    times: HashMap<u64, i64>,
    times_by_age: VecDeque<u64>,
    order: Option<Order>,
    /// Trackers and nodes that did not answer. They come last until somebody is heard to have found
    /// them well, which is no session's business.
    shunned: BTreeSet<SocketAddr>,
    /// Copies, by fid and device, that have other bytes than the file. The latest are kept: they are few,
    /// or there is more to be done than to read others first.
    corrupt: VecDeque<(u64, u32)>,
}

impl Lore {
    /// Takes over what somebody has learned.
    pub fn learn(&mut self, news: &News) {
        match news {
            News::Made { domain, prefix } => self.make(domain, prefix),
            News::Unmade { domain, prefix } => self.unmake(domain, prefix),
            News::Times(times) => {
                for (fid, time) in times {
                    self.set_time(*fid, *time);
                }
            }
            News::Order(name) => self.order = Order::named(name),
            News::Failed(address) => self.shun(*address),
            News::Recovered(address) => {
                self.shunned.remove(address);
            }
            News::Corrupt { fid, device } => self.set_corrupt(*fid, *device),
        }
    }

    /// What is worth telling to another master: the directories, the oldest first, and the order.
    pub fn news(&self) -> impl Iterator<Item = News> {
        let dirs = self.dirs_by_age.iter().map(|(domain, prefix)| News::Made {
            domain: domain.clone(),
            prefix: prefix.clone(),
        });
        let order = self.order.map(|order| News::Order(order.name().to_owned()));
        dirs.chain(order)
    }

    fn make(&mut self, domain: &[u8], prefix: &[u8]) {
        // Whoever tells may be anybody: what no session of ours would make is not kept.
        if domain.len() > LONGEST || prefix.len() > LONGEST {
            return;
        }
        let dir = (domain.to_vec(), prefix.to_vec());
        if self.dirs.insert(dir.clone()) {
            self.dirs_by_age.push_back(dir);
        }
        while self.dirs.len() > MOST {
            let Some(oldest) = self.dirs_by_age.pop_front() else {
                return;
            };
            self.dirs.remove(&oldest);
        }
    }

    fn unmake(&mut self, domain: &[u8], prefix: &[u8]) {
        if self.dirs.remove(&(domain.to_vec(), prefix.to_vec())) {
            let is_other = |dir: &(Vec<u8>, Vec<u8>)| dir.0 != domain || dir.1 != prefix;
            self.dirs_by_age.retain(is_other);
        }
    }

    fn shun(&mut self, address: SocketAddr) {
        if self.shunned.len() < MOST_SHUNNED {
            self.shunned.insert(address);
        }
    }

    fn set_corrupt(&mut self, fid: u64, device: u32) {
        if self.corrupt.contains(&(fid, device)) {
            return;
        }
        if self.corrupt.len() == MOST_CORRUPT {
            self.corrupt.pop_front();
        }
        self.corrupt.push_back((fid, device));
    }

    /// Who does not answer.
    pub fn shunned(&self) -> impl Iterator<Item = SocketAddr> {
        self.shunned.iter().copied()
    }

    /// Whether it is known not to answer.
    #[must_use]
    pub fn is_shunned(&self, address: SocketAddr) -> bool {
        self.shunned.contains(&address)
    }

    /// A time once known stays.
    fn set_time(&mut self, fid: u64, time: i64) {
        if self.times.contains_key(&fid) {
            return;
        }
        self.times.insert(fid, time);
        self.times_by_age.push_back(fid);
        if self.times.len() > MOST
            && let Some(oldest) = self.times_by_age.pop_front()
        {
            self.times.remove(&oldest);
        }
    }

    /// The directory with `prefix` and all those in it.
    fn below<'l>(&'l self, domain: &[u8], prefix: &'l [u8]) -> impl Iterator<Item = &'l [u8]> {
        let first = (domain.to_vec(), prefix.to_vec());
        self.dirs
            .range(first.clone()..)
            .take_while(move |(in_domain, dir)| *in_domain == first.0 && dir.starts_with(prefix))
            .map(|(_, dir)| dir.as_slice())
    }
}

/// One session's hold on what is known; what it learns it tells.
#[derive(Clone)]
pub struct Shared {
    lore: Rc<RefCell<Lore>>,
    tell: Rc<dyn Fn(&News)>,
    agree: Rc<dyn Fn()>,
}

impl Default for Shared {
    /// Known to nobody else.
    fn default() -> Self {
        Self::new(Lore::default(), |_| {})
    }
}

impl Shared {
    /// `tell` is called with what is news to others.
    pub fn new(lore: Lore, tell: impl Fn(&News) + 'static) -> Self {
        Self {
            lore: Rc::new(RefCell::new(lore)),
            tell: Rc::new(tell),
            agree: Rc::new(|| {}),
        }
    }

    /// `agree` returns when what was told before is known to all, and what others had told is
    /// [learned](Self::learn).
    #[must_use]
    pub fn agreeing(mut self, agree: impl Fn() + 'static) -> Self {
        self.agree = Rc::new(agree);
        self
    }

    /// Takes over what somebody else has learned.
    pub fn learn(&self, news: &News) {
        self.lore.borrow_mut().learn(news);
    }

    fn say(&self, news: &News) {
        self.learn(news);
        (self.tell)(news);
    }

    /// Has this session know what others had told by now.
    pub(super) fn catch_up(&self) {
        (self.agree)();
    }

    /// Returns when all sessions know the directory: a client may have several, and go there in
    /// another one.
    pub(super) fn make_dir(&self, domain: &[u8], prefix: &[u8]) {
        self.say(&News::Made {
            domain: domain.to_vec(),
            prefix: prefix.to_vec(),
        });
        (self.agree)();
    }

    /// Forgets the directory; `false` if nobody had made it.
    pub(super) fn forget_dir(&self, domain: &[u8], prefix: &[u8]) -> bool {
        let dir = (domain.to_vec(), prefix.to_vec());
        if !self.lore.borrow().dirs.contains(&dir) {
            return false;
        }
        let (domain, prefix) = dir;
        self.say(&News::Unmade { domain, prefix });
        (self.agree)();
        true
    }

    /// Whether this directory, or one in it, was made.
    pub(super) fn has_dir(&self, domain: &[u8], prefix: &[u8]) -> bool {
        self.lore.borrow().below(domain, prefix).next().is_some()
    }

    /// The directory with `prefix`, if it was made, and all those in it that were.
    pub(super) fn dirs_below(&self, domain: &[u8], prefix: &[u8]) -> Vec<Vec<u8>> {
        let lore = self.lore.borrow();
        lore.below(domain, prefix).map(<[u8]>::to_vec).collect()
    }

    /// The names of directories that are in the one with `prefix`.
    pub(super) fn names_in(&self, domain: &[u8], prefix: &[u8]) -> BTreeSet<Vec<u8>> {
        let lore = self.lore.borrow();
        lore.below(domain, prefix)
            .filter_map(|dir| dir.get(prefix.len()..)?.split(|&byte| byte == b'/').next())
            .filter(|name| !name.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    }

    pub(super) fn time(&self, fid: u64) -> Option<i64> {
        self.lore.borrow().times.get(&fid).copied()
    }

    pub(super) fn keep_times(&self, times: &[(u64, i64)]) {
        for some in times.chunks(TIMES) {
            self.say(&News::Times(some.to_vec()));
        }
    }

    pub(super) fn order(&self) -> Option<Order> {
        self.lore.borrow().order
    }

    pub(super) fn keep_order(&self, order: Order) {
        self.say(&News::Order(order.name().to_owned()));
    }
}

impl Gossip for Shared {
    fn is_shunned(&self, address: SocketAddr) -> bool {
        self.lore.borrow().is_shunned(address)
    }

    fn failed(&self, address: SocketAddr) {
        if !self.is_shunned(address) {
            self.say(&News::Failed(address));
        }
    }

    fn is_corrupt(&self, fid: u64, device: u32) -> bool {
        self.lore.borrow().corrupt.contains(&(fid, device))
    }

    fn corrupt(&self, fid: u64, device: u32) {
        if !self.is_corrupt(fid, device) {
            self.say(&News::Corrupt { fid, device });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_did_not_answer_is_told_once_and_forgiven_when_somebody_says_so() {
        let told = Rc::new(RefCell::new(Vec::new()));
        let ear = Rc::clone(&told);
        let one = Shared::new(Lore::default(), move |news| {
            ear.borrow_mut().push(news.clone());
        });
        let (mut later, address) = (Lore::default(), SocketAddr::from(([127, 0, 0, 1], 1)));
        one.failed(address);
        one.failed(address);
        assert_eq!(*told.borrow(), [News::Failed(address)]);
        later.learn(&told.borrow()[0]);
        assert!(one.is_shunned(address) && later.is_shunned(address));
        for lore in [&mut later, &mut one.lore.borrow_mut()] {
            lore.learn(&News::Recovered(address));
        }
        assert!(!one.is_shunned(address) && !later.is_shunned(address));
    }

    #[test]
    fn a_corrupt_copy_is_told_of_once_and_the_latest_are_kept() {
        let told = Rc::new(RefCell::new(Vec::new()));
        let ear = Rc::clone(&told);
        let one = Shared::new(Lore::default(), move |news| {
            ear.borrow_mut().push(news.clone());
        });
        one.corrupt(7, 2);
        one.corrupt(7, 2);
        assert_eq!(*told.borrow(), [News::Corrupt { fid: 7, device: 2 }]);
        assert!(one.is_corrupt(7, 2) && !one.is_corrupt(8, 2) && !one.is_corrupt(7, 3));
        for fid in 8..8 + MOST_CORRUPT as u64 {
            one.corrupt(fid, 2);
        }
        assert!(!one.is_corrupt(7, 2) && one.is_corrupt(8, 2));
        assert_eq!(one.lore.borrow().corrupt.len(), MOST_CORRUPT);
    }

    #[test]
    fn made_directories_are_there_until_they_are_removed() {
        let lore = Shared::default();
        lore.make_dir(b"d", b"photos/a/b/");
        lore.make_dir(b"d", b"photos/a/c/");
        lore.make_dir(b"d", b"photos/x/");
        assert!(lore.has_dir(b"d", b"photos/a/"));
        assert!(!lore.has_dir(b"e", b"photos/a/"));
        assert!(!lore.has_dir(b"d", b"photos/a/bc/"));
        let names = |prefix| Vec::from_iter(lore.names_in(b"d", prefix));
        assert_eq!(names(b"photos/"), [b"a", b"x"]);
        assert_eq!(names(b"photos/a/"), [b"b", b"c"]);
        assert!(names(b"photos/x/").is_empty());
        assert!(lore.forget_dir(b"d", b"photos/a/b/"));
        assert!(!lore.forget_dir(b"d", b"photos/a/"));
        assert!(!lore.has_dir(b"d", b"photos/a/b/"));
    }

    #[test]
    fn what_one_learns_all_are_told() {
        let other = Shared::default();
        let listener = other.clone();
        let one = Shared::new(Lore::default(), move |news| listener.learn(news));
        one.make_dir(b"d", b"photos/a/");
        one.keep_order(Order::Ci);
        one.keep_times(&[(1, 10), (2, 20)]);
        one.keep_times(&[(1, 11)]);
        assert!(other.has_dir(b"d", b"photos/a/"));
        assert_eq!(other.order(), Some(Order::Ci));
        assert_eq!((other.time(1), other.time(2)), (Some(10), Some(20)));
        one.forget_dir(b"d", b"photos/a/");
        assert!(!other.has_dir(b"d", b"photos/a/"));
    }

    #[test]
    fn what_could_be_no_key_is_not_kept() {
        let mut lore = Lore::default();
        let prefix = vec![b'p'; LONGEST + 1];
        lore.learn(&News::Made {
            domain: b"d".to_vec(),
            prefix,
        });
        assert!(lore.dirs.is_empty());
    }

    #[test]
    fn the_oldest_are_forgotten_when_there_are_too_many() {
        let lore = Shared::default();
        let times: Vec<(u64, i64)> = (0..=MOST as u64).map(|fid| (fid, 1)).collect();
        lore.keep_times(&times);
        assert_eq!(lore.time(0), None);
        assert_eq!(lore.time(MOST as u64), Some(1));
        for number in 0..=MOST {
            lore.make_dir(b"d", format!("c/{number}/").as_bytes());
        }
        assert!(!lore.has_dir(b"d", b"c/0/"));
        assert!(lore.has_dir(b"d", b"c/1/"));
    }
}
