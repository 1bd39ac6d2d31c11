//! What operators order over the control socket, and what they are told.

use std::time::Instant;

use super::Master;
use crate::control::{Form, Request};

const KICKED: &str = "The operator has ended this session.";
const SHUT: &str = "Service is shut for now, try again later.";

impl Master<'_> {
    /// Does what is asked for. An answer that begins with `error:` says that it was not done.
    pub(super) fn answer(&mut self, request: Request, now: Instant) -> String {
        match request {
            Request::Status(Form::Table) => self.status(now).table(),
            Request::Status(Form::Top) => self.status(now).top(),
            Request::Status(Form::Json) => self.status(now).json(),
            Request::Status(Form::Prometheus) => self.status(now).prometheus(),
            Request::Kick { who } => self.kick(&who, now),
            Request::Shut { time, text } => {
                let text = if text.is_empty() { SHUT } else { &text };
                self.shut_gate(time, text.to_owned(), now);
                let minutes = time.as_secs() / 60;
                format!(
                    "no new logins; {} sessions have {minutes} minutes\n",
                    self.sessions()
                )
            }
            Request::Open => match self.open_gate() {
                true => "open\n".to_owned(),
                false => "was open already\n".to_owned(),
            },
            Request::Reload if self.stop.is_some() => "error: the service stops\n".to_owned(),
            Request::Reload => match self.reload() {
                Ok(()) => "reloaded\n".to_owned(),
                Err(errors) => {
                    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
                    format!("error: the old configuration stays\n{}\n", lines.join("\n"))
                }
            },
            Request::Reopen => match self.reopen_logs() {
                Ok(()) => "log files opened anew\n".to_owned(),
                Err(error) => format!("error: {error}\n"),
            },
            Request::Stop { is_now } => {
                let sessions = self.sessions();
                if self.stop.is_none() || is_now {
                    self.stop_or_hurry(now);
                }
                if is_now {
                    self.stop_or_hurry(now);
                }
                format!("stopping, {sessions} sessions\n")
            }
        }
    }

    fn kick(&mut self, who: &str, now: Instant) -> String {
        let pids = self.meant(who);
        if pids.is_empty() {
            return "error: there is no such session\n".to_owned();
        }
        for &pid in &pids {
            log::info!("kicked pid={pid}");
            self.dismiss(pid, KICKED, now);
        }
        format!("{} sessions ended\n", pids.len())
    }
}
