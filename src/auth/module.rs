//! Auth modules, as a worker sees them. A worker holds no users and starts no program: what a
//! module has to know it asks of an [`Authority`], which is the master.
#![forbid(unsafe_code)]

use super::exec::{self, Verdict};
use super::{Account, Found, Password};
use crate::config::AuthModule;

/// A way to find out who may come in.
pub trait Auth {
    /// The account of `user`, if `password` is right. As far as it can, an implementation takes the
    /// same time whoever it is.
    ///
    /// # Errors
    /// It cannot be found out now.
    fn admit(
        &self,
        user: &[u8],
        password: &Password,
        authority: &dyn Authority,
    ) -> Result<Option<Account>, Trouble>;

    /// The account of `user`, who has proved in another way who it is. `None` also where a password
    /// cannot be done without.
    ///
    /// # Errors
    /// It cannot be found out now.
    fn recognize(
        &self,
        _user: &[u8],
        _authority: &dyn Authority,
    ) -> Result<Option<Account>, Trouble> {
        Ok(None)
    }
}

/// Who can be asked. An empty answer says that it cannot be known now.
pub trait Authority {
    /// The record of `user` in the users file, see [`Found::decode`].
    ///
    /// # Errors
    /// There was no answer.
    fn record(&self, user: &[u8]) -> Result<Vec<u8>, Trouble>;

    /// What the site's program says, see [`Verdict::decode`].
    ///
    /// # Errors
    /// There was no answer.
    fn verdict(&self, user: &[u8], password: &Password) -> Result<Vec<u8>, Trouble>;
}

/// Why nothing is known of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Something does not work; the text is for the log.
    Unavailable(String),
    /// A bystander ended the wait ([`crate::vigil`]).
    Interrupted,
}

/// The module that the configuration names.
#[must_use]
pub fn named(name: AuthModule) -> Box<dyn Auth> {
    match name {
        AuthModule::Text => Box::new(Text),
        AuthModule::Exec => Box::new(Exec),
    }
}

/// The users file: the master finds the record, the worker does the work of the comparison.
struct Text;

impl Auth for Text {
    fn admit(
        &self,
        user: &[u8],
        password: &Password,
        authority: &dyn Authority,
    ) -> Result<Option<Account>, Trouble> {
        let found = look_up(user, authority)?;
        let is_right = found.verify(password);
        Ok(found.record.filter(|_| is_right).map(Account::from))
    }

    fn recognize(
        &self,
        user: &[u8],
        authority: &dyn Authority,
    ) -> Result<Option<Account>, Trouble> {
        Ok(look_up(user, authority)?.record.map(Account::from))
    }
}

fn look_up(user: &[u8], authority: &dyn Authority) -> Result<Found, Trouble> {
    Found::decode(&authority.record(user)?)
        .ok_or_else(|| Trouble::Unavailable("the users cannot be read".to_owned()))
}

/// A program of the site, run by the clerk.
struct Exec;

impl Auth for Exec {
    fn admit(
        &self,
        user: &[u8],
        password: &Password,
        authority: &dyn Authority,
    ) -> Result<Option<Account>, Trouble> {
        if exec::question(user, password.as_bytes()).is_none() {
            return Ok(None);
        }
        match Verdict::decode(&authority.verdict(user, password)?) {
            Verdict::Granted(account) => Ok(Some(account)),
            Verdict::Refused => Ok(None),
            Verdict::Failed => Err(Trouble::Unavailable("the auth program failed".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every question with the same bytes.
    struct Oracle(Vec<u8>);

    impl Authority for Oracle {
        fn record(&self, _user: &[u8]) -> Result<Vec<u8>, Trouble> {
            Ok(self.0.clone())
        }

        fn verdict(&self, _user: &[u8], _password: &Password) -> Result<Vec<u8>, Trouble> {
            Ok(self.0.clone())
        }
    }

    fn admit(
        module: AuthModule,
        password: &str,
        answer: &[u8],
    ) -> Result<Option<Account>, Trouble> {
        let password = Password::from(password.as_bytes().to_vec());
        named(module).admit(b"ann", &password, &Oracle(answer.to_vec()))
    }

    #[test]
    fn nobody_comes_in_unless_the_authority_knows_them() {
        let md5 = b"0\n0\n098f6bcd4621d373cade4e832627b4f6\n1\n2\nFile\nann";
        let account = admit(AuthModule::Text, "test", md5).unwrap().unwrap();
        assert_eq!((&*account.uid, &*account.name), ("1", &b"ann"[..]));
        assert_eq!(admit(AuthModule::Text, "wrong", md5), Ok(None));
        assert_eq!(admit(AuthModule::Text, "test", b"0\n0"), Ok(None));
        assert!(admit(AuthModule::Text, "test", b"").is_err());

        let yes = b"yes\n1\n2\nFile\nann";
        assert_eq!(admit(AuthModule::Exec, "test", yes), Ok(Some(account)));
        assert_eq!(admit(AuthModule::Exec, "test", b"no"), Ok(None));
        assert!(admit(AuthModule::Exec, "test", b"").is_err());
        // Not even asked.
        assert_eq!(admit(AuthModule::Exec, "", yes), Ok(None));
        assert_eq!(admit(AuthModule::Exec, "a\nb", yes), Ok(None));
    }

    #[test]
    fn who_is_known_otherwise_needs_an_account_all_the_same() {
        let md5 = b"0\n0\n098f6bcd4621d373cade4e832627b4f6\n1\n2\nFile\nann";
        let recognize =
            |module, answer: &[u8]| named(module).recognize(b"ann", &Oracle(answer.to_vec()));
        let account = recognize(AuthModule::Text, md5).unwrap().unwrap();
        assert_eq!(account.name, b"ann");
        assert_eq!(recognize(AuthModule::Text, b"0\n0"), Ok(None));
        assert!(recognize(AuthModule::Text, b"").is_err());
        assert_eq!(
            recognize(AuthModule::Exec, b"yes\n1\n2\nFile\nann"),
            Ok(None)
        );
    }
}
