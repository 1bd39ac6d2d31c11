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
        logrotate.contains("pid=$(cat /opt/n/log/nanoftpd.pid 2>/dev/null) && grep"),
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
        ("\n", 1),
        ("$CFG->a = 1;", 1),
        ("<?xml version='1.0' ?>", 1),
        ("<?php\n\n$CFG->a = 'x", 3),
        ("<?php\n$CFG->a = (1;", 2),
        ("<?php if ($CFG->a {\n", 1),
        ("<?php {\n$a = 1;\n", 1),
    ] {
        match read(source, "c.php") {
            Err(error) => assert_eq!(error.line, line, "{source}: {error}"),
            Ok(_) => panic!("{source} was read"),
        }
    }
}

#[test]
fn an_error_is_one_line_whatever_it_shows() {
    let error = read("<?php $CFG->a = f('x\ny';", "c.php").err().unwrap();
    let expected = "c.php:1: expected the end of a statement, found the end of the file";
    assert_eq!(error.to_string(), expected);
    let source = "<?php include \"a\nb\"; $CFG->mogilefs = array('x' => \"a\nb\");";
    let ini = read(source, "c.php").unwrap().configuration();
    assert!(ini.contains("c.php:1: a?b is not read"), "{ini}");
}

/// What the daemon's own files had through the years, and what people add to them.
#[test]
fn php_that_sets_nothing_is_passed_over() {
    for source in [
        "function __autoload($class_name) {\n$name = str_replace('_', '/', $class_name);\n\
            require_once $name . '.php';\n}",
        "class object {}",
        "abstract class A extends B { var $x = array(1); function y() { if (1) { return 2; } } }",
        "error_reporting(E_ALL & ~E_NOTICE ^ E_STRICT);",
        "$CFG->table = array();\n$CFG->table['name'] = 'users';",
        "$x = array('a' => 1, 'b' => array(2, 3),);",
        "$x = ['a', $y[$z]];",
        "ini_set('memory_limit', '512M') or die('no');",
        "foreach (array(1, 2) as $i) { define('A' . $i, $i); }",
        "for ($i = 0; $i < 3; $i++) foo($i);",
        "while ($x > 3): $x--; endwhile;",
        "switch ($x) { case 1: break; default: foo(); }",
        "try { foo(); } catch (Exception $e) { exit; } finally { bar(); }",
        "if ($x instanceof Y): foo(); elseif (2): bar(); else: foo(); endif;",
        "$f = function ($x) use ($y) { return $x; };",
        "Log::open('x'); $log = new \\My\\Log(); $log->open();",
        "echo 'a', 'b'; print 'c';",
        "global $CFG; static $x = 1; declare(ticks=1);",
        "$x = <<<END\n$CFG->idle_time = 7;\nENDE\nEND;",
        "$x = `echo '`;",
        "$CFG->a = ;",
        "$x = \"{$CFG->x[1]} ${CFG} $_SERVER[HOST]\";",
    ] {
        let source = format!("<?php {source}\n$CFG->idle_time = 5;");
        let ini = read(&source, "c.php").unwrap().configuration();
        assert!(ini.contains("\nidle_time = 5\n"), "{source}\n{ini}");
    }
}

#[test]
fn what_is_assigned_in_php_that_is_not_understood_is_told() {
    for source in [
        "foreach (array(1, 2) as $i) { $CFG->idle_time = $i; }",
        "foreach (array(1, 2) as $i) $x = 5; $CFG->idle_time = $i;",
        "list($a, $b) = array(1, 2); $CFG->idle_time = $a;",
        "$x = 1; list($a, $CFG->idle_time) = array(1, 5);",
        "if (1): [$a, $CFG->idle_time] = array(1, 5); endif;",
        "foreach (array(5) as $CFG->idle_time) {}",
        "if (1): $x = 5; $CFG->idle_time = 5; endif;",
        "if (1): $x = 5; else: if (2): $x = 5; endif; $CFG->idle_time = 5; endif;",
        "for (;;) if (1): $x = 5; elseif (2): $CFG->idle_time = 5; endif;",
        "while (1) if (1) $x = 5; else if (1): $x = 5; elseif (2): $CFG->idle_time = 5; endif;",
        "$CFG->idle_time = 5; foreach (array(1) as $x) { unset($CFG->idle_time); }",
        "if ($x instanceof Y) { $x = 1; } else { $CFG->idle_time = 5; }",
        "switch (1) { case 1: $CFG->idle_time = 5; }",
        "$CFG->idle_time = 5 +;",
        "$CFG->idle_time = 5; f($CFG->idle_time += g(function () {}));",
        "$CFG->idle_time = \"\\xfc\";",
        "$CFG->idle_time = \"$x[0]\";",
        "$CFG->idle_time = $_SERVER['TIME'];",
        "$t = array(5); $CFG->idle_time = $t[0];",
        "$CFG->idle_time = array(5);",
        "$CFG->idle_time = <<<E\n5\nE;",
        "if (getenv('T')) return; $CFG->idle_time = 5;",
        "include 'x'; $CFG->idle_time = $time;",
    ] {
        let ini = read(&format!("<?php {source}"), "c.php").unwrap();
        let ini = ini.configuration();
        assert!(ini.contains(": idle_time not carried"), "{source}\n{ini}");
        assert!(!ini.contains("\nidle_time ="), "{source}\n{ini}");
    }
    for (source, what) in [
        (
            "$CFG->mogilefs = (object) array('port' => 1);",
            "$CFG->mogilefs",
        ),
        (
            "$M = new M; $CFG->mogilefs = $M;",
            "$CFG->mogilefs, another name",
        ),
        (
            "$CFG->mogilefs = new M; $M = &$CFG->mogilefs;",
            "$M, another name",
        ),
        ("$k = 'port'; $CFG->$k = 1;", "$CFG->…"),
        ("$CFG->{'port'} = 1;", "$CFG->…"),
    ] {
        let ini = read(&format!("<?php {source}"), "c.php").unwrap();
        let ini = ini.configuration();
        let lines: Vec<&str> = ini
            .lines()
            .filter(|line| line.contains("is not read"))
            .collect();
        let [line] = lines[..] else { panic!("{ini}") };
        assert!(line.starts_with(&format!("# c.php:1: {what}")), "{line}");
    }
}

#[test]
fn values_are_those_of_php() {
    for (value, time) in [
        ("600 / 2", "300"),
        ("1_000 % 7", "6"),
        ("0x10 + 0b11 + 010", "27"),
        (".5", "0.5"),
        ("300.0", "300"),
        ("(int) '7'", "7"),
        ("(2 > 1 and 0 or 3) ? 8 : 9", "8"),
        ("1 === '1' ? 8 : 9", "9"),
        ("\"\\x35\\060\"", "50"),
        ("\"${seven}{$seven}$seven\"", "777"),
        ("SEVEN", "7"),
        ("$CFG->text['file'] = 7", "7"),
        ("7; $CFG->idle_time += 3; $CFG->idle_time++", "11"),
        ("7; if (1) { return; } $CFG->idle_time = 5", "7"),
        ("7; if (0) { return; } $CFG->idle_time = 5", "5"),
        ("(array(1)) === 1 ? 8 : 9", "9"),
        ("7; __halt_compiler(); it's over", "7"),
    ] {
        let source = format!("$seven = 7; define('SEVEN', 7); $CFG->idle_time = {value};");
        // Short and upper-case tags were taken by the PHP of those days.
        for tag in ["<?php", "<?", "<?PHP"] {
            let ini = read(&format!("{tag} {source}"), "c.php").unwrap();
            let ini = ini.configuration();
            assert!(
                ini.contains(&format!("\nidle_time = {time}\n")),
                "{source}\n{ini}"
            );
        }
    }
    let source = "<?php $CFG->idle_time = 5; unset($CFG->idle_time); $CFG->auth->text->sep = \"\\t\"; \
        $CFG->auth->crypt = 'MD5';";
    let ini = read(source, "c.php").unwrap().configuration();
    assert!(
        !ini.contains("idle_time") && ini.contains("\nsep = \\t\n"),
        "{ini}"
    );
    assert!(ini.contains("\ncrypt = md5\n"), "{ini}");
}

#[test]
fn names_of_the_first_versions_are_known() {
    let older = "$CFG->crypt = 'sha1'; $CFG->text = array(); $CFG->text['file'] = '/u'; $CFG->text['sep'] = '|';";
    let ini = read(&format!("<?php {older}"), "c.php")
        .unwrap()
        .configuration();
    for line in ["crypt = sha1", "file = /u", "sep = |"] {
        assert!(ini.lines().any(|have| have == line), "{line}\n{ini}");
    }
    let newer = "$CFG->auth->crypt = 'md5'; $CFG->auth->text->file = '/n';";
    let ini = read(&format!("<?php {newer}{older}"), "c.php")
        .unwrap()
        .configuration();
    for line in ["crypt = md5", "file = /n", "sep = |"] {
        assert!(ini.lines().any(|have| have == line), "{line}\n{ini}");
    }
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
