//! The stage `{{name}}`: says how high each event's value is, and drops what is below 0.

use std::sync::Arc;

use modular_runtime::Kind;

pub fn stage() -> Arc<dyn Kind> {
    modular_runtime::stage::map(
        "{{name}}",
        &["user", "value"],
        [("user", "string"), ("value", "int64"), ("level", "string")],
        |event| {
            let (user, value) = (event.str("user")?, event.int64("value")?);
            Ok(level(value).map(|level| [user.into(), value.into(), level.into()]))
        },
    )
}

fn level(value: i64) -> Option<&'static str> {
    match value {
        ..0 => None,
        0..10 => Some("low"),
        10.. => Some("high"),
    }
}

#[cfg(test)]
mod tests {
    use super::level;

    #[test]
    fn each_event_gets_its_level() {
        let cases = [
            (12, Some("high")),
            (10, Some("high")),
            (3, Some("low")),
            (0, Some("low")),
            (-1, None),
        ];
        for (value, expected) in cases {
            assert_eq!(level(value), expected, "{value}");
        }
    }
}
