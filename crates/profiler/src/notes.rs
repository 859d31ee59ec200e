//! Notes for a session's reader, as many as anyone reads.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::thread::panic_message;

/// Lines, of which only the first are kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    lines: Vec<String>,
    more: u64,
}

impl Notes {
    const MOST: usize = 32;

    pub(crate) fn add(&mut self, line: String) {
        if self.lines.len() < Self::MOST {
            self.lines.push(printable(&line));
        } else {
            self.more += 1;
        }
    }

    /// The notes, and how many there were beyond.
    pub(crate) fn lines(&self) -> Vec<String> {
        let more = (self.more > 0).then(|| format!("{} more notes like these", self.more));
        self.lines.iter().cloned().chain(more).collect()
    }
}

/// Names and words are data of the program; a reader's terminal or page is not to obey them.
pub(crate) fn printable(text: &str) -> String {
    // Some turn the direction of all that follows.
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain = |c: char| if c.is_control() || turns(c) { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(plain).collect()
}

/// Runs code of someone else's; if it panics, says so.
pub(crate) fn calmly<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| words_of(&*panic))
}

/// What a panic said.
pub(crate) fn words_of(panic: &(dyn Any + Send)) -> String {
    format!("it panicked: {}", panic_message(panic))
}
