//! The way of lines to the one process that writes them: a pipe for each log. A disk that is full or
//! frozen holds up that process and no other; who has a line puts it into the pipe, or drops and counts
//! it when nothing more fits in. Knows no processes.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{close, pipe2, read};

use super::journal::Sinks;
use super::sink::{Sink, Way};
use super::{JOURNAL, Which};

/// How many bytes of lines may be on their way; the kernel may allow fewer.
const CAPACITY: i32 = 1 << 20;

/// So much is read from a pipe at once.
const CHUNK: usize = 64 * 1024;

/// No line is longer. Whoever goes on without an end is not to fill the memory of the one who waits for it.
const LONGEST: usize = 4 * CHUNK;

/// The pipes, and where their lines go.
#[derive(Debug)]
pub struct Relay(Vec<Pipe>);

#[derive(Debug)]
struct Pipe {
    which: Which,
    /// Where lines are put in; `None`: nobody of us does any more.
    mouth: Option<OwnedFd>,
    end: OwnedFd,
    /// Whether anything is logged there.
    is_wanted: bool,
    /// What they are to be written to.
    target: Option<OwnedFd>,
}

impl Relay {
    /// A pipe for each log that there may ever be.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn open() -> io::Result<Self> {
        let pipes = Which::ALL.map(|which| {
            let (end, mouth) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
            // It is good to have, no more.
            let _ = fcntl(&mouth, FcntlArg::F_SETPIPE_SZ(CAPACITY));
            Ok(Pipe {
                which,
                mouth: Some(mouth),
                end,
                is_wanted: false,
                target: None,
            })
        });
        pipes.into_iter().collect::<io::Result<_>>().map(Self)
    }

    /// Has the lines for `sinks` go through the pipes. What `sinks` had open is what the process that
    /// writes them is to have: see [`Self::targets`].
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn divert(&mut self, sinks: &mut Sinks) -> io::Result<()> {
        for pipe in &mut self.0 {
            let is_missing = pipe.which == Which::Syslog && sinks.wants_syslog;
            let slot = sinks.slot(pipe.which);
            pipe.is_wanted = slot.is_some() || is_missing;
            if !pipe.is_wanted && pipe.which != Which::Syslog && pipe.target.is_some() {
                // Sessions that were born before go on putting lines in, and the old file is let go of.
                let nowhere = File::options().write(true).open("/dev/null")?;
                pipe.target = Some(nowhere.into());
            }
            if let (Some(mouth), true) = (&pipe.mouth, pipe.is_wanted) {
                let relayed = Sink::new(mouth.try_clone()?, Way::File);
                pipe.target = slot.replace(relayed).map(|sink| sink.descriptor);
            }
        }
        Ok(())
    }

    /// Where lines go now, log by log.
    pub fn targets(&self) -> impl Iterator<Item = (Which, &OwnedFd)> {
        self.0
            .iter()
            .filter_map(|pipe| Some((pipe.which, pipe.target.as_ref()?)))
    }

    /// Where to put the lines of each log that there is.
    pub fn mouths(&self) -> impl Iterator<Item = (Which, &OwnedFd)> {
        self.0
            .iter()
            .filter(|pipe| pipe.is_wanted)
            .filter_map(|pipe| Some((pipe.which, pipe.mouth.as_ref()?)))
    }

    /// Has the lines of a log go there.
    pub fn aim(&mut self, which: Which, target: OwnedFd) {
        if let Some(pipe) = self.0.iter_mut().find(|pipe| pipe.which == which) {
            pipe.target = Some(target);
        }
    }

    /// What has to be open in the process that writes.
    #[must_use]
    pub fn descriptors(&self) -> Vec<RawFd> {
        let targets = self.targets().map(|(_, target)| target.as_raw_fd());
        let ends = self.0.iter().map(|pipe| pipe.end.as_raw_fd());
        ends.chain(targets).collect()
    }

    /// Makes this process the one that writes: its own lines go to the targets, too.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn arrive(&self) -> io::Result<Arrivals> {
        if let Some(journal) = JOURNAL.get() {
            let targets = self.0.iter().map(|pipe| (pipe.which, pipe.target.as_ref()));
            journal.write_to(targets)?;
        }
        let pipes = self.0.iter().map(|pipe| {
            Ok(Arrival {
                which: pipe.which,
                end: pipe.end.try_clone()?,
                begun: Vec::new(),
            })
        });
        pipes.collect::<io::Result<_>>().map(Arrivals)
    }

    /// Closes what a child that has [`Self::arrive`]d was given of its master's: a file that was replaced
    /// would stay open here. The child never drops it.
    pub fn part(&self) {
        for fd in self.descriptors() {
            let _ = close(fd);
        }
    }

    /// Puts no more lines in, so that the one who writes finds an end.
    pub fn close(&mut self) {
        for pipe in &mut self.0 {
            pipe.mouth = None;
        }
        if let Some(journal) = JOURNAL.get() {
            journal.close();
        }
    }
}

/// The other ends of the pipes.
#[derive(Debug)]
pub struct Arrivals(Vec<Arrival>);

#[derive(Debug)]
struct Arrival {
    which: Which,
    end: OwnedFd,
    /// The beginning of a line whose rest has not been read.
    begun: Vec<u8>,
}

impl Arrivals {
    /// The pipes that are still open.
    pub fn ends(&self) -> impl Iterator<Item = &OwnedFd> {
        self.0.iter().map(|arrival| &arrival.end)
    }

    /// Takes what has come, whole lines of each log.
    pub fn take(&mut self) -> Vec<(Which, Vec<u8>)> {
        let mut taken = Vec::new();
        self.0.retain_mut(|arrival| {
            let mut lines = std::mem::take(&mut arrival.begun);
            let begun = lines.len();
            lines.resize(begun + CHUNK, 0);
            let got = read(&arrival.end, lines.get_mut(begun..).unwrap_or_default());
            let is_over = matches!(got, Ok(0));
            lines.truncate(begun + got.unwrap_or(0));
            if !is_over {
                let last = lines.iter().rposition(|&byte| byte == b'\n');
                arrival.begun = lines.split_off(last.map_or(0, |at| at + 1));
            }
            if arrival.begun.len() > LONGEST {
                lines.append(&mut arrival.begun);
                lines.push(b'\n');
            }
            if !lines.is_empty() {
                taken.push((arrival.which, lines));
            }
            !is_over
        });
        taken
    }
}
