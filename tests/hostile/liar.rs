//! A tracker that asks a true one and says something else, and a storage node that says whatever it
//! is told to say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::PATIENCE;

/// What is sent of something endless before the liar gives up, in bytes.
pub(crate) const ENDLESS: u64 = 1 << 30;

/// What a liar says.
#[derive(Clone, Debug)]
pub(crate) enum Saying {
    /// This, and for a node: the end.
    Once(Vec<u8>),
    /// The first once, the second again and again, up to [`ENDLESS`].
    Endless(Vec<u8>, Vec<u8>),
    /// This, byte by byte, with so much time between them.
    Drops(Vec<u8>, Duration),
}

impl Saying {
    pub(crate) fn once(text: impl Into<Vec<u8>>) -> Self {
        Self::Once(text.into())
    }

    pub(crate) fn endless(first: &str, again: &str) -> Self {
        let block = again.repeat((1 << 16) / again.len());
        Self::Endless(first.into(), block.into())
    }
}

/// What a liar says at present, for tests that go through many lies.
#[derive(Clone)]
pub(crate) struct Present<T>(Arc<Mutex<T>>);

impl<T: Clone> Present<T> {
    pub(crate) fn new(lie: T) -> Self {
        Self(Arc::new(Mutex::new(lie)))
    }

    pub(crate) fn set(&self, lie: T) {
        *self.0.lock().unwrap() = lie;
    }

    pub(crate) fn get(&self) -> T {
        self.0.lock().unwrap().clone()
    }
}

/// A liar; it is there until the test ends.
pub(crate) struct Liar {
    pub(crate) address: SocketAddr,
    /// Who has come.
    pub(crate) callers: Arc<AtomicU64>,
    /// How much of what is endless has been taken, at most.
    pub(crate) taken: Arc<AtomicU64>,
}

impl Liar {
    /// Of a tracker: what it says instead of the line that the one at `truth` says, by the request's
    /// command.
    pub(crate) fn tracker(
        truth: SocketAddr,
        lie: impl Fn(&str, &str) -> Saying + Send + Sync + 'static,
    ) -> Self {
        Self::listen(move |stream, taken| {
            let mut asker = BufReader::new(stream);
            let mut oracle = BufReader::new(TcpStream::connect(truth)?);
            loop {
                let (mut request, mut reply) = (String::new(), String::new());
                if asker.read_line(&mut request)? == 0 {
                    return Ok(());
                }
                oracle.get_mut().write_all(request.as_bytes())?;
                oracle.read_line(&mut reply)?;
                let command = request.split(' ').next().unwrap_or_default().trim();
                say(asker.get_mut(), &lie(command, reply.trim_end()), taken)?;
            }
        })
    }

    /// Of a node: what it answers to each request, by the request's first line.
    pub(crate) fn node(answer: impl Fn(&str) -> Saying + Send + Sync + 'static) -> Self {
        Self::listen(move |stream, taken| {
            let mut asker = BufReader::new(stream);
            let (mut first, mut line) = (String::new(), String::new());
            asker.read_line(&mut first)?;
            while asker.read_line(&mut line)? > 2 {
                line.clear();
            }
            say(asker.get_mut(), &answer(first.trim_end()), taken)?;
            asker.get_mut().shutdown(std::net::Shutdown::Write)?;
            // A close with unread bytes would take the answer away again.
            let mut rest = asker.into_inner();
            std::io::copy(&mut rest, &mut std::io::sink()).map(|_| ())
        })
    }

    fn listen(
        serve: impl Fn(TcpStream, &AtomicU64) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let liar = Self {
            address: listener.local_addr().unwrap(),
            callers: Arc::default(),
            taken: Arc::default(),
        };
        let (callers, taken) = (Arc::clone(&liar.callers), Arc::clone(&liar.taken));
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                callers.fetch_add(1, Ordering::Relaxed);
                let (serve, taken) = (Arc::clone(&serve), Arc::clone(&taken));
                std::thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(PATIENCE));
                    let _ = stream.set_write_timeout(Some(PATIENCE));
                    // The other side may well hang up.
                    let _ = serve(stream, &taken);
                });
            }
        });
        liar
    }
}

fn say(to: &mut TcpStream, saying: &Saying, taken: &AtomicU64) -> std::io::Result<()> {
    let (first, again) = match saying {
        Saying::Once(text) => return to.write_all(text),
        Saying::Endless(first, again) => (first, again),
        Saying::Drops(text, pause) => {
            for byte in text {
                to.write_all(&[*byte])?;
                std::thread::sleep(*pause);
            }
            return Ok(());
        }
    };
    to.write_all(first)?;
    let mut sent = 0;
    while sent < ENDLESS {
        to.write_all(again)?;
        sent += again.len() as u64;
        taken.fetch_max(sent, Ordering::Relaxed);
    }
    Ok(())
}

/// The line `reply` with `field` changed to `value`, which is encoded already, or with the field
/// where there was none.
pub(crate) fn changed(reply: &str, field: &str, value: &str) -> String {
    let Some(fields) = reply.strip_prefix("OK ") else {
        return format!("{reply}\r\n");
    };
    let is_it = |pair: &&str| pair.split('=').next() == Some(field);
    let kept: Vec<&str> = fields.split('&').filter(|pair| !is_it(pair)).collect();
    format!("OK {field}={value}&{}\r\n", kept.join("&"))
}

/// The value of a field of the line, as it is encoded.
pub(crate) fn value<'r>(reply: &'r str, field: &str) -> Option<&'r str> {
    let fields = reply.strip_prefix("OK ")?;
    let mut values = fields
        .split('&')
        .filter_map(|pair| pair.strip_prefix(field)?.strip_prefix('='));
    values.next()
}

/// The whole of what comes.
pub(crate) fn read_all(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}
