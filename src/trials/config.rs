//! What operators write: configuration, users, the config.php of the daemon before this one. They
//! are trusted, yet a slip of theirs must be told to them, and never become another setting.

use crate::auth::text::{Users, split};
use crate::auth::{Found, exec};
use crate::config::{AuthText, Config, Crypt, Error};
use crate::draw::Draw;
use crate::import;

/// `data`: a configuration file.
pub(super) fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Config::parse(&text, "nanoftpd.conf") {
        Ok(config) => {
            let printed = config.to_string();
            assert_eq!(Config::parse(&printed, "printed"), Ok(config), "{printed}");
        }
        Err(errors) => tells(&errors, &text),
    }
}

/// Each error has a place in the file, and they come in its order.
fn tells(errors: &[Error], text: &str) {
    assert!(!errors.is_empty());
    assert!(errors.is_sorted_by_key(|error| error.line));
    let last = text.lines().count();
    for error in errors {
        assert!(error.line <= last && !error.why.is_empty(), "{error}");
    }
}

/// `data`: the separator, and a users file.
pub(super) fn users(data: &[u8]) {
    let mut draw = Draw(data);
    let (sep, crypt) = match draw.byte() % 4 {
        0 => ("|", Crypt::Md5),
        1 => ("\\t", Crypt::Sha1),
        2 => ("::", Crypt::Md5),
        _ => (":", Crypt::Md5),
    };
    let settings = AuthText {
        file: "users".into(),
        sep: sep.to_owned(),
    };
    let separator = settings.separator();
    let mut users = Users::new(settings, crypt);
    let text = draw.0;
    users.parse(text);
    for record in users.records() {
        // The last line that is about somebody counts, also when it lets nobody in.
        let line = last_line(text, &record.name, &separator);
        let [_, password, uid, gid, _] = line.as_slice() else {
            unreachable!("no line is about {record:?}");
        };
        assert!(!password.starts_with(b"!") && !password.starts_with(b"*"));
        assert_eq!((*uid, *gid), (record.uid.as_bytes(), record.gid.as_bytes()));
        assert!(!record.name.is_empty() && !record.name.contains(&b'\n'));
        let found = Found {
            record: Some(record.clone()),
            cost: record.hash.cost(),
        };
        let (before, again) = (found.cost, Found::decode(&found.encode()));
        assert_eq!(again.as_ref(), Some(&found));
        assert_eq!(before, record.hash.cost());
    }
    for error in users.errors().iter().chain(users.warnings()) {
        let shown = error.to_string();
        assert!(!shown.contains(char::is_control), "{shown:?}");
    }
    verdicts(text);
}

/// The fields of the last line that is about `name`.
fn last_line<'t>(text: &'t [u8], name: &[u8], separator: &[u8]) -> Vec<&'t [u8]> {
    // Some editors put a mark before the first line.
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let lines = text.split(|&byte| byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut fields = lines
        .filter(|line| !line.starts_with(b"#"))
        .map(|line| split(line, separator))
        .filter(|fields| fields.len() == 5 && fields.first() == Some(&name));
    fields.next_back().unwrap_or_default()
}

/// What a program of the site answers, and what becomes of it on its way to a worker.
fn verdicts(answer: &[u8]) {
    if let Ok(verdict) = exec::Verdict::read(b"ann\nb", answer) {
        assert_eq!(exec::Verdict::decode(&verdict.encode()), verdict);
    }
    let said = exec::Verdict::decode(answer);
    assert_eq!(exec::Verdict::decode(&said.encode()), said);
    if let Some(found) = Found::decode(answer) {
        assert_eq!(Found::decode(&found.encode()), Some(found));
    }
}

/// `data`: a config.php.
pub(super) fn import(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let original = match import::read(&text, "/srv/ftp/config.php") {
        Ok(original) => original,
        Err(error) => return assert!(!error.to_string().contains('\n')),
    };
    let ini = original.configuration();
    for line in ini.lines() {
        let is_setting = line.split_once(" = ").is_some_and(|(key, _)| {
            key.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        });
        let is_known = line.is_empty() || line.starts_with(['#', '[']) || is_setting;
        assert!(is_known, "{line:?} of {ini}");
        assert!(!matches!(line, "userid = 0" | "groupid = 0"));
    }
    // A value may be one that we do not take; a line is never one that we cannot read.
    if let Err(errors) = Config::parse(&ini, "nanoftpd.conf") {
        for error in errors {
            assert!(!error.key.is_empty() || error.line == 0, "{error}: {ini}");
        }
    }
    if let Ok(logrotate) = original.logrotate() {
        let files = logrotate.lines().next().map(str::split_ascii_whitespace);
        assert!(files.is_some_and(|files| files.count() == 3), "{logrotate}");
        let marks = logrotate.matches(['"', '$', '(', ')', ';']).count();
        assert!(logrotate.lines().count() == 12 && marks == 9, "{logrotate}");
    }
}
