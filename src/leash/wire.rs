//! Messages as bytes: a tag, then the fields in order; numbers big-endian, texts and lists behind
//! their length. Whatever is too long, too short or left over is malformed. A master writes down
//! for its successor in the same way.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// No field is longer: more than any line of a client.
pub(super) const LONGEST_FIELD: usize = 8 * 1024;

/// No list has more items.
pub(super) const LONGEST_LIST: usize = 128;

/// The packet is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed message")
    }
}

impl std::error::Error for Malformed {}

impl From<Malformed> for io::Error {
    fn from(malformed: Malformed) -> Self {
        Self::new(io::ErrorKind::InvalidData, malformed)
    }
}

/// A packet being made.
#[derive(Debug)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// One with this tag, and no fields so far.
    #[must_use]
    pub fn new(tag: u8) -> Self {
        // Room enough, so that no packet with a password leaves copies of itself behind.
        let mut packet = Vec::with_capacity(2048);
        packet.push(tag);
        Self(packet)
    }

    /// The packet.
    #[must_use]
    pub fn end(self) -> Vec<u8> {
        self.0
    }

    #[must_use]
    pub fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    #[must_use]
    pub fn number(mut self, number: u32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    /// A number of the kernel's that is never negative: of a process, a descriptor, an error.
    #[must_use]
    pub fn natural(self, number: i32) -> Self {
        self.number(number.unsigned_abs())
    }

    #[must_use]
    pub fn size(mut self, size: u64) -> Self {
        self.0.extend(size.to_be_bytes());
        self
    }

    /// Cut where it is too long.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        let bytes = bytes.get(..LONGEST_FIELD).unwrap_or(bytes);
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_be_bytes());
        self.0.extend(bytes);
        self
    }

    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => {
                self.0.push(4);
                self.0.extend(address.octets());
            }
            IpAddr::V6(address) => {
                self.0.push(6);
                self.0.extend(address.octets());
            }
        }
        self
    }

    #[must_use]
    pub fn socket(mut self, socket: SocketAddr) -> Self {
        self = self.address(socket.ip());
        self.0.extend(socket.port().to_be_bytes());
        self
    }

    #[must_use]
    pub fn time(mut self, (fid, time): (u64, i64)) -> Self {
        self.0.extend(fid.to_be_bytes());
        self.0.extend(time.to_be_bytes());
        self
    }

    /// Cut where there are too many.
    #[must_use]
    pub fn list<T: Copy>(mut self, items: &[T], item: fn(Self, T) -> Self) -> Self {
        let items = items.get(..LONGEST_LIST).unwrap_or(items);
        self = self.byte(u8::try_from(items.len()).unwrap_or(u8::MAX));
        for one in items {
            self = item(self, *one);
        }
        self
    }
}

/// A packet being read.
#[derive(Debug)]
pub struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// Of a packet.
    #[must_use]
    pub fn new(packet: &'a [u8]) -> Self {
        Self(packet)
    }

    /// Whether everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    /// # Errors
    /// [`Malformed`].
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    /// # Errors
    /// [`Malformed`].
    pub fn size(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// # Errors
    /// [`Malformed`].
    pub fn number(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// See [`Writer::natural`].
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn natural(&mut self) -> Result<i32, Malformed> {
        i32::try_from(self.number()?).map_err(|_| Malformed)
    }

    /// # Errors
    /// [`Malformed`].
    pub fn bytes(&mut self) -> Result<Vec<u8>, Malformed> {
        let length = u16::from_be_bytes(self.array()?).into();
        if length > LONGEST_FIELD {
            return Err(Malformed);
        }
        self.take(length).map(<[u8]>::to_vec)
    }

    /// # Errors
    /// [`Malformed`].
    pub fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    /// # Errors
    /// [`Malformed`].
    pub fn address(&mut self) -> Result<IpAddr, Malformed> {
        match self.byte()? {
            4 => Ok(Ipv4Addr::from(self.array::<4>()?).into()),
            6 => Ok(Ipv6Addr::from(self.array::<16>()?).into()),
            _ => Err(Malformed),
        }
    }

    /// # Errors
    /// [`Malformed`].
    pub fn socket(&mut self) -> Result<SocketAddr, Malformed> {
        let address = self.address()?;
        Ok((address, u16::from_be_bytes(self.array()?)).into())
    }

    /// # Errors
    /// [`Malformed`].
    pub fn time(&mut self) -> Result<(u64, i64), Malformed> {
        Ok((
            u64::from_be_bytes(self.array()?),
            i64::from_be_bytes(self.array()?),
        ))
    }

    /// # Errors
    /// [`Malformed`].
    pub fn list<T>(
        &mut self,
        item: fn(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = usize::from(self.byte()?);
        if count > LONGEST_LIST {
            return Err(Malformed);
        }
        (0..count).map(|_| item(self)).collect()
    }
}
