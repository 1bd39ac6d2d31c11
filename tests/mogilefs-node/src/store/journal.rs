//! The append log: every change of the store as one line, written before the answer goes out, read
//! back at the next start. A last line that was cut is dropped. What a change does is not here.

use std::fs::{File as Disk, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::{Checksum, Class, ClassId, DeviceId, DomainId, Fid, File, Temp};
use crate::codec::{decode, encoded};

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    Domain(DomainId, Vec<u8>),
    NoDomain(DomainId),
    Class(DomainId, Class),
    NoClass(DomainId, ClassId),
    Temp(Fid, Temp),
    NoTemp(Fid),
    File(File),
    NoFile(Fid),
    Setting(Vec<u8>, Vec<u8>),
    Fill {
        domain: DomainId,
        class: ClassId,
        prefix: Vec<u8>,
        count: u64,
        size: u64,
        base: Fid,
    },
}

impl Event {
    fn line(&self) -> String {
        let fields: Vec<String> = match self {
            Self::Domain(id, name) => row(&["domain", &id.to_string(), &encoded(name)]),
            Self::NoDomain(id) => row(&["no-domain", &id.to_string()]),
            Self::Class(domain, class) => row(&[
                "class",
                &domain.to_string(),
                &class.id.to_string(),
                &class.mindevcount.to_string(),
                &encoded(class.hashtype.as_bytes()),
                &encoded(class.replpolicy.as_bytes()),
                &encoded(&class.name),
            ]),
            Self::NoClass(domain, id) => row(&["no-class", &domain.to_string(), &id.to_string()]),
            Self::Temp(fid, temp) => row(&[
                "temp",
                &fid.to_string(),
                &temp.domain.to_string(),
                &temp.class.to_string(),
                &temp.opened.to_string(),
                &list(&temp.devices),
                &encoded(&temp.key),
            ]),
            Self::NoTemp(fid) => row(&["no-temp", &fid.to_string()]),
            Self::File(file) => row(&[
                "file",
                &file.fid.to_string(),
                &file.domain.to_string(),
                &file.class.to_string(),
                &file.length.to_string(),
                &list(&file.copies),
                &file
                    .checksum
                    .as_ref()
                    .map(Checksum::to_string)
                    .unwrap_or_default(),
                &encoded(&file.key),
            ]),
            Self::NoFile(fid) => row(&["no-file", &fid.to_string()]),
            Self::Setting(key, value) => row(&["setting", &encoded(key), &encoded(value)]),
            Self::Fill {
                domain,
                class,
                prefix,
                count,
                size,
                base,
            } => row(&[
                "fill",
                &domain.to_string(),
                &class.to_string(),
                &encoded(prefix),
                &count.to_string(),
                &size.to_string(),
                &base.to_string(),
            ]),
        };
        fields.join("\t") + "\n"
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = Fields(line.split('\t'));
        let event = match fields.next()? {
            "domain" => Self::Domain(fields.number()?, fields.bytes()?),
            "no-domain" => Self::NoDomain(fields.number()?),
            "class" => {
                let domain = fields.number()?;
                let (id, mindevcount) = (fields.number()?, fields.number()?);
                let (hashtype, replpolicy) = (fields.text()?, fields.text()?);
                let name = fields.bytes()?;
                Self::Class(
                    domain,
                    Class {
                        id,
                        name,
                        mindevcount,
                        hashtype,
                        replpolicy,
                    },
                )
            }
            "no-class" => Self::NoClass(fields.number()?, fields.number()?),
            "temp" => {
                let fid = fields.number()?;
                let (domain, class) = (fields.number()?, fields.number()?);
                let opened = fields.number()?;
                let (devices, key) = (fields.devices()?, fields.bytes()?);
                Self::Temp(
                    fid,
                    Temp {
                        domain,
                        class,
                        opened,
                        devices,
                        key,
                    },
                )
            }
            "no-temp" => Self::NoTemp(fields.number()?),
            "file" => Self::File(fields.file()?),
            "no-file" => Self::NoFile(fields.number()?),
            "setting" => Self::Setting(fields.bytes()?, fields.bytes()?),
            "fill" => Self::Fill {
                domain: fields.number()?,
                class: fields.number()?,
                prefix: fields.bytes()?,
                count: fields.number()?,
                size: fields.number()?,
                base: fields.number()?,
            },
            _ => return None,
        };
        Some(event)
    }
}

/// The fields of a line, read one after the other.
struct Fields<'a>(std::str::Split<'a, char>);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    fn number<T: std::str::FromStr>(&mut self) -> Option<T> {
        self.next()?.parse().ok()
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        self.next().map(|field| decode(field.as_bytes()))
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?).ok()
    }

    fn devices(&mut self) -> Option<Vec<DeviceId>> {
        Some(
            self.next()?
                .split(',')
                .filter_map(|id| id.parse().ok())
                .collect(),
        )
    }

    fn file(&mut self) -> Option<File> {
        let (fid, domain, class) = (self.number()?, self.number()?, self.number()?);
        let length = self.number()?;
        let copies = self.devices()?;
        let checksum = Checksum::parse(self.next()?.as_bytes());
        let key = self.bytes()?;
        Some(File {
            fid,
            domain,
            class,
            length,
            copies,
            checksum,
            key,
        })
    }
}

fn row(fields: &[&str]) -> Vec<String> {
    fields.iter().map(|field| (*field).to_owned()).collect()
}

fn list(devices: &[DeviceId]) -> String {
    devices
        .iter()
        .map(DeviceId::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

/// The log itself, open for appending.
pub(crate) struct Journal(Disk);

impl Journal {
    /// Opens or makes the log and hands every event in it to `apply`.
    pub(crate) fn open(path: &Path, mut apply: impl FnMut(Event)) -> io::Result<Self> {
        let mut disk = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut bytes = Vec::new();
        disk.read_to_end(&mut bytes)?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        for line in bytes
            .get(..whole)
            .unwrap_or_default()
            .split(|byte| *byte == b'\n')
        {
            if let Some(event) = std::str::from_utf8(line).ok().and_then(Event::parse) {
                apply(event);
            }
        }
        let end = u64::try_from(whole).unwrap_or(u64::MAX);
        disk.set_len(end)?;
        disk.seek(SeekFrom::Start(end))?;
        Ok(Self(disk))
    }

    /// Writes one event, in one call.
    pub(crate) fn write(&mut self, event: &Event) -> io::Result<()> {
        self.0.write_all(event.line().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_survives_its_line() {
        let class = Class {
            id: 3,
            name: b"my class\t".to_vec(),
            mindevcount: 2,
            hashtype: "SHA-1".to_owned(),
            replpolicy: "MultipleHosts()".to_owned(),
        };
        let temp = Temp {
            domain: 1,
            class: 0,
            opened: 77,
            devices: vec![1, 3],
            key: b"\0\n".to_vec(),
        };
        let file = File {
            fid: 9,
            domain: 1,
            class: 0,
            length: 5,
            copies: vec![2],
            checksum: Checksum::parse(b"MD5:5d41402abc4b2a76b9719d911017c592"),
            key: b"a\tb\n\xff".to_vec(),
        };
        let prefix = b"big/".to_vec();
        for event in [
            Event::Domain(1, b"test domain".to_vec()),
            Event::NoDomain(1),
            Event::Class(1, class),
            Event::NoClass(1, 3),
            Event::Temp(8, temp),
            Event::NoTemp(8),
            Event::File(File {
                checksum: None,
                ..file.clone()
            }),
            Event::File(file),
            Event::NoFile(9),
            Event::Setting(b"k".to_vec(), b"".to_vec()),
            Event::Fill {
                domain: 1,
                class: 0,
                prefix,
                count: 10,
                size: 0,
                base: 100,
            },
        ] {
            let line = event.line();
            assert_eq!(
                Event::parse(line.trim_end_matches('\n')),
                Some(event),
                "{line}"
            );
        }
    }
}
