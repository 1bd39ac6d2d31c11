//! A listening address that can be shut and opened again without losing its port, and that knows
//! who is inside. Faults use it to refuse connections and to throw everybody out.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

const BACKLOG: i32 = 1024;

/// One listening socket and its guests.
pub(crate) struct Door {
    listener: TcpListener,
    addr: SocketAddr,
    open: Mutex<bool>,
    opened: Condvar,
    guests: Mutex<BTreeMap<u64, TcpStream>>,
    next: AtomicU64,
}

/// A connection, held in the door's book until it is dropped.
pub(crate) struct Guest {
    pub(crate) id: u64,
    pub(crate) stream: TcpStream,
    door: Arc<Door>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        lock(&self.door.guests).remove(&self.id);
    }
}

impl Door {
    /// Binds and listens; port 0 takes any.
    pub(crate) fn bind(addr: SocketAddr) -> io::Result<Arc<Self>> {
        let listener = listen(addr)?;
        let addr = listener.local_addr()?;
        Ok(Arc::new(Self {
            listener,
            addr,
            open: Mutex::new(true),
            opened: Condvar::new(),
            guests: Mutex::default(),
            next: AtomicU64::new(1),
        }))
    }

    /// The real address.
    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Accepts for ever in a thread, and serves each connection in a thread of its own.
    pub(crate) fn serve<F>(self: &Arc<Self>, name: &str, serve: F) -> io::Result<()>
    where
        F: Fn(&Guest) + Send + Sync + 'static,
    {
        let door = Arc::clone(self);
        let serve = Arc::new(serve);
        let name = name.to_owned();
        thread::Builder::new()
            .name(format!("{name} door"))
            .spawn(move || {
                loop {
                    let Some(guest) = door.admit() else { continue };
                    let serve = Arc::clone(&serve);
                    let thread = thread::Builder::new()
                        .name(name.clone())
                        .stack_size(1 << 20);
                    // Without a thread the guest is dropped, which closes the connection.
                    let _ = thread.spawn(move || serve(&guest));
                }
            })?;
        Ok(())
    }

    /// Refuses new connections and ends the present ones.
    pub(crate) fn shut(&self) {
        let mut open = lock(&self.open);
        if std::mem::replace(&mut *open, false) {
            let _ = SockRef::from(&self.listener).shutdown(Shutdown::Read);
        }
        for stream in lock(&self.guests).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Takes connections again, on the same port.
    pub(crate) fn open(&self) {
        let mut open = lock(&self.open);
        if !*open && SockRef::from(&self.listener).listen(BACKLOG).is_ok() {
            *open = true;
            self.opened.notify_all();
        }
    }

    fn admit(self: &Arc<Self>) -> Option<Guest> {
        let open = lock(&self.open);
        let waited = self.opened.wait_while(open, |open| !*open);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        let Ok((stream, _)) = self.listener.accept() else {
            // Shut meanwhile, or out of descriptors: neither may spin.
            thread::sleep(Duration::from_millis(5));
            return None;
        };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let own = stream.try_clone().ok()?;
        lock(&self.guests).insert(id, own);
        let guest = Guest {
            id,
            stream,
            door: Arc::clone(self),
        };
        // Shut between accept and the book: the guest would otherwise stay.
        lock(&self.open).then_some(guest)
    }
}

/// A socket that is bound by number, also where any port was asked for: only such a socket keeps
/// its port over a shutdown.
fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let bind = |addr: SocketAddr| {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&addr.into())?;
        Ok::<_, io::Error>(socket)
    };
    let first = bind(addr)?;
    let socket = if addr.port() == 0 {
        let real = first.local_addr()?.as_socket().unwrap_or(addr);
        bind(real)?
    } else {
        first
    };
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A lock that does not care for a panic elsewhere.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shut_door_refuses_and_keeps_its_port() {
        let door = Door::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        door.serve("test", |_| {}).unwrap();
        for _ in 0..3 {
            assert!(TcpStream::connect(door.addr()).is_ok());
            door.shut();
            let refused = TcpStream::connect(door.addr()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            door.open();
        }
        assert!(TcpStream::connect(door.addr()).is_ok());
    }
}
