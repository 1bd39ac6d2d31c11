"""RFC 2228 and RFC 4217: TLS by AUTH."""

import contextlib
import re
import ssl

from session import finish, read_all
from steps import DONE, STARTED, TEXT, NotOffered, ask, case, expect, get, put

TITLE = "RFC 2228 and 4217: TLS"


def needs_tls(step):
    """Nothing is to be said of a server without TLS."""
    def guarded(scene):
        if not scene.stage.speaks_tls():
            raise NotOffered
        return step(scene)
    return guarded


def handshake(name):
    def step(scene):
        scene.ask(f"AUTH {name}", 234)
        scene.session.shake_hands()
        scene.ask("NOOP", 200, 530)
    return step


def login_within(scene):
    scene.session.secure().log_in()
    scene.ask("PWD", 257)


def before_login(scene):
    scene.session.secure(private=False)
    scene.ask("PBSZ 0", 200)
    scene.ask("PROT P", 200)
    scene.session.log_in()


def logged_out(scene):
    """RFC 2228 3: who secures the connection has to log in anew. Or it is too late for AUTH."""
    if scene.session.ask("AUTH TLS").code == 234:
        scene.session.shake_hands()
        expect(scene.session.ask("PWD").code >= 400, "the login from before TLS is still good")


def clear_at_first(scene):
    """RFC 4217 9: the data connection is clear until PROT (MUST)."""
    scene.settle(scene.session.secure(private=False).log_in())
    expect(scene.fetch("RETR {file}") == TEXT, "other bytes")


def clear_again(scene):
    said = scene.session.ask("PROT C")
    if said.code in (534, 536):
        return
    scene.judge("PROT C", said, (200,))
    scene.session.private = False
    expect(scene.fetch("RETR {file}") == TEXT, "other bytes")


def ends_well(scene):
    """A download ends with close_notify, so that it cannot be cut short unseen."""
    data = scene.session.data()
    line = scene.fill("RETR {file}")
    scene.judge(line, scene.session.ask(line), STARTED)
    with contextlib.closing(scene.session.protect(data)) as data:
        try:
            read_all(data)
        except ssl.SSLError as why:
            expect(False, f"no close_notify: {why.reason}")
        finish(data)
    scene.judge(line, scene.session.reply(), DONE)


def in_the_clear(scene):
    """The same data connection without TLS, while PROT P holds: nothing may come."""
    data, came = scene.session.data(), b""
    line = scene.fill("RETR {file}")
    scene.session.ask(line)
    with contextlib.closing(data), contextlib.suppress(OSError):
        data.sendall(b"this is no handshake\r\n" * 20)
        data.settimeout(8)
        came = read_all(data)
    # What the server says then may be anything, and the session may be over.
    expect(TEXT[:10] not in came, "the file comes in the clear")


def abort(scene):
    scene.session.send(b"ABOR\r\n")
    scene.judge("ABOR", scene.session.reply(), (225, 226))
    scene.ask("NOOP", 200)


def cleared(scene):
    said = scene.session.ask("CCC")
    if said.code in (500, 502, 533, 534):
        raise NotOffered
    scene.judge("CCC", said, (200,))
    raw = scene.session.socket.unwrap()
    scene.session.socket = raw
    scene.ask("NOOP", 200)


def many(scene):
    for _ in range(5):
        expect(scene.fetch("RETR {file}") == TEXT, "other bytes")


def versions(version):
    def step(scene):
        scene.ask("AUTH TLS", 234)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        scene.session.socket = context.wrap_socket(scene.session.socket, suppress_ragged_eofs=False)
        scene.session.tls = context
        scene.settle(scene.session.log_in())
        scene.ask("PBSZ 0", 200)
        scene.ask("PROT P", 200)
        scene.session.private = True
        expect(scene.fetch("RETR {file}") == TEXT, "other bytes")
    return step


def told(scene):
    expect(scene.stage.has("AUTH"), "FEAT does not tell of AUTH")
    expect(any(re.match(r"AUTH .*TLS", feat) for feat in scene.stage.feats), "FEAT does not tell of AUTH TLS")
    for label in ("PBSZ", "PROT"):
        expect(scene.stage.has(label), f"FEAT does not tell of {label}")


CASES = [
    case("4217 6", "AUTH TLS, PBSZ and PROT are in FEAT (MUST)", needs_tls(told)),
    case("4217 4.1", "AUTH TLS: 234, and a handshake", needs_tls(handshake("TLS")), state="out"),
    case("4217 17", "AUTH TLS-C is the same (SHOULD), in any case", needs_tls(handshake("tls-c")), state="out"),
    case("2228 3", "AUTH with what is not known is 504", needs_tls(ask("AUTH XYZZY", 504, 534)), state="out"),
    case("2228 3", "PBSZ before AUTH is 503", needs_tls(ask("PBSZ 0", 503)), state="out"),
    case("2228 3", "PROT before PBSZ is 503", needs_tls(ask("PROT P", 503)), state="out"),
    case("4217 4", "a login under TLS", needs_tls(login_within), state="out"),
    case("4217 9", "PBSZ and PROT before the login", needs_tls(before_login), state="out"),
    case("2228 3", "AUTH after the login: a new login is needed (MUST), or it is refused", needs_tls(logged_out)),
    case("4217 9", "data is clear until PROT (MUST)", needs_tls(clear_at_first), state="out"),
    case("4217 9", "PBSZ 0: 200", ask("PBSZ 0", 200), state="tls"),
    case("2228 3", "PBSZ of any number: 200, and PBSZ=0 for TLS", ask("PBSZ 16384", 200, like="PBSZ=0"), state="tls"),
    case("2228 3", "PBSZ of no number is 501", ask("PBSZ x", 501), state="tls"),
    case("2228 3", "PROT S and E, which TLS has not, are 536 (534, 504)",
         ask("PROT S", 536, 534, 504), ask("PROT E", 536, 534, 504), state="tls"),
    case("2228 3", "PROT with another letter is 504", ask("PROT X", 504, 534, 536), state="tls"),
    case("4217 9", "PROT P: downloads under TLS", get("RETR {file}", TEXT), state="tls"),
    case("4217 9", "PROT P: uploads under TLS", put("STOR {new}"), get("RETR {new}", TEXT), state="tls"),
    case("4217 9", "PROT P: listings under TLS", get("LIST {full}"), get("NLST {full}"), state="tls"),
    case("4217 9", "several in a row", many, state="tls"),
    case("4217 9", "PROT C: 200 and data in the clear, or 534 (536)", clear_again, state="tls"),
    case("4217 10", "PROT P: a data connection without TLS gets nothing", in_the_clear, state="tls"),
    case("4217 12", "a download ends with close_notify", ends_well, state="tls"),
    case("4217 12", "CCC: 200 and a clear control connection, or 533, 534, 500", cleared, state="tls"),
    case("4217 12", "CCC without TLS is 533 (500, 502, 503, 534)", needs_tls(ask("CCC", 533, 534, 500, 502, 503)), state="in"),
    case("4217 14", "ABOR under TLS", abort, state="tls"),
    case("5246", "TLS 1.2, control and data", needs_tls(versions(ssl.TLSVersion.TLSv1_2)), state="out"),
    case("8446", "TLS 1.3, control and data", needs_tls(versions(ssl.TLSVersion.TLSv1_3)), state="out"),
]
