//! What the fields of an answer say. Whatever is missing or makes no sense there is an error or is
//! left out, never made up; what is counted is read as far as it is there, whatever the count says.
#![forbid(unsafe_code)]

use crate::mogilefs::wire::Fields;
use crate::mogilefs::{Device, Domain, Error, Fate, Object, Opened, Row, Target};

/// The most rows that a tracker gives at once.
const ROWS: u32 = 500;

pub(super) fn object(fields: &Fields) -> Result<Object, Error> {
    match (fields.number("fid"), fields.number("length")) {
        (Some(fid), Some(length)) => Ok(Object {
            fid,
            length,
            class: fields.bytes("class").unwrap_or_default().to_vec(),
            md5: fields.text("checksum").and_then(md5),
        }),
        _ => Err(Error::Protocol("file_info: no fid or no length".to_owned())),
    }
}

/// `MD5:` and 32 hex digits.
fn md5(text: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix("MD5:")?;
    let is_sum = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let sum = u128::from_str_radix(digits, 16).ok().filter(|_| is_sum)?;
    Some(sum.to_be_bytes())
}

/// No more places of a file are looked at: a tracker names three or four.
const PLACES: u32 = 32;

/// `name1` … `nameN`, where `count` says how many; what is not UTF-8 is no URL.
pub(super) fn listed(mut fields: Fields, name: &str, count: &str) -> Vec<String> {
    let count: u32 = fields.number(count).unwrap_or(0);
    (1..=count.min(PLACES))
        .map_while(|number| fields.take(&format!("{name}{number}")))
        .filter_map(|value| String::from_utf8(value).ok())
        .collect()
}

/// The rows of list_fids; one that is not whole is left out.
pub(super) fn rows(mut fields: Fields) -> Vec<Row> {
    let count: u32 = fields.number("fid_count").unwrap_or(0).min(ROWS);
    let row = |number: u32| {
        Some(Row {
            domain: fields.take(&format!("fid_{number}_domain"))?,
            key: fields.take(&format!("fid_{number}_key"))?,
            object: Object {
                fid: fields.number(&format!("fid_{number}_fid"))?,
                length: fields.number(&format!("fid_{number}_length"))?,
                class: fields.take(&format!("fid_{number}_class"))?,
                md5: None,
            },
        })
    };
    (1..=count).filter_map(row).collect()
}

pub(super) fn opened(fields: &Fields) -> Result<Opened, Error> {
    let count: u32 = fields.number("dev_count").unwrap_or(0);
    let target = |number: u32| {
        Some(Target {
            device: fields.number(&format!("devid_{number}"))?,
            url: fields.text(&format!("path_{number}"))?.to_owned(),
        })
    };
    let targets: Vec<Target> = (1..=count.min(PLACES)).map_while(target).collect();
    match fields.number("fid") {
        Some(fid) if !targets.is_empty() => Ok(Opened { fid, targets }),
        _ => Err(Error::Protocol(
            "create_open: no fid or nowhere to put it".to_owned(),
        )),
    }
}

pub(super) fn fate(mut fields: Fields, fid: u64) -> Fate {
    if fields.number("fid_fid") == Some(fid) {
        Fate::Committed {
            key: fields.take("fid_dkey").unwrap_or_default(),
            length: fields.number("fid_length"),
        }
    } else if fields.any_below("tempfile_") {
        Fate::Open
    } else if fields.any_below("delqueue_") {
        Fate::Discarded
    } else {
        Fate::Unknown
    }
}

pub(super) fn domain(fields: &mut Fields, number: u32) -> Option<Domain> {
    let name = fields.take(&format!("domain{number}"))?;
    let count: u32 = fields
        .number(&format!("domain{number}classes"))
        .unwrap_or(0);
    let mut classes: Vec<Vec<u8>> = (1..=count)
        .map_while(|class| fields.take(&format!("domain{number}class{class}name")))
        .collect();
    classes.sort();
    Some(Domain { name, classes })
}

pub(super) fn device(fields: &Fields, number: u32) -> Option<Device> {
    Some(Device {
        id: fields.number(&format!("dev{number}_devid"))?,
        verifies: fields.text(&format!("dev{number}_reject_bad_md5")) == Some("1"),
        free: fields
            .number(&format!("dev{number}_mb_free"))
            .and_then(|megabytes: u64| megabytes.checked_mul(1 << 20)),
        is_writable: fields.text(&format!("dev{number}_status")) == Some("alive")
            && fields.text(&format!("dev{number}_observed_state")) == Some("writeable"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mogilefs::wire;

    fn fields(line: &str) -> Fields {
        wire::parse(line.as_bytes()).unwrap().answer.unwrap()
    }

    #[test]
    fn a_file_has_a_fid_and_a_length_or_is_none() {
        let whole = "OK key=tr/info&devcount=1&domain=d&length=10&class=photos&fid=64&devids=3";
        let expected = Object {
            fid: 64,
            length: 10,
            class: b"photos".to_vec(),
            md5: None,
        };
        assert_eq!(object(&fields(whole)).unwrap(), expected);
        for broken in [
            "OK ",
            "OK fid=64",
            "OK length=10",
            "OK fid=-1&length=10",
            "OK fid=1&length=x",
        ] {
            assert!(object(&fields(broken)).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_sum_is_known_where_it_is_one() {
        let sum = "781e5e245d69b566979b86e28d23f2c7";
        for (field, is_known) in [
            (format!("MD5:{sum}"), true),
            (format!("MD5:{}", sum.to_uppercase()), true),
            ("MISSING".to_owned(), false),
            (format!("SHA-1:{sum}00000000"), false),
            (format!("MD5:+{}", &sum[1..]), false),
            (format!("MD5:{sum}0"), false),
        ] {
            assert_eq!(md5(&field).is_some(), is_known, "{field}");
        }
    }

    #[test]
    fn paths_are_as_many_as_are_there() {
        for (line, expected) in [
            ("OK paths=0", &[][..]),
            ("OK ", &[]),
            (
                "OK paths=2&path2=http://b/&path1=http://a/",
                &["http://a/", "http://b/"],
            ),
            (
                "OK paths=4294967295&path1=http://a/&path2=%FF",
                &["http://a/"],
            ),
        ] {
            assert_eq!(listed(fields(line), "path", "paths"), expected, "{line}");
        }
    }

    #[test]
    fn a_row_is_whole_or_left_out() {
        let line = "OK fid_count=3&fid_1_fid=5&fid_1_domain=d&fid_1_key=a+b&fid_1_length=7\
                    &fid_1_class=c&fid_1_devcount=2&fid_2_fid=6&fid_2_domain=d&fid_2_key=x\
                    &fid_2_class=c&fid_3_fid=9&fid_3_domain=e&fid_3_key=y&fid_3_length=0&fid_3_class=";
        let seen: Vec<_> = rows(fields(line))
            .into_iter()
            .map(|row| (row.domain, row.key, row.object.fid, row.object.length))
            .collect();
        let expected = [
            (b"d".to_vec(), b"a b".to_vec(), 5, 7),
            (b"e".to_vec(), b"y".to_vec(), 9, 0),
        ];
        assert_eq!(seen, expected);
        assert!(rows(fields("OK fid_count=4294967295")).is_empty());
    }

    #[test]
    fn an_upload_has_somewhere_to_go() {
        let line = "OK path_1=http://a/1&path_2=http://b/2&devid_2=2&dev_count=3&devid_1=1&fid=5";
        let expected = Opened {
            fid: 5,
            targets: vec![
                Target {
                    device: 1,
                    url: "http://a/1".to_owned(),
                },
                Target {
                    device: 2,
                    url: "http://b/2".to_owned(),
                },
            ],
        };
        assert_eq!(opened(&fields(line)).unwrap(), expected);
        for broken in [
            "OK fid=5",
            "OK fid=5&dev_count=0",
            "OK dev_count=1&devid_1=1&path_1=http://a/1",
        ] {
            assert!(opened(&fields(broken)).is_err(), "{broken}");
        }
    }

    #[test]
    fn the_fate_of_a_fid_is_told_by_what_is_known_of_it() {
        let committed = Fate::Committed {
            key: b"tr/a b".to_vec(),
            length: Some(10),
        };
        for (line, expected) in [
            (
                "OK devids=2,3&fid_fid=64&fid_length=10&fid_dkey=tr/a+b&checksum=NONE",
                committed,
            ),
            (
                "OK tempfile_fid=64&tempfile_dkey=x&checksum=NONE",
                Fate::Open,
            ),
            (
                "OK delqueue_fid=64&checksum=NONE&devids=2,3",
                Fate::Discarded,
            ),
            ("OK checksum=NONE", Fate::Unknown),
            ("OK fid_fid=65&checksum=NONE", Fate::Unknown),
        ] {
            assert_eq!(fate(fields(line), 64), expected, "{line}");
        }
    }

    #[test]
    fn domains_have_their_own_classes() {
        let mut all = fields(
            "OK domains=2&domain1=b&domain1classes=2&domain1class1name=x&domain1class2name=default\
             &domain2=a&domain2classes=1&domain2class1name=y",
        );
        let first = domain(&mut all, 1).unwrap();
        assert_eq!(first.name, b"b");
        assert_eq!(first.classes, [&b"default"[..], b"x"]);
        assert_eq!(domain(&mut all, 2).unwrap().classes, [b"y"]);
        assert!(domain(&mut all, 3).is_none());
    }
}
