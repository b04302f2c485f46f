//! The kinds of stages that `use:` may name.

use std::sync::Arc;

use indexmap::IndexSet;
use modrun_core::{Code, Description, Kind, Problem, Role};

/// A kind and what it says of itself.
pub(crate) struct Known {
    pub(crate) description: Description,
    pub(crate) kind: Arc<dyn Kind>,
}

/// All kinds, to be looked up by word and place.
pub(crate) struct Registry(Vec<Known>);

impl Registry {
    pub(crate) fn new(kinds: &[Arc<dyn Kind>]) -> Self {
        Self(
            kinds.iter().map(|kind| Known { description: kind.describe(), kind: Arc::clone(kind) }).collect(),
        )
    }

    pub(crate) fn get(&self, word: &str, role: Role) -> Option<&Known> {
        self.0.iter().find(|known| known.description.word == word && known.description.role == role)
    }

    pub(crate) fn has(&self, word: &str) -> bool {
        self.0.iter().any(|known| known.description.word == word)
    }

    /// The words of a place, in the order of the kinds.
    pub(crate) fn words(&self, role: Role) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |known| known.description.role == role)
            .map(|known| known.description.word.as_str())
    }

    /// Every word once, in the order of the kinds.
    pub(crate) fn distinct_words(&self) -> IndexSet<&str> {
        self.descriptions().map(|description| description.word.as_str()).collect()
    }

    pub(crate) fn descriptions(&self) -> impl Iterator<Item = &Description> {
        self.0.iter().map(|known| &known.description)
    }

    /// A word that no kind has: the nearest word, or those that fit `roles`.
    pub(crate) fn unknown(&self, word: &str, roles: &[Role]) -> Problem {
        let problem = Problem::new(Code::UNKNOWN_KIND, format!("there is no kind of stage `{word}`"));
        let all = self.0.iter().map(|known| known.description.word.as_str());
        match modrun_core::nearest(word, all) {
            Some(near) => problem.with_hint(format!("did you mean `{near}`?")),
            None => problem.with_nearest(word, roles.iter().flat_map(|role| self.words(*role))),
        }
    }
}
