//! What the tracker does to storage nodes itself: look at a size, compute a checksum, copy, delete.
//! Directly on disk where the device is in this process, over HTTP where it is not.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::faults::Side;
use crate::node::{Device, Node};
use crate::store::{Algorithm, Checksum, Digest, Fid};

const CONNECT: Duration = Duration::from_secs(2);

/// What a look at a file on a device says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Known(u64),
    Missing,
    Unreachable,
    /// No answer within the watchdog's time.
    Hung,
}

/// How large is this fid on this device?
pub(crate) fn size(node: &Node, device: &Device, fid: Fid) -> Size {
    if node.faults.is_quiet()
        && let Some(path) = device.file(fid)
    {
        return fs::metadata(path).map_or(Size::Missing, |about| Size::Known(about.len()));
    }
    match request("HEAD", device, fid, "", node.patience.watchdog) {
        Ok((200, length, _)) => length.map_or(Size::Unreachable, Size::Known),
        Ok((404, ..)) => Size::Missing,
        Err(error) if is_timeout(&error) => Size::Hung,
        Ok(_) | Err(_) => Size::Unreachable,
    }
}

/// The checksum of a copy.
pub(crate) fn digest(device: &Device, fid: Fid, algorithm: Algorithm) -> io::Result<Checksum> {
    let mut source = read(device, fid)?;
    let mut digest = Digest::new(algorithm);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = source.read(&mut buffer)?;
        if count == 0 {
            return Ok(digest.checksum());
        }
        digest.update(buffer.get(..count).unwrap_or_default());
    }
}

/// Makes a copy on another device.
pub(crate) fn copy(node: &Node, from: &Device, to: &Device, fid: Fid) -> io::Result<()> {
    let shut = |device: &Device| node.faults.shuts(Side::Device, device.id);
    if shut(from) || shut(to) {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    let mut source = read(from, fid)?;
    if let Some(path) = to.file(fid) {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        io::copy(&mut source, &mut File::create(path)?)?;
        return Ok(());
    }
    let mut body = Vec::new();
    source.read_to_end(&mut body)?;
    let mut stream = connect(to, node.patience.watchdog)?;
    let path = crate::device::path_of(to.id, fid);
    let length = body.len();
    write!(
        stream,
        "PUT {path} HTTP/1.0\r\nHost: node\r\nContent-Length: {length}\r\n\r\n"
    )?;
    stream.write_all(&body)?;
    let (status, ..) = response(stream)?;
    if status == 200 {
        Ok(())
    } else {
        Err(io::ErrorKind::Other.into())
    }
}

/// Removes a copy.
pub(crate) fn delete(node: &Node, device: &Device, fid: Fid) {
    match device.file(fid) {
        Some(path) => {
            let _ = fs::remove_file(path);
        }
        None => {
            let _ = request("DELETE", device, fid, "", node.patience.watchdog);
        }
    }
}

/// Does the node answer at all?
pub(crate) fn is_up(device: &Device) -> bool {
    let path = format!("/dev{}/usage", device.id);
    let asked = connect(device, CONNECT).and_then(|mut stream| {
        write!(stream, "HEAD {path} HTTP/1.0\r\nHost: node\r\n\r\n")?;
        response(stream)
    });
    matches!(asked, Ok((200, ..)))
}

fn read(device: &Device, fid: Fid) -> io::Result<Box<dyn Read>> {
    if let Some(path) = device.file(fid) {
        return Ok(Box::new(File::open(path)?));
    }
    let (status, length, body) = request("GET", device, fid, "", CONNECT)?;
    match length {
        Some(length) if status == 200 => Ok(Box::new(body.take(length))),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

type Response = (u16, Option<u64>, BufReader<TcpStream>);

fn request(
    method: &str,
    device: &Device,
    fid: Fid,
    headers: &str,
    patience: Duration,
) -> io::Result<Response> {
    let mut stream = connect(device, patience)?;
    let path = crate::device::path_of(device.id, fid);
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: node\r\n{headers}\r\n"
    )?;
    response(stream)
}

fn connect(device: &Device, patience: Duration) -> io::Result<TcpStream> {
    let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
    let stream = TcpStream::connect_timeout(&device.addr, CONNECT).map_err(refused)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

fn response(stream: TcpStream) -> io::Result<Response> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or(io::ErrorKind::InvalidData)?;
    let mut length = None;
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            return Ok((status, length, reader));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
