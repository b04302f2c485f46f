//! The page of each error code, as `docs/errors/` has it.

use modrun_core::Code;

macro_rules! pages {
    ($($code:ident $name:literal,)*) => {
        const PAGES: &[(Code, &str)] = &[$((
            Code::$code,
            include_str!(concat!("../../../docs/errors/", $name, ".md")),
        ),)*];
    };
}

pages! {
    YAML "E001",
    UNKNOWN_KEY "E002",
    MISSING_KEY "E003",
    WRONG_VALUE "E004",
    UNKNOWN_KIND "E005",
    UNKNOWN_STAGE "E006",
    CYCLE "E007",
    NOT_A_CHAIN "E008",
    UNKNOWN_COLUMN "E009",
    WRONG_TYPE "E010",
    EXPRESSION "E011",
    PLACEMENT "E012",
    OUTPUT_COLUMNS "E013",
    INPUT "E101",
    OUTPUT "E102",
    DEAD_LETTERS "E103",
    OVERFLOW "E104",
    VERIFY "E105",
    STAGE "E106",
    START "E107",
    PROCESS_ENDED "E108",
    PROTOCOL "E109",
    BUILD "E110",
}

/// The page of an error, in Markdown: what it means, an example and how to mend it. `code` may be in lower case.
pub fn explain(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(known, _)| known.0.eq_ignore_ascii_case(code)).map(|(_, page)| *page)
}

/// Every code that has a page, in order.
pub fn codes() -> impl Iterator<Item = Code> {
    PAGES.iter().map(|(code, _)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_of_its_own_and_every_page_a_code() {
        let defined: Vec<&str> = include_str!("../../core/src/problem.rs")
            .lines()
            .filter_map(|line| {
                line.trim().strip_prefix("pub const ")?.split_once("= Code(\"")?.1.split('"').next()
            })
            .collect();
        assert!(defined.len() >= 23, "the codes are no longer where this test looks: {defined:?}");
        assert_eq!(codes().map(|code| code.0).collect::<Vec<_>>(), defined);

        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with('E'))
            .collect();
        files.sort();
        assert_eq!(files, defined.iter().map(|code| format!("{code}.md")).collect::<Vec<_>>());
        for code in defined {
            let page = explain(code).unwrap();
            assert!(page.starts_with(&format!("# {code}: ")), "{code}");
            assert!(page.contains("\n## How to mend it\n"), "{code}");
        }
    }

    #[test]
    fn a_code_is_found_in_any_case() {
        assert_eq!(explain("e009"), explain("E009"));
        assert!(explain("E999").is_none());
    }
}
