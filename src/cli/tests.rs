//! What was typed, and the command that it is or what is wrong with it.

use std::os::unix::ffi::OsStringExt;

use super::*;

fn typed(line: &str) -> Result<Command, String> {
    parse(line.split_whitespace().map(OsString::from))
}

#[test]
fn each_command_is_recognised() {
    let usual = PathBuf::from(CONFIG);
    let own = PathBuf::from("x.conf");
    let run = |config: &PathBuf, foreground| Command::Run {
        config: config.clone(),
        foreground,
    };
    for (line, expected) in [
        ("", run(&usual, false)),
        ("-f", run(&usual, true)),
        ("-c x.conf", run(&own, false)),
        ("-cx.conf -f", run(&own, true)),
        ("-fc x.conf", run(&own, true)),
        ("-fcx.conf", run(&own, true)),
        ("-c x.conf --", run(&own, false)),
        (
            "-t",
            Command::Check {
                config: usual.clone(),
            },
        ),
        (
            "-c x.conf -t",
            Command::Check {
                config: own.clone(),
            },
        ),
        (
            "-tc x.conf",
            Command::Check {
                config: own.clone(),
            },
        ),
        (
            "-T -c x.conf",
            Command::Print {
                config: own.clone(),
            },
        ),
        ("-V", Command::Version),
        ("--version", Command::Version),
        ("-h", Command::Help),
        ("passwd -h", Command::Help),
        ("import -h", Command::Help),
        ("check --help", Command::Help),
        ("status -h", Command::Help),
    ] {
        assert_eq!(typed(line), Ok(expected), "{line}");
    }
}

#[test]
fn passwd_takes_its_own_options() {
    let whole = Passwd {
        user: "ann".to_owned(),
        users: Some(PathBuf::from("u")),
        module: Some("File".to_owned()),
        uid: Some("1".to_owned()),
        gid: Some("2".to_owned()),
        md5: true,
    };
    let user = |name: &str| Passwd {
        user: name.to_owned(),
        ..Passwd::default()
    };
    for (line, config, change) in [
        ("passwd ann", None, user("ann")),
        ("passwd -- -ann", None, user("-ann")),
        ("-c x passwd ann", Some("x"), user("ann")),
        (
            "passwd -f u --module File --uid 1 --gid 2 --md5 ann",
            None,
            whole.clone(),
        ),
        (
            "passwd ann --md5 --gid=2 --uid=1 --module=File -fu",
            None,
            whole,
        ),
    ] {
        let config = config.map(PathBuf::from);
        assert_eq!(
            typed(line),
            Ok(Command::Passwd { config, change }),
            "{line}"
        );
    }
}

#[test]
fn tools_take_their_own_options() {
    let usual = || PathBuf::from(CONFIG);
    let import = |source: &str, logrotate| Command::Import {
        source: source.into(),
        logrotate,
    };
    let probe = |config, write| Command::Probe { config, write };
    for (line, expected) in [
        ("import config.php", import("config.php", false)),
        ("import --logrotate c.php", import("c.php", true)),
        ("import c.php --logrotate", import("c.php", true)),
        ("import -- -c", import("-c", false)),
        ("check", probe(usual(), false)),
        ("-c x check --write", probe("x".into(), true)),
    ] {
        assert_eq!(typed(line), Ok(expected), "{line}");
    }
}

#[test]
fn wrong_usage_says_why() {
    for (line, why) in [
        ("-x", "there is no option -x"),
        ("-fx", "there is no option -x"),
        ("--conf", "there is no option --conf"),
        ("-c", "-c needs a value"),
        ("-t -T", "-t and -T exclude each other"),
        ("start", "there is no command \"start\""),
        ("-", "there is no command \"-\""),
        ("-- -f", "there is no command \"-f\""),
        ("passwd", "passwd needs the name of a user"),
        ("passwd a b", "passwd takes one user, \"b\" is another"),
        ("passwd -c x a", "passwd has no option -c"),
        ("passwd --module", "--module needs a value"),
        (
            "passwd --md5=1 a",
            "an option takes no value, but =\"1\" was given",
        ),
        (
            "passwd a --md5=1",
            "an option takes no value, but =\"1\" was given",
        ),
        ("-t passwd a", "passwd goes with no option but -c before it"),
        ("-f check", "check goes with no option but -c before it"),
        ("check now", "check takes nothing, not \"now\""),
        ("check --json", "check has no option --json"),
        ("status --write", "status has no option --write"),
        ("status -c x", "status has no option -c"),
        ("import", "import needs the PHP daemon's config.php"),
        ("import a b", "import takes one file, \"b\" is another"),
        ("import -x a", "import has no option -x"),
        (
            "-c x import a",
            "import reads no configuration of ours: -c is of no use",
        ),
    ] {
        assert_eq!(typed(line), Err(why.to_owned()), "{line}");
    }
}

#[test]
fn a_path_need_not_be_text() {
    let path = OsString::from_vec(b"\xff".to_vec());
    let expected = Command::Check {
        config: PathBuf::from(path.clone()),
    };
    assert_eq!(parse(["-t".into(), "-c".into(), path]), Ok(expected));
}
