//! Directories as lists.

use super::*;

fn server() -> Server {
    let server = Server::start();
    server.put("/photos/a b.jpg", "12345");
    server.put("/photos/100%.jpg", "");
    server.put("/photos/note.txt", "1");
    server
        .files
        .lock()
        .unwrap()
        .put_bytes(b"/photos/evil\r\n226 done", Vec::new());
    server
}

#[test]
fn list_has_a_line_for_each_entry() {
    let server = server();
    let mut client = server.log_in();
    let root = client.fetch_text("LIST");
    assert_eq!(
        root,
        "drwxr-xr-x   1 mogilefs class               0 Jul  8  2010 photos\r\n"
    );
    for command in [
        "LIST photos",
        "LIST -la photos",
        "LIST /photos/",
        "LIST -a  photos",
    ] {
        let lines = client.fetch_text(command);
        assert_eq!(lines.lines().count(), 3, "{command}: {lines}");
        assert!(lines.contains("   5 "), "{lines}");
        assert!(lines.contains(" a b.jpg\r\n"), "{lines}");
        assert!(lines.contains(" 100%.jpg\r\n"), "{lines}");
    }
    let one = client.fetch_text("LIST photos/a b.jpg");
    assert!(one.ends_with(" a b.jpg\r\n") && one.starts_with("-rw-r--r-- "));
    client.ask("TYPE A", 200);
    assert_eq!(client.fetch_text("LIST"), root);
    assert!(client.fetch_text("LIST photos/*.jpg").lines().count() == 2);
    assert_eq!(client.fetch_text("LIST photos/*.gif"), "");
}

#[test]
fn nlst_gives_names_that_can_be_used() {
    let server = server();
    let mut client = server.log_in();
    for (command, expected) in [
        ("NLST", "photos\r\n"),
        ("NLST .", "photos\r\n"),
        ("NLST -a", "photos\r\n"),
        (
            "NLST photos",
            "photos/100%.jpg\r\nphotos/a b.jpg\r\nphotos/note.txt\r\n",
        ),
        ("NLST photos/*.txt", "photos/note.txt\r\n"),
        ("NLST /photos/n*", "/photos/note.txt\r\n"),
        ("NLST photos/note.txt", "photos/note.txt\r\n"),
        ("NLST p*", "photos\r\n"),
    ] {
        assert_eq!(client.fetch_text(command), expected, "{command}");
    }
    client.ask("CWD photos", 250);
    for (command, expected) in [
        ("NLST *.txt", "note.txt\r\n"),
        ("NLST note.txt", "note.txt\r\n"),
        ("NLST ../photos/*.txt", "note.txt\r\n"),
        ("NLST ..", "../photos\r\n"),
    ] {
        assert_eq!(client.fetch_text(command), expected, "{command}");
    }
}

#[test]
fn machine_listings_have_facts_and_bare_names() {
    let server = server();
    let mut client = server.log_in();
    assert_eq!(
        client.fetch_text("MLSD"),
        "type=dir;perm=cdeflmp;UNIX.mode=0755; photos\r\n"
    );
    let facts = "modify=20261122120000;perm=adfrw;unique=4711;UNIX.mode=0644;";
    assert_eq!(
        client.fetch_text("MLSD photos"),
        format!(
            "type=file;size=0;{facts} 100%.jpg\r\ntype=file;size=5;{facts} a b.jpg\r\n\
             type=file;size=1;{facts} note.txt\r\n"
        )
    );
    assert_eq!(
        client.ask("MLST photos/a b.jpg", 250),
        format!("250-Listing /photos/a b.jpg\n type=file;size=5;{facts} /photos/a b.jpg\n250 End.")
    );
    assert!(client.ask("MLST", 250).contains("\n type=dir;"));
    client.ask("OPTS MLST size;", 200);
    assert!(
        client
            .fetch_text("MLSD photos")
            .contains("size=5; a b.jpg\r\n")
    );
    client.pasv();
    client.ask("MLSD photos/note.txt", 501);
    client.pasv();
    client.ask("MLSD nothing", 550);
    client.ask("MLST nothing", 550);
}

#[test]
fn stat_lists_over_the_control_connection() {
    let server = server();
    let mut client = server.log_in();
    let text = client.ask("STAT photos", 212);
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(text.contains(" a b.jpg\n"), "{text}");
    let text = client.ask("STAT -l photos/note.txt", 213);
    assert_eq!(text.lines().count(), 3, "{text}");
    client.ask("STAT nothing", 550);
}

#[test]
fn a_listing_that_is_not_whole_says_so() {
    let server = Server::start();
    for dir in ["cut", "torn", "dark"] {
        server.put(&format!("/{dir}/f"), "x");
    }
    let mut client = server.log_in();
    let mut data = client.passive();
    client.ask("LIST cut", 150);
    let mut lines = String::new();
    data.read_to_string(&mut lines).unwrap();
    assert_eq!(lines.lines().count(), 1);
    assert!(client.expect_reply(226).contains("cut at 1 "));
    let mut data = client.passive();
    client.ask("LIST torn", 150);
    data.read_to_end(&mut Vec::new()).unwrap();
    client.expect_reply(451);
    for command in ["LIST dark", "NLST dark", "MLSD dark"] {
        client.pasv();
        client.ask(command, 451);
    }
    for (command, code) in [("LIST nothing", 550), ("NLST nothing/*", 550)] {
        client.pasv();
        client.ask(command, code);
    }
    assert!(client.ask("STAT torn", 212).contains("not whole (ref "));
    assert!(client.ask("STAT cut", 212).contains("cut at 1 "));
}

#[test]
fn a_long_listing_arrives_whole() {
    let server = Server::start();
    for number in 0..5000 {
        server.put(&format!("/d/file-{number:05}"), "");
    }
    let mut client = server.log_in();
    let names = client.fetch_text("NLST d");
    assert_eq!(names.lines().count(), 5000);
    assert_eq!(names.lines().last(), Some("d/file-04999"));
    assert_eq!(client.ask("STAT d", 212).lines().count(), 5002);
}
