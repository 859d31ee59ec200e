//! Labels: where they stand and how they are read.

use serde_json::Value;

use super::error::LabelError;

/// Where a sample's label stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Label {
    /// `key.cls`: the number as text.
    #[default]
    Cls,
    /// `key.json`: the number under this key. `meta.label` is `label` in the object `meta`, and
    /// `labels.0` the first of the list `labels`.
    Json(String),
}

impl Label {
    /// The extension of the member that holds it.
    pub(super) fn extension(&self) -> &'static str {
        match self {
            Label::Cls => "cls",
            Label::Json(_) => "json",
        }
    }

    /// The label in the member `bytes`.
    ///
    /// # Errors
    /// If it is not there, or is not the number of a class.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<i64, LabelError> {
        match self {
            Label::Cls => {
                let text = String::from_utf8_lossy(bytes);
                let text = text.trim();
                let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(LabelError::NoInteger { got: beginning(text) });
                }
                class(text.parse().ok(), text)
            }
            Label::Json(path) => {
                let json: Value = serde_json::from_slice(bytes).map_err(LabelError::Json)?;
                let value = find(&json, path)?;
                let integer = matches!(value, Value::Number(n) if n.is_i64() || n.is_u64());
                if !integer {
                    return Err(LabelError::NoInteger { got: beginning(&value.to_string()) });
                }
                class(value.as_i64(), &value.to_string())
            }
        }
    }
}

fn class(number: Option<i64>, text: &str) -> Result<i64, LabelError> {
    number
        .filter(|number| *number >= 0)
        .ok_or_else(|| LabelError::OutOfRange { got: beginning(text) })
}

/// What stands under the keys of `path`. A key with a dot in it is found too.
fn find<'a>(json: &'a Value, path: &str) -> Result<&'a Value, LabelError> {
    let (mut value, mut rest) = (json, path);
    loop {
        if let Some(whole) = value.get(rest) {
            return Ok(whole);
        }
        let (part, after) = rest.split_once('.').unwrap_or((rest, ""));
        let inner = match value {
            Value::Array(list) => part.parse().ok().and_then(|place: usize| list.get(place)),
            other => other.get(part),
        };
        let Some(inner) = inner else {
            let (path, part) = (path.to_owned(), part.to_owned());
            return Err(LabelError::NoKey { path, part, found: keys(value) });
        };
        if after.is_empty() {
            return Ok(inner);
        }
        (value, rest) = (inner, after);
    }
}

fn keys(value: &Value) -> String {
    match value {
        Value::Object(object) if object.is_empty() => "an empty object".to_owned(),
        Value::Object(object) => {
            let some: Vec<_> = object.keys().take(8).map(|key| format!("`{key}`")).collect();
            let more = if object.len() > some.len() { ", ..." } else { "" };
            beginning_of(&some.join(", "), 200) + more
        }
        Value::Array(list) => format!("a list of {}", list.len()),
        other => format!("`{}`", beginning(&other.to_string())),
    }
}

/// Enough of a text to know it again.
fn beginning(text: &str) -> String {
    beginning_of(text, 40)
}

fn beginning_of(text: &str, characters: usize) -> String {
    let mut short: String = text.chars().take(characters).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}
