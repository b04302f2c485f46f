//! The examples on the pages of errors are true: each pipeline gives just what the page shows.

mod kinds;

use std::path::Path;

use kinds::problems_of;
use modrun_plan::{codes, explain};

/// Set it to write what is shown into the pages instead of comparing.
const BLESS: &str = "MODRUN_BLESS";

#[test]
#[expect(clippy::disallowed_methods, reason = "blessing rewrites the pages")]
fn the_example_of_each_page_gives_what_the_page_shows() {
    let mut wrong = Vec::new();
    for code in codes().filter(|code| code.0.starts_with("E0")) {
        let page = explain(code.0).unwrap();
        let pipeline = block(page, "yaml").unwrap_or_else(|| panic!("{code} has no example"));
        let shown = block(page, "text").unwrap_or_else(|| panic!("{code} does not show its problem"));
        let found = problems_of(pipeline, &[]) + "\n";
        assert!(found.starts_with(&format!("error[{code}]: ")), "{code}:\n{found}");
        assert_eq!(found.matches("error[").count(), 1, "{code} shows more than itself:\n{found}");
        if found != shown {
            if std::env::var_os(BLESS).is_some() {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/errors/{code}.md"));
                std::fs::write(
                    path,
                    page.replace(&format!("```text\n{shown}```"), &format!("```text\n{found}```")),
                )
                .unwrap();
            }
            wrong.push(format!("{code}:\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "set {BLESS} to update these pages:\n\n{}", wrong.join("\n"));
}

/// The first code block of a language.
fn block<'a>(page: &'a str, language: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("```{language}\n"))?;
    let end = if rest.starts_with("```") { 0 } else { rest.find("\n```")? + 1 };
    Some(&rest[..end])
}
