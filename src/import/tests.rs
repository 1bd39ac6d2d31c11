//! Configurations of the PHP daemon, and what is made of them.

use super::*;
use crate::config::LogMode;

const ORIGINAL: &str = r#"Leading text is not PHP.
<?php
/* a block; $CFG->listen_port = 1; */
$CFG = new stdClass();
$CFG->rootdir = dirname(__FILE__);   // the place of this file
$CFG->logdir = "$CFG->rootdir/log";
ini_set('include_path', get_include_path().":".$CFG->rootdir);
$CFG->tmpdir = $CFG->rootdir . '/tmp';
$CFG->daemonize = true;
$CFG->pidfile = "{$CFG->logdir}/nanoftpd.pid";
ini_set('error_log', $CFG->logdir."/nanoftpd.err");
$CFG->userid = 0;
$CFG->groupid = 33;
$CFG->listen_port = 20+1;
$CFG->server_name = "It's \"ours\" \$5";
$CFG->auth = new stdClass;
$CFG->auth->module = 'Text';
$CFG->auth->crypt = 'trim';
$CFG->auth->text = new stdClass();
$CFG->auth->text->sep = '|';
# one more kind of comment ?> <?php
$CFG->mogilefs = new stdClass();
$CFG->mogilefs->tracker = getenv('T') ? getenv('T') : 'x';
$CFG->mogilefs->extendedlist = FALSE;
$CFG->mogilefs->own = 1;
$CFG->logging = new stdClass();
$CFG->logging->mode	= 2;
if ($CFG->daemonize) $CFG->logging->mode = 1;
if (!$CFG->daemonize) { $CFG->logging->mode = 3; } else { $CFG->logging->file = "$CFG->rootdir/log/n.log"; }
?>
trailing"#;

fn carried() -> String {
    read(ORIGINAL, "/usr/local/nanoftpd/config.php")
        .unwrap()
        .configuration()
}

#[test]
fn settings_keep_their_meaning() {
    let ini = carried();
    for line in [
        "tmpdir = /usr/local/nanoftpd/tmp",
        "pidfile = /usr/local/nanoftpd/log/nanoftpd.pid",
        "daemonize = yes",
        "groupid = 33",
        "listen_port = 21",
        "server_name = It's \"ours\" $5",
        "module = Text",
        "sep = |",
        "extendedlist = no",
        "legacy_names = yes",
        "mode = 1",
        "file = /usr/local/nanoftpd/log/n.log",
    ] {
        assert!(ini.lines().any(|have| have == line), "{line}\n{ini}");
    }
}

#[test]
fn the_result_is_a_configuration_without_errors() {
    let config = Config::parse(&carried(), "imported").unwrap();
    assert_eq!(config.nanoftpd.server_name, "It's \"ours\" $5");
    assert_eq!(config.auth.text.sep, "|");
    assert!(config.mogilefs.legacy_names);
    assert_eq!(config.logging.mode, LogMode::File);
    let lean = read("<?php $CFG = new stdClass();", "c.php")
        .unwrap()
        .configuration();
    Config::parse(&lean, "imported").unwrap();
}

#[test]
fn what_is_not_carried_over_is_a_comment_with_its_line() {
    let ini = carried();
    for (line, what) in [(12, "userid"), (18, "crypt"), (23, "tracker")] {
        let start = format!("# /usr/local/nanoftpd/config.php:{line}: {what} not carried over");
        assert!(
            ini.lines().any(|have| have.starts_with(&start)),
            "{start}\n{ini}"
        );
    }
    assert!(ini.contains("config.php:25: $CFG->mogilefs->own"), "{ini}");
    assert!(
        !ini.lines()
            .any(|line| line.starts_with("userid") || line.starts_with("crypt"))
    );
}

#[test]
fn the_log_is_rotated_without_a_restart() {
    let original = read(ORIGINAL, "/opt/n/config.php").unwrap();
    let logrotate = original.logrotate().unwrap();
    assert!(
        logrotate.starts_with("/opt/n/log/n.log /var/log/nanoftpd/xferlog {"),
        "{logrotate}"
    );
    assert!(
        logrotate.contains("kill -USR1 \"$(cat /opt/n/log/nanoftpd.pid)\""),
        "{logrotate}"
    );
    for pidfile in [
        "1",
        "'/run/a b'",
        "\"/run/a\\nb\"",
        "'/run/a$(id)'",
        "'/run/a\"'",
    ] {
        let source = format!("<?php $CFG->logging->file = '/a'; $CFG->pidfile = {pidfile};");
        let error = read(&source, "c").unwrap().logrotate().unwrap_err();
        assert!(error.why.starts_with("$CFG->pidfile is not"), "{error}");
    }
}

#[test]
fn what_is_not_php_is_an_error_with_its_line() {
    for (source, line) in [
        ("<?php\n$CFG->a = ;", 2),
        ("<?php\n\n$CFG->a = 'x", 3),
        ("<?php $CFG->a = 1\n$CFG->b = 2;", 2),
        ("<?php if ($CFG->a {\n", 1),
        ("<?php {\n$a = 1;\n", 2),
        ("<?php $a = \"{$CFG->x[1]}\";", 1),
    ] {
        match read(source, "c.php") {
            Err(error) => assert_eq!(error.line, line, "{source}: {error}"),
            Ok(_) => panic!("{source} was read"),
        }
    }
}

#[test]
fn an_error_is_one_line_whatever_it_shows() {
    let error = read("<?php $CFG->a 'x\ny';", "c.php").err().unwrap();
    let expected = "c.php:1: expected `;`, found `'x?y'`";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn nesting_has_an_end() {
    for source in [
        "<?php $a = ".to_owned() + &"(".repeat(100_000),
        "<?php ".to_owned() + &"{".repeat(100_000),
        "<?php $a = ".to_owned() + &"!".repeat(100_000),
    ] {
        assert!(read(&source, "c.php").is_err());
    }
}

#[test]
fn nothing_is_executed_and_nothing_can_break_a_line() {
    let source = "<?php $CFG->server_name = \"a\\nuserid = 0\"; $CFG->tmpdir = system('id');";
    let ini = read(source, "c.php").unwrap().configuration();
    assert!(!ini.lines().any(|line| line.starts_with("userid")), "{ini}");
    assert!(ini.contains("tmpdir not carried over: its value is the result of system()"));
    // A line that ends in a backslash would not be read again.
    let source = r"<?php $CFG->tmpdir = 'C:\\tmp\\';";
    let ini = read(source, "c.php").unwrap().configuration();
    assert!(
        ini.contains(r"tmpdir not carried over: `C:\tmp\` cannot"),
        "{ini}"
    );
}

#[test]
fn what_only_php_can_decide_is_not_carried_over() {
    for source in [
        "if (php_uname('n') == 'a') $CFG->idle_time = 5; else $CFG->idle_time = 6;",
        "$CFG->idle_time = 5; if (getenv('T')) $CFG->idle_time = 6;",
        "$CFG->idle_time = 5; if (!getenv('T')) { $CFG->idle_time = 6; }",
        "if (getenv('T') && 1) $CFG->idle_time = 6;",
        "if (0 || getenv('T') != 'x') $CFG->idle_time = 6;",
        "if (0) $a = 1; elseif (getenv('T')) $CFG->idle_time = 6;",
        "$CFG->idle_time = getenv('T') ? 5 : 6;",
        "$CFG->idle_time = getenv('T') ?: 6;",
    ] {
        let ini = read(&format!("<?php {source}"), "c.php").unwrap();
        let ini = ini.configuration();
        assert!(ini.contains("# c.php:1: idle_time not"), "{source}\n{ini}");
        assert!(!ini.contains("idle_time ="), "{source}\n{ini}");
    }
    for source in [
        "$CFG->idle_time = 5; if (0 && getenv('T')) $CFG->idle_time = 6;",
        "if (1 || getenv('T')) $CFG->idle_time = 5; else $CFG->idle_time = 6;",
        "if (getenv('T')) $a = 6; $CFG->idle_time = 5;",
    ] {
        let ini = read(&format!("<?php {source}"), "c.php").unwrap();
        let ini = ini.configuration();
        assert!(ini.contains("idle_time = 5\n"), "{source}\n{ini}");
    }
}

#[test]
fn files_that_are_included_are_named() {
    let source = "<?php\nrequire_once dirname(__FILE__) . '/a.php';\ninclude('/b.php');\n\
        if (0) { require 'c.php'; }\ninclude getenv('D');\n$CFG->idle_time = 5;";
    let ini = read(source, "/x/c.php").unwrap().configuration();
    for line in [
        "# /x/c.php:2: /x/a.php is not read: what it sets is missing here",
        "# /x/c.php:3: /b.php is not read: what it sets is missing here",
        "# /x/c.php:5: what it includes is not read: what it sets is missing here",
        "idle_time = 5",
    ] {
        assert!(ini.lines().any(|have| have == line), "{line}\n{ini}");
    }
    assert_eq!(ini.matches("is not read").count(), 3, "{ini}");
}
