//! The client's end of a data connection: made when the server says where, or waited for. An
//! upload's bytes are sent before the server reads the first of them; what comes is read, and the
//! connection closed behind it, while the server waits, as a client does that is quick.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::{Rc, Weak};

use crate::vigil::{self, Verdict, Watch};

/// A data connection, or a place for one.
#[derive(Default)]
pub(super) struct Data {
    own: Weak<RefCell<Self>>,
    listener: Option<TcpListener>,
    stream: Option<TcpStream>,
    sent: Option<Vec<u8>>,
    received: Vec<u8>,
    /// Of the listener, or of the stream.
    watch: Option<Watch>,
}

impl Data {
    /// Listens; the port, and what comes of it.
    pub(super) fn listening() -> io::Result<(u16, Rc<RefCell<Self>>)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let data = Self::shared();
        data.borrow_mut().watch = Some(watched(&data, listener.as_fd(), Self::accept)?);
        data.borrow_mut().listener = Some(listener);
        Ok((port, data))
    }

    /// Connects.
    pub(super) fn connected(to: SocketAddr) -> io::Result<Rc<RefCell<Self>>> {
        let data = Self::shared();
        data.borrow_mut().take(TcpStream::connect(to)?)?;
        Ok(data)
    }

    fn shared() -> Rc<RefCell<Self>> {
        Rc::new_cyclic(|own| {
            RefCell::new(Self {
                own: Weak::clone(own),
                ..Self::default()
            })
        })
    }

    fn take(&mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        if let Some(own) = self.own.upgrade() {
            self.watch = Some(watched(&own, stream.as_fd(), Self::hear)?);
        }
        self.stream = Some(stream);
        Ok(())
    }

    fn accept(&mut self) {
        if let Some(Ok((stream, _))) = self.listener.as_ref().map(TcpListener::accept) {
            self.listener = None;
            if self.take(stream).is_ok() {
                self.push();
            }
        }
    }

    /// Takes what is there, and closes behind the end.
    fn hear(&mut self) {
        if let Some(stream) = &mut self.stream
            && !read_all(stream, &mut self.received)
        {
            (self.stream, self.watch) = (None, None);
        }
    }

    /// What was sent, and what came; nothing comes later.
    pub(super) fn moved(&mut self) -> (Vec<u8>, Vec<u8>) {
        self.accept();
        self.hear();
        (self.sent.clone().unwrap_or_default(), self.received.clone())
    }

    /// Sends all there is and ends, at once or when somebody is there; once and for all.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        if self.sent.is_some() && self.listener.is_none() {
            return;
        }
        // A script has no line ends of its own.
        let bytes = bytes.iter().flat_map(|&byte| match byte {
            b'|' => b"\r\n".to_vec(),
            b'~' => b"\n".to_vec(),
            b'^' => b"\r".to_vec(),
            byte => vec![byte],
        });
        self.sent = Some(bytes.collect());
        self.push();
    }

    fn push(&mut self) {
        if let (Some(stream), Some(bytes)) = (&mut self.stream, &self.sent) {
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}

/// Calls `notice` when `fd` can be read, while somebody holds `data`.
fn watched(
    data: &Rc<RefCell<Data>>,
    fd: BorrowedFd<'_>,
    notice: fn(&mut Data),
) -> io::Result<Watch> {
    let data = Rc::downgrade(data);
    vigil::watch(fd, move || {
        if let Some(data) = data.upgrade() {
            notice(&mut data.borrow_mut());
        }
        Verdict::Stay
    })
}

/// Takes what is there; whether there may be more.
pub(super) fn read_all(stream: &mut TcpStream, into: &mut Vec<u8>) -> bool {
    match stream.read_to_end(into) {
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        Ok(_) => false,
    }
}
