//! Lines of the tracker protocol, right and wrong.

use super::*;

fn written(request: &Request) -> String {
    let mut out = Vec::new();
    request.write_to("1-2", &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn no_byte_of_a_value_can_leave_it() {
    for (value, expected) in [
        (&b"photos/a-b_c.d,e:f"[..], "photos/a-b_c.d,e:f"),
        (b"a b+c", "a%20b%2Bc"),
        (b"50%41", "50%2541"),
        (b"x&y=z", "x%26y%3Dz"),
        (b"a\r\n!shutdown\r\n", "a%0D%0A%21shutdown%0D%0A"),
        (b"\\\"'~;#", "%5C%22%27%7E%3B%23"),
        (b"\x00\x7f\xff", "%00%7F%FF"),
        ("\u{e9}".as_bytes(), "%C3%A9"),
        (b"", ""),
    ] {
        let request = Request::new("file_info").with("key", value);
        assert_eq!(
            written(&request),
            format!("file_info key={expected}&callid=1-2\r\n")
        );
    }
}

#[test]
fn every_byte_comes_back_as_it_was() {
    let all: Vec<u8> = (0..=255).collect();
    let mut text = Vec::new();
    encode(&all, &mut text);
    assert_eq!(decode(&text), all);
}

#[test]
fn a_request_without_arguments_still_has_its_callid() {
    assert_eq!(
        written(&Request::new("get_domains")),
        "get_domains callid=1-2\r\n"
    );
}

fn ok(pairs: &[(&str, &str)]) -> Result<Fields, Refusal> {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| {
            let mut encoded = Vec::new();
            encode(value.as_bytes(), &mut encoded);
            format!("{name}={}", String::from_utf8(encoded).unwrap())
        })
        .collect();
    Ok(parse_fields(pairs.join("&").into_bytes(), 0).unwrap())
}

fn err(code: &str, text: &str) -> Result<Fields, Refusal> {
    Err(Refusal {
        code: code.to_owned(),
        text: text.to_owned(),
    })
}

#[test]
fn replies_are_read_as_trackers_write_them() {
    for (line, callid, answer) in [
        ("OK ", None, ok(&[])),
        ("OK", None, ok(&[])),
        ("OK callid=77", Some("77"), ok(&[])),
        ("OK 12", None, ok(&[])),
        ("OK 12 a=1", None, ok(&[("a", "1")])),
        ("OK 12=x", None, ok(&[("12", "x")])),
        (
            "OK paths=1&path1=http://127.0.0.23:7720/dev3/0/000/000/0000000064.fid&callid=1-9",
            Some("1-9"),
            ok(&[
                ("paths", "1"),
                (
                    "path1",
                    "http://127.0.0.23:7720/dev3/0/000/000/0000000064.fid",
                ),
            ]),
        ),
        (
            "OK key_1=b+4&key_2=a%2Bb&key_3=&&x",
            None,
            ok(&[("key_1", "b 4"), ("key_2", "a+b"), ("key_3", ""), ("x", "")]),
        ),
        (
            "ERR unknown_key unknown_key",
            None,
            err("unknown_key", "unknown_key"),
        ),
        (
            "ERR unreg_domain Domain+name+invalid/not+found a+b/",
            Some("a b/"),
            err("unreg_domain", "Domain name invalid/not found"),
        ),
        ("ERR db", None, err("db", "")),
        ("ERR db  7", Some("7"), err("db", "")),
    ] {
        let reply = parse(line.as_bytes()).unwrap();
        assert_eq!(reply.answer, answer, "{line}");
        assert_eq!(reply.callid.as_deref(), callid.map(str::as_bytes), "{line}");
    }
}

#[test]
fn the_last_field_of_a_name_counts_and_there_are_not_ever_so_many() {
    let line = |count: usize| {
        let fields = (0..count).map(|number| format!("&{number}"));
        format!("OK a=1&b=2&a=3&a%3D=4{}", fields.collect::<String>())
    };
    let few = line(MOST_FIELDS - 4);
    let Ok(mut fields) = parse(few.as_bytes()).unwrap().answer else {
        panic!("refused");
    };
    assert_eq!(fields.bytes("a="), Some(&b"4"[..]));
    assert_eq!(fields.take("a"), Some(b"3".to_vec()));
    assert_eq!((fields.take("a"), fields.bytes("a")), (None, None));
    assert_eq!(fields.bytes("99"), Some(&b""[..]));
    assert!(parse(line(MOST_FIELDS).as_bytes()).is_err());
}

#[test]
fn other_lines_are_no_replies() {
    for line in ["", "OKAY", "ERR", "ERR ", "2.73", ".", "ok a=1", " OK a=1"] {
        assert!(parse(line.as_bytes()).is_err(), "{line}");
    }
}

#[test]
fn a_broken_escape_stands_for_itself() {
    for (text, expected) in [
        (&b"100%"[..], &b"100%"[..]),
        (b"%4", b"%4"),
        (b"%zz%41", b"%zzA"),
        (b"%+1", b"% 1"),
        (b"%e9%E9", b"\xe9\xe9"),
    ] {
        assert_eq!(decode(text), expected);
    }
}

#[test]
fn a_value_that_was_sent_raw_is_taken_for_another() {
    for (value, taken) in [
        (&b"photos/a.jpg"[..], &b"photos/a.jpg"[..]),
        (b"a+b", b"a b"),
        (b"p%41", b"pA"),
        (b"Tom & Jerry.txt", b"Tom "),
        (b"x=1&y", b"x"),
        (b"100%", b"100%"),
        (b"&", b""),
    ] {
        assert_eq!(taken_raw(value), taken);
    }
}

#[test]
fn fields_are_taken_as_what_they_are() {
    let Ok(mut fields) = parse(b"OK fid=64&class=caf%E9&length=x&fid_1=2")
        .unwrap()
        .answer
    else {
        panic!("refused");
    };
    assert_eq!(fields.number::<u64>("fid"), Some(64));
    assert_eq!(fields.number::<u64>("length"), None);
    assert_eq!(fields.bytes("class"), Some(&b"caf\xe9"[..]));
    assert_eq!(fields.text("class"), None);
    assert!(fields.any_below("fid_"));
    assert_eq!(fields.take("fid_1"), Some(b"2".to_vec()));
    assert!(!fields.any_below("fid_"));
}
