//! Hashes of every kind, and what is none.

use super::*;

const MD5_TEST: &str = "098f6bcd4621d373cade4e832627b4f6";
const SHA1_TEST: &str = "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3";
const SHA256_TEST: &str = "$5$rounds=1000$abcdefgh$yhwYR/W6yMWQN0nvy.k5DELe0UlIdCU06qfckdsFAY2";
const SHA512_TEST: &str = "$6$rounds=12345$abcdefgh$5kL3/7u23jSIV8grK2wZOowGhZyVYUetB7GoY8jbodddcG\
    PYwUCOO1dXJ3DzOrYDp3VD4ULr6udSSiNFzDdWx.";
const SHA512_UMLAUT: &str = "$6$x$5DJICYtVkQZaZ4swBI2IN6IdddMURKjzl6v6KBhykxQxjhZFsy7gZO9Vb.Xcpt\
    VBa8MmTBS2jx1QwCBNiTK3n0";

fn hash(text: &str, crypt: Crypt) -> Hash {
    Hash::parse(text, crypt).unwrap()
}

#[test]
fn only_the_right_password_matches() {
    for (text, crypt, password) in [
        (MD5_TEST, Crypt::Md5, "test"),
        ("098F6BCD4621D373CADE4E832627B4F6", Crypt::Md5, "test"),
        // Both begin with `0e` and digits: equal as numbers, which is how PHP compared them.
        ("0e462097431906509019562988736854", Crypt::Md5, "240610708"),
        (SHA1_TEST, Crypt::Sha1, "test"),
        (SHA256_TEST, Crypt::Md5, "test"),
        (SHA512_TEST, Crypt::Sha1, "test"),
        (SHA512_UMLAUT, Crypt::Md5, "gr\u{fc}n"),
    ] {
        let hash = hash(text, crypt);
        let verify = |password: &str| verify(Some(&hash), hash.cost(), password.as_bytes());
        assert!(verify(password), "{text}");
        for wrong in ["QNKCDZO", "Test", "test ", "-", "", &"test".repeat(1000)] {
            assert!(!verify(wrong), "{text} {wrong}");
        }
    }
}

/// The MD5 of nothing is a well-formed hash all the same.
#[test]
fn an_empty_password_is_nobodys() {
    let hash = hash("d41d8cd98f00b204e9800998ecf8427e", Crypt::Md5);
    assert!(!verify(Some(&hash), hash.cost(), b""));
}

#[test]
fn a_password_without_end_is_nobodys() {
    let long = "a".repeat(Password::LONGEST + 1);
    let bytes: [u8; 16] = Md5::digest(&long).into();
    assert!(!verify(
        Some(&Hash::Md5(bytes)),
        Cost::default(),
        long.as_bytes()
    ));
    let long = &long[1..];
    let bytes: [u8; 16] = Md5::digest(long).into();
    assert!(verify(
        Some(&Hash::Md5(bytes)),
        Cost::default(),
        long.as_bytes()
    ));
}

#[test]
fn what_is_no_hash_is_said_so() {
    let neither = "the password is neither 32 hex digits of MD5 nor a crypt string $5$ or $6$";
    let broken = "the crypt string is not whole";
    let sha512 = SHA512_TEST.trim_end_matches('.');
    for (text, why) in [
        ("", neither),
        ("test", neither),
        (SHA1_TEST, neither),
        ("098f6bcd4621d373cade4e832627b4fg", neither),
        ("098f6bcd4621d373cade4e832627b4\u{e4}", neither),
        (
            "$1$abcdefgh$x",
            "crypt strings $1$ are not known, only $5$ and $6$",
        ),
        (
            "$2y$10$x",
            "crypt strings $2y$ are not known, only $5$ and $6$",
        ),
        ("$5$", broken),
        ("$5$abcdefgh$", broken),
        ("$5$$yhwYR/W6yMWQN0nvy.k5DELe0UlIdCU06qfckdsFAY2", broken),
        ("$5$a b$yhwYR/W6yMWQN0nvy.k5DELe0UlIdCU06qfckdsFAY2", broken),
        ("$5$ab$yhwYR/W6yMWQN0nvy.k5DELe0UlIdCU06qfckdsFAY2$", broken),
        (sha512, broken),
        (
            "$5$rounds=999$ab$x",
            "rounds are a number from 1000 to 5000000",
        ),
        (
            "$5$rounds=x$ab$x",
            "rounds are a number from 1000 to 5000000",
        ),
    ] {
        assert_eq!(Hash::parse(text, Crypt::Md5), Err(why.to_owned()), "{text}");
    }
    let why = "the password is neither 40 hex digits of SHA1 nor a crypt string $5$ or $6$";
    assert_eq!(Hash::parse(MD5_TEST, Crypt::Sha1), Err(why.to_owned()));
}

/// Own hash and what is spent besides come to the same sum for every user and for nobody.
#[test]
fn everybody_costs_the_same() {
    let all = [
        hash(MD5_TEST, Crypt::Md5),
        hash(SHA256_TEST, Crypt::Md5),
        hash(SHA512_TEST, Crypt::Md5),
        hash(SHA512_UMLAUT, Crypt::Md5),
    ];
    let costs: Vec<Cost> = all.iter().map(Hash::cost).collect();
    let most = costs
        .iter()
        .fold(Cost::default(), |most, cost| most.max(*cost));
    assert_eq!(
        most,
        Cost {
            sha256: 1000,
            sha512: 12345
        }
    );
    for cost in costs {
        let rest = most.without(cost);
        let sum = (cost.sha256 + rest.sha256, cost.sha512 + rest.sha512);
        assert_eq!(sum, (most.sha256, most.sha512));
    }
}

#[test]
fn a_hash_is_not_shown() {
    assert_eq!(format!("{:?}", hash(MD5_TEST, Crypt::Md5)), "********");
}
