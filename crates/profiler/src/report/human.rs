//! Numbers and moments as people read them: MB of 2^20 bytes, percent, ms, UTC.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A number with thousands set apart and so many decimals; `n/a` where it is none.
pub fn number(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "n/a".to_owned();
    }
    let text = format!("{:.*}", decimals, value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let negative = value < 0.0 && text.chars().any(|c| c.is_ascii_digit() && c != '0');
    format!("{}{grouped}{rest}", if negative { "-" } else { "" })
}

/// Three digits, more where the number is whole: `0.0123`, `1.23`, `12.3`, `1,234`.
pub fn figures(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        small if small < 0.1 => 4,
        small if small < 10.0 => 2,
        middle if middle < 100.0 => 1,
        _ => 0,
    };
    number(value, decimals)
}

/// A whole number with thousands set apart.
pub fn count(value: u64) -> String {
    number(value as f64, 0)
}

/// Bytes in MB.
pub fn mb(bytes: f64) -> String {
    let value = bytes / f64::from(1 << 20);
    let decimals = if value.abs() < 10.0 && value != 0.0 { 1 } else { 0 };
    format!("{} MB", number(value, decimals))
}

/// A share of 1 in percent.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    let whole = value.abs() >= 9.95 || (value - value.round()).abs() < 0.05;
    // A little is not nothing.
    match value {
        little if little > 0.0 && little < 0.05 => "<0.1%".to_owned(),
        _ => format!("{}%", number(value, usize::from(!whole))),
    }
}

/// Seconds in the unit that suits: us, ms, s, min or h.
pub fn duration(seconds: f64) -> String {
    match seconds.abs() {
        0.0 => "0 ms".to_owned(),
        s if s < 1e-3 => format!("{} µs", figures(seconds * 1e6)),
        s if s < 1.0 => format!("{} ms", figures(seconds * 1e3)),
        s if s < 60.0 => format!("{} s", number(seconds, if s < 10.0 { 2 } else { 1 })),
        s if s < 3600.0 => {
            let whole = seconds.round();
            format!("{} min {:02} s", number((whole / 60.0).trunc(), 0), (whole % 60.0).abs())
        }
        s if s.is_finite() => {
            let minutes = (seconds / 60.0).round();
            format!("{} h {:02} min", number((minutes / 60.0).trunc(), 0), (minutes % 60.0).abs())
        }
        _ => "n/a".to_owned(),
    }
}

/// Seconds in ms, for columns that are compared.
pub fn ms(seconds: f64) -> String {
    figures(seconds * 1e3)
}

/// Cores, which need not be whole.
pub fn cores(cores: f64) -> String {
    number(cores, usize::from(cores % 1.0 > 0.0))
}

/// A rate.
pub fn per_second(value: f64) -> String {
    format!("{}/s", figures(value))
}

/// A moment in RFC 3339 as people read it; what is none, as it is.
pub fn moment(rfc3339: &str) -> String {
    match rfc3339.parse::<Timestamp>() {
        Ok(moment) => written(moment),
        Err(_) => rfc3339.to_owned(),
    }
}

/// Now, as [`moment()`] writes it.
pub fn now() -> String {
    written(Timestamp::now())
}

fn written(moment: Timestamp) -> String {
    moment.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_lie_about_their_sign() {
        assert_eq!(number(1_234_567.0, 0), "1,234,567");
        assert_eq!(number(-1234.5, 1), "-1,234.5");
        assert_eq!(number(-0.001, 1), "0.0");
        assert_eq!(number(f64::NAN, 1), "n/a");
        assert_eq!(figures(0.01234), "0.0123");
        assert_eq!(figures(99.96), "100.0");
        assert_eq!(mb(1_073_741_824.0), "1,024 MB");
        assert_eq!(mb(1_572_864.0), "1.5 MB");
        assert_eq!(percent(0.0512), "5.1%");
        assert_eq!(percent(0.31), "31%");
        assert_eq!(percent(0.05), "5%");
        assert_eq!(percent(0.0001), "<0.1%");
        assert_eq!(percent(0.0), "0%");
    }

    #[test]
    fn durations_take_the_unit_that_suits() {
        assert_eq!(duration(0.0), "0 ms");
        assert_eq!(duration(0.000_012), "12.0 µs");
        assert_eq!(duration(0.0123), "12.3 ms");
        assert_eq!(duration(4.2), "4.20 s");
        assert_eq!(duration(59.0 * 60.0 + 59.7), "60 min 00 s");
        assert_eq!(duration(7260.0), "2 h 01 min");
        assert_eq!(duration(f64::INFINITY), "n/a");
    }

    #[test]
    fn moments_are_utc_and_rubbish_stays_what_it_is() {
        assert_eq!(moment("2026-11-22T21:12:30.5+01:00"), "2026-11-22 20:12:30 UTC");
        assert_eq!(moment("yesterday"), "yesterday");
    }
}
