//! Checksums over the control connection.

use super::*;

#[test]
fn checksums_are_told_in_the_words_of_each_verb() {
    let server = Server::start();
    server.put("/a b", "123456789");
    let mut client = server.log_in();
    for (command, code, said) in [
        (
            "HASH a b",
            213,
            "SHA-256 0-9 15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225 a b",
        ),
        ("OPTS HASH", 200, "SHA-256"),
        ("OPTS HASH sha-9", 501, "Unknown"),
        ("OPTS HASH crc32", 200, "CRC32"),
        ("HASH a b", 213, "CRC32 0-9 cbf43926 a b"),
        ("XCRC a b", 250, "CBF43926"),
        ("XCRC \"a b\"", 250, "CBF43926"),
        ("XCRC \"a b\" 0 9", 250, "CBF43926"),
        ("XCRC \"a b\" 0 1", 250, "83DCEFB7"),
        ("XCRC \"a b\" 8", 250, "8D076785"),
        ("XCRC \"a b\" 10", 554, ""),
        ("XCRC \"a b\" 2 1", 501, ""),
        ("XMD5 a b", 250, "25F9E794323B453885F5181F1B624D0B"),
        ("MD5 a b", 251, "a b 25f9e794323b453885f5181f1b624d0b"),
        ("XSHA1 a b", 250, "F7C3BC1D808E04732ADF679965CCC34CA7AE3441"),
        ("XSHA256 a b", 250, "15E2B0D3"),
        ("XSHA512 a b", 250, "D9E6762D"),
        ("HASH none", 550, ""),
        ("HASH /", 550, ""),
        ("HASH", 501, ""),
    ] {
        let text = client.ask(command, code);
        assert!(text.contains(said), "{command}: {text}");
    }
    assert!(client.ask("FEAT", 211).contains("CRC32*"));
    client.ask("REIN", 220);
    assert!(
        client
            .ask("FEAT", 211)
            .contains("HASH SHA-256*;SHA-512;SHA-1;MD5;CRC32")
    );
}

#[test]
fn a_checksum_on_its_way_can_be_aborted() {
    let server = Server::start();
    server.put("/f", vec![0; 1_000_000]);
    let mut client = server.log_in();
    client.send("HASH f\r\nABOR\r\n");
    client.expect_reply(426);
    client.expect_reply(226);
    client.ask("NOOP", 200);
}
