//! Telling how an import goes: a bar on a terminal, a line every few seconds elsewhere.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

use super::source::Place;

/// How often progress is told where a line cannot be overwritten.
const PLAIN_EVERY: Duration = Duration::from_secs(5);
const BAR: &str = "{bar:30} {percent}%  {msg}, {eta} left";
const NO_END: &str = "{spinner} {msg}";

/// What shows the progress.
enum Display {
    Bar(ProgressBar),
    Plain(Instant),
}

/// How far an import has come since it began here.
pub(super) struct Progress {
    display: Display,
    began: Instant,
    from: Place,
    /// Of the file; `None` if its end is not known.
    bytes: Option<u64>,
    events: u64,
}

impl Progress {
    pub(super) fn new(bytes: Option<u64>, from: Place) -> Self {
        let display = if io::stderr().is_terminal() {
            let bar = bytes.map_or_else(ProgressBar::no_length, ProgressBar::new);
            let template = ProgressStyle::with_template(if bytes.is_some() { BAR } else { NO_END });
            bar.set_style(template.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_position(from.bytes);
            bar.reset_eta();
            Display::Bar(bar)
        } else {
            Display::Plain(Instant::now())
        };
        Self { display, began: Instant::now(), from, bytes, events: 0 }
    }

    /// So many events more are settled, as far as here.
    pub(super) fn advance(&mut self, events: usize, through: Place, summary: &str) {
        self.events = self.events.saturating_add(events as u64);
        let message = format!("{summary}, {}", rate(self.events, self.began.elapsed()));
        match &mut self.display {
            Display::Bar(bar) => {
                bar.set_message(message);
                bar.set_position(through.bytes);
            }
            Display::Plain(told) if told.elapsed() >= PLAIN_EVERY => {
                *told = Instant::now();
                let done = through.bytes.saturating_sub(self.from.bytes);
                let far = self.bytes.map(|all| position(all, through.bytes, done, self.began.elapsed()));
                eprintln!("{message}{}", far.unwrap_or_default());
            }
            Display::Plain(_) => {}
        }
    }

    /// Tells something that stays.
    pub(super) fn tell(&self, text: &str) {
        match &self.display {
            Display::Bar(bar) => bar.suspend(|| eprintln!("{text}")),
            Display::Plain(_) => eprintln!("{text}"),
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        match &self.display {
            Display::Bar(bar) => bar.finish_and_clear(),
            Display::Plain(_) => {}
        }
    }
}

fn rate(events: u64, took: Duration) -> String {
    let each_second = u128::from(events) * 1_000 / took.as_millis().max(1);
    format!("{each_second}/s")
}

/// How much of the file is done, and how long the rest takes at the pace so far.
fn position(all: u64, at: u64, done: u64, took: Duration) -> String {
    let rest = u128::from(all.saturating_sub(at));
    let left = took.as_millis().saturating_mul(rest) / u128::from(done.max(1));
    let left = Duration::from_millis(u64::try_from(left).unwrap_or(u64::MAX));
    format!("; {} of {}, {} left", HumanBytes(at), HumanBytes(all), HumanDuration(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_and_time_left_follow_from_what_is_done() {
        assert_eq!(rate(50_000, Duration::from_secs(2)), "25000/s");
        let text = position(300 << 20, 100 << 20, 50 << 20, Duration::from_secs(30));
        assert_eq!(text, "; 100.00 MiB of 300.00 MiB, 2 minutes left");
        assert_eq!(position(10, 10, 10, Duration::ZERO), "; 10 B of 10 B, 0 seconds left");
    }
}
