//! The data connection: made within a time-out, only with the client, and closed so that both sides
//! know whether everything arrived.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use log::warn;
use nix::errno::Errno;
use nix::libc::{self, off_t};
use nix::sys::sendfile::sendfile;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::deflate::{Deflater, Inflater};
use super::error::Error;
use super::flow::{Flow, Way};
use super::ports;
use super::transfer::Progress;
use super::wire::Wire;
use crate::config::{self, SessionReuse, Truncation};
use crate::pipe::{self, Pipe};
use crate::proxy;
use crate::sys::queue;
use crate::tls;
use crate::vigil::{self, For};

/// Bystanders are looked at after so many bytes, even where nothing has to be waited for: a quick
/// client would otherwise never let an ABOR be heard.
const HEARD_EVERY: usize = 1024 * 1024;

/// What the kernel holds that it has not sent, of what is long: more would only be further away from the
/// processor when its turn comes, and memory of ours with a slow client.
const UNSENT: u32 = 128 * 1024;

/// How the next data connection is to be made.
#[derive(Debug)]
pub(super) enum Route {
    /// The client connects to us (PASV, EPSV).
    Passive(TcpListener),
    /// We connect to the client (PORT, EPRT); its address was checked.
    Active(SocketAddr),
    /// That is under way.
    Called(TcpStream),
    /// The client is there already.
    Met(TcpStream),
}

/// Who the two ends are, and how long each may take.
pub(super) struct Ends<'a> {
    /// The client's address, which is the only one that may connect.
    pub(super) peer: IpAddr,
    /// Our end of the control connection.
    pub(super) local: SocketAddr,
    /// Proxies through which, and only through which, the client may connect.
    pub(super) gateway: Option<&'a config::Proxy>,
    /// For the connection to be there.
    pub(super) connect: Duration,
    /// For the other end to take or to give some bytes.
    pub(super) stall: Duration,
    /// What TLS must do for it; `None`: it is in the clear.
    pub(super) protection: Option<Protection<'a>>,
    /// How hard it is packed (MODE Z); `None`: it is a plain stream.
    pub(super) level: Option<u8>,
    /// `peer=… session=…`
    pub(super) tag: &'a dyn std::fmt::Display,
}

/// TLS on a data connection.
pub(super) struct Protection<'a> {
    /// The control connection's, which it must resume if `reuse` says so.
    pub(super) session: &'a tls::Session,
    pub(super) reuse: SessionReuse,
    pub(super) truncation: Truncation,
}

/// Why a data connection did not come about under TLS: it did not resume the session.
#[derive(Debug)]
pub(super) struct Foreign;

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the TLS session of the control connection was not resumed")
    }
}

impl std::error::Error for Foreign {}

impl Foreign {
    /// Whether that is what `error` means.
    pub(super) fn is_cause_of(error: &io::Error) -> bool {
        error
            .get_ref()
            .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>)
    }
}

impl Protection<'_> {
    fn apply(&self, stream: TcpStream, ends: &Ends<'_>) -> io::Result<Wire> {
        let (mut stream, resumption) = self.session.accept_data(stream, ends.connect)?;
        match (resumption, self.reuse) {
            (tls::Resumption::Same, _) | (_, SessionReuse::Off) => {}
            (tls::Resumption::None, SessionReuse::Warn) => {
                warn!("data-not-resumed {}", ends.tag);
            }
            (tls::Resumption::None, SessionReuse::Require) => {
                return Err(io::Error::other(Foreign));
            }
        }
        stream.set_limit(ends.stall);
        Ok(Wire::Secure(Box::new(stream)))
    }
}

impl Route {
    /// The same, with the client if it has connected already: nothing is waited for.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn meet(self, ends: &Ends<'_>) -> io::Result<Self> {
        match self {
            Self::Passive(listener) if ends.gateway.is_none() => match listener.accept() {
                Ok((stream, from)) if from.ip().to_canonical() == ends.peer => {
                    Ok(Self::Met(stream))
                }
                Ok((_, from)) => {
                    warn_of_stranger(from.ip().to_canonical(), ends);
                    Ok(Self::Passive(listener))
                }
                Err(error) if is_passing(&error) => Ok(Self::Passive(listener)),
                Err(error) => Err(error),
            },
            route => Ok(route),
        }
    }

    /// Whether nothing more has to be waited for.
    pub(super) fn is_met(&self) -> bool {
        matches!(self, Self::Met(_))
    }

    /// Makes the connection; the listener is closed, whatever comes of it.
    ///
    /// # Errors
    /// `TimedOut`, what ended the wait, or what the kernel says.
    pub(super) fn open(
        self,
        ends: &Ends<'_>,
        flow: Flow,
        progress: &Rc<Progress>,
    ) -> io::Result<Link> {
        let stream = match self.meet(ends)? {
            Self::Met(stream) => stream,
            Self::Passive(listener) => accept(&listener, ends)?,
            Self::Active(address) => connect(address, ends)?,
            Self::Called(stream) => connected(stream, ends)?,
        };
        stream.set_nonblocking(true)?;
        let wire = match &ends.protection {
            None => Wire::Plain(stream),
            Some(protection) => {
                stream.set_nodelay(true)?;
                protection.apply(stream, ends)?
            }
        };
        Ok(Link {
            wire,
            truncation: ends
                .protection
                .as_ref()
                .map(|protection| (protection.truncation, ends.tag.to_string())),
            stall: ends.stall,
            flow,
            progress: Rc::clone(progress),
            level: ends.level,
            packer: None,
            unheard: 0,
            broken: None,
            is_prompt: ends.protection.is_some(),
            is_lean: false,
            before_waiting: None,
        })
    }
}

/// Accepts until the client itself is there: a stranger who was quicker is dropped and keeps nobody
/// out (RFC 2577 §2).
fn accept(listener: &TcpListener, ends: &Ends<'_>) -> io::Result<TcpStream> {
    let deadline = Instant::now().checked_add(ends.connect);
    let mut is_known = false;
    loop {
        vigil::wait_until(&[(listener.as_fd(), For::Reading)], deadline)?;
        match listener.accept() {
            Ok((stream, from)) => {
                let from = from.ip().to_canonical();
                if who(&stream, from, ends)? == Some(ends.peer) {
                    return Ok(stream);
                }
                if !std::mem::replace(&mut is_known, true) {
                    warn_of_stranger(from, ends);
                }
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

fn warn_of_stranger(from: IpAddr, ends: &Ends<'_>) {
    warn!("data-stranger {} from={from}", ends.tag);
}

/// Who has connected: `from`, or whoever the proxy says that it is; the client itself does not come
/// another way than through the proxy.
fn who(stream: &TcpStream, from: IpAddr, ends: &Ends<'_>) -> io::Result<Option<IpAddr>> {
    /// For a header, which a proxy sends at once.
    const PATIENCE: Duration = Duration::from_secs(5);
    match ends.gateway {
        None => Ok(Some(from)),
        Some(gateway) if !gateway.is_trusted(from) => Ok(None),
        Some(_) => {
            stream.set_nonblocking(true)?;
            let deadline = Instant::now().checked_add(PATIENCE.min(ends.connect));
            match proxy::receive(stream, deadline) {
                Ok(said) => Ok(said.map(|ends| ends.source.ip().to_canonical())),
                Err(error) if vigil::was_interrupted(&error) => Err(error),
                Err(_) => Ok(None),
            }
        }
    }
}

/// Errors of accept(2) that are the connection's, not the listener's.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Connects from the address that the client knows us by.
fn connect(address: SocketAddr, ends: &Ends<'_>) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.bind(&ports::with_port(ends.local, 0).into())?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => Err(error),
        _ => connected(socket.into(), ends),
    }
}

/// Waits for a connection that is under way.
fn connected(stream: TcpStream, ends: &Ends<'_>) -> io::Result<TcpStream> {
    vigil::wait(stream.as_fd(), For::Writing, Some(ends.connect))?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}

/// A data connection that is there.
pub(super) struct Link {
    wire: Wire,
    /// Under TLS: what an end without close_notify means, and whose it is, for the log.
    truncation: Option<(Truncation, String)>,
    stall: Duration,
    flow: Flow,
    progress: Rc<Progress>,
    /// Of MODE Z.
    level: Option<u8>,
    packer: Option<Packer>,
    /// Bytes that were moved since bystanders were last looked at.
    unheard: usize,
    /// The kernel reports a reset once and the end of the stream afterwards: what was once broken
    /// must not look as if it had ended well.
    broken: Option<io::ErrorKind>,
    /// What is written goes out at once, however little it is. What the kernel sends of itself needs
    /// no such care.
    is_prompt: bool,
    /// The kernel was told what it may hold.
    is_lean: bool,
    /// What must have happened before anything is waited for.
    before_waiting: Option<Box<dyn FnOnce()>>,
}

/// MODE Z, one way or the other.
enum Packer {
    In(Inflater),
    Out(Deflater),
}

impl Link {
    /// Whether the kernel can move bytes by itself: it can neither seal nor pack.
    pub(super) fn is_plain(&self) -> bool {
        !self.wire.is_secure() && self.level.is_none()
    }

    /// Sends a part of `file` from `offset` on without touching it; how much of it, 0 at its end.
    ///
    /// # Errors
    /// `Refused` (426) where the connection failed, `Failed` where the file did.
    pub(super) fn send_file(&mut self, file: &File, offset: u64, len: u64) -> Result<usize, Error> {
        let count = usize::try_from(len).map_or(HEARD_EVERY, |len| len.min(HEARD_EVERY));
        if count == HEARD_EVERY {
            self.keep_lean();
        }
        let granted = self.flow.grant(Way::Down, count);
        let count = granted.map_err(|error| Error::data(&error))?;
        let mut at = off_t::try_from(offset)
            .map_err(|_| Error::failed(451, "Storage error", "offset out of range"))?;
        // What the file says is kept apart from what the connection says.
        let sent = self.attempt(For::Writing, |wire| {
            match sendfile(wire.socket(), file, Some(&mut at), count) {
                Err(
                    errno @ (Errno::EAGAIN
                    | Errno::EINTR
                    | Errno::ECONNRESET
                    | Errno::EPIPE
                    | Errno::ETIMEDOUT),
                ) => Err(errno.into()),
                other => Ok(other),
            }
        });
        let sent = sent.map_err(|error| Error::data(&error))?;
        let sent = sent.map_err(|errno| Error::body(&errno.into()))?;
        self.passed(sent);
        Ok(sent)
    }

    /// Sends `bytes`, which are all that there is, so that they go together with the end; how many of them
    /// went now.
    ///
    /// # Errors
    /// `Refused` (426): the connection failed.
    pub(super) fn send_last(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let granted = self.flow.grant(Way::Down, bytes.len());
        let most = granted.map_err(|error| Error::data(&error))?;
        let bytes = bytes.get(..most).unwrap_or_default();
        let flags = libc::MSG_MORE | libc::MSG_NOSIGNAL;
        let sent = self.attempt(For::Writing, |wire| {
            SockRef::from(wire.socket()).send_with_flags(bytes, flags)
        });
        let sent = sent.map_err(|error| Error::data(&error))?;
        self.passed(sent);
        Ok(sent)
    }

    /// Has `notice` called before anything is waited for.
    pub(super) fn before_waiting(&mut self, notice: impl FnOnce() + 'static) {
        self.before_waiting = Some(Box::new(notice));
    }

    /// Has the kernel hold little that it has not sent.
    fn keep_lean(&mut self) {
        if !std::mem::replace(&mut self.is_lean, true) {
            // It is good to have, no more.
            let _ = SockRef::from(self.wire.socket()).set_tcp_notsent_lowat(UNSENT);
        }
    }

    fn will_wait(&mut self) {
        if let Some(notice) = self.before_waiting.take() {
            notice();
        }
    }

    /// Moves what is there, at most `most` bytes, into `pipe`, which must have room, without
    /// touching it; 0 at the end. `None`: the kernel cannot open what is sealed or packed.
    pub(super) fn pour(&mut self, pipe: BorrowedFd<'_>, most: usize) -> Option<io::Result<usize>> {
        if !self.is_plain() {
            return None;
        }
        let most = match self.flow.grant(Way::Up, most) {
            Ok(most) => most,
            Err(error) => return Some(Err(error)),
        };
        let poured = self.attempt(For::Reading, |wire| pipe::pour(wire.socket(), pipe, most));
        Some(poured.inspect(|count| self.passed(*count)))
    }

    /// Sends the `count` bytes that are in `pipe` without touching them.
    ///
    /// # Errors
    /// What the connection says; what is left in the pipe is lost.
    pub(super) fn drain(&mut self, pipe: &Pipe, count: usize) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            let most = self.flow.grant(Way::Down, left)?;
            let sent = self.attempt(For::Writing, |wire| pipe.empty(wire.socket(), most))?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.passed(sent);
            left = left.saturating_sub(sent);
        }
        Ok(())
    }

    /// Ends our side and returns when the client's kernel has acknowledged every byte; as long as
    /// that goes on, however slowly, it is no stall.
    ///
    /// # Errors
    /// The client reset the connection, or took nothing for too long.
    pub(super) fn finish(mut self) -> io::Result<()> {
        /// The end of a connection counts as one byte.
        const END: usize = 1;
        if let Some(level) = self.level {
            let mut deflater = self.deflater(level);
            deflater.end(&mut |packed| self.send(packed))?;
        }
        self.attempt(For::Writing, Wire::flush)?;
        self.wire.end()?;
        let mut left = usize::MAX;
        let mut moved = Instant::now();
        let mut nap = Duration::from_millis(1);
        let mut is_closed = false;
        loop {
            let now_left = queue::unacknowledged(self.wire.socket())?;
            if let Some(error) = self.wire.socket().take_error()? {
                return Err(error);
            }
            // That its end has come need not be known.
            if now_left <= END {
                return Ok(());
            }
            if now_left < left {
                (left, moved) = (now_left, Instant::now());
            } else if moved.elapsed() >= self.stall {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.will_wait();
            if is_closed {
                vigil::pause(nap)?;
            } else {
                is_closed = self.await_close(nap)?;
            }
            nap = (nap * 2).min(Duration::from_millis(100));
        }
    }

    /// Waits for the client to close its side, which most do at once; whether it has. What it sends
    /// on a connection for a download is nothing to us.
    fn await_close(&mut self, limit: Duration) -> io::Result<bool> {
        match vigil::wait(self.wire.as_fd(), For::Reading, Some(limit)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(false),
            Err(error) => return Err(error),
        }
        match self.wire.socket().read(&mut [0; 512]) {
            Ok(count) => Ok(count == 0),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Ends our side of an upload: under TLS the client may wait for it.
    pub(super) fn part(mut self) {
        if self.wire.is_secure() && self.broken.is_none() {
            let _ = self.wire.end();
        }
    }

    /// Waits until something can be read, at most `limit` long; whether that is so.
    ///
    /// # Errors
    /// The wait was ended by a bystander.
    pub(super) fn is_ready(&mut self, limit: Duration) -> io::Result<bool> {
        let has_unpacked = match &mut self.packer {
            Some(Packer::In(inflater)) => inflater.has_more(),
            _ => false,
        };
        if has_unpacked || self.broken.is_some() || self.wire.has_read_ahead() {
            return Ok(true);
        }
        match vigil::wait(self.wire.as_fd(), For::Reading, Some(limit)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether an end without close_notify passes for an end. Many clients never send one.
    fn is_excused(&self, error: &io::Error) -> bool {
        if error.kind() != io::ErrorKind::UnexpectedEof {
            return false;
        }
        match &self.truncation {
            None | Some((Truncation::Require, _)) => false,
            Some((Truncation::Ignore, _)) => true,
            Some((Truncation::Log, tag)) => {
                warn!("data-truncated {tag} bytes={}", self.progress.moved());
                true
            }
        }
    }

    fn passed(&mut self, count: usize) {
        self.unheard = self.unheard.saturating_add(count);
        self.progress.add(count);
        let moved = self.progress.moved();
        self.flow.passed(count, moved);
        if moved >= HEARD_EVERY as u64 {
            self.keep_lean();
        }
    }

    fn attempt<T>(
        &mut self,
        direction: For,
        mut call: impl FnMut(&mut Wire) -> io::Result<T>,
    ) -> io::Result<T> {
        if let Some(kind) = self.broken {
            return Err(kind.into());
        }
        // The client has just been told to send: its first bytes are hardly there.
        let is_first = direction == For::Reading && self.progress.moved() == 0;
        let mut must_wait = is_first || self.unheard >= HEARD_EVERY;
        loop {
            if must_wait {
                self.will_wait();
                if direction == For::Reading && self.wire.is_secure() {
                    // Many clients do not send their last record before the one ahead of it is
                    // acknowledged, for which the kernel would take its time.
                    let _ = SockRef::from(self.wire.socket()).set_tcp_quickack(true);
                }
            }
            let waited = if !must_wait {
                Ok(())
            } else if direction == For::Reading && self.wire.has_read_ahead() {
                vigil::pause(Duration::ZERO)
            } else {
                vigil::wait(self.wire.as_fd(), direction, Some(self.stall))
            };
            if must_wait {
                self.unheard = 0;
            }
            must_wait = true;
            let result = waited.and_then(|()| call(&mut self.wire));
            match result {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => {
                    // An interrupted wait is interrupted again, and must be known for what it is.
                    if !vigil::was_interrupted(&error) {
                        self.broken = Some(error.kind());
                    }
                    return Err(error);
                }
                done => return done,
            }
        }
    }
}

/// The bytes of files and those of the connection, which MODE Z makes two of. What is counted is the
/// file's: rates, limits and reports are about files.
impl Link {
    fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self.attempt(For::Reading, |wire| wire.read(room)) {
            Err(error) if self.is_excused(&error) => Ok(0),
            other => other,
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            let count = self.attempt(For::Writing, |wire| wire.write(left))?;
            left = left.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// Much can be packed and unpacked without a call to the connection.
    fn look_up(&mut self) -> io::Result<()> {
        if self.unheard >= HEARD_EVERY {
            self.will_wait();
            vigil::pause(Duration::ZERO)?;
            self.unheard = 0;
        }
        Ok(())
    }

    fn unpack(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut inflater = match self.packer.take() {
            Some(Packer::In(inflater)) => inflater,
            _ => Inflater::new(),
        };
        let count = self.unpack_with(&mut inflater, room);
        self.packer = Some(Packer::In(inflater));
        count
    }

    fn unpack_with(&mut self, inflater: &mut Inflater, room: &mut [u8]) -> io::Result<usize> {
        loop {
            self.look_up()?;
            match inflater.take(room)? {
                0 => {}
                count => return Ok(count),
            }
            let count = self.receive(inflater.room())?;
            inflater.came(count)?;
            if count == 0 {
                return Ok(0);
            }
        }
    }

    fn pack(&mut self, level: u8, bytes: &[u8]) -> io::Result<usize> {
        self.look_up()?;
        let mut deflater = self.deflater(level);
        let packed = deflater.put(bytes, &mut |packed| self.send(packed));
        self.packer = Some(Packer::Out(deflater));
        packed.map(|()| bytes.len())
    }

    fn deflater(&mut self, level: u8) -> Deflater {
        match self.packer.take() {
            Some(Packer::Out(deflater)) => deflater,
            _ => Deflater::new(level),
        }
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.flow.grant(Way::Up, buffer.len())?;
        let room = buffer.get_mut(..most).unwrap_or_default();
        let count = match self.level {
            None => self.receive(room)?,
            Some(_) => self.unpack(room)?,
        };
        self.passed(count);
        Ok(count)
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_prompt {
            self.wire.socket().set_nodelay(true)?;
            self.is_prompt = true;
        }
        let most = self.flow.grant(Way::Down, bytes.len())?;
        let bytes = bytes.get(..most).unwrap_or_default();
        let count = match self.level {
            None => self.attempt(For::Writing, |wire| wire.write(bytes))?,
            Some(level) => self.pack(level, bytes)?,
        };
        self.passed(count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.attempt(For::Writing, Wire::flush)
    }
}
