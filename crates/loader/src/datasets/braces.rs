//! Brace expansion as in bash: `train-{000000..000146}.tar`, `{a,b}`, one in the other, with a
//! step, downwards, by letters; `\` takes the meaning from the character after it.
//!
//! As in Python's `braceexpand`, which WebDataset uses, braces must balance, and those around
//! neither a range nor a list stay.

use super::files::FilesError;

/// Files that one pattern may stand for.
const MOST: usize = 1_000_000;
/// Braces inside braces.
const DEEPEST: usize = 32;
/// Digits of a number in a range.
const WIDEST: usize = 18;

/// All that `pattern` stands for, in order.
///
/// # Errors
/// If braces do not balance, or it stands for more than a million names.
pub(super) fn expand(pattern: &str) -> Result<Vec<String>, FilesError> {
    sequence(pattern, 0)
        .map_err(|why| FilesError::Pattern { pattern: pattern.to_owned(), why: why.0 })
}

/// Why a pattern makes no sense.
#[derive(Debug)]
struct Why(&'static str);

const TOO_MANY: Why = Why("it stands for more than 1000000 names");

/// Text with braces in it: the product of its parts.
fn sequence(text: &str, depth: usize) -> Result<Vec<String>, Why> {
    if depth > DEEPEST {
        return Err(Why("braces are nested more than 32 deep"));
    }
    let mut all = vec![String::new()];
    let mut rest = text;
    while !rest.is_empty() {
        let literal = find(rest, |c| c == '{' || c == '}').unwrap_or(rest.len());
        let plain = unescaped(&rest[..literal]);
        all.iter_mut().for_each(|name| name.push_str(&plain));
        rest = &rest[literal..];
        if rest.is_empty() {
            break;
        }
        let close = closing(rest).ok_or(Why("its braces do not balance"))?;
        let choices = group(&rest[1..close], depth + 1)?;
        if all.len().saturating_mul(choices.len()) > MOST {
            return Err(TOO_MANY);
        }
        all =
            all.iter().flat_map(|name| choices.iter().map(move |c| format!("{name}{c}"))).collect();
        rest = &rest[close + 1..];
    }
    Ok(all)
}

/// What stands between braces: a range, a list, or neither.
fn group(inner: &str, depth: usize) -> Result<Vec<String>, Why> {
    if let Some(range) = range(inner)? {
        return Ok(range);
    }
    let items = split(inner);
    if items.len() < 2 {
        return Ok(sequence(inner, depth)?.into_iter().map(|name| format!("{{{name}}}")).collect());
    }
    let mut all = Vec::new();
    for item in items {
        all.append(&mut sequence(item, depth)?);
        if all.len() > MOST {
            return Err(TOO_MANY);
        }
    }
    Ok(all)
}

/// `1..9`, `a..f`, `1..9..2`; `None` if it is not one.
fn range(inner: &str) -> Result<Option<Vec<String>>, Why> {
    let mut parts = inner.split("..");
    let (Some(from), Some(to), step, None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Ok(None);
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_number = |text: &str| digits(text.strip_prefix('-').unwrap_or(text));
    let number = |text: &str| {
        let short = text.len() <= WIDEST;
        text.parse::<i64>().ok().filter(|_| short).ok_or(Why("a number in it is too long"))
    };
    let step = match step {
        None => 1,
        Some(step) if is_number(step) => number(step)?.unsigned_abs().max(1),
        Some(_) => return Ok(None),
    };
    if is_number(from) && is_number(to) {
        let padded = [from, to].iter().any(|text| {
            let text = text.strip_prefix('-').unwrap_or(text);
            text.len() > 1 && text.starts_with('0')
        });
        let width = if padded { from.len().max(to.len()) } else { 0 };
        let all = count(number(from)?, number(to)?, step)?;
        return Ok(Some(all.map(|n| format!("{n:0width$}")).collect()));
    }
    let place = |text: &str| match text.as_bytes() {
        [letter @ b'A'..=b'Z'] => Some(i64::from(letter - b'A')),
        [letter @ b'a'..=b'z'] => Some(i64::from(letter - b'a') + 26),
        _ => None,
    };
    let (Some(from), Some(to)) = (place(from), place(to)) else { return Ok(None) };
    let letter = |place: i64| char::from(place as u8 + if place < 26 { b'A' } else { b'a' - 26 });
    Ok(Some(count(from, to, step)?.map(|place| letter(place).to_string()).collect()))
}

/// From `from` to `to`, both included, up or down.
fn count(from: i64, to: i64, step: u64) -> Result<impl Iterator<Item = i64>, Why> {
    let steps = from.abs_diff(to) / step;
    if steps >= MOST as u64 {
        return Err(TOO_MANY);
    }
    // Within the range of both ends: neither overflows.
    let step = if from <= to { step as i64 } else { -(step as i64) };
    Ok((0..=steps as i64).map(move |n| from + n * step))
}

/// The first character that `wanted` and is not escaped.
fn find(text: &str, wanted: impl Fn(char) -> bool) -> Option<usize> {
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        if c == '\\' {
            characters.next();
        } else if wanted(c) {
            return Some(at);
        }
    }
    None
}

/// Where the brace that `text` begins with is closed.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut from) = (0_usize, 0);
    loop {
        let at = from + find(&text[from..], |c| c == '{' || c == '}')?;
        depth = if text[at..].starts_with('{') { depth + 1 } else { depth.checked_sub(1)? };
        if depth == 0 {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Parts between commas that stand in no inner brace.
fn split(inner: &str) -> Vec<&str> {
    let (mut parts, mut start, mut from, mut depth) = (Vec::new(), 0, 0, 0_usize);
    while let Some(found) = find(&inner[from..], |c| matches!(c, '{' | '}' | ',')) {
        let at = from + found;
        match inner.as_bytes()[at] {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        from = at + 1;
    }
    parts.push(&inner[start..]);
    parts
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        plain.push(if c == '\\' { characters.next().unwrap_or('\\') } else { c });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expanded(pattern: &str) -> Vec<String> {
        expand(pattern).unwrap()
    }

    #[test]
    fn patterns_are_expanded_as_braceexpand_does() {
        let text = include_str!("../../../../tests/reference/shards/expected.json");
        let expected: serde_json::Value = serde_json::from_str(text).unwrap();
        for (pattern, names) in expected["braces"].as_object().unwrap() {
            let names: Vec<_> =
                names.as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
            assert_eq!(expanded(pattern), names, "{pattern}");
        }
    }

    #[test]
    fn long_ranges_and_numbers_are_refused_at_once() {
        assert_eq!(expanded("{000000..999999}").len(), MOST);
        for (pattern, why) in [
            ("{0..1000000}", "more than 1000000"),
            ("{0..999}{0..1000}", "more than 1000000"),
            ("{-9223372036854775808..9223372036854775807}", "too long"),
            ("{0..9999999999999999999999}", "too long"),
            (&"{".repeat(100_000), "do not balance"),
            (&("{".repeat(50) + &"}".repeat(50)), "nested more than 32 deep"),
        ] {
            let error = expand(pattern).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_expanded_or_refused(pattern in r"[{},.\\a0-9é-]{0,40}") {
            let _ = expand(&pattern);
        }

        #[test]
        fn names_without_braces_are_themselves(name in r"[a-zA-Z0-9/._*?-]{0,40}") {
            prop_assert_eq!(expanded(&name), [name]);
        }
    }
}
