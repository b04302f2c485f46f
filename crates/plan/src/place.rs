//! Which form of each stage runs today: the words of `placement`, resolved.
//!
//! What it is: for each stage its built-in form, here or in a process, or one of its implementations; and what is
//! wrong with the words, and with the names of implementations.
//!
//! Neighbours: `bind` binds the form that was chosen.

use modrun_core::{Code, Problem};
use serde_json::Value;

use crate::graph::at_stage;
use crate::implementation::{Base, Implementation, ImplementationSpec};
use crate::plan::Program;
use crate::spec::{Placement, Spec, StageSpec};

/// How a stage runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Placed<'a> {
    Here,
    BuiltIn,
    Foreign(&'a str, &'a ImplementationSpec),
}

impl Placed<'_> {
    /// The word that stands for it.
    pub(crate) fn word(&self) -> Placement {
        match self {
            Placed::Here => Placement::Thread,
            Placed::BuiltIn => Placement::Process,
            Placed::Foreign(name, _) => Placement::Implementation((*name).to_owned()),
        }
    }

    /// The same, ready to be done; `config` is the schema of the stage's configuration where there is a kind.
    pub(crate) fn program(&self, stage: &StageSpec, config: Option<&Value>, base: Base<'_>) -> Program {
        match self {
            Placed::Here => Program::Here,
            Placed::BuiltIn => Program::BuiltIn,
            Placed::Foreign(name, spec) => {
                Program::Foreign(Implementation::new(name, spec, &stage.with, config, base))
            }
        }
    }
}

/// How each stage of `spec` runs, in the order of the file; `None` where it cannot be made out, which is reported.
pub(crate) fn place<'a>(spec: &'a Spec, problems: &mut Vec<Problem>) -> Vec<Option<Placed<'a>>> {
    for name in spec.placement.keys().filter(|name| !spec.stages.contains_key(*name)) {
        problems.push(
            Problem::new(Code::UNKNOWN_STAGE, format!("there is no stage `{name}`"))
                .with_nearest(name, spec.stages.keys().map(String::as_str))
                .on_key()
                .at(name.as_str())
                .at("placement"),
        );
    }
    let placed = |(name, stage): (&'a String, &'a StageSpec)| {
        for (own, spec) in &stage.implementations {
            let found =
                unfit_name(own).into_iter().chain(spec.env.keys().filter_map(|name| unfit_variable(name)));
            problems.extend(
                found.map(|problem| problem.at(own.as_str()).at("or").at(name.as_str()).at("stages")),
            );
        }
        let placed = match spec.placement.get(name) {
            Some(placement) => chosen(name, stage, placement),
            None => left_out(name, stage),
        };
        placed.unwrap_or_else(|problem| {
            problems.push(*problem);
            None
        })
    };
    spec.stages.iter().map(placed).collect()
}

type Found<'a> = Result<Option<Placed<'a>>, Box<Problem>>;

fn chosen<'a>(name: &'a str, stage: &'a StageSpec, placement: &Placement) -> Found<'a> {
    let wrong = |message: String| Problem::new(Code::PLACEMENT, message).at(name).at("placement");
    let own = || stage.implementations.keys().map(String::as_str);
    match placement {
        Placement::Thread | Placement::Process if stage.kind.is_none() => {
            if stage.implementations.is_empty() {
                return Ok(None);
            }
            let message = format!("stage `{name}` has no `use`, so it cannot run as `{}`", placement.word());
            Err(Box::new(wrong(message).with_hint(format!("its implementations: {}", list(own())))))
        }
        Placement::Thread => Ok(Some(Placed::Here)),
        Placement::Process => Ok(Some(Placed::BuiltIn)),
        // The schema reports it.
        Placement::Implementation(word) if word.is_empty() => Ok(None),
        Placement::Implementation(word) => match stage.implementations.get_key_value(word) {
            Some((word, spec)) => Ok(Some(Placed::Foreign(word, spec))),
            None => {
                let message = format!("stage `{name}` has no implementation `{word}`");
                let built_in: &[&str] = if stage.kind.is_some() { &["thread", "process"] } else { &[] };
                let known = built_in.iter().copied().chain(own());
                Err(Box::new(wrong(message).with_nearest(word, known)))
            }
        },
    }
}

fn left_out<'a>(name: &'a str, stage: &'a StageSpec) -> Found<'a> {
    let mut own = stage.implementations.iter();
    match (&stage.kind, own.next(), own.next()) {
        (Some(_), ..) => Ok(Some(Placed::Here)),
        (None, Some((word, spec)), None) => Ok(Some(Placed::Foreign(word, spec))),
        // There is nothing to choose from, which is reported with the kinds.
        (None, None, _) => Ok(None),
        (None, Some((first, _)), Some(_)) => {
            let message =
                format!("stage `{name}` has several implementations, and `placement` names none of them");
            let known = list(stage.implementations.keys().map(String::as_str));
            let hint = format!("add `{name}: {first}` to `placement`; its implementations: {known}");
            Err(Box::new(at_stage(name, Code::PLACEMENT, message).with_hint(hint)))
        }
    }
}

/// What is wrong with the name of an implementation.
fn unfit_name(own: &str) -> Option<Problem> {
    let message = match own {
        "" => "the name of an implementation must not be empty".to_owned(),
        "thread" | "process" => {
            format!("an implementation must not be named `{own}`: in `placement` it means the built-in stage")
        }
        _ => return None,
    };
    Some(Problem::new(Code::WRONG_VALUE, message).on_key())
}

/// What is wrong with the name of an environment variable.
fn unfit_variable(name: &str) -> Option<Problem> {
    let message = if name.is_empty() || name.contains(['=', '\0']) {
        format!("`{name}` cannot be the name of an environment variable")
    } else if name.starts_with("MODRUN_") {
        format!("`{name}` is set by the run itself, as all that begins with `MODRUN_`")
    } else {
        return None;
    };
    Some(Problem::new(Code::WRONG_VALUE, message).on_key().at(name).at("env"))
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
